"""The schema of a large provider: 1,500 resources with 60,000 attributes, 11 MB, like that of the largest there are."""

from __future__ import annotations

import random
from typing import Any

from terraform.schema_oracle import answer

RESOURCES = 1500
ATTRIBUTES = 60_000

_WORDS = ("the", "list", "of", "identifier", "resource", "that", "is", "used", "when", "region", "defaults", "policy")
_TYPES = (
    *[b'"string"'] * 12,
    *[b'"bool"', b'"number"'] * 3,
    *[b'["list","string"]', b'["set","string"]', b'["map","string"]'] * 2,
    b'["list",["object",{"key":"string","value":"string","weight":"number"}]]',
)


def large_schema(resources: int = RESOURCES, attributes: int = ATTRIBUTES, version: int = 6) -> bytes:
    """An answer to GetProviderSchema; the same for the same numbers."""
    chance = random.Random(resources)
    each = attributes // resources
    schemas = {f"large_service{number % 150}_thing_{number}": _schema(chance, each) for number in range(resources)}
    return answer(
        version,
        "GetProviderSchema",
        provider={"block": {"attributes": [_attribute(chance, number) for number in range(20)]}},
        resource_schemas=schemas,
        server_capabilities={"plan_destroy": True, "get_provider_schema_optional": True},
    )


def _schema(chance: random.Random, attributes: int) -> dict[str, Any]:
    """Three quarters of the attributes are at the top, the others in two blocks."""
    top, inner = attributes * 3 // 4, attributes // 8
    blocks = [
        {
            "type_name": f"settings_{number}",
            "nesting": 2,
            "block": {"attributes": [_attribute(chance, each) for each in range(inner)]},
        }
        for number in range(2)
    ]
    rest = attributes - 2 * inner - top
    block = {"attributes": [_attribute(chance, each) for each in range(top + rest)], "block_types": blocks}
    return {"version": 1, "block": block}


def _attribute(chance: random.Random, number: int) -> dict[str, Any]:
    kind = chance.randrange(3)
    return {
        "name": f"{chance.choice(_WORDS)}_attribute_{number}",
        "type": chance.choice(_TYPES),
        "description": " ".join(chance.choices(_WORDS, k=24)).capitalize() + ".",
        "description_kind": 1,
        "required": kind == 0,
        "optional": kind == 1,
        "computed": kind == 2,
    }
