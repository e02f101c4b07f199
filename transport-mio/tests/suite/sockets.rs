//! Connections over real Unix and TCP sockets: bytes, ends, resets, back-pressure.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use gantry_core::driver::{ConnId, Driver};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, send, setsockopt, sockopt},
};
use transport::{Limits, OUTPUT_HIGH_WATER, OUTPUT_LOW_WATER};

use crate::common::*;

#[test]
fn echoes_whatever_the_cut() {
    let cuts = [
        ("bytes", 1, 300),
        ("odd", 7, 10_000),
        ("pages", 4096, 300_000),
        ("larger than any buffer", 300_001, 900_000),
    ];
    let (running, _calls) = Running::record(Wire::echo);
    for (name, cut, len) in cuts {
        let bytes = pattern(len);
        for (kind, mut client) in running.connect_both() {
            let mut twin = client.twin();
            let sent = bytes.clone();
            let writer = thread::spawn(move || {
                sent.chunks(cut)
                    .for_each(|piece| client.write_all(piece).expect("write"));
                client.shut_write();
            });
            let mut got = Vec::new();
            twin.read_to_end(&mut got).expect("echo");
            assert!(
                got == bytes,
                "{name} over {kind}: {} of {len} bytes came back",
                got.len()
            );
            writer.join().expect("writer");
        }
    }
}

#[test]
fn a_protocol_that_takes_little_gets_the_rest_again() {
    let (running, _calls) = Running::record(Wire::nibbling);
    let bytes = pattern(20_000);
    for (kind, mut client) in running.connect_both() {
        client.write_all(&bytes).expect("write");
        assert!(read_len(&mut client, bytes.len()) == bytes, "{kind}");
    }
}

#[test]
fn a_slow_reader_stops_the_sender_and_nothing_grows() {
    const TOTAL: usize = 100 * 1024 * 1024;
    let (running, _calls) = Running::record(Wire::echo);
    let mut client = running.connect_unix();
    let conn = running.next_conn();
    let block = pattern(64 * 1024);

    // Without a reader the sender is stopped by what fits into the kernel's buffers and the protocol's.
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let mut refused = 0;
    while refused < 100 {
        match client.write(&block[sent % block.len()..]) {
            Ok(len) => {
                sent += len;
                refused = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                // The loop has had a whole turn when it has answered.
                let queued = running.on_loop(move |driver| gantry_queued(driver, conn));
                assert!(queued <= 64 * 1024, "the protocol's bound holds");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent < 2 * 1024 * 1024, "{sent} bytes were taken without a reader");

    client.set_nonblocking(false).unwrap();
    let mut writing = client.try_clone().unwrap();
    let sending = block.clone();
    let writer = thread::spawn(move || {
        while sent < TOTAL {
            let rest = &sending[sent % sending.len()..];
            sent += writing.write(&rest[..rest.len().min(TOTAL - sent)]).expect("write");
        }
        writing.shut_write();
    });
    let mut got = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let want = (block.len() - got % block.len()).min(buffer.len());
        let len = client.read(&mut buffer[..want]).expect("read");
        if len == 0 {
            break;
        }
        let from = got % block.len();
        assert!(buffer[..len] == block[from..from + len], "at {got}");
        got += len;
    }
    assert_eq!(got, TOTAL);
    writer.join().expect("writer");
}

fn gantry_queued(driver: &mut transport::Reactor<Wire>, conn: ConnId) -> usize {
    use gantry_core::driver::Protocol;
    driver.protocol(conn).expect("the connection is there").output_queued()
}

#[test]
fn a_peer_that_ended_its_direction_is_still_served() {
    let (running, calls) = Running::record(Wire::relay);
    for (kind, mut client) in running.connect_both() {
        let conn = running.next_conn();
        client.write_all(b"last words").expect("write");
        client.shut_write();
        assert_eq!(
            inputs_until_other(&calls),
            (b"last words".to_vec(), Call::Event(conn, Said::Eof)),
            "{kind}"
        );
        // A round through the loop, in which a wrong end would show.
        running.tell(conn, |wire| wire.send(&pattern(1_000_000)));
        assert!(read_len(&mut client, 1_000_000) == pattern(1_000_000), "{kind}");
        running.tell(conn, |wire| {
            wire.send(b"bye");
            wire.close();
        });
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("read");
        assert_eq!(rest, b"bye", "{kind}");
        loop {
            match next(&calls) {
                Call::Writable(id) => assert_eq!(id, conn, "{kind}"),
                other => {
                    assert_eq!(other, Call::Closed(conn), "{kind}");
                    break;
                }
            }
        }
    }
}

#[test]
fn after_our_end_the_peer_may_go_on() {
    let (running, calls) = Running::record(Wire::relay);
    for (kind, mut client) in running.connect_both() {
        let conn = running.next_conn();
        running.tell(conn, |wire| {
            wire.send(b"all I had");
            wire.finish();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).expect("our end is seen");
        assert_eq!(got, b"all I had", "{kind}");
        let bytes = pattern(200_000);
        client.write_all(&bytes).expect("the other direction is open");
        drop(client);
        let (input, end) = inputs_until_other(&calls);
        assert!(input == bytes, "{kind}");
        assert_eq!(end, Call::Event(conn, Said::Eof), "{kind}");
        running.tell(conn, Wire::close);
        assert_eq!(next(&calls), Call::Closed(conn), "{kind}");
    }
}

#[test]
fn what_a_vanished_peer_sent_comes_first() {
    let bytes = pattern(150_000);
    let (running, calls) = Running::record(Wire::relay);
    // A Unix peer that closes is gone at once.
    let mut client = running.connect_unix();
    let conn = running.next_conn();
    client.write_all(&bytes).expect("write");
    drop(client);
    let (input, end) = inputs_until_other(&calls);
    assert!(input == bytes);
    assert_eq!(end, Call::Event(conn, Said::Reset));
    assert_eq!(next(&calls), Call::Closed(conn));

    // So is one that leaves bytes unread, which the kernel reports as an error.
    let mut client = running.connect_unix();
    let conn = running.next_conn();
    running.tell(conn, |wire| wire.send(b"never read"));
    client.write_all(b"x").expect("write");
    assert_eq!(next(&calls), Call::Event(conn, Said::Input(b"x".to_vec())));
    drop(client);
    assert_eq!(next(&calls), Call::Event(conn, Said::Reset));
    assert_eq!(next(&calls), Call::Closed(conn));

    // A TCP peer that closes has only ended its direction, as far as anybody can tell; a reset says more.
    let mut client = running.connect_tcp();
    let conn = running.next_conn();
    client.write_all(b"y").expect("write");
    assert_eq!(next(&calls), Call::Event(conn, Said::Input(b"y".to_vec())));
    reset(client);
    assert_eq!(next(&calls), Call::Event(conn, Said::Reset));
    assert_eq!(next(&calls), Call::Closed(conn));
}

/// Closes with a reset instead of an end (SO_LINGER of 0).
fn reset(client: TcpStream) {
    setsockopt(&client, sockopt::Linger, &linger_of_nothing()).expect("linger");
    drop(client);
}

fn linger_of_nothing() -> nix::libc::linger {
    nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    }
}

#[test]
fn a_vanished_peer_is_noticed_by_a_protocol_that_takes_no_input() {
    let (running, calls) = Running::record(Wire::paused);

    let client = running.connect_unix();
    let conn = running.next_conn();
    drop(client);
    assert_eq!(next(&calls), Call::Event(conn, Said::Reset), "unix");
    assert_eq!(next(&calls), Call::Closed(conn), "unix");

    let client = running.connect_tcp();
    let conn = running.next_conn();
    drop(client);
    assert_eq!(
        next(&calls),
        Call::Event(conn, Said::Eof),
        "an end has nothing to wait for"
    );
    running.tell(conn, Wire::close);
    assert_eq!(next(&calls), Call::Closed(conn), "tcp");

    let client = running.connect_tcp();
    let conn = running.next_conn();
    reset(client);
    assert_eq!(next(&calls), Call::Event(conn, Said::Reset), "tcp");
    assert_eq!(next(&calls), Call::Closed(conn), "tcp");
}

#[test]
fn what_a_vanished_peer_sent_waits_for_a_protocol_that_takes_no_input() {
    let (running, calls) = Running::record(Wire::paused);
    let bytes = pattern(100_000);
    let mut client = running.connect_unix();
    let conn = running.next_conn();
    client.write_all(&bytes).expect("write");
    drop(client);
    // Two more connections come and go: the loop has seen the hang-up, and had turns since.
    for _ in 0..2 {
        drop(running.connect_unix());
        let other = running.next_conn();
        assert_eq!(next(&calls), Call::Event(other, Said::Reset));
        assert_eq!(next(&calls), Call::Closed(other));
    }
    running.tell(conn, |wire| wire.paused = false);
    let (input, end) = inputs_until_other(&calls);
    assert!(input == bytes);
    assert_eq!(end, Call::Event(conn, Said::Reset));
}

#[test]
fn close_sends_everything_first() {
    let (running, _calls) = Running::record(Wire::relay);
    let bytes = pattern(5_000_000);
    for (kind, mut client) in running.connect_both() {
        let conn = running.next_conn();
        let sent = bytes.clone();
        running.tell(conn, move |wire| {
            wire.send(&sent);
            wire.close();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).expect("read");
        assert!(got == bytes, "{kind}: {} bytes", got.len());
    }
}

#[test]
fn writable_is_called_once_below_the_low_mark() {
    let (running, calls) = Running::record(Wire::relay);
    let mut client = running.connect_unix();
    let conn = running.next_conn();

    // More than the kernel takes, so that it waits; then it is read, and falls below the mark.
    running.tell(conn, |wire| wire.send(&pattern(2_000_000)));
    assert!(running.on_loop(move |driver| gantry_queued(driver, conn)) > OUTPUT_HIGH_WATER);
    assert!(calls.try_recv().is_err(), "it waits above the mark");
    assert!(read_len(&mut client, 2_000_000) == pattern(2_000_000));
    assert_eq!(next(&calls), Call::Writable(conn));
    assert!(running.on_loop(move |driver| gantry_queued(driver, conn)) < OUTPUT_LOW_WATER);

    // Never above the high mark: no call. The end is what comes next.
    running.tell(conn, |wire| wire.send(&[0; OUTPUT_LOW_WATER]));
    read_len(&mut client, OUTPUT_LOW_WATER);
    client.shut_write();
    assert_eq!(next(&calls), Call::Event(conn, Said::Eof));
}

#[test]
fn a_service_that_feeds_on_writable_gets_everything_through() {
    // Each call-back queues the next piece, above the mark again.
    let (done, finished) = channel();
    let mut left = 200;
    let running = Running::start(Limits::default(), Wire::relay, move |driver, call| {
        let (Call::Event(conn, Said::Input(_)) | Call::Writable(conn)) = call else {
            return;
        };
        let wire = driver.protocol(conn).expect("there");
        if left == 0 {
            wire.close();
            let _ = done.send(());
            return;
        }
        left -= 1;
        wire.send(&[b'x'; 2 * OUTPUT_HIGH_WATER]);
    });
    let mut client = running.connect_unix();
    client.write_all(b"go").expect("write");
    let mut got = Vec::new();
    client.read_to_end(&mut got).expect("read");
    assert_eq!(got.len(), 200 * 2 * OUTPUT_HIGH_WATER);
    finished.recv_timeout(PATIENCE).expect("finished");
}

#[test]
fn a_protocols_deadline_comes_in_time_and_not_before() {
    let (running, calls) = Running::record(Wire::relay);
    let _client = running.connect_unix();
    let conn = running.next_conn();
    let deadline = running.on_loop(move |driver| {
        let late = driver.now() + Duration::from_secs(3600);
        let soon = driver.now() + Duration::from_millis(30);
        // A later deadline that is replaced by an earlier one must not be waited for.
        driver.protocol(conn).expect("there").deadline = Some(late);
        driver.protocol(conn).expect("there").deadline = Some(soon);
        soon
    });
    assert_eq!(next(&calls), Call::Event(conn, Said::Timeout));
    assert!(running.on_loop(|driver| driver.now()) >= deadline);

    // And the other way round: moved later, it is not told early.
    running.tell(conn, |_| ());
    let moved = running.on_loop(move |driver| {
        let moved = driver.now() + Duration::from_millis(60);
        driver.protocol(conn).expect("there").deadline = Some(driver.now() + Duration::from_millis(20));
        driver.protocol(conn).expect("there").deadline = Some(moved);
        moved
    });
    assert_eq!(next(&calls), Call::Event(conn, Said::Timeout));
    assert!(running.on_loop(|driver| driver.now()) >= moved);
}

#[test]
fn peers_beyond_the_bound_wait_until_there_is_room() {
    let (calls, seen) = channel();
    let limits = Limits { connections: 2 };
    let running = Running::start(limits, Wire::echo, move |_, call| {
        let _ = calls.send(call);
    });
    let mut first = running.connect_unix();
    let _second = running.connect_tcp();
    let ids = [running.next_conn(), running.next_conn()];
    let mut third = running.connect_unix();
    third.write_all(b"hello").expect("the backlog takes it");
    first.write_all(b"x").expect("write");
    assert_eq!(read_len(&mut first, 1), b"x", "the loop has had a turn");
    assert!(!running.has_accepted(), "nobody else is accepted");
    drop(first);
    assert_eq!(read_len(&mut third, 5), b"hello");
    let third_id = running.next_conn();
    assert!(!ids.contains(&third_id), "ids are not used again");
    assert!(matches!(next(&seen), Call::Event(_, Said::Reset)));
    assert!(matches!(next(&seen), Call::Closed(id) if ids.contains(&id)));
}

#[test]
fn accepted_sockets_are_closed_on_exec_and_non_blocking() {
    let running = Running::start(Limits::default(), Wire::echo, |_, _| ());
    let mut client = running.connect_tcp();
    client.write_all(b"x").unwrap();
    read_len(&mut client, 1);
    // The server's end is the descriptor of this process whose peer is our own address.
    let ours = client.local_addr().unwrap();
    let servers = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let number: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let peer = nix::sys::socket::getpeername::<nix::sys::socket::SockaddrStorage>(number).ok()?;
        (peer.as_sockaddr_in()?.port() == ours.port()).then_some(number)
    });
    let servers: Vec<i32> = servers.collect();
    assert_eq!(servers.len(), 1);
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", servers[0])).unwrap();
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .unwrap()
        .trim();
    let flags = i32::from_str_radix(flags, 8).unwrap();
    assert_ne!(flags & nix::libc::O_CLOEXEC, 0, "close-on-exec");
    assert_ne!(flags & nix::libc::O_NONBLOCK, 0, "non-blocking");
}

#[test]
fn the_service_is_told_which_listener_a_peer_came_in_by() {
    let running = Running::start(Limits::default(), Wire::echo, |_, _| ());
    let _unix = running.connect_unix();
    assert_eq!(running.next_accepted().1, UNIX);
    let _tcp = running.connect_tcp();
    assert_eq!(running.next_accepted().1, TCP);
}

#[test]
fn what_cannot_accept_is_refused() {
    let mut server = server(Limits::default());
    let file = std::fs::File::open("/dev/null").expect("open");
    server.listen(file.into(), UNIX).expect_err("no socket at all");
    let (reader, _writer) = std::io::pipe().expect("pipe");
    server.listen(reader.into(), UNIX).expect_err("no socket at all");
}

#[test]
fn a_stopped_loop_ends_its_connections() {
    let running = Running::start(Limits::default(), Wire::relay, |_, _| ());
    let mut client: UnixStream = running.connect_unix();
    let conn = running.next_conn();
    let mailbox = running.mailbox.clone();
    running.on_loop(move |driver| {
        driver.protocol(conn).expect("there").send(b"last");
        driver.stop();
    });
    let mut got = Vec::new();
    client.read_to_end(&mut got).expect("read");
    assert_eq!(got, b"last", "the turn is finished");
    let tcp = running.tcp.clone();
    drop(running);
    assert!(TcpStream::connect(tcp).is_err(), "nobody listens");
    assert!(mailbox.send(Box::new(|_| ())).is_err(), "nobody listens to messages");
}

/// An urgent byte stands between two reads, however much lies behind it: a short read is then no empty socket (tcp(7), unix(7)).
#[test]
fn what_lies_behind_an_urgent_byte_is_read() {
    let (running, _calls) = Running::record(Wire::echo);
    let (unix, tcp) = (running.connect_unix(), running.connect_tcp());
    let clients: [(_, OwnedFd, Box<dyn Client>); 2] = [
        ("unix", unix.try_clone().unwrap().into(), Box::new(unix)),
        ("tcp", tcp.try_clone().unwrap().into(), Box::new(tcp)),
    ];
    for (name, socket, mut client) in clients {
        // All of it in one turn, so there is one report.
        running.on_loop(move |_| {
            for (bytes, flags) in [
                (&b"before"[..], MsgFlags::empty()),
                (b"!", MsgFlags::MSG_OOB),
                (b"behind", MsgFlags::empty()),
            ] {
                match send(socket.as_raw_fd(), bytes, flags) {
                    Ok(len) => assert_eq!(len, bytes.len(), "{name}"),
                    // Unix sockets have urgent bytes since Linux 5.15.
                    Err(errno) => assert_eq!((name, errno), ("unix", Errno::EOPNOTSUPP)),
                }
            }
        });
        assert_eq!(read_len(&mut client, 12), b"beforebehind", "{name}");
    }
}
