//! The launch of a plugin: as a child, by a runner, or by attaching to one that runs already.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::directories::Directories;
use super::session::Session;
use super::{Host, given_up};
use crate::blocking;
use crate::certificate::Identity;
use crate::environment::child_environment;
use crate::error::{Error, ErrorKind};
use crate::handshake::Handshake;
use crate::limit::within;
use crate::process::watcher;
use crate::process::{Child, FirstLine, Launch, Process, SpawnError, diagnose};
use crate::runner::{Order, Runner};
use crate::settings::{Reattach, Security};

/// How the address of the plugin becomes known.
pub(super) enum Announced {
    /// By its handshake line, within this time.
    Line(oneshot::Receiver<FirstLine>, Duration),
    /// In advance, by a reattach.
    Already(Handshake),
}

type Launched = (Process, Announced);

/// The resources of a launch that are made before its process.
struct LaunchResources {
    directories: Directories,
    /// Why there is no watcher; given once.
    warning: Option<String>,
}

impl Host {
    pub(super) async fn launch(&self) -> Result<(Session, Announced), Error> {
        let settings = &self.0.settings;
        let ((process, announced), resources) = if let Some(reattach) = &settings.reattach {
            let ((), resources, _) = self.prepare(|_, _| Ok(())).await?;
            (attach(reattach)?, resources)
        } else if let Some(runner) = &settings.runner {
            let (environment, resources, _) = self.prepare(|host, resources| Ok(host.environment(resources))).await?;
            let launched = tokio::select! {
                launched = self.launch_by(runner, environment, resources.directories.plugin()) => launched?,
                () = self.0.given_up.cancelled() => return Err(given_up()),
            };
            (launched, resources)
        } else {
            let (child, resources, left) = self.prepare(Self::launch_child).await?;
            let (process, first_line) =
                Process::of_child(child, self.0.inbox.clone(), resources.directories.plugin().into());
            ((process, Announced::Line(first_line, left)), resources)
        };
        let process = Arc::new(process);
        let _ = self.0.process.set(process.clone());
        let directories = resources.directories;
        // A process that was attached to is ours to end only after it has answered: until then its id may be wrong.
        let owned = settings.reattach.is_none();
        let (endpoint, stdio, bridge, address, broker) = (None, None, None, None, None);
        let ending = CancellationToken::new();
        let session = Session { process, endpoint, stdio, bridge, address, broker, directories, owned, ending };
        Ok((session, announced))
    }

    /// Makes the resources and calls `act` with them, on a thread that a slow file system may block. After the limit,
    /// or a close, that thread frees them once it goes on. Also returns what is left of the limit.
    async fn prepare<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Self, &LaunchResources) -> Result<T, Error> + Send + 'static,
    ) -> Result<(T, LaunchResources, Duration), Error> {
        const UNDO_LIMIT: Duration = Duration::from_secs(1);
        let limit = self.0.settings.timeouts.start;
        let host = self.clone();
        let work = move || {
            let resources = host.make_resources()?;
            let outcome = act(&host, &resources)?;
            // A child is ended on this thread, which may wait for its end.
            if host.0.given_up.is_cancelled() { Err(given_up()) } else { Ok((outcome, resources)) }
        };
        let mut working = pin!(blocking::run(limit, work));
        let worked = tokio::select! {
            worked = &mut working => worked,
            () = self.0.given_up.cancelled() => {
                // The work is usually done in a moment, and then nothing is left behind.
                // An outcome from before the close is dropped on such a thread too.
                if let Some(late) = within(UNDO_LIMIT, working).await {
                    let _ = blocking::run(UNDO_LIMIT, move || drop(late)).await;
                }
                return Err(given_up());
            }
        };
        let (made, left) = worked.map_err(|error| no_thread(&error))?.ok_or_else(|| self.held_up())?;
        let (outcome, mut resources) = made?;
        if let Some(warning) = resources.warning.take() {
            self.0.inbox.push_warning(warning);
        }
        Ok((outcome, resources, left))
    }

    fn make_resources(&self) -> Result<LaunchResources, Error> {
        let settings = &self.0.settings;
        if let Some(identity) = self.make_identity()? {
            self.0.identity.get_or_init(|| identity);
        }
        // The watcher must not remove the directory of a plugin that may outlive the host.
        let is_watched = settings.reattach.is_some() || (settings.die_with_host && settings.runner.is_none());
        let warning = if is_watched { watcher::start().err().and_then(|failure| unwatched(&failure)) } else { None };
        let directories = Directories::create(settings, is_watched)?;
        Ok(LaunchResources { directories, warning })
    }

    fn environment(&self, resources: &LaunchResources) -> BTreeMap<OsString, OsString> {
        let certificate = self.0.identity.get().map(Identity::certificate_pem);
        child_environment(&self.0.settings, certificate, resources.directories.plugin())
    }

    fn held_up(&self) -> Error {
        let (name, limit) = (self.name(), self.0.settings.timeouts.start.as_secs_f64());
        let message = format!("the plugin {name} could not be executed within {limit:.1} s: the system still tries to");
        Error::new(ErrorKind::HandshakeTimeout, message)
            .with_hint("Its file system, or what scans files there, is slow. Raise start_timeout if that is usual.")
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

    /// Starts the child; a slow file system may block it.
    fn launch_child(&self, resources: &LaunchResources) -> Result<Child, Error> {
        let settings = &self.0.settings;
        let program = Path::new(settings.command.first().map_or(OsStr::new(""), OsString::as_os_str));
        let program = diagnose::find_program(program, settings.working_directory.as_deref(), &settings.search_path)?;
        let executable = self.0.executable.lock().unwrap_or_else(PoisonError::into_inner).take();
        let launch = Launch {
            program: &program,
            executable: executable.as_ref().map(AsFd::as_fd),
            arguments: &settings.command,
            environment: &self.environment(resources),
            working_directory: settings.working_directory.as_deref(),
            limits: settings.limits,
            die_with_host: settings.die_with_host,
        };
        spawn_when_written(&launch, settings.timeouts.start).map_err(|failure| diagnose::explain(&failure, &launch))
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
        Ok((process, Announced::Line(first_line, limit)))
    }
}

/// Starts a child, trying again while its file is open for writing and cannot be executed. Often the file was closed
/// already, but another thread of the host, or of its writer, has just started a program that holds the descriptor
/// until it executes.
fn spawn_when_written(launch: &Launch<'_>, limit: Duration) -> Result<Child, SpawnError> {
    const LONGEST: Duration = Duration::from_secs(1);
    let deadline = Instant::now() + limit.min(LONGEST);
    let mut pause = Duration::from_millis(1);
    loop {
        match Child::spawn(launch) {
            Err(SpawnError::Execute(cause)) if is_busy(&cause) && Instant::now() + pause < deadline => (),
            result => return result,
        }
        thread::sleep(pause);
        pause *= 2;
    }
}

fn is_busy(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::ExecutableFileBusy
}

/// The warning that there is no watcher, for the first plugin only.
fn unwatched(failure: &SpawnError) -> Option<String> {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    let (SpawnError::Resources(cause) | SpawnError::Directory(cause) | SpawnError::Execute(cause)) = failure;
    (!IS_SAID.swap(true, Ordering::Relaxed)).then(|| {
        format!(
            "no watcher could be started ({}: {cause}): should this host be killed, what plugins themselves have started \
             may run on, and their socket directories stay",
            watcher::SHELL
        )
    })
}

fn no_thread(error: &io::Error) -> Error {
    Error::new(ErrorKind::LaunchFailed, format!("the thread that starts plugins is not there: {error}"))
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
