"""What responses of both protocol versions have alike: diagnostics, paths, and values."""

from typing import Any, Final

from ferrule.terraform import cty
from ferrule.terraform.cty import Attribute, Path, Step, Type
from ferrule.terraform.diagnostics import Diagnostic, Severity

__all__ = ["attribute_path", "diagnostics", "dynamic_value"]

WARNING: Final = 2
"""The number of a warning; all others stop the operation, the one of no severity too."""


def diagnostics(response: Any) -> tuple[Diagnostic, ...]:
    """Errors and warnings of a response in the provider's order; none of a message that has no place for them."""
    # An event of ListResource has its diagnostics in the singular.
    found = getattr(response, "diagnostics", ()) or getattr(response, "diagnostic", ())
    return tuple(
        Diagnostic(
            severity=Severity.WARNING if each.severity == WARNING else Severity.ERROR,
            summary=each.summary,
            detail=each.detail,
            path=attribute_path(each.attribute) if each.HasField("attribute") else None,
        )
        for each in found
    )


def attribute_path(message: Any) -> Path:
    """The path of an `AttributePath`. It may point at nothing: it is for people, and not for indexing."""
    return tuple(map(_step, message.steps))


def _step(message: Any) -> Step:
    match message.WhichOneof("selector"):
        case "attribute_name":
            return Attribute(message.attribute_name)
        case "element_key_int":
            return int(message.element_key_int)
        case _:
            return str(message.element_key_string)


def dynamic_value(message: Any, type: Type) -> Any:  # noqa: A002 - the word of the protocol.
    """The value of a `DynamicValue`, as `cty.decode` gives it: of its msgpack, else of its JSON, else null.

    Raises:
        CtyError: The bytes are no value of the type.
    """
    if message.msgpack:
        return cty.decode(message.msgpack, type)
    return cty.decode_json(message.json, type) if message.json else None
