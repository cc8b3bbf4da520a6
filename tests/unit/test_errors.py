"""The exception tree: builtin bases, text, pickling, and the way from the core's errors."""

import copy
import doctest
import pickle
import re

import pytest

from ferrule import errors
from ferrule.errors import CLASS_BY_NAME, PluginExitedError, RPCPluginError, TransportError, error_from_core


def descendants(base: type[RPCPluginError]) -> set[type[RPCPluginError]]:
    return {base}.union(*(descendants(child) for child in base.__subclasses__()))


# Other test modules may derive classes of their own.
ALL_CLASSES = sorted(
    (each for each in descendants(RPCPluginError) if each.__module__ == errors.__name__), key=lambda each: each.__name__
)
BUILTIN_BASES = {
    "ConfigError": ValueError,
    "StartTimeoutError": TimeoutError,
    "TransportError": ConnectionError,
    "LaunchError": ConnectionError,
    "ConnectTimeoutError": (TimeoutError, ConnectionError),
}


def test_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    rows = re.findall(r"^ {4}([├└│─ ]*)(\w+) +(.+)$", errors.__doc__, re.MULTILINE)
    shown = {name: (indent, text) for indent, name, text in rows}
    assert set(shown) == {each.__name__ for each in ALL_CLASSES}
    for each in ALL_CLASSES:
        indent, text = shown[each.__name__]
        depth = sum(issubclass(each, other) for other in ALL_CLASSES) - 1
        assert len(indent) == 4 * depth, each
        builtin = re.search(r"\((\w+Error)\)$", text)
        own = [base.__name__ for base in each.__bases__ if base.__module__ == "builtins" and base is not Exception]
        assert ([builtin[1]] if builtin else []) == own, each


def test_public_names_are_complete() -> None:
    functions = {"error_from_core", "panic_text", "refused_by_system"}
    assert {each.__name__ for each in ALL_CLASSES} | {"CLASS_BY_NAME", *functions} == set(errors.__all__)


@pytest.mark.parametrize(("name", "builtin"), BUILTIN_BASES.items())
def test_builtin_bases_catch(name: str, builtin: type[Exception] | tuple[type[Exception], ...]) -> None:
    for base in builtin if isinstance(builtin, tuple) else (builtin,):
        with pytest.raises(base, match="boom"):
            raise getattr(errors, name)("boom")


@pytest.mark.parametrize("exception", ALL_CLASSES)
def test_every_class_has_the_same_face(exception: type[RPCPluginError]) -> None:
    bare = exception("what failed")
    assert str(bare) == f"[{exception.__name__}] what failed"
    assert (bare.message, bare.hint, bare.code, bare.exit_status, bare.stderr_tail) == (
        "what failed",
        None,
        None,
        None,
        (),
    )
    full = exception("what failed", "try this", "phase.rule")
    assert str(full) == f"[{exception.__name__}] what failed [Code: phase.rule] (Hint: try this)"
    assert (full.args, full.hint, full.code) == (("what failed",), "try this", "phase.rule")
    assert "what failed" in repr(full)


@pytest.mark.parametrize("exception", ALL_CLASSES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_keeps_everything(exception: type[RPCPluginError], protocol: int) -> None:
    error = exception("what failed", hint="try this", code=14, exit_status=-9, stderr_tail=["one", "two"])
    error.add_note("seen in a test")
    for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is exception
        assert (twin.args, vars(twin)) == (error.args, vars(error))
        assert str(twin) == str(error)
    assert vars(error)["stderr_tail"] == ("one", "two")


@pytest.mark.parametrize(
    ("code", "kept", "shown"),
    [(14, "14", " [Code: 14]"), (0, "0", " [Code: 0]"), ("x", "x", " [Code: x]"), (None, None, "")],
)
def test_code_is_text(code: str | int | None, kept: str | None, shown: str) -> None:
    error = TransportError("lost", code=code)
    assert error.code == kept
    assert str(error) == f"[TransportError] lost{shown}"


@pytest.mark.parametrize(
    ("message", "exit_status", "sentence"),
    [
        ("it is gone", 3, "The plugin ended with exit status 3."),
        ("it is gone", 0, "The plugin ended with exit status 0."),
        ("it is gone", -9, "The plugin ended with signal 9 (SIGKILL)."),
        ("it is gone", -250, "The plugin ended with signal 250."),
        ("it ended with exit status 3 too early", 3, None),
        ("it ended with signal 9 (SIGKILL)", -9, None),
        ("its child had exit status 31", 3, "The plugin ended with exit status 3."),
        ("it is gone", None, None),
    ],
)
def test_exit_status_is_named_once(message: str, exit_status: int | None, sentence: str | None) -> None:
    lines = str(PluginExitedError(message, exit_status=exit_status)).splitlines()
    assert lines == [f"[PluginExitedError] {message}", *([sentence] if sentence else [])]


@pytest.mark.parametrize(("count", "first"), [(1, 0), (10, 0), (25, 15)])
def test_last_output_is_shown_last(count: int, first: int) -> None:
    tail = [f"line {number}" for number in range(count)]
    error = TransportError("lost", "look", exit_status=2, stderr_tail=tail)
    assert str(error).splitlines() == [
        "[TransportError] lost (Hint: look)",
        "The plugin ended with exit status 2.",
        "Last output of the plugin:",
        *(f"    {line}" for line in tail[first:]),
    ]
    assert error.stderr_tail == tuple(tail)


@pytest.mark.parametrize("name", CLASS_BY_NAME)
def test_core_error_keeps_its_facts(name: str) -> None:
    error = error_from_core(name, "phase.rule", "what failed", "try this", 1, ["last words"])
    assert type(error) is CLASS_BY_NAME[name]
    assert (error.message, error.hint, error.code) == ("what failed", "try this", "phase.rule")
    assert (error.exit_status, error.stderr_tail) == (1, ("last words",))


def test_every_class_but_the_base_comes_from_the_core() -> None:
    assert set(CLASS_BY_NAME.values()) == set(ALL_CLASSES) - {RPCPluginError}


def test_unknown_family_is_not_lost() -> None:
    error = error_from_core("from-the-future", "", "what failed", "", None, [])
    assert (type(error), str(error)) == (RPCPluginError, "[RPCPluginError] what failed")
    assert (error.hint, error.code) == (None, None)


def test_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(errors)
    assert result.attempted > 0
    assert result.failed == 0
