//! Kernel parameters of the calling thread's network namespace.
//!
//! A parameter that protects a container must not be written to a file that only looks like one of procfs
//! (CVE-2025-52881): the file system is verified, and nothing below it may be a link or a mount.
//!
//! Source: proc(5), the kernel's `Documentation/networking/ip-sysctl.rst`.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::{
        stat::Mode,
        statfs::{PROC_SUPER_MAGIC, fstatfs},
    },
};

use super::NetworkError;

/// `/proc/sys` of a verified procfs.
#[derive(Debug)]
pub(super) struct Sysctl {
    directory: OwnedFd,
}

impl Sysctl {
    /// Makes sure that `/proc` is procfs, and its root.
    pub(super) fn open() -> Result<Self, NetworkError> {
        let verify = || {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let procfs = File::from(open("/proc", flags, Mode::empty())?);
            if fstatfs(&procfs)?.filesystem_type() != PROC_SUPER_MAGIC || procfs.metadata()?.ino() != PROC_ROOT_INODE {
                return Err(io::Error::other("/proc is not the root of a procfs"));
            }
            Ok(openat2(&procfs, "sys", strictly(flags))?)
        };
        let directory = verify().map_err(|source| NetworkError::Sysctl {
            path: PathBuf::new(),
            source,
        })?;
        Ok(Self { directory })
    }

    /// Whether the kernel has this parameter.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.file(path, OFlag::O_PATH).is_ok()
    }

    /// Sets a parameter; `path` is below `/proc/sys`.
    pub(super) fn set(&self, path: &Path, value: &str) -> Result<(), NetworkError> {
        self.file(path, OFlag::O_WRONLY)
            .map_err(io::Error::from)
            .and_then(|mut file| file.write_all(value.as_bytes()))
            .map_err(|source| NetworkError::Sysctl {
                path: path.to_owned(),
                source,
            })
    }

    /// Sets a parameter unless it has that value, so that it need not be writable then. Returns whether it was set.
    pub(super) fn ensure(&self, path: &Path, value: &str) -> Result<bool, NetworkError> {
        let mut current = String::new();
        self.file(path, OFlag::O_RDONLY)
            .map_err(io::Error::from)
            .and_then(|file| file.take(VALUE_BYTES_MAX).read_to_string(&mut current))
            .map_err(|source| NetworkError::Sysctl {
                path: path.to_owned(),
                source,
            })?;
        if current.trim_end() == value {
            return Ok(false);
        }
        self.set(path, value)?;
        Ok(true)
    }

    fn file(&self, path: &Path, access: OFlag) -> Result<File, Errno> {
        openat2(&self.directory, path, strictly(access | OFlag::O_CLOEXEC)).map(File::from)
    }
}

/// Opens what is really there, below the directory, and nothing else.
fn strictly(flags: OFlag) -> OpenHow {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    OpenHow::new().flags(flags | OFlag::O_NOFOLLOW).resolve(resolve)
}

/// `PROC_ROOT_INO` of the kernel.
const PROC_ROOT_INODE: u64 = 1;
/// The parameters here are small numbers.
const VALUE_BYTES_MAX: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_below_sys_alone() {
        let sysctl = Sysctl::open().unwrap();
        let table = [
            ("there", "kernel/ostype", true),
            ("not there", "kernel/no_such_parameter", false),
            ("outside", "../version", false),
            ("absolute", "/etc/hosts", false),
        ];
        for (name, path, expected) in table {
            assert_eq!(sysctl.exists(path.as_ref()), expected, "{name}");
        }
    }

    #[test]
    fn errors_name_the_parameter() {
        let error = Sysctl::open().unwrap().set("kernel/no_such".as_ref(), "1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot access kernel parameter: /proc/sys/kernel/no_such: No such file or directory (os error 2)"
        );
    }
}
