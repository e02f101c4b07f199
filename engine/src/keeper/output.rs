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
//! A subscriber whose patience ([`STALL_MAX`]) is used up is taken off and told where it stood before the chunk it has not
//! got: `log_offset` of that time and, for each stream, the bytes behind it that it had been sent already. It reads the
//! log from there. So a stalled client holds a container up by no more than that, needs no memory, and loses nothing. Without a log
//! there is nowhere to catch up from: the container waits for its slowest reader, as Docker's does.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::log::{LINE_MAX, LogFile};
use super::wire::{CHUNK_MAX, FRAME_HEADER_BYTES, From, FromKeeper, Position, SUBSCRIPTIONS_MAX};
use crate::packet;

/// How long a subscriber may keep the container waiting, if there is a log that it could read instead. Long enough that
/// a reader which is merely busy stays on the fast path, short enough that a program does not notice a stopped client.
const STALL_MAX: Duration = Duration::from_millis(50);

/// What was waited for one subscriber is given back to it in this many times the time. So one that always reads just
/// in time slows the container by no more than a fifth.
const STALL_REFILL: u32 = 4;

pub(super) struct Output {
    log: Option<LogFile>,
    log_start: u64,
    /// What each stream has written of a line that has not ended; shorter than [`LINE_MAX`].
    partial: [Vec<u8>; 2],
    /// The chunk on its way, or room for the next.
    chunk: Box<[u8]>,
    chunk_len: usize,
    stream: usize,
    /// Where all subscribers stood before the chunk.
    before: Position,
    taken_at: Option<Instant>,
    subscribers: Vec<Subscriber>,
}

struct Subscriber {
    subscription: u64,
    socket: OwnedFd,
    /// Has not got the chunk yet.
    owed: bool,
    /// How long it could still keep the container waiting at `patience_at`.
    patience: Duration,
    patience_at: Instant,
}

impl Subscriber {
    fn patience(&self, now: Instant) -> Duration {
        let regained = now.saturating_duration_since(self.patience_at) / STALL_REFILL;
        (self.patience + regained).min(STALL_MAX)
    }
}

impl Output {
    pub(super) fn new(log: Option<LogFile>) -> Self {
        let partial = || Vec::with_capacity(if log.is_some() { LINE_MAX } else { 0 });
        Self {
            log_start: log.as_ref().map_or(0, LogFile::offset),
            partial: [partial(), partial()],
            chunk: vec![0; CHUNK_MAX].into_boxed_slice(),
            chunk_len: 0,
            stream: 0,
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

    /// Whether a chunk is still on its way. The container's output must not be read then.
    pub(super) fn is_busy(&self) -> bool {
        self.taken_at.is_some()
    }

    /// Where to read the next chunk to. Not while busy.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.chunk
    }

    /// Takes the `len` bytes that were read into [`room`](Self::room) from `stream` (0 stdout, 1 stderr), and logs them. Then
    /// [`deliver`](Self::deliver) until it is no longer busy.
    pub(super) fn take(&mut self, stream: usize, len: usize, now: Instant, now_ns: i64) {
        self.before = self.position();
        (self.stream, self.chunk_len) = (stream, len);
        if let (Some(log), Some(chunk)) = (&mut self.log, self.chunk.get(..len)) {
            log.set_time(now_ns);
            split(&mut self.partial[stream], chunk, |line| log.append(stream, line));
            log.flush();
        }
        self.subscribers
            .iter_mut()
            .for_each(|subscriber| subscriber.owed = true);
        self.taken_at = Some(now);
    }

    /// Sends the chunk to those who have not got it. With `give_up` nobody is waited for any longer.
    pub(super) fn deliver(&mut self, now: Instant, give_up: bool, tell: &mut Vec<FromKeeper>) {
        let Some(taken_at) = self.taken_at else { return };
        let waited = now.saturating_duration_since(taken_at);
        let frame = Frame::new(self.stream, self.chunk.get(..self.chunk_len).unwrap_or_default());
        let (position, logged) = (self.before, self.log.is_some());
        self.subscribers.retain_mut(|subscriber| {
            if !subscriber.owed {
                return true;
            }
            let subscription = subscriber.subscription;
            let patience = subscriber.patience(taken_at);
            let over = match frame.send(subscriber.socket.as_fd()) {
                Sent::Whole => {
                    subscriber.owed = false;
                    (subscriber.patience, subscriber.patience_at) = (patience.saturating_sub(waited), now);
                    return true;
                }
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

    pub(super) fn subscribe(&mut self, subscription: u64, socket: OwnedFd, from: From, now: Instant) -> FromKeeper {
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
                match Frame::new(stream, missing).send(socket.as_fd()) {
                    Sent::Whole => position.skip[stream] = here.skip[stream],
                    // The socket is not empty: the subscriber had better read first.
                    Sent::WouldBlock => return FromKeeper::Lagging { subscription, position },
                    Sent::Gone => return FromKeeper::Ended { subscription },
                }
            }
            position = from;
        }
        self.subscribers.push(Subscriber {
            subscription,
            socket,
            owed: false,
            patience: STALL_MAX,
            patience_at: now,
        });
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
            .map(|subscriber| (subscriber.subscription, subscriber.socket.as_fd(), subscriber.owed))
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
        for Subscriber { subscription, .. } in self.subscribers.drain(..) {
            tell.push(FromKeeper::Ended { subscription });
        }
    }
}

/// Splits output into log lines: whole ones, and pieces of [`LINE_MAX`] bytes of longer ones. `partial` keeps the rest.
fn split(partial: &mut Vec<u8>, mut chunk: &[u8], mut line: impl FnMut(&[u8])) {
    while !chunk.is_empty() {
        let room = LINE_MAX - partial.len();
        let (window, _) = chunk.split_at(room.min(chunk.len()));
        let (taken, ends) = match window.iter().position(|&byte| byte == b'\n') {
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

/// A piece of output with Docker's header: stream, three zeros, length (big endian).
struct Frame<'a> {
    header: [u8; FRAME_HEADER_BYTES],
    payload: &'a [u8],
}

enum Sent {
    Whole,
    WouldBlock,
    Gone,
}

impl<'a> Frame<'a> {
    fn new(stream: usize, payload: &'a [u8]) -> Self {
        // At most CHUNK_MAX, so no length is lost.
        let [a, b, c, d] = (payload.len() as u32).to_be_bytes();
        Self {
            header: [1 + stream as u8, 0, 0, 0, a, b, c, d],
            payload,
        }
    }

    fn send(&self, socket: BorrowedFd<'_>) -> Sent {
        let parts = [IoSlice::new(&self.header), IoSlice::new(self.payload)];
        match packet::send(socket, &parts, &[], false) {
            Ok(()) => Sent::Whole,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Sent::WouldBlock,
            Err(_) => Sent::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;

    use nix::sys::socket::{setsockopt, sockopt};
    use proptest::prelude::*;

    use super::super::client::packet_pair;
    use super::super::log::CatchUp;
    use super::*;

    /// What gantryd does for one client: live output, and the log when it was too slow.
    enum Follower {
        Live(OwnedFd),
        /// Taken off; what is still in the socket comes first.
        Draining(OwnedFd, Position),
        Reading(CatchUp),
    }

    struct House {
        output: Output,
        log: PathBuf,
        now: Instant,
        follower: Follower,
        got: [Vec<u8>; 2],
        subscriptions: u64,
    }

    impl House {
        fn new(log: PathBuf) -> Self {
            let _ = std::fs::remove_file(&log);
            let output = Output::new(Some(LogFile::open(&log).unwrap()));
            let follower = Follower::Reading(CatchUp::new(File::open(&log).unwrap(), Position::default()));
            Self {
                output,
                log,
                now: Instant::now(),
                follower,
                got: Default::default(),
                subscriptions: 0,
            }
        }

        fn write(&mut self, stream: usize, bytes: &[u8]) {
            self.output.room()[..bytes.len()].copy_from_slice(bytes);
            self.output.take(stream, bytes.len(), self.now, 0);
            while self.output.is_busy() {
                let mut tell = Vec::new();
                self.output.deliver(self.now, false, &mut tell);
                for message in tell {
                    self.told(message);
                }
                self.now = self.output.deadline().unwrap_or(self.now);
            }
        }

        fn told(&mut self, message: FromKeeper) {
            let FromKeeper::Lagging { position, .. } = message else {
                panic!("{message:?}")
            };
            let Follower::Live(socket) = std::mem::replace(
                &mut self.follower,
                Follower::Reading(CatchUp::new(File::open(&self.log).unwrap(), position)),
            ) else {
                panic!("lagging twice")
            };
            self.follower = Follower::Draining(socket, position);
        }

        /// One step of the follower: a packet, an entry, or a subscription. `false`: nothing to do.
        fn step(&mut self) -> bool {
            match &mut self.follower {
                Follower::Live(socket) => receive(socket, &mut self.got) == Some(true),
                Follower::Draining(socket, position) => {
                    if receive(socket, &mut self.got) != Some(true) {
                        let catch_up = CatchUp::new(File::open(&self.log).unwrap(), *position);
                        self.follower = Follower::Reading(catch_up);
                    }
                    true
                }
                Follower::Reading(catch_up) => {
                    if let Some((stream, bytes)) = catch_up.read_output().unwrap() {
                        assert!(!bytes.is_empty());
                        self.got[stream as usize - 1].extend_from_slice(bytes);
                        return true;
                    }
                    let (ours, theirs) = packet_pair().unwrap();
                    // Small, so that it is soon full, but with room for a partial line; the kernel doubles it.
                    setsockopt(&theirs, sockopt::SndBuf, &10_000).unwrap();
                    self.subscriptions += 1;
                    let from = From::At(catch_up.position());
                    match self.output.subscribe(self.subscriptions, theirs, from, self.now) {
                        FromKeeper::SubscribedAt { .. } => self.follower = Follower::Live(ours),
                        // Between the two looks nothing is written here, so the end of the log is the end.
                        message => panic!("{message:?}"),
                    }
                    true
                }
            }
        }
    }

    /// `Some(true)`: a packet; `Some(false)`: closed; `None`: nothing yet.
    fn receive(socket: &OwnedFd, got: &mut [Vec<u8>; 2]) -> Option<bool> {
        let mut buffer = vec![0; CHUNK_MAX + FRAME_HEADER_BYTES];
        let len = packet::receive(socket.as_fd(), &mut buffer, false).ok()?.len;
        let [stream, _, _, _, a, b, c, d, payload @ ..] = &buffer[..len] else {
            return Some(false);
        };
        assert_eq!(u32::from_be_bytes([*a, *b, *c, *d]) as usize, payload.len());
        got[usize::from(*stream) - 1].extend_from_slice(payload);
        Some(true)
    }

    /// Pieces of which some fit the socket: lines, parts of lines, and noise; long lines take many pieces.
    fn any_output() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'\n')], 1..60),
            (1usize..2000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
            (1usize..99).prop_map(|len| "zeile ä\n".repeat(len).into_bytes()),
            Just(vec![b'x'; 1999]),
        ]
    }

    #[test]
    fn a_stalled_subscriber_is_told_where_it_stood() {
        let log = std::env::temp_dir().join(format!("gantry-stalled-{}", std::process::id()));
        let mut house = House::new(log.clone());
        house.step();
        // Sent live, but not in the log: the line has not ended.
        house.write(0, b"begin");
        house.write(1, b"other");
        let (mut expected, piece) = (b"begin".to_vec(), [b'y'; 1500]);
        while !matches!(house.follower, Follower::Draining(..)) {
            house.write(0, &piece);
            expected.extend(piece);
        }
        let Follower::Draining(_, position) = house.follower else {
            unreachable!()
        };
        let received = expected.len() - piece.len();
        assert_eq!(
            position,
            Position {
                log_offset: 0,
                skip: [received as u64, 5]
            }
        );
        house.write(0, b"end\n");
        expected.extend(b"end\n");
        while !matches!(house.follower, Follower::Live(_)) || house.step() {
            house.step();
        }
        // Its place is behind the whole line, and within the other stream's.
        let beyond = house.output.subscribe(
            99,
            packet_pair().unwrap().1,
            From::At(Position {
                log_offset: house.output.log_offset(),
                skip: [0, 6],
            }),
            house.now,
        );
        assert_eq!(beyond, FromKeeper::Refused { subscription: 99 });
        let behind = house
            .output
            .subscribe(99, packet_pair().unwrap().1, From::At(Position::default()), house.now);
        assert_eq!(
            behind,
            FromKeeper::Behind {
                subscription: 99,
                log_offset: house.output.log_offset()
            }
        );
        assert!(house.got == [expected, b"other".to_vec()]);
        std::fs::remove_file(log).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_slow_subscriber_loses_and_doubles_nothing(
            writes in proptest::collection::vec((0usize..2, any_output(), prop_oneof![5 => Just(0), 1 => 1usize..20]), 1..120),
        ) {
            let log = std::env::temp_dir().join(format!("gantry-follow-{}", std::process::id()));
            let mut house = House::new(log.clone());
            let mut written: [Vec<u8>; 2] = Default::default();
            for (stream, bytes, steps) in writes {
                house.write(stream, &bytes);
                written[stream].extend(bytes);
                // How often the follower gets to run is what makes it slow.
                for _ in 0..steps {
                    house.step();
                }
            }
            house.output.finish_log(0);
            let mut tell = Vec::new();
            house.output.end_subscriptions(&mut tell);
            while !matches!(house.follower, Follower::Live(_)) || house.step() {
                house.step();
            }
            prop_assert!(house.got == written, "live and logged output differ from what was written");
            let mut logged: [Vec<u8>; 2] = Default::default();
            let mut reader = super::super::log::Reader::open(&log, 0).unwrap();
            while let Some(entry) = reader.read_entry().unwrap() {
                logged[entry.stream as usize - 1].extend_from_slice(entry.bytes);
            }
            prop_assert!(logged == written && reader.damaged() == 0, "the log differs from what was written");
            std::fs::remove_file(log).unwrap();
        }

        #[test]
        fn lines_are_split_as_docker_does(
            line in prop_oneof![0usize..40, LINE_MAX - 2..LINE_MAX + 3, LINE_MAX * 2 - 2..LINE_MAX * 2 + 3],
            cuts in proptest::collection::vec(1usize..20_000, 0..9),
        ) {
            let mut text = vec![b'a'; line];
            text.push(b'\n');
            text.extend(b"b");
            let (mut partial, mut lines) = (Vec::new(), Vec::new());
            let mut rest = &text[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                split(&mut partial, head, |line| lines.push(line.to_vec()));
                rest = tail;
            }
            split(&mut partial, rest, |line| lines.push(line.to_vec()));
            let mut expected: Vec<Vec<u8>> = text[..=line].chunks(LINE_MAX).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(&partial, b"b");
            expected.push(partial);
            prop_assert_eq!(lines, expected[..expected.len() - 1].to_vec());
        }
    }
}
