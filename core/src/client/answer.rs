//! An answer, between HTTP and the asker: the counterpart of `exchange`.
//!
//! An [`Answering`] knows what was asked in which version. It makes the typed reply or error out of head and body, and items out
//! of the body of a stream. It has no part in framing.

use alloc::{collections::VecDeque, string::String, string::ToString, vec::Vec};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{DaemonError, lenient::Lenient, values::Values};
use crate::{
    Item, Reply,
    dialect::{self, Answer, ApiVersion, Manner},
    error::AnswerError,
    framing::{Splitter, StreamKind},
    http::ResponseHead,
    json,
    limits::{ANSWER_VALUES_MAX, Limits},
    model::Progress,
    route::Route,
};

/// What a successful answer is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expects {
    /// All that counts is the head.
    Head(fn(&ResponseHead) -> Result<Reply, AnswerError>),
    /// One JSON value.
    Json(fn(Value) -> Result<Reply, serde_json::Error>),
    /// A stream. The reply is told at once; it may depend on whether the container has a terminal.
    Stream(fn(&ResponseHead, bool) -> Result<Reply, AnswerError>, Items),
}

/// What a stream is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Items {
    /// Bytes of a tar.
    Data,
    /// Output of a container, in frames or raw.
    Output,
    /// JSON objects.
    Json(fn(Value) -> Result<Item, serde_json::Error>),
    /// Progress, as JSON objects or as lines of text.
    Progress,
}

/// A newest-shape value as its type. What older versions and other daemons leave out is zero.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    T::deserialize(Lenient(value))
}

/// One answer, from its head to its end.
#[derive(Debug)]
pub(super) struct Answering {
    version: ApiVersion,
    manner: Manner,
    route: Route,
    expects: Expects,
    tty: bool,
    answer_bytes_max: usize,
    item_bytes_max: usize,
    body: Body,
}

/// What becomes of the body.
#[derive(Debug)]
enum Body {
    /// The head has not come, or has said everything; `reply` is told at the end.
    Ignored { reply: Option<Reply>, bytes: usize },
    /// JSON, or the text of an error, that is read when it is whole.
    Gathered { status: u16, bytes: Vec<u8> },
    /// Output of a container without terminal.
    Frames(Splitter),
    /// Output of a container with a terminal, or of a version that merges the two streams.
    Raw,
    /// A tar.
    Data,
    /// Objects, each an item.
    Objects(Values, fn(Value) -> Result<Item, serde_json::Error>),
    /// Progress of v1.0; holds the line that is not complete.
    Lines(Vec<u8>),
}

/// How an answer ended.
#[derive(Debug, PartialEq)]
pub(super) enum Ending {
    Replied(Reply),
    Refused(DaemonError),
    StreamEnd,
}

impl Answering {
    pub(super) fn new(
        version: ApiVersion,
        manner: Manner,
        route: Route,
        expects: Expects,
        tty: bool,
        limits: &Limits,
    ) -> Self {
        Self {
            version,
            manner,
            route,
            expects,
            tty,
            answer_bytes_max: limits.answer_bytes_max,
            item_bytes_max: limits.item_bytes_max,
            body: Body::Ignored { reply: None, bytes: 0 },
        }
    }

    /// Looks at the head. A reply that opens a stream is told now, every other one at the end.
    pub(super) fn begin(&mut self, head: &ResponseHead) -> Result<Option<Reply>, AnswerError> {
        let status = head.status;
        let gathered = || Body::Gathered {
            status,
            bytes: Vec::new(),
        };
        let ignored = |reply| Body::Ignored {
            reply: Some(reply),
            bytes: 0,
        };
        let (body, reply) = match (status, self.expects) {
            (304, _) => (ignored(Reply::NotModified), None),
            (101 | 200..=299, Expects::Head(reply)) => (ignored(reply(head)?), None),
            (101 | 200..=299, Expects::Json(_)) => (gathered(), None),
            (101 | 200..=299, Expects::Stream(reply, items)) => (self.items(items), Some(reply(head, self.tty)?)),
            _ => (gathered(), None),
        };
        self.body = body;
        Ok(reply)
    }

    /// Takes bytes of the body; puts the items they complete into `out`.
    pub(super) fn take(&mut self, bytes: Bytes, out: &mut VecDeque<Item>) -> Result<(), AnswerError> {
        match &mut self.body {
            Body::Ignored { bytes: ignored, .. } => {
                *ignored = ignored.saturating_add(bytes.len());
                match *ignored > self.answer_bytes_max {
                    true => Err(AnswerError::TooLarge),
                    false => Ok(()),
                }
            }
            Body::Gathered { bytes: gathered, .. } => {
                if gathered.len() + bytes.len() > self.answer_bytes_max {
                    return Err(AnswerError::TooLarge);
                }
                gathered.extend_from_slice(&bytes);
                Ok(())
            }
            Body::Frames(splitter) => {
                let mut input = &bytes[..];
                while let Some(piece) = splitter.next_piece(&mut input).map_err(AnswerError::BadFrame)? {
                    if !piece.payload.is_empty() {
                        out.push_back(Item::Output(piece.header.stream, bytes.slice_ref(piece.payload)));
                    }
                }
                Ok(())
            }
            Body::Raw => {
                out.push_back(Item::Output(StreamKind::Stdout, bytes));
                Ok(())
            }
            Body::Data => {
                out.push_back(Item::Data(bytes));
                Ok(())
            }
            Body::Objects(values, item) => {
                let (version, route, item) = (self.version, self.route, *item);
                values.read(&bytes, self.item_bytes_max, |text| {
                    let mut value = json::parse(text).map_err(bad_json)?;
                    dialect::raise_item(version, route, &mut value);
                    out.push_back(item(value).map_err(bad_shape)?);
                    Ok(())
                })
            }
            Body::Lines(line) => {
                for &byte in &bytes[..] {
                    // What follows the lines of a build, for a terminal in raw mode.
                    if byte == b'\r' && line.is_empty() && self.route == Route::Build {
                        continue;
                    }
                    line.push(byte);
                    if byte == b'\n' || line.len() >= self.item_bytes_max {
                        out.push_back(progress_line(line));
                        line.clear();
                    }
                }
                Ok(())
            }
        }
    }

    /// The body is over.
    pub(super) fn end(&mut self, out: &mut VecDeque<Item>) -> Result<Ending, AnswerError> {
        match &mut self.body {
            // Without a reply nothing was answered: HTTP does not end what has not begun.
            Body::Ignored { reply, .. } => reply.take().map(Ending::Replied).ok_or(AnswerError::CutOff),
            Body::Gathered { status, bytes } => {
                let (status, bytes) = (*status, core::mem::take(bytes));
                match self.expects {
                    Expects::Json(reply) if (200..300).contains(&status) => self.json(status, &bytes, reply),
                    _ => Ok(Ending::Refused(refused(status, &bytes))),
                }
            }
            Body::Frames(splitter) if !splitter.is_between_frames() => Err(AnswerError::CutOff),
            Body::Objects(values, _) if !values.is_between() => Err(AnswerError::CutOff),
            Body::Lines(line) => {
                if !line.is_empty() {
                    out.push_back(progress_line(line));
                    line.clear();
                }
                Ok(Ending::StreamEnd)
            }
            Body::Frames(_) | Body::Raw | Body::Data | Body::Objects(..) => Ok(Ending::StreamEnd),
        }
    }

    fn items(&self, items: Items) -> Body {
        match items {
            // The length of a frame bounds nothing, as its payload is passed on in the pieces it comes in.
            Items::Data => Body::Data,
            Items::Output if self.manner.framed_output && !self.tty => Body::Frames(Splitter::new(u32::MAX)),
            Items::Output => Body::Raw,
            Items::Json(item) => Body::Objects(Values::default(), item),
            Items::Progress if self.manner.json_progress => Body::Objects(Values::default(), progress),
            Items::Progress => Body::Lines(Vec::new()),
        }
    }

    fn json(
        &self,
        status: u16,
        bytes: &[u8],
        reply: fn(Value) -> Result<Reply, serde_json::Error>,
    ) -> Result<Ending, AnswerError> {
        let body = match bytes.trim_ascii().is_empty() {
            true => None,
            false => Some(json::parse_within(bytes, ANSWER_VALUES_MAX).map_err(bad_json)?),
        };
        let mut answer = Answer { status, body };
        dialect::raise(self.version, self.route, &mut answer);
        let mut body = answer.body.ok_or_else(|| bad_json(json::JsonError::Empty))?;
        if self.route == Route::ExecInspect
            && let Some(container) = body.get_mut("Container")
        {
            let mut inspected = Answer {
                status,
                body: Some(container.take()),
            };
            dialect::raise(self.version, Route::ContainerInspect, &mut inspected);
            *container = inspected.body.unwrap_or_default();
        }
        reply(body).map(Ending::Replied).map_err(bad_shape)
    }
}

/// The words of an error answer: JSON with a `message`, or plain text.
fn refused(status: u16, bytes: &[u8]) -> DaemonError {
    let json = json::parse(bytes).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str());
    DaemonError {
        status,
        message: match message {
            Some(message) => message.into(),
            None => String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned(),
        },
        is_json: message.is_some(),
    }
}

fn progress(mut value: Value) -> Result<Item, serde_json::Error> {
    let code = value.get("errorDetail").and_then(|detail| detail.get("code")).cloned();
    if let Some(code @ Value::Number(_)) = code
        && let Value::Object(message) = &mut value
    {
        message.insert("errorCode".into(), code);
    }
    if let Some(detail) = value
        .get_mut("errorDetail")
        .and_then(|detail| detail.get_mut("message"))
        && let detail @ Value::String(_) = detail.take()
        && let Value::Object(message) = &mut value
    {
        message.entry("error").or_insert(detail);
    }
    Ok(Item::Progress(typed(value)?))
}

/// A line of v1.0, its end included, as it is to be printed. Errors are marked.
fn progress_line(line: &[u8]) -> Item {
    let text = String::from_utf8_lossy(line).into_owned();
    let error = text
        .strip_prefix("Error: ")
        .and_then(|error| error.strip_suffix("\r\n"));
    Item::Progress(match error {
        Some(error) => Progress {
            error: Some(error.into()),
            ..Progress::default()
        },
        None => Progress {
            stream: Some(text),
            ..Progress::default()
        },
    })
}

fn bad_json(error: json::JsonError) -> AnswerError {
    AnswerError::BadJson(error.to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "it stands for the error in map_err")]
fn bad_shape(error: serde_json::Error) -> AnswerError {
    AnswerError::BadShape(error.to_string())
}
