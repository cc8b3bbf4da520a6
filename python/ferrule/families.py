"""The settings of a host for plugins that are written for other programs, as data.

Each constant is a `Family`, which a client takes as its settings; the documentation tells what each one expects of its
host's calls. The facts come from the SDKs that the families name, and change when an SDK breaks with its plugins.

Example:
    ```python
    from ferrule import RPCPluginClient, families

    client = RPCPluginClient(["tflint-ruleset-aws"], families.TFLINT)
    client = RPCPluginClient(["tflint-ruleset-aws"], families.TFLINT.with_settings(start_timeout=5, env={"A": "b"}))
    ```
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ferrule._secrecy import forgetful
from ferrule._validation import Environment
from ferrule.config import ClientConfig

__all__ = [
    "ALL",
    "GRAFANA",
    "NOMAD",
    "SPIRE_BUNDLE_PUBLISHER",
    "SPIRE_CREDENTIAL_COMPOSER",
    "SPIRE_KEY_MANAGER",
    "SPIRE_NODE_ATTESTOR",
    "SPIRE_NOTIFIER",
    "SPIRE_SVID_STORE",
    "SPIRE_UPSTREAM_AUTHORITY",
    "SPIRE_WORKLOAD_ATTESTOR",
    "STEAMPIPE",
    "TERRAFORM",
    "TFLINT",
    "VAULT_BACKEND",
    "VAULT_DATABASE",
    "VELERO",
    "Family",
]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Family(Mapping[str, Any]):
    """The settings of a client for one kind of plugin: a mapping that `RPCPluginClient` takes as its `config`.

    A family cannot change; `with_settings` makes another one.

    Attributes:
        name: The name on the command line, such as `vault-database`.
        sdk: The source of the facts: the Go module of the SDK and its version.
        multiplexes: Whether plugins on that SDK work with the setting `broker_multiplex`; default True.
        host_broker_id: The broker id at which plugins expect their host's services without being told; default None: a
            call tells them the id, or they need nothing of their host.
        calls_host_over_tls: Whether plugins on that SDK can call their host's services under mutual TLS; default True.
            go-plugin before 1.4.4 cannot: such services then need `auto_mtls=False`, which is plaintext.
        call_metadata: Names of the metadata that calls must carry; default none.

    Example:
        >>> TFLINT["protocol_versions"], ClientConfig.of(TFLINT).magic_cookie_key
        ((11,), 'TFLINT_RULESET_PLUGIN')
    """

    name: str
    sdk: str
    multiplexes: bool = True
    host_broker_id: int | None = None
    calls_host_over_tls: bool = True
    call_metadata: tuple[str, ...] = ()
    _settings: Mapping[str, Any] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    @forgetful
    def with_settings(self, **settings: Any) -> "Family":
        """A copy of the family with other or further settings.

        Args:
            settings: Settings of `ClientConfig`. `env` is added to the family's own variables, the rest replaces.

        Raises:
            ConfigError: A setting is unknown, does not fit, or contradicts another.

        Example:
            >>> family = VAULT_BACKEND.with_settings(start_timeout=5, env={"HTTPS_PROXY": "proxy:3128"})
            >>> sorted(family["env"])
            ['HTTPS_PROXY', 'VAULT_PLUGIN_AUTOMTLS_ENABLED']
        """
        if "env" in settings:
            settings["env"] = Environment({**self.get("env", {}), **ClientConfig(env=settings["env"]).env})
        joined = {**self, **settings}
        ClientConfig.of(joined)
        return dataclasses.replace(self, _settings=joined)


def _family(
    name: str,
    cookie: tuple[str, str],
    versions: tuple[int, ...],
    sdk: str,
    env: dict[str, str] | None = None,
    **facts: Any,
) -> Family:
    key, value = cookie
    settings = {"magic_cookie_key": key, "magic_cookie_value": value, "protocol_versions": versions}
    further = {"env": Environment(env)} if env else {}
    return Family(name=name, sdk=sdk, _settings={**settings, **further}, **facts)


def _spire(name: str, plugin_type: str) -> Family:
    """SPIRE's cookie is the type of the plugin, twice."""
    sdk = "github.com/spiffe/spire-plugin-sdk v1.12.0"
    facts: dict[str, Any] = {"multiplexes": False, "host_broker_id": 1, "calls_host_over_tls": False}
    return _family(name, (plugin_type, plugin_type), (1,), sdk, **facts)


_DEFAULT = ClientConfig()

TERRAFORM = _family(
    "terraform",
    (_DEFAULT.magic_cookie_key, _DEFAULT.magic_cookie_value),
    _DEFAULT.protocol_versions,
    "github.com/hashicorp/terraform-plugin-go v0.31.0",
)
"""Providers of Terraform and OpenTofu: the defaults of `ClientConfig`."""

TFLINT = _family(
    "tflint",
    ("TFLINT_RULESET_PLUGIN", "5adSn1bX8nrDfgBqiAqqEkC6OE1h3iD8SqbMc5UUONx8x3xCF0KlPDsBRNDjoYDP"),
    (11,),
    "github.com/terraform-linters/tflint-plugin-sdk v0.25.0",
)
"""Rulesets of tflint."""

VAULT_DATABASE = _family(
    "vault-database",
    ("VAULT_DATABASE_PLUGIN", "926a0820-aea2-be28-51d6-83cdf00e8edb"),
    (5, 6),
    "github.com/hashicorp/vault/sdk v0.25.1",
    call_metadata=("multiplex_id",),
)
"""Database plugins of Vault."""

VAULT_BACKEND = _family(
    "vault-backend",
    ("VAULT_BACKEND_PLUGIN", "6669da05-b1c8-4f49-97d9-c8e5bed98e20"),
    (4, 5),
    "github.com/hashicorp/vault/sdk v0.25.1",
    # Without this variable the plugin asks Vault for its certificate, by a token that no other host can give.
    env={"VAULT_PLUGIN_AUTOMTLS_ENABLED": "true"},
    call_metadata=("multiplex_id",),
)
"""Auth methods and secrets engines of Vault."""

GRAFANA = _family(
    "grafana",
    ("grafana_plugin_type", "datasource"),
    (2,),
    "github.com/grafana/grafana-plugin-sdk-go v0.299.0",
)
"""Backends of Grafana's data sources and apps."""

STEAMPIPE = _family(
    "steampipe",
    ("MANTIX_PLUGIN_MAGIC_COOKIE", "really-complex-permanent-string-value"),
    (0,),
    "github.com/turbot/steampipe-plugin-sdk/v5 v5.11.0",
)
"""Plugins of Steampipe."""

VELERO = _family("velero", ("VELERO_PLUGIN", "hello"), (2,), "github.com/vmware-tanzu/velero v1.18.3")
"""Plugins of Velero: object stores, snapshotters, actions."""

NOMAD = _family(
    "nomad",
    ("NOMAD_PLUGIN_MAGIC_COOKIE", "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"),
    (2,),
    "github.com/hashicorp/nomad v1.11.2",
)
"""Task drivers and devices of Nomad."""

SPIRE_BUNDLE_PUBLISHER = _spire("spire-bundle-publisher", "BundlePublisher")
SPIRE_CREDENTIAL_COMPOSER = _spire("spire-credential-composer", "CredentialComposer")
SPIRE_KEY_MANAGER = _spire("spire-key-manager", "KeyManager")
SPIRE_NODE_ATTESTOR = _spire("spire-node-attestor", "NodeAttestor")
SPIRE_NOTIFIER = _spire("spire-notifier", "Notifier")
SPIRE_SVID_STORE = _spire("spire-svid-store", "SVIDStore")
SPIRE_UPSTREAM_AUTHORITY = _spire("spire-upstream-authority", "UpstreamAuthority")
SPIRE_WORKLOAD_ATTESTOR = _spire("spire-workload-attestor", "WorkloadAttestor")

ALL: Mapping[str, Family] = MappingProxyType(
    {family.name: family for family in list(globals().values()) if isinstance(family, Family)}
)
"""All families by name."""
