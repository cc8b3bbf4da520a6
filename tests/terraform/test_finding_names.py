"""What a name means: a path, a program on PATH, a source address; and providers that run already."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrule._socket_directory import socket_base
from ferrule.errors import ConfigError
from ferrule.ray.binaries import BinaryStore, Program
from ferrule.reattach import ReattachConfig
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding import LockVerdict, Origin, find_provider
from ferrule.terraform.finding.address import Address
from ferrule.terraform.finding.platforms import current_platform, platform_name
from ferrule.terraform.tfstate import StateFile
from terraform.machine import RANDOM, RANDOM_OF_OPENTOFU, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_path(machine: Machine) -> None:
    program = executable(machine.module / "build" / "provider")
    for name in (program, str(program), "./build/provider", "../module/build/provider", Path("build/provider")):
        found = machine.find(name)
        assert (found.path, found.origin, found.place) == (str(program), Origin.FILE, str(program))
        assert (found.address, found.version, found.lock) == ("", None, LockVerdict.EXEMPT)
    assert str(found) == f"provider from path {program} (exempt)"


@pytest.mark.parametrize("name", ["build/terraform-provider-x", "build/a_b", "a/b/c/d", "provider.py"])
def test_a_file_is_found_by_what_is_no_address(machine: Machine, name: str) -> None:
    with pytest.raises(ConfigError, match="; and there is no file of that name"):
        machine.find(name)
    program = executable(machine.module / name)
    found = machine.find(name)
    assert (found.path, found.origin) == (str(program), Origin.FILE)
    with pytest.raises(ConfigError, match="expected none"):
        machine.find(name, version="1.0")


@pytest.mark.parametrize("name", ["hashicorp/x", "x", "terraform-provider-x"])
def test_a_file_with_the_name_of_something_else_is_named(machine: Machine, name: str) -> None:
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find(name)
    assert "./" not in (caught.value.hint or "")
    executable(machine.module / name)
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find(name)
    assert caught.value.hint == f"There is a file of that name: pass ./{name} for it."


def test_path_begins_in_this_directory_by_default(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    program = executable(machine.module / "provider")
    monkeypatch.chdir(machine.module)
    assert find_provider("./provider").path == str(program)


def test_path_without_file(machine: Machine) -> None:
    with pytest.raises(ProviderNotFoundError, match=f"there is no file {machine.module}/none"):
        machine.find("./none")
    executable(machine.module / "build" / "terraform-provider-x")
    with pytest.raises(ProviderNotFoundError, match="build is a directory, with terraform-provider-x in it"):
        machine.find("./build")
    with pytest.raises(ProviderNotFoundError, match="is a directory, with no terraform-provider-"):
        machine.find(machine.module)


@pytest.mark.parametrize(
    "kind", ["nothing", "dangling link", "loop", "pipe", "below a file", "empty directory", "long"]
)
def test_what_is_no_program(machine: Machine, kind: str) -> None:
    path = machine.module / ("x" * 300 if kind == "long" else "provider")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("dangling link", "loop"):
        path.symlink_to("none" if kind == "dangling link" else "provider")
    elif kind == "empty directory":
        path.mkdir()
    elif kind == "below a file":
        path.touch()
        path = path / "provider"
    with pytest.raises(ProviderNotFoundError, match=r"there is no file|is a directory"):
        machine.find(path)


def test_path_that_is_a_link(machine: Machine) -> None:
    program = executable(machine.root / "program")
    (machine.module / "link").symlink_to(program)
    assert machine.find("./link").path == str(machine.module / "link")


def test_path_is_no_address(machine: Machine) -> None:
    """An address stays one, even if there is a file of that name."""
    executable(machine.module / "hashicorp" / "random")
    with pytest.raises(ProviderNotFoundError, match="no provider hashicorp/random"):
        machine.find("hashicorp/random")
    assert machine.find("./hashicorp/random").origin is Origin.FILE
    assert machine.find(Path("hashicorp/random")).origin is Origin.FILE


def test_name_on_path(machine: Machine) -> None:
    program = executable(machine.root / "bin" / "terraform-provider-x")
    found = machine.find("terraform-provider-x")
    assert (found.path, found.origin, found.place) == (str(program), Origin.SEARCH_PATH, str(program.parent))
    machine.environment["PATH"] = f"/nowhere:bin:{machine.root}/bin"
    assert machine.find("terraform-provider-x").path == str(program)
    # A file that cannot be executed is the second choice, as in a start: its error is the clearer one.
    (machine.root / "bin" / "terraform-provider-y").touch(mode=0o644)
    assert machine.find("terraform-provider-y").path == str(machine.root / "bin" / "terraform-provider-y")


@pytest.mark.parametrize(
    "search_path", ["", ":", "/nowhere", "/dev/null", "{root}/bin/terraform-provider-x", "{root}/links"]
)
def test_path_variable_without_the_name(machine: Machine, search_path: str) -> None:
    executable(machine.root / "bin" / "terraform-provider-x")
    (machine.root / "links").mkdir()
    (machine.root / "links" / "terraform-provider-x").symlink_to("none")
    machine.environment["PATH"] = search_path.format(root=machine.root)
    with pytest.raises(ProviderNotFoundError, match="no program terraform-provider-x on PATH"):
        machine.find("terraform-provider-x")


def test_path_variable_of_this_process(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    program = executable(machine.root / "bin" / "terraform-provider-x")
    monkeypatch.setenv("PATH", str(program.parent))
    del machine.environment["PATH"]
    assert machine.find("terraform-provider-x").path == str(program)


def test_name_that_is_not_on_path(machine: Machine) -> None:
    (machine.root / "bin").mkdir()
    (machine.root / "bin" / "terraform-provider-x").mkdir()
    executable(machine.root / "bin" / "terraform-provider-x_v1")
    with pytest.raises(ProviderNotFoundError, match="no program terraform-provider-x on PATH") as caught:
        machine.find("terraform-provider-x")
    assert caught.value.searched == (str(machine.root / "bin"),)
    assert "such as 'x'" in (caught.value.hint or "")
    restored = pickle.loads(pickle.dumps(caught.value))
    assert (str(restored), restored.searched) == (str(caught.value), caught.value.searched)
    assert copy.copy(caught.value).searched == caught.value.searched


@pytest.mark.parametrize("name", ["./build", "terraform-provider-x"])
def test_only_addresses_have_versions(machine: Machine, name: str) -> None:
    with pytest.raises(ConfigError, match=r"the version is '~> 1\.0' for '.*', expected none"):
        machine.find(name, version="~> 1.0")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("random", RANDOM),
        ("hashicorp/random", RANDOM),
        ("HASHICORP/Random", RANDOM),
        ("registry.terraform.io/hashicorp/random", RANDOM),
        ("Registry.Terraform.IO:443/hashicorp/random", RANDOM),
        ("hashicorp/a-type-with-quite-a-long-name", "registry.terraform.io/hashicorp/a-type-with-quite-a-long-name"),
        ("localhost:08080/a-b/c1", "localhost:8080/a-b/c1"),
        ("bücher.example/ä/ö", "bücher.example/ä/ö"),
        ("example.com/\uff54\uff45am/thing", "example.com/team/thing"),
    ],
)
def test_address(text: str, address: str) -> None:
    assert str(Address.candidates(text)[0]) == address


def test_address_without_host_has_two_meanings() -> None:
    assert [str(address) for address in Address.candidates("random")] == [RANDOM, RANDOM_OF_OPENTOFU]
    assert [str(address) for address in Address.candidates("random", "opentofu")] == [RANDOM_OF_OPENTOFU, RANDOM]
    assert len(Address.candidates(RANDOM)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a/b/c/d",
        "a//b",
        "/",
        "a/",
        "a b",
        "a_b",
        "-a",
        "a-",
        "a--b",
        "a.b",
        "a.b/c",
        "x..y/a/b",
        "x:/a/b",
        "x:0/a/b",
        "x:65536/a/b",
        "x:1:2/a/b",
        "https://x/a",
        "terraform-random",
        "hashicorp/terraform-provider-random",
        "hashicorp/opentofu-provider-random",
        "build/terraform-provider-x",
    ],
)
def test_what_is_no_address(machine: Machine, text: str) -> None:
    with pytest.raises((ConfigError, ProviderNotFoundError), match=r"the provider is|there is no file|is a directory"):
        machine.find(text)


@pytest.mark.parametrize("value", [None, 5, b"random", "", "a\0b", "./\ud800"])
def test_what_the_system_cannot_take(machine: Machine, value: Any) -> None:
    expected = "a name or a path" if value == "" else "text that the system can take"
    with pytest.raises(ConfigError, match=f"the provider is .*, expected {expected}"):
        machine.find(value)
    for name in ("directory", "cli_config", "lock_file"):
        if value is not None:
            with pytest.raises(ConfigError, match=f"expected {expected}"):
                machine.find(**{name: value})


@pytest.mark.parametrize("value", [None, 5, "a\0b", "/\ud800"])
def test_variables_that_cannot_be(machine: Machine, value: Any) -> None:
    machine.environment["HOME"] = value
    with pytest.raises(ConfigError):
        machine.find()


NAMES = st.sampled_from(
    ["/", "./", "../", "terraform-provider-", "registry.terraform.io", "random", "x" * 300, ".", "443", "ß"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES | st.text(max_size=4), max_size=6).map("".join), st.none() | st.text(max_size=8))
def test_any_name_is_found_or_refused(tmp_path: Path, name: str, version: str | None) -> None:
    with contextlib.suppress(ConfigError, ProviderNotFoundError):
        find_provider(name, version=version, environment={"HOME": "/nowhere"}, directory=tmp_path)


def test_prefix_is_explained() -> None:
    with pytest.raises(ConfigError, match="without terraform-provider-: hashicorp/random"):
        Address.candidates("hashicorp/terraform-provider-random")
    with pytest.raises(ConfigError, match=r"without opentofu-provider-: example\.com/team/thing"):
        Address.candidates("example.com/team/opentofu-provider-thing")


def test_core_is_one_of_two(machine: Machine) -> None:
    with pytest.raises(ConfigError, match="setting core is 'pulumi'"):
        machine.find(core="pulumi")


def entry(address: str = "/tmp/plugin1", **fields: Any) -> dict[str, Any]:
    return {"Protocol": "grpc", "ProtocolVersion": 6, "Addr": {"Network": "unix", "String": address}} | fields


@pytest.mark.parametrize("key", ["random", "hashicorp/random", "HashiCorp/Random", RANDOM, RANDOM_OF_OPENTOFU])
def test_provider_that_runs_comes_before_all(machine: Machine, key: str) -> None:
    program = machine.package("build", "0.0.0")
    machine.configure(f'provider_installation {{\n dev_overrides {{\n "{RANDOM}" = "{program.parent}"\n}}\n}}\n')
    running = {"hashicorp/null": entry("/tmp/other"), key: entry(Pid=5, Test=True)}
    machine.environment["TF_REATTACH_PROVIDERS"] = json.dumps(running)
    found = machine.find(version="~> 3.0")
    assert found.reattach == ReattachConfig(
        protocol_version=6, network="unix", address="/tmp/plugin1", pid=5, test=True
    )
    assert (found.path, found.origin, found.lock) == (None, Origin.REATTACH, LockVerdict.EXEMPT)
    assert found.address == (key if "." in key else RANDOM)
    assert str(found) == f"{found.address} from TF_REATTACH_PROVIDERS (exempt)"


def test_both_hosts_run(machine: Machine) -> None:
    running = {RANDOM_OF_OPENTOFU: entry("/tmp/tofu"), RANDOM: entry("/tmp/terraform")}
    machine.environment["TF_REATTACH_PROVIDERS"] = json.dumps(running)
    for core, address in (("terraform", "/tmp/terraform"), ("opentofu", "/tmp/tofu")):
        reattach = machine.find(core=core).reattach
        assert reattach is not None
        assert reattach.address == address


@pytest.mark.parametrize("value", ["", "  ", "{}", json.dumps({"hashicorp/null": entry(), "no address!": entry()})])
def test_other_provider_runs(machine: Machine, value: str) -> None:
    machine.environment["TF_REATTACH_PROVIDERS"] = value
    machine.package(machine.installed, "3.6.0")
    assert machine.find().origin is Origin.INSTALLED


@pytest.mark.parametrize(
    "value", ["x", "[]", json.dumps({"random": {}}), json.dumps({"random": entry(Protocol="netrpc")})]
)
def test_variable_that_cannot_be_read(machine: Machine, value: str) -> None:
    machine.environment["TF_REATTACH_PROVIDERS"] = value
    with pytest.raises(ConfigError):
        machine.find()


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux_amd64"),
        ("linux", "aarch64", "linux_arm64"),
        ("linux", "armv6l", "linux_arm"),
        ("linux", "armv7l", "linux_arm"),
        ("linux", "i386", "linux_386"),
        ("linux", "i686", "linux_386"),
        ("linux", "riscv64", "linux_riscv64"),
        ("linux", "s390x", "linux_s390x"),
        ("linux", "ppc64le", "linux_ppc64le"),
        ("darwin", "arm64", "darwin_arm64"),
        ("darwin", "x86_64", "darwin_amd64"),
        ("freebsd14", "amd64", "freebsd_amd64"),
        ("win32", "AMD64", "windows_amd64"),
        ("win32", "ARM64", "windows_arm64"),
        ("sunos5", "i86pc", "solaris_amd64"),
    ],
)
def test_platform(system: str, machine: str, name: str) -> None:
    assert platform_name(system, machine) == name


def test_platform_of_this_process() -> None:
    assert current_platform().count("_") == 1


class TestRemovedDirectory:
    """The current directory of the process does not exist any more."""

    @pytest.fixture(autouse=True)
    def gone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()

    def test_absolute_paths_and_names_on_path_do_without(self, tmp_path: Path) -> None:
        program = executable(tmp_path / "bin" / "terraform-provider-time")
        assert find_provider(program).path == str(program)
        for search in (str(program.parent), f"relative{os.pathsep}{program.parent}"):
            found = find_provider(program.name, environment={"PATH": search})
            assert found.path == str(program), search
        with pytest.raises(ProviderNotFoundError):
            find_provider("random", directory=tmp_path)

    @pytest.mark.parametrize("name", ["./provider", "../bin/provider", Path("provider"), "random", "hashicorp/random"])
    def test_what_needs_it_is_refused(self, name: str | Path) -> None:
        with pytest.raises(ConfigError, match="current directory does not exist any more"):
            find_provider(name)
        with pytest.raises(ConfigError, match="current directory does not exist any more"):
            find_provider("random", directory="module")

    def test_siblings(self, tmp_path: Path) -> None:
        assert socket_base(None) == tempfile.gettempdir()
        for act in (
            lambda: socket_base("sockets"),
            lambda: StateFile("terraform.tfstate").locked().__enter__(),
            lambda: BinaryStore("programs").path_of(Program("plugin", "ab" * 32)),
        ):
            with pytest.raises(ConfigError, match="current directory does not exist any more"):
                act()
