"""The errors of `ferrule.terraform`: all of them are `RPCPluginError`s.

TerraformError                  anything below
├── ConfigurationError          a configuration that the schema refuses, found before any call (ValueError)
├── UnknownTypeError            the provider has no such resource, data source, function (LookupError)
├── ProviderError               the provider answered with errors
│   └── ApplyError              ... to an apply: `state` is what is there now, `outcome` whether it happened
├── InvalidResponseError        the provider broke the protocol: wrong type, inconsistent plan or result
├── UnsupportedError            the provider has not got this method or capability
├── FunctionCallError           a function of the provider refused its arguments
├── DeferredError               the provider put the operation off
├── StoppedError                the operation was stopped before a call, which was not made
├── LifecycleError              not at this moment: not configured, configured twice, not started
├── NotFoundError               what is to be imported is not there (LookupError)
├── PlanError                   a plan that cannot be applied: used already, not known yet, of another provider
├── StateError                  a state that cannot be used: newer schema, other type, unreadable file
└── ProviderNotFoundError       no program of that name or address (LookupError)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ferrule.errors import RPCPluginError
from ferrule.terraform.cty import Path, format_path
from ferrule.terraform.diagnostics import Diagnostic, Severity

__all__ = [
    "ApplyError",
    "ConfigurationError",
    "DeferredError",
    "FunctionCallError",
    "InvalidResponseError",
    "LifecycleError",
    "NotFoundError",
    "PlanError",
    "Problem",
    "ProviderError",
    "ProviderNotFoundError",
    "StateError",
    "StoppedError",
    "TerraformError",
    "UnknownTypeError",
    "UnsupportedError",
]


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a value.

    Attributes:
        path: The place, from the root of the configuration; empty for the root.
        message: What is wrong there, without the value of anything sensitive.
        hint: What to try; default None.
    """

    path: Path
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = format_path(self.path)
        return (f"{place}: " if place else "") + self.message + (f" ({self.hint})" if self.hint else "")


def _listed(what: str, items: Iterable[object]) -> str:
    texts = [str(item) for item in items]
    if not texts:
        return what
    return f"{what}: {texts[0]}" if len(texts) == 1 else f"{what}:" + "".join(f"\n    {text}" for text in texts)


class TerraformError(RPCPluginError):
    """The base of the errors of `ferrule.terraform`."""

    default_code: ClassVar[str | None] = None
    """The `code` of errors of the class that are raised without a narrower one."""

    def __init__(self, message: str, hint: str | None = None, code: str | int | None = None, **ending: Any) -> None:
        super().__init__(message, hint, self.default_code if code is None else code, **ending)


class ConfigurationError(TerraformError, ValueError):
    """A configuration that the schema refuses, found before any call.

    Attributes:
        what (str): What was refused, without the problems.
        problems (tuple[Problem, ...]): All that is wrong, not the first alone.
    """

    def __init__(self, what: str, problems: Iterable[Problem]) -> None:
        self.what = what
        self.problems = tuple(problems)
        super().__init__(_listed(what, self.problems), code="terraform.configuration")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__.copy())


class UnknownTypeError(TerraformError, LookupError):
    """The provider has no such resource, data source, ephemeral resource, list resource, action or function."""

    default_code = "terraform.unknown-type"


class ProviderError(TerraformError):
    """The provider answered with errors.

    Attributes:
        what (str): What failed, without the diagnostics.
        method (str): The method that was called, by its name in protocol 6.
        type_name (str): The type of the resource or data source; empty for the provider itself.
        diagnostics (tuple[Diagnostic, ...]): Errors and warnings, as the provider ordered them.
    """

    def __init__(self, what: str, method: str, type_name: str, diagnostics: Iterable[Diagnostic]) -> None:
        self.what = what
        self.method = method
        self.type_name = type_name
        self.diagnostics = tuple(diagnostics)
        super().__init__(
            _listed(what, self.errors or self.diagnostics) if self.diagnostics else what, code="terraform.provider"
        )

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(each for each in self.diagnostics if each.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(each for each in self.diagnostics if each.severity is Severity.WARNING)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__.copy())


class InvalidResponseError(TerraformError):
    """The provider broke the protocol: a value of the wrong type, an inconsistent plan or result.

    Attributes:
        what (str): What is wrong, without the places.
        problems (tuple[Problem, ...]): What is wrong, by place.
    """

    def __init__(self, what: str, problems: Iterable[Problem] = ()) -> None:
        self.what = what
        self.problems = tuple(problems)
        hint = "This is a fault of the provider."
        super().__init__(_listed(what, self.problems), hint, "terraform.invalid-response")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__.copy())


class UnsupportedError(TerraformError):
    """The provider has not got this method or capability."""

    default_code = "terraform.unsupported"


class FunctionCallError(TerraformError):
    """A function of the provider refused its arguments.

    Attributes:
        argument (int | None): Index of the wrong argument; None if the error concerns the whole call.
    """

    def __init__(self, message: str, argument: int | None = None) -> None:
        super().__init__(message, code="terraform.function")
        self.argument = argument


class DeferredError(TerraformError):
    """The provider put the operation off; the message has its reason."""

    default_code = "terraform.deferred"


class StoppedError(TerraformError):
    """The operation was stopped before a call, which was not made."""

    default_code = "terraform.stopped"


class LifecycleError(TerraformError):
    """Not at this moment: the provider is not started, not configured, or configured already."""

    default_code = "terraform.not-started"


class NotFoundError(TerraformError, LookupError):
    """The object that is to be imported is not there."""

    default_code = "terraform.not-found"


class PlanError(TerraformError):
    """A plan that cannot be applied: used already, with values that are not known yet, or of another provider."""

    default_code = "terraform.plan"


class StateError(TerraformError):
    """A state that cannot be used: of a newer schema, of another type, of another provider, or an unreadable file."""

    default_code = "terraform.state"


class ProviderNotFoundError(TerraformError, LookupError):
    """No program of that name or address.

    Attributes:
        searched (tuple[str, ...]): Each place that was searched, and what is there.
    """

    def __init__(self, what: str, searched: Iterable[str] = (), hint: str | None = None) -> None:
        self.searched = tuple(searched)
        super().__init__(
            _listed(f"{what}; searched", self.searched) if self.searched else what, hint, "terraform.provider-not-found"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__.copy())


class ApplyError(ProviderError):
    """An apply that ended with errors, or in the middle.

    Attributes:
        state (Any): The `ResourceState` to store now, None if there is nothing: what the provider answered beside its
            errors, or the state of before.
        outcome (str): "failed" where the provider answered; "unknown" where it may have happened all the same, since
            the provider crashed, answered nonsense, or could not be waited for; "done" where all went well, but the
            caller was cancelled meanwhile.
        deposed (Any): The `ResourceState` of the old object, where a replacement that creates before it destroys has
            left both: the creation failed half-way, or the destruction did; default None.
    """

    def __init__(
        self,
        what: str,
        type_name: str,
        diagnostics: Iterable[Diagnostic] = (),
        *,
        state: Any = None,
        outcome: str = "failed",
    ) -> None:
        super().__init__(what, "ApplyResourceChange", type_name, diagnostics)
        self.state = state
        self.outcome = outcome
        self.deposed: Any = None

    @staticmethod
    def of(error: BaseException | None) -> "ApplyError | None":
        """The ApplyError that is or caused another error, such as the CancelledError of a cancelled apply.

        Args:
            error: An exception that was caught, such as CancelledError, TimeoutError of `asyncio.timeout`, or
                KeyboardInterrupt.

        Returns:
            The first in the chain of causes; None if there is none.

        Example:
            ```python
            try:
                async with asyncio.timeout(60):
                    state = await bucket.apply(plan)
            except TimeoutError as error:
                if stopped := ApplyError.of(error):
                    store(stopped.state)
                raise
            ```
        """
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            if isinstance(error, ApplyError):
                return error
            seen.add(id(error))
            error = error.__cause__ or error.__context__
        return None


def _restored(kind: type[TerraformError], args: tuple[Any, ...], attributes: dict[str, Any]) -> TerraformError:
    """A pickled error whose constructor takes other arguments than its text."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error
