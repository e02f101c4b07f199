//! A container's output on its way: into the log first, then to the subscribers.
//!
//! Output is taken in chunks of one stream. While a chunk is on its way to subscribers no other is taken, so all of them
//! stand at the same place, and that place is known exactly ([`Position`]):
//!
//! ```text
//!            log file                 |   not in the log yet
//!  ...entry entry entry entry entry   |   lost (disk full)   partial line        next chunk
//!                                log_offset  '------ skip[stream] -----'
//! ```
//!
//! A subscriber whose patience is used up is taken off and told where it stood before the chunk it has not
//! got: `log_offset` of that time and, for each stream, the bytes behind it that it had been sent already. It reads the
//! log from there. So a stalled client holds a container up by no more than that, needs no memory, and loses nothing. Without a log
//! there is nowhere to catch up from: the container waits for its slowest reader, as Docker's does.
//!
//! # Three ways
//!
//! gantryd only passes output on, so it need not be copied to it: a subscriber may bring a pipe besides its socket, and
//! gets the beginning of each chunk through that ([`Chunk`](super::wire::Chunk)).
//!
//! ```text
//!                      .---- splice ----------> pipe
//!   container's pipe --+---- tee -------------> pipe        socket: one packet per chunk and subscriber, with the
//!                      '---- read --> chunk --> log                 part of the chunk that its pipe has not got
//! ```
//!
//! - **Nothing is copied** when the only one to get the bytes is one subscriber's pipe: they are moved there. If the pipe
//!   is full its room is waited for; copying what does not fit would make a slow client the dearest.
//! - **One copy** when there is a log or another subscriber: pipes get what they have room for by reference, then all of
//!   it is read.
//! - **As many copies as subscribers** for terminals, subscribers without a pipe, and fewer than [`SPLICE_MIN`] bytes.

mod source;
mod subscriber;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

pub(super) use self::source::{Found, Source};
use self::subscriber::{Sent, Subscriber, send};
use super::log::{LINE_MAX, LogFile, clean_blocks};
use super::wire::{CHUNK_MAX, Chunk, From, FromKeeper, Position, SUBSCRIPTIONS_MAX};

/// Fewer bytes than this are copied: that is cheaper than a page of their own in a pipe, of which it has few.
const SPLICE_MIN: usize = 4096;

pub(super) struct Output {
    log: Option<LogFile>,
    log_start: u64,
    /// What each stream has written of a line that has not ended; shorter than [`LINE_MAX`].
    partial: [Vec<u8>; 2],
    /// What was read of the chunk on its way, or room for the next.
    chunk: Box<[u8]>,
    chunk_len: usize,
    /// The chunk's stream, or the last one's.
    stream: usize,
    /// Where all subscribers stood before the chunk.
    before: Position,
    taken_at: Option<Instant>,
    subscribers: Vec<Subscriber>,
}

impl Output {
    pub(super) fn new(log: Option<LogFile>) -> Self {
        let partial = || Vec::with_capacity(if log.is_some() { LINE_MAX } else { 0 });
        Self {
            log_start: log.as_ref().map_or(0, LogFile::offset),
            partial: [partial(), partial()],
            chunk: vec![0; CHUNK_MAX].into_boxed_slice(),
            chunk_len: 0,
            stream: 1,
            before: Position::default(),
            taken_at: None,
            subscribers: Vec::new(),
            log,
        }
    }

    /// Length of the log when this run began.
    pub(super) fn log_start(&self) -> u64 {
        self.log_start
    }

    /// Length of the log.
    pub(super) fn log_offset(&self) -> u64 {
        self.log.as_ref().map_or(0, LogFile::offset)
    }

    /// Bytes of output that are not in the log though they should be.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.log.as_ref().map_or(0, LogFile::lost_total)
    }

    /// The place behind everything taken so far.
    fn position(&self) -> Position {
        let Some(log) = &self.log else {
            return Position::default();
        };
        let [stdout, stderr] = &self.partial;
        let [lost_stdout, lost_stderr] = log.lost();
        Position {
            log_offset: log.offset(),
            skip: [lost_stdout + stdout.len() as u64, lost_stderr + stderr.len() as u64],
        }
    }

    /// Whether a chunk is still on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.taken_at.is_some()
    }

    /// The only subscriber's pipe, if it has no room for what waits in the source.
    pub(super) fn full_pipe(&self) -> Option<(u64, BorrowedFd<'_>)> {
        match &*self.subscribers {
            [only] if self.log.is_none() => Some((only.subscription, only.full_pipe()?)),
            _ => None,
        }
    }

    /// That pipe may have room again.
    pub(super) fn retry_pipe(&mut self) {
        self.subscribers.iter_mut().for_each(Subscriber::retry_pipe);
    }

    /// Whether the container's output is wanted now; if so, the stream whose turn it is (0 stdout, 1 stderr).
    pub(super) fn wants(&self) -> Option<usize> {
        (!self.is_busy() && self.full_pipe().is_none()).then_some(1 - self.stream)
    }

    /// Takes what there is at `source` of `stream`, and logs it. Then [`deliver`](Self::deliver) until it is no longer busy.
    /// Does nothing unless output is [wanted](Self::wants).
    pub(super) fn take(
        &mut self,
        stream: usize,
        source: &mut Source,
        now: Instant,
        now_ns: i64,
        tell: &mut Vec<FromKeeper>,
    ) -> Found {
        if self.wants().is_none() {
            return Found::Nothing;
        }
        let piped = self.subscribers.iter().any(Subscriber::has_pipe);
        let movable = if piped { source.movable() } else { 0 };
        if movable >= SPLICE_MIN || !piped {
            source.widen(piped);
        }
        let mut gone = |subscription| tell.push(FromKeeper::Ended { subscription });
        let found = match (&mut *self.subscribers, &self.log) {
            _ if movable < SPLICE_MIN => source.read(&mut self.chunk, 0),
            ([only], None) => match only.splice(source, movable) {
                Sent::Whole => Found::Bytes(0),
                Sent::WouldBlock => return Found::Nothing,
                Sent::Gone => {
                    gone(only.subscription);
                    self.subscribers.clear();
                    return Found::Nothing;
                }
            },
            _ => {
                self.subscribers.retain_mut(|subscriber| {
                    let there = subscriber.tee(source) != Sent::Gone;
                    if !there {
                        gone(subscriber.subscription);
                    }
                    there
                });
                let ahead = self.subscribers.iter().map(Subscriber::ahead).max().unwrap_or_default();
                match source.read(&mut self.chunk, ahead) {
                    // Somebody else has read the source, but what the pipes have got is on its way.
                    Found::Nothing | Found::End if ahead > 0 => Found::Bytes(0),
                    found => found,
                }
            }
        };
        if let Found::Bytes(copied) = found {
            self.begin(stream, copied, now, now_ns);
        }
        found
    }

    /// A chunk has been taken, of which `copied` bytes were read: all of it, if there is a log.
    fn begin(&mut self, stream: usize, copied: usize, now: Instant, now_ns: i64) {
        self.before = self.position();
        (self.stream, self.chunk_len) = (stream, copied);
        let chunk = self.chunk.get(..copied).unwrap_or_default();
        if let Some(log) = &mut self.log {
            log.set_time(now_ns);
            split(&mut self.partial[stream], chunk, |line| log.append(stream, line));
            log.flush();
        }
        self.subscribers
            .iter_mut()
            .for_each(|subscriber| subscriber.owe(!chunk.is_empty()));
        self.taken_at = Some(now);
    }

    /// Sends the chunk to those who have not got it. With `give_up` nobody is waited for any longer.
    pub(super) fn deliver(&mut self, now: Instant, give_up: bool, tell: &mut Vec<FromKeeper>) {
        if give_up && let Some((subscription, _)) = self.full_pipe() {
            self.subscribers.clear();
            tell.push(FromKeeper::Lost { subscription });
        }
        let Some(taken_at) = self.taken_at else { return };
        let waited = now.saturating_duration_since(taken_at);
        let chunk = self.chunk.get(..self.chunk_len).unwrap_or_default();
        let (stream, position, logged) = (self.stream, self.before, self.log.is_some());
        self.subscribers.retain_mut(|subscriber| {
            if !subscriber.owed {
                return true;
            }
            let subscription = subscriber.subscription;
            let patience = subscriber.patience(taken_at);
            let over = match subscriber.send_owed(stream, chunk, taken_at, now) {
                Sent::Whole => return true,
                Sent::WouldBlock if logged && (give_up || waited >= patience) => {
                    FromKeeper::Lagging { subscription, position }
                }
                Sent::WouldBlock if !logged && give_up => FromKeeper::Lost { subscription },
                Sent::WouldBlock => return true,
                Sent::Gone => FromKeeper::Ended { subscription },
            };
            tell.push(over);
            false
        });
        if self.subscribers.iter().all(|subscriber| !subscriber.owed) {
            self.taken_at = None;
        }
    }

    /// When the next subscriber is to be taken off; [`deliver`](Self::deliver) does it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (Some(taken_at), Some(_)) = (self.taken_at, &self.log) else {
            return None;
        };
        let owed = self.subscribers.iter().filter(|subscriber| subscriber.owed);
        owed.map(|subscriber| taken_at + subscriber.patience(taken_at)).min()
    }

    pub(super) fn subscribe(
        &mut self,
        subscription: u64,
        socket: OwnedFd,
        pipe: Option<OwnedFd>,
        from: From,
        now: Instant,
    ) -> FromKeeper {
        let in_use = self
            .subscribers
            .iter()
            .any(|subscriber| subscriber.subscription == subscription);
        if in_use || self.subscribers.len() >= SUBSCRIPTIONS_MAX {
            return FromKeeper::Refused { subscription };
        }
        let here = self.position();
        let mut position = here;
        if let (From::At(from), Some(log)) = (from, &self.log) {
            if from.log_offset != here.log_offset {
                return FromKeeper::Behind {
                    subscription,
                    log_offset: here.log_offset,
                };
            }
            position = from;
            for stream in 0..2 {
                let known = from.skip[stream].saturating_sub(log.lost()[stream]);
                let known = usize::try_from(known).unwrap_or(usize::MAX);
                let Some(missing) = self.partial[stream].get(known..) else {
                    return FromKeeper::Refused { subscription };
                };
                if missing.is_empty() {
                    continue;
                }
                let chunk = Chunk {
                    stream,
                    spliced: 0,
                    inline: missing,
                };
                match send(socket.as_fd(), &chunk) {
                    Sent::Whole => position.skip[stream] = here.skip[stream],
                    // The socket is not empty: the subscriber had better read first.
                    Sent::WouldBlock => return FromKeeper::Lagging { subscription, position },
                    Sent::Gone => return FromKeeper::Ended { subscription },
                }
            }
            position = from;
        }
        self.subscribers.push(Subscriber::new(subscription, socket, pipe, now));
        FromKeeper::SubscribedAt { subscription, position }
    }

    pub(super) fn unsubscribe(&mut self, subscription: u64) -> Option<FromKeeper> {
        let at = self
            .subscribers
            .iter()
            .position(|subscriber| subscriber.subscription == subscription)?;
        self.subscribers.swap_remove(at);
        Some(FromKeeper::Ended { subscription })
    }

    /// gantryd is gone, and with it those it subscribed.
    pub(super) fn drop_subscribers(&mut self) {
        self.subscribers.clear();
        self.taken_at = None;
    }

    /// The sockets of all subscribers, and whether the chunk waits for them.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>, bool)> {
        self.subscribers
            .iter()
            .map(|subscriber| (subscriber.subscription, subscriber.socket(), subscriber.owed))
    }

    /// Nothing follows: lines that have not ended go to the log as they are.
    pub(super) fn finish_log(&mut self, now_ns: i64) {
        let Some(log) = &mut self.log else { return };
        log.set_time(now_ns);
        for (stream, partial) in self.partial.iter_mut().enumerate() {
            if !partial.is_empty() {
                log.append(stream, partial);
                partial.clear();
            }
        }
        log.flush();
    }

    /// Takes off all subscribers; not while busy, so that each has got everything.
    pub(super) fn end_subscriptions(&mut self, tell: &mut Vec<FromKeeper>) {
        let ended = self.subscribers.drain(..);
        tell.extend(ended.map(|Subscriber { subscription, .. }| FromKeeper::Ended { subscription }));
    }
}

/// Splits output into log lines: whole ones, and pieces of [`LINE_MAX`] bytes of longer ones. `partial` keeps the rest.
fn split(partial: &mut Vec<u8>, mut chunk: &[u8], mut line: impl FnMut(&[u8])) {
    while !chunk.is_empty() {
        let room = LINE_MAX - partial.len();
        let (window, _) = chunk.split_at(room.min(chunk.len()));
        let (taken, ends) = match newline(window) {
            Some(newline) => (newline + 1, true),
            None => (window.len(), window.len() == room),
        };
        let (head, rest) = chunk.split_at(taken);
        chunk = rest;
        if !ends {
            partial.extend_from_slice(head);
        } else if partial.is_empty() {
            line(head);
        } else {
            partial.extend_from_slice(head);
            line(partial);
            partial.clear();
        }
    }
}

fn newline(bytes: &[u8]) -> Option<usize> {
    let clean = clean_blocks(bytes, |byte| byte == b'\n');
    let at = bytes.get(clean..)?.iter().position(|&byte| byte == b'\n')?;
    Some(clean + at)
}
