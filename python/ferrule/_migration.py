"""Counterparts of the settings of another Python host, pyvider-rpcplugin 0.5.5, and of go-plugin, for those who move.

In that host, `plugin_magic_cookie_key` and the variable `PLUGIN_MAGIC_COOKIE_KEY` are the same setting, for hosts and
plugins alike. In this package hosts have `ClientConfig`, plugins `ServerConfig`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["COUNTERPARTS", "GO_COUNTERPARTS", "Counterpart", "describe_counterpart"]


class Counterpart(NamedTuple):
    """The counterpart in this package of one setting of the other host."""

    client: str = ""
    """The setting of `ClientConfig`, with a dot into a nested one; empty for none."""

    server: str = ""
    """The setting of `ServerConfig`, likewise."""

    remark: str = ""
    """The difference, or the reason why there is no counterpart."""


BOTH_VERSIONS = Counterpart("protocol_versions", "protocol_versions")
TRANSPORTS = Counterpart("transports", "network")
AUTHORITIES = Counterpart("tls.ca", "tls.ca")
BUFFERS = Counterpart(remark="buffers grow and shrink by themselves")
OUTPUT = Counterpart(remark="nothing is printed that could be adorned")
LIMITER = Counterpart("", "interceptors", "an interceptor can count calls")
BACKOFF = Counterpart("retry.backoff", remark="in seconds")
LONGEST_BACKOFF = Counterpart("retry.max_backoff", remark="in seconds")
GRACE = Counterpart("shutdown_timeout", "grace", "in seconds")

COUNTERPARTS: Mapping[str, Counterpart] = MappingProxyType(
    {
        "core_version": Counterpart(remark="1 is the only one there is"),
        "protocol_versions": BOTH_VERSIONS,
        "protocol_version": BOTH_VERSIONS,
        "supported_protocol_versions": BOTH_VERSIONS,
        "magic_cookie_key": Counterpart("magic_cookie_key", "magic_cookie_key"),
        "magic_cookie_value": Counterpart("magic_cookie_value", "magic_cookie_value"),
        "magic_cookie": Counterpart("magic_cookie_value", "magic_cookie_value"),
        "log_level": Counterpart("logger", "log_level", "a host sets the level of that logger"),
        "handshake_timeout": Counterpart(
            "start_timeout", remark="a plugin waits for nothing before its handshake line"
        ),
        "connection_timeout": Counterpart("connect_timeout", remark="a plugin waits for its host without limit"),
        "channel_ready_timeout": Counterpart("connect_timeout", remark="it includes the first answer of the plugin"),
        "server_ready_timeout": Counterpart(remark="a plugin listens before it announces itself"),
        "server_transports": TRANSPORTS,
        "client_transports": TRANSPORTS,
        "supported_transports": TRANSPORTS,
        "transports": TRANSPORTS,
        "transport_buffer_size": BUFFERS,
        "buffer_size": BUFFERS,
        "chunk_size": BUFFERS,
        "auto_mtls": Counterpart("auto_mtls", remark="a plugin does what its host asks for"),
        "insecure": Counterpart("auto_mtls", remark="False is plaintext; a plugin does what its host asks for"),
        "mtls_cert_dir": Counterpart(remark="one-time certificates are never written to files"),
        "cert_validity_days": Counterpart(remark="one-time certificates are valid as long as go-plugin's own"),
        "client_cert": Counterpart("tls.certificate", "tls.ca", "PEM, or the path of a file without file://"),
        "client_cert_file": Counterpart("tls.certificate", "tls.ca", "PEM, or the path of a file without file://"),
        "client_key": Counterpart("tls.key", remark="PEM, or the path of a file without file://"),
        "client_key_file": Counterpart("tls.key", remark="PEM, or the path of a file without file://"),
        "client_root_certs": AUTHORITIES,
        "server_cert": Counterpart("tls.ca", "tls.certificate", "PEM, or the path of a file without file://"),
        "server_key": Counterpart("", "tls.key", "PEM, or the path of a file without file://"),
        "server_root_certs": AUTHORITIES,
        "ca_cert": AUTHORITIES,
        "grpc_keepalive_time_ms": Counterpart("keepalive.time", "grpc_options", "a host has it in seconds"),
        "grpc_keepalive_timeout_ms": Counterpart("keepalive.timeout", "grpc_options", "a host has it in seconds"),
        "grpc_grace_period": GRACE,
        "timeout_graceful_shutdown": GRACE,
        "grpc_max_receive_message_size": Counterpart("max_receive_bytes", "max_receive_bytes"),
        "grpc_max_send_message_size": Counterpart("max_send_bytes", "max_send_bytes"),
        "client_retry_enabled": Counterpart("retry", remark="None, the default, is off"),
        "client_max_retries": Counterpart("retry.attempts", remark="one more, the first start included"),
        "client_retry_delay": BACKOFF,
        "client_initial_backoff_ms": BACKOFF,
        "client_backoff_multiplier": Counterpart("retry.backoff_multiplier"),
        "client_max_retry_delay": LONGEST_BACKOFF,
        "client_max_backoff_ms": LONGEST_BACKOFF,
        "client_retry_jitter_ms": Counterpart(remark="a plugin has one host, with which no other competes"),
        "client_retry_total_timeout_s": Counterpart(remark="asyncio.timeout() around start() is such a limit"),
        "client_cert_curve": Counterpart("certificate_curve", "certificate_curve"),
        "server_host": Counterpart(remark="a plugin that listens on TCP does so on 127.0.0.1"),
        "server_port": Counterpart("min_port", remark="a host gives the range, min_port to max_port"),
        "server_unix_socket_path": Counterpart("unix_socket_dir", remark="a host gives the directory, a private one"),
        "shutdown_file_path": Counterpart(remark="a host ends its plugin by a call, others by SIGTERM"),
        "exit_on_stop": Counterpart(remark="serve() returns at the end; whether to exit is the program's choice"),
        "ignore_sigint": Counterpart(remark="Ctrl-C is the host's; a plugin in test mode ends by it"),
        "rate_limit_enabled": LIMITER,
        "rate_limit_burst_capacity": LIMITER,
        "rate_limit_requests_per_second": LIMITER,
        "health_service_enabled": Counterpart(remark="always served: hosts ask it whether the plugin is ready"),
        "ui_enabled": OUTPUT,
        "show_emoji_matrix": OUTPUT,
    }
)
"""Counterparts by the name of the other host's setting: lower case, without `plugin_` at the front."""


COOKIE_AND_VERSIONS = "magic_cookie_key, magic_cookie_value, protocol_versions"
STUBS = "stubs are made of client.grpc_channel; here are only the versions that they speak"
COMMAND = Counterpart(remark="the command is the first argument of RPCPluginClient")
DIRECTORY = Counterpart("cwd")

GO_COUNTERPARTS: Mapping[str, Counterpart] = MappingProxyType(
    {
        "HandshakeConfig": Counterpart(COOKIE_AND_VERSIONS, COOKIE_AND_VERSIONS),
        "ProtocolVersion": BOTH_VERSIONS,
        "MagicCookieKey": Counterpart("magic_cookie_key", "magic_cookie_key"),
        "MagicCookieValue": Counterpart("magic_cookie_value", "magic_cookie_value"),
        "Plugins": Counterpart("protocol_versions", "protocol_versions", STUBS),
        "VersionedPlugins": Counterpart("protocol_versions", "protocol_versions", STUBS),
        "Cmd": COMMAND,
        "Reattach": Counterpart(remark="it is an argument of RPCPluginClient: reattach=ReattachConfig(...)"),
        "RunnerFunc": Counterpart("runner", remark="an object with an async start()"),
        "SecureConfig": Counterpart("secure_config"),
        "TLSConfig": Counterpart("tls", "tls", "a TLSConfig, or a mapping of its settings"),
        "TLSProvider": Counterpart("tls", "tls", "a TLSConfig, or a mapping of its settings"),
        "Managed": Counterpart("managed"),
        "MinPort": Counterpart("min_port"),
        "MaxPort": Counterpart("max_port"),
        "StartTimeout": Counterpart("start_timeout", remark="in seconds"),
        "Stderr": Counterpart("logger", remark="lines of standard error become records of that logger"),
        "SyncStdout": Counterpart("sync_stdout"),
        "SyncStderr": Counterpart("sync_stderr"),
        "AllowedProtocols": Counterpart(remark="gRPC is the only protocol; net/rpc is refused"),
        "Logger": Counterpart("logger", "log_level", "a logging.Logger or its name"),
        "PluginLogBufferSize": Counterpart(remark="lines of the log may have any length"),
        "AutoMTLS": Counterpart("auto_mtls", remark="a plugin does what its host asks for"),
        "GRPCDialOptions": Counterpart("grpc_options", "grpc_options", "pairs of name and value, as grpcio has them"),
        "GRPCServer": Counterpart("", "interceptors, grpc_options, threads"),
        "GRPCBrokerMultiplex": Counterpart("broker_multiplex"),
        "SkipHostEnv": Counterpart("skip_host_env"),
        "UnixSocketConfig": Counterpart("unix_socket_group, unix_socket_dir"),
        "Test": Counterpart(remark="it is an argument of serve() and RPCPluginServer: test=True"),
        # What Cmd, an exec.Cmd, has in Go, and what subprocess has in Python.
        "Env": Counterpart("env", remark="a mapping"),
        "Environment": Counterpart("env", remark="a mapping"),
        "Dir": DIRECTORY,
        "WorkingDirectory": DIRECTORY,
        "WorkingDir": DIRECTORY,
        "WorkDir": DIRECTORY,
        "Command": COMMAND,
        "Args": COMMAND,
    }
)
"""Counterparts of the fields of go-plugin's own ClientConfig and ServeConfig, and of other names that are usual."""

_GO_BY_LETTERS = {name.lower(): known for name, known in GO_COUNTERPARTS.items()}


def describe_counterpart(setting: str, config: str) -> str | None:
    """The counterpart of a setting of the other host, or of go-plugin, in the words of an error message.

    Args:
        setting: The setting's name, or that of its variable.
        config: `ClientConfig` or `ServerConfig`.

    Returns:
        Words for brackets behind the name; None if neither has such a setting.

    Example:
        >>> describe_counterpart("PLUGIN_HANDSHAKE_TIMEOUT", "ServerConfig")
        'none here, ClientConfig has start_timeout; a plugin waits for nothing before its handshake line'
    """
    known = COUNTERPARTS.get(setting.lower().removeprefix("pyvider_").removeprefix("plugin_"))
    known = known or _GO_BY_LETTERS.get(setting.lower().replace("_", ""))
    if known is None or config not in {"ClientConfig", "ServerConfig"}:
        return None
    own, others, other_config = known.client, known.server, "ServerConfig"
    if config == "ServerConfig":
        own, others, other_config = known.server, known.client, "ClientConfig"
    if not own and not others:
        return f"none here: {known.remark}"
    found = f"nearest: {own}" if own else f"none here, {other_config} has {others}"
    return f"{found}; {known.remark}" if known.remark else found
