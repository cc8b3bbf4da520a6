//! The beginning: a child, a runner's plugin, or one that runs already.

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

use super::limit::within;
use super::session::Session;
use super::{Host, given_up};
use crate::certificate::Identity;
use crate::environment::child_environment;
use crate::error::{Error, ErrorKind};
use crate::handshake::Handshake;
use crate::process::watcher::{self, Registration};
use crate::process::{Child, FirstLine, Launch, Process, SpawnError, diagnose, spawner};
use crate::runner::{Order, Runner};
use crate::settings::{Reattach, Security};
use crate::transport::PrivateDirectory;

/// How the plugin tells where it listens.
pub(super) enum Announced {
    /// By a line that is to come, within so long.
    Line(oneshot::Receiver<FirstLine>, Duration),
    /// It has told somebody else already.
    Already(Handshake),
}

type Launched = (Process, Announced);

/// What there is before there is a process, in the order in which it is given back.
struct Place {
    directory: PrivateDirectory,
    backends: Option<PrivateDirectory>,
    /// Of the directories.
    registrations: Vec<Registration>,
    /// Why there is no watcher, the first time.
    warning: Option<String>,
}

impl Host {
    pub(super) async fn launch(&self) -> Result<(Session, Announced), Error> {
        let settings = &self.0.settings;
        let (begun, limit) = (Instant::now(), settings.timeouts.start);
        let ((process, announced), place) = if let Some(reattach) = &settings.reattach {
            let ((), place) = self.prepare(|_, _| Ok(())).await?;
            (attach(reattach)?, place)
        } else if let Some(runner) = &settings.runner {
            let (environment, place) = self.prepare(|host, place| Ok(host.environment(place))).await?;
            let launched = tokio::select! {
                launched = self.launch_by(runner, environment, place.directory.path()) => launched?,
                () = self.0.given_up.cancelled() => return Err(given_up()),
            };
            (launched, place)
        } else {
            let (child, place) = self.prepare(Self::launch_child).await?;
            let (process, first_line) = Process::of_child(child, self.0.inbox.clone(), place.directory.path().into());
            ((process, Announced::Line(first_line, limit.saturating_sub(begun.elapsed()))), place)
        };
        let process = Arc::new(process);
        let _ = self.0.process.set(process.clone());
        let Place { directory, backends, registrations, .. } = place;
        // Until it has answered, a process that was attached to is only a number that somebody wrote down.
        let owned = settings.reattach.is_none();
        let (endpoint, stdio, bridge, address, broker) = (None, None, None, None, None);
        let ending = CancellationToken::new();
        let session = Session {
            process,
            endpoint,
            stdio,
            bridge,
            address,
            broker,
            directory,
            backends,
            registrations,
            owned,
            ending,
        };
        Ok((session, announced))
    }

    /// Makes the place and does what needs it, on a thread that a slow file system may hold up. Is it too late, then what
    /// was made is given back there as soon as it was.
    async fn prepare<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Self, &Place) -> Result<T, Error> + Send + 'static,
    ) -> Result<(T, Place), Error> {
        const MOMENT: Duration = Duration::from_secs(1);
        let limit = self.0.settings.timeouts.start;
        let host = self.clone();
        let work = move || {
            let place = host.make_place()?;
            let outcome = act(&host, &place)?;
            // Ended here, where waiting for the end disturbs nobody.
            if host.0.given_up.is_cancelled() { Err(given_up()) } else { Ok((outcome, place)) }
        };
        let mut working = pin!(within(limit, spawner::run(work)));
        let worked = tokio::select! {
            worked = &mut working => worked,
            () = self.0.given_up.cancelled() => {
                // As a rule it is done in a moment, and then nothing is left.
                let _ = within(MOMENT, working).await;
                return Err(given_up());
            }
        };
        let (outcome, mut place) = worked.ok_or_else(|| self.held_up())?.map_err(|error| no_thread(&error))??;
        if let Some(warning) = place.warning.take() {
            self.0.inbox.push_warning(warning);
        }
        Ok((outcome, place))
    }

    fn make_place(&self) -> Result<Place, Error> {
        let settings = &self.0.settings;
        if let Some(identity) = self.make_identity()? {
            self.0.identity.get_or_init(|| identity);
        }
        // What may outlive the host needs its directory.
        let is_watched = settings.reattach.is_some() || (settings.die_with_host && settings.runner.is_none());
        let warning = if is_watched { watcher::start().err().and_then(|failure| unwatched(&failure)) } else { None };
        let mut registrations = Vec::new();
        let mut make = || {
            let directory = PrivateDirectory::create(&settings.socket_base)?;
            registrations.extend(is_watched.then(|| Registration::of_directory(directory.path())).flatten());
            Ok(directory)
        };
        let directory = make()?;
        let backends = settings.socket_group.is_some().then(make).transpose()?;
        if let (Some(group), None) = (&settings.socket_group, &settings.reattach) {
            directory.share(group)?;
        }
        Ok(Place { directory, backends, registrations, warning })
    }

    fn environment(&self, place: &Place) -> BTreeMap<OsString, OsString> {
        let certificate = self.0.identity.get().map(Identity::certificate_pem);
        child_environment(&self.0.settings, certificate, place.directory.path())
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

    /// May be held up by the file system.
    fn launch_child(&self, place: &Place) -> Result<Child, Error> {
        let settings = &self.0.settings;
        let program = Path::new(settings.command.first().map_or(OsStr::new(""), OsString::as_os_str));
        let program = diagnose::find_program(program, settings.working_directory.as_deref(), &settings.search_path)?;
        let executable = self.0.executable.lock().unwrap_or_else(PoisonError::into_inner).take();
        let launch = Launch {
            program: &program,
            executable: executable.as_ref().map(AsFd::as_fd),
            arguments: &settings.command,
            environment: &self.environment(place),
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

/// A file that is open for writing cannot be executed. Often it was closed already, but another thread of the host, or of
/// what wrote it, has just started a program that holds the descriptor until it executes.
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

/// Said once, of the first plugin, though true of all.
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
