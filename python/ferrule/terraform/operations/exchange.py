"""The calls of one operation: each response is checked before the operation sees it."""

from collections.abc import Iterable
from typing import Any

from ferrule.terraform import cty
from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.errors import DeferredError, InvalidResponseError, Problem, ProviderError
from ferrule.terraform.messages import diagnostics, dynamic_value
from ferrule.terraform.operations.call import Call, Operation
from ferrule.terraform.operations.context import BlockType, Context
from ferrule.terraform.operations.secrets import is_secret_at

__all__ = ["Exchange", "has_errors"]


def has_errors(found: Iterable[Diagnostic]) -> bool:
    return any(each.severity is Severity.ERROR for each in found)


class Exchange:
    """The calls of one operation on one type.

    A provider repeats its warnings in each call of an operation: the caller hears each of them once.

    Attributes:
        context (Context): The provider.
        of (str): Name of the type; empty for the provider itself.
        warnings (tuple[Diagnostic, ...]): All warnings so far.
    """

    def __init__(self, context: Context, of: str = "", heard: Iterable[Diagnostic] = ()) -> None:
        """Args:
        context: The provider.
        of: Name of the type; default none, the provider itself.
        heard: Warnings that the caller knows already.
        """
        self.context = context
        self.of = of
        self._warnings = dict.fromkeys(heard)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(self._warnings)

    def call(self, method: str, **fields: Any) -> Operation[Any]:
        """Calls a method.

        Returns:
            The response.

        Raises:
            ProviderError: There are errors in it.
            DeferredError: The provider put the operation off.
        """
        response = yield Call(method, fields)
        found = self.hear(response)
        if has_errors(found):
            raise ProviderError(f"{self._subject}: {method} failed", method, self.of, found)
        if "deferred" in response.DESCRIPTOR.fields_by_name and response.HasField("deferred"):
            raise self._deferred(response)
        return response

    def hear(self, response: Any) -> tuple[Diagnostic, ...]:
        """The diagnostics of a response; warnings are passed on."""
        found = diagnostics(response)
        for each in found:
            if each.severity is Severity.WARNING and each not in self._warnings:
                self._warnings[each] = None
                self.context.warn(each)
        return found

    def decoded(self, field: Any, of: BlockType, what: str) -> Any:
        """The value of a DynamicValue by the type of a block.

        Raises:
            InvalidResponseError: It is none of that type.
        """
        try:
            return dynamic_value(field, of.type)
        except cty.CtyError as error:
            raise self.invalid(what, [_problem(error, of)]) from None

    def decoded_as(self, field: Any, of: cty.Type, what: str) -> Any:
        """The value of a DynamicValue by a type that has no secrets."""
        try:
            return dynamic_value(field, of)
        except cty.CtyError as error:
            raise self.invalid(what, [Problem(error.path, error.problem, error.hint)]) from None

    def invalid(self, what: str, problems: Iterable[Problem] = ()) -> InvalidResponseError:
        """The error of a response that breaks the protocol, such as "an invalid plan"."""
        return InvalidResponseError(f"{self._subject}: the provider answered {what}", problems)

    @property
    def _subject(self) -> str:
        return self.of or "the provider"

    def _deferred(self, response: Any) -> DeferredError:
        number = response.deferred.reason
        names = response.deferred.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number
        reason = names[number].name if number in names else str(number)
        return DeferredError(
            f"{self._subject}: the provider puts the operation off: {reason}",
            "it was told that this caller cannot wait: a fault of the provider",
            "terraform.deferred",
        )


def _problem(error: cty.CtyError, of: BlockType) -> Problem:
    # The text of the error repeats the wrong value.
    if is_secret_at(of.block, error.path):
        return Problem(error.path, "a value of the wrong type", error.hint)
    return Problem(error.path, error.problem, error.hint)
