"""The tree of what differs between two values of a schema.

Lists are compared by a longest common subsequence, tuples by position, sets by membership, maps by key, text that is
JSON as JSON. An attribute that is null on both sides does not count. The conventions are those of OpenTofu's own diffs
(v1.12.6, internal/command/jsonformat/differ), which has nested attributes and blocks in lists by position, however.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ferrule.terraform.cty import DYNAMIC, List, Map, Object, Path, Set, Tuple, Type
from ferrule.terraform.cty import Attribute as AttributeStep
from ferrule.terraform.diff.sequences import common_pairs
from ferrule.terraform.diff.values import ABSENT, WRITE_ONLY, block_of, equality, has_lines, parsed_json
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, Nesting

__all__ = ["Difference", "Kind", "Style", "Unchanged", "compare"]


class Kind(Enum):
    """What becomes of a value; the text is the mark of its line."""

    SAME = " "
    ADD = "+"
    REMOVE = "-"
    CHANGE = "~"
    REPLACE = "-/+"
    READ = "<="


class Style(Enum):
    """How a value is written: on one line, or between brackets, with its members on lines of their own."""

    LEAF = ""
    OBJECT = "{}"
    LIST = "[]"
    LINES = "()"
    JSON = "json.dumps()"


class Naming(Enum):
    """What stands before a value: `name = `, `'key': `, `block `, or nothing."""

    ATTRIBUTE = "attribute"
    KEY = "key"
    BLOCK = "block"
    ELEMENT = "element"


@dataclass(frozen=True)
class Unchanged:
    """Members of a value that do not differ."""

    count: int
    what: str


@dataclass
class Difference:
    """One value on both sides; `ABSENT` where a side has none.

    Attributes:
        path: The place, in `after` where it is there; the elements of a set have the path of the set.
        members: What differs inside; empty for a leaf.
        forces_replacement: The provider cannot change it in place.
    """

    kind: Kind
    path: Path
    before: Any
    after: Any
    style: Style = Style.LEAF
    members: "list[Difference | Unchanged]" = field(default_factory=list)
    name: str = ""
    naming: Naming = Naming.ELEMENT
    before_path: Path = ()
    forces_replacement: bool = False

    def differing(self) -> "Iterator[Difference]":
        return (each for each in self.members if isinstance(each, Difference))


class Inside(Enum):
    """What is inside of a text, and has no type."""

    LINES = "lines"
    JSON = "json"


Shape = Block | Type | Inside
"""What tells how to compare: a block, also for the objects of a nested attribute, a type, or the kind of a text."""


def compare(block: Block, before: Any, after: Any) -> Difference:
    """The tree of what differs between two values of a block; None is absent."""
    if before is None and after is None:
        return Difference(Kind.SAME, (), ABSENT, ABSENT)
    return _compared(block, _present(before), _present(after), ())


def _present(value: Any) -> Any:
    return ABSENT if value is None else value


def _kind(before: Any, after: Any) -> Kind:
    if before is ABSENT:
        return Kind.ADD
    return Kind.REMOVE if after is ABSENT else Kind.CHANGE


def _compared(shape: Shape, before: Any, after: Any, path: Path) -> Difference:
    """At least one side is there."""
    sides = [each for each in (before, after) if each is not ABSENT]
    if all(isinstance(each, dict) for each in sides) and any(sides):
        return _object(shape, before, after, path)
    if all(isinstance(each, list) for each in sides) and any(sides):
        # What is dynamic, without a type, is a tuple.
        by_position = (shape is DYNAMIC or isinstance(shape, Tuple)) and len({*map(len, sides)}) == 1
        members = _of_tuple if by_position else _of_set if isinstance(shape, Set) else _of_list
        return _made(Style.LIST, members(_element(shape), before, after, path), before, after, path)
    if all(isinstance(each, str) for each in sides) and not isinstance(shape, Inside):
        return _text(before, after, path)
    return _leaf(before, after, path)


def _leaf(before: Any, after: Any, path: Path) -> Difference:
    same = before is not ABSENT and after is not ABSENT and equality(before) == equality(after)
    return Difference(Kind.SAME if same else _kind(before, after), path, before, after)


def _made(style: Style, members: "Iterable[Difference | Unchanged]", before: Any, after: Any, path: Path) -> Difference:
    found = list(members)
    same = all(isinstance(each, Unchanged) or each.kind is Kind.SAME for each in found)
    both = before is not ABSENT and after is not ABSENT
    return Difference(Kind.SAME if same and both else _kind(before, after), path, before, after, style, found)


def _element(shape: Shape) -> Shape:
    if isinstance(shape, Inside | Tuple):
        return shape
    return shape.element if isinstance(shape, List | Set | Map) else DYNAMIC


def _object(shape: Shape, before: Any, after: Any, path: Path) -> Difference:
    old, new = ({} if each is ABSENT else each for each in (before, after))
    members: Iterable[Difference | Unchanged]
    match shape:
        case Block():
            attributes = _attributes(shape.attributes, old, new, path, _kind(before, after))
            members = [*attributes, *_blocks(shape.block_types, old, new, path)]
        case Object():
            members = _attributes(shape.attributes, old, new, path, _kind(before, after))
        case _:
            members = _entries(_element(shape), old, new, path)
    return _made(Style.OBJECT, members, before, after, path)


def _attributes(
    shapes: Mapping[str, Attribute] | Mapping[str, Type], before: Any, after: Any, path: Path, whole: Kind
) -> "Iterator[Difference | Unchanged]":
    unchanged = 0
    kept: list[Difference] = []
    for name in sorted(shapes):
        old, new = _present(before.get(name)), _present(after.get(name))
        if old is ABSENT and new is ABSENT:
            continue
        found = _attribute(shapes[name], old, new, (*path, AttributeStep(name)))
        if new is WRITE_ONLY and whole is Kind.ADD:
            found.kind = Kind.ADD
        found.name, found.naming = name, Naming.ATTRIBUTE
        if found.kind is not Kind.SAME or new is WRITE_ONLY:
            kept.append(found)
        else:
            unchanged += 1
    yield from kept
    if unchanged:
        yield Unchanged(unchanged, "attribute")


def _attribute(of: Attribute | Type, before: Any, after: Any, path: Path) -> Difference:
    if after is WRITE_ONLY:
        return Difference(Kind.SAME, path, before, after)
    if isinstance(of, Attribute):
        if of.nested_type is not None:
            return _nested(of.nested_type.nesting, block_of(of.nested_type), before, after, path)
        return _compared(of.type or DYNAMIC, before, after, path)
    return _compared(of, before, after, path)


def _nested(nesting: Nesting, block: Block, before: Any, after: Any, path: Path) -> Difference:
    sides = [each for each in (before, after) if each is not ABSENT]
    if nesting in {Nesting.SINGLE, Nesting.GROUP} or not any(sides):
        return _compared(block, before, after, path)
    if nesting is Nesting.MAP and all(isinstance(each, dict) for each in sides):
        old, new = ({} if each is ABSENT else each for each in (before, after))
        return _made(Style.OBJECT, _entries(block, old, new, path), before, after, path)
    if nesting is not Nesting.MAP and all(isinstance(each, list) for each in sides):
        members = _of_set if nesting is Nesting.SET else _of_list
        return _made(Style.LIST, members(block, before, after, path), before, after, path)
    return _leaf(before, after, path)


def _entries(shape: Shape, before: Any, after: Any, path: Path) -> "Iterator[Difference | Unchanged]":
    unchanged = 0
    for key in sorted(before.keys() | after.keys()):
        found = _compared(shape, before.get(key, ABSENT), after.get(key, ABSENT), (*path, key))
        found.name, found.naming = key, Naming.KEY
        if found.kind is Kind.SAME:
            unchanged += 1
        else:
            yield found
    if unchanged:
        yield Unchanged(unchanged, "element")


def _of_set(shape: Shape, before: Any, after: Any, path: Path) -> "Iterator[Difference | Unchanged]":
    old, new = ([] if each is ABSENT else each for each in (before, after))
    old_keys, new_keys = ({equality(each) for each in side} for side in (old, new))
    yield from (_compared(shape, each, ABSENT, path) for each in old if equality(each) not in new_keys)
    added = [each for each in new if equality(each) not in old_keys]
    yield from (_compared(shape, ABSENT, each, path) for each in added)
    if len(added) < len(new):
        yield Unchanged(len(new) - len(added), "element")


def _of_tuple(shape: Shape, before: Any, after: Any, path: Path) -> "Iterator[Difference | Unchanged]":
    """By position, since each place has a meaning of its own; the sides that are there have the same length."""
    unchanged = 0
    for at in range(len(after if before is ABSENT else before)):
        old, new = (side if side is ABSENT else side[at] for side in (before, after))
        found = _compared(shape.elements[at] if isinstance(shape, Tuple) else shape, old, new, (*path, at))
        unchanged += found.kind is Kind.SAME
        if found.kind is not Kind.SAME:
            yield found
    if unchanged:
        yield Unchanged(unchanged, "element")


def _of_list(shape: Shape, before: Any, after: Any, path: Path) -> "Iterator[Difference | Unchanged]":
    old, new = ([] if each is ABSENT else each for each in (before, after))
    unchanged = 0
    at_old = at_new = 0
    common = common_pairs(list(map(equality, old)), list(map(equality, new)))
    for i, j in [*common, (len(old), len(new))]:
        if unchanged and (i > at_old or j > at_new):
            yield Unchanged(unchanged, "element")
            unchanged = 0
        yield from _gap(shape, (old, range(at_old, i)), (new, range(at_new, j)), path)
        unchanged += i < len(old)
        at_old, at_new = i + 1, j + 1
    if unchanged:
        yield Unchanged(unchanged, "element")


Part = tuple[Sequence[Any], range]


def _gap(shape: Shape, before: Part, after: Part, path: Path) -> Iterator[Difference]:
    """The elements between two that are common: structures change into each other, in order, all others come and go."""
    (old, olds), (new, news) = before, after
    pairs = 0
    while pairs < min(len(olds), len(news)) and _may_become(shape, old[olds[pairs]], new[news[pairs]]):
        i, j = olds[pairs], news[pairs]
        found = _compared(shape, old[i], new[j], (*path, j))
        found.before_path = (*path, i)
        yield found
        pairs += 1
    for i in olds[pairs:]:
        yield _compared(shape, old[i], ABSENT, (*path, i))
    for j in news[pairs:]:
        yield _compared(shape, ABSENT, new[j], (*path, j))


def _may_become(shape: Shape, before: Any, after: Any) -> bool:
    if isinstance(before, str) and isinstance(after, str):
        return not isinstance(shape, Inside) and has_lines(before) and has_lines(after)
    return isinstance(before, dict) and isinstance(after, dict)


def _blocks(
    nested: Mapping[str, NestedBlock], before: Any, after: Any, path: Path
) -> "Iterator[Difference | Unchanged]":
    unchanged = 0
    for name in sorted(nested):
        old, new = _present(before.get(name)), _present(after.get(name))
        if old is ABSENT and new is ABSENT:
            continue
        whole = _nested(nested[name].nesting, nested[name].block, old, new, (*path, AttributeStep(name)))
        for found in _each_block(nested[name].nesting, whole):
            if isinstance(found, Unchanged):
                unchanged += found.count
                continue
            found.name, found.naming = (f"{name} {found.name!r}" if found.naming is Naming.KEY else name), Naming.BLOCK
            yield found
    if unchanged:
        yield Unchanged(unchanged, "block")


def _each_block(nesting: Nesting, whole: Difference) -> "Iterable[Difference | Unchanged]":
    sides = [each for each in (whole.before, whole.after) if each is not ABSENT]
    # A group is there always, with nulls if nothing is set; lists, sets and maps of blocks are there always as well.
    is_nothing = _is_unset if nesting is Nesting.GROUP else _has_no_block
    if nesting is not Nesting.SINGLE and all(map(is_nothing, sides)):
        return []
    if nesting not in {Nesting.SINGLE, Nesting.GROUP} and whole.style is not Style.LEAF:
        return whole.members
    return [Unchanged(1, "block")] if whole.kind is Kind.SAME else [whole]


def _has_no_block(value: Any) -> bool:
    return isinstance(value, dict | list) and not value


def _is_unset(value: Any) -> bool:
    """Whether nothing is set in a group."""
    if isinstance(value, dict):
        return all(map(_is_unset, value.values()))
    return value is None or _has_no_block(value)


def _text(before: Any, after: Any, path: Path) -> Difference:
    sides = [each for each in (before, after) if each is not ABSENT]
    parsed = [parsed_json(each) for each in sides]
    if None not in parsed:
        old, new = ABSENT if before is ABSENT else parsed[0], ABSENT if after is ABSENT else parsed[-1]
        inner = _compared(Inside.JSON, old, new, path)
        same = inner.kind is Kind.SAME and before == after
        # Text that differs in form alone has no members: a leaf says so.
        members: list[Difference | Unchanged] = [] if inner.kind is Kind.SAME else [inner]
        return Difference(Kind.SAME if same else _kind(before, after), path, before, after, Style.JSON, members)
    if all(map(has_lines, sides)):
        # A line end at the end begins no line, unless one side alone has it.
        end = "\n" if all(each.endswith("\n") for each in sides) else ""
        old, new = (each if each is ABSENT else each.removesuffix(end).split("\n") for each in (before, after))
        lines = (
            Unchanged(each.count, "line") if isinstance(each, Unchanged) else each
            for each in _of_list(Inside.LINES, old, new, path)
        )
        return _made(Style.LINES, lines, before, after, path)
    return _leaf(before, after, path)
