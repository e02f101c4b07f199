//! What one item of a stream looks like: framed, as a WebSocket message, as a line of text.

use alloc::{borrow::ToOwned, collections::VecDeque, format, string::String, vec::Vec};

use bytes::Bytes;
use serde_json::Value;

use crate::{
    framing::{FrameHeader, StreamKind},
    http::Part,
    limits,
    websocket::{Opcode, frame_header},
};

/// A frame: type, three zero bytes, length as 32-bit big-endian; then the payload as it is.
pub(super) fn framed(kind: StreamKind, len: usize, out: &mut VecDeque<Part>, mut next: impl FnMut(usize) -> Part) {
    let mut left = len;
    while left > 0 {
        let len = left.min(limits::FRAME_BYTES_MAX);
        left -= len;
        let header = FrameHeader {
            stream: kind,
            payload_len: u32::try_from(len).unwrap_or(u32::MAX),
        };
        out.push_back(Part::Bytes(Bytes::copy_from_slice(&header.encode())));
        out.push_back(next(len));
    }
}

/// Output as a message: text, as daemons have sent it up to v1.27, where it is UTF-8, and else binary, because a client must
/// close a connection whose text is none. What may become a character with the next output is held back.
pub(super) fn message(held: &mut Bytes, bytes: Bytes, out: &mut VecDeque<Part>) {
    let bytes = match held.is_empty() {
        true => bytes,
        false => [core::mem::take(held), bytes].concat().into(),
    };
    let (opcode, len) = match str::from_utf8(&bytes) {
        Ok(_) => (Opcode::Text, bytes.len()),
        Err(e) if e.error_len().is_none() => (Opcode::Text, e.valid_up_to()),
        Err(_) => (Opcode::Binary, bytes.len()),
    };
    // A copy, so that a few bytes do not keep many.
    *held = Bytes::copy_from_slice(bytes.get(len..).unwrap_or_default());
    if len > 0 {
        out.push_back(Part::Bytes(frame_header(opcode, len)));
        out.push_back(Part::Bytes(bytes.slice(..len)));
    }
}

/// A message of v1.0: the same facts as a line of text.
pub(super) fn progress_text(item: &Value) -> Option<String> {
    let text = |key| item.get(key).and_then(Value::as_str);
    if let Some(error) = text("error") {
        return Some(format!("Error: {error}\r\n"));
    }
    if let Some(stream) = text("stream") {
        return (!stream.is_empty()).then(|| stream.to_owned());
    }
    let parts: Vec<&str> = ["id", "status", "progress"].into_iter().filter_map(text).collect();
    // The next line of a terminal takes the place of one that tells how far something is.
    let end = if text("progress").is_some() { "\r" } else { "\r\n" };
    (!parts.is_empty()).then(|| parts.join(" ") + end)
}
