"""Specs of providers for pools: what tells their processes apart, what is asked of them, what leases refuse."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError, RPCPluginError
from ferrule.pool import PluginPool, PluginSpec, PluginUnavailable
from ferrule.pool.key import key_of
from ferrule.reattach import ReattachConfig
from ferrule.terraform import (
    UNKNOWN,
    ConfigurationError,
    LifecycleError,
    Provider,
    ProviderError,
    ProviderNotFoundError,
    cty,
    provider_spec,
)
from ferrule.terraform.messages import Protocol
from ferrule.terraform.pool.canonical import canonical
from ferrule.terraform.pool.methods import NOT_REPEATED, REPEATED, idempotent_paths
from peers import provider_path
from terraform import moody as moody_program

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]


@pytest.mark.parametrize("version", [5, 6])
def test_every_method_may_be_repeated_or_has_a_reason_why_not(version: int) -> None:
    service = Protocol.of(version).service
    known = {name for name in REPEATED | NOT_REPEATED.keys() if Protocol.of(version).has(name)}
    assert {Protocol.of(version).path(name) for name in known} == {
        f"/{service.full_name}/{each.name}" for each in service.methods
    }
    assert {path for path in idempotent_paths() if f"tfplugin{version}" in path} >= {
        Protocol.of(version).path(name) for name in known & REPEATED
    }
    assert not {Protocol.of(version).path(name) for name in known & NOT_REPEATED.keys()} & idempotent_paths()


def test_streams_are_not_repeated() -> None:
    streams = [each.name for each in Protocol.of(6).service.methods if each.server_streaming or each.client_streaming]
    assert set(streams) <= NOT_REPEATED.keys()
    assert not REPEATED & NOT_REPEATED.keys()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


def kinds(value: Any) -> Any:
    """A value with the kinds of its parts: for Python 1, 1.0 and True are equal."""
    match value:
        case dict():
            return {key: kinds(each) for key, each in value.items()}
        case list():
            return [kinds(each) for each in value]
    return type(value), repr(value)


@given(st.dictionaries(st.text(max_size=2), VALUES, max_size=3), st.dictionaries(st.text(max_size=2), VALUES))
def test_a_configuration_has_one_form_and_shares_it_with_no_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical(one) == canonical(dict(reversed(one.items())))
    assert (canonical(one) == canonical(other)) == (kinds(one) == kinds(other))


def test_values_of_all_kinds_differ() -> None:
    typed = [cty.Typed(["a"], cty.List(cty.STRING)), cty.Typed(["a"], cty.Set(cty.STRING)), ["a"], {"a"}, {"a": None}]
    values = [*typed, "1", 1, 1.0, True, b"1", None, UNKNOWN, cty.Unknown(prefix="1"), "UNKNOWN", 2**70, "\ud800"]
    # The nearest float of both is 0.1.
    values += [object(), object(), 0.1, Decimal("0.1"), Decimal("0.10000000000000000001")]
    assert len({canonical(each) for each in values}) == len(values)
    assert canonical(("a", 1)) == canonical(["a", 1])


def spec_of(program: Path, config: Any = None, **options: Any) -> PluginSpec:
    return provider_spec(program, {} if config is None else config, **options)


def test_specs_share_processes_by_what_their_processes_have_in_common(tmp_path: Path) -> None:
    program = moody_program.program(tmp_path)
    key = key_of(spec_of(program, {"region": "a", "password": "b"}))
    assert key_of(spec_of(program, {"password": "b", "region": "a"}, stop_timeout=3, core="opentofu")) == key
    for other in (
        spec_of(program, {"region": "a", "password": "c"}),
        spec_of(program, {"region": "a"}),
        spec_of(program, {}),
        provider_spec(program),
        spec_of(program, {"region": "a", "password": "b"}, terraform_version="1.9.0"),
        spec_of(program, {"region": "a", "password": "b"}, settings={"env": {"A": "b"}}),
        PluginSpec([program]),
    ):
        assert key_of(other) != key


def test_a_spec_keeps_the_configuration_that_it_was_given(tmp_path: Path) -> None:
    config = {"region": "a", "password": "hunter2"}
    spec = spec_of(moody_program.program(tmp_path), config, group="account", name=None)
    key = key_of(spec)
    config["region"] = "b"
    assert key_of(spec) == key
    assert (spec.group, spec.name) == ("account", "terraform-provider-moody6")
    assert "hunter2" not in f"{spec!r}{spec.on_start!r}"
    assert key_of(pickle.loads(pickle.dumps(spec))) == key


def test_what_cannot_be_pooled_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProviderNotFoundError):
        provider_spec(tmp_path / "terraform-provider-nothing")
    with pytest.raises(ConfigError, match="max_calls"):
        spec_of(moody_program.program(tmp_path), max_calls=0)
    with pytest.raises(ConfigError, match="config"):
        provider_spec("a", 3)  # type: ignore[arg-type]
    reattach = ReattachConfig(protocol_version=6, network="unix", address="/nowhere", pid=1)
    monkeypatch.setenv("TF_REATTACH_PROVIDERS", f'{{"example/moody": {reattach.to_json()}}}')
    with pytest.raises(ConfigError, match="runs already, and a pool starts its plugins"):
        provider_spec("example/moody", {})


@asynccontextmanager
async def pooled(spec: PluginSpec) -> AsyncIterator[tuple[PluginPool, Provider]]:
    async with PluginPool() as pool, pool.lease(spec) as lease, Provider.over(lease) as provider:
        yield pool, provider


@pytest.mark.parametrize("version", [5, 6])
async def test_a_provider_of_a_lease_does_what_another_does(version: int, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    spec = spec_of(moody_program.program(tmp_path, version, calls), {"region": "here"})
    async with pooled(spec) as (pool, provider):
        assert calls.read_text().split()[-1] == "ConfigureProvider"
        begun = len(calls.read_text().split())
        assert provider.is_configured
        assert "configured" in repr(provider)
        thing = provider.resource("moody_thing")
        plan = await thing.plan({"name": "a"})
        async with pool.lease(spec) as second, Provider.over(second) as other:
            assert other.client is provider.client
            assert await other.schema() is await provider.schema()
            # A plan is that of the spec, not of one lease.
            state = await other.resource("moody_thing").apply(plan)
        assert state is not None
        assert await thing.read(state) == state
        with pytest.raises(LifecycleError, match="the provider is configured already"):
            await provider.configure({})
        assert "GetProviderSchema" not in calls.read_text().split()[begun:]
        client = provider.client
        await provider.close()
        with pytest.raises(LifecycleError, match="not started"):
            await thing.read(state)
        assert client is not None
        assert client.is_started


async def test_processes_of_a_spec_have_one_schema_and_plans_outlive_them(tmp_path: Path) -> None:
    """Also where the program is a script, whose schema no cache keeps."""
    spec = spec_of(moody_program.program(tmp_path))
    async with PluginPool() as pool:
        async with pool.lease(spec) as lease, Provider.over(lease) as provider:
            schema, first = await provider.schema(), lease.pid
            plan = await provider.resource("moody_thing").plan({"name": "a"})
        await pool.evict(spec)
        async with pool.lease(spec) as lease, Provider.over(lease) as provider:
            assert lease.pid != first
            assert await provider.schema() is schema
            assert await provider.resource("moody_thing").apply(plan) is not None


async def test_a_spec_without_configuration(tmp_path: Path) -> None:
    async with pooled(provider_spec(moody_program.program(tmp_path))) as (_, provider):
        assert "moody_thing" in (await provider.schema()).resources
        await provider.resource("moody_thing").validate({"name": "a"})
        assert await provider.functions.shout("a") == "A"
        with pytest.raises(LifecycleError, match=r"needs a provider that is configured.*provider_spec"):
            await provider.resource("moody_thing").plan({"name": "a"})
        # It would be that of all others too.
        with pytest.raises(LifecycleError, match=r"provider_spec"):
            await provider.configure({})


async def test_a_configuration_that_is_refused(tmp_path: Path) -> None:
    async with PluginPool() as pool:
        for wrong, cause in ({"region": "nowhere"}, ProviderError), ({"reigon": "here"}, ConfigurationError):
            spec = spec_of(moody_program.program(tmp_path), {**wrong, "password": "hunter2"})
            with pytest.raises(PluginUnavailable, match="does not start") as caught:
                async with pool.lease(spec):
                    pass
            assert isinstance(caught.value.__cause__, cause)
            assert "hunter2" not in str(caught.value)


@pytest.mark.go
async def test_a_provider_is_over_a_lease_of_a_providers_spec() -> None:
    program = provider_path("time")
    spec = provider_spec(program, {})
    async with PluginPool() as pool, pool.lease(PluginSpec([program])) as plain, pool.lease(spec) as lease:
        with pytest.raises(ConfigError, match=r"expected a spec of provider_spec\(\)"):
            Provider.over(plain)
        with pytest.raises(ConfigError, match="given config, core, which its process has from its spec"):
            Provider.over(lease, {}, core="opentofu")
        with pytest.raises(TypeError, match=r"expected a ferrule\.client"):
            Provider.over(pool)  # type: ignore[arg-type]
    with pytest.raises(RPCPluginError):
        await Provider.over(pool.lease(spec)).start()
    assert isinstance(lease.client, RPCPluginClient)


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"password": value}
    return value


def _cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["password"] = value
    return value


@pytest.mark.parametrize("setting", ["config", "provider_meta"])
@pytest.mark.parametrize(
    "values",
    [{"password": (each for each in "s3cret")}, _nested(350), _nested(5000), _cyclic()],
    ids=["generator", "350", "5000", "cycle"],
)
def test_values_that_cannot_be_copied_or_compared_are_refused_at_once(setting: str, values: Any) -> None:
    with pytest.raises(ConfigError, match=f"setting {setting} is <hidden>"):
        provider_spec(provider_path("time"), **{setting: values})
