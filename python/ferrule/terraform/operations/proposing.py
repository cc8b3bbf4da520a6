"""What a provider plans: the questions of PlanResourceChange, and the checks of its answers.

Facts: OpenTofu v1.12.6 and Terraform v1.13.3, node_resource_abstract_instance.go, plan and planDestroy.
"""

import logging
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ferrule.terraform import core
from ferrule.terraform.cty import Path
from ferrule.terraform.messages import attribute_path
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, ResourceType
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.operations.ignoring import Ignored
from ferrule.terraform.operations.states import (
    identity_field,
    identity_of,
    planned_identity,
    value_of,
    write_only_found,
)
from ferrule.terraform.state import ResourceState

__all__ = ["Coded", "Proposal", "coded", "destruction_proposed", "proposed", "proposed_again"]

_logger = logging.getLogger(__name__)


class Coded(NamedTuple):
    """A value and its msgpack: several calls of an operation send it."""

    value: Any
    data: bytes


def coded(resource: ResourceType, value: Any) -> Coded:
    return Coded(value, resource.encoded(value))


@dataclass(frozen=True, repr=False)
class Proposal:
    """What a provider answered to one PlanResourceChange.

    Attributes:
        value: The planned state.
        data: Its msgpack, as the provider sent it; empty where it sent JSON.
        private: The private data that the apply takes.
        identity: The planned identity; None if there is none.
        legacy: The provider is of the old SDK, and excused from the checks of values.
        requires_replace: Paths that cannot be changed in place, all that the provider names.
    """

    value: Any
    data: bytes
    private: bytes
    identity: Any
    legacy: bool
    requires_replace: tuple[Path, ...]


def proposed(
    exchange: Exchange, resource: ResourceType, config: Coded, prior: ResourceState | None, ignored: Ignored
) -> Operation[Proposal]:
    """The plan from the state of now, checked against the configuration."""
    block = resource.block
    before = coded(resource, value_of(resource, prior))
    wanted = coded(resource, core.ignore_changes(block, before.value, config.value, ignored)) if ignored else config
    private = b"" if prior is None else prior.private
    response = yield from _asked(exchange, resource, wanted, before, private, identity_of(resource, prior))
    found = _proposal(exchange, resource, response)
    problems = core.plan_problems(block, before.value, wanted.value, found.value)
    if problems and not found.legacy:
        raise exchange.invalid("an invalid plan", problems)
    if problems:
        _logger.debug("%s: the old SDK planned what contradicts the configuration: %s", resource.name, problems)
    if found.legacy and ignored and prior is not None:
        # The old SDK may have changed what was ignored.
        kept = before.value if ignored == "all" else core.ignore_changes(block, before.value, found.value, ignored)
        return replace(found, value=kept, data=b"")
    return found


def proposed_again(exchange: Exchange, resource: ResourceType, config: Coded, first: Proposal) -> Operation[Proposal]:
    """The plan of the new object in a replacement: as for a creation, from the configuration with nothing ignored."""
    identity = first.identity if exchange.context.core == "terraform" else None
    response = yield from _asked(exchange, resource, config, coded(resource, None), first.private, identity)
    return replace(_proposal(exchange, resource, response), legacy=first.legacy)


def destruction_proposed(exchange: Exchange, resource: ResourceType, state: ResourceState) -> Operation[bytes]:
    """The private data of the plan of a destruction."""
    before, nothing = coded(resource, value_of(resource, state)), coded(resource, None)
    response = yield from _asked(exchange, resource, nothing, before, state.private, identity_of(resource, state))
    if exchange.decoded(response.planned_state, resource, "an invalid plan") is not None:
        raise exchange.invalid("an invalid plan: there is something left after the destruction")
    private: bytes = response.planned_private
    return private


def _asked(
    exchange: Exchange, resource: ResourceType, config: Coded, prior: Coded, private: bytes, identity: Any
) -> Operation[Any]:
    """The answer to one PlanResourceChange."""
    # Nothing is proposed where nothing is configured: a destruction.
    value = None if config.value is None else core.proposed_new(resource.block, prior.value, config.value)
    return (
        yield from exchange.call(
            "PlanResourceChange",
            type_name=resource.name,
            prior_state=prior.data,
            proposed_new_state=resource.encoded(value),
            config=config.data,
            prior_private=private,
            client_capabilities=CAPABILITIES,
            **exchange.context.meta,
            **identity_field("prior_identity", resource, identity),
        )
    )


def _proposal(exchange: Exchange, resource: ResourceType, response: Any) -> Proposal:
    value = exchange.decoded(response.planned_state, resource, "an invalid plan")
    if problems := write_only_found(resource, value):
        raise exchange.invalid("an invalid plan", problems)
    if value is None:
        raise exchange.invalid("an invalid plan: nothing is planned")
    return Proposal(
        value=value,
        data=response.planned_state.msgpack,
        private=response.planned_private,
        identity=planned_identity(exchange, resource, response, "planned_identity"),
        legacy=response.legacy_type_system,
        requires_replace=tuple(map(attribute_path, response.requires_replace)),
    )
