"""Text for people: colours where they are wanted, and a word on standard error about what takes long."""

import asyncio
import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import AsyncIterator
from typing import Final, TextIO

from ferrule._console import without_control, write_to

__all__ = ["CLEARED_LINE", "Style", "indented", "progress"]

SGR_BY_NAME: Final = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
WIDTH_ELSEWHERE: Final = 100
"""Columns of a line of text that goes to a file or a pipe."""
MIN_WIDTH: Final = 40
MAX_WIDTH: Final = 120
"""Columns of a line on the widest terminal; longer lines are hard to read."""
CLEARED_LINE: Final = "\r\x1b[K"
"""What moves a terminal to the beginning of its line, and empties that."""
QUIET_SECONDS: Final = 1.0
REPEAT_SECONDS: Final = 10.0
"""Between two lines about the same thing where no terminal can be written over."""


class Style:
    """Colours for one stream: on a terminal, unless `NO_COLOR` is set (no-color.org) or the terminal is dumb."""

    def __init__(self, stream: TextIO) -> None:
        terminal = stream.isatty()
        self.colours = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.width = min(shutil.get_terminal_size().columns, MAX_WIDTH) if terminal else WIDTH_ELSEWHERE

    def __call__(self, text: str, *names: str) -> str:
        """The text in colours and weights of these names."""
        if not self.colours or not names or not text:
            return text
        return f"\x1b[{';'.join(str(SGR_BY_NAME[name]) for name in names)}m{text}\x1b[0m"


def indented(text: str, width: int, indent: str) -> list[str]:
    """A provider's text in lines of a width; its own lines are kept apart."""
    wrapper = textwrap.TextWrapper(
        max(width, MIN_WIDTH),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = []
    for line in text.strip().splitlines():
        clean = without_control(line.replace("\t", " "))
        lines += wrapper.wrap(clean) or [""]
    return lines


@contextlib.asynccontextmanager
async def progress(what: str) -> AsyncIterator[None]:
    """Says on standard error what is done inside, if it takes longer than a second."""
    terminal = sys.stderr.isatty()
    said: list[str] = []
    telling = asyncio.create_task(_tell(what, terminal, said))
    try:
        yield
    finally:
        # Nothing is awaited here: a cancellation that comes after an apply has ended would lose its result.
        telling.cancel()
        if terminal and said:
            write_to(sys.stderr, CLEARED_LINE)


async def _tell(what: str, terminal: bool, said: list[str]) -> None:
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(QUIET_SECONDS)
    while True:
        text = f"{what} ({asyncio.get_running_loop().time() - began:.0f} s)"
        said.append(text)
        write_to(sys.stderr, f"{CLEARED_LINE}{text}" if terminal else f"{text}\n")
        await asyncio.sleep(QUIET_SECONDS if terminal else REPEAT_SECONDS)
