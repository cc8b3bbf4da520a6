"""Every way in which a start fails: which error, what it says, and that nothing is left."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from conftest import children
from ferrule import _core
from ferrule.errors import (
    RPCPluginError,
)
from ferrule.testing.kv_pb2 import PutRequest
from integration.failing_start_rows import NOT_LAUNCHED, TABLE
from integration.failing_starts import Row
from integration.kv import kv_client, kv_stub
from peers import python_kv

pytestmark = pytest.mark.timeout(60)


def check_evidence(error: RPCPluginError, row: Row, tmp: Path) -> None:
    assert (type(error), error.code) == (row.error, row.code), error
    if row not in NOT_LAUNCHED.values():
        assert f"the plugin {row.command(tmp)[0]}" in error.message
    for piece in row.says:
        assert piece.replace("{tmp}", str(tmp)) in error.message
    assert error.hint
    assert row.hint in error.hint
    assert error.hint in str(error)
    assert error.exit_status == row.exit_status
    if row.tail:
        assert any(row.tail in text for text in error.stderr_tail)
        assert row.tail in str(error)


def check_copies(error: RPCPluginError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
async def test_failing_start(row: Row, tmp_path: Path, temporary_directory: Path) -> None:
    before = children()
    client = kv_client(row.command(tmp_path), **row.settings)
    # Twice: a failed start has cleaned up after itself and may be called again.
    for _ in range(2):
        with pytest.raises(RPCPluginError) as caught:
            await client.start()
        check_evidence(caught.value, row, tmp_path)
        check_copies(caught.value)
        assert not client.is_started
        assert client.grpc_channel is None
        # Without close(): a failed start needs none.
        assert (children(), _core.live_plugins()) == (before, 0)
        assert list(temporary_directory.iterdir()) == []
    async with kv_client(python_kv()) as other:
        await kv_stub(other).Put(PutRequest(key="k"))
