"""TypedDicts of a type's configuration, so that mypy checks a configuration and an editor completes it."""

import keyword
from collections.abc import Iterator, Mapping
from typing import Final

from ferrule._console.terminal import indented
from ferrule.terraform.cli.catalogue import Entry
from ferrule.terraform.cty import BOOL, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting, Schema

__all__ = ["stubs"]

_PRIMITIVE: Final = {STRING: "str", NUMBER: "float | Decimal", BOOL: "bool"}
_TYPES: Final = {"Any", "Decimal", "NotRequired", "bool", "dict", "float", "list", "set", "str"}
_SUFFIX_BY_KIND: Final = {"resource": "", "data source": "Data", "configuration": "Configuration"}
LINE_LENGTH: Final = 100


def stubs(entries: list[Entry], source: str) -> str:
    """A module of Python with a TypedDict for each of these types, and for each block and object inside.

    Attributes that the provider alone sets are left out. A value that may be absent may be None as well.
    """
    writer = _Writer()
    for entry in entries:
        if isinstance(entry.schema, Schema):
            writer.block(_class_name(entry), entry.schema.block, _text_of(entry))
    body = "\n\n\n".join(writer.classes)
    head = f'"""Configurations for {source}, as `ferrule schema --stubs` writes them."""\n\n'
    imports = [
        "from decimal import Decimal\n" if "Decimal" in body else "",
        f"from typing import {', '.join(name for name in ('Any', 'NotRequired', 'TypedDict') if name in body)}\n",
    ]
    return head + "".join(imports) + "\n\n" + body + "\n"


def _text_of(entry: Entry) -> str:
    what = f"the {entry.kind.name} {entry.name}" if entry.kind.name != "configuration" else "the provider itself"
    return f"Configuration of {what}."


def _class_name(entry: Entry) -> str:
    return _camel(entry.name) + _SUFFIX_BY_KIND.get(entry.kind.name, entry.kind.name.split()[0].title())


def _camel(name: str) -> str:
    words = "".join(char if char.isalnum() else " " for char in name).split()
    camel = "".join(word[0].upper() + word[1:] for word in words)
    return camel if camel[:1].isalpha() else f"Type{camel}"


class _Writer:
    """Classes in the order in which Python needs them: those inside first."""

    def __init__(self) -> None:
        self.classes: list[str] = []
        self._names: set[str] = set()

    def block(self, name: str, block: Block, text: str) -> str:
        name = self._free(name)
        fields = dict(self._attributes(name, block.attributes))
        for nested in block.block_types.values():
            fields[nested.name] = self._nested_block(name, nested)
        return self._class(name, fields, text)

    def _attributes(self, owner: str, attributes: Mapping[str, Attribute]) -> Iterator[tuple[str, tuple[str, str]]]:
        for each in attributes.values():
            if each.required or each.optional:
                of = self._attribute_type(owner + _camel(each.name), each)
                yield each.name, (of if each.required else f"NotRequired[{_nullable(of)}]", each.description)

    def _attribute_type(self, name: str, attribute: Attribute) -> str:
        if nested := attribute.nested_type:
            return _in_collection(nested.nesting, self._nested_type(name, nested))
        return self._type(name, attribute.type) if attribute.type else "Any"

    def _nested_type(self, name: str, nested: NestedType) -> str:
        name = self._free(name)
        return self._class(name, dict(self._attributes(name, nested.attributes)))

    def _nested_block(self, owner: str, nested: NestedBlock) -> tuple[str, str]:
        inside = self.block(owner + _camel(nested.name), nested.block, nested.block.description)
        of = _in_collection(nested.nesting, inside)
        return (of if nested.min_items else f"NotRequired[{_nullable(of)}]", "")

    def _type(self, name: str, of: Type) -> str:
        match of:
            case List():
                return f"list[{self._type(name, of.element)}]"
            case Set():
                element = self._type(name, of.element)
                return f"list[{element}] | set[{element}]" if of.element in _PRIMITIVE else f"list[{element}]"
            case Map():
                return f"dict[str, {self._type(name, of.element)}]"
            case Tuple():
                return "list[Any]"
            case Object():
                name = self._free(name)
                return self._class(name, dict(self._object_fields(name, of)))
        return _PRIMITIVE.get(of, "Any")

    def _object_fields(self, name: str, of: Object) -> Iterator[tuple[str, tuple[str, str]]]:
        for key, each in of.attributes.items():
            text = _nullable(self._type(name + _camel(key), each))
            yield key, (f"NotRequired[{text}]" if key in of.optional else text, "")

    def _class(self, name: str, fields: Mapping[str, tuple[str, str]], text: str = "") -> str:
        self.classes.append(_class_text(name, fields, text))
        return name

    def _free(self, name: str) -> str:
        """The name, or with a number if another class has it."""
        free, number = name, 2
        while free in self._names:
            free, number = f"{name}{number}", number + 1
        self._names.add(free)
        return free


def _nullable(of: str) -> str:
    return of if of == "Any" else f"{of} | None"


def _in_collection(nesting: Nesting, inside: str) -> str:
    if nesting in {Nesting.LIST, Nesting.SET}:
        return f"list[{inside}]"
    return f"dict[str, {inside}]" if nesting is Nesting.MAP else inside


def _class_text(name: str, fields: Mapping[str, tuple[str, str]], text: str) -> str:
    if not all(map(_is_field, fields)):
        items = "".join(f"    {key!r}: {of},\n".replace("'", '"') for key, (of, _) in fields.items())
        return f'{name} = TypedDict("{name}", {{\n{items}}})'
    lines = [f"class {name}(TypedDict):"]
    if text:
        lines += [*_docstring(text), ""]
    for key, (of, description) in fields.items():
        lines.append(f"    {key}: {of}")
        lines += _docstring(description) if description else []
    return "\n".join(lines if fields else [*lines, "    pass"])


def _is_field(name: str) -> bool:
    """The name can be written in the body of a class: it hides no type, and Python leaves it as it is."""
    return name.isidentifier() and not (keyword.iskeyword(name) or name.startswith("__") or name in _TYPES)


def _docstring(text: str) -> list[str]:
    """The first paragraph: the provider's documentation has the rest."""
    line = " ".join(text.strip().split("\n\n")[0].split())
    clean = "".join(char if char.isprintable() else " " for char in line).replace("\\", "\\\\").replace('"', '\\"')
    return indented(f'"""{clean}"""', LINE_LENGTH, "    ") if clean else []
