//! What every loop does with a peer that has just come: TLS or not, and the bounds of its connection.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gantry_core::{Connection, Instant, Limits, driver::ListenerId};
use rustls::ServerConfig;

use crate::channel::Channel;

/// How connections begin.
#[derive(Debug, Default)]
pub(crate) struct Front {
    /// Listeners that serve nobody in the clear.
    pub(crate) tls: HashMap<ListenerId, Arc<ServerConfig>>,
    /// Listeners that browsers can reach.
    pub(crate) by_tcp: HashSet<ListenerId>,
    /// Whose pages browsers let call.
    pub(crate) allowed_origin: Option<Arc<str>>,
}

impl Front {
    /// The protocol of a new connection.
    pub(crate) fn accept(&self, listener: ListenerId, now: Instant) -> Channel {
        let connection = Connection::new(Limits::default(), now)
            .allow_origin(self.allowed_origin.clone())
            .check_origin(self.by_tcp.contains(&listener));
        Channel::new(connection, self.tls.get(&listener), now)
    }
}
