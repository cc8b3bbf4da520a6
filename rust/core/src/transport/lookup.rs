//! Looks names up by the system's resolver.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::address::LOCALHOST;

/// Limit of one look-up; the system's own is a multiple of its resolver's five seconds.
const LOOKUP_LIMIT: Duration = Duration::from_secs(20);

/// Look-ups at a time, those included whose callers have given up: other work needs threads that may block too.
pub const MAX_LOOKUPS: usize = 4;
static LOOKING_UP: Semaphore = Semaphore::const_new(MAX_LOOKUPS);

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

/// The sockets of a name or an IP address; the system's resolver is asked on a thread that may block.
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

/// The index of an interface, which resolvers tell for link-local addresses alone.
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

    #[tokio::test]
    async fn this_machine_needs_no_resolver() {
        let expected: Vec<SocketAddr> = vec![([127, 0, 0, 1], 7).into(), (Ipv6Addr::LOCALHOST, 7).into()];
        for name in ["localhost", "LOCALHOST"] {
            assert_eq!(sockets(name, 7).await.unwrap(), expected, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_waits_for_its_turn_no_longer_than_its_limit() {
        let _others = LOOKING_UP.acquire_many(MAX_LOOKUPS.try_into().unwrap()).await.unwrap();
        let error = sockets("name.invalid", 1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn name_that_does_not_resolve_is_said() {
        let error = sockets("name.invalid", 1).await.unwrap_err();
        assert!(error.to_string().starts_with("the name \"name.invalid\" cannot be resolved: "), "{error}");
    }
}
