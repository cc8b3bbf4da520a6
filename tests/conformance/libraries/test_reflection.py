"""grpc_reflection: the database of descriptors, which needs a channel that blocks, and the stub for asyncio."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conformance.interop import interop_pb2 as pb
from conformance.libraries.conftest import Factory, Serve
from conformance.libraries.service import CALLS, SERVICE, answering

NAMES = [reflection.SERVICE_NAME, SERVICE]


def reflecting(server: aio.Server) -> None:
    reflection.enable_server_reflection(NAMES, server)


async def test_sync_database_finds_services_and_messages(serve: Serve, connect_sync: Factory) -> None:
    with connect_sync(await serve(answering, reflecting)) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        assert sorted(await asyncio.to_thread(database.get_services)) == sorted(NAMES)
        service = await asyncio.to_thread(pool.FindServiceByName, SERVICE)
        message = await asyncio.to_thread(pool.FindMessageTypeByName, "grpc.testing.SimpleRequest")
        with pytest.raises(KeyError):
            await asyncio.to_thread(database.FindFileContainingSymbol, "grpc.testing.Nothing")
    assert set(CALLS) <= set(service.methods_by_name)
    assert message.fields_by_name.keys() == pb.SimpleRequest.DESCRIPTOR.fields_by_name.keys()


async def test_aio_stub_asks_several_things_on_one_stream(serve: Serve, connect: Factory) -> None:
    async with connect(await serve(answering, reflecting)) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = (await call.read()).list_services_response
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE))
        files = (await call.read()).file_descriptor_response.file_descriptor_proto
        await call.done_writing()
        assert await call.read() is aio.EOF
    assert sorted(service.name for service in listed.service) == sorted(NAMES)
    found = [descriptor_pb2.FileDescriptorProto.FromString(file) for file in files]
    assert SERVICE in {f"{file.package}.{service.name}" for file in found for service in file.service}
