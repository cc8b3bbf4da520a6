//! The environment of a plugin, made from its settings. No I/O.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::settings::{Security, Settings};

/// The host's certificate, PEM. Its presence turns AutoMTLS on in the plugin.
const CLIENT_CERT: &str = "PLUGIN_CLIENT_CERT";
/// Asks the plugin for broker multiplexing.
const MULTIPLEX_GRPC: &str = "PLUGIN_MULTIPLEX_GRPC";
/// Group whose members may use the plugin's sockets.
const UNIX_SOCKET_GROUP: &str = "PLUGIN_UNIX_SOCKET_GROUP";
/// Directory in which the plugin makes its sockets.
pub(crate) const UNIX_SOCKET_DIR: &str = "PLUGIN_UNIX_SOCKET_DIR";

/// go-plugin's fixed names, which are not inherited. A host that is itself a plugin has them, and they would switch TLS
/// or multiplexing on in a plugin that was not asked for it.
const RESERVED: [&str; 7] = [
    "PLUGIN_MIN_PORT",
    "PLUGIN_MAX_PORT",
    "PLUGIN_PROTOCOL_VERSIONS",
    MULTIPLEX_GRPC,
    CLIENT_CERT,
    UNIX_SOCKET_GROUP,
    UNIX_SOCKET_DIR,
];

/// The plugin's environment. go-plugin's variables override the caller's, which override the host's; go-plugin's own
/// names are not taken from the host.
#[must_use]
pub fn child_environment(
    settings: &Settings,
    client_certificate: Option<&str>,
    socket_directory: &Path,
) -> BTreeMap<OsString, OsString> {
    let inherited = settings.host_environment.iter().filter(|(name, _)| !is_reserved(name));
    let mut environment: BTreeMap<_, _> = inherited.chain(&settings.environment).cloned().collect();

    let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
    let (cookie, value) = &settings.cookie;
    set(cookie, value.into());
    set("PLUGIN_MIN_PORT", settings.ports.0.to_string().into());
    set("PLUGIN_MAX_PORT", settings.ports.1.to_string().into());
    set("PLUGIN_PROTOCOL_VERSIONS", versions_list(&settings.protocol_versions).into());
    set(UNIX_SOCKET_DIR, socket_directory.into());
    match (&settings.security, client_certificate) {
        (Security::AutoMtls(_), Some(pem)) => drop(set(CLIENT_CERT, pem.into())),
        // The caller's value, from `{**os.environ}` for example, would make the plugin serve TLS that this host will
        // not speak.
        _ => drop(environment.remove(OsStr::new(CLIENT_CERT))),
    }
    // The caller's values for multiplexing and for the group must not take effect either.
    environment.remove(OsStr::new(MULTIPLEX_GRPC));
    environment.remove(OsStr::new(UNIX_SOCKET_GROUP));
    if settings.multiplex {
        // The word must be a true one for Go's `strconv.ParseBool`: Go plugins announce multiplexing for any word, but
        // multiplex for a true one alone.
        environment.insert(MULTIPLEX_GRPC.into(), "true".into());
    }
    if let Some(group) = &settings.socket_group {
        environment.insert(UNIX_SOCKET_GROUP.into(), group.0.clone().into());
    }
    environment
}

fn is_reserved(name: &OsStr) -> bool {
    RESERVED.iter().any(|reserved| name == *reserved)
}

/// Decimal numbers joined by commas, no spaces: a space makes an item invalid for Go's parser.
fn versions_list(versions: &[u32]) -> String {
    versions.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
