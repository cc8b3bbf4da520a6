"""Runners: they start plugins elsewhere than as plain children: in a namespace, a container, on another machine.

The setting `runner` of a client takes one. Without it the core starts the plugin itself, with no Python in between: a
child of this process, in a process group of its own, that ends with its host.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ferrule._secrecy import forgetful
from ferrule._validation import Environment

if TYPE_CHECKING:
    import subprocess

__all__ = ["Runner", "RunnerLaunch", "RunningPlugin", "SubprocessRunner"]

SOCKET_DIRECTORY = "PLUGIN_UNIX_SOCKET_DIR"
"""The variable that tells a plugin the directory for its sockets, as in go-plugin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerLaunch:
    """The plugin that a runner is to start.

    Attributes:
        command: The program and its arguments, as they were given to the client.
        environment: The plugin's whole environment. Its repr shows only the names.
        cwd: The plugin's working directory; None, the host's.
        socket_directory: A private directory of this plugin, for its sockets and for those on which the host serves it.
            The directory exists, and is removed after the plugin's end.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=Environment)
    cwd: str | None = None
    socket_directory: str


class RunningPlugin(ABC):
    """A plugin that a runner has started.

    Attributes:
        stdout: Read end of a pipe, the plugin's standard output. Ferrule closes it.
        stderr: Read end of a pipe, the plugin's standard error; may be the descriptor of `stdout`. Ferrule closes it.
        pid: Process id on this machine, for `client.pid`; default None, no process here.
    """

    stdout: int
    stderr: int
    pid: int | None = None

    @abstractmethod
    async def wait(self) -> int | None:
        """Waits until the plugin has ended.

        The client awaits this method for the plugin's whole life, and may cancel it and await it again.

        Returns:
            The plugin's exit status as `subprocess` has it; None if that is unknown.
        """

    @abstractmethod
    async def kill(self) -> None:
        """Ends the plugin, and all that it started, by force. Does not wait; does nothing after the plugin's end."""

    async def terminate(self) -> None:
        """Asks the plugin to end, as SIGTERM does; `kill` follows after `kill_timeout`. The default is `kill`."""
        await self.kill()

    async def plugin_to_host(self, network: str, address: str) -> tuple[str, str]:
        """An address of the plugin's as this process reaches it: that of its handshake, and those that it announces.

        Args:
            network: `unix` or `tcp`.
            address: A path, or `HOST:PORT`.

        Returns:
            Network and address; by default those given.
        """
        return network, address

    async def host_to_plugin(self, network: str, address: str) -> tuple[str, str]:
        """An address of this process as the plugin reaches it, for the services of the host's broker.

        Args:
            network: `unix` or `tcp`.
            address: A path, or `HOST:PORT`.

        Returns:
            Network and address; by default those given.
        """
        return network, address


class Runner(Protocol):
    """Starts plugins. One runner may start many, also at the same time."""

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        """Starts a plugin and returns as soon as it runs; the core reads its handshake.

        A start that raises, or is cancelled since `start_timeout` is over or the client closed, may leave nothing
        behind. Its exception becomes the cause of a LaunchError with the code `runner.failed`.

        Args:
            launch: The plugin to start.
        """
        ...


class SubprocessRunner:
    """Starts the plugin by another command line: the base of runners that put a program before it.

    The child leads a process group of its own, which is killed when the child has ended. The class itself starts the
    command unchanged, as the core does, only slower and without the core's `die_with_host`.

    Attributes:
        socket_directory: The path at which the plugin finds `launch.socket_directory`; default None, an equal one. With
            another path, the plugin is told that path, addresses of sockets are translated, and the plugin may name no
            socket elsewhere.

    Example:
        >>> import asyncio
        >>> from ferrule.client import RPCPluginClient
        >>> from ferrule.testing import KV_CONFIG, plugin_command
        >>> class Nice(SubprocessRunner):
        ...     def command(self, launch):
        ...         return ["nice", "-n", "10", *launch.command]
        >>> async def main():
        ...     async with RPCPluginClient(plugin_command(), {**KV_CONFIG, "runner": Nice()}) as client:
        ...         return os.getpriority(os.PRIO_PROCESS, client.pid) - os.getpriority(os.PRIO_PROCESS, 0)
        >>> asyncio.run(main())
        10
    """

    socket_directory: str | None = None

    def command(self, launch: RunnerLaunch) -> Sequence[str | os.PathLike[str]]:
        """The command line to start; by default the plugin's own.

        Args:
            launch: The plugin to start.
        """
        return launch.command

    def environment(self, launch: RunnerLaunch) -> Mapping[str, str]:
        """The environment of the child; by default the plugin's, with `socket_directory` in it.

        Args:
            launch: The plugin to start.
        """
        return {**launch.environment, SOCKET_DIRECTORY: self.socket_directory or launch.socket_directory}

    def exit_status(self, status: int) -> int:
        """The plugin's exit status; by default that of the child.

        Overridden for programs that report a plugin which a signal killed as 128 and the signal's number.

        Args:
            status: The child's exit status as `subprocess` has it.
        """
        return status

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        """Starts the child. The loop is held until the program is executed, a few milliseconds.

        Raises:
            LaunchError: There is no such program.
            OSError: The system refuses to execute it.
        """
        return self._spawn(launch)

    @forgetful
    def _spawn(self, launch: RunnerLaunch) -> RunningPlugin:
        # Loaded late: few have a runner.
        from subprocess import Popen

        from ferrule._executable import find_program, search_path

        command = [os.fspath(word) for word in self.command(launch)]
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            (stdout, stdout_write), (stderr, stderr_write) = _pipe(ours, theirs), _pipe(ours, theirs)
            process = Popen(
                command,
                executable=find_program(command[0], launch.cwd, search_path(launch.environment)),
                stdout=stdout_write,
                stderr=stderr_write,
                cwd=launch.cwd,
                env=dict(self.environment(launch)),
                process_group=0,
            )
            ours.pop_all()
        return _Child(process, stdout, stderr, self, launch.socket_directory)


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write


class _Child(RunningPlugin):
    """A child of this process, with a group of its own."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdout: int, stderr: int, runner: SubprocessRunner, directory: str
    ) -> None:
        self.stdout, self.stderr, self.pid = stdout, stderr, process.pid
        self._process = process
        self._status = runner.exit_status
        self._here, self._there = directory, runner.socket_directory or directory

    async def wait(self) -> int | None:
        if self._process.returncode is None:
            await _ended(self._process)
            # Nothing that the plugin started may outlive it. The group is killed before its leader is reaped, while the
            # number still names it; a system without pidfds and `waitid` has reaped the leader a moment ago.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._status(self._process.wait())

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)

    async def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    async def plugin_to_host(self, network: str, address: str) -> tuple[str, str]:
        return network, _moved(network, address, self._there, self._here)

    async def host_to_plugin(self, network: str, address: str) -> tuple[str, str]:
        return network, _moved(network, address, self._here, self._there)

    def _signal(self, number: signal.Signals) -> None:
        # The number of a process that is reaped may be another's.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def _moved(network: str, address: str, origin: str, target: str) -> str:
    """A socket's address in a directory that is elsewhere for the other side."""
    if network != "unix" or origin == target:
        return address
    path = os.path.normpath(address)
    if not path.startswith(origin.rstrip("/") + "/"):
        # The other side must not choose which of this side's sockets is connected to.
        raise ValueError(f"the socket {address} is not in {origin}, the only directory that both sides have")
    return target.rstrip("/") + path[len(origin.rstrip("/")) :]


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Waits until a child has ended; where the system has pidfds, the child stays a zombie until it is reaped."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        # Not Linux, a sandbox without the call, or no descriptor to be had.
        threading.Thread(target=_wait_in_thread, args=(process, loop, over), daemon=True).start()
        await over.wait()
        return
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _wait_in_thread(process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    if hasattr(os, "waitid"):
        with contextlib.suppress(ChildProcessError):
            # The child stays a zombie: its number must name its group until that was killed.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()
    with contextlib.suppress(RuntimeError):
        # The loop may be closed by now.
        loop.call_soon_threadsafe(over.set)
