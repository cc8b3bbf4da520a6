"""The verb `import`: an object that exists, taken into a state file."""

import argparse
import sys
from typing import Any

from ferrule._console import EXIT_OK
from ferrule._console.terminal import Style, progress
from ferrule.terraform.cli.launching import configured
from ferrule.terraform.cli.output import attribute_lines, diagnostic_json, plain, print_json, print_lines
from ferrule.terraform.cli.state_files import saved, store_of
from ferrule.terraform.cli.values import from_typed_assignments
from ferrule.terraform.errors import StateError, UnsupportedError
from ferrule.terraform.redaction import redacted
from ferrule.terraform.state import ResourceState

__all__ = ["import_"]


async def import_(options: argparse.Namespace) -> int:
    """Imports an object, and stores or shows its state."""
    async with configured(options) as provider:
        store = store_of(options, options.type, options.source_address or provider.address)
        with store.locked("import"):
            if store.read() is not None:
                raise StateError(f"{options.state} has a resource already: an import does not write over it")
            identity = await _identity(provider, options)
            async with progress(f"importing {options.type}"):
                state = await provider.resource(options.type).import_(options.id, identity=identity)
            saved(store, state)
    _show(options, state)
    return EXIT_OK


async def _identity(provider: Any, options: argparse.Namespace) -> dict[str, Any] | None:
    if not options.identity:
        return None
    schema = await provider.schema()
    if options.type not in schema.identities:
        raise UnsupportedError(f"{options.type} has no identity", "Import it by its id.")
    attributes = schema.identities[options.type].attributes
    return from_typed_assignments(options.identity, {name: each.type for name, each in attributes.items()}, attributes)


def _show(options: argparse.Namespace, state: ResourceState) -> None:
    if options.json:
        document = {"type": state.type, "state_file": options.state}
        # A state has secrets: where a file has it, it is not repeated.
        document["state"] = None if options.state else plain(state.to_json())
        document["warnings"] = [diagnostic_json(each) for each in options.warnings]
        print_json(document)
        return
    lines = attribute_lines(redacted(state.attributes, state.sensitive or ()), Style(sys.stdout))
    print_lines([f"imported {state.type}", *(f"  {line}" for line in lines)])
