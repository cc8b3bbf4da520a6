"""`python -m ferrule.testing`: the plugin as a process."""

import os
import signal
import sys
import threading

from ferrule.server.handshake import cookie_refusal
from ferrule.testing import COOKIE_KEY, handshake, modes


def main(words: list[str]) -> int:
    """Runs the plugin.

    Args:
        words: Mode words, as on the command line.

    Returns:
        The exit status: 1 without the cookie, 2 for an unknown word, otherwise that of serving.
    """
    if "--help" in words:
        sys.stdout.write(modes.usage())
        return 0
    try:
        chosen = modes.parse(words)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not handshake.cookie_matches(os.environ):
        sys.stderr.write(cookie_refusal(COOKIE_KEY))
        return 1
    if chosen.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if chosen.exit is not None:
        return chosen.exit
    for number in range(1, chosen.banner + 1):
        os.write(1, f"stray line {number}\n".encode())
    if chosen.raw_line is not None:
        os.write(1, f"{chosen.raw_line}\n".encode())
    if chosen.hang or chosen.raw_line is not None:
        threading.Event().wait()
    # Imported here, because the import takes ten times as long as everything above, which does without it.
    from ferrule.testing.server import serve

    return serve(chosen, os.environ)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter's own end would wait for every thread that still serves a call.
    os._exit(status)
