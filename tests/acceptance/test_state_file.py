"""State files are read, written and locked as OpenTofu does it."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from acceptance.workspace import SOURCE, Workspace
from ferrule.terraform.errors import StateError
from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate import StateFile

pytestmark = [pytest.mark.timeout(300), pytest.mark.go]

GREETING, REFERENCE = "ferrule_note.greeting", "ferrule_note.reference"


def without_history(text: str) -> str:
    """A state file without what tells who wrote it and how often, and how many line ends its Go puts at the end."""
    return re.sub(r'"(serial|terraform_version)": [^\n]*', "", text).rstrip()


def test_what_was_written_is_what_tofu_reads(workspace: Workspace) -> None:
    workspace.tofu("apply", "-auto-approve", "-var=text=hello")
    file = StateFile(workspace.state_path)
    before = workspace.state_path.read_text()
    assert file.addresses() == [GREETING, REFERENCE]
    greeting, reference = map(file.read, file.addresses())
    assert greeting.provider == SOURCE

    file.write(GREETING, dataclasses.replace(greeting, tainted=True))
    assert workspace.planned("hello")["greeting"]["actions"] == ["delete", "create"]
    file.write(GREETING, greeting)
    assert without_history(workspace.state_path.read_text()) == without_history(before)
    assert {change["actions"][0] for change in workspace.planned("hello").values()} == {"no-op"}

    file.write(GREETING, None)
    file.write(REFERENCE, dataclasses.replace(reference, json=json.dumps(reference.attributes | {"text": "<other>"})))
    changes = {name: change["actions"] for name, change in workspace.planned("hello").items()}
    assert changes == {"greeting": ["create"], "reference": ["update"]}
    workspace.tofu("apply", "-auto-approve", "-var=text=hello")
    assert workspace.state()["reference"]["text"].startswith("see ")


def test_new_file_has_the_form_of_tofu(workspace: Workspace) -> None:
    notes = {
        GREETING: {"id": "g", "length": 5, "text": "<é>\u2028"},
        REFERENCE: {"id": "r", "length": 5, "text": "see g"},
    }
    file = StateFile(workspace.state_path)
    for address, attributes in notes.items():
        text = json.dumps(attributes, ensure_ascii=False)
        tainted = address == REFERENCE
        state = ResourceState(type="ferrule_note", json=text, private=b"\xff<", provider=SOURCE, tainted=tainted)
        file.write(address, state)
    ours = workspace.state_path.read_text()
    shown = json.loads(workspace.tofu("show", "-json"))["values"]["root_module"]["resources"]
    assert {each["address"]: each["values"] for each in shown} == notes
    # Each of these commands writes the whole file anew.
    workspace.tofu("untaint", REFERENCE)
    workspace.tofu("taint", REFERENCE)
    assert without_history(workspace.state_path.read_text()) == without_history(ours)


def test_lock_is_that_of_tofu(workspace: Workspace) -> None:
    workspace.tofu("apply", "-auto-approve", "-var=text=hello")
    file = StateFile(workspace.state_path)
    greeting = dataclasses.replace(file.read(GREETING), private=b"new")
    with file.locked("a test of locks"):
        file.write(GREETING, greeting)
        outcome = workspace.run("plan", "-var=text=hello")
        assert outcome.status == 1
        assert "Error acquiring the state lock" in outcome.output
        assert "a test of locks" in outcome.output
    before = workspace.state_path.read_bytes()
    with workspace.asking("apply", "-var=text=goodbye"):
        with pytest.raises(StateError, match=r"it is locked, by \S+@\S+ since .* \(OperationTypeApply, lock "):
            file.write(GREETING, None)
        assert file.read(GREETING) == greeting
    assert workspace.state_path.read_bytes() == before
    file.write(GREETING, None)
