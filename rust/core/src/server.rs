//! The plugin's side: a socket that the host dials, TLS that admits this host alone, and a stock gRPC server behind
//! both.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::address::Address;
use crate::blocking;
use crate::broker::{Broker, BrokerContext, Peer};
use crate::certificate::{Identity, SERVER_NAME, parse_pem_certificates};
use crate::error::{Error, ErrorKind};
use crate::handshake;
use crate::inbox::Inbox;
use crate::log_line::Level;
use crate::settings::{Curve, TlsFiles, Transports};
use crate::tls::{ALPN_H2, Trust, client_config, server_config};
use crate::transport::listener::{Listener, Place};
use crate::transport::lobby::{Lobby, Refused};
use crate::transport::multiplex::{Candidate, Chosen, Multiplex};
use crate::transport::tls_terminator::{TOO_MANY, Terminator};
use crate::transport::{Counted, PrivateDirectory, Tls, Traffic};
use crate::wake::Wake;

/// Limit of one attempt to connect to a service of the host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the plugin's connections are protected.
#[derive(Clone)]
pub enum ServerSecurity {
    /// Plaintext.
    Plaintext,
    /// go-plugin's AutoMTLS: the host's certificate as it came in the environment, PEM, and a one-time key of our own.
    AutoMtls(String, Curve),
    /// The caller's own certificates.
    Certificates(TlsFiles),
}

/// The settings of a plugin's side.
#[derive(Clone)]
pub struct ServerSettings {
    /// How connections are protected.
    pub security: ServerSecurity,
    /// Whether all connections share one socket, as the host asked.
    pub multiplex: bool,
    /// The application protocol version that was negotiated.
    pub protocol_version: u32,
    /// Where to listen.
    pub place: Place,
    /// The directory under which the private directory is made, for a plugin on TCP.
    pub socket_base: PathBuf,
}

/// The facts about a plugin that listens.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// The line that the host waits for on standard output, without its line end.
    pub handshake_line: String,
    /// Where the host connects to.
    pub address: Address,
    /// Where the server behind TLS is to listen.
    pub backend: PathBuf,
    /// Our certificate, PEM.
    pub certificate: Option<String>,
}

/// A handle to one plugin's side. Clones are handles to the same one.
#[derive(Clone)]
pub struct PluginServer(Arc<PluginServerShared>);

struct PluginServerShared {
    settings: ServerSettings,
    inbox: Arc<Inbox>,
    broker: OnceLock<Broker>,
    place: Mutex<Option<Serving>>,
}

/// The resources of a plugin that listens.
struct Serving {
    accepting: Option<JoinHandle<()>>,
    directory: PrivateDirectory,
}

/// TLS of both directions, and the plugin's own certificate.
struct Protection {
    dialing: Option<Tls>,
    accepting: Option<Arc<ServerConfig>>,
    identity: Option<Identity>,
}

impl PluginServer {
    /// A server that does not listen yet; `wake` is called for each warning about a refused peer.
    pub fn new(settings: ServerSettings, wake: Arc<dyn Wake>) -> Self {
        let (inbox, broker) = (Arc::new(Inbox::new(wake, Some(Level::Trace))), OnceLock::new());
        Self(Arc::new(PluginServerShared { settings, inbox, broker, place: Mutex::new(None) }))
    }

    /// Listens. Connections wait until the server behind TLS listens too.
    pub async fn start(&self) -> Result<ServerFacts, Error> {
        let mut place = self.0.place.lock().await;
        let settings = &self.0.settings;
        let protection = Protection::of(&settings.security)?;
        // A directory inside the host's, if there is one, is removed even after a plugin that was killed.
        let base = match &settings.place {
            Place::Unix(directory, _) => directory,
            Place::Tcp(..) => &settings.socket_base,
        };
        let directory = PrivateDirectory::create(base)?;
        let listener = Listener::bind(&settings.place).await?;
        let (address, backend) = (listener.address().clone(), directory.join("main"));
        let leaf = protection.identity.as_ref().and_then(Identity::leaf);
        let facts = ServerFacts {
            handshake_line: handshake::line(settings.protocol_version, &address, leaf.as_ref(), settings.multiplex),
            address,
            backend: backend.clone(),
            certificate: protection.identity.as_ref().map(|identity| identity.certificate_pem().to_owned()),
        };
        let (session, accepting) = self.serve(listener, &protection, &backend);
        let broker = Broker::new(self.broker_context(protection, session, directory.path()), Some(backend));
        let _ = self.0.broker.set(broker);
        *place = Some(Serving { accepting, directory });
        Ok(facts)
    }

    /// The broker; `None` before the plugin listens.
    #[must_use]
    pub fn broker(&self) -> Option<&Broker> {
        self.0.broker.get()
    }

    /// The warnings about refused peers.
    #[must_use]
    pub fn inbox(&self) -> &Inbox {
        &self.0.inbox
    }

    /// Ends all connections and frees all resources.
    pub async fn close(&self) {
        let serving = self.0.place.lock().await.take();
        if let Some(broker) = self.0.broker.get() {
            broker.shut_down("the plugin is stopping");
            broker.session_ended().await;
        }
        let Some(Serving { accepting, directory }) = serving else { return };
        if let Some(accepting) = accepting {
            accepting.abort();
            // An error only says that the task was aborted.
            let _ = accepting.await;
        }
        // After the sockets' files, on the same thread.
        let _ = blocking::run(blocking::REMOVAL_LIMIT, move || drop(directory)).await;
    }

    fn serve(
        &self,
        listener: Listener,
        protection: &Protection,
        backend: &Path,
    ) -> (Option<Arc<Multiplex>>, Option<JoinHandle<()>>) {
        let (traffic, inbox) = (Traffic::default(), self.0.inbox.clone());
        let terminator = Terminator { tls: protection.accepting.clone(), traffic, inbox, open: Arc::default() };
        if self.0.settings.multiplex {
            let session = Multiplex::start_when(accept_one(listener, terminator));
            return (Some(Arc::new(session)), None);
        }
        (None, Some(tokio::spawn(terminator.serve(listener, Arc::from(backend)))))
    }

    fn broker_context(
        &self,
        protection: Protection,
        session: Option<Arc<Multiplex>>,
        directory: &Path,
    ) -> BrokerContext {
        let accepting = protection.accepting;
        BrokerContext {
            dialing: protection.dialing,
            accepting: Box::new(move || Ok(accepting.clone())),
            session,
            transports: Transports { unix: true, tcp: true },
            peers: self.0.settings.place.peers(),
            place: self.0.settings.place.clone(),
            backends: directory.to_owned(),
            connect_timeout: CONNECT_TIMEOUT,
            traffic: Traffic::default(),
            inbox: self.0.inbox.clone(),
            peer: Arc::new(HostOfPlugin),
        }
    }
}

/// Accepts the host's session. A plugin has only one in its life, so a stranger must not take its place: the session is
/// the first whose first stream proves to be the host's.
async fn accept_one(listener: Listener, terminator: Terminator) -> Chosen {
    let (mut lobby, address) = (Lobby::new(), listener.address().to_string());
    loop {
        tokio::select! {
            accepted = listener.accept(false) => match accepted {
                Ok((socket, peer)) => {
                    let session = Candidate::new(Counted::new(socket, terminator.traffic.wire.clone()));
                    let proving = terminator.clone();
                    if lobby.enter(peer, async move { session.prove(|stream| proving.prove(stream)).await }) {
                        terminator.refuse(&address, TOO_MANY);
                    }
                }
                Err(reason) => terminator.refuse(&address, &reason),
            },
            proven = lobby.leave() => match proven {
                Ok(chosen) => return chosen,
                Err(Refused { peer, reason }) => terminator.refuse(&peer, &reason),
            },
        }
    }
}

impl Protection {
    fn of(security: &ServerSecurity) -> Result<Self, Error> {
        let (trust, identity, name) = match security {
            ServerSecurity::Plaintext => return Ok(Self { dialing: None, accepting: None, identity: None }),
            ServerSecurity::AutoMtls(host, curve) => {
                (Trust::Pinned(host_certificate(host)?), Identity::generate(*curve)?, SERVER_NAME)
            }
            ServerSecurity::Certificates(files) => {
                let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
                    let message = "a plugin that serves TLS needs a certificate and its key";
                    return Err(Error::new(ErrorKind::IdentityFailed, message));
                };
                let trust = Trust::Authorities(files.authorities.clone());
                (trust, Identity::from_pem(certificate, key)?, files.server_name.as_str())
            }
        };
        let dialing = Tls::new(client_config(&trust, Some(&identity), &[ALPN_H2])?, name)?;
        let accepting = server_config(&trust, &identity)?;
        Ok(Self { dialing: Some(dialing), accepting: Some(accepting), identity: Some(identity) })
    }
}

/// The host's certificate. An unreadable one is an error here; go-plugin goes on without it, and every connection
/// fails.
fn host_certificate(pem: &str) -> Result<CertificateDer<'static>, Error> {
    let certificates = parse_pem_certificates("PLUGIN_CLIENT_CERT", pem.as_bytes());
    certificates.ok().and_then(|certificates| certificates.into_iter().next()).ok_or_else(|| {
        let message = "the host's certificate in PLUGIN_CLIENT_CERT cannot be read, expected PEM";
        Error::new(ErrorKind::IdentityFailed, message).with_hint("It is set by the host; unset it to serve plaintext.")
    })
}

/// The host as a peer: its end shows in the connection alone, and its addresses are valid here.
struct HostOfPlugin;

impl Peer for HostOfPlugin {}
