"""What a notebook shows of a provider's schema: a tree to open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from ferrule._html import Html, disclosure, element, joined
from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.schema.lazy import LazyMapping
from ferrule.terraform.schema.model import Function, Schema
from ferrule.terraform.schema.outline import Node, nodes_of, signature

__all__ = ["provider_html"]

DETAILED_TYPES: Final = 40
"""Types of one kind up to which the attributes of each are in the tree: thousands of them take megabytes."""

COLOUR_BY_MARK: Final = {"required": "#b26a00", "sensitive": "#c62828", "deprecated": "#c62828"}


def provider_html(configuration: Callable[[], Schema], kinds: Sequence[LazyMapping[Any]]) -> Html:
    """A tree of what a provider has.

    Args:
        configuration: The schema of the provider's own configuration.
        kinds: The provider's types, kind by kind; a kind without any is left out.
    """
    parts = [_type("configuration", configuration)]
    parts += [disclosure(f"{kind.kind}s ({len(kind):,})", *_types(kind)) for kind in kinds if kind]
    return element("div", element("b", "ProviderSchema"), *parts)


def _types(kind: LazyMapping[Any]) -> Iterable[Html]:
    if len(kind) > DETAILED_TYPES:
        return [element("div", element("code", name)) for name in kind]
    return [_type(name, partial(kind.__getitem__, name)) for name in kind]


def _type(name: str, decode: Callable[[], Schema | Function]) -> Html:
    """A type to open; where its schema is broken, what is wrong is inside."""
    try:
        found = decode()
    except InvalidResponseError as error:
        return disclosure(element("code", name), error.message)
    if isinstance(found, Function):
        return element("div", element("code", signature(name, found)))
    return disclosure(element("code", name), *map(_node, nodes_of(found.block)))


def _node(node: Node) -> Html:
    marks = [
        element("span", f" {mark}", style=f"color: {COLOUR_BY_MARK[mark]}" if mark in COLOUR_BY_MARK else "")
        for mark in node.marks
    ]
    head = joined([element("code", node.name), f" {node.type}", *marks])
    below = [element("div", text, style="opacity: 0.7") for text in (node.description, node.deprecation) if text]
    inside = [*below, *map(_node, node.inside)]
    return disclosure(head, *inside) if inside else element("div", head)
