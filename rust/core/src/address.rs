//! The address at which a peer listens, in go-plugin's format. No I/O.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::error::excerpt;

/// Bytes of a Unix socket's path, without its end (unix(7)).
const MAX_PATH_BYTES: usize = 107;
/// Characters of a host's name (RFC 1035).
const MAX_NAME_CHARACTERS: usize = 253;
pub(crate) const LOCALHOST: &str = "localhost";

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Path of a Unix domain socket.
    Unix(PathBuf),
    /// IP address and port.
    Tcp(SocketAddr),
    /// A host's name, looked up at each attempt, and a port.
    Name(String, u16),
}

impl Address {
    /// Reads an address as Go's `net.ResolveTCPAddr` and `net.ResolveUnixAddr` do, except for ports by name.
    ///
    /// # Errors
    ///
    /// A sentence that shows the address and says what is wrong with it.
    pub fn parse(network: &str, location: &str) -> Result<Self, String> {
        let parsed = match network {
            "unix" if location.is_empty() => Err("it is empty"),
            "unix" if location.contains('\0') => Err("it has a NUL byte"),
            "unix" if location.len() > MAX_PATH_BYTES => Err("it is longer than the path of a socket can be"),
            "unix" => Ok(Self::Unix(PathBuf::from(location))),
            "tcp" => parse_tcp(location).ok_or("expected HOST:PORT, with an IPv6 address in brackets"),
            _ => Err("the network must be unix or tcp"),
        };
        parsed.map_err(|reason| {
            let (network, shown) = (excerpt(network.as_bytes()), excerpt(location.as_bytes()));
            format!("the {} address {shown} cannot be used: {reason}", network.trim_matches('"'))
        })
    }

    /// go-plugin's name of the transport.
    #[must_use]
    pub fn network(&self) -> &'static str {
        match self {
            Self::Unix(_) => "unix",
            Self::Tcp(_) | Self::Name(..) => "tcp",
        }
    }

    /// The path, `IP:PORT` or `NAME:PORT`.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Unix(path) => path.display().to_string(),
            Self::Tcp(address) => address.to_string(),
            Self::Name(name, port) => format!("{}:{port}", bracketed(name)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.network(), self.location())
    }
}

/// A host as it is written before a port: IPv6 addresses in brackets.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn parse_tcp(location: &str) -> Option<Address> {
    let (host, port) = location.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    // Written anew: Go admits a sign before a port.
    if let Ok(address) = format!("{host}:{port}").parse() {
        return Some(Address::Tcp(address));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = match bare {
        // An IPv6 address whose zone is the name of an interface.
        Some(zoned) => zoned.split_once('%').is_some_and(|(ip, zone)| ip.parse::<Ipv6Addr>().is_ok() && is_name(zone)),
        // As in Go, an empty host is this machine.
        None if host.is_empty() => return Some(Address::Name(LOCALHOST.to_owned(), port)),
        None => is_name(host),
    };
    is_name.then(|| Address::Name(bare.unwrap_or(host).to_owned(), port))
}

/// Whether `host` may be a name for a resolver.
fn is_name(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= MAX_NAME_CHARACTERS && host.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let name = |name: &str, port| Address::Name(name.to_owned(), port);
        for (location, address) in [
            ("127.0.0.1:1", Address::Tcp(([127, 0, 0, 1], 1).into())),
            ("[::1]:65535", Address::Tcp((Ipv6Addr::LOCALHOST, 65535).into())),
            ("127.0.0.1:+80", Address::Tcp(([127, 0, 0, 1], 80).into())),
            ("localhost:1234", name("localhost", 1234)),
            ("LocalHost:1234", name("LocalHost", 1234)),
            (":1234", name("localhost", 1234)),
            ("a_b-c.example.:1", name("a_b-c.example.", 1)),
            ("[fe80::1%eth0.1]:5", name("fe80::1%eth0.1", 5)),
        ] {
            let parsed = Address::parse("tcp", location);
            assert_eq!(parsed, Ok(address.clone()), "{location}");
            assert_eq!(Address::parse("tcp", &address.location()), Ok(address), "{location}");
        }
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_and_shown() {
        for location in [
            "",
            "nonsense",
            "127.0.0.1",
            "127.0.0.1:65536",
            "localhost:",
            "localhost:http",
            "[::1",
            "::1:5",
            "[localhost]:1",
            "[::1%]:1",
            "a b:1",
            "user@host:1",
            "host/path:1",
            "/tmp/plugin1",
            "h\u{f6}st:1",
            "a\0b:1",
            "%41:1",
        ] {
            let refusal = Address::parse("tcp", location).unwrap_err();
            assert!(refusal.contains(&excerpt(location.as_bytes())) && refusal.contains("HOST:PORT"), "{refusal}");
        }
        assert!(Address::parse("tcp", &format!("{}:1", "x".repeat(254))).is_err());
        assert!(Address::parse("udp", "127.0.0.1:1").unwrap_err().contains("unix or tcp"));
    }
}
