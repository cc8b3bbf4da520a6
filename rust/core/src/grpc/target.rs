//! gRPC's targets: which addresses a name stands for, and the name that a connection goes by.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;
use tokio::time::timeout;

use super::channel::{Connecting, Connector, Opened, Refusal};
use super::connection::{Connection, connection_error};
use super::{Code, Status};
use crate::certificate::SERVER_NAME;
use crate::error::{Error, ErrorKind};
use crate::transport::{Address, Dialer, Tls, Traffic};

/// Port of a target that names none.
const DEFAULT_PORT: u16 = 443;

/// Where a target leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket; the path of an abstract one begins with a zero byte.
    Unix(PathBuf),
    /// A host to look up, or an IP address, and a port.
    Host(String, u16),
    /// Nowhere, for this reason. Calls fail, not the construction: as in grpcio.
    Invalid(String),
}

impl Target {
    /// Reads a target as <https://github.com/grpc/grpc/blob/master/doc/naming.md> defines it.
    #[must_use]
    pub fn parse(target: &str) -> Self {
        if let Some(path) = target.strip_prefix("unix://").or_else(|| target.strip_prefix("unix:")) {
            return Self::Unix(path.into());
        }
        if let Some(name) = target.strip_prefix("unix-abstract:") {
            return Self::Unix(format!("\0{name}").into());
        }
        let rest = ["dns:///", "dns:", "ipv4:///", "ipv4:", "ipv6:///", "ipv6:"]
            .into_iter()
            .find_map(|scheme| target.strip_prefix(scheme))
            .unwrap_or(target);
        split_port(rest).unwrap_or_else(|| {
            Self::Invalid(format!(
                "the target {target:?} cannot be read, expected HOST:PORT, unix:PATH, unix-abstract:NAME, or dns:, ipv4: or ipv6: before HOST:PORT"
            ))
        })
    }

    /// The `:authority` of calls. `localhost` for sockets: what grpcio sends, the percent-encoded path, is refused by
    /// several servers.
    #[must_use]
    pub fn authority(&self) -> Authority {
        match self {
            Self::Host(host, port) => {
                Authority::try_from(format!("{}:{port}", bracketed(host))).unwrap_or_else(|_| local_authority())
            }
            Self::Unix(_) | Self::Invalid(_) => local_authority(),
        }
    }

    /// The name that the peer's certificate must carry.
    #[must_use]
    pub fn server_name(&self) -> &str {
        match self {
            Self::Host(host, _) => host,
            Self::Unix(_) | Self::Invalid(_) => SERVER_NAME,
        }
    }

    async fn addresses(&self) -> Result<Vec<Address>, Status> {
        match self {
            Self::Unix(path) => Ok(vec![Address::Unix(path.clone())]),
            Self::Host(host, port) => {
                if let Ok(ip) = host.parse() {
                    return Ok(vec![Address::Tcp(SocketAddr::new(ip, *port))]);
                }
                match tokio::net::lookup_host((host.as_str(), *port)).await {
                    Ok(found) => Ok(found.map(Address::Tcp).collect()),
                    Err(error) => Err(Status::unavailable(format!("the name {host:?} cannot be resolved: {error}"))),
                }
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

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn split_port(rest: &str) -> Option<Target> {
    if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let port = match after.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if after.is_empty() => DEFAULT_PORT,
            None => return None,
        };
        return Some(Target::Host(host.to_owned(), port));
    }
    let (host, port) = match rest.rsplit_once(':') {
        // An IPv6 address without brackets has no port.
        Some((head, _)) if head.contains(':') && rest.parse::<std::net::Ipv6Addr>().is_ok() => (rest, DEFAULT_PORT),
        Some((head, port)) => (head, port.parse().ok()?),
        None => (rest, DEFAULT_PORT),
    };
    let plausible = !host.is_empty() && !host.contains(['/', ' ']);
    plausible.then(|| Target::Host(host.to_owned(), port))
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{}", path.display().to_string().replace('\0', "@")),
            Self::Host(host, port) => write!(formatter, "{}:{port}", bracketed(host)),
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

    async fn try_all(target: Target, tls: Option<Tls>, traffic: Traffic, limit: Duration) -> Result<Opened, Refusal> {
        if let Target::Unix(path) = &target
            && std::os::unix::net::SocketAddr::from_pathname(path).is_err()
            && !path.as_os_str().as_encoded_bytes().starts_with(b"\0")
        {
            let text = format!("the path of {target} is too long for a socket: at most 107 bytes");
            return Err(Status::new(Code::Unknown, text).into());
        }
        let mut last = format!("{target} stands for no address");
        for address in target.addresses().await? {
            let dialer = Dialer::new(address, tls.clone(), traffic.clone());
            match timeout(limit, open(&dialer)).await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("{} did not answer within {:.1} s", dialer.address(), limit.as_secs_f64()),
            }
        }
        Err(Status::unavailable(format!("failed to connect to all addresses; last error: {last}")).into())
    }
}

async fn open(dialer: &Dialer) -> Result<Opened, Error> {
    let stream = dialer.dial().await?;
    let explain = Box::new(|reason| Box::pin(async move { reason }) as _);
    let opened = Connection::open(stream, explain).await.map_err(|error| connection_error(dialer, &error))?;
    let settled = opened.0.settled().await;
    settled.map_err(|reason| dialer.last_error().unwrap_or_else(|| Error::new(ErrorKind::Http2Failed, reason)))?;
    Ok(opened)
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

    #[test]
    fn targets() {
        let host = |host: &str, port| Target::Host(host.to_owned(), port);
        let cases = [
            ("a.example:1", host("a.example", 1)),
            ("dns:///a.example:1", host("a.example", 1)),
            ("dns:a.example", host("a.example", 443)),
            ("ipv4:127.0.0.1:5", host("127.0.0.1", 5)),
            ("[::1]:5", host("::1", 5)),
            ("ipv6:[::1]:5", host("::1", 5)),
            ("::1", host("::1", 443)),
            ("unix:relative/path", Target::Unix("relative/path".into())),
            ("unix:///absolute", Target::Unix("/absolute".into())),
            ("unix-abstract:name", Target::Unix("\0name".into())),
        ];
        for (text, target) in cases {
            assert_eq!(Target::parse(text), target, "{text}");
        }
        for text in ["foo://x", "host:port", ":1", "[::1", ""] {
            assert!(matches!(Target::parse(text), Target::Invalid(_)), "{text}");
        }
    }

    #[test]
    fn authority_is_what_servers_accept() {
        assert_eq!(Target::parse("unix:/a/b").authority(), "localhost");
        assert_eq!(Target::parse("[::1]:5").authority(), "[::1]:5");
    }
}
