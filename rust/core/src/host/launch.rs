//! The beginning: a child, a runner's plugin, or one that runs already.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Host;
use super::limit::within;
use super::session::Session;
use crate::certificate::Identity;
use crate::environment::child_environment;
use crate::error::{Error, ErrorKind};
use crate::handshake::Handshake;
use crate::inbox::Inbox;
use crate::process::{FirstLine, Launch, Order, Process, Runner, SpawnError, diagnose};
use crate::settings::{Reattach, Security};
use crate::transport::PrivateDirectory;

/// How the plugin tells where it listens.
pub(super) enum Announced {
    /// By a line that is to come.
    Line(oneshot::Receiver<FirstLine>),
    /// It has told somebody else already.
    Already(Handshake),
}

type Launched = (Process, Announced);

impl Host {
    pub(super) async fn launch(&self) -> Result<(Session, Announced), Error> {
        let settings = &self.0.settings;
        let directory = PrivateDirectory::create(&settings.socket_base)?;
        let identity = self.make_identity()?.map(|identity| self.0.identity.get_or_init(|| identity));
        let shared = settings.socket_group.is_some();
        let backends = shared.then(|| PrivateDirectory::create(&settings.socket_base)).transpose()?;
        let (process, announced) = if let Some(reattach) = &settings.reattach {
            attach(reattach)?
        } else {
            if let Some(group) = &settings.socket_group {
                directory.share(group)?;
            }
            let certificate = identity.map(Identity::certificate_pem);
            let environment = child_environment(settings, certificate, directory.path());
            match &settings.runner {
                Some(runner) => self.launch_by(runner, environment, directory.path()).await?,
                None => self.launch_child(&environment).await?,
            }
        };
        let process = Arc::new(process);
        let _ = self.0.process.set(process.clone());
        // Until it has answered, a process that was attached to is only a number that somebody wrote down.
        let owned = settings.reattach.is_none();
        let (reach, stdio, bridge, address, broker) = (None, None, None, None, None);
        let ending = CancellationToken::new();
        let session = Session { process, reach, stdio, bridge, address, broker, directory, backends, owned, ending };
        Ok((session, announced))
    }

    fn make_identity(&self) -> Result<Option<Identity>, Error> {
        let settings = &self.0.settings;
        if let Some((certificate, key)) = settings.reattach.as_ref().and_then(|reattach| reattach.identity.as_ref()) {
            return Identity::from_pem(certificate.as_bytes(), key.as_bytes()).map(Some);
        }
        match &settings.security {
            // A plugin that runs already has no use for a certificate that it was never given.
            Security::AutoMtls(curve) if settings.reattach.is_none() => Identity::generate(*curve).map(Some),
            Security::Certificates(files) => match (&files.certificate, &files.key) {
                (Some(certificate), Some(key)) => Identity::from_pem(certificate, key).map(Some),
                _ => Ok(None),
            },
            Security::AutoMtls(_) | Security::Plaintext => Ok(None),
        }
    }

    async fn launch_child(&self, environment: &BTreeMap<OsString, OsString>) -> Result<Launched, Error> {
        let settings = &self.0.settings;
        let program = Path::new(settings.command.first().map_or(OsStr::new(""), OsString::as_os_str));
        let program = diagnose::find_program(program, settings.working_directory.as_deref(), &settings.search_path)?;
        let executable = self.0.executable.lock().unwrap_or_else(PoisonError::into_inner).take();
        let launch = Launch {
            program: &program,
            executable: executable.as_ref().map(AsFd::as_fd),
            arguments: &settings.command,
            environment,
            working_directory: settings.working_directory.as_deref(),
            limits: settings.limits,
            die_with_host: settings.die_with_host,
        };
        let started = start_when_written(&launch, &self.0.inbox, settings.timeouts.start).await;
        let (process, first_line) = started.map_err(|failure| diagnose::explain(&failure, &launch))?;
        Ok((process, Announced::Line(first_line)))
    }

    async fn launch_by(
        &self,
        runner: &Arc<dyn Runner>,
        environment: BTreeMap<OsString, OsString>,
        socket_directory: &Path,
    ) -> Result<Launched, Error> {
        let settings = &self.0.settings;
        let order = Order {
            command: settings.command.clone(),
            environment,
            working_directory: settings.working_directory.clone(),
            socket_directory: socket_directory.to_owned(),
        };
        let limit = settings.timeouts.start;
        let running = within(limit, runner.start(order)).await.ok_or_else(|| {
            let message = format!("the runner did not start the plugin within {:.1} s", limit.as_secs_f64());
            Error::new(ErrorKind::HandshakeTimeout, message)
                .with_hint("Raise start_timeout if the runner is slow; it was given by the setting runner.")
        })??;
        let (process, first_line) = Process::take_over(runner.clone(), running, self.0.inbox.clone());
        Ok((process, Announced::Line(first_line)))
    }
}

/// A file that is open for writing cannot be executed. Often it was closed already, but another thread of the host, or of
/// what wrote it, has just started a program that holds the descriptor until it executes.
async fn start_when_written(
    launch: &Launch<'_>,
    inbox: &Arc<Inbox>,
    limit: Duration,
) -> Result<(Process, oneshot::Receiver<FirstLine>), SpawnError> {
    const LONGEST: Duration = Duration::from_secs(1);
    let deadline = Instant::now() + limit.min(LONGEST);
    let mut pause = Duration::from_millis(1);
    loop {
        match Process::start(launch, inbox.clone()) {
            Err(SpawnError::Execute(cause)) if is_busy(&cause) && Instant::now() + pause < deadline => (),
            result => return result,
        }
        sleep(pause).await;
        pause *= 2;
    }
}

fn is_busy(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::ExecutableFileBusy
}

fn attach(reattach: &Reattach) -> Result<Launched, Error> {
    let process = Process::attach(reattach.pid, reattach.owned)?;
    let handshake = Handshake {
        protocol_version: reattach.protocol_version,
        address: reattach.address.clone(),
        certificate: reattach.server_certificate.clone(),
        multiplex: false,
    };
    Ok((process, Announced::Already(handshake)))
}
