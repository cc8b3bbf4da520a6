"""What a pool counts, by the names of its plugins."""

from __future__ import annotations

import pytest

from ferrule import errors
from ferrule.pool.measures import ERROR_TYPES, MeasuresByName, error_type


def test_counters_of_a_new_name_are_zero() -> None:
    measures = MeasuresByName()["kv"]
    assert measures.starts == dict.fromkeys(ERROR_TYPES, 0)
    assert measures.exits["idle", "shutdown"] == 0
    assert measures.calls["/kv.KV/Get"].unknown == 0


def test_a_word_that_is_no_outcome_is_an_error() -> None:
    with pytest.raises(KeyError):
        MeasuresByName()["kv"].lease_wait["wram"].add(1)


def test_names_beyond_the_limit_are_counted_together() -> None:
    measures = MeasuresByName(limit=2)
    for name in ("a", "b", "c", "d", "a"):
        measures[name].lease_timeouts += 1
    assert {name: each.lease_timeouts for name, each in measures.items()} == {"a": 2, "b": 1, "(other)": 2}


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (None, "none"),
        (errors.HandshakeError("x"), "handshake"),
        (errors.StartTimeoutError("x"), "timeout"),
        (errors.ConnectTimeoutError("x"), "timeout"),
        (errors.PluginExitedError("x"), "exited"),
        (errors.SecurityError("x"), "security"),
        (errors.LaunchError("x"), "launch"),
        (errors.TransportError("x"), "transport"),
        (errors.ProtocolError("x"), "protocol"),
        (errors.ConfigError("x"), "config"),
        (RuntimeError("on_start"), "other"),
    ],
)
def test_types_of_errors(error: BaseException | None, name: str) -> None:
    assert error_type(error) == name
    assert name in ERROR_TYPES
