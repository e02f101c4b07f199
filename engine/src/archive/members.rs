//! The members of a tar stream, one after the other, with one reading.
//!
//! Format: POSIX.1-2017, pax (ustar and pax interchange formats), and the GNU tar manual (long names). A pax `size`
//! always overrides the header's. Refused, because readers differ and a second archive could hide in the difference:
//! data on links, directories and devices; two extended headers of one kind for one member; a pax path together with a
//! GNU long name; sparse files; unknown type flags; anything but zeros after the end.

use std::io::{self, Read};

use super::{
    error::{ArchiveError, shown},
    header::{BLOCK, Header},
    pax::Pax,
};

/// Most bytes of extended headers and long names for one member.
const META_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a path or of a link's target: the kernel's own `PATH_MAX`, its NUL included.
pub(super) const PATH_BYTES_MAX: usize = 4096;
/// Most bytes of one name in a path (`NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;
/// Most names in a path.
const DEPTH_MAX: usize = 256;
/// Bytes that [`Members::peek`] shows: a block, which is what tells a tar stream.
pub const PEEK_MAX: usize = BLOCK;
/// Bytes read from the stream at once, and written to files at once.
const WINDOW: usize = 256 * 1024;

/// A member of a tar archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Names from the root down, joined by single `/`: no leading or trailing one, no `.` or `..`. Empty is the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of data; 0 for everything but files.
    pub size: u64,
    /// Time of last modification.
    pub mtime: Mtime,
    /// Extended attributes: name without NUL, and value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its data follows.
    File,
    /// Another name of an earlier member.
    HardLink {
        /// As [`Member::path`].
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// As it is; not empty, without NUL, below 4096 bytes.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Below 4096.
        major: u32,
        /// Below 2^20.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Below 4096.
        major: u32,
        /// Below 2^20.
        minor: u32,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A time of last modification: seconds since 1970 and nanoseconds within the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mtime {
    /// Negative before 1970.
    pub secs: i64,
    /// 0 … 999,999,999.
    pub nanos: u32,
}

/// Reads a tar stream.
///
/// **After [`next_member`](Self::next_member) the data of a file is taken with [`data`](Self::data) and
/// [`consume`](Self::consume); what is left is skipped by the next call. `None` has been returned only after the whole
/// stream was read to its end, so a digest of it is complete.**
pub struct Members<R> {
    window: Window<R>,
    /// Data of the current member not consumed yet.
    data_left: u64,
    /// Zeros behind the data up to the next block.
    padding: usize,
    /// Zeros at the end of the stream, the first block excepted.
    zeros: u64,
    last: String,
    ended: bool,
}

impl<R: Read> Members<R> {
    /// Reads `source`, which is not compressed.
    pub fn new(source: R) -> Self {
        Self {
            window: Window {
                source,
                buf: vec![0; WINDOW].into_boxed_slice(),
                start: 0,
                end: 0,
                kept: None,
            },
            zeros: 0,
            data_left: 0,
            padding: 0,
            last: String::new(),
            ended: false,
        }
    }

    /// The next member; `None` at the end of the stream.
    ///
    /// # Errors
    /// [`ArchiveError::Malformed`], [`ArchiveError::Unsupported`], [`ArchiveError::TooMuch`] and
    /// [`ArchiveError::Read`]. The reader is of no use afterwards.
    pub fn next_member(&mut self) -> Result<Option<Member>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_rest()?;
        let mut meta = Meta::default();
        loop {
            let Some(block) = self.window.block().map_err(|e| self.blame_read(e))? else {
                return if meta.is_empty() {
                    self.end()
                } else {
                    Err(self.malformed(DANGLING))
                };
            };
            if block == [0; BLOCK] {
                return if meta.is_empty() {
                    self.finish()
                } else {
                    Err(self.malformed(DANGLING))
                };
            }
            let header = Header::decode(&block).map_err(|what| self.malformed(what))?;
            match header.kind() {
                b'x' => {
                    let data = self.meta_data(&header, &mut meta)?;
                    if meta.pax.is_some() {
                        return Err(self.malformed("two pax headers for one member"));
                    }
                    meta.pax = Some(Pax::decode(&data).map_err(|what| self.malformed(what))?);
                }
                b'g' => {
                    let data = self.meta_data(&header, &mut meta)?;
                    Pax::check_global(&data).map_err(|what| self.malformed(what))?;
                }
                flag @ (b'L' | b'K') => {
                    let data = self.meta_data(&header, &mut meta)?;
                    let slot = if flag == b'L' {
                        &mut meta.long_name
                    } else {
                        &mut meta.long_link
                    };
                    if slot.is_some() {
                        return Err(self.malformed("two GNU long names for one member"));
                    }
                    let name = data.strip_suffix(b"\0").unwrap_or(&data);
                    if name.is_empty() || name.contains(&0) {
                        return Err(self.malformed("a name holds a NUL"));
                    }
                    *slot = Some(name.to_vec());
                }
                _ => return self.member(&header, meta).map(Some),
            }
        }
    }

    /// From now on, keeps what is not data of files for [`take_kept`](Self::take_kept).
    pub(crate) fn keep(&mut self) {
        self.window.kept = Some(Vec::new());
    }

    /// The bytes between the data of the last file and what comes next: padding and headers. Of the zeros that end the
    /// stream only the first block is among them; the second value is how many more there are.
    pub(crate) fn take_kept(&mut self) -> (Vec<u8>, u64) {
        let kept = self.window.kept.as_mut().map(std::mem::take);
        (kept.unwrap_or_default(), std::mem::take(&mut self.zeros))
    }

    /// The next bytes of the current file's data; empty at its end. Not consumed until [`consume`](Self::consume).
    ///
    /// # Errors
    /// [`ArchiveError::Read`], and [`ArchiveError::Malformed`] when the stream ends inside the data.
    pub fn data(&mut self) -> Result<&[u8], ArchiveError> {
        if self.data_left == 0 {
            return Ok(&[]);
        }
        if self.window.is_empty() && self.window.fill().map_err(ArchiveError::Read)? == 0 {
            return Err(self.malformed(TRUNCATED));
        }
        let max = usize::try_from(self.data_left).unwrap_or(usize::MAX);
        let bytes = self.window.bytes();
        Ok(&bytes[..bytes.len().min(max)])
    }

    /// The first bytes of the current file's data: as many as there are, at most [`PEEK_MAX`]. Nothing is consumed.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        let wanted = usize::try_from(self.data_left).unwrap_or(PEEK_MAX).min(PEEK_MAX);
        while self.window.bytes().len() < wanted {
            if self.window.fill().map_err(ArchiveError::Read)? == 0 {
                return Err(self.malformed(TRUNCATED));
            }
        }
        Ok(&self.window.bytes()[..wanted])
    }

    /// Takes `len` bytes of what [`data`](Self::data) returned.
    pub fn consume(&mut self, len: usize) {
        debug_assert!(len as u64 <= self.data_left, "consumed more than there is");
        self.window.start += len;
        self.data_left -= len as u64;
    }

    /// The data of the current file as a reader. What it leaves is skipped by [`next_member`](Self::next_member).
    pub fn reader(&mut self) -> MemberData<'_, R> {
        MemberData(self)
    }

    /// Builds the member a header and what came before it describe.
    fn member(&mut self, header: &Header<'_>, meta: Meta) -> Result<Member, ArchiveError> {
        let pax = meta.pax.unwrap_or_default();
        let both =
            (pax.path.is_some() && meta.long_name.is_some()) || (pax.link_path.is_some() && meta.long_link.is_some());
        if both {
            return Err(self.malformed("a pax path and a GNU long name for one member"));
        }
        let short = header.name().map_err(|what| self.malformed(what))?;
        let name = pax.path.or(meta.long_name).unwrap_or(short);
        self.last = shown(&name);
        let short = header.link_name().map_err(|what| self.malformed(what))?;
        let link = pax.link_path.or(meta.long_link).unwrap_or(short);
        let stated = header.size().map_err(|what| self.malformed(what))?;
        let size = pax.size.unwrap_or(stated);
        let slash = name.ends_with(b"/");
        let kind = match header.kind() {
            // Version 7 had no flag for directories but the slash.
            0 if slash => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink {
                target: self.clean(&link)?,
            },
            b'2' if link.is_empty() => return Err(self.malformed("a symbolic link has no target")),
            b'2' if link.len() >= PATH_BYTES_MAX => return Err(self.malformed("a path is too long")),
            b'2' => Kind::Symlink { target: link },
            flag @ (b'3' | b'4') => {
                let (major, minor) = header.device().map_err(|what| self.malformed(what))?;
                if flag == b'3' {
                    Kind::CharDevice { major, minor }
                } else {
                    Kind::BlockDevice { major, minor }
                }
            }
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return Err(self.unsupported("a sparse file")),
            _ => return Err(self.unsupported("a member of this type")),
        };
        if slash && kind != Kind::Directory {
            return Err(self.malformed("the name of a non-directory ends with a slash"));
        }
        if size != 0 && kind != Kind::File {
            return Err(self.malformed("data on a member that is no file"));
        }
        let path = self.clean(&name)?;
        if path.is_empty() && kind != Kind::Directory {
            return Err(self.malformed("the root is no directory"));
        }
        let owner = |value: Result<u64, _>, over: Option<u64>| {
            let id = u32::try_from(over.unwrap_or(value?)).map_err(|_| "an owner is out of range")?;
            // All ones means "leave it" to chown(2).
            if id == u32::MAX {
                Err("an owner is out of range")
            } else {
                Ok(id)
            }
        };
        let uid = owner(header.uid(), pax.uid).map_err(|what| self.malformed(what))?;
        let gid = owner(header.gid(), pax.gid).map_err(|what| self.malformed(what))?;
        let secs = header.mtime().map_err(|what| self.malformed(what))?;
        self.data_left = size;
        self.padding = padding(size);
        Ok(Member {
            path,
            kind,
            mode: header.mode().map_err(|what| self.malformed(what))?,
            uid,
            gid,
            size,
            mtime: pax.mtime.unwrap_or(Mtime { secs, nanos: 0 }),
            xattrs: pax.xattrs,
        })
    }

    /// A path as [`Member::path`] has it.
    fn clean(&self, name: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        if name.len() >= PATH_BYTES_MAX {
            return Err(self.malformed("a path is too long"));
        }
        if name.is_empty() {
            return Err(self.malformed("a name is empty"));
        }
        let mut path = Vec::with_capacity(name.len());
        let mut depth = 0;
        for part in name.split(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".") {
            depth += 1;
            if part == b".." {
                return Err(self.malformed("a path holds '..'"));
            }
            if part.len() > NAME_BYTES_MAX || depth > DEPTH_MAX {
                return Err(self.malformed("a path is too long"));
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        Ok(path)
    }

    fn meta_data(&mut self, header: &Header<'_>, meta: &mut Meta) -> Result<Vec<u8>, ArchiveError> {
        let size = header.size().map_err(|what| self.malformed(what))?;
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        meta.bytes = meta.bytes.saturating_add(len).saturating_add(BLOCK);
        meta.seen = true;
        if meta.bytes > META_BYTES_MAX {
            return Err(ArchiveError::TooMuch {
                what: "bytes of extended headers",
                max: META_BYTES_MAX as u64,
            });
        }
        let mut data = vec![0; len];
        self.window.read_exact(&mut data).map_err(|e| self.blame_read(e))?;
        self.skip_padding(padding(size))?;
        // A global header belongs to no member.
        if header.kind() == b'g' {
            meta.seen = meta.pax.is_some() || meta.long_name.is_some() || meta.long_link.is_some();
        }
        Ok(data)
    }

    fn skip_rest(&mut self) -> Result<(), ArchiveError> {
        while self.data_left > 0 {
            let len = self.data()?.len();
            self.consume(len);
        }
        let padding = std::mem::take(&mut self.padding);
        self.skip_padding(padding)
    }

    /// Padding is not checked to be zero: writers may leave anything there, and no reader looks at it. It may be missing
    /// at the very end, where some writers (umoci) leave it out together with the end marker.
    fn skip_padding(&mut self, len: usize) -> Result<(), ArchiveError> {
        let mut left = len;
        while left > 0 {
            if self.window.is_empty() && self.window.fill().map_err(ArchiveError::Read)? == 0 {
                return Ok(());
            }
            let now = left.min(self.window.bytes().len());
            self.window.pass(now);
            left -= now;
        }
        Ok(())
    }

    /// The first of the two zero blocks was read: checks that nothing but zeros follows.
    fn finish(&mut self) -> Result<Option<Member>, ArchiveError> {
        loop {
            let len = {
                let bytes = self.window.bytes();
                if bytes.iter().any(|&b| b != 0) {
                    return Err(self.malformed("data after the end of the archive"));
                }
                bytes.len()
            };
            self.window.start += len;
            self.zeros += len as u64;
            if self.window.fill().map_err(ArchiveError::Read)? == 0 {
                return self.end();
            }
        }
    }

    fn end(&mut self) -> Result<Option<Member>, ArchiveError> {
        self.ended = true;
        Ok(None)
    }

    fn malformed(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Malformed {
            member: self.last.clone(),
            what,
        }
    }

    fn unsupported(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Unsupported {
            member: self.last.clone(),
            what,
        }
    }

    fn blame_read(&self, error: io::Error) -> ArchiveError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof if error.get_ref().is_some_and(|e| e.is::<Truncated>()) => {
                self.malformed(TRUNCATED)
            }
            _ => ArchiveError::Read(error),
        }
    }
}

/// The data of one member, see [`Members::reader`].
pub struct MemberData<'a, R>(&'a mut Members<R>);

impl<R: Read> Read for MemberData<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let data = self.0.data().map_err(io::Error::other)?;
        let len = data.len().min(buf.len());
        buf[..len].copy_from_slice(&data[..len]);
        self.0.consume(len);
        Ok(len)
    }
}

/// What came before a member's own header.
#[derive(Default)]
struct Meta {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    bytes: usize,
    /// Something was read that needs a member to follow.
    seen: bool,
}

impl Meta {
    fn is_empty(&self) -> bool {
        !self.seen
    }
}

/// A stretch of the stream: `buf[start..end]` is read and not consumed. `start <= end <= buf.len()`.
struct Window<R> {
    source: R,
    buf: Box<[u8]>,
    start: usize,
    end: usize,
    /// What was consumed and is no data of a file, if that is wanted.
    kept: Option<Vec<u8>>,
}

impl<R: Read> Window<R> {
    /// Consumes bytes that are no data of a file.
    fn pass(&mut self, len: usize) {
        let passed = &self.buf[self.start..self.start + len];
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(passed);
        }
        self.start += len;
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn bytes(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// Reads more behind what is there; 0 at the end of the stream. There must be room, which there is unless a whole
    /// window waits.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match self.source.read(&mut self.buf[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => {
                    let len = done?;
                    self.end += len;
                    return Ok(len);
                }
            }
        }
    }

    /// The next block; `None` at the end of the stream.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        while self.end - self.start < BLOCK {
            if self.fill()? == 0 {
                return if self.is_empty() { Ok(None) } else { Err(truncated()) };
            }
        }
        let block = self.bytes()[..BLOCK].try_into().expect("a block was read");
        self.pass(BLOCK);
        Ok(Some(block))
    }

    fn read_exact(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            if self.is_empty() && self.fill()? == 0 {
                return Err(truncated());
            }
            let len = out.len().min(self.end - self.start);
            let (now, later) = out.split_at_mut(len);
            now.copy_from_slice(&self.bytes()[..len]);
            self.pass(len);
            out = later;
        }
        Ok(())
    }
}

/// Marks an end of the tar stream inside a member, as opposed to one the decompressor complains about.
#[derive(Debug)]
struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(TRUNCATED)
    }
}

impl std::error::Error for Truncated {}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, Truncated)
}

/// Bytes from the end of `size` bytes of data to the next block.
fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

const TRUNCATED: &str = "the archive ends inside a member";
const DANGLING: &str = "an extended header without a member";
