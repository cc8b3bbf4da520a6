"""`PoolStats`: JSON, pickle, one line of text."""

from __future__ import annotations

import json
import pickle

from ferrule.pool.measures import (
    BreakerCount,
    DurationStats,
    Histogram,
    MeasuresByName,
    PendingLeases,
    PluginStats,
    PoolStats,
    names_of,
)
from html_parts import text_of


def whole() -> PoolStats:
    measures = MeasuresByName()
    kv = measures["kv"]
    kv.starts["none"] += 2
    kv.exits["idle", "shutdown"] += 1
    kv.exits["idle", "kill"] += 1
    kv.lease_wait["warm"].add(0.000_05)
    kv.lease_wait["cold"].add(0.03)
    kv.calls["/kv.KV/Get"].seconds["OK"].add(0.002)
    kv.calls["/kv.KV/Put"].seconds["UNAVAILABLE"].add(0.002)
    kv.calls["/kv.KV/Put"].unknown += 1
    plugins = (
        PluginStats("kv", "leased", 42, leases=2, calls=7, memory_bytes=3 * 2**20),
        PluginStats("kv", "queued"),
        PluginStats("kv", "leased", 43, leases=1),
    )
    return PoolStats(
        "main",
        plugins,
        names_of(measures),
        (PendingLeases("kv", 5, 2), PendingLeases("kv", 0, 1)),
        (BreakerCount("kv", "open", 1),),
        plugins_max=500,
    )


def test_stats_are_written_as_json() -> None:
    read = json.loads(json.dumps(whole().to_dict()))
    assert read["plugins"][0]["memory_bytes"] == 3 * 2**20
    assert read["plugins"][1]["pid"] is None
    assert read["pending"][0] == {"name": "kv", "priority": 5, "count": 2}
    (kv,) = read["names"]
    assert kv["starts"] == {"none": 2}
    assert kv["exits"] == {"idle": 2}
    assert set(kv["lease_wait"]) == {"warm", "cold"}
    assert kv["lease_wait"]["cold"]["count"] == 1
    assert (kv["calls"], kv["calls_failed"], kv["calls_unknown"]) == (2, 1, 1)
    assert kv["call_seconds"]["count"] == 2


def test_stats_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(whole())) == whole()


def test_stats_are_one_line() -> None:
    assert repr(whole()) == (
        "<PoolStats 'main': 3 of 500 plugins (2 leased, 1 queued), 3 leases, 3 waiting, 2 calls, 1 unknown>"
    )
    assert repr(whole().plugins[0]) == "<PluginStats 'kv': leased, pid 42, 2 leases, 7 calls, 3.0 MiB>"
    assert repr(whole().plugins[1]) == "<PluginStats 'kv': queued, no process, 0 leases, 0 calls>"


def test_durations_of_an_empty_histogram() -> None:
    assert DurationStats.of(Histogram()) == DurationStats(0, 0.0, None, None, None)


def test_notebook_shows_a_row_for_each_plugin() -> None:
    text = text_of(whole()._repr_html_())
    assert repr(whole()).strip("<>") in text
    assert text.count("leased") == 3
    assert "3.0 MiB" in text


def test_notebook_shows_names_as_text_and_no_more_rows_than_can_be_read() -> None:
    stats = PoolStats("<script>", tuple(PluginStats("<script>", "ready", pid) for pid in range(60)))
    html = stats._repr_html_()
    assert "<script" not in html
    assert text_of(html).endswith("... and 10 more")


def test_notebook_of_an_empty_pool() -> None:
    assert text_of(PoolStats("main")._repr_html_()) == repr(PoolStats("main")).strip("<>")
