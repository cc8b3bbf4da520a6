//! One program for all targets, whose linking takes longer than all else: `FERRULE_FUZZ_TARGET` names the one.
#![no_main]

use std::sync::LazyLock;

use ferrule_core::fuzzing::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FERRULE_FUZZ_TARGET").unwrap_or_default();
    let known = TARGETS.map(|(known, _)| known);
    let target = TARGETS.into_iter().find_map(|(known, target)| (known == name).then_some(target));
    target.unwrap_or_else(|| panic!("FERRULE_FUZZ_TARGET is {name:?}, expected one of {known:?}"))
});

fuzz_target!(|data: &[u8]| TARGET(data));
