//! Which hierarchies this host has and where they are mounted: `/proc/self/mountinfo`, see proc_pid_mountinfo(5).

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

/// The control group hierarchies of this host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchies(Vec<Hierarchy>);

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    mount: PathBuf,
    /// Empty for the unified one.
    controllers: Vec<String>,
    unified: bool,
}

impl Hierarchies {
    /// Reads what is mounted.
    ///
    /// # Errors
    /// When `/proc/self/mountinfo` cannot be read.
    pub fn discover() -> io::Result<Self> {
        Ok(Self::parse(&fs::read("/proc/self/mountinfo")?))
    }

    /// Takes the hierarchies out of the text of `mountinfo`. A hierarchy that is mounted twice counts once; lines that
    /// are none of ours are skipped.
    #[must_use]
    pub fn parse(mountinfo: &[u8]) -> Self {
        let mut found = Self::default();
        for hierarchy in mountinfo.split(|&byte| byte == b'\n').filter_map(parse_line) {
            let known = found.0.iter().any(|other| {
                other.unified == hierarchy.unified && (other.unified || other.controllers == hierarchy.controllers)
            });
            if !known {
                found.0.push(hierarchy);
            }
        }
        found
    }

    /// The v1 hierarchies.
    pub fn legacy(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter().filter(|hierarchy| !hierarchy.unified)
    }

    /// The v2 hierarchy.
    #[must_use]
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.unified)
    }

    /// Whether the unified hierarchy is the only one.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        self.legacy().next().is_none() && self.unified().is_some()
    }

    /// Every hierarchy.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter()
    }

    /// The v1 hierarchy of a controller.
    #[must_use]
    pub fn of(&self, controller: &str) -> Option<&Hierarchy> {
        self.legacy()
            .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }
}

impl Hierarchy {
    /// The last part of the mount point: `cpu,cpuacct`, `systemd`.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        self.mount.file_name().unwrap_or_default()
    }

    /// Its v1 controllers; a named hierarchy is `name=…`. Empty for v2.
    #[must_use]
    pub fn controllers(&self) -> &[String] {
        &self.controllers
    }

    /// Whether it is the v2 hierarchy.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        self.unified
    }

    /// The directory of a control group (`/gantry/<id>`, `/` for the root) on the host.
    #[must_use]
    pub fn directory(&self, cgroup: &str) -> PathBuf {
        match cgroup.trim_start_matches('/') {
            // No slash at the end.
            "" => self.mount.clone(),
            below => self.mount.join(below),
        }
    }

    /// Opens that directory.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(&self, cgroup: &str) -> io::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(open(&self.directory(cgroup), flags, Mode::empty())?)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }
}

/// `36 35 98:0 /root /mount options … - type source super-options`
fn parse_line(line: &[u8]) -> Option<Hierarchy> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mount = fields.nth(4)?;
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let unified = match fields.next()? {
        b"cgroup" => false,
        b"cgroup2" => true,
        _ => return None,
    };
    let options = fields.nth(1)?;
    let is_controller = |option: &&[u8]| !matches!(*option, b"rw" | b"ro" | b"xattr" | b"clone_children" | b"noprefix");
    let controllers = if unified {
        Vec::new()
    } else {
        let names = options.split(|&byte| byte == b',').filter(is_controller);
        names
            .filter(|name| !name.starts_with(b"release_agent="))
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    };
    Some(Hierarchy {
        mount: unescape(mount),
        controllers,
        unified,
    })
}

/// Blank, tab, newline and backslash are written in octal: `\040`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                path.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => path.push(byte),
        }
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hierarchies_are_found_in_every_layout() {
        let hybrid = "\
            22 27 0:21 / /proc rw - proc proc rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            36 31 0:33 / /other\\040place rw - cgroup cgroup rw,memory\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let v2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate\n";
        let list = |text: &str| -> Vec<(String, String)> {
            let found = Hierarchies::parse(text.as_bytes());
            found
                .iter()
                .map(|one| (one.mount().display().to_string(), one.controllers().join("+")))
                .collect()
        };
        let pair = |mount: &str, controllers: &str| (mount.to_owned(), controllers.to_owned());
        let cases = [
            (
                "hybrid",
                hybrid,
                vec![
                    pair("/sys/fs/cgroup/cpu,cpuacct", "cpu+cpuacct"),
                    pair("/sys/fs/cgroup/memory", "memory"),
                    pair("/sys/fs/cgroup/systemd", "name=systemd"),
                    pair("/sys/fs/cgroup/unified", ""),
                ],
            ),
            ("unified", v2, vec![pair("/sys/fs/cgroup", "")]),
            ("nothing", "22 27 0:21 / /proc rw - proc proc rw\n\ngarbage\n", vec![]),
            (
                "a blank in the mount point",
                "1 2 0:1 / /a\\040b\\134 rw - cgroup cgroup rw,cpu\n",
                vec![pair("/a b\\", "cpu")],
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(list(text), expected, "{name}");
        }
        assert!(Hierarchies::parse(v2.as_bytes()).is_unified());
        assert!(!Hierarchies::parse(hybrid.as_bytes()).is_unified());
        let memory = Hierarchies::parse(hybrid.as_bytes());
        assert_eq!(
            memory.of("memory").unwrap().directory("/a/b"),
            Path::new("/sys/fs/cgroup/memory/a/b")
        );
        assert_eq!(
            memory.of("memory").unwrap().directory("/").as_os_str(),
            "/sys/fs/cgroup/memory"
        );
        assert_eq!(memory.of("pids"), None);
    }

    proptest! {
        #[test]
        fn no_mountinfo_breaks_the_parser(text: Vec<u8>) {
            let found = Hierarchies::parse(&text);
            prop_assert!(found.iter().all(|hierarchy| hierarchy.is_unified() == hierarchy.controllers().is_empty() || !hierarchy.is_unified()));
        }
    }
}
