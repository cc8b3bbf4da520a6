"""Channel options that gRPC's client honours and this channel ignores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["IGNORED"]

_WINDOW_BYTES = 4 * 1024 * 1024


class Ignored(NamedTuple):
    """The reason why an option has no effect here, and a test for values for which that makes no difference."""

    reason: str
    harmless: Callable[[Any], bool]


def _among(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _fits_window(value: Any) -> bool:
    return not isinstance(value, str | bytes) and int(value) <= _WINDOW_BYTES


def _is_empty_json(value: Any) -> bool:
    import json

    try:
        return not json.loads(value)
    except (TypeError, ValueError):
        return False


_BUFFERS = "buffers have sizes of their own"
_LOOKUPS = "names are looked up by the system, when the channel connects"
_NO_BALANCING = "a channel has one connection"
_NO_CHANNELZ = "what the channel has done is in its stats()"
_NO_PROXY = "the channel connects straight to its target"
_NO_RETRIES = "no call is repeated after a failure; an interceptor can do that"
_OWN_HTTP2 = "frames and header tables have the sizes of HTTP/2's defaults or larger"
_PINGS = "pings follow the keepalive options alone"
_SOCKETS = "sockets keep the system's settings"
_WINDOWS = f"the flow-control window is {_WINDOW_BYTES} bytes"

# Options by the reason. Harmless are values that ask for the channel's own behaviour, and gRPC's defaults.
_BY_REASON: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    _BUFFERS: {
        "grpc.experimental.tcp_max_read_chunk_size": _among(),
        "grpc.experimental.tcp_min_read_chunk_size": _among(),
        "grpc.experimental.tcp_read_chunk_size": _among(),
        "grpc.experimental.tcp_tx_zerocopy_enabled": _among(0),
        "grpc.http2.write_buffer_size": _among(64 * 1024),
        "grpc.resource_quota": _among(),
    },
    _LOOKUPS: {
        "grpc.dns_ares_query_timeout": _among(),
        "grpc.dns_enable_srv_queries": _among(0),
        "grpc.dns_min_time_between_resolutions_ms": _among(30_000),
        "grpc.happy_eyeballs_connection_attempt_delay_ms": _among(),
    },
    _NO_BALANCING: {
        "grpc.grpclb_call_timeout_ms": _among(),
        "grpc.grpclb_fallback_timeout_ms": _among(),
        "grpc.inhibit_health_checking": _among(1),
        "grpc.lb_policy_name": _among("pick_first", b"pick_first"),
        "grpc.priority_failover_timeout_ms": _among(),
    },
    _NO_CHANNELZ: {
        "grpc.enable_channelz": _among(0),
        "grpc.max_channel_trace_event_memory_per_node": _among(0),
    },
    _NO_PROXY: {
        "grpc.address_http_proxy": _among("", b""),
        "grpc.address_http_proxy_enabled_addresses": _among("", b""),
        "grpc.enable_http_proxy": _among(0),
        "grpc.http_connect_headers": _among("", b""),
        "grpc.http_connect_server": _among("", b""),
        "grpc.http_proxy": _among("", b""),
    },
    _NO_RETRIES: {
        "grpc.enable_retries": _among(0),
        "grpc.experimental.enable_hedging": _among(0),
        "grpc.per_rpc_retry_buffer_size": _among(0),
    },
    _OWN_HTTP2: {
        "grpc.http2.hpack_table_size.decoder": _among(4096),
        "grpc.http2.hpack_table_size.encoder": _among(4096),
        "grpc.http2.initial_sequence_number": _among(1),
        "grpc.http2.max_frame_size": _among(16 * 1024),
        "grpc.http2.true_binary": _among(0),
        "grpc.tsi.max_frame_size": _among(16 * 1024),
    },
    _PINGS: {
        "grpc.http2.max_pings_without_data": _among(0),
        "grpc.http2.min_time_between_pings_ms": _among(),
        "grpc.http2.ping_timeout_ms": _among(),
    },
    _SOCKETS: {
        "grpc.dscp": _among(-1),
        "grpc.socket_factory": _among(),
        "grpc.socket_mutator": _among(),
        "grpc.tcp_receive_buffer_size": _among(-1),
    },
    _WINDOWS: {
        "grpc.http2.bdp_probe": _among(1),
        "grpc.http2.lookahead_bytes": _fits_window,
    },
    "identity, deflate and gzip are always accepted": {"grpc.compression_enabled_algorithms_bitset": _among(7)},
    "messages are compressed as the call asks": {"grpc.per_message_compression": _among(1)},
    "compressed messages are always decompressed": {"grpc.per_message_decompression": _among(1)},
    "each channel has connections of its own": {"grpc.use_local_subchannel_pool": _among()},
    "each channel remembers its own TLS sessions": {"grpc.ssl_session_cache": _among()},
    "there is one time for an attempt to connect: grpc.min_reconnect_backoff_ms": {
        "grpc.http2.settings_timeout": _among()
    },
    "calls always have an authority and a user agent": {
        "grpc.disable_client_authority_filter": _among(0),
        "grpc.minimal_stack": _among(0),
        "grpc.surface_user_agent": _among(1),
    },
    f"no service config is applied; {_NO_RETRIES}": {
        "grpc.service_config": _is_empty_json,
        "grpc.service_config_disable_resolution": _among(1),
    },
}

IGNORED: Mapping[str, Ignored] = {
    name: Ignored(reason, harmless) for reason, names in _BY_REASON.items() for name, harmless in names.items()
}
