//! Output through real pipes and sockets, with gantryd's side reduced to what gets bytes: whoever follows gets exactly those.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::pipe2;
use proptest::prelude::*;

use super::super::client::packet_pair;
use super::super::log::{CatchUp, Reader};
use super::super::wire::{FRAME_HEADER_BYTES, SPLICE_MAX};
use super::*;
use crate::packet;
use crate::sys::pipe;

/// A container's pipes, the keeper's output, and gantryd's clients.
struct House {
    output: Output,
    log: Option<PathBuf>,
    sources: [Source; 2],
    /// The container's ends; closed when it has ended.
    container: Option<[File; 2]>,
    written: [Vec<u8>; 2],
    now: Instant,
    clients: Vec<Client>,
}

/// What gantryd does for one client: live output, and the log when it was too slow.
struct Client {
    subscription: u64,
    /// The size of the pipe that it brings.
    pipe_bytes: Option<usize>,
    /// Where in each stream it began.
    from: [usize; 2],
    got: [Vec<u8>; 2],
    feed: Feed,
}

enum Feed {
    Live(Live),
    /// Taken off; what is still in the socket comes first.
    Draining(Live, Position),
    Reading(CatchUp),
    Ended(Live),
    Left,
}

struct Live {
    socket: OwnedFd,
    pipe: Option<File>,
}

impl House {
    fn new(logged: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gantry-output-{}-{number}", std::process::id());
        let log = logged.then(|| std::env::temp_dir().join(name));
        let [(stdout, stdout_end), (stderr, stderr_end)] = [(); 2].map(|()| pipe2(OFlag::O_CLOEXEC).unwrap());
        let container = [stdout_end, stderr_end].map(File::from);
        for end in &container {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        }
        Self {
            output: Output::new(log.as_ref().map(|log| LogFile::open(log).unwrap())),
            log,
            sources: [stdout, stderr].map(|fd| Source::pipe(fd).unwrap()),
            container: Some(container),
            written: Default::default(),
            now: Instant::now(),
            clients: Vec::new(),
        }
    }

    /// The container writes; if its pipe is full, until the keeper has made room.
    fn write(&mut self, stream: usize, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut end = &self.container.as_ref().unwrap()[stream];
            match end.write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.move_on(),
                Err(error) => panic!("{error}"),
            }
        }
        self.written[stream].extend_from_slice(bytes);
    }

    /// One round of the keeper's loop. `false`: nothing was taken or delivered.
    fn turn(&mut self) -> bool {
        let mut moved = self.deliver();
        self.output.retry_pipe();
        for stream in self.output.wants().into_iter().flat_map(|first| [first, 1 - first]) {
            let mut tell = Vec::new();
            let found = self
                .output
                .take(stream, &mut self.sources[stream], self.now, 0, &mut tell);
            assert_eq!(tell, [], "everybody's pipe is read");
            moved |= matches!(found, Found::Bytes(_));
            moved |= self.deliver();
        }
        moved
    }

    /// `true`: the chunk is with everybody.
    fn deliver(&mut self) -> bool {
        let was_busy = self.output.is_busy();
        let mut tell = Vec::new();
        self.output.deliver(self.now, false, &mut tell);
        tell.into_iter().for_each(|message| self.told(message));
        was_busy && !self.output.is_busy()
    }

    /// The keeper goes on, if need be because time passes or clients read.
    fn move_on(&mut self) {
        if self.turn() {
            return;
        }
        if let Some(deadline) = self.output.deadline() {
            self.now = deadline;
            assert!(self.turn(), "nobody is waited for longer");
            return;
        }
        let read = (0..self.clients.len()).filter(|&client| self.step(client)).count();
        assert!(read > 0 || self.turn(), "everybody waits for everybody");
    }

    fn told(&mut self, message: FromKeeper) {
        let FromKeeper::Lagging { subscription, position } = message else {
            panic!("{message:?}")
        };
        let mut clients = self.clients.iter_mut();
        let client = clients.find(|client| client.subscription == subscription).unwrap();
        let Feed::Live(live) = std::mem::replace(&mut client.feed, Feed::Left) else {
            panic!("lagging twice")
        };
        client.feed = Feed::Draining(live, position);
    }

    /// A client comes, for everything there was or for what there will be.
    fn join(&mut self, pipe_bytes: Option<usize>, from_log: bool) {
        let held = [0, 1].map(|stream| self.sources[stream].movable());
        let taken = [0, 1].map(|stream| self.written[stream].len() - held[stream]);
        let from_log = self.log.as_ref().filter(|_| from_log);
        self.clients.push(Client {
            subscription: 0,
            pipe_bytes,
            from: if from_log.is_some() { [0; 2] } else { taken },
            got: Default::default(),
            feed: from_log.map_or(Feed::Left, |log| {
                Feed::Reading(CatchUp::new(File::open(log).unwrap(), Position::default()))
            }),
        });
        if from_log.is_none() {
            self.subscribe(self.clients.len() - 1, From::Now);
        }
    }

    fn subscribe(&mut self, client: usize, from: From) {
        static SUBSCRIPTIONS: AtomicU32 = AtomicU32::new(1);
        let client = &mut self.clients[client];
        client.subscription = SUBSCRIPTIONS.fetch_add(1, Ordering::Relaxed).into();
        let (socket, theirs) = packet_pair().unwrap();
        // Small, so that it is soon full, but with room for a chunk; the kernel doubles it.
        setsockopt(&theirs, sockopt::SndBuf, &40_000).unwrap();
        let (pipe, pipe_end) = client.pipe_bytes.map(pipe_of).unzip();
        let answer = self
            .output
            .subscribe(client.subscription, theirs, pipe_end, from, self.now);
        // Between reading the log to its end and asking nothing is written here.
        assert!(matches!(answer, FromKeeper::SubscribedAt { .. }), "{answer:?}");
        client.feed = Feed::Live(Live {
            socket,
            pipe: pipe.map(File::from),
        });
    }

    fn leave(&mut self, client: usize) {
        let Client { subscription, feed, .. } = &mut self.clients[client];
        *feed = Feed::Left;
        self.output.unsubscribe(*subscription);
    }

    /// A client gets a packet, an entry, or a subscription. `false`: there was nothing to do.
    fn step(&mut self, client: usize) -> bool {
        let Client { got, feed, .. } = &mut self.clients[client];
        match feed {
            Feed::Live(live) | Feed::Ended(live) => live.receive(got),
            Feed::Draining(live, position) => {
                if !live.receive(got) {
                    let log = self.log.as_ref().expect("a log to fall back to");
                    *feed = Feed::Reading(CatchUp::new(File::open(log).unwrap(), *position));
                }
                true
            }
            Feed::Reading(catch_up) => {
                if let Some((stream, bytes)) = catch_up.read_output().unwrap() {
                    assert!(!bytes.is_empty());
                    got[stream as usize - 1].extend_from_slice(bytes);
                    return true;
                }
                let from = From::At(catch_up.position());
                self.subscribe(client, from);
                true
            }
            Feed::Left => false,
        }
    }

    /// The container ends; everybody gets the rest.
    fn end(&mut self) {
        self.container = None;
        while self.output.is_busy() || self.sources.iter().any(|source| source.movable() > 0) {
            self.move_on();
        }
        self.output.finish_log(0);
        let mut tell = Vec::new();
        self.output.end_subscriptions(&mut tell);
        for message in tell {
            let mut clients = self.clients.iter_mut();
            let client = clients.find(|client| {
                message
                    == FromKeeper::Ended {
                        subscription: client.subscription,
                    }
            });
            let feed = &mut client.expect("a client that subscribed").feed;
            let Feed::Live(live) = std::mem::replace(feed, Feed::Left) else {
                panic!("ended though not live")
            };
            *feed = Feed::Ended(live);
        }
        for client in 0..self.clients.len() {
            while self.step(client) {}
            if let Feed::Ended(Live { pipe: Some(pipe), .. }) = &self.clients[client].feed {
                let held = pipe::bytes_held(pipe.as_fd()).unwrap();
                assert_eq!(held, 0, "every byte of the pipe was announced");
            }
        }
    }

    fn logged(&self) -> [Vec<u8>; 2] {
        let mut logged: [Vec<u8>; 2] = Default::default();
        let mut reader = Reader::open(self.log.as_ref().unwrap(), 0).unwrap();
        while let Some(entry) = reader.read_entry().unwrap() {
            logged[entry.stream as usize - 1].extend_from_slice(entry.bytes);
        }
        assert_eq!(reader.damaged(), 0);
        logged
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            std::fs::remove_file(log).unwrap();
        }
    }
}

impl Live {
    fn receive(&mut self, got: &mut [Vec<u8>; 2]) -> bool {
        let mut buffer = vec![0; CHUNK_MAX + FRAME_HEADER_BYTES];
        let len = match packet::receive(self.socket.as_fd(), &mut buffer, false) {
            Ok(packet) if packet.len > 0 => packet.len,
            _ => return false,
        };
        let chunk = Chunk::decode(&buffer[..len]).unwrap();
        let got = &mut got[chunk.stream];
        if chunk.spliced > 0 {
            let before = got.len();
            got.resize(before + chunk.spliced, 0);
            let pipe = self.pipe.as_mut().expect("a pipe, when something is in it");
            pipe.read_exact(&mut got[before..]).expect("what is announced is there");
        }
        got.extend_from_slice(chunk.inline);
        true
    }
}

/// Read end and write end.
fn pipe_of(bytes: usize) -> (OwnedFd, OwnedFd) {
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    fcntl(&write, FcntlArg::F_SETPIPE_SZ(bytes as i32)).unwrap();
    (read, write)
}

/// Lines, parts of lines, and noise; some so long that they are not copied.
fn any_output() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'\n')], 1..60),
        4 => (1usize..2000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        4 => (1usize..99).prop_map(|len| "zeile ä\n".repeat(len).into_bytes()),
        3 => (SPLICE_MIN - 2..SPLICE_MIN * 9, any::<u8>())
            .prop_map(|(len, seed)| (0..len).map(|at| (at / 7) as u8 ^ seed).collect()),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Vec<u8>),
    /// The keeper looks.
    Turn,
    /// A client reads so many times; how often it gets to is what makes it slow.
    Read(usize, usize),
    Join(Option<usize>, bool),
    Leave(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let pipe_bytes = proptest::option::of(prop_oneof![Just(4096), Just(8192), Just(65_536), Just(SPLICE_MAX)]);
    prop_oneof![
        30 => (0usize..2, any_output()).prop_map(|(stream, bytes)| Step::Write(stream, bytes)),
        15 => Just(Step::Turn),
        15 => (any::<usize>(), 1usize..20).prop_map(|(client, times)| Step::Read(client, times)),
        2 => (pipe_bytes, any::<bool>()).prop_map(|(pipe_bytes, from_log)| Step::Join(pipe_bytes, from_log)),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whoever_follows_gets_exactly_the_output(
        logged: bool,
        first in prop_oneof![Just(None), Just(Some(8192)), Just(Some(SPLICE_MAX))],
        steps in proptest::collection::vec(any_step(), 1..120),
    ) {
        let mut house = House::new(logged);
        house.join(first, false);
        for step in steps {
            let clients = house.clients.len();
            match step {
                Step::Write(stream, bytes) => house.write(stream, &bytes),
                Step::Turn => {
                    house.turn();
                }
                Step::Read(client, times) => {
                    let _ = (0..times).take_while(|_| house.step(client % clients)).count();
                }
                Step::Join(pipe_bytes, from_log) => house.join(pipe_bytes, from_log),
                Step::Leave(client) => house.leave(client % clients),
            }
        }
        house.end();
        for (index, client) in house.clients.iter().enumerate() {
            for stream in 0..2 {
                let wanted = &house.written[stream][client.from[stream]..];
                let got = &client.got[stream];
                let whole = !matches!(client.feed, Feed::Left);
                prop_assert!(wanted.starts_with(got), "client {} got something else", index);
                prop_assert!(!whole || got.len() == wanted.len(), "client {} got only a part", index);
            }
        }
        if logged {
            prop_assert!(house.logged() == house.written, "the log differs from what was written");
        }
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

#[test]
fn a_stalled_subscriber_is_told_where_it_stood() {
    for pipe_bytes in [None, Some(65_536)] {
        let mut house = House::new(true);
        house.join(pipe_bytes, true);
        house.step(0);
        // Sent live, but not in the log: the line has not ended.
        house.write(0, b"begin");
        house.write(1, b"other");
        while house.turn() {}
        let (mut expected, piece) = (b"begin".to_vec(), [b'y'; 5000]);
        while !matches!(house.clients[0].feed, Feed::Draining(..)) {
            house.write(0, &piece);
            expected.extend(piece);
            house.turn();
            if let Some(deadline) = house.output.deadline() {
                house.now = deadline;
                house.deliver();
            }
        }
        let Feed::Draining(_, position) = house.clients[0].feed else {
            unreachable!()
        };
        let received = expected.len() - piece.len();
        let logged = std::fs::read(house.log.as_ref().unwrap()).unwrap().len();
        // Whole pieces of the endless line have gone to the log meanwhile, but for the last chunk.
        let entries = received / LINE_MAX;
        assert!(position.log_offset as usize <= logged, "{pipe_bytes:?}");
        assert_eq!(
            position.skip,
            [(received - entries * LINE_MAX) as u64, 5],
            "{pipe_bytes:?}"
        );
        house.write(0, b"end\n");
        expected.extend(b"end\n");
        while house.turn() {}
        while !matches!(house.clients[0].feed, Feed::Live(_)) || house.step(0) {
            house.step(0);
        }
        // Its place is behind the whole line, and within the other stream's.
        let log_offset = house.output.log_offset();
        let beyond = From::At(Position {
            log_offset,
            skip: [0, 6],
        });
        let behind = From::At(Position::default());
        for (from, answer) in [
            (beyond, FromKeeper::Refused { subscription: 99 }),
            (
                behind,
                FromKeeper::Behind {
                    subscription: 99,
                    log_offset,
                },
            ),
        ] {
            let theirs = packet_pair().unwrap().1;
            assert_eq!(house.output.subscribe(99, theirs, None, from, house.now), answer);
        }
        assert!(house.clients[0].got == [expected, b"other".to_vec()], "{pipe_bytes:?}");
    }
}

#[test]
fn bytes_are_copied_no_more_often_than_needed() {
    /// What; logged; bytes there; for each subscriber the size of its pipe, and how many of the bytes come through that.
    type Row = (&'static str, bool, usize, &'static [(Option<usize>, usize)]);
    let table: [Row; 8] = [
        ("alone", false, 60_000, &[(Some(SPLICE_MAX), 60_000)]),
        ("alone, too little", false, SPLICE_MIN - 1, &[(Some(SPLICE_MAX), 0)]),
        ("alone, less room", false, 60_000, &[(Some(8192), 8192)]),
        ("logged", true, 60_000, &[(Some(SPLICE_MAX), 60_000)]),
        ("logged, less room", true, 60_000, &[(Some(8192), 8192)]),
        ("logged, no pipe", true, 60_000, &[(None, 0)]),
        ("one without", false, 60_000, &[(Some(SPLICE_MAX), 60_000), (None, 0)]),
        ("two", false, 60_000, &[(Some(8192), 8192), (Some(SPLICE_MAX), 60_000)]),
    ];
    for (name, logged, bytes, subscribers) in table {
        let mut house = House::new(logged);
        for &(pipe_bytes, _) in subscribers {
            house.join(pipe_bytes, false);
        }
        house.write(0, &vec![b'x'; bytes]);
        assert!(house.turn(), "{name}");
        for (client, &(_, spliced)) in house.clients.iter().zip(subscribers) {
            let Feed::Live(live) = &client.feed else { unreachable!() };
            let mut buffer = vec![0; CHUNK_MAX + FRAME_HEADER_BYTES];
            let len = packet::receive(live.socket.as_fd(), &mut buffer, false).unwrap().len;
            assert_eq!(Chunk::decode(&buffer[..len]).unwrap().spliced, spliced, "{name}");
        }
    }
}

#[test]
fn a_full_pipe_is_waited_for() {
    let mut house = House::new(false);
    house.join(Some(8192), false);
    house.write(0, &[b'x'; 20_000]);
    house.write(1, b"err");
    // The other stream is taken, small as it is; then there is nothing to do until the pipe is read.
    while house.turn() {}
    let (subscription, _) = house.output.full_pipe().expect("a full pipe");
    assert_eq!(house.output.wants(), None);
    // It is not asked any more when others want output too: then all is read anyway.
    house.join(None, false);
    assert!(house.output.full_pipe().is_none() && house.turn());
    house.leave(1);
    while house.step(0) {}
    assert!(house.clients[0].got[0] == [b'x'; 20_000] && house.clients[0].got[1] == b"err");
    // At the container's end the wait has an end.
    house.write(0, &[b'x'; 20_000]);
    while house.turn() {}
    let mut tell = Vec::new();
    house
        .output
        .deliver(house.now + Duration::from_secs(9), true, &mut tell);
    assert_eq!(tell, [FromKeeper::Lost { subscription }]);
}

#[test]
fn a_pipe_without_a_reader_ends_its_subscription() {
    for (name, logged) in [("spliced", false), ("teed", true)] {
        let mut house = House::new(logged);
        let (_socket, theirs) = packet_pair().unwrap();
        let (pipe, pipe_end) = pipe_of(SPLICE_MAX);
        let watched = pipe_end.try_clone().unwrap();
        house.output.subscribe(7, theirs, Some(pipe_end), From::Now, house.now);
        drop(pipe);
        // Another test may just be forking, and its child has the reader until it executes something.
        poll(
            &mut [PollFd::new(watched.as_fd(), PollFlags::empty())],
            PollTimeout::NONE,
        )
        .unwrap();
        house.write(0, &[b'x'; 5000]);
        let mut tell = Vec::new();
        for _ in 0..2 {
            house.output.take(0, &mut house.sources[0], house.now, 0, &mut tell);
            house.output.deliver(house.now, false, &mut tell);
        }
        assert_eq!(tell, [FromKeeper::Ended { subscription: 7 }], "{name}");
        assert_eq!(house.sources[0].movable(), 0, "{name}: the container is not held up");
    }
}

#[test]
fn what_is_no_pipe_is_not_used() {
    let mut house = House::new(false);
    house.join(None, false);
    let (socket, theirs) = packet_pair().unwrap();
    let no_pipe = File::open("/dev/null").unwrap().into();
    house.output.subscribe(99, theirs, Some(no_pipe), From::Now, house.now);
    house.leave(0);
    house.write(0, &[b'x'; 5000]);
    while house.sources[0].movable() > 0 {
        house.turn();
    }
    let mut got: [Vec<u8>; 2] = Default::default();
    assert!(Live { socket, pipe: None }.receive(&mut got));
    assert_eq!(got[0], [b'x'; 5000]);
}

#[test]
fn a_container_that_reads_its_own_output_does_not_shift_it() {
    // (what, bytes that are read of the source after those ahead went to the pipe)
    for (name, copied) in [("nothing left", &b""[..]), ("less", b"less")] {
        let (source_end, container) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut source = Source::pipe(source_end).unwrap();
        let (socket, theirs) = packet_pair().unwrap();
        let (pipe, pipe_end) = pipe_of(SPLICE_MAX);
        let now = Instant::now();
        let mut subscriber = Subscriber::new(1, theirs, Some(pipe_end), now);
        let mut live = Live {
            socket,
            pipe: Some(pipe.into()),
        };
        let mut got: [Vec<u8>; 2] = Default::default();
        for _ in 0..2 {
            nix::unistd::write(&container, &[b'x'; 5000]).unwrap();
            assert!(subscriber.tee(&source) == Sent::Whole);
            assert_eq!(source.read(&mut [0; 9000], 5000), Found::Bytes(5000));
            subscriber.owe(!copied.is_empty());
            assert!(subscriber.send_owed(0, copied, now, now) == Sent::Whole);
            assert!(live.receive(&mut got), "{name}");
        }
        assert!(got[0] == [b'x'; 10_000], "{name}");
    }
}

#[test]
fn packets_in_a_pipe_are_read_as_one_chunk() {
    let mut house = House::new(true);
    house.join(Some(SPLICE_MAX), false);
    let packet_mode = FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_DIRECT);
    fcntl(&house.container.as_ref().unwrap()[0], packet_mode).unwrap();
    for size in [3000, 1, 4096, 900] {
        house.write(0, &vec![b'x'; size]);
    }
    house.end();
    assert!(house.clients[0].got == house.written && house.logged() == house.written);
}
