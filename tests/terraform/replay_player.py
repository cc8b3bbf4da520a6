"""Plays operations with recorded responses, and holds their requests to the recorded ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from ferrule.terraform.errors import TerraformError
from ferrule.terraform.operations import ephemeral
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import BlockType, Context
from ferrule.terraform.plan import Plan
from ferrule.terraform.state import ResourceState

from .replay_bodies import Body, DifferenceError, matching
from .replay_states import json_text, rounded, same_json, state_of
from .scenarios import Call, Scenario, provider_schema

ON_PURPOSE = {
    "deferral": "Terraform allows deferral in its apply phase. We never do: no operation gives a deferred answer.",
    "null argument": "OpenTofu sends null arguments without content, which providers in Go refuse; we do as Terraform.",
    "null for required": "Core leaves a null for a required attribute to the provider. We refuse it before any call.",
    "no label": "To the JSON syntax a map of blocks that is `{}` lacks its labels. To us it is empty.",
    "upgrade": "Core upgrades states again in the process that applies. Our plan and apply are of one process.",
    "interrupt": "The core fails when it is interrupted. Here the one who runs the operation stops it.",
}
"""What we do otherwise than the cores, and why."""


@dataclass
class Player:
    """One scenario in its course: what is known in it, and the calls that are left of a phase."""

    scenario: Scenario
    contexts: dict[str, Context] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    known: list[ResourceState] = field(default_factory=list)
    opened: dict[str, ephemeral.Opened] = field(default_factory=dict)
    errors: list[TerraformError] = field(default_factory=list)
    made: list[Plan] = field(default_factory=list)
    excepted: set[str] = field(default_factory=set)
    step: Any = None
    calls: list[Call] = field(default_factory=list)

    @property
    def context(self) -> Context:
        """The provider with the capabilities and the provider_meta of the step."""
        meta = self.step.config.get("terraform", {}).get("provider_meta", {}).get("rec")
        key = f"{self.step.capabilities} {meta}"
        if key not in self.contexts:
            self.contexts[key] = Context(
                self.scenario.protocol,
                provider_schema(self.scenario.schema, self.step.capabilities),
                core=self.scenario.core,
                terraform_version=self.scenario.terraform_version,
                provider_meta=meta,
                source=self.scenario.source,
            )
        return self.contexts[key]

    def play(self, operation: Operation[Any]) -> Any:
        """Runs an operation with the recorded responses; its errors are kept, and None is the result then."""
        try:
            return self._play(operation)
        except TerraformError as error:
            self.errors.append(error)
            return None

    def _play(self, operation: Operation[Any]) -> Any:
        try:
            call = next(operation)
            while True:
                recorded = self.take(call.method, call.fields.get("type_name") or call.fields.get("target_type_name"))
                self.compare(call.method, dict(call.fields), recorded)
                call = operation.send(recorded.response)
        except StopIteration as stop:
            return stop.value

    def take(self, method: str, type_name: Any) -> Call:
        """The next call of the recording, which must be this one. Other types may come between."""
        found = self.next(type_name or None)
        if found is None or found.method != method:
            raise DifferenceError(f"{method} of {type_name or 'the provider'}: the core has {found} next")
        found.used = True
        return found

    def compare(self, method: str, fields: dict[str, Any], recorded: Call) -> None:
        ours = type(recorded.request).FromString(self.scenario.protocol.request(method, **fields))
        if _takes_deferral(recorded.request):
            self.excepted.add("deferral")
        if ours == recorded.request:
            return
        names = [each.name for each in ours.DESCRIPTOR.fields]
        for name in names:
            mine, theirs = getattr(ours, name), getattr(recorded.request, name)
            if mine != theirs and not self.same(name, mine, theirs):
                raise DifferenceError(
                    f"{method} of {recorded.type}: {name}\n ours {_shown(mine)}\n core {_shown(theirs)}"
                )

    def same(self, name: str, mine: Any, theirs: Any) -> bool:
        """Whether the fields of two requests are different on purpose."""
        if name != "arguments" or len(mine) != len(theirs):
            return False
        self.excepted.add("null argument")
        null = b"\xc0"
        return all(a == b or (a.msgpack == null and not b.msgpack) for a, b in zip(mine, theirs, strict=True))

    def next(self, type_name: str | None = None, method: str | None = None) -> Call | None:
        """The first call of the phase that is left, of a type and a method."""
        return next(
            (
                each
                for each in self.calls
                if not each.used and type_name in (None, each.type) and method in (None, each.method)
            ),
            None,
        )

    def following(self, call: Call) -> list[str]:
        """The methods of the type from a call on, without those of identities."""
        rest = [each for each in self.calls if not each.used and each.type == call.type]
        return [each.method for each in rest if each.method != "UpgradeResourceIdentity"]

    def following_plan(self, call: Call) -> Call | None:
        return self.next(call.type, "PlanResourceChange")

    def stored(self, call: Call) -> ResourceState:
        return self.stored_as(call.type, call.request.raw_state.json)

    def stored_as(self, type_name: str, data: bytes) -> ResourceState:
        """The state that the core reads from its file, or from a plan before."""
        text = data.decode()
        for state in self.known:
            if state.type == type_name and same_json(state.json, text):
                return replace(state, json=text, _origin=None)
        attributes = json.loads(text, parse_float=Decimal)
        for each in self.step.before:
            if each.type == type_name and rounded(each.attributes) == rounded(attributes):
                return state_of(each, text, self.scenario.source)
            # The core has taken attributes away that the schema has no longer.
            if each.type == type_name and each.attributes.items() > attributes.items():
                return state_of(each, json_text(each.attributes), self.scenario.source)
        raise DifferenceError(f"there is no such state of {type_name}: {text}")

    def body(self, section: str, of: BlockType, call: Call) -> Body:
        """The configuration that a validation in the recording is of."""
        bodies = self.step.config.get(section, {}).get(of.name, {})
        found = matching(of, list(bodies.values()), call)
        return replace(found, name=list(bodies)[found.index])


def _takes_deferral(request: Any) -> bool:
    """Takes the permission of deferral out of a request; whether it was there."""
    if "client_capabilities" not in request.DESCRIPTOR.fields_by_name:
        return False
    allowed: bool = request.client_capabilities.deferral_allowed
    if allowed:
        request.client_capabilities.deferral_allowed = False
    return allowed


def _shown(field: Any) -> str:
    if hasattr(field, "msgpack"):
        return field.msgpack.hex() or field.json.decode() or "nothing"
    return str(field)
