"""The verbs `read` and `import`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from terraform.fickle import Fickle, attached

pytestmark = pytest.mark.timeout(60)

THING = {"id": "thing-a", "mood": None, "name": "a", "secret": "hidden", "size": 1}


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with attached() as variable:
        yield variable


@pytest.fixture
def fickle(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fickle:
    monkeypatch.setenv("TF_REATTACH_PROVIDERS", where)
    return Fickle(tmp_path, capsys)


def test_a_data_source(fickle: Fickle) -> None:
    assert fickle("read", "fickle_thing", "name=a", "size=0.1", "secret=hidden") == 0
    assert fickle.out == 'id     = "thing-a"\nname   = "a"\nsecret = (sensitive value)\nsize   = 0.1\n'


def test_a_data_source_as_json(fickle: Fickle) -> None:
    document = fickle.document("read", "fickle_thing", "name=007", "size=12345678901234567890.5", "secret=hidden")
    assert document.pop("attributes")["name"] == "007"
    assert document == {"type": "fickle_thing", "warnings": []}
    assert '"size": 12345678901234567890.5' in fickle.out
    assert '"secret": "hidden"' in fickle.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fickle_thing"], "name"),
        (["fickle_thing", "nam=a"], "Did you mean name?"),
        (["fickle_thnig", "name=a"], "fickle_thing"),
    ],
)
def test_a_wrong_configuration(arguments: list[str], complaint: str, fickle: Fickle) -> None:
    assert fickle("read", *arguments) == 1
    assert complaint in fickle.err
    assert fickle.out == ""


@pytest.mark.parametrize("place", [["a"], ["--identity", "name=a"]])
def test_an_import_into_a_file(place: list[str], fickle: Fickle) -> None:
    assert fickle("import", "fickle_thing", *place, *fickle.state) == 0
    assert "imported fickle_thing\n" in fickle.out
    assert "(sensitive value)" in fickle.out
    assert "hidden" not in fickle.out
    assert fickle.stored() == THING
    assert fickle("import", "fickle_thing", *place, *fickle.state) == 1
    assert "has a resource already" in fickle.err
    assert (
        fickle("plan", "fickle_thing", "name=a", "size=1", "secret=hidden", *fickle.state, "--detailed-exitcode") == 0
    )


def test_an_import_that_is_shown(fickle: Fickle) -> None:
    document = fickle.document("import", "fickle_thing", "a")
    assert (document["state_file"], document["state"]["attributes"]) == (None, THING)
    document = fickle.document("import", "fickle_thing", "b", *fickle.state)
    assert document == {"type": "fickle_thing", "state_file": str(fickle.state_file), "state": None, "warnings": []}


def test_an_import_into_a_state_of_terraform(fickle: Fickle) -> None:
    path = fickle.directory / "terraform.tfstate"
    assert fickle("import", "fickle_thing", "a", "--state", str(path), "--address", 'fickle_thing.x["k"]') == 0
    (resource,) = json.loads(path.read_text())["resources"]
    assert (resource["name"], resource["instances"][0]["index_key"]) == ("x", "k")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fickle_thing", "nothing"], "Error: Not there"),
        (["fickle_thing", "--identity", "nam=a"], "Did you mean name?"),
        (["fickle_thing", "a", "--address", "other_thing.x"], "is no address of a fickle_thing"),
    ],
)
def test_an_import_that_fails(arguments: list[str], complaint: str, fickle: Fickle) -> None:
    assert fickle("import", *arguments, *fickle.state) == 1
    assert complaint in fickle.err
    assert not fickle.state_file.exists()
