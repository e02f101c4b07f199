//! `/dev`: the nodes and links every container has, and nothing else of the host.

use std::{io, os::fd::OwnedFd};

use nix::{
    fcntl::{OFlag, openat},
    sys::stat::{Mode, SFlag, fstat, makedev, mknodat},
    unistd::symlinkat,
};

/// Name, major and minor number of the character devices, all mode 0666.
const NODES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Name and target of the links.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Only where the kernel has the file: a build option.
const CORE: (&str, &str) = ("core", "/proc/kcore");

/// Fills an empty `/dev`, with a link to the kernel's memory image if there is one. The caller's umask must be 0.
pub(super) fn make_nodes(dev: &OwnedFd, kcore: bool) -> io::Result<()> {
    for (name, major, minor) in NODES {
        mknodat(
            dev,
            name,
            SFlag::S_IFCHR,
            Mode::from_bits_truncate(0o666),
            makedev(major, minor),
        )?;
    }
    for (name, target) in LINKS.into_iter().chain(kcore.then_some(CORE)) {
        symlinkat(target, dev, name)?;
    }
    Ok(())
}

/// `/dev/null` as a descriptor (`O_PATH`), after a look whether it is the null device: a container could have put
/// something else there for a mask to show.
///
/// # Errors
/// `ENXIO` if it is not.
pub(super) fn null(dev: &OwnedFd) -> io::Result<OwnedFd> {
    let null = openat(
        dev,
        "null",
        OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let stat = fstat(&null)?;
    let character = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    if character && stat.st_rdev == makedev(1, 3) {
        Ok(null)
    } else {
        Err(nix::errno::Errno::ENXIO.into())
    }
}
