"""Plan a resource of any Terraform provider, create it, and destroy it again, without Terraform.

Run: python examples/terraform_provider.py PROVIDER TYPE [CONFIG]
For instance: python examples/terraform_provider.py hashicorp/random random_pet '{"length": 3}'

PROVIDER is a path, or a source address of a provider that Terraform or OpenTofu has installed; CONFIG is JSON.
"""

import asyncio
import json
import sys

from ferrule.errors import RPCPluginError
from ferrule.terraform import Provider


async def main(source: str, resource_type: str, config: str = "{}") -> None:
    async with Provider.launch(source, config={}) as provider:
        resource = provider.resource(resource_type)
        plan = await resource.plan(json.loads(config))
        print(plan)
        state = await resource.apply(plan)
        assert state is not None
        print(json.dumps(state.attributes, indent=2, default=str))
        await resource.destroy(state)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except RPCPluginError as error:
        sys.exit(str(error))
