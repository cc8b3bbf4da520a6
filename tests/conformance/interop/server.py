"""Serves gRPC's interoperability test service with grpcio, as the program of the same purpose in Go does.

listen unix:PATH|HOST:PORT  plaintext; prints the bound address and serves until its standard input ends
plugin                      as a go-plugin plugin, with mutual TLS if the host asks for it
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc.aio

from conformance.interop.interop_pb2_grpc import add_TestServiceServicer_to_server
from conformance.interop.service import InteropService
from ferrule import Certificate
from ferrule.server.handshake import choose_version, cookie_refusal
from ferrule.testing import COOKIE_KEY, handshake, services

# Otherwise a second server binds the same port without an error and takes half of the connections.
OPTIONS = (("grpc.so_reuseport", 0),)

STOP_GRACE_SECONDS = 0.5


async def listen(target: str) -> None:
    """Serve in plaintext on a socket until standard input ends."""
    server = _server()
    port = server.add_insecure_port(target)
    await server.start()
    _print(target if target.startswith("unix:") else f"127.0.0.1:{port}")
    # The end of whoever holds the other side, however it ends, is the end of this server.
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(STOP_GRACE_SECONDS)


async def serve_plugin(environment: Mapping[str, str]) -> None:
    """Serve as a plugin until the host asks for the end."""
    shutdown = threading.Event()
    own = services.health(), services.controller(shutdown, hang=False, ignore=False)
    server = _server(own)
    address = next(handshake.candidate_addresses(environment, tcp=False))
    target, announced = f"unix:{address.location}", b""
    if host_certificate := environment.get("PLUGIN_CLIENT_CERT", ""):
        certificate = Certificate.generate()
        announced = certificate.certificate_der
        credentials = grpc.ssl_server_credentials(
            [(certificate.private_key_pem.encode(), certificate.certificate_pem.encode())],
            root_certificates=host_certificate.encode(),
            require_client_auth=True,
        )
        server.add_secure_port(target, credentials)
    else:
        server.add_insecure_port(target)
    await server.start()
    version, _ = choose_version([1], environment.get("PLUGIN_PROTOCOL_VERSIONS", ""))
    asked = bool(environment.get("PLUGIN_MULTIPLEX_GRPC"))
    _print(handshake.line(version, address, announced, asked))
    await asyncio.to_thread(shutdown.wait)
    await server.stop(STOP_GRACE_SECONDS)


def _server(handlers: Sequence[grpc.GenericRpcHandler] = ()) -> grpc.aio.Server:
    # The pool is for the plugin's own services, whose methods block.
    server = grpc.aio.server(ThreadPoolExecutor(2), handlers=handlers, options=OPTIONS)
    add_TestServiceServicer_to_server(InteropService(), server)
    return server


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> None:
    """Run what the command line says."""
    match words:
        case ["listen", target]:
            asyncio.run(listen(target))
        case ["plugin"] if handshake.cookie_matches(os.environ):
            asyncio.run(serve_plugin(os.environ))
        case ["plugin"]:
            sys.exit(cookie_refusal(COOKIE_KEY))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
