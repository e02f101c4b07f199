//! The client role against the server role, which is compared with the documents and recordings elsewhere: what one says the
//! other understands, at every version.

use alloc::{borrow::ToOwned, boxed::Box, collections::VecDeque, format, string::String, vec, vec::Vec};

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    answer::{Answering, Ending},
    request::{encode, prepare},
    *,
};
use crate::{
    Call, Item, Limits, Reply,
    exchange::{Exchange, Response, ResponseBody},
    http::{Headers, HttpVersion, Outgoing, OutgoingBody, Part, ResponseHead, parse_head},
};

mod any_call;
mod calls;
mod documented;
mod odd;
mod pair;
mod replies;

fn at(version: ApiVersion) -> Options {
    Options {
        version,
        ..Options::default()
    }
}

fn version(text: &str) -> ApiVersion {
    ApiVersion::parse(text).expect(text)
}

fn any_version() -> impl Strategy<Value = ApiVersion> {
    let versions: Vec<_> = ApiVersion::all().collect();
    prop::sample::select(versions)
}

/// The server's end of a request.
fn served(outgoing: &Outgoing) -> Result<(Exchange, Call), Response> {
    let head = outgoing.encode_head();
    let lines = head.iter().filter(|&&byte| byte == b'\n').count();
    let parsed = parse_head(&head, lines - 2).expect("a request that a server reads");
    let body = match &outgoing.body {
        OutgoingBody::Full(body) => &body[..],
        OutgoingBody::None | OutgoingBody::Stream(_) => b"",
    };
    let mut exchange = Exchange::begin(&parsed.head)?;
    let call = exchange.call(body)?;
    Ok((exchange, call))
}

/// The bytes that follow the head, and the items' bytes.
fn sent(exchange: &mut Exchange, reply: Reply, items: Vec<Item>) -> (Response, Vec<u8>) {
    let mut response = exchange.respond(reply);
    let mut parts = VecDeque::new();
    for item in items {
        exchange.item(item, &mut parts);
    }
    if response.body == ResponseBody::Later {
        response = exchange.finish().expect("an answer at the end");
    }
    let mut bytes = match &response.body {
        ResponseBody::Full(bytes) => bytes.to_vec(),
        _ => vec![],
    };
    for part in parts {
        match part {
            Part::Bytes(part) => bytes.extend_from_slice(&part),
            Part::Source { .. } => panic!("nothing is in a pipe here"),
        }
    }
    (response, bytes)
}

/// Everything the client makes of an answer: the reply that opens a stream, its items, and how it ended.
fn received(
    mut answering: Answering,
    status: u16,
    headers: Headers,
    bytes: &[u8],
    cut: usize,
) -> Result<(Option<Reply>, Vec<Item>, Ending), AnswerError> {
    let opened = answering.begin(&ResponseHead {
        status,
        version: HttpVersion::Http11,
        headers,
    })?;
    let mut items = VecDeque::new();
    for piece in bytes.chunks(cut) {
        answering.take(Bytes::copy_from_slice(piece), &mut items)?;
    }
    let ending = answering.end(&mut items)?;
    Ok((opened, items.into(), ending))
}

fn headers(response: &Response) -> Headers {
    let headers = response.headers.iter();
    headers
        .map(|(name, value)| ((*name).to_owned(), value.clone().into_owned()))
        .collect()
}
