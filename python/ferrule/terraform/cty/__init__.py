"""Values of Terraform's type system, cty, as plain values of Python.

    >>> from ferrule.terraform import cty
    >>> server = cty.Object({"name": cty.STRING, "ports": cty.Set(cty.NUMBER)})
    >>> data = cty.encode({"name": "web", "ports": [443, 80]}, server)
    >>> cty.decode(data, server)
    {'name': 'web', 'ports': [80, 443]}

A value is what JSON would hold, and the type tells the rest:

==================  ====================================================================================================
cty                 Python
==================  ====================================================================================================
null, bool, string  None, bool, str; text is in Unicode's NFC, bytes that are not UTF-8 are in it by `surrogateescape`
number              int; float for what came as a float64; Decimal for text that is not whole (`Decimal("0.1")`)
list, tuple         list; a tuple is taken too
set                 list, in cty's order, equal elements once; given as a list, tuple, set or frozenset
map, object         dict; all attributes of an object are there
unknown             `UNKNOWN`, or an `Unknown` with what is known about it
dynamic             a plain value if its implied type is its type, else `Typed(value, type)`
==================  ====================================================================================================

A plain value in a place of type dynamic has the type that JSON would give it: a list is a tuple, a dict an object. A
list of strings there is `Typed(["a"], List(STRING))`, and a null of type string `Typed(None, STRING)`. `untyped` gives
such values without their types, for reading.

A float is a float64: 0.1 is sent as one, and is not the 0.1 of a configuration, which is decimal. `convert` makes the
one the other. Both are equal to cty, but their bytes are not.

The answers are those of go-cty v1.20, byte for byte, with these exceptions:

- An object without attributes where some are wanted, or with one twice, is refused, and so are keys of maps that are no
  text and an empty tuple for another one: go-cty reads values of other types from them.
- Values and bytes that make go-cty panic are refused: NaN, bounds that nothing meets, elements of different types in
  a list of dynamic, and names that are the same in NFC.
- Numbers of more than 4,000 digits are refused, so that no exponent makes megabytes; types and values of more than 100
  levels; unknown lists of a known length stay unknown from 101 elements on.
- Python 3.11 knows Unicode 14, Go 15: ten combining marks of 2022 are not brought in order.
"""

from ferrule.terraform.cty.coercion import convert
from ferrule.terraform.cty.comparison import equals, identical
from ferrule.terraform.cty.decoding import decode
from ferrule.terraform.cty.encoding import encode
from ferrule.terraform.cty.errors import Attribute, CtyError, Path, Step, format_path
from ferrule.terraform.cty.json_decoding import decode_json, implied_type_of_json
from ferrule.terraform.cty.json_encoding import encode_json
from ferrule.terraform.cty.prefixes import safe_prefix
from ferrule.terraform.cty.typed import Typed, untyped
from ferrule.terraform.cty.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unification import unify
from ferrule.terraform.cty.unknown import UNKNOWN, Unknown
from ferrule.terraform.cty.values import implied_type

__all__ = [
    "BOOL",
    "DYNAMIC",
    "NUMBER",
    "STRING",
    "UNKNOWN",
    "Attribute",
    "CtyError",
    "List",
    "Map",
    "Object",
    "Path",
    "Set",
    "Step",
    "Tuple",
    "Type",
    "Typed",
    "Unknown",
    "convert",
    "decode",
    "decode_json",
    "encode",
    "encode_json",
    "equals",
    "format_path",
    "identical",
    "implied_type",
    "implied_type_of_json",
    "safe_prefix",
    "unify",
    "untyped",
]
