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
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path

import ferrule
from peers import ROOT

PACKAGE = Path(ferrule.__file__).parent


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


USERS: Mapping[str, Collection[str]] = {
    "terraform/": {"msgpack"},
    "pool/prometheus.py": {"prometheus_client"},
    "pool/otel.py": {"opentelemetry"},
    "ray/": {"ray"},
    "pytest_plugin/": {"pytest", "pytest_asyncio"},
}
"""Whose files import more than grpcio and protobuf, and what."""


def test_the_package_imports_nothing_else() -> None:
    more: dict[str, set[str]] = {user: set() for user in USERS}
    for file in PACKAGE.rglob("*.py"):
        imported = foreign_imports([file])
        google = {name for name in imported if name.startswith("google")}
        assert google <= {name for name in google if name.startswith("google.protobuf")}
        path = file.relative_to(PACKAGE).as_posix()
        user = next((user for user in USERS if path.startswith(user)), None)
        others = {name.split(".")[0] for name in imported} - {"google", "grpc"}
        if user is None:
            assert others == set(), path
        else:
            more[user] |= others
    assert more == USERS


def test_the_lowest_releases_of_extras_are_what_is_tested() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) == {"terraform", "cli", "prometheus", "otel", "ray"}
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / ".ci" / "lowest.txt").read_text(), re.MULTILINE))
    # Ray's own tests are a part of `make acceptance`, on the newest release.
    floors = {
        name: floor for extra in set(extras) - {"ray"} for name, floor in (each.split(">=") for each in extras[extra])
    }
    assert {name: locked[name].removesuffix(".0") for name in floors} == {
        name: floor.removesuffix(".0") for name, floor in floors.items()
    }


def test_every_module_can_be_imported() -> None:
    names = [found.name for found in pkgutil.walk_packages([str(PACKAGE)], "ferrule.")]
    assert "ferrule.channel.multicallables" in names
    for name in names:
        if name.endswith("__main__"):
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Ray is not among what the tests have.
            if error.name != "ray" or not name.startswith("ferrule.ray."):
                raise


def test_the_package_contains_no_generated_code() -> None:
    generated = [file.name for file in PACKAGE.rglob("*.py") if "DO NOT EDIT" in file.read_text()]
    assert generated == []


PROGRAM = """
import asyncio
from ferrule import Certificate, ConfigError, RPCPluginClient, TLSConfig
from ferrule.testing import KV_CONFIG, plugin_command

async def main():
    async with RPCPluginClient(plugin_command(), KV_CONFIG):
        pass

own, other = Certificate.generate(), Certificate.generate()
TLSConfig(ca=own, certificate=own)
try:
    TLSConfig(ca=own, certificate=own, key=other.private_key_pem)
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
