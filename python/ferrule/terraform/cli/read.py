"""The verb `read`: a data source."""

import argparse
import sys

from ferrule._console import EXIT_OK
from ferrule._console.terminal import Style, progress
from ferrule.terraform import core
from ferrule.terraform.cli.launching import configured
from ferrule.terraform.cli.output import attribute_lines, diagnostic_json, plain, print_json, print_lines
from ferrule.terraform.cli.values import from_assignments
from ferrule.terraform.cty import encode_json
from ferrule.terraform.redaction import redacted

__all__ = ["read"]


async def read(options: argparse.Namespace) -> int:
    """Reads a data source and prints all of its attributes."""
    async with configured(options) as provider:
        source = provider.data(options.type)
        block = (await source.schema()).block
        config = options.inputs.get(options.file, {}) | from_assignments(options.values, block)
        async with progress(f"reading {options.type}"):
            value = await source.read(config)
    attributes = plain(encode_json(value, core.implied_type(block)))
    if options.json:
        warnings = [diagnostic_json(each) for each in options.warnings]
        print_json({"type": options.type, "attributes": attributes, "warnings": warnings})
    else:
        hidden = redacted(attributes, core.sensitive_paths(block, value))
        print_lines(attribute_lines(hidden, Style(sys.stdout)))
    return EXIT_OK
