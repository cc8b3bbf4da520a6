"""What notebooks show of clients, and the pieces of HTML that it is made of."""

from __future__ import annotations

import pytest

import ferrule.sync
from ferrule import RPCPluginClient
from ferrule._html import Html, disclosure, element, joined, table
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2, plugin_command
from html_parts import text_of

HOSTILE = "</td><script>alert('\"&')</script>"


@pytest.mark.parametrize(
    "html",
    [
        element("div", HOSTILE, style=HOSTILE),
        joined([HOSTILE, element("b", HOSTILE)]),
        table([HOSTILE], [[HOSTILE, 1]], HOSTILE),
        disclosure(HOSTILE, HOSTILE, is_open=True),
    ],
)
def test_text_is_escaped(html: Html) -> None:
    assert HOSTILE in text_of(html)


def test_html_is_put_in_as_it_is() -> None:
    assert element("div", element("b", "&"), "&") == "<div><b>&amp;</b>&amp;</div>"


def test_table_without_head_and_title() -> None:
    assert text_of(table((), [("a", 1), ("b", None)])) == "a1bNone"


def test_client_before_its_start_shows_its_program_alone() -> None:
    client = RPCPluginClient([HOSTILE, "--token=hunter2"], {"env": {"TOKEN": "hunter3"}})
    html = client._repr_html_()
    assert repr(HOSTILE) in text_of(html)
    assert "not started" in text_of(html)
    assert "hunter" not in html


async def test_client(no_leaks: None) -> None:
    client = RPCPluginClient(plugin_command(), KV_CONFIG)
    async with client:
        assert client.grpc_channel is not None
        await KVStub(client.grpc_channel).Put(kv_pb2.PutRequest(key="colour", value=b"green"))
        text = text_of(client._repr_html_())
    assert f"pid {client.pid}" in text
    assert "1 succeeded, 0 failed, 0 under way" in text
    assert ", TLS" in text
    assert "ended, exit status 0" in text_of(client._repr_html_())
    assert str(client.client_key_pem) not in client._repr_html_()


def test_blocking_client(no_leaks: None) -> None:
    with ferrule.sync.RPCPluginClient(plugin_command(), {**KV_CONFIG, "auto_mtls": False}) as client:
        assert "plaintext" in text_of(client._repr_html_())
