//! The client role: calls to a daemon of any version, as bytes, and its answers as typed replies.
//!
//! A [`Connection`] is driven exactly as the server's, so every transport carries it. It is what a proxy speaks that puts
//! an old client in front of a newer daemon (a [`Call`](crate::Call) that came in is asked on as it is), what tests ask daemons
//! with, and the other end of a simulation:
//!
//! ```
//! use core::time::Duration;
//! use gantry_core::{
//!     Call, Instant, Limits, Reply,
//!     client::{ApiVersion, Connection, Event, Options},
//!     driver::{Output, Protocol},
//! };
//!
//! let now = Instant(Duration::ZERO); // any monotonic clock
//! let mut connection = Connection::new(Limits::default());
//! let options = Options {
//!     version: ApiVersion::parse("1.6")?,
//!     ..Options::default()
//! };
//! let asked = connection.ask(&Call::ContainerWait { container: "web".into() }, &options)?;
//!
//! let (mut out, mut sent, mut told) = ([0; 512], Vec::new(), Vec::new());
//! let mut received = &b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"StatusCode\":3}"[..];
//! loop {
//!     match connection.poll_output(now, &mut out) {
//!         Output::Event(event) => told.push(event),
//!         Output::Transmit(len) => sent.extend_from_slice(&out[..len]),
//!         Output::Wait(_) if received.is_empty() => break, // until bytes come
//!         Output::Wait(_) => received = &received[connection.handle_input(now, received)..],
//!         Output::Splice { .. } => unreachable!("a client has no pipes"),
//!         Output::Shutdown | Output::Close => unreachable!("the connection persists"),
//!     }
//! }
//! assert!(sent.starts_with(b"POST /v1.6/containers/web/wait HTTP/1.1\r\nHost: docker\r\n"));
//! let reply = Reply::ContainerExited { status_code: 3 };
//! assert_eq!(told, [Event::Reply { id: asked, reply }]);
//! assert!(connection.is_idle());
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! A call is written in the newest shape and **lowered** to the asked version through the same list of changes that the
//! server role lifts requests through; the answer is **raised** from that version. What a version cannot express is an
//! error that names it ([`Unspeakable`]), because the daemons of the time silently ignored what they did not know:
//!
//! ```
//! use gantry_core::{Call, client::{ApiVersion, Options, encode}};
//!
//! let call = Call::ContainerInspect { container: "web".into(), size: true };
//! let at = |version| Options { version: ApiVersion::parse(version).unwrap(), ..Options::default() };
//! assert_eq!(encode(&call, &at("1.21")).unwrap().target, "/v1.21/containers/web/json?size=1");
//! let error = encode(&call, &at("1.20")).unwrap_err();
//! assert_eq!(error.to_string(), "API v1.20 cannot say this: the parameter size");
//! ```
//!
//! Three endpoints are served and never asked, because another call tells the same:
//!
//! - `GET /containers/{id}/attach/ws` is for browsers; [`Call::ContainerAttach`](crate::Call::ContainerAttach) is asked by
//!   `POST`, which tells standard error apart.
//! - `GET /containers/{id}/resize` is in one document only, and every daemon takes `POST`.
//! - `GET /images/viz` is drawn from [`Call::ImageList`](crate::Call::ImageList).
//!
//! Below v1.2 no build can be asked for: its context was the text of a Dockerfile or a form, and an archive is what is sent
//! here. Parameters of a build that no document has are said at every version.
//!
//! What an answer leaves out, because the version or the daemon does not tell it, is zero, empty or none.
//!
//! - [`Connection`]: [`ask`](Connection::ask), and [`Event`]s.
//! - [`encode`]: a call as the bytes of a request, without a connection.
//! - A daemon that refuses is a [`DaemonError`]; one that breaks the protocol an [`AnswerError`].

mod answer;
mod ask;
mod connection;
mod lenient;
mod request;
mod values;

use alloc::string::String;
use core::fmt;

pub use self::{
    connection::{Connection, Event},
    request::encode,
};
pub use crate::{
    dialect::{ApiVersion, VersionError},
    error::AnswerError,
    http::{Outgoing, OutgoingBody},
};

/// How a call is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The version that is spoken; it stands in the path. Default: the newest.
    pub version: ApiVersion,
    /// Value of the `Host` header. Default: `docker`.
    pub host: String,
    /// Ask for status 101 when the connection is to leave HTTP. Proxies between need it, and daemons of before 2014 do not
    /// know it. Default: no, and 200 leaves HTTP.
    pub upgrade: bool,
    /// The container has a terminal, so its output has no frames (`Config.Tty` of inspect). Versions up to v1.24 do not tell it
    /// with the answer. Default: no.
    pub tty: bool,
    /// Keys that end an attachment (`ctrl-p,ctrl-q`); `None` leaves them to the daemon.
    pub detach_keys: Option<String>,
    /// Bytes of a streamed body, if they are known; chunked otherwise.
    pub body_len: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: ApiVersion::NEWEST,
            host: "docker".into(),
            upgrade: false,
            tty: false,
            detach_keys: None,
            body_len: None,
        }
    }
}

/// The daemon's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonError {
    /// HTTP status, 300 or above (but 304, which is a [`Reply`](crate::Reply)).
    pub status: u16,
    /// Its words, without line feed at the end.
    pub message: String,
    /// It said so in JSON; as plain text otherwise, as below v1.24.
    pub is_json: bool,
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.as_str() {
            "" => write!(f, "status {}", self.status),
            message => f.write_str(message),
        }
    }
}

impl core::error::Error for DaemonError {}

/// A version that cannot express a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unspeakable {
    /// What it cannot say: an endpoint, a parameter, a key of the body, a value.
    pub what: String,
    /// The version.
    pub version: ApiVersion,
}

impl fmt::Display for Unspeakable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "API v{} cannot say this: {}", self.version, self.what)
    }
}

impl core::error::Error for Unspeakable {}

/// Why a call was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskError {
    /// The version cannot express it.
    Unspeakable(Unspeakable),
    /// Another call is under way.
    Busy,
    /// The connection is over.
    Closed,
}

impl From<Unspeakable> for AskError {
    fn from(error: Unspeakable) -> Self {
        Self::Unspeakable(error)
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unspeakable(error) => error.fmt(f),
            Self::Busy => f.write_str("another call is under way"),
            Self::Closed => f.write_str("the connection is over"),
        }
    }
}

impl core::error::Error for AskError {}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a test may panic, and a table's type is the table"
)]
mod tests;
