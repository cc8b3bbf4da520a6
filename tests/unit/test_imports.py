"""Importing the package is cheap for programs that have gRPC already: nothing is loaded that most of them never use."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys

import pytest

from ferrule._pem import certificate_pem

# What costs milliseconds to load, and only some programs use: for files, unknown settings, logs, certificates.
EXPENSIVE = {"cryptography", "difflib", "json", "pathlib", "shlex", "tempfile", "urllib.parse"}

PROGRAM = """
import sys
import {before}
known = set(sys.modules)
import {name}
print(*(set(sys.modules) - known))
"""


def loaded_by(name: str, before: str) -> set[str]:
    """The modules that an import loads in a fresh process which has imported another one before."""
    command = [sys.executable, "-c", PROGRAM.format(name=name, before=before)]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_package_alone_loads_none_of_its_modules() -> None:
    loaded = loaded_by("ferrule", "typing")
    assert not loaded & {"asyncio", "grpc", *EXPENSIVE}
    assert {name for name in loaded if name.startswith("ferrule")} == {"ferrule"}


@pytest.mark.parametrize("name", ["ferrule.channel", "ferrule.channel.sync"])
def test_channels_load_nothing_expensive(name: str) -> None:
    loaded = loaded_by(name, "grpc")
    assert name in loaded
    assert not loaded & EXPENSIVE


def test_the_client_loads_little_that_is_expensive() -> None:
    # Plugins log in JSON.
    assert loaded_by("ferrule.client", "grpc") & EXPENSIVE == {"json"}


@pytest.mark.parametrize("program", ["from ferrule import families", "import ferrule; ferrule.families"])
def test_families_are_loaded_when_they_are_asked_for(program: str) -> None:
    command = [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"]
    loaded = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert "ferrule.families" in loaded
    assert not loaded & {"asyncio", "grpc"}
    assert "ferrule.families" not in loaded_by("ferrule.client", "grpc")


@pytest.mark.parametrize(("face", "others"), [("ferrule.client", "ferrule.sync"), ("ferrule.sync", "ferrule.client")])
def test_one_client_loads_nothing_of_the_other(face: str, others: str) -> None:
    loaded = loaded_by(face, "grpc")
    assert face in loaded
    assert [name for name in loaded if name.startswith(others)] == []


def test_the_command_line_loads_what_a_verb_needs_when_it_is_used() -> None:
    loaded = loaded_by("ferrule.cli.program", "grpc")
    assert "ferrule.cli.inspection" in loaded
    verbs = ("ferrule.cli.bench", "ferrule.cli.calling", "ferrule.cli.top", "ferrule.pool", "ferrule.terraform")
    assert [name for name in loaded if name.startswith((*verbs, "rich", "shtab"))] == []


def test_a_python_without_the_standard_librarys_tls_will_do() -> None:
    """Some builds of Python have none, those for musl of small images for one."""
    without = "import sys; sys.modules['_ssl'] = None; import ferrule.testing; from ferrule.cli import main; main()"
    options = ["--cookie", "FERRULE_KV_COOKIE=5f1d0a86-ferrule-kv", "--protocol-versions", "1", "--json"]
    command = [sys.executable, "-c", without, "inspect", *options, "--", sys.executable, "-m", "ferrule.testing"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert len(json.loads(done.stdout)["tls"]["sha256"]) == 64


def test_certificates_in_pem_are_as_the_standard_library_has_them() -> None:
    for size in (1, 47, 48, 49, 600):
        assert certificate_pem(bytes(size)) == ssl.DER_cert_to_PEM_cert(bytes(size))
