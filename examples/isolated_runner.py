"""Run a plugin without network, and with nothing in /tmp but the directory of its sockets.

Run: python examples/isolated_runner.py [PATH]

PATH is a Go plugin of the KV service; without it, Ferrule's own Python plugin is started. The plugin gets namespaces of
its own: network (one loopback device, which is down), mounts, processes and users. It sees the file system as this
process does and may do there what this user may, but /tmp is its own, and none of the host's processes can be seen or
signalled. The private directory of its sockets is /tmp/plugin there, so that addresses are translated both ways.

bubblewrap (`bwrap`) is used if it is installed, else `unshare` and `setpriv` of util-linux 2.36 or newer; either works
for root and for other users. What can be in the way:

- Containers: the seccomp filter of Docker and Podman refuses new namespaces. It takes
  `--security-opt seccomp=unconfined`, and `--security-opt systempaths=unconfined` for a fresh /proc.
- Ubuntu since 23.10: AppArmor refuses them to users other than root, unless there is a profile for the program, or
  `sysctl kernel.apparmor_restrict_unprivileged_userns=0`.
- Kernels with `sysctl user.max_user_namespaces=0`.
- A program below /tmp, which is hidden there.

`refusal()` says whether it works here.
"""

import argparse
import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ferrule.client import RPCPluginClient
from ferrule.runner import RunnerLaunch, SubprocessRunner
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import GetRequest, PutRequest

INSIDE = "/tmp/plugin"
"""Where the plugin finds the directory of its sockets."""

# The directory is bound by its open file: its path may be below /tmp, which is hidden by then. The working directory is
# entered anew, so that what is hidden stays hidden. Without the last line but one the plugin, root in its namespace,
# could unmount what hides /tmp. The shell stays as process 1, to which SIGTERM means nothing.
PREPARATION = """
set -e
inside=$1 before=$PWD
cd "$2"
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir "$inside"
mount --no-canonicalize --bind . "$inside"
cd "$before"
shift 2
setpriv --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
exit $?
"""


def bubblewrap(program: str, directory: str, command: Sequence[str]) -> list[str]:
    """The command line for bubblewrap.

    SIGTERM goes to the whole process group: bubblewrap must outlive it, the plugin must not have it ignored.
    """
    view = ["--dev-bind", "/", "/", "--proc", "/proc", "--tmpfs", "/tmp", "--bind", directory, INSIDE]
    isolation = ["--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
    return [
        *("env", "--ignore-signal=TERM", program, *isolation, *view, "--"),
        *("env", "--default-signal=TERM", *command),
    ]


def unshare(program: str, directory: str, command: Sequence[str]) -> list[str]:
    """The command line for util-linux, whose `unshare` itself lets SIGTERM pass."""
    namespaces = ["--user", "--map-root-user", "--net", "--mount", "--mount-proc", "--ipc", "--pid", "--fork"]
    return [
        *("setpriv", "--pdeathsig", "KILL", program, *namespaces, "--kill-child"),
        *("sh", "-c", PREPARATION, "sh", INSIDE, directory, *command),
    ]


class IsolatedRunner(SubprocessRunner):
    """Starts plugins in namespaces of their own.

    Args:
        program: Path of `bwrap` or `unshare`; default None, the first of them that is installed.
    """

    socket_directory = INSIDE

    def __init__(self, program: str | None = None) -> None:
        self.program = program or shutil.which("bwrap") or shutil.which("unshare") or "unshare"

    def command(self, launch: RunnerLaunch) -> list[str]:
        wrap = bubblewrap if Path(self.program).name == "bwrap" else unshare
        return wrap(self.program, launch.socket_directory, launch.command)

    def environment(self, launch: RunnerLaunch) -> Mapping[str, str]:
        # The host's directory for temporary files may be one that is hidden.
        return {**super().environment(launch), "TMPDIR": "/tmp"}

    def exit_status(self, status: int) -> int:
        # Of a plugin that was killed by a signal, both programs say it as a shell does.
        return 128 - status if status > 128 else status


def refusal(runner: IsolatedRunner) -> str | None:
    """Why plugins cannot be isolated here, in the words of what refuses it; None if they can."""
    with tempfile.TemporaryDirectory() as directory:
        command = runner.command(RunnerLaunch(command=("true",), socket_directory=directory))
        try:
            result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
        except OSError as error:
            return str(error)
    return result.stderr.strip() or f"exit status {result.returncode}" if result.returncode else None


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("plugin", nargs="?", metavar="PATH", help="a Go plugin of the KV service")
    path = parser.parse_args().plugin
    runner = IsolatedRunner()
    if (reason := refusal(runner)) is not None:
        raise SystemExit(f"{runner.program} cannot isolate anything here: {reason}")
    command = [path] if path else plugin_command()
    async with RPCPluginClient(command, {**KV_CONFIG, "runner": runner, "transports": ["unix"]}) as client:
        kv = KVStub(client.grpc_channel)
        await kv.Put(PutRequest(key="colour", value=b"green"))
        print(f"colour is {(await kv.Get(GetRequest(key='colour'))).value.decode()}")
        print(f"isolated by {runner.program}; its sockets are {INSIDE} to it, {Path(client.address or '').parent} here")


if __name__ == "__main__":
    asyncio.run(main())
