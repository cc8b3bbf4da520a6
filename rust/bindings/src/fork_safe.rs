//! Handles that belong to the process that made them.

use std::ops::Deref;

use crate::io_thread::is_forked;

/// A handle to an object of the core. A forked child forgets the handle instead of dropping it: the object is the
/// parent's, and the I/O thread, which the child does not have, may have held any of its locks at the fork.
pub(crate) struct ForkSafe<T: Clone>(T);

impl<T: Clone> ForkSafe<T> {
    pub(crate) fn new(handle: T) -> Self {
        Self(handle)
    }
}

impl<T: Clone> Deref for ForkSafe<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> Drop for ForkSafe<T> {
    fn drop(&mut self) {
        if is_forked() {
            // With one handle too many, the others can go.
            std::mem::forget(self.0.clone());
        }
    }
}
