"""What is refused in state files of format 4, and which addresses resources have there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrule.terraform.errors import StateError
from ferrule.terraform.tfstate import Address, StateFile
from terraform.state_files import STATE


def test_an_encrypted_file_has_the_code_of_state_files(tmp_path: Path) -> None:
    (tmp_path / "terraform.tfstate").write_text('{"meta": {}, "encrypted_data": "x"}')
    with pytest.raises(StateError) as caught:
        StateFile(tmp_path / "terraform.tfstate").addresses()
    assert caught.value.code == "terraform.state"


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
        ('{"version": 4, "resources": {}}', "has no list of resources"),
        ('{"version": 4, "resources": [1]}', "resources[0] is no object"),
        ('{"version": 4, "resources": [{"instances": [1]}]}', "resources[0] has no list of instances"),
        (
            '{"version": 4, "resources": [{"instances": [{"index_key": {"id": "x"}}]}]}',
            "resources[0].instances[0].index_key is neither a number nor text",
        ),
        (
            '{"version": 4, "resources": [{"instances": [{}, {"index_key": true}]}]}',
            "resources[0].instances[1].index_key is neither a number nor text",
        ),
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
        ('a.b["\\u0007\\U000e0001"]', Address("", "managed", "a", "b", "\x07\U000e0001")),
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
