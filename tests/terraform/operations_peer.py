"""A provider of one resource, for operations: each of its answers is written out by a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from ferrule.errors import TransportError
from ferrule.terraform import core, cty
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.messages import Protocol
from ferrule.terraform.operations import resource
from ferrule.terraform.operations.call import Call, Operation
from ferrule.terraform.operations.context import Context
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.schema.model import Block, Function, IdentityAttribute, IdentitySchema, Parameter, Schema
from ferrule.terraform.schema.provider_schema import Capabilities
from ferrule.terraform.state import ResourceState

from .schema_notation import read_block

PROTOCOL = Protocol.of(6)
DISK = read_block(
    {
        "attributes": {
            "id": {"type": "string", "computed": True},
            "zone": {"type": "string", "required": True},
            "size": {"type": "number", "optional": True},
            "token": {"type": "string", "optional": True, "sensitive": True},
            "key": {"type": "string", "optional": True, "write_only": True},
            "tags": {"type": ["map", "string"], "optional": True},
        }
    }
)
DISK_TYPE = core.implied_type(DISK)
NOTHING = b"\xc0"


def context(tool: Any = "terraform", **capabilities: bool) -> Context:
    schema = SimpleNamespace(
        provider=Schema(0, Block()),
        provider_meta=None,
        resources={"disk": Schema(3, DISK)},
        data_sources={"lookup": Schema(0, DISK)},
        ephemeral_resources={"secret": Schema(0, DISK)},
        list_resources={"disk": Schema(0, DISK)},
        actions={"wipe": Schema(0, DISK)},
        identities={"disk": IdentitySchema(2, {"name": NAME})},
        functions={"join": JOIN},
        capabilities=Capabilities(**capabilities),
    )
    heard: list[Diagnostic] = []
    stand_in: Any = schema
    made = Context(PROTOCOL, stand_in, core=tool, source="example.com/x/cloud", warn=heard.append)
    made.__dict__["heard"] = heard
    return made


NAME = IdentityAttribute("name", cty.STRING, required_for_import=True)
PARTS = Parameter("parts", cty.STRING, allow_null=True, allow_unknown=True)
JOIN = Function((Parameter("separator", cty.STRING),), PARTS, cty.STRING)


def disk(**values: Any) -> bytes:
    return cty.encode(dict.fromkeys(DISK_TYPE.attributes) | values, DISK_TYPE)


def answer(method: str, **fields: Any) -> Any:
    """A response; a DynamicValue is given by its msgpack."""
    kind = PROTOCOL.message(f"{method}.Response")
    return kind(**{name: {"msgpack": each} if name in VALUES else each for name, each in fields.items()})


VALUES = {"planned_state", "new_state", "upgraded_state", "state", "target_state", "result"}
"""Fields of responses that are DynamicValues."""


def warning(summary: str) -> dict[str, Any]:
    return {"severity": 2, "summary": summary}


def error(summary: str, *path: str) -> dict[str, Any]:
    place = {"attribute": {"steps": [{"attribute_name": each} for each in path]}} if path else {}
    return {"severity": 1, "summary": summary, **place}


class Peer:
    """Answers calls in their order, and keeps what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.calls: list[Call] = []

    def run(self, operation: Operation[Any]) -> Any:
        try:
            call = next(operation)
            while True:
                self.calls.append(call)
                PROTOCOL.request(call.method, **call.fields)
                reply = next(self.answers)
                call = operation.throw(reply) if isinstance(reply, Exception) else operation.send(reply)
        except StopIteration as stop:
            return stop.value

    @property
    def methods(self) -> list[str]:
        return [each.method for each in self.calls]


VALID = answer("ValidateResourceConfig")
PLANNED = disk(zone="a", id=cty.UNKNOWN)
LOST = TransportError("the connection to the provider was lost")


def planned(data: bytes = PLANNED, **fields: Any) -> Any:
    return answer("PlanResourceChange", planned_state=data, planned_private=b"planned", **fields)


def applied(data: bytes, **fields: Any) -> Any:
    return answer("ApplyResourceChange", new_state=data, private=b"applied", **fields)


def creation(given: Context, config: Mapping[str, Any] | None = None, data: bytes = PLANNED, **options: Any) -> Plan:
    plan: Plan = Peer(VALID, planned(data)).run(resource.plan(given, "disk", config or {"zone": "a"}, **options))
    return plan


def existing(given: Context, **values: Any) -> ResourceState:
    """The state of a disk that this provider has made."""
    values = {"zone": "a", "id": "7"} | values
    config = {name: each for name, each in values.items() if name != "id"}
    plan = creation(given, config, disk(**values | {"id": cty.UNKNOWN}))
    state: ResourceState = Peer(applied(disk(**values))).run(resource.apply(given, plan))
    return state


def replacement(given: Context, state: ResourceState, **options: Any) -> Plan:
    zone = [{"steps": [{"attribute_name": "zone"}]}]
    peer = Peer(VALID, planned(disk(zone="b", id="7"), requires_replace=zone), planned(disk(zone="b", id=cty.UNKNOWN)))
    plan: Plan = peer.run(resource.plan(given, "disk", {"zone": "b"}, state, **options))
    assert plan.action is Action.REPLACE
    assert plan.requires_replace == (("zone",),)
    return plan
