"""What waits in native code refuses to run where gevent has made threads greenlets."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from waiting import LIMIT

pytestmark = pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="gevent is not installed")

PROGRAM = """
from gevent import monkey
{patch}
from ferrule.errors import RPCPluginError
from ferrule.testing import KV_CONFIG
try:
    {use}
except RPCPluginError as error:
    print(error.code, "gevent" in str(error))
else:
    print("used")
"""

USES = {
    "channel": "from ferrule.channel.sync import insecure_channel; insecure_channel('unix:/nowhere').unary_unary('/a')",
    "client": "from ferrule.sync import RPCPluginClient; RPCPluginClient(['true'], KV_CONFIG)",
    "pool": "from ferrule.sync import PluginPool; PluginPool()",
    "plugin": "from ferrule.server import RPCPluginServer; RPCPluginServer(lambda server, broker: None, KV_CONFIG)",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("patch", "outcome"),
    [("monkey.patch_all()", "runtime.gevent True"), ("monkey.patch_all(thread=False)", "used"), ("", "used")],
    ids=["patched", "threads left alone", "imported"],
)
def test_gevent_is_refused_by_name(use: str, patch: str, outcome: str) -> None:
    program = PROGRAM.format(patch=patch, use=USES[use])
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert run.stdout.strip() == outcome, run.stderr
