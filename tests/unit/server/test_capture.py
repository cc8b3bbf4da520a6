"""Everything that a process prints goes to the output, the handshake line alone to the real standard output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap

from waiting import LIMIT

PROGRAM = """
import asyncio, json, logging, os, subprocess, sys
from ferrule.server.capture import Capture
from ferrule.server.stdio import Output

{early}  # in Python's buffer
handler = logging.StreamHandler()  # made before, so for descriptor 2

async def main():
    output = Output()
    capture = Capture(output)
    capture.announce("1|1|unix|/tmp/x|grpc|")
{body}
    capture.release()
    print("after", flush=True)
    output.finish()
    said = {{1: b"", 2: b""}}
    async for channel, data in output.pieces():
        said[channel] += data
    os.write(2, json.dumps([said[1].decode(), said[2].decode()]).encode())

asyncio.run(main())
"""


def run(body: str, early: str = 'sys.stdout.write("early\\n")') -> tuple[str, str, str, str]:
    """Runs a program that captures meanwhile; its stdout and stderr, and what was captured of each."""
    program = PROGRAM.format(early=early, body=textwrap.indent(textwrap.dedent(body), "    "))
    command = [sys.executable, "-W", "error", "-c", program]
    # Buffered as usual: what Python writes at once cannot be held back.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    stderr, bracket, captured = done.stderr.rpartition("[")
    return (done.stdout, stderr, *json.loads(bracket + captured))


LINES = "1|1|unix|/tmp/x|grpc|\nafter\n"


def test_nothing_printed_comes_before_the_handshake_line() -> None:
    assert run("pass") == (LINES, "", "early\n", "")


def test_more_is_held_back_than_a_pipe_holds() -> None:
    early = 'sys.stdout = open(1, "w", 1 << 20, closefd=False); sys.stdout.write("early" * 40_000)'
    assert run("print('then')", early) == (LINES, "", "early" * 40_000 + "then\n", "")


def test_python_prints() -> None:
    stdout, stderr, out, err = run(
        """
        print("no line's end", end="")
        sys.stdout.buffer.write(b"; bytes; ")
        print("gr\\u00fcn", "\\ud800")
        print("to stderr", file=sys.stderr)
        logging.getLogger().addHandler(handler)
        logging.getLogger().warning("a log line")
        """
    )
    assert (stdout, stderr) == (LINES, "a log line\n")
    assert out == "early\nno line's end; bytes; grün \\ud800\n"
    assert err == "to stderr\n"


def test_descriptors_and_children() -> None:
    stdout, stderr, out, err = run(
        """
        os.write(1, b"descriptor 1\\n")
        os.write(2, b"descriptor 2\\n")
        await asyncio.to_thread(subprocess.run, ["sh", "-c", "echo child; echo child >&2"])
        await asyncio.to_thread(subprocess.run, ["echo", "given"], stdout=sys.stdout, stderr=sys.stderr)
        """
    )
    assert (stdout, stderr) == (LINES, "descriptor 2\nchild\n")
    assert (out, err) == ("early\ndescriptor 1\nchild\ngiven\n", "")


def test_c_code() -> None:
    _, _, out, _ = run(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.puts(b"from C")
        libc.fflush(None)
        """
    )
    assert out == "early\nfrom C\n"


def test_forked_children() -> None:
    stdout, stderr, out, err = run(
        """
        pid = os.fork()
        if pid == 0:
            print("forked", flush=True)
            print("forked", file=sys.stderr, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print("parent")
        """
    )
    assert (stdout, stderr) == (LINES, "forked\n")
    # The child's way is longer.
    assert sorted(out.splitlines()) == ["early", "forked", "parent"]
    assert err == ""


def test_forked_children_that_kept_what_was_stdout() -> None:
    stdout, stderr, out, err = run(
        """
        kept = logging.StreamHandler()
        kept_stdout = sys.stdout
        pid = os.fork()
        if pid == 0:
            # More than a parent that is absent would let pass.
            for number in range(1000):
                kept.handle(logging.makeLogRecord({"msg": f"{number} " + "x" * 100}))
            print("forked", file=kept_stdout)
            os._exit(0)
        await asyncio.to_thread(os.waitpid, pid, 0)
        print("parent", file=kept_stdout)
        print("parent", file=kept.stream)
        """
    )
    assert stdout == LINES
    assert [line.split()[0] for line in stderr.splitlines()] == [str(number) for number in range(1000)]
    # The child's text comes over the pipe, in pieces, between which that of the parent may come.
    assert sorted(re.findall(r"early|forked|parent|\n", out)) == ["\n", "\n", "\n", "early", "forked", "parent"]
    assert err == "parent\n"


def test_the_loop_may_fill_the_pipe() -> None:
    _, _, out, _ = run("os.write(1, b'x' * 1_000_000)")
    assert len(out) == 1_000_000 + len("early\n")


def test_a_child_that_goes_on_printing_does_not_hold_the_end() -> None:
    stdout, _, out, _ = run(
        """
        import atexit
        child = subprocess.Popen(["yes"], stderr=subprocess.DEVNULL)
        atexit.register(child.wait)
        async for _, piece in output.pieces():
            if piece.startswith(b"y"):
                break
        """
    )
    assert stdout == LINES
    assert set(out) == {"y", "\n"}


def test_who_has_replaced_stdout_since_keeps_it() -> None:
    _, _, out, err = run(
        """
        import contextlib, io
        text = io.StringIO()
        redirection = contextlib.redirect_stdout(text)
        redirection.__enter__()
        print("redirected")
        sys.stderr.write(text.getvalue())
        redirection.__exit__(None, None, None)
        """
    )
    assert (out, err) == ("early\n", "redirected\n")


def test_no_descriptor_is_left() -> None:
    stdout, _, _, err = run(
        """
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            capture.release()
            capture = Capture(output)
        print(len(os.listdir("/proc/self/fd")) - before, file=sys.stderr)
        """
    )
    assert (stdout, err) == (LINES, "0\n")
