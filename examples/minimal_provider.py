"""The smallest possible Terraform provider: one resource, `ferrule_note`, which exists in Terraform's state alone.

    resource "ferrule_note" "greeting" {
      text = "hello"
    }

Terraform and OpenTofu start it by themselves, under the name `terraform-provider-ferrule` in the directory that a
`dev_overrides` block of their CLI configuration gives. Started by hand with `--test`, under a debugger for example, it
prints the variable by which they find it instead.

To write a real provider, talk to your system where `ReadResource` and `ApplyResourceChange` only pass the state on.
"""

# ruff: noqa: N802 - gRPC gives the names of the methods.

import sys
import uuid
from typing import Any

import grpc.aio
import tfplugin6_pb2 as tf
from tfplugin6_pb2_grpc import ProviderServicer, add_ProviderServicer_to_server

from ferrule.server import GRPCBroker, ReattachTarget, ServerConfig, serve
from ferrule.terraform import cty

Note = dict[str, Any]
"""`text`, `id` and `length`; a value may be None, or unknown until the apply."""

NOTE = cty.Object({"text": cty.STRING, "id": cty.STRING, "length": cty.NUMBER})


def decoded(value: tf.DynamicValue) -> Note | None:
    """The note of a request; None where it does not exist, such as before its creation."""
    note: Note | None = cty.decode(value.msgpack, NOTE)
    return note


def encoded(note: Note | None) -> tf.DynamicValue:
    """A note for a response."""
    return tf.DynamicValue(msgpack=cty.encode(note, NOTE))


def length(text: str | cty.Unknown) -> int | cty.Unknown:
    """Characters of a text, as far as it is known."""
    return cty.UNKNOWN if isinstance(text, cty.Unknown) else len(text)


def note_schema() -> tf.Schema:
    """The attributes of a note. The provider may set only those that are `computed`."""
    attributes = [
        tf.Schema.Attribute(name="text", type=b'"string"', required=True, description="What the note says."),
        tf.Schema.Attribute(name="id", type=b'"string"', computed=True, description="Stays the same for life."),
        tf.Schema.Attribute(name="length", type=b'"number"', computed=True, description="Characters of `text`."),
    ]
    return tf.Schema(block=tf.Schema.Block(attributes=attributes))


class NoteProvider(ProviderServicer):
    """Answers what Terraform asks during plan, apply and destroy."""

    async def GetProviderSchema(self, request: Any, context: Any) -> tf.GetProviderSchema.Response:
        provider = tf.Schema(block=tf.Schema.Block())
        return tf.GetProviderSchema.Response(provider=provider, resource_schemas={"ferrule_note": note_schema()})

    async def ValidateProviderConfig(self, request: Any, context: Any) -> tf.ValidateProviderConfig.Response:
        return tf.ValidateProviderConfig.Response()

    async def ConfigureProvider(self, request: Any, context: Any) -> tf.ConfigureProvider.Response:
        return tf.ConfigureProvider.Response()

    async def ValidateResourceConfig(
        self, request: tf.ValidateResourceConfig.Request, context: Any
    ) -> tf.ValidateResourceConfig.Response:
        response = tf.ValidateResourceConfig.Response()
        note = decoded(request.config)
        if note and note["text"] == "":
            where = tf.AttributePath(steps=[tf.AttributePath.Step(attribute_name="text")])
            detail = "Write at least one character, or remove the resource."
            response.diagnostics.add(
                severity=tf.Diagnostic.ERROR, summary="The note is empty", detail=detail, attribute=where
            )
        return response

    async def UpgradeResourceState(
        self, request: tf.UpgradeResourceState.Request, context: Any
    ) -> tf.UpgradeResourceState.Response:
        # Called before each refresh; there is one version of the schema so far.
        return tf.UpgradeResourceState.Response(upgraded_state=tf.DynamicValue(json=request.raw_state.json))

    async def ReadResource(self, request: tf.ReadResource.Request, context: Any) -> tf.ReadResource.Response:
        return tf.ReadResource.Response(new_state=request.current_state, private=request.private)

    async def PlanResourceChange(
        self, request: tf.PlanResourceChange.Request, context: Any
    ) -> tf.PlanResourceChange.Response:
        prior, planned = decoded(request.prior_state), decoded(request.proposed_new_state)
        if planned:
            planned |= {"id": prior["id"] if prior else cty.UNKNOWN, "length": length(planned["text"])}
        return tf.PlanResourceChange.Response(planned_state=encoded(planned), planned_private=request.prior_private)

    async def ApplyResourceChange(
        self, request: tf.ApplyResourceChange.Request, context: Any
    ) -> tf.ApplyResourceChange.Response:
        note = decoded(request.planned_state)
        if note:
            identity = str(uuid.uuid4()) if isinstance(note["id"], cty.Unknown) else note["id"]
            note |= {"id": identity, "length": length(note["text"])}
        return tf.ApplyResourceChange.Response(new_state=encoded(note), private=request.planned_private)

    async def StopProvider(self, request: Any, context: Any) -> tf.StopProvider.Response:
        # Every call here is over at once; a provider with long ones would cancel them, and go on serving.
        return tf.StopProvider.Response()


def register(server: grpc.aio.Server, broker: GRPCBroker) -> None:
    """Adds the provider's service to the plugin's server."""
    add_ProviderServicer_to_server(NoteProvider(), server)


if __name__ == "__main__":
    # The address is the `source` by which a configuration asks for the provider.
    target = ReattachTarget("ferrule.example/notes/ferrule") if "--test" in sys.argv[1:] else None
    serve(register, ServerConfig.terraform(), test=target)
