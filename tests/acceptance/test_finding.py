"""The cores install the providers that `find_provider` finds, by equal files, and lock them with equal checksums.

OpenTofu is built by `make acceptance`. Terraform takes part where the variable FERRULE_TERRAFORM names its program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ferrule.errors import RPCPluginError, SecurityError
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding import FoundProvider, LockVerdict, Origin
from ferrule.terraform.finding.package_hash import hash_directory
from peers import GO_PEERS, go_peer
from terraform.machine import ELSEWHERE, Machine

pytestmark = [pytest.mark.timeout(120), pytest.mark.go]

LIMIT = 60.0
HOSTS = {"opentofu": "registry.opentofu.org", "terraform": "registry.terraform.io"}
FILES = {"opentofu": ".tofurc", "terraform": ".terraformrc"}


class Module(Machine):
    """A root module that requires one provider, which a core and Ferrule look for in turn."""

    core = "opentofu"
    program = ""

    @property
    def address(self) -> str:
        return f"{HOSTS[self.core]}/hashicorp/time"

    def add(self, base: str, version: str, address: str | None = None, **options: str) -> Path:
        """A package with the real program, whose checksum depends on the version."""
        program = self.package(base, version, address or self.address, **options)
        shutil.copy(go_peer("terraform-provider-time"), program)
        (program.parent / "docs").mkdir()
        (program.parent / "docs" / "README.md").write_text(f"version {version}")
        return program

    def require(self, constraints: str | None) -> None:
        version = f', version = "{constraints}"' if constraints else ""
        (self.module / "main.tf").write_text(
            f'terraform {{\n  required_providers {{\n    time = {{ source = "hashicorp/time"{version} }}\n  }}\n}}\n'
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments, "-no-color"],
            cwd=self.module,
            env=self.environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )

    def init(self) -> bool:
        """Whether the core can install the provider. Nothing is fetched: there is no way to a registry."""
        self.environment |= {"HTTPS_PROXY": "http://127.0.0.1:1", "TF_REGISTRY_DISCOVERY_RETRY": "0"}
        return self.run("init", "-input=false").returncode == 0

    def found(self, constraints: str | None = None, **options: str | None) -> FoundProvider | None:
        try:
            return self.find("time", constraints, core=self.core, **options)
        except ProviderNotFoundError:
            return None


@pytest.fixture(params=HOSTS)
def module(tmp_path: Path, request: pytest.FixtureRequest) -> Module:
    programs = {"opentofu": str(GO_PEERS / "tofu"), "terraform": os.environ.get("FERRULE_TERRAFORM", "")}
    module = Module(tmp_path)
    module.core, module.program = request.param, programs[request.param]
    if not Path(module.program).is_file():
        pytest.skip(f"{module.core} is missing: run `make acceptance` (needs Go), or set FERRULE_TERRAFORM")
    return module


@pytest.mark.parametrize(
    ("constraints", "version"),
    [
        (None, "0.14.2"),
        ("~> 0.14.0", "0.14.2"),
        ("< 0.14", "0.13.0"),
        (">= 0.13, != 0.14.2", "0.14.1"),
        ("0.15.0-beta1", "0.15.0-beta1"),
        ("> 0.14.2", None),
    ],
)
def test_version_and_checksum(module: Module, constraints: str | None, version: str | None) -> None:
    module.mirror("mirror", "other")
    for each in ("0.13.0", "0.14.1", "0.15.0-beta1"):
        module.add("mirror", each)
    module.add("other", "0.14.2")
    module.add("other", "0.16.0", platform=ELSEWHERE) if version is None else None
    module.require(constraints)
    before = module.found(constraints)
    assert (before.version if before else None) == version
    assert module.init() is (version is not None)
    if before is None or before.path is None:
        return
    h1 = hash_directory(str(Path(before.path).parent)).h1
    lock = (module.module / ".terraform.lock.hcl").read_text()
    assert f'version = "{version}"' in " ".join(lock.split())
    assert h1 in lock
    after = module.found(constraints)
    assert after is not None
    assert (after.version, after.origin, after.lock) == (version, Origin.INSTALLED, LockVerdict.VERIFIED)


def test_packed_package(module: Module) -> None:
    module.mirror("mirror")
    program = module.add("packing", "0.14.2")
    archive = module.packed("mirror", "0.14.2", module.address)
    archive.unlink()
    shutil.make_archive(str(archive.with_suffix("")), "zip", program.parent)
    module.require(None)
    assert module.init()
    installed = module.found()
    assert installed is not None
    assert installed.lock is LockVerdict.VERIFIED
    shutil.rmtree(module.module / ".terraform")
    packed = module.found()
    assert packed is not None
    assert (packed.origin, packed.lock, packed.version) == (Origin.MIRROR, LockVerdict.VERIFIED, "0.14.2")


def test_changed_package_is_refused_by_both(module: Module) -> None:
    module.mirror("mirror")
    module.add("mirror", "0.14.2")
    module.require(None)
    assert module.init()
    assert module.run("providers", "schema", "-json").returncode == 0
    # What was installed is a link to the mirror.
    for readme in (module.root / "mirror").rglob("README.md"):
        readme.write_text("changed")
    assert "does not match any of the checksums" in " ".join(module.run("providers", "schema", "-json").stdout.split())
    with pytest.raises(SecurityError):
        module.found()


# After a fault the cores go on with what they have read by then: these are faults after which nothing is left. Their
# parser of JSON wants blocks to be in lists. Ferrule refuses all faults, and reads blocks outside of lists as well.
CONFIGURATIONS = {
    "comments and one line": 'provider_installation { filesystem_mirror { path = "{mirror}" } /* direct {} */ }\n# end',
    "labels and quotes": '"provider_installation" { "filesystem_mirror" { "path" = "{mirror}" } }',
    "heredoc": 'x = <<E\nprovider_installation {\nE\nprovider_installation { filesystem_mirror { path = "{mirror}" } }',
    "include": 'provider_installation { filesystem_mirror { path = "{mirror}" include = ["hashicorp/*"] } }',
    "include of another": 'provider_installation { filesystem_mirror { path = "{mirror}" include = ["a.com/*/*"] } }',
    "exclude": 'provider_installation { filesystem_mirror { path = "{mirror}" exclude = ["*/*/*"] } }',
    "exclude of another": 'provider_installation { filesystem_mirror { path = "{mirror}" exclude = ["hashicorp/x"] } }',
    "escapes": 'provider_installation { filesystem_mirror { path = "{mirror}\\u002f" } }',
    "json": '{"provider_installation": [{"filesystem_mirror": [{"path": "{mirror}"}]}]}',
    "two mirrors": """provider_installation {
        filesystem_mirror { path = "{mirror}/x" }
        filesystem_mirror { path = "{mirror}" }
    }""",
    "only dev_overrides": 'provider_installation { dev_overrides { "a/b" = "/" } }',
    "pattern that is none": 'provider_installation { filesystem_mirror { path = "{mirror}" include = ["x"] } }',
    "no path": "provider_installation { filesystem_mirror {} }",
    "path that is no text": "provider_installation { filesystem_mirror { path = [1] } }",
    "no end": 'provider_installation { filesystem_mirror { path = "{mirror}" }',
    "text without end": 'provider_installation { filesystem_mirror { path = "{mirror} } }',
}


@pytest.mark.parametrize("text", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_configuration_is_read_alike(module: Module, text: str) -> None:
    module.add("mirror", "0.14.2")
    # OpenTofu minds a mirror that is not there; Ferrule goes on.
    (module.root / "mirror" / "x").mkdir()
    module.require(None)
    module.configure(text.replace("{mirror}", str(module.root / "mirror")), FILES[module.core])
    try:
        found = module.found() is not None
    except RPCPluginError:
        found = False
    assert module.init() is found


@pytest.mark.parametrize("level", range(5))
def test_links_are_followed_alike(module: Module, level: int) -> None:
    module.mirror("mirror")
    program = module.add("elsewhere", "0.14.2")
    parts = program.parent.relative_to(module.root / "elsewhere").parts
    link = module.root.joinpath("mirror", *parts[: level + 1])
    link.parent.mkdir(parents=True)
    link.symlink_to(module.root.joinpath("elsewhere", *parts[: level + 1]))
    module.require(None)
    found = module.found() is not None
    assert found is (level == 4)
    assert module.init() is found


@pytest.mark.parametrize(
    "place",
    [
        "module/terraform.d/plugins",
        "home/.terraform.d/plugins",
        "xdg/opentofu/plugins",
        "xdg/terraform/plugins",
        "share/terraform/plugins",
    ],
)
def test_implied_mirrors(module: Module, place: str) -> None:
    if module.core not in place and "opentofu" in place:
        pytest.skip("Terraform does not know OpenTofu's directories")
    module.environment |= {"XDG_DATA_HOME": f"{module.root}/xdg", "XDG_DATA_DIRS": f"/nowhere:{module.root}/share"}
    module.add(place, "0.14.2")
    module.require(None)
    found = module.found()
    assert found is not None
    assert (found.origin, found.place) == (Origin.IMPLIED_MIRROR, str(module.root / place))
    assert module.init()


def test_address_in_upper_case(module: Module) -> None:
    module.mirror("mirror")
    module.add("mirror", "0.14.2", address="/".join(part.title() for part in module.address.split("/")))
    module.require(None)
    assert module.found() is not None
    assert module.init()


def test_plugin_cache(module: Module) -> None:
    cache = module.root / "cache"
    cache.mkdir()
    module.mirror("mirror")
    module.environment["TF_PLUGIN_CACHE_DIR"] = str(cache)
    module.add("mirror", "0.14.2")
    module.require(None)
    assert module.init()
    shutil.rmtree(module.module / ".terraform")
    module.configure("provider_installation { direct {} }", FILES[module.core])
    found = module.found()
    assert found is not None
    assert (found.origin, found.lock) == (Origin.CACHE, LockVerdict.VERIFIED)


def test_development_override(module: Module) -> None:
    program = module.add("build", "0.0.0")
    block = f'dev_overrides {{\n"hashicorp/time" = "{program.parent}"\n}}'
    module.configure(f"provider_installation {{\n{block}\n}}", FILES[module.core])
    module.require("~> 0.14")
    found = module.found("~> 0.14")
    assert found is not None
    assert found.path == str(program)
    assert module.run("providers", "schema", "-json").returncode == 0
