"""Certificates of `cryptography`, read by the class under test."""

from ferrule import Certificate
from integration.certificates import Identity


def certificate_of(identity: Identity) -> Certificate:
    """The certificate alone."""
    return Certificate.from_pem(identity.certificate_pem)


def pair_of(identity: Identity) -> Certificate:
    """The certificate with its key."""
    return Certificate.from_pem(identity.certificate_pem, identity.key_pem)
