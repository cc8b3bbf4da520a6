"""State files of format 4: read, written back, locked."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import os
import random
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform.cty import Attribute
from ferrule.terraform.errors import StateError
from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate import Address, StateFile
from ferrule.terraform.tfstate import lock as lock_module

STATES = Path(__file__).parent / "states"
WRITTEN_BY_TOOLS = sorted(STATES.glob("*.tfstate"))


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    """A state of OpenTofu with resources of many kinds."""
    return copied(STATES / "opentofu-1.12.tfstate", tmp_path)


def copied(source: Path, directory: Path) -> StateFile:
    (directory / "terraform.tfstate").write_bytes(source.read_bytes())
    return StateFile(directory / "terraform.tfstate")


def changed_lines(before: str, after: str) -> list[str]:
    """What differs but for the serial number, which must have risen by one."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    numbers = [re.fullmatch(r'[+-]  "serial": (\d+),', line) for line in changed]
    old, new = (int(number[1]) for number in numbers if number)
    assert new == old + 1
    return [line for line, number in zip(changed, numbers, strict=True) if not number]


@pytest.mark.parametrize("source", WRITTEN_BY_TOOLS, ids=lambda path: path.stem)
def test_what_the_tools_wrote_survives_to_the_byte(source: Path, tmp_path: Path) -> None:
    file = copied(source, tmp_path)
    before = file.path.read_bytes()
    assert file.addresses()
    serial = int(re.search(rb'"serial":\s*(\d+)', before)[1])  # type: ignore[index]
    for address in file.addresses():
        state = file.read(address)
        file.write(address, state)
        assert file.path.read_bytes() == before
        # What a change and its reversal write is what the tools had written.
        file.write(
            address, dataclasses.replace(state, tainted=not state.tainted, private=b"x", json='{"a": "<\u2028>"}')
        )
        assert file.path.read_bytes() != before
        file.write(address, state)
        assert file.path.read_bytes() == re.sub(rb'("serial":\s*)\d+', rb"\g<1>%d" % (serial + 2), before)
        file.path.write_bytes(before)


@pytest.mark.parametrize("source", WRITTEN_BY_TOOLS, ids=lambda path: path.stem)
def test_resources_that_go_and_come_again_stand_in_their_places(source: Path, tmp_path: Path) -> None:
    file = copied(source, tmp_path)
    before = file.path.read_text()
    document = json.loads(before)
    kept = {
        address: [name for name in ("dependencies", "create_before_destroy") if name in instance]
        for address, instance in instances(document)
    }
    states = {address: file.read(address) for address in file.addresses() if not kept[address]}
    for address in states:
        file.write(address, None)
    assert set(file.addresses()) == set(kept) - set(states)
    for address in reversed(list(states)):
        file.write(address, dataclasses.replace(states[address], sensitive=()))
    after = json.loads(file.path.read_text())
    assert [address for address, _ in instances(after)] == [address for address, _ in instances(document)]
    assert after["serial"] == document["serial"] + 2 * len(states)
    without_paths = {address: file.read(address) for address in states}
    assert without_paths == {address: dataclasses.replace(state) for address, state in states.items()}


def instances(document: Any) -> Iterator[tuple[str, Any]]:
    for resource in document["resources"]:
        for instance in resource["instances"]:
            if "deposed" not in instance:
                names = (resource.get("module", ""), resource["mode"], resource["type"], resource["name"])
                yield str(Address(*names, instance.get("index_key"))), instance


STATE = ResourceState(
    type="random_pet",
    json='{"id":"cat","length":2}',
    schema_version=1,
    provider="registry.terraform.io/hashicorp/random",
    sensitive=(),
)


def test_a_change_is_all_that_changes(file: StateFile) -> None:
    before = file.path.read_text()
    state = file.read("rec_secret.a")
    attributes = state.attributes | {"name": "<new>", "password": None, "login": state.attributes["login"][:1]}
    sensitive = ((Attribute("password"),), (Attribute("token"),), (Attribute("login"), 7, Attribute("pass")))
    new = dataclasses.replace(state, json=json.dumps(attributes), tainted=True, sensitive=sensitive, schema_version=3)
    file.write("rec_secret.a", new)
    changed = changed_lines(before, file.path.read_text())
    assert r'+            "name": "\u003cnew\u003e",' in changed
    assert '+          "status": "tainted",' in changed
    assert '+          "schema_version": 3,' in changed
    assert '+            "password": null,' in changed
    stored = json.loads(file.path.read_text())
    (instance,) = (each for address, each in instances(stored) if address == "rec_secret.a")
    paths = ["".join(str(step["value"]) for step in path) for path in instance["sensitive_attributes"]]
    # What is null may be sensitive; what is not there may not.
    assert sorted(paths) == ["login{'value': 0, 'type': 'number'}pass", "password", "token"]


def test_unknown_members_and_their_order_are_kept(file: StateFile) -> None:
    document = json.loads(file.path.read_text())
    document = {"future": [1.50, {}], **document}
    for resource in document["resources"]:
        resource["instances"][0] = {"later": {"x": "<>"}, **resource["instances"][0]}
    file.path.write_text(json.dumps(document, indent=2) + "\n")
    before = file.path.read_text()
    file.write("rec_secret.a", dataclasses.replace(file.read("rec_secret.a"), private=b"new"))
    lines = changed_lines(before, file.path.read_text())
    assert [line for line in lines if "private" not in line] == []


def test_a_file_on_one_line_stays_so(file: StateFile) -> None:
    document = json.loads(file.path.read_text())
    file.path.write_text(json.dumps(document, separators=(",", ":")))
    file.write("random_pet.new", STATE)
    file.write(file.addresses()[0], None)
    assert "\n" not in file.path.read_text()
    assert file.read("random_pet.new") == dataclasses.replace(STATE, sensitive=None)


def test_new_file(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "new.tfstate")
    assert file.addresses() == []
    assert file.get("random_pet.b") is None
    file.write("random_pet.gone", None)
    assert list(tmp_path.iterdir()) == []
    for address in ("random_pet.b", 'module.m["k"].random_pet.a[10]', 'module.m["k"].random_pet.a[9]', "random_pet.a"):
        file.write(address, STATE)
    document = json.loads(file.path.read_text())
    head = {name: value for name, value in document.items() if name not in {"lineage", "resources"}}
    assert head == {"version": 4, "terraform_version": "1.13.3", "serial": 4, "outputs": {}, "check_results": None}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["lineage"])
    assert file.addresses() == [
        "random_pet.a",
        "random_pet.b",
        'module.m["k"].random_pet.a[9]',
        'module.m["k"].random_pet.a[10]',
    ]
    assert document["resources"][0]["provider"] == 'provider["registry.terraform.io/hashicorp/random"]'
    # The form of the tools, of which a test in tests/acceptance asks them.
    assert file.path.read_text() == json.dumps(document, indent=2) + "\n"
    assert file.path.stat().st_mode & 0o777 == 0o666 & ~umask()
    for address in file.addresses():
        file.write(address, None)
    assert json.loads(file.path.read_text())["resources"] == []


def umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def test_deposed_objects(file: StateFile) -> None:
    address = "rec_replace.deposed"
    (deposed,) = (
        each["deposed"]
        for resource in json.loads(file.path.read_text())["resources"]
        for each in resource["instances"]
        if "deposed" in each
    )
    old, current = file.read(address, deposed=deposed), file.read(address)
    assert old.attributes["id"] != current.attributes["id"]
    file.write(address, None, deposed=deposed)
    assert file.get(address, deposed=deposed) is None
    assert file.read(address) == current
    with pytest.raises(StateError, match=rf"has no rec_replace\.deposed \(deposed object {deposed}\)"):
        file.read(address, deposed=deposed)


def test_flat_attributes_of_old_states(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "old.tfstate")
    flat = {"id": "x", "tags.%": "1", "tags.a": "<b>"}
    file.write("random_pet.a", dataclasses.replace(STATE, json=None, flatmap=flat))
    assert file.read("random_pet.a").flatmap == flat
    assert r'"tags.a": "\u003cb\u003e"' in file.path.read_text()
    file.write("random_pet.a", STATE)
    assert '"attributes_flat"' not in file.path.read_text()
    assert file.read("random_pet.a").attributes == {"id": "cat", "length": 2}


def test_what_is_not_there(file: StateFile) -> None:
    with pytest.raises(StateError, match=r"has no rec_replace\.many") as caught:
        file.read("rec_replace.many")
    assert "rec_replace.many[0]" in str(caught.value)
    with pytest.raises(StateError, match=r"has no rec_replace\.mani") as caught:
        file.read("rec_replace.mani")
    assert "rec_replace.many" in str(caught.value)
    with pytest.raises(StateError, match=r"there is no state file .*absent"):
        ResourceState.from_tfstate(file.path.with_name("absent"), "a.b")
    assert ResourceState.from_tfstate(file.path, "rec_secret.a") == file.read("rec_secret.a")
    with pytest.raises(StateError, match="its state names no provider"):
        file.write("random_pet.a", dataclasses.replace(STATE, provider=""))


def test_state_of_another_provider_or_type_is_refused(file: StateFile) -> None:
    state = file.read("rec_secret.a")
    before = file.path.read_bytes()
    with pytest.raises(StateError, match=r"is of the provider .*/record/rec, its new state of x/y/z"):
        file.write("rec_secret.a", dataclasses.replace(state, provider="x/y/z"))
    with pytest.raises(StateError, match="cannot have the state of a rec_other"):
        file.write("rec_secret.a", dataclasses.replace(state, type="rec_other"))
    with pytest.raises(StateError, match=r"rec_other\.new cannot have the state of a rec_secret"):
        file.write("rec_other.new", state)
    assert file.path.read_bytes() == before
    file.write("random_pet.a", STATE)
    # Either tool has a registry of its own for the same providers.
    file.write("random_pet.a", dataclasses.replace(STATE, provider="registry.opentofu.org/hashicorp/random"))
    assert file.read("random_pet.a").provider == STATE.provider


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no state file: no JSON"),
        ("[]", "is no state file: expected an object"),
        ('{\n"version": 4,\n"version": 4}', 'is no state file: the member "version" comes twice, in line 3'),
        ("{}", "it has no version"),
        ('{"version": 3, "modules": []}', "is of format 3; only format 4"),
        ('{"version": "4"}', 'is of format "4"'),
        ('{"meta": {}, "encrypted_data": "x", "encryption_version": "v0"}', "is encrypted, by OpenTofu"),
        ('{"version": 4}', "has no list of resources"),
        ('{"version": 4, "resources": [1]}', "resources[0] is no object"),
        ('{"version": 4, "resources": [{"type": "a", "name": "b", "mode": "managed"}]}', "resources[0] has no list of"),
        ('{"version": 4, "resources": [{"type": 1, "instances": []}]}', "resources[0].type is no text"),
    ],
)
def test_what_is_no_state_file_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "terraform.tfstate"
    path.write_text(text)
    for act in (StateFile(path).addresses, lambda: StateFile(path).write("a.b", STATE)):
        with pytest.raises(StateError) as caught:
            act()
        assert problem in str(caught.value)
        assert str(path) in str(caught.value)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ('"schema_version": "x"', 'schema_version: expected a whole number from 0, got "x"'),
        ('"attributes": 3', "attributes: expected an object, got number 3"),
        ('"private": "", "private": "hunter2!"', 'the member "private" comes twice, in line 1'),
        ('"private": "hunter2!"', "private: expected bytes in base64"),
        ('"status": "odd"', 'status: expected "tainted"'),
    ],
)
def test_broken_instance_is_refused(member: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "terraform.tfstate"
    head = '"mode": "managed", "type": "a", "name": "b"'
    path.write_text(f'{{"version": 4, "serial": 1, "resources": [{{{head}, "instances": [{{{member}}}]}}]}}')
    with pytest.raises(StateError) as caught:
        StateFile(path).read("a.b")
    assert problem in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a.b", Address("", "managed", "a", "b")),
        ("data.a.b[3]", Address("", "data", "a", "b", 3)),
        (
            'module.x.module.y["k.[\\"]"].a.b-c["é\\n$${x}"]',
            Address('module.x.module.y["k.[\\"]"]', "managed", "a", "b-c", "é\n${x}"),
        ),
        ('a.b["\\u00e9\\U0001f600$%%{"]', Address("", "managed", "a", "b", "é😀$%{")),
    ],
)  # fmt: skip
def test_addresses(text: str, address: Address) -> None:
    assert Address.of(text) == address
    assert Address.of(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a.", "a.b.c", "a[0].b", "module.a", "module.a[0]", "data.a", "data.data"),
        *('a.b["x]', "a.b[x]", "a.b[-1]", "a b.c", "a.b\n"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(StateError, match="is no address"):
        Address.of(text)


HOLDER = """
import fcntl, pathlib, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
info = {"ID": "7f", "Operation": "OperationTypeApply", "Who": "ann@host", "Created": "2026-01-02T03:04:05Z"}
pathlib.Path(sys.argv[2]).write_text(__import__("json").dumps(info))
print("locked", flush=True)
sys.stdin.read()
"""
TRIAL = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(3)
"""


def info_path(file: StateFile) -> Path:
    return file.path.with_name(f".{file.path.name}.lock.info")


def is_locked(path: Path) -> bool:
    """Whether another process, which opens the file as the tools do, finds it locked."""
    return subprocess.run([sys.executable, "-c", TRIAL, path], check=False).returncode == 3


@contextlib.contextmanager
def held(file: StateFile) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(file.path), str(info_path(file))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.stdin.close()


def test_a_held_lock_is_respected_and_its_holder_named(file: StateFile) -> None:
    before = file.path.read_bytes()
    with held(file):
        with pytest.raises(StateError) as caught:
            file.write("random_pet.a", STATE)
        assert "it is locked, by ann@host since 2026-01-02T03:04:05Z (OperationTypeApply, lock 7f)" in str(caught.value)
        info_path(file).write_text("{")
        with pytest.raises(StateError, match="by a program that has not left its name"):
            file.write("random_pet.a", STATE)
        # Reading takes no lock.
        assert file.addresses()
    assert file.path.read_bytes() == before
    # What a holder that was killed has left is no lock.
    assert info_path(file).exists()
    file.write("random_pet.a", STATE)
    assert not info_path(file).exists()


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("directory", "is a directory, expected a regular file"),
        ("pipe", "is a device or pipe, expected a regular file"),
        ("loop", "cannot be locked: Too many levels of symbolic links"),
        ("name too long to be locked", "cannot be locked: File name too long"),
    ],
)
def test_what_cannot_be_a_state_file(kind: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / (250 * "x" if "long" in kind else "state")
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    before = list(tmp_path.iterdir())
    with pytest.raises(StateError, match=complaint), StateFile(path).locked():
        pass
    assert list(tmp_path.iterdir()) == before
    assert not lock_module._held


@pytest.mark.parametrize("name", [244 * "x", "st\udcffate\n"])
def test_odd_names_of_state_files(name: str, tmp_path: Path) -> None:
    file = StateFile(tmp_path / name)
    file.write("random_pet.new", dataclasses.replace(STATE, provider="registry.terraform.io/hashicorp/random"))
    assert file.addresses() == ["random_pet.new"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_others_find_the_lock_held_until_the_end(file: StateFile) -> None:
    with file.locked("apply of a test"):
        info = json.loads(info_path(file).read_text())
        assert (info["Operation"], info["Path"]) == ("apply of a test", str(file.path))
        assert set(info) == {"ID", "Operation", "Info", "Who", "Version", "Created", "Path"}
        assert is_locked(file.path)
        file.write("random_pet.a", STATE)
        # The file is another one now, and reading closes none of its descriptors.
        assert StateFile(file.path).read("random_pet.a").attributes["id"] == "cat"
        assert is_locked(file.path)
        file.write("random_pet.b", STATE)
        for other in (file, StateFile(file.path)):
            with pytest.raises(StateError, match=r"locked by this very object|this program holds its lock already"):
                with other.locked():
                    pass
        assert is_locked(file.path)
    assert not is_locked(file.path)
    assert not info_path(file).exists()
    assert not lock_module._held


def test_mode_is_kept_and_links_are_followed(file: StateFile, tmp_path: Path) -> None:
    file.path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(file.path)
    StateFile(link).write("random_pet.a", STATE)
    assert link.is_symlink()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert file.read("random_pet.a").type == "random_pet"


def test_a_write_that_fails_leaves_all_as_it_was(file: StateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="cannot be written: No space left on device"):
        file.write("random_pet.a", STATE)
    monkeypatch.undo()
    assert file.path.read_bytes() == before
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]
    file.write("random_pet.a", STATE)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be read: Is a directory"):
        StateFile(tmp_path).addresses()
    with pytest.raises(StateError, match="cannot be locked: No such file or directory"):
        StateFile(tmp_path / "absent" / "file").write("random_pet.a", STATE)


def test_any_sequence_of_writes(tmp_path: Path) -> None:
    """Against a dict of what was written, with the form of the tools after each step."""
    chance = random.Random(7)
    file = StateFile(tmp_path / "terraform.tfstate")
    keys = ("", "[0]", "[2]", "[10]", '["a"]', '["Z <\\"é$${"]')
    names = [f"{module}{mode}t.n" for module in ("", "module.a.", "module.a[1].") for mode in ("", "data.")]
    addresses = [name + key for name in names for key in keys]
    written: dict[str, ResourceState] = {}
    for step in range(1, 101):
        address = chance.choice(addresses)
        if chance.random() < 0.4 and written:
            address = chance.choice(list(written))
            file.write(address, None)
            del written[address]
        else:
            text = json.dumps({"id": str(step), "l": [[], {}, [1.50, None, "<&>\u2028"]]}, ensure_ascii=False)
            state = ResourceState(
                type="t", json=text, private=b"x" * (step % 3), tainted=step % 5 == 0, provider="h/n/t"
            )
            file.write(address, state)
            written[address] = state
        assert set(file.addresses()) == set(written)
        found = file.get(address)
        # What a compact text becomes in the file is another text of equal meaning.
        if found is None or found.json is None:
            assert address not in written
        else:
            assert found.attributes == written[address].attributes
            assert dataclasses.replace(found, json=None) == dataclasses.replace(written[address], json=None)
        content = file.path.read_text()
        assert content == as_the_tools_write(json.loads(content))
        assert json.loads(content)["serial"] <= step
    assert {each: file.read(each).attributes for each in written} == {
        each: state.attributes for each, state in written.items()
    }


def as_the_tools_write(document: Any) -> str:
    """Go's json.Indent of what its encoder writes; the numbers in this document have but one form."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return text.translate({ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})


def test_threads_lose_no_write(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "terraform.tfstate")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda at: file.write(f"random_pet.a[{at}]", STATE), range(12)))
    assert file.addresses() == [f"random_pet.a[{at}]" for at in range(12)]
