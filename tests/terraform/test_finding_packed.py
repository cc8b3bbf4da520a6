"""Zip files in mirrors: unpacked once, held to the lock file, and refused if anything about them is unusual."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from pathlib import Path

import pytest

from ferrule.errors import SecurityError
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding import LockVerdict, Origin
from ferrule.terraform.finding.package_hash import hash_directory
from terraform.machine import ELSEWHERE, HERE, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.mirror("mirror")
    return machine


def repack(archive: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_package_is_unpacked_into_the_cache(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    repack(
        archive,
        ("terraform-provider-random_v3.6.0", b"program"),
        ("LICENSE", b"license"),
        ("docs/", b""),
        ("docs/inner/index.md", b"docs"),
        method=zipfile.ZIP_DEFLATED,
    )
    found = machine.find()
    folder = machine.home / ".cache" / "ferrule" / "providers" / digest(archive)
    program = folder / "terraform-provider-random_v3.6.0"
    assert (found.path, found.version, found.origin) == (str(program), "3.6.0", Origin.MIRROR)
    assert (found.place, found.lock) == (str(machine.root / "mirror"), LockVerdict.UNLOCKED)
    assert (program.read_bytes(), (folder / "docs/inner/index.md").read_bytes()) == (b"program", b"docs")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (program, folder / "LICENSE")] == [0o755, 0o644]
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert list(folder.parent.iterdir()) == [folder]


def test_cache_of_xdg(machine: Machine) -> None:
    machine.environment["XDG_CACHE_HOME"] = str(machine.root / "xdg")
    archive = machine.packed("mirror", "3.6.0")
    folder = machine.root / "xdg" / "ferrule" / "providers" / digest(archive)
    assert Path(machine.find().path or "").parent == folder


def test_package_is_unpacked_once_for_each_content(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    first = Path(machine.find().path or "")
    before = first.stat().st_ino
    assert machine.find().path == str(first)
    assert first.stat().st_ino == before
    repack(archive, ("terraform-provider-random", b"another program of that version"))
    assert Path(machine.find().path or "").read_bytes() == b"another program of that version"


def test_names_in_upper_case(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    archive.rename(archive.with_name(archive.name.upper()))
    assert machine.find().version == "3.6.0"


def test_newest_version_whether_packed_or_not(machine: Machine) -> None:
    machine.package("mirror", "3.5.0")
    machine.packed("mirror", "3.6.0")
    machine.packed("mirror", "3.7.0", platform=ELSEWHERE)
    assert machine.find().version == "3.6.0"
    assert machine.find(version="< 3.6").version == "3.5.0"
    unpacked = machine.package("mirror", "3.6.0")
    assert machine.find().path == str(unpacked)


def test_zip_file_is_held_to_the_lock_file(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    machine.lock("3.6.0", "h1:other", "zh:other", f"zh:{digest(archive)}")
    found = machine.find()
    assert (found.lock, found.lock_detail.split()[0]) == (LockVerdict.VERIFIED, f"zh:{digest(archive)}")
    assert found.secure_config is not None
    assert found.secure_config.checksum.hex() == digest(Path(found.path or ""))
    repack(archive, ("terraform-provider-random", b"changed"))
    with pytest.raises(SecurityError, match=rf"h1:.* and zh:{digest(archive)}, and .* allows only 3 others"):
        machine.find()


def test_unpacked_package_is_held_to_the_lock_file(machine: Machine) -> None:
    machine.packed("mirror", "3.6.0")
    program = Path(machine.find().path or "")
    machine.lock("3.6.0", hash_directory(str(program.parent)).h1)
    assert machine.find().lock is LockVerdict.VERIFIED
    program.write_text("changed in the cache")
    with pytest.raises(SecurityError):
        machine.find()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("../escape", "no path in a package"),
        ("/escape", "no path in a package"),
        ("a/../../escape", "no path in a package"),
        ("a//escape", "no path in a package"),
        ("./escape", "no path in a package"),
        ("C:escape", "no path in a package"),
        ("a\\..\\escape", "no path in a package"),
        ("terraform-provider-random", "no path in a package"),
        (link("link"), "is no file"),
        ("terraform-provider-random/x", "File exists|Not a directory"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_entry_that_is_refused(machine: Machine, entry: str | zipfile.ZipInfo, why: str) -> None:
    archive = machine.packed("mirror", "3.6.0")
    repack(archive, ("terraform-provider-random", b"program"), (entry, b"x"))
    with pytest.raises(
        ProviderNotFoundError, match=rf"3\.6\.0, the zip file .* cannot be unpacked: .*({why})"
    ) as caught:
        machine.find()
    assert caught.value.hint == f"Unpack it yourself: unzip {archive} -d {archive.parent}/3.6.0/{HERE}"
    assert list((machine.home / ".cache" / "ferrule" / "providers").iterdir()) == []
    assert list(machine.root.rglob("*escape*")) == []


@pytest.mark.parametrize("size", [0, 10, 60, -10])
def test_damaged_file(machine: Machine, size: int) -> None:
    archive = machine.packed("mirror", "3.6.0")
    archive.write_bytes(archive.read_bytes()[:size])
    with pytest.raises(ProviderNotFoundError, match="cannot be unpacked: File is not a zip file"):
        machine.find()


def test_damaged_content(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    archive.write_bytes(archive.read_bytes().replace(b"the program", b"The program"))
    with pytest.raises(ProviderNotFoundError, match="cannot be unpacked: Bad CRC-32"):
        machine.find()
    assert list((machine.home / ".cache" / "ferrule" / "providers").iterdir()) == []


def test_unusual_compression(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    repack(archive, ("terraform-provider-random", b"program"), method=zipfile.ZIP_BZIP2)
    with pytest.raises(ProviderNotFoundError, match="compressed unusually"):
        machine.find()


def test_file_that_is_too_large(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    content = archive.read_bytes()
    size = len(b"the program of 3.6.0").to_bytes(4, "little")
    archive.write_bytes(content.replace(size, b"\xf0\xff\xff\xff"))
    with pytest.raises(ProviderNotFoundError, match="cannot be unpacked"):
        machine.find()


def test_package_without_program(machine: Machine) -> None:
    archive = machine.packed("mirror", "3.6.0")
    repack(archive, ("inner/terraform-provider-random", b"program"))
    with pytest.raises(ProviderNotFoundError, match="has no program terraform-provider-random"):
        machine.find()


def test_cache_that_others_can_write_to(machine: Machine) -> None:
    machine.packed("mirror", "3.6.0")
    folder = machine.home / ".cache" / "ferrule" / "providers"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(ProviderNotFoundError, match="others can write to"):
        machine.find()
    folder.rmdir()
    folder.touch()
    with pytest.raises(ProviderNotFoundError, match="cannot be unpacked"):
        machine.find()
