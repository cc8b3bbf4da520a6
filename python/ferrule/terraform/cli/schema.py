"""The verb `schema`: what a provider has, as a readable tree or as JSON."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from ferrule._console import EXIT_FAILED, EXIT_OK, without_control, write, write_to
from ferrule._console.terminal import Style, progress
from ferrule.terraform.cli.catalogue import KINDS, PROVIDER, Match, find, search
from ferrule.terraform.cli.launching import launched
from ferrule.terraform.cli.output import json_text, lines_text
from ferrule.terraform.cli.stubs import stubs
from ferrule.terraform.cli.tree import match_lines, overview, search_lines
from ferrule.terraform.finding.packages import PROGRAM_PREFIX
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.model import Function
from ferrule.terraform.schema.outline import signature

__all__ = ["schema"]


async def schema(options: argparse.Namespace) -> int:
    """Shows a provider's schema, a part of it, the places that a word is found in, or stubs.

    Returns:
        The exit status: 1 if a search has found nothing.
    """
    async with launched(options) as provider, progress(f"reading the schema of {options.provider}"):
        of = await provider.schema()
    # In a thread: all types of a large provider take seconds.
    async with progress(f"going through the schema of {options.provider}"):
        text, status = await asyncio.to_thread(_shown, of, options)
    write(text)
    return status


def _shown(of: ProviderSchema, options: argparse.Namespace) -> tuple[str, int]:
    """The text that was asked for, and the exit status."""
    style = Style(sys.stdout)
    if options.stubs:
        return stubs([match.entry for match in find(of, options.stubs)], Path(options.provider).name), EXIT_OK
    if options.search:
        matches = list(search(of, options.search, options.type or ""))
        status = EXIT_OK if matches else EXIT_FAILED
        if not matches:
            where = f" in {options.type}" if options.type else ""
            write_to(
                sys.stderr, without_control(f"ferrule: nothing{where} has {options.search!r} in its name or text\n")
            )
        return _matches_json(matches) if options.json else lines_text(search_lines(matches, style)), status
    if options.type:
        return _type_text(of, options, style), EXIT_OK
    return of.to_json(address(options), options.core) if options.json else lines_text(overview(of, style)), EXIT_OK


def _type_text(of: ProviderSchema, options: argparse.Namespace, style: Style) -> str:
    matches = find(of, options.type)
    if not options.json:
        # An empty line between a resource and a data source of one name.
        lines = [line for match in matches for line in ("", *match_lines(match, style))]
        return lines_text(lines[1:])
    document = _document_of(of, options) if matches[0].node is None else None
    return f"{json_text(document)}\n" if document else _matches_json(matches)


def address(options: argparse.Namespace) -> str:
    """The provider's source address, under which `providers schema -json` has its schema."""
    if options.source_address:
        return str(options.source_address)
    name = Path(options.provider).name if Path(options.provider).exists() else options.provider
    # terraform-provider-random_v3.6.0_x5.exe
    return str(name).removeprefix(PROGRAM_PREFIX).partition("_v")[0].removesuffix(".exe")


def _document_of(of: ProviderSchema, options: argparse.Namespace) -> dict[str, Any] | None:
    """The document of `providers schema -json` with one type alone; None if that has no such kind of type."""
    document: dict[str, Any] = json.loads(of.to_json(address(options), options.core))
    ((source, parts),) = document["provider_schemas"].items()
    keys = [kind.key for kind in KINDS if options.type in parts.get(kind.key, {})]
    reduced = {key: {options.type: parts[key][options.type]} for key in keys}
    if options.type == PROVIDER and not reduced:
        reduced = {PROVIDER: parts[PROVIDER]}
    document["provider_schemas"] = {source: reduced}
    return document if reduced else None


def _matches_json(matches: list[Match]) -> str:
    return f"{json_text({'matches': [_match_json(match) for match in matches]})}\n"


def _match_json(match: Match) -> dict[str, Any]:
    entry, node = match.entry, match.node
    document = {"kind": entry.kind.name, "name": entry.name, "path": match.path}
    if node is not None:
        facts = {"type": node.type, "marks": list(node.marks)}
        return {**document, **facts, "description": node.description, "deprecation": node.deprecation}
    of = signature(entry.name, entry.schema) if isinstance(entry.schema, Function) else None
    return {**document, "type": of, "marks": [], "description": entry.description, "deprecation": entry.deprecation}
