"""Calling functions of providers."""

from typing import Any

from ferrule.terraform import core, cty
from ferrule.terraform.errors import FunctionCallError
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import Context
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.schema.model import Function, Parameter

__all__ = ["call"]


def call(context: Context, name: str, *arguments: Any) -> Operation[Any]:
    """Calls a function. An unconfigured provider is enough.

    Arguments become values of the parameters' types by the conversions of Terraform's language. With an unknown value
    in an argument whose parameter forbids it the provider is not called, and the result is `UNKNOWN`.

    Raises:
        UnknownTypeError: There is no such function.
        FunctionCallError: Too few or too many arguments, one that does not fit, or one that the function refuses.
        InvalidResponseError: The result is not of the function's type.
    """
    function = context.function(name)
    parameters = _parameters(name, function, len(arguments))
    values = [_argument(name, index, *each) for index, each in enumerate(zip(parameters, arguments, strict=True))]
    for parameter, value in zip(parameters, values, strict=True):
        if not parameter.allow_unknown and core.unknown_paths(value, parameter.type):
            return cty.UNKNOWN
    encoded = [cty.encode(value, each.type) for each, value in zip(parameters, values, strict=True)]
    exchange = Exchange(context, f"function {name}")
    response = yield from exchange.call("CallFunction", name=name, arguments=encoded)
    if response.HasField("error"):
        error = response.error
        place = error.function_argument if error.HasField("function_argument") else None
        raise _refused(name, parameters, place, error.text or "the function failed and does not say why")
    if not response.HasField("result"):
        raise exchange.invalid("neither a result nor an error")
    return cty.untyped(exchange.decoded_as(response.result, function.return_type, "an invalid result"))


def _parameters(name: str, function: Function, count: int) -> tuple[Parameter, ...]:
    """The parameter of each argument; the variadic one takes all that are left."""
    fixed, variadic = function.parameters, function.variadic_parameter
    if count < len(fixed):
        missing = ", ".join(each.name for each in fixed[count:])
        raise FunctionCallError(f"{name}: {len(fixed)} arguments expected, got {count}: {missing} is missing")
    if variadic is None and count > len(fixed):
        raise FunctionCallError(f"{name}: {len(fixed)} arguments expected, got {count}", len(fixed))
    return fixed if variadic is None else (*fixed, *[variadic] * (count - len(fixed)))


def _argument(function: str, index: int, parameter: Parameter, given: Any) -> Any:
    """The value of an argument."""
    try:
        value = cty.convert(given, parameter.type)
    except cty.CtyError as error:
        raise FunctionCallError(f"{function}: {parameter.name}: {error}", index) from None
    if not parameter.allow_null and (value.value if isinstance(value, cty.Typed) else value) is None:
        raise FunctionCallError(f"{function}: {parameter.name}: must not be null", index)
    return value


def _refused(name: str, parameters: tuple[Parameter, ...], place: int | None, text: str) -> FunctionCallError:
    """The error of a function; a provider may name an argument that is not there."""
    if place is None or not 0 <= place < len(parameters):
        return FunctionCallError(f"{name}: {text}", place)
    return FunctionCallError(f"{name}: {parameters[place].name}: {text}", place)
