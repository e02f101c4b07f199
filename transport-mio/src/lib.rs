//! Sockets, pipes, timers and the loop that drives a protocol, on epoll (by way of mio).
//!
//! This is one of the transports behind [`gantry_core::driver`], and the fallback that works on every kernel. It accepts,
//! reads, offers bytes to a [`Protocol`], sends what the protocol hands out, carries the descriptors of a [`Service`], and
//! tells it what has happened. It knows neither Docker nor HTTP, starts no thread, and blocks in one place. The facts are
//! those of epoll(7), unix(7), tcp(7), pipe(7) and pty(7); what the call-backs mean is said at the contract.
//!
//! # The loop
//!
//! ```text
//!              epoll_wait <--------------------------------------------------.
//!                  |  reports                                                |
//!   +--------------v----------------------- one turn --------------------+   |  no time-out while somebody can go on,
//!   | note reports -> fire timers -> deliver messages -> serve the queue |---'  else the first deadline, rounded up
//!   +--------------------------------------------------------------------+
//! ```
//!
//! Three rules keep it fair and small:
//!
//! - **An edge is remembered.** The kernel reports a change once, so "may be read" and "takes no more" are flags that only
//!   the system call itself clears. Whoever can go on without a further report stands in the queue.
//! - **Everybody has one bounded turn.** In a turn of the loop, a connection or pipe is served at most once, and moves at
//!   most its share; the turn itself ends after a few MiB. The rest goes on in the next one, behind the others.
//! - **Memory belongs to those who wait.** Everything passes through one scratch buffer of the loop. A connection owns bytes
//!   only while its protocol does not take them (at most 64 KiB) or its socket does not (at most 128 KiB).
//!
//! # Ends
//!
//! A peer that has ended its sending direction is told to the protocol as an end, and goes on being served. A peer that is
//! gone (hang-up, reset, failed send) is read to the last byte it sent, and then reported as a reset. An end with no bytes
//! before it is told even to a protocol that takes no input; bytes of a vanished peer wait for such a protocol for ten
//! seconds. TCP peers that vanish without a word are found by keep-alive, if whoever opened the
//! listening socket has asked for it. After
//! [`Output::Close`](gantry_core::driver::Output::Close), bytes that the socket has not taken yet still go out, for as long
//! as some do every ten seconds.
//!
//! # An example
//!
//! A daemon that answers each connection with one line, and stops after the first:
//!
//! ```
//! use gantry_core::{Instant, driver::{ConnId, Driver, ListenerId, Output, PipeId, Protocol, Service, TimerId}};
//! use gantry_transport_mio::{Limits, Mailbox, Reactor, Server};
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
//! let mut server = Server::new(Limits::default())?;
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
//! With the feature `faults`, which no released program has, the system calls of connections, pipes and listeners go wrong
//! when a test wants it: fewer bytes, EAGAIN, EINTR, resets, no descriptors left; by chance, from a seed, or one at every place by
//! itself. `tests/faults` runs exchanges of the real protocol, an echo and pipes through that, and lets everything end at
//! every call-back. Whatever can be made good must not be seen, what cannot must end one connection once, and everything
//! must come back. `GANTRY_SEED` plays a run again:
//!
//! ```text
//! cargo test -p gantry-transport-mio --features faults --test faults
//! ```
//!
//! # Where things are
//!
//! `server` blocks and gives turns; `reactor` is what a service acts on; `drive` is a connection's turn and `pipe` that of
//! a descriptor; `conn` is a connection's socket; `splice` moves what the service has in a pipe to that socket unseen;
//! `listener` accepts; `calls` are the system calls that move bytes; `timer` rounds time-outs; `wake` brings messages of other
//! threads; `limits` has this transport's numbers. What every transport shares is in [`gantry_core::driver`].
//!
//! [`Protocol`]: gantry_core::driver::Protocol
//! [`Service`]: gantry_core::driver::Service
#![deny(unsafe_code)]

mod accept;
mod calls;
mod conn;
mod drive;
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(feature = "faults")]
mod faulty;
mod limits;
mod listener;
mod pipe;
mod reactor;
mod server;
mod splice;
mod timer;
mod wake;

pub use gantry_core::driver::limits::{Limits, OUTPUT_HIGH_WATER, OUTPUT_LOW_WATER};

pub use crate::{
    reactor::Reactor,
    server::Server,
    wake::{LoopEnded, Mailbox},
};
