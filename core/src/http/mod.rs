//! HTTP/1.0 and HTTP/1.1, both sides, without I/O and without Docker (RFC 9110, RFC 9112).
//!
//! [`Server`] is one connection: bytes in, [`ServerEvent`]s and bytes out. It frames requests and answers, keeps
//! connections alive, refuses what is ambiguous, and hands the connection over when it is hijacked. It knows no route
//! and no JSON. [`Client`] is the other end, with the same strictness. The decoders they are made of are usable (and fuzzed)
//! by themselves.

mod body;
mod chunked;
mod client;
mod head;
mod queue;
mod response;
mod server;
mod token;
mod write;

pub(crate) use self::token::{is_token, list_holds};
pub use self::{
    body::{BodyLength, Portion},
    chunked::ChunkedDecoder,
    client::{Client, ClientEvent, Outgoing, OutgoingBody},
    head::{HeadScanner, Headers, HttpVersion, ParsedHead, RequestHead, Scan, parse_head},
    queue::Part,
    response::{AnswerLength, ParsedResponse, ResponseHead, parse_response},
    server::{Request, Server, ServerEvent},
    write::{Answer, AnswerBody},
};
pub use crate::cycle::OutOfTurn;
