"""From a configuration to a value of a block's implied type.

A configuration is what Terraform's JSON syntax has for the body of a block: attributes by name, blocks as dicts, lists
of dicts, or, for a map of blocks, dicts by key.

Facts: OpenTofu v1.12.6, internal/configs/configschema/coerce_value.go and decoder_spec.go; hcl v2.24, hcldec/spec.go.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ferrule.terraform.core.blocks import closed, empty_blocks, opened
from ferrule.terraform.core.conversion import absent, conversion, conversion_problems
from ferrule.terraform.core.sameness import is_null
from ferrule.terraform.core.types import implied_type, is_dynamic
from ferrule.terraform.cty import UNKNOWN, Attribute, CtyError, Path, Typed, Unknown
from ferrule.terraform.cty.forms import sorted_items, text_keys
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.strings import are_ascii_keys, json_text
from ferrule.terraform.errors import ConfigurationError, Problem
from ferrule.terraform.schema.model import Attribute as SchemaAttribute
from ferrule.terraform.schema.model import Block, NestedBlock, NestedType, Nesting
from ferrule.terraform.schema.nearest import nearest

__all__ = ["coerce"]


def coerce(block: Block, config: Any) -> Any:
    """The value that a configuration becomes, by the conversions of Terraform's language.

    Absent attributes are null, absent blocks empty; None is absent, and so is `[]` for a block. A list, set or single
    block may be given as one dict or as a list of dicts; an UNKNOWN in place of blocks says that their number is not
    known. Values for attributes that are only computed are left to the provider's validation, as Terraform does.

    Args:
        block: The schema.
        config: The configuration; None for no object, UNKNOWN for one that is not known.

    Returns:
        A value of the type `implied_type(block)`.

    Raises:
        ConfigurationError: With all that is wrong. Values of sensitive and write-only attributes are not in it.

    Example:
        >>> from ferrule.terraform.cty import NUMBER, STRING
        >>> from ferrule.terraform.schema.model import Attribute, Block, NestedBlock
        >>> port = Attribute("port", NUMBER, required=True)
        >>> rule = NestedBlock("rule", Block({"port": port}), Nesting.LIST)
        >>> server = Block({"name": Attribute("name", STRING, optional=True)}, {"rule": rule})
        >>> coerce(server, {"rule": [{"port": "80"}, {"port": 443}]})
        {'name': None, 'rule': [{'port': 80}, {'port': 443}]}
        >>> try:
        ...     coerce(server, {"rule": [{"prt": 80}]})
        ... except ConfigurationError as error:
        ...     for problem in error.problems:
        ...         print(problem)
        rule[0]: unexpected attribute "prt" (did you mean port?)
        rule[0]: the attribute "port" is required
    """
    problems: list[Problem] = []
    try:
        value = _Coercion(problems).block(block, config, ())
    except RecursionError:
        problems.append(Problem((), "the configuration has more levels than there is room for"))
    if problems:
        raise ConfigurationError("the configuration does not fit the schema", problems)
    return value


@dataclass(frozen=True)
class _Coercion:
    """One run, with what it has found wrong. After a problem it goes on, and what it gives is of no use."""

    problems: list[Problem]

    def block(self, block: Block, given: Any, path: Path) -> Any:
        if isinstance(given, Typed):
            given = given.value
        if given is None:
            return None
        if isinstance(given, Unknown):
            return UNKNOWN
        if type(given) is not dict and not isinstance(given, Mapping):
            return self._refuse(path, f"expected an object, got {_kind(given)}")
        if not are_ascii_keys(given):
            try:
                given = dict(zip(text_keys(given), given.values(), strict=True))
            except CtyError as error:
                return self._refuse(path, error.problem)
        body = block.memo.get("body") or _body(block)
        if not given.keys() <= body.names:
            self._unexpected(given, body.names, path)
        values = self._attributes(body, given, path)
        for step, nested in body.blocks:
            values[nested.name] = self._blocks(nested, given.get(step), (*path, step))
        return values

    def _unexpected(self, given: Iterable[str], names: Collection[str], path: Path) -> None:
        for name in given:
            if name not in names:
                near = nearest(name, names)
                self._refuse(path, f"unexpected attribute {json_text(name)}", near and f"did you mean {near}?")

    def _attributes(self, body: "_Body", given: Mapping[str, Any], path: Path) -> dict[str, Any]:
        values: dict[str, Any] = dict.fromkeys(body.attributes)
        for name, value in given.items():
            if value is None or name not in body.attributes:
                continue
            attribute, converted = body.attributes[name]
            try:
                values[name] = converted(value)
            except CtyError:
                self.problems.extend(conversion_problems(attribute, value, (*path, Attribute(name))))
            else:
                if attribute.nested_type is not None:
                    self._require_inside(attribute.nested_type, values[name], (*path, Attribute(name)))
        for name in body.required:
            # What could not be converted is there, and said to be wrong already.
            if is_null(values[name]) and is_null(given.get(name)):
                self._refuse(path, f"the attribute {json_text(name)} is required")
        return values

    def _require_inside(self, nested: NestedType, value: Any, path: Path) -> None:
        for *outer, name in absent(nested, value):
            self._refuse((*path, *outer), f"the attribute {json_text(str(name))} is required")

    def _blocks(self, nested: NestedBlock, given: Any, path: Path) -> Any:
        if isinstance(given, Typed):
            given = _without_type(nested, given)
        if isinstance(given, Unknown):
            return UNKNOWN
        if nested.nesting is Nesting.MAP:
            return self._map(nested, given, path)
        blocks = [] if given is None else [given] if isinstance(given, Mapping) else given
        if not isinstance(blocks, list | tuple):
            return self._refuse(path, f"expected {_WANTED[nested.nesting]}, got {_kind(given)}")
        if any(isinstance(each, Unknown) for each in blocks):
            # As Terraform has it of blocks over an unknown collection: not even their number is known.
            return UNKNOWN
        single = nested.nesting in {Nesting.SINGLE, Nesting.GROUP}
        self._count(len(blocks), nested.min_items, 1 if single else nested.max_items, path)
        if single:
            return self._single(nested, blocks[0], path) if blocks else empty_blocks(nested)
        values = [self._single(nested, each, (*path, step)) for step, each in enumerate(blocks)]
        return self._whole(nested, values)

    def _map(self, nested: NestedBlock, given: Any, path: Path) -> Any:
        if _is_absent(given):
            return {}
        if not isinstance(given, Mapping):
            return self._refuse(path, f"expected {_WANTED[Nesting.MAP]}, got {_kind(given)}")
        try:
            items = [(key, each) for key, each in sorted_items(given) if not _is_absent(each)]
        except CtyError as error:
            return self._refuse(path, error.problem)
        if any(isinstance(each, Unknown) for _, each in items):
            return UNKNOWN
        return self._whole(nested, {key: self._of_key(nested, each, (*path, key)) for key, each in items})

    def _of_key(self, nested: NestedBlock, given: Any, path: Path) -> Any:
        if not isinstance(given, list | tuple):
            return self._single(nested, given, path)
        self._count(len(given), 1, 1, path)
        return self._single(nested, given[0], path)

    def _single(self, nested: NestedBlock, given: Any, path: Path) -> Any:
        if given is None:
            return self._refuse(path, "expected an object, got null")
        return self.block(nested.block, given, path)

    def _whole(self, nested: NestedBlock, values: Any) -> Any:
        if self.problems:
            return values
        return arranged(values, implied_type(nested.block)) if nested.nesting is Nesting.SET else closed(nested, values)

    def _count(self, count: int, least: int, most: int, path: Path) -> None:
        if count < least:
            self._refuse(path, f"at least {least} {'block is' if least == 1 else 'blocks are'} required, got {count}")
        elif most and count > most:
            self._refuse(path, f"at most {most} {'block is' if most == 1 else 'blocks are'} possible, got {count}")

    def _refuse(self, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(path, message, hint))


def _is_absent(given: Any) -> bool:
    return given is None or (isinstance(given, list | tuple) and not given)


def _without_type(nested: NestedBlock, given: Typed) -> Any:
    """Blocks that bring a type, as a value of a dynamic type does: what is inside keeps its part of the type."""
    try:
        return opened(nested, given) if is_dynamic(nested) else given.value
    except CtyError:
        return given.value


@dataclass(frozen=True)
class _Body:
    """What there may be in a block, made once for it."""

    names: Set[str]
    attributes: dict[str, tuple[SchemaAttribute, Callable[[Any], Any]]]
    required: list[str]
    blocks: list[tuple[Attribute, NestedBlock]]


def _body(block: Block) -> _Body:
    attributes = {name: (each, conversion(each)) for name, each in sorted(block.attributes.items())}
    block.memo["body"] = body = _Body(
        implied_type(block).attributes.keys(),
        attributes,
        [name for name, (each, _) in attributes.items() if each.required],
        [(Attribute(name), each) for name, each in sorted(block.block_types.items())],
    )
    return body


_WANTED = {
    Nesting.SINGLE: "a block: an object",
    Nesting.GROUP: "a block: an object",
    Nesting.LIST: "blocks: a list of objects",
    Nesting.SET: "blocks: a list of objects",
    Nesting.MAP: "blocks: an object of objects by key",
}


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a bool",
    str: "text",
    int: "a number",
    float: "a number",
    Decimal: "a number",
    list: "a list",
    tuple: "a list",
    dict: "an object",
}


def _kind(value: Any) -> str:
    """The kind of what is no block, without the value: secrets may be in its place."""
    return _KINDS.get(type(value), f"a value of Python's type {type(value).__name__}")
