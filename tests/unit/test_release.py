"""What is published: one version, no promise that is not kept, and wheels that depend on their source alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import check_wheel
import ferrule
import settle_wheel
from peers import ROOT

CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SBOM = "ferrule-1.dist-info/sboms/ferrule-bindings.cyclonedx.json"
RECORD = "ferrule-1.dist-info/RECORD"
# 29 November 2026, 01:00 UTC.
EPOCH_SECONDS = 1795914000


def test_the_version_stands_in_one_place() -> None:
    assert CARGO["workspace"]["package"]["version"] == ferrule.__version__
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    for crate in ("core", "bindings"):
        package = tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text())["package"]
        assert package["version"] == {"workspace": True}


def test_the_changelog_begins_with_what_is_unreleased_or_with_this_version() -> None:
    titles = re.findall(r"^## \[?([\w.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] in ("Unreleased", ferrule.__version__)


def test_only_systems_on_which_the_tests_run_are_classified() -> None:
    systems = [name for name in PROJECT["classifiers"] if name.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]


def test_what_is_released_is_what_the_page_names() -> None:
    """The workflow builds each target that the page on releases promises."""
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    page = (ROOT / "docs" / "releasing.md").read_text()
    targets = set(re.findall(r"\w+-(?:unknown-linux-\w+|apple-darwin)", workflow))
    assert targets
    assert targets == set(re.findall(r"\w+-(?:unknown-linux-\w+|apple-darwin)", page))


def make_wheel(place: Path, folder: str, serial: str, crates: tuple[str, ...] = check_wheel.CRATES) -> Path:
    """A wheel as maturin builds it in `folder`."""
    reference = f"path+file://{folder}/rust/bindings#ferrule-bindings@1"
    document = {
        "serialNumber": serial,
        "metadata": {
            "timestamp": f"2026-11-28T22:10:{len(folder):02}Z",
            "component": {
                "bom-ref": reference,
                "purl": "pkg:cargo/ferrule-bindings@1?download_url=file://.",
                "components": [{"purl": "pkg:cargo/ferrule-bindings@1?download_url=file://.#src/lib.rs"}],
            },
        },
        "components": [{"name": name} for name in crates],
        "dependencies": [{"ref": reference}],
    }
    place.mkdir()
    wheel = place / "ferrule-1-cp311-abi3-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ferrule/_core.abi3.so", b"\x7fELF" * 100)
        archive.writestr(SBOM, json.dumps(document))
        archive.writestr(RECORD, "")
    return wheel


def test_two_builds_of_one_source_are_the_same(tmp_path: Path) -> None:
    first = make_wheel(tmp_path / "a", "/home/one/ferrule", "urn:uuid:259bf4b1-e87e-480e-bd4e-0397a9381493")
    second = make_wheel(tmp_path / "b", "/srv/another place", "urn:uuid:00000000-e87e-480e-bd4e-0397a9381493")
    assert first.read_bytes() != second.read_bytes()
    for wheel in (first, second):
        settle_wheel.settle(wheel, EPOCH_SECONDS)
    assert first.read_bytes() == second.read_bytes()


def test_a_settled_wheel_says_what_was_built_and_not_where(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a", "/home/one/ferrule", "")
    settle_wheel.settle(wheel, EPOCH_SECONDS)
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(SBOM).decode()
        assert archive.namelist()[-1] == RECORD
        assert archive.getinfo(SBOM).date_time == (2026, 11, 29, 1, 0, 0)
        for line in archive.read(RECORD).decode().splitlines()[:-1]:
            name, digest, size = line.split(",")
            contents = archive.read(name)
            encoded = base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).decode()
            assert (digest, size) == (f"sha256={encoded.rstrip('=')}", str(len(contents)))
    document = json.loads(text)
    assert "/home/one" not in text
    assert "file:" not in text
    assert document["metadata"]["timestamp"] == "2026-11-29T01:00:00+00:00"
    assert document["metadata"]["component"]["bom-ref"] == "path+bindings#ferrule-bindings@1"
    assert document["dependencies"] == [{"ref": "path+bindings#ferrule-bindings@1"}]
    assert re.fullmatch(r"urn:uuid:[\da-f-]{36}", document["serialNumber"])


def test_a_wheel_that_is_fit_to_be_published(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a", "/home/one", "")
    settle_wheel.settle(wheel, EPOCH_SECONDS)
    assert check_wheel.find_faults(wheel) == []


@pytest.mark.parametrize(
    ("name", "crates", "contents", "fault"),
    [
        ("ferrule-1-py3-none-any.whl", check_wheel.CRATES, b"", "the name is not that of a wheel"),
        ("ferrule-1-cp311-abi3-any.whl", ("pyo3",), b"", "rustls is not in the bill of materials"),
        ("ferrule-1-cp311-abi3-any.whl", check_wheel.CRATES, f"{ROOT}/rust".encode(), f"names {ROOT}/"),
        ("ferrule-1-cp311-abi3-any.whl", check_wheel.CRATES, f"{Path.home()}/.rustup/x".encode(), "/.rustup/"),
    ],
)
def test_a_wheel_that_is_not(tmp_path: Path, name: str, crates: tuple[str, ...], contents: bytes, fault: str) -> None:
    wheel = make_wheel(tmp_path / "a", "/home/one", "", crates)
    settle_wheel.settle(wheel, EPOCH_SECONDS)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("ferrule/more", contents)
    faults = check_wheel.find_faults(wheel.rename(wheel.with_name(name)))
    assert any(fault in each for each in faults), faults


def test_the_first_steps_are_taken_with_what_is_installed() -> None:
    output = subprocess.check_output(
        [sys.executable, ROOT / ".ci" / "first_steps.py", ROOT / "examples" / "quickstart.py"], text=True
    )
    assert "colour is green" in output
    assert "kv.KV" in output
