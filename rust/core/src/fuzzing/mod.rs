//! What is fuzzed: functions of any bytes, which assert what must hold of them.
//!
//! Ordinary tests call them with the inputs that were worth keeping, those of `rust/core/corpus`; libFuzzer calls them with
//! any other, by the program in `rust/fuzz`, under `--cfg fuzzing`. Each finds its property wherever it can: never a panic,
//! the same result however the bytes are cut, the same value after writing and reading, limits that hold, and the answer of
//! another implementation.
#![allow(clippy::missing_panics_doc)] // They are made to panic.

mod broker;
mod certificates;
mod output;
mod reattach;

use crate::grpc::fuzzing as grpc;
use crate::transport::multiplex::fuzzing::yamux;

/// One function of any bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their directories in the corpus.
pub const TARGETS: [(&str, Target); 18] = [
    ("certificate", certificates::certificate),
    ("certificate_pem", certificates::certificate_pem),
    ("certificate_request", certificates::certificate_request),
    ("compression", grpc::compression),
    ("conn_info", broker::conn_info),
    ("connection", grpc::connection),
    ("deframer", grpc::deframer),
    ("error_output", output::error_output),
    ("frame_watch", grpc::frame_watch),
    ("framing", grpc::framing),
    ("handshake", output::handshake),
    ("line_finder", output::line_finder),
    ("log_line", output::log_line),
    ("metadata", grpc::metadata),
    ("raw_path", grpc::raw_path),
    ("reattach", reattach::reattach),
    ("status", grpc::status),
    ("yamux", yamux),
];

/// The longest error that repeats something of what was read, in bytes: four excerpts and the words around them.
pub(crate) const LONGEST_MESSAGE: usize = 2000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn corpus() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
    }

    /// The input under way is printed by a failing test alone.
    #[allow(clippy::print_stderr)]
    fn replay(target: Target, input: &Path) {
        eprintln!("{}", input.display());
        target(&fs::read(input).unwrap());
    }

    #[test]
    fn corpus_keeps_its_promises() {
        for (name, target) in TARGETS {
            for entry in fs::read_dir(corpus().join(name)).unwrap() {
                replay(target, &entry.unwrap().path());
            }
        }
    }

    #[test]
    fn each_directory_of_the_corpus_has_its_target() {
        let found: BTreeSet<_> = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(found, TARGETS.iter().map(|(name, _)| (*name).into()).collect());
    }

    /// For an input that is not in the corpus yet: `FERRULE_FUZZ_TARGET` names its target.
    #[test]
    fn input_named_in_the_environment_keeps_its_promises() {
        let Some(input) = std::env::var_os("FERRULE_FUZZ_INPUT") else { return };
        let name = std::env::var("FERRULE_FUZZ_TARGET").unwrap();
        let target = TARGETS.into_iter().find_map(|(known, target)| (known == name).then_some(target));
        replay(target.unwrap(), Path::new(&input));
    }
}
