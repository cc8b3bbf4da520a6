//! gRPC's targets: which addresses a name stands for, and the name that a connection goes by.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;
use tokio::time::timeout;

use super::connection::{Connection, connection_error};
use super::connector::{Connecting, Connector, Refusal};
use super::{Code, Status};
use crate::address::{Address, bracketed};
use crate::certificate::SERVER_NAME;
use crate::error::{Error, ErrorKind};
use crate::transport::lookup::look_up;
use crate::transport::{Dialer, Tls, Traffic};

/// Port of a target that names none.
const DEFAULT_PORT: u16 = 443;
const SCHEMES: [&str; 5] = ["dns", "ipv4", "ipv6", "unix", "unix-abstract"];
const EXPECTED: &str = "HOST:PORT, unix:PATH, unix-abstract:NAME, or dns:, ipv4: or ipv6: before HOST:PORT";

/// Where a target leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket; the path of an abstract one begins with a zero byte.
    Unix(PathBuf),
    /// Hosts to look up, or IP addresses, each with a port; at least one, tried in turn.
    Hosts(Vec<(String, u16)>),
    /// Nowhere, for this reason. Calls fail, not the construction: as in grpcio.
    Invalid(String),
}

impl Target {
    /// Reads a target as <https://github.com/grpc/grpc/blob/master/doc/naming.md> defines it: a URI, or what becomes
    /// one with `dns:///` before it.
    #[must_use]
    pub fn parse(target: &str) -> Self {
        let read = match scheme(target) {
            Some((scheme, rest)) if SCHEMES.contains(&scheme.as_str()) => read_uri(&scheme, rest),
            _ => read_uri("dns", &format!("///{target}")),
        };
        read.unwrap_or_else(|expected| {
            Self::Invalid(format!("the target {target:?} cannot be read, expected {expected}"))
        })
    }

    /// The `:authority` of calls, that of the first host. `localhost` for sockets: what grpcio sends, the
    /// percent-encoded path, is refused by several servers.
    #[must_use]
    pub fn authority(&self) -> Authority {
        match self.first() {
            Some((_, port)) => Authority::try_from(format!("{}:{port}", bracketed(self.server_name())))
                .unwrap_or_else(|_| local_authority()),
            None => local_authority(),
        }
    }

    /// The name that the peer's certificate must carry. A zone is no part of it: it means something on this machine
    /// alone.
    #[must_use]
    pub fn server_name(&self) -> &str {
        self.first().map_or(SERVER_NAME, |(host, _)| host.split_once('%').map_or(host, |(ip, _)| ip))
    }

    fn first(&self) -> Option<&(String, u16)> {
        if let Self::Hosts(hosts) = self { hosts.first() } else { None }
    }

    async fn addresses(&self) -> Result<Vec<Address>, Status> {
        match self {
            Self::Unix(path) => Ok(vec![Address::Unix(path.clone())]),
            Self::Hosts(hosts) => {
                let mut found = Vec::new();
                for (host, port) in hosts {
                    let sockets = look_up(host, *port).await.map_err(Status::unavailable)?;
                    found.extend(sockets.into_iter().map(Address::Tcp));
                }
                Ok(found)
            }
            Self::Invalid(why) => Err(Status::unavailable(why)),
        }
    }
}

/// The `:authority` on this machine.
#[must_use]
pub fn local_authority() -> Authority {
    Authority::from_static(SERVER_NAME)
}

/// A URI's scheme in lower case, and what follows its colon.
fn scheme(target: &str) -> Option<(String, &str)> {
    let (scheme, rest) = target.split_once(':')?;
    Some((scheme.to_ascii_lowercase(), rest))
}

/// The target that a URI stands for, read without its scheme. The error names the expected form.
fn read_uri(scheme: &str, rest: &str) -> Result<Target, &'static str> {
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    if !authority.is_empty() {
        return Err("no server to ask: three slashes after the scheme, or none");
    }
    // Query and fragment mean nothing to gRPC.
    let path = decoded(path.split(['?', '#']).next().unwrap_or_default());
    if let "unix" | "unix-abstract" = scheme {
        let prefix: &[u8] = if scheme == "unix" { b"" } else { b"\0" };
        return Ok(Target::Unix(OsString::from_vec([prefix, &path].concat()).into()));
    }
    let path = String::from_utf8(path).map_err(|_| EXPECTED)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let hosts = match scheme {
        "ipv4" => {
            listed(path, |host| host.parse::<Ipv4Addr>().is_ok()).ok_or("IP:PORT after ipv4:, or several with commas")
        }
        "ipv6" => listed(path, is_ipv6).ok_or("[IP]:PORT after ipv6:, or several with commas"),
        _ => split_port(path).map(|(host, port)| vec![(host, port.unwrap_or(DEFAULT_PORT))]).ok_or(EXPECTED),
    };
    hosts.map(Target::Hosts)
}

/// Percent-decoded; what is no code stays as it is, as in gRPC.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.first_chunk::<2>().filter(|_| first == b'%');
        let code = code.and_then(|code| Some(hex(code[0])? * 16 + hex(code[1])?));
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// IP addresses with ports, at least one.
fn listed(text: &str, fits: impl Fn(&str) -> bool) -> Option<Vec<(String, u16)>> {
    let places = text.split(',').filter(|place| !place.is_empty());
    let read = places
        .map(|place| split_port(place).and_then(|(host, port)| Some((host, port?))))
        .collect::<Option<Vec<_>>>()?;
    (!read.is_empty() && read.iter().all(|(host, _)| fits(host))).then_some(read)
}

fn is_ipv6(host: &str) -> bool {
    host.split_once('%').map_or(host, |(ip, _)| ip).parse::<Ipv6Addr>().is_ok()
}

/// Host, without brackets, and port, if there is one.
fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address without brackets has no port, in brackets it need not.
        _ if is_ipv6(text) || text.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let plausible = match bare {
        Some(ip) => is_ipv6(ip),
        None => is_ipv6(host) && port.is_none() || !host.is_empty() && !host.contains(['/', ' ', ':', '[', ']']),
    };
    plausible.then(|| (bare.unwrap_or(host).to_owned(), port))
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{}", path.display().to_string().replace('\0', "@")),
            Self::Hosts(hosts) => {
                let hosts: Vec<_> = hosts.iter().map(|(host, port)| format!("{}:{port}", bracketed(host))).collect();
                formatter.write_str(&hosts.join(","))
            }
            Self::Invalid(why) => formatter.write_str(why),
        }
    }
}

/// Connects to a target: every address it stands for is tried in turn.
pub struct TargetConnector {
    target: Target,
    tls: Option<Tls>,
    traffic: Traffic,
    connect_timeout: Duration,
}

impl TargetConnector {
    /// A connector that gives each address at most `connect_timeout`.
    #[must_use]
    pub fn new(target: Target, tls: Option<Tls>, traffic: Traffic, connect_timeout: Duration) -> Self {
        Self { target, tls, traffic, connect_timeout }
    }

    async fn try_all(
        target: Target,
        tls: Option<Tls>,
        traffic: Traffic,
        limit: Duration,
    ) -> Result<Connection, Refusal> {
        if let Target::Unix(path) = &target
            && std::os::unix::net::SocketAddr::from_pathname(path).is_err()
            && !path.as_os_str().as_encoded_bytes().starts_with(b"\0")
        {
            let text = format!("the path of {target} is too long for a socket: at most 107 bytes");
            return Err(Status::new(Code::Unknown, text).into());
        }
        let mut last = format!("{target} stands for no address");
        let addresses = timeout(limit, target.addresses()).await;
        let late = |_| Status::unavailable(format!("{target} was not looked up within {:.1} s", limit.as_secs_f64()));
        for address in addresses.map_err(late)?? {
            let dialer = Dialer::new(address, tls.clone(), traffic.clone());
            match timeout(limit, open(&dialer)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("{} did not answer within {:.1} s", dialer.address(), limit.as_secs_f64()),
            }
        }
        Err(Status::unavailable(format!("failed to connect to all addresses; last error: {last}")).into())
    }
}

async fn open(dialer: &Dialer) -> Result<Connection, Error> {
    let stream = dialer.dial().await?;
    let explain = Box::new(|reason| Box::pin(async move { reason }) as _);
    let connection = Connection::open(stream, explain).await.map_err(|error| connection_error(dialer, &error))?;
    let settled = connection.settled().await;
    settled.map_err(|reason| dialer.last_error().unwrap_or_else(|| Error::new(ErrorKind::Http2Failed, reason)))?;
    Ok(connection)
}

impl Connector for TargetConnector {
    fn connect(&self) -> Connecting {
        let Self { target, tls, traffic, connect_timeout } = self;
        Box::pin(Self::try_all(target.clone(), tls.clone(), traffic.clone(), *connect_timeout))
    }

    fn owns(&self, _connection: &Connection) -> bool {
        true
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(hosts: &[(&str, u16)]) -> Target {
        Target::Hosts(hosts.iter().map(|&(host, port)| (host.to_owned(), port)).collect())
    }

    #[test]
    fn targets() {
        let cases = [
            ("a.example:1", hosts(&[("a.example", 1)])),
            ("dns:///a.example:1", hosts(&[("a.example", 1)])),
            ("DNS:/a.example", hosts(&[("a.example", 443)])),
            ("a.example:1?query#fragment", hosts(&[("a.example", 1)])),
            ("%61.example", hosts(&[("a.example", 443)])),
            ("ipv4:127.0.0.1:5", hosts(&[("127.0.0.1", 5)])),
            ("IPv4:///127.0.0.1:5,10.0.0.1:6,", hosts(&[("127.0.0.1", 5), ("10.0.0.1", 6)])),
            ("[::1]:5", hosts(&[("::1", 5)])),
            ("[::1]", hosts(&[("::1", 443)])),
            ("::1", hosts(&[("::1", 443)])),
            ("ipv6:%5B::1%5D:5", hosts(&[("::1", 5)])),
            ("ipv6:[::1%25lo]:5,[fe80::2%lo]:6", hosts(&[("::1%lo", 5), ("fe80::2%lo", 6)])),
            ("unix:relative/path", Target::Unix("relative/path".into())),
            ("UNIX:///absolute", Target::Unix("/absolute".into())),
            ("unix:/a b%20c%2fd%zz%", Target::Unix("/a b c/d%zz%".into())),
            ("unix:/a?b#c", Target::Unix("/a".into())),
            ("unix:/%ff", Target::Unix(OsString::from_vec(b"/\xff".to_vec()).into())),
            ("unix-abstract:na%6de", Target::Unix("\0name".into())),
        ];
        for (text, target) in cases {
            assert_eq!(Target::parse(text), target, "{text}");
        }
    }

    #[test]
    fn targets_that_grpc_refuses() {
        for text in [
            "foo://x",
            "host:port",
            ":1",
            "[::1",
            "[::1]1",
            "",
            "[a.example]:1",
            "a.example:1,b.example:2",
            "a:1:",
            "dns://1.1.1.1/a",
            "ipv4:127.0.0.1",
            "ipv4:a.example:1",
            "ipv4:[::1]:1",
            "ipv4:,",
            "ipv6:127.0.0.1:1",
            "ipv6:::1:1",
            "unix://host/path",
        ] {
            assert!(matches!(Target::parse(text), Target::Invalid(_)), "{text}");
        }
    }

    #[test]
    fn authority_is_what_servers_accept() {
        assert_eq!(Target::parse("unix:/a/b").authority(), "localhost");
        assert_eq!(Target::parse("[::1]:5").authority(), "[::1]:5");
        assert_eq!(Target::parse("ipv6:[fe80::1%25lo]:5,[::1]:6").authority(), "[fe80::1]:5");
        assert_eq!(Target::parse("ipv6:[fe80::1%25lo]:5").server_name(), "fe80::1");
    }
}
