//! What time it is, as something a test can set. Knows nothing else.

use std::time::SystemTime;

/// The time of day, asked for instead of read, so that tests can set it.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Clock that everybody else has to ask"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
