//! How the core tells whoever consumes its results that there are some.

/// Tells a consumer that something waits for it. Called from the I/O thread; must return at once.
pub trait Wake: Send + Sync {
    /// Something waits. Several calls before the consumer looks are one.
    fn wake(&self);
}

impl<F: Fn() + Send + Sync> Wake for F {
    fn wake(&self) {
        self();
    }
}
