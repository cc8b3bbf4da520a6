//! What a trait object answers with when the answer takes time.

use std::pin::Pin;

/// A future of any type, as `futures` names it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
