"""Does with an installed Ferrule what a newcomer does first, on whatever platform this runs.

Run: python .ci/first_steps.py QUICKSTART [PLUGIN]

QUICKSTART is examples/quickstart.py, PLUGIN the Go plugin of the tests. Each step is a process with an environment of
its own; in the end no directory of a socket may be left.
"""

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

COOKIE = "FERRULE_KV_COOKIE=5f1d0a86-ferrule-kv"
# Of an emulator on a busy machine.
STEP_SECONDS = 600


def find_steps(quickstart: str, plugins: list[list[str]]) -> list[list[str]]:
    """The commands, in their order."""
    ferrule = [sys.executable, "-W", "error", "-m", "ferrule"]
    inspect = [*ferrule, "inspect", "--cookie", COOKIE, "--protocol-versions", "1", "--"]
    return [
        [sys.executable, "-W", "error", quickstart],
        [*ferrule, "--version"],
        [*ferrule, "explain", "handshake.exited"],
        *([*inspect, *plugin] for plugin in plugins),
    ]


def main() -> None:
    quickstart, *programs = (str(Path(name).absolute()) for name in sys.argv[1:])
    plugins = [[sys.executable, "-m", "ferrule.testing"], *([program] for program in programs)]
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    where = (
        sysconfig.get_platform(),
        platform.libc_ver()[0] or "no glibc",
        *([] if has_lock else ["without the lock"]),
    )
    print(f"{sys.version.split()[0]} for {', '.join(where)}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        environment = {"PATH": "/usr/bin:/bin", "HOME": directory, "TMPDIR": directory}
        environment |= {name: os.environ[name] for name in ("PYTHONPATH", "PYTHON_GIL") if name in os.environ}
        for step in find_steps(quickstart, plugins):
            subprocess.run(step, check=True, cwd=directory, env=environment, timeout=STEP_SECONDS)
        leftovers = [path.name for path in Path(directory).glob("ferrule-*")]
    if leftovers:
        sys.exit(f"directories of sockets were left behind: {leftovers}")


if __name__ == "__main__":
    main()
