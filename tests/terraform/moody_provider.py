"""A provider that does what the `mood` in its configuration says: crashes, refuses, waits for Stop, breaks the rules.

Started with 5 or 6, the version of the protocol, and perhaps a file, to which it adds the name of each method that is
called, in protocol 6's words. With a third word it serves in test mode, in which hosts come and go.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc

from ferrule.server import GRPCBroker, ReattachTarget, ServerConfig, serve
from ferrule.server.proto_file import codecs
from ferrule.terraform import cty
from ferrule.terraform.messages import Protocol, dynamic_value, new_message
from ferrule.terraform.messages.protocol import NAMES_OF_PROTOCOL_5

TYPES: dict[str, cty.Type] = {"string": cty.STRING, "number": cty.NUMBER, "map": cty.Map(cty.STRING)}
NUMBERS = {"set": 3, "list": 2, "single": 1}
DEAF = asyncio.Event()
"""Never set."""


def block(attributes: dict[str, str], blocks: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """A block: attributes as `type flag...` by name."""
    described = []
    for name, words in attributes.items():
        of, *flags = words.split()
        described.append({"name": name, "type": TYPES[of].json.encode(), **dict.fromkeys(flags, True)})
    return {
        "attributes": described,
        "block_types": [{"type_name": name, **each} for name, each in (blocks or {}).items()],
    }


THING = block(
    {
        "id": "string computed",
        "name": "string required",
        "mood": "string optional",
        "secret": "string optional sensitive",
        "tags": "map optional",
    },
    {"rule": {"nesting": NUMBERS["list"], "max_items": 2, "block": block({"port": "number required"})}},
)
RULE = cty.List(cty.Object({"port": cty.NUMBER}))
OBJECTS: dict[str, cty.Object] = {
    "moody_thing": cty.Object(
        {
            "id": cty.STRING,
            "name": cty.STRING,
            "mood": cty.STRING,
            "secret": cty.STRING,
            "tags": cty.Map(cty.STRING),
            "rule": RULE,
        }
    ),
    "moody_look": cty.Object({"key": cty.STRING, "value": cty.STRING}),
    "moody_token": cty.Object({"role": cty.STRING, "token": cty.STRING}),
    "identity": cty.Object({"id": cty.STRING}),
}
LOOK = block({"key": "string required", "value": "string computed"})
TOKEN = block({"role": "string required", "token": "string computed sensitive"})
SEARCH = block({"prefix": "string optional"})


def decoded(message: Any, name: str) -> Any:
    return dynamic_value(message, OBJECTS[name])


def encoded(value: Any, name: str) -> dict[str, bytes]:
    return {"msgpack": cty.encode(value, OBJECTS[name])}


def found(severity: int, summary: str, attribute: str = "") -> dict[str, Any]:
    where = {"attribute": {"steps": [{"attribute_name": attribute}]}} if attribute else {}
    return {"severity": severity, "summary": summary, **where}


ERROR, WARNING = 1, 2


def soon() -> dict[str, int]:
    """A Timestamp."""
    seconds, nanoseconds = divmod(time.time_ns() + 20_000_000, 1_000_000_000)
    return {"seconds": seconds, "nanos": nanoseconds}


class Moods:
    """The provider's answers; attributes are what it remembers."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()

    async def get_provider_schema(self, _: Any) -> dict[str, Any]:
        parameter = {"name": "word", "type": b'"string"'}
        answer: dict[str, Any] = {
            "provider": {"block": block({"region": "string optional", "password": "string optional sensitive"})},
            "resource_schemas": {"moody_thing": {"version": 1, "block": THING}},
            "data_source_schemas": {"moody_look": {"block": LOOK}},
            "functions": {"shout": {"parameters": [parameter], "return": {"type": b'"string"'}}},
            "ephemeral_resource_schemas": {"moody_token": {"block": TOKEN}},
            "list_resource_schemas": {"moody_thing": {"block": SEARCH}},
            "action_schemas": {"moody_act": {"schema": {"block": SEARCH}}},
        }
        return answer

    async def get_resource_identity_schemas(self, _: Any) -> dict[str, Any]:
        attribute = {"name": "id", "type": b'"string"', "required_for_import": True}
        return {"identity_schemas": {"moody_thing": {"version": 0, "identity_attributes": [attribute]}}}

    async def validate_provider_config(self, request: Any) -> dict[str, Any]:
        return {}

    async def configure_provider(self, request: Any) -> dict[str, Any]:
        config = dynamic_value(request.config, cty.Object({"region": cty.STRING, "password": cty.STRING}))
        return {"diagnostics": [found(ERROR, "No such region", "region")]} if config["region"] == "nowhere" else {}

    async def validate_resource_config(self, request: Any) -> dict[str, Any]:
        mood = decoded(request.config, request.type_name)["mood"]
        if mood == "refuse":
            return {"diagnostics": [found(WARNING, "Odd"), found(ERROR, "Refused", "mood")]}
        return {"diagnostics": [found(WARNING, "A strange mood", "mood")] if mood == "warn" else []}

    async def upgrade_resource_state(self, request: Any) -> dict[str, Any]:
        return {"upgraded_state": {"json": request.raw_state.json}}

    async def read_resource(self, request: Any) -> dict[str, Any]:
        state = decoded(request.current_state, "moody_thing")
        if state["mood"] == "gone":
            return {"new_state": encoded(None, "moody_thing")}
        return {"new_state": encoded(state, "moody_thing"), "private": request.private, **identity(state)}

    async def plan_resource_change(self, request: Any) -> dict[str, Any]:
        planned = decoded(request.proposed_new_state, "moody_thing")
        prior = decoded(request.prior_state, "moody_thing")
        if planned is None:
            return {"planned_private": b"destroy"}
        if planned["id"] is None:
            planned["id"] = cty.UNKNOWN
        if planned["mood"] == "contradict":
            planned["name"] = "another"
        replaces = prior is not None and prior["name"] != planned["name"]
        if planned["mood"] == "misplan":
            return {"planned_state": {"msgpack": b"\xa3abc"}}
        return {
            "planned_state": encoded(planned, "moody_thing"),
            "planned_private": b"planned",
            "requires_replace": [{"steps": [{"attribute_name": "name"}]}] if replaces else [],
            "diagnostics": [found(WARNING, "A strange mood", "mood")] if planned["mood"] == "warn" else [],
        }

    async def apply_resource_change(self, request: Any) -> dict[str, Any]:
        planned = decoded(request.planned_state, "moody_thing")
        prior = decoded(request.prior_state, "moody_thing")
        mood = (planned or prior)["mood"]
        answer: dict[str, Any] = {}
        match mood:
            case "crash":
                os.write(2, b"the last words\n")
                os._exit(3)
            case "deaf":
                await DEAF.wait()
            case "stop twice":
                # As if the first stop had come too early.
                await self.stopped.wait()
                await self.stopped.wait()
            case "stop" | "stop and fail":
                await self.stopped.wait()
                if mood == "stop and fail":
                    answer["diagnostics"] = [found(ERROR, "Stopped")]
            case "stop destruction" if planned is None:
                await self.stopped.wait()
            case "fail":
                return {"new_state": encoded(prior, "moody_thing"), "diagnostics": [found(ERROR, "No room", "name")]}
            case "half":
                answer["diagnostics"] = [found(ERROR, "Only half of it")]
            case "wrong":
                return {"new_state": {"msgpack": b"\xa3abc"}}
            case "warn":
                answer["diagnostics"] = [found(WARNING, "A strange mood", "mood")]
        if planned is not None and planned["id"] == cty.UNKNOWN and mood != "unknown":
            planned["id"] = f"id of {planned['name']}"
        if mood == "change":
            planned["name"] = "another"
        answer |= {"new_state": encoded(planned, "moody_thing"), "private": b"applied"}
        return answer | (identity(planned) if planned is not None and mood != "unknown" else {})

    async def import_resource_state(self, request: Any) -> dict[str, Any]:
        by_identity = request.HasField("identity")
        name = decoded(request.identity.identity_data, "identity")["id"] if by_identity else request.id
        state = dict.fromkeys(OBJECTS["moody_thing"].attributes, None) | {"id": name, "name": name, "rule": []}
        state["mood"] = "gone" if name == "nothing" else None
        imported = {"type_name": "moody_thing", "state": encoded(state, "moody_thing"), "private": b"imported"}
        return {"imported_resources": [{**imported, "identity": identity(state)["new_identity"]}]}

    async def read_data_source(self, request: Any) -> dict[str, Any]:
        config = decoded(request.config, "moody_look")
        match config["key"]:
            case "missing":
                return {"diagnostics": [found(ERROR, "Nothing there", "key")]}
            case "null":
                return {"state": encoded(None, "moody_look")}
            case "loud":
                return {"state": encoded(config, "moody_look"), "diagnostics": [found(WARNING, "Loud")]}
            case "vague":
                return {"state": encoded({**config, "value": cty.UNKNOWN}, "moody_look")}
        return {"state": encoded({**config, "value": config["key"].upper()}, "moody_look")}

    async def call_function(self, request: Any) -> dict[str, Any]:
        (word,) = (cty.decode(each.msgpack, cty.STRING) for each in request.arguments)
        if word == "":
            return {"error": {"text": "silence", "function_argument": 0}}
        return {"result": {"msgpack": cty.encode(word.upper(), cty.STRING)}}

    async def open_ephemeral_resource(self, request: Any) -> dict[str, Any]:
        config = decoded(request.config, "moody_token")
        result = encoded({**config, "token": "t0ken"}, "moody_token")
        answer: dict[str, Any] = {"result": result, "private": b"opened"}
        if config["role"] != "short":
            answer["renew_at"] = soon()
        if config["role"] == "stop":
            await self.stopped.wait()
        return answer

    async def renew_ephemeral_resource(self, request: Any) -> dict[str, Any]:
        if request.private == b"renewed":
            return {"diagnostics": [found(ERROR, "No more")]}
        return {"renew_at": soon(), "private": b"renewed"}

    async def close_ephemeral_resource(self, request: Any) -> dict[str, Any]:
        remember(f"closed {request.private.decode()}")
        return {}

    async def stop_provider(self, _: Any) -> dict[str, Any]:
        # Calls that begin later are not stopped.
        stopped, self.stopped = self.stopped, asyncio.Event()
        stopped.set()
        return {}

    async def list_resource(self, request: Any) -> AsyncIterator[dict[str, Any]]:
        prefix = dynamic_value(request.config, cty.Object({"prefix": cty.STRING}))["prefix"]
        for number in range(100):
            name = f"{prefix or 'thing'}-{number}"
            yield {"display_name": name, "identity": {"identity_data": encoded({"id": name}, "identity")}}
            if prefix == "fail":
                yield {"diagnostic": [found(ERROR, "Lost")]}

    async def invoke_action(self, request: Any) -> AsyncIterator[dict[str, Any]]:
        prefix = dynamic_value(request.config, cty.Object({"prefix": cty.STRING}))["prefix"]
        yield {"progress": {"message": "at it"}}
        if prefix != "endless":
            yield {"completed": {"diagnostics": [found(ERROR, "Broken")] if prefix == "fail" else []}}


def identity(state: dict[str, Any]) -> dict[str, Any]:
    return {"new_identity": {"identity_data": encoded({"id": state["id"]}, "identity")}}


def remember(line: str) -> None:
    if len(sys.argv) > 2:
        with Path(sys.argv[2]).open("a") as file:
            file.write(f"{line}\n")


def method_name(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


async def nothing(_: Any) -> dict[str, Any]:
    return {}


def handler(name: str, described: Any, answer: Callable[[Any], Any]) -> Any:
    request, response = codecs(described)

    async def behave(message: Any, context: Any) -> Any:
        remember(name)
        return new_message(response, await answer(message))

    async def stream(message: Any, context: Any) -> AsyncIterator[Any]:
        remember(name)
        async for event in answer(message):
            yield new_message(response, event)

    make = grpc.unary_stream_rpc_method_handler if described.server_streaming else grpc.unary_unary_rpc_method_handler
    return make(
        stream if described.server_streaming else behave,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


def register(server: grpc.aio.Server, broker: GRPCBroker) -> None:
    protocol, moods = Protocol.of(VERSION), Moods()
    new_names = {old: new for new, old in NAMES_OF_PROTOCOL_5.items()} if VERSION == 5 else {}
    handlers = {}
    for described in protocol.service.methods:
        name = new_names.get(described.name, described.name)
        answer = getattr(moods, method_name(name), nothing if name.startswith(("Validate", "Plan")) else None)
        if answer is not None:
            handlers[described.name] = handler(name, described, answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(protocol.service.full_name, handlers),))


if __name__ == "__main__":
    VERSION = int(sys.argv[1])
    target = ReattachTarget() if len(sys.argv) > 3 else None
    serve(register, ServerConfig.terraform(protocol_versions=(VERSION,)), test=target)
