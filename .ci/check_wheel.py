"""Checks wheels without installing them.

Run: python .ci/check_wheel.py WHEEL...

The library needs no more of the system than the wheel's name promises, nothing names a place on the machine that built
it, and the bill of materials (SBOM) is there.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# For the stable interface of CPython 3.11, or for one free-threaded CPython, which has no stable interface.
NAME = re.compile(r"ferrule-[^-]+-(cp311-abi3|cp3\d+-cp3\d+t)-(?P<tags>[^-]+)\.whl")
SBOM = "/sboms/ferrule-bindings.cyclonedx.json"
CRATES = ("aws-lc-sys", "ferrule-core", "pyo3", "rustls")
# zig's name for musl's one library. The loader of musl takes it for itself, as it does the name that Alpine's packages
# use, which is the one that auditwheel knows.
MUSL_LIBRARY = "libc.so"


def build_places() -> list[str]:
    """Beginnings of paths that only the machine that builds has."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    return [f"{place}/" for place in (ROOT, cargo, target, Path.home() / ".rustup")] + ["path+file:"]


def find_places(archive: zipfile.ZipFile) -> list[str]:
    """Complaints about files that name a place on the machine that built them."""
    places = build_places()
    return [
        f"{name} names {place}: build it by make, which remaps that"
        for name in archive.namelist()
        for place in places
        if place.encode() in archive.read(name)
    ]


def find_gaps(archive: zipfile.ZipFile) -> list[str]:
    """Complaints about the bill of materials."""
    names = [name for name in archive.namelist() if name.endswith(SBOM)]
    if len(names) != 1:
        return [f"expected one file *{SBOM}, found {len(names)}"]
    listed = {component["name"] for component in json.loads(archive.read(names[0]))["components"]}
    return [f"{crate} is not in the bill of materials" for crate in CRATES if crate not in listed]


def find_needs(wheel: Path, tag: str) -> list[str]:
    """Complaints of auditwheel about what the library needs beyond the system that `tag` names."""
    command = [sys.executable, "-m", "auditwheel", "show", "--json"]
    with tempfile.TemporaryDirectory() as empty:
        # Libraries of this machine say nothing of one with musl.
        options = ["--ldpaths", empty] if "musl" in tag else []
        report = json.loads(subprocess.check_output([*command, *options, wheel], stderr=subprocess.DEVNULL))
    libraries = set(report["external_libs"]) - {MUSL_LIBRARY}
    fits = report["sym_tag"] if "musl" in tag else report["overall_tag"]
    if fits == tag and not ("musl" in tag and libraries):
        return []
    return [f"auditwheel finds that it fits {fits} and needs {sorted(libraries)}; the name says {tag}"]


def find_faults(wheel: Path) -> list[str]:
    """Complaints about a wheel, none if it is fit to be published."""
    name = NAME.fullmatch(wheel.name)
    if name is None:
        return ["the name is not that of a wheel for the stable interface of CPython 3.11, or for a free-threaded one"]
    # Of several tags the last has the number of the C library in it.
    tag = name["tags"].split(".")[-1]
    with zipfile.ZipFile(wheel) as archive:
        faults = find_places(archive) + find_gaps(archive)
    return faults + (find_needs(wheel, tag) if "linux" in tag else [])


def main() -> None:
    faults = [f"{name}: {fault}" for name in sys.argv[1:] for fault in find_faults(Path(name))]
    if faults:
        sys.exit("\n".join(faults))
    for name in sys.argv[1:]:
        print(f"{Path(name).name}: fit to be published")


if __name__ == "__main__":
    main()
