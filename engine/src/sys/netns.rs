//! Doing something inside another network namespace.
//!
//! A thread that has entered a namespace may be unable to come back, and would then quietly configure the wrong
//! network. So no thread ever comes back: each visit is a thread of its own that ends with it, also by panic.
//!
//! Source: setns(2), network_namespaces(7).

use std::{
    io,
    os::fd::BorrowedFd,
    panic::resume_unwind,
    thread::{Builder, scope},
};

use nix::sched::{CloneFlags, setns};

/// Runs `visit` on a new thread inside `netns`. The error is that of the thread's creation or of setns(2).
pub(crate) fn inside<T: Send>(netns: BorrowedFd<'_>, visit: impl FnOnce() -> T + Send) -> io::Result<T> {
    scope(|scope| {
        let visitor = Builder::new()
            .name("gantry-netns".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || {
                setns(netns, CloneFlags::CLONE_NEWNET)?;
                Ok(visit())
            })?;
        visitor.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A visit opens a socket and writes some parameters; most of the default of 2 MiB would never be touched.
const STACK_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        os::fd::AsFd,
        panic::{AssertUnwindSafe, catch_unwind},
        path::{Path, PathBuf},
        thread,
    };

    use nix::{sched::unshare, unistd::geteuid};

    use super::*;

    fn current() -> PathBuf {
        fs::read_link("/proc/thread-self/ns/net").unwrap()
    }

    #[test]
    fn the_visitor_stays_and_the_caller_never_goes() {
        if !geteuid().is_root() {
            crate::skip::say("needs root");
            return;
        }
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            (File::open("/proc/thread-self/ns/net").unwrap(), current())
        };
        let (netns, name) = thread::spawn(make).join().unwrap();
        let home = current();
        assert_ne!(home, name);
        assert_eq!(inside(netns.as_fd(), current).unwrap(), name);
        assert_eq!(current(), home);

        let panic = catch_unwind(AssertUnwindSafe(|| inside(netns.as_fd(), || panic!("inside")))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"inside"));
        assert_eq!(current(), home);
    }

    #[test]
    fn what_is_no_namespace_is_not_entered() {
        let file = File::open(Path::new("/dev/null")).unwrap();
        let outcome = inside(file.as_fd(), || unreachable!("entered"));
        assert_eq!(
            outcome.map_err(|error: io::Error| error.raw_os_error()),
            Err::<(), _>(Some(libc::EINVAL))
        );
    }
}
