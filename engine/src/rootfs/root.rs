//! A container's root as a descriptor, and the only ways to reach what lies below it.
//!
//! No path of the image is ever given to the kernel as a path of the host: `openat2(2)` resolves it with this root as
//! `/`. Where something must be made, the path is walked one component at a time on held descriptors.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    sys::stat::{Mode, SFlag, fstat, mkdirat},
    unistd::{Gid, Uid, fchownat},
};

use crate::sys::open::{self, resolve};

/// The root of a container.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

impl Root {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Opens what is at `path` in the container, following links below the root.
    pub(crate) fn open(&self, path: &str, flags: OFlag) -> io::Result<OwnedFd> {
        let path = CString::new(path)?;
        open::openat2(
            self.0.as_fd(),
            &path,
            flags.bits(),
            0,
            resolve::IN_ROOT | resolve::NO_MAGICLINKS,
        )
    }

    /// The directory at `path`, made with all its parents (mode 0755, owner root) when missing.
    pub(crate) fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        match self.open(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(path, Kind::Directory),
            opened => opened,
        }
    }

    /// What is at `path` unless it is a directory; an empty file (mode 0644, owner root) is made when nothing is there.
    pub(crate) fn file(&self, path: &str) -> io::Result<OwnedFd> {
        let fd = match self.open(path, OFlag::O_PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(path, Kind::File)?,
            opened => opened?,
        };
        if is(&fd, SFlag::S_IFDIR)? {
            Err(Errno::EISDIR.into())
        } else {
            Ok(fd)
        }
    }

    /// The directory `name` directly below the root, made when missing; refused when it is anything else, a link too.
    pub(crate) fn genuine_directory(&self, name: &str) -> io::Result<OwnedFd> {
        let name = CString::new(name)?;
        match mkdirat(&self.0, name.as_c_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        open::openat2(self.0.as_fd(), &name, flags, 0, resolve::BENEATH | resolve::NO_SYMLINKS)
    }

    /// Walks to `path` on descriptors and makes what is missing. Links are followed as the container would follow them,
    /// also one that leads nowhere yet: what it names is made.
    fn make(&self, path: &str, kind: Kind) -> io::Result<OwnedFd> {
        let mut parents = vec![self.0.try_clone()?];
        let mut ahead: Vec<Vec<u8>> = components(path.as_bytes());
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == b".." {
                // The root is its own parent.
                if parents.len() > 1 {
                    parents.pop();
                }
                continue;
            }
            let last = ahead.is_empty();
            let parent = parents.last().unwrap_or(&self.0);
            let name = CString::new(name)?;
            let nofollow = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let next = match openat(parent, name.as_c_str(), nofollow, Mode::empty()) {
                Err(Errno::ENOENT) => {
                    make_one(parent, &name, if last { kind } else { Kind::Directory })?;
                    openat(parent, name.as_c_str(), nofollow, Mode::empty())?
                }
                opened => opened?,
            };
            if is(&next, SFlag::S_IFLNK)? {
                links += 1;
                // The links of procfs lead out of every root.
                if links > LINKS_MAX || open::file_system(next.as_fd())? == libc::PROC_SUPER_MAGIC {
                    return Err(Errno::ELOOP.into());
                }
                let target = readlinkat(&next, c"")?;
                if target.as_bytes().first() == Some(&b'/') {
                    parents.truncate(1);
                }
                ahead.append(&mut components(target.as_bytes()));
                if ahead.len() > COMPONENTS_MAX {
                    return Err(Errno::ENAMETOOLONG.into());
                }
                continue;
            }
            let directory = is(&next, SFlag::S_IFDIR)?;
            if !directory && (!last || kind == Kind::Directory) {
                return Err(Errno::ENOTDIR.into());
            }
            parents.push(next);
        }
        parents.pop().ok_or_else(|| Errno::ENOENT.into())
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
}

/// Whether the inode is of this type.
pub(crate) fn is(fd: &impl AsFd, kind: SFlag) -> io::Result<bool> {
    Ok(SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT == kind)
}

fn make_one(parent: &OwnedFd, name: &CString, kind: Kind) -> io::Result<()> {
    let (name, made) = match kind {
        Kind::Directory => (name, mkdirat(parent, name.as_c_str(), Mode::from_bits_truncate(0o755))),
        Kind::File => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            (
                name,
                openat(parent, name.as_c_str(), flags, Mode::from_bits_truncate(0o644)).map(drop),
            )
        }
    };
    made?;
    // A set-group-id parent would have passed its group on.
    Ok(fchownat(
        parent,
        name.as_c_str(),
        Some(Uid::from_raw(0)),
        Some(Gid::from_raw(0)),
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )?)
}

/// The names in a path, last first, without `.` and empty ones.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".");
    let mut names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    names.reverse();
    names
}

/// As many links as the kernel follows in one lookup.
const LINKS_MAX: usize = 40;
/// More names than any path has.
const COMPONENTS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, symlink},
        path::{Path, PathBuf},
    };

    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gantry-root-{name}-{}", std::process::id()));
            drop(fs::remove_dir_all(&path));
            fs::create_dir_all(path.join("root")).unwrap();
            Self(path)
        }

        fn root(&self) -> Root {
            Root::new(fs::File::open(self.0.join("root")).unwrap().into())
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.join(path)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn place_of(fd: &OwnedFd) -> (u64, u64) {
        let stat = fstat(fd).unwrap();
        (stat.st_dev, stat.st_ino)
    }

    fn place_at(path: &Path) -> (u64, u64) {
        let meta = fs::symlink_metadata(path).unwrap();
        (meta.dev(), meta.ino())
    }

    #[test]
    fn nothing_is_made_outside_the_root() {
        if !nix::unistd::geteuid().is_root() {
            crate::skip::say("needs root");
            return;
        }
        // Name, link to make at root/link, path asked for, where the directory must be.
        let cases = [
            ("plain", "", "/a/b", "root/a/b"),
            ("dots", "", "../../a/../b", "root/b"),
            ("absolute link", "/etc/x", "/link/y", "root/etc/x/y"),
            ("climbing link", "../../../out", "link/y", "root/out/y"),
            ("link to a link", "link2/z", "/link/y", "root/deep/z/y"),
            ("the root itself", "", "/..", "root"),
        ];
        for (name, link, path, expected) in cases {
            let tree = Tree::new("walk");
            symlink("/deep", tree.at("root/link2")).unwrap();
            if !link.is_empty() {
                symlink(link, tree.at("root/link")).unwrap();
            }
            let made = tree.root().directory(path).unwrap();
            assert_eq!(place_of(&made), place_at(&tree.at(expected)), "{name}");
            assert_eq!(
                fs::read_dir(&tree.0).unwrap().count(),
                1,
                "{name}: something beside the root"
            );
            let again = tree.root().directory(path).unwrap();
            assert_eq!(place_of(&again), place_of(&made), "{name}: the second time");
        }
    }

    #[test]
    fn a_bind_target_may_be_a_dangling_link() {
        if !nix::unistd::geteuid().is_root() {
            crate::skip::say("needs root");
            return;
        }
        let tree = Tree::new("file");
        fs::create_dir(tree.at("root/etc")).unwrap();
        symlink("../run/resolve/stub.conf", tree.at("root/etc/resolv.conf")).unwrap();
        let made = tree.root().file("/etc/resolv.conf").unwrap();
        assert_eq!(place_of(&made), place_at(&tree.at("root/run/resolve/stub.conf")));
    }

    #[test]
    fn hostile_places_are_refused() {
        let tree = Tree::new("hostile");
        fs::write(tree.at("root/file"), "").unwrap();
        symlink("loop", tree.at("root/loop")).unwrap();
        fs::create_dir(tree.at("root/directory")).unwrap();
        symlink("/directory", tree.at("root/proc")).unwrap();
        let root = tree.root();
        let cases = [
            ("directory below a file", root.directory("/file/x"), Errno::ENOTDIR),
            ("a file as directory", root.directory("/file"), Errno::ENOTDIR),
            ("link to itself", root.directory("/loop/x"), Errno::ELOOP),
            ("directory as file", root.file("/directory"), Errno::EISDIR),
        ];
        for (name, result, expected) in cases {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(expected as i32), "{name}");
        }
        for name in ["proc", "file"] {
            root.genuine_directory(name).unwrap_err();
        }
    }

    #[test]
    fn a_nul_in_a_path_is_an_error() {
        let tree = Tree::new("nul");
        assert_eq!(
            tree.root().directory("/a\0b").unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
