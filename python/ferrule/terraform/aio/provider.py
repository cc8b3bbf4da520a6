"""Provider: one provider of Terraform, from launch to end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from ferrule._contexts import AsyncContext
from ferrule._mailbox import cannot_await
from ferrule._secrecy import forgetful, forgetful_async
from ferrule.client import RPCPluginClient
from ferrule.config import ClientConfig
from ferrule.reattach import ReattachConfig
from ferrule.terraform.aio.action import Action
from ferrule.terraform.aio.data_source import DataSource
from ferrule.terraform.aio.ephemeral import EphemeralResource
from ferrule.terraform.aio.functions import Functions
from ferrule.terraform.aio.listing import ListResource
from ferrule.terraform.aio.resource import Resource
from ferrule.terraform.aio.session import Session
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import UnsupportedError
from ferrule.terraform.hosting.metadata import Metadata, metadata_of_response, metadata_of_schema
from ferrule.terraform.hosting.options import Options, Told
from ferrule.terraform.hosting.target import Target, client_config, name_of
from ferrule.terraform.operations import provider as operations
from ferrule.terraform.pool.lease import start_of_lease
from ferrule.terraform.schema import ProviderSchema

if TYPE_CHECKING:
    from ferrule.pool import Lease

__all__ = ["Provider"]


class Provider(AsyncContext):
    """A provider of Terraform or OpenTofu, driven with plain values.

    `launch`, `over` and `reattach` make one. As a context manager it starts on entry and ends on exit; `start` and
    `close` do the same without one. It belongs to the event loop that starts it. Any number of operations may be under
    way at once.

    A configuration is a mapping of names to values: attributes that are absent are null, blocks are mappings or lists
    of mappings, and what is not known yet is `ferrule.terraform.cty.UNKNOWN`.

    Example:
        ```python
        from ferrule.terraform import Provider

        async with Provider.launch("hashicorp/random", config={}) as random:
            plan = await random.resource("random_pet").plan({"length": 3})
            print(plan)
            state = await random.resource("random_pet").apply(plan)
            print(state.attributes["id"])
        ```

        >>> Provider.launch("hashicorp/random")
        <Provider 'hashicorp/random': not started>
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self.functions = Functions(session)
        """The provider's functions, as attributes: `await provider.functions.NAME(...)`."""

    @classmethod
    @forgetful
    def launch(
        cls,
        source: str | os.PathLike[str],
        config: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        core: Literal["terraform", "opentofu"] = "terraform",
        terraform_version: str = "1.13.3",
        provider_meta: Mapping[str, Any] | None = None,
        schema_cache: bool = True,
        stop_timeout: float = 30.0,
        settings: ClientConfig | Mapping[str, Any] | None = None,
    ) -> Self:
        """A provider in a process of its own, not started yet.

        Args:
            source: A path, such as `./terraform-provider-random`, or any `os.PathLike`; the name of a program on PATH,
                `terraform-provider-random`; or a source address, such as `hashicorp/random`, to be found where the
                cores look for it. Nothing is downloaded. `find_provider` has the rules.
            config: The provider's configuration, `{}` for one that needs nothing; default None: the provider is not
                configured, so that schema, validation and functions can be used, or `configure` is called later.
            version: A constraint on the version of a source address, such as `~> 3.6`; default None, the newest there.
            core: Whose behaviour counts where Terraform's core and OpenTofu's differ; default "terraform".
            terraform_version: The version that the provider is told; default "1.13.3". Some providers behave by it.
            provider_meta: The configuration of the provider's `provider_meta` block; default None.
            schema_cache: Whether the schema may come from the cache on disk, where it is stored by the contents of the
                program; default True.
            stop_timeout: Seconds to wait for the answer to an apply after it was cancelled; default 30.
            settings: Settings of the client, such as `env`: a `ClientConfig` or a mapping; default Terraform's.

        Raises:
            ConfigError: An argument does not fit.
        """
        options = Options(
            config=config,
            core=core,
            terraform_version=terraform_version,
            provider_meta=provider_meta,
            schema_cache=schema_cache,
            stop_timeout=stop_timeout,
        )
        return cls(Session(Target(source, version, core), client_config(settings), options), name_of(source))

    @classmethod
    @forgetful
    def over(
        cls, client: RPCPluginClient | Lease, config: Mapping[str, Any] | None = None, **options: Unpack[Told]
    ) -> Self:
        """A provider over a client that is started, or over a lease of a pool; either stays the caller's to end.

        A process of a pool serves others too. The provider of a lease takes no configuration, and an apply that is
        cancelled asks it to stop only while nobody else has a lease of it; `stop` always asks. If the process dies,
        calls that had not begun, and those that change nothing, are made by its replacement.

        Args:
            client: The client, started before the provider is; or the lease of a spec that `provider_spec` made, which
                has the configuration and the options.
            config: As of `launch`.
            options: `core`, `terraform_version`, `provider_meta` and `stop_timeout`, as of `launch`.

        Raises:
            ConfigError: An argument does not fit.
        """
        if not isinstance(client, RPCPluginClient):
            # Loaded late: few have a pool.
            from ferrule.pool import Lease

            start = start_of_lease(client, Lease, RPCPluginClient, config, options)
            return cls(Session(client, client_config(None), start.options), f"of {client.spec!r}")
        return cls(Session(client, client.config, Options(config=config, **options)), repr(client))

    @classmethod
    @forgetful
    def reattach(
        cls,
        source: str | ReattachConfig | Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        settings: ClientConfig | Mapping[str, Any] | None = None,
        **options: Unpack[Told],
    ) -> Self:
        """A provider that runs already, for example under a debugger; it runs on after `close`.

        Args:
            source: Where it runs: a `ReattachConfig` or a mapping of its settings; the provider's source address, to be
                looked up in the variable TF_REATTACH_PROVIDERS; default None: the only one in that variable.
            config: As of `launch`. A process takes one configuration only: None if it has one.
            settings: As of `launch`.
            options: As of `over`.

        Raises:
            ConfigError: An argument does not fit, or the variable has no such provider.
        """
        told = Options(config=config, **options)
        if source is None or isinstance(source, str):
            where = ReattachConfig.from_environment(source)
        else:
            where = source if isinstance(source, ReattachConfig) else ReattachConfig(**source)
        target = Target(source if isinstance(source, str) else "", core=told.core, reattach=where)
        return cls(Session(target, client_config(settings), told), repr(target.source or where.address))

    def __repr__(self) -> str:
        return f"<Provider {self._name}: {self._session.state}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if cannot_await(exc_info[0], self._session.loop):
            self._session.abandon()
        else:
            await self.close()

    @property
    def client(self) -> RPCPluginClient | None:
        """The client of the provider's process; None before the start and after the end."""
        return self._session.client

    @property
    def address(self) -> str:
        """The provider's source address, which states repeat; empty if only its program is known."""
        return self._session.address

    @property
    def is_configured(self) -> bool:
        """Whether the provider has taken its configuration."""
        return self._session.configuration.is_done

    @forgetful_async
    async def start(self) -> None:
        """Finds and launches the provider, and configures it if it was given a configuration. Does nothing if started.

        A start that failed has cleaned up after itself and may be repeated; so may one after `close`.

        Raises:
            ProviderNotFoundError: There is no such provider.
            ConfigurationError: The schema refuses the configuration.
            ProviderError: The provider refuses its configuration.
            RPCPluginError: The provider does not start.
        """
        await self._session.start()

    async def close(self) -> None:
        """Closes ephemeral resources that are open, and ends the provider's process if this object started it."""
        await self._session.close()

    @forgetful_async
    async def configure(self, config: Mapping[str, Any]) -> None:
        """Checks the provider's configuration and gives it to the provider, which takes one only once.

        Raises:
            LifecycleError: The provider has one, or was given one that failed.
            ConfigurationError: The schema refuses it; another one may be given.
            ProviderError: The provider refuses it.
        """
        await self._session.configure(config)

    @forgetful_async
    async def validate(self, config: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
        """Has the provider check a configuration of its own, which it does not take.

        Returns:
            Its warnings.

        Raises:
            ConfigurationError: The schema refuses it.
            ProviderError: The provider refuses it.
        """
        return await self._session.validate(lambda context: operations.validate(context, config), large=True)

    async def schema(self) -> ProviderSchema:
        """The schema of all that the provider has, asked for once."""
        return (await self._session.context()).schema

    async def metadata(self) -> Metadata:
        """The names of all that the provider has: of large providers much sooner than the schema."""
        session = self._session
        try:
            data = await session.driver.call("GetMetadata")
        except UnsupportedError:
            return metadata_of_schema(await self.schema())
        return metadata_of_response(session.driver.protocol.parse_response("GetMetadata", data))

    def resource(self, type: str) -> Resource:  # noqa: A002 - the word of Terraform.
        """The resources of one type.

        Raises:
            UnknownTypeError: The provider has no such type; raised by the methods where the schema is not known yet.
        """
        return Resource(self._session, type)

    def data(self, type: str) -> DataSource:  # noqa: A002 - the word of Terraform.
        """The data source of one type.

        Raises:
            UnknownTypeError: As of `resource`.
        """
        return DataSource(self._session, type)

    def ephemeral(self, type: str) -> EphemeralResource:  # noqa: A002 - the word of Terraform.
        """The ephemeral resources of one type.

        Raises:
            UnknownTypeError: As of `resource`.
        """
        return EphemeralResource(self._session, type)

    def list_resource(self, type: str) -> ListResource:  # noqa: A002 - the word of Terraform.
        """The search for existing resources of one type.

        Raises:
            UnknownTypeError: As of `resource`.
        """
        return ListResource(self._session, type)

    def action(self, type: str) -> Action:  # noqa: A002 - the word of Terraform.
        """The action of one type.

        Raises:
            UnknownTypeError: As of `resource`.
        """
        return Action(self._session, type)

    async def stop(self) -> None:
        """Asks the provider to give up all operations under way, as soon as that is safe; they end with its answers.

        Operations that begin later are not affected. An apply that is cancelled does this by itself.

        Raises:
            ProviderError: The provider refuses.
        """
        await self._session.driver.stop()
