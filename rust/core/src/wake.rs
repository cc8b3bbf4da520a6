//! How the core wakes the consumer of its results. No I/O.

/// Wakes a consumer. Called on the I/O thread; must return at once.
pub trait Wake: Send + Sync {
    /// Wakes the consumer: results wait. Several calls before it looks count as one.
    fn wake(&self);
}

impl<F: Fn() + Send + Sync> Wake for F {
    fn wake(&self) {
        self();
    }
}
