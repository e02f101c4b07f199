//! Who gets a path, with which permissions, and what is said to those who do not.

use std::{
    os::unix::{
        fs::PermissionsExt,
        net::{UnixDatagram, UnixListener, UnixStream},
    },
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use nix::sys::socket::getsockopt;

use super::*;

fn at(path: &Path) -> Endpoint {
    Endpoint::parse(&format!("unix://{}", path.display()), 0).expect("endpoint")
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text, 0).expect("endpoint")
}

fn open(endpoint: &Endpoint) -> Result<Listener, ListenError> {
    let mut opened = Listener::open(endpoint, &mut ListenFd::empty())?;
    Ok(opened.remove(0))
}

#[test]
fn a_socket_has_its_mode_and_group_and_goes_when_it_is_dropped() {
    let dir = Scratch::new();
    let path = dir.path.join("s");
    let listener = open(&Endpoint::Unix {
        path: path.clone(),
        mode: 0o660,
        gid: Some(4242),
    })
    .expect("listen");
    assert_eq!(listener.address(), format!("unix://{}", path.display()));
    let metadata = std::fs::symlink_metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    assert_eq!(metadata.gid(), 4242);
    UnixStream::connect(&path).expect("somebody listens");
    drop(listener);
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
    let _listener = open(&at(&path)).expect("taken over");
    UnixStream::connect(&path).expect("somebody listens");
}

#[test]
fn what_is_in_use_or_no_socket_is_left_alone() {
    let dir = Scratch::new();

    let path = dir.path.join("foreign");
    let foreign = UnixListener::bind(&path).unwrap();
    let refused = open(&at(&path)).expect_err("a foreign daemon listens");
    assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    UnixStream::connect(&path).expect("the foreign daemon still listens");
    drop(foreign);

    let path = dir.path.join("datagram");
    let _datagram = UnixDatagram::bind(&path).unwrap();
    let refused = open(&at(&path)).expect_err("a socket of another type");
    assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");

    let path = dir.path.join("ours");
    let _first = open(&at(&path)).expect("listen");
    for _ in 0..2 {
        let refused = open(&at(&path)).expect_err("we listen already");
        assert!(matches!(refused, ListenError::InUse { .. }), "{refused}");
        UnixStream::connect(&path).expect("the first still listens");
    }

    let path = dir.path.join("file");
    std::fs::write(&path, "precious").unwrap();
    let refused = open(&at(&path)).expect_err("a file is in the way");
    assert!(matches!(refused, ListenError::NotASocket { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");

    let path = dir.path.join("link");
    std::os::unix::fs::symlink(dir.path.join("nowhere"), &path).unwrap();
    let refused = open(&at(&path)).expect_err("a link is in the way");
    assert!(matches!(refused, ListenError::NotASocket { .. }), "{refused}");

    let path = dir.path.join("missing/s");
    let refused = open(&at(&path)).expect_err("no directory");
    assert!(refused.to_string().contains("missing/s: No such file"), "{refused}");
}

#[test]
fn what_another_put_there_is_not_removed() {
    let dir = Scratch::new();
    let path = dir.path.join("s");
    let listener = open(&at(&path)).expect("listen");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "somebody else's").unwrap();
    drop(listener);
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
                    start.wait();
                    let won = open(&at(&path));
                    // Nobody leaves before everybody has tried.
                    start.wait();
                    won
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
    for (name, text) in [("v4", "tcp://127.0.0.1:0"), ("v6", "tcp://[::1]:0")] {
        let first = open(&endpoint(text)).expect(name);
        let address = first.address();
        assert!(!address.ends_with(":0"), "{name}: the port is known: {address}");
        std::net::TcpStream::connect(address.trim_start_matches("tcp://")).expect(name);
        let refused = open(&endpoint(address)).expect_err(name);
        assert!(
            refused
                .to_string()
                .starts_with(&format!("cannot listen on {address}: Address")),
            "{refused}"
        );
    }
}

#[test]
fn what_was_not_inherited_is_named() {
    let cases = [
        (
            "fd://",
            "cannot listen on fd://: no socket was inherited (LISTEN_FDS is not set for this process)",
        ),
        ("fd://7", "cannot listen on fd://7: no such socket was inherited"),
    ];
    for (text, expected) in cases {
        assert_eq!(open(&endpoint(text)).expect_err(text).to_string(), expected);
    }
}

#[test]
fn what_is_accepted_inherits_the_options_of_tcp() {
    let listener = open(&endpoint("tcp://127.0.0.1:0")).expect("listen");
    let address = listener.address().trim_start_matches("tcp://").to_owned();
    let _client = std::net::TcpStream::connect(address).expect("connect");
    let accepting = TcpListener::from(listener.socket().expect("a copy"));
    accepting.set_nonblocking(false).unwrap();
    let (accepted, _) = accepting.accept().expect("a peer");
    assert!(getsockopt(&accepted, sockopt::TcpNoDelay).unwrap());
    assert!(getsockopt(&accepted, sockopt::KeepAlive).unwrap());
    assert_eq!(getsockopt(&accepted, sockopt::TcpKeepIdle), Ok(KEEPALIVE_IDLE_SECS));
    assert_eq!(
        getsockopt(&accepted, sockopt::TcpKeepInterval),
        Ok(KEEPALIVE_INTERVAL_SECS)
    );
    assert_eq!(getsockopt(&accepted, sockopt::TcpKeepCount), Ok(KEEPALIVE_PROBES));
}

/// A directory of one test, removed when dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gantryd-listener-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("scratch directory");
        Self { path }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
