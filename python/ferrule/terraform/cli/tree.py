"""Schemas as readable text: an overview of a provider, one type as a tree, the places that a search has found."""

from collections.abc import Iterable, Iterator

from ferrule._console.terminal import Style, indented
from ferrule.terraform.cli.catalogue import KINDS, PROVIDER, Entry, Match, entries, find
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.model import Function
from ferrule.terraform.schema.outline import Node, signature

__all__ = ["match_lines", "overview", "search_lines"]

STEP = "    "
"""How far what belongs to a line is indented below it."""
MAX_COLUMN = 44
"""Characters to which names and types are aligned; a longer one pushes the rest of its line to the right."""
COLOUR_BY_MARK = {"required": "yellow", "deprecated": "red"}


def overview(schema: ProviderSchema, style: Style) -> Iterator[str]:
    """The provider's own configuration, and the names of all that the provider has."""
    yield from match_lines(find(schema, PROVIDER)[0], style)
    for kind in KINDS:
        if kind.name != "identity" and (found := entries(schema, kind)):
            yield ""
            yield style(f"{kind.plural} ({len(found)})", "bold")
            for entry in found:
                yield "  " + _name_or_signature(entry)


def match_lines(match: Match, style: Style) -> Iterator[str]:
    """One type, or one place of it, with all that is inside."""
    if match.node is not None:
        place = match.path.rpartition(".")[0]
        where = f"{match.entry.kind.name} {match.entry.name}{'.' if place else ''}{place}"
        yield style(where, "bold")
        yield from _tree([match.node], style, "  ")
        return
    entry = match.entry
    yield style(entry.title, "bold")
    if entry.deprecation:
        yield from (style(line, "red") for line in indented(f"deprecated: {entry.deprecation}", style.width, "  "))
    yield from (style(line, "dim") for line in indented(entry.description, style.width, "  "))
    if isinstance(entry.schema, Function):
        yield from _parameters(entry.schema, style)
    else:
        yield from _tree(entry.nodes, style, "  ")


def search_lines(matches: Iterable[Match], style: Style) -> Iterator[str]:
    """One line for each place, and the description of what stands there."""
    for match in matches:
        node = match.node
        place = f"{match.entry.name}.{match.path}" if node else _name_or_signature(match.entry)
        facts = f"  {style(node.type, 'cyan')}  {_marks(node, style)}" if node else ""
        yield f"{style(match.entry.kind.name, 'dim')} {style(place, 'bold')}{facts}".rstrip()
        description = node.description if node else match.entry.description
        yield from (style(line, "dim") for line in indented(description, style.width, STEP))


def _name_or_signature(entry: Entry) -> str:
    return signature(entry.name, entry.schema) if isinstance(entry.schema, Function) else entry.name


def _parameters(function: Function, style: Style) -> Iterator[str]:
    parameters = [*function.parameters, *filter(None, [function.variadic_parameter])]
    for each in parameters:
        if each.description:
            yield f"  {style(each.name, 'bold')}"
            yield from (style(line, "dim") for line in indented(each.description, style.width, "  " + STEP))


def _tree(nodes: Iterable[Node], style: Style, indent: str) -> Iterator[str]:
    nodes = list(nodes)
    name_width = min(max((len(node.name) for node in nodes), default=0), MAX_COLUMN)
    type_width = min(max((len(node.type) for node in nodes), default=0), MAX_COLUMN)
    for node in nodes:
        padding = " " * max(0, name_width - len(node.name))
        gap = " " * max(0, type_width - len(node.type))
        head = f"{indent}{style(node.name, 'bold')}{padding}  {style(node.type, 'cyan')}"
        yield f"{head}{gap}  {_marks(node, style)}" if node.marks else head
        below = indent + STEP
        yield from (style(line, "dim") for line in indented(node.description, style.width, below))
        if node.deprecation:
            yield from (style(line, "red") for line in indented(f"deprecated: {node.deprecation}", style.width, below))
        yield from _tree(node.inside, style, below)


def _marks(node: Node, style: Style) -> str:
    return ", ".join(style(mark, *filter(None, [COLOUR_BY_MARK.get(mark)])) for mark in node.marks)
