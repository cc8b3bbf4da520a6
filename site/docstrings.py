"""What griffe has to know of this package's docstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe

HEADING = re.compile(r"^Example:$", re.MULTILINE)


class OwnStyle(griffe.Extension):
    """Examples are under the heading `Example`, which griffe knows in the plural; parameters for tests are hidden."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = HEADING.sub("Examples:", obj.docstring.value)

    def on_function(self, *, func: griffe.Function, **kwargs: Any) -> None:
        for name in [each.name for each in func.parameters if each.name.startswith("_")]:
            del func.parameters[name]
