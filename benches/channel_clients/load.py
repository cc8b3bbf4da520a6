"""The loads, and the meter around them: the same lines for every client."""

import argparse
import asyncio
import json
import resource
import struct
import sys
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from channel_clients.point import STREAM, STREAM_MESSAGES, UNARY, Order, Point, Sample

# ru_maxrss is in bytes on macOS and in KiB elsewhere.
_RSS_UNITS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True)
class AsyncClient:
    """An open channel of an asyncio library, with its methods bound to the echo service."""

    unary: Callable[[bytes], Awaitable[bytes]]
    stream: Callable[[bytes], AsyncIterable[bytes]]
    close: Callable[[], Awaitable[object]]

    @classmethod
    def over(cls, channel: Any) -> "AsyncClient":
        """Bind the methods of a channel with grpc.aio's interface."""
        return cls(channel.unary_unary(UNARY), channel.unary_stream(STREAM), channel.close)


@dataclass(frozen=True)
class SyncClient:
    """An open channel of a blocking library, with its methods bound to the echo service."""

    unary: Callable[[bytes], bytes]
    stream: Callable[[bytes], Iterable[bytes]]
    close: Callable[[], object]

    @classmethod
    def over(cls, channel: Any) -> "SyncClient":
        """Bind the methods of a channel with the interface of grpc.Channel."""
        return cls(channel.unary_unary(UNARY), channel.unary_stream(STREAM), channel.close)


class Meter:
    """Counts from its making until `sample`."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.messages = 0
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._begin = time.perf_counter()

    def sample(self) -> Sample:
        """What was spent so far, per call."""
        elapsed = time.perf_counter() - self._begin
        usage, before = resource.getrusage(resource.RUSAGE_SELF), self._usage
        calls = self.messages or len(self.latencies)
        cpu = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
        switches = usage.ru_nvcsw + usage.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw
        ordered = sorted(self.latencies)
        return Sample(
            calls=calls,
            cpu_us=cpu / calls * 1e6,
            p50_us=ordered[len(ordered) // 2] * 1e6 if ordered else None,
            p99_us=ordered[len(ordered) * 99 // 100] * 1e6 if ordered else None,
            per_second=calls / elapsed,
            switches=switches / calls,
            peak_rss_mib=usage.ru_maxrss / _RSS_UNITS_PER_MIB,
        )


def _payload(point: Point) -> bytes:
    return bytes(range(256)) * (point.size // 256) + bytes(range(point.size % 256))


def _stream_request(point: Point) -> bytes:
    return struct.pack(">II", STREAM_MESSAGES, point.size)


def _check(answer: bytes, expected: bytes) -> None:
    if answer != expected:
        raise RuntimeError(f"echo of {len(expected)} bytes answered {len(answer)} bytes or others than were sent")


def _check_stream(messages: list[bytes], size: int) -> None:
    _check_count(len(messages))
    if any(message != bytes(size) for message in messages):
        raise RuntimeError(f"stream brought other messages than {size} zero bytes")


def _check_count(received: int) -> None:
    if received != STREAM_MESSAGES:
        raise RuntimeError(f"stream ended after {received} messages, expected {STREAM_MESSAGES}")


async def _calls(
    unary: Callable[[bytes], Awaitable[bytes]], payload: bytes, end: float, latencies: list[float]
) -> None:
    begin = time.perf_counter()
    while begin < end:
        await unary(payload)
        now = time.perf_counter()
        latencies.append(now - begin)
        begin = now


async def _load(client: AsyncClient, point: Point, seconds: float) -> Meter:
    payload = _payload(point)
    meter = Meter()
    end = time.perf_counter() + seconds
    if point.call == "unary":
        await asyncio.gather(*(_calls(client.unary, payload, end, meter.latencies) for _ in range(point.in_flight)))
        return meter
    while time.perf_counter() < end:
        received = 0
        async for _ in client.stream(_stream_request(point)):
            received += 1
        _check_count(received)
        meter.messages += received
    return meter


async def _try_out(client: AsyncClient, point: Point) -> None:
    if point.call == "unary":
        _check(await client.unary(_payload(point)), _payload(point))
    else:
        _check_stream([message async for message in client.stream(_stream_request(point))], point.size)


async def _carry_out(open_client: Callable[[str, str | None], AsyncClient], order: Order) -> Sample:
    client = open_client(order.target, order.certificate)
    try:
        await _try_out(client, order.point)
        await _load(client, order.point, order.warm_up_s)
        return (await _load(client, order.point, order.measure_s)).sample()
    finally:
        await client.close()


def _sync_calls(unary: Callable[[bytes], bytes], payload: bytes, end: float, latencies: list[float]) -> None:
    begin = time.perf_counter()
    while begin < end:
        unary(payload)
        now = time.perf_counter()
        latencies.append(now - begin)
        begin = now


def _sync_load(client: SyncClient, point: Point, seconds: float) -> Meter:
    if point.call == "unary" and point.in_flight > 1:
        return _threaded_load(client, point, seconds)
    payload = _payload(point)
    meter = Meter()
    end = time.perf_counter() + seconds
    if point.call == "unary":
        _sync_calls(client.unary, payload, end, meter.latencies)
        return meter
    while time.perf_counter() < end:
        received = 0
        for _ in client.stream(_stream_request(point)):
            received += 1
        _check_count(received)
        meter.messages += received
    return meter


def _threaded_load(client: SyncClient, point: Point, seconds: float) -> Meter:
    payload = _payload(point)
    with ThreadPoolExecutor(point.in_flight) as threads:
        meter = Meter()
        end = time.perf_counter() + seconds
        running = [
            threads.submit(_sync_calls, client.unary, payload, end, meter.latencies) for _ in range(point.in_flight)
        ]
        for thread in running:
            thread.result()
    return meter


def _sync_try_out(client: SyncClient, point: Point) -> None:
    if point.call == "unary":
        _check(client.unary(_payload(point)), _payload(point))
    else:
        _check_stream(list(client.stream(_stream_request(point))), point.size)


def _sync_carry_out(open_client: Callable[[str, str | None], SyncClient], order: Order) -> Sample:
    client = open_client(order.target, order.certificate)
    try:
        _sync_try_out(client, order.point)
        _sync_load(client, order.point, order.warm_up_s)
        return _sync_load(client, order.point, order.measure_s).sample()
    finally:
        client.close()


def _fail(error: Exception) -> None:
    """Answer with the error; the first line of its text says what it is about."""
    text = (str(error).splitlines() or [""])[0]
    print(json.dumps({"error": f"{type(error).__name__}: {text}"}), flush=True)
    sys.exit(1)


def _answer(sample: Sample) -> None:
    print(json.dumps(asdict(sample)), flush=True)


async def _serve(open_client: Callable[[str, str | None], AsyncClient]) -> None:
    # Reading blocks the loop on purpose: no channel is open between two orders.
    while line := sys.stdin.readline():
        _answer(await _carry_out(open_client, Order.from_line(line)))


def _run_uvloop(serving: Any) -> None:
    import uvloop

    uvloop.run(serving)


def main(open_client: Callable[[str, str | None], AsyncClient]) -> None:
    """Carry out orders in one event loop, as a long-lived application would.

    Args:
        open_client: Opens a channel to a target, trusting a PEM certificate; None for plaintext.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="event loop")
    run = _run_uvloop if parser.parse_args().loop == "uvloop" else asyncio.run
    try:
        run(_serve(open_client))
    except Exception as error:  # noqa: BLE001  whatever a rival fails with is a result
        _fail(error)


def sync_main(open_client: Callable[[str, str | None], SyncClient]) -> None:
    """Carry out orders on the main thread, and on threads where several calls are to be in flight.

    Args:
        open_client: Opens a channel to a target, trusting a PEM certificate; None for plaintext.
    """
    try:
        while line := sys.stdin.readline():
            _answer(_sync_carry_out(open_client, Order.from_line(line)))
    except Exception as error:  # noqa: BLE001  whatever a rival fails with is a result
        _fail(error)
