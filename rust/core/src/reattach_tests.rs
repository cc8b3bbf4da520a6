#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const PRINTED: &str = r#"{"registry.terraform.io/org/name":{"Protocol":"grpc","ProtocolVersion":6,"Pid":123,"Test":true,"Addr":{"Network":"unix","String":"/tmp/plugin1"}}}"#;

fn config() -> impl Strategy<Value = ReattachConfig> {
    let tls = prop::option::of(("[A-Z]{0,5}", "[a-z]{0,5}", ".{0,5}"));
    ("[a-z]{0,6}", 0_u32..1 << 31, "[a-z]{0,5}", ".{0,30}", prop::option::of(1_i32..), any::<bool>(), tls).prop_map(
        |(protocol, protocol_version, network, address, pid, test, tls)| ReattachConfig {
            protocol,
            protocol_version,
            network,
            address,
            pid,
            test,
            tls: tls.map(|(certificate, key, server_certificate)| ReattachTls {
                certificate,
                private_key: Zeroizing::new(key),
                server_certificate,
            }),
        },
    )
}

#[test]
fn what_a_provider_prints_is_read() {
    let named = parse_named(PRINTED).ok().unwrap();
    assert_eq!(named.len(), 1);
    let (name, config) = &named[0];
    assert_eq!(name, "registry.terraform.io/org/name");
    assert_eq!((config.protocol.as_str(), config.protocol_version, config.pid), ("grpc", 6, Some(123)));
    assert_eq!((config.network.as_str(), config.address.as_str(), config.test), ("unix", "/tmp/plugin1", true));
}

#[test]
fn names_may_have_any_case_and_pid_0_is_unknown() {
    let config = parse(r#"{"protocol":"grpc","PID":0,"ADDR":{"network":"tcp","string":"127.0.0.1:1"}}"#).ok().unwrap();
    assert_eq!((config.pid, config.network.as_str(), config.address.as_str()), (None, "tcp", "127.0.0.1:1"));
}

#[test]
fn refusals_say_whose_field_it_is() {
    for (text, expected) in [
        ("", "the reattach configuration is not JSON"),
        ("[]", "a list, expected an object"),
        ("{}", "no Addr"),
        (r#"{"Addr":"x"}"#, "Addr of the reattach configuration is text"),
        (r#"{"Addr":{},"Pid":-1}"#, "Pid of the reattach configuration is -1"),
        (r#"{"Addr":{},"Pid":4294967296}"#, "is 4294967296"),
        (r#"{"Addr":{},"ProtocolVersion":"6"}"#, "is text, expected a whole number"),
        (r#"{"Addr":{},"Test":"true"}"#, "Test of the reattach configuration is text, expected true or false"),
        (r#"{"Addr":{"Network":1}}"#, "Network of the reattach configuration is a number"),
    ] {
        let error = parse(text).err().unwrap();
        assert!(error.message().contains(expected), "{text}: {error}");
    }
    let error = parse_named(r#"{"a/b":{"Addr":[]}}"#).err().unwrap();
    assert!(error.message().contains(r#"the entry "a/b" of TF_REATTACH_PROVIDERS"#), "{error}");
    let error = parse_named("garbage").unwrap_err();
    assert!(error.message().starts_with("TF_REATTACH_PROVIDERS is not JSON: "), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_is_read(config in config()) {
        prop_assert!(parse(&format(&config)).ok().unwrap() == config);
    }

    #[test]
    fn damaged_text_is_read_or_refused_without_its_key(
        mut config in config(), place in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        config.tls = Some(ReattachTls {
            certificate: String::new(),
            private_key: Zeroizing::new("SECRETSECRET".to_owned()),
            server_certificate: String::new(),
        });
        let mut text = format(&config).into_bytes();
        let place = place.index(text.len());
        text[place] = value;
        if let Err(error) = parse(&String::from_utf8_lossy(&text)) {
            prop_assert!(!error.message().contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\",:a-zA-Z0-9.\\\\-]{0,80}") {
        let _ = (parse(&text), parse_named(&text));
    }
}
