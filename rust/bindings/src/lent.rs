//! Large requests, which are sent out of the caller's own bytes.

use std::sync::{Arc, OnceLock};

use ferrule_core::grpc::call::Call;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// The call that a large request belongs to, and how its loop is told that the request's object was let go of.
pub(crate) type Loan = Arc<OnceLock<(Call, Box<dyn Fn() + Send + Sync>)>>;

/// The bytes of a large request. Their object is let go of without the interpreter, and PyO3 frees it at the next call
/// into the module. As a rule that is the one for the call's end. If the end has come before, the loop is woken to make
/// such a call.
pub(crate) struct Lent {
    bytes: Option<PyBackedBytes>,
    loan: Loan,
}

impl Lent {
    pub(crate) fn new(bytes: &Bound<'_, PyBytes>, loan: Loan) -> Self {
        Self { bytes: Some(bytes.clone().into()), loan }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.bytes = None;
        if let Some((call, release)) = self.loan.get()
            && call.code().is_some()
        {
            release();
        }
    }
}
