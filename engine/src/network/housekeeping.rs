//! What a bridge does unasked, on a thread of its own: rules that somebody else has deleted are put in force again, and
//! interfaces that have outlived their container are deleted.

use std::{
    collections::VecDeque,
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, Builder, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    Ipv4Net, NetworkError,
    codec::{Request, messages},
    nftables, route,
    session::Session,
};
use crate::sys::netlink::{Family, Socket};

/// Firewall rules that are in force, and the news about them.
#[derive(Debug)]
pub(super) struct Rules {
    bridge: String,
    subnet: Ipv4Net,
    session: Session,
    /// What `session` changes is no news.
    port: u32,
    news: Socket,
}

impl Rules {
    /// Puts the rules of a bridge in force in the calling thread's namespace.
    pub(super) fn install(bridge: &str, subnet: Ipv4Net) -> Result<Self, NetworkError> {
        let mut session = Session::open(Family::Netfilter)?;
        let port = session.port()?;
        // First, so that no loss goes unnoticed.
        let news = Socket::subscribe(Family::Netfilter, nftables::GROUPS).map_err(|source| NetworkError::System {
            step: "subscribe to firewall changes",
            source,
        })?;
        nftables::install(&mut session, bridge, subnet)?;
        Ok(Self {
            bridge: bridge.to_owned(),
            subnet,
            session,
            port,
            news,
        })
    }

    /// Reads all news; whether rules may have been lost.
    fn lost(&self, buffer: &mut [u8]) -> bool {
        let mut lost = false;
        loop {
            match self.news.receive(buffer) {
                Ok(Some(datagram)) => {
                    lost |= messages(datagram).any(|m| m.port != self.port && nftables::is_loss(&m));
                }
                Ok(None) => return lost,
                // More happened than was kept for us to read.
                Err(_) => lost = true,
            }
        }
    }
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Housekeeping {
    leftovers: Arc<Leftovers>,
    /// Written to when `leftovers` has changed, closed to end the thread. `None` only while it is dropped.
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// Interfaces that should disappear by themselves, with the time to look after them; in the order of the times.
type Leftovers = Mutex<VecDeque<(Instant, String)>>;

impl Housekeeping {
    /// Starts the thread. `session` is one to the interfaces' namespace.
    pub(super) fn start(session: Session, rules: Option<Rules>) -> Result<Self, NetworkError> {
        let failed = |source| NetworkError::System {
            step: "start the network's housekeeping",
            source,
        };
        let (woken, wake) = io::pipe().map_err(failed)?;
        let leftovers = Arc::new(Leftovers::default());
        let worker = Worker {
            session,
            rules,
            woken,
            leftovers: Arc::clone(&leftovers),
            reinstall: None,
        };
        let thread = Builder::new()
            .name("gantry-network".into())
            .spawn(|| worker.run())
            .map_err(failed)?;
        Ok(Self {
            leftovers,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Has an interface deleted that is still there in some seconds.
    pub(super) fn expect_gone(&self, interface: &str) {
        let mut leftovers = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        leftovers.push_back((Instant::now() + GRACE, interface.to_owned()));
        // The thread sleeps until the first is due; it need not know of later ones.
        if leftovers.len() == 1
            && let Some(mut wake) = self.wake.as_ref()
        {
            // It fails only if the thread is gone, and then nobody looks after leftovers anyway.
            let _ = wake.write_all(&[0]);
        }
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Worker {
    session: Session,
    rules: Option<Rules>,
    woken: PipeReader,
    leftovers: Arc<Leftovers>,
    /// When to put the rules in force again.
    reinstall: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        let mut buffer = vec![0; NEWS_BYTES_MAX];
        let mut reinstalled: Option<Instant> = None;
        loop {
            let ready = self.wait();
            if ready.woken && !matches!(self.woken.read(&mut [0; 64]), Ok(1..)) {
                // The bridge is dropped. What is left of containers goes now; nobody will look after it later.
                self.remove_leftovers(None);
                return;
            }
            let now = Instant::now();
            if ready.news && self.rules.as_ref().is_some_and(|rules| rules.lost(&mut buffer)) {
                // Somebody who deletes the table whenever it appears must not keep both of us busy.
                self.reinstall = Some(reinstalled.map_or(now, |last| now.max(last + REINSTALL_INTERVAL)));
            }
            if self.reinstall.is_some_and(|at| at <= now)
                && let Some(rules) = &mut self.rules
            {
                let outcome = nftables::install(&mut rules.session, &rules.bridge, rules.subnet);
                reinstalled = Some(now);
                // What has been in force before can be again; if memory is short, later.
                self.reinstall = outcome.err().map(|_| now + REINSTALL_INTERVAL);
            }
            self.remove_leftovers(Some(now));
        }
    }

    fn wait(&self) -> Ready {
        let first = self
            .leftovers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .front()
            .map(|(due, _)| *due);
        let timeout = match first.into_iter().chain(self.reinstall).min() {
            None => PollTimeout::NONE,
            // Rounded up, lest it spins during the last millisecond.
            Some(due) => {
                let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
                left.try_into().unwrap_or(PollTimeout::MAX)
            }
        };
        let mut polled = vec![PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
        polled.extend(
            self.rules
                .as_ref()
                .map(|rules| PollFd::new(rules.news.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => {
                // Out of memory. That may pass; to give up would leave containers unprotected.
                thread::sleep(REINSTALL_INTERVAL);
                return Ready {
                    woken: false,
                    news: false,
                };
            }
        }
        let ready = |index: usize| polled.get(index).is_some_and(|fd| fd.any().unwrap_or(false));
        Ready {
            woken: ready(0),
            news: ready(1),
        }
    }

    /// Deletes the interfaces that were due at `now`, or all.
    fn remove_leftovers(&mut self, now: Option<Instant>) {
        loop {
            let due = {
                let mut leftovers = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
                let is_due = leftovers
                    .front()
                    .is_some_and(|(due, _)| now.is_none_or(|now| *due <= now));
                if is_due { leftovers.pop_front() } else { None }
            };
            let Some((_, interface)) = due else { return };
            // To ask is cheap, to delete is not, even if there is nothing to delete.
            if let Ok(Some(_)) = route::link(&mut self.session, &interface) {
                let mut request = Request::default();
                route::delete_link(&mut request, &interface);
                // It may have gone in between, which is as well.
                let _ = self.session.submit(request);
            }
        }
    }
}

struct Ready {
    woken: bool,
    news: bool,
}

/// The kernel deletes the interfaces of a dead namespace within some ten milliseconds, under load within a second.
const GRACE: Duration = Duration::from_secs(3);
/// Between two times that rules are put in force again.
const REINSTALL_INTERVAL: Duration = Duration::from_secs(1);
/// News that is larger counts as a loss.
const NEWS_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::stage::as_daemon;

    #[test]
    fn a_loss_is_what_others_have_caused() {
        as_daemon(|| {
            let mut buffer = vec![0; NEWS_BYTES_MAX];
            let subnet = "10.9.0.1/24".parse().unwrap();
            let mut rules = Rules::install("gantry0", subnet).unwrap();
            assert!(!rules.lost(&mut buffer), "made");
            nftables::install(&mut rules.session, "gantry0", subnet).unwrap();
            assert!(!rules.lost(&mut buffer), "made again");
            let mut other = Session::open(Family::Netfilter).unwrap();
            nftables::install(&mut other, "gantry0", subnet).unwrap();
            assert!(rules.lost(&mut buffer), "replaced by another");
            assert!(!rules.lost(&mut buffer), "told once");
            nftables::install(&mut other, "gantry0", subnet).unwrap();
            assert!(rules.lost(&mut [0; 8]), "news that cannot be read");
        });
    }
}
