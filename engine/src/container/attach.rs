//! `POST /containers/{id}/attach`, and what attach and logs streams share.
//!
//! A stream is fed from one source at a time:
//!
//! ```text
//!   attach                    Waiting --- the container starts ---.
//!   attach, running ------------------------------------------> Live ---> (end)
//!   attach logs=1 ---> Log --- read to its end, subscribed ------'
//!   logs ------------> Log --- read to its end, follow=0 or the container has ended ---> (end)
//! ```
//!
//! Live output comes from the keeper through a socket of its own, and passes on only while the client has room. A client
//! that stops reading is taken off by the keeper after a moment, so that neither its container nor anybody else waits for
//! it; when it reads again it gets what it has missed from the log, byte for byte, and goes live again:
//!
//! ```text
//!   Live --- "lagging", the socket is empty ---> Log --- read to its end, subscribed ---> Live
//! ```
//!
//! Without a log there is nothing to catch up from, and the container waits for its client, as with dockerd.
//!
//! # Copies
//!
//! For a client that gets both streams, and neither through TLS nor by WebSocket, there is a pipe with its subscription ([`SourceId`]). The keeper moves output into that, and gantryd from there to the client's socket, without
//! either seeing it. How often each byte is copied between the container's `write` and the client's `recv`, these two not
//! counted:
//!
//! | output | in the keeper | in gantryd |
//! | --- | --- | --- |
//! | no log, one client: splice(2) | 0 | 0 |
//! | a log, or several clients: tee(2), and read for the log | 1 | 0 |
//! | less than 4 KiB at once; a terminal; no pipe | 2: read, packet | 4: packet, queue, buffer, socket |
//! | what a slow client reads up from the log | 1 for the log | 4: file, queue, buffer, socket |
//!
//! Of a client with a pipe and a log, a chunk for which the pipe has no room left goes the third way.

use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use gantry_core::{
    Call, ContainerAttach, Item, Refusal, Reply,
    driver::{Direction, PipeId, SourceId},
    framing::StreamKind,
};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};

use super::{Operation, logs::LogOptions};
use crate::{
    Engine,
    engine::PipeUse,
    keeper::{
        self,
        client::Subscriber,
        wire::{Chunk, From, Position, SPLICE_MAX, ToKeeper},
    },
    port::{CallId, Port},
};

/// A client that gets a container's output.
pub(crate) struct Follower {
    /// Container id.
    container: String,
    /// Which streams it wants.
    stdout: bool,
    stderr: bool,
    /// Its input goes to the container.
    stdin: bool,
    /// It stays when the log has been read.
    pub(super) follow: bool,
    pub(super) source: Source,
    /// How the log is read.
    pub(super) log: LogOptions,
    /// The container's pipe is full and this client is held.
    held: bool,
    /// It has got output of a run: when that run is over, so is the stream.
    pub(super) lived: bool,
}

/// Where a follower's output comes from now.
pub(super) enum Source {
    /// The container has not started.
    Waiting,
    /// The log, from `position` on.
    Log {
        position: Position,
        /// A worker reads.
        reading: bool,
        /// There is more to read than was there at the last look.
        dirty: bool,
    },
    /// The keeper.
    Live(Live),
}

/// A subscription.
pub(super) struct Live {
    subscription: u64,
    pipe: PipeId,
    /// Bytes that the keeper has announced in the subscription's source; none if there is no source.
    spliced: u64,
    /// The keeper's socket has ended.
    closed: bool,
    /// The keeper has said why.
    verdict: Option<Verdict>,
    /// Where to go on in the log when the keeper says "behind".
    from: Position,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    /// All output was sent.
    Whole,
    /// There is more, and nowhere to read it from.
    Lost,
    /// Not subscribed: the log has grown.
    Behind,
    /// Taken off; what was not sent begins here.
    Lagging(Position),
}

impl Follower {
    pub(crate) fn container(&self) -> &str {
        &self.container
    }

    pub(super) fn wants(&self, stream: StreamKind) -> bool {
        match stream {
            StreamKind::Stdin => false,
            StreamKind::Stdout => self.stdout,
            StreamKind::Stderr => self.stderr,
        }
    }

    pub(super) fn of_log(container: String, stdout: bool, stderr: bool, follow: bool, log: LogOptions) -> Self {
        let source = Source::Log {
            position: Position::default(),
            reading: false,
            dirty: false,
        };
        Self {
            container,
            stdout,
            stderr,
            stdin: false,
            follow,
            source,
            log,
            held: false,
            lived: false,
        }
    }
}

impl Engine {
    pub(crate) fn container_attach(&mut self, port: &mut dyn Port, call: CallId, request: ContainerAttach) {
        let container = match self.containers.resolve(&request.container) {
            Ok(container) => container,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let id = container.record.id.clone();
        if container.operation == Some(Operation::Starting) {
            return self.enqueue(&id, call, Call::ContainerAttach(request));
        }
        let running = container.is_running();
        let stdin = request.stdin && request.stream && container.record.config.open_stdin;
        let log_kept = container.record.host_config.log_config.driver != "none";
        if request.logs && !log_kept {
            let text = "the container's log driver keeps no log to replay".to_owned();
            return port.reply(call, Reply::Refused(Refusal::BadParameter(text)));
        }
        let mut follower = Follower {
            container: id.clone(),
            stdout: request.stdout,
            stderr: request.stderr,
            stdin,
            follow: request.stream,
            source: Source::Waiting,
            log: LogOptions::default(),
            held: false,
            lived: false,
        };
        if request.logs {
            follower.source = Source::Log {
                position: Position::default(),
                reading: false,
                dirty: false,
            };
        }
        if stdin && (!running || !request.logs) {
            // Before the answer: input may follow it at once, and there is nobody yet to take it, or to hear what the
            // program says to it.
            port.pause_input(call, true);
        }
        port.reply(
            call,
            Reply::Attached {
                tty: container.record.config.tty,
            },
        );
        self.add_follower(call, follower);
        self.container_event(port, &id, "attach", &[]);
        if request.logs {
            self.read_log(call);
        } else if !request.stream {
            self.end_follower(port, call);
        } else if running {
            self.subscribe(port, call, From::Now, Position::default());
        }
    }

    pub(super) fn add_follower(&mut self, call: CallId, follower: Follower) {
        if let Some(container) = self.containers.get_mut(&follower.container) {
            container.followers.push(call);
        }
        self.followers.insert(call, follower);
    }

    /// Asks the keeper of a running container for its output. `behind` is where to read on when it says "behind".
    pub(super) fn subscribe(&mut self, port: &mut dyn Port, call: CallId, from: From, behind: Position) {
        let Some(follower) = self.followers.get(&call) else {
            return;
        };
        let run = self
            .containers
            .get(&follower.container)
            .and_then(|container| container.run.as_ref());
        let Some(run) = run else { return };
        let splices = self.splices(call);
        self.subscriptions_made += 1;
        let subscription = self.subscriptions_made;
        let asked = keeper::client::packet_pair().and_then(|(ours, theirs)| {
            let pipe = splices.then(|| open_source(port, call, subscription)).flatten();
            let pipe = pipe.as_ref().map(AsFd::as_fd);
            keeper::client::request_subscribe(run.control.as_fd(), subscription, theirs.as_fd(), pipe, from)?;
            Ok(ours)
        });
        match asked {
            Ok(ours) => self.go_live(port, call, subscription, ours, behind),
            Err(error) => {
                log::warn!(
                    "container {}: its output cannot be followed: {error}",
                    follower.container
                );
                self.abort_follower(port, call);
            }
        }
    }

    fn go_live(&mut self, port: &mut dyn Port, call: CallId, subscription: u64, ours: OwnedFd, from: Position) {
        let pipe = port.open_pipe(ours, Direction::Read);
        self.pipes.insert(pipe, PipeUse::Output { call });
        self.subscriptions.insert(subscription, call);
        if let Some(follower) = self.followers.get_mut(&call) {
            follower.lived = true;
            follower.source = Source::Live(Live {
                subscription,
                pipe,
                spliced: 0,
                closed: false,
                verdict: None,
                from,
            });
        }
    }

    /// Subscriptions from the first byte on, for those who attached before the start.
    pub(super) fn subscribers(&mut self, port: &mut dyn Port, id: &str) -> Vec<Subscriber> {
        let waiting: Vec<CallId> = self
            .containers
            .get(id)
            .map(|container| container.followers.clone())
            .unwrap_or_default();
        let mut subscribers = Vec::new();
        for call in waiting {
            if !matches!(
                self.followers.get(&call),
                Some(Follower {
                    source: Source::Waiting,
                    ..
                })
            ) {
                continue;
            }
            match keeper::client::packet_pair() {
                Ok((ours, theirs)) => {
                    self.subscriptions_made += 1;
                    let subscription = self.subscriptions_made;
                    let pipe = self.splices(call).then(|| open_source(port, call, subscription));
                    subscribers.push(Subscriber {
                        subscription,
                        output: theirs,
                        pipe: pipe.flatten(),
                    });
                    self.go_live(port, call, subscription, ours, Position::default());
                }
                Err(error) => {
                    log::warn!("container {id}: its output cannot be followed: {error}");
                    self.abort_follower(port, call);
                }
            }
        }
        subscribers
    }

    /// The container runs: input flows.
    pub(super) fn run_began_followers(&self, port: &mut dyn Port, id: &str) {
        for call in self
            .containers
            .get(id)
            .map(|container| container.followers.clone())
            .unwrap_or_default()
        {
            if self.followers.get(&call).is_some_and(|follower| follower.stdin) {
                port.pause_input(call, false);
            }
        }
    }

    /// The keeper passes on all output from now on: input flows.
    pub(super) fn output_followed(&self, port: &mut dyn Port, subscription: u64) {
        if let Some(&call) = self.subscriptions.get(&subscription)
            && self
                .followers
                .get(&call)
                .is_some_and(|follower| follower.stdin && !follower.held)
        {
            port.pause_input(call, false);
        }
    }

    /// The container did not start: those who waited for its output get none.
    pub(super) fn start_failed_followers(&mut self, port: &mut dyn Port, id: &str) {
        for call in self
            .containers
            .get(id)
            .map(|container| container.followers.clone())
            .unwrap_or_default()
        {
            if matches!(
                self.followers.get(&call),
                Some(Follower {
                    source: Source::Live(_),
                    ..
                })
            ) {
                self.end_follower(port, call);
            }
        }
    }

    /// The run is over: followers get the rest and end.
    pub(super) fn run_ended_followers(&mut self, port: &mut dyn Port, id: &str) {
        for call in self
            .containers
            .get(id)
            .map(|container| container.followers.clone())
            .unwrap_or_default()
        {
            match self.followers.get_mut(&call).map(|follower| &mut follower.source) {
                Some(Source::Log { .. }) => self.log_grew(call),
                // Nothing more is said; what the socket holds is still read.
                Some(Source::Live(live)) => {
                    live.verdict.get_or_insert(Verdict::Whole);
                    self.live_check(port, call);
                }
                Some(Source::Waiting) | None => {}
            }
        }
    }

    pub(crate) fn live_output(&mut self, port: &mut dyn Port, call: CallId, packet: &[u8]) {
        let Some(follower) = self.followers.get_mut(&call) else {
            return;
        };
        let chunk = match Chunk::decode(packet) {
            Ok(chunk) => chunk,
            Err(error) => {
                log::error!("container {}: its keeper sends nonsense: {error}", follower.container);
                return self.abort_follower(port, call);
            }
        };
        let kind = match chunk.stream {
            0 => StreamKind::Stdout,
            _ => StreamKind::Stderr,
        };
        if !follower.wants(kind) {
            return;
        }
        let Source::Live(live) = &mut follower.source else {
            return;
        };
        if chunk.spliced > 0 {
            live.spliced += chunk.spliced as u64;
            port.send(
                call,
                Item::Spliced {
                    kind,
                    source: SourceId(live.subscription),
                    len: chunk.spliced,
                },
            );
        }
        if !chunk.inline.is_empty() {
            port.send(call, Item::Output(kind, Bytes::copy_from_slice(chunk.inline)));
        }
        if !port.has_room(call) {
            port.pause_pipe(live.pipe, true);
        }
    }

    /// Whether a follower's output may go to it unseen: nothing of it is left out, and it comes out of pipes.
    fn splices(&self, call: CallId) -> bool {
        self.followers.get(&call).is_some_and(|follower| {
            let container = self.containers.get(&follower.container);
            let tty = container.is_none_or(|container| container.record.config.tty);
            follower.stdout && follower.stderr && !tty
        })
    }

    pub(crate) fn live_output_ended(&mut self, port: &mut dyn Port, call: CallId) {
        if let Some(Follower {
            source: Source::Live(live),
            ..
        }) = self.followers.get_mut(&call)
        {
            live.closed = true;
            self.live_check(port, call);
        }
    }

    pub(crate) fn output_told_ended(&mut self, port: &mut dyn Port, subscription: u64, lost: bool) {
        self.output_verdict(port, subscription, if lost { Verdict::Lost } else { Verdict::Whole });
    }

    pub(crate) fn output_behind(&mut self, port: &mut dyn Port, subscription: u64) {
        self.output_verdict(port, subscription, Verdict::Behind);
    }

    pub(crate) fn output_lagging(&mut self, port: &mut dyn Port, subscription: u64, position: Position) {
        self.output_verdict(port, subscription, Verdict::Lagging(position));
    }

    fn output_verdict(&mut self, port: &mut dyn Port, subscription: u64, verdict: Verdict) {
        let Some(&call) = self.subscriptions.get(&subscription) else {
            return;
        };
        if let Some(Follower {
            source: Source::Live(live),
            ..
        }) = self.followers.get_mut(&call)
            && live.subscription == subscription
        {
            live.verdict = Some(verdict);
            self.live_check(port, call);
        }
    }

    /// Goes on when both the socket has ended and the keeper has said why; they come in either order.
    fn live_check(&mut self, port: &mut dyn Port, call: CallId) {
        let Some(Follower {
            source: Source::Live(live),
            ..
        }) = self.followers.get(&call)
        else {
            return;
        };
        let (true, Some(verdict)) = (live.closed, live.verdict) else {
            return;
        };
        let (subscription, from) = (live.subscription, live.from);
        port.end_source(call, SourceId(subscription), live.spliced);
        self.subscriptions.remove(&subscription);
        match verdict {
            Verdict::Whole => self.end_follower(port, call),
            Verdict::Lost => self.abort_follower(port, call),
            Verdict::Behind => self.catch_up(port, call, from),
            Verdict::Lagging(position) => self.catch_up(port, call, position),
        }
    }

    fn catch_up(&mut self, port: &mut dyn Port, call: CallId, position: Position) {
        if let Some(follower) = self.followers.get_mut(&call) {
            follower.source = Source::Log {
                position,
                reading: false,
                dirty: false,
            };
        }
        // Without room the log is read when the client has read.
        if port.has_room(call) {
            self.read_log(call);
        }
    }

    /// Input of an attached client.
    pub(crate) fn attach_input(&mut self, port: &mut dyn Port, call: CallId, bytes: Bytes) {
        let Some(follower) = self.followers.get_mut(&call).filter(|follower| follower.stdin) else {
            return;
        };
        let run = self
            .containers
            .get(&follower.container)
            .and_then(|container| container.run.as_ref());
        // A program that closed its standard input does not want the rest.
        let Some(stdin) = run.and_then(|run| run.stdin) else {
            return;
        };
        port.write_pipe(stdin, bytes);
        if port.pipe_queued(stdin) > STDIN_QUEUED_MAX {
            follower.held = true;
            port.pause_input(call, true);
        }
    }

    pub(crate) fn stdin_drained(&mut self, port: &mut dyn Port, id: &str) {
        for call in self
            .containers
            .get(id)
            .map(|container| container.followers.clone())
            .unwrap_or_default()
        {
            if let Some(follower) = self.followers.get_mut(&call)
                && std::mem::take(&mut follower.held)
            {
                port.pause_input(call, false);
            }
        }
    }

    /// The program closed its standard input (or ended): who is held is let go, and what follows is dropped.
    pub(crate) fn stdin_closed(&mut self, port: &mut dyn Port, id: &str) {
        if let Some(run) = self.containers.get_mut(id).and_then(|container| container.run.as_mut()) {
            run.stdin = None;
        }
        self.stdin_drained(port, id);
    }

    /// The client ended its input. With `StdinOnce` (and no terminal) that ends the container's standard input; otherwise
    /// the stream is over, as with dockerd.
    pub(crate) fn attach_input_end(&mut self, port: &mut dyn Port, call: CallId) {
        let Some(follower) = self.followers.get(&call).filter(|follower| follower.stdin) else {
            return;
        };
        let id = follower.container.clone();
        let Some(container) = self.containers.get(&id) else {
            return;
        };
        if container.record.config.stdin_once && !container.record.config.tty {
            self.close_stdin(port, &id);
        } else {
            self.end_follower(port, call);
        }
    }

    fn close_stdin(&mut self, port: &mut dyn Port, id: &str) {
        let Some(run) = self.containers.get_mut(id).and_then(|container| container.run.as_mut()) else {
            return;
        };
        let Some(stdin) = run.stdin.take() else { return };
        port.finish_pipe(stdin);
        if let Err(error) = self.ask_keeper(id, &ToKeeper::CloseStdin) {
            log::warn!("container {id}: its keeper cannot be asked to close standard input: {error}");
        }
    }

    pub(crate) fn follower_writable(&mut self, port: &mut dyn Port, call: CallId) {
        match self.followers.get(&call).map(|follower| &follower.source) {
            Some(Source::Live(live)) if !live.closed => port.pause_pipe(live.pipe, false),
            Some(Source::Log { .. }) => self.read_log(call),
            _ => {}
        }
    }

    /// The client is gone.
    pub(crate) fn follower_gone(&mut self, port: &mut dyn Port, call: CallId) {
        let Some(follower) = self.followers.get(&call) else {
            return;
        };
        let id = follower.container.clone();
        let once = self
            .containers
            .get(&id)
            .is_some_and(|container| container.record.config.stdin_once && !container.record.config.tty);
        if follower.stdin && once {
            self.close_stdin(port, &id);
        }
        self.drop_follower(port, call);
    }

    /// Ends a stream cleanly.
    pub(crate) fn end_follower(&mut self, port: &mut dyn Port, call: CallId) {
        if self.drop_follower(port, call) {
            port.finish(call);
        }
    }

    /// Ends a stream so that the client sees that something is missing.
    pub(super) fn abort_follower(&mut self, port: &mut dyn Port, call: CallId) {
        if self.drop_follower(port, call) {
            port.abort(call);
        }
    }

    fn drop_follower(&mut self, port: &mut dyn Port, call: CallId) -> bool {
        let Some(follower) = self.followers.remove(&call) else {
            return false;
        };
        if let Some(container) = self.containers.get_mut(&follower.container) {
            container.followers.retain(|other| *other != call);
        }
        if let Source::Live(live) = &follower.source {
            port.end_source(call, SourceId(live.subscription), live.spliced);
            self.subscriptions.remove(&live.subscription);
            if self.pipes.remove(&live.pipe).is_some() {
                // The keeper notices that nobody reads, and forgets the subscription.
                port.close_pipe(live.pipe);
            }
        }
        self.unwatch_log(&follower.container);
        true
    }
}

/// Lends the client a pipe for this subscription; returns where the keeper is to write. `None`: this client's output must
/// be seen, or there is no pipe to be had, and then it is copied.
fn open_source(port: &mut dyn Port, call: CallId, subscription: u64) -> Option<OwnedFd> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
    // A user's pipes have a limit (pipe(7), "pipe-user-pages-soft"), beyond which this one stays as it is.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(SPLICE_MAX as i32));
    port.open_source(call, SourceId(subscription), reader).then_some(writer)
}

/// Bytes that wait for a container to read its standard input, before its client is held.
const STDIN_QUEUED_MAX: usize = 256 * 1024;
