#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::certificate::Identity;
use crate::settings::Curve;

fn expected() -> Expectations {
    Expectations { protocol_versions: vec![5, 6], transports: Transports { unix: true, tcp: true }, multiplex: false }
}

fn parse(line: &str) -> Result<Handshake, Error> {
    Handshake::parse(line.as_bytes(), &expected())
}

fn certificate() -> (CertificateDer<'static>, String) {
    let der = Identity::generate(Curve::P256).unwrap().certified_key().cert[0].clone();
    let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&der);
    (der, text)
}

#[test]
fn four_to_seven_fields_and_more() {
    let (der, text) = certificate();
    let bare = Handshake {
        protocol_version: 6,
        address: Address::Unix("/tmp/plugin1".into()),
        certificate: None,
        multiplex: false,
    };
    let locked = Handshake { certificate: Some(der), ..bare.clone() };
    for (line, handshake) in [
        ("1|6|unix|/tmp/plugin1|grpc".to_owned(), &bare),
        ("1|6|unix|/tmp/plugin1|grpc|".to_owned(), &bare),
        (" \t1|6|unix|/tmp/plugin1|grpc|short text\r".to_owned(), &bare),
        ("+1|006|unix|/tmp/plugin1|grpc||yes|anything|else".to_owned(), &bare),
        (format!("1|6|unix|/tmp/plugin1|grpc|{text}"), &locked),
        (format!("1|6|unix|/tmp/plugin1|grpc|{text}|true"), &locked),
    ] {
        assert_eq!(&parse(&line).unwrap(), handshake, "{line}");
    }
    assert_eq!(parse("1|5|tcp|127.0.0.1:1234|grpc|").unwrap().address, Address::Tcp("127.0.0.1:1234".parse().unwrap()));
    for location in ["[::1]:1234", "localhost:1234", "plugin.internal:1"] {
        assert_eq!(parse(&format!("1|5|tcp|{location}|grpc|")).unwrap().address.location(), location);
    }
    assert_eq!(parse("1|5|tcp|:1234|grpc|").unwrap().address.location(), "localhost:1234");
}

#[test]
fn padded_base64_is_understood() {
    let (der, text) = certificate();
    let padded = format!("1|6|unix|/s|grpc|{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    assert_eq!(parse(&padded).unwrap().certificate, Some(der));
}

#[test]
fn each_broken_rule_has_its_own_kind_and_shows_the_value() {
    for (line, kind, shown) in [
        ("", ErrorKind::HandshakeFields, "1 field(s)"),
        ("1|6|unix", ErrorKind::HandshakeFields, "3 field(s)"),
        ("x|6|unix|/s|grpc", ErrorKind::CoreVersionInvalid, "\"x\""),
        ("1 |6|unix|/s|grpc", ErrorKind::CoreVersionInvalid, "\"1 \""),
        ("2|6|unix|/s|grpc", ErrorKind::CoreVersionUnsupported, "core protocol 2"),
        ("2|6|unix|/s", ErrorKind::CoreVersionUnsupported, "core protocol 2"),
        ("5|0|unix|/s", ErrorKind::ProtocolUnsupported, "Packer's own protocol, version 5.0"),
        ("5|0|tcp|127.0.0.1:1", ErrorKind::ProtocolUnsupported, "Packer's own protocol"),
        ("1|six|unix|/s|grpc", ErrorKind::AppVersionInvalid, "\"six\""),
        ("1|9|unix|/s|grpc", ErrorKind::AppVersionUnsupported, "protocol 9, this host offered [5, 6]"),
        ("1|-6|unix|/s|grpc", ErrorKind::AppVersionUnsupported, "protocol -6"),
        ("1|6|UNIX|/s|grpc", ErrorKind::NetworkUnsupported, "\"UNIX\""),
        ("1|6|unix||grpc", ErrorKind::AddressInvalid, "it is empty"),
        ("1|6|unix|/a\0b|grpc", ErrorKind::AddressInvalid, "NUL"),
        ("1|6|tcp|localhost|grpc", ErrorKind::AddressInvalid, "\"localhost\" cannot be used: expected HOST:PORT"),
        ("1|6|unix|/s", ErrorKind::ProtocolUnsupported, "net/rpc, or was cut short: \"1|6|unix|/s\""),
        ("1|6|unix|/s|netrpc", ErrorKind::ProtocolUnsupported, "net/rpc"),
        ("1|4|unix|/s|netrpc|", ErrorKind::ProtocolUnsupported, "net/rpc"),
        ("1|4|unix|/s", ErrorKind::ProtocolUnsupported, "net/rpc"),
        ("1|x|udp||netrpc", ErrorKind::ProtocolUnsupported, "net/rpc"),
        ("1|6|unix|/s|", ErrorKind::ProtocolUnsupported, "\"\""),
        ("1|6|unix|/s|http", ErrorKind::ProtocolUnsupported, "\"http\""),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert!(error.message().contains(shown), "{line}: {error}");
    }
}

#[test]
fn first_fault_in_go_plugins_order_is_the_one_named() {
    let bad = format!("1|6|unix|/s|grpc|{}", "!".repeat(60));
    let faults = ["x|x|x|x|x", "2|x|x|x|x", "1|x|x|x|x", "1|9|x|x|x", "1|6|x|x|x", "1|6|unix|/s|x", &bad];
    let kinds: Vec<_> = faults.iter().map(|line| parse(line).unwrap_err().kind()).collect();
    let expected = [
        ErrorKind::CoreVersionInvalid,
        ErrorKind::CoreVersionUnsupported,
        ErrorKind::AppVersionInvalid,
        ErrorKind::AppVersionUnsupported,
        ErrorKind::NetworkUnsupported,
        ErrorKind::ProtocolUnsupported,
        ErrorKind::CertificateInvalid,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn socket_of_a_refused_line_is_known() {
    for (line, path) in [
        (&b"1|99|unix|/t/s|grpc|"[..], Some(&b"/t/s"[..])),
        (b" 5|0|unix|/t/s\r", Some(b"/t/s")),
        (b"1|5|unix|/t/\xff|netrpc|", Some(b"/t/\xff")),
        (b"1|5|unix|s|grpc|", None),
        (b"1|5|tcp|/t/s|grpc|", None),
        (b"1|5|unix", None),
    ] {
        assert_eq!(socket_named(line), path.map(|path| PathBuf::from(OsStr::from_bytes(path))), "{line:?}");
    }
}

#[test]
fn certificate_field_must_be_one_certificate() {
    let (der, _) = certificate();
    let two = base64::engine::general_purpose::STANDARD_NO_PAD.encode([&der[..], &der[..]].concat());
    for field in ["!".repeat(60), "QUJD".repeat(20), two] {
        let error = parse(&format!("1|6|unix|/s|grpc|{field}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CertificateInvalid, "{error}");
        assert!(error.message().len() < 400);
    }
    let error = parse(&format!("1|6|unix|/s|grpc|{}", "@".repeat(60))).unwrap_err();
    assert!(error.message().ends_with("@\", cannot be read: Invalid symbol 64, offset 0"), "{error}");
}

#[test]
fn excluded_transport_is_refused() {
    let only_unix = Expectations { transports: Transports { unix: true, tcp: false }, ..expected() };
    let error = Handshake::parse(b"1|6|tcp|127.0.0.1:1|grpc|", &only_unix).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkUnsupported);
}

#[test]
fn multiplexing_field_counts_only_when_asked_for() {
    let asked = Expectations { multiplex: true, ..expected() };
    let parse = |field: &str| Handshake::parse(format!("1|6|unix|/s|grpc|{field}").as_bytes(), &asked);
    assert!(parse("|true").unwrap().multiplex);
    for (field, kind) in [
        ("", ErrorKind::MultiplexUnsupported),
        ("|false", ErrorKind::MultiplexUnsupported),
        ("|yes", ErrorKind::MultiplexInvalid),
    ] {
        assert_eq!(parse(field).unwrap_err().kind(), kind, "{field}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Handshake::parse(&line, &expected());
    }

    #[test]
    fn no_fields_make_the_parser_panic(fields in prop::collection::vec("(1|6|unix|tcp|grpc|[a-zA-Z0-9+/=]{0,80}|.{0,5})", 0..9)) {
        let _ = Handshake::parse(fields.join("|").as_bytes(), &Expectations { multiplex: true, ..expected() });
    }
}

proptest! {
    #[test]
    fn line_of_our_own_plugins_is_understood(
        version in 0_u32..1000, path in "/[a-zA-Z0-9 ._-]{1,40}[a-z]", certified in any::<bool>(), multiplex in any::<bool>(),
    ) {
        let identity = crate::certificate::Identity::generate(crate::settings::Curve::P256).unwrap();
        let certificate = certified.then(|| identity.certified_key().cert[0].clone());
        let address = Address::Unix(path.into());
        let expected = Expectations {
            protocol_versions: vec![version],
            transports: Transports { unix: true, tcp: true },
            multiplex,
        };
        let line = line(version, &address, certificate.as_ref(), multiplex);
        let handshake = Handshake::parse(line.as_bytes(), &expected).unwrap();
        prop_assert_eq!(handshake, Handshake { protocol_version: version, address, certificate, multiplex });
    }
}
