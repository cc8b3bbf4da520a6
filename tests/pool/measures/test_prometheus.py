"""The collector, read back by the parsers of prometheus_client."""

from __future__ import annotations

import builtins
import importlib
import sys
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ferrule.errors import ConfigError
from ferrule.pool.measures.catalogue import CATALOGUE
from ferrule.pool.prometheus import PoolCollector
from pool.measures.watched_pool import MIB, WatchedPool

GENERATE_OPENMETRICS: Any = openmetrics.generate_latest

KV = {"pool": "main", "plugin": "kv"}
PUT = {**KV, "rpc_system_name": "grpc", "rpc_method": "kv.KV/Put", "rpc_response_status_code": "UNAVAILABLE"}

VALUES = [
    ("ferrule_pool_plugins", {**KV, "state": "leased"}, 1),
    ("ferrule_pool_plugins", {**KV, "state": "draining"}, 0),
    ("ferrule_pool_plugins", {**KV, "plugin": "aws", "state": "queued"}, 1),
    ("ferrule_pool_plugins_max", {"pool": "main"}, 500),
    ("ferrule_pool_plugin_start_seconds_count", {**KV, "phase": "launch"}, 1),
    ("ferrule_pool_plugin_start_seconds_bucket", {**KV, "phase": "launch", "le": "0.025"}, 0),
    ("ferrule_pool_plugin_start_seconds_bucket", {**KV, "phase": "launch", "le": "0.05"}, 1),
    ("ferrule_pool_plugin_starts_total", {**KV, "error_type": "none"}, 3),
    ("ferrule_pool_plugin_starts_total", {**KV, "error_type": "timeout"}, 1),
    ("ferrule_pool_plugin_starts_total", {**KV, "error_type": "security"}, 0),
    ("ferrule_pool_plugin_exits_total", {**KV, "reason": "idle", "rung": "shutdown"}, 1),
    ("ferrule_pool_plugin_exits_total", {**KV, "reason": "crash", "rung": ""}, 2),
    ("ferrule_pool_leases_pending", {**KV, "priority": "0"}, 1),
    ("ferrule_pool_leases_pending", {**KV, "plugin": "aws", "priority": "5"}, 2),
    ("ferrule_pool_lease_wait_seconds_count", {**KV, "outcome": "warm"}, 2),
    ("ferrule_pool_lease_wait_seconds_sum", {**KV, "outcome": "cold"}, 0.2),
    ("ferrule_pool_lease_use_seconds_bucket", {**KV, "le": "1800.0"}, 0),
    ("ferrule_pool_lease_use_seconds_bucket", {**KV, "le": "+Inf"}, 1),
    ("ferrule_pool_lease_timeouts_total", KV, 4),
    ("ferrule_pool_lease_refused_total", KV, 5),
    ("ferrule_pool_lease_leaked_total", KV, 6),
    ("ferrule_rpc_client_call_seconds_sum", {**PUT, "error_type": "UNAVAILABLE"}, 1.5),
    ("ferrule_pool_calls_in_flight", KV, 2),
    ("ferrule_pool_calls_unknown_total", {**KV, "rpc_method": "kv.KV/Put"}, 1),
    ("ferrule_pool_calls_unknown_total", {**KV, "rpc_method": "kv.KV/Get"}, 0),
    ("ferrule_pool_memory_bytes", KV, 7 * MIB),
    ("ferrule_pool_memory_bytes", {**KV, "plugin": "(shared)"}, 12 * MIB),
    ("ferrule_pool_memory_limit_bytes", {"pool": "main"}, 100 * MIB),
    ("ferrule_pool_cpu_seconds_total", {**KV, "state": "user"}, 1.25),
    ("ferrule_pool_cpu_seconds_total", {**KV, "state": "system"}, 0.5),
    ("ferrule_pool_io_bytes_total", {**KV, "direction": "transmit"}, 107),
    ("ferrule_pool_io_bytes_total", {**KV, "direction": "receive"}, 1_009),
    ("ferrule_pool_breakers", {**KV, "state": "open"}, 1),
    ("ferrule_pool_breakers", {**KV, "state": "half_open"}, 0),
    ("ferrule_start_slots", {}, 1),
    ("ferrule_start_slots_max", {}, 2),
]


def registry_of(*pools: WatchedPool) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(PoolCollector(*pools))
    return registry


def samples(text: str, parse: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = [(sample.name, frozenset(sample.labels.items()), sample.value) for m in parse(text) for sample in m.samples]
    values = {(name, labels): value for name, labels, value in found}
    assert len(values) == len(found)
    return values


@pytest.mark.parametrize("form", ["text", "openmetrics"])
def test_values_are_read_back(form: str) -> None:
    registry = registry_of(WatchedPool())
    if form == "text":
        read = samples(generate_latest(registry).decode(), parse_text)
    else:
        read = samples(GENERATE_OPENMETRICS(registry).decode(), parse_openmetrics)
    expected = {(name, frozenset(labels.items())): value for name, labels, value in VALUES}
    assert {key: read.get(key) for key in expected} == pytest.approx(expected)


def test_each_metric_of_the_catalogue_is_there() -> None:
    read = samples(generate_latest(registry_of(WatchedPool())).decode(), parse_text)
    names = {name for name, _ in read}
    for metric in CATALOGUE:
        assert not metric.prometheus or {metric.prometheus, f"{metric.prometheus}_bucket"} & names
    assert {metric.prometheus for metric in CATALOGUE if metric.prometheus} == {
        name.removesuffix("_bucket") for name in names if not name.endswith(("_count", "_sum"))
    }


def test_pools_of_one_collector() -> None:
    first, second = WatchedPool("first"), WatchedPool("second")
    collector = PoolCollector(first)
    registry = CollectorRegistry()
    registry.register(collector)
    collector.add(second)
    read = samples(GENERATE_OPENMETRICS(registry).decode(), parse_openmetrics)
    assert {dict(labels)["pool"] for name, labels in read if name == "ferrule_pool_plugins_max"} == {"first", "second"}
    assert read["ferrule_start_slots", frozenset()] == 1
    collector.remove(first)
    assert registry.get_sample_value("ferrule_pool_plugins_max", {"pool": "first"}) is None


def test_counters_never_fall() -> None:
    pool = WatchedPool()
    registry = registry_of(pool)

    def user_seconds() -> float | None:
        return registry.get_sample_value("ferrule_pool_cpu_seconds_total", {**KV, "state": "user"})

    assert user_seconds() == 1.25
    # The plugin ends, and what it used is not yet among what ended ones did.
    del pool.plugins[0]
    assert user_seconds() == 1.25
    pool.measures["kv"].cpu_user += 0.5
    assert user_seconds() == 1.5


def test_the_counters_of_a_new_pool_with_the_name_of_another_begin_at_0() -> None:
    first, second = WatchedPool(), WatchedPool()
    second.measures["kv"].lease_timeouts = 1
    collector = PoolCollector(first)
    registry = CollectorRegistry()
    registry.register(collector)
    registry.get_sample_value("ferrule_pool_lease_timeouts_total", KV)
    collector.remove(first)
    collector.add(second)
    assert registry.get_sample_value("ferrule_pool_lease_timeouts_total", KV) == 1


def test_a_second_collector_in_one_registry_is_refused() -> None:
    with pytest.raises(ValueError, match="Duplicated"):
        registry_of(WatchedPool()).register(PoolCollector(WatchedPool("other")))


def test_what_is_no_pool_is_refused_before_a_scrape() -> None:
    collects: list[Any] = [PoolCollector, PoolCollector().add]
    for collect in collects:
        with pytest.raises(ConfigError, match="the pool is of type str, expected a PluginPool"):
            collect("main")


def test_without_a_limit_of_memory_there_is_none() -> None:
    pool = WatchedPool()
    pool.memory_limit_bytes = None
    assert registry_of(pool).get_sample_value("ferrule_pool_memory_limit_bytes", {"pool": "main"}) is None


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [("ferrule.pool.prometheus", "prometheus_client", "prometheus"), ("ferrule.pool.otel", "opentelemetry", "otel")],
)
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, module: str, library: str, extra: str) -> None:
    found = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == library:
            raise ImportError(name)
        return found(name, *arguments)

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=rf'^{module} needs the package .*: pip install "ferrule\[{extra}\]"$'):
        importlib.import_module(module)
