//! `inotify(7)`: being told that a file has been written to.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// A new descriptor, close-on-exec and non-blocking.
pub(crate) fn open() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Watches a file for writes; returns the number of the watch.
pub(crate) fn watch_changes(inotify: &OwnedFd, path: &Path) -> io::Result<i32> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a string with its NUL and lives through the call.
    let watch = unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), libc::IN_MODIFY) };
    if watch < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(watch)
    }
}

/// Ends a watch. One that has ended by itself (its file is gone) is fine.
pub(crate) fn unwatch(inotify: &OwnedFd, watch: i32) {
    // SAFETY: the call takes no pointers.
    unsafe { libc::inotify_rm_watch(inotify.as_raw_fd(), watch) };
}

/// The numbers of the watches in what was read from the descriptor: `struct inotify_event` after another, each 16 bytes
/// (watch, mask, cookie, length of the name) and a name.
pub(crate) fn watches(mut events: &[u8]) -> impl Iterator<Item = i32> {
    std::iter::from_fn(move || {
        let (header, rest) = events.split_first_chunk::<16>()?;
        let [w0, w1, w2, w3, _, _, _, _, _, _, _, _, l0, l1, l2, l3] = *header;
        let name = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        events = rest.get(name..)?;
        Some(i32::from_ne_bytes([w0, w1, w2, w3]))
    })
}

#[cfg(test)]
mod tests {
    use std::{env, fs, io::Read, process};

    use super::*;

    #[test]
    fn tells_of_writes() {
        let path = env::temp_dir().join(format!("gantry-inotify-{}", process::id()));
        fs::write(&path, "").unwrap();
        let inotify = open().unwrap();
        let watch = watch_changes(&inotify, &path).unwrap();
        fs::write(&path, "x").unwrap();
        let mut events = [0; 4096];
        let len = fs::File::from(inotify.try_clone().unwrap()).read(&mut events).unwrap();
        assert!(watches(&events[..len]).all(|told| told == watch) && len >= 16);
        unwatch(&inotify, watch);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn reads_any_bytes() {
        for len in 0..64 {
            assert!(watches(&vec![0xff; len]).count() <= 1);
        }
    }
}
