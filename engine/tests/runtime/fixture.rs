//! A root file system of busybox, a spec to vary, and a look at what the host has before and after.

use std::{
    fs::{self, File},
    io::{Read, Seek},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use gantry_engine::{
    cgroup::{self, Hierarchies},
    process::{
        Cgroup, Prepared, Rootfs, Spec, StartError, Started, Stdio,
        capability::{self, plan_capabilities},
        defaults, prepare,
    },
};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

/// Why nothing can be tested here.
pub(crate) fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root");
    }
    (!Path::new(BUSYBOX).exists()).then_some("needs a static /bin/busybox")
}

/// A container's directory on the host and the spec to start it; removed with all that runs in it when dropped.
pub(crate) struct Box {
    pub(crate) base: PathBuf,
    pub(crate) spec: Spec,
    cgroup: String,
}

/// What a container said and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Box {
    /// A default container that runs `argv`.
    pub(crate) fn new(argv: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:056x}{number:08x}", std::process::id());
        let base = std::env::temp_dir().join(format!("gantry-runtime-{}-{number}", std::process::id()));
        drop(fs::remove_dir_all(&base));
        let lower = base.join("lower");
        for directory in ["lower/bin", "lower/etc", "lower/tmp", "upper", "work"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::copy(BUSYBOX, lower.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", lower.join("bin").join(applet)).unwrap();
        }
        fs::set_permissions(lower.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::write(
            lower.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
        )
        .unwrap();
        fs::write(lower.join("etc/group"), "root:x:0:\naudio:x:29:app\napp:x:1000:\n").unwrap();
        let spec = Spec {
            id: id.clone(),
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: vec![format!("PATH={}", defaults::PATH), "A=b c".to_owned()],
            working_dir: "/".into(),
            hostname: Some("inside".into()),
            rootfs: Rootfs {
                lower: vec![lower],
                upper: base.join("upper"),
                work: base.join("work"),
                read_only: false,
            },
            shm_size: defaults::SHM_BYTES,
            cgroup: Cgroup {
                path: format!("{}/{id}", cgroup_parent()),
                ..Cgroup::default()
            },
            capabilities: plan_capabilities(&[], &[], false, capability::available()).unwrap(),
            masked_paths: defaults::masked_paths(0),
            readonly_paths: defaults::readonly_paths(),
            ..Spec::default()
        };
        Self {
            base,
            cgroup: spec.cgroup.path.clone(),
            spec,
        }
    }

    /// A default container that runs a shell script.
    pub(crate) fn script(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    pub(crate) fn lower(&self, path: &str) -> PathBuf {
        self.base.join("lower").join(path)
    }

    /// Both halves of the start, with files for output.
    pub(crate) fn start(&self) -> Result<(Started, File, File), StartError> {
        let (stdio, out, err) = self.stdio();
        let started = prepare(&self.spec, Some(stdio)).and_then(Prepared::run)?;
        Ok((started, out, err))
    }

    /// Standard streams: nothing to read, files to write.
    pub(crate) fn stdio(&self) -> (Stdio, File, File) {
        let file = |name| {
            let path = self.base.join(name);
            File::options().read(true).append(true).create(true).open(path).unwrap()
        };
        let (out, err) = (file("out"), file("err"));
        let stdin = File::options().read(true).write(true).open("/dev/null").unwrap().into();
        let stdio = Stdio {
            stdin,
            stdout: out.try_clone().unwrap().into(),
            stderr: err.try_clone().unwrap().into(),
        };
        (stdio, out, err)
    }

    /// Starts it, waits for its end, removes its control groups.
    pub(crate) fn run(&self) -> Outcome {
        let (started, mut out, mut err) = self.start().unwrap();
        let code = wait(&started.pidfd);
        cgroup::destroy(&self.spec.cgroup.path).unwrap();
        Outcome {
            code,
            out: text(&mut out),
            err: text(&mut err),
        }
    }

    /// What a script prints; it has to succeed.
    pub(crate) fn output(&self) -> String {
        let outcome = self.run();
        assert_eq!(outcome.code, 0, "{outcome:?}");
        outcome.out
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        if let Err(error) = cgroup::destroy(&self.cgroup) {
            println!("{error}");
        }
        drop(fs::remove_dir_all(&self.base));
    }
}

/// Waits for a container's end: its exit code, 128 and more for a signal.
pub(crate) fn wait(pidfd: &OwnedFd) -> i32 {
    match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap() {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        other => panic!("{other:?}"),
    }
}

fn text(file: &mut File) -> String {
    let mut content = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut content).unwrap();
    String::from_utf8_lossy(&content).into_owned()
}

/// What a start could leave behind on the host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Host {
    mounts: Vec<String>,
    children: String,
    cgroups: Vec<PathBuf>,
    descriptors: usize,
}

impl Host {
    pub(crate) fn look() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = |line: &&str| line.contains("gantry-runtime-");
        let pid = std::process::id();
        let mut cgroups = Vec::new();
        for hierarchy in Hierarchies::discover().unwrap().iter() {
            let entries = fs::read_dir(hierarchy.directory(&cgroup_parent()))
                .into_iter()
                .flatten()
                .flatten();
            let directories = entries
                .filter(|entry| entry.file_type().unwrap().is_dir())
                .map(|entry| entry.path());
            // Other processes may run the same tests.
            cgroups.extend(directories.filter(|path| path.to_str().unwrap().contains(&format!("{pid:056x}"))));
        }
        Self {
            mounts: mounts.lines().filter(ours).map(str::to_owned).collect(),
            children: fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap(),
            cgroups,
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }

    /// How the host differs now.
    pub(crate) fn changes(&self) -> Option<String> {
        let now = Self::look();
        (now != *self).then(|| format!("{now:?}, before: {self:?}"))
    }
}

/// Where the containers of this process have their control groups.
fn cgroup_parent() -> String {
    format!("/gantry-runtime-{}", std::process::id())
}

/// Removes that, which is empty unless a case has failed.
pub(crate) fn tidy() {
    for hierarchy in Hierarchies::discover().unwrap().iter() {
        drop(fs::remove_dir(hierarchy.directory(&cgroup_parent())));
    }
}

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &[&str] = &[
    "awk", "cat", "chmod", "dd", "echo", "env", "false", "grep", "head", "hostname", "id", "kill", "ls", "mkdir",
    "mknod", "mount", "ps", "pwd", "readlink", "rm", "sh", "sleep", "sort", "stat", "stty", "touch", "true", "tr",
    "tty", "umask", "umount", "unshare", "wc", "yes",
];
