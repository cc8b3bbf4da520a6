//! `plugin.ConnInfo`, the only message of the broker's stream, and its meanings. No I/O.

use prost::Message;

use crate::address::Address;
use crate::error::{Error, ErrorKind, excerpt};
use crate::handshake::parse_address;
use crate::settings::Transports;

/// The message as it travels; `network` and `address` without multiplexing, `knock` with it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ConnInfo {
    /// Names a listener of the sender, or of the receiver in a knock.
    #[prost(uint32, tag = "1")]
    pub service_id: u32,
    /// `unix` or `tcp`.
    #[prost(string, tag = "2")]
    pub network: String,
    /// Where the sender listens.
    #[prost(string, tag = "3")]
    pub address: String,
    /// Present in a knock and in its acknowledgement.
    #[prost(message, optional, tag = "4")]
    pub knock: Option<Knock>,
}

/// Announces that the sender's next stream is for the id, or acknowledges that.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Knock {
    /// Always true.
    #[prost(bool, tag = "1")]
    pub knock: bool,
    /// Whether this acknowledges a knock.
    #[prost(bool, tag = "2")]
    pub ack: bool,
    /// Why a knock is refused; empty if it is acknowledged.
    #[prost(string, tag = "3")]
    pub error: String,
}

impl ConnInfo {
    /// The encoded message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }
}

/// The meaning of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The peer listens for this id.
    Listening(Address),
    /// The peer wants to open a stream for this id.
    Knock,
    /// The peer acknowledges this side's knock, or refuses it with a reason.
    Acknowledgement(Result<(), String>),
}

/// Decodes a message: the id, and what is said of it.
pub fn read(message: &[u8], transports: Transports) -> Result<(u32, Notice), Error> {
    let info = ConnInfo::decode(message).map_err(|error| {
        let shown = excerpt(message);
        Error::new(ErrorKind::BrokerInvalid, format!("the peer's broker sent what is no ConnInfo: {error}, in {shown}"))
    })?;
    understand(info, transports)
}

/// The id of a decoded message, and what is said of it.
pub fn understand(info: ConnInfo, transports: Transports) -> Result<(u32, Notice), Error> {
    let notice = match info.knock {
        None => Notice::Listening(parse_address(&info.network, &info.address, transports)?),
        Some(Knock { ack: false, .. }) => Notice::Knock,
        Some(Knock { error, .. }) if error.is_empty() => Notice::Acknowledgement(Ok(())),
        Some(Knock { error, .. }) => Notice::Acknowledgement(Err(error)),
    };
    Ok((info.service_id, notice))
}

/// A message that announces a listener.
#[must_use]
pub fn listening(id: u32, network: &str, address: String) -> ConnInfo {
    ConnInfo { service_id: id, network: network.to_owned(), address, knock: None }
}

/// A message that knocks.
#[must_use]
pub fn knock(id: u32) -> ConnInfo {
    knocking(id, false)
}

/// A message that acknowledges a knock.
#[must_use]
pub fn acknowledgement(id: u32) -> ConnInfo {
    knocking(id, true)
}

fn knocking(id: u32, ack: bool) -> ConnInfo {
    let knock = Knock { knock: true, ack, error: String::new() };
    ConnInfo { service_id: id, network: String::new(), address: String::new(), knock: Some(knock) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const BOTH: Transports = Transports { unix: true, tcp: true };

    fn understood(info: &ConnInfo) -> Result<(u32, Notice), Error> {
        read(&info.encode_to_vec(), BOTH)
    }

    #[test]
    fn address_obeys_the_setting_transports() {
        let tcp = listening(1, "tcp", "127.0.0.1:1".to_owned()).to_bytes();
        assert!(read(&tcp, BOTH).is_ok() && read(&tcp, Transports { unix: true, tcp: false }).is_err());
    }

    #[test]
    fn each_kind_of_message_is_understood() {
        let socket = Address::Unix("/tmp/plugin1".into());
        assert_eq!(
            understood(&listening(7, "unix", "/tmp/plugin1".to_owned())).unwrap(),
            (7, Notice::Listening(socket))
        );
        let named = Address::Name("localhost".to_owned(), 1234);
        assert_eq!(understood(&listening(7, "tcp", named.location())).unwrap(), (7, Notice::Listening(named)));
        assert_eq!(understood(&knock(1)).unwrap(), (1, Notice::Knock));
        assert_eq!(understood(&acknowledgement(u32::MAX)).unwrap(), (u32::MAX, Notice::Acknowledgement(Ok(()))));
        let mut refusal = acknowledgement(2);
        refusal.knock = refusal.knock.map(|knock| Knock { error: "no".to_owned(), ..knock });
        assert_eq!(understood(&refusal).unwrap(), (2, Notice::Acknowledgement(Err("no".to_owned()))));
    }

    #[test]
    fn address_that_cannot_be_dialled_is_refused() {
        for (network, address) in
            [("unix", ""), ("unix", "a\0b"), ("tcp", "localhost"), ("udp", "127.0.0.1:1"), ("unix", &"x".repeat(108))]
        {
            assert!(understood(&listening(1, network, address.to_owned())).is_err(), "{network} {address:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(message in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = read(&message, BOTH) {
                prop_assert!(error.message().len() < 2000);
            }
        }

        #[test]
        fn damaged_messages_are_read_or_refused(
            choice in any::<prop::sample::Index>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let corpus = corpus();
            let mut message = corpus[choice.index(corpus.len())].clone();
            for (place, value) in damage {
                let place = place.index(message.len());
                message[place] = value;
            }
            // What is understood can be said again.
            if let Ok((id, Notice::Listening(address))) = read(&message, BOTH) {
                let again = listening(id, address.network(), address.location());
                prop_assert_eq!(understood(&again).unwrap(), (id, Notice::Listening(address)));
            }
        }
    }

    fn corpus() -> Vec<Vec<u8>> {
        let directory = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/conn_info")).unwrap();
        directory.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }
}
