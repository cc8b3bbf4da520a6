//! Where a peer listens, in go-plugin's words, and the sockets that a name in it stands for.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::error::excerpt;

/// Bytes of a Unix socket's path, without its end (unix(7)).
const LONGEST_PATH: usize = 107;
/// Characters of a host's name (RFC 1035).
const LONGEST_NAME: usize = 253;
const LOCALHOST: &str = "localhost";
/// Bound on one look-up: the system's own is a multiple of its resolver's five seconds.
const LOOKUP_LIMIT: Duration = Duration::from_secs(20);

/// Look-ups at a time, also of those whose callers have given up: other work needs threads that may block as well.
pub const LOOKUPS: usize = 4;
static LOOKING_UP: Semaphore = Semaphore::const_new(LOOKUPS);

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
    /// Reads an address as Go's `net.ResolveTCPAddr` and `net.ResolveUnixAddr` do, but for ports by name.
    ///
    /// # Errors
    ///
    /// A sentence that shows the address and says what is wrong with it.
    pub fn parse(network: &str, location: &str) -> Result<Self, String> {
        let parsed = match network {
            "unix" if location.is_empty() => Err("it is empty"),
            "unix" if location.contains('\0') => Err("it has a NUL byte"),
            "unix" if location.len() > LONGEST_PATH => Err("it is longer than the path of a socket can be"),
            "unix" => Ok(Self::Unix(PathBuf::from(location))),
            "tcp" => parse_tcp(location).ok_or("expected HOST:PORT, with an IPv6 address in brackets"),
            _ => Err("the network must be unix or tcp"),
        };
        parsed.map_err(|reason| {
            let (network, shown) = (excerpt(network.as_bytes()), excerpt(location.as_bytes()));
            format!("the {} address {shown} cannot be used: {reason}", network.trim_matches('"'))
        })
    }

    /// go-plugin's word for the kind of transport.
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

/// A host as it stands before a port.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn parse_tcp(location: &str) -> Option<Address> {
    if let Ok(address) = location.parse() {
        return Some(Address::Tcp(address));
    }
    let (host, port) = location.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = match bare {
        // An IPv6 address whose zone is the name of an interface.
        Some(zoned) => zoned.split_once('%').is_some_and(|(ip, zone)| ip.parse::<Ipv6Addr>().is_ok() && is_name(zone)),
        // As Go has it, no host is this one.
        None if host.is_empty() => return Some(Address::Name(LOCALHOST.to_owned(), port)),
        None => is_name(host),
    };
    is_name.then(|| Address::Name(bare.unwrap_or(host).to_owned(), port))
}

/// Whether a resolver may be asked for it.
fn is_name(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= LONGEST_NAME && host.bytes().all(plain)
}

/// The sockets of a plugin's address. `localhost` is this machine whatever a resolver says (RFC 6761), and IPv4 comes
/// first, which is what Go's resolver settles on.
pub(super) async fn sockets(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if name.eq_ignore_ascii_case(LOCALHOST) {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    let mut found = look_up(name, port).await?;
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

/// What a name or an IP address stands for; the system's resolver is asked on a thread that may block.
pub(crate) async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if let Some((ip, zone)) = host.split_once('%')
        && let Ok(ip) = ip.parse()
    {
        return Ok(vec![SocketAddrV6::new(ip, port, 0, zone_index(zone).await?).into()]);
    }
    resolve(host, port).await
}

/// The number of an interface, which resolvers tell for link-local addresses alone.
async fn zone_index(zone: &str) -> io::Result<u32> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    let found = resolve(&format!("fe80::1%{zone}"), 0).await.unwrap_or_default();
    let index =
        found.iter().find_map(|found| if let SocketAddr::V6(found) = found { Some(found.scope_id()) } else { None });
    index.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no network interface {zone:?}")))
}

async fn resolve(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let unresolved =
        |kind, cause: String| io::Error::new(kind, format!("the name {name:?} cannot be resolved: {cause}"));
    match timeout(LOOKUP_LIMIT, ask_resolver(name.to_owned(), port)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(unresolved(error.kind(), error.to_string())),
        Err(_) => Err(unresolved(io::ErrorKind::TimedOut, format!("no answer within {} s", LOOKUP_LIMIT.as_secs()))),
    }
}

async fn ask_resolver(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let permit = LOOKING_UP.acquire().await.map_err(io::Error::other)?;
    let asking = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        drop(permit);
        found
    };
    spawn_blocking(asking).await.map_err(io::Error::other)?
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

    #[tokio::test]
    async fn this_machine_needs_no_resolver() {
        let expected: Vec<SocketAddr> = vec![([127, 0, 0, 1], 7).into(), (Ipv6Addr::LOCALHOST, 7).into()];
        for name in ["localhost", "LOCALHOST"] {
            assert_eq!(sockets(name, 7).await.unwrap(), expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_waits_for_its_turn_no_longer_than_its_limit() {
        let _others = LOOKING_UP.acquire_many(LOOKUPS.try_into().unwrap()).await.unwrap();
        let error = sockets("name.invalid", 1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn name_that_does_not_resolve_is_said() {
        let error = sockets("name.invalid", 1).await.unwrap_err();
        assert!(error.to_string().starts_with("the name \"name.invalid\" cannot be resolved: "), "{error}");
    }
}
