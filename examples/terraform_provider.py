"""Talk to any Terraform provider without generated code: list its resource types, plan and create one.

Run: python examples/terraform_provider.py PATH [--resource TYPE [--set NAME=JSON ...] [--apply]]
For instance: python examples/terraform_provider.py ./terraform-provider-random --resource random_pet --set length=3

Works with every provider that has gRPC reflection, that is, on go-plugin 1.2.0 (2020) or newer. `--apply` creates the
resource for real and keeps no state, so try it with providers such as random or time.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

import dynamic_value

from ferrule.client import RPCPluginClient
from ferrule.errors import RPCPluginError
from ferrule.reflection import ServerReflection

SCHEMA_METHOD = {5: "GetSchema", 6: "GetProviderSchema"}
CONFIGURE_METHOD = {5: "Configure", 6: "ConfigureProvider"}

ERROR = 1
"""`Diagnostic.severity` of an error; 2 is a warning."""

NESTING_VALUES: dict[int, Any] = {1: None, 2: [], 3: [], 4: {}}
"""The value of an absent nested block by `nesting`: single, list, set, map; 5, group, is an object all the same."""


class Provider:
    """The provider's service, with requests made from keyword arguments.

    Args:
        client: A started client.
    """

    def __init__(self, client: RPCPluginClient) -> None:
        self.version = int(client.protocol_version or 0)
        self._service = f"tfplugin{self.version}.Provider"
        channel: Any = client.grpc_channel
        self._reflection = ServerReflection(channel)

    async def call(self, method: str, **fields: Any) -> Any:
        """Call a method; its warnings and errors are printed, and an error ends the program."""
        facts = {facts.name: facts for facts in await self._reflection.methods(self._service)}
        request = (await self._reflection.message_type(facts[method].input_type))(**fields)
        response = await getattr(await self._reflection.stub(self._service), method)(request)
        for diagnostic in response.diagnostics:
            print(f"{method}: {diagnostic.summary}: {diagnostic.detail}", file=sys.stderr)
        if any(diagnostic.severity == ERROR for diagnostic in response.diagnostics):
            raise SystemExit(1)
        return response


def empty_object(block: Any, values: dict[str, Any]) -> dict[str, Any]:
    """An object of a schema block in which only `values` are set.

    On creation Terraform sends null for what the provider computes, in the configuration and in the proposed state;
    the provider answers with the planned state, where those values are unknown.
    """
    known = {attribute.name: values.get(attribute.name) for attribute in block.attributes}
    if unknown := values.keys() - known.keys():
        raise SystemExit(f"no attribute {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    for nested in block.block_types:
        group = nested.nesting not in NESTING_VALUES
        known[nested.type_name] = empty_object(nested.block, {}) if group else NESTING_VALUES[nested.nesting]
    return known


def encoded(value: Any) -> dict[str, bytes]:
    """The fields of a DynamicValue."""
    return {"msgpack": dynamic_value.pack(value)}


def show(title: str, state: Any) -> None:
    """Print the set values of a DynamicValue."""
    value = dynamic_value.unpack(state.msgpack) if state.msgpack else json.loads(state.json)
    print(title)
    for name, item in sorted(value.items()):
        if item not in (None, [], {}):
            print(f"  {name} = {item!r}")


async def create(provider: Provider, schema: Any, options: argparse.Namespace) -> None:
    """Plan the creation of one resource and, if asked to, apply the plan."""
    if options.resource not in schema.resource_schemas:
        raise SystemExit(f"no resource type {options.resource!r}; run without --resource for the list")
    configuration = encoded(empty_object(schema.provider.block, {}))
    await provider.call(CONFIGURE_METHOD[provider.version], terraform_version="1.9.0", config=configuration)
    values = {name: json.loads(value) for name, _, value in (text.partition("=") for text in options.set)}
    wanted = encoded(empty_object(schema.resource_schemas[options.resource].block, values))
    common = {"type_name": options.resource, "prior_state": encoded(None), "config": wanted}
    plan = await provider.call("PlanResourceChange", proposed_new_state=wanted, **common)
    show(f"planned {options.resource}:", plan.planned_state)
    if options.apply:
        change = {"planned_state": plan.planned_state, "planned_private": plan.planned_private}
        result = await provider.call("ApplyResourceChange", **change, **common)
        show(f"created {options.resource}:", result.new_state)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("path", metavar="PATH", help="the provider's program")
    parser.add_argument("--resource", metavar="TYPE", help="plan the creation of one resource of this type")
    parser.add_argument("--set", metavar="NAME=JSON", action="append", default=[], help="set one of its attributes")
    parser.add_argument("--apply", action="store_true", help="create it")
    options = parser.parse_args()
    async with RPCPluginClient(command=[options.path]) as client:
        provider = Provider(client)
        schema = await provider.call(SCHEMA_METHOD[provider.version])
        print(f"protocol {provider.version}, {len(schema.resource_schemas)} resource types:")
        for name in sorted(schema.resource_schemas):
            print(f"  {name} ({len(schema.resource_schemas[name].block.attributes)} attributes)")
        if options.resource:
            await create(provider, schema, options)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except RPCPluginError as error:
        sys.exit(str(error))
