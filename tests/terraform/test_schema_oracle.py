"""Schemas of real providers beside what Terraform and OpenTofu print for them.

A case's id is its test's. What the recordings lack is in `EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.export import Core
from terraform import recordings
from terraform.recordings import ORACLE, SCHEMAS
from terraform.schema_oracle import recorded_schema

NO_IDENTITIES = "the recording has no identities: a call before had ended the provider's program"
EXCEPTIONS = {"simple6-opentofu": NO_IDENTITIES, "simple6-terraform": NO_IDENTITIES}
"""Of these the texts without the identities are compared."""
PAIRS = json.loads(gzip.decompress((ORACLE / "schema.json.gz").read_bytes()))


def expected(name: str, core: Core) -> str:
    """The text of a core; of the exceptions without the identities, which stand last."""
    recorded = recordings.schema(name)
    text: str = recorded[core]
    if text == "the same":
        text = recorded["opentofu"].replace("registry.opentofu.org", "registry.terraform.io")
    if name in EXCEPTIONS:
        text = text[: text.index(',"resource_identity_schemas":')] + "}}}\n"
    return text


@pytest.mark.parametrize("core", ["opentofu", "terraform"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas(name: str, core: Core) -> None:
    assert recorded_schema(name).to_json(recordings.schema(name)["source"], core) == expected(name, core)


@pytest.mark.parametrize("name", PAIRS)
def test_schema(name: str) -> None:
    pair: dict[str, Any] = PAIRS[name]
    identity = pair["get_resource_identity_schemas"]
    schema = ProviderSchema.of(
        Protocol.of(pair["protocol"]),
        bytes.fromhex(pair["get_provider_schema"]),
        bytes.fromhex(identity) if isinstance(identity, str) else None,
    )
    document = json.loads(schema.to_json("ferrule.example/a/b", "opentofu"))
    # Texts, so that the order of members is compared too.
    assert json.dumps(document["provider_schemas"]["ferrule.example/a/b"]) == json.dumps(pair["providers_schema"])


def test_nothing_of_the_oracle_is_left_out() -> None:
    assert (len(SCHEMAS), len(PAIRS)) == (7, 4)
    assert EXCEPTIONS.keys() < set(SCHEMAS)
