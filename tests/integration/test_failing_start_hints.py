"""What the errors of failed starts call the plugin, and what they suggest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ferrule.errors import HandshakeError, LaunchError
from integration.kv import kv_client
from integration.test_failing_starts import TABLE
from peers import python_kv

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("line ends of Windows", "sed -i 's/\\r$//' {tmp}/plugin"),
        ("missing interpreter", "Install /nowhere/sh, or correct the first line of {tmp}/plugin"),
        ("missing loader", "a static one"),
        ("one large variable", "the setting env"),
        ("Packer", "under Packer alone"),
    ],
)
async def test_hint_is_the_cure(name: str, hint: str, tmp_path: Path) -> None:
    row = TABLE[name]
    with pytest.raises(row.error) as caught:
        await kv_client(row.command(tmp_path), **row.settings).start()
    assert hint.replace("{tmp}", str(tmp_path)) in str(caught.value.hint)


async def test_plugin_of_an_interpreter_is_named_with_its_script(tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    path.write_text("print('1|x|unix|/x|grpc|', flush=True)\n")
    with pytest.raises(HandshakeError) as caught:
        await kv_client([sys.executable, str(path), "--token", "secret"]).start()
    expected = f'the plugin {sys.executable} {path}: the application protocol version "x" is not a number'
    assert caught.value.message == expected


async def test_hint_for_a_missing_working_directory_names_the_setting() -> None:
    with pytest.raises(LaunchError) as caught:
        await kv_client(python_kv(), cwd="/nowhere/at/all").start()
    assert "cwd" in str(caught.value.hint)
