"""States of recorded runs, beside ours."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from ferrule.terraform.state import ResourceState

from .scenarios import Instance


def state_of(instance: Instance, text: str, source: str) -> ResourceState:
    return ResourceState(
        type=instance.type,
        json=text,
        schema_version=instance.schema_version,
        private=instance.private,
        identity_json=None if instance.identity is None else json.dumps(instance.identity, separators=(",", ":")),
        identity_schema_version=instance.identity_schema_version,
        tainted=instance.tainted,
        provider=source,
    )


def facts(state: ResourceState) -> dict[str, Any]:
    return {
        "attributes": rounded(state.attributes),
        "private": state.private,
        "schema_version": state.schema_version,
        "identity": state.identity,
        "tainted": state.tainted,
    }


def instance_facts(instance: Instance) -> dict[str, Any]:
    return {
        "attributes": rounded(instance.attributes),
        "private": instance.private,
        "schema_version": instance.schema_version,
        "identity": instance.identity,
        "tainted": instance.tainted,
    }


def rounded(value: Any) -> Any:
    """The value with floats for fractions: the recordings have read the state files so."""
    match value:
        case dict():
            return {name: rounded(each) for name, each in value.items()}
        case list():
            return list(map(rounded, value))
        case Decimal():
            return float(value)
    return value


def same_json(ours: str | None, text: str) -> bool:
    """Whether the core's text is ours, but for the white space that Terraform's plan files have."""
    if ours == text or ours is None or " " not in text:
        return ours == text
    return bool(rounded(json.loads(ours, parse_float=Decimal)) == rounded(json.loads(text, parse_float=Decimal)))


def json_text(value: Any) -> str:
    match value:
        case dict():
            return f"{{{','.join(f'{json.dumps(name)}:{json_text(each)}' for name, each in sorted(value.items()))}}}"
        case list():
            return f"[{','.join(map(json_text, value))}]"
        case Decimal():
            return str(value)
    return json.dumps(value, ensure_ascii=False)
