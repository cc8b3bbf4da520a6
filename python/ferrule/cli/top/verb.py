"""What `top` does: it asks the pool again and again, and shows what it says."""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any, Final

from ferrule._console import EXIT_OK, json_line, write, write_to
from ferrule._console.extras import library
from ferrule._console.terminal import Style
from ferrule.cli.tables import rendered
from ferrule.cli.top.picture import picture
from ferrule.cli.top.rates import with_rates
from ferrule.cli.top.source import PoolGoneError, Source, socket_path
from ferrule.cli.top.terminal import Screen, is_usable

__all__ = ["top"]

ORDER_BY_KEY: Final = {"m": "memory", "c": "calls", "w": "wait"}


async def top(options: argparse.Namespace) -> int:
    """Runs the verb; returns its exit status."""
    if not options.json:
        library("rich.console", "a table", "--json needs nothing")
    async with Source(socket_path(options)) as source:
        try:
            if options.json:
                await _print_lines(source, options)
            elif options.once or not is_usable():
                await _print_once(source, options)
            else:
                await _follow(source, options)
        except PoolGoneError as error:
            write_to(sys.stderr, f"ferrule: {error.message}\n")
    return EXIT_OK


async def _looks(source: Source, interval: float) -> AsyncGenerator[dict[str, Any], None]:
    """What the pool says, again and again, with rates; those of the first look are not known."""
    before, then = None, time.monotonic()
    while True:
        answer, now = await source.stats(), time.monotonic()
        yield with_rates(answer, before, now - then)
        before, then = answer, now
        await asyncio.sleep(interval)


async def _print_lines(source: Source, options: argparse.Namespace) -> None:
    async with contextlib.aclosing(_looks(source, options.interval)) as looks:
        async for answer in looks:
            if options.once and answer["calls_per_second"] is None:
                continue
            if not write(json_line(answer)) or options.once:
                return


async def _print_once(source: Source, options: argparse.Namespace) -> None:
    async with contextlib.aclosing(_looks(source, options.interval)) as looks:
        async for answer in looks:
            if answer["calls_per_second"] is not None:
                style = Style(sys.stdout)
                write(rendered(picture(answer, options.sort, style.width, None), style))
                return


async def _follow(source: Source, options: argparse.Namespace) -> None:
    """Shows the pool until a key or the pool ends that."""
    screen, order, latest = Screen(), options.sort, dict[str, Any]()

    async def look() -> None:
        async with contextlib.aclosing(_looks(source, options.interval)) as looks:
            async for answer in looks:
                latest.clear()
                latest.update(answer)
                screen.changed.set()

    looking = asyncio.create_task(look())
    looking.add_done_callback(lambda _: screen.changed.set())
    try:
        with screen.open():
            while not looking.done():
                await screen.changed.wait()
                screen.changed.clear()
                keys, screen.keys[:] = list(screen.keys), []
                if "q" in keys or "Q" in keys:
                    return
                for key in keys:
                    order = ORDER_BY_KEY.get(key.lower(), order)
                if latest:
                    screen.draw(picture(latest, order, *screen.size, note=f"sorted by {order} [m c w]  q ends"))
        looking.result()
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError, PoolGoneError):
            await looking
