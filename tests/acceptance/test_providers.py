"""Unmodified providers under OpenTofu and under `ferrule.terraform`: schemas, plans, states and values are equal."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from acceptance.comparison import (
    change_of_plan,
    change_of_tofu,
    instance_of_state,
    instance_of_tofu,
    masked,
    plain,
)
from acceptance.lives import FAILING, FUNCTIONS, OPENSTACK, PROVIDER_CONFIGS, REFUSED, SOURCES, Life, data, lives
from acceptance.module import ProviderModule
from ferrule.terraform import ApplyError, Provider, ProviderError, ResourceState
from ferrule.terraform.tfstate import StateFile

pytestmark = [pytest.mark.timeout(300), pytest.mark.go]

every_provider = pytest.mark.parametrize("module", SOURCES, indirect=True)
with_resources = pytest.mark.parametrize("module", ["local", "null", "random", "simple", "time", "tls"], indirect=True)


@pytest_asyncio.fixture
async def provider(module: ProviderModule) -> AsyncIterator[Provider]:
    """The provider of the module, told what OpenTofu 1.12 tells it."""
    config = PROVIDER_CONFIGS.get(module.name, {})
    async with Provider.launch(
        module.provider, config, core=module.core, terraform_version="1.13.0", schema_cache=False
    ) as launched:
        yield launched


@every_provider
async def test_schema(module: ProviderModule, provider: Provider) -> None:
    module.write()
    expected = module.tofu("providers", "schema", "-json")
    assert (await provider.schema()).to_json(module.address, module.core) == expected
    assert shown(module, "--json", f"--core={module.core}", f"--source-address={module.address}") == expected


def shown(module: ProviderModule, *options: str) -> str:
    """What `ferrule schema` prints of the provider."""
    command = [sys.executable, "-m", "ferrule", "schema", str(module.provider), *options]
    return subprocess.run(command, env=module.environment, check=True, capture_output=True, text=True).stdout


@with_resources
async def test_lives_of_resources(module: ProviderModule, provider: Provider) -> None:
    """Each step is planned from the state that OpenTofu has stored, and applied by both."""
    every = lives(module.name, module.files)
    stored: dict[str, ResourceState] = {}
    for step in range(max(len(each.configs) for each in every.values())):
        write_resources(module, every, step)
        expected = module.planned_changes()
        applied = {}
        for name, each in every.items():
            address = f"{each.type}.{name}"
            resource = provider.resource(each.type)
            plan = await resource.plan(each.config(step), prior=stored.get(name))
            assert change_of_plan(plan) == change_of_tofu(expected[address]), (address, step)
            applied[name] = await resource.apply(plan)
        module.tofu("apply", "plan")
        for name, state in applied.items():
            each = every[name]
            instance = module.instances()[f"{each.type}.{name}"]
            assert state is not None
            assert instance_of_state(state, each.chance) == instance_of_tofu(instance, each.chance), (name, step)
            stored[name] = ResourceState.from_tfstate(module.state_file, f"{each.type}.{name}")
            read = await provider.resource(each.type).read(stored[name])
            assert read is not None
            assert instance_of_state(read, ()) == instance_of_tofu(instance, ()), (name, step)
    await continue_with_our_states(module, every, applied)
    await destroyed(module, provider, every)


def write_resources(module: ProviderModule, every: Mapping[str, Life], step: int) -> None:
    resources: dict[str, dict[str, Any]] = {}
    for name, each in every.items():
        resources.setdefault(each.type, {})[name] = each.config(step)
    module.write(resource=resources)


async def continue_with_our_states(
    module: ProviderModule, every: Mapping[str, Life], states: Mapping[str, ResourceState | None]
) -> None:
    """OpenTofu has nothing to do where our states stand in its file."""
    with StateFile(module.state_file).locked() as file:
        for name, state in states.items():
            file.write(f"{every[name].type}.{name}", state)
    assert {tuple(change["actions"]) for change in module.planned_changes().values()} == {("no-op",)}


async def destroyed(module: ProviderModule, provider: Provider, every: Mapping[str, Life]) -> None:
    expected = module.planned_changes("-destroy")
    for name, each in every.items():
        address = f"{each.type}.{name}"
        resource = provider.resource(each.type)
        state = ResourceState.from_tfstate(module.state_file, address)
        plan = await resource.plan_destroy(state)
        assert change_of_plan(plan) == change_of_tofu(expected[address])
        assert await resource.apply(plan) is None
    module.tofu("apply", "plan")
    assert module.instances() == {}
    assert [path for path in module.files.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("module", ["random", "time"], indirect=True)
async def test_imports(module: ProviderModule, provider: Provider) -> None:
    every = {name: each for name, each in lives(module.name, module.files).items() if each.import_id is not None}
    write_resources(module, every, 0)
    for name, each in every.items():
        assert each.import_id is not None
        module.tofu("import", f"{each.type}.{name}", each.import_id)
        state = await provider.resource(each.type).import_(each.import_id)
        expected = module.instances()[f"{each.type}.{name}"]
        assert instance_of_state(state, ()) == instance_of_tofu(expected, ()), name


@pytest.mark.parametrize("module", REFUSED, indirect=True)
async def test_refused_configurations(module: ProviderModule, provider: Provider) -> None:
    life = REFUSED[module.name]
    write_resources(module, {"refused": life}, 0)
    output = module.failing("plan")
    with pytest.raises(ProviderError) as refusal:
        await provider.resource(life.type).plan(life.config(0))
    assert [each.summary for each in refusal.value.errors if each.summary not in output] == []


@pytest.mark.parametrize("module", FAILING, indirect=True)
async def test_creations_that_fail(module: ProviderModule, provider: Provider) -> None:
    life = FAILING[module.name]
    write_resources(module, {"failing": life}, 0)
    output = module.failing("apply", "-auto-approve")
    plan = await provider.resource(life.type).plan(life.config(0))
    with pytest.raises(ApplyError) as failure:
        await provider.resource(life.type).apply(plan)
    assert [each.summary for each in failure.value.errors if each.summary not in output] == []
    assert (failure.value.outcome, failure.value.state, module.instances()) == ("failed", None, {})


@pytest.mark.parametrize("module", ["local"], indirect=True)
async def test_resource_that_somebody_removed(module: ProviderModule, provider: Provider) -> None:
    life = lives(module.name, module.files)["changed"]
    write_resources(module, {"gone": life}, 0)
    module.tofu("apply", "-auto-approve")
    state = ResourceState.from_tfstate(module.state_file, "local_file.gone")
    (module.files / "changed").unlink()
    assert await provider.resource(life.type).read(state) is None
    assert module.planned_changes()["local_file.gone"]["actions"] == ["create"]


@pytest.mark.parametrize("module", ["simple"], indirect=True)
async def test_ephemeral_resource(module: ProviderModule, provider: Provider) -> None:
    """OpenTofu shows such a value nowhere: it goes to a write-only attribute."""
    ephemeral = {"simple_resource": {"one": {"value": "v"}}}
    resource = {"simple_resource": {"two": {"value_wo": "${ephemeral.simple_resource.one.id}"}}}
    module.write(ephemeral=ephemeral, resource=resource)
    module.tofu("apply", "-auto-approve")
    async with provider.ephemeral("simple_resource").open({"value": "v"}) as opened:
        assert opened.value == {"id": "static-ephemeral-id", "value": "v"}


class Page(http.server.BaseHTTPRequestHandler):
    """Says what it was asked for; the name of the program and the time are not among its headers."""

    def do_GET(self) -> None:
        text = f"{self.path}: {self.headers.get('X-Word', 'nothing')} ☃\n".encode()
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json" if self.path == "/json" else "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("module", ["http", "local", "null", "simple", "tls"], indirect=True)
async def test_data_sources(module: ProviderModule, provider: Provider, url: str) -> None:
    (module.files / "read").write_text("one ☃\n")
    every = data(module.name, module.files, url)
    sources: dict[str, dict[str, Any]] = {}
    for name, each in every.items():
        sources.setdefault(each.type, {})[name] = each.config(0)
    module.write(data=sources)
    module.tofu("apply", "-auto-approve")
    for name, each in every.items():
        values = await provider.data(each.type).read(each.config(0))
        expected = module.instances()[f"data.{each.type}.{name}"]["attributes"]
        assert masked(plain(values), each.chance) == masked(plain(expected), each.chance), name


@pytest.mark.parametrize("module", FUNCTIONS, indirect=True)
async def test_functions(module: ProviderModule, provider: Provider) -> None:
    calls = FUNCTIONS[module.name]
    texts = {name: ", ".join(repr(each).replace("'", '"') for each in arguments) for name, arguments in calls}
    expressions = {name: {"value": f"${{provider::{module.name}::{name}({text})}}"} for name, text in texts.items()}
    module.write(output=expressions)
    module.tofu("apply", "-auto-approve")
    found = {name: await getattr(provider.functions, name)(*arguments) for name, arguments in calls}
    assert plain(found) == plain(module.outputs())


@pytest.mark.parametrize("module", ["openstack"], indirect=True)
async def test_plans_of_a_large_provider(module: ProviderModule, provider: Provider) -> None:
    resources: dict[str, dict[str, Any]] = {}
    for name, each in OPENSTACK.items():
        resources.setdefault(each.type, {})[name] = each.config(0)
    module.write(resource=resources, provider={module.name: PROVIDER_CONFIGS[module.name]})
    expected = module.planned_changes()
    for name, each in OPENSTACK.items():
        plan = await provider.resource(each.type).plan(each.config(0))
        assert change_of_plan(plan) == change_of_tofu(expected[f"{each.type}.{name}"]), name
