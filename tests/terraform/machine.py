"""A machine for tests of finding: a home, a working directory, and packages of providers, all below one directory."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ferrule.terraform.finding import FoundProvider, find_provider
from ferrule.terraform.finding.platforms import current_platform

HERE = current_platform()
ELSEWHERE = "plan9_mips"

RANDOM = "registry.terraform.io/hashicorp/random"
RANDOM_OF_OPENTOFU = "registry.opentofu.org/hashicorp/random"


@dataclass
class Machine:
    """Directories of their own for home and module, and an environment that points to them."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.root / "home"
        self.module = self.root / "module"
        self.home.mkdir(exist_ok=True)
        self.module.mkdir(exist_ok=True)
        self.environment = {"HOME": str(self.home), "PATH": str(self.root / "bin"), "XDG_DATA_DIRS": "/nowhere"}

    @property
    def installed(self) -> Path:
        return self.module / ".terraform" / "providers"

    def package(
        self, base: Path | str, version: str, address: str = RANDOM, platform: str = HERE, program: str | None = None
    ) -> Path:
        """An unpacked package; gives the path of its program."""
        directory = self.root / base / address / version / platform
        directory.mkdir(parents=True)
        path = directory / (program or f"terraform-provider-{address.rsplit('/', 1)[1].lower()}_v{version}")
        path.write_text(f"the program of {version}")
        path.chmod(0o755)
        return path

    def packed(self, base: Path | str, version: str, address: str = RANDOM, platform: str = HERE) -> Path:
        """A package as registries have it."""
        directory = self.root / base / address
        directory.mkdir(parents=True, exist_ok=True)
        kind = address.rsplit("/", 1)[1]
        path = directory / f"terraform-provider-{kind}_{version}_{platform}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"terraform-provider-{kind}_v{version}", f"the program of {version}")
        return path

    def configure(self, text: str, name: str = ".terraformrc") -> Path:
        """A file of the CLI configuration in the home directory."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def mirror(self, *paths: Path | str) -> None:
        """Configures explicit mirrors."""
        blocks = "".join(f'filesystem_mirror {{\n path = "{self.root / path}"\n}}\n' for path in paths)
        self.configure(f"provider_installation {{\n{blocks}}}\n")

    def lock(self, version: str, *hashes: str, address: str = RANDOM) -> Path:
        """Adds a provider to the module's lock file."""
        path = self.module / ".terraform.lock.hcl"
        lines = "".join(f'    "{each}",\n' for each in hashes)
        listed = f"  hashes = [\n{lines}  ]\n" if hashes else ""
        with path.open("a") as file:
            file.write(f'\nprovider "{address}" {{\n  version = "{version}"\n{listed}}}\n')
        return path

    def find(self, name: Any = "hashicorp/random", version: str | None = None, **options: Any) -> FoundProvider:
        options.setdefault("directory", self.module)
        return find_provider(name, version=version, environment=self.environment, **options)
