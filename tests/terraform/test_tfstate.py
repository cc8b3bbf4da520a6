"""State files of format 4: what is read of them, and what is written into them."""

from __future__ import annotations

import dataclasses
import difflib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform.cty import Attribute
from ferrule.terraform.errors import StateError
from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate import Address, StateFile
from terraform.state_files import STATE, WRITTEN_BY_TOOLS, copied


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


def test_bytes_that_are_no_utf8_stay(file: StateFile) -> None:
    before = file.path.read_bytes().replace(b'"lineage": "', b'"lineage": "\xff', 1)
    assert b"\xff" in before
    file.path.write_bytes(before)
    state = file.read("rec_secret.a")
    file.write("rec_secret.a", dataclasses.replace(state, tainted=True))
    assert file.path.read_bytes() != before
    file.write("rec_secret.a", state)
    after = re.sub(rb'("serial":\s*)\d+', b"", file.path.read_bytes())
    assert after == re.sub(rb'("serial":\s*)\d+', b"", before)


def test_an_empty_status_is_none(file: StateFile) -> None:
    document = json.loads(file.path.read_text())
    for address, instance in instances(document):
        if address == "rec_secret.a":
            instance["status"] = ""
    file.path.write_text(json.dumps(document, indent=2) + "\n")
    before = file.path.read_bytes()
    state = file.read("rec_secret.a")
    assert not state.tainted
    file.write("rec_secret.a", state)
    assert file.path.read_bytes() == before


def test_an_instance_without_a_key_comes_first(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "terraform.tfstate")
    for address in ('random_pet.a["k"]', "random_pet.a[0]", "random_pet.a"):
        file.write(address, STATE)
    file.write("random_pet.a", STATE, deposed="00000001")
    (resource,) = json.loads(file.path.read_text())["resources"]
    assert [each.get("index_key", each.get("deposed")) for each in resource["instances"]] == [None, "00000001", 0, "k"]
    assert file.addresses() == ["random_pet.a", "random_pet.a[0]", 'random_pet.a["k"]']


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
    assert file.path.stat().st_mode & 0o777 == 0o600
    for address in file.addresses():
        file.write(address, None)
    assert json.loads(file.path.read_text())["resources"] == []


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


@pytest.mark.parametrize(
    ("members", "version"),
    [
        ('"identity": {"id": "a"}, "identity_schema_version": 2, "private": "eA=="', 0),
        ('"identity_schema_version": 2, "identity": {"id": "a"}', 0),
        ('"private": "eA==", "identity": {"id": "a"}, "identity_schema_version": 2', None),
        ('"private": "eA==", "identity": {"id": "a"}', None),
    ],
)
def test_an_identity_that_goes(members: str, version: int | None, tmp_path: Path) -> None:
    """Terraform writes the number of the identity's schema always, OpenTofu beside an identity alone."""
    path = tmp_path / "terraform.tfstate"
    head = '"mode": "managed", "type": "random_pet", "name": "a"'
    instance = f'{{"schema_version": 0, "attributes": {{"id": "cat", "length": 2}}, {members}}}'
    path.write_text(f'{{"version": 4, "serial": 1, "resources": [{{{head}, "instances": [{instance}]}}]}}')
    StateFile(path).write("random_pet.a", STATE)
    (after,) = json.loads(path.read_text())["resources"][0]["instances"]
    assert "identity" not in after
    assert after.get("identity_schema_version") == version


def test_what_is_not_there(file: StateFile) -> None:
    with pytest.raises(StateError, match=r"has no rec_replace\.many") as caught:
        file.read("rec_replace.many")
    assert "rec_replace.many[0]" in str(caught.value)
    with pytest.raises(StateError, match=r"has no rec_replace\.mani") as caught:
        file.read("rec_replace.mani")
    assert "rec_replace.many" in str(caught.value)
    named = 'rec_replace.by_key["a key of which the other has no letter"]'
    file.write(named, dataclasses.replace(file.read("rec_replace.many[0]"), tainted=True))
    for number in range(20):
        file.write(f"random_pet.many[{number}]", STATE)
    with pytest.raises(StateError) as caught:
        file.read('rec_replace.by_key["z"]')
    assert caught.value.hint == f"It has {named}."
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
