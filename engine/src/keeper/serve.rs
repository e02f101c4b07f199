//! The keeper: one thread, one poll loop, one container.
//!
//! ```text
//!  settle ─> launch ─┬─> hold ──> end ──> leave
//!                    └─> undo ───────────────^
//! ```
//!
//! - settle: become a process of its own, with no parent, terminal, or signal that could end it.
//! - launch (`launch.rs`): the conversation that starts the container; a gantryd that vanishes during it means "undo".
//! - hold: read output, log it, pass it on; serve one gantryd at a time, the newest.
//! - end: drain what the container left in its pipes, clean up, write the exit record, and only then tell.
//! - leave: give gantryd a moment to take the last messages. They also stay readable in its socket after we are gone, and
//!   the record is on disk; so nobody has to be waited for.
//!
//! What can go wrong here must not touch the container: no error of the control connection, of the log or of a
//! subscriber ends this loop.

mod control;
mod launch;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use self::control::{Control, Incoming};
use super::Paths;
use super::output::{Found, Output, Source};
use super::record::{self, ExitRecord};
use super::wire::{From, FromKeeper, Running, ToKeeper};
use crate::cgroup;
use crate::packet;
use crate::sys::{keeper_process, pidfd};

/// How long the output of a container that has ended may take to drain. What is left in its pipes is there at once; only a
/// process outside the container's pid namespace, or a reader of an unlogged container that does not read, makes it long.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How long gantryd may take to accept the last messages.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// Runs a keeper whose control socket is its standard input, to its end.
///
/// # Errors
///
/// The process could not be set up, or what is on standard input does not speak the protocol. No container was started.
pub fn run() -> io::Result<()> {
    let control = settle()?;
    let Some(launched) = launch::launch(control)? else {
        return Ok(());
    };
    Keeper::new(launched)?.hold();
    Ok(())
}

/// Makes this process independent of whoever started it. Returns the control socket.
fn settle() -> io::Result<OwnedFd> {
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    keeper_process::leave_parent()?;
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    // The name of a program executed from a memory file would be a number.
    nix::sys::prctl::set_name(c"gantry-keeper")?;
    nix::sys::prctl::set_child_subreaper(true)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    keeper_process::defuse(&[
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGPIPE,
        Signal::SIGCHLD,
    ])?;
    Ok(control)
}

/// A container that runs.
struct Container {
    running: Running,
    pidfd: OwnedFd,
    stdin: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    /// Where output comes from: stdout and stderr, or the terminal's master as stdout. `None` has ended.
    sources: [Option<Source>; 2],
}

/// Everything the keeper holds for it.
struct Launched {
    paths: Paths,
    /// The container's control group.
    cgroup: String,
    container: Container,
    output: Output,
    record: record::Pending,
    listener: OwnedFd,
    control: Control,
}

struct Keeper {
    held: Launched,
    children: SignalFd,
    /// A connection that has not said hello yet.
    newcomer: Option<OwnedFd>,
    exited: Option<Exit>,
}

#[derive(Clone, Copy)]
struct Exit {
    code: i32,
    at: Instant,
    at_ns: i64,
}

/// What a descriptor that became ready belongs to.
#[derive(Clone, Copy)]
enum Token {
    Children,
    Control,
    Listener,
    Newcomer,
    FullPipe(u64),
    Source(usize),
    Subscriber(u64),
}

impl Keeper {
    fn new(held: Launched) -> io::Result<Self> {
        // From here on nothing is executed any more, so the mask is not inherited by a container.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_block()?;
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            held,
            children,
            newcomer: None,
            exited: None,
        })
    }

    fn hold(mut self) {
        // What ended before the signal was blocked sent no signal that we would see.
        self.reap();
        loop {
            let now = Instant::now();
            self.deliver(now);
            if self.is_over(now) {
                break;
            }
            for (token, events) in self.wait(now) {
                self.handle(token, events);
            }
        }
        self.end();
    }

    /// Waits until something is ready, and says what.
    fn wait(&self, now: Instant) -> Vec<(Token, PollFlags)> {
        let held = &self.held;
        let mut tokens = vec![Token::Children, Token::Listener];
        let mut polled = vec![
            PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
            PollFd::new(held.listener.as_fd(), PollFlags::POLLIN),
        ];
        if let Some((fd, events)) = held.control.interest() {
            tokens.push(Token::Control);
            polled.push(PollFd::new(fd, events));
        }
        if let Some(newcomer) = &self.newcomer {
            tokens.push(Token::Newcomer);
            polled.push(PollFd::new(newcomer.as_fd(), PollFlags::POLLIN));
        }
        // The streams take turns, so that a flood of one does not hold back the other.
        for index in held.output.wants().into_iter().flat_map(|first| [first, 1 - first]) {
            if let Some(source) = &held.container.sources[index] {
                tokens.push(Token::Source(index));
                polled.push(PollFd::new(source.as_fd(), PollFlags::POLLIN));
            }
        }
        if let Some((subscription, pipe)) = held.output.full_pipe() {
            tokens.push(Token::FullPipe(subscription));
            polled.push(PollFd::new(pipe, PollFlags::POLLOUT));
        }
        for (subscription, socket, owed) in held.output.sockets() {
            tokens.push(Token::Subscriber(subscription));
            // Without an event only the peer's closing is reported.
            polled.push(PollFd::new(
                socket,
                if owed { PollFlags::POLLOUT } else { PollFlags::empty() },
            ));
        }
        match poll(&mut polled, self.timeout(now)) {
            Ok(_) => {
                let events = polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::POLLERR));
                tokens
                    .into_iter()
                    .zip(events)
                    .filter(|(_, events)| !events.is_empty())
                    .collect()
            }
            // Interrupted, or the kernel is out of memory for a moment; the loop asks again.
            Err(_) => Vec::new(),
        }
    }

    fn timeout(&self, now: Instant) -> PollTimeout {
        let stall = self.held.output.deadline();
        let drain = self.exited.map(|exit| exit.at + DRAIN_MAX);
        let Some(deadline) = stall.into_iter().chain(drain).min() else {
            return PollTimeout::NONE;
        };
        // Rounded up: waking too early would spin.
        let left = deadline.saturating_duration_since(now) + Duration::from_micros(999);
        PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX)
    }

    /// The container has ended, and its output too.
    fn is_over(&self, now: Instant) -> bool {
        let Some(exit) = self.exited else { return false };
        let drained = self.held.container.sources.iter().all(Option::is_none) && !self.held.output.is_busy();
        drained || now >= exit.at + DRAIN_MAX
    }

    fn deliver(&mut self, now: Instant) {
        let held = &mut self.held;
        // An unlogged container's reader has no limit while it runs, but its end must not wait for ever.
        let give_up = self.exited.is_some_and(|exit| now >= exit.at + DRAIN_MAX);
        let mut tell = Vec::new();
        held.output.deliver(now, give_up, &mut tell);
        held.control.send_all(tell);
    }

    fn handle(&mut self, token: Token, events: PollFlags) {
        match token {
            Token::Children => {
                while let Ok(Some(_)) = self.children.read_signal() {}
                self.reap();
            }
            Token::Listener => {
                // The newest connection wins; one that says nothing cannot keep others out.
                if let Some(connection) = packet::accept(self.held.listener.as_fd()) {
                    self.newcomer = Some(connection);
                }
            }
            Token::Newcomer => self.greet(),
            Token::Control => self.serve(events),
            Token::Source(index) => self.read(index),
            Token::FullPipe(_) if !events.intersects(PollFlags::POLLERR) => self.held.output.retry_pipe(),
            Token::FullPipe(subscription) | Token::Subscriber(subscription) => {
                if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)
                    && let Some(ended) = self.held.output.unsubscribe(subscription)
                {
                    self.held.control.send(&ended, &[]);
                }
            }
        }
    }

    fn reap(&mut self) {
        while let Some(child) = keeper_process::reap() {
            if child.pid == self.held.container.running.pid {
                self.exited = Some(Exit {
                    code: child.exit_code,
                    at: Instant::now(),
                    at_ns: now_ns(),
                });
            }
        }
    }

    fn read(&mut self, index: usize) {
        let held = &mut self.held;
        let Some(source) = held.container.sources.get_mut(index) else {
            return;
        };
        let Some(open) = source else { return };
        let (now, mut tell) = (Instant::now(), Vec::new());
        let found = held.output.take(index, open, now, now_ns(), &mut tell);
        held.control.send_all(tell);
        match found {
            Found::Bytes(_) => self.deliver(now),
            Found::Nothing => {}
            Found::End => *source = None,
        }
    }

    /// The newcomer said something: if it is hello, it takes the place of the gantryd before it.
    fn greet(&mut self) {
        let Some(newcomer) = self.newcomer.take() else { return };
        let Some(version) = control::negotiate(newcomer.as_fd()) else {
            return;
        };
        let held = &mut self.held;
        held.container.running.version = version;
        held.output.drop_subscribers();
        held.control = Control::new(newcomer);
        let running = Running {
            stdin: held.container.stdin.is_some(),
            terminal: held.container.terminal.is_some(),
            ..held.container.running
        };
        let descriptors = launch::descriptors(&held.container.stdin, &held.container.terminal);
        held.control.send(&FromKeeper::Welcome(running), &descriptors);
    }

    fn serve(&mut self, events: PollFlags) {
        if events.intersects(PollFlags::POLLOUT) {
            self.held.control.flush();
        }
        if !events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            return;
        }
        match self.held.control.receive() {
            Incoming::Nothing => {}
            Incoming::Gone => {
                self.held.control = Control::none();
                self.held.output.drop_subscribers();
            }
            Incoming::Message(message, descriptors) => self.obey(message, descriptors),
        }
    }

    fn obey(&mut self, message: ToKeeper, descriptors: Vec<OwnedFd>) {
        let held = &mut self.held;
        let answer = match message {
            ToKeeper::Signal { number } => {
                // No such process: it has just ended, which gantryd is about to learn.
                let _ = pidfd::kill(held.container.pidfd.as_fd(), number);
                None
            }
            ToKeeper::KillAll => {
                // The others die with the first process of their pid namespace; `end` makes sure of any beyond it.
                let _ = pidfd::kill(held.container.pidfd.as_fd(), libc::SIGKILL);
                None
            }
            ToKeeper::CloseStdin => {
                held.container.stdin = None;
                None
            }
            ToKeeper::Subscribe { subscription, from } => {
                Some(subscribe(&mut held.output, subscription, from, descriptors))
            }
            ToKeeper::Unsubscribe { subscription } => held.output.unsubscribe(subscription),
            // Out of turn, without harm.
            ToKeeper::Launch { .. } | ToKeeper::Go | ToKeeper::Hello { .. } => None,
        };
        if let Some(answer) = answer {
            held.control.send(&answer, &[]);
        }
    }

    fn end(self) {
        let Self {
            mut held,
            exited,
            newcomer,
            ..
        } = self;
        let Some(exit) = exited else { return };
        // gantryd's readers that were still waiting have had their time.
        let mut tell = Vec::new();
        held.output.deliver(Instant::now(), true, &mut tell);
        held.output.finish_log(now_ns());
        let oom_killed = cgroup::oom_kills(&held.cgroup) > 0;
        let remains = cgroup::destroy(&held.cgroup).is_err();
        let record = ExitRecord {
            exit_code: exit.code,
            oom_killed,
            remains,
            started_at_ns: held.container.running.started_at_ns,
            finished_at_ns: exit.at_ns,
            log_lost_bytes: held.output.lost_bytes(),
            log_offset: held.output.log_offset(),
            pid: held.container.running.pid,
        };
        let recorded = held.record.write(&record).is_ok();
        // Whoever cannot connect any more finds the record.
        let _ = record::remove(&held.paths.socket);
        drop((newcomer, held.listener));
        held.output.end_subscriptions(&mut tell);
        held.control.send_all(tell);
        held.control.send(&FromKeeper::Exited(record), &[]);
        // With the exit on disk nobody is needed; without, gantryd is the last to know it.
        let deadline = recorded.then(|| Instant::now() + LEAVE_MAX);
        while held.control.is_behind() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            held.control.wait_and_flush(deadline);
        }
    }
}

fn subscribe(output: &mut Output, subscription: u64, from: From, descriptors: Vec<OwnedFd>) -> FromKeeper {
    let mut descriptors = descriptors.into_iter();
    match (descriptors.next(), descriptors.next()) {
        (Some(socket), pipe) => output.subscribe(subscription, socket, pipe, from, Instant::now()),
        (None, _) => FromKeeper::Refused { subscription },
    }
}

fn now_ns() -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
