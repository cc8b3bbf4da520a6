"""Recorded runs, played back to our operations: each of their requests is compared with the one of the real core.

A core plans whole configurations: it resolves references, walks over `count` and `for_each`, and runs each command in
new processes. Here the recording tells all that, and an operation is run for each resource in the recording's order:

- Values of the configuration that refer to something are the recorded ones, known or unknown.
- A state file is what the recording has; states that a plan hands to its apply are ours.
- Core upgrades each state once more before it applies, in its new process. These calls are played on their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ferrule.terraform import core
from ferrule.terraform.errors import ApplyError, ConfigurationError, StoppedError, TerraformError
from ferrule.terraform.messages import dynamic_value
from ferrule.terraform.operations import data_source, ephemeral, functions, provider, resource
from ferrule.terraform.operations.context import BlockType, ResourceType
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.schema.model import Nesting
from ferrule.terraform.state import ResourceState

from .replay_bodies import Body, DifferenceError, function_calls, has_null_for_required, matching, resolved
from .replay_player import Player
from .replay_states import facts, instance_facts, json_text, same_json, state_of
from .scenarios import Call, Step

VALIDATIONS = {"ValidateResourceConfig", "ValidateDataResourceConfig", "ValidateEphemeralResourceConfig"}
ACTIONS = {
    ("create",): Action.CREATE,
    ("no-op",): Action.NO_OP,
    ("update",): Action.UPDATE,
    ("delete",): Action.DELETE,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
}


class Replay(Player):
    """One scenario in its course."""

    def run(self) -> None:
        for number, step in enumerate(self.scenario.steps):
            try:
                self.run_step(step)
            except DifferenceError as difference:
                raise DifferenceError(f"step {number}, {step.command}: {difference}") from difference
            except TerraformError as error:
                raise DifferenceError(f"step {number}, {step.command}: {error}") from error

    def run_step(self, step: Step) -> None:
        self.step = step
        self.errors, self.made, self.known = [], [], []
        if not step.command.startswith("apply-plan"):
            self.plans = []
        applies = _applying_phase(step)
        for number, calls in enumerate(step.phases):
            self.calls = calls
            if "destroy" in step.command and number != applies:
                # The core has read all, and planned it once as if it were to stay.
                self.made, self.plans = [], []
            if number == applies:
                self.apply_phase()
            else:
                self.plan_phase(validates=number == 0)
        if step.failed and not self.errors:
            self.refuse()
        if step.failed and not self.errors:
            raise DifferenceError("the core fails, and nothing here does")
        if step.command.startswith("plan") and not step.failed:
            self.compare_actions()

    # The phases of a command.

    def plan_phase(self, *, validates: bool) -> None:
        while (call := self.next()) is not None:
            if validates and call.method in VALIDATIONS:
                self.validate(call)
            else:
                self.handle(call)

    def handle(self, call: Call) -> None:
        getattr(self, f"on_{call.method}")(call)

    def validate(self, call: Call) -> None:
        kind = {
            "ValidateResourceConfig": ("resource", self.context.resource, resource.validate),
            "ValidateDataResourceConfig": ("data", self.context.data_source, data_source.validate),
            "ValidateEphemeralResourceConfig": ("ephemeral", self.context.ephemeral_resource, ephemeral.validate),
        }
        section, lookup, operation = kind[call.method]
        of = lookup(call.type)
        body = self.body(section, of, call)
        if has_null_for_required(of, body.config):
            self.excepted.add("null for required")
            call.used = True
            with pytest.raises(ConfigurationError):
                next(operation(self.context, call.type, body.config))
            return
        self.play(operation(self.context, call.type, body.config))

    def on_ValidateProviderConfig(self, call: Call) -> None:
        own = BlockType("the provider", self.context.schema.provider.block)
        given = self.step.config.get("provider", {}).get("rec", {})
        bodies = given if isinstance(given, list) else [given]
        bodies = [{name: each for name, each in body.items() if name != "alias"} for body in bodies]
        config = matching(own, bodies or [{}], call).config
        after = self.calls[self.calls.index(call) + 1 :]
        configures = bool(after) and after[0].method == "ConfigureProvider"
        self.play((provider.configure if configures else provider.validate)(self.context, config))

    def on_UpgradeResourceState(self, call: Call) -> None:
        state = self.stored(call)
        methods = self.following(call)[1:]
        if methods[:1] == ["ReadResource"]:
            known = self.play(resource.read(self.context, state))
            self.plan_after(call.type, known)
        elif methods[:1] == ["ValidateResourceConfig"]:
            self.plan(call.type, state)
        elif methods[:1] == ["PlanResourceChange"] or self.step.command == "destroy":
            self.keep(self.play(resource.plan_destroy(self.context, state)))
        else:
            self.play(resource.upgrade(self.context, state))

    def plan_after(self, type_name: str, known: ResourceState | None) -> None:
        """What follows a read: a plan of the resource, if it is to stay, or of its destruction."""
        call = self.next()
        if known is None:
            return
        self.known.append(known)
        follows = call.method if call is not None and call.type == type_name else None
        changes = self.step.command.startswith(("plan", "apply")) and not self.forgets(type_name)
        if follows == "ValidateResourceConfig":
            self.plan(type_name, known)
        elif follows == "PlanResourceChange" or changes:
            self.keep(self.play(resource.plan_destroy(self.context, known)))

    def forgets(self, type_name: str) -> bool:
        """Whether the configuration says that a resource leaves the state alone."""
        removed = self.step.config.get("removed", [])
        return any(each["from"].startswith(f"{type_name}.") for each in removed)

    def on_ValidateResourceConfig(self, call: Call) -> None:
        self.plan(call.type, None)

    def on_PlanResourceChange(self, call: Call) -> None:
        raise DifferenceError(f"{call}: nothing here would ask for it")

    def on_ImportResourceState(self, call: Call) -> None:
        by: dict[str, Any] = {"id": call.request.id or None}
        if not call.request.id:
            blocks = self.step.config.get("import", [])
            by["identity"] = next(each["identity"] for each in blocks if "identity" in each)
        states = self.play(resource.import_(self.context, call.type, **by))
        for state in states or ():
            self.plan_after(state.type, state)

    def on_MoveResourceState(self, call: Call) -> None:
        old = self.stored_as(call.request.source_type_name, call.request.source_state.json)
        moved = self.play(resource.move(self.context, old, call.type))
        following = self.next(call.type)
        if following is not None and following.method == "ReadResource":
            self.plan_after(call.type, self.play(resource.read(self.context, moved)))
        else:
            # Terraform moves in a process of its own.
            self.known.append(moved)

    def on_ValidateDataResourceConfig(self, call: Call) -> None:
        body = self.body("data", self.context.data_source(call.type), call)
        self.play(data_source.read(self.context, call.type, body.config))

    def on_ValidateEphemeralResourceConfig(self, call: Call) -> None:
        body = self.body("ephemeral", self.context.ephemeral_resource(call.type), call)
        self.opened[call.type] = self.play(ephemeral.open_(self.context, call.type, body.config))

    def on_RenewEphemeralResource(self, call: Call) -> None:
        self.opened[call.type] = self.play(ephemeral.renew(self.context, self.opened[call.type]))

    def on_CloseEphemeralResource(self, call: Call) -> None:
        self.play(ephemeral.close(self.context, self.opened.pop(call.type)))

    def on_CallFunction(self, call: Call) -> None:
        function = self.context.function(call.request.name)
        given = call.request.arguments
        variadic = [] if function.variadic_parameter is None else [function.variadic_parameter] * len(given)
        parameters = [*function.parameters, *variadic][: len(given)]
        arguments = [dynamic_value(each, of.type) for each, of in zip(given, parameters, strict=True)]
        self.play(functions.call(self.context, call.request.name, *arguments))

    def on_StopProvider(self, call: Call) -> None:
        call.used = True
        self.excepted.add("interrupt")
        self.errors.append(StoppedError("interrupted"))

    # Plans.

    def plan(self, type_name: str, prior: ResourceState | None) -> None:
        call = self.next(type_name, "ValidateResourceConfig")
        assert call is not None
        body = self.body("resource", self.context.resource(type_name), call)
        self.keep(self.play(resource.plan(self.context, type_name, body.config, prior, **self.options(body, call))))

    def keep(self, plan: Plan | None) -> None:
        if plan is not None:
            self.plans.append(plan)
            self.made.append(plan)

    def options(self, body: Body, call: Call | None) -> dict[str, Any]:
        lifecycle = body.meta.get("lifecycle", {})
        ignored = lifecycle.get("ignore_changes", ())
        forced = call is not None and f"-replace={call.type}.{body.name}" in self.step.command
        if call is not None and "replace_triggered_by" in lifecycle:
            plans = [each for each in self.calls if each.type == call.type and each.method == "PlanResourceChange"]
            forced = len(plans) > 1
        return {
            "create_before_destroy": lifecycle.get("create_before_destroy", False),
            "ignore_changes": ignored,
            "replace": forced,
        }

    def compare_actions(self) -> None:
        """The actions of all resources of the provider, which the core's plan has too."""
        types = self.context.schema.resources
        theirs = Counter(
            (address.split("[")[0].split(".")[-2], ACTIONS[tuple(actions)].value)
            for address, actions in self.step.actions
            if tuple(actions) in ACTIONS and address.split("[")[0].split(".")[-2] in types
        )
        ours = Counter((each.type, each.action.value) for each in self.made)
        if self.step.actions and ours != theirs:
            raise DifferenceError(f"actions\n ours {dict(ours)}\n core {dict(theirs)}")

    # Applies.

    def apply_phase(self) -> None:
        calls = self.calls
        for number, upgrade in enumerate(calls):
            if upgrade.method == "UpgradeResourceState":
                following = calls[number + 1 : number + 2]
                self.calls = [upgrade, *(each for each in following if each.method == "UpgradeResourceIdentity")]
                self.upgrade_again(upgrade)
        self.calls = calls
        while (call := self.next()) is not None:
            if call.method in {"ValidateResourceConfig", "ApplyResourceChange"}:
                self.apply(call)
            else:
                self.handle(call)

    def upgrade_again(self, call: Call) -> None:
        """The upgrade before an apply, of the state that the plan was made from."""
        text = call.request.raw_state.json.decode()
        for state in [each.inputs.prior for each in self.plans if each.inputs.prior] + self.known:
            if state.type == call.type and same_json(state.json, text):
                self.excepted.add("upgrade")
                self.play(resource.upgrade(self.context, replace(state, json=text, _origin=None)))
                return
        self.play(resource.upgrade(self.context, self.stored(call)))

    def apply(self, call: Call) -> None:
        plan, config = self.planned(call)
        self.plans.remove(plan)
        try:
            state = self._play(resource.apply(plan.inputs.context, plan, config))
        except ApplyError as error:
            self.errors.append(error)
            state = error.state
        except TerraformError as error:
            self.errors.append(error)
            return
        if state is not None:
            self.compare_state(state)

    def planned(self, call: Call) -> tuple[Plan, Any]:
        """The plan that an apply in the recording is of, and the configuration of it."""
        validation = self.next(call.type, "ValidateResourceConfig")
        body = None if validation is None else self.body("resource", self.context.resource(call.type), validation)
        creates = call.method == "ValidateResourceConfig"
        question = self.following_plan(call) if creates else call
        for plan in self.plans:
            if plan.type != call.type or plan.action is Action.NO_OP:
                continue
            of, inputs = self.context.resource(call.type), plan.inputs
            prior = None if inputs.prior is None else inputs.prior.value(of.type)
            if creates and plan.action in {Action.CREATE, Action.REPLACE}:
                prior = None
            if question is not None and question.request.prior_state.msgpack != of.encoded(prior):
                continue
            if plan.action is Action.DELETE:
                return plan, None
            if body is None:
                # The destruction of a replacement has failed.
                if plan.action is Action.REPLACE:
                    return plan, None
                continue
            visible = [_visible(of, each) for each in (inputs.config, of.coerced(body.config))]
            if not core.compatibility_problems(of.block, *visible):
                return plan, body.config
        raise DifferenceError(f"{call}: there is no plan for it")

    def compare_state(self, state: ResourceState) -> None:
        """The state file after the command must have our state."""
        ours = facts(state)
        theirs = [instance_facts(each) for each in self.step.after if each.type == state.type]
        if ours not in theirs:
            raise DifferenceError(f"state of {state.type}\n ours {ours}\n core {theirs}")

    # What the core refuses before any call.

    def refuse(self) -> None:
        """What the core refuses before any call: configurations, states, and arguments of functions."""
        for section, types in (("resource", self.context.schema.resources), ("data", self.context.schema.data_sources)):
            for name, bodies in self.step.config.get(section, {}).items():
                if name in types:
                    for body in bodies.values():
                        self.refused_body(section, BlockType(name, types[name].block), body)
        for each in self.step.before:
            state = state_of(each, json_text(each.attributes), self.scenario.source)
            self.refused(partial(next, resource.upgrade(self.context, state)))
        for name, arguments in function_calls(self.step.config):
            self.refused(partial(next, functions.call(self.context, name, *arguments)))

    def refused_body(self, section: str, of: BlockType, body: dict[str, Any]) -> None:
        config, meta = resolved(of, body, None)
        if any(config.get(name) == {} for name, each in of.block.block_types.items() if each.nesting is Nesting.MAP):
            self.excepted.add("no label")
            self.errors.append(ConfigurationError("no label", ()))
        elif section == "resource":
            options = self.options(Body(config, meta, 0), None)
            self.refused(lambda: next(resource.plan(self.context, of.name, config, **options)))
        else:
            self.refused(lambda: of.coerced(config))

    def refused(self, attempt: Callable[[], Any]) -> None:
        try:
            attempt()
        except TerraformError as error:
            self.errors.append(error)


def _applying_phase(step: Step) -> int | None:
    """The number of the phase that applies, if one does."""
    last = len(step.phases) - 1
    if step.command.startswith("apply-plan"):
        return last
    if step.command.startswith("apply"):
        return last if last > 1 else None
    return last if any(each.method == "ApplyResourceChange" for each in step.phases[-1]) else None


def _visible(of: ResourceType, value: Any) -> Any:
    return core.without_write_only(of.block, value)
