//! At every call-back of a scenario, once each: the service closes what it has, the peer goes, or the loop ends. Nothing hangs,
//! nobody hears of what is closed, and everything comes back.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    mem,
    net::TcpStream,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
};

use bytes::Bytes;
use gantry_core::driver::{ConnId, Direction, Driver, PipeId};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, setsockopt, socketpair, sockopt};
use transport::{
    Limits, Reactor,
    faults::{Plan, When, begin},
};

use crate::{common::*, exchanges::seed, scene::*};

/// What happens at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// The service closes the pipes, and then the connection.
    ClosePipes,
    /// The protocol closes the connection.
    CloseConn,
    /// The peer resets the connection, with bytes of ours unread.
    PeerGoes,
    /// The other ends of the pipes are closed.
    PipesEnd,
    Stop,
}

const ACTS: [Act; 5] = [Act::ClosePipes, Act::CloseConn, Act::PeerGoes, Act::PipesEnd, Act::Stop];

/// A container's life as the daemon sees it: a client attached to two pipes. What the client says goes to one, what the other
/// brings goes to the client, and the end of one is the end of all.
struct Attached {
    act: Act,
    /// The call-back at which it happens.
    at: usize,
    /// Call-backs so far.
    count: Arc<AtomicUsize>,
    /// Bytes of the client and of the output that have not come yet. With the last one the far ends are closed.
    missing: usize,
    /// Everything of the outside world that may go: the client, and the far ends of the pipes.
    client: Arc<Mutex<Option<File>>>,
    far_ends: Arc<Mutex<Vec<OwnedFd>>>,
    /// The pipes, by what they are for.
    output: Option<PipeId>,
    input: Option<PipeId>,
    conn: Option<ConnId>,
    dead_pipes: BTreeSet<PipeId>,
    over: Sender<()>,
}

impl Attached {
    fn call(&mut self, driver: &mut Reactor<Wire>, call: Call) {
        self.check_alive(&call);
        if self.count.fetch_add(1, Ordering::Relaxed) == self.at {
            self.act(driver);
        }
        if let Call::Event(_, Said::Input(bytes)) | Call::PipeInput(_, bytes) = &call {
            self.missing -= bytes.len();
            if self.missing == 0 {
                self.far_ends.lock().unwrap().clear();
            }
        }
        match call {
            Call::Event(_, Said::Input(bytes)) => {
                if let Some(input) = self.input {
                    driver.write_pipe(input, Bytes::from(bytes));
                }
            }
            Call::Event(_, Said::Eof) => self.end(driver),
            Call::PipeInput(_, bytes) => {
                if let Some(wire) = self.conn.and_then(|conn| driver.protocol(conn)) {
                    wire.send(&bytes);
                }
            }
            Call::PipeClosed(pipe, _) => {
                self.dead_pipes.insert(pipe);
                self.end(driver);
            }
            Call::Closed(_) => {
                self.conn = None;
                self.end(driver);
                let _ = self.over.send(());
            }
            Call::Event(..) | Call::Writable(_) | Call::PipeDrained(_) | Call::Timer(_) => {}
        }
    }

    /// Nobody hears of what is closed.
    fn check_alive(&self, call: &Call) {
        match call {
            Call::Event(conn, _) | Call::Writable(conn) | Call::Closed(conn) => {
                assert_eq!(self.conn, Some(*conn), "{call:?} behind the end");
            }
            Call::PipeInput(pipe, _) | Call::PipeDrained(pipe) | Call::PipeClosed(pipe, _) => {
                assert!(!self.dead_pipes.contains(pipe), "{call:?} behind the end");
            }
            Call::Timer(timer) => unreachable!("{timer:?}"),
        }
    }

    fn act(&mut self, driver: &mut Reactor<Wire>) {
        match self.act {
            Act::ClosePipes => self.end(driver),
            Act::CloseConn => {
                if let Some(wire) = self.conn.and_then(|conn| driver.protocol(conn)) {
                    wire.close();
                }
            }
            Act::PeerGoes => drop(self.client.lock().unwrap().take()),
            Act::PipesEnd => drop(mem::take(&mut *self.far_ends.lock().unwrap())),
            Act::Stop => driver.stop(),
        }
    }

    /// Closes the pipes, and behind what is queued the connection.
    fn end(&mut self, driver: &mut Reactor<Wire>) {
        for pipe in [self.output.take(), self.input.take()].into_iter().flatten() {
            driver.close_pipe(pipe);
            self.dead_pipes.insert(pipe);
        }
        if let Some(wire) = self.conn.and_then(|conn| driver.protocol(conn)) {
            wire.close();
        }
    }
}

/// Bytes that the client says, and that the output brings. The client never reads, and a unix socket reports room only while
/// three quarters are free, so after an invented EAGAIN more than a quarter would wait for it for ever.
const SAID: usize = 10_000;
const BROUGHT: usize = 10_000;
const PIECE: usize = 1_000;

/// A relay of short pieces, so that there are many moments.
fn relay() -> Wire {
    let mut wire = Wire::relay();
    wire.take_max = PIECE;
    wire
}

/// Plays the scenario; returns how many call-backs there were.
fn play(kind: &str, act: Act, at: usize, plan: Plan) -> usize {
    let what = format!("{kind}, {act:?} at {at}, {plan:?}");
    let count = Arc::new(AtomicUsize::new(0));
    let client = Arc::new(Mutex::new(None));
    let far_ends = Arc::new(Mutex::new(Vec::new()));
    let (over, is_over) = channel();
    let mut attached = Attached {
        act,
        at,
        count: Arc::clone(&count),
        missing: SAID + BROUGHT,
        client: Arc::clone(&client),
        far_ends: Arc::clone(&far_ends),
        output: None,
        input: None,
        conn: None,
        dead_pipes: BTreeSet::new(),
        over,
    };
    let started: Arc<Mutex<Option<(ConnId, PipeId, PipeId)>>> = Arc::default();
    let begun = Arc::clone(&started);
    let running = Running::start(Limits::default(), relay, move |driver, call| {
        if let Some((conn, output, input)) = begun.lock().unwrap().take() {
            (attached.conn, attached.output, attached.input) = (Some(conn), Some(output), Some(input));
        }
        attached.call(driver, call);
    });
    let (output, far_output) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("socket pair");
    let (far_input, input) = std::io::pipe().expect("pipe");
    // As much as the other ends hold, so that nobody here has to write or read while it happens.
    for packet in pattern(BROUGHT).chunks(PIECE) {
        send(far_output.as_raw_fd(), packet, MsgFlags::empty()).expect("the socket holds it");
    }
    *far_ends.lock().unwrap() = vec![far_output, far_input.into()];
    let mut socket = match kind {
        "unix" => File::from(OwnedFd::from(UnixStream::connect(&running.unix).expect("connect"))),
        _ => {
            let socket = TcpStream::connect(&running.tcp).expect("connect");
            let at_once = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&socket, sockopt::Linger, &at_once).unwrap();
            File::from(OwnedFd::from(socket))
        }
    };
    let conn = running.next_conn();
    // Everything begins in one turn, before the first call-back.
    let begun = Arc::clone(&started);
    let for_act = Arc::clone(&client);
    running.on_loop(move |driver| {
        for piece in pattern(SAID).chunks(PIECE) {
            socket.write_all(piece).expect("the socket holds it");
        }
        *for_act.lock().unwrap() = Some(socket);
        let output = driver.open_pipe(output, Direction::Read);
        let input = driver.open_pipe(input.into(), Direction::Write);
        *begun.lock().unwrap() = Some((conn, output, input));
        begin(plan);
    });
    let ended = is_over.recv_timeout(PATIENCE);
    if act == Act::Stop && count.load(Ordering::Relaxed) > at {
        // The service goes with the loop.
        assert_ne!(ended, Err(RecvTimeoutError::Timeout), "{what}");
    } else {
        assert_eq!(ended, Ok(()), "{what}");
        comes_back(&what, |in_use| running.on_loop(in_use));
    }
    drop(running);
    count.load(Ordering::Relaxed)
}

#[test]
fn at_every_call_back_everything_may_end() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let kinds = [("unix", When::Never), ("tcp", When::Never), ("unix", When::OneIn(4))];
    for (kind, when) in kinds {
        for act in ACTS {
            let mut at = 0;
            loop {
                let plan = Plan {
                    seed: seed.wrapping_add(at as u64),
                    when,
                    resets: false,
                };
                let count = alone(|| play(kind, act, at, plan));
                if count <= at {
                    break;
                }
                at += 1;
            }
            assert!(at > 15, "{kind}, {act:?}: {at} call-backs");
        }
    }
}
