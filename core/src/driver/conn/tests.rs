//! A connection's turn against a socket in memory: back-pressure, ends, water marks and patience, without a kernel. The truth
//! is the contract of [`Protocol`], and what is said at the head of [`conn`](super) about how a peer goes.

use std::{collections::VecDeque, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::driver::limits::{SERVE_BYTES, SERVE_EVENTS};

/// A socket in memory. The test decides how much it takes, and what it gives.
struct Fake {
    scratch: Vec<u8>,
    /// Bytes at the start of `scratch` that have been put.
    put: usize,
    /// What the socket refused.
    waits: Vec<u8>,
    /// Bytes of [`PIPE`] that are to be sent behind that.
    owed: usize,
    /// What [`PIPE`] has given.
    piped: usize,
    /// How much the socket takes.
    room: usize,
    peer_gone: bool,
    /// What the peer has got.
    sent: Vec<u8>,
    shut: bool,
    incoming: VecDeque<Incoming>,
    last: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Incoming {
    Bytes(Vec<u8>),
    End,
    Failed,
}

impl Fake {
    fn new(scratch: usize) -> Self {
        Self {
            scratch: vec![0; scratch],
            put: 0,
            waits: Vec::new(),
            owed: 0,
            piped: 0,
            room: usize::MAX,
            peer_gone: false,
            sent: Vec::new(),
            shut: false,
            incoming: VecDeque::new(),
            last: Vec::new(),
        }
    }
}

/// Where spliced bytes come from: each is its place in the pipe.
const PIPE: SourceId = SourceId(7);

fn piped(place: usize) -> u8 {
    place as u8 | 0x80
}

impl Socket for Fake {
    fn room(&mut self) -> &mut [u8] {
        if self.waits.is_empty() && self.owed == 0 {
            &mut self.scratch[self.put..]
        } else {
            &mut []
        }
    }

    fn put(&mut self, len: usize) {
        self.put += len;
    }

    fn put_source(&mut self, source: SourceId, len: usize) {
        assert_eq!((source, self.owed), (PIPE, 0), "one splice at a time");
        self.owed = len;
    }

    fn send(&mut self) -> Result<usize, PeerGone> {
        assert!(!self.shut, "nothing is sent behind the end");
        if self.peer_gone {
            return Err(PeerGone);
        }
        self.waits.extend_from_slice(&self.scratch[..self.put]);
        self.put = 0;
        let len = self.waits.len().min(self.room);
        self.room -= len;
        self.sent.extend(self.waits.drain(..len));
        let spliced = self.owed.min(self.room);
        self.room -= spliced;
        self.owed -= spliced;
        self.sent.extend((self.piped..self.piped + spliced).map(piped));
        self.piped += spliced;
        Ok(len + spliced)
    }

    fn unsent(&self) -> usize {
        self.waits.len() + self.put + self.owed
    }

    fn discard(&mut self) {
        self.put = 0;
        self.waits.clear();
        self.owed = 0;
    }

    fn shutdown(&mut self) {
        assert!(!self.shut && self.unsent() == 0);
        self.shut = true;
    }

    fn recv(&mut self) -> Received<'_> {
        assert_eq!(self.put, 0, "the scratch buffer is free");
        match self.incoming.front() {
            Some(Incoming::Bytes(bytes)) => {
                self.last = bytes.clone();
                self.incoming.pop_front();
                Received::Bytes(&self.last)
            }
            // An end stays.
            Some(Incoming::End) => Received::End,
            Some(Incoming::Failed) => Received::Failed,
            None => Received::Nothing,
        }
    }

    fn peek(&mut self) -> Received<'_> {
        match self.incoming.front() {
            Some(Incoming::Bytes(_)) => Received::Bytes(&[]),
            Some(Incoming::End) => Received::End,
            Some(Incoming::Failed) => Received::Failed,
            None => Received::Nothing,
        }
    }
}

/// Echoes, in pieces; or takes nothing and has `out` to say.
#[derive(Debug, Default)]
struct Echo {
    deaf: bool,
    take_max: Option<usize>,
    out: VecDeque<u8>,
    events: VecDeque<Said>,
    closes: bool,
    ends: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Eof,
    Reset,
    Took(usize),
}

impl Protocol for Echo {
    type Event = Said;

    fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.take_max.unwrap_or(usize::MAX));
        self.out.extend(&bytes[..len]);
        self.events.push_back(Said::Took(len));
        len
    }

    fn handle_eof(&mut self, _: Instant) {
        self.events.push_back(Said::Eof);
    }

    fn handle_reset(&mut self, _: Instant) {
        self.events.push_back(Said::Reset);
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self, _: Instant, out: &mut [u8]) -> Output<Said> {
        if let Some(said) = self.events.pop_front() {
            return Output::Event(said);
        }
        let len = self.out.len().min(out.len());
        for (to, from) in out.iter_mut().zip(self.out.drain(..len)) {
            *to = from;
        }
        match len {
            0 if self.out.is_empty() && core::mem::take(&mut self.ends) => Output::Shutdown,
            0 if self.out.is_empty() && self.closes => Output::Close,
            0 => Output::Wait(None),
            len => Output::Transmit(len),
        }
    }

    fn output_queued(&self) -> usize {
        self.out.len()
    }

    fn wants_input(&self) -> bool {
        !self.deaf
    }
}

/// What a service would have seen of one connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    ends: Vec<Said>,
    writable: usize,
    closed: bool,
}

struct Scene {
    conn: ConnState<Echo>,
    socket: Fake,
    now: Instant,
    /// The entry in the loop's list.
    armed: Option<Instant>,
    seen: Seen,
}

impl Scene {
    fn new(protocol: Echo, socket: Fake) -> Self {
        Self {
            conn: ConnState::new(protocol),
            socket,
            now: Instant::default(),
            armed: None,
            seen: Seen::default(),
        }
    }

    /// Gives turns until the connection waits or is over.
    fn run(&mut self) {
        loop {
            let mut budget = Budget::new();
            loop {
                match self.conn.step(self.now, &mut self.socket, &mut budget) {
                    Step::Event(Said::Took(_)) => {}
                    Step::Event(end) => self.seen.ends.push(end),
                    Step::Writable => self.seen.writable += 1,
                    Step::Close => return self.seen.closed = true,
                    Step::Wait => {
                        assert_eq!(self.socket.put, 0, "what was put has been sent");
                        self.armed = self.conn.arm(self.now).or(self.armed);
                        return;
                    }
                    Step::Spent => {
                        assert_eq!(self.socket.put, 0, "what was put has been sent");
                        assert!(budget.is_spent());
                        break;
                    }
                }
            }
        }
    }

    /// Lets time pass, and the deadline come that has been asked for.
    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        if self.armed.is_some_and(|at| at <= self.now) {
            self.armed = None;
            self.conn.handle_deadline(self.now);
            self.run();
        }
    }
}

const ALMOST: Duration = Duration::from_millis(9_999);

#[test]
fn closing_waits_for_a_reader_as_long_as_it_reads() {
    let protocol = Echo {
        out: vec![0; 1_000_000].into(),
        closes: true,
        ..Echo::default()
    };
    let mut socket = Fake::new(100_000);
    socket.room = 950_000;
    let mut scene = Scene::new(protocol, socket);
    scene.run();
    assert!(scene.conn.closing && !scene.seen.closed);
    // Some bytes every ten seconds keep it alive.
    scene.pass(ALMOST);
    scene.socket.room = 1;
    scene.run();
    scene.pass(ALMOST);
    assert!(!scene.seen.closed, "patient for another ten seconds");
    scene.pass(Duration::from_millis(2));
    assert!(scene.seen.closed, "patience ends");
}

#[test]
fn bytes_of_a_vanished_peer_wait_ten_seconds() {
    let protocol = Echo {
        deaf: true,
        ..Echo::default()
    };
    let mut scene = Scene::new(protocol, Fake::new(100));
    scene.socket.incoming = [Incoming::Bytes(b"nobody takes this".to_vec()), Incoming::End].into();
    scene.conn.note_hang_up();
    scene.run();
    scene.pass(ALMOST);
    assert_eq!(scene.seen, Seen::default());
    scene.pass(Duration::from_millis(2));
    assert_eq!(
        (scene.seen.ends.as_slice(), scene.seen.closed),
        (&[Said::Reset][..], true)
    );
    assert_eq!(scene.conn.arm(scene.now), None, "nothing is left to wait for");
}

#[test]
fn ends_are_told_as_what_they_are() {
    let bytes = || Incoming::Bytes(b"x".to_vec());
    type Case = (&'static str, bool, Vec<Incoming>, fn(&mut Scene), Vec<Said>, bool);
    let cases: [Case; 8] = [
        (
            "end",
            false,
            vec![bytes(), Incoming::End],
            |_| (),
            vec![Said::Eof],
            false,
        ),
        (
            "failure",
            false,
            vec![bytes(), Incoming::Failed],
            |_| (),
            vec![Said::Reset],
            true,
        ),
        (
            "hang-up",
            false,
            vec![bytes(), Incoming::End],
            |scene| scene.conn.note_hang_up(),
            vec![Said::Reset],
            true,
        ),
        (
            "hang-up without an end",
            false,
            vec![bytes()],
            |scene| scene.conn.note_hang_up(),
            vec![Said::Reset],
            true,
        ),
        (
            "failed send",
            false,
            vec![bytes()],
            |scene| scene.socket.peer_gone = true,
            vec![Said::Reset],
            true,
        ),
        (
            "bare end, nobody listens",
            true,
            vec![Incoming::End],
            |scene| scene.conn.note_fin(),
            vec![Said::Eof],
            false,
        ),
        (
            "end behind bytes, nobody listens",
            true,
            vec![bytes(), Incoming::End],
            |scene| scene.conn.note_fin(),
            vec![],
            false,
        ),
        (
            "bare hang-up, nobody listens",
            true,
            vec![],
            |scene| scene.conn.note_hang_up(),
            vec![Said::Reset],
            true,
        ),
    ];
    for (name, deaf, incoming, cause, ends, closed) in cases {
        let mut scene = Scene::new(
            Echo {
                deaf,
                ..Echo::default()
            },
            Fake::new(100),
        );
        scene.socket.incoming = incoming.into();
        cause(&mut scene);
        scene.run();
        scene.run();
        assert_eq!((&scene.seen.ends, scene.seen.closed), (&ends, closed), "{name}");
    }
}

#[test]
fn after_our_end_a_hang_up_is_only_theirs() {
    let mut scene = Scene::new(
        Echo {
            out: b"all".iter().copied().collect(),
            ends: true,
            ..Echo::default()
        },
        Fake::new(100),
    );
    scene.run();
    assert!(scene.socket.shut && scene.socket.sent == b"all");
    scene.socket.incoming = [Incoming::End].into();
    scene.conn.note_hang_up();
    scene.run();
    assert_eq!(scene.seen.ends, [Said::Eof]);
}

#[test]
fn writable_comes_once_below_the_low_mark() {
    let protocol = Echo {
        out: vec![0; OUTPUT_HIGH_WATER].into(),
        ..Echo::default()
    };
    let mut scene = Scene::new(protocol, Fake::new(2 * OUTPUT_HIGH_WATER));
    scene.socket.room = OUTPUT_HIGH_WATER - OUTPUT_LOW_WATER;
    scene.run();
    assert_eq!(scene.seen.writable, 0, "not below it yet");
    scene.socket.room = 1;
    scene.run();
    assert_eq!(scene.seen.writable, 1);
    scene.socket.room = usize::MAX;
    scene.run();
    assert_eq!(scene.seen.writable, 1);
}

#[test]
fn a_turn_ends_when_its_share_is_used_up() {
    let mut scene = Scene::new(Echo::default(), Fake::new(100_000));
    let piece = Incoming::Bytes(vec![0; 50_000]);
    scene.socket.incoming = vec![piece; 40].into();
    let mut budget = Budget::new();
    let mut took = 0;
    loop {
        match scene.conn.step(scene.now, &mut scene.socket, &mut budget) {
            Step::Event(Said::Took(len)) => took += len,
            Step::Writable => {}
            step => {
                assert_eq!(step, Step::Spent);
                break;
            }
        }
    }
    assert!((SERVE_BYTES / 2..=SERVE_BYTES + 50_000).contains(&(took * 2)), "{took}");
}

#[test]
fn a_turn_ends_after_a_few_events_however_small() {
    let mut scene = Scene::new(Echo::default(), Fake::new(100));
    scene.socket.incoming = vec![Incoming::Bytes(b"x".to_vec()); 10].into();
    let mut turns = Vec::new();
    loop {
        let mut budget = Budget::new();
        let mut events = 0;
        let end = loop {
            match scene.conn.step(scene.now, &mut scene.socket, &mut budget) {
                Step::Event(_) => events += 1,
                Step::Writable => {}
                end => break end,
            }
        };
        turns.push(events);
        if end == Step::Wait {
            break;
        }
    }
    assert_eq!(turns, [SERVE_EVENTS, SERVE_EVENTS, 10 - 2 * SERVE_EVENTS]);
    assert_eq!(scene.socket.sent.len(), 10, "nothing is lost between turns");
}

/// Says bytes and lengths of what is in [`PIPE`], in turn.
#[derive(Debug)]
struct Mixed(VecDeque<Spoken>);

#[derive(Debug, Clone)]
enum Spoken {
    Bytes(Vec<u8>),
    Piped(usize),
}

impl Protocol for Mixed {
    type Event = ();

    fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn handle_eof(&mut self, _: Instant) {}

    fn handle_reset(&mut self, _: Instant) {}

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self, _: Instant, out: &mut [u8]) -> Output<()> {
        match self.0.pop_front() {
            None => Output::Wait(None),
            Some(spoken) if out.is_empty() => {
                self.0.push_front(spoken);
                Output::Wait(None)
            }
            Some(Spoken::Piped(len)) => Output::Splice { source: PIPE, len },
            Some(Spoken::Bytes(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(out.len()));
                if !rest.is_empty() {
                    self.0.push_front(Spoken::Bytes(rest));
                }
                out[..bytes.len()].copy_from_slice(&bytes);
                Output::Transmit(bytes.len())
            }
        }
    }

    fn output_queued(&self) -> usize {
        let len = |spoken: &Spoken| match spoken {
            Spoken::Bytes(bytes) => bytes.len(),
            Spoken::Piped(len) => *len,
        };
        self.0.iter().map(len).sum()
    }

    fn wants_input(&self) -> bool {
        true
    }
}

proptest! {
    /// What is spliced comes between the bytes before and behind it, however little the socket takes.
    #[test]
    fn spliced_bytes_keep_their_place(
        spoken in prop::collection::vec(prop_oneof![
            prop::collection::vec(0u8..0x80, 1..300).prop_map(Spoken::Bytes),
            (1usize..100_000).prop_map(Spoken::Piped),
        ], 1..12),
        rooms in prop::collection::vec(0usize..60_000, 0..20),
    ) {
        let mut place = 0;
        let mut wanted = Vec::new();
        for spoken in &spoken {
            match spoken {
                Spoken::Bytes(bytes) => wanted.extend(bytes),
                Spoken::Piped(len) => {
                    wanted.extend((place..place + len).map(piped));
                    place += len;
                }
            }
        }
        let mut conn = ConnState::new(Mixed(spoken.into()));
        let mut socket = Fake::new(2 * OUTPUT_ROOM_MIN);
        let mut writable = 0;
        for room in rooms.into_iter().chain([usize::MAX]) {
            socket.room = room;
            let mut budget = Budget::new();
            loop {
                match conn.step(Instant::default(), &mut socket, &mut budget) {
                    Step::Wait => break,
                    Step::Spent => budget = Budget::new(),
                    Step::Writable => writable += 1,
                    Step::Event(()) | Step::Close => prop_assert!(false, "nobody has ended"),
                }
            }
            prop_assert_eq!(conn.queued(&socket), wanted.len() - socket.sent.len());
        }
        prop_assert_eq!(&socket.sent, &wanted);
        prop_assert_eq!(writable > 0, wanted.len() >= OUTPUT_HIGH_WATER);
    }

    /// However the input is cut, the protocol nibbles and the socket takes, the same bytes come back.
    #[test]
    fn any_cut_gives_the_same_bytes(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..20),
        take_max in 1usize..400,
        scratch in OUTPUT_ROOM_MIN + 1..3 * OUTPUT_ROOM_MIN,
        rooms in prop::collection::vec(0usize..500, 0..20),
    ) {
        let wanted = pieces.concat();
        let mut scene = Scene::new(Echo { take_max: Some(take_max), ..Echo::default() }, Fake::new(scratch));
        scene.socket.room = 0;
        scene.socket.incoming = pieces.into_iter().map(Incoming::Bytes).chain([Incoming::End]).collect();
        for room in rooms {
            scene.socket.room = room;
            scene.run();
        }
        scene.socket.room = usize::MAX;
        scene.run();
        prop_assert_eq!(&scene.socket.sent, &wanted);
        prop_assert_eq!(scene.seen.ends, [Said::Eof]);
        prop_assert!(!scene.seen.closed, "it may still be served");
    }
}
