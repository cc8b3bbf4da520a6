"""Recorded runs of both cores, in one form: what was run with which configuration, and each call as messages."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ferrule.terraform.messages import Protocol
from ferrule.terraform.messages.protocol import NAMES_OF_PROTOCOL_5
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.provider_schema import Capabilities

ORACLE = Path(__file__).parent / "oracle"
RECORDINGS = ("opentofu-5", "opentofu-6", "terraform-6")
NEW_NAMES = {old: new for new, old in NAMES_OF_PROTOCOL_5.items()}
SCHEMA_CALLS = {"GetSchema", "GetProviderSchema", "GetResourceIdentitySchemas"}


@dataclass
class Call:
    """One call; its method goes by the name of protocol 6."""

    method: str
    request: Any
    response: Any
    used: bool = False

    @property
    def type(self) -> str:
        names = ("type_name", "target_type_name", "action_type")
        return next((getattr(self.request, name) for name in names if hasattr(self.request, name)), "")

    def __repr__(self) -> str:
        return f"{self.method}({self.type})"


@dataclass
class Instance:
    """One resource of a state file."""

    address: str
    attributes: dict[str, Any]
    schema_version: int
    private: bytes
    identity: dict[str, Any] | None
    identity_schema_version: int
    tainted: bool

    @property
    def type(self) -> str:
        return self.address.split(".")[-2]


@dataclass
class Step:
    """One command. Its calls are in phases: validation, then one for each time that the provider was configured."""

    command: str
    config: dict[str, Any]
    phases: list[list[Call]]
    before: list[Instance]
    after: list[Instance]
    failed: bool
    capabilities: Capabilities
    actions: list[tuple[str, list[str]]] = field(default_factory=list)


@dataclass
class Scenario:
    """One run: commands in one working directory."""

    id: str
    core: Any
    protocol: Protocol
    schema: str
    source: str
    steps: list[Step]

    @property
    def terraform_version(self) -> str:
        """What the core tells providers of itself."""
        calls = (call for step in self.steps for phase in step.phases for call in phase)
        return next((each.request.terraform_version for each in calls if each.method == "ConfigureProvider"), "")


@cache
def provider_schema(name: str, capabilities: Capabilities) -> ProviderSchema:
    """The schema of a recording provider; its capabilities are those of the step."""
    protocol, schema, identities = _answers(name)
    message = protocol.parse_response("GetProviderSchema", schema)
    message.server_capabilities.plan_destroy = capabilities.plan_destroy
    message.server_capabilities.move_resource_state = capabilities.move_resource_state
    return ProviderSchema.of(protocol, message.SerializeToString(), identities)


@cache
def _answers(name: str) -> tuple[Protocol, bytes, bytes]:
    kind, version = name.split("-")
    if kind == "functions":
        raw = json.loads(gzip.decompress((ORACLE / f"schemas/recording-{version}.json.gz").read_bytes()))["raw"]
        schema = raw["GetSchema" if version == "5" else "GetProviderSchema"]
        identities = raw["GetResourceIdentitySchemas"]
    else:
        documents = json.loads(gzip.decompress((ORACLE / "schema.json.gz").read_bytes()))
        found = documents[f"recording_{version}"]
        schema, identities = found["get_provider_schema"], found["get_resource_identity_schemas"]
    return Protocol.of(int(version)), bytes.fromhex(schema), bytes.fromhex(identities)


def recorded(name: str) -> Iterator[Scenario]:
    """The runs of one of `RECORDINGS`."""
    with gzip.open(ORACLE / f"recorded-{name}.jsonl.gz", "rt") as lines:
        for line in lines:
            yield _recorded_scenario(name, json.loads(line, parse_float=Decimal))


def core_scenarios() -> Iterator[Scenario]:
    """The scenarios of OpenTofu against the other recording provider."""
    yield from _core_scenarios("opentofu", "core-scenarios.jsonl.gz")


def terraform_scenarios() -> Iterator[Scenario]:
    """The scenarios of Terraform 1.11 against that provider."""
    yield from _core_scenarios("terraform", "core-scenarios-terraform.jsonl.gz")


def _core_scenarios(tool: str, file: str) -> Iterator[Scenario]:
    with gzip.open(ORACLE / file, "rt") as lines:
        for line in lines:
            yield _core_scenario(tool, json.loads(line, parse_float=Decimal))


def random_plans() -> Iterator[dict[str, Any]]:
    """Plans of random configurations: type, `given`, and bytes of the requests in hexadecimal."""
    with gzip.open(ORACLE / "core-random-plans.jsonl.gz", "rt") as lines:
        for line in lines:
            yield json.loads(line, parse_float=Decimal)


def _recorded_scenario(name: str, document: dict[str, Any]) -> Scenario:
    protocol = Protocol.of(document["protocol"])
    steps: list[Step] = []
    before: list[Instance] = []
    config: dict[str, Any] = {}
    for each in document["steps"]:
        calls = [_recorded_call(protocol, call) for call in each.get("calls", ())]
        config = each.get("config") or config
        after = _instances(each["state"]) if "state" in each else _edited(before, each["command"])
        actions = [(change["address"], change["actions"]) for change in each.get("changes", ())]
        steps.append(
            Step(
                " ".join(each["command"]),
                config,
                _phases(calls),
                before,
                after,
                bool(each.get("status")),
                Capabilities(plan_destroy=_plans_destruction(document), move_resource_state=True),
                actions,
            )
        )
        before = after
    schema = f"functions-{document['protocol']}"
    return Scenario(document["id"], name.split("-", maxsplit=1)[0], protocol, schema, "ferrule.example/rec/rec", steps)


def _recorded_call(protocol: Protocol, call: dict[str, Any]) -> Call:
    method = NEW_NAMES.get(call["method"], call["method"])
    kind = protocol._method(method)
    request = kind.request.FromString(bytes.fromhex(call["request_bytes"]))
    return Call(method, request, kind.response.FromString(bytes.fromhex(call["response_bytes"])))


def _plans_destruction(document: dict[str, Any]) -> bool:
    """Whether the provider planned a destruction; it does, unless one was applied without."""
    calls = [call for step in document["steps"] for call in step.get("calls", ())]
    asked = [call["method"] for call in calls if call["request"].get("config", {}).get("msgpack") == "c0"]
    return "ApplyResourceChange" not in asked or "PlanResourceChange" in asked


def _edited(before: list[Instance], command: list[str]) -> list[Instance]:
    """The state after `edit-state NAME=VALUE ...`, which gives the only resource other values."""
    edits = dict(each.split("=", 1) for each in command[1:])
    version = edits.pop("schema_version", None)
    return [
        replace(
            each,
            attributes=each.attributes | edits,
            schema_version=each.schema_version if version is None else int(version),
        )
        for each in before
    ]


def _core_scenario(tool: str, document: dict[str, Any]) -> Scenario:
    protocol = Protocol.of(document["protocol"])
    steps: list[Step] = []
    config: dict[str, Any] = {}
    for each in document["steps"]:
        calls = [_core_call(protocol, call) for call in each["calls"] if call["rpc"] not in SCHEMA_CALLS]
        config = each.get("config") or config
        before = _instances(each["state_before"] or ())
        after = before if each["state_after"] == "(as before)" else _instances(each["state_after"] or ())
        capabilities = each.get("behaviour", {}).get("capabilities", {})
        known = {name: capabilities.get(name, False) for name in ("plan_destroy", "move_resource_state")}
        actions = [(change["address"], change["actions"]) for change in each.get("plan", ())]
        steps.append(
            Step(each["run"], config, _phases(calls), before, after, bool(each["exit"]), Capabilities(**known), actions)
        )
    schema = f"core-{document['protocol']}"
    return Scenario(document["name"], tool, protocol, schema, "ferrule.example/record/rec", steps)


def _core_call(protocol: Protocol, call: dict[str, Any]) -> Call:
    method = NEW_NAMES.get(call["rpc"], call["rpc"])
    protocol.path(method)
    kind = protocol._method(method)
    response = kind.response(**_fields(kind.response.DESCRIPTOR, call.get("response") or {}))
    return Call(method, kind.request(**_fields(kind.request.DESCRIPTOR, call["request"])), response)


def _fields(kind: Any, notation: dict[str, Any]) -> dict[str, Any]:
    return {name: _field(kind.fields_by_name[name], each) for name, each in notation.items()}


def _field(of: Any, notation: Any) -> Any:
    """A field out of the notation of the recordings: each message as a dict, but for paths and values."""
    kind = of.message_type.name if of.message_type else None
    if isinstance(notation, list) and (kind != "AttributePath" or not notation or isinstance(notation[0], list)):
        return [_field(of, each) for each in notation]
    if kind is None:
        return notation.encode() if of.type == of.TYPE_BYTES else notation
    read = _MESSAGES.get(kind)
    return _fields(of.message_type, notation) if read is None else read(notation)


def _value(notation: dict[str, Any]) -> dict[str, bytes]:
    if "json" in notation:
        return {"json": json.dumps(notation["json"], default=str).encode()}
    return {name: bytes.fromhex(each) for name, each in notation.items()}


def _path(notation: list[str | int]) -> dict[str, Any]:
    names = {str: "attribute_name", int: "element_key_int"}
    return {"steps": [{names[type(each)]: each} for each in notation]}


_MESSAGES: dict[str, Callable[[Any], Any]] = {
    "DynamicValue": _value,
    "RawState": lambda notation: {"json": notation["json"].encode()},
    "AttributePath": _path,
    "Timestamp": lambda notation: {"seconds": 2_000_000_000},
}
"""Messages that the recordings do not write as dicts of fields; they left times out."""


def _phases(calls: list[Call]) -> list[list[Call]]:
    phases: list[list[Call]] = [[]]
    for each, following in zip_longest(calls, calls[1:]):
        configures = following is not None and following.method == "ConfigureProvider"
        if each.method == "ValidateProviderConfig" and configures:
            phases.append([])
        phases[-1].append(each)
    return phases


def _instances(state: Any) -> list[Instance]:
    return [
        Instance(
            address=resource["address"],
            attributes=instance["attributes"],
            schema_version=instance["schema_version"],
            private=base64.b64decode(instance.get("private", "")),
            identity=instance.get("identity"),
            identity_schema_version=instance.get("identity_schema_version", 0),
            tainted=instance.get("status") == "tainted",
        )
        for resource in state
        for instance in resource.get("instances", ())
        if resource.get("mode", "managed") == "managed" and not resource["address"].startswith("data.")
    ]
