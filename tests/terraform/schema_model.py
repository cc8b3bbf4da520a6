"""A provider's schema with one of everything that schemas can have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ferrule.terraform.cli.catalogue import KINDS
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting, Schema


def attributes(*each: Attribute) -> dict[str, Attribute]:
    return {attribute.name: attribute for attribute in each}


PORT = Object({"from": NUMBER, "label": STRING}, optional={"label"})
RULE = NestedType(attributes(Attribute("port", NUMBER, required=True)), Nesting.LIST)
BLOCK = Block(
    attributes(
        Attribute("id", STRING, computed=True),
        Attribute("name", STRING, required=True, description="The name.\n\nMore of it."),
        Attribute("open", BOOL, optional=True, deprecated=True, deprecation_message="Use rules."),
        Attribute("any", DYNAMIC, optional=True),
        Attribute("zones", Set(STRING), optional=True, computed=True),
        Attribute("ports", List(PORT), optional=True),
        Attribute("pair", Tuple([STRING, NUMBER]), optional=True),
        Attribute("tags", Map(STRING), optional=True),
        Attribute("token", STRING, optional=True, sensitive=True, write_only=True),
        Attribute("rules", nested_type=RULE, optional=True),
    ),
    {
        "disk": NestedBlock("disk", Block(attributes(Attribute("size", NUMBER, required=True))), Nesting.LIST, 1, 2),
        "timeouts": NestedBlock(
            "timeouts", Block(attributes(Attribute("create", STRING, optional=True))), Nesting.SINGLE
        ),
        "label": NestedBlock("label", Block(), Nesting.MAP),
    },
)
ODD = Block(attributes(Attribute("class", STRING, required=True), Attribute("str", List(STRING), optional=True)))
MODEL: Any = SimpleNamespace(
    provider=Schema(),
    **{kind.attribute: {} for kind in KINDS}
    | {
        "resources": {"x_server": Schema(2, BLOCK), "x_odd": Schema(0, ODD)},
        "data_sources": {"x_server": Schema(0, ODD)},
    },
)
