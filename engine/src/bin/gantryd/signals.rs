//! SIGTERM, SIGINT, SIGHUP and SIGUSR1 as bytes on a descriptor (`signalfd(2)`), so that they are handled on the loop.

use std::os::fd::OwnedFd;

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

/// Blocks the signals that end the daemon, or have it make way for another, and returns the descriptor that tells of them. To be called before any thread
/// is started.
pub(crate) fn receive() -> nix::Result<OwnedFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        set.add(signal);
    }
    set.thread_block()?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    std::os::fd::AsFd::as_fd(&signals)
        .try_clone_to_owned()
        .map_err(|_| nix::Error::EMFILE)
}

/// The signal that `struct signalfd_siginfo` tells of: its first field is the number.
pub(crate) fn of(info: &[u8]) -> Option<Signal> {
    let number = i32::from_ne_bytes(*info.first_chunk()?);
    Signal::try_from(number).ok()
}
