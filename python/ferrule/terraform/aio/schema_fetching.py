"""The schema as a provider answers it."""

from __future__ import annotations

from ferrule.terraform.aio.driver import Driver
from ferrule.terraform.errors import UnsupportedError
from ferrule.terraform.hosting.schema_source import IDENTITY_METHOD, SCHEMA_METHOD
from ferrule.terraform.schema.cache import Answers

__all__ = ["fetched"]


async def fetched(driver: Driver) -> Answers:
    """The answers of a provider about its schema."""
    schema = await driver.call(SCHEMA_METHOD)
    try:
        return Answers(schema, await driver.call(IDENTITY_METHOD))
    except UnsupportedError:
        # Providers of before protocol 5.9 and 6.9.
        return Answers(schema)
