"""The verb `schema`: what a provider has, as a readable tree or as JSON."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ferrule._console import EXIT_FAILED, EXIT_OK, write
from ferrule.terraform.cli.catalogue import KINDS, Match, find, search
from ferrule.terraform.cli.launching import launched
from ferrule.terraform.cli.outline import signature
from ferrule.terraform.cli.output import print_json, print_lines
from ferrule.terraform.cli.stubs import stubs
from ferrule.terraform.cli.terminal import Style
from ferrule.terraform.cli.tree import match_lines, overview, search_lines
from ferrule.terraform.schema.model import Function

__all__ = ["schema"]


async def schema(options: argparse.Namespace) -> int:
    """Shows a provider's schema, a part of it, the places that a word is found in, or stubs.

    Returns:
        The exit status: 1 if a search has found nothing.
    """
    async with launched(options) as provider:
        of = await provider.schema()
    if options.stubs:
        entries = [match.entry for match in find(of, options.stubs)]
        write(stubs(entries, Path(options.provider).name))
    elif options.search:
        matches = list(search(of, options.search, options.type or ""))
        _print_matches(matches, options, search_lines(matches, Style(sys.stdout)))
        return EXIT_OK if matches else EXIT_FAILED
    elif options.type:
        _show(of, options)
    elif options.json:
        write(of.to_json(address(options), options.core))
    else:
        print_lines(overview(of, Style(sys.stdout)))
    return EXIT_OK


def address(options: argparse.Namespace) -> str:
    """The provider's source address, under which `providers schema -json` has its schema."""
    if options.source_address:
        return str(options.source_address)
    name = Path(options.provider).name if Path(options.provider).exists() else options.provider
    # terraform-provider-random_v3.6.0_x5.exe
    return str(name).removeprefix("terraform-provider-").partition("_v")[0].removesuffix(".exe")


def _show(of: Any, options: argparse.Namespace) -> None:
    matches = find(of, options.type)
    if options.json and matches[0].node is None:
        print_json(_document_of(of, options))
        return
    style = Style(sys.stdout)
    lines = [line for match in matches for line in ("", *match_lines(match, style))]
    _print_matches(matches, options, lines[1:])


def _document_of(of: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The document of `providers schema -json` with one type alone."""
    document: dict[str, Any] = json.loads(of.to_json(address(options), options.core))
    for source, parts in document["provider_schemas"].items():
        reduced = {
            kind.key: {options.type: types[options.type]}
            for kind in KINDS
            if options.type in (types := parts.get(kind.key, {}))
        }
        document["provider_schemas"][source] = reduced or {"provider": parts["provider"]}
    return document


def _print_matches(matches: list[Match], options: argparse.Namespace, lines: Any) -> None:
    if options.json:
        print_json({"matches": [_match_json(match) for match in matches]})
    else:
        print_lines(lines)


def _match_json(match: Match) -> dict[str, Any]:
    entry, node = match.entry, match.node
    document = {"kind": entry.kind.name, "name": entry.name, "path": match.path}
    if node is not None:
        facts = {"type": node.type, "marks": list(node.marks)}
        return {**document, **facts, "description": node.description, "deprecation": node.deprecation}
    of = signature(entry.name, entry.schema) if isinstance(entry.schema, Function) else None
    return {**document, "type": of, "marks": [], "description": entry.description, "deprecation": entry.deprecation}
