"""The description of the test plugins' service in Python is that from which the Go plugin was generated."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from ferrule.client import RPCPluginClient
from ferrule.reflection import ServerReflection
from ferrule.testing import KV_CONFIG, kv_pb2
from peers import go_peer

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]


def described(described_by: Any) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    described_by.CopyToProto(file)
    file.name = "kv.proto"  # The directory is that of whoever generates.
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")  # Go writes it out; it follows from the name.
    return file


async def test_go_and_python_plugin_have_the_same_contract() -> None:
    async with RPCPluginClient([str(go_peer("kv"))], KV_CONFIG) as client:
        assert client.grpc_channel is not None
        request = await ServerReflection(client.grpc_channel).message_type("kv.PutRequest")
    assert described(kv_pb2.DESCRIPTOR) == described(request.DESCRIPTOR.file)
