//! Listening: who gets a path, with which permissions, and what is said to those who do not.

mod common;

use std::{
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::Path,
    sync::{Arc, Barrier},
    thread,
};

use common::*;
use gantry_transport_mio::{Endpoint, Limits, ListenError, Server};

fn server() -> Server<Wire, Job> {
    Server::new(Limits::default()).expect("new server")
}

fn at(path: &Path) -> Endpoint {
    format!("unix://{}", path.display()).parse().expect("endpoint")
}

#[test]
fn a_socket_has_its_mode_and_group_and_goes_with_the_loop() {
    let dir = Scratch::new();
    let path = dir.path.join("s");
    let mut server = server();
    let address = server
        .listen(&Endpoint::Unix {
            path: path.clone(),
            mode: 0o660,
            gid: Some(4242),
        })
        .expect("listen");
    assert_eq!(address, format!("unix://{}", path.display()));
    let metadata = std::fs::symlink_metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    assert_eq!(metadata.gid(), 4242);
    UnixStream::connect(&path).expect("somebody listens");
    drop(server);
    assert_eq!(
        std::fs::read_dir(&dir.path).unwrap().count(),
        0,
        "socket and lock are removed"
    );
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let dir = Scratch::new();
    let path = dir.path.join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the standard library leaves it behind");
    let mut server = server();
    server.listen(&at(&path)).expect("taken over");
    UnixStream::connect(&path).expect("somebody listens");
}

#[test]
fn what_is_in_use_or_no_socket_is_left_alone() {
    let dir = Scratch::new();

    let path = dir.path.join("foreign");
    let foreign = UnixListener::bind(&path).unwrap();
    let refused = server().listen(&at(&path)).expect_err("a foreign daemon listens");
    assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    assert_eq!(std::io::Error::from(refused).kind(), ErrorKind::AddrInUse);
    UnixStream::connect(&path).expect("the foreign daemon still listens");
    drop(foreign);

    let path = dir.path.join("datagram");
    let _datagram = UnixDatagram::bind(&path).unwrap();
    let refused = server().listen(&at(&path)).expect_err("a socket of another type");
    assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");

    let path = dir.path.join("ours");
    let mut first = server();
    first.listen(&at(&path)).expect("listen");
    for _ in 0..2 {
        let refused = server().listen(&at(&path)).expect_err("we listen already");
        assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");
        UnixStream::connect(&path).expect("the first still listens");
    }

    let path = dir.path.join("file");
    std::fs::write(&path, "precious").unwrap();
    let refused = server().listen(&at(&path)).expect_err("a file is in the way");
    assert!(matches!(refused, ListenError::NotASocket { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");

    let path = dir.path.join("link");
    std::os::unix::fs::symlink(dir.path.join("nowhere"), &path).unwrap();
    let refused = server().listen(&at(&path)).expect_err("a link is in the way");
    assert!(matches!(refused, ListenError::NotASocket { .. }), "{refused}");

    let path = dir.path.join("missing/s");
    let refused = server().listen(&at(&path)).expect_err("no directory");
    assert!(refused.to_string().contains("missing/s: No such file"), "{refused}");
}

#[test]
fn what_another_put_there_is_not_removed() {
    let dir = Scratch::new();
    let path = dir.path.join("s");
    let mut server = server();
    server.listen(&at(&path)).expect("listen");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "somebody else's").unwrap();
    drop(server);
    assert!(path.exists());
}

#[test]
fn of_many_who_find_a_stale_socket_one_wins() {
    for _ in 0..20 {
        let dir = Scratch::new();
        let path = dir.path.join("s");
        drop(UnixListener::bind(&path).unwrap());
        let start = Arc::new(Barrier::new(6));
        let rivals: Vec<_> = (0..6)
            .map(|_| {
                let (start, path) = (Arc::clone(&start), path.clone());
                thread::spawn(move || {
                    let mut server = server();
                    start.wait();
                    let won = server.listen(&at(&path));
                    // Nobody leaves before everybody has tried.
                    start.wait();
                    won.map(|_| server)
                })
            })
            .collect();
        let results: Vec<_> = rivals.into_iter().map(|rival| rival.join().unwrap()).collect();
        let winners = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(winners, 1);
        for lost in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(lost, ListenError::InUse { .. }), "{lost}");
        }
        UnixStream::connect(&path).expect("the winner listens");
    }
}

#[test]
fn tcp_listens_on_both_families_and_names_what_is_taken() {
    for (name, endpoint) in [("v4", "tcp://127.0.0.1:0"), ("v6", "tcp://[::1]:0")] {
        let mut first = server();
        let address = first.listen(&endpoint.parse().unwrap()).expect(name);
        assert!(!address.ends_with(":0"), "{name}: the port is known: {address}");
        std::net::TcpStream::connect(address.trim_start_matches("tcp://")).expect(name);
        let refused = server().listen(&address.parse().unwrap()).expect_err(name);
        assert!(
            refused
                .to_string()
                .starts_with(&format!("cannot listen on {address}: Address")),
            "{refused}"
        );
        assert_eq!(std::io::Error::from(refused).kind(), ErrorKind::AddrInUse, "{name}");
    }
}
