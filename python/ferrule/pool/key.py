"""The key of a spec: equal keys share a process.

The key has what a process is made of: the program's file and its identity, arguments, environment, working directory
and protocol settings, and `on_start`: by its attribute `key`, bytes, if it has one. Loggers, targets of output and
limits of time are no part of it.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from ferrule._executable import find_program, search_path
from ferrule.config import ClientConfig
from ferrule.errors import ConfigError, LaunchError
from ferrule.pool.spec import PluginSpec

__all__ = ["KeyMaker", "check_same_surroundings", "environment_of", "key_of", "program_path"]

GO_MEMORY_LIMIT: Final = "GOMEMLIMIT"

# Keyed, so that no log and no memory image has a hash of a password that could be guessed.
_SECRET: Final = os.urandom(32)

_NOT_OF_THE_PROCESS: Final = frozenset(
    {
        "connect_timeout", "kill_timeout", "logger", "managed", "retry", "shutdown_timeout", "start_timeout",
        "sync_stderr", "sync_stdout",
    }
)  # fmt: skip

_SURROUNDINGS: Final = ("logger", "sync_stdout", "sync_stderr")
"""Settings of which a process has one, though they are no part of its key."""

_PROMISES: Final = ("exclusive", "group", "idempotent", "max_concurrent_calls")
"""Of a spec: what its callers rely on, so that another spec's must not hold instead."""


class _Numbers:
    """A number for each object, never given to another one: the `id` of an object that is gone may be.

    A key on another machine outlives the objects that it was made from, and must not then mean a later one.
    """

    def __init__(self) -> None:
        self._next = itertools.count(1)
        self._known: dict[int, tuple[Callable[[], Any], int]] = {}
        self._lock = threading.Lock()

    def of(self, thing: Any) -> int:
        """The number of an object; 0 for None."""
        if thing is None:
            return 0
        with self._lock:
            reference, number = self._known.get(id(thing), (lambda: None, 0))
            if reference() is thing:
                return number
            number = next(self._next)
            try:
                reference = weakref.ref(thing)
                weakref.finalize(thing, self._forget, id(thing), number).atexit = False
            except TypeError:
                # Kept instead, and so is its `id`.
                reference = lambda: thing  # noqa: E731
            self._known[id(thing)] = reference, number
            return number

    def _forget(self, address: int, number: int) -> None:
        # Without the lock: it may be this thread that holds it, in a collection of garbage.
        if self._known.get(address, (None, 0))[1] == number:
            self._known.pop(address, None)


_NUMBERS: Final = _Numbers()


class KeyMaker:
    """Makes keys, and remembers where the programs are.

    A key holds in this process alone: it is made with a random secret.
    """

    def __init__(self, secret: bytes = _SECRET) -> None:
        self._secret = secret
        self._path_by_spec: dict[PluginSpec, str] = {}

    def identity(self, spec: PluginSpec) -> tuple[Any, ...]:
        """The program's file as it is now: path, device, inode, size, time of change; the checksum where one is given.

        Of a program that is missing, the name.
        """
        config = _config(spec)
        path = self._path_by_spec.get(spec)
        if path is None:
            if len(self._path_by_spec) > 10_000:
                self._path_by_spec.clear()
            try:
                path = self._path_by_spec[spec] = program_path(spec)
            except LaunchError:
                # The start says so, and is what counts as a failure.
                return (os.fspath(spec.command[0]),)
        if config.secure_config is not None:
            # Each start checks the file: another one would not be started.
            return path, config.secure_config.algorithm, config.secure_config.checksum
        try:
            found = os.stat(path)  # noqa: PTH116 - on the way of each lease, once a second.
        except OSError:
            # The start says what is wrong with it.
            return (path,)
        return path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def key(self, spec: PluginSpec, identity: tuple[Any, ...]) -> bytes:
        """The key of a spec whose program has this identity."""
        # Loads OpenSSL.
        from hashlib import blake2b

        config: Any = _config(spec)
        settings = [
            (field.name, _plain(getattr(config, field.name)))
            for field in dataclasses.fields(config)
            if field.name not in _NOT_OF_THE_PROCESS and field.name != "env"
        ]
        described = (identity, tuple(spec.command[1:]), sorted(environment_of(spec).items()), settings)
        text = repr((described, _start(spec.on_start)))
        return blake2b(text.encode(errors="surrogateescape"), key=self._secret, digest_size=16).digest()


def key_of(spec: PluginSpec) -> bytes:
    """The key of a spec, by its program as it is now."""
    keys = KeyMaker()
    return keys.key(spec, keys.identity(spec))


def program_path(spec: PluginSpec) -> str:
    """The file that a spec runs; the command's first word, where a runner finds the program.

    Raises:
        LaunchError: There is no such program.
    """
    config = _config(spec)
    program = os.fspath(spec.command[0])
    if config.runner is not None:
        return program
    return os.path.realpath(find_program(program, config.cwd, search_path(config.env)))


def environment_of(spec: PluginSpec) -> dict[str, str]:
    """The plugin's environment without what is made anew at each start."""
    config = _config(spec)
    environment = {} if config.skip_host_env else dict(os.environ)
    environment.update(config.env)
    if spec.memory_soft_limit is not None:
        environment[GO_MEMORY_LIMIT] = str(spec.memory_soft_limit)
    return environment


def check_same_surroundings(first: PluginSpec, second: PluginSpec) -> None:
    """Refuses a spec that would get the other one's process, with loggers, outputs or promises that are not its own.

    Args:
        first: The spec that the process is started for.
        second: Another one with its key.

    Raises:
        ConfigError: They differ in what must be the same.
    """
    differing = [name for name in _SURROUNDINGS if getattr(_config(first), name) != getattr(_config(second), name)]
    differing += [name for name in _PROMISES if getattr(first, name) != getattr(second, name)]
    if differing:
        named = ", ".join(differing)
        message = f"plugin specs {first.name!r} and {second.name!r} share a process, and differ in {named}"
        hint = "Give both the same, or use one spec: both would get one process, started for the first of them."
        raise ConfigError(message, hint, "pool.same-key")


def _start(on_start: Any) -> Any:
    """What `on_start` makes of a process: by its `key` if it has one, else by which function of which object it is."""
    key = getattr(on_start, "key", None)
    if isinstance(key, bytes):
        return type(on_start).__qualname__, key
    return _NUMBERS.of(getattr(on_start, "__self__", None)), _NUMBERS.of(getattr(on_start, "__func__", on_start))


def _config(spec: PluginSpec) -> ClientConfig:
    assert isinstance(spec.config, ClientConfig)
    return spec.config


def _plain(value: Any) -> Any:
    # The reprs of settings hide what is secret in them.
    if isinstance(value, Mapping):
        return sorted((str(name), _plain(each)) for name, each in value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, _plain(getattr(value, field.name))) for field in dataclasses.fields(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str | bytes | int | float | tuple | None):
        return value
    return type(value).__name__, _NUMBERS.of(value)
