"""Configurations of recorded runs: bodies of blocks, with recorded values for what refers to something."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ferrule.terraform.core.blocks import opened
from ferrule.terraform.errors import ConfigurationError
from ferrule.terraform.messages import dynamic_value
from ferrule.terraform.operations.context import BlockType

from .scenarios import Call

META_ARGUMENTS = {"count", "for_each", "provider", "depends_on", "lifecycle", "connection", "provisioner"}


class DifferenceError(AssertionError):
    """A request or a result that is not the recorded one."""


@dataclass(frozen=True)
class Body:
    """The body of a block as our operations take it, and its meta-arguments."""

    config: dict[str, Any]
    meta: dict[str, Any]
    index: int
    name: str = ""


def matching(of: BlockType, bodies: list[dict[str, Any]], call: Call) -> Body:
    """The body whose value is the recorded one; the first if none is."""
    found = []
    for index, body in enumerate(bodies):
        config, meta = resolved(of, body, dynamic_value(call.request.config, of.type))
        found.append(Body(config, meta, index))
        with contextlib.suppress(ConfigurationError):
            if of.encoded(of.coerced(config)) == call.request.config.msgpack:
                return found[-1]
    if not found:
        raise DifferenceError(f"{call}: nothing is configured")
    return found[0]


def resolved(
    of: BlockType, body: dict[str, Any], recorded: dict[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body with recorded values in place of those that refer to something, and its meta-arguments."""
    config, meta = {}, {}
    for name, value in body.items():
        if name in META_ARGUMENTS and name not in of.type.attributes:
            meta[name] = value
        elif name == "dynamic" and recorded:
            config.update({each: _given(of, each, recorded) for each in value})
        elif "${" in json.dumps(value, default=str) and recorded:
            config[name] = _given(of, name, recorded)
        else:
            config[name] = value
    return config, meta


def _given(of: BlockType, name: str, recorded: dict[str, Any]) -> Any:
    """The recorded value of an attribute or of blocks, as a configuration would have it."""
    nested = of.block.block_types.get(name)
    return recorded[name] if nested is None else opened(nested, recorded[name])


def has_null_for_required(of: BlockType, config: dict[str, Any]) -> bool:
    return any(each.required and name in config and config[name] is None for name, each in of.block.attributes.items())


def function_calls(config: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Functions that outputs call with literal arguments."""
    for output in config.get("output", {}).values():
        if found := re.fullmatch(r"\$\{provider::rec::(\w+)\((.*)\)\}", output["value"]):
            with contextlib.suppress(ValueError):
                yield found[1], json.loads(f"[{found[2]}]")
