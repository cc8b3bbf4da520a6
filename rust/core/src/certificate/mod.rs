//! Keys and certificates: AutoMTLS's one-time pairs, those that callers make and bring, and the facts about a peer's.

mod armour;
mod encoding;
mod facts;
mod identity;
mod issued;
mod issuer;
mod pem;
mod private_key;

use time::Duration;

pub(crate) use facts::validity_of;
pub use facts::{CertificateDetails, CertificateFacts};
pub use identity::{Identity, SERVER_NAME};
pub use issued::{Certificate, Request, Usage};
pub use pem::parse_pem_certificates;
pub(crate) use pem::{readable_certificates, readable_key};

/// Tolerance for clocks that differ, as in go-plugin.
const BACK_DATING: Duration = Duration::seconds(30);

pub(crate) const PAIR_HINT: &str =
    "Give the key with which the certificate was requested; in a chain the host's own certificate comes first.";
