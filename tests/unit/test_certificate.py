"""Certificates that are made and read, in the eyes of `cryptography` and of Python's own TLS."""

import copy
import datetime
import ipaddress
import pickle
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from ferrule import Certificate, ConfigError, TLSConfig
from integration.certificates import Identity, issue

CURVES = {"P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"}
USAGES = {
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "peer": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
}
LONG_AGO = datetime.timedelta(days=30)
TOMORROW = -datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return Certificate.generate(common_name="Example CA", usage="authority", days=3650)


def read(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.certificate_pem.encode())


def extension(certificate: Certificate, kind: type[Any]) -> Any:
    return read(certificate).extensions.get_extension_for_class(kind)


def key_usages(certificate: Certificate) -> set[str]:
    """The usages that are on; those of key agreement can only be asked for with it."""
    found = extension(certificate, x509.KeyUsage)
    assert found.critical
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return {name for name in (*names, "key_cert_sign", "crl_sign") if getattr(found.value, name)}


@pytest.mark.parametrize("curve", [*CURVES, "secp521r1", "p-384"])
def test_key_is_on_the_curve_and_belongs_to_the_certificate(curve: str) -> None:
    made = Certificate.generate(curve=curve)
    key = load_pem_private_key(made.private_key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == CURVES[made.key]
    assert key.public_key() == read(made).public_key()
    assert made.private_key_pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    key_text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert made.private_key_pem == key_text


def test_default_is_a_peer_for_this_machine() -> None:
    made = Certificate.generate()
    assert (made.subject, made.issuer, made.dns_names, made.ip_addresses) == (
        "CN=localhost",
        "CN=localhost",
        ("localhost",),
        (),
    )
    assert made.not_after - made.not_before == datetime.timedelta(days=365, seconds=30)
    assert not made.is_authority
    assert not made.is_expired
    assert made.has_private_key
    read(made).verify_directly_issued_by(read(made))
    assert {each.oid._name: each.critical for each in read(made).extensions} == {
        "subjectKeyIdentifier": False,
        "basicConstraints": True,
        "keyUsage": True,
        "extendedKeyUsage": False,
        "subjectAltName": False,
    }


def test_authority_signs_and_does_nothing_else(authority: Certificate) -> None:
    constraints = extension(authority, x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert key_usages(authority) == {"key_cert_sign", "crl_sign"}
    kinds = [type(each.value) for each in read(authority).extensions]
    assert x509.ExtendedKeyUsage not in kinds
    assert x509.SubjectAlternativeName not in kinds
    assert authority.is_authority
    read(authority).verify_directly_issued_by(read(authority))


@pytest.mark.parametrize("usage", USAGES)
def test_usage_is_that_asked_for(usage: Any, authority: Certificate) -> None:
    made = Certificate.generate(common_name="someone", usage=usage, signed_by=authority)
    assert list(extension(made, x509.ExtendedKeyUsage).value) == USAGES[usage]
    assert key_usages(made) == {"digital_signature"}
    constraints = extension(made, x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert made.dns_names == (() if usage == "client" else ("localhost",))


@pytest.mark.parametrize("signer_curve", CURVES)
@pytest.mark.parametrize("curve", CURVES)
def test_signature_is_the_authoritys(signer_curve: str, curve: str) -> None:
    signer = Certificate.generate(common_name="CA", usage="authority", curve=signer_curve)
    made = Certificate.generate(curve=curve, signed_by=signer)
    read(made).verify_directly_issued_by(read(signer))
    assert made.issuer == signer.subject == "CN=CA"
    of_issuer = extension(made, x509.AuthorityKeyIdentifier).value.key_identifier
    assert of_issuer == extension(signer, x509.SubjectKeyIdentifier).value.digest


def test_names_of_every_form() -> None:
    names = ["Example.com", "*.example.com", "a_b.xn--bcher-kva.example", "host"]
    addresses = ["127.0.0.1", ipaddress.ip_address("2001:db8::1")]
    made = Certificate.generate(dns_names=names, ip_addresses=addresses)
    assert made.dns_names == tuple(names)
    assert made.ip_addresses == (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("2001:db8::1"))
    assert made.subject == "CN=Example.com"
    found = extension(made, x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == names
    assert tuple(found.get_values_for_type(x509.IPAddress)) == made.ip_addresses


def test_addresses_are_names_enough() -> None:
    made = Certificate.generate(ip_addresses=["::1"], usage="server")
    assert (made.subject, made.dns_names) == ("CN=::1", ())


def test_common_name_of_any_script() -> None:
    made = Certificate.generate(common_name="Größe, 大")
    (attribute,) = read(made).subject.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)
    assert attribute.value == "Größe, 大"


def test_serial_numbers_are_unique_and_positive() -> None:
    made = [Certificate.generate() for _ in range(200)]
    numbers = {each.serial_number for each in made}
    assert len(numbers) == 200
    assert numbers == {read(each).serial_number for each in made}
    assert all(number.bit_length() == 127 for number in numbers)


def test_facts_are_those_of_the_certificate(authority: Certificate) -> None:
    theirs = read(authority)
    assert authority.fingerprint == theirs.fingerprint(hashes.SHA256()).hex()
    assert authority.certificate_der == theirs.public_bytes(Encoding.DER)
    assert authority.certificate_pem == theirs.public_bytes(Encoding.PEM).decode()
    assert authority.not_before == theirs.not_valid_before_utc
    assert authority.not_after == theirs.not_valid_after_utc
    assert authority.not_after.utcoffset() == datetime.timedelta(0)


@pytest.mark.parametrize("days", [0.5, 9_000, 36_500])
def test_certificate_is_valid_as_long_as_asked_for(days: float) -> None:
    """Dates up to 2049 have another form than later ones."""
    made = Certificate.generate(days=days)
    assert read(made).not_valid_after_utc == made.not_after
    assert made.not_after - made.not_before == datetime.timedelta(days=days, seconds=30)


def test_certificate_ends_with_its_authority() -> None:
    signer = Certificate.generate(common_name="CA", usage="authority", days=2)
    assert Certificate.generate(days=365, signed_by=signer).not_after == signer.not_after
    assert Certificate.generate(days=1, signed_by=signer).not_after < signer.not_after


def of_cryptography(identity: Identity) -> Certificate:
    return Certificate.from_pem(identity.certificate_pem, identity.key_pem)


def test_authority_that_was_read_signs() -> None:
    """Its name is taken over byte for byte: parts of one kind, several in one set, and strings of other kinds."""
    name = x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "com")]),
            x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "example")]),
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA", x509.name._ASN1Type.PrintableString),
                    x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "5"),
                ]
            ),
        ]
    )
    key = ec.generate_private_key(ec.SECP384R1())
    now = datetime.datetime.now(datetime.UTC)
    theirs = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - LONG_AGO)
        .not_valid_after(now + LONG_AGO)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(b"an identifier"), critical=False)
        .sign(key, hashes.SHA384())
    )
    signer = of_cryptography(Identity(key, theirs))
    made = Certificate.generate(signed_by=signer)
    read(made).verify_directly_issued_by(theirs)
    assert read(made).issuer.public_bytes() == name.public_bytes()
    assert extension(made, x509.AuthorityKeyIdentifier).value.key_identifier == b"an identifier"
    below = Certificate.generate(common_name="below", usage="authority", signed_by=signer)
    read(Certificate.generate(signed_by=below)).verify_directly_issued_by(read(below))


@pytest.mark.parametrize(
    "make_key",
    [lambda: rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate],
    ids=["RSA", "Ed25519"],
)
def test_authority_with_a_key_of_another_kind_signs(make_key: Callable[[], Any]) -> None:
    key = make_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA")])
    now = datetime.datetime.now(datetime.UTC)
    theirs = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - LONG_AGO)
        .not_valid_after(now + LONG_AGO)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    made = Certificate.generate(signed_by=of_cryptography(Identity(key, theirs)))
    read(made).verify_directly_issued_by(theirs)
    with pytest.raises(x509.ExtensionNotFound):
        extension(made, x509.AuthorityKeyIdentifier)


def context(own: Certificate, trusted: Certificate, directory: Path, *, server: bool) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=trusted.certificate_pem)
    pair = directory / "pair.pem"
    pair.write_text(own.certificate_pem + own.private_key_pem)
    made.load_cert_chain(pair)
    return made


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> tuple[Any, Any]:
    """The certificates that both sides have seen, after a whole handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(sides)
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    return sides[0].getpeercert(), sides[1].getpeercert()


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("name", ["localhost", "a.example.com", "127.0.0.1", "::1"])
def test_handshake_with_both_certificates(curve: str, name: str, tmp_path: Path) -> None:
    authority = Certificate.generate(common_name="CA", usage="authority", curve=curve)
    plugin = Certificate.generate(
        dns_names=["localhost", "*.example.com"],
        ip_addresses=["127.0.0.1", "::1"],
        usage="server",
        signed_by=authority,
        curve=curve,
    )
    host = Certificate.generate(common_name="the host", usage="client", signed_by=authority, curve=curve)
    client, server = (context(own, authority, tmp_path, server=own is plugin) for own in (host, plugin))
    of_server, of_client = shake_hands(client, server, name)
    assert of_server["subject"] == ((("commonName", "localhost"),),)
    assert of_client["subject"] == ((("commonName", "the host"),),)


@pytest.mark.parametrize(
    ("server_usage", "client_usage", "name", "reason"),
    [
        ("client", "client", "localhost", "unsuitable certificate purpose|mismatch"),
        ("server", "server", "localhost", "unsuitable certificate purpose|UNSUITABLE"),
        ("server", "client", "elsewhere.example", "mismatch"),
    ],
)
def test_handshake_needs_the_right_usage_and_name(
    server_usage: Any, client_usage: Any, name: str, reason: str, authority: Certificate, tmp_path: Path
) -> None:
    plugin = Certificate.generate(dns_names=["localhost"], usage=server_usage, signed_by=authority)
    host = Certificate.generate(common_name="host", usage=client_usage, signed_by=authority)
    with pytest.raises(ssl.SSLError, match=reason):
        shake_hands(
            context(host, authority, tmp_path, server=False), context(plugin, authority, tmp_path, server=True), name
        )


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


def certificate_of(identity: Identity) -> Certificate:
    return Certificate.from_pem(identity.certificate_pem)


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
        lambda: of_cryptography(issue("CA", authority=True, age=LONG_AGO)),
        "signed_by, the certificate of 'CN=CA', expired on ",
    ),
    "of tomorrow": (
        lambda: of_cryptography(issue("CA", authority=True, age=TOMORROW)),
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


@pytest.mark.parametrize("form", ["apart", "together", "files", "bytes"])
def test_pair_survives_the_way_through_pem(form: str, authority: Certificate, tmp_path: Path) -> None:
    certificate, key = authority.certificate_pem, authority.private_key_pem
    (tmp_path / "ca.pem").write_text(certificate)
    (tmp_path / "ca.key").write_text(key)
    forms: dict[str, tuple[Any, ...]] = {
        "apart": (certificate, key),
        "together": (key + certificate,),
        "files": (tmp_path / "ca.pem", str(tmp_path / "ca.key")),
        "bytes": (certificate.encode(), key.encode()),
    }
    again = Certificate.from_pem(*forms[form])
    assert again == authority
    assert again.private_key_pem == key
    assert Certificate.generate(signed_by=again).issuer == "CN=Example CA"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_key_keeps_the_form_in_which_it_was_read(form: PrivateFormat, kind: str) -> None:
    key: Any = ec.generate_private_key(ec.SECP256R1()) if kind == "ECDSA" else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1).not_valid_before(now).not_valid_after(now)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    text = key.private_bytes(Encoding.PEM, form, NoEncryption())
    made = Certificate.from_pem(pem, text)
    assert made.private_key_pem == text.decode()
    assert made.key == ("P-256" if kind == "ECDSA" else "RSA")


OWN, OTHER = Certificate.generate(dns_names=["own"]), Certificate.generate(dns_names=["other"])
ENCRYPTED = load_pem_private_key(OWN.private_key_pem.encode(), None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
)
PEM: dict[str, tuple[tuple[Any, ...], str]] = {
    "no PEM": ((b"nothing",), "certificate holds 7 bytes without a readable certificate, expected PEM"),
    "no certificate": ((OWN.private_key_pem,), "bytes without a readable certificate, expected PEM: it has no section"),
    "no DER": (
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",),
        "certificate holds 59 bytes without a readable certificate",
    ),
    "two certificates": (
        (OWN.certificate_pem + OTHER.certificate_pem,),
        "certificate holds 2 certificates, expected one",
    ),
    "two keys": (
        (OWN.certificate_pem + OWN.private_key_pem + OTHER.private_key_pem,),
        "certificate holds 2 private keys, expected one",
    ),
    "the key twice": (
        (OWN.certificate_pem + OWN.private_key_pem, OWN.private_key_pem),
        "private_key is given, and certificate holds one too, expected one of them",
    ),
    "no key": (
        (OWN.certificate_pem, OWN.certificate_pem),
        "bytes without a readable private key, expected PEM",
    ),
    "half a key": ((OWN.certificate_pem, OWN.private_key_pem[:-60]), "bytes without a readable private key"),
    "key of another": (
        (OWN.certificate_pem, OTHER.private_key_pem),
        "private_key does not belong to the certificate of 'CN=own'",
    ),
    "encrypted key": (
        (OWN.certificate_pem, ENCRYPTED),
        "private_key holds an encrypted private key, expected a plain one",
    ),
    "encrypted key beside": (
        (OWN.certificate_pem.encode() + ENCRYPTED,),
        "certificate holds an encrypted private key, expected a plain one",
    ),
    "no file": (("no-such.pem",), "'no-such.pem' cannot be read: No such file or directory"),
    "number": ((5,), "setting certificate is <hidden> (int), expected one certificate: PEM, or the path of a PEM file"),
}


@pytest.mark.parametrize(("arguments", "words"), PEM.values(), ids=PEM)
def test_pem_that_cannot_be_read_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Certificate.from_pem(*arguments)
    assert words in caught.value.message
    assert caught.value.code == "config.invalid"


def test_certificate_without_its_key_says_so(authority: Certificate) -> None:
    public = Certificate.from_pem(authority.certificate_pem)
    assert not public.has_private_key
    assert repr(public).endswith(", without its private key>")
    with pytest.raises(ConfigError, match="the certificate of 'CN=Example CA' has no private key"):
        _ = public.private_key_pem


def test_certificates_are_equal_by_their_bytes(authority: Certificate) -> None:
    public = Certificate.from_pem(authority.certificate_pem)
    assert public == authority
    assert len({public, authority, OWN}) == 2
    assert OWN != OTHER
    assert OWN.certificate_pem != OWN


def test_repr_shows_whose_it_is_and_no_key() -> None:
    made = Certificate.generate(days=1, curve="P-384")
    assert repr(made) == f"<Certificate 'CN=localhost', P-384, until {made.not_after:%Y-%m-%d}, with its private key>"


def test_key_is_never_pickled(authority: Certificate) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled, since the key would be in the pickle"):
            pickle.dumps(authority, protocol)
    public = Certificate.from_pem(authority.certificate_pem)
    assert pickle.loads(pickle.dumps(public)) == public
    assert copy.deepcopy([authority])[0] is copy.copy(authority) is authority


def test_expiry() -> None:
    assert certificate_of(issue("old", age=LONG_AGO)).is_expired
    assert not certificate_of(issue("new")).is_expired


def test_there_is_no_other_way_to_make_one() -> None:
    with pytest.raises(TypeError, match=r"Certificate\.generate\(\).*Certificate\.from_pem\(\)"):
        Certificate()


def test_setting_tls_takes_certificates(authority: Certificate) -> None:
    own = Certificate.generate(signed_by=authority)
    tls = TLSConfig(ca=authority, certificate=own)
    certificate, key = own.certificate_pem.encode(), own.private_key_pem.encode()
    assert (tls.ca, tls.certificate, tls.key) == (authority.certificate_pem.encode(), certificate, key)
    assert tls == TLSConfig.of({"ca": authority, "certificate": own, "key": own.private_key_pem})
    # Never the authority's key.
    assert TLSConfig(ca=authority).key is None


def test_setting_tls_refuses_a_certificate_without_its_key(authority: Certificate) -> None:
    public = Certificate.from_pem(OWN.certificate_pem)
    with pytest.raises(ConfigError, match=r"setting tls\.certificate is given without tls\.key, expected both"):
        TLSConfig(ca=authority, certificate=public)
    assert TLSConfig(ca=authority, certificate=public, key=OWN.private_key_pem).key is not None
