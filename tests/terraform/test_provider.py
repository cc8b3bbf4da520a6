"""The async face: a provider from launch to end, on one with moods."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import ferrule.sync
from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError, RPCPluginError
from ferrule.terraform import (
    UNKNOWN,
    ConfigurationError,
    LifecycleError,
    Provider,
    ProviderError,
    ProviderNotFoundError,
)
from peers import provider_path
from terraform.moody import Moody, attached, created
from waiting import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]

CONFIGURED = ["GetProviderSchema", "GetResourceIdentitySchemas", "ValidateProviderConfig", "ConfigureProvider"]


@pytest.mark.go
async def test_a_program_from_launch_to_end() -> None:
    path = provider_path("time")
    provider = Provider.launch(path, {}, schema_cache=False, settings={"env": {"WORD": "x"}})
    assert repr(provider) == f"<Provider {path!r}: not started>"
    async with provider:
        assert provider.client is not None
        assert repr(provider) == f"<Provider {path!r}: pid {provider.client.pid}, configured>"
        assert (provider.is_configured, provider.address) == (True, "")
        assert (await provider.metadata()).resources == ("time_offset", "time_rotating", "time_sleep", "time_static")
    assert provider.client is None


@pytest.mark.go
async def test_start_and_close_without_a_context_manager() -> None:
    provider = Provider.launch(provider_path("local"), schema_cache=False)
    await provider.start()
    await provider.start()
    await provider.configure({})
    await provider.close()
    await provider.close()
    with pytest.raises(LifecycleError, match="the provider is not started"):
        await provider.validate({})
    await provider.start()
    assert not provider.is_configured
    await provider.close()


@pytest.mark.go
@pytest.mark.parametrize(
    ("name", "resource", "is_asked_again"), [("time", "time_static", False), ("local", "local_file", True)]
)
async def test_the_schema_of_a_program_is_kept_on_disk(
    name: str, resource: str, is_asked_again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider without `get_provider_schema_optional` is asked all the same: other methods fail before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    received = []
    for _ in range(2):
        async with Provider.launch(provider_path(name), {}) as provider:
            assert resource in (await provider.schema()).resources
            assert provider.client is not None
            received.append(provider.client.traffic.content_received)
        # A thread writes it.
        await until(lambda: [each for each in tmp_path.rglob("*.schema") if each.is_file()])
        await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("ferrule schema")])
    assert (received[1] > received[0] / 2) == is_asked_again


async def test_a_start_that_fails_leaves_nothing_and_may_be_repeated(moody: Moody) -> None:
    provider = Provider.reattach(moody.reattach, {"region": "nowhere"})
    for _ in range(2):
        with pytest.raises(ProviderError, match="region: No such region"):
            await provider.start()
        assert provider.client is None


def test_refusals_of_a_launch_say_what_to_pass() -> None:
    with pytest.raises(ConfigError, match=r"the provider is .* \(list\), expected text or a path"):
        Provider.launch(["terraform-provider-example"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"core is 'pulumi'.*help\(ferrule\.terraform\.Provider\.launch\)"):
        Provider.launch("example", core="pulumi")  # type: ignore[arg-type]


async def test_a_client_stays_the_callers(moody: Moody) -> None:
    async with RPCPluginClient(reattach=moody.reattach) as client:
        async with Provider.over(client, {}) as provider:
            assert provider.client is client
        assert client.is_started
        with pytest.raises(ConfigError):
            Provider.over(client, {}, core="pulumi")  # type: ignore[arg-type]
    with pytest.raises(LifecycleError, match="the client is not started"):
        async with Provider.over(client):
            pass


async def test_one_that_runs_goes_by_its_address(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "registry.terraform.io/example/moody"
    monkeypatch.setenv("TF_REATTACH_PROVIDERS", f'{{"{address}": {moody.reattach.to_json()}}}')
    for make in (Provider.reattach, Provider.launch):
        async with make("example/moody", {}) as provider:
            assert provider.address == address
            assert (await created(provider)).provider == address
    async with Provider.reattach(None, {}) as provider:
        assert provider.address == ""
    with pytest.raises(ConfigError, match="example/other"):
        Provider.reattach("example/other")


async def test_a_plugin_that_is_no_provider() -> None:
    from ferrule.testing import KV_CONFIG, plugin_command

    async with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
        with pytest.raises(RPCPluginError, match="speaks version 1, expected 5 or 6"):
            await Provider.over(client).start()


async def test_a_name_of_nothing() -> None:
    with pytest.raises(ProviderNotFoundError):
        await Provider.launch("./terraform-provider-none").start()


async def test_a_provider_is_configured_once(moody: Moody) -> None:
    async with attached(moody) as provider:
        with pytest.raises(LifecycleError, match="is configured already"):
            await provider.configure({})


async def test_a_configuration_that_the_schema_refuses_was_not_given(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        with pytest.raises(ConfigurationError, match="regio"):
            await provider.configure({"regio": "here"})
        assert not provider.is_configured
        await provider.configure({"region": "here"})
        assert provider.is_configured


async def test_a_configuration_that_failed_is_not_followed_by_another(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        with pytest.raises(ProviderError, match="region: No such region"):
            await provider.configure({"region": "nowhere"})
        with pytest.raises(LifecycleError, match="half configured already"):
            await provider.configure({"region": "here"})
        with pytest.raises(LifecycleError) as caught:
            await provider.resource("moody_thing").plan({"name": "a"})
        assert "launch it again" in str(caught.value)


async def test_what_needs_no_configuration(moody_of_each_version: Moody) -> None:
    async with attached(moody_of_each_version, config=None) as provider:
        assert await provider.functions.shout("a") == "A"
        assert await provider.validate({"region": "here"}) == ()
        assert await provider.resource("moody_thing").validate({"name": UNKNOWN}) == ()
        assert "moody_thing" in (await provider.schema()).resources


async def opened(provider: Provider) -> None:
    async with provider.ephemeral("moody_token").open({"role": "short"}):
        pass


async def listed(provider: Provider) -> None:
    await anext(provider.list_resource("moody_thing").list({}))


@pytest.mark.parametrize(
    ("verb", "use"),
    [
        ("plan", lambda provider, _: provider.resource("moody_thing").plan({"name": "a"})),
        ("read", lambda provider, state: provider.resource("moody_thing").read(state)),
        ("import_", lambda provider, _: provider.resource("moody_thing").import_("a")),
        ("destroy", lambda provider, state: provider.resource("moody_thing").destroy(state)),
        ("data", lambda provider, _: provider.data("moody_look").read({"key": "a"})),
        ("ephemeral", lambda provider, _: opened(provider)),
        ("list", lambda provider, _: listed(provider)),
        ("action", lambda provider, _: provider.action("moody_act").invoke({})),
    ],
)
async def test_what_needs_a_configuration(moody: Moody, verb: str, use: Any) -> None:
    async with attached(moody) as provider:
        state = await created(provider)
    async with attached(moody, config=None) as provider:
        with pytest.raises(LifecycleError, match=r"needs a provider that is configured .*config=\{") as caught:
            await use(provider, state)
        assert moody.calls() == []
        assert verb in str(caught.value)


async def test_the_schema_is_asked_for_once(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        schemas = await asyncio.gather(*(provider.schema() for _ in range(5)))
        assert len({id(schema) for schema in schemas}) == 1
        assert moody.calls() == CONFIGURED[:2]


async def test_metadata_is_asked_for_alone(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        metadata = await provider.metadata()
        assert (metadata.resources, metadata.functions) == (("moody_thing",), ("shout",))
        # This provider has no such method, and tells by its schema.
        assert moody.calls() == CONFIGURED[:2]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"source": 5}, "the provider is 5 \\(int\\), expected text or a path"),
        ({"settings": 5}, "the settings are a int, expected a ClientConfig or a mapping"),
        ({"settings": ["s3cret"]}, "the settings are a list, expected"),
        ({"terraform_version": "\ud800"}, "expected a version of Terraform"),
        ({"terraform_version": "1.0\n"}, "expected a version of Terraform"),
    ],
)
def test_arguments_that_cannot_be(options: dict[str, Any], complaint: str) -> None:
    for face in (Provider, ferrule.sync.Provider):
        with pytest.raises(ConfigError, match=complaint):
            face.launch(**{"source": "x", **options})
