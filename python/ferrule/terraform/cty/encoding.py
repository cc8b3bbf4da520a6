"""Values to bytes in msgpack, as the provider protocol carries them.

Facts: go-cty v1.20, cty/msgpack/marshal.go. The bytes are the same as go-cty's.
"""

from threading import local
from typing import Any, Final

from msgpack import Packer

from ferrule.terraform.cty.errors import within_stack
from ferrule.terraform.cty.forms import wire_form
from ferrule.terraform.cty.strings import utf8
from ferrule.terraform.cty.types import DYNAMIC, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unknown import Unknown
from ferrule.terraform.cty.values import resolved

__all__ = ["encode"]

MAX_KEPT_BYTES: Final = 1 << 20
"""Bytes up to which a thread keeps the buffer that it packs into: as many as a new one has."""
_of_thread = local()


@within_stack
def encode(value: Any, of: Type) -> bytes:
    """The value in msgpack, byte for byte as go-cty encodes it.

    Args:
        value: As the package describes it. Nothing is converted: text where a number is wanted is an error, as is an
            attribute that is missing (null is None) and not optional, or one that the type does not have.
        of: The type that the peer decodes it with.

    Raises:
        CtyError: The value is not of the type; the path tells where.

    Example:
        >>> from ferrule.terraform.cty import NUMBER, STRING, Object
        >>> encode({"name": "web", "port": None}, Object({"name": STRING, "port": NUMBER})).hex()
        '82a46e616d65a3776562a4706f7274c0'
    """
    if of.has_dynamic:
        value, own = resolved(value, of)
        return _packed(_wrapped(value, own, of))
    return _packed(wire_form(of)(value))


def _packed(shaped: Any) -> bytes:
    # Making a packer costs more than packing a small object.
    packer = getattr(_of_thread, "packer", None)
    if packer is None:
        packer = _of_thread.packer = Packer(unicode_errors="surrogateescape")
    data: bytes = packer.pack(shaped)
    if len(data) > MAX_KEPT_BYTES:
        del _of_thread.packer
    return data


def _wrapped(value: Any, own: Type, of: Type) -> Any:
    """The form that is packed of a value in normal form: under a `DYNAMIC` its type goes with it."""
    if of is DYNAMIC and own is not DYNAMIC:
        return [utf8(own.json), wire_form(own)(value)]
    if not of.has_dynamic or value is None or isinstance(value, Unknown):
        return wire_form(own)(value)
    match own, of:
        case ((List() | Set()), (List() | Set())):
            return [_wrapped(each, own.element, of.element) for each in value]
        case Map(), Map():
            return {key: _wrapped(each, own.element, of.element) for key, each in value.items()}
        case Tuple(), Tuple():
            return list(map(_wrapped, value, own.elements, of.elements))
        case Object(), Object():
            inner = of.attributes
            return {name: _wrapped(value[name], each, inner[name]) for name, each in own.attributes.items()}
    return wire_form(own)(value)
