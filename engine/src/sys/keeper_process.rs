//! The few process calls of the keeper that nix marks unsafe or lacks.

use std::io;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::ForkResult;

/// Continues in a child and ends the caller, so that the child belongs to the next subreaper (or init) and never
/// becomes a zombie of the program that started us. Only for a process with one thread.
pub(crate) fn leave_parent() -> io::Result<()> {
    // SAFETY: the keeper has one thread, so the child owns every lock it could inherit; the parent does nothing but end.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: `_exit` ends this process at once; no destructor or exit handler could touch what the child shares.
        ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

/// Makes signals harmless by an empty handler, which is not inherited over `execve` as an ignored signal would be
/// (signal(7)), and lets children be waited for even if whoever started us ignored `SIGCHLD`.
pub(crate) fn defuse(signals: &[Signal]) -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    for &signal in signals {
        // SAFETY: the handler does nothing, which is async-signal-safe, and lives as long as the program.
        unsafe { nix::sys::signal::sigaction(signal, &action) }?;
    }
    for number in C_LIBRARY_SIGNALS {
        // `struct sigaction` of the kernel: default action, no flags, no restorer, no mask.
        let default = [0u64; 4];
        let none: *const u64 = std::ptr::null();
        // SAFETY: `default` is as large as the kernel's structure and outlives the call; 8 is the size of its mask.
        let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, 8usize) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Signals that glibc keeps for itself: its `posix_spawn` leaves them ignored in the new program, and its `sigaction`
/// refuses to change that. A container would inherit it.
const C_LIBRARY_SIGNALS: [libc::c_int; 2] = [32, 33];

/// A child that has ended: its pid, and its exit status or 128 plus the signal that ended it.
pub(crate) struct Reaped {
    pub(crate) pid: i32,
    pub(crate) exit_code: i32,
}

/// Takes the next child that has ended, if any. nix's own `waitpid` fails for real-time signals.
pub(crate) fn reap() -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for an int during the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let exit_code = if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    };
    Some(Reaped { pid, exit_code })
}
