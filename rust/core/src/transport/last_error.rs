//! Why dialling a peer failed last, noted by the dialer and by the streams that it gives out.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// Shared with the streams that the dialer gives out.
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
