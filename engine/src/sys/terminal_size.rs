//! The size of a terminal (`ioctl_tty(2)`, TIOCSWINSZ).

use std::{io, os::fd::AsRawFd, os::fd::OwnedFd};

/// Sets rows and columns; the foreground process gets SIGWINCH when they change.
pub(crate) fn set(terminal: &OwnedFd, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the request reads one `winsize`, which lives through the call.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
