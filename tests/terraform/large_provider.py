"""A provider whose schema is in a file, and which has nothing else: `large_provider.py FILE`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grpc

from ferrule.server import GRPCBroker, ServerConfig, serve

SERVICE = "tfplugin6.Provider"


def main() -> None:
    answer = Path(sys.argv[1]).read_bytes()

    async def get_provider_schema(request: bytes, context: Any) -> bytes:
        return answer

    async def stop_provider(request: bytes, context: Any) -> bytes:
        return b""

    methods: dict[str, Any] = {
        "GetProviderSchema": grpc.unary_unary_rpc_method_handler(get_provider_schema),
        "StopProvider": grpc.unary_unary_rpc_method_handler(stop_provider),
    }

    def register(server: Any, broker: GRPCBroker) -> None:
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])

    serve(register, ServerConfig.terraform())


if __name__ == "__main__":
    main()
