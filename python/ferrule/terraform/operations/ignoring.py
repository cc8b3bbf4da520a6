"""What a caller names as changes that a plan is to leave aside."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from ferrule.terraform.cty import Attribute, Path, Step
from ferrule.terraform.errors import ConfigurationError, Problem
from ferrule.terraform.operations.context import ResourceType

__all__ = ["Ignored", "ignored_changes"]

Ignored = Literal["all"] | tuple[Path, ...]

_STEP: Final = re.compile(r'(?:^|\.)([^\W\d][\w-]*)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]')


def ignored_changes(resource: ResourceType, given: Literal["all"] | Iterable[str | Sequence[Step]]) -> Ignored:
    """The paths of attributes and blocks, which a caller gives as text (`tags["team"]`) or as steps.

    Raises:
        ConfigurationError: There is no such attribute or block.
    """
    if given == "all":
        return "all"
    try:
        paths = tuple(_parsed(each) if isinstance(each, str) else tuple(each) for each in given)
    except TypeError:
        problem = Problem((), "expected names or paths, or 'all'")
        raise ConfigurationError(f"the ignored changes of {resource.name} are none", [problem]) from None
    names = resource.type.attributes
    problems = [Problem(path, "there is nothing of this name") for path in paths if not path or path[0] not in names]
    if problems:
        raise ConfigurationError(f"the ignored changes of {resource.name} do not fit the schema", problems)
    return paths


def _parsed(text: str) -> Path:
    """The steps of a path in the notation of configurations; one step that no schema has if it is none."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            return (Attribute(text),)
        name, index, key = found.groups()
        steps.append(Attribute(name) if name is not None else int(index) if index is not None else json.loads(key))
        at = found.end()
    return tuple(steps)
