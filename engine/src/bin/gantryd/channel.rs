//! The protocol of one connection: the API, in the clear or through TLS.

use std::sync::Arc;

use gantry_core::{
    Connection, Event, Instant,
    driver::{Output, Protocol},
};
use rustls::ServerConfig;

use crate::tls::Tls;

/// What a transport drives.
#[expect(
    clippy::large_enum_variant,
    reason = "connections in the clear are the many, and pay no allocation for those that are not"
)]
pub(crate) enum Channel {
    Clear(Connection),
    Tls(Box<Tls<Connection>>),
}

impl Channel {
    /// A connection that has just been accepted by a listener with this TLS configuration, or none.
    pub(crate) fn new(connection: Connection, tls: Option<&Arc<ServerConfig>>, now: Instant) -> Self {
        match tls {
            None => Self::Clear(connection),
            Some(config) => Self::Tls(Box::new(Tls::new(Arc::clone(config), connection, now))),
        }
    }

    /// The API's side of it, to give it commands.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        match self {
            Self::Clear(connection) => connection,
            Self::Tls(tls) => tls.inner(),
        }
    }

    /// Whether the output of the request under way may go to the client unseen.
    pub(crate) fn splices(&self) -> bool {
        match self {
            Self::Clear(connection) => connection.splices(),
            Self::Tls(_) => false,
        }
    }

    fn protocol(&self) -> &dyn Protocol<Event = Event> {
        match self {
            Self::Clear(connection) => connection,
            Self::Tls(tls) => &**tls,
        }
    }

    fn protocol_mut(&mut self) -> &mut dyn Protocol<Event = Event> {
        match self {
            Self::Clear(connection) => connection,
            Self::Tls(tls) => &mut **tls,
        }
    }
}

impl Protocol for Channel {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        self.protocol_mut().handle_input(now, bytes)
    }

    fn handle_eof(&mut self, now: Instant) {
        self.protocol_mut().handle_eof(now);
    }

    fn handle_reset(&mut self, now: Instant) {
        self.protocol_mut().handle_reset(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.protocol_mut().handle_timeout(now);
    }

    fn poll_output(&mut self, now: Instant, out: &mut [u8]) -> Output<Event> {
        self.protocol_mut().poll_output(now, out)
    }

    fn output_queued(&self) -> usize {
        self.protocol().output_queued()
    }

    fn wants_input(&self) -> bool {
        self.protocol().wants_input()
    }
}
