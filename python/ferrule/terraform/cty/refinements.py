"""Unknown values from the wire: extensions of msgpack, with refinements in a map of small integers.

Facts: go-cty v1.20, cty/msgpack/unknown.go and cty/unknown_refinement.go.
"""

from typing import Any, Final

from msgpack import ExtType, Unpacker
from msgpack.exceptions import OutOfData

from ferrule.terraform.cty.errors import CtyError
from ferrule.terraform.cty.forms import REFINED_EXTENSION
from ferrule.terraform.cty.numbers import Number, parse_number, settled
from ferrule.terraform.cty.raw import Pairs
from ferrule.terraform.cty.strings import normalized, utf8
from ferrule.terraform.cty.types import DYNAMIC, NUMBER, STRING, List, Map, Set, Type
from ferrule.terraform.cty.unknown import MAX_LENGTH, UNKNOWN, Unknown, settled_unknown

__all__ = ["read_unknown"]

MAX_BYTES: Final = 1024
"""Bytes of refinements; go-cty refuses more."""
_NIL: Final = 0xC0


def read_unknown(extension: ExtType, of: Type) -> Any:
    """The unknown value of an extension, or the value that its refinements leave as the only one.

    Any extension of at most one byte is an unknown value about which nothing is known.

    Raises:
        CtyError: Another extension, or refinements that the type cannot have or that no value meets.
    """
    code, data = extension
    if len(data) <= 1:
        return UNKNOWN
    if code != REFINED_EXTENSION:
        raise CtyError(f"an extension of {len(data)} bytes and the type {code} is no value")
    if len(data) > MAX_BYTES:
        raise CtyError(f"the refinements of an unknown value have more than {MAX_BYTES} bytes")
    unpacker = Unpacker(object_pairs_hook=Pairs)
    unpacker.feed(data)
    refinements = _Refinements(of)
    try:
        count = 0 if data[0] == _NIL else unpacker.read_map_header()
        if of is DYNAMIC:
            return UNKNOWN
        for _ in range(count):
            refinements.read(unpacker)
    except CtyError:
        raise
    except (ValueError, OutOfData) as error:
        raise CtyError(f"the refinements of an unknown value cannot be read: {error}") from None
    return refinements.value()


class _Refinements:
    """The refinements of one unknown value. Of two of a kind the narrower counts, as in go-cty."""

    def __init__(self, of: Type) -> None:
        self.of = of
        self.null: bool | None = None
        self.prefix = ""
        self.bounds: dict[int, tuple[Number, bool]] = {}
        self.least = 0
        self.most = MAX_LENGTH

    def read(self, unpacker: Unpacker) -> None:
        key = _integer(unpacker.unpack())
        if not 1 <= key <= 6:
            # go-cty does not skip the value, but reads it as the next key: such a refinement passes at the end only.
            return
        value = unpacker.unpack()
        if key == 1:
            self.read_nullness(value)
        elif key == 2 and self.of is STRING:
            self.read_prefix(value)
        elif key in (3, 4) and self.of is NUMBER:
            self.read_bound(key, value)
        elif key >= 5 and isinstance(self.of, List | Set | Map):
            if key == 5:
                self.least = max(self.least, _integer(value))
            else:
                self.most = min(self.most, _integer(value))
        else:
            raise CtyError(f"an unknown {self.of.name} cannot have the refinement {key}")

    def read_nullness(self, value: Any) -> None:
        # Go's msgpack reads nil as the zero value of the type wanted.
        if not (value is None or value is False or value is True):
            raise CtyError("whether an unknown value is null must be a bool")
        if self.null not in (None, bool(value)):
            raise CtyError("an unknown value is said to be null and not to be null")
        self.null = bool(value)

    def read_prefix(self, value: Any) -> None:
        data = b"" if value is None else value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        try:
            prefix = normalized(data.decode())
        except (AttributeError, UnicodeDecodeError):
            raise CtyError("the prefix of an unknown string must be text") from None
        ours, theirs = utf8(self.prefix), utf8(prefix)
        if not (ours.startswith(theirs) or theirs.startswith(ours)):
            raise CtyError("an unknown string is said to have two prefixes")
        self.prefix = max(self.prefix, prefix, key=len)

    def read_bound(self, key: int, value: Any) -> None:
        match value:
            case [int() | float() | str() | bytes() as number, bool() as inclusive] if not isinstance(number, bool):
                bound = _number(number)
            case _:
                raise CtyError("a bound of an unknown number must be a number and a bool")
        if key in self.bounds:
            known, known_inclusive = self.bounds[key]
            if bound == known:
                inclusive = inclusive and known_inclusive
            elif (bound < known) == (key == 3):
                return
        self.bounds[key] = bound, inclusive

    def value(self) -> Any:
        lower, lower_inclusive = self.bounds.get(3, (None, True))
        upper, upper_inclusive = self.bounds.get(4, (None, True))
        unknown = Unknown(
            not_null=self.null is False,
            prefix=self.prefix,
            lower=lower,
            lower_inclusive=lower_inclusive,
            upper=upper,
            upper_inclusive=upper_inclusive,
            min_length=self.least,
            max_length=None if self.most == MAX_LENGTH else self.most,
        )
        settled_value = settled_unknown(unknown, self.of)
        return None if self.null else settled_value


def _integer(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise CtyError("the refinements of an unknown value must have integers for keys and lengths")
    # Go reads an unsigned number that is too large as a negative one.
    return value if value <= MAX_LENGTH else value - 2**64


def _number(value: int | float | str | bytes) -> Number:
    if isinstance(value, str | bytes):
        return parse_number(value if isinstance(value, str) else value.decode("utf-8", "replace"))
    return settled(value)
