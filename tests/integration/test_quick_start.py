"""The README's quick start, run as it stands there on a real provider."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ferrule.client import RPCPluginClient
from ferrule.reflection import ServerReflection
from peers import ROOT, provider

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

SERVICE = "tfplugin6.Provider"


def python_block(text: str, heading: str) -> str:
    """The first block of Python below a heading of a Markdown text."""
    found = re.search(rf"^#+ {heading}$.*?^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"no block of Python below {heading!r}"
    return found[1]


async def learn() -> tuple[type[Any], Any]:
    """What generated code would be to a user: the stub's class, and a request."""
    async with RPCPluginClient(provider("simple")) as client:
        assert client.grpc_channel is not None
        reflection = ServerReflection(client.grpc_channel)
        methods = {facts.name: facts for facts in await reflection.methods(SERVICE)}
        facts = methods["GetProviderSchema"]
        request = await reflection.message_type(facts.input_type)
        response = await reflection.message_type(facts.output_type)

    class MyProviderStub:
        def __init__(self, channel: Any) -> None:
            self.SomeMethod = channel.unary_unary(
                f"/{SERVICE}/{facts.name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )

    return MyProviderStub, request()


async def test_quick_start_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "terraform-provider-example").symlink_to(provider("simple")[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    snippet = python_block((ROOT / "README.md").read_text(), "Quick start")
    stub, request = await learn()
    namespace: dict[str, Any] = {"RPCPluginClient": RPCPluginClient, "MyProviderStub": stub, "request": request}
    exec(f"async def run():\n{textwrap.indent(snippet, '    ')}\n    return client, response", namespace)
    client, response = await namespace["run"]()
    assert list(response.resource_schemas) == ["simple_resource"]
    assert client.config.env["TF_LOG"] == "DEBUG"
    assert client.stop_report.rung == "shutdown"
    assert (client.is_started, client.exit_status) == (False, 0)
