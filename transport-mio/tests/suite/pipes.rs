//! Pipes, terminals, packets and files of a service on the loop.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::mpsc::{Receiver, channel},
    thread,
};

use bytes::Bytes;
use gantry_core::driver::{Direction, Driver, PIPE_PACKET_MAX, PipeId, Protocol};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    pty::openpty,
    sys::{
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair},
        termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
    },
    unistd::pipe2,
};
use transport::{Limits, OUTPUT_HIGH_WATER};

use crate::common::*;

fn pipe() -> (File, File) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    (reader.into(), writer.into())
}

fn packets() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("socket pair")
}

fn open(running: &Running, fd: impl Into<OwnedFd>, direction: Direction) -> PipeId {
    let fd = fd.into();
    running.on_loop(move |driver| driver.open_pipe(fd, direction))
}

fn write(running: &Running, pipe: PipeId, bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    running.on_loop(move |driver| driver.write_pipe(pipe, bytes));
}

#[test]
fn everything_before_the_end_arrives() {
    let (running, calls) = Running::record(Wire::echo);
    let bytes = pattern(60_000);

    // Written and closed before the loop knows of it.
    let (reader, mut writer) = pipe();
    writer.write_all(&bytes).unwrap();
    drop(writer);
    let id = open(&running, reader, Direction::Read);
    let (got, end) = inputs_until_other(&calls);
    assert!(got == bytes);
    assert_eq!(end, Call::PipeClosed(id, 0));

    // Much more than a pipe holds, closed at once behind it.
    let (reader, mut writer) = pipe();
    let id = open(&running, reader, Direction::Read);
    let large = pattern(3_000_000);
    let sent = large.clone();
    let sender = thread::spawn(move || writer.write_all(&sent).unwrap());
    let (got, end) = inputs_until_other(&calls);
    assert!(got == large);
    assert_eq!(end, Call::PipeClosed(id, 0));
    sender.join().unwrap();

    // A stream socket, whose peer goes with bytes of ours unread: that is told, behind its own bytes.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&bytes).unwrap();
    (&ours).write_all(b"unread").unwrap();
    drop(theirs);
    let id = open(&running, ours, Direction::Both);
    let (got, end) = inputs_until_other(&calls);
    assert!(got == bytes);
    assert_eq!(end, Call::PipeClosed(id, Errno::ECONNRESET as i32));
}

#[test]
fn bytes_of_a_peer_that_no_longer_reads_arrive_before_the_failure() {
    let (running, calls) = Running::record(Wire::echo);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (id, queued) = running.on_loop(move |driver| {
        theirs.write_all(b"answer").unwrap();
        theirs.shutdown(std::net::Shutdown::Read).unwrap();
        let id = driver.open_pipe(ours.into(), Direction::Both);
        driver.write_pipe(id, Bytes::from_static(b"question"));
        // Kept open, so that the failure is that of writing and no hang-up.
        std::mem::forget(theirs);
        (id, driver.pipe_queued(id))
    });
    assert_eq!(queued, 8);
    let (got, end) = inputs_until_other(&calls);
    assert_eq!(got, b"answer");
    assert_eq!(end, Call::PipeClosed(id, Errno::EPIPE as i32));
}

#[test]
fn a_reader_that_goes_is_noticed_by_one_who_only_writes() {
    let (running, calls) = Running::record(Wire::echo);
    // While nothing is queued, and while much is.
    for queued in [0, 1_000_000] {
        let (reader, writer) = pipe();
        let id = open(&running, writer, Direction::Write);
        write(&running, id, &pattern(queued));
        drop(reader);
        assert_eq!(
            next(&calls),
            Call::PipeClosed(id, Errno::EPIPE as i32),
            "{queued} bytes queued"
        );
        assert_eq!(running.on_loop(move |driver| driver.pipe_queued(id)), 0);
        // Late commands find nothing.
        write(&running, id, b"late");
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let id = open(&running, ours, Direction::Write);
    drop(theirs);
    assert_eq!(next(&calls), Call::PipeClosed(id, Errno::EPIPE as i32));
}

#[test]
fn a_queue_is_written_in_order_and_its_end_is_told() {
    let (running, calls) = Running::record(Wire::echo);
    let (mut reader, writer) = pipe();
    let id = open(&running, writer, Direction::Write);
    let bytes = pattern(2_000_000);
    let sent = bytes.clone();
    running.on_loop(move |driver| {
        // Many small pieces and one large one.
        for piece in sent[..1_000].chunks(3).chain([&sent[1_000..]]) {
            driver.write_pipe(id, Bytes::copy_from_slice(piece));
        }
        driver.write_pipe(id, Bytes::new());
        assert_eq!(driver.pipe_queued(id), 2_000_000);
    });
    let waiting = running.on_loop(move |driver| driver.pipe_queued(id));
    assert!(
        1_000_000 < waiting && waiting < 2_000_000,
        "a pipe took its share: {waiting} wait"
    );
    assert!(read_len(&mut reader, bytes.len()) == bytes);
    assert_eq!(next(&calls), Call::PipeDrained(id));

    // Finishing closes behind the queue, and nothing is told but that it is drained.
    let again = bytes.clone();
    running.on_loop(move |driver| {
        driver.write_pipe(id, Bytes::from(again));
        driver.finish_pipe(id);
        driver.write_pipe(id, Bytes::from_static(b"too late"));
    });
    let mut got = Vec::new();
    reader.read_to_end(&mut got).unwrap();
    assert!(got == bytes);
    assert_eq!(next(&calls), Call::PipeDrained(id));

    // With nothing queued, finishing closes at once.
    let (mut reader, writer) = pipe();
    let id = open(&running, writer, Direction::Write);
    running.on_loop(move |driver| driver.finish_pipe(id));
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    running.on_loop(|_| ());
    assert!(calls.try_recv().is_err());
}

#[test]
fn a_finished_socket_is_read_until_it_closes() {
    let (running, calls) = Running::record(Wire::echo);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let id = open(&running, ours, Direction::Both);
    running.on_loop(move |driver| {
        driver.write_pipe(id, Bytes::from(pattern(2_000_000)));
        driver.finish_pipe(id);
    });
    theirs.write_all(b"still heard").unwrap();
    assert_eq!(next(&calls), Call::PipeInput(id, b"still heard".to_vec()));
    let mut got = Vec::new();
    theirs.read_to_end(&mut got).unwrap();
    assert!(got == pattern(2_000_000));
    assert_eq!(next(&calls), Call::PipeDrained(id));
}

#[test]
fn a_paused_pipe_is_not_read_and_loses_nothing() {
    let (running, calls) = Running::record(Wire::echo);
    let (reader, mut writer) = pipe();
    let id = running.on_loop(move |driver| {
        let id = driver.open_pipe(reader.into(), Direction::Read);
        driver.pause_pipe(id, true);
        id
    });
    writer.write_all(b"kept").unwrap();
    drop(writer);
    // Another pipe comes and goes behind it: the loop has had the report.
    let (other, _) = pipe();
    let other = open(&running, other, Direction::Read);
    assert_eq!(next(&calls), Call::PipeClosed(other, 0));
    running.on_loop(move |driver| driver.pause_pipe(id, false));
    assert_eq!(next(&calls), Call::PipeInput(id, b"kept".to_vec()));
    assert_eq!(next(&calls), Call::PipeClosed(id, 0));
}

#[test]
fn a_terminal_ends_when_its_other_side_closes() {
    let (running, calls) = Running::record(Wire::echo);
    let pty = openpty(None, None).expect("pty");
    let mut raw = tcgetattr(&pty.slave).unwrap();
    cfmakeraw(&mut raw);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &raw).unwrap();
    let mut slave = File::from(pty.slave);
    let id = open(&running, pty.master, Direction::Both);
    write(&running, id, b"typed\n");
    assert_eq!(next(&calls), Call::PipeDrained(id));
    assert_eq!(read_len(&mut slave, 6), b"typed\n");
    let bytes = pattern(100_000);
    let sent = bytes.clone();
    // Closed right behind the last byte.
    let sender = thread::spawn(move || slave.write_all(&sent).unwrap());
    let (got, end) = inputs_until_other(&calls);
    assert!(got == bytes, "{} bytes", got.len());
    assert_eq!(end, Call::PipeClosed(id, 0));
    sender.join().unwrap();
}

#[test]
fn packets_stay_whole() {
    let (running, calls) = Running::record(Wire::echo);
    let (ours, theirs) = packets();
    let id = open(&running, ours, Direction::Both);
    let raw = theirs.as_raw_fd();
    let largest = pattern(PIPE_PACKET_MAX);
    for packet in [&b"a"[..], &b"bc"[..], &largest] {
        assert_eq!(send(raw, packet, MsgFlags::empty()), Ok(packet.len()));
    }
    assert_eq!(next(&calls), Call::PipeInput(id, b"a".to_vec()));
    assert_eq!(next(&calls), Call::PipeInput(id, b"bc".to_vec()));
    assert!(next(&calls) == Call::PipeInput(id, largest.clone()));

    // More packets than the socket holds: those that wait are sent whole, in order, as the peer reads.
    let count = 200;
    running.on_loop(move |driver| {
        for number in 0..count {
            driver.write_pipe(id, Bytes::from(vec![number; 10_000 + usize::from(number)]));
        }
    });
    assert!(
        running.on_loop(move |driver| driver.pipe_queued(id)) > 0,
        "the socket is full"
    );
    let mut room = vec![0; PIPE_PACKET_MAX];
    for number in 0..count {
        let len = recv(raw, &mut room, MsgFlags::empty()).expect("a packet");
        assert_eq!(len, 10_000 + usize::from(number));
        assert!(room[..len].iter().all(|byte| *byte == number));
    }
    assert_eq!(next(&calls), Call::PipeDrained(id));

    drop(theirs);
    assert_eq!(next(&calls), Call::PipeClosed(id, 0));
}

#[test]
fn a_packet_that_is_too_large_is_refused_and_not_cut() {
    let (running, calls) = Running::record(Wire::echo);
    let (ours, theirs) = packets();
    let id = open(&running, ours, Direction::Read);
    send(theirs.as_raw_fd(), &pattern(PIPE_PACKET_MAX + 1), MsgFlags::empty()).expect("sent");
    assert_eq!(next(&calls), Call::PipeClosed(id, Errno::EMSGSIZE as i32));
}

#[test]
fn files_that_are_always_ready_work_too() {
    let (running, calls) = Running::record(Wire::echo);
    let dir = Scratch::new();
    let path = dir.path.join("file");
    let bytes = pattern(1_000_000);

    let id = open(&running, File::create(&path).unwrap(), Direction::Write);
    write(&running, id, &bytes);
    assert_eq!(next(&calls), Call::PipeDrained(id));
    assert!(std::fs::read(&path).unwrap() == bytes);
    running.on_loop(move |driver| driver.close_pipe(id));

    let id = open(&running, File::open(&path).unwrap(), Direction::Read);
    let (got, end) = inputs_until_other(&calls);
    assert!(got == bytes);
    assert_eq!(end, Call::PipeClosed(id, 0));

    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let id = open(&running, null.try_clone().unwrap(), Direction::Read);
    assert_eq!(next(&calls), Call::PipeClosed(id, 0));
    let id = open(&running, null, Direction::Write);
    write(&running, id, &bytes);
    assert_eq!(next(&calls), Call::PipeDrained(id));
    assert!(calls.try_recv().is_err(), "an idle file says nothing");
}

#[test]
fn a_descriptor_that_cannot_be_used_is_reported() {
    let (running, calls) = Running::record(Wire::echo);
    // Opened for its path only: neither its mode nor its content can be touched.
    let path_only = File::from(
        nix::fcntl::open(
            "/dev/null",
            OFlag::O_PATH | OFlag::O_CLOEXEC,
            nix::sys::stat::Mode::empty(),
        )
        .unwrap(),
    );
    let id = open(&running, path_only, Direction::Read);
    assert_eq!(next(&calls), Call::PipeClosed(id, Errno::EBADF as i32));
    // Writing to what is only read from is a failure of that pipe.
    let (reader, _writer) = pipe();
    let id = open(&running, reader, Direction::Read);
    write(&running, id, b"wrong way");
    assert_eq!(next(&calls), Call::PipeClosed(id, Errno::EBADF as i32));
}

#[test]
fn a_descriptor_is_made_non_blocking() {
    let running = Running::start(Limits::default(), Wire::echo, |_, _| ());
    let (reader, _writer) = pipe();
    let same = reader.try_clone().unwrap();
    open(&running, reader, Direction::Read);
    let flags = OFlag::from_bits_retain(fcntl(&same, FcntlArg::F_GETFL).unwrap());
    assert!(flags.contains(OFlag::O_NONBLOCK));
}

/// A loop whose pipes behave as `react` says, and what was called.
fn reacting<F>(mut react: F) -> (Running, Receiver<Call>)
where
    F: FnMut(&mut transport::Reactor<Wire>, &Call) + Send + 'static,
{
    let (calls, seen) = channel();
    let running = Running::start(Limits::default(), Wire::echo, move |driver, call| {
        react(driver, &call);
        let _ = calls.send(call);
    });
    (running, seen)
}

#[test]
fn a_pipe_may_be_closed_in_its_own_call_back() {
    let (running, calls) = reacting(|driver, call| {
        if let Call::PipeInput(id, _) | Call::PipeDrained(id) = call {
            driver.close_pipe(*id);
            driver.close_pipe(*id);
            driver.write_pipe(*id, Bytes::from_static(b"into the void"));
            driver.pause_pipe(*id, false);
            driver.finish_pipe(*id);
        }
    });
    let (reader, mut writer) = pipe();
    writer.write_all(&pattern(60_000)).unwrap();
    let id = open(&running, reader, Direction::Read);
    assert!(matches!(next(&calls), Call::PipeInput(got, _) if got == id));
    running.on_loop(|_| ());
    assert_eq!(
        writer.write(b"x").unwrap_err().raw_os_error(),
        Some(Errno::EPIPE as i32),
        "it is really closed"
    );

    let (mut reader, writer) = pipe();
    let second = open(&running, writer, Direction::Write);
    assert_ne!(second, id, "ids are not used again");
    write(&running, second, b"x");
    assert_eq!(next(&calls), Call::PipeDrained(second));
    assert_eq!(read_len(&mut reader, 1), b"x");
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    running.on_loop(|_| ());
    assert!(
        calls.try_recv().is_err(),
        "`pipe_closed` is not called for what was closed here"
    );
}

#[test]
fn what_was_closed_in_the_same_turn_says_nothing_more() {
    // All pipes become readable before one turn; whoever comes first closes the others and opens new ones.
    let ends: Vec<_> = (0..10).map(|_| pipe()).collect();
    let mut writers = Vec::new();
    let mut readers = Vec::new();
    for (reader, writer) in ends {
        readers.push(OwnedFd::from(reader));
        writers.push(writer);
    }
    let (opened, ids) = channel::<Vec<PipeId>>();
    let mut known: Vec<PipeId> = Vec::new();
    let (running, calls) = reacting(move |driver, call| {
        if known.is_empty() {
            known = ids.try_recv().unwrap_or_default();
        }
        if let Call::PipeInput(id, _) = call
            && known.contains(id)
        {
            for other in known.iter().filter(|other| *other != id) {
                driver.close_pipe(*other);
                // The slot is used again, under another id, while a report about the old one is at hand.
                let new = driver.open_pipe(pipe().0.into(), Direction::Read);
                assert!(!known.contains(&new));
            }
        }
    });
    let all = running.on_loop(move |driver| {
        let all: Vec<_> = readers
            .into_iter()
            .map(|fd| driver.open_pipe(fd, Direction::Read))
            .collect();
        for writer in &mut writers {
            writer.write_all(b"now").unwrap();
        }
        opened.send(all.clone()).unwrap();
        // The winner's end stays open.
        std::mem::forget(writers);
        all
    });
    let first = next(&calls);
    assert!(
        matches!(&first, Call::PipeInput(id, bytes) if all.contains(id) && bytes == b"now"),
        "{first:?}"
    );
    // The writers of the new pipes are dropped at once, so each of the nine ends by itself.
    for _ in 0..9 {
        let call = next(&calls);
        assert!(
            matches!(call, Call::PipeClosed(id, 0) if !all.contains(&id)),
            "{call:?}"
        );
    }
    running.on_loop(|_| ());
    assert!(calls.try_recv().is_err());
}

#[test]
fn a_pipe_paused_in_its_call_back_stops_at_once() {
    let (running, calls) = reacting(|driver, call| {
        if let Call::PipeInput(id, _) = call {
            driver.pause_pipe(*id, true);
        }
    });
    let (ours, theirs) = packets();
    let id = open(&running, ours, Direction::Read);
    running.on_loop(move |driver| driver.pause_pipe(id, true));
    for packet in [b"1", b"2", b"3"] {
        send(theirs.as_raw_fd(), packet, MsgFlags::empty()).unwrap();
    }
    for packet in [b"1", b"2", b"3"] {
        running.on_loop(move |driver| driver.pause_pipe(id, false));
        assert_eq!(next(&calls), Call::PipeInput(id, packet.to_vec()));
        running.on_loop(|_| ());
        assert!(calls.try_recv().is_err(), "paused behind each packet");
    }
}

#[test]
fn many_streams_at_once_arrive_whole() {
    // More than any transport has buffers for, all at the same time.
    const COUNT: usize = 150;
    let (running, calls) = Running::record(Wire::echo);
    let bytes = pattern(300_000);
    let mut writers = Vec::new();
    let mut got: HashMap<PipeId, Vec<u8>> = HashMap::new();
    for _ in 0..COUNT {
        let (reader, mut writer) = pipe();
        got.insert(open(&running, reader, Direction::Read), Vec::new());
        let sent = bytes.clone();
        writers.push(thread::spawn(move || writer.write_all(&sent).unwrap()));
    }
    let mut ended = 0;
    while ended < COUNT {
        match next(&calls) {
            Call::PipeInput(id, more) => got.get_mut(&id).expect("one of them").extend(more),
            Call::PipeClosed(id, 0) => {
                assert!(got[&id] == bytes, "{} bytes", got[&id].len());
                ended += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

#[test]
fn a_loop_that_stops_lets_go_of_everything() {
    let (running, calls) = Running::record(Wire::relay);
    // What cannot end by itself: reads that wait, one that is paused, writes and sends that nobody takes.
    let (idle, mut to_idle) = pipe();
    open(&running, idle, Direction::Read);
    let (paused, mut to_paused) = pipe();
    to_paused.write_all(b"kept").unwrap();
    let paused = open(&running, paused, Direction::Read);
    running.on_loop(move |driver| driver.pause_pipe(paused, true));
    let (mut from_full, full) = pipe();
    let full = open(&running, full, Direction::Write);
    write(&running, full, &pattern(1_000_000));
    let (ours, theirs) = packets();
    open(&running, ours, Direction::Both);
    let mut client = running.connect_unix();
    let conn = running.next_conn();
    running.tell(conn, |wire| wire.send(&pattern(1_000_000)));
    drop(running);

    assert_eq!(
        to_idle.write(b"x").unwrap_err().raw_os_error(),
        Some(Errno::EPIPE as i32)
    );
    assert_eq!(
        to_paused.write(b"x").unwrap_err().raw_os_error(),
        Some(Errno::EPIPE as i32)
    );
    let mut got = Vec::new();
    from_full.read_to_end(&mut got).expect("what the pipe held, and an end");
    assert!(!got.is_empty() && got == pattern(1_000_000)[..got.len()]);
    assert_eq!(recv(theirs.as_raw_fd(), &mut [0], MsgFlags::empty()), Ok(0));
    let mut got = Vec::new();
    client.read_to_end(&mut got).expect("what the socket held, and an end");
    assert!(!got.is_empty() && got == pattern(1_000_000)[..got.len()]);
    // Of the call-backs there was at most the input of before the pause.
    assert!(
        calls
            .iter()
            .all(|call| call == Call::PipeInput(paused, b"kept".to_vec()))
    );
}

#[test]
fn a_pipe_feeds_a_connection() {
    // Output of a container on its way to a client, in small: back-pressure by `pause_pipe` and `writable`.
    let (conns, conn) = channel();
    let mut from = None;
    let mut to = None;
    let running = Running::start(Limits::default(), Wire::relay, move |driver, call| match call {
        Call::Event(id, Said::Input(_)) => {
            to = Some(id);
            let _ = conns.send(id);
        }
        Call::PipeInput(pipe, bytes) => {
            from = Some(pipe);
            let wire = driver.protocol(to.expect("a client")).expect("still there");
            wire.send(&bytes);
            // In pieces of whatever length; `writable` follows only what was above the mark.
            let full = wire.output_queued() >= OUTPUT_HIGH_WATER;
            driver.pause_pipe(pipe, full);
        }
        Call::Writable(_) => driver.pause_pipe(from.expect("a pipe"), false),
        Call::PipeClosed(..) => driver.protocol(to.expect("a client")).expect("still there").close(),
        _ => {}
    });
    let mut client = running.connect_unix();
    client.write_all(b"attach").unwrap();
    conn.recv_timeout(PATIENCE).unwrap();
    let (reader, mut writer) = pipe();
    open(&running, reader, Direction::Read);
    let bytes = pattern(4 * 1024 * 1024);
    let sent = bytes.clone();
    nix::fcntl::fcntl(&writer, FcntlArg::F_SETPIPE_SZ(1024 * 1024)).unwrap();
    let sender = thread::spawn(move || {
        for piece in sent.chunks(64 * 1024) {
            writer.write_all(piece).unwrap();
        }
    });
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert!(got == bytes, "{} bytes", got.len());
    sender.join().unwrap();
}
