//! Messages of the broker's stream.

use prost::Message;

use super::LONGEST_MESSAGE;
use crate::broker::conn_info::{ConnInfo, Notice, listening, read};
use crate::settings::Transports;

const BOTH: Transports = Transports { unix: true, tcp: true };

/// A `ConnInfo` is understood or refused; what is understood can be said again.
pub(super) fn conn_info(bytes: &[u8]) {
    if let Ok(message) = ConnInfo::decode(bytes) {
        assert_eq!(ConnInfo::decode(message.to_bytes().as_slice()).as_ref(), Ok(&message));
    }
    match read(bytes, BOTH) {
        Err(error) => assert!(error.message().len() < LONGEST_MESSAGE, "{error}"),
        Ok((id, Notice::Listening(address))) => {
            let again = read(&listening(id, address.network(), address.location()).to_bytes(), BOTH);
            assert_eq!(again.ok(), Some((id, Notice::Listening(address))));
        }
        Ok(_) => (),
    }
}
