"""A schema as a tree of named nodes: attributes, blocks, and what is inside of either."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ferrule.terraform.cty import DYNAMIC, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.schema.model import Attribute, Block, Function, IdentitySchema, NestedBlock, NestedType, Nesting

__all__ = ["Node", "nodes_of", "nodes_of_identity", "signature", "type_text", "walk"]

_TEXT_BY_NESTING = {
    Nesting.SINGLE: "object",
    Nesting.GROUP: "object",
    Nesting.LIST: "list(object)",
    Nesting.SET: "set(object)",
    Nesting.MAP: "map(object)",
}


@dataclass(frozen=True)
class Node:
    """One name in a schema.

    Attributes:
        name: The attribute's or the block's.
        type: The type in Terraform's notation, or the kind of block.
        marks: `required`, `optional`, `computed`, `sensitive`, `write-only`, `deprecated`, as far as they hold.
        description: The provider's text; may be empty.
        deprecation: What to use instead; may be empty.
        inside: The names inside, of nested attributes, objects and blocks.
    """

    name: str
    type: str
    marks: tuple[str, ...] = ()
    description: str = ""
    deprecation: str = ""
    inside: tuple["Node", ...] = ()


def nodes_of(block: Block) -> tuple[Node, ...]:
    """The nodes of a block: what must be set, what can be, what the provider computes, then the blocks inside."""
    return _attributes(block.attributes) + tuple(map(_block, block.block_types.values()))


def nodes_of_identity(identity: IdentitySchema) -> tuple[Node, ...]:
    """The nodes of an identity, whose marks say what an import needs."""
    return tuple(
        Node(
            each.name,
            type_text(each.type),
            ("required",) if each.required_for_import else ("optional",) if each.optional_for_import else (),
            each.description,
        )
        for each in identity.attributes.values()
    )


def walk(nodes: tuple[Node, ...], above: str = "") -> Iterator[tuple[str, Node]]:
    """All nodes, with the names that lead to each, joined with dots."""
    for node in nodes:
        path = f"{above}.{node.name}" if above else node.name
        yield path, node
        yield from walk(node.inside, path)


def signature(name: str, function: Function) -> str:
    """A function's name, parameters and result."""
    parameters = [f"{each.name} {type_text(each.type)}" for each in function.parameters]
    if variadic := function.variadic_parameter:
        parameters.append(f"{variadic.name} {type_text(variadic.type)}...")
    return f"{name}({', '.join(parameters)}) -> {type_text(function.return_type)}"


def type_text(of: Type) -> str:
    """The type as Terraform's language writes it.

    Example:
        >>> type_text(Type.from_json('["map",["object",{"a":"number"}]]'))
        'map(object({a = number}))'
    """
    match of:
        case List() | Set() | Map():
            return f"{type(of).__name__.lower()}({type_text(of.element)})"
        case Tuple():
            return f"tuple([{', '.join(map(type_text, of.elements))}])"
        case Object():
            return f"object({{{', '.join(f'{name} = {type_text(each)}' for name, each in of.attributes.items())}}})"
    return "any" if of == DYNAMIC else of.name


def _attributes(attributes: Mapping[str, Attribute]) -> tuple[Node, ...]:
    order = {"required": 0, "optional": 1, "computed": 2}
    nodes = [_attribute(each) for each in attributes.values()]
    return tuple(sorted(nodes, key=lambda node: min((order.get(mark, 3) for mark in node.marks), default=3)))


def _attribute(attribute: Attribute) -> Node:
    if attribute.nested_type is not None:
        text, inside = _nested(attribute.nested_type)
    else:
        text, inside = _typed(attribute.type or DYNAMIC)
    names = ("required", "optional", "computed", "sensitive", "write_only", "deprecated")
    marks = tuple(name.replace("_", "-") for name in names if getattr(attribute, name))
    return Node(attribute.name, text, marks, attribute.description, attribute.deprecation_message, inside)


def _nested(nested: NestedType) -> tuple[str, tuple[Node, ...]]:
    return _TEXT_BY_NESTING[nested.nesting], _attributes(nested.attributes)


def _typed(of: Type) -> tuple[str, tuple[Node, ...]]:
    """The type's text, and the attributes of the object at its core, which the text then leaves out."""
    if isinstance(of, List | Set | Map):
        text, inside = _typed(of.element)
        return f"{type(of).__name__.lower()}({text})", inside
    if not isinstance(of, Object):
        return type_text(of), ()
    nodes = []
    for name, each in of.attributes.items():
        text, below = _typed(each)
        nodes.append(Node(name, text, ("optional",) if name in of.optional else (), inside=below))
    return "object", tuple(nodes)


def _block(nested: NestedBlock) -> Node:
    kind = "block" if nested.nesting in {Nesting.SINGLE, Nesting.GROUP} else f"{nested.nesting.value} of blocks"
    block = nested.block
    marks = (*_counts(nested), *(("deprecated",) if block.deprecated else ()))
    return Node(nested.name, kind, marks, block.description, block.deprecation_message, nodes_of(block))


def _counts(nested: NestedBlock) -> tuple[str, ...]:
    low, high = nested.min_items, nested.max_items
    if nested.nesting in {Nesting.SINGLE, Nesting.GROUP}:
        return ("required",) if low else ()
    if not low and not high:
        return ()
    if low == high:
        return (f"exactly {low}",)
    return (f"at least {low}" if not high else f"at most {high}" if not low else f"{low} to {high}",)
