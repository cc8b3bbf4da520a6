"""What the package demands of an environment: little, and what it demands is what is tested."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import ferrule
from peers import ROOT

PACKAGE = Path(ferrule.__file__).parent


def floors() -> dict[str, str]:
    """Lowest release of each required distribution."""
    required = [re.fullmatch(r"([\w-]+)>=([\d.]+)", each) for each in metadata.requires("ferrule") or []]
    assert all(required), "a requirement that is no floor"
    return {found[1]: found[2] for found in required if found}


def test_grpcio_and_protobuf_are_all_that_is_required() -> None:
    assert floors() == {"grpcio": "1.60", "protobuf": "4.25"}


def test_the_lowest_releases_are_what_is_tested() -> None:
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / ".ci" / "lowest.txt").read_text(), re.MULTILINE))
    assert {name: locked[name] for name in floors()} == {name: f"{floor}.0" for name, floor in floors().items()}


def test_the_package_imports_nothing_else() -> None:
    imported: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
    foreign = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    # _typeshed is for type checkers alone.
    assert foreign - {"_typeshed"} == {"ferrule", "google", "grpc"}
    assert {name for name in imported if name.startswith("google")} <= {
        name for name in imported if name.startswith("google.protobuf")
    }


def test_every_module_can_be_imported() -> None:
    names = [found.name for found in pkgutil.walk_packages([str(PACKAGE)], "ferrule.")]
    assert "ferrule.channel.multicallables" in names
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def test_the_package_contains_no_generated_code() -> None:
    generated = [file.name for file in PACKAGE.rglob("*.py") if "DO NOT EDIT" in file.read_text()]
    assert generated == []


PROGRAM = """
import asyncio
from ferrule import ConfigError, RPCPluginClient, TLSConfig
from ferrule.testing import KV_CONFIG, plugin_command
from ferrule.testing.certificate import generate

async def main():
    async with RPCPluginClient(plugin_command(), KV_CONFIG):
        pass

own, other = generate(), generate()
TLSConfig(ca=own.certificate_pem, certificate=own.certificate_pem, key=own.key_pem)
try:
    TLSConfig(ca=own.certificate_pem, certificate=own.certificate_pem, key=other.key_pem)
except ConfigError:
    asyncio.run(main())
    print("done")
"""


def test_mutual_tls_and_own_certificates_need_no_cryptography(tmp_path: Path) -> None:
    (tmp_path / "cryptography.py").write_text("raise ImportError('not here')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
