"""The verbs that plan and change a resource, on a provider that fails in many ways."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from terraform.fickle import ADDRESS, Fickle, attached, program, started
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with attached() as variable:
        yield variable


@pytest.fixture
def fickle(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fickle:
    monkeypatch.setenv("TF_REATTACH_PROVIDERS", where)
    return Fickle(tmp_path, capsys)


def created(fickle: Fickle, *values: str) -> None:
    assert fickle("apply", "fickle_thing", "name=a", "size=1", *values, *fickle.state, "--yes") == 0, fickle.err


def test_a_resource_from_its_creation_to_its_end(fickle: Fickle) -> None:
    created(fickle, "secret=hidden")
    assert "created fickle_thing thing-a" in fickle.out
    assert fickle.stored() == {"id": "thing-a", "mood": None, "name": "a", "secret": "hidden", "size": 1}
    assert "hidden" not in fickle.out + fickle.err
    assert fickle.state_file.stat().st_mode & 0o777 == 0o600
    assert fickle("apply", "fickle_thing", "name=a", "size=2", *fickle.state, "--yes") == 0
    assert "changed fickle_thing thing-a" in fickle.out
    assert fickle.stored()["size"] == 2
    assert fickle("apply", "fickle_thing", "name=b", *fickle.state, "--yes") == 0
    assert "replaced fickle_thing thing-b" in fickle.out
    assert fickle("destroy", *fickle.state, "--yes") == 0
    assert "destroyed fickle_thing" in fickle.out
    assert not fickle.state_file.exists()
    assert list(fickle.directory.iterdir()) == []


def test_a_plan_changes_nothing(fickle: Fickle) -> None:
    assert fickle("plan", "fickle_thing", "name=a", *fickle.state) == 0
    assert "name" in fickle.out
    assert not fickle.state_file.exists()


def test_statuses_of_a_plan(fickle: Fickle) -> None:
    plan = ["plan", "fickle_thing", *fickle.state, "--detailed-exitcode"]
    assert fickle(*plan, "name=a") == 2
    created(fickle)
    assert fickle(*plan, "name=a", "size=1") == 0
    assert fickle(*plan, "name=a", "size=x") == 1
    assert fickle(*plan, "--bogus") == 1
    assert "unrecognized arguments: --bogus" in fickle.err


def test_a_plan_as_json(fickle: Fickle) -> None:
    document = fickle.document("plan", "fickle_thing", "name=a", "secret=hidden", "size=0.1", "mood=warns")
    assert (document["action"], document["unknown"], document["sensitive"]) == ("create", [["id"]], [["secret"]])
    assert [warning["summary"] for warning in document["warnings"]] == ["Bad weather"]
    assert '"size": 0.1' in fickle.out
    assert "hidden" not in fickle.out


def test_a_configuration_in_a_file_and_over_it(fickle: Fickle) -> None:
    config = fickle.directory / "config.json"
    config.write_text('{"name": "a", "size": 1}')
    assert fickle("apply", "fickle_thing", "-f", str(config), "size=7", *fickle.state, "--yes") == 0
    assert fickle.stored()["size"] == 7


def test_a_replacement_as_asked_for(fickle: Fickle) -> None:
    created(fickle)
    same = ["fickle_thing", "name=a", "size=1", *fickle.state]
    assert fickle.document("plan", *same, "--replace")["action"] == "replace"
    assert fickle("apply", *same, "--replace", "--yes") == 0
    assert "replaced fickle_thing thing-a" in fickle.out


def test_a_state_of_another_type(fickle: Fickle) -> None:
    created(fickle)
    fickle.state_file.write_text(fickle.state_file.read_text().replace("fickle_thing", "other_thing"))
    assert fickle("plan", "fickle_thing", "name=a", *fickle.state) == 1
    assert "other_thing" in fickle.err


def test_a_configuration_on_standard_input(fickle: Fickle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"name": "a"}')))
    assert fickle("apply", "fickle_thing", "-f", "-", *fickle.state, "--yes") == 0
    assert fickle.stored()["name"] == "a"


def test_warnings_are_shown_once(fickle: Fickle) -> None:
    assert fickle("apply", "fickle_thing", "name=a", "mood=warns", *fickle.state, "--yes") == 0
    assert fickle.err.count("Warning: Bad weather\n  at mood\n  It may rain.\n") == 1
    document = fickle.document("apply", "fickle_thing", "name=a", "mood=warns", "size=2", *fickle.state, "--yes")
    assert document == {
        "type": "fickle_thing",
        "action": "update",
        "outcome": "applied",
        "state_file": str(fickle.state_file),
        "warnings": [{"severity": "warning", "summary": "Bad weather", "detail": "It may rain.", "path": "mood"}],
        "error": None,
    }


def test_nothing_to_do(fickle: Fickle) -> None:
    created(fickle)
    before = fickle.state_file.stat()
    document = fickle.document("apply", "fickle_thing", "name=a", "size=1", *fickle.state, "--yes")
    assert (fickle.status, document["action"], document["outcome"]) == (0, "no-op", "nothing")
    assert fickle.state_file.stat().st_mtime_ns == before.st_mtime_ns


def test_an_apply_that_fails_leaves_what_is_there(fickle: Fickle) -> None:
    assert fickle("apply", "fickle_thing", "name=a", "mood=fails", *fickle.state, "--yes") == 1
    assert "Error: It broke\n  at mood\n  Half of it is there.\n" in fickle.err
    assert fickle.stored()["id"] == "thing-a"
    assert json.loads(fickle.state_file.read_text())["status"] == "tainted"
    document = fickle.document("apply", "fickle_thing", "name=a", "mood=fails", *fickle.state, "--yes")
    assert (fickle.status, document["action"], document["outcome"]) == (1, "replace", "failed")
    assert [each["summary"] for each in document["error"]["diagnostics"]] == ["It stays"]


def test_a_destruction_that_fails_leaves_the_state(fickle: Fickle) -> None:
    created(fickle)
    assert fickle("apply", "fickle_thing", "name=a", "size=1", "mood=vanishes", *fickle.state, "--yes") == 0
    fickle.state_file.write_text(fickle.state_file.read_text().replace("vanishes", "fails"))
    assert fickle("destroy", *fickle.state, "--yes") == 1
    assert "Error: It stays" in fickle.err
    assert fickle.stored()["id"] == "thing-a"


def test_an_apply_whose_provider_crashes_may_have_happened(fickle: Fickle) -> None:
    crash = ["fickle_thing", "name=a", "mood=crashes", *fickle.state, "--yes"]
    provider = program(fickle.directory)
    assert fickle("apply", *crash, provider=provider) == 1
    assert "may have happened" in fickle.out + fickle.err
    assert not fickle.state_file.exists()
    created(fickle)
    fickle("apply", *crash, "--json", provider=provider)
    document = json.loads(fickle.out)
    assert (fickle.status, document["outcome"], document["error"]["type"]) == (1, "unknown", "ApplyError")
    assert fickle.stored()["mood"] is None


def test_what_others_have_changed(fickle: Fickle) -> None:
    created(fickle, "mood=drifts")
    assert fickle("plan", "fickle_thing", "name=a", "size=1", "mood=drifts", *fickle.state) == 0
    assert "Note: something else has changed fickle_thing: size.\n" in fickle.err


def test_what_others_have_removed(fickle: Fickle) -> None:
    created(fickle, "mood=vanishes")
    assert fickle("plan", "fickle_thing", "name=a", *fickle.state, "--detailed-exitcode") == 2
    assert "Note: fickle_thing is gone: something else has removed it.\n" in fickle.err
    assert fickle("destroy", *fickle.state, "--yes") == 0
    assert "fickle_thing was gone already" in fickle.out
    assert not fickle.state_file.exists()


def test_a_destruction_with_the_type(fickle: Fickle) -> None:
    created(fickle)
    assert fickle("destroy", "fickle_other", *fickle.state, "--yes") == 1
    assert "thing.json has the state of a fickle_thing, and not of a fickle_other" in fickle.err
    assert fickle("destroy", "fickle_thing", *fickle.state, "--yes") == 0
    assert "destroyed fickle_thing" in fickle.out


def test_a_state_file_behind_a_link(fickle: Fickle) -> None:
    fickle.state_file.symlink_to("real.json")
    created(fickle)
    assert fickle.state_file.is_symlink()
    real = fickle.directory / "real.json"
    assert real.stat().st_mode & 0o777 == 0o600
    assert fickle("destroy", *fickle.state, "--yes") == 0
    assert (fickle.state_file.is_symlink(), real.exists()) == (True, False)


def test_a_destruction_of_nothing(fickle: Fickle) -> None:
    nothing = ["destroy", *fickle.state, "--yes"]
    assert fickle(*nothing) == 1
    assert f"there is no state file {fickle.state_file}" in fickle.err
    assert "--state names the file" in fickle.err
    assert list(fickle.directory.iterdir()) == []
    fickle.state_file.touch()
    assert fickle(*nothing) == 1
    assert f"{fickle.state_file} is empty" in fickle.err


def test_a_destruction_of_another_address(fickle: Fickle) -> None:
    file = fickle.directory / "terraform.tfstate"
    state = ["--state", str(file), "--address", "fickle_thing.{}", "--yes"]

    def at(name: str) -> list[str]:
        return [each.format(name) for each in state]

    assert fickle("destroy", *at("b")) == 1
    assert f"there is no state file {file}" in fickle.err
    assert fickle("apply", "fickle_thing", "name=a", *at("a"), "--source-address", "ex/fickle") == 0, fickle.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert fickle("destroy", *at("b")) == 1
    assert f"{file} has no fickle_thing.b" in fickle.err
    assert "hint: It has fickle_thing.a." in fickle.err
    assert fickle("destroy", *at("a")) == 0
    assert fickle("destroy", *at("a")) == 1
    assert f"{file} has no fickle_thing.a" in fickle.err
    assert "hint: It has no resources." in fickle.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["apply", "fickle_thing", "name=a", "--state", "s"], "needs a terminal: add --yes"),
        (["destroy", "--state", "s"], "needs a terminal: add --yes"),
        (["apply", "fickle_thing", "-f", "-", "--state", "s"], "answered on standard input"),
        (["destroy", "fickle_thing", "name=a", "--state", "s", "--yes"], "as the state file has it: NAME=VALUE"),
        (["destroy", "fickle_thing", "-f", "x.json", "--state", "s", "--yes"], "as the state file has it: NAME=VALUE"),
        (["apply", "fickle_thing", "name=a", "--yes"], "the following arguments are required: --state"),
        (["plan", "fickle_thing", "-f", "-", "--provider-config", "-"], "only one of -f and --provider-config"),
        (["plan", "fickle_thing", "name"], "'name' should have the form NAME=VALUE"),
        (["import", "fickle_thing"], "either an ID or --identity"),
        (["plan", "fickle_thing", "--source-address", "a/b/c/d"], "expected [HOST/][NAMESPACE/]TYPE"),
        (["plan", "fickle_thing", "--source-address", "\udcff"], "is '\\udcff', expected [HOST/][NAMESPACE/]TYPE"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], complaint: str, fickle: Fickle) -> None:
    assert fickle(*arguments) == 2
    assert complaint in fickle.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["plan", "fickle_thing", "size=1"], "name"),
        (["plan", "fickle_thing", "name=a", "sise=1"], "Did you mean size?"),
        (["plan", "fickle_thing", "name=a", "size=x"], "size: expected number"),
        (["plan", "fickle_thnig", "name=a"], "fickle_thing"),
        (["plan", "fickle_thing", "-f", "none.json"], "none.json: cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(arguments: list[str], complaint: str, fickle: Fickle) -> None:
    assert fickle(*arguments) == 1
    assert complaint in fickle.err
    assert fickle.out == ""


def test_a_wrong_provider_configuration(fickle: Fickle) -> None:
    config = fickle.directory / "provider.json"
    config.write_text('{"region": "nowhere"}')
    document = fickle.document("plan", "fickle_thing", "name=a", "--provider-config", str(config))
    assert fickle.status == 1
    assert "Error: No such region\n  at region\n" in fickle.err
    assert document["error"]["diagnostics"] == [
        {"severity": "error", "summary": "No such region", "detail": "There is no nowhere.", "path": "region"}
    ]


def test_a_state_of_terraform(fickle: Fickle) -> None:
    path = fickle.directory / "terraform.tfstate"
    state = ["--state", str(path), "--address", "fickle_thing.first"]
    assert fickle("apply", "fickle_thing", "name=a", *state, "--yes") == 0
    (resource,) = json.loads(path.read_text())["resources"]
    assert resource["provider"] == f'provider["{ADDRESS}"]'
    assert resource["instances"][0]["attributes"]["id"] == "thing-a"
    assert fickle("plan", "fickle_thing", "name=a", *state[:2]) == 1
    assert "--address" in fickle.err
    assert fickle("destroy", *state, "--yes") == 0
    assert json.loads(path.read_text())["resources"] == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("how", ["closed", "full"])
def test_streams_that_take_nothing(
    stream: str, how: str, fickle: Fickle, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A result that cannot be shown is a failure, and the state is stored all the same."""
    full = None
    if how == "full":
        full = Path("/dev/full").open("w")  # noqa: SIM115 - closed by the finalizer.
        request.addfinalizer(full.close)
    monkeypatch.setattr(sys, stream, full)
    lost = stream == "stdout" and how == "full"
    arguments = ["fickle_thing", "name=a", "mood=fails", *fickle.state, "--yes", "--json"]
    assert fickle("apply", *arguments) == 1
    assert fickle.stored()["id"] == "thing-a"
    assert ("ferrule: standard output cannot be written: No space left on device\n" in fickle.err) == lost
    monkeypatch.setattr(sys, stream, None)
    assert fickle("schema", "fickle_thing") == 0
    monkeypatch.setattr(sys, "stdin", None)
    assert fickle("apply", "fickle_thing", "name=a", *fickle.state) == 2
    assert fickle("plan", "fickle_thing", "-f", "-") == 1


def test_an_interrupted_apply_stores_what_it_has_done(fickle: Fickle) -> None:
    """Meanwhile the state is locked."""
    arguments = ["fickle_thing", "name=a", "mood=waits", *fickle.state, "--yes", "--log-level", "warning"]
    with started("apply", program(fickle.directory), *arguments) as process:
        assert process.stderr
        assert any("the apply has begun" in line for line in process.stderr)
        assert fickle("apply", "fickle_thing", "name=a", *fickle.state, "--yes") == 1
        assert "cannot be locked" in fickle.err
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, errors
    assert "created fickle_thing thing-a" in output
    assert fickle.stored()["id"] == "thing-a"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the user's, and the program's."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(
    ("answer", "status", "last"),
    [("yes", 0, "created fickle_thing thing-a\n"), ("y", 1, "nothing was changed\n")],
)
def test_the_question(
    answer: str, status: int, last: str, fickle: Fickle, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    user, program = terminal
    os.write(user, f"{answer}\n".encode())
    with open(program, closefd=False) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert fickle("apply", "fickle_thing", "name=a", *fickle.state) == status
    assert "Do you want to create fickle_thing?" in fickle.err
    assert fickle.out.endswith(last)
    assert fickle.state_file.exists() == (status == 0)


def test_ctrl_c_at_the_question(fickle: Fickle, terminal: tuple[int, int]) -> None:
    with started("apply", ADDRESS, "fickle_thing", "name=a", *fickle.state, stdin=terminal[1]) as process:
        assert process.stderr
        assert "Do you want to create fickle_thing?" in until(process.stderr, ": ")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, errors
    assert not fickle.state_file.exists()


def until(stream: IO[str], text: str) -> str:
    """What is read up to the text."""
    read = ""
    while not read.endswith(text):
        character = stream.read(1)
        assert character, read
        read += character
    return read
