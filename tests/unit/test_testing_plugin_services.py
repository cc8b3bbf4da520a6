"""What the plugin of `ferrule.testing` serves: health, reflection, its own calls, stdio, shutdown."""

import queue
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2

from ferrule.testing import kv_pb2
from ferrule.testing.server import THREADS
from plugin_process import LIMIT_SECONDS, Launch, Plugin, launcher

SERVING = b"\x08\x01"


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    with launcher(tmp_path_factory.mktemp) as start:
        yield start


@pytest.fixture(scope="module")
def plugin(launch: Launch) -> Plugin:
    """One plugin for the tests that leave it as it was."""
    return launch()


def wire_fields(data: bytes) -> list[tuple[int, Any]]:
    """Protobuf's wire format, read without any description: numbers with integers and bytes."""
    position, found = 0, []

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        number, kind = divmod(varint(), 8)
        value: Any = varint()
        if kind == 2:
            position += value
            value = data[position - value : position]
        found.append((number, value))
    return found


@pytest.mark.parametrize("service", [b"plugin", b""])
def test_health_serving(plugin: Plugin, service: bytes) -> None:
    assert plugin.ping(service) == SERVING


def test_health_knows_no_application_service(plugin: Plugin) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        plugin.ping(b"kv.KV")
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


def test_services_left_out(launch: Launch) -> None:
    bare = launch("no-health", "no-stdio")
    for call in (bare.ping, lambda: next(bare.stdio())):
        with pytest.raises(grpc.RpcError) as failure:
            call()
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert not {b"grpc.health.v1.Health", b"plugin.GRPCStdio"} & set(list_services(bare))


def reflect(plugin: Plugin, version: str, number: int, text: bytes) -> list[tuple[int, Any]]:
    """Ask one reflection question; the fields of the answer."""
    method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    question = bytes([number << 3 | 2, len(text)]) + text
    (answer,) = plugin.channel.stream_stream(method)(iter([question]), timeout=LIMIT_SECONDS)
    fields = wire_fields(answer)
    assert fields[0] == (2, question)
    return fields[1:]


def list_services(plugin: Plugin, version: str = "v1") -> list[bytes]:
    ((number, services),) = reflect(plugin, version, 7, b"")
    assert number == 6
    return [dict(wire_fields(service))[1] for _, service in wire_fields(services)]


def described_files(plugin: Plugin, number: int, text: bytes) -> list[descriptor_pb2.FileDescriptorProto]:
    ((answer, files),) = reflect(plugin, "v1", number, text)
    assert answer == 4
    return [descriptor_pb2.FileDescriptorProto.FromString(file) for _, file in wire_fields(files)]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_services(plugin: Plugin, version: str) -> None:
    assert list_services(plugin, version) == [
        b"grpc.health.v1.Health",
        b"grpc.reflection.v1.ServerReflection",
        b"grpc.reflection.v1alpha.ServerReflection",
        b"kv.KV",
        b"plugin.GRPCController",
        b"plugin.GRPCStdio",
    ]


@pytest.mark.parametrize("symbol", [b"kv.KV", b"kv.KV.Watch", b"kv.EchoRequest"])
def test_reflection_finds_the_file_of_a_symbol(plugin: Plugin, symbol: bytes) -> None:
    (file,) = described_files(plugin, 4, symbol)
    methods = [method.name for method in file.service[0].method]
    assert methods == ["Put", "Get", "Echo", "Watch", "Chat", "Noise", "Exit"]


def test_reflection_sends_dependencies(plugin: Plugin) -> None:
    files = described_files(plugin, 3, b"ferrule/plugin.proto")
    assert [file.name for file in files] == ["ferrule/plugin.proto", "google/protobuf/empty.proto"]


@pytest.mark.parametrize(("number", "text", "code"), [(3, b"no.proto", 5), (4, b"no.Symbol", 5), (6, b"kv.KV", 12)])
def test_reflection_errors(plugin: Plugin, number: int, text: bytes, code: int) -> None:
    ((answer, error),) = reflect(plugin, "v1", number, text)
    assert (answer, dict(wire_fields(error))[1]) == (7, code)


def test_put_and_get(plugin: Plugin) -> None:
    plugin.kv.Put(kv_pb2.PutRequest(key="k", value=b"v"), timeout=LIMIT_SECONDS)
    assert plugin.kv.Get(kv_pb2.GetRequest(key="k"), timeout=LIMIT_SECONDS).value == b"v"
    with pytest.raises(grpc.RpcError) as failure:
        plugin.kv.Get(kv_pb2.GetRequest(key="other"), timeout=LIMIT_SECONDS)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("size", [1, 5 << 20])
def test_echo(plugin: Plugin, size: int) -> None:
    sent = kv_pb2.EchoRequest(payload=b"x" * size)
    assert plugin.kv.Echo(sent, timeout=LIMIT_SECONDS).payload == sent.payload
    sent.response_bytes = size + 1
    assert plugin.kv.Echo(sent, timeout=LIMIT_SECONDS).payload == bytes(size + 1)


def test_watch_and_chat(plugin: Plugin) -> None:
    watched = plugin.kv.Watch(kv_pb2.WatchRequest(count=3, size=4), timeout=LIMIT_SECONDS)
    assert [message.payload for message in watched] == [bytes(4)] * 3
    spoken = [kv_pb2.EchoRequest(payload=b"a"), kv_pb2.EchoRequest(payload=b"b")]
    assert [message.payload for message in plugin.kv.Chat(iter(spoken), timeout=LIMIT_SECONDS)] == [b"a", b"b"]


def test_noise_goes_to_the_descriptors(launch: Launch) -> None:
    noisy = launch()
    before = noisy.stderr.read_bytes()
    noisy.kv.Noise(
        kv_pb2.NoiseRequest(stdout_bytes=250, stderr_bytes=200, stderr_line_bytes=70_000, stderr_lines=["[WARN] é"]),
        timeout=LIMIT_SECONDS,
    )
    written = noisy.stderr.read_bytes().removeprefix(before).split(b"\n")
    assert [len(line) for line in written] == [99, 99, 70_000, len("[WARN] é".encode()), 0]
    noisy.process.kill()
    assert noisy.process.stdout is not None
    assert [len(line) for line in noisy.process.stdout.read().split(b"\n")] == [99, 99, 49, 0]


def stdio_chunks(call: Any, total: int) -> list[tuple[int, bytes]]:
    """Channel and data of each message until `total` bytes have come."""
    chunks: list[tuple[int, bytes]] = []
    while sum(len(data) for _, data in chunks) < total:
        (_, channel), (_, data) = wire_fields(next(call))
        chunks.append((channel, data))
    return chunks


def test_stdio_keeps_what_was_written_before_and_splits_it(launch: Launch) -> None:
    talker = launch()
    out, err = "é" * 2500, "warning\n"
    talker.kv.Noise(kv_pb2.NoiseRequest(synced_stdout=out, synced_stderr=err), timeout=LIMIT_SECONDS)
    chunks = stdio_chunks(talker.stdio(), 5000 + len(err))
    assert [(channel, len(data)) for channel, data in chunks] == [*[(1, 1024)] * 4, (1, 904), (2, 8)]
    assert b"".join(data for channel, data in chunks if channel == 1).decode() == out


def test_stdio_holds_a_writer_back_until_someone_reads(launch: Launch) -> None:
    talker = launch()
    request = kv_pb2.NoiseRequest(synced_stdout="x" * 200_000)
    with pytest.raises(grpc.RpcError) as failure:
        talker.kv.Noise(request, timeout=1)
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert sum(len(data) for _, data in stdio_chunks(talker.stdio(), 200_000)) == 200_000


def test_cancelled_stdio_readers_free_their_threads(launch: Launch) -> None:
    talker = launch()
    assert talker.ping() == SERVING
    readers = [talker.stdio() for _ in range(THREADS)]
    with pytest.raises(grpc.RpcError) as failure:
        talker.call("/grpc.health.v1.Health/Check", limit=0.5)
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    for reader in readers:
        reader.cancel()
    assert talker.ping() == SERVING


def test_shutdown_ends_everything_with_exit_0(launch: Launch) -> None:
    plugin = launch()
    stdio = plugin.stdio()
    requests: queue.SimpleQueue[kv_pb2.EchoRequest | None] = queue.SimpleQueue()
    requests.put(kv_pb2.EchoRequest(payload=b"open"))
    chat = plugin.kv.Chat(iter(requests.get, None), timeout=LIMIT_SECONDS)
    assert next(chat).payload == b"open"
    begun = time.monotonic()
    assert plugin.shutdown() == b""
    assert list(stdio) == []
    assert plugin.process.wait(LIMIT_SECONDS) == 0
    assert time.monotonic() - begun < LIMIT_SECONDS / 2
    assert sorted(plugin.stderr.parent.iterdir()) == [plugin.stderr]
    assert chat.code() is not grpc.StatusCode.OK
    requests.put(None)


def test_ignore_shutdown_answers_and_goes_on(launch: Launch) -> None:
    plugin = launch("ignore-shutdown")
    assert plugin.shutdown() == b""
    assert plugin.ping() == SERVING


def test_hang_shutdown_never_answers(launch: Launch) -> None:
    plugin = launch("hang-shutdown")
    with pytest.raises(grpc.RpcError) as failure:
        plugin.shutdown(limit=0.5)
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert plugin.ping() == SERVING


@pytest.mark.parametrize(("request_", "status"), [({"code": 3}, 3), ({"code": 3, "panic": "boom"}, 2)])
def test_exit_call(launch: Launch, request_: dict[str, Any], status: int) -> None:
    plugin = launch()
    with pytest.raises(grpc.RpcError) as failure:
        plugin.kv.Exit(kv_pb2.ExitRequest(**request_), timeout=LIMIT_SECONDS)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert plugin.process.wait(LIMIT_SECONDS) == status
    assert ("\npanic: boom\n" in plugin.stderr.read_text()) == ("panic" in request_)
