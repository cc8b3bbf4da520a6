"""A root module in JSON, for one unmodified provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from acceptance.opentofu import Tofu
from peers import GO_PEERS

HOSTS = {"opentofu": "registry.opentofu.org", "terraform": "registry.terraform.io"}


class ProviderModule(Tofu):
    """A root module, its state, and one provider.

    Args:
        program: Path of `tofu` or `terraform`.
        directory: An empty directory for everything.
        temporary: For the sockets of the provider.
        core: Which of the two it is: `opentofu` or `terraform`.
        name: The provider's name.
        source: The provider's source address.
    """

    def __init__(
        self,
        program: Path,
        directory: Path,
        temporary: Path,
        core: Literal["terraform", "opentofu"],
        name: str,
        source: str,
    ) -> None:
        super().__init__(program, directory, temporary, {source: GO_PEERS})
        self.core = core
        self.name = name
        self.source = source
        self.address = source if source.count("/") > 1 else f"{HOSTS[core]}/{source}"
        self.provider = GO_PEERS / f"terraform-provider-{name}"
        self.files = directory / "files"
        self.state_file = self.module / "terraform.tfstate"
        self.files.mkdir()

    def write(self, **parts: Mapping[str, Any]) -> None:
        """Writes the configuration: its blocks by kind, without those that are empty."""
        needed = {"required_providers": {self.name: {"source": self.source}}}
        document = {"terraform": needed, **{kind: blocks for kind, blocks in parts.items() if blocks}}
        (self.module / "main.tf.json").write_text(json.dumps(document))

    def instances(self) -> dict[str, dict[str, Any]]:
        """The objects of the state file by address."""
        stored = json.loads(self.state_file.read_text())
        return {
            f"{'data.' if entry['mode'] == 'data' else ''}{entry['type']}.{entry['name']}": entry["instances"][0]
            for entry in stored["resources"]
        }

    def outputs(self) -> dict[str, Any]:
        """The values of the outputs in the state file."""
        return {name: entry["value"] for name, entry in json.loads(self.state_file.read_text())["outputs"].items()}
