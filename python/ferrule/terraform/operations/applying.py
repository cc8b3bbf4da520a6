"""Applying plans.

Facts: OpenTofu v1.12.6 and Terraform v1.13.3, node_resource_abstract_instance.go, apply and checkPlannedChange.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ferrule.errors import RPCPluginError
from ferrule.terraform import core, cty
from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.errors import (
    ApplyError,
    InvalidResponseError,
    PlanError,
    Problem,
    ProviderError,
    StoppedError,
    UnsupportedError,
)
from ferrule.terraform.operations.call import Call, Operation
from ferrule.terraform.operations.context import Context, ResourceType
from ferrule.terraform.operations.exchange import Exchange, has_errors
from ferrule.terraform.operations.planning import Inputs, changed, plan_destroy, planned_destruction
from ferrule.terraform.operations.states import (
    identity_field,
    read_identity,
    stored,
    value_of,
    without_unknowns,
    write_only_found,
)
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.state import ResourceState

__all__ = ["apply", "destroy"]

_logger = logging.getLogger(__name__)


def apply(context: Context, plan: Plan, config: Any = None) -> Operation[ResourceState | None]:
    """Does what a plan says, once.

    Args:
        context: The provider that made the plan.
        plan: The plan.
        config: The configuration, where it had unknown values in the plan: it must be the planned one otherwise, and
            is planned again. Default None: the plan is applied as it is.

    Returns:
        The new state; None after a destruction.

    Raises:
        PlanError: The plan was used before, is of another provider, or the configuration is not known or another one.
        ApplyError: The provider failed; the error has the state that is there now.
        InvalidResponseError: With known values the provider plans something else. Nothing was changed then, but a
            replacement may have destroyed already: an ApplyError says so.
    """
    inputs = plan.inputs
    if not isinstance(inputs, Inputs) or inputs.context is not context:
        raise PlanError(f"this plan of {plan.type} was made by another provider, or in another process")
    resource = context.resource(plan.type)
    known = _known_config(resource, plan, inputs, config)
    plan.use()
    change = _Change(Exchange(context, plan.type, plan.warnings), resource, plan, inputs, known, config is not None)
    match plan.action:
        case Action.NO_OP:
            return inputs.prior
        case Action.DELETE:
            yield from change.destroyed(plan)
            return None
        case Action.REPLACE:
            return (yield from change.replaced())
    return (yield from change.made(inputs.prior))


def destroy(context: Context, state: ResourceState) -> Operation[None]:
    """Destroys a resource: plans it, if the provider plans destructions, and applies that.

    Raises:
        ApplyError: The provider failed; the error has the state that is there now.
    """
    plan = yield from plan_destroy(context, state)
    yield from apply(context, plan)


def _known_config(resource: ResourceType, plan: Plan, inputs: Inputs, config: Any) -> Any:
    """The value of the configuration to apply: wholly known, and one that the plan is of."""
    if config is None:
        value = inputs.config
    else:
        if plan.action is Action.DELETE:
            raise PlanError("a destruction has no configuration")
        value = resource.coerced(config)
        visible = [core.without_write_only(resource.block, each) for each in (inputs.config, value)]
        problems = core.compatibility_problems(resource.block, *visible)
        if problems:
            raise PlanError(f"the configuration of {resource.name} is not the planned one: {_listed(problems)}")
    if value is not None and (unknown := core.unknown_paths(value, resource.type)):
        places = ", ".join(map(cty.format_path, unknown))
        raise PlanError(
            f"the configuration of {resource.name} is not known yet at {places}",
            "Give apply the configuration with the values that are known now.",
        )
    return value


@dataclass(frozen=True, repr=False)
class _Change:
    """One plan that is being applied."""

    exchange: Exchange
    resource: ResourceType
    plan: Plan
    inputs: Inputs
    config: Any
    plan_again: bool

    def made(self, prior: ResourceState | None) -> Operation[ResourceState | None]:
        """Creates the resource, or updates it where there is a prior state."""
        plan = self.plan
        if self.plan_again:
            plan = yield from self._planned_again(prior)
            if plan.action is Action.NO_OP:
                return prior
        return (yield from self._applied(plan, prior))

    def destroyed(self, plan: Plan) -> Operation[None]:
        """Destroys the resource of the prior state."""
        yield from self._applied(plan, plan.inputs.prior, destroys=True)

    def replaced(self) -> Operation[ResourceState | None]:
        """Makes a new object for the old one, in the order that was asked for."""
        if self.inputs.options.create_before_destroy:
            return (yield from self._created_first())
        yield from self.destroyed(self.plan)
        try:
            return (yield from self.made(None))
        except ApplyError:
            raise
        except RPCPluginError as error:
            raise self._failed("it was destroyed, and not created again", error, None) from error

    def _created_first(self) -> Operation[ResourceState | None]:
        old = self.inputs.prior
        assert old is not None
        try:
            new = yield from self.made(None)
        except ApplyError as error:
            # The old object is there, alone or beside what was made.
            error.state, error.deposed = (old, None) if error.state is None else (error.state, old)
            raise
        try:
            plan = yield from planned_destruction(self.exchange, self.resource, old)
            yield from self.destroyed(plan)
        except ApplyError as error:
            error.state, error.deposed = new, error.state
            raise
        except RPCPluginError as error:
            failed = self._failed("the new object was created, and the old one not destroyed", error, new)
            failed.deposed = old
            raise failed from error
        return new

    def _planned_again(self, prior: ResourceState | None) -> Operation[Plan]:
        """The plan with what is known by now, which must be what was planned."""
        again = yield from changed(self.exchange, self.resource, self.config, prior, self.inputs.options)
        first = self.plan.action
        wanted = Action.CREATE if first is Action.REPLACE else first
        allowed = {wanted, Action.NO_OP} if wanted is Action.UPDATE else {wanted}
        if again.action not in allowed:
            raise self.exchange.invalid(f"another plan than before: {again.action.value} in place of {first.value}")
        problems = core.compatibility_problems(self.resource.block, self.inputs.planned, again.inputs.planned)
        if problems:
            raise self.exchange.invalid("another plan than before", problems)
        return again

    def _applied(
        self, plan: Plan, prior: ResourceState | None, *, destroys: bool = False
    ) -> Operation[ResourceState | None]:
        """Has the provider do it, and checks what it has done."""
        planned = None if destroys else plan.inputs.planned
        identity = None if destroys else plan.inputs.identity
        resource = self.resource
        call = Call(
            "ApplyResourceChange",
            {
                "type_name": resource.name,
                "prior_state": resource.encoded(value_of(resource, prior)),
                "planned_state": resource.encoded(planned),
                "config": resource.encoded(None if destroys else self.config),
                "planned_private": plan.private,
                **self.exchange.context.meta,
                **identity_field("planned_identity", resource, identity),
            },
        )
        try:
            response = yield call
        except (UnsupportedError, StoppedError):
            # The call was not made, or did nothing.
            raise
        except RPCPluginError as error:
            if getattr(error, "begun", None) is False:
                # Nothing of the call has reached the provider.
                raise
            raise self._failed("the apply may have happened", error, prior, outcome="unknown") from error
        return self._result(response, prior, planned)

    def _result(self, response: Any, prior: ResourceState | None, planned: Any) -> ResourceState | None:
        """The state after an apply.

        Raises:
            ApplyError: There are errors in the answer, or it is not what was planned.
        """
        exchange, resource = self.exchange, self.resource
        found = exchange.hear(response)
        try:
            answered = exchange.decoded(response.new_state, resource, "an invalid state")
        except InvalidResponseError as error:
            raise self._failed("what was done is not known", error, prior, outcome="unknown") from error
        value, problems = without_unknowns(resource, answered)
        problems += write_only_found(resource, value)
        identity, wrong = self._new_identity(response)
        problems += wrong
        failed = has_errors(found)
        if not failed and not problems:
            problems = self._contradictions(planned, value, legacy=response.legacy_type_system)
        failed = failed or bool(problems)
        state = prior if failed else None
        if value is not None:
            value = core.without_write_only(resource.block, value)
            tainted = failed and (prior is None or prior.tainted)
            state = stored(exchange.context, resource, value, response.private, identity, tainted=tainted)
        if failed:
            raise ApplyError(
                f"{resource.name}: the apply failed",
                resource.name,
                [*found, *(_diagnostic(each) for each in problems)],
                state=state,
            )
        return state

    def _new_identity(self, response: Any) -> tuple[Any, list[Problem]]:
        """The identity after an apply, and what is wrong with it: the state is to be kept even so."""
        try:
            return read_identity(self.exchange, self.resource, response, "new_identity"), []
        except InvalidResponseError as error:
            return None, [Problem(each.path, f"{each.message}, in the identity", each.hint) for each in error.problems]

    def _contradictions(self, planned: Any, value: Any, *, legacy: bool) -> list[Problem]:
        """What differs between the plan and the result."""
        if planned is None:
            return [] if value is None else [Problem((), "the provider says that the destroyed object is there")]
        if value is None:
            return [Problem((), "the provider says that there is nothing after the apply")]
        problems = core.compatibility_problems(self.resource.block, planned, value)
        if problems and legacy:
            _logger.debug("%s: the old SDK did what contradicts the plan: %s", self.resource.name, problems)
            return []
        return problems

    def _failed(
        self, what: str, error: RPCPluginError, state: ResourceState | None, outcome: str = "failed"
    ) -> ApplyError:
        found = error.diagnostics if isinstance(error, ProviderError) else ()
        # An ApplyError lists the diagnostics itself.
        text = f"{self.resource.name}: {what}" + ("" if found else f": {error.message}")
        failed = ApplyError(text, self.resource.name, found, state=state, outcome=outcome)
        failed.exit_status, failed.stderr_tail = error.exit_status, error.stderr_tail
        return failed


def _diagnostic(problem: Problem) -> Diagnostic:
    return Diagnostic(Severity.ERROR, "invalid result of the provider", problem.message, problem.path)


def _listed(problems: Iterable[Problem]) -> str:
    return "; ".join(map(str, problems))
