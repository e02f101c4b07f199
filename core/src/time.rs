//! Time, brought from outside: core has no clock.

use core::time::Duration;

/// A point in time on the driver's monotonic clock.
///
/// The epoch is the driver's choice and must not change while a connection lives. Tests invent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub Duration);

impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}
