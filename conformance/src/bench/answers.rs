//! Counting answers: just enough HTTP to know where each one ends and that its status is 200.
//!
//! For answers with `Content-Length` alone, as every daemon gives to `_ping`; anything else is an error, not a guess.

use crate::http::{HEAD_BYTES_MAX, HttpError, decimal, head_end};

/// Where in an answer the bytes of one connection have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// The part of a head that has come; empty between answers.
    head: Vec<u8>,
    /// Body bytes still to come; nothing while a head is being read.
    body_left: Option<u64>,
}

/// An answer that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadAnswer {
    Http(HttpError),
    Status(u16),
}

impl From<HttpError> for BadAnswer {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            head: Vec::new(),
            body_left: None,
        }
    }

    /// Takes all of `bytes`; how many answers ended in them.
    ///
    /// # Errors
    /// At the first answer with another status than 200, or without a length.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<u64, BadAnswer> {
        let mut ended = 0;
        loop {
            match self.body_left {
                Some(left) if left > bytes.len() as u64 => {
                    self.body_left = Some(left - bytes.len() as u64);
                    return Ok(ended);
                }
                Some(left) => {
                    bytes = &bytes[left as usize..];
                    self.body_left = None;
                    ended += 1;
                }
                None => {}
            }
            if bytes.is_empty() {
                return Ok(ended);
            }
            let Some(taken) = self.feed_head(bytes)? else {
                return Ok(ended);
            };
            bytes = &bytes[taken..];
        }
    }

    /// How many of `bytes` end the head; nothing if they do not, and then all of them are kept.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadAnswer> {
        // Nearly always, a head comes whole: then it is not copied.
        if self.head.is_empty()
            && let Some(end) = head_end(bytes, 0)
        {
            self.body_left = Some(length_of_success(&bytes[..end])?);
            return Ok(Some(end));
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(end) = head_end(&self.head, before) else {
            if self.head.len() > HEAD_BYTES_MAX {
                return Err(HttpError::HeadTooLong.into());
            }
            return Ok(None);
        };
        self.body_left = Some(length_of_success(&self.head[..end])?);
        self.head.clear();
        Ok(Some(end - before))
    }
}

/// `Content-Length` of an answer with status 200.
fn length_of_success(head: &[u8]) -> Result<u64, BadAnswer> {
    let digits = head.get(9..12).ok_or(HttpError::StatusLine)?;
    let status = decimal(digits).ok_or(HttpError::StatusLine)? as u16;
    if status != 200 {
        return Err(BadAnswer::Status(status));
    }
    const NAME: &[u8] = b"content-length:";
    let length = head
        .split(|&b| b == b'\n')
        .find_map(|line| {
            let (name, value) = line.split_at_checked(NAME.len())?;
            name.eq_ignore_ascii_case(NAME).then(|| decimal(value.trim_ascii()))
        })
        .flatten();
    Ok(length.ok_or(HttpError::Length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nOK";
    const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    /// A body that looks like an answer.
    const NESTED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";

    proptest! {
        #[test]
        fn any_cut_counts_the_same(
            answers in prop::collection::vec(prop::sample::select(vec![OK, EMPTY, NESTED]), 0..20),
            cuts in prop::collection::vec(1usize..60, 1..40),
            lacking in 0usize..10,
        ) {
            let wire = answers.concat();
            let wire = &wire[..wire.len().saturating_sub(lacking)];
            let whole = Answers::new().feed(wire);
            if lacking == 0 {
                prop_assert_eq!(whole, Ok(answers.len() as u64));
            }
            let (mut counter, mut sum, mut rest) = (Answers::new(), 0, wire);
            for cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                sum += counter.feed(piece).expect("well formed");
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(Ok(sum), whole);
        }
    }

    #[test]
    fn the_nested_body_is_as_long_as_it_says() {
        assert_eq!(Answers::new().feed(NESTED), Ok(1));
    }

    #[test]
    fn what_is_no_success_is_refused() {
        let table: &[(&str, &str, BadAnswer)] = &[
            (
                "status",
                "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
                BadAnswer::Status(500),
            ),
            (
                "no length",
                "HTTP/1.1 200 OK\r\n\r\n",
                BadAnswer::Http(HttpError::Length),
            ),
            (
                "signed length",
                "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n",
                BadAnswer::Http(HttpError::Length),
            ),
            ("no status", "HTTP\r\n\r\n", BadAnswer::Http(HttpError::StatusLine)),
        ];
        for (name, wire, expected) in table {
            assert_eq!(Answers::new().feed(wire.as_bytes()), Err(*expected), "{name}");
        }
        let endless = vec![b'a'; HEAD_BYTES_MAX + 1];
        assert_eq!(
            Answers::new().feed(&endless),
            Err(BadAnswer::Http(HttpError::HeadTooLong))
        );
    }
}
