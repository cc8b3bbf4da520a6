"""Packages in directories: mirrors, explicit and implied, what a core installed, and the plugin cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding import LockVerdict, Origin
from ferrule.terraform.finding.package_hash import hash_directory
from terraform.machine import ELSEWHERE, HERE, RANDOM, RANDOM_OF_OPENTOFU, Machine

XDG = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has directories of its own")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_newest_version_of_a_mirror(machine: Machine) -> None:
    machine.mirror("mirror")
    for version in ("3.5.0", "3.10.1", "3.9.0", "4.0.0-beta1"):
        machine.package("mirror", version)
    found = machine.find()
    directory = machine.root / "mirror" / RANDOM / "3.10.1" / HERE
    assert found.path == str(directory / "terraform-provider-random_v3.10.1")
    assert (found.address, found.version, found.origin) == (RANDOM, "3.10.1", Origin.MIRROR)
    assert (found.place, found.lock) == (str(machine.root / "mirror"), LockVerdict.UNLOCKED)
    assert str(found) == f"{RANDOM} 3.10.1 from filesystem mirror {machine.root}/mirror (unlocked)"


@pytest.mark.parametrize(
    ("constraints", "version"),
    [
        ("~> 3.5.0", "3.5.7"),
        ("< 3.6, != 3.5.7", "3.5.0"),
        ("3.5", "3.5.0"),
        ("4.0.0-beta1", "4.0.0-beta1"),
        (None, "3.6.0"),
    ],
)
def test_constraints(machine: Machine, constraints: str | None, version: str) -> None:
    machine.mirror("mirror")
    for each in ("3.5.0", "3.5.7", "3.6.0", "4.0.0-beta1"):
        machine.package("mirror", each)
    assert machine.find(version=constraints).version == version


def test_no_version_fits(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.5.0")
    machine.package("mirror", "4.0.0", platform=ELSEWHERE)
    machine.packed("mirror", "3.4.0")
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find(version=">= 4")
    assert f"no provider hashicorp/random >= 4 for {HERE}" in str(caught.value)
    assert "init" in (caught.value.hint or "")
    place = f"filesystem mirror {machine.root}/mirror"
    assert f"{place}: 4.0.0 for {ELSEWHERE}; 3.5.0 for {HERE}; 3.4.0 for {HERE} packed" in caught.value.searched, (
        caught.value.searched
    )
    assert f"{place}: no {RANDOM_OF_OPENTOFU}, only {RANDOM}" in caught.value.searched
    assert isinstance(caught.value, LookupError)


def test_a_name_that_is_nearly_there(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.5.0")
    for wrong in ("hashicorp/randm", "hashicrp/random", "randm"):
        with pytest.raises(ProviderNotFoundError) as caught:
            machine.find(wrong)
        assert (caught.value.hint or "").startswith("Did you mean hashicorp/random? ")
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find("hashicorp/zzz")
    assert "Did you mean" not in (caught.value.hint or "")


def test_each_place_is_named_once(machine: Machine) -> None:
    (machine.module / "terraform.d" / "plugins").mkdir(parents=True)
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find()
    place = f"implied filesystem mirror {machine.module}/terraform.d/plugins"
    assert [each for each in caught.value.searched if each.startswith(place)] == [
        f"{place}: no {RANDOM}, no {RANDOM_OF_OPENTOFU}"
    ]
    assert not any("dev_overrides" in each for each in caught.value.searched)


def test_other_platforms_are_passed_over(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.6.0", platform=ELSEWHERE)
    machine.package("mirror", "3.5.0")
    assert machine.find().version == "3.5.0"


def test_mirrors_count_together_and_the_first_wins_a_tie(machine: Machine) -> None:
    machine.mirror("one", "two", "three")
    machine.package("one", "3.5.0")
    machine.package("two", "3.6.0")
    machine.package("three", "3.6.0")
    assert machine.find().place == str(machine.root / "two")


def test_host_of_the_other_tool(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.5.0", address=RANDOM_OF_OPENTOFU)
    assert machine.find("random").address == RANDOM_OF_OPENTOFU
    machine.package("mirror", "3.4.0", address=RANDOM)
    assert machine.find("random").address == RANDOM
    assert machine.find("random", core="opentofu").address == RANDOM_OF_OPENTOFU
    assert machine.find("random", ">= 3.5").address == RANDOM_OF_OPENTOFU


def test_host_that_is_named_is_the_only_one(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.5.0", address=RANDOM_OF_OPENTOFU)
    with pytest.raises(ProviderNotFoundError):
        machine.find(RANDOM)
    machine.package("mirror", "1.0.0", address="example.com:8443/team/thing")
    assert machine.find("example.com:8443/team/thing").version == "1.0.0"


def test_names_in_upper_case(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.5.0", address="Registry.Terraform.IO/HashiCorp/Random")
    assert machine.find("HashiCorp/RANDOM").address == RANDOM


def test_links_are_followed_for_the_mirror_and_the_package(machine: Machine) -> None:
    machine.mirror("link")
    program = machine.package("elsewhere", "3.6.0")
    version = machine.root / "mirror" / RANDOM / "3.6.0"
    version.mkdir(parents=True)
    (version / HERE).symlink_to(program.parent)
    (machine.root / "link").symlink_to("mirror")
    assert machine.find().path == str(version / HERE / program.name)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_no_link_between_is_followed(machine: Machine, level: int) -> None:
    machine.mirror("mirror")
    machine.package("elsewhere", "3.6.0")
    parts = [*RANDOM.split("/"), "3.6.0"]
    link = machine.root.joinpath("mirror", *parts[: level + 1])
    link.parent.mkdir(parents=True)
    link.symlink_to(machine.root.joinpath("elsewhere", *parts[: level + 1]))
    with pytest.raises(ProviderNotFoundError, match=f"{parts[level]} is a link, which is not followed there"):
        machine.find()


@pytest.mark.parametrize(
    ("names", "program"),
    [
        (["terraform-provider-random"], "terraform-provider-random"),
        (["terraform-provider-random.exe"], "terraform-provider-random.exe"),
        (["terraform-provider-random_v3_x5", "terraform-provider-random_v2_x5"], "terraform-provider-random_v2_x5"),
        (["terraform-provider-random_v1", "terraform-provider-randomly", "LICENSE"], "terraform-provider-random_v1"),
        (["terraform-provider-random_v1", "terraform-provider-random-x"], "terraform-provider-random_v1"),
    ],
)
def test_program_in_the_package(machine: Machine, names: list[str], program: str) -> None:
    machine.mirror("mirror")
    path = machine.package("mirror", "3.6.0", program=names[0])
    for name in names[1:]:
        (path.parent / name).touch()
    # A directory is no program, whatever its name.
    (path.parent / "terraform-provider-random_").mkdir()
    assert machine.find().path == str(path.parent / program)


def test_program_that_is_a_link(machine: Machine) -> None:
    machine.mirror("mirror")
    path = machine.package("mirror", "3.6.0", program="LICENSE")
    (path.parent / "terraform-provider-random").symlink_to("LICENSE")
    assert machine.find().path == str(path.parent / "terraform-provider-random")


def test_package_without_program_is_no_reason_for_an_older_one(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.5.0")
    machine.package("mirror", "3.6.0", program="terraform-provider-other")
    with pytest.raises(ProviderNotFoundError, match=r"3\.6\.0.* has no program terraform-provider-random"):
        machine.find()


def test_what_is_no_package(machine: Machine) -> None:
    machine.mirror("mirror")
    program = machine.package("mirror", "3.6.0")
    kind = program.parent.parent.parent
    (kind / "v4.0.0" / HERE).mkdir(parents=True)
    (kind / "4.0.0").mkdir()
    (kind / "4.0.0" / "linux").mkdir()
    (kind / "4.0.0" / f"{HERE}_x").mkdir()
    (kind / "4.0.0" / HERE).touch()
    (kind / "5.0.0").touch()
    (kind / "terraform-provider-random_6.0.0.zip").touch()
    (kind / f"terraform-provider-other_6.0.0_{HERE}.zip").touch()
    (kind / f"terraform-provider-random_six_{HERE}.zip").touch()
    (machine.root / "mirror" / "file").touch()
    assert machine.find().version == "3.6.0"


def test_directory_that_is_a_file(machine: Machine) -> None:
    machine.mirror("mirror", "loop", "none")
    (machine.root / "mirror").touch()
    (machine.root / "loop").symlink_to("loop")
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find()
    assert f"filesystem mirror {machine.root}/mirror: is not a directory" in caught.value.searched
    assert f"filesystem mirror {machine.root}/loop: is not a directory" in caught.value.searched
    assert f"filesystem mirror {machine.root}/none: does not exist" in caught.value.searched


def test_names_that_no_terminal_should_see(machine: Machine) -> None:
    machine.mirror("mirror")
    for name in (b"\x1b[31m", b"\xff"):
        (machine.root / "mirror" / os.fsdecode(name) / "hashicorp" / "random").mkdir(parents=True)
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find()
    text = str(caught.value)
    assert text.encode().isascii()
    assert r"only \x1b[31m/hashicorp/random, \udcff/hashicorp/random" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all directories")
def test_directory_that_cannot_be_read(machine: Machine) -> None:
    machine.mirror("mirror")
    (machine.root / "mirror" / RANDOM).mkdir(parents=True, mode=0)
    with pytest.raises(ProviderNotFoundError, match="cannot be read: Permission denied"):
        machine.find()


def test_installed_providers_come_first(machine: Machine) -> None:
    machine.mirror("mirror")
    machine.package("mirror", "3.6.0")
    machine.package(machine.installed, "3.5.0")
    assert machine.find().origin is Origin.INSTALLED
    assert machine.find().version == "3.5.0"
    assert machine.find(version=">= 3.6").origin is Origin.MIRROR


@pytest.mark.parametrize("absolute", [True, False])
def test_data_directory(machine: Machine, absolute: bool) -> None:
    machine.package(machine.module / "data" / "providers", "3.5.0")
    machine.environment["TF_DATA_DIR"] = str(machine.module / "data") if absolute else "data"
    assert machine.find().place == str(machine.module / "data" / "providers")


def test_plugin_cache_comes_last(machine: Machine) -> None:
    machine.package("cache", "3.7.0")
    machine.environment["TF_PLUGIN_CACHE_DIR"] = str(machine.root / "cache")
    assert machine.find().origin is Origin.CACHE
    machine.package(machine.home / ".terraform.d" / "plugins", "3.6.0")
    assert machine.find().origin is Origin.IMPLIED_MIRROR
    assert machine.find(version="> 3.6").origin is Origin.CACHE


@pytest.mark.parametrize("path", ["", "none", "file", "loop", "~", "${HOME}"])
def test_plugin_cache_that_has_nothing(machine: Machine, path: str) -> None:
    """The variable is taken as it is: a shell has expanded it."""
    machine.package("home", "3.6.0")
    (machine.module / "file").touch()
    (machine.module / "loop").symlink_to("loop")
    machine.environment["TF_PLUGIN_CACHE_DIR"] = path
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find()
    assert any("plugin cache" in place for place in caught.value.searched) is bool(path)


def test_installed_provider_that_is_a_link_into_the_cache(machine: Machine) -> None:
    program = machine.package("cache", "3.6.0")
    link = machine.installed / RANDOM / "3.6.0" / HERE
    link.parent.mkdir(parents=True)
    link.symlink_to(program.parent)
    machine.lock("3.6.0", hash_directory(str(program.parent)).h1)
    found = machine.find()
    assert (found.path, found.lock) == (str(link / program.name), LockVerdict.VERIFIED)
    program.unlink()
    with pytest.raises(ProviderNotFoundError, match="has no program"):
        machine.find()
    program.parent.rmdir()
    with pytest.raises(ProviderNotFoundError):
        machine.find()


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, "module/terraform.d/plugins"),
        ({}, "home/.terraform.d/plugins"),
        ({"XDG_DATA_HOME": "{root}/xdg"}, "xdg/opentofu/plugins"),
        pytest.param({"XDG_DATA_HOME": "{root}/xdg"}, "xdg/terraform/plugins", marks=XDG),
        pytest.param({}, "home/.local/share/terraform/plugins", marks=XDG),
        pytest.param({"XDG_DATA_HOME": "relative"}, "home/.local/share/terraform/plugins", marks=XDG),
        pytest.param({"XDG_DATA_DIRS": "relative:/nowhere:{root}/share"}, "share/terraform/plugins", marks=XDG),
    ],
)
def test_implied_mirrors(machine: Machine, variables: dict[str, str], place: str) -> None:
    machine.environment |= {name: text.format(root=machine.root) for name, text in variables.items()}
    machine.package(place, "3.6.0")
    assert (machine.find().origin, machine.find().place) == (Origin.IMPLIED_MIRROR, str(machine.root / place))


def test_explicit_configuration_has_no_implied_mirrors(machine: Machine) -> None:
    machine.package("home/.terraform.d/plugins", "3.6.0")
    machine.configure("provider_installation {\n direct {}\n}\n")
    with pytest.raises(ProviderNotFoundError):
        machine.find()
