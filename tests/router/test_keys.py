"""Keys on other machines outlive the specs that they were made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ferrule.pool import PluginSpec
from ferrule.ray.binaries import ship


def _closure(account: int) -> Callable[[Any], Awaitable[int]]:
    async def configure(client: Any) -> int:
        return account

    return configure


class _Configure:
    def __init__(self, account: int) -> None:
        self.account = account

    async def __call__(self, client: Any) -> int:
        return self.account

    async def start(self, client: Any) -> int:
        return self.account


class _Slotted:
    __slots__ = ("account",)

    def __init__(self, account: int) -> None:
        self.account = account

    async def __call__(self, client: Any) -> int:
        return self.account


@pytest.mark.parametrize(
    "on_start", [_closure, _Configure, lambda account: _Configure(account).start, _Slotted],
    ids=["closure", "object", "method", "slots"],
)  # fmt: skip
def test_a_spec_never_has_the_key_of_another_account(on_start: Callable[[int], Any]) -> None:
    # Each function is gone when a later one is made, maybe at its address.
    keys = [ship(PluginSpec(["/bin/true"], on_start=on_start(account))).key for account in range(20)]
    assert len(set(keys)) == 20


def test_specs_with_one_function_have_one_key() -> None:
    configure, other = _closure(1), _Configure(2)
    for on_start in (configure, other, other.start):
        assert len({ship(PluginSpec(["/bin/true"], on_start=on_start)).key for _ in range(3)}) == 1
