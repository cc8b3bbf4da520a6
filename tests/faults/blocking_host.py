"""What the host does in a row, without an event loop."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

from faults.outcomes import outcome_of, text_of
from faults.plugin.messages import BROKERED_ID
from faults.result import Result
from faults.row import WORKS
from ferrule.sync import RPCPluginClient
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, PutRequest


def put(client: RPCPluginClient, limit: float) -> None:
    """A unary call."""
    KVStub(client.grpc_channel).Put(PutRequest(key="k", value=b"v"), timeout=limit)


def chat(client: RPCPluginClient, limit: float) -> None:
    """A stream both ways: each message after the answer to the one before."""
    due: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def requests() -> Iterator[EchoRequest]:
        while payload := due.get():
            yield EchoRequest(payload=payload)

    due.put(b"first")
    try:
        for number, _ in enumerate(KVStub(client.grpc_channel).Chat(requests(), timeout=limit)):
            due.put(None if number else b"second")
    finally:
        due.put(None)


def dial(client: RPCPluginClient, limit: float) -> None:
    """A brokered connection, and a call over it."""
    with client.broker.dial(BROKERED_ID) as channel:
        KVStub(channel).Put(PutRequest(key="k"), timeout=limit)


def nothing(client: RPCPluginClient, limit: float) -> None:
    """Nothing after the start."""


def put_after_the_end(client: RPCPluginClient, limit: float) -> None:
    """A unary call once the plugin's process has ended."""
    client.wait_exited()
    put(client, limit)


WORK: dict[str, Callable[[RPCPluginClient, float], None]] = {
    "start": put,
    "stop": nothing,
    "call": put,
    "stream": chat,
    "dial": dial,
    "after the end": put_after_the_end,
}


def attempt(work: Callable[[], None], result: Result) -> str:
    """The outcome of something."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the row says which is right.
        result.texts.append(text_of(error))
        return outcome_of(error)
    return WORKS


def run(client: RPCPluginClient, job: str, limit: float, again: bool) -> Result:
    """Starts, works, perhaps once more, and ends."""
    result = Result()
    try:
        result.outcome = attempt(client.start, result)
        if result.outcome == WORKS:
            result.outcome = attempt(lambda: WORK[job](client, limit), result)
            if again:
                result.then = attempt(lambda: WORK[job](client, limit), result)
            client.shutdown_plugin()
            report = client.stop_report
            result.end = report.rung if report else ""
    finally:
        client.close()
    return result
