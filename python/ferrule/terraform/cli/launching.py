"""The provider of a verb, launched as the options say."""

import argparse
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ferrule._console.terminal import progress

__all__ = ["configured", "launched"]


@contextlib.asynccontextmanager
async def launched(options: argparse.Namespace, config: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
    """The provider, with a configuration or, for its schema alone, without."""
    from ferrule.terraform import Provider

    settings = {"version": options.version, "core": options.core}
    async with contextlib.AsyncExitStack() as stack:
        async with progress(f"starting {options.provider}"):
            provider = Provider.launch(options.provider, config, **settings)
            started = await stack.enter_async_context(provider)
        yield started


@contextlib.asynccontextmanager
async def configured(options: argparse.Namespace) -> AsyncIterator[Any]:
    """The provider, configured by the file of `--provider-config` or by its defaults and environment."""
    async with launched(options, options.inputs.get(options.provider_config, {})) as provider:
        yield provider
