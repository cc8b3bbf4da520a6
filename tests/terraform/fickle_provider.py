"""A provider whose resource `fickle_thing` does what its attribute `mood` says, for the tests of the command line.

| mood | what happens |
|---|---|
| `fails` | the apply answers with an error, and with the object as far as it came |
| `crashes` | the provider's process ends in the middle of the apply |
| `waits` | the apply logs that it has begun, and ends when the provider is asked to stop |
| `warns` | the plan answers with a warning |
| `drifts` | each read finds another size |
| `vanishes` | each read finds nothing |

A change of `name` needs a replacement.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import grpc

from ferrule.server import GRPCBroker, ServerConfig, serve
from ferrule.server.proto_file import codecs
from ferrule.terraform import cty
from ferrule.terraform.messages import Protocol, dynamic_value, new_message

PROTOCOL = Protocol.of(6)
THING = cty.Object({"id": cty.STRING, "mood": cty.STRING, "name": cty.STRING, "secret": cty.STRING, "size": cty.NUMBER})
TEXT, NUMBER = b'"string"', b'"number"'
SCHEMA = {
    "block": {
        "description": "A thing with moods.",
        "attributes": [
            {"name": "id", "type": TEXT, "computed": True},
            {"name": "mood", "type": TEXT, "optional": True, "description": "What goes wrong."},
            {"name": "name", "type": TEXT, "required": True},
            {"name": "secret", "type": TEXT, "optional": True, "sensitive": True},
            {"name": "size", "type": NUMBER, "optional": True},
        ],
    }
}
CONFIGURATION = {"block": {"attributes": [{"name": "region", "type": TEXT, "optional": True}]}}
IDENTITY = {"identity_attributes": [{"name": "name", "type": TEXT, "required_for_import": True}]}

stopped = threading.Event()


def value_of(message: Any) -> Any:
    return dynamic_value(message, THING)


def sent(value: Any) -> dict[str, bytes]:
    return {"msgpack": cty.encode(value, THING)}


def problem(severity: int, summary: str, detail: str, attribute: str) -> dict[str, Any]:
    path = {"steps": [{"attribute_name": attribute}]}
    return {"severity": severity, "summary": summary, "detail": detail, "attribute": path}


def schema(request: Any) -> dict[str, Any]:
    things = {"fickle_thing": SCHEMA}
    return {"provider": CONFIGURATION, "resource_schemas": things, "data_source_schemas": things}


def configure(request: Any) -> dict[str, Any]:
    config = dynamic_value(request.config, cty.Object({"region": cty.STRING}))
    if config["region"] == "nowhere":
        return {"diagnostics": [problem(1, "No such region", "There is no nowhere.", "region")]}
    return {}


def upgrade(request: Any) -> dict[str, Any]:
    return {"upgraded_state": sent(cty.decode_json(request.raw_state.json, THING))}


def read(request: Any) -> dict[str, Any]:
    state = value_of(request.current_state)
    if state["mood"] == "vanishes":
        return {"new_state": sent(None)}
    if state["mood"] == "drifts":
        state["size"] += 1
    return {"new_state": sent(state), "private": request.private}


def plan(request: Any) -> dict[str, Any]:
    proposed, prior = value_of(request.proposed_new_state), value_of(request.prior_state)
    if proposed is None:
        return {"planned_state": sent(None)}
    changes: dict[str, Any] = {}
    if prior is None:
        proposed["id"] = cty.UNKNOWN
    elif prior["name"] != proposed["name"]:
        proposed["id"] = cty.UNKNOWN
        changes["requires_replace"] = [{"steps": [{"attribute_name": "name"}]}]
    if proposed["mood"] == "warns":
        changes["diagnostics"] = [problem(2, "Bad weather", "It may rain.", "mood")]
    return {"planned_state": sent(proposed), "planned_private": b"kept", **changes}


def apply(request: Any) -> dict[str, Any]:
    planned, prior = value_of(request.planned_state), value_of(request.prior_state)
    if planned is None:
        if prior["mood"] == "fails":
            return {"new_state": sent(prior), "diagnostics": [problem(1, "It stays", "It does not go.", "mood")]}
        return {"new_state": sent(None)}
    planned["id"] = f"thing-{planned['name']}"
    if planned["mood"] == "fails":
        return {"new_state": sent(planned), "diagnostics": [problem(1, "It broke", "Half of it is there.", "mood")]}
    if planned["mood"] == "crashes":
        os._exit(3)
    if planned["mood"] == "waits":
        logging.getLogger("fickle").warning("the apply has begun")
        stopped.wait()
    return {"new_state": sent(planned), "private": request.planned_private}


def import_(request: Any) -> dict[str, Any]:
    name = request.id
    if request.HasField("identity"):
        name = dynamic_value(request.identity.identity_data, cty.Object({"name": cty.STRING}))["name"]
    if name == "nothing":
        return {"diagnostics": [problem(1, "Not there", "There is no such thing.", "id")]}
    state = {"id": f"thing-{name}", "name": name, "size": 1, "mood": None, "secret": "hidden"}
    return {"imported_resources": [{"type_name": request.type_name, "state": sent(state)}]}


def read_data_source(request: Any) -> dict[str, Any]:
    config = value_of(request.config)
    return {"state": sent({**config, "id": f"thing-{config['name']}"})}


def stop(request: Any) -> dict[str, Any]:
    stopped.set()
    return {}


def identities(request: Any) -> dict[str, Any]:
    return {"identity_schemas": {"fickle_thing": IDENTITY}}


def nothing(request: Any) -> dict[str, Any]:
    return {}


ANSWERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "GetProviderSchema": schema,
    "GetResourceIdentitySchemas": identities,
    "ValidateProviderConfig": nothing,
    "ConfigureProvider": configure,
    "ValidateResourceConfig": nothing,
    "ValidateDataResourceConfig": nothing,
    "UpgradeResourceState": upgrade,
    "ReadResource": read,
    "PlanResourceChange": plan,
    "ApplyResourceChange": apply,
    "ImportResourceState": import_,
    "ReadDataSource": read_data_source,
    "StopProvider": stop,
}


def handler() -> grpc.GenericRpcHandler:
    handlers = {}
    for name, answer in ANSWERS.items():
        request, response = codecs(PROTOCOL.service.methods_by_name[name])

        def behave(message: Any, context: Any, response: Any = response, answer: Any = answer) -> Any:
            return new_message(response, answer(message))

        handlers[name] = grpc.unary_unary_rpc_method_handler(
            behave, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )
    return grpc.method_handlers_generic_handler(PROTOCOL.service.full_name, handlers)


def register(server: grpc.aio.Server, broker: GRPCBroker) -> None:
    server.add_generic_rpc_handlers((handler(),))


if __name__ == "__main__":
    serve(register, ServerConfig.terraform(protocol_versions=(6,)))
