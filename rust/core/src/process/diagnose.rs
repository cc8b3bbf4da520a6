//! Finds the program, and explains why it does not start: what users meet first.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::launch::SpawnError;
use crate::error::{Error, ErrorKind};
use crate::settings::Settings;

/// Enough of a file to recognise its format and its interpreter line.
const HEAD_BYTES: u64 = 4096;

/// The file that the command names. As a shell does: a name with a slash is a path, any other is looked up.
pub fn find_program(program: &Path, directory: Option<&Path>, search_path: &OsStr) -> Result<PathBuf, Error> {
    if program.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "the command is empty, expected a program and its arguments"));
    }
    if program.components().count() > 1 || program.is_absolute() {
        // Absolute at once: this process may change its directory.
        let path = absolute(directory.unwrap_or(Path::new("")).join(program));
        return if path.exists() { Ok(path) } else { Err(missing(&path)) };
    }
    let directories = std::env::split_paths(search_path);
    let candidates: Vec<PathBuf> = directories.map(|each| each.join(program)).filter(|path| path.is_file()).collect();
    // One that cannot be executed is second choice: it makes a better message than none.
    let found = candidates.iter().find(|path| is_executable(path)).or(candidates.first());
    found.cloned().map(absolute).ok_or_else(|| not_on_path(program, search_path))
}

fn not_on_path(program: &Path, search_path: &OsStr) -> Error {
    let (name, searched) = (program.display(), search_path.display());
    let error = Error::new(ErrorKind::LaunchNotFound, format!("the plugin {name} was not found in PATH ({searched})"));
    if program.is_file() {
        return error.with_hint(format!("The current directory has a file of that name: write ./{name} to mean it."));
    }
    error
}

/// The child executes it after it has changed its directory.
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

fn missing(path: &Path) -> Error {
    Error::new(ErrorKind::LaunchNotFound, format!("the plugin {} does not exist", path.display()))
}

/// Says why the operating system refused, with what there is to know about the file.
#[must_use]
pub fn explain(failure: &SpawnError, program: &Path, settings: &Settings) -> Error {
    match failure {
        SpawnError::Resources(cause) => {
            let message = format!("the plugin {} could not be started: {cause}", program.display());
            Error::new(ErrorKind::LaunchFailed, message)
        }
        SpawnError::Directory(cause) => {
            let directory = settings.working_directory.as_deref().unwrap_or(Path::new(".")).display();
            let message = format!("the working directory {directory} (setting cwd) cannot be entered: {cause}");
            Error::new(ErrorKind::LaunchFailed, message).with_hint("Correct the setting cwd, or leave it out.")
        }
        SpawnError::Execute(cause) => {
            let facts = describe(program);
            let message = format!("the plugin {} cannot be executed: {cause} ({facts})", program.display());
            Error::new(ErrorKind::LaunchRefused, message)
        }
    }
}

/// Mode, owner and format of a file, for error messages.
#[must_use]
pub fn describe(program: &Path) -> String {
    let mut facts = Vec::new();
    match program.metadata() {
        Ok(metadata) if metadata.is_dir() => return "it is a directory".to_owned(),
        // Opening a pipe would wait for its writer.
        Ok(metadata) if !metadata.is_file() => return "it is not a regular file".to_owned(),
        Ok(metadata) => facts.extend(describe_access(&metadata)),
        Err(error) => return error.to_string(),
    }
    match read_head(program) {
        Ok(head) => facts.push(describe_format(&head)),
        Err(error) => facts.push(format!("not readable: {error}")),
    }
    facts.join(", ")
}

fn read_head(program: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(program)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
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

fn describe_format(head: &[u8]) -> String {
    if let Some(line) = head.strip_prefix(b"#!") {
        let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
        return format!("a script for {}", String::from_utf8_lossy(&line[..end]).trim());
    }
    let here = format!("this machine is {} {}", std::env::consts::ARCH, std::env::consts::OS);
    match head {
        [0x7f, b'E', b'L', b'F', _, order, ..] if head.len() > 19 => {
            let number = [head[18], head[19]];
            let machine = if *order == 1 { u16::from_le_bytes(number) } else { u16::from_be_bytes(number) };
            format!("an ELF file built for {}, {here}", elf_machine(machine))
        }
        [b'M', b'Z', ..] => format!("built for Windows, {here}"),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => format!("built for macOS, {here}"),
        [] => "the file is empty".to_owned(),
        _ => "no known executable format, a script needs a first line that begins with #!".to_owned(),
    }
}

/// The machines that plugins are built for (`e_machine` in the ELF specification).
fn elf_machine(number: u16) -> String {
    let name = match number {
        3 => "x86",
        8 => "mips",
        20 | 21 => "powerpc",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        _ => return format!("machine number {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named() {
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 183;
        for (head, expected) in [
            (&b"#!/bin/nothing -x\nrest"[..], "a script for /bin/nothing -x"),
            (&elf, "an ELF file built for aarch64, this machine is"),
            (b"", "the file is empty"),
            (b"hello", "no known executable format"),
        ] {
            let facts = describe_format(head);
            assert!(facts.starts_with(expected), "{facts}");
        }
    }
}
