"""A host whose clock is an hour ahead, and a plugin in Go: the alert that Go sends of it."""

from __future__ import annotations

import os
import subprocess
import sys

from faults import clock
from peers import ROOT, go_kv

PROGRAM = """
import sys
import ferrule.sync
from faults import clock
from ferrule.testing import KV_CONFIG

clock.set_wrong(3600)
try:
    ferrule.sync.RPCPluginClient(sys.argv[1:], {**KV_CONFIG, "auto_mtls": True}).start()
except ferrule.SecurityError as error:
    print(error)
"""


def test_error_names_the_clocks() -> None:
    environment = {**os.environ, **clock.environment(), "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-c", PROGRAM, *go_kv()]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert "it refused our certificate with the alert CertificateExpired" in run.stdout, run
    assert "Compare the clocks" in run.stdout
