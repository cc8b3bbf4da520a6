"""Versions and constraints, held to the Go module with which both cores choose a provider's version."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ferrule.errors import ConfigError
from ferrule.terraform.finding.versions import Constraints, Version

_HEAD, *_LINES = (
    gzip.decompress((Path(__file__).parent / "oracle" / "version-constraints.jsonl.gz").read_bytes())
    .decode()
    .splitlines()
)
VERSIONS: list[str] = json.loads(_HEAD)["versions"]
CASES: dict[str, list[str] | None] = {case["constraints"]: case["allowed"] for case in map(json.loads, _LINES)}

# Go-versions passes over a sign at the end behind which there is nothing; here it is refused.
UNFINISHED = {"1.0.0-", "1.0.0+", "1.", "1.0."}


def allowed(text: str) -> list[str] | None:
    try:
        constraints = Constraints.of(text)
    except ConfigError:
        return None
    return [version for version in VERSIONS if constraints.allows(Version.of(version))]


def test_constraints_allow_what_go_versions_allows() -> None:
    assert {text: allowed(text) for text in CASES} == CASES | dict.fromkeys(UNFINISHED)


def test_no_version_is_zero() -> None:
    """Go-versions has `Unspecified`, which is 0.0.0, for none."""
    for text in ("", "0.0.0", "= 0.0.0", ">= 0"):
        assert Constraints.of(text).allows(Version(0)) is False
        assert Constraints.of(text).allows(Version(0, prerelease="a")) is False


def test_versions_are_ordered() -> None:
    pre_releases = ("1", "2", "10", "alpha", "alpha.1", "alpha.beta", "beta", "beta.2", "beta.11", "rc.1")
    ordered = ["0.9.9", *(f"1.0.0-{name}" for name in pre_releases), "1.0.0", "1.0.1", "1.2.0", "1.10.0", "10.0.0"]
    assert sorted(set(ordered), key=Version.of) == ordered


def test_numbers_of_pre_releases_have_any_length() -> None:
    ordered = ["1.0.0-2", "1.0.0-10", "1.0.0-0" + "9" * 4999, "1.0.0-1" + "0" * 4999, "1.0.0-a"]
    assert sorted(set(ordered), key=Version.of) == ordered


def test_metadata_is_no_part_of_the_order() -> None:
    plain, built = Version.of("1.0.0"), Version.of("1.0.0+build")
    assert plain != built
    assert not plain < built
    assert not built < plain


@pytest.mark.parametrize(("text", "shown"), [("1", "1.0.0"), ("1.2", "1.2.0"), ("01.2.3-x+y", "1.2.3-x+y")])
def test_missing_numbers_are_zeros(text: str, shown: str) -> None:
    assert str(Version.of(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", " ", "v1.0.0", "1.0.0 ", " 1.0.0", "=1.0.0", "1.2.3.4", "1.x", "latest", "1.0.0-ä", "१.0.0", str(2**64)],
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="version"):
        Version.of(text)


def test_constraints_are_text() -> None:
    with pytest.raises(ConfigError, match=r"the version is 3\.6, expected"):
        Constraints.of(3.6)  # type: ignore[arg-type]


def test_a_v_is_explained() -> None:
    with pytest.raises(ConfigError, match="a version is written without v"):
        Constraints.of(">= v3.6.0")
