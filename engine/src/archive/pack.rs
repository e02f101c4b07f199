//! Packs a tree of files into a tar stream.
//!
//! The tree may be that of a running container, so nothing about it is believed for longer than one system call. Every
//! directory is opened by its path from the root with `openat2(2)` that follows no link and crosses no mount; what lies in it
//! is reached through its descriptor, by name, following nothing. What vanishes meanwhile is left out, a file that shrinks
//! is filled with zeros, and one that grows is cut where it was when its header was written. A directory too deep for a
//! path of the kernel is left out with what is in it.
//!
//! **The caller sees to it that opening a device does nothing: the tree lies on a mount with `nodev`.** A container can put
//! a device in the place of a file at any moment.
//!
//! Times are whole seconds, owners numbers without names; sockets are left out. Of the extended attributes go along what a
//! program is granted (`security.capability`) and what users have set (`user.`). That is what Docker writes, but for the
//! latter.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, major, minor},
};

use super::{
    encode::header,
    header::BLOCK,
    members::{Kind, Member, Mtime, PATH_BYTES_MAX},
    sink::Sink,
};
use crate::sys::{
    open::{openat2, resolve},
    openat,
};

/// Writes a member for everything below `root`, but not for itself, a directory before what is in it. The end of the stream
/// is not written.
///
/// # Errors
/// The sink's, and what the kernel says when a file cannot be read.
pub(crate) fn pack_tree(root: BorrowedFd<'_>, sink: &mut dyn Sink) -> io::Result<()> {
    let mut packer = Packer {
        sink,
        links: HashMap::new(),
    };
    // The directories that are left, innermost last; of each the parent's path and the names, last first.
    let mut left: Vec<(Vec<u8>, Vec<CString>)> = Vec::new();
    let mut path = Vec::new();
    loop {
        match packer.directory(root, &path) {
            Ok(names) => left.push((path, names)),
            Err(error) if is_gone(&error) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENAMETOOLONG) => {
                log::warn!("a directory whose path is too long is left out of a tar");
            }
            Err(error) => return Err(error),
        }
        path = loop {
            let Some((parent, names)) = left.last_mut() else {
                return Ok(());
            };
            match names.pop() {
                Some(name) => break join(parent, name.to_bytes()),
                None => left.pop(),
            };
        };
    }
}

/// Writes a member without data, or with these.
///
/// # Errors
/// The sink's.
pub(crate) fn pack_member(member: &Member, data: &[u8], sink: &mut dyn Sink) -> io::Result<()> {
    debug_assert_eq!(member.size, data.len() as u64, "the header says how much data there is");
    sink.write_all(&header(member))?;
    sink.write_all(data)?;
    sink.zeros(padding(member.size))
}

/// Ends the stream.
///
/// # Errors
/// The sink's.
pub(crate) fn finish(sink: &mut dyn Sink) -> io::Result<()> {
    sink.zeros(2 * BLOCK as u64)?;
    sink.flush()
}

struct Packer<'a> {
    sink: &'a mut dyn Sink,
    /// Files with several names: where each was packed, and how many names are to come.
    links: HashMap<(u64, u64), (Vec<u8>, libc::nlink_t)>,
}

impl Packer<'_> {
    /// Packs a directory and what is in it but directories. Gives the names of those, last first.
    fn directory(&mut self, root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Vec<CString>> {
        let name = if path.is_empty() {
            c".".to_owned()
        } else {
            CString::new(path)?
        };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let resolve = resolve::BENEATH | resolve::NO_SYMLINKS | resolve::NO_MAGICLINKS | resolve::NO_XDEV;
        let directory = openat2(root, &name, flags, 0, resolve)?;
        if !path.is_empty() {
            let stat = fstat(&directory)?;
            let xattrs = xattrs(directory.as_fd())?;
            let member = Member {
                xattrs,
                ..member(path.to_vec(), Kind::Directory, &stat)
            };
            self.sink.write_all(&header(&member))?;
        }
        let mut entries = Vec::new();
        let mut directories = Vec::new();
        let mut listing = Dir::from_fd(directory.try_clone()?)?;
        for entry in listing.iter() {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                Some(nix::dir::Type::Directory) => directories.push(name.to_owned()),
                kind => entries.push((name.to_owned(), kind)),
            }
        }
        drop(listing);
        // In an order that does not depend on the file system.
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, kind) in entries {
            let is_file = kind == Some(nix::dir::Type::File);
            let path = join(path, name.to_bytes());
            if path.len() >= PATH_BYTES_MAX {
                log::warn!("a file whose path is too long is left out of a tar");
                continue;
            }
            match self.entry(directory.as_fd(), &name, is_file, path) {
                Ok(false) => {}
                Ok(true) => directories.push(name),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        directories.sort_by(|one, other| other.cmp(one));
        Ok(directories)
    }

    /// Packs what a name in a directory means, unless that is a directory, which is said.
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, is_file: bool, path: Vec<u8>) -> io::Result<bool> {
        if is_file {
            // Nothing waits for the other end of a pipe that has just taken the file's place.
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            match openat(directory, name, flags, Mode::empty()) {
                Ok(file) => {
                    let stat = fstat(&file)?;
                    if kind_of(&stat) == SFlag::S_IFREG {
                        return self.file(file, path, &stat).map(|()| false);
                    }
                }
                // It is something else by now.
                Err(Errno::ELOOP | Errno::EACCES | Errno::ENXIO) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let device = || (major(stat.st_rdev) as u32, minor(stat.st_rdev) as u32);
        let kind = match kind_of(&stat) {
            SFlag::S_IFDIR => return Ok(true),
            SFlag::S_IFREG if !is_file => return self.entry(directory, name, true, path),
            SFlag::S_IFLNK => Kind::Symlink {
                target: std::os::unix::ffi::OsStringExt::into_vec(readlinkat(directory, name)?),
            },
            SFlag::S_IFCHR => {
                let (major, minor) = device();
                Kind::CharDevice { major, minor }
            }
            SFlag::S_IFBLK => {
                let (major, minor) = device();
                Kind::BlockDevice { major, minor }
            }
            SFlag::S_IFIFO => Kind::Fifo,
            // Sockets, and files that change places with others all the time.
            _ => return Ok(false),
        };
        let kind = self.link(&path, &stat).unwrap_or(kind);
        self.sink.write_all(&header(&member(path, kind, &stat)))?;
        Ok(false)
    }

    fn file(&mut self, file: OwnedFd, path: Vec<u8>, stat: &FileStat) -> io::Result<()> {
        if let Some(kind) = self.link(&path, stat) {
            return self.sink.write_all(&header(&member(path, kind, stat)));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let member = Member {
            size,
            xattrs: xattrs(file.as_fd())?,
            ..member(path, Kind::File, stat)
        };
        self.sink.write_all(&header(&member))?;
        let copied = self.sink.copy(&File::from(file), size)?;
        self.sink.zeros(size - copied + padding(size))
    }

    /// A link to the name under which a file was packed before.
    fn link(&mut self, path: &[u8], stat: &FileStat) -> Option<Kind> {
        if stat.st_nlink < 2 {
            return None;
        }
        let id = (stat.st_dev, stat.st_ino);
        let Some((target, left)) = self.links.get_mut(&id) else {
            self.links.insert(id, (path.to_vec(), stat.st_nlink - 1));
            return None;
        };
        *left -= 1;
        let target = if *left == 0 {
            self.links.remove(&id).map(|(target, _)| target)
        } else {
            Some(target.clone())
        };
        target.map(|target| Kind::HardLink { target })
    }
}

/// A member as its inode says, without data.
fn member(path: Vec<u8>, kind: Kind, stat: &FileStat) -> Member {
    Member {
        path,
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: 0,
        mtime: Mtime {
            secs: stat.st_mtime,
            nanos: 0,
        },
        xattrs: Vec::new(),
    }
}

fn xattrs(fd: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut xattrs = Vec::new();
    for name in openat::xattr_names(fd)? {
        if name.to_bytes() == b"security.capability" || name.to_bytes().starts_with(b"user.") {
            let value = openat::xattr(fd, &name)?;
            xattrs.extend(value.map(|value| (name.into_bytes(), value)));
        }
    }
    Ok(xattrs)
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// What was there a moment ago is not, or is something else.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ESTALE)
    )
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        name.to_vec()
    } else {
        [path, b"/", name].concat()
    }
}

/// Bytes from the end of so much data to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}
