"""The server that an application's function for its services gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import grpc.aio

from ferrule.errors import RPCPluginError

__all__ = ["Registrar"]


class Registrar(grpc.aio.Server):
    """Passes servicers on to a server, and notes their names for reflection.

    Starting, stopping and ports are refused, because `RPCPluginServer` does these.

    Args:
        server: The server.
        names: The list to which the names are added.
    """

    def __init__(self, server: grpc.aio.Server, names: list[str]) -> None:
        self._server = server
        self._names = names

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        handlers = tuple(generic_rpc_handlers)
        self._names.extend(
            handler.service_name() for handler in handlers if isinstance(handler, grpc.ServiceRpcHandler)
        )
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        # Generated code calls this too; grpc.aio does nothing with it yet.
        self._server.add_registered_method_handlers(service_name, method_handlers)

    def add_insecure_port(self, address: str) -> NoReturn:
        self._refuse("add a port")

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> NoReturn:
        self._refuse("add a port")

    async def start(self) -> NoReturn:
        self._refuse("start")

    async def stop(self, grace: float | None) -> NoReturn:
        self._refuse("stop")

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        return await self._server.wait_for_termination(timeout)

    def _refuse(self, action: str) -> NoReturn:
        hint = "Only add servicers to the server that you are given; RPCPluginServer does the rest."
        raise RPCPluginError(f"cannot {action}: this server belongs to the plugin", hint, code="server.lifecycle")
