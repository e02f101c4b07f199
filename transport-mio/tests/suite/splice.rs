//! Pipes whose bytes go to a connection unseen (splice(2)): their place among the others, and when they are closed.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::AsFd,
    sync::mpsc::channel,
    thread,
};

use gantry_core::driver::{ConnId, Driver, SourceId};
use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};

use crate::common::*;

const SOURCE: SourceId = SourceId(5);

/// A source of this connection; returns where to write.
fn open(running: &Running, conn: ConnId) -> File {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    running.on_loop(move |driver| driver.open_source(conn, SOURCE, reader));
    writer.into()
}

/// Waits until nobody can read what is written here.
fn wait_closed(writer: impl AsFd) {
    let patience = PollTimeout::try_from(PATIENCE).unwrap();
    let mut fds = [PollFd::new(writer.as_fd(), PollFlags::empty())];
    assert_eq!(poll(&mut fds, patience), Ok(1), "the source is closed");
    assert_eq!(fds[0].revents(), Some(PollFlags::POLLERR));
}

fn is_closed(writer: &File) -> bool {
    let mut fds = [PollFd::new(writer.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO) == Ok(1)
}

#[test]
fn they_keep_their_place_however_slowly_the_peer_reads() {
    const CHUNKS: usize = 60;
    const CHUNK: usize = 50_000;
    let (running, _calls) = Running::record(Wire::relay);
    for (name, mut client) in running.connect_both() {
        let conn = running.next_conn();
        let mut writer = open(&running, conn);
        let (announce, announced) = channel();
        let reader = thread::spawn(move || {
            // Not before there is something to wait behind; all of it would fit neither into the pipe nor into the socket.
            announced.iter().nth(1);
            let mut bytes = Vec::new();
            let mut piece = [0; 3000];
            while let len @ 1.. = client.read(&mut piece).expect("read") {
                bytes.extend_from_slice(&piece[..len]);
            }
            bytes
        });
        let mut wanted = Vec::new();
        for number in 0..CHUNKS {
            let header = [number as u8; 8];
            let chunk = pattern(CHUNK + number);
            wanted.extend(header);
            wanted.extend(&chunk);
            writer.write_all(&chunk).unwrap();
            let len = chunk.len();
            running.tell(conn, move |wire| {
                wire.send(&header);
                wire.splice(SOURCE, len);
            });
            let _ = announce.send(());
        }
        running.tell(conn, |wire| {
            wire.send(b"end");
            wire.close();
        });
        wanted.extend(b"end");
        assert!(reader.join().unwrap() == wanted, "{name}");
        wait_closed(writer);
    }
}

#[test]
fn a_source_is_closed_behind_its_last_byte_and_what_is_left_is_lost() {
    let (running, _calls) = Running::record(Wire::relay);
    for (name, mut client) in running.connect_both() {
        let conn = running.next_conn();
        let mut writer = open(&running, conn);
        writer.write_all(b"onetwothree").unwrap();
        running.tell(conn, |wire| {
            wire.splice(SOURCE, 3);
            wire.splice(SOURCE, 3);
        });
        assert_eq!(read_len(&mut client, 6), b"onetwo", "{name}");
        assert!(!is_closed(&writer), "{name}: more may follow");
        running.on_loop(move |driver| driver.end_source(conn, SOURCE, 6));
        wait_closed(writer);

        // Told before the bytes are taken.
        let mut writer = open(&running, conn);
        writer.write_all(b"fourfive").unwrap();
        running.on_loop(move |driver| {
            driver.end_source(conn, SOURCE, 4);
            driver.protocol(conn).unwrap().splice(SOURCE, 4);
        });
        assert_eq!(read_len(&mut client, 4), b"four", "{name}");
        wait_closed(writer);
        running.tell(conn, |wire| wire.send(b"on"));
        assert_eq!(read_len(&mut client, 2), b"on", "{name}: the connection goes on");
    }
}

#[test]
fn a_source_goes_with_its_connection() {
    let (running, _calls) = Running::record(Wire::relay);
    for (_, client) in running.connect_both() {
        let conn = running.next_conn();
        let mut writer = open(&running, conn);
        // More than the socket takes: it waits for a peer that leaves.
        for _ in 0..2 {
            writer.write_all(&pattern(60_000)).unwrap();
            running.tell(conn, |wire| wire.splice(SOURCE, 60_000));
        }
        drop(client);
        wait_closed(writer);
        // Nobody is there any more.
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
        running.on_loop(move |driver| driver.open_source(conn, SOURCE, reader));
        wait_closed(writer);
    }
}

#[test]
fn a_pipe_that_ends_too_early_cuts_the_connection_off() {
    let (running, calls) = Running::record(Wire::relay);
    for (name, mut client) in running.connect_both() {
        let conn = running.next_conn();
        let mut writer = open(&running, conn);
        writer.write_all(b"half").unwrap();
        drop(writer);
        running.tell(conn, |wire| {
            wire.splice(SOURCE, 8);
            wire.send(b"never");
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).expect("an end");
        assert_eq!(got, b"half", "{name}");
        assert_eq!(next(&calls), Call::Event(conn, Said::Reset), "{name}");
        assert_eq!(next(&calls), Call::Closed(conn), "{name}");
    }
}
