"""What the package demands of an environment: little, and what it demands is what is tested."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import ferrule
from peers import ROOT

PACKAGE = Path(ferrule.__file__).parent
TERRAFORM = PACKAGE / "terraform"


def floors() -> dict[str, str]:
    """Lowest release of each required distribution."""
    always = [each for each in metadata.requires("ferrule") or [] if "extra ==" not in each]
    required = [re.fullmatch(r"([\w-]+)>=([\d.]+)", each) for each in always]
    assert all(required), "a requirement that is no floor"
    return {found[1]: found[2] for found in required if found}


def test_grpcio_and_protobuf_are_all_that_is_required() -> None:
    assert floors() == {"grpcio": "1.60", "protobuf": "4.25"}


def test_the_lowest_releases_are_what_is_tested() -> None:
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / ".ci" / "lowest.txt").read_text(), re.MULTILINE))
    assert {name: locked[name] for name in floors()} == {name: f"{floor}.0" for name, floor in floors().items()}


def foreign_imports(files: Iterable[Path]) -> set[str]:
    """What files import that is neither theirs nor Python's own."""
    imported: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
    # _typeshed is for type checkers alone.
    return {name for name in imported if name.split(".")[0] not in {*sys.stdlib_module_names, "ferrule", "_typeshed"}}


def test_the_package_imports_nothing_else() -> None:
    imported = foreign_imports(file for file in PACKAGE.rglob("*.py") if TERRAFORM not in file.parents)
    assert {name.split(".")[0] for name in imported} == {"google", "grpc"}
    assert {name for name in imported if name.startswith("google")} <= {
        name for name in imported if name.startswith("google.protobuf")
    }


def test_what_is_for_terraform_imports_its_extra() -> None:
    imported = foreign_imports(TERRAFORM.rglob("*.py"))
    assert {name.split(".")[0] for name in imported} - {"google", "grpc"} == {"msgpack"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras == {"terraform": ["msgpack>=1.0.5"]}
    assert re.search(r"^msgpack==1\.0\.5 ", (ROOT / ".ci" / "lowest.txt").read_text(), re.MULTILINE)


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
