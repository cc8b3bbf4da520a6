"""Settings of another Python host, pyvider-rpcplugin 0.5.5, and what they are here: for the errors of those who move.

There, `plugin_magic_cookie_key` and the variable `PLUGIN_MAGIC_COOKIE_KEY` are the same setting, and it is left to the
reader whether it is the host's or the plugin's. Here hosts have `ClientConfig`, plugins `ServerConfig`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["ELSEWHERE", "Elsewhere", "here"]


class Elsewhere(NamedTuple):
    """What a setting of the other host is here."""

    client: str = ""
    """The setting of `ClientConfig`, with a dot into a nested one; empty for none."""

    server: str = ""
    """The setting of `ServerConfig`, likewise."""

    remark: str = ""
    """What differs, or why there is none."""


BOTH_VERSIONS = Elsewhere("protocol_versions", "protocol_versions")
TRANSPORTS = Elsewhere("transports", "network")
AUTHORITIES = Elsewhere("tls.ca", "tls.ca")
BUFFERS = Elsewhere(remark="buffers grow and shrink by themselves")
OUTPUT = Elsewhere(remark="nothing is printed that could be adorned")
LIMITER = Elsewhere("", "interceptors", "an interceptor can count calls")
BACKOFF = Elsewhere("retry.backoff", remark="in seconds")
LONGEST_BACKOFF = Elsewhere("retry.max_backoff", remark="in seconds")
GRACE = Elsewhere("shutdown_timeout", "grace", "in seconds")

ELSEWHERE: Mapping[str, Elsewhere] = MappingProxyType(
    {
        "core_version": Elsewhere(remark="1 is the only one there is"),
        "protocol_versions": BOTH_VERSIONS,
        "protocol_version": BOTH_VERSIONS,
        "supported_protocol_versions": BOTH_VERSIONS,
        "magic_cookie_key": Elsewhere("magic_cookie_key", "magic_cookie_key"),
        "magic_cookie_value": Elsewhere("magic_cookie_value", "magic_cookie_value"),
        "magic_cookie": Elsewhere("magic_cookie_value", "magic_cookie_value"),
        "log_level": Elsewhere("logger", "log_level", "a host sets the level of that logger"),
        "handshake_timeout": Elsewhere("start_timeout", remark="a plugin waits for nothing before its handshake line"),
        "connection_timeout": Elsewhere("connect_timeout", remark="a plugin waits for its host without limit"),
        "channel_ready_timeout": Elsewhere("connect_timeout", remark="it includes the first answer of the plugin"),
        "server_ready_timeout": Elsewhere(remark="a plugin listens before it announces itself"),
        "server_transports": TRANSPORTS,
        "client_transports": TRANSPORTS,
        "supported_transports": TRANSPORTS,
        "transports": TRANSPORTS,
        "transport_buffer_size": BUFFERS,
        "buffer_size": BUFFERS,
        "chunk_size": BUFFERS,
        "auto_mtls": Elsewhere("auto_mtls", remark="a plugin does what its host asks for"),
        "insecure": Elsewhere("auto_mtls", remark="False is plaintext; a plugin does what its host asks for"),
        "mtls_cert_dir": Elsewhere(remark="one-time certificates are never written to files"),
        "cert_validity_days": Elsewhere(remark="one-time certificates are valid as long as go-plugin's own"),
        "client_cert": Elsewhere("tls.certificate", "tls.ca", "PEM, or the path of a file without file://"),
        "client_cert_file": Elsewhere("tls.certificate", "tls.ca", "PEM, or the path of a file without file://"),
        "client_key": Elsewhere("tls.key", remark="PEM, or the path of a file without file://"),
        "client_key_file": Elsewhere("tls.key", remark="PEM, or the path of a file without file://"),
        "client_root_certs": AUTHORITIES,
        "server_cert": Elsewhere("tls.ca", "tls.certificate", "PEM, or the path of a file without file://"),
        "server_key": Elsewhere("", "tls.key", "PEM, or the path of a file without file://"),
        "server_root_certs": AUTHORITIES,
        "ca_cert": AUTHORITIES,
        "grpc_keepalive_time_ms": Elsewhere("keepalive.time", "grpc_options", "a host has it in seconds"),
        "grpc_keepalive_timeout_ms": Elsewhere("keepalive.timeout", "grpc_options", "a host has it in seconds"),
        "grpc_grace_period": GRACE,
        "timeout_graceful_shutdown": GRACE,
        "grpc_max_receive_message_size": Elsewhere("max_receive_bytes", "max_receive_bytes"),
        "grpc_max_send_message_size": Elsewhere("max_send_bytes", "max_send_bytes"),
        "client_retry_enabled": Elsewhere("retry", remark="None, the default, is off"),
        "client_max_retries": Elsewhere("retry.attempts", remark="one more, the first start included"),
        "client_retry_delay": BACKOFF,
        "client_initial_backoff_ms": BACKOFF,
        "client_backoff_multiplier": Elsewhere("retry.backoff_multiplier"),
        "client_max_retry_delay": LONGEST_BACKOFF,
        "client_max_backoff_ms": LONGEST_BACKOFF,
        "client_retry_jitter_ms": Elsewhere(remark="a plugin has one host, with which no other competes"),
        "client_retry_total_timeout_s": Elsewhere(remark="asyncio.timeout() around start() is such a limit"),
        "client_cert_curve": Elsewhere("certificate_curve", "certificate_curve"),
        "server_host": Elsewhere(remark="a plugin that listens on TCP does so on 127.0.0.1"),
        "server_port": Elsewhere("min_port", remark="a host gives the range, min_port to max_port"),
        "server_unix_socket_path": Elsewhere("unix_socket_dir", remark="a host gives the directory, a private one"),
        "shutdown_file_path": Elsewhere(remark="a host ends its plugin by a call, others by SIGTERM"),
        "exit_on_stop": Elsewhere(remark="serve() returns at the end; whether to exit is the program's choice"),
        "ignore_sigint": Elsewhere(remark="Ctrl-C is the host's; a plugin in test mode ends by it"),
        "rate_limit_enabled": LIMITER,
        "rate_limit_burst_capacity": LIMITER,
        "rate_limit_requests_per_second": LIMITER,
        "health_service_enabled": Elsewhere(remark="always served: hosts ask it whether the plugin is ready"),
        "ui_enabled": OUTPUT,
        "show_emoji_matrix": OUTPUT,
    }
)
"""By name: lower case, without `plugin_` at the front."""


def here(setting: str, config: str) -> str | None:
    """What a setting of the other host is in a configuration, in the words of an error message.

    Args:
        setting: The setting's name, or that of its variable.
        config: `ClientConfig` or `ServerConfig`.

    Returns:
        Words for brackets behind the name; None if the other host has no such setting.

    Example:
        >>> here("PLUGIN_HANDSHAKE_TIMEOUT", "ServerConfig")
        'none here, ClientConfig has start_timeout; a plugin waits for nothing before its handshake line'
    """
    known = ELSEWHERE.get(setting.lower().removeprefix("pyvider_").removeprefix("plugin_"))
    if known is None or config not in {"ClientConfig", "ServerConfig"}:
        return None
    own, others, other_config = known.client, known.server, "ServerConfig"
    if config == "ServerConfig":
        own, others, other_config = known.server, known.client, "ClientConfig"
    if not own and not others:
        return f"none here: {known.remark}"
    found = f"nearest: {own}" if own else f"none here, {other_config} has {others}"
    return f"{found}; {known.remark}" if known.remark else found
