"""Planning: what a provider would do to bring a resource to a configuration, or to destroy it.

Facts: OpenTofu v1.12.6 and Terraform v1.13.3, node_resource_abstract_instance.go, plan and planDestroy.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ferrule.terraform import core, cty
from ferrule.terraform.cty import Path, Step
from ferrule.terraform.errors import InvalidResponseError, Problem
from ferrule.terraform.messages import attribute_path
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, Context, ResourceType
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.operations.ignoring import Ignored, ignored_changes
from ferrule.terraform.operations.states import identity_field, planned_identity, value_of, write_only_found
from ferrule.terraform.operations.upgrading import current
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.state import ResourceState

__all__ = ["Inputs", "Options", "changed", "plan", "plan_destroy", "planned_destruction", "validate"]

_logger = logging.getLogger(__name__)

FORCED = "as asked for"
TAINTED = "the resource is tainted"


@dataclass(frozen=True)
class Options:
    """How a caller wants a change made.

    Attributes:
        replace: Replace the resource whatever changes.
        create_before_destroy: Replacements make the new object before the old one goes.
        ignore: What is left as it is, though the configuration has another value.
    """

    replace: bool = False
    create_before_destroy: bool = False
    ignore: Ignored = ()


@dataclass(frozen=True, repr=False)
class Inputs:
    """What an apply needs beside what a plan shows.

    Attributes:
        context: The provider that made the plan.
        config: The value of the configuration; null for a destruction.
        prior: The state of before, in the provider's schema.
        planned: The value that the provider planned.
        identity: The identity that it planned.
        options: How the change is made.
    """

    context: Context
    config: Any
    prior: ResourceState | None
    planned: Any
    identity: Any
    options: Options

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process has no such provider: a plan that was pickled cannot be applied there.
        return _none, ()


def _none() -> None:
    return None


@dataclass(frozen=True, repr=False)
class _Proposal:
    """What a provider answered to one PlanResourceChange."""

    value: Any
    private: bytes
    identity: Any
    legacy: bool
    requires_replace: tuple[Path, ...]


def validate(context: Context, type_name: str, config: Any) -> Operation[None]:
    """Has the provider check the configuration of a resource; what is not known yet may be UNKNOWN.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    resource = context.resource(type_name)
    yield from _validated(Exchange(context, type_name), resource, resource.coerced(config))


def plan(
    context: Context,
    type_name: str,
    config: Any,
    prior: ResourceState | None = None,
    *,
    replace: bool = False,
    create_before_destroy: bool = False,
    ignore_changes: Literal["all"] | Iterable[str | Sequence[Step]] = (),
) -> Operation[Plan]:
    """Plans a resource: its creation without a prior state, else an update, a replacement, or nothing.

    A prior state that was stored is upgraded first; it is not read again.

    Args:
        context: The provider.
        type_name: The resource type.
        config: The configuration; what is not known yet may be UNKNOWN.
        prior: The state of now; default None, there is none.
        replace: Replace the resource even if it could stay; default False.
        create_before_destroy: A replacement creates before it destroys; default False.
        ignore_changes: Attributes and blocks, by name or path, that stay as they are; "all" for all of them.

    Raises:
        ConfigurationError: The schema refuses the configuration.
        StateError: The state is of another type, or of a newer schema.
        ProviderError: The provider refuses the configuration or the change.
        InvalidResponseError: The plan contradicts the schema or the configuration.
    """
    resource = context.resource(type_name)
    value = resource.coerced(config)
    options = Options(replace, create_before_destroy, ignored_changes(resource, ignore_changes))
    exchange = Exchange(context, type_name)
    state = yield from current(exchange, resource, prior)
    return (yield from changed(exchange, resource, value, state, options))


def plan_destroy(context: Context, state: ResourceState) -> Operation[Plan]:
    """Plans the destruction of a resource. A state that was stored is upgraded first.

    Raises:
        StateError: The state is of a newer schema.
        ProviderError: The provider refuses the destruction.
        InvalidResponseError: The provider plans something else.
    """
    resource = context.resource(state.type)
    exchange = Exchange(context, state.type)
    known = yield from current(exchange, resource, state)
    assert known is not None
    return (yield from planned_destruction(exchange, resource, known))


def changed(
    exchange: Exchange, resource: ResourceType, config: Any, prior: ResourceState | None, options: Options
) -> Operation[Plan]:
    """The plan that brings a resource, whose state follows the schema, to the value of a configuration."""
    yield from _validated(exchange, resource, config)
    before = value_of(resource, prior)
    # To the provider a tainted resource is one that is not there.
    seen = None if prior is not None and prior.tainted else prior
    wanted = core.ignore_changes(resource.block, value_of(resource, seen), config, options.ignore)
    found = yield from _proposed(exchange, resource, wanted, seen, options)
    paths = _replacement_paths(exchange, resource, before if seen else None, found)
    action, reason = _action(resource, before, found, paths, seen, options)
    if action is Action.REPLACE and seen is not None:
        found = yield from _proposed_again(exchange, resource, config, found)
    _check_identity(exchange, found, action)
    inputs = Inputs(exchange.context, config, prior, found.value, found.identity, options)
    shown = _shown(resource, config, before, found.value)
    return Plan(
        type=resource.name,
        action=action,
        requires_replace=paths,
        reason=reason,
        warnings=exchange.warnings,
        private=found.private,
        identity=cty.untyped(found.identity),
        provider=exchange.context.source,
        legacy=found.legacy,
        inputs=inputs,
        **shown,
    )


def planned_destruction(exchange: Exchange, resource: ResourceType, state: ResourceState) -> Operation[Plan]:
    """The plan that destroys a resource whose state follows the schema."""
    before = value_of(resource, state)
    private = state.private
    if exchange.context.schema.capabilities.plan_destroy:
        response = yield from _asked(exchange, resource, None, None, before, state.private, _identity(resource, state))
        if exchange.decoded(response.planned_state, resource, "an invalid plan") is not None:
            raise exchange.invalid("an invalid plan: there is something left after the destruction")
        private = response.planned_private
    return Plan(
        type=resource.name,
        action=Action.DELETE,
        warnings=exchange.warnings,
        private=private,
        identity=cty.untyped(_identity(resource, state)),
        provider=exchange.context.source,
        inputs=Inputs(exchange.context, None, state, None, None, Options()),
        **_shown(resource, None, before, None),
    )


def _validated(exchange: Exchange, resource: ResourceType, config: Any) -> Operation[None]:
    yield from exchange.call(
        "ValidateResourceConfig",
        type_name=resource.name,
        config=resource.encoded(config),
        client_capabilities=CAPABILITIES,
    )


def _identity(resource: ResourceType, state: ResourceState | None) -> Any:
    of = resource.identity_type
    return None if state is None or of is None else state.identity_value(of)


def _asked(
    exchange: Exchange, resource: ResourceType, config: Any, proposed: Any, prior: Any, private: bytes, identity: Any
) -> Operation[Any]:
    """The answer to one PlanResourceChange."""
    return (
        yield from exchange.call(
            "PlanResourceChange",
            type_name=resource.name,
            prior_state=resource.encoded(prior),
            proposed_new_state=resource.encoded(proposed),
            config=resource.encoded(config),
            prior_private=private,
            client_capabilities=CAPABILITIES,
            **exchange.context.meta,
            **identity_field("prior_identity", resource, identity),
        )
    )


def _proposed(
    exchange: Exchange, resource: ResourceType, config: Any, prior: ResourceState | None, options: Options
) -> Operation[_Proposal]:
    """The plan from the state of now, checked against the configuration."""
    before = value_of(resource, prior)
    proposed = core.proposed_new(resource.block, before, config)
    private = b"" if prior is None else prior.private
    response = yield from _asked(exchange, resource, config, proposed, before, private, _identity(resource, prior))
    found = _proposal(exchange, resource, response)
    problems = core.plan_problems(resource.block, before, config, found.value)
    if problems and not found.legacy:
        raise exchange.invalid("an invalid plan", problems)
    if problems:
        _logger.debug("%s: the old SDK planned what contradicts the configuration: %s", resource.name, problems)
    if found.legacy and before is not None:
        # The old SDK may have changed what was ignored.
        ignore = options.ignore
        kept = before if ignore == "all" else core.ignore_changes(resource.block, before, found.value, ignore)
        found = replace(found, value=kept)
    return found


def _proposed_again(exchange: Exchange, resource: ResourceType, config: Any, first: _Proposal) -> Operation[_Proposal]:
    """The plan of the new object in a replacement: as for a creation, from the configuration with nothing ignored."""
    proposed = core.proposed_new(resource.block, None, config)
    identity = first.identity if exchange.context.core == "terraform" else None
    response = yield from _asked(exchange, resource, config, proposed, None, first.private, identity)
    return replace(_proposal(exchange, resource, response), legacy=first.legacy)


def _proposal(exchange: Exchange, resource: ResourceType, response: Any) -> _Proposal:
    value = exchange.decoded(response.planned_state, resource, "an invalid plan")
    if problems := write_only_found(resource, value):
        raise exchange.invalid("an invalid plan", problems)
    if value is None:
        raise exchange.invalid("an invalid plan: nothing is planned")
    return _Proposal(
        value=value,
        private=response.planned_private,
        identity=planned_identity(exchange, resource, response, "planned_identity"),
        legacy=response.legacy_type_system,
        requires_replace=tuple(map(attribute_path, response.requires_replace)),
    )


def _replacement_paths(exchange: Exchange, resource: ResourceType, before: Any, found: _Proposal) -> tuple[Path, ...]:
    try:
        return core.replacement_paths(resource.block, before, found.value, found.requires_replace)
    except InvalidResponseError as error:
        raise exchange.invalid("an invalid plan", error.problems) from None


def _action(
    resource: ResourceType,
    before: Any,
    found: _Proposal,
    paths: tuple[Path, ...],
    seen: ResourceState | None,
    options: Options,
) -> tuple[Action, str]:
    """What the plan comes to, and why it replaces where no path says so."""
    if before is None:
        return Action.CREATE, ""
    if seen is None:
        return Action.REPLACE, TAINTED
    if options.replace:
        return Action.REPLACE, FORCED
    if cty.equals(found.value, before, resource.type) is True and not paths:
        return Action.NO_OP, ""
    return (Action.REPLACE if paths else Action.UPDATE), ""


def _check_identity(exchange: Exchange, found: _Proposal, action: Action) -> None:
    resource = exchange.context.resource(exchange.of)
    if found.identity is None or resource.identity_type is None:
        return
    unknown = core.unknown_paths(found.identity, resource.identity_type)
    new = action in {Action.CREATE, Action.REPLACE}
    if unknown and not (new and exchange.context.core == "terraform"):
        problems = [Problem(path, "the identity is not known") for path in unknown]
        raise exchange.invalid("an invalid plan", problems)


def _shown(resource: ResourceType, config: Any, before: Any, after: Any) -> dict[str, Any]:
    """The fields of a plan that show its values."""
    block = resource.block
    sensitive = dict.fromkeys([*core.sensitive_paths(block, before), *core.sensitive_paths(block, after)])
    return {
        "before": cty.untyped(before),
        "after": cty.untyped(after),
        "block": block,
        "unknown": tuple(core.unknown_paths(after, resource.type)),
        "sensitive": tuple(sensitive),
        "write_only": tuple(each.path for each in write_only_found(resource, config)),
    }
