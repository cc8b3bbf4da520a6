"""Plans of one type of resource, which has all kinds of attributes and blocks."""

from __future__ import annotations

from typing import Any

from ferrule.terraform import cty
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting

RULE = Block({name: Attribute(name, cty.NUMBER if name == "port" else cty.STRING) for name in ("note", "port")})
SERVER = Block(
    {
        "disks": Attribute(
            "disks",
            nested_type=NestedType(
                {"key": Attribute("key", cty.STRING, sensitive=True), "size": Attribute("size", cty.NUMBER)},
                Nesting.LIST,
            ),
        ),
        "id": Attribute("id", cty.STRING),
        "labels": Attribute("labels", cty.Map(cty.STRING)),
        "names": Attribute("names", cty.List(cty.STRING)),
        "password": Attribute("password", cty.STRING, sensitive=True),
        "ports": Attribute("ports", cty.Set(cty.NUMBER)),
        "secret": Attribute("secret", cty.STRING, write_only=True),
        "text": Attribute("text", cty.STRING),
        "value": Attribute("value", cty.DYNAMIC),
    },
    {nesting.value: NestedBlock(nesting.value, RULE, nesting) for nesting in Nesting},
)
NOTHING: dict[str, Any] = {
    **dict.fromkeys(SERVER.attributes),
    "group": {"note": None, "port": None},
    "list": [],
    "map": {},
    "set": [],
    "single": None,
}


def rule(port: Any, note: Any = None) -> dict[str, Any]:
    return {"note": note, "port": port}


def planned(before: Any, after: Any, action: Action = Action.UPDATE, **more: Any) -> Plan:
    sides = (None if each is None else NOTHING | each for each in (before, after))
    return Plan(type="server", action=action, before=next(sides), after=next(sides), block=SERVER, **more)
