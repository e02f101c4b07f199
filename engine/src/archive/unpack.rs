//! Unpacks a layer into a directory, through descriptors only.
//!
//! Every member is placed below a held descriptor of its parent directory, which `openat2(RESOLVE_IN_ROOT)` found, so
//! neither names nor links of the archive reach outside. Metadata goes to descriptors, or to a link itself, never through
//! one. Whiteouts follow the OCI image layer specification ("Representing Changes: Whiteouts") and become what
//! overlayfs understands: a character device 0:0, and the attribute `trusted.overlay.opaque` (kernel, overlayfs,
//! "whiteouts and opaque directories").
//!
//! The directory must be reachable by the daemon alone while it is filled. A failed call leaves it half filled; the
//! caller throws it away.

use std::{
    ffi::CString,
    io::Read,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag},
    sys::{
        stat::{Mode, SFlag, UtimensatFlags, fchmod, fstatat, futimens, makedev, mkdirat, mknodat, utimensat},
        statvfs::fstatvfs,
        time::TimeSpec,
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat},
};

use super::{
    compression::Decoder,
    digest::{Digest, DigestReader},
    error::{ArchiveError, shown},
    members::{Kind, Member, Members, Mtime},
    skeleton::Recorder,
};
use crate::sys::openat;

/// Bounds on what a layer may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most members.
    pub members_max: u64,
    /// Most bytes of all files.
    pub bytes_max: u64,
    /// Bytes of the file system that stay free.
    pub disk_reserve: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members_max: 4_000_000,
            bytes_max: 1 << 44,
            disk_reserve: 64 << 20,
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest of the uncompressed stream, the layer's `diff_id`.
    pub diff_id: Digest,
    /// Bytes of all files.
    pub size: u64,
    /// Members, whiteouts included.
    pub members: u64,
    /// Extended attributes that the file system cannot hold and that were left out.
    pub xattrs_dropped: u64,
    /// A member took the place of an earlier one, whose data is lost.
    pub replaced: bool,
}

/// Unpacks the tar stream `source`, compressed or not, into the empty directory `root`, and hashes it in the same pass.
/// The stream is read to its end.
///
/// # Errors
/// See [`ArchiveError`].
pub fn unpack_layer(source: impl Read, root: BorrowedFd<'_>, limits: &Limits) -> Result<Unpacked, ArchiveError> {
    unpack_and_record(source, root, limits, None)
}

/// As [`unpack_layer`], and keeps the skeleton of the stream. It is of no use when something was
/// [replaced](Unpacked::replaced).
pub(crate) fn unpack_and_record(
    source: impl Read,
    root: BorrowedFd<'_>,
    limits: &Limits,
    mut recorder: Option<&mut Recorder>,
) -> Result<Unpacked, ArchiveError> {
    let decoder = Decoder::new(source).map_err(ArchiveError::Read)?;
    let mut hashed = DigestReader::new(decoder);
    let mut placer = Placer {
        root,
        limits,
        parent: None,
        removed: false,
        replaced: false,
        directories: Vec::new(),
        directories_bytes: 0,
        bytes: 0,
        members: 0,
        unchecked: 0,
        xattrs_dropped: 0,
        owner: (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()),
    };
    placer.check_disk()?;
    let mut members = Members::new(&mut hashed);
    if recorder.is_some() {
        members.keep();
    }
    loop {
        let member = members.next_member()?;
        if let Some(recorder) = recorder.as_deref_mut() {
            placer.unchecked += record(recorder, &mut members, member.as_ref()).map_err(ArchiveError::Record)?;
        }
        let Some(member) = member else { break };
        placer.place(&member, &mut members)?;
    }
    drop(members);
    placer.finish()?;
    let (diff_id, _) = hashed.finish();
    Ok(Unpacked {
        diff_id,
        size: placer.bytes,
        members: placer.members,
        xattrs_dropped: placer.xattrs_dropped,
        replaced: placer.replaced,
    })
}

/// Records what was read up to the data of `member`; says how many bytes that were.
fn record<R: Read>(recorder: &mut Recorder, members: &mut Members<R>, member: Option<&Member>) -> std::io::Result<u64> {
    let (bytes, zeros) = members.take_kept();
    recorder.bytes(&bytes)?;
    if zeros > 0 {
        recorder.zeros(zeros)?;
    }
    if let Some(member) = member.filter(|member| member.size > 0) {
        recorder.data(&member.path, member.size)?;
    }
    Ok(bytes.len() as u64)
}

/// Most bytes of directory names remembered for their times.
const DIRECTORY_BYTES_MAX: usize = 64 << 20;
/// Bytes or, scaled, members between two looks at the free space.
const DISK_CHECK_BYTES: u64 = 32 << 20;
/// What a member counts for between two looks: an inode and a block.
const MEMBER_COST: u64 = 8192;
/// Names that begin so say that something below is gone.
const WHITEOUT: &[u8] = b".wh.";
/// In a directory: everything below is gone.
const OPAQUE: &[u8] = b".wh..wh..opq";

struct Placer<'a> {
    root: BorrowedFd<'a>,
    limits: &'a Limits,
    /// The last member's parent: archives list a directory's members together.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// The current member replaced something.
    removed: bool,
    /// Some member did.
    replaced: bool,
    /// Directories whose times are set at the end, because every member placed in one changes them.
    directories: Vec<(Vec<u8>, Mtime)>,
    directories_bytes: usize,
    bytes: u64,
    members: u64,
    /// Cost since the free space was looked at.
    unchecked: u64,
    xattrs_dropped: u64,
    /// What files are owned by without a chown.
    owner: (u32, u32),
}

impl Placer<'_> {
    fn place<R: Read>(&mut self, member: &Member, members: &mut Members<R>) -> Result<(), ArchiveError> {
        self.count(member)?;
        if member.path.is_empty() {
            let root = openat::open_in_root(self.root, b"", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
                .map_err(host("open", member))?;
            return self.set_directory(root.as_fd(), member);
        }
        let (above, name) = split(&member.path);
        if above.split(|&b| b == b'/').any(|part| part.starts_with(WHITEOUT)) {
            return Err(malformed(member, "a whiteout used as a directory"));
        }
        let parent = self.parent_of(above, member)?;
        self.removed = false;
        self.place_in(parent.as_fd(), name, member, members)?;
        // What was removed may have been a link that led to the parent.
        if !self.removed {
            self.parent = Some((above.to_vec(), parent));
        }
        Ok(())
    }

    fn place_in<R: Read>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<(), ArchiveError> {
        if name == OPAQUE {
            return self.make_opaque(parent, member);
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            return self.white_out(parent, gone, member);
        }
        match &member.kind {
            Kind::Directory => self.directory(parent, name, member),
            Kind::File => self.file(parent, name, member, members),
            Kind::HardLink { target } => self.hard_link(parent, name, target, member),
            Kind::Symlink { target } => {
                self.make_room(parent, name, member)?;
                symlinkat(target.as_slice(), parent, name).map_err(host("symlink", member))?;
                self.set_node(parent, name, member)
            }
            Kind::CharDevice { major, minor } => self.node(parent, name, SFlag::S_IFCHR, (*major, *minor), member),
            Kind::BlockDevice { major, minor } => self.node(parent, name, SFlag::S_IFBLK, (*major, *minor), member),
            Kind::Fifo => self.node(parent, name, SFlag::S_IFIFO, (0, 0), member),
        }
    }

    fn directory(&mut self, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), ArchiveError> {
        let mut opaque = false;
        match mkdirat(parent, name, Mode::S_IRWXU) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                let stat = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(host("stat", member))?;
                if kind_of(stat.st_mode) != SFlag::S_IFDIR {
                    // A whiteout and a new directory of the same name in one layer: nothing below shows through.
                    opaque = kind_of(stat.st_mode) == SFlag::S_IFCHR && stat.st_rdev == 0;
                    self.make_room(parent, name, member)?;
                    mkdirat(parent, name, Mode::S_IRWXU).map_err(host("mkdir", member))?;
                }
            }
            Err(errno) => return Err(host("mkdir", member)(errno)),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::openat(parent, name, flags, Mode::empty()).map_err(host("open", member))?;
        if opaque {
            self.mark_opaque(fd.as_fd(), member)?;
        }
        self.set_directory(fd.as_fd(), member)
    }

    fn set_directory(&mut self, fd: BorrowedFd<'_>, member: &Member) -> Result<(), ArchiveError> {
        self.own(fd, member)?;
        fchmod(fd, Mode::from_bits_truncate(member.mode)).map_err(host("chmod", member))?;
        self.set_xattrs(fd, member)?;
        self.directories_bytes += member.path.len() + size_of::<(Vec<u8>, Mtime)>();
        if self.directories_bytes > DIRECTORY_BYTES_MAX {
            return Err(ArchiveError::TooMuch {
                what: "bytes of directory names",
                max: DIRECTORY_BYTES_MAX as u64,
            });
        }
        self.directories.push((member.path.clone(), member.mtime));
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<(), ArchiveError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        let fd = match nix::fcntl::openat(parent, name, flags, private) {
            Err(Errno::EEXIST) => {
                self.make_room(parent, name, member)?;
                nix::fcntl::openat(parent, name, flags, private)
            }
            done => done,
        }
        .map_err(host("create", member))?;
        loop {
            let data = members.data()?;
            if data.is_empty() {
                break;
            }
            let len = match nix::unistd::write(&fd, data) {
                Err(Errno::EINTR) => continue,
                done => done.map_err(host("write", member))?,
            };
            members.consume(len);
            self.unchecked += len as u64;
            if self.unchecked >= DISK_CHECK_BYTES {
                self.check_disk()?;
            }
        }
        let fd = fd.as_fd();
        self.own(fd, member)?;
        fchmod(fd, Mode::from_bits_truncate(member.mode)).map_err(host("chmod", member))?;
        self.set_xattrs(fd, member)?;
        let time = time_of(member.mtime);
        futimens(fd, &time, &time).map_err(host("utimens", member))
    }

    fn hard_link(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        target: &[u8],
        member: &Member,
    ) -> Result<(), ArchiveError> {
        if target.is_empty() {
            return Err(malformed(member, "a hard link to the root"));
        }
        let (above, target_name) = split(target);
        let from = match openat::open_dir_in_root(self.root, above) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(malformed(member, NO_TARGET)),
            Err(errno) => return Err(host("open", member)(errno)),
        };
        // Never follows a link at the end of the target: a link to a symbolic link is another name of that link.
        let found = match fstatat(&from, target_name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::ENOENT) => return Err(malformed(member, NO_TARGET)),
            Err(errno) => return Err(host("stat", member)(errno)),
        };
        if kind_of(found.st_mode) == SFlag::S_IFDIR {
            return Err(malformed(member, "a hard link to a directory"));
        }
        match linkat(&from, target_name, parent, name, AtFlags::empty()) {
            Err(Errno::EEXIST) => {
                let there = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(host("stat", member))?;
                if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino) {
                    return Ok(());
                }
                self.make_room(parent, name, member)?;
                linkat(&from, target_name, parent, name, AtFlags::empty())
            }
            done => done,
        }
        .map_err(host("link", member))
    }

    fn node(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        kind: SFlag,
        (major, minor): (u32, u32),
        member: &Member,
    ) -> Result<(), ArchiveError> {
        self.make_room(parent, name, member)?;
        let device = makedev(u64::from(major), u64::from(minor));
        mknodat(parent, name, kind, Mode::empty(), device).map_err(host("mknod", member))?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::openat(parent, name, flags, Mode::empty()).map_err(host("open", member))?;
        self.own(fd.as_fd(), member)?;
        openat::chmod(fd.as_fd(), Mode::from_bits_truncate(member.mode)).map_err(host("chmod", member))?;
        self.set_node(parent, name, member)
    }

    /// Sets what a node or link can have besides its mode, without following it.
    fn set_node(&mut self, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), ArchiveError> {
        if matches!(member.kind, Kind::Symlink { .. }) && (member.uid, member.gid) != self.owner {
            let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
            fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(host("chown", member))?;
        }
        if !member.xattrs.is_empty() {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let fd = nix::fcntl::openat(parent, name, flags, Mode::empty()).map_err(host("open", member))?;
            self.set_xattrs(fd.as_fd(), member)?;
        }
        let time = time_of(member.mtime);
        utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink).map_err(host("utimens", member))
    }

    fn make_opaque(&self, parent: BorrowedFd<'_>, member: &Member) -> Result<(), ArchiveError> {
        if member.kind != Kind::File || member.size != 0 {
            return Err(malformed(member, BAD_WHITEOUT));
        }
        self.mark_opaque(parent, member)
    }

    fn mark_opaque(&self, directory: BorrowedFd<'_>, member: &Member) -> Result<(), ArchiveError> {
        openat::set_xattr(directory, c"trusted.overlay.opaque", b"y").map_err(host("setxattr", member))
    }

    /// `.wh.<gone>`: hides `gone` of the layers below. What this layer itself holds under that name stays, as only lower
    /// layers are meant; a directory then hides everything below it.
    fn white_out(&self, parent: BorrowedFd<'_>, gone: &[u8], member: &Member) -> Result<(), ArchiveError> {
        // `.wh..wh.` begins the notes of AUFS. Its directories hold nothing of the image.
        if gone.starts_with(WHITEOUT) && member.kind == Kind::Directory {
            return Ok(());
        }
        let plain = matches!(member.kind, Kind::File | Kind::HardLink { .. }) && member.size == 0;
        if !plain || gone.is_empty() || gone == b"." || gone == b".." || gone.starts_with(WHITEOUT) {
            return Err(malformed(member, BAD_WHITEOUT));
        }
        match mknodat(parent, gone, SFlag::S_IFCHR, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) => {
                let stat = fstatat(parent, gone, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(host("stat", member))?;
                if kind_of(stat.st_mode) != SFlag::S_IFDIR {
                    return Ok(());
                }
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let fd = nix::fcntl::openat(parent, gone, flags, Mode::empty()).map_err(host("open", member))?;
                self.mark_opaque(fd.as_fd(), member)
            }
            Err(errno) => Err(host("mknod", member)(errno)),
        }
    }

    /// Removes what is in the way of a member. A directory that is not empty stays, and the archive is refused: an
    /// honest one never replaces what it has just filled.
    fn make_room(&mut self, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> Result<(), ArchiveError> {
        let removed = match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => unlinkat(parent, name, UnlinkatFlags::RemoveDir),
            done => done,
        };
        match removed {
            Ok(()) => {
                self.removed = true;
                self.replaced = true;
            }
            Err(Errno::ENOENT) => {}
            Err(Errno::ENOTEMPTY) => return Err(malformed(member, "a member replaces a directory that is not empty")),
            Err(errno) => return Err(host("unlink", member)(errno)),
        }
        Ok(())
    }

    /// The directory `above`, made with its own parents where missing.
    fn parent_of(&mut self, above: &[u8], member: &Member) -> Result<OwnedFd, ArchiveError> {
        if let Some((path, fd)) = self.parent.take()
            && path == above
        {
            return Ok(fd);
        }
        match openat::open_dir_in_root(self.root, above) {
            Err(Errno::ENOENT) => self.make_parents(above, member),
            Err(Errno::ENOTDIR) => Err(malformed(member, "a member below something that is no directory")),
            Err(Errno::ELOOP) => Err(malformed(member, "a member below a loop of links")),
            done => done.map_err(host("open", member)),
        }
    }

    fn make_parents(&self, above: &[u8], member: &Member) -> Result<OwnedFd, ArchiveError> {
        let mut fd = openat::open_dir_in_root(self.root, b"").map_err(host("open", member))?;
        let ends = above.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(i, _)| i);
        for end in ends.chain([above.len()]) {
            let (_, name) = split(&above[..end]);
            match mkdirat(&fd, name, Mode::S_IRWXU) {
                Ok(()) => {
                    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                    fd = nix::fcntl::openat(&fd, name, flags, Mode::empty()).map_err(host("open", member))?;
                    fchmod(&fd, Mode::from_bits_truncate(0o755)).map_err(host("chmod", member))?;
                }
                Err(Errno::EEXIST) => {
                    fd = match openat::open_dir_in_root(self.root, &above[..end]) {
                        Ok(fd) => fd,
                        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
                            return Err(malformed(member, "a member below something that is no directory"));
                        }
                        Err(errno) => return Err(host("open", member)(errno)),
                    };
                }
                Err(errno) => return Err(host("mkdir", member)(errno)),
            }
        }
        Ok(fd)
    }

    fn own(&self, fd: BorrowedFd<'_>, member: &Member) -> Result<(), ArchiveError> {
        if (member.uid, member.gid) == self.owner {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
        fchownat(fd, c"", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).map_err(host("chown", member))
    }

    fn set_xattrs(&mut self, fd: BorrowedFd<'_>, member: &Member) -> Result<(), ArchiveError> {
        for (name, value) in &member.xattrs {
            // The overlay's own notes are made by us alone; an image must not write them.
            if name.starts_with(b"trusted.") {
                return Err(malformed(member, "a trusted attribute in an archive"));
            }
            let name = CString::new(name.as_slice()).map_err(|_| malformed(member, "a name holds a NUL"))?;
            match openat::set_xattr(fd, &name, value) {
                Ok(()) => {}
                Err(Errno::ENOTSUP) => self.xattrs_dropped += 1,
                // `user.` attributes exist on files and directories only.
                Err(Errno::EPERM) if name.as_bytes().starts_with(b"user.") => self.xattrs_dropped += 1,
                Err(errno) => return Err(host("setxattr", member)(errno)),
            }
        }
        Ok(())
    }

    fn count(&mut self, member: &Member) -> Result<(), ArchiveError> {
        self.members += 1;
        if self.members > self.limits.members_max {
            return Err(ArchiveError::TooMuch {
                what: "members",
                max: self.limits.members_max,
            });
        }
        self.bytes = self.bytes.saturating_add(member.size);
        if self.bytes > self.limits.bytes_max {
            return Err(ArchiveError::TooMuch {
                what: "bytes of files",
                max: self.limits.bytes_max,
            });
        }
        self.unchecked += MEMBER_COST;
        if self.unchecked >= DISK_CHECK_BYTES {
            self.check_disk()?;
        }
        Ok(())
    }

    fn check_disk(&mut self) -> Result<(), ArchiveError> {
        self.unchecked = 0;
        let stat = fstatvfs(self.root).map_err(|errno| ArchiveError::Host {
            step: "statvfs",
            member: String::new(),
            errno,
        })?;
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        if free < self.limits.disk_reserve {
            return Err(ArchiveError::DiskReserve {
                reserve: self.limits.disk_reserve,
            });
        }
        Ok(())
    }

    /// Sets the times of directories, last written last, as the archive says.
    fn finish(&mut self) -> Result<(), ArchiveError> {
        self.parent = None;
        for (path, mtime) in std::mem::take(&mut self.directories) {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
            let fd = match openat::open_in_root(self.root, &path, flags, Mode::empty()) {
                Ok(fd) => fd,
                // A later member took its place.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                Err(errno) => {
                    return Err(ArchiveError::Host {
                        step: "open",
                        member: shown(&path),
                        errno,
                    });
                }
            };
            let time = time_of(mtime);
            futimens(&fd, &time, &time).map_err(|errno| ArchiveError::Host {
                step: "utimens",
                member: shown(&path),
                errno,
            })?;
        }
        Ok(())
    }
}

/// Everything above the last name, and the last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn kind_of(mode: u32) -> SFlag {
    SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits())
}

fn time_of(mtime: Mtime) -> TimeSpec {
    TimeSpec::new(mtime.secs, i64::from(mtime.nanos))
}

fn malformed(member: &Member, what: &'static str) -> ArchiveError {
    ArchiveError::Malformed {
        member: shown(&member.path),
        what,
    }
}

fn host(step: &'static str, member: &Member) -> impl Fn(Errno) -> ArchiveError {
    move |errno| ArchiveError::Host {
        step,
        member: shown(&member.path),
        errno,
    }
}

const NO_TARGET: &str = "the target of a hard link is not there";
const BAD_WHITEOUT: &str = "a whiteout that hides nothing";
