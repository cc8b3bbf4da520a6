"""Managed resources: planned, applied, read, imported, destroyed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from ferrule._secrecy import forgetful_async
from ferrule.terraform.aio.handle import Handle
from ferrule.terraform.cty import Step
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.hosting.arguments import check_plan, check_state, only_of_type
from ferrule.terraform.operations import resource as operations
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import Context
from ferrule.terraform.plan import Plan
from ferrule.terraform.schema import Schema
from ferrule.terraform.state import ResourceState

__all__ = ["Resource"]

Result = TypeVar("Result")


class Resource(Handle):
    """The resources of one type. A state is all that there is of one resource: store it after each method.

    Example:
        ```python
        pet = random.resource("random_pet")
        state = await pet.apply(await pet.plan({"length": 3}))
        state = await pet.apply(await pet.plan({"length": 4}, prior=state))
        await pet.destroy(state)
        ```
    """

    _kind = "resource"

    async def schema(self) -> Schema:
        """The schema of the type."""
        return (await self._session.context()).schema.resources[self.type]

    @forgetful_async
    async def validate(self, config: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
        """Has the provider check a configuration, in which values may be UNKNOWN; needs no configured provider.

        Returns:
            The provider's warnings.

        Raises:
            ConfigurationError: The schema refuses the configuration.
            ProviderError: The provider refuses it.
        """
        return await self._session.validate(
            lambda context: operations.validate(context, self.type, config), large=self._is_large(config)
        )

    @forgetful_async
    async def plan(
        self,
        config: Mapping[str, Any],
        prior: ResourceState | None = None,
        *,
        replace: bool = False,
        create_before_destroy: bool = False,
        ignore_changes: Literal["all"] | Iterable[str | Sequence[Step]] = (),
    ) -> Plan:
        """Plans what brings a resource to a configuration: a creation without a prior state, else whatever it takes.

        A prior state that was stored is upgraded first. It is not read again: `read` tells of changes by others.

        Args:
            config: The configuration, in which values may be UNKNOWN.
            prior: The state of now; default None, there is no resource.
            replace: Whether to replace the resource even if it could stay; default False.
            create_before_destroy: Whether a replacement creates the new resource before it destroys the old one;
                default False.
            ignore_changes: Attributes and blocks, by name or path, that stay as they are; "all" for all; default none.

        Raises:
            ConfigurationError: The schema refuses the configuration.
            StateError: The state is of another type, or of a newer schema.
            LifecycleError: The provider is not configured.
            ProviderError: The provider refuses the configuration or the change.
            InvalidResponseError: The plan contradicts the schema or the configuration.
        """
        if prior is not None:
            check_state(prior, self.type)
        return await self._session.run(
            lambda context: operations.plan(
                context,
                self.type,
                config,
                prior,
                replace=replace,
                create_before_destroy=create_before_destroy,
                ignore_changes=ignore_changes,
            ),
            needs_configuration=self._verb("plan"),
            large=self._is_large(config, prior),
        )

    @forgetful_async
    async def apply(self, plan: Plan, config: Mapping[str, Any] | None = None) -> ResourceState | None:
        """Does what a plan says, once.

        A cancellation asks the provider to stop, waits for its answer up to `stop_timeout`, and then goes on as
        CancelledError with an ApplyError as its cause, which has the state to store: `ApplyError.of` finds it. A second
        cancellation does not wait.

        Args:
            plan: The plan.
            config: The configuration with what is known by now, for a plan of one that had unknown values; default
                None: that of the plan.

        Returns:
            The state to store; None after a destruction.

        Raises:
            PlanError: The plan was applied before, is of another provider or type, or its configuration is not known.
            ApplyError: The provider failed: `state` is to be stored, `outcome` says whether anything has happened.
            LifecycleError: The provider is not configured.
        """
        check_plan(plan, self.type)
        return await self._change("apply", lambda context: operations.apply(context, plan, config), plan)

    @forgetful_async
    async def plan_destroy(self, state: ResourceState) -> Plan:
        """Plans a destruction. A state that was stored is upgraded first.

        Raises:
            StateError: The state is of another type, or of a newer schema.
            LifecycleError: The provider is not configured.
            ProviderError: The provider refuses the destruction.
        """
        check_state(state, self.type)
        return await self._session.run(
            lambda context: operations.plan_destroy(context, state),
            needs_configuration=self._verb("plan_destroy"),
            large=self._is_large(state),
        )

    @forgetful_async
    async def destroy(self, state: ResourceState) -> None:
        """Plans a destruction and applies it. Cancellation is as in `apply`.

        Raises:
            StateError: The state is of another type, or of a newer schema.
            ApplyError: The provider failed: `state` is to be stored, `outcome` says whether anything has happened.
            LifecycleError: The provider is not configured.
            ProviderError: The provider refuses the destruction.
        """
        check_state(state, self.type)
        await self._change("destroy", lambda context: operations.destroy(context, state), state)

    @forgetful_async
    async def read(self, state: ResourceState) -> ResourceState | None:
        """Asks the provider what has become of a resource. A state that was stored is upgraded first.

        Returns:
            The state of now; None if the resource is gone.

        Raises:
            StateError: The state is of another type, or of a newer schema.
            LifecycleError: The provider is not configured.
            ProviderError: The provider cannot read it.
            InvalidResponseError: The answer does not fit the schema.
        """
        check_state(state, self.type)
        return await self._session.run(
            lambda context: operations.read(context, state),
            needs_configuration=self._verb("read"),
            large=self._is_large(state),
        )

    async def import_(self, id: str | None = None, *, identity: Mapping[str, Any] | None = None) -> ResourceState:  # noqa: A002 - the word of Terraform.
        """Finds a resource that exists, by its id or its identity, and reads it.

        Args:
            id: Its id, in the form that the provider's documentation has.
            identity: Its identity; give this one or the id.

        Raises:
            ConfigurationError: Neither is given, or both, or an identity that its schema refuses.
            NotFoundError: There is no such resource.
            LifecycleError: The provider is not configured.
            ProviderError: The provider cannot import it.
            InvalidResponseError: The answer does not fit the schema, or has other types than the one asked for.
        """
        return only_of_type(await self.import_all(id, identity=identity), self.type)

    async def import_all(
        self,
        id: str | None = None,  # noqa: A002 - the word of Terraform.
        *,
        identity: Mapping[str, Any] | None = None,
    ) -> tuple[ResourceState, ...]:
        """Imports as `import_` does, and returns what the provider imports along with it too, also of other types."""
        return await self._session.run(
            lambda context: operations.import_(context, self.type, id, identity=identity),
            needs_configuration=self._verb("import_"),
        )

    @forgetful_async
    async def upgrade(self, state: ResourceState) -> ResourceState:
        """Has the provider bring a stored state to its schema, which the other methods do by themselves.

        Needs no configured provider.

        Raises:
            StateError: The state is of another type, or of a newer schema.
            ProviderError: The provider cannot upgrade it.
            InvalidResponseError: The answer does not fit the schema.
        """
        check_state(state, self.type)
        return await self._session.run(lambda context: operations.upgrade(context, state), large=self._is_large(state))

    @forgetful_async
    async def move(self, state: ResourceState) -> ResourceState:
        """Makes the state of a resource of another type, perhaps of another provider, into one of this type.

        The resource itself does not change. `read` the state before it is planned with.

        Args:
            state: The state as it was stored; its `provider` is the address of the other provider.

        Raises:
            UnsupportedError: The provider takes over nothing.
            ProviderError: The provider does not take over that type.
            InvalidResponseError: The answer does not fit the schema.
        """
        check_state(state, None)
        return await self._session.run(
            lambda context: operations.move(context, state, self.type), large=self._is_large(state)
        )

    async def _change(self, verb: str, begin: Callable[[Context], Operation[Result]], given: object) -> Result:
        session = self._session
        context = await session.ready(self._verb(verb))
        return await session.driver.run_change(begin(context), self.type, large=self._is_large(given))

    def _found(self, context: Context) -> Any:
        return context.resource(self.type)
