"""The provider as operations see it, made of its options and its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferrule.terraform.hosting.options import Options
from ferrule.terraform.hosting.schema_source import check_schema
from ferrule.terraform.hosting.warnings import WarningLog
from ferrule.terraform.operations.context import Context

if TYPE_CHECKING:
    from ferrule.terraform.schema import ProviderSchema

__all__ = ["new_context"]


def new_context(schema: ProviderSchema, options: Options, address: str) -> Context:
    """The provider as operations see it.

    Args:
        schema: Its schema.
        options: What it is told.
        address: Its source address, which states repeat; empty if it is not known.

    Raises:
        ProviderError: The provider says that its schema is wrong.
    """
    log = WarningLog(address)
    check_schema(schema, options.core, log)
    return Context(
        schema.protocol,
        schema,
        core=options.core,
        terraform_version=options.terraform_version,
        provider_meta=options.provider_meta,
        source=address,
        warn=log,
    )
