//! How long work tells what it is doing.

/// Listens to long work. Every method may be called from any thread.
///
/// `()` listens to nothing.
pub trait Progress: Send + Sync {
    /// A new step began; the one before it is done. A sentence without its full stop, such as
    /// `unpack linux-image-6.1.0-56-cloud-amd64`.
    fn step(&self, name: &str);

    /// How far the current step is: `done` of `total` bytes; a `total` of 0 means that nobody knows.
    fn advance(&self, done: u64, total: u64);

    /// Something that was decided or passed over, and that a person must be able to see.
    fn note(&self, text: &str);
}

impl Progress for () {
    fn step(&self, _: &str) {}
    fn advance(&self, _: u64, _: u64) {}
    fn note(&self, _: &str) {}
}
