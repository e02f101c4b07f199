//! Sockets, pipes, timers and the loop that drives a protocol, on io_uring.
//!
//! This is one of the transports behind [`gantry_core::driver`]: the one for kernels that allow it. It behaves as the one
//! on epoll does, and passes the same list of cases; the difference is who does the work. Instead of asking what is ready
//! and then moving bytes, it says what is to be moved and hears when that has happened: one system call hands over all that
//! a turn has to send, unless that is one small answer, and brings all that has come in. The facts are those of io_uring(7),
//! io_uring_enter(2), send(2), unix(7), tcp(7), pipe(7) and pty(7); what the call-backs mean is said at the contract.
//!
//! # The loop
//!
//! ```text
//!          io_uring_enter <--------------------------------------------------.
//!                  |  completions                                            |
//!   +--------------v------------------------ one turn --------------------+  |  no wait while somebody can go on,
//!   | note completions -> fire timers -> deliver messages -> serve queue  |--'  else until the first deadline
//!   +---------------------------------------------------------------------+     operations
//! ```
//!
//! Rules beyond those that all transports share ([`gantry_core::driver::turn`]):
//!
//! - **What is lent belongs to its operation.** Memory that the kernel reads, and every descriptor, is owned by an entry of a
//!   slab until the operation's last completion. Whoever wanted it may be gone by then. When the loop ends, everything is
//!   cancelled and waited for before the ring is closed; memory that the kernel would not give back is lost, never freed.
//! - **Who waits holds nothing.** The kernel puts what arrives into buffers of one pool, which it chooses when there is
//!   something to put there. They go back as soon as a protocol or service has seen them; bytes that nobody wants yet are
//!   copied out first. When the pool is empty, readers pause and are started again in their order.
//! - **Reading goes on by itself only while it trickles.** A source that brings much, or is told to stop, is read once for
//!   each time its bytes are wanted. So back-pressure costs no cancellations, and nobody floods the pool.
//! - **Who is alone sends directly.** A connection that has a turn for itself and little to say (an answer of up to 4 KiB)
//!   sends it with send(2), and only what the socket does not take goes to the ring. See below.
//! - **Pipes are written directly.** A pipe has one writer, so there is nothing to batch: writev(2) puts into it what it holds, and
//!   the ring waits for room for the rest.
//! - **No entry is lost.** What the submission queue does not hold waits in a list, so a cancellation always gets through;
//!   what the completion queue does not hold is kept by the kernel.
//!
//! # Ends
//!
//! As with the other transport: see [`gantry_core::driver::conn`]. A connection has a poll operation for the whole of its
//! life, which tells of ends and hang-ups also while nothing is read, and of those that a receive which goes on by itself
//! has missed. What a vanished peer has left is read directly, once nothing is under way. A descriptor that is closed is let go
//! of by the kernel when the cancellations of that turn have been handed over: by the end of the turn, not within it.
//!
//! # Directly, or by the ring
//!
//! A send by the ring costs an entry, an operation, a completion, and a wait that returns at once because of that completion:
//! next to nothing for each of many, as they share all calls, but a whole round of the loop for one that is alone. So:
//!
//! | who has something to send | how | calls |
//! | --- | --- | --- |
//! | one connection that is the only one to be served in its turn, up to 4 KiB | send(2), then the wait | 2 |
//! | several connections in one turn | the ring | 1 for all, with the wait |
//! | one that passes on what a pipe brings | the ring | 1, with the next read of the pipe |
//!
//! Already from two on, the ring is better: it hands over all answers before any of the peers can run, while each direct send
//! wakes one, which may take the processor from the loop. And a client that is woken for each piece of a stream falls behind.
//! CPU of a `_ping` as a ratio to the transport on epoll, medians of one run of 20 rounds on two busy cores (release build
//! without link-time optimisation), for the ring alone, direct sends of whoever is alone, and of up to three at a time:
//!
//! | connections | unix: ring / alone / three | TCP: ring / alone / three |
//! | --- | --- | --- |
//! | 1 | 1.02 / 0.98 / 1.02 | 1.11 / 1.04 / 1.06 |
//! | 2 | 0.96 / 0.96 / 1.07 | 1.05 / 0.95 / 1.10 |
//! | 4 | 0.79 / 0.71 / 0.72 | 0.85 / 0.89 / 0.87 |
//! | 16 | 0.76 / 0.73 / 0.75 | 0.88 / 0.92 / 0.88 |
//! | 64 | 0.69 / 0.72 / 0.68 | 0.83 / 0.82 / 0.82 |
//!
//! With one connection, four runs gave 0.98 to 1.06 on unix sockets and 1.00 to 1.08 on TCP: where the scheduler puts the two
//! ends counts for more than the difference.
//!
//! # What is not used, and why
//!
//! - *Registered descriptors* would save a reference count per operation, and take sockets out of `/proc/PID/fd` and out of the
//!   process's limit of descriptors, so that nobody outside sees or bounds them. A bare loop of one receive and one send per
//!   request took 0.99, 0.94 and 0.95 of its CPU with them on 1, 64 and 1,000 connections (medians of 41 rounds in turn, on a
//!   busy machine): 70 to 220 ns, at most 1 to 3 % of a `_ping`, whose receive goes on by itself and pays only once.
//! - *The ring's own descriptor*, registered, would save a reference count per call, about 1 % of a `_ping`; the crate
//!   forgets the number when the ring is no longer borrowed.
//! - *Zero-copy sends* are refused by Unix sockets, and copy anyway over the loopback device.
//! - *Linked operations*: a connection has one send under way, for there is no room for output while there is one; what precedes a
//!   splice is sent directly; and the one shutdown of a connection's life comes when nothing is unsent. There is nothing to link.
//! - *Splicing by the ring* is done by a thread of the kernel for each piece; splice(2) is called directly, and the ring says when
//!   there is room again.
//!
//! # An example
//!
//! A daemon that answers each connection with one line, and stops after the first:
//!
//! ```
//! use gantry_core::{Instant, driver::{ConnId, Driver, ListenerId, Output, PipeId, Protocol, Service, TimerId}};
//! use gantry_transport_uring::{Limits, Mailbox, Reactor, Server};
//!
//! struct Greeting(&'static [u8]);
//!
//! impl Protocol for Greeting {
//!     type Event = ();
//!     fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> usize { bytes.len() }
//!     fn handle_eof(&mut self, _: Instant) {}
//!     fn handle_reset(&mut self, _: Instant) {}
//!     fn handle_timeout(&mut self, _: Instant) {}
//!     fn poll_output(&mut self, _: Instant, out: &mut [u8]) -> Output<()> {
//!         let len = self.0.len().min(out.len());
//!         out[..len].copy_from_slice(&self.0[..len]);
//!         self.0 = &self.0[len..];
//!         match len {
//!             0 if self.0.is_empty() => Output::Close,
//!             0 => Output::Wait(None),
//!             len => Output::Transmit(len),
//!         }
//!     }
//!     fn output_queued(&self) -> usize { self.0.len() }
//!     fn wants_input(&self) -> bool { true }
//! }
//!
//! struct Daemon;
//!
//! impl Service<Reactor<Greeting>> for Daemon {
//!     type Message = String;
//!     fn accept(&mut self, _: &mut Reactor<Greeting>, _: ConnId, _: ListenerId) -> Greeting { Greeting(b"hello\n") }
//!     fn event(&mut self, _: &mut Reactor<Greeting>, _: ConnId, _: ()) {}
//!     fn writable(&mut self, _: &mut Reactor<Greeting>, _: ConnId) {}
//!     fn closed(&mut self, driver: &mut Reactor<Greeting>, _: ConnId) { driver.stop(); }
//!     fn pipe_input(&mut self, _: &mut Reactor<Greeting>, _: PipeId, _: &[u8]) {}
//!     fn pipe_drained(&mut self, _: &mut Reactor<Greeting>, _: PipeId) {}
//!     fn pipe_closed(&mut self, _: &mut Reactor<Greeting>, _: PipeId, _: i32) {}
//!     fn timer(&mut self, _: &mut Reactor<Greeting>, _: TimerId) {}
//!     fn message(&mut self, _: &mut Reactor<Greeting>, message: String) { println!("{message}"); }
//! }
//!
//! let mut server = match Server::new(Limits::default()) {
//!     Ok(server) => server,
//!     // Not every system allows it; the reason is one to be read.
//!     Err(refused) => return Ok(println!("{refused}")),
//! };
//! let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let address = socket.local_addr()?;
//! server.listen(socket.into(), ListenerId(0))?;
//! let mailbox: Mailbox<String> = server.mailbox();
//! let client = std::thread::spawn(move || {
//!     mailbox.send("a client comes".to_owned()).expect("the loop runs");
//!     let socket = std::net::TcpStream::connect(address)?;
//!     std::io::read_to_string(socket)
//! });
//! server.run(&mut Daemon)?;
//! assert_eq!(client.join().expect("client")?, "hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Faults
//!
//! With the feature `faults`, which no released program has, operations go wrong when a test wants it: they get fewer bytes,
//! are cancelled in the kernel whenever something completes, stop going on by themselves, and find no buffers; by chance, from
//! a seed, or one at every place by itself. `tests/faults` runs exchanges of the real protocol, an echo and pipes through
//! that, and lets everything end at every call-back. Whatever can be made good must not be seen, what cannot must end one
//! connection once, and every operation and buffer must come back. `GANTRY_SEED` plays a run again:
//!
//! ```text
//! cargo test -p gantry-transport-uring --features faults --test faults
//! ```
//!
//! # Where things are
//!
//! `server` blocks and gives turns; `reactor` is what a service acts on; `drive` is a connection's turn and `pipe` that of
//! a descriptor; `conn` is a connection's socket; `splice` moves what the service has in a pipe to that socket unseen, without
//! the ring; `listener` accepts; `intake` decides when a source is read. `ring` hands
//! over and collects, `op` is what is under way, `buffer` is the pool; `probe` says what the kernel refuses. `timer` has
//! time-outs; `wake` brings messages of other threads; `limits` has this transport's numbers. Unsafe code is in `ring` and
//! `buffer` alone. What every transport shares is in [`gantry_core::driver`].
#![deny(unsafe_code)]

// The very same file: nothing in it knows how a transport accepts.
#[path = "../../transport-mio/src/accept.rs"]
mod accept;
mod buffer;
mod calls;
mod conn;
mod drive;
// The very same file: nothing in it knows what a transport asks of the kernel.
#[cfg(feature = "faults")]
#[path = "../../transport-mio/src/faults.rs"]
pub mod faults;
mod intake;
mod limits;
mod listener;
mod op;
mod pipe;
mod probe;
mod reactor;
mod ring;
mod server;
// The very same file: a splice is a system call of its own with every transport.
#[path = "../../transport-mio/src/splice.rs"]
mod splice;
mod timer;
// The very same file: nothing in it knows how a transport waits.
#[path = "../../transport-mio/src/wake.rs"]
mod wake;

pub use gantry_core::driver::limits::{Limits, OUTPUT_HIGH_WATER, OUTPUT_LOW_WATER};

pub use crate::{
    probe::Refused,
    reactor::Reactor,
    server::Server,
    wake::{LoopEnded, Mailbox},
};
