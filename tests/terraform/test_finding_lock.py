"""The dependency lock file: versions it selects, checksums it allows, and what of it cannot be checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrule.errors import ConfigError, SecurityError
from ferrule.integrity import SecureConfig
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding import LockVerdict
from ferrule.terraform.finding.package_hash import hash_directory
from terraform.machine import RANDOM, RANDOM_OF_OPENTOFU, Machine

FILES = {
    "terraform-provider-x_v1.0.0": "program\n",
    "LICENSE.txt": "",
    "README.md": "readme",
    "sub/b": "b",
    "sub.a": "a",
    "sub/deeper/c": "c",
    "ä z": "u",
    ".hidden": "h",
}
H1 = "h1:THU4OYanWB4s15+Y6CsJLx0TChA7qvm1Mh76F+dFSew="
"""What golang.org/x/mod v0.36.0 computes of FILES and `sub/link`, a link to LICENSE.txt (dirhash.HashDir)."""
H1_OF_NOTHING = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
"""What it computes of an empty directory."""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    directory = tmp_path / "package"
    for name, content in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (directory / "empty").mkdir()
    (directory / "sub" / "link").symlink_to("../LICENSE.txt")
    return directory


def test_checksum_of_a_package_is_dirhash(package: Path, tmp_path: Path) -> None:
    found = hash_directory(str(package))
    assert found.h1 == H1
    assert found.files["sub/b"] == hashlib.sha256(b"b").digest()
    link = tmp_path / "link"
    link.symlink_to(package)
    assert hash_directory(str(link)).h1 == H1
    (tmp_path / "nothing").mkdir()
    assert hash_directory(str(tmp_path / "nothing")).h1 == H1_OF_NOTHING


def test_what_has_no_checksum(package: Path) -> None:
    (package / "sub" / "directory").symlink_to("deeper")
    with pytest.raises(OSError, match=r"it is no regular file|Is a directory"):
        hash_directory(str(package))
    (package / "sub" / "directory").unlink()
    os.mkfifo(package / "pipe")
    with pytest.raises(OSError, match="it is no regular file"):
        hash_directory(str(package))
    (package / "pipe").unlink()
    (package / "a\nb").touch()
    with pytest.raises(ValueError, match="has a line feed in its name"):
        hash_directory(str(package))


def test_verified_package(machine: Machine) -> None:
    program = machine.package(machine.installed, "3.6.0")
    h1 = hash_directory(str(program.parent)).h1
    path = machine.lock("3.6.0", "h1:of-another-platform", h1, "zh:0123")
    found = machine.find()
    assert (found.lock, found.lock_detail) == (LockVerdict.VERIFIED, f"{h1} is in {path}")
    checksum = hashlib.sha256(program.read_bytes()).hexdigest()
    assert found.secure_config == SecureConfig(algorithm="sha256", checksum=checksum)


def test_verified_program_that_is_a_link(machine: Machine) -> None:
    program = machine.package(machine.installed, "3.6.0", program="terraform-provider-random")
    program.rename(program.parent / "target")
    program.symlink_to("target")
    machine.lock("3.6.0", hash_directory(str(program.parent)).h1)
    secure = machine.find().secure_config
    assert secure is not None
    assert secure.checksum == hashlib.sha256(program.read_bytes()).digest()


@pytest.mark.parametrize("change", ["program", "other", "added", "removed", "renamed"])
def test_changed_package_is_refused(machine: Machine, change: str) -> None:
    program = machine.package(machine.installed, "3.6.0")
    other = program.parent / "LICENSE"
    other.write_text("license")
    machine.lock("3.6.0", hash_directory(str(program.parent)).h1, "zh:0123")
    assert machine.find().lock is LockVerdict.VERIFIED
    if change == "added":
        (program.parent / "more").touch()
    elif change == "removed":
        other.unlink()
    elif change == "renamed":
        other.rename(program.parent / "COPYING")
    else:
        (program if change == "program" else other).write_text("changed")
    with pytest.raises(SecurityError, match=r"3\.6\.0 has the checksum h1:.*; it was not started") as caught:
        machine.find()
    assert caught.value.code == "terraform.lock-mismatch"
    assert "providers lock -platform=" in (caught.value.hint or "")
    assert machine.find(lock_file=None).lock is LockVerdict.UNLOCKED


def test_package_that_cannot_be_hashed_is_refused(machine: Machine) -> None:
    program = machine.package(machine.installed, "3.6.0")
    os.mkfifo(program.parent / "pipe")
    machine.lock("3.6.0", "h1:x")
    with pytest.raises(SecurityError, match="cannot be computed"):
        machine.find()


@pytest.mark.parametrize(
    ("hashes", "kinds"), [((), "none"), (("zh:00", "zh:11"), "zh:"), (("h2:x", "zh:0"), "h2:, zh:"), (("x",), "x:")]
)
def test_what_cannot_be_verified_is_said(machine: Machine, hashes: tuple[str, ...], kinds: str) -> None:
    machine.package(machine.installed, "3.6.0")
    machine.lock("3.6.0", *hashes)
    found = machine.find()
    assert found.lock is LockVerdict.UNVERIFIABLE
    assert found.lock_detail.endswith(f"to which no unpacked package can be held: {kinds}")
    assert found.secure_config is None


def test_no_lock(machine: Machine) -> None:
    machine.package(machine.installed, "3.6.0")
    assert machine.find().lock is LockVerdict.UNLOCKED
    machine.lock("1.0.0", "h1:x", address="registry.terraform.io/hashicorp/null")
    assert machine.find().lock is LockVerdict.UNLOCKED


def test_locked_version_is_the_only_one(machine: Machine) -> None:
    machine.mirror("mirror")
    for version in ("3.5.0", "3.6.0", "3.7.0"):
        machine.package("mirror", version)
    machine.package(machine.installed, "3.7.0")
    machine.lock("3.6.0")
    assert machine.find().version == "3.6.0"
    assert machine.find(version="~> 3.0").version == "3.6.0"
    assert machine.find(version="~> 3.0", lock_file=None).version == "3.7.0"
    with pytest.raises(ProviderNotFoundError, match=r"~> 3\.5\.0, only 3\.6\.0, which .* locks") as caught:
        machine.find(version="~> 3.5.0")
    assert "contradict each other" in (caught.value.hint or "")
    shutil.rmtree(machine.root / "mirror" / RANDOM / "3.6.0")
    with pytest.raises(ProviderNotFoundError, match=r"(?s)only 3\.6\.0, which .*3\.7\.0, 3\.5\.0 for") as caught:
        machine.find()
    assert "contradict" not in (caught.value.hint or "")


def test_locked_pre_release_is_as_good_as_a_named_one(machine: Machine) -> None:
    machine.package(machine.installed, "3.6.0-beta1")
    with pytest.raises(ProviderNotFoundError):
        machine.find()
    machine.lock("3.6.0-beta1")
    assert machine.find().version == "3.6.0-beta1"
    with pytest.raises(ProviderNotFoundError, match=r"only 3.6.0-beta1, which"):
        machine.find(version=">= 3.0")
    assert machine.find(version="3.6.0-beta1").version == "3.6.0-beta1"


def test_host_of_the_lock_file_is_the_only_one(machine: Machine) -> None:
    machine.package(machine.installed, "3.6.0", address=RANDOM)
    machine.package(machine.installed, "3.6.0", address=RANDOM_OF_OPENTOFU)
    assert machine.find().address == RANDOM
    machine.lock("3.6.0", address=RANDOM_OF_OPENTOFU)
    assert machine.find().address == RANDOM_OF_OPENTOFU
    assert machine.find(RANDOM).lock is LockVerdict.UNLOCKED
    shutil.rmtree(machine.installed / RANDOM_OF_OPENTOFU)
    with pytest.raises(ProviderNotFoundError, match=f"no {RANDOM_OF_OPENTOFU}, only {RANDOM}"):
        machine.find()


def test_other_file(machine: Machine, tmp_path: Path) -> None:
    machine.package(machine.installed, "3.6.0")
    machine.lock("3.6.0", "h1:x").rename(tmp_path / "lock")
    assert machine.find().lock is LockVerdict.UNLOCKED
    with pytest.raises(SecurityError):
        machine.find(lock_file=tmp_path / "lock")
    with pytest.raises(ConfigError, match=r"the lock file .*none cannot be read: No such file"):
        machine.find(lock_file=tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{ version = 5 }", r":1:\d+: version is no text"),
        ("{}", ":1:1: the provider's lock has no version"),
        ('{ version = "v3.6.0" }', r":1:\d+: 'v3.6.0' is no version"),
        ('{ version = "3.6.0"\nhashes = "h1:x" }', ":2:10: hashes is no list"),
        ('{ version = "3.6.0"\nhashes = [h1] }', ":2:11: hashes is no text"),
        ('{ version = "3.6.0"', r":1:\d+: the block has no end"),
        (
            f'{{ version = "3.6.0" }}\nprovider "{RANDOM}" {{ version = "3.6.0" }}',
            r":2:1: the provider .* is locked twice",
        ),
        ("= 5", ":1:1: the provider's lock is no block"),
    ],
)
def test_file_with_faults(machine: Machine, text: str, why: str) -> None:
    machine.package(machine.installed, "3.6.0")
    (machine.module / ".terraform.lock.hcl").write_text(f'provider "{RANDOM}" {text}')
    with pytest.raises(ConfigError, match=r"\.terraform\.lock\.hcl" + why):
        machine.find()


def test_what_is_said_of_others_is_passed_over(machine: Machine) -> None:
    machine.package(machine.installed, "3.6.0")
    (machine.module / ".terraform.lock.hcl").write_text("""
        # This file is maintained automatically by "terraform init".
        module "x" { version = f(1) }
        provider "hashicorp/random" { version = "1" }
        provider "registry.terraform.io/hashicorp/null" { version = 5 }
        provider { }
        future = [1, 2]
    """)
    assert machine.find().lock is LockVerdict.UNLOCKED


def test_an_entry_may_stand_behind_those_of_others(machine: Machine) -> None:
    machine.package(machine.installed, "3.6.0")
    (machine.module / ".terraform.lock.hcl").write_text(
        'provider "registry.terraform.io/hashicorp/null" { version = "3.2.0" }\n'
        'provider "not/an/address/at/all" { version = "1" }\n'
        f'provider "{RANDOM}" {{ version = "3.6.0" }}\n'
    )
    assert machine.find().lock is LockVerdict.UNVERIFIABLE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text().map(lambda text: f'provider "{RANDOM}" {{ version = {text}'.encode(errors="ignore")))
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    machine = Machine(tmp_path)
    (machine.module / ".terraform.lock.hcl").write_bytes(content)
    with contextlib.suppress(ConfigError, ProviderNotFoundError):
        machine.find()
