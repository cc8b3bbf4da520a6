//! The latest error of a dialler, set by the dialler and by the streams that it returns.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// The latest error; clones share it.
#[derive(Clone, Default)]
pub(super) struct LastError(Arc<Mutex<Option<Error>>>);

impl LastError {
    pub(super) fn set(&self, error: Option<Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    pub(super) fn get(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
