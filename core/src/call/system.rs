//! Calls about the daemon itself.

use crate::model::{Filters, Timestamp};

/// `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsQuery {
    /// Conditions, all of which must hold.
    pub filters: Filters,
    /// Replay from this time on.
    pub since: Option<Timestamp>,
    /// End the answer at this time.
    pub until: Option<Timestamp>,
}
