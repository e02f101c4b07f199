//! Pipes under faults: what is written arrives once and in order, or a beginning of it and one end.

use std::{
    fs::File,
    io::{Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::mpsc::Receiver,
    thread,
};

use bytes::Bytes;
use gantry_core::driver::{Direction, Driver, PipeId};
use nix::{
    pty::openpty,
    sys::{
        socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, recv, send, shutdown, socketpair},
        termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
    },
};
use transport::faults::{Plan, Tally, begin, tally};

use crate::{common::*, exchanges::seed, scene::*};

/// What has come of the bytes of both sides.
#[derive(Debug, Default, PartialEq, Eq)]
struct Through {
    /// What the service was given, call by call.
    inputs: Vec<Vec<u8>>,
    /// What the other side read.
    outputs: Vec<Vec<u8>>,
    drained: usize,
    /// The number of the end, if there was one.
    end: Option<i32>,
}

/// A descriptor, what is put into both its ends, and what has come out when all is over.
type Scene = fn(&Running, &Receiver<Call>, len: usize) -> Through;

const SCENES: [(&str, Scene); 5] = [
    ("pipe that is read", read),
    ("pipe that is written", write),
    ("socket", both),
    ("packets", packets),
    ("terminal", terminal),
];

/// Plays a scene while a plan holds, and compares it with what comes when nothing goes wrong.
fn play(running: &Running, calls: &Receiver<Call>, (name, scene): (&str, Scene), len: usize, plan: Plan) -> Tally {
    running.on_loop(move |_| calm());
    let wanted = scene(running, calls, len);
    running.on_loop(move |_| begin(plan));
    let got = scene(running, calls, len);
    let tally = running.on_loop(|_| tally());
    let what = format!("{name}, {plan:?}, {tally:?}");
    let keeps_packets = name == "packets";
    // When a terminal is hung up, the kernel throws away some of what it has not delivered, and perhaps delivers what is behind.
    let hung_up = name == "terminal" && tally.resets > 0;
    let outputs = (!hung_up).then_some((&got.outputs, &wanted.outputs));
    for (got, wanted) in outputs.into_iter().chain([(&got.inputs, &wanted.inputs)]) {
        if keeps_packets {
            assert!(wanted.starts_with(got), "{what}: {} packets", got.len());
        } else {
            let (got, wanted) = (got.concat(), wanted.concat());
            let differs = got.iter().zip(&wanted).position(|(got, wanted)| got != wanted);
            assert!(
                wanted.starts_with(&got),
                "{what}: {} bytes, wrong from {differs:?} on",
                got.len()
            );
        }
    }
    if tally.resets == 0 {
        assert_eq!(got.inputs.concat().len(), wanted.inputs.concat().len(), "{what}");
        assert_eq!(got.outputs.concat().len(), wanted.outputs.concat().len(), "{what}");
        assert_eq!((got.drained, got.end), (wanted.drained, wanted.end), "{what}");
    }
    comes_back(&what, |in_use| running.on_loop(in_use));
    assert_eq!(calls.try_recv().ok(), None, "{what}: nothing comes behind the end");
    tally
}

#[test]
fn everything_arrives_once_and_in_order() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let mut faults = 0;
    for round in 0..8 {
        alone(|| {
            let (running, calls) = Running::record(Wire::echo);
            for scene in SCENES {
                faults += play(&running, &calls, scene, 200_000, often(seed.wrapping_add(round), false)).faults;
            }
        });
    }
    assert!(faults > 100, "{faults}");
}

#[test]
fn a_failure_ends_one_pipe_once() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let mut resets = 0;
    for round in 0..16 {
        alone(|| {
            let (running, calls) = Running::record(Wire::echo);
            for scene in SCENES {
                resets += play(&running, &calls, scene, 100_000, often(seed.wrapping_add(round), true)).resets;
            }
        });
    }
    assert!(resets > 10, "{resets}");
}

/// Each chance for a fault by itself, as many as there are.
#[test]
fn a_single_fault_anywhere() {
    /// More are of the same kinds.
    const CHANCES_MAX: u64 = 60;
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    alone(|| {
        let (running, calls) = Running::record(Wire::echo);
        for scene in SCENES {
            for resets in [false, true] {
                let mut faults = 0;
                for number in 0..CHANCES_MAX {
                    let plan = only(seed.wrapping_add(number), number, resets);
                    let tally = play(&running, &calls, scene, 20_000, plan);
                    faults += tally.faults;
                    if tally.chances <= number {
                        break;
                    }
                }
                assert!(faults > 0, "{}", scene.0);
            }
        }
    });
}

fn read(running: &Running, calls: &Receiver<Call>, len: usize) -> Through {
    let (reader, mut writer) = std::io::pipe().expect("pipe");
    // Nobody may read it any more.
    let writer = thread::spawn(move || drop(writer.write_all(&pattern(len))));
    let id = running.on_loop(move |driver| driver.open_pipe(reader.into(), Direction::Read));
    let through = until_closed(calls, id);
    writer.join().unwrap();
    through
}

fn write(running: &Running, calls: &Receiver<Call>, len: usize) -> Through {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let id = running.on_loop(move |driver| {
        let id = driver.open_pipe(writer.into(), Direction::Write);
        let bytes = pattern(len);
        // Many small pieces, and some large ones.
        for piece in bytes[..3_000].chunks(3).chain(bytes[3_000..].chunks(40_000)) {
            driver.write_pipe(id, Bytes::copy_from_slice(piece));
        }
        driver.finish_pipe(id);
        id
    });
    let mut got = Vec::new();
    reader.read_to_end(&mut got).expect("an end");
    let mut through = Through::default();
    match next(calls) {
        Call::PipeDrained(drained) if drained == id => through.drained += 1,
        Call::PipeClosed(closed, errno) if closed == id => through.end = Some(errno),
        other => panic!("{other:?}"),
    }
    through.outputs = vec![got];
    through
}

fn both(running: &Running, calls: &Receiver<Call>, len: usize) -> Through {
    let (ours, theirs) = UnixStream::pair().expect("pair");
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    theirs.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut writer = theirs.try_clone().expect("clone");
    let id = running.on_loop(move |driver| {
        let id = driver.open_pipe(ours.into(), Direction::Both);
        for piece in pattern(len + 1).chunks(7_000) {
            driver.write_pipe(id, Bytes::copy_from_slice(piece));
        }
        id
    });
    let sent = thread::spawn(move || drop(writer.write_all(&pattern(len))));
    let got = thread::spawn(move || {
        let mut got = Vec::new();
        // Either all of it, or up to an end. Then the socket is closed.
        let end = (&theirs).take(len as u64 + 1).read_to_end(&mut got);
        sent.join().unwrap();
        drop(end);
        got
    });
    let mut through = until_closed(calls, id);
    through.outputs = vec![got.join().unwrap()];
    through
}

fn packets(running: &Running, calls: &Receiver<Call>, len: usize) -> Through {
    const PACKET: usize = 1_000;
    let count = len / PACKET;
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("socket pair");
    let packet = |number: usize| pattern(PACKET + number);
    let id = running.on_loop(move |driver| {
        let id = driver.open_pipe(ours, Direction::Both);
        (0..count).for_each(|number| driver.write_pipe(id, packet(2 * number).into()));
        id
    });
    let writer = theirs.try_clone().expect("clone");
    let sent = thread::spawn(move || {
        for number in 0..count {
            if send(writer.as_raw_fd(), &packet(number), MsgFlags::MSG_NOSIGNAL).is_err() {
                return;
            }
        }
    });
    let got = thread::spawn(move || {
        let mut got = Vec::new();
        let mut room = vec![0; 10 * PACKET];
        while got.len() < count {
            match recv(theirs.as_raw_fd(), &mut room, MsgFlags::empty()) {
                Ok(len @ 1..) => got.push(room[..len].to_vec()),
                _ => break,
            }
        }
        // A writer that waits for room is let go.
        if got.len() < count {
            let _ = shutdown(theirs.as_raw_fd(), Shutdown::Both);
        }
        sent.join().unwrap();
        got
    });
    let mut through = until_closed(calls, id);
    through.outputs = got.join().unwrap();
    through
}

fn terminal(running: &Running, calls: &Receiver<Call>, len: usize) -> Through {
    let pty = openpty(None, None).expect("pty");
    let mut raw = tcgetattr(&pty.slave).unwrap();
    cfmakeraw(&mut raw);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &raw).unwrap();
    let (mut slave, master) = (File::from(pty.slave), pty.master);
    let id = running.on_loop(move |driver| {
        let id = driver.open_pipe(master, Direction::Both);
        // Far more than a terminal holds.
        driver.write_pipe(id, Bytes::from(pattern(len)));
        id
    });
    let typed = thread::spawn(move || {
        let mut got = Vec::new();
        // A terminal that nobody serves any more says so, and refuses what is written.
        let _ = (&slave).take(len as u64).read_to_end(&mut got);
        let _ = slave.write_all(&pattern(len));
        got
    });
    let mut through = until_closed(calls, id);
    through.outputs = vec![typed.join().unwrap()];
    through
}

/// Everything that is said of a pipe, up to its end.
fn until_closed(calls: &Receiver<Call>, id: PipeId) -> Through {
    let mut through = Through::default();
    loop {
        match next(calls) {
            Call::PipeInput(pipe, bytes) if pipe == id => through.inputs.push(bytes),
            Call::PipeDrained(pipe) if pipe == id => through.drained += 1,
            Call::PipeClosed(pipe, errno) if pipe == id => {
                through.end = Some(errno);
                return through;
            }
            other => panic!("{other:?}"),
        }
    }
}
