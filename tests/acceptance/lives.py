"""Configurations of unmodified providers: what both OpenTofu and `ferrule.terraform` are told to do with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SOURCES = {
    "http": "hashicorp/http",
    "local": "hashicorp/local",
    "null": "hashicorp/null",
    "openstack": "terraform-provider-openstack/openstack",
    "random": "hashicorp/random",
    "simple": "ferrule.example/test/simple",
    "time": "hashicorp/time",
    "tls": "hashicorp/tls",
}
"""The provider's source address by the name of its program."""

PROVIDER_CONFIGS: dict[str, dict[str, Any]] = {
    # It logs in at the first request that needs it: no plan here does.
    "openstack": {
        "auth_url": "http://127.0.0.1:1/v3",
        "user_name": "ferrule",
        "password": "secret",
        "tenant_name": "t",
        "region": "r",
    },
}


@dataclass(frozen=True)
class Life:
    """One resource: the configurations that it has one after the other, the last one for good.

    Attributes:
        type: The type of the resource.
        configs: The configurations.
        chance: Attributes that are random, or of the moment.
        import_id: Under which a resource like it can be imported.
    """

    type: str
    configs: tuple[Mapping[str, Any], ...]
    chance: frozenset[str] = frozenset()
    import_id: str | None = None

    def config(self, step: int) -> Mapping[str, Any]:
        return self.configs[min(step, len(self.configs) - 1)]


def life(type_name: str, *configs: Mapping[str, Any], chance: str = "", import_id: str | None = None) -> Life:
    return Life(type_name, configs, frozenset(chance.split()), import_id)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


MOMENT = "2020-02-12T06:36:13Z"
KEY = pem(rsa.generate_private_key(65537, 2048))
CURVE_KEY = pem(ec.generate_private_key(ec.SECP256R1()))
SUBJECT = {
    "common_name": "ferrule.example",
    "organization": "Ferrule",
    "street_address": ["1 Main Street", "Back yard"],
}
CERTIFICATE = {
    "validity_period_hours": 12,
    "early_renewal_hours": 3,
    "allowed_uses": ["digital_signature", "server_auth"],
    "dns_names": ["ferrule.example", "www.ferrule.example"],
}
CERTIFICATE_CHANCE = "id cert_pem validity_start_time validity_end_time"


def lives(provider: str, directory: Path) -> dict[str, Life]:
    """Resources of a provider by name; files are in a directory."""
    found = {
        "local": lambda: {
            "changed": life(
                "local_file",
                {"filename": f"{directory}/changed", "content": "one ☃"},
                {"filename": f"{directory}/changed", "content": "two\n", "file_permission": "0600"},
            ),
            "secret": life("local_file", {"filename": f"{directory}/deep/secret", "sensitive_content": "hush"}),
        },
        "null": lambda: {
            "bare": life("null_resource", {}, chance="id"),
            "triggered": life(
                "null_resource",
                {"triggers": {"a": "1", "n": 1.5, "b": True}},
                {"triggers": {"a": "2"}},
                {},
                chance="id",
            ),
        },
        "random": lambda: {
            "id": life(
                "random_id",
                {"byte_length": 4},
                {"byte_length": 4, "prefix": "p-", "keepers": {"k": "v"}},
                chance="id b64 b64_std b64_url dec hex",
                import_id="p-,p9hUgQ",
            ),
            "integer": life(
                "random_integer",
                {"min": 1, "max": 50000, "seed": "one"},
                {"min": 2, "max": 9, "seed": "two"},
                import_id="390,1,50000,seed",
            ),
            "pet": life("random_pet", {"length": 3}, {"length": 3, "separator": "_", "prefix": "a"}, chance="id"),
            "shuffle": life(
                "random_shuffle",
                {"input": ["a", "b", "c"], "seed": "s", "result_count": 5},
                {"input": ["a", "b", "c"], "seed": "t"},
                chance="id",
            ),
            "string": life(
                "random_string",
                {"length": 16, "special": False},
                {"length": 20, "override_special": "/@", "min_upper": 3},
                chance="id result",
            ),
            "uuid": life("random_uuid", {}, chance="id result", import_id="aabbccdd-eeff-0011-2233-445566778899"),
        },
        "simple": lambda: {
            "bare": life("simple_resource", {}, {"value": "later"}, chance="id"),
            "full": life(
                "simple_resource",
                {"value": "a", "value_wo": "hush", "nested_block": {}},
                {"value": "b", "value_wo": "hush"},
                chance="id",
            ),
        },
        "time": lambda: {
            "static": life(
                "time_static", {"rfc3339": MOMENT}, {"rfc3339": MOMENT, "triggers": {"a": "1"}}, import_id=MOMENT
            ),
            "now": life(
                "time_static",
                {},
                {"triggers": {"a": "1"}},
                chance="id rfc3339 year month day hour minute second unix",
            ),
            "offset": life(
                "time_offset",
                {"base_rfc3339": MOMENT, "offset_days": 7},
                {"base_rfc3339": MOMENT, "offset_days": 8, "offset_years": 1},
                {"base_rfc3339": "2021-01-01T00:00:00Z", "offset_hours": -1},
                import_id=f"{MOMENT},0,0,7,0,0,0",
            ),
            "rotating": life(
                "time_rotating",
                {"rfc3339": MOMENT, "rotation_years": 100},
                {"rfc3339": MOMENT, "rotation_years": 101},
                import_id=f"{MOMENT},100,0,0,0,0",
            ),
            "sleep": life("time_sleep", {"create_duration": "1ms"}, {"destroy_duration": "1ms"}, chance="id"),
        },
        "tls": lambda: {
            "key": life(
                "tls_private_key",
                {"algorithm": "ECDSA"},
                {"algorithm": "ECDSA", "ecdsa_curve": "P384"},
                chance="id private_key_pem public_key_pem public_key_openssh public_key_fingerprint_md5",
            ),
            "request": life(
                "tls_cert_request",
                {"key_algorithm": "RSA", "private_key_pem": KEY, "subject": [SUBJECT], "dns_names": ["a.example"]},
                {"key_algorithm": "RSA", "private_key_pem": KEY, "subject": [SUBJECT | {"country": "NO"}]},
            ),
            "certificate": life(
                "tls_self_signed_cert",
                CERTIFICATE | {"key_algorithm": "ECDSA", "private_key_pem": CURVE_KEY, "subject": [SUBJECT]},
                CERTIFICATE
                | {"key_algorithm": "RSA", "private_key_pem": KEY, "subject": [SUBJECT], "is_ca_certificate": True},
                chance=CERTIFICATE_CHANCE,
            ),
        },
    }
    return found.get(provider, dict)()


def data(provider: str, directory: Path, url: str) -> dict[str, Life]:
    """Data sources of a provider by name; a file `read` is in a directory, and a server of HTTP at an address."""
    found = {
        "http": {
            "page": life("http", {"url": url}, chance="id"),
            "json": life("http", {"url": f"{url}json", "request_headers": {"X-Word": "snow ☃"}}, chance="id"),
        },
        "local": {"file": life("local_file", {"filename": f"{directory}/read"})},
        "null": {"values": life("null_data_source", {"inputs": {"a": "1", "b": "é"}}, chance="random")},
        "simple": {"value": life("simple_resource", {"value": "v"}, chance="id")},
        "tls": {
            "rsa": life("tls_public_key", {"private_key_pem": KEY}),
            "curve": life("tls_public_key", {"private_key_pem": CURVE_KEY}),
        },
    }
    return found.get(provider, {})


FUNCTIONS: dict[str, tuple[tuple[str, tuple[Any, ...]], ...]] = {
    "time": (
        ("duration_parse", ("1h15m30s",)),
        ("rfc3339_parse", ("2023-07-25T23:43:16-00:00",)),
        ("unix_timestamp_parse", (1690332196,)),
    ),
}
"""Calls of functions by provider."""

REFUSED = {
    "local": life("local_file", {"filename": "never", "content": "a", "content_base64": "YQ=="}),
    "random": life("random_string", {"length": 4, "min_lower": 1, "min_upper": 1.5}),
    "time": life("time_offset", {"base_rfc3339": "yesterday", "offset_days": 1}),
}
"""Configurations that each provider refuses when it validates or plans."""

FAILING = {
    "random": life("random_integer", {"min": 2, "max": 1}),
    "tls": life("tls_private_key", {"algorithm": "rot13"}),
}
"""Configurations that each provider plans, and that it cannot create."""

OPENSTACK = {
    "key": life("openstack_compute_keypair_v2", {"name": "k"}),
    "instance": life(
        "openstack_compute_instance_v2",
        {
            "name": "web",
            "image_name": "debian",
            "flavor_name": "m1",
            "security_groups": ["b", "a"],
            "metadata": {"team": "x"},
            "network": [{"name": "one"}, {"uuid": "2", "access_network": True}],
            "scheduler_hints": [{"group": "g", "additional_properties": {"a": "1"}}],
            "block_device": [{"source_type": "image", "uuid": "1", "volume_size": 5, "boot_index": 0}],
        },
    ),
    "network": life(
        "openstack_networking_network_v2", {"name": "n", "tags": ["b", "a"], "segments": [{"segmentation_id": 1}]}
    ),
    "volume": life("openstack_blockstorage_volume_v3", {"size": 1, "timeouts": {"create": "5m"}}),
}
"""Resources that are planned, and not created: there is no cloud."""
