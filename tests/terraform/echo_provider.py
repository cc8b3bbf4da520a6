"""A provider that gives back each value that it gets, decoded by its type and encoded again.

Started with 5 or 6, the version of the protocol. Its resource and data source `echo_value` have one attribute, `value`,
of type dynamic, and so has its function `echo`. Any other function is named by the type of its only argument, in cty's
notation; after `json:` the answer is in JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import grpc

from ferrule.server import GRPCBroker, ServerConfig, serve
from ferrule.server.proto_file import codecs
from ferrule.terraform import cty
from ferrule.terraform.messages import Protocol, dynamic_value, new_message
from ferrule.terraform.messages.protocol import NAMES_OF_PROTOCOL_5

VALUE = cty.Object({"value": cty.DYNAMIC})
SCHEMA = {"block": {"attributes": [{"name": "value", "type": b'"dynamic"', "optional": True}]}}
ANYTHING = {"name": "value", "type": b'"dynamic"', "allow_null_value": True, "allow_unknown_values": True}


def again(message: Any, of: cty.Type = VALUE) -> dict[str, bytes]:
    return {"msgpack": cty.encode(dynamic_value(message, of), of)}


def schema(request: Any) -> dict[str, Any]:
    return {
        "provider": {"block": {}},
        "resource_schemas": {"echo_value": SCHEMA},
        "data_source_schemas": {"echo_value": SCHEMA},
        "functions": {"echo": {"parameters": [ANYTHING], "return": {"type": b'"dynamic"'}}},
        "server_capabilities": {"get_provider_schema_optional": True},
    }


def upgrade(request: Any) -> dict[str, Any]:
    return {"upgraded_state": {"json": cty.encode_json(cty.decode_json(request.raw_state.json, VALUE), VALUE).encode()}}


def read(request: Any) -> dict[str, Any]:
    return {"new_state": again(request.current_state), "private": request.private}


def plan(request: Any) -> dict[str, Any]:
    return {"planned_state": again(request.proposed_new_state), "planned_private": request.prior_private}


def apply(request: Any) -> dict[str, Any]:
    return {"new_state": again(request.planned_state), "private": request.planned_private}


def read_data_source(request: Any) -> dict[str, Any]:
    return {"state": again(request.config)}


def call_function(request: Any) -> dict[str, Any]:
    notation = request.name.removeprefix("json:")
    of = cty.DYNAMIC if notation == "echo" else cty.Type.from_json(notation)
    (argument,) = request.arguments
    if notation == request.name:
        return {"result": again(argument, of)}
    return {"result": {"json": cty.encode_json(dynamic_value(argument, of), of).encode()}}


ANSWERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "GetProviderSchema": schema,
    "UpgradeResourceState": upgrade,
    "ReadResource": read,
    "PlanResourceChange": plan,
    "ApplyResourceChange": apply,
    "ReadDataSource": read_data_source,
    "CallFunction": call_function,
}
SILENT = ("ValidateProviderConfig", "ConfigureProvider", "StopProvider", "ValidateResourceConfig")


def provider(protocol: Protocol) -> grpc.GenericRpcHandler:
    handlers = {}
    for name, answer in {**ANSWERS, **dict.fromkeys((*SILENT, "ValidateDataResourceConfig"), lambda _: {})}.items():
        own_name = NAMES_OF_PROTOCOL_5.get(name, name) if protocol.version == 5 else name
        request, response = codecs(protocol.service.methods_by_name[own_name])

        async def behave(message: Any, context: Any, response: Any = response, answer: Any = answer) -> Any:
            return new_message(response, answer(message))

        handlers[own_name] = grpc.unary_unary_rpc_method_handler(
            behave, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )
    return grpc.method_handlers_generic_handler(protocol.service.full_name, handlers)


def register(server: grpc.aio.Server, broker: GRPCBroker) -> None:
    server.add_generic_rpc_handlers((provider(Protocol.of(VERSION)),))


if __name__ == "__main__":
    VERSION = int(sys.argv[1])
    serve(register, ServerConfig.terraform(protocol_versions=(VERSION,)))
