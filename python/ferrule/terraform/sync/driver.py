"""Operations over a blocking channel."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from ferrule._host.plugin_info import PluginInfo
from ferrule.channel.status import CLIENT_CLOSED
from ferrule.errors import RPCPluginError
from ferrule.sync.plugin_client import RPCPluginClient
from ferrule.terraform.errors import ProviderError
from ferrule.terraform.hosting.change import (
    STOP_AGAIN_SECONDS,
    cancelled_apply,
    log_cancelled,
    lost_apply,
    not_started,
    not_waited_for,
)
from ferrule.terraform.hosting.failures import EXIT_SECONDS, closed_during, failed_call
from ferrule.terraform.hosting.steps import CHANGING_METHODS, Request, Steps
from ferrule.terraform.messages import Protocol
from ferrule.terraform.operations.call import Call, Operation

if TYPE_CHECKING:
    from ferrule.sync.pool.lease import Lease

__all__ = ["Driver"]

Result = TypeVar("Result")


class _Change:
    """An operation that changes something, and the interrupt that stops it."""

    def __init__(self) -> None:
        self.has_begun = False
        self.interrupt: BaseException | None = None


class Driver:
    """Runs operations of one provider. Any number of threads may do so at once.

    Args:
        client: A started client.
        channel: Its blocking channel, or that of the lease.
        protocol: The protocol version that the client has agreed on.
        stop_timeout: Seconds to wait for the answer to an apply after a stop.
        lease: The lease by which a pool hands out the client; default None, the client is nobody else's.
    """

    def __init__(
        self,
        client: PluginInfo,
        channel: grpc.Channel,
        protocol: Protocol,
        stop_timeout: float,
        lease: Lease | None = None,
    ) -> None:
        self.protocol = protocol
        self._client = client
        self._lease = lease
        self._channel: Any = channel
        self._stop_timeout = stop_timeout

    @property
    def pid(self) -> int | None:
        """The provider's process."""
        return self._client.pid

    def run(self, operation: Operation[Result], timeout: float | None = None) -> Result:
        """Runs an operation that an interrupt may end at any moment.

        Args:
            operation: The operation, not begun.
            timeout: Seconds for each of its calls; default None, without limit.
        """
        return self._run(operation, lambda request: self._send(request, timeout))

    def run_change(self, operation: Operation[Result], type_name: str) -> Result:
        """Runs an operation that changes something.

        Once a call has begun that changes something, Ctrl-C asks the provider to stop and waits for the answer, up to
        `stop_timeout`; a second one does not wait. The KeyboardInterrupt has an ApplyError as its cause, which says
        what happened.
        """
        change = _Change()
        try:
            result = self._run(operation, lambda request: self._send_change(request, change))
        except RPCPluginError as error:
            if change.interrupt is None:
                raise
            log_cancelled(error)
            raise change.interrupt from error
        except KeyboardInterrupt as interrupt:
            # Between two calls: what the last answer said is lost.
            if not change.has_begun:
                raise
            lost = lost_apply(type_name)
            log_cancelled(lost)
            raise interrupt from lost
        if change.interrupt is not None:
            done = cancelled_apply(type_name, result)
            log_cancelled(done)
            raise change.interrupt from done
        return result

    def call(self, method: str, **fields: Any) -> bytes:
        """One call, whose response stays bytes.

        Raises:
            RPCPluginError: The call failed.
        """
        protocol = self.protocol
        return self._send(Request(method, protocol.path(method), protocol.request(method, **fields)))

    def stream(self, call: Call) -> Generator[Any, None, None]:
        """The elements of a stream of responses.

        Raises:
            RPCPluginError: The call failed.
        """
        protocol, method = self.protocol, call.method
        stream = self._channel.unary_stream(protocol.path(method))(protocol.request(method, **call.fields))
        try:
            for element in stream:
                yield protocol.parse_response(method, element)
        except grpc.RpcError as error:
            raise self._failure(method, error) from None
        finally:
            stream.cancel()

    def stop(self, timeout: float | None = None) -> None:
        """Asks the provider to give up all that it does at the moment.

        Args:
            timeout: Seconds to wait for the answer; default None, without limit.

        Raises:
            ProviderError: The provider refuses.
        """
        protocol = self.protocol
        request = Request("StopProvider", protocol.path("StopProvider"), protocol.request("StopProvider"))
        answer = protocol.parse_response("StopProvider", self._send(request, timeout))
        if answer.Error:
            raise ProviderError(f"the provider does not stop: {answer.Error}", "StopProvider", "", ())

    def _run(self, operation: Operation[Result], send: Callable[[Request], bytes]) -> Result:
        steps = Steps(self.protocol, operation)
        try:
            step = steps.begin()
            while isinstance(step, Request):
                try:
                    data = send(step)
                except RPCPluginError as error:
                    step = steps.fail(error)
                else:
                    step = steps.answer(data)
            return step.result
        finally:
            steps.close()

    def _send(self, request: Request, timeout: float | None = None) -> bytes:
        try:
            data: bytes = self._channel.unary_unary(request.path)(request.data, timeout)
        except grpc.RpcError as error:
            raise self._failure(request.method, error) from None
        return data

    def _send_change(self, request: Request, change: _Change) -> bytes:
        if change.interrupt is not None:
            raise not_started(request.method)
        if request.method in CHANGING_METHODS:
            change.has_begun = True
        if not change.has_begun:
            return self._send(request)
        # A future, since an interrupt ends a call that blocks.
        call = self._channel.unary_unary(request.path).future(request.data)
        try:
            return self._answer(request.method, call)
        except RPCPluginError:
            raise
        except BaseException as interrupt:  # noqa: BLE001 - raised again, with the answer.
            change.interrupt = interrupt
            return self._answer_after_stop(request.method, call)
        finally:
            call.cancel()

    def _answer_after_stop(self, method: str, call: Any) -> bytes:
        deadline = time.monotonic() + self._stop_timeout
        # A stop ends all that the process does, also for others.
        asks = self._lease is None or not self._lease.is_shared
        try:
            with contextlib.suppress(grpc.FutureTimeoutError):
                if asks:
                    self._stop_until(deadline)
                return self._answer(method, call, min(STOP_AGAIN_SECONDS, max(0.0, deadline - time.monotonic())))
            if asks:
                self._stop_until(deadline)
            return self._answer(method, call, max(0.0, deadline - time.monotonic()))
        except grpc.FutureTimeoutError:
            raise not_waited_for(method, self._stop_timeout, asked=asks) from None
        except KeyboardInterrupt:
            raise not_waited_for(method, None, asked=asks) from None

    def _stop_until(self, deadline: float) -> None:
        # A provider that cannot stop may answer all the same.
        with contextlib.suppress(RPCPluginError):
            self.stop(max(0.0, deadline - time.monotonic()))

    def _answer(self, method: str, call: Any, timeout: float | None = None) -> bytes:
        try:
            data: bytes = call.result(timeout)
        except grpc.FutureCancelledError:
            raise closed_during(method) from None
        except grpc.RpcError as error:
            raise self._failure(method, error) from None
        return data

    def _failure(self, method: str, error: Any) -> RPCPluginError:
        """The error for a call that failed, with the end of the plugin where that is why."""
        if isinstance(error, RPCPluginError):
            # A pool has found out already.
            return error
        client, details, begun = self._client, error.details() or "", getattr(error, "begun", True)
        if details == CLIENT_CLOSED.details:
            return closed_during(method, begun=begun)
        if not isinstance(client, RPCPluginClient):
            # Of a lease: the process answers, or another one in its place.
            return failed_call(method, error.code(), details, begun=begun)
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            # A plugin that was attached to may be unknown, or go on.
            with contextlib.suppress(TimeoutError, RPCPluginError):
                client.wait_exited(EXIT_SECONDS)
        return failed_call(method, error.code(), details, client.exit_status, client.stderr_tail, begun=begun)
