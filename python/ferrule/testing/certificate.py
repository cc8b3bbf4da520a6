"""The plugin's one-time certificate for AutoMTLS."""

import base64
from typing import NamedTuple

from ferrule import _core


class Identity(NamedTuple):
    """A private key and its self-signed certificate."""

    key_pem: bytes
    certificate_pem: bytes
    certificate_der: bytes


def generate() -> Identity:
    """A new key on P-256 and a certificate of go-plugin's profile.

    go-plugin's own curve, P-521, is out of the question: the TLS inside gRPC's C core can neither sign nor verify with
    it.
    """
    certificate, key = _core.one_time_identity()
    der = base64.b64decode("".join(certificate.splitlines()[1:-1]))
    return Identity(key.encode(), certificate.encode(), der)
