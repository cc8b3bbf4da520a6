"""Channel options: what each becomes, what is refused, what is warned of."""

from __future__ import annotations

import re
import warnings
from typing import Any

import grpc
import pytest
from grpc.experimental import session_cache

from ferrule import __version__
from ferrule.channel import options
from ferrule.channel.ignored_options import IGNORED
from ferrule.channel.options import channel_settings, name_override

DEFAULTS = {
    "authority": None,
    "user_agent": f"grpc-python-ferrule/{__version__}",
    "max_receive_bytes": 4194304,
    "max_send_bytes": None,
    "max_metadata_bytes": 16384,
    "compression": 0,
    "keepalive_time": None,
    "keepalive_timeout": 20.0,
    "keepalive_without_calls": False,
    "initial_backoff": 1.0,
    "max_backoff": 120.0,
    "connect_timeout": 20.0,
    "idle_timeout": 1800.0,
}


@pytest.fixture(autouse=True)
def nothing_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "_warned", set())


def changed(*given: tuple[Any, Any], compression: Any = None) -> dict[str, Any]:
    """The settings that differ from the defaults."""
    settings = channel_settings(given, compression)
    assert settings.keys() == DEFAULTS.keys()
    return {name: value for name, value in settings.items() if value != DEFAULTS[name]}


@pytest.mark.parametrize("none", [None, (), [], iter(())])
def test_defaults_are_those_of_grpc(none: Any) -> None:
    assert channel_settings(none, None) == DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("grpc.max_receive_message_length", 100, {"max_receive_bytes": 100}),
        ("grpc.max_receive_message_length", 0, {"max_receive_bytes": 0}),
        ("grpc.max_receive_message_length", -1, {"max_receive_bytes": None}),
        ("grpc.max_receive_message_length", 2**40, {"max_receive_bytes": 2**40}),
        (b"grpc.max_send_message_length", 100, {"max_send_bytes": 100}),
        ("grpc.max_send_message_length", -1, {}),
        ("grpc.max_metadata_size", 65536, {"max_metadata_bytes": 81920}),
        ("grpc.max_metadata_size", 100, {}),
        ("grpc.absolute_max_metadata_size", 100, {"max_metadata_bytes": 100}),
        ("grpc.keepalive_time_ms", 1500, {"keepalive_time": 1.5}),
        ("grpc.keepalive_time_ms", 2**31 - 1, {}),
        ("grpc.keepalive_time_ms", 0, {}),
        ("grpc.keepalive_timeout_ms", 250, {"keepalive_timeout": 0.25}),
        ("grpc.keepalive_timeout_ms", 0, {"keepalive_timeout": 0.001}),
        ("grpc.keepalive_permit_without_calls", 1, {"keepalive_without_calls": True}),
        ("grpc.keepalive_permit_without_calls", True, {"keepalive_without_calls": True}),
        ("grpc.initial_reconnect_backoff_ms", 200, {"initial_backoff": 0.2}),
        ("grpc.initial_reconnect_backoff_ms", 0, {"initial_backoff": 0.01}),
        ("grpc.max_reconnect_backoff_ms", 500, {"initial_backoff": 0.5, "max_backoff": 0.5}),
        ("grpc.min_reconnect_backoff_ms", 3000, {"connect_timeout": 3.0}),
        ("grpc.client_idle_timeout_ms", 60000, {"idle_timeout": 60.0}),
        ("grpc.client_idle_timeout_ms", 2**31 - 1, {"idle_timeout": None}),
        ("grpc.default_authority", "example.com", {"authority": "example.com"}),
        ("grpc.default_authority", b"example.com", {"authority": "example.com"}),
        ("grpc.ssl_target_name_override", "localhost", {"authority": "localhost"}),
        ("grpc.primary_user_agent", "me/1", {"user_agent": f"me/1 {DEFAULTS['user_agent']}"}),
        ("grpc.secondary_user_agent", "me/1", {"user_agent": f"{DEFAULTS['user_agent']} me/1"}),
        ("grpc.default_compression_algorithm", 2, {"compression": 2}),
        ("grpc.default_compression_algorithm", grpc.Compression.Deflate, {"compression": 1}),
        ("grpc.unheard_of", "x", {}),
        ("mine", 1.5, {}),
    ],
)
def test_options_become_settings(name: Any, value: Any, expected: dict[str, Any]) -> None:
    assert changed((name, value)) == expected


def test_last_of_several_values_counts() -> None:
    first, second = (("grpc.max_send_message_length", size) for size in (1, 2))
    assert changed(first, second) == {"max_send_bytes": 2}


def test_limits_of_metadata_together() -> None:
    soft, hard = ("grpc.max_metadata_size", 65536), ("grpc.absolute_max_metadata_size", 20000)
    assert changed(soft, hard) == {"max_metadata_bytes": 20000}


def test_authority_wins_over_the_name_of_the_certificate() -> None:
    given = [("grpc.default_authority", "a"), ("grpc.ssl_target_name_override", "b")]
    assert changed(*given) == {"authority": "a"}
    assert name_override(given) == "b"
    assert name_override(None) is None


@pytest.mark.parametrize(("compression", "number"), [(grpc.Compression.Gzip, 2), (1, 1), (7, 0)])
def test_compression_wins_over_the_option(compression: Any, number: int) -> None:
    option = ("grpc.default_compression_algorithm", 2)
    assert channel_settings([option], compression)["compression"] == number
    assert channel_settings([option], grpc.Compression.NoCompression)["compression"] == 0


@pytest.mark.parametrize("given", [{"a": 1}, [("a",)], [("a", 1, 2)], "abc", ["ab"], [()]])
def test_what_is_no_pair_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="channel option"):
        channel_settings(given, None)


@pytest.mark.parametrize("given", [5, [5], [(1, 1)], [("a", None)], [("a", object())], [("a", [1])]])
def test_wrong_types_are_refused(given: Any) -> None:
    with pytest.raises(TypeError):
        channel_settings(given, None)


def test_compression_must_be_a_number() -> None:
    with pytest.raises(ValueError, match=r"compression is 'gzip' \(str\), expected a grpc\.Compression"):
        channel_settings(None, "gzip")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grpc.max_receive_message_length", "100"),
        ("grpc.max_receive_message_length", float("nan")),
        ("grpc.max_metadata_size", -1),
        ("grpc.default_compression_algorithm", 7),
        ("grpc.default_authority", 5),
        ("grpc.primary_user_agent", "new\nline"),
        ("grpc.primary_user_agent", "é"),
    ],
)
def test_unusable_values_are_warned_of_and_left_out(name: str, value: Any) -> None:
    with pytest.warns(UserWarning, match=f"channel option '{name}' is .* expected .* is taken"):
        assert changed((name, value)) == {}


@pytest.mark.parametrize(
    ("name", "harmless", "value"),
    [
        ("grpc.service_config", "{}", '{"methodConfig": []}'),
        ("grpc.service_config", b"{}", "not json"),
        ("grpc.enable_retries", 0, 1),
        ("grpc.lb_policy_name", "pick_first", "round_robin"),
        ("grpc.enable_http_proxy", 0, 1),
        ("grpc.http_proxy", "", "localhost:3128"),
        ("grpc.http2.max_pings_without_data", 0, 2),
        ("grpc.http2.lookahead_bytes", 65536, 2**26),
        ("grpc.per_message_compression", 1, 0),
        ("grpc.per_message_decompression", 1, 0),
        ("grpc.compression_enabled_algorithms_bitset", 7, 1),
        ("grpc.dscp", -1, 10),
        ("grpc.http2.max_frame_size", 16384, 1 << 20),
        ("grpc.http2.hpack_table_size.decoder", 4096, 0),
        ("grpc.http2.bdp_probe", 1, 0),
        ("grpc.per_rpc_retry_buffer_size", 0, 1),
        ("grpc.enable_channelz", 0, 1),
        ("grpc.dns_enable_srv_queries", 0, 1),
        ("grpc.service_config_disable_resolution", 1, 0),
        ("grpc.http_connect_server", "", "example.com"),
    ],
)
def test_ignored_options_are_warned_of_once_where_it_matters(name: str, harmless: Any, value: Any) -> None:
    assert changed((name, harmless)) == {}
    with pytest.warns(UserWarning, match=f"channel option '{name}' has no effect: "):
        assert changed((name, value)) == {}
    # Warnings are errors in tests.
    assert changed((name, value)) == {}


@pytest.mark.parametrize("name", IGNORED)
def test_each_ignored_option_is_named_for_a_value_that_matters(name: str) -> None:
    with pytest.warns(UserWarning, match=rf"channel option '{re.escape(name)}' has no effect: \w"):
        assert changed((name, 1 << 30)) == {}


def test_no_option_is_both_honoured_and_ignored() -> None:
    assert not IGNORED.keys() & {option.name for option in options._SETTINGS.values()}


def test_cache_of_tls_sessions_is_named() -> None:
    cache = session_cache.ssl_session_cache_lru(1)  # type: ignore[no-untyped-call]
    with pytest.warns(UserWarning, match=r"'grpc\.ssl_session_cache' has no effect: each channel remembers"):
        changed(("grpc.ssl_session_cache", cache))


def test_warning_points_to_the_line_that_makes_the_channel() -> None:
    def factory() -> None:
        channel_settings([("grpc.enable_retries", 1)], None)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        factory()
    assert caught[0].filename == __file__
    assert caught[0].lineno == factory.__code__.co_firstlineno + 5
