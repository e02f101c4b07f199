//! What a pipe holds (`pipe(7)`, FIONREAD).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that can be read from a pipe, asked at either end.
pub(crate) fn bytes_held(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one `int`, which lives through the call.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or_default())
}
