"""Operations over a channel of asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio

from ferrule.channel.status import CLIENT_CLOSED
from ferrule.client import RPCPluginClient
from ferrule.errors import RPCPluginError
from ferrule.terraform.errors import ProviderError
from ferrule.terraform.hosting.change import (
    STOP_AGAIN_SECONDS,
    cancelled_apply,
    log_cancelled,
    not_started,
    not_waited_for,
)
from ferrule.terraform.hosting.failures import EXIT_SECONDS, closed_during, failed_call
from ferrule.terraform.hosting.steps import CHANGING_METHODS, LARGE_BYTES, Finished, Request, Steps
from ferrule.terraform.messages import Protocol
from ferrule.terraform.operations.call import Call, Operation

if TYPE_CHECKING:
    from ferrule.pool import Lease

__all__ = ["Driver"]

Result = TypeVar("Result")


class _Methods:
    """The methods of a provider, each made once; the stub of a lease."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._unary: dict[str, Any] = {}

    def unary(self, path: str) -> Any:
        """What calls the unary method of a path, with bytes."""
        method = self._unary.get(path)
        if method is None:
            method = self._unary[path] = self.channel.unary_unary(path)
        return method


class _Change:
    """An operation that changes something, as the task that runs it and the one that waits for it see it."""

    def __init__(self) -> None:
        self.has_begun = False
        self.is_stopping = False
        # The reason why the answer is not waited for any longer.
        self.given_up: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()


class Driver:
    """Runs operations of one provider.

    Args:
        client: A started client.
        protocol: The protocol version that the client has agreed on.
        stop_timeout: Seconds to wait for the answer to an apply after a stop.
        lease: The lease by which a pool hands out the client; default None, the client is nobody else's.
    """

    def __init__(
        self, client: RPCPluginClient, protocol: Protocol, stop_timeout: float, lease: Lease | None = None
    ) -> None:
        assert client.grpc_channel is not None
        self.protocol = protocol
        self._client = client
        self._lease = lease
        self._methods = _Methods(client.grpc_channel) if lease is None else lease.stub(_Methods)
        self._stop_timeout = stop_timeout

    @property
    def pid(self) -> int | None:
        """The provider's process."""
        return self._client.pid

    async def run(self, operation: Operation[Result], *, large: bool = False) -> Result:
        """Runs an operation that a cancellation may end at any moment.

        Args:
            operation: The operation, not begun.
            large: Whether its values are so large that a thread is to code them.
        """
        return await self._run(operation, large, None)

    async def run_change(self, operation: Operation[Result], type_name: str, *, large: bool = False) -> Result:
        """Runs an operation that changes something.

        Once a call has begun that changes something, a cancellation asks the provider to stop and waits for the answer,
        up to `stop_timeout`; a second one does not wait. The CancelledError has an ApplyError as its cause, which says
        what happened.
        """
        change = _Change()
        task = asyncio.get_running_loop().create_task(self._run(operation, large, change), name=f"apply {type_name}")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError as cancelled:
            if not change.has_begun:
                task.cancel()
                await asyncio.wait({task})
            else:
                await self._stop_change(task, change)
            cause = _outcome(task, type_name)
            if cause is None:
                raise
            log_cancelled(cause)
            raise cancelled from cause

    async def call(self, method: str, **fields: Any) -> bytes:
        """One call, whose response stays bytes.

        Raises:
            RPCPluginError: The call failed.
        """
        protocol = self.protocol
        return await self._send(Request(method, protocol.path(method), protocol.request(method, **fields)))

    async def stream(self, call: Call) -> AsyncGenerator[Any, None]:
        """The elements of a stream of responses.

        Raises:
            RPCPluginError: The call failed.
        """
        protocol, method = self.protocol, call.method
        method_of_stream: Any = self._methods.channel.unary_stream(protocol.path(method))
        stream = method_of_stream(protocol.request(method, **call.fields))
        try:
            async for element in stream:
                yield protocol.parse_response(method, element)
        except grpc.aio.AioRpcError as error:
            raise await self._failure(method, error) from None
        finally:
            stream.cancel()

    async def stop(self) -> None:
        """Asks the provider to give up all that it does at the moment.

        Raises:
            ProviderError: The provider refuses.
        """
        answer = self.protocol.parse_response("StopProvider", await self.call("StopProvider"))
        if answer.Error:
            raise ProviderError(f"the provider does not stop: {answer.Error}", "StopProvider", "", ())

    async def _run(self, operation: Operation[Result], large: bool, change: _Change | None) -> Result:
        steps = Steps(self.protocol, operation)
        try:
            step = await _take(large, steps.begin)
            while isinstance(step, Request):
                try:
                    data = await (self._send(step) if change is None else self._send_change(step, change))
                except RPCPluginError as error:
                    step = await _take(large, steps.fail, error)
                else:
                    large = large or len(data) > LARGE_BYTES
                    step = await _take(large, steps.answer, data)
            return step.result
        finally:
            steps.close()

    async def _send(self, request: Request) -> bytes:
        try:
            data: bytes = await self._methods.unary(request.path)(request.data)
        except grpc.aio.AioRpcError as error:
            raise await self._failure(request.method, error) from None
        except asyncio.CancelledError:
            # A channel of grpcio that is closed cancels its calls, and not the tasks that wait for them.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise closed_during(request.method) from None
        return data

    async def _send_change(self, request: Request, change: _Change) -> bytes:
        if change.is_stopping:
            raise not_started(request.method)
        if request.method in CHANGING_METHODS:
            change.has_begun = True
        if not change.has_begun:
            return await self._send(request)
        call = asyncio.ensure_future(self._send(request))
        try:
            waited: set[asyncio.Future[Any]] = {call, change.given_up}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise change.given_up.result()
            return call.result()
        finally:
            call.cancel()

    async def _stop_change(self, task: asyncio.Task[Any], change: _Change) -> None:
        """Has an operation end, as far as the provider takes part; returns when the task is done."""
        change.is_stopping = True
        # A stop ends all that the process does, also for others.
        asks = self._lease is None or not self._lease.is_shared
        reason = not_waited_for("ApplyResourceChange", self._stop_timeout, asked=asks)
        try:
            async with asyncio.timeout(self._stop_timeout):
                for pause in (STOP_AGAIN_SECONDS, None):
                    if asks:
                        # A provider that cannot stop may answer all the same.
                        with contextlib.suppress(RPCPluginError):
                            await self.stop()
                    await asyncio.wait({task}, timeout=pause)
                    if task.done():
                        break
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            # The caller raises the first one again.
            reason = not_waited_for("ApplyResourceChange", None, asked=asks)
        change.given_up.set_result(reason)
        while not task.done():
            # Within a few turns of the loop: no further cancellation is heard.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})

    async def _failure(self, method: str, error: grpc.aio.AioRpcError) -> RPCPluginError:
        """The error for a call that failed, with the end of the plugin where that is why."""
        if isinstance(error, RPCPluginError):
            # A pool has found out already.
            return error
        client, details, begun = self._client, error.details() or "", getattr(error, "begun", True)
        if details == CLIENT_CLOSED.details:
            return closed_during(method, begun=begun)
        if self._lease is not None:
            # The process answers, or another one in its place.
            return failed_call(method, error.code(), details, begun=begun)
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            # A plugin that was attached to may be unknown, or go on.
            with contextlib.suppress(TimeoutError, RPCPluginError):
                async with asyncio.timeout(EXIT_SECONDS):
                    await client.wait_exited()
        return failed_call(method, error.code(), details, client.exit_status, client.stderr_tail, begun=begun)


async def _take(large: bool, step: Callable[..., Request | Finished[Result]], *args: Any) -> Request | Finished[Result]:
    """Takes a step of an operation, in a thread if it may take long."""
    if not large:
        return step(*args)
    work = asyncio.get_running_loop().run_in_executor(None, step, *args)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # The operation cannot be ended while the thread is in it. A thread takes milliseconds.
        await asyncio.wait({work})
        raise


def _outcome(task: asyncio.Task[Any], type_name: str) -> BaseException | None:
    """What became of a cancelled operation; None if nothing did."""
    if task.cancelled():
        return None
    return task.exception() or cancelled_apply(type_name, task.result())
