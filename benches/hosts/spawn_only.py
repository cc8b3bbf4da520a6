"""No host at all: spawn the plugin, read its handshake line, kill it. The floor under every `start_ms`.

With mutual TLS the plugin finds a client certificate in its environment and makes a P-521 key of its own before it
prints the line; no host can start faster than that.
"""

import datetime
import os
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hosts import cycle


def client_certificate() -> str:
    """Make a self-signed certificate as PEM text; the plugin only has to parse it, nobody connects."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def spawn(plugin: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Spawn the plugin, with its standard output to be read."""
    return subprocess.Popen([plugin], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)


def spawn_once(plugin: str, environment: dict[str, str], at_once: int) -> cycle.Cycle:
    """Spawn plugins, wait for their handshake lines and kill them; only the start and the CPU time are measured."""
    cpu_before = cycle.process_cpu_ms()
    begin = time.perf_counter()
    processes = [spawn(plugin, environment) for _ in range(at_once)]
    lines = [process.stdout.readline() for process in processes if process.stdout is not None]
    started = time.perf_counter()
    for process in processes:
        with process:
            process.kill()
    for line in lines:
        if not line.startswith(b"1|"):
            raise RuntimeError(f"{plugin} printed {line!r}, expected a handshake line; is it the KV plugin?")
    return cycle.Cycle((started - begin) * 1e3, None, None, cycle.process_cpu_ms() - cpu_before)


def main() -> None:
    """Measure the spawns asked for on the command line."""
    arguments = cycle.parse_arguments()
    environment = os.environ | {
        cycle.COOKIE_KEY: cycle.COOKIE_VALUE,
        "PLUGIN_PROTOCOL_VERSIONS": str(cycle.APP_VERSION),
    }
    if arguments.mtls:
        environment["PLUGIN_CLIENT_CERT"] = client_certificate()
    for _ in range(arguments.cycles):
        spawn_once(arguments.plugin, environment, arguments.at_once).print()


if __name__ == "__main__":
    main()
