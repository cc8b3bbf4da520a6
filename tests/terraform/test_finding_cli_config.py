"""The CLI configuration: which files are read, what they say of mirrors and overrides, and what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrule.errors import ConfigError
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding import LockVerdict, Origin
from ferrule.terraform.finding.address import Address, Pattern
from terraform.machine import RANDOM, RANDOM_OF_OPENTOFU, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def override(directory: Path | str, address: str = "hashicorp/random") -> str:
    return f'provider_installation {{\n dev_overrides {{\n  "{address}" = "{directory}"\n }}\n}}\n'


@pytest.mark.parametrize("address", ["hashicorp/random", "HashiCorp/Random", RANDOM, RANDOM_OF_OPENTOFU, "random"])
def test_development_override(machine: Machine, address: str) -> None:
    program = machine.package("build", "0.0.0")
    machine.package(machine.installed, "3.6.0")
    machine.lock("3.6.0", "h1:other")
    machine.configure(override(program.parent, address))
    found = machine.find(version="~> 3.0")
    assert (found.path, found.version, found.origin) == (str(program), None, Origin.DEV_OVERRIDE)
    assert (found.lock, found.secure_config) == (LockVerdict.EXEMPT, None)


def test_override_of_another_host_is_not_meant(machine: Machine) -> None:
    program = machine.package("build", "0.0.0")
    machine.configure(override(program.parent, RANDOM_OF_OPENTOFU))
    with pytest.raises(ProviderNotFoundError, match=f"dev_overrides of .*: {RANDOM_OF_OPENTOFU}"):
        machine.find(RANDOM)


def test_override_without_program(machine: Machine) -> None:
    machine.package(machine.installed, "3.6.0")
    for path, why in ((machine.root, "has no program"), (machine.root / "none", "cannot be read")):
        machine.configure(override(path))
        with pytest.raises(ProviderNotFoundError, match=f"the development override of hashicorp/random.*{why}"):
            machine.find()


def test_relative_paths_begin_in_the_directory(machine: Machine) -> None:
    program = machine.package(machine.module / "build", "0.0.0")
    machine.configure(override(program.parent.relative_to(machine.module)))
    assert machine.find().path == str(program)
    machine.package(machine.module / "mirror", "3.6.0")
    machine.configure('provider_installation {\n filesystem_mirror {\n  path = "mirror"\n }\n}')
    assert machine.find().place == str(machine.module / "mirror")


def test_overrides_come_first_in_their_block(machine: Machine) -> None:
    machine.configure('provider_installation {\n  direct {}\n  dev_overrides {\n    "a/b" = "c"\n  }\n}\n')
    with pytest.raises(ConfigError, match=r"\.terraformrc:3:3: dev_overrides must come before all other"):
        machine.find()


@pytest.mark.parametrize(
    ("include", "exclude", "served"),
    [
        ('["hashicorp/*"]', "[]", True),
        ('["registry.terraform.io/*/*"]', "[]", True),
        ('["*/*/*"]', "[]", True),
        ('["*/*"]', "[]", True),
        ('["example.com/*/*", "hashicorp/random"]', "[]", True),
        ('["example.com/*/*"]', "[]", False),
        ('["hashicorp/null"]', "[]", False),
        ('["registry.opentofu.org/*/*"]', "[]", False),
        ("[]", '["HashiCorp/*"]', False),
        ('["hashicorp/random"]', '["*/*/*"]', False),
        ("[]", '["hashicorp/null"]', True),
    ],
)
def test_include_and_exclude(machine: Machine, include: str, exclude: str, served: bool) -> None:
    machine.package("mirror", "3.6.0")
    block = f'filesystem_mirror {{\n  path = "{machine.root}/mirror"\n  include = {include}\n  exclude = {exclude}\n}}'
    machine.configure(f"provider_installation {{\n{block}\n}}\n")
    if served:
        assert machine.find(RANDOM).version == "3.6.0"
    else:
        with pytest.raises(ProviderNotFoundError, match=f"mirror: not for {RANDOM}, by its include and exclude"):
            machine.find(RANDOM)


@pytest.mark.parametrize(
    "text", ["random", "a/b/c/d", "*/random", "*/hashicorp/*", "a/*/c", "a b/c", "-/c", "x..y/a/b", ""]
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"part|pattern|host|wildcard"):
        Pattern.of(text)


def test_a_pattern_without_host_is_for_both_registries() -> None:
    pattern = Pattern.of("hashicorp/*")
    assert [pattern.matches(address) for address in Address.candidates("random")] == [True, True]
    assert not pattern.matches(Address("example.com", "hashicorp", "random"))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("filesystem_mirror {}", r":2:1: the filesystem_mirror has no path"),
        ("filesystem_mirror {\n path = 5\n}", ":3:9: the mirror's path is no text, expected it in quotes"),
        ('filesystem_mirror {\n path = ""\n}', ":3:9: the mirror's path is empty or has a NUL in it"),
        ('filesystem_mirror {\n path = "\\u0000"\n}', ":3:9: the mirror's path is empty or has a NUL in it"),
        ('filesystem_mirror {\n path = "a"\n include = "b"\n}', ":4:12: include is no list"),
        ('filesystem_mirror {\n path = "a"\n include = ["b"]\n}', ":4:12: include: 'b' has 1 parts"),
        ("filesystem_mirror = 1", ":2:1: filesystem_mirror is no block"),
        ('dev_overrides {\n "a/b" = f("x")\n}', ":3:10: the directory of a/b is no text"),
        ("}\nprovider_installation {", ":3:1: this is a second provider_installation block"),
        ("", None),
        ("future_method {\n x = [1]\n}\nnetwork_mirror {\n url = 5\n}\noci_mirror {}", None),
    ],
)
def test_blocks_with_faults(machine: Machine, body: str, why: str | None) -> None:
    machine.configure(f"provider_installation {{\n{body}\n}}\n")
    with pytest.raises(ConfigError if why else ProviderNotFoundError, match=why and f"\\.terraformrc{why}"):
        machine.find()


def test_other_blocks_are_passed_over(machine: Machine) -> None:
    machine.package("mirror", "3.6.0")
    machine.configure(f"""
        disable_checkpoint = true
        plugin_cache_may_break_dependency_lock_file = var.x
        credentials "app.terraform.io" {{ token = join(".", ["a", "b"]) }}
        host "example.com" {{ services = {{ "providers.v1" = "https://example.com" }} }}
        /* provider_installation {{ direct {{}} }} */
        provider_installation {{ filesystem_mirror {{ path = "{machine.root}/mirror" }} direct {{}} }}
    """)
    assert machine.find().version == "3.6.0"


def test_json(machine: Machine) -> None:
    machine.package("mirror", "3.6.0")
    method = {"filesystem_mirror": {"path": str(machine.root / "mirror"), "include": ["hashicorp/*"]}}
    for installation in (method, [method]):
        machine.configure(json.dumps({"//": "comment", "provider_installation": installation}))
        assert machine.find().version == "3.6.0"
    machine.configure(json.dumps({"provider_installation": "x"}))
    with pytest.raises(ConfigError, match="provider_installation is no block"):
        machine.find()


@pytest.mark.parametrize(
    ("names", "core", "read"),
    [
        ([".terraformrc", ".tofurc"], "terraform", ".terraformrc"),
        ([".terraformrc", ".tofurc"], "opentofu", ".tofurc"),
        ([".terraformrc"], "opentofu", ".terraformrc"),
        ([".tofurc"], "terraform", ".tofurc"),
        (["xdg/opentofu/tofurc"], "opentofu", "xdg/opentofu/tofurc"),
        (["xdg/opentofu/tofurc", ".terraformrc"], "opentofu", ".terraformrc"),
        ([".terraform.d/a.tfrc", ".terraform.d/b.tf", ".terraform.d/tfrc"], "terraform", ".terraform.d/a.tfrc"),
        (["xdg/opentofu/a.tfrc"], "opentofu", "xdg/opentofu/a.tfrc"),
        (["xdg/opentofu/a.tfrc", ".terraform.d/b.tfrc"], "opentofu", ".terraform.d/b.tfrc"),
    ],
)
def test_which_file_is_read(machine: Machine, names: list[str], core: str, read: str) -> None:
    machine.environment["XDG_CONFIG_HOME"] = str(machine.home / "xdg")
    for name in names:
        directory = machine.package(f"build/{name}", "0.0.0").parent
        machine.configure(override(directory), name)
    assert machine.find(core=core).place == str(machine.root / "build" / read / RANDOM / "0.0.0" / directory.name)


def test_files_of_the_configuration_directory_are_added(machine: Machine) -> None:
    machine.configure('plugin_cache_dir = "/first"')
    machine.configure('plugin_cache_dir = "/second"', ".terraform.d/a.tfrc")
    machine.configure(json.dumps({"provider_installation": {"direct": {}}}), ".terraform.d/b.tfrc.json")
    with pytest.raises(ProviderNotFoundError) as caught:
        machine.find()
    assert "plugin cache /first: does not exist" in caught.value.searched
    assert not any("implied" in place for place in caught.value.searched)
    machine.configure("provider_installation {}")
    with pytest.raises(ConfigError, match=r"a second provider_installation block"):
        machine.find()


@pytest.mark.parametrize("variable", ["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG", None])
def test_file_that_is_named(machine: Machine, variable: str | None) -> None:
    program = machine.package("build", "0.0.0")
    machine.configure("this is no HCL")
    machine.configure("nor is this", ".terraform.d/a.tfrc")
    path = machine.configure(override(program.parent), "other")
    if variable:
        machine.environment[variable] = str(path)
        assert machine.find().path == str(program)
        machine.environment["TF_CLI_CONFIG_FILE"] = "/dev/null"
        with pytest.raises(ProviderNotFoundError):
            machine.find()
    else:
        assert machine.find(cli_config=path).path == str(program)


def test_file_that_is_named_and_missing(machine: Machine) -> None:
    machine.environment["TF_CLI_CONFIG_FILE"] = "none"
    machine.package(machine.installed, "3.6.0")
    assert machine.find().version == "3.6.0"
    with pytest.raises(ProviderNotFoundError, match=r"TF_CLI_CONFIG_FILE names .*none, which does not exist"):
        machine.find("null")
    with pytest.raises(ConfigError, match=r"the CLI configuration .*none cannot be read: No such file"):
        machine.find(cli_config="none")
    with pytest.raises(ConfigError, match=r"the CLI configuration .* cannot be read: Is a directory"):
        machine.find(cli_config=machine.root)


def test_plugin_cache_of_the_configuration(machine: Machine) -> None:
    machine.package("home/cache", "3.6.0")
    machine.configure('plugin_cache_dir = "$HOME/${NONE}cache"')
    assert (machine.find().origin, machine.find().version) == (Origin.CACHE, "3.6.0")
    machine.environment["TF_PLUGIN_CACHE_DIR"] = "/nowhere"
    with pytest.raises(ProviderNotFoundError, match="plugin cache /nowhere: does not exist"):
        machine.find()
    del machine.environment["TF_PLUGIN_CACHE_DIR"]
    machine.configure('plugin_cache_dir = "$NONE"')
    with pytest.raises(ProviderNotFoundError):
        machine.find()


FILES = st.text() | st.recursive(
    st.sampled_from(["path", "include", '"a/b"', '["*/*"]', '""', "direct", "filesystem_mirror", "dev_overrides", "1"]),
    lambda inner: st.builds("provider_installation {{\n{} {{\n{} = {}\n}}\n}}\n".format, inner, inner, inner),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | FILES.map(lambda text: text.encode(errors="surrogatepass")))
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    machine = Machine(tmp_path)
    (machine.home / ".terraformrc").write_bytes(content)
    with contextlib.suppress(ConfigError, ProviderNotFoundError):
        machine.find()
