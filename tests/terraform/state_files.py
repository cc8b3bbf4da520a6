"""State files that the tools wrote, and a state to be put into them."""

from __future__ import annotations

from pathlib import Path

from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate import StateFile

STATES = Path(__file__).parent / "states"
WRITTEN_BY_TOOLS = sorted(STATES.glob("*.tfstate"))
STATE = ResourceState(
    type="random_pet",
    json='{"id":"cat","length":2}',
    schema_version=1,
    provider="registry.terraform.io/hashicorp/random",
    sensitive=(),
)


def copied(source: Path, directory: Path) -> StateFile:
    (directory / "terraform.tfstate").write_bytes(source.read_bytes())
    return StateFile(directory / "terraform.tfstate")
