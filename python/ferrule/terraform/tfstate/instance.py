"""One instance in a state file, as a `ResourceState` changes it."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from ferrule.terraform.cty import Path
from ferrule.terraform.cty.strings import json_text
from ferrule.terraform.json_text import elements, value
from ferrule.terraform.redaction import path_from_json, path_to_json
from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate.document import canonical

__all__ = ["changed_members", "first_members", "is_same_provider", "merged"]

# The order in which OpenTofu writes; Terraform has the identity before `private`.
_ORDER: Final = (
    *("index_key", "status", "deposed", "provider", "schema_version", "attributes", "attributes_flat"),
    *("sensitive_attributes", "private", "dependencies", "create_before_destroy", "skip_destroy"),
    *("identity", "identity_schema_version"),
)


def changed_members(state: ResourceState, raw: Mapping[str, str]) -> dict[str, str | None]:
    """The members of an instance that a state changes, without white space; None for one that goes.

    Args:
        state: What is to be stored.
        raw: The members as they are written; none for a new instance.
    """
    wanted: dict[str, str | None] = {
        "status": '"tainted"' if state.tainted else None,
        "schema_version": str(state.schema_version),
        "attributes": None if state.json is None else canonical(state.json),
        "private": f'"{base64.b64encode(state.private).decode()}"' if state.private else None,
        "identity": None if state.identity_json is None else canonical(state.identity_json),
    }
    if state.identity_json is not None or "identity" in raw:
        # Terraform writes the version, 0, without an identity as well.
        kept = "0" if "identity_schema_version" in raw and _is_terraforms(raw) else None
        wanted["identity_schema_version"] = kept if state.identity_json is None else str(state.identity_schema_version)
    if state.flatmap is None or value(raw.get("attributes_flat", "null")).value != state.flatmap:
        wanted["attributes_flat"] = None if state.flatmap is None else _flatmap(state.flatmap)
    if state.sensitive is not None or not raw:
        paths = _sensitive_paths(state, raw.get("sensitive_attributes", "[]"))
        wanted["sensitive_attributes"] = f"[{','.join(paths)}]"
    return {name: text for name, text in wanted.items() if text != _present(raw, name)}


def _present(raw: Mapping[str, str], name: str) -> str | None:
    text = raw.get(name)
    if text is None or text == "null":
        return None
    # An empty `private` is as good as none.
    return None if text == '""' and name in {"status", "private"} else canonical(text)


def merged(raw: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The members with the changes; new ones are put where the tools have them."""
    names = [name for name in raw if changes.get(name, "") is not None]
    for name in sorted(changes, key=_ORDER.index):
        if changes[name] is not None and name not in names:
            before = [names.index(each) for each in _ORDER[: _ORDER.index(name)] if each in names]
            names.insert(before[-1] + 1 if before else 0, name)
    return {name: changes.get(name) or raw[name] for name in names}


def _is_terraforms(raw: Mapping[str, str]) -> bool:
    names = list(raw)
    return "private" not in raw or names.index("identity_schema_version") < names.index("private")


def _flatmap(flatmap: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{json_text(key)}:{json_text(flatmap[key])}' for key in sorted(flatmap))}}}"


def _sensitive_paths(state: ResourceState, before: str) -> list[str]:
    """The sensitive paths of before that still lead to a place, and those of the state.

    Those of before are kept, since they may come from sensitive values in a configuration, which the state cannot know.
    """
    attributes = {} if state.json is None else state.attributes
    kept = [
        canonical(each.text(before))
        for each in (elements(before) if before.startswith("[") else [])
        if (path := path_from_json(each.value)) is None or _is_there(attributes, path)
    ]
    new = [path_to_json(path) for path in state.sensitive or () if _is_there(attributes, path)]
    return list(dict.fromkeys([*kept, *map(canonical, new)]))


def _is_there(value: Any, path: Path) -> bool:
    """Whether the path leads to a place, be it null: the tools list sensitive attributes that are null as well."""
    for step in path:
        inside = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
        if step not in inside:
            return False
        value = value[step]
    return True


def first_members(key: int | str | None, deposed: str | None) -> dict[str, str]:
    """The members by which an instance is found."""
    found = {} if key is None else {"index_key": json_text(key) if isinstance(key, str) else str(key)}
    return found | ({"deposed": json.dumps(deposed)} if deposed else {})


def is_same_provider(one: str, other: str) -> bool:
    """Whether two source addresses are of one provider, which may come from the registry of either tool."""
    return one == other or _without_registry(one) == _without_registry(other)


def _without_registry(address: str) -> str:
    host, _, rest = address.partition("/")
    return rest if host in {"registry.terraform.io", "registry.opentofu.org"} else address
