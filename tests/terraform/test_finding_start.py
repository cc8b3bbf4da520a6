"""A provider in Go that was found and verified is the one that is started."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import SecurityError
from ferrule.families import TERRAFORM
from ferrule.terraform.finding import LockVerdict
from ferrule.terraform.finding.package_hash import hash_directory
from peers import go_peer
from terraform.machine import Machine

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

TIME = "registry.terraform.io/hashicorp/time"


async def test_verified_program_is_the_one_that_is_started(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    program = machine.package(machine.installed, "0.14.2", TIME)
    shutil.copy(go_peer("terraform-provider-time"), program)
    machine.lock("0.14.2", hash_directory(str(program.parent)).h1, address=TIME)
    found = machine.find("time")
    assert (found.path, found.lock) == (str(program), LockVerdict.VERIFIED)
    config = {**TERRAFORM, "secure_config": found.secure_config}
    async with RPCPluginClient([str(found.path)], config) as client:
        assert client.protocol_version == 5

    # Exchanged between the search and the start.
    program.unlink()
    shutil.copy(go_peer("terraform-provider-simple"), program)
    with pytest.raises(SecurityError, match="it was not started"):
        await RPCPluginClient([str(found.path)], config).start()
