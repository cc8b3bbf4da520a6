"""Numbers as cty holds them: binary, with a mantissa of 512 bits, or of 53 for what came as a float64.

In Python a number is

- an int, if it is whole;
- a float, if it is a float64: what a provider sent as one, and what a program gives as one. The shortest text that a
  float reads back from, Python's `repr`, is then how cty writes it;
- a Decimal, if it was text that is not whole: 0.1 of a configuration is `Decimal("0.1")`. Minus zero is one too.

A Decimal of up to 153 digits is the shortest text of the binary number next to it, so that it can stand for that
number; a longer one is rounded to 512 bits and becomes their shortest text, or all of their digits where Go's shortest
text is that of another number. Two such numbers are the same exactly when their Decimals are. Facts: go-cty v1.20,
cty/primitive_type.go and value_init.go; Go's math/big, ftoa.go and ratconv.go.
"""

import math
import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from ferrule.terraform.cty.errors import CtyError

__all__ = [
    "Number",
    "equal_numbers",
    "equality_key",
    "number_key",
    "number_text",
    "parse_number",
    "settled",
    "wire_number",
]

Number = int | float | Decimal

MAX_DIGITS: Final = 4_000
"""Digits that a number may have when it is written without exponent, which is the only way to send it.

go-cty has no limit: `1e1000000` of a peer becomes a megabyte there, and larger exponents end it. Python refuses to
write ints of more than 4,300 digits.
"""
MANTISSA_BITS: Final = 512
# Decimals of up to this many digits differ whenever their roundings to 512 bits do: floor(511 * log10(2)).
DISTINCT_DIGITS: Final = 153
INT64: Final = range(-(2**63), 2**63)

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_TEN_DIGITS = Context(prec=10, rounding=ROUND_HALF_EVEN, Emax=MAX_EMAX, Emin=MIN_EMIN)
_TEXT = re.compile(r"([+-]?)(?:(\d*)\.?(?:(?<=\.)(\d*))?(?:([eEpP])([+-]?)0*(\d+))?|([Ii]nf))", re.ASCII)


def parse_number(text: str) -> Number:
    """The number of a text: decimal, with an exponent to ten (`e`) or two (`p`) or without, or infinite (`Inf`).

    Raises:
        CtyError: No number (also `NaN`, `0x10`, `1_000`, ` 1`), or one of more than `MAX_DIGITS`.
    """
    if len(text) < 19 and text.isascii() and text.isdecimal():
        return int(text)
    match = _TEXT.fullmatch(text)
    if match is None:
        raise CtyError("a number is required")
    sign, whole, fraction, base, direction, exponent, infinite = match.groups()
    if infinite:
        return -math.inf if sign == "-" else math.inf
    digits = whole + (fraction or "")
    if not digits:
        raise CtyError("a number is required")
    significant = digits.lstrip("0")
    if not significant:
        return Decimal("-0") if sign == "-" else 0
    if len(significant) > MAX_DIGITS or len(exponent or "") > 10:
        raise _too_long()
    power = int(f"{direction or ''}{exponent or 0}")
    tens = -len(fraction or "")
    if base in {"e", "E"}:
        tens, power = tens + power, 0
    if abs(tens) > 2 * MAX_DIGITS or abs(power) > 3 * MAX_DIGITS:
        raise _too_long()
    number = Decimal(f"{sign}{significant}E{tens}")
    if power:
        number = _EXACT.multiply(number, 2**power if power > 0 else _EXACT.scaleb(5**-power, power))
    return settled(number)


def settled(number: Number) -> Number:
    """The number as cty keeps it: rounded to 512 bits if it needs more, an int if it is whole and no float.

    Raises:
        CtyError: Not a number (NaN), or one of more than `MAX_DIGITS`.
    """
    if isinstance(number, float):
        if number != number:  # noqa: PLR0124 - NaN
            raise CtyError("NaN is no number")
        return number
    if isinstance(number, int):
        if number.bit_length() <= MANTISSA_BITS:
            return int(number)
        if number.bit_length() > MAX_DIGITS * 4:
            raise _too_long()
        return settled(Decimal(number))
    if number.is_nan():
        raise CtyError("NaN is no number")
    if number.is_infinite():
        return float(number)
    if not number:
        return Decimal("-0") if number.is_signed() else 0
    if abs(number.adjusted()) >= MAX_DIGITS or len(number.as_tuple().digits) > 2 * MAX_DIGITS:
        raise _too_long()
    number = _EXACT.normalize(number)
    if len(number.as_tuple().digits) > DISTINCT_DIGITS:
        number = _rounded_decimal(number)
    return int(number) if _is_whole(number) else number


def _rounded_decimal(number: Decimal) -> Decimal:
    """The binary number next to this one: its shortest text, or all digits where that is read as another number."""
    binary = _rounded(number)
    shortest = _shortest(*binary)
    return _EXACT.normalize((shortest if _rounded(shortest) == binary else _exact(*binary)).copy_sign(number))


def _too_long() -> CtyError:
    return CtyError(f"the number has more than {MAX_DIGITS} digits")


def _is_whole(number: Number) -> bool:
    if isinstance(number, Decimal):
        return not number or number.as_tuple().exponent >= 0  # type: ignore[operator]
    return isinstance(number, int) or number.is_integer()


def _rounded(number: Decimal) -> tuple[int, int]:
    """Mantissa of 512 bits and exponent to two of the binary number next to this one; half to even."""
    tens = number.as_tuple().exponent
    assert isinstance(tens, int)
    digits = int(_EXACT.scaleb(number.copy_abs(), -tens))
    numerator, denominator = digits * 10 ** max(tens, 0), 10 ** max(-tens, 0)
    shift = MANTISSA_BITS - numerator.bit_length() + denominator.bit_length()
    while True:
        mantissa, rest = divmod(numerator << max(shift, 0), denominator << max(-shift, 0))
        if mantissa.bit_length() <= MANTISSA_BITS:
            break
        shift -= 1
    half = 2 * rest - (denominator << max(-shift, 0))
    mantissa += half > 0 or (half == 0 and mantissa & 1)
    # A mantissa that was rounded up to the next power of two has a bit more.
    return (mantissa >> 1, 1 - shift) if mantissa.bit_length() > MANTISSA_BITS else (mantissa, -shift)


def _exact(mantissa: int, power: int) -> Decimal:
    """Mantissa times two to the power, with all digits."""
    return Decimal(mantissa << power) if power >= 0 else _EXACT.scaleb(Decimal(mantissa * 5**-power), power)


def _shortest(mantissa: int, power: int) -> Decimal:
    """The shortest Decimal within half a unit of the mantissa, the nearest of those; as Go's `Text('f', -1)`.

    Go takes half a unit on both sides, also for a power of two, where the numbers below are nearer: 2.0**64 becomes
    18446744073709550000, unlike Python's repr.
    """
    # The unit leaves more digits than any shortest text has.
    unit = math.floor((mantissa.bit_length() + power) * math.log10(2)) - DISTINCT_DIGITS - 10
    digits, beyond = _in_units(mantissa, power, unit)
    least, above_least = _in_units(2 * mantissa - 1, power - 1, unit)
    most, above_most = _in_units(2 * mantissa + 1, power - 1, unit)
    # Of an odd mantissa the bounds themselves are read as its neighbours.
    odd = mantissa % 2
    least += bool(odd or above_least)
    beyond_most = most if odd and not above_most else None
    most -= beyond_most is not None
    for zeros in range(DISTINCT_DIGITS + 12, -1, -1):
        step: int = 10**zeros
        down = digits // step * step
        if down + step == beyond_most:
            # Go rounds up no more once that gave the bound itself, though it could do so with more digits.
            most = 0
        fits_down, fits_up = down >= least, down + step <= most
        if fits_down and fits_up:
            half = 2 * (digits - down) - step
            fits_down = half < 0 or (half == 0 and not beyond and down // step % 2 == 0)
        if fits_down or fits_up:
            return _EXACT.scaleb(Decimal(down if fits_down else down + step), unit)
    raise AssertionError("a number without a text")


def _in_units(mantissa: int, power: int, unit: int) -> tuple[int, int]:
    """Mantissa times two to the power, in units of a power of ten, and what is beyond the whole ones."""
    over: int = mantissa * 10 ** max(-unit, 0)
    under: int = 10 ** max(unit, 0)
    return divmod(over << max(power, 0), under << max(-power, 0))


def _shortest_of_float(number: float) -> Decimal:
    fraction, power = math.frexp(abs(number))
    # Python's repr has one purpose with it, and other digits in two cases: powers of two, and numbers whose bounds are
    # whole, see `_shortest`. Below 2**-1022 a float64 has fewer than the 53 bits that cty takes all floats to have.
    if fraction == 0.5 or 0 < abs(number) < 2.0**-1022 or abs(number) >= 2.0**53:
        return _EXACT.normalize(_shortest(int(fraction * 2**53), power - 53)).copy_sign(Decimal(number))
    return Decimal(repr(number))


def number_text(number: Number) -> str:
    """The number in decimal digits, without exponent: how cty writes it in JSON and converts it to text.

    Args:
        number: As `settled` gives it.
    """
    if isinstance(number, int):
        if number.bit_length() <= MANTISSA_BITS:
            return str(number)
        number = Decimal(number)
        number = _EXACT.normalize(_shortest(*_rounded(number)).copy_sign(number))
    elif isinstance(number, float):
        if math.isinf(number):
            return "+Inf" if number > 0 else "-Inf"
        number = _shortest_of_float(number)
    elif len(number.as_tuple().digits) > DISTINCT_DIGITS:
        number = _EXACT.normalize(_shortest(*_rounded(number)).copy_sign(number))
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def wire_number(number: Number) -> int | float | str:
    """The form in which the number is sent: an int64, a float64 that is equal and not whole (or infinite), or text.

    Args:
        number: As `settled` gives it.
    """
    if isinstance(number, int):
        return number if number in INT64 else number_text(number)
    if isinstance(number, float):
        if not number.is_integer():
            return number
        return int(number) if -(2.0**63) <= number < 2.0**63 else number_text(number)
    if not number:
        return 0
    return nearest if _is_float64(number, nearest := float(number)) else number_text(number)


def _is_float64(number: Decimal, nearest: float) -> bool:
    if _is_whole(number) or math.isinf(nearest) or not nearest:
        return False
    exact = Decimal(nearest)
    # A Decimal of few digits is a float64 only if all digits agree. A longer one stands for its binary number.
    return exact == number or (
        len(number.as_tuple().digits) > DISTINCT_DIGITS - 10 and _rounded(exact) == _rounded(number)
    )


def equal_numbers(a: Number, b: Number) -> bool:
    """Whether cty's `==` takes two numbers for the same: whole ones by value, fractions by their shortest text.

    The float 0.1 equals the text 0.1, and does not equal its own exact digits sent as text. Zero equals minus zero.
    """
    if _is_whole(a) != _is_whole(b):
        return False
    if _is_whole(a) or (isinstance(a, float) and isinstance(b, float)):
        return a == b
    return number_text(a) == number_text(b)


def equality_key(number: Number) -> str:
    """A text that is the same for two numbers if `equal_numbers` is true for them."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return str(number) if isinstance(number, int) else number_text(number) if number else "0"


def number_key(number: Number) -> str:
    """The number as Go's `%.10g` writes it, which decides where it stands in a set of structures."""
    if isinstance(number, int) and -(10**10) < number < 10**10:
        return str(number)
    if isinstance(number, float) and math.isinf(number):
        return number_text(number)
    exact = Decimal(number)
    if isinstance(number, Decimal) and len(number.as_tuple().digits) > 10:
        exact = _exact(*_rounded(number)).copy_sign(number)
    exact = _TEN_DIGITS.plus(exact) if exact else exact
    exponent = exact.adjusted()
    if exact and not -4 <= exponent < 10:
        digits = "".join(map(str, exact.as_tuple().digits)).rstrip("0")
        point = "." if len(digits) > 1 else ""
        return f"{'-' * exact.is_signed()}{digits[0]}{point}{digits[1:]}e{exponent:+03d}"
    text = format(exact, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
