"""The plugin's gRPC server: listening, the handshake line, and the end on request."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import grpc

from ferrule.server.descriptors import CONTROLLER, HEALTH, STDIO
from ferrule.server.handshake import choose_version
from ferrule.testing import handshake, kv_pb2_grpc, services
from ferrule.testing.handshake import Address
from ferrule.testing.hclog import log
from ferrule.testing.kv import KV
from ferrule.testing.modes import Modes
from ferrule.testing.reflection import VERSIONS, reflection, service_name
from ferrule.testing.stdio import STDERR, STDOUT, SyncedOutput

THREADS = 2 + 8
"""Threads of the server: one for the stdio stream, one for the broker's, the others for calls."""

STOP_GRACE_SECONDS = 0.5
"""Seconds that open calls, the Shutdown call among them, have to end; a Go host waits 2 s for the exit."""

LATE_LISTEN_SECONDS = 0.3

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Otherwise a second plugin binds the same port without an error and takes half of the connections.
    ("grpc.so_reuseport", 0),
)


def serve(modes: Modes, environment: Mapping[str, str]) -> int:
    """Runs the plugin from the choice of the version to its end.

    Returns:
        The exit status: 0 after a Shutdown, 1 if no address can be listened on or the host's certificate is unusable.
    """
    output, shutdown = SyncedOutput(), threading.Event()
    server = _build(modes, output, shutdown)
    # A terminal's Ctrl-C reaches the plugin too, and ending the plugin is the host's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout, sys.stderr = output.writer(STDOUT), output.writer(STDERR)
    try:
        address = _start(server, modes, environment)
    except (OSError, RuntimeError, ValueError) as error:
        log("error", "plugin init error", error=error)
        return 1
    shutdown.wait()
    # The stdio stream never ends by itself and would use up the whole grace period.
    output.close()
    server.stop(STOP_GRACE_SECONDS).wait()
    if address.network == "unix":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address.location)
    return 0


def _build(modes: Modes, output: SyncedOutput, shutdown: threading.Event) -> grpc.Server:
    handlers = {CONTROLLER: services.controller(shutdown, hang=modes.hang_shutdown, ignore=modes.ignore_shutdown)}
    if not modes.no_health:
        handlers[HEALTH] = services.health()
    if not modes.no_stdio:
        handlers[STDIO] = services.stdio(output)
    names = sorted(["kv.KV", *handlers, *map(service_name, VERSIONS)])
    reflections = [] if modes.no_reflection else [reflection(version, names) for version in VERSIONS]
    server = grpc.server(ThreadPoolExecutor(THREADS), handlers=[*handlers.values(), *reflections], options=OPTIONS)
    kv_pb2_grpc.add_KVServicer_to_server(KV(), server)
    return server


def _start(server: grpc.Server, modes: Modes, environment: Mapping[str, str]) -> Address:
    """Listens, serves and prints the handshake line, in this order unless the mode says otherwise."""
    version, invalid = choose_version(modes.versions, environment.get("PLUGIN_PROTOCOL_VERSIONS", ""))
    for item in invalid:
        log("warn", "ignoring an offered version that is not an integer", version=item)
    credentials, certificate = _tls(modes, environment)
    multiplexing_asked = bool(environment.get("PLUGIN_MULTIPLEX_GRPC"))

    def announce(address: Address) -> None:
        log("debug", "plugin address", network=address.network, address=address.location)
        # os.write, because sys.stdout already leads to the host over gRPC.
        os.write(1, handshake.line(version, address, certificate, multiplexing_asked).encode() + b"\n")

    addresses = handshake.candidate_addresses(environment, modes.tcp)
    if modes.slow_listen:
        early = next(addresses, None)
        if early is None:
            raise OSError("no port from PLUGIN_MIN_PORT to PLUGIN_MAX_PORT is free; widen the range")
        announce(early)
        time.sleep(LATE_LISTEN_SECONDS)
        addresses = iter([early])
    address = _listen(server, addresses, credentials)
    server.start()
    if not modes.slow_listen:
        announce(address)
    return address


def _tls(modes: Modes, environment: Mapping[str, str]) -> tuple[grpc.ServerCredentials | None, bytes]:
    """Credentials that accept the host's certificate alone, and the plugin's own as DER; neither for plaintext."""
    host_certificate = environment.get("PLUGIN_CLIENT_CERT", "")
    if modes.no_cert or not host_certificate:
        return None, b""
    # Imported here, because only AutoMTLS needs the core.
    from ferrule.certificate import Certificate

    log("debug", "configuring server automatic mTLS")
    # Not on P-521, go-plugin's own curve: the TLS inside gRPC's C core can neither sign nor verify with it.
    certificate = Certificate.generate()
    credentials = grpc.ssl_server_credentials(
        [(certificate.private_key_pem.encode(), certificate.certificate_pem.encode())],
        root_certificates=host_certificate.encode(),
        require_client_auth=True,
    )
    return credentials, certificate.certificate_der


def _listen(server: grpc.Server, addresses: Iterator[Address], credentials: grpc.ServerCredentials | None) -> Address:
    """Listens on the first address that is free.

    Raises:
        OSError: None is free.
    """
    failure: Exception | None = None
    target = ""
    for address in addresses:
        # gRPC reads a Unix path as part of a URI.
        target = f"unix:{quote(address.location)}" if address.network == "unix" else address.location
        try:
            if credentials is None:
                server.add_insecure_port(target)
            else:
                server.add_secure_port(target, credentials)
        except RuntimeError as error:  # another process took the port meanwhile, or the directory cannot be written
            failure = error
        else:
            return address
    raise OSError(
        f"nothing to listen on, last tried {target or 'no address'}; check PLUGIN_UNIX_SOCKET_DIR, the range "
        "PLUGIN_MIN_PORT..PLUGIN_MAX_PORT, and that PLUGIN_CLIENT_CERT is a PEM certificate"
    ) from failure
