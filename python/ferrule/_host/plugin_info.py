"""PluginInfo: the base of both clients, with the settings they were given and the facts about their plugin."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ferrule import _core
from ferrule._host.client_stats import ChannelRecord, ClientStats
from ferrule._host.lifecycle import no_plugin
from ferrule._pem import certificate_pem
from ferrule._validation import INVALID, check, nested, optional, shown
from ferrule.config import ClientConfig, check_command
from ferrule.errors import ConfigError
from ferrule.reattach import ReattachConfig, ReattachTLS

__all__ = ["PluginInfo", "Traffic"]

_REATTACH = optional(nested(ReattachConfig, "reattach.", secret=True))
_REATTACH_HINT = (
    "Pass a ReattachConfig, or a dict of its settings; ReattachConfig.from_json(text) reads what a plugin prints."
)


class Traffic(NamedTuple):
    """Bytes moved between this client and its plugin, all connections together, exact.

    Attributes:
        wire_sent: Bytes written to the plugin's sockets, those of TLS included.
        wire_received: Bytes read from the plugin's sockets, those of TLS included.
        content_sent: Bytes sent inside TLS; equal to `wire_sent` without TLS.
        content_received: Bytes received inside TLS; equal to `wire_received` without TLS.
    """

    wire_sent: int
    wire_received: int
    content_sent: int
    content_received: int


class PluginInfo(ABC):
    """The facts about a plugin, before, during and after its life. The base of the clients.

    Args:
        command: The program and its arguments; empty with `reattach`.
        config: Settings, in any form.
        reattach: A plugin that runs already, a `ReattachConfig` or a mapping of its settings; default None.

    Raises:
        ConfigError: The command or a setting does not fit, or two contradict each other.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        config: ClientConfig | Mapping[str, Any] | None,
        reattach: ReattachConfig | Mapping[str, Any] | None = None,
    ) -> None:
        self.config = ClientConfig.of(config)
        self.reattach: ReattachConfig | None = check("reattach", reattach, _REATTACH, _REATTACH_HINT)
        if self.reattach is None:
            self.command = check_command(command)
        else:
            _check_reattach(command, self.config, self.reattach)
            self.command = ()
        self._process_id = os.getpid()
        self._host: _core.Host | None = None
        self._facts: _core.Facts | None = None
        self._channel_record = ChannelRecord()

    def stats(self) -> ClientStats:
        """Numbers of calls, messages, streams, connections and bytes since the last start, with pid and age.

        May be called at any moment, on any thread, and costs microseconds. Before the first start all numbers are 0.

        Example:
            >>> from ferrule.sync import RPCPluginClient
            >>> from ferrule.testing import KV_CONFIG, KVStub, kv_pb2, plugin_command
            >>> with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
            ...     _ = KVStub(client.grpc_channel).Put(kv_pb2.PutRequest(key="colour", value=b"green"))
            ...     stats = client.stats()
            >>> stats.calls_started, stats.calls_succeeded, stats.to_dict()["calls_failed"]
            (1, 1, 0)
        """
        wire_sent, wire_received, content_sent, content_received = self.traffic
        # A start that is under way has no facts yet, and its channels are still to come.
        facts, record = self._facts, self._channel_record
        return ClientStats(
            is_started=self.is_started,
            pid=None if facts is None else facts.pid,
            age=None if facts is None else record.age(),
            start_seconds=None if facts is None else sum(facts.timings.values()),
            exit_status=self.exit_status,
            **({} if facts is None else record.counts()),
            wire_bytes_sent=wire_sent,
            wire_bytes_received=wire_received,
            content_bytes_sent=content_sent,
            content_bytes_received=content_received,
        )

    def _repr_html_(self) -> str:
        """A table of plugin, connection and numbers for a notebook."""
        from ferrule._host.notebook import client_html

        connection = None
        if self._facts is not None:
            connection = f"{self.target_endpoint}, {'TLS' if self._is_secure else 'plaintext'}"
        return client_html(self._name, connection, self.protocol_version, self.stats())

    @property
    @abstractmethod
    def is_started(self) -> bool:
        """Whether `start()` succeeded and `close()` was not called; a plugin that crashed since counts as started."""

    @property
    def _name(self) -> str:
        """The plugin's name in a repr."""
        return repr(self.command[0]) if self.reattach is None else f"reattached to {self.reattach.address!r}"

    @property
    def _is_secure(self) -> bool:
        """Whether channels to the plugin are protected by TLS."""
        if self.config.tls is not None:
            return True
        return self.config.auto_mtls if self.reattach is None else self.reattach.tls is not None

    def reattach_config(self, *, include_secrets: bool = False) -> ReattachConfig:
        """The configuration with which another client, of any process, attaches to the plugin while it runs.

        The other client does not own the plugin: this one still ends it. A client that was attached itself returns the
        configuration that it was given.

        Args:
            include_secrets: Whether the configuration has the certificates and the private key of AutoMTLS, without
                which such a plugin refuses connections; default False. It never has those of the setting `tls`.

        Raises:
            RPCPluginError: The plugin was never started.
            ConfigError: The plugin is multiplexed: its one socket is taken.
        """
        if self.reattach is not None:
            return self.reattach if include_secrets else self.reattach.without_secrets()
        if self._facts is None:
            raise no_plugin("describe")
        if self.config.broker_multiplex:
            message = "setting broker_multiplex is True, with which a plugin serves one host on one socket"
            raise ConfigError(message, "Set it to False in the client whose plugin others are to reach.", INVALID)
        return ReattachConfig(
            protocol_version=self._facts.protocol_version,
            network=self._facts.network,
            address=self._facts.address,
            pid=self._facts.pid,
            tls=self._one_time_certificates() if include_secrets else None,
        )

    def _one_time_certificates(self) -> ReattachTLS | None:
        own, key, theirs = self.client_cert, self.client_key_pem, self.server_cert
        if not self.config.auto_mtls or own is None or key is None or theirs is None:
            return None
        return ReattachTLS(certificate=own, private_key=key, server_certificate=theirs)

    @property
    def target_endpoint(self) -> str | None:
        """The plugin's address as a gRPC target: `unix:PATH` or `HOST:PORT`; None before the first start."""
        if self._facts is None:
            return None
        # Loaded late: few ask.
        from ferrule._broker_common import unix_target

        return unix_target(self._facts.address) if self._facts.network == "unix" else self._facts.address

    @property
    def client_cert(self) -> str | None:
        """The host's certificate as PEM; None without TLS or before the first start."""
        return self._host and self._host.client_cert

    @property
    def client_key_pem(self) -> str | None:
        """The host's private key as PEM, a secret; None without TLS or before the first start."""
        return self._host and self._host.client_key_pem

    @property
    def server_cert(self) -> str | None:
        """The plugin's certificate as PEM; None if it announced none, or before the first start."""
        certificate = self._facts and self._facts.certificate
        return None if certificate is None else certificate_pem(certificate)

    @property
    def certificate_facts(self) -> _core.CertificateFacts | None:
        """Subject, kind of key and validity of the plugin's certificate; None if there is none."""
        return self._facts and self._facts.certificate_facts

    @property
    def pid(self) -> int | None:
        """The plugin's process id; None before the first start, or if unknown."""
        return self._facts and self._facts.pid

    @property
    def protocol_version(self) -> int | None:
        """The application protocol version that both sides agreed on; None before the first start."""
        return self._facts and self._facts.protocol_version

    @property
    def transport(self) -> str | None:
        """The network on which the plugin listens, `unix` or `tcp`; None before the first start."""
        return self._facts and self._facts.network

    @property
    def address(self) -> str | None:
        """Path of the plugin's socket, or `HOST:PORT`; None before the first start."""
        return self._facts and self._facts.address

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of each phase of the last start: `launch`, `handshake`, `connect`, `health`; empty before it."""
        return {} if self._facts is None else self._facts.timings

    @property
    def exit_status(self) -> int | None:
        """Exit status as `subprocess` has it, negative for a signal; None while the plugin runs, or if unknown."""
        return self._host and self._host.exit_status

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        """The last lines of the plugin's standard error, at most 40, oldest first."""
        return () if self._host is None else tuple(self._host.stderr_tail)

    @property
    def traffic(self) -> Traffic:
        """Bytes moved since the last start, on the sockets and inside TLS, a `Traffic`."""
        return Traffic(0, 0, 0, 0) if self._host is None else Traffic(*self._host.traffic)

    @property
    def bytes_sent(self) -> int:
        """Bytes written to the plugin's socket since the last start."""
        return self.traffic.wire_sent

    @property
    def bytes_received(self) -> int:
        """Bytes read from the plugin's socket since the last start."""
        return self.traffic.wire_received


def _check_reattach(command: Sequence[Any], config: ClientConfig, reattach: ReattachConfig) -> None:
    """Refuses settings that contradict attaching to a running plugin."""
    if command:
        message = f"the command is {shown(command)} and reattach is given too, expected one of them"
        raise ConfigError(message, "Leave the command out to attach, or reattach to launch.", INVALID)
    if config.secure_config is not None:
        message = "settings secure_config and reattach are both given, expected one: a running program is not checked"
        raise ConfigError(message, "Leave secure_config out, or launch the plugin.", INVALID)
    if config.runner is not None:
        message = "settings runner and reattach are both given, expected one: a running program is not started"
        raise ConfigError(message, "Leave runner out, or launch the plugin.", INVALID)
    if config.broker_multiplex:
        message = "setting broker_multiplex is True and reattach is given, expected False: the one socket is taken"
        raise ConfigError(message, "Leave broker_multiplex out.", INVALID)
    if config.tls is not None and reattach.tls is not None:
        message = "settings tls and reattach.tls are both given, expected one way to protect the connection"
        raise ConfigError(message, "Leave tls out for a plugin with one-time certificates.", INVALID)
    if reattach.owned and reattach.pid == os.getpid():
        message = f"setting reattach.owned is True, and reattach.pid is {reattach.pid}, expected another process's"
        raise ConfigError(message, "Leave owned out: ending the plugin would end this process.", INVALID)
    if reattach.protocol_version and reattach.protocol_version not in config.protocol_versions:
        offered = ", ".join(map(str, config.protocol_versions))
        message = f"setting reattach.protocol_version is {reattach.protocol_version}, expected {offered}"
        raise ConfigError(message, "Add it to protocol_versions if your stubs speak it.", INVALID)
