"""States and plans that callers pass, checked before anything is done with them."""

from __future__ import annotations

from collections.abc import Sequence

from ferrule import _validation as rules
from ferrule.terraform.errors import InvalidResponseError, PlanError, StateError
from ferrule.terraform.plan import Plan
from ferrule.terraform.state import ResourceState

__all__ = ["check_plan", "check_state", "checked_limit", "only_of_type"]

_LIMIT = rules.optional(rules.whole_number(1, 2**63 - 1))


def check_state(state: object, type_name: str | None) -> None:
    """Checks that a state is one of a type; None is any type.

    Raises:
        StateError: It is not.
    """
    if not isinstance(state, ResourceState):
        hint = "ResourceState.from_json and ResourceState.from_tfstate read stored ones."
        raise StateError(f"expected a ResourceState, got {type(state).__name__}", hint)
    if type_name is not None and state.type != type_name:
        raise StateError(f"the state is one of {state.type}, not of {type_name}")


def check_plan(plan: object, type_name: str) -> None:
    """Checks that a plan is one of a type.

    Raises:
        PlanError: It is not.
    """
    if not isinstance(plan, Plan):
        hint = "Pass what plan() or plan_destroy() returned."
        raise PlanError(f"expected a Plan, got {type(plan).__name__}", hint)
    if plan.type != type_name:
        raise PlanError(f"the plan is one of {plan.type}, not of {type_name}")


def checked_limit(limit: int | None) -> int:
    """The number of resources after which a list ends, as the protocol has it: 0 for none.

    Raises:
        ConfigError: It is no number, or less than 1.
    """
    return rules.check("limit", limit, _LIMIT) or 0


def only_of_type(states: Sequence[ResourceState], type_name: str) -> ResourceState:
    """The first of imported states that has the type asked for.

    Raises:
        InvalidResponseError: There is none.
    """
    for state in states:
        if state.type == type_name:
            return state
    raise InvalidResponseError(f"{type_name} was to be imported, and the provider imported other types alone")
