"""Planning: what a provider would do to bring a resource to a configuration, or to destroy it.

Facts: OpenTofu v1.12.6 and Terraform v1.13.3, node_resource_abstract_instance.go, plan and planDestroy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ferrule.terraform import core, cty
from ferrule.terraform.cty import Path, Step
from ferrule.terraform.errors import InvalidResponseError, Problem
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, Context, ResourceType
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.operations.ignoring import Ignored, ignored_changes
from ferrule.terraform.operations.proposing import (
    Coded,
    Proposal,
    coded,
    destruction_proposed,
    proposed,
    proposed_again,
)
from ferrule.terraform.operations.states import identity_of, value_of, write_only_found
from ferrule.terraform.operations.upgrading import current
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.state import ResourceState

__all__ = ["Inputs", "Options", "changed", "plan", "plan_destroy", "planned_destruction", "validate"]

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


def validate(context: Context, type_name: str, config: Any) -> Operation[None]:
    """Has the provider check the configuration of a resource; what is not known yet may be UNKNOWN.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    resource = context.resource(type_name)
    yield from _validated(Exchange(context, type_name), resource, coded(resource, resource.coerced(config)))


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
    given = coded(resource, config)
    yield from _validated(exchange, resource, given)
    before = coded(resource, value_of(resource, prior))
    # To the provider a tainted resource is one that is not there.
    tainted = prior is not None and prior.tainted
    found = yield from proposed(exchange, resource, given, None if tainted else prior, options.ignore)
    paths = () if tainted else _replacement_paths(exchange, resource, before, found)
    action, reason = (Action.REPLACE, TAINTED) if tainted else _action(resource, before, found, paths, options)
    if action is Action.REPLACE and not tainted:
        found = yield from proposed_again(exchange, resource, given, found)
    _check_identity(exchange, resource, found, action)
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
        inputs=Inputs(exchange.context, config, prior, found.value, found.identity, options),
        **_shown(resource, config, before.value, found.value),
    )


def planned_destruction(exchange: Exchange, resource: ResourceType, state: ResourceState) -> Operation[Plan]:
    """The plan that destroys a resource whose state follows the schema."""
    private = state.private
    if exchange.context.schema.capabilities.plan_destroy:
        private = yield from destruction_proposed(exchange, resource, state)
    return Plan(
        type=resource.name,
        action=Action.DELETE,
        warnings=exchange.warnings,
        private=private,
        identity=cty.untyped(identity_of(resource, state)),
        provider=exchange.context.source,
        inputs=Inputs(exchange.context, None, state, None, None, Options()),
        **_shown(resource, None, value_of(resource, state), None),
    )


def _validated(exchange: Exchange, resource: ResourceType, config: Coded) -> Operation[None]:
    yield from exchange.call(
        "ValidateResourceConfig", type_name=resource.name, config=config.data, client_capabilities=CAPABILITIES
    )


def _replacement_paths(exchange: Exchange, resource: ResourceType, before: Coded, found: Proposal) -> tuple[Path, ...]:
    if not found.requires_replace:
        return ()
    try:
        return core.replacement_paths(resource.block, before.value, found.value, found.requires_replace)
    except InvalidResponseError as error:
        raise exchange.invalid("an invalid plan", error.problems) from None


def _action(
    resource: ResourceType, before: Coded, found: Proposal, paths: tuple[Path, ...], options: Options
) -> tuple[Action, str]:
    """What the plan comes to, and why it replaces where no path says so."""
    if before.value is None:
        return Action.CREATE, ""
    if options.replace:
        return Action.REPLACE, FORCED
    if paths:
        return Action.REPLACE, ""
    # A prior state has no unknown values, so that equal bytes are equal values.
    same = found.data == before.data or cty.equals(found.value, before.value, resource.type) is True
    return (Action.NO_OP if same else Action.UPDATE), ""


def _check_identity(exchange: Exchange, resource: ResourceType, found: Proposal, action: Action) -> None:
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
        "unknown": core.unknown_paths(after, resource.type),
        "sensitive": tuple(sensitive),
        "write_only": tuple(each.path for each in write_only_found(resource, config)),
    }
