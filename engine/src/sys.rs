//! System calls that neither the standard library nor `nix` offers, each behind a safe function.
//!
//! This is the only place of the engine with `unsafe` code. It decides nothing: no policy, no retries, no messages.
//! Truth: the man pages of section 2 and the kernel's `include/uapi`.

use std::io;

pub(crate) mod bpf;
pub(crate) mod clone;
pub(crate) mod credentials;
pub(crate) mod inotify;
pub(crate) mod keeper_process;
pub(crate) mod mount;
pub(crate) mod netlink;
pub(crate) mod netns;
pub(crate) mod open;
pub(crate) mod openat;
pub(crate) mod packet_socket;
pub(crate) mod pidfd;
pub(crate) mod pipe;
pub(crate) mod program;
pub(crate) mod rights;
pub(crate) mod terminal;
pub(crate) mod terminal_size;

/// The result of a raw system call: its value, or `errno`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
