"""The provider of a verb, launched as the options say."""

import argparse
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ferrule._console.terminal import progress
from ferrule.errors import RPCPluginError

__all__ = ["configured", "launched"]


@contextlib.asynccontextmanager
async def launched(options: argparse.Namespace, config: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
    """The provider, with a configuration or, for its schema alone, without."""
    from ferrule.terraform import Provider

    settings = {"version": options.version, "core": options.core}
    async with contextlib.AsyncExitStack() as stack:
        async with progress(f"starting {options.provider}"):
            provider = Provider.launch(options.provider, config, **settings)
            try:
                started = await stack.enter_async_context(provider)
            except RPCPluginError as error:
                _explain_strangers(error)
                raise
        yield started


def _explain_strangers(error: RPCPluginError) -> None:
    """Another hint for plugins of other programs: settings that would start them make no providers of them."""
    others = "`ferrule inspect` and `ferrule call` start the plugins of other programs."
    if error.code == "handshake.app-version":
        error.hint = f"A Terraform provider speaks version 5 or 6, so this is none. {others}"
    elif error.hint and ("--family" in error.hint or "--cookie" in error.hint):
        # The core names options that these verbs do not have.
        error.hint = f"The program knows its host by another magic cookie than Terraform's: it is no provider. {others}"


@contextlib.asynccontextmanager
async def configured(options: argparse.Namespace) -> AsyncIterator[Any]:
    """The provider, configured by the file of `--provider-config` or by its defaults and environment."""
    async with launched(options, options.inputs.get(options.provider_config, {})) as provider:
        yield provider
