"""What no certificate is made of, and who may not sign it."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from ferrule import Certificate, ConfigError
from integration.certificates import issue
from read_certificates import certificate_of, pair_of

LONG_AGO = datetime.timedelta(days=30)
TOMORROW = -datetime.timedelta(days=1)

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "curve": ({"curve": "P-224"}, "setting curve is 'P-224' (str), expected 'P-256' or 'P-384' or 'P-521'"),
    "no name": ({"dns_names": []}, "setting dns_names is [] (list), expected a list of at least one, each a DNS name"),
    "no address": ({"ip_addresses": ()}, "setting ip_addresses is () (tuple), expected a list of at least one"),
    "text for names": ({"dns_names": "localhost"}, "setting dns_names is 'localhost' (str), expected a list"),
    "empty name": ({"dns_names": [""]}, "'' is no DNS name"),
    "name with a space": ({"dns_names": ["a b"]}, "'a b' is no DNS name"),
    "wildcard inside": ({"dns_names": ["a.*.example"]}, "'a.*.example' is no DNS name"),
    "dot at the end": ({"dns_names": ["example.com."]}, "'example.com.' is no DNS name"),
    "long name": ({"dns_names": [".".join(["a" * 63] * 4)]}, "is no DNS name"),
    "name in Unicode": ({"dns_names": ["bücher.example"]}, "is not ASCII, write such a name as xn--..."),
    "number for a name": ({"dns_names": [5]}, "5 is no text"),
    "address for a name": ({"dns_names": ["10.0.0.1"]}, "'10.0.0.1' is an IP address, put it into ip_addresses"),
    "IPv6 for a name": ({"dns_names": ["::1"]}, "'::1' is an IP address, put it into ip_addresses"),
    "name for an address": ({"ip_addresses": ["localhost"]}, "'localhost' is a DNS name, put it into dns_names"),
    "network": ({"ip_addresses": ["10.0.0.0/8"]}, "'10.0.0.0/8' is no IP address"),
    "number for an address": ({"ip_addresses": [1]}, "1 is no IP address"),
    "scope": ({"ip_addresses": ["fe80::1%eth0"]}, "'fe80::1%eth0' has a scope, which certificates cannot say"),
    "no days": ({"days": 0}, "setting days is 0 (int), expected days: more than 0, at most 36500"),
    "negative days": ({"days": -1}, "setting days is -1 (int)"),
    "absurd days": ({"days": 36_501}, "setting days is 36501 (int)"),
    "no number": ({"days": float("nan")}, "setting days is nan (float)"),
    "truth for days": ({"days": True}, "setting days is True (bool)"),
    "usage": (
        {"usage": "root"},
        "setting usage is 'root' (str), expected 'authority' or 'server' or 'client' or 'peer'",
    ),
    "nameless authority": ({"usage": "authority"}, "setting common_name is None (NoneType), expected text of 1 to 64"),
    "nameless client": ({"usage": "client"}, "setting common_name is None (NoneType)"),
    "empty common name": ({"common_name": ""}, "setting common_name is '' (str)"),
    "long common name": ({"common_name": "a" * 65}, "expected text of 1 to 64 printable characters"),
    "common name of two lines": ({"common_name": "a\nb"}, "setting common_name is 'a\\nb' (str)"),
    "authority with names": (
        {"common_name": "CA", "usage": "authority", "dns_names": ["a"]},
        "dns_names or ip_addresses are given for an authority, expected none: nobody connects to it",
    ),
    "signer of another class": ({"signed_by": "ca.pem"}, "setting signed_by is 'ca.pem' (str), expected a Certificate"),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.values(), ids=REFUSED)
def test_argument_that_does_not_fit_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Certificate.generate(**arguments)
    assert words in caught.value.message
    assert caught.value.code == "config.invalid"


SIGNERS: dict[str, tuple[Callable[[], Certificate], str]] = {
    "leaf": (
        lambda: Certificate.generate(dns_names=["leaf"]),
        "signed_by, the certificate of 'CN=leaf', may not sign certificates, expected an authority",
    ),
    "without its key": (
        lambda: certificate_of(issue("CA", authority=True)),
        "signed_by, the certificate of 'CN=CA', has no private key, expected one that has",
    ),
    "expired": (
        lambda: pair_of(issue("CA", authority=True, age=LONG_AGO)),
        "signed_by, the certificate of 'CN=CA', expired on ",
    ),
    "of tomorrow": (
        lambda: pair_of(issue("CA", authority=True, age=TOMORROW)),
        "signed_by, the certificate of 'CN=CA', is not valid before ",
    ),
    "of the same name": (
        lambda: Certificate.generate(common_name="localhost", usage="authority"),
        "common_name makes the subject 'CN=localhost', that of signed_by, expected another",
    ),
}


@pytest.mark.parametrize(("make_signer", "words"), SIGNERS.values(), ids=SIGNERS)
def test_signer_that_may_not_sign_is_refused(make_signer: Callable[[], Certificate], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Certificate.generate(signed_by=make_signer())
    assert caught.value.message.startswith(words)
    assert caught.value.hint


def test_authority_signs_no_further_ones(authority: Certificate) -> None:
    with pytest.raises(
        ConfigError, match="signed_by, the certificate of 'CN=Example CA', signs no further authorities"
    ):
        Certificate.generate(common_name="below", usage="authority", signed_by=authority)
