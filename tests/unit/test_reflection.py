"""Server reflection as a client: against the test plugin, and against servers that answer badly."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2

from ferrule.errors import ProtocolError, TransportError
from ferrule.reflection import MethodFacts, ServerReflection
from ferrule.server.descriptors import message_class
from ferrule.testing import kv_pb2
from plugin_process import LIMIT_SECONDS, Launch, launcher

_Field = descriptor_pb2.FieldDescriptorProto

Answer = Callable[[Any, Any], None]
"""Fills in the response to one question."""


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    with launcher(tmp_path_factory.mktemp) as start:
        yield start


@pytest.fixture(scope="module")
def plugin_target(launch: Launch) -> str:
    return f"unix:{launch().fields[3]}"


@pytest.fixture
async def plugin(plugin_target: str) -> AsyncIterator[ServerReflection]:
    async with grpc.aio.insecure_channel(plugin_target) as channel:
        yield ServerReflection(channel, timeout=LIMIT_SECONDS)


class Server:
    """A server whose reflection is the given function, in one protocol version."""

    def __init__(self, answer: Answer, version: str = "v1") -> None:
        self.questions: list[str] = []
        self._answer = answer
        self._package = f"grpc.reflection.{version}"

    def handler(self) -> grpc.GenericRpcHandler:
        method = grpc.stream_stream_rpc_method_handler(
            self.converse,
            request_deserializer=message_class(f"{self._package}.ServerReflectionRequest").FromString,
            response_serializer=message_class(f"{self._package}.ServerReflectionResponse").SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            f"{self._package}.ServerReflection", {"ServerReflectionInfo": method}
        )

    async def converse(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        response_class = message_class(f"{self._package}.ServerReflectionResponse")
        async for request in requests:
            kind = request.WhichOneof("message_request")
            self.questions.append(f"{kind}={getattr(request, kind)}")
            response = response_class()
            self._answer(request, response)
            yield response


@asynccontextmanager
async def running(directory: Path, *servers: Server, timeout: float = LIMIT_SECONDS) -> AsyncIterator[ServerReflection]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(each.handler() for each in servers))
    target = f"unix:{directory}/s"
    server.add_insecure_port(target)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            yield ServerReflection(channel, timeout=timeout)
    finally:
        await server.stop(None)


Serve = Callable[..., AbstractAsyncContextManager[ServerReflection]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    return functools.partial(running, tmp_path)


def file_server(*files: descriptor_pb2.FileDescriptorProto) -> Answer:
    """Answers with single files, leaving the imports to further questions, as grpc-java does."""
    by_name = {file.name: file for file in files}
    by_symbol = {f"{file.package}.{message.name}": file for file in files for message in file.message_type}

    def answer(request: Any, response: Any) -> None:
        kind = request.WhichOneof("message_request")
        file = {"file_by_filename": by_name, "file_containing_symbol": by_symbol}[kind].get(getattr(request, kind))
        if file is None:
            response.error_response.error_code = 5
            response.error_response.error_message = "no such file"
        else:
            response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())

    return answer


def proto_file(name: str, message: str, *imported: tuple[str, str]) -> descriptor_pb2.FileDescriptorProto:
    """`name` defines `message`, which has one field of each imported (file, message)."""
    package, _, short = message.rpartition(".")
    fields = [
        _Field(
            name=f"field_{number}",
            number=number,
            type=_Field.TYPE_MESSAGE,
            label=_Field.LABEL_OPTIONAL,
            type_name=f".{type_name}",
        )
        for number, (_, type_name) in enumerate(imported, 1)
    ]
    return descriptor_pb2.FileDescriptorProto(
        name=name,
        package=package,
        syntax="proto3",
        dependency=[file for file, _ in imported],
        message_type=[descriptor_pb2.DescriptorProto(name=short, field=fields)],
    )


async def test_services_of_plugin(plugin: ServerReflection) -> None:
    assert await plugin.services() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "kv.KV",
        "plugin.GRPCController",
        "plugin.GRPCStdio",
    ]


async def test_methods_of_plugin(plugin: ServerReflection) -> None:
    methods = {method.name: method for method in await plugin.methods("kv.KV")}
    assert list(methods) == ["Put", "Get", "Echo", "Watch", "Chat", "Noise", "Exit"]
    assert methods["Get"] == MethodFacts("Get", False, False, "kv.GetRequest", "kv.GetResponse")
    assert methods["Watch"] == MethodFacts("Watch", False, True, "kv.WatchRequest", "kv.EchoResponse")
    assert methods["Chat"] == MethodFacts("Chat", True, True, "kv.EchoRequest", "kv.EchoResponse")


async def test_every_service_of_plugin_can_be_described(plugin: ServerReflection) -> None:
    """The reflection service among them, whose messages this client defines for itself too."""
    for service in await plugin.services():
        assert await plugin.methods(service)


async def test_stub_unary(plugin: ServerReflection) -> None:
    put, get = [await plugin.message_type(f"kv.{name}Request") for name in ("Put", "Get")]
    kv = await plugin.stub("kv.KV")
    await kv.Put(put(key="colour", value=b"green"))
    assert (await kv.Get(get(key="colour"))).value == b"green"


async def test_stub_streams(plugin: ServerReflection) -> None:
    echo, watch = await plugin.message_type("kv.EchoRequest"), await plugin.message_type("kv.WatchRequest")
    kv = await plugin.stub("kv.KV")
    assert [len(item.payload) async for item in kv.Watch(watch(count=3, size=7))] == [7, 7, 7]
    chat = kv.Chat(iter([echo(payload=b"a"), echo(payload=b"b")]))
    assert [item.payload async for item in chat] == [b"a", b"b"]


async def test_stub_takes_messages_of_generated_code(plugin: ServerReflection) -> None:
    kv = await plugin.stub("kv.KV")
    response = await kv.Echo(kv_pb2.EchoRequest(payload=b"hello"))
    assert response.payload == b"hello"
    assert not isinstance(response, kv_pb2.EchoResponse)  # its descriptor is private to the reflection


async def test_stub_names_its_methods(plugin: ServerReflection) -> None:
    kv = await plugin.stub("kv.KV")
    with pytest.raises(AttributeError, match=r"service kv\.KV has no method 'Got'; it has Chat, Echo, Exit, Get"):
        _ = kv.Got


async def test_unknown_service(plugin: ServerReflection) -> None:
    with pytest.raises(ProtocolError, match=r"file_containing_symbol 'kv\.VK' with error 5"):
        await plugin.methods("kv.VK")


async def test_message_is_not_a_service(plugin: ServerReflection) -> None:
    with pytest.raises(ProtocolError, match=r"'kv\.GetRequest' is not a service"):
        await plugin.stub("kv.GetRequest")


async def test_service_is_not_a_message(plugin: ServerReflection) -> None:
    with pytest.raises(ProtocolError, match=r"'kv\.KV' is not a message"):
        await plugin.message_type("kv.KV")


async def test_falls_back_to_v1alpha(serve: Serve) -> None:
    server = Server(file_server(proto_file("a.proto", "a.A"), proto_file("b.proto", "b.B")), version="v1alpha")
    async with serve(server) as reflection:
        assert (await reflection.message_type("a.A")).DESCRIPTOR.full_name == "a.A"
        assert (await reflection.message_type("b.B")).DESCRIPTOR.full_name == "b.B"
    assert server.questions == ["file_containing_symbol=a.A", "file_containing_symbol=b.B"]


async def test_no_reflection(tmp_path: Path) -> None:
    # A server that refuses from a thread of its own, again and again: where a request is written to an open stream, one
    # in four of these refusals arrives before the request is written, and its status is lost.
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
            reflection = ServerReflection(channel, timeout=LIMIT_SECONDS)
            for _ in range(40):
                with pytest.raises(ProtocolError, match=r"no reflection service \(tried v1, v1alpha"):
                    await reflection.services()
    finally:
        server.stop(None).wait(LIMIT_SECONDS)


async def test_services_are_sorted_and_asked_for_once(serve: Serve) -> None:
    def answer(_: Any, response: Any) -> None:
        for name in ("z.Z", "a.A"):
            response.list_services_response.service.add(name=name)

    server = Server(answer)
    async with serve(server) as reflection:
        first = await reflection.services()
        first.clear()  # the caller's list, not the kept one
        assert await reflection.services() == ["a.A", "z.Z"]
    assert server.questions == ["list_services=*"]


async def test_imports_are_fetched_by_name(serve: Serve) -> None:
    server = Server(
        file_server(
            proto_file("top.proto", "top.Top", ("left.proto", "x.Left"), ("right.proto", "x.Right")),
            proto_file("left.proto", "x.Left", ("base.proto", "x.Base")),
            proto_file("right.proto", "x.Right", ("base.proto", "x.Base")),
            proto_file("base.proto", "x.Base"),
            proto_file("other.proto", "y.Other", ("base.proto", "x.Base")),
        )
    )
    async with serve(server) as reflection:
        top: Any = await reflection.message_type("top.Top")
        assert top.DESCRIPTOR.fields_by_name["field_2"].message_type.full_name == "x.Right"
        await reflection.message_type("y.Other")
        await reflection.message_type("x.Left")
    assert server.questions == [
        "file_containing_symbol=top.Top",
        "file_by_filename=left.proto",
        "file_by_filename=base.proto",
        "file_by_filename=right.proto",
        "file_containing_symbol=y.Other",
    ]


async def test_lookups_at_once_share_a_file(serve: Serve) -> None:
    base = ("base.proto", "x.Base")
    files = proto_file("base.proto", "x.Base"), proto_file("a.proto", "a.A", base), proto_file("b.proto", "b.B", base)
    async with serve(Server(file_server(*files))) as reflection:
        found = await asyncio.gather(*(reflection.message_type(name) for name in ("a.A", "b.B", "x.Base")))
    assert [message.DESCRIPTOR.full_name for message in found] == ["a.A", "b.B", "x.Base"]


async def test_well_known_file_missing_on_the_server(serve: Serve) -> None:
    imported = ("google/protobuf/timestamp.proto", "google.protobuf.Timestamp")
    async with serve(Server(file_server(proto_file("a.proto", "a.A", imported)))) as reflection:
        message = (await reflection.message_type("a.A"))()
        message.field_1.FromSeconds(5)  # type: ignore[attr-defined]
        assert message.SerializeToString() == b"\x0a\x02\x08\x05"


@pytest.mark.parametrize("name", ["gone.proto", "google/protobuf/gone.proto", "google/protobuf/../x.proto"])
async def test_missing_import(serve: Serve, name: str) -> None:
    async with serve(Server(file_server(proto_file("a.proto", "a.A", (name, "x.Gone"))))) as reflection:
        with pytest.raises(ProtocolError, match=rf"file_by_filename '{name}' with error 5: no such file"):
            await reflection.message_type("a.A")


async def test_another_file_than_asked_for(serve: Serve) -> None:
    """A Go plugin that registers one .proto file under two paths; asking again would never end."""

    def answer(_: Any, response: Any) -> None:
        file = proto_file("a.proto", "a.A", ("dir/b.proto", "b.B"))
        response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())

    async with serve(Server(answer)) as reflection:
        with pytest.raises(ProtocolError, match=r"asked for 'dir/b\.proto'.* described another file"):
            await reflection.message_type("a.A")


async def test_import_cycle(serve: Serve) -> None:
    files = proto_file("a.proto", "a.A", ("b.proto", "b.B")), proto_file("b.proto", "b.B", ("a.proto", "a.A"))
    async with serve(Server(file_server(*files))) as reflection:
        with pytest.raises(ProtocolError, match=r"'a\.A'.* not usable.*cycle"):
            await reflection.message_type("a.A")


async def test_contradicting_file(serve: Serve) -> None:
    """A field whose type no import defines."""
    file = proto_file("a.proto", "a.A", ("b.proto", "b.Renamed"))
    async with serve(Server(file_server(file, proto_file("b.proto", "b.B")))) as reflection:
        with pytest.raises(ProtocolError, match=r"'a\.A'.* not usable.*b\.Renamed"):
            await reflection.message_type("a.A")


async def test_file_without_the_symbol(serve: Serve) -> None:
    def answer(_: Any, response: Any) -> None:
        file = proto_file("b.proto", "b.B")
        response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())

    async with serve(Server(answer)) as reflection:
        with pytest.raises(ProtocolError, match=r"'a\.A'.* not usable"):
            await reflection.message_type("a.A")


async def test_bytes_that_are_no_file(serve: Serve) -> None:
    def answer(_: Any, response: Any) -> None:
        response.file_descriptor_response.file_descriptor_proto.append(b"\xff\xff")

    async with serve(Server(answer)) as reflection:
        with pytest.raises(ProtocolError, match="bytes that describe no"):
            await reflection.message_type("a.A")


async def test_error_answer(serve: Serve) -> None:
    def answer(_: Any, response: Any) -> None:
        response.error_response.error_code = 7
        response.error_response.error_message = "not for you"

    async with serve(Server(answer)) as reflection:
        with pytest.raises(ProtocolError, match=r"list_services '\*' with error 7: not for you"):
            await reflection.services()


async def test_stream_ends_without_an_answer(serve: Serve) -> None:
    class Silent(Server):
        async def converse(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
            async for _request in requests:
                return
            yield

    async with serve(Silent(file_server())) as reflection:
        with pytest.raises(ProtocolError, match=r"ended the reflection stream instead of answering list_services"):
            await reflection.services()


async def test_call_fails(serve: Serve) -> None:
    def answer(_: Any, __: Any) -> None:
        raise RuntimeError("boom")

    async with serve(Server(answer)) as reflection:
        with pytest.raises(TransportError, match=r"list_services .* failed with UNKNOWN: .*boom"):
            await reflection.services()


async def test_time_limit(serve: Serve) -> None:
    class Hanging(Server):
        async def converse(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
            async for _request in requests:
                await asyncio.Event().wait()
            yield

    async with serve(Hanging(file_server()), timeout=0.1) as reflection:
        with pytest.raises(TransportError, match="DEADLINE_EXCEEDED") as failure:
            await reflection.services()
    assert "0.1 s" in (failure.value.hint or "")
