//! Finds the program, and explains why it does not start.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use super::executable::{Executable, find_obstacle};
use super::launch::{Launch, SpawnError};
use crate::error::{Error, ErrorKind};

/// The file that the command names. As in a shell, a name with a slash is a path, and any other is looked up.
pub fn find_program(program: &Path, directory: Option<&Path>, search_path: &OsStr) -> Result<PathBuf, Error> {
    if program.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "the command is empty, expected a program and its arguments"));
    }
    if program.as_os_str().as_encoded_bytes().contains(&b'/') || program.is_absolute() {
        // The path is made absolute now, because this process may change its directory.
        let path = absolute(directory.unwrap_or(Path::new("")).join(program));
        return match path.metadata() {
            Ok(_) => Ok(path),
            Err(error) => Err(missing_directory(program, directory)
                .unwrap_or_else(|| with_hint_of_shell(unreachable(&path, &error), program))),
        };
    }
    let places = || std::env::split_paths(search_path).map(|each| each.join(program));
    let candidates: Vec<PathBuf> = places().filter(|path| path.is_file()).collect();
    // A file that cannot be executed is the second choice: its error is clearer than that of a missing one.
    let found = candidates.iter().find(|path| is_executable(path)).or(candidates.first());
    found.cloned().map(absolute).ok_or_else(|| match places().find_map(|path| broken_link(&path)) {
        Some(why) => {
            Error::new(ErrorKind::LaunchNotFound, format!("the plugin {} does not exist: {why}", program.display()))
        }
        None => not_on_path(program, search_path),
    })
}

fn not_on_path(program: &Path, search_path: &OsStr) -> Error {
    let (name, searched) = (program.display(), search_path.display());
    let error = Error::new(ErrorKind::LaunchNotFound, format!("the plugin {name} was not found in PATH ({searched})"));
    if program.is_file() {
        return error.with_hint(format!("The current directory has a file of that name: write ./{name} to mean it."));
    }
    with_hint_of_shell(error, program)
}

/// The error of a program in a working directory that is not there: the program's path is not what is wrong.
fn missing_directory(program: &Path, directory: Option<&Path>) -> Option<Error> {
    let directory = directory.filter(|_| !program.is_absolute())?;
    // The slash has the system refuse what is no directory.
    let cause = directory.join("").metadata().err()?;
    Some(cannot_enter(directory, &cause))
}

fn cannot_enter(directory: &Path, cause: &io::Error) -> Error {
    let message = format!("the working directory {} (setting cwd) cannot be entered: {cause}", directory.display());
    Error::new(ErrorKind::LaunchFailed, message).with_hint("Correct the setting cwd, or leave it out.")
}

/// Adds a hint for a name that a shell would have split or expanded.
fn with_hint_of_shell(error: Error, program: &Path) -> Error {
    let name = program.as_os_str().as_encoded_bytes();
    if name.starts_with(b"~") {
        return error.with_hint("No shell replaces ~ here: pass what os.path.expanduser() makes of the path.");
    }
    if name.contains(&b' ') {
        let hint =
            "Check the path. An argument behind a blank must be an element of its own: no shell splits the command.";
        return error.with_hint(hint);
    }
    error
}

/// Makes a path absolute: the child executes it after it has changed its directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.metadata().is_ok_and(|metadata| metadata.mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_path: &Path) -> bool {
    true
}

fn unreachable(path: &Path, cause: &io::Error) -> Error {
    let plugin = path.display();
    if cause.kind() != io::ErrorKind::NotFound {
        let message = format!("the plugin {plugin} cannot be reached: {cause}");
        return Error::new(ErrorKind::LaunchRefused, message).with_hint("Check each directory and link of the path.");
    }
    let why = broken_link(path).map(|why| format!(": {why}")).unwrap_or_default();
    Error::new(ErrorKind::LaunchNotFound, format!("the plugin {plugin} does not exist{why}"))
}

/// A description of the part of a path that is a broken link.
fn broken_link(path: &Path) -> Option<String> {
    /// The number of links that Linux follows.
    const MOST_LINKS: usize = 40;
    let mut prefixes: Vec<&Path> = path.ancestors().collect();
    prefixes.reverse();
    let link = prefixes.into_iter().find(|prefix| prefix.is_symlink() && !prefix.exists())?;
    let mut target = link.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = target.read_link() else { break };
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    Some(format!("{} is a symbolic link to {}, which does not exist", link.display(), target.display()))
}

/// The error of a failed launch, with what is known of the file.
#[must_use]
pub fn explain(failure: &SpawnError, launch: &Launch<'_>) -> Error {
    let plugin = launch.program.display();
    match failure {
        SpawnError::Resources(cause) => {
            Error::new(ErrorKind::LaunchFailed, format!("the plugin {plugin} could not be started: {cause}"))
        }
        SpawnError::Directory(cause) => cannot_enter(launch.working_directory.unwrap_or(Path::new(".")), cause),
        SpawnError::Execute(cause) => {
            let (reason, hint) = explain_refusal(cause, launch);
            let error =
                Error::new(ErrorKind::LaunchRefused, format!("the plugin {plugin} cannot be executed: {reason}"));
            if let Some(hint) = hint { error.with_hint(hint) } else { error }
        }
    }
}

fn explain_refusal(cause: &io::Error, launch: &Launch<'_>) -> (String, Option<String>) {
    match cause.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            let hint = "Pass less: large values by files, or a smaller environment by the setting env.";
            return (format!("{}: {cause}", measure(launch)), Some(hint.to_owned()));
        }
        io::ErrorKind::ExecutableFileBusy => {
            let hint = "Start the plugin once what writes the file, a copy or a build for example, has closed it.";
            return (format!("it is still open for writing: {cause}"), Some(hint.to_owned()));
        }
        _ => (),
    }
    if launch.program.is_dir() {
        return (format!("it is a directory: {cause}"), Some("Name the program in it.".to_owned()));
    }
    let facts = describe(launch.program);
    match find_obstacle(launch.program, launch.working_directory.unwrap_or(Path::new(""))) {
        Some(obstacle) => (format!("{}: {cause} ({facts})", obstacle.reason), Some(obstacle.hint)),
        None => (format!("{cause} ({facts})"), None),
    }
}

/// The size of a program's arguments and environment, and its limit (execve(2)).
fn measure(launch: &Launch<'_>) -> String {
    // Each string ends with a NUL byte.
    let arguments: Vec<usize> = launch.arguments.iter().map(|argument| argument.len() + 1).collect();
    let entry = |(name, value): (&OsString, &OsString)| name.len() + value.len() + 2;
    let variables = launch.environment.iter().map(entry).sum::<usize>();
    let largest = launch.environment.iter().map(|pair| (entry(pair), format!("the variable {}", pair.0.display())));
    let numbered = arguments.iter().enumerate().map(|(index, size)| (*size, format!("argument {index}")));
    let (most, name) = largest.chain(numbered).max().unwrap_or_default();
    let pointers = (arguments.len() + launch.environment.len() + 2) * size_of::<usize>();
    format!(
        "its {} arguments take {} bytes, its {} environment variables {variables}, both with their pointers {}; the \
         largest is {name} with {most} bytes{}",
        arguments.len(),
        arguments.iter().sum::<usize>(),
        launch.environment.len(),
        arguments.iter().sum::<usize>() + variables + pointers,
        limits(),
    )
}

#[cfg(target_os = "linux")]
fn limits() -> String {
    // The limit is a quarter of the stack's, at most three quarters of 8 MiB; that of a single string is 32 pages.
    const MOST: u64 = 6 << 20;
    const LEAST: u64 = 128 << 10;
    let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current.unwrap_or(u64::MAX);
    let all = (stack / 4).clamp(LEAST, MOST);
    let each = 32 * rustix::param::page_size();
    format!(", and the limits are {all} bytes in all (a quarter of the stack's limit) and {each} for each")
}

#[cfg(not(target_os = "linux"))]
fn limits() -> &'static str {
    ""
}

/// Mode, owner and format of a file, for error messages.
#[must_use]
pub fn describe(program: &Path) -> String {
    let mut facts = Vec::new();
    match program.metadata() {
        Ok(metadata) if metadata.is_dir() => return "it is a directory".to_owned(),
        // Opening a named pipe would wait for its writer.
        Ok(metadata) if !metadata.is_file() => return "it is not a regular file".to_owned(),
        Ok(metadata) => facts.extend(describe_access(&metadata)),
        Err(error) => return error.to_string(),
    }
    match Executable::open(program) {
        Ok(executable) => facts.push(executable.format()),
        Err(error) => facts.push(format!("not readable: {error}")),
    }
    facts.join(", ")
}

#[cfg(unix)]
fn describe_access(metadata: &Metadata) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = metadata.mode() & 0o7777;
    let user = rustix::process::geteuid().as_raw();
    let mut facts =
        vec![format!("mode {mode:04o}, owner {}:{}, this process runs as user {user}", metadata.uid(), metadata.gid())];
    if mode & 0o111 == 0 {
        facts.push("no execute permission, try chmod +x".to_owned());
    }
    facts
}

#[cfg(not(unix))]
fn describe_access(_metadata: &Metadata) -> Vec<String> {
    Vec::new()
}

/// The user as whom a process runs, also one that is not reaped yet; `None` if that is hidden.
#[must_use]
pub fn effective_user(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::Limits;

    #[test]
    fn broken_links_are_named_with_their_end() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("second", at("first")).unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("second")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        let search = directory.path().as_os_str();
        for (program, named) in [(at("first"), "first"), (at("second/bin/plugin"), "second"), ("first".into(), "first")]
        {
            let error = find_program(&program, None, search).unwrap_err();
            let expected = format!(
                "{} is a symbolic link to {}, which does not exist",
                at(named).display(),
                at("nothing").display()
            );
            assert_eq!(error.kind(), ErrorKind::LaunchNotFound);
            assert!(error.message().ends_with(&expected), "{error}");
        }
        let error = find_program(&at("loop"), None, search).unwrap_err();
        assert!(error.message().contains("cannot be reached: Too many levels"), "{error}");
        let error = find_program(Path::new("/etc/passwd/plugin"), None, search).unwrap_err();
        assert!(error.message().contains("cannot be reached: Not a directory"), "{error}");
    }

    #[test]
    fn missing_working_directory_is_named_in_place_of_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (working, why) in [(directory.path().join("none"), "No such file"), (file, "Not a directory")] {
            let error = find_program(Path::new("./kv"), Some(&working), OsStr::new("")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LaunchFailed);
            let expected =
                format!("the working directory {} (setting cwd) cannot be entered: {why}", working.display());
            assert!(error.message().starts_with(&expected), "{error}");
            // A path from the root has nothing to do with it.
            let error = find_program(Path::new("/nowhere/kv"), Some(&working), OsStr::new("")).unwrap_err();
            assert_eq!(error.message(), "the plugin /nowhere/kv does not exist");
        }
        let error = find_program(Path::new("./kv"), Some(directory.path()), OsStr::new("")).unwrap_err();
        assert!(error.message().ends_with("kv does not exist"), "{error}");
    }

    #[test]
    fn size_of_what_is_passed_is_told_without_its_content() {
        let environment = BTreeMap::from([("TOKEN".into(), "secret".repeat(100).into()), ("A".into(), "b".into())]);
        let launch = Launch {
            program: Path::new("/bin/plugin"),
            executable: None,
            arguments: &["plugin".into(), "-x".into()],
            environment: &environment,
            working_directory: None,
            limits: Limits::default(),
            die_with_host: false,
        };
        let error = explain(&SpawnError::Execute(io::ErrorKind::ArgumentListTooLong.into()), &launch);
        let message = error.message();
        assert!(message.contains("2 arguments take 10 bytes, its 2 environment variables 611"), "{message}");
        assert!(message.contains("the largest is the variable TOKEN with 607 bytes"), "{message}");
        assert!(!message.contains("secret"));
    }

    #[test]
    fn own_user_is_known() {
        let pid = rustix::process::getpid().as_raw_pid();
        assert_eq!(effective_user(pid), Some(rustix::process::geteuid().as_raw()));
        assert_eq!(effective_user(-1), None);
    }
}
