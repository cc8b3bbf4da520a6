"""gRPC over HTTP/2 by the library h2: go-plugin's services and the KV service, each answer of which may go wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from faults.plugin.faults import ClosedError, Faults, Layer
from faults.plugin.messages import acknowledgement, frames, knocked, message

STEPS = {
    "/grpc.health.v1.Health/Check": "health",
    "/plugin.GRPCStdio/StreamStdio": "stdio",
    "/plugin.GRPCBroker/StartStream": "broker",
    "/plugin.GRPCController/Shutdown": "shutdown",
    "/kv.KV/Chat": "stream",
}
"""Methods and the names of their steps; all others are `call`."""

ANSWERS = {"health": b"\x08\x01"}
OF_A_CALL = ("reset", "GOAWAY", "GOAWAY, served", "status", "HTTP status", "no trailers", "cut message")
OF_A_MESSAGE = ("wrong prefix", "too large", "message without headers")
RESPONSE = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]


@dataclass
class Request:
    """A request as it arrives."""

    step: str
    body: bytes = b""
    answered: int = field(default=0)
    """Messages sent."""


@dataclass
class Brokering:
    """What connections share of the broker: the announcement, empty with multiplexing, and the allowed streams."""

    offers: bytes = b""
    allowed: int = 0


class Http2Connection:
    """One connection; `prefix` names the steps of brokered ones."""

    def __init__(self, layer: Layer, faults: Faults, broker: Brokering, prefix: str = "") -> None:
        self._layer, self._faults, self._broker, self._prefix = layer, faults, broker, prefix
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._requests: dict[int, Request] = {}

    def serve(self) -> None:
        """Serves until the connection ends."""
        try:
            self._h2.initiate_connection()
            self._flush(f"{self._prefix}preface")
            while data := self._layer.receive():
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
        except (ClosedError, ProtocolError):
            pass
        finally:
            self._layer.close()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            assert event.headers is not None
            assert event.stream_id is not None
            path = next(str(value) for name, value in event.headers if str(name) == ":path")
            request = self._requests[event.stream_id] = Request(self._prefix + STEPS.get(path, "call"))
            self._begin(event.stream_id, request)
        elif isinstance(event, DataReceived):
            assert event.stream_id is not None
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            if found := self._requests.get(event.stream_id):
                found.body += event.data or b""
                self._converse(event.stream_id, found)
        elif isinstance(event, StreamEnded):
            assert event.stream_id is not None
            if found := self._requests.get(event.stream_id):
                self._answer(event.stream_id, found)
        elif isinstance(event, StreamReset):
            assert event.stream_id is not None
            self._requests.pop(event.stream_id, None)

    def _begin(self, stream: int, request: Request) -> None:
        """What is done when the headers of a request are there."""
        self._faults.send(f"{request.step} request", b"", self._layer)
        if request.step.endswith(("stdio", "broker")):
            if self._goes_wrong(stream, request):
                return
            self._h2.send_headers(stream, RESPONSE)
            if self._broker.offers and request.step == "broker":
                self._h2.send_data(stream, message(self._broker.offers))
            self._flush(request.step)

    def _converse(self, stream: int, request: Request) -> None:
        """Answers each message of a stream of requests."""
        if not request.step.endswith(("stream", "broker")):
            return
        whole, request.body = frames(request.body)
        for each in whole:
            answer = message(each)
            if request.step.endswith("broker"):
                if not knocked(each):
                    continue
                refused = self._faults.due("knock", "refused")
                answer = message(acknowledgement(each, refused=refused))
                self._flush("")
                self._h2.send_data(stream, answer)
                self._flush("knock")
                self._broker.allowed += not refused
                continue
            if request.answered == 0:
                self._h2.send_headers(stream, RESPONSE)
            elif self._goes_wrong(stream, request):
                return
            self._h2.send_data(stream, answer)
            self._flush(request.step if request.answered else "")
            request.answered += 1

    def _answer(self, stream: int, request: Request) -> None:
        """Ends a call whose request is complete."""
        self._requests.pop(stream)
        if request.step.endswith(("stdio", "broker")):
            return
        if request.answered:
            self._h2.send_headers(stream, OK, end_stream=True)
            return
        if self._goes_wrong(stream, request):
            return
        self._h2.send_headers(stream, RESPONSE)
        self._h2.send_data(stream, message(ANSWERS.get(request.step.removeprefix(self._prefix), b"")))
        if self._faults.plan.step == f"{request.step} trailers":
            self._flush()
            self._h2.send_headers(stream, OK, end_stream=True)
            self._flush(f"{request.step} trailers")
            return
        self._h2.send_headers(stream, OK, end_stream=True)
        self._flush(request.step)
        if request.step == "shutdown":
            self._faults.send("end", b"", self._layer)
            os._exit(0)

    def _goes_wrong(self, stream: int, request: Request) -> bool:
        """Whether the plan has a fault of HTTP/2 or gRPC in place of the answer, which it has then had."""
        fault, number = self._faults.plan.fault, self._faults.plan.argument
        if fault not in OF_A_CALL + OF_A_MESSAGE or not self._faults.due(request.step):
            return False
        if fault == "reset":
            self._h2.reset_stream(stream, error_code=ErrorCodes(number))
        elif fault.startswith("GOAWAY"):
            self._h2.close_connection(
                error_code=number, last_stream_id=stream if fault.endswith("served") else stream - 2
            )
            self._flush()
            raise ClosedError
        elif fault == "status":
            status = ("grpc-status", str(number))
            self._h2.send_headers(stream, [status] if request.answered else [*RESPONSE, status], end_stream=True)
        elif fault == "HTTP status":
            self._h2.send_headers(stream, [(":status", str(number))], end_stream=True)
        elif fault == "no trailers":
            self._headers_once(stream, request)
            self._h2.send_data(stream, message(b""), end_stream=True)
        elif fault == "cut message":
            self._headers_once(stream, request)
            self._h2.send_data(stream, message(bytes(100))[:50])
            self._h2.send_headers(stream, OK, end_stream=True)
        elif fault == "wrong prefix":
            self._headers_once(stream, request)
            self._h2.send_data(stream, b"\x07" + message(b"x")[1:])
        elif fault == "too large":
            self._headers_once(stream, request)
            self._h2.send_data(stream, b"\x00\xff\xff\xff\xff")
        self._flush()
        return True

    def _headers_once(self, stream: int, request: Request) -> None:
        if not request.answered:
            self._h2.send_headers(stream, RESPONSE)

    def _flush(self, step: str = "") -> None:
        data = self._h2.data_to_send()
        if data or step:
            self._faults.send(step, data, self._layer)
