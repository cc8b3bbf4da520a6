"""The screen and the keys of a terminal, which is left as it was found."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterator
from typing import Any

from ferrule._console import OutputError
from ferrule._console.extras import library
from ferrule._console.terminal import Style

__all__ = ["Screen", "is_usable"]


def is_usable() -> bool:
    """Whether standard output is a terminal on which a picture can be drawn in place of the one before."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


class Screen:
    """The whole terminal, drawn anew with each picture; keys without Enter.

    Attributes:
        changed (asyncio.Event): Set when a key was pressed or the size is another one.
        keys (list[str]): What was pressed and not taken yet.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.keys: list[str] = []
        colours = Style(sys.stdout).colours
        self._console = library("rich.console", "a table").Console(
            force_terminal=True, no_color=not colours, highlight=False, legacy_windows=False
        )

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._console.size.width, self._console.size.height

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Takes the terminal, and gives it back whatever happens."""
        loop = asyncio.get_running_loop()
        live = library("rich.live", "a table").Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with contextlib.ExitStack() as stack:
            stack.enter_context(_keys_at_once(self._pressed))
            loop.add_signal_handler(signal.SIGWINCH, self.changed.set)
            stack.callback(loop.remove_signal_handler, signal.SIGWINCH)
            self._live = stack.enter_context(live)
            yield

    def draw(self, picture: Any) -> None:
        """Shows a picture in place of the one before.

        Raises:
            OutputError: The terminal is gone.
        """
        try:
            self._live.update(picture, refresh=True)
        except OSError as error:
            raise OutputError(f"the terminal cannot be written: {error.strerror}") from None

    def _pressed(self, text: str) -> None:
        self.keys += text
        self.changed.set()


@contextlib.contextmanager
def _keys_at_once(pressed: Any) -> Iterator[None]:
    """Has the keys of standard input come one by one and unseen, where that is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    during = termios.tcgetattr(descriptor)
    during[3] &= ~(termios.ICANON | termios.ECHO)
    during[6][termios.VMIN], during[6][termios.VTIME] = 1, 0
    # Ctrl-Z would leave the shell with a terminal that is not its own.
    during[6][termios.VSUSP] = os.fpathconf(descriptor, "PC_VDISABLE").to_bytes(1, "little")

    def read() -> None:
        data = os.read(descriptor, 1024)
        if not data:
            loop.remove_reader(descriptor)
        pressed(data.decode(errors="ignore"))

    termios.tcsetattr(descriptor, termios.TCSADRAIN, during)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
