//! The format of a file to execute, and the interpreter or loader that it needs and that may be missing.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::{ffi::OsStr, fmt};

/// Bytes of a file that hold its format and its interpreter line.
const HEAD_BYTES: u64 = 4096;
/// Interpreters of interpreters that Linux follows (`exec_binprm`).
const MAX_INTERPRETERS: usize = 5;

/// The beginning of a file, and the file for later parts.
pub(super) struct Executable {
    file: File,
    head: Vec<u8>,
}

/// Another file that is needed to execute a file.
enum Need {
    /// The interpreter in the first line of a script.
    Interpreter(PathBuf),
    /// The loader that an ELF file with shared libraries names.
    Loader(PathBuf),
}

/// Why an existing file cannot be executed, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) reason: String,
    pub(super) hint: String,
}

impl Executable {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Opening a named pipe would wait for its writer.
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let (file, mut head) = (File::open(path)?, Vec::new());
        (&file).take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(Self { file, head })
    }

    /// The format, for error messages.
    pub(super) fn format(&self) -> String {
        let here = format!("this machine is {} {}", std::env::consts::ARCH, std::env::consts::OS);
        match self.head.as_slice() {
            [b'#', b'!', ..] => format!("a script for {}", shown(self.first_line().trim_ascii_start())),
            [0x7f, b'E', b'L', b'F', ..] if self.head.len() > 19 => {
                let machine = self.number(18, 2).map_or_else(|| "unknown".to_owned(), elf_machine);
                format!("an ELF file built for {machine}, {here}")
            }
            [b'M', b'Z', ..] => format!("built for Windows, {here}"),
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => format!("built for macOS, {here}"),
            [0xef, 0xbb, 0xbf, b'#', b'!', ..] => {
                "a script that begins with a byte order mark, which must not stand before #!".to_owned()
            }
            [] => "the file is empty".to_owned(),
            _ => "no known executable format, a script needs a first line that begins with #!".to_owned(),
        }
    }

    /// The text behind `#!`.
    fn first_line(&self) -> &[u8] {
        let line = self.head.get(2..).unwrap_or_default();
        &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())]
    }

    fn need(&self) -> Option<Need> {
        if self.head.starts_with(b"#!") {
            // For the kernel a carriage return is part of the name, no blank.
            let mut words =
                self.first_line().split(|byte| matches!(byte, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
            return words.next().map(|word| Need::Interpreter(path(word)));
        }
        if self.head.starts_with(b"\x7fELF") { self.loader().map(Need::Loader) } else { None }
    }

    /// The loader: PT_INTERP of the program headers (elf(5)).
    fn loader(&self) -> Option<PathBuf> {
        const PT_INTERP: u64 = 3;
        const LONGEST_PATH: u64 = 4096;
        let wide = *self.head.get(4)? == 2;
        let (table, size, count) = if wide { (32, 54, 56) } else { (28, 42, 44) };
        let word = if wide { 8 } else { 4 };
        let (table, size, count) = (self.number(table, word)?, self.number(size, 2)?, self.number(count, 2)?);
        let (offset, length) = if wide { (8, 32) } else { (4, 16) };
        let entries = (0..count).map_while(|index| table.checked_add(index * size));
        let found = entries.into_iter().find_map(|entry| {
            let header = self.read(entry, size)?;
            if self.number_of(header.get(..4)?) != PT_INTERP {
                return None;
            }
            let number = |at: usize| header.get(at..at + word).map(|bytes| self.number_of(bytes));
            self.read(number(offset)?, number(length)?.min(LONGEST_PATH))
        })?;
        Some(path(found.split(|byte| *byte == 0).next()?))
    }

    fn read(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
    }

    fn number(&self, at: usize, length: usize) -> Option<u64> {
        self.head.get(at..at + length).map(|bytes| self.number_of(bytes))
    }

    /// Reads a number in the byte order of the file.
    fn number_of(&self, bytes: &[u8]) -> u64 {
        let append = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        let is_little = self.head.get(5) == Some(&1);
        if is_little { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) }
    }
}

/// The interpreter or loader, of the file or of its interpreter, that cannot be used. A script may name one relative to
/// the working directory.
pub(super) fn find_obstacle(program: &Path, working_directory: &Path) -> Option<Obstacle> {
    let mut current = program.to_owned();
    for _ in 0..MAX_INTERPRETERS {
        let need = Executable::open(&current).ok()?.need()?;
        let needed = working_directory.join(need.path());
        if let Err(reason) = check(&needed) {
            return Some(need.missing(&current, program, &reason));
        }
        current = needed;
    }
    None
}

fn check(needed: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    match needed.metadata() {
        Ok(metadata) if metadata.is_dir() => Err("is a directory".to_owned()),
        Ok(metadata) if metadata.mode() & 0o111 == 0 => Err("is not executable".to_owned()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("does not exist".to_owned()),
        Err(error) => Err(format!("cannot be reached ({error})")),
    }
}

impl Need {
    fn path(&self) -> &Path {
        let (Self::Interpreter(path) | Self::Loader(path)) = self;
        path
    }

    fn missing(&self, asker: &Path, program: &Path, reason: &str) -> Obstacle {
        let name = shown(self.path().as_os_str().as_bytes());
        let owner =
            if asker == program { "its".to_owned() } else { format!("of its interpreter {}, the", asker.display()) };
        match self {
            Self::Interpreter(path) if path.as_os_str().as_bytes().ends_with(b"\r") => Obstacle {
                reason: format!("{owner} interpreter {name} {reason}: the file has the line ends of Windows (CRLF)"),
                hint: format!("Convert the line ends: sed -i 's/\\r$//' {}", asker.display()),
            },
            Self::Interpreter(_) => Obstacle {
                reason: format!("{owner} interpreter {name} {reason}"),
                hint: format!("Install {name}, or correct the first line of {}.", asker.display()),
            },
            Self::Loader(_) => Obstacle {
                reason: format!("{owner} loader {name} {reason}"),
                hint:
                    "The program was built for another system or C library: use a build for this one, or a static one."
                        .to_owned(),
            },
        }
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Foreign text with invisible characters escaped.
fn shown(bytes: &[u8]) -> impl fmt::Display {
    const LONGEST: usize = 256;
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).escape_debug().to_string()
}

/// The machines that plugins are built for (`e_machine` in the ELF specification).
fn elf_machine(number: u64) -> String {
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
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A file of this content, and the directory that is removed with it.
    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plugin");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (directory, path)
    }

    fn obstacle(content: &[u8]) -> Option<String> {
        let (directory, path) = file(content);
        find_obstacle(&path, directory.path()).map(|obstacle| obstacle.reason)
    }

    /// A 64-bit ELF file, or a 32-bit one with the big end first, that asks for this loader.
    fn elf(wide: bool, loader: &[u8]) -> Vec<u8> {
        let write = |bytes: &mut Vec<u8>, at: usize, size: usize, number: usize| {
            let big = number.to_be_bytes();
            let digits = &big[big.len() - size..];
            for index in 0..size {
                bytes[at + index] = if wide { digits[size - 1 - index] } else { digits[index] };
            }
        };
        let (word, size, table, entries) = if wide { (8, 56, 32, [54, 56]) } else { (4, 32, 28, [42, 44]) };
        let mut bytes = vec![0; 400];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, if wide { 1 } else { 2 }]);
        write(&mut bytes, 18, 2, 183);
        write(&mut bytes, table, word, 100);
        write(&mut bytes, entries[0], 2, size);
        write(&mut bytes, entries[1], 2, 2);
        write(&mut bytes, 100, 4, 1);
        write(&mut bytes, 100 + size, 4, 3);
        write(&mut bytes, 100 + size + if wide { 8 } else { 4 }, word, 300);
        write(&mut bytes, 100 + size + if wide { 32 } else { 16 }, word, loader.len() + 1);
        bytes[300..300 + loader.len()].copy_from_slice(loader);
        bytes
    }

    #[test]
    fn formats_are_named() {
        for (head, expected) in [
            (&b"#!/bin/nothing -x\nrest"[..], "a script for /bin/nothing -x"),
            (b"#! /bin/sh\r\n", "a script for /bin/sh\\r"),
            (&elf(true, b"/l"), "an ELF file built for aarch64, this machine is"),
            (&elf(false, b"/l"), "an ELF file built for aarch64, this machine is"),
            (b"\xef\xbb\xbf#!/bin/sh\n", "a script that begins with a byte order mark"),
            (b"", "the file is empty"),
            (b"hello", "no known executable format"),
        ] {
            let (_directory, path) = file(head);
            let facts = Executable::open(&path).unwrap().format();
            assert!(facts.starts_with(expected), "{facts}");
        }
    }

    #[test]
    fn missing_part_is_named() {
        for (content, expected) in [
            (&b"#!/bin/sh\r\necho\r\n"[..], "its interpreter /bin/sh\\r does not exist: the file has the line ends"),
            (b"#! \t/nowhere/sh -e", "its interpreter /nowhere/sh does not exist"),
            (b"#!bin/sh\n", "its interpreter bin/sh does not exist"),
            (b"#!/etc\n", "its interpreter /etc is a directory"),
            (b"#!/etc/passwd/sh\n", "its interpreter /etc/passwd/sh cannot be reached"),
            (b"#!/etc/passwd\n", "its interpreter /etc/passwd is not executable"),
            (&elf(true, b"/lib/ld-nowhere.so.1"), "its loader /lib/ld-nowhere.so.1 does not exist"),
            (&elf(false, b"/lib/ld-nowhere.so.1"), "its loader /lib/ld-nowhere.so.1 does not exist"),
        ] {
            let reason = obstacle(content).unwrap();
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn missing_part_of_an_interpreter_is_named() {
        let (_directory, interpreter) = file(&elf(true, b"/lib/ld-nowhere.so.1"));
        let reason = obstacle(format!("#!{}\n", interpreter.display()).as_bytes()).unwrap();
        let expected = format!("of its interpreter {}, the loader /lib/ld-nowhere.so.1", interpreter.display());
        assert!(reason.starts_with(&expected), "{reason}");
    }

    #[test]
    fn what_can_be_executed_lacks_nothing() {
        for content in [&b"#!/bin/sh\n"[..], b"#!\n", b"", b"hello", b"\x7fELF", &elf(true, b"/bin/sh")[..200]] {
            assert_eq!(obstacle(content), None, "{content:?}");
        }
        assert_eq!(find_obstacle(&std::env::current_exe().unwrap(), Path::new("/")), None);
    }
}
