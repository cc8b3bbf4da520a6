"""The text of a state file, of which only what changes is written anew.

Source of the format: OpenTofu v1.12.6, internal/states/statefile/version4.go.
"""

import json
import re
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from ferrule.terraform.cty.strings import json_text
from ferrule.terraform.errors import StateError
from ferrule.terraform.json_text import JSONTextError, NumberText, Written, elements, members
from ferrule.terraform.tfstate.address import Address, module_of

__all__ = ["Document", "Instance", "Resource", "canonical", "instance_order", "new_document"]

FORMAT: Final = "4"
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_ESCAPED_BY_GO: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
RESOURCE_KEYS: Final = ("module", "mode", "type", "name")
INSTANCE_LEVEL: Final = 4
RESOURCE_LEVEL: Final = 2
# Begin and end of what goes, and what comes in its place.
Edit = tuple[int, int, str]


class Instance:
    """One object of a resource: the current one of a key, or a deposed one."""

    def __init__(self, written: Written) -> None:
        self.written = written
        self.value: dict[str, Any] = written.value
        self.key = key_of(self.value)
        self.deposed = self.value.get("deposed") or None


def key_of(instance: Mapping[str, Any]) -> int | str | None:
    key = instance.get("index_key")
    return int(key) if isinstance(key, NumberText) and key.isdecimal() and len(key) < 19 else key


def members_of(source: str, written: Written, where: str) -> dict[str, Written]:
    """The members of an object that was parsed.

    Raises:
        StateError: A name comes twice, of which nobody knows which one counts.
    """
    try:
        return members(source, written.begin)
    except JSONTextError as error:
        line = source.count("\n", 0, error.at) + 1
        raise StateError(f"{where}: {error}, in line {line}") from None


class Resource:
    """One resource of the configuration, with all its instances."""

    def __init__(self, source: str, written: Written, where: str) -> None:
        self.written = written
        self.value: dict[str, Any] = written.value
        self._source = source
        self._where = where
        listed = self.value.get("instances")
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise StateError(f"{where} has no list of instances")
        for index, each in enumerate(listed):
            # As the tools: a number is one for them, too, if it is not whole.
            if not isinstance(each.get("index_key"), str | None):
                raise StateError(f"{where}.instances[{index}].index_key is neither a number nor text")
        self.module, self.mode, self.type, self.name = (self._text(name) for name in RESOURCE_KEYS)

    def _text(self, name: str) -> str:
        text = self.value.get(name, "")
        if type(text) is not str:
            raise StateError(f"{self._where}.{name} is no text")
        return text

    @cached_property
    def listed(self) -> Written:
        """The array of the instances."""
        return members_of(self._source, self.written, self._where)["instances"]

    @cached_property
    def instances(self) -> list[Instance]:
        return list(map(Instance, elements(self._source, self.listed.begin)))

    def current_keys(self) -> list[int | str | None]:
        """The keys of all instances but deposed ones."""
        return [key_of(each) for each in self.value["instances"] if not each.get("deposed")]

    @property
    def order(self) -> tuple[bytes, ...]:
        return resource_order(self.value)

    def is_of(self, address: Address) -> bool:
        named = (self.mode, self.type, self.name) == (address.mode, address.type, address.name)
        return named and module_of(self.module) == address.module

    def address(self, key: int | str | None) -> Address:
        return Address(self.module, self.mode, self.type, self.name, key)


def resource_order(parts: Mapping[str, Any]) -> tuple[bytes, ...]:
    """As the tools sort resources."""
    return tuple(str(parts.get(name, "")).encode("utf-8", "surrogateescape") for name in RESOURCE_KEYS)


def instance_order(key: int | str | None, deposed: str | None) -> tuple[Any, ...]:
    """As the tools sort instances: no key, numbers, texts; the current object before deposed ones."""
    if key is None:
        return 0, 0, deposed or ""
    number = isinstance(key, int)
    return 1 if number else 2, key if number else str(key).encode("utf-8", "surrogateescape"), deposed or ""


class Document:
    """A parsed state file.

    Args:
        source: Its text, bytes that are no UTF-8 by `surrogateescape`.
        where: Its name for errors.

    Raises:
        StateError: No state, an encrypted one, or one of another format.
    """

    def __init__(self, source: str, where: str) -> None:
        self.source = source
        self._where = where
        try:
            self.members = members(source)
        except JSONTextError as error:
            line = source.count("\n", 0, error.at) + 1
            raise StateError(f"{where} is no state file: {error}, in line {line}") from None
        self._check_format()
        listed = self.members.get("resources")
        if listed is None or not isinstance(listed.value, list):
            raise StateError(f"{where} has no list of resources")
        self._listed = listed
        # What is on one line stays so: `tofu state pull` writes no white space.
        self.is_indented = bool(re.match(r"\s*\{\s*\n", source))

    def _check_format(self) -> None:
        if "encrypted_data" in self.members:
            raise StateError(
                f"{self._where} is encrypted, by OpenTofu", "`tofu state pull` writes it decrypted.", "terraform.state"
            )
        version = self.members.get("version")
        if version is None:
            raise StateError(f"{self._where} is no state file: it has no version")
        if version.value != FORMAT or not isinstance(version.value, NumberText):
            raise StateError(
                f"{self._where} is of format {version.text(self.source)[:20]}; only format {FORMAT} can be read",
                "The tools write the format of today with the next change, `terraform refresh` for example.",
            )

    @cached_property
    def resources(self) -> list[Resource]:
        """All resources, in the order of the file.

        Raises:
            StateError: What is there is no resource.
        """
        found: list[Resource] = []
        for index, each in enumerate(elements(self.source, self._listed.begin)):
            where = f"{self._where}: resources[{index}]"
            if not isinstance(each.value, dict):
                raise StateError(f"{where} is no object")
            found.append(Resource(self.source, each, where))
        return found

    def raw_members(self, instance: Instance) -> dict[str, str]:
        """The members of an instance, as they are written."""
        found = members_of(self.source, instance.written, self._where)
        return {name: each.text(self.source) for name, each in found.items()}

    # Each of these gives a new text of the whole.

    def with_instance(self, instance: Instance, raw: Mapping[str, str]) -> str:
        """With other members of an instance."""
        return self._changed((instance.written.begin, instance.written.end, self._object(raw, INSTANCE_LEVEL)))

    def with_new_instance(self, resource: Resource, raw: Mapping[str, str], order: tuple[Any, ...]) -> str:
        """With one more instance of a resource, where it belongs by its order."""
        at = sum(instance_order(each.key, each.deposed) < order for each in resource.instances)
        listed = [each.written for each in resource.instances]
        return self._changed(self._insertion(resource.listed, listed, at, self._object(raw, INSTANCE_LEVEL)))

    def with_resource(self, names: Mapping[str, str], raw: Mapping[str, str]) -> str:
        """With one more resource of one instance, where it belongs by its order."""
        at = sum(each.order < resource_order(names) for each in self.resources)
        instance = self._line(INSTANCE_LEVEL) + self._object(raw, INSTANCE_LEVEL) + self._line(INSTANCE_LEVEL - 1)
        parts = {name: json_text(text) for name, text in names.items()} | {"instances": f"[{instance}]"}
        listed = [each.written for each in self.resources]
        return self._changed(self._insertion(self._listed, listed, at, self._object(parts, RESOURCE_LEVEL)))

    def without_instance(self, resource: Resource, instance: Instance) -> str:
        """Without an instance, and without its resource if that has no other one."""
        if len(resource.instances) > 1:
            listed = [each.written for each in resource.instances]
            return self._changed(_removal(resource.listed, listed, instance.written))
        return self._changed(_removal(self._listed, [each.written for each in self.resources], resource.written))

    def _object(self, raw: Mapping[str, str], level: int) -> str:
        """The text of an object that stands at a level; its members have theirs already."""
        colon = ": " if self.is_indented else ":"
        parts = ",".join(self._line(level + 1) + json_text(name) + colon + text for name, text in raw.items())
        return f"{{{parts}{self._line(level)}}}"

    def formatted(self, text: str) -> str:
        """JSON as the tools write it for a member of an instance."""
        return indented(text, INSTANCE_LEVEL + 1) if self.is_indented else text

    def _line(self, level: int) -> str:
        return "\n" + "  " * level if self.is_indented else ""

    def _insertion(self, listed: Written, existing: list[Written], at: int, new: str) -> Edit:
        level = RESOURCE_LEVEL if listed is self._listed else INSTANCE_LEVEL
        if not existing:
            return listed.begin, listed.end, f"[{self._line(level)}{new}{self._line(level - 1)}]"
        if at == len(existing):
            return existing[-1].end, existing[-1].end, f",{self._line(level)}{new}"
        return existing[at].begin, existing[at].begin, f"{new},{self._line(level)}"

    def _changed(self, edit: Edit) -> str:
        serial = self.members.get("serial")
        if serial is None or not isinstance(serial.value, NumberText) or not re.fullmatch(r"\d{1,20}", serial.value):
            raise StateError(f"{self._where} has no serial number")
        text = self.source
        for begin, end, new in sorted([edit, (serial.begin, serial.end, str(int(serial.value) + 1))], reverse=True):
            text = text[:begin] + new + text[end:]
        return text


def _removal(listed: Written, existing: list[Written], gone: Written) -> Edit:
    at = existing.index(gone)
    if len(existing) == 1:
        return listed.begin, listed.end, "[]"
    if at == len(existing) - 1:
        return existing[at - 1].end, gone.end, ""
    return gone.begin, existing[at + 1].begin, ""


def canonical(text: str) -> str:
    """The JSON without white space and with Go's escapes, as Go makes it of raw JSON."""
    return "".join(_TOKEN.findall(text)).translate(_ESCAPED_BY_GO)


def indented(text: str, level: int) -> str:
    """The JSON as Go's json.Indent writes it at a level, by two spaces."""
    parts: list[str] = []
    previous = ""
    for token in _TOKEN.findall(text):
        closes = token in {"}", "]"}
        level -= closes
        if (previous in {"{", "["} and not closes) or previous == "," or (closes and previous not in {"{", "["}):
            parts.append("\n" + "  " * level)
        parts.append(": " if token == ":" else token)
        level += token in {"{", "["}
        previous = token
    return "".join(parts)


def new_document(terraform_version: str) -> str:
    """The text of a state file without resources, of a lineage of its own."""
    return (
        f'{{\n  "version": {FORMAT},\n  "terraform_version": {json.dumps(terraform_version)},\n  "serial": 0,\n'
        f'  "lineage": "{uuid.uuid4()}",\n  "outputs": {{}},\n  "resources": [],\n  "check_results": null\n}}\n'
    )
