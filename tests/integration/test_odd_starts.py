"""Starts among noise, busy files, other users and pauses; and what a refused one leaves behind."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ferrule.errors import LaunchError, PluginExitedError, RPCPluginError, SecurityError
from integration import certificates
from integration.kv import both_plugins, kv_client, started
from integration.processes import is_running
from peers import Command, python_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)


def wrapper(directory: Path, *lines: str) -> list[str]:
    """A shell script of these lines."""
    path = directory / "wrapper"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return [str(path)]


NOISE = {
    "text without a line end": ("Loading... ", "Loading... "),
    "text that ends in a digit": ("step 3", "step 3"),
    "byte order mark": (r"\357\273\277", r"\u{feff}"),
    "colour": (r"\033[32m", r"\u{1b}[32m"),
    "spinner": (r"|\b/\b-\b", r"|\u{8}/\u{8}-\u{8}"),
    "log line with bars": (r"1700000000|INFO|main|starting up\n", "1700000000|INFO|main|starting up"),
    "log line with bars and numbers": (r"1700000000|42|main|starting up\n", "1700000000|42|main|starting up"),
    "JSON": (r'{"@level":"info","@message":"a|b|c|d"}\n', "a|b|c|d"),
}


@both_plugins
@pytest.mark.parametrize(("text", "shown"), NOISE.values(), ids=NOISE.keys())
async def test_noise_before_the_handshake_is_a_warning(
    plugin: Command, text: str, shown: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = wrapper(tmp_path, f"printf {shlex.quote(text)}", f"exec {shlex.join(plugin())}")
    async with started(command):
        pass
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "printed before its handshake line" in warnings[0]
    assert shown in warnings[0]


REFUSED = {
    "net/rpc": "1|1|unix|PATH|netrpc|",
    "net/rpc by an absent field": "1|1|unix|PATH",
    "another protocol": "1|1|unix|PATH|http|",
    "another application version": "1|99|unix|PATH|grpc|",
    "another core version": "2|1|unix|PATH|grpc|",
    "Packer": "5|0|unix|PATH",
    "no certificate": "1|1|unix|PATH|grpc|",
    "a certificate that is none": f"1|1|unix|PATH|grpc|{'QUJD' * 20}",
    "not text": "1|1|unix|PATH|\udcff",
    "behind other text": "Loading... 1|99|unix|PATH|grpc|",
}
SOCKET_IN_TMPDIR = """
import os, signal, socket, sys
path = os.path.join(os.environ["TMPDIR"], f"plugin{os.getpid()}")
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
os.write(1, os.fsencode(sys.argv[1].replace("PATH", path)))
signal.pause()
"""
"""As old releases of go-plugin, which do not know the private directory, and cannot remove a socket when killed."""


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
async def test_refused_start_leaves_no_socket(line: str, temporary_directory: Path) -> None:
    client = kv_client([sys.executable, "-c", SOCKET_IN_TMPDIR, f"{line}\n"])
    with pytest.raises(RPCPluginError):
        await client.start()
    assert list(temporary_directory.iterdir()) == []


async def test_refused_start_leaves_other_files_than_sockets_alone(temporary_directory: Path) -> None:
    path = temporary_directory / "precious"
    path.write_text("kept")
    with pytest.raises(RPCPluginError):
        await kv_client(python_kv(f"raw-line=1|99|unix|{path}|grpc|")).start()
    assert path.read_text() == "kept"
    path.unlink()


def copied_plugin(directory: Path) -> tuple[Path, list[str]]:
    """A program of the test's own that runs the Python plugin, and the command for it."""
    program = directory / "plugin"
    shutil.copyfile("/bin/sh", program)
    program.chmod(0o755)
    return program, [str(program), "-c", f"exec {shlex.join(python_kv())}"]


async def test_program_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    program, command = copied_plugin(tmp_path)
    writer = program.open("ab")
    # Long enough for a first attempt, and shorter than the attempts go on.
    asyncio.get_running_loop().call_later(0.05, writer.close)
    async with started(command):
        assert writer.closed


async def test_program_that_stays_open_for_writing_is_refused(tmp_path: Path) -> None:
    program, command = copied_plugin(tmp_path)
    with program.open("ab"), pytest.raises(LaunchError) as caught:
        await kv_client(command, start_timeout=0.05).start()
    assert (caught.value.code, caught.value.exit_status) == ("launch.refused", None)
    assert "still open for writing" in caught.value.message
    assert "closed it" in str(caught.value.hint)


AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
"""A wrapper that starts the plugin as another user."""
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can start a process of another user"
)


@as_root
@pytest.mark.parametrize(
    "script",
    [
        ': > "$PLUGIN_UNIX_SOCKET_DIR/plugin1" || exit 1',
        'exec 2>&-; : > "$PLUGIN_UNIX_SOCKET_DIR/plugin1"',
        '(: > "$PLUGIN_UNIX_SOCKET_DIR/plugin1") || exec sleep 600',
    ],
    ids=["ends", "ends without a word", "hangs"],
)
async def test_plugin_that_runs_as_another_user_is_told_the_setting_for_it(script: str) -> None:
    with pytest.raises(RPCPluginError) as caught:
        await kv_client([*AS_NOBODY, "/bin/sh", "-c", script], start_timeout=2).start()
    assert "user 65534" in str(caught.value.hint)
    assert "set unix_socket_group" in str(caught.value.hint)


@as_root
async def test_child_of_a_wrapper_that_runs_as_another_user_is_told_the_setting_for_it() -> None:
    script = f"""{shlex.join(AS_NOBODY)} /bin/sh -c ': > "$PLUGIN_UNIX_SOCKET_DIR/plugin1"'; exit 1"""
    with pytest.raises(PluginExitedError) as caught:
        await kv_client(["/bin/sh", "-c", script]).start()
    assert "set unix_socket_group" in str(caught.value.hint)


@as_root
async def test_user_who_is_not_in_the_group_is_named() -> None:
    command = [*AS_NOBODY, "/bin/sh", "-c", ': > "$PLUGIN_UNIX_SOCKET_DIR/plugin1"']
    with pytest.raises(PluginExitedError) as caught:
        await kv_client(command, unix_socket_group="12345").start()
    assert "check that user 65534 is in it" in str(caught.value.hint)


GRPCIO_PLUGIN = """
import signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import grpc
folder, line = Path(sys.argv[1]), sys.argv[2]
key, certificate, authority = ((folder / name).read_bytes() for name in ("key", "certificate", "authority"))
server = grpc.server(ThreadPoolExecutor(1))
credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
port = server.add_secure_port("127.0.0.1:0", credentials)
server.start()
print(line.replace("PORT", str(port)), flush=True)
signal.pause()
"""
"""A plugin whose TLS is that of grpcio: it closes the connection of a client that it refuses without a word."""


@pytest.mark.parametrize(
    ("curve", "cure"), [("P-256", "PLUGIN_CLIENT_CERT"), ("P-521", "Leave certificate_curve at P-256")]
)
async def test_refused_certificate_is_named(curve: str, cure: str, tmp_path: Path) -> None:
    plugin, stranger = certificates.self_signed(), certificates.self_signed()
    contents = {"key": plugin.key_pem, "certificate": plugin.certificate_pem, "authority": stranger.certificate_pem}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    shown = base64.b64encode(plugin.certificate.public_bytes(Encoding.DER)).decode().rstrip("=")
    command = [sys.executable, "-c", GRPCIO_PLUGIN, str(tmp_path), f"1|1|tcp|127.0.0.1:PORT|grpc|{shown}"]
    with pytest.raises(SecurityError) as caught:
        await kv_client(command, certificate_curve=curve).start()
    assert caught.value.code == "tls.failed"
    assert "refuses the certificate of its client" in caught.value.message
    assert cure in str(caught.value.hint)


HOST = """
import asyncio, sys
from ferrule import RPCPluginClient
from ferrule.testing import KV_CONFIG

async def main():
    client = RPCPluginClient(sys.argv[2:], {**KV_CONFIG, "start_timeout": float(sys.argv[1]), "connect_timeout": 1.5})
    await client.start()
    await client.close()
    print("started")

asyncio.run(main())
"""


async def test_host_that_was_stopped_does_not_blame_its_plugin(tmp_path: Path, temporary_directory: Path) -> None:
    # The plugin takes twice the limit: a quick machine must not come so near to it that the host looks merely late.
    limit, begun, go_on = 1.0, tmp_path / "begun", tmp_path / "go-on"
    os.mkfifo(begun)
    os.mkfifo(go_on)
    plugin = wrapper(
        tmp_path, f"echo > {begun}", f"read -r _ < {go_on}", f"sleep {2 * limit}", f"exec {shlex.join(python_kv())}"
    )
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOST, str(limit), *plugin, stdout=asyncio.subprocess.PIPE
    )
    await asyncio.to_thread(begun.read_bytes)
    host.send_signal(signal.SIGSTOP)
    try:
        await asyncio.to_thread(go_on.write_text, "go on\n")
        # By then the limit has passed, and the plugin is where it prints its line.
        await until(lambda: any(path.is_socket() for path in temporary_directory.rglob("*")))
    finally:
        host.send_signal(signal.SIGCONT)
    output, _ = await host.communicate()
    assert (host.returncode, output) == (0, b"started\n")


STOPPING_HOST = """
import asyncio, sys
from ferrule import RPCPluginClient
from ferrule.testing import KV_CONFIG

async def main():
    client = RPCPluginClient(sys.argv[2:], {**KV_CONFIG, "shutdown_timeout": float(sys.argv[1])})
    await client.start()
    print(client.pid, flush=True)
    await client.shutdown_plugin()
    print(client.stop_report.rung, client.exit_status)

asyncio.run(main())
"""


async def test_host_that_was_stopped_does_not_force_its_plugin(tmp_path: Path) -> None:
    limit, ending, go_on = 1.0, tmp_path / "ending", tmp_path / "go-on"
    os.mkfifo(ending)
    os.mkfifo(go_on)
    plugin = wrapper(
        tmp_path, shlex.join(python_kv()), f"echo > {ending}", f"read -r _ < {go_on}", f"sleep {2 * limit}"
    )
    command = [sys.executable, "-c", STOPPING_HOST, str(limit), *plugin]
    host = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert host.stdout is not None
    pid = int(await host.stdout.readline())
    await asyncio.to_thread(ending.read_bytes)
    host.send_signal(signal.SIGSTOP)
    try:
        await asyncio.to_thread(go_on.write_text, "go on\n")
        await until(lambda: not is_running(pid))
    finally:
        host.send_signal(signal.SIGCONT)
    output, _ = await host.communicate()
    assert (host.returncode, output) == (0, b"shutdown 0\n")
