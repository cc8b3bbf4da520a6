"""The verbs `plan`, `apply` and `destroy`: what would be done to one resource, and doing it."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from ferrule._console import EXIT_FAILED, EXIT_OK, write_to
from ferrule._console.terminal import Style, progress
from ferrule.terraform.cli.launching import configured
from ferrule.terraform.cli.output import diagnostic_json, error_json, lines_text, plain, print_json, print_lines, report
from ferrule.terraform.cli.state_files import Store, saved, store_of
from ferrule.terraform.cli.values import from_assignments
from ferrule.terraform.errors import ApplyError, StateError
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.state import ResourceState

__all__ = ["apply", "destroy", "plan"]

EXIT_CHANGES: Final = 2
"""Exit status of `plan --detailed-exitcode` where something would change, as Terraform has it."""

FORCING: Final = "forces"
"""The word in the comment on what cannot be changed in place."""

_PRESENT: Final = {
    Action.CREATE: "creating",
    Action.UPDATE: "changing",
    Action.REPLACE: "replacing",
    Action.DELETE: "destroying",
}
_PAST: Final = {
    Action.CREATE: "created",
    Action.UPDATE: "changed",
    Action.REPLACE: "replaced",
    Action.DELETE: "destroyed",
}
_COLOUR_BY_MARK: Final = {"+": "green", "-": "red", "~": "yellow", "-/+": "yellow"}


async def plan(options: argparse.Namespace) -> int:
    """Shows what an apply would do."""
    async with configured(options) as provider:
        store = store_of(options, options.type, provider.address)
        planned, _ = await _planned(provider, options, store)
    if options.json:
        print_json(plain(planned.to_json()) | {"warnings": [diagnostic_json(each) for each in options.warnings]})
    else:
        print_lines(_plan_lines(planned, Style(sys.stdout)))
    return EXIT_CHANGES if options.detailed_exitcode and planned.action is not Action.NO_OP else EXIT_OK


async def apply(options: argparse.Namespace) -> int:
    """Creates or changes a resource."""
    async with configured(options) as provider:
        store = store_of(options, options.type, options.source_address or provider.address)
        with store.locked("apply"):
            planned, state = await _planned(provider, options, store)
            return await _carried_out(provider, options, store, planned, state)


async def destroy(options: argparse.Namespace) -> int:
    """Destroys the resource of a state file."""
    async with configured(options) as provider:
        store = store_of(options, options.type, options.source_address or provider.address)
        # Also before the lock, which makes the file.
        store.require()
        with store.locked("destroy"):
            stored = store.require()
            if options.type not in {None, stored.type}:
                raise StateError(f"{options.state} has the state of a {stored.type}, and not of a {options.type}")
            state = await _read_again(provider, stored)
            if state is None:
                saved(store, None)
                return _say(options, _Outcome("nothing", stored.type, Action.DELETE), f"{stored.type} was gone already")
            planned = await provider.resource(state.type).plan_destroy(state)
            return await _carried_out(provider, options, store, planned, state)


async def _planned(provider: Any, options: argparse.Namespace, store: Store) -> tuple[Plan, ResourceState | None]:
    """The plan, and the state of now that it begins with."""
    resource = provider.resource(options.type)
    schema = await resource.schema()
    config = options.inputs.get(options.file, {}) | from_assignments(options.values, schema.block)
    stored = store.read()
    state = None if stored is None else await _read_again(provider, stored)
    async with progress(f"planning {options.type}"):
        return await resource.plan(config, state, replace=options.replace), state


async def _read_again(provider: Any, stored: ResourceState) -> ResourceState | None:
    """The state as the provider finds the resource now; says what others have changed."""
    async with progress(f"reading {stored.type}"):
        resource = provider.resource(stored.type)
        known = await resource.upgrade(stored)
        state: ResourceState | None = await resource.read(known)
    if state is None:
        write_to(sys.stderr, f"Note: {stored.type} is gone: something else has removed it.\n")
    elif state.json != known.json:
        before, after = known.attributes, state.attributes
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if names:
            write_to(sys.stderr, f"Note: something else has changed {stored.type}: {', '.join(names)}.\n")
    return state


@dataclass
class _Outcome:
    """How a change ended.

    Attributes:
        outcome: "applied", "nothing" to do, "declined" by the user, "failed", or "unknown": it may have happened.
        type: The resource's type.
        action: What was planned.
        error: The failure.
    """

    outcome: str
    type: str
    action: Action
    error: ApplyError | None = None


async def _carried_out(
    provider: Any, options: argparse.Namespace, store: Store, planned: Plan, state: ResourceState | None
) -> int:
    """Shows a plan, asks, applies it, and stores what is there then."""
    of = planned.type
    if planned.action is Action.NO_OP:
        saved(store, state)
        return _say(options, _Outcome("nothing", of, planned.action), f"{of} is as the configuration says")
    if not options.json or not options.yes:
        # Where JSON goes to standard output, people read on standard error.
        stream = sys.stderr if options.json else sys.stdout
        write_to(stream, lines_text(_plan_lines(planned, Style(stream))))
    if not options.yes and not await _agreed(planned):
        return _say(options, _Outcome("declined", of, planned.action), "nothing was changed")
    new, outcome = await _applied(provider, planned, state)
    saved(store, new)
    if outcome.error is not None:
        report(outcome.error)
    return _say(options, outcome, _result_text(outcome, new, options))


async def _applied(provider: Any, planned: Plan, state: ResourceState | None) -> tuple[ResourceState | None, _Outcome]:
    """The state after an apply, however it ended."""
    of, action = planned.type, planned.action
    try:
        async with progress(f"{_PRESENT[action]} {of}"):
            new = await provider.resource(of).apply(planned)
    except ApplyError as error:
        return error.state, _Outcome(error.outcome, of, action, error)
    except asyncio.CancelledError as cancelled:
        cause = ApplyError.of(cancelled)
        if cause is None:
            # Nothing had begun.
            return state, _Outcome("declined", of, action)
        outcome = "applied" if cause.outcome == "done" else cause.outcome
        return cause.state, _Outcome(outcome, of, action, cause)
    return new, _Outcome("applied", of, action)


async def _agreed(planned: Plan) -> bool:
    """Whether the user types yes; waits without holding up the loop, so that Ctrl-C ends it."""
    verb = "destroy" if planned.action is Action.DELETE else planned.action.value
    write_to(sys.stderr, f"\nDo you want to {verb} {planned.type}? Only 'yes' is taken for a yes: ")
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not typed.done():
            typed.set_result(None)

    loop.add_reader(sys.stdin.fileno(), end)
    try:
        await typed
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip() == "yes"


def _say(options: argparse.Namespace, outcome: _Outcome, text: str) -> int:
    """Tells how a change ended.

    Returns:
        The exit status.
    """
    if options.json:
        print_json(
            {
                "type": outcome.type,
                "action": outcome.action.value,
                "outcome": outcome.outcome,
                "state_file": options.state,
                "warnings": [diagnostic_json(each) for each in options.warnings],
                "error": None if outcome.error is None else error_json(outcome.error),
            }
        )
    else:
        print_lines([text])
    return EXIT_OK if outcome.outcome in {"applied", "nothing"} else EXIT_FAILED


def _result_text(outcome: _Outcome, state: ResourceState | None, options: argparse.Namespace) -> str:
    if outcome.outcome == "applied":
        name = _name_of(state)
        return f"{_PAST[outcome.action]} {outcome.type}{f' {name}' if name else ''}"
    if outcome.outcome == "unknown":
        return (
            f"{_PRESENT[outcome.action]} {outcome.type} may have happened all the same: look at it before you try again"
        )
    where = options.address or options.state
    left = f"{where} has what is there now" if state is not None else f"nothing of it is there, by {where}"
    return f"{_PRESENT[outcome.action]} {outcome.type} failed; {left}"


def _name_of(state: ResourceState | None) -> str:
    """The id of a resource, where it is known and no secret."""
    if state is None or state.json is None or any("id" in path for path in state.sensitive or ()):
        return ""
    name = state.attributes.get("id")
    return str(name) if isinstance(name, str) else ""


def _plan_lines(planned: Plan, style: Style) -> Iterator[str]:
    for line in planned.lines():
        text = style(line.text, *(() if line.depth else ("bold",)))
        comment = style(line.comment, "red" if FORCING in line.comment else "dim")
        # In front of the mark there are spaces alone.
        mark = line.kind.value
        yield str(replace(line, text=text, comment=comment)).replace(mark, _styled(mark, style), 1)


def _styled(mark: str, style: Style) -> str:
    colour = _COLOUR_BY_MARK.get(mark)
    return style(mark, colour) if colour else mark
