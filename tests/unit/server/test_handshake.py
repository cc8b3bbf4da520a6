"""How plugin and host recognise each other: version choice and the refusal."""

from __future__ import annotations

import pytest

from ferrule.server.handshake import choose_version, cookie_refusal


@pytest.mark.parametrize(
    ("offered", "chosen", "invalid"),
    [
        ("", 3, []),
        ("1", 3, []),
        ("5,3", 5, []),
        ("3,5,7,9", 7, []),
        ("99", 3, []),
        ("5, 3", 5, [" 3"]),
        ("x,,+5", 5, ["x", ""]),
        ("1_0,7", 7, ["1_0"]),
    ],
)
def test_version_choice(offered: str, chosen: int, invalid: list[str]) -> None:
    assert choose_version((5, 3, 7), offered) == (chosen, invalid)


def test_refusal_begins_as_every_plugins_does_and_names_the_variable() -> None:
    text = cookie_refusal("KV_PLUGIN")
    assert text.startswith("This binary is a plugin.")
    assert "KV_PLUGIN" in text
    assert len(text.splitlines()) == 3
