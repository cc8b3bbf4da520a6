"""What is fuzzed in Python: functions of any bytes, which assert what must hold of them.

`tests/fuzzing/fuzz.py` has them called by libFuzzer, `tests/fuzzing/test_corpus.py` with the inputs of the corpus. The
errors that a caller is promised are the only ones; what was read survives being written; where there is another
implementation, it is asked too.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgpack
from cryptography import x509
from google.protobuf.message import DecodeError

from ferrule.certificate import Certificate
from ferrule.errors import ConfigError
from ferrule.logs import parse_line
from ferrule.terraform import cty
from ferrule.terraform.errors import InvalidResponseError, StateError
from ferrule.terraform.finding.hcl import Body, Value, read_hcl
from ferrule.terraform.finding.versions import Constraints, Version
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate.document import Document


@contextlib.contextmanager
def refusals(*kinds: type[Exception]) -> Iterator[None]:
    """Lets the promised errors of an input pass; their words can be made and written."""
    try:
        yield
    except kinds as error:
        str(error).encode("utf-8", "surrogateescape")


def _typed(data: bytes) -> tuple[cty.Type, bytes]:
    """The type in the first line, and what follows it."""
    notation, _, value = data.partition(b"\n")
    return cty.Type.from_json(notation), value


def cty_types(data: bytes) -> None:
    """A type constraint is read or refused, and survives its notation."""
    with refusals(cty.CtyError):
        of = cty.Type.from_json(data)
        assert cty.Type.from_json(of.json) == of
        assert isinstance(json.loads(of.json), str | list)


def cty_msgpack(data: bytes) -> None:
    """A value in msgpack, whose type is in the first line. What is read is msgpack to the reference too."""
    with refusals(cty.CtyError):
        of, value = _typed(data)
        decoded = cty.decode(value, of)
        unpacker = msgpack.Unpacker()
        unpacker.feed(value)
        unpacker.skip()
        _check_written(decoded, of)


def cty_json(data: bytes) -> None:
    """A value in JSON, whose type is in the first line. What is read is JSON to the reference too."""
    with refusals(cty.CtyError):
        of, value = _typed(data)
        decoded = cty.decode_json(value, of)
        text = value.decode("utf-8", "surrogateescape")
        json.JSONDecoder(parse_int=str).raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
        _check_written(decoded, of)
        written = cty.encode_json(decoded, of)
        assert cty.encode_json(cty.decode_json(written, of), of) == written


def cty_conversion(data: bytes) -> None:
    """A value in JSON becomes one of the type in the first line, and then stays as it is."""
    with refusals(cty.CtyError):
        of, value = _typed(data)
        implied = cty.implied_type_of_json(value)
        converted = cty.convert(cty.decode_json(value, implied), of, implied)
        assert cty.identical(cty.convert(converted, of), converted, of)
        _check_written(converted, of)


def _check_written(value: Any, of: cty.Type) -> None:
    written = cty.encode(value, of)
    again = cty.decode(written, of)
    assert cty.encode(again, of) == cty.encode(cty.decode(cty.encode(again, of), of), of)
    cty.identical(again, value, of)
    cty.equals(again, value, of)


def schema(data: bytes) -> None:
    """An answer with a schema: the names are those that protobuf reads, broken types are found when asked for."""
    message = Protocol.of(6).message("GetProviderSchema.Response")
    with refusals(InvalidResponseError):
        found = ProviderSchema.of(Protocol.of(6), data)
        with contextlib.suppress(DecodeError):
            assert found.resources.keys() == message.FromString(data).resource_schemas.keys()
        for name in found.resources:
            with refusals(InvalidResponseError):
                found.resources[name]
        with refusals(InvalidResponseError):
            found.to_json("registry.terraform.io/hashicorp/fuzz")


def log_line(data: bytes) -> None:
    """A line of a plugin's log always has a message that can be written."""
    message, extra = parse_line(data)
    message.encode()
    assert set(extra) == {"plugin_fields", "plugin_module", "plugin_timestamp"}


def hcl(data: bytes) -> None:
    """HCL, or JSON in its place, is read or refused."""
    with refusals(ConfigError):
        _walk(read_hcl(data.decode("utf-8", "surrogateescape"), "fuzz.hcl"))


def _walk(body: Body) -> None:
    for item in body.items:
        assert item.position.line >= 0
        if isinstance(item.value, Value) and isinstance(item.value.content, Body):
            _walk(item.value.content)


def versions(data: bytes) -> None:
    """Versions, one in each line, are ordered; the first line is read as constraints too."""
    found = []
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for line in lines:
        with refusals(ValueError):
            version = Version.of(line)
            assert Version.of(str(version)) == version
            found.append(version)
    ordered = sorted(found)
    assert all(not later < earlier for earlier, later in itertools.pairwise(ordered))
    with refusals(ConfigError):
        constraints = Constraints.of(lines[0])
        for version in found:
            constraints.allows(version)


def state(data: bytes) -> None:
    """A state is read or refused, and survives its text."""
    with refusals(StateError):
        found = ResourceState.from_json(data)
        assert ResourceState.from_json(found.to_json()) == found
        repr(found)


def state_file(data: bytes) -> None:
    """A state file is read or refused, each of its resources too."""
    with refusals(StateError):
        document = Document(data.decode("utf-8", "surrogateescape"), "fuzz.tfstate")
        for resource in document.resources:
            for instance in resource.instances:
                assert document.with_instance(instance, document.raw_members(instance)) is not None
            for key in resource.current_keys():
                str(resource.address(key))


NOT_READ_BY_CRYPTOGRAPHY: Final = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def certificate(data: bytes) -> None:
    """What is read of a certificate is what the library `cryptography` reads, where that reads it."""
    with refusals(ConfigError):
        ours = Certificate.from_pem(data)
        try:
            theirs = x509.load_pem_x509_certificate(data)
            names = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            addresses = names.get_values_for_type(x509.IPAddress)
            dns_names = names.get_values_for_type(x509.DNSName)
            validity = theirs.not_valid_before_utc, theirs.not_valid_after_utc
            serial_number = theirs.serial_number
        except NOT_READ_BY_CRYPTOGRAPHY:
            return
        assert (ours.dns_names, ours.ip_addresses) == (tuple(dns_names), tuple(addresses))
        assert (ours.not_before, ours.not_after) == validity
        assert ours.serial_number == serial_number


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "certificate": certificate,
    "cty_conversion": cty_conversion,
    "cty_json": cty_json,
    "cty_msgpack": cty_msgpack,
    "cty_types": cty_types,
    "hcl": hcl,
    "log_line": log_line,
    "schema": schema,
    "state": state,
    "state_file": state_file,
    "versions": versions,
}
"""All targets, by the names of their directories in the corpus."""
