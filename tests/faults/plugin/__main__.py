"""The plugin: `python -m faults.plugin`. Real sockets, TLS, yamux and HTTP/2; what goes wrong is in the environment."""

from __future__ import annotations

import os

from faults.plugin.faults import ClosedError, Faults, Layer, OutputLayer, Plan

FAULTS, OUTPUT = Faults(Plan.of(os.environ)), OutputLayer()
# Before the imports that take long: what happens here happens soon after the launch.
FAULTS.send("launch", b"", OUTPUT)

import base64  # noqa: E402
import contextlib  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402

from faults.plugin.http2 import Brokering, Http2Connection  # noqa: E402
from faults.plugin.layers import SocketLayer, TlsLayer  # noqa: E402
from faults.plugin.messages import BROKERED_ID, announcement  # noqa: E402
from faults.plugin.yamux import YamuxSession  # noqa: E402
from ferrule import Certificate  # noqa: E402


class Plugin:
    """What all connections share."""

    def __init__(self) -> None:
        self.faults = FAULTS
        self.multiplexed = os.environ.get("PLUGIN_MULTIPLEX_GRPC") == "true"
        self._directory = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.gettempdir()
        self._identity = Certificate.generate() if "PLUGIN_CLIENT_CERT" in os.environ else None
        self._tls = self._context(self._identity) if self._identity else None
        self._broker = Brokering()
        signal.signal(signal.SIGTERM, self._end)

    def run(self) -> None:
        """Listens, announces itself, and serves until it is ended."""
        listener, network, address = self._listen("plugin")
        if not self.multiplexed:
            brokered, *where = self._listen("brokered")
            self._broker.offers = announcement(BROKERED_ID, *where)
            threading.Thread(target=self._accept, args=(brokered, "brokered "), daemon=True).start()
        if self.faults.due("listen", "nobody"):
            listener.close()
        threading.Thread(target=self._accept, args=(listener, ""), daemon=True).start()
        certificate = base64.b64encode(self._identity.certificate_der).decode().rstrip("=") if self._identity else ""
        line = f"1|1|{network}|{address}|grpc|{certificate}" + ("|true" if self.multiplexed else "")
        self.faults.send("handshake line", line.encode() + b"\n", OUTPUT)
        while True:
            signal.pause()

    def _end(self, _number: int, _frame: object) -> None:
        if not self.faults.due("SIGTERM", "ignored"):
            self.faults.send("SIGTERM", b"", OUTPUT)
            os._exit(0)

    def _listen(self, name: str) -> tuple[socket.socket, str, str]:
        if self.faults.plan.tcp:
            listener = socket.create_server(("127.0.0.1", 0))
            return listener, "tcp", f"127.0.0.1:{listener.getsockname()[1]}"
        path = f"{self._directory}/{name}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        return listener, "unix", path

    def _context(self, identity: Certificate) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(dir=self._directory) as file:
            file.write((identity.private_key_pem + identity.certificate_pem).encode())
            file.flush()
            context.load_cert_chain(file.name)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=os.environ["PLUGIN_CLIENT_CERT"])
        context.set_alpn_protocols(["h2"])
        return context

    def _accept(self, listener: socket.socket, prefix: str) -> None:
        # Ends where a plan has closed the listener.
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(SocketLayer(connection), prefix), daemon=True).start()

    def _serve(self, layer: SocketLayer, prefix: str) -> None:
        with contextlib.suppress(ClosedError):
            self.faults.send(f"{prefix}accept", b"", layer)
            if not self.multiplexed:
                self._speak(layer, prefix)
                return
            for stream in YamuxSession(layer, self.faults).streams():
                # By the order alone: the stream after an acknowledged knock is the one that was asked for.
                brokered, self._broker.allowed = self._broker.allowed > 0, max(self._broker.allowed - 1, 0)
                names = (stream, "brokered " if brokered else "")
                threading.Thread(target=self._speak, args=names, daemon=True).start()
            layer.close()

    def _speak(self, layer: Layer, prefix: str) -> None:
        with contextlib.suppress(ClosedError):
            if self._tls is not None:
                layer = TlsLayer(layer, self._tls, self.faults, prefix)
            Http2Connection(layer, self.faults, self._broker, prefix).serve()


if __name__ == "__main__":
    Plugin().run()
