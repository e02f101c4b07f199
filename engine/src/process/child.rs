//! The child's side of a start: from a fresh copy of the keeper to the program of the container.
//!
//! The process has one thread and its own copy of the keeper's memory, so it may allocate like any other. It never
//! returns into the keeper's code: it ends in `execve` or in `_exit`.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::{Mode, SFlag, fstat, makedev, umask},
    unistd::{Uid, fchdir, fchown, setsid},
};

use super::{
    Rlimit, Spec, Stdio, control,
    error::{At, StartError, Step},
    program,
    user::{self, Identity},
};
use crate::{
    cgroup::Group,
    rootfs::{self, Mounts, is},
    sys::{
        clone::unshare,
        credentials,
        mount::{self, attr},
        open::{self, resolve},
        program as sys, terminal,
    },
};

/// Carries out the spec and becomes the program, or reports why not and exits.
pub(super) fn become_container(spec: &Spec, stdio: Option<Stdio>, group: &Group, control: &OwnedFd) -> ! {
    let control = control.as_fd();
    // An unwinding child would run the keeper's code a second time.
    let failed = catch_unwind(AssertUnwindSafe(|| start(spec, stdio, group, control)));
    let error = match failed {
        Ok(Ok(Abandoned)) => sys::exit(EXIT_FAILED),
        Ok(Err(error)) => error,
        Err(_) => StartError::other(Step::Child, "the container's process panicked before the program ran"),
    };
    // Without a parent there is nobody to tell.
    drop(control::send_failed(control, &error));
    sys::exit(EXIT_FAILED)
}

/// The parent went away before it gave its go-ahead.
struct Abandoned;

fn start(spec: &Spec, stdio: Option<Stdio>, group: &Group, control: BorrowedFd<'_>) -> Result<Abandoned, StartError> {
    // What does not depend on the network is done while the parent sets that up.
    umask(Mode::empty());
    credentials::set_dumpable(false).at(Step::Clone, "prctl PR_SET_DUMPABLE")?;
    setsid().map_err(io::Error::from).at(Step::Clone, "setsid")?;
    group.join()?;
    if group.hierarchies.is_unified() {
        // Now, not with clone3: the namespace's root is the group the process is in.
        unshare(libc::CLONE_NEWCGROUP).at(Step::Clone, "unshare the cgroup namespace")?;
    }
    let root = rootfs::mount_overlay(&spec.rootfs)?;
    let mounts = rootfs::mount_defaults(&root, spec.shm_size, &group.hierarchies, &spec.cgroup.path)?;
    match control::receive_go(control) {
        Ok(true) => {}
        Ok(false) | Err(_) => return Ok(Abandoned),
    }

    join_keyring(&spec.id)?;
    name_host(spec)?;
    for bind in &spec.binds {
        rootfs::bind(&root, bind)?;
    }
    for (name, value) in &spec.sysctls {
        let path = sysctl_path(name).ok_or_else(|| bad_sysctl(name))?;
        write_proc(&mounts.proc, &path, value).at(Step::Settings, format_args!("write sysctl {name}"))?;
    }
    set_oom_score(&mounts.proc, spec.oom_score_adj)?;
    let stdio = match stdio {
        Some(stdio) => stdio,
        None => open_terminal(&mounts, control).at(Step::Streams, "open a terminal")?,
    };
    rootfs::hide(&root, &mounts.dev, &spec.masked_paths)?;
    rootfs::make_read_only(&root, &spec.readonly_paths)?;
    let working_dir = root.directory(&spec.working_dir);
    let working_dir = working_dir.map_err(|error| bad_working_dir(&spec.working_dir, &error))?;
    if spec.rootfs.read_only {
        mount::set_attributes(root.as_fd(), attr::RDONLY, false).at(Step::Pivot, "make the root read-only")?;
    }
    fchdir(&root)
        .map_err(io::Error::from)
        .at(Step::Pivot, "enter the root")?;
    mount::pivot_into_working_directory().at(Step::Pivot, "pivot_root")?;

    let identity = user::resolve(&root, &spec.user, &spec.group_add)?;
    let env = environment(spec, &identity)?;
    let argv = strings(&spec.argv)?;
    take_streams(stdio, &mounts.dev, spec.tty, identity.uid).at(Step::Streams, "set up the standard streams")?;
    sys::reset_signals().at(Step::Settings, "reset signals")?;
    limit_resources(&spec.rlimits)?;
    umask(Mode::from_bits_truncate(0o022));
    sys::close_on_exec_from_3().at(Step::Streams, "close_range")?;
    confine(spec, &identity)?;
    enter(&spec.working_dir, &working_dir)?;
    if spec.no_new_privileges {
        credentials::set_no_new_privileges().at(Step::Confinement, "set no_new_privs")?;
        load_filter(&spec.seccomp)?;
    }
    let path = program::find(&spec.argv[0], &spec.env)?;
    control::send_executing(control).at(Step::Child, "write to the parent")?;
    Err(program::run(&path, &argv, &env))
}

fn join_keyring(id: &str) -> Result<(), StartError> {
    let name = CString::new(format!("_ses.{id}")).map_err(io::Error::from);
    let joined = name.and_then(|name| credentials::join_session_keyring(&name));
    match joined {
        // A kernel without keyrings, or a daemon that is itself in a container which filters them.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(()),
        joined => joined.at(Step::Settings, "join a session keyring"),
    }
}

fn name_host(spec: &Spec) -> Result<(), StartError> {
    if let Some(name) = &spec.hostname {
        sys::set_host_name(name).at(Step::Settings, "sethostname")?;
    }
    if let Some(name) = &spec.domainname {
        sys::set_domain_name(name).at(Step::Settings, "setdomainname")?;
    }
    Ok(())
}

/// Lowering needs a capability the daemon may lack; staying at what is inherited is no failure if nothing was asked.
fn set_oom_score(proc: &OwnedFd, score: i32) -> Result<(), StartError> {
    // We are the first process of our pid namespace, whose procfs this is.
    match write_proc(proc, "1/oom_score_adj", &score.to_string()) {
        Err(error) if score == 0 && matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)) => Ok(()),
        written => written.at(Step::Settings, format_args!("set oom_score_adj to {score}")),
    }
}

/// Writes a file of the container's procfs, the one made by this process: no link and no other mount on the way can lead
/// the write elsewhere.
fn write_proc(proc: &OwnedFd, path: &str, value: &str) -> io::Result<()> {
    let path = CString::new(path)?;
    let resolve = resolve::BENEATH | resolve::NO_SYMLINKS | resolve::NO_XDEV;
    let fd = open::openat2(proc.as_fd(), &path, libc::O_WRONLY, 0, resolve)?;
    File::from(fd).write_all(value.as_bytes())
}

/// `net.ipv4.conf.eth0/1.x` and `net/ipv4/conf/eth0.1/x` are one (sysctl.d(5)): the first separator says which spelling
/// it is. `None` for what is no path below `/proc/sys`.
fn sysctl_path(name: &str) -> Option<String> {
    let dotted = name
        .find(['.', '/'])
        .is_some_and(|first| name.as_bytes()[first] == b'.');
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if dotted {
        name.chars().map(swap).collect()
    } else {
        name.to_owned()
    };
    path.split('/')
        .all(|part| !matches!(part, "" | "." | ".."))
        .then(|| format!("sys/{path}"))
}

fn bad_sysctl(name: &str) -> StartError {
    StartError::other(Step::Settings, format!("invalid sysctl {name:?}"))
}

/// A terminal of the container's own devpts: the master goes to the parent, the other end is all three streams and
/// `/dev/console`.
fn open_terminal(mounts: &Mounts, control: BorrowedFd<'_>) -> io::Result<Stdio> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let master = openat(&mounts.pts, "ptmx", flags, Mode::empty())?;
    let peer = terminal::open_peer(master.as_fd())?;
    control::send_terminal(control, master.as_fd())?;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let console = openat(&mounts.dev, "console", flags, Mode::from_bits_truncate(0o600))?;
    mount::attach(mount::open_tree(peer.as_fd(), c"", false)?.as_fd(), console.as_fd())?;
    Ok(Stdio {
        stdin: peer.try_clone()?,
        stdout: peer.try_clone()?,
        stderr: peer,
    })
}

/// Makes the streams descriptors 0, 1 and 2, owned by the user so that `/dev/stdout` can be opened.
fn take_streams(stdio: Stdio, dev: &OwnedFd, tty: bool, uid: u32) -> io::Result<()> {
    if tty {
        terminal::control(stdio.stdin.as_fd())?;
    }
    for (number, stream) in [stdio.stdin, stdio.stdout, stdio.stderr].into_iter().enumerate() {
        let stat = fstat(&stream)?;
        let null = is(&stream, SFlag::S_IFCHR)? && stat.st_rdev == makedev(1, 3);
        let stream = if null {
            // The host's would be a way to the host's /dev.
            openat(
                dev,
                "null",
                OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
                Mode::empty(),
            )?
        } else {
            match fchown(stream.as_fd(), Some(Uid::from_raw(uid)), None) {
                // Some files have no owner to change, or one of another user namespace.
                Ok(()) | Err(Errno::EINVAL | Errno::EPERM | Errno::EROFS) => {}
                Err(errno) => return Err(errno.into()),
            }
            stream
        };
        assert!(
            stream.as_raw_fd() > 2,
            "the standard descriptors of the keeper are open"
        );
        sys::make_standard(stream.as_fd(), number as i32)?;
    }
    Ok(())
}

fn limit_resources(limits: &[Rlimit]) -> Result<(), StartError> {
    for limit in limits {
        sys::set_limit(limit.resource, limit.soft, limit.hard)
            .at(Step::Settings, format_args!("set {}", limit_name(limit.resource)))?;
    }
    Ok(())
}

fn limit_name(resource: u32) -> String {
    let name = usize::try_from(resource).ok().and_then(|resource| LIMITS.get(resource));
    name.map_or_else(|| format!("resource limit {resource}"), |name| format!("RLIMIT_{name}"))
}

/// Groups, group, capabilities of the future, filter, user, capabilities: each while the right to do it is still held.
fn confine(spec: &Spec, identity: &Identity) -> Result<(), StartError> {
    let at = |what: &'static str| move |error: io::Error| StartError::kernel(Step::Confinement, what, &error);
    credentials::set_groups(&identity.groups).map_err(at("setgroups"))?;
    credentials::set_gid(identity.gid).map_err(at("setgid"))?;
    credentials::limit_bounding_set(spec.capabilities).map_err(at("limit the capability bounding set"))?;
    if !spec.no_new_privileges {
        // Needs CAP_SYS_ADMIN, which ends below. All that follows is allowed to every container.
        load_filter(&spec.seccomp)?;
    }
    credentials::set_uid(identity.uid).map_err(at("setuid"))?;
    let held = if identity.uid == 0 { spec.capabilities } else { 0 };
    credentials::set_capabilities(held).map_err(at("set capabilities"))
}

fn load_filter(filter: &[u8]) -> Result<(), StartError> {
    if filter.is_empty() {
        return Ok(());
    }
    credentials::load_filter(filter).at(Step::Confinement, "load the seccomp filter")
}

/// Enters the working directory as the user, and makes sure it is in the container.
fn enter(path: &str, directory: &OwnedFd) -> Result<(), StartError> {
    let what = format!("chdir to cwd ({path:?}) failed");
    fchdir(directory)
        .map_err(io::Error::from)
        .at(Step::WorkingDirectory, &what)?;
    let seen = sys::working_directory().at(Step::WorkingDirectory, &what)?;
    if seen.first() == Some(&b'/') {
        return Ok(());
    }
    Err(StartError::other(
        Step::WorkingDirectory,
        format!("{what}: it is outside of the container"),
    ))
}

fn bad_working_dir(path: &str, error: &io::Error) -> StartError {
    if error.raw_os_error() == Some(libc::ENOTDIR) {
        let message = format!("Cannot mkdir: {path} is not a directory");
        return StartError::new(
            super::StartErrorKind::Other,
            Step::WorkingDirectory,
            libc::ENOTDIR,
            message,
        );
    }
    StartError::kernel(Step::WorkingDirectory, format_args!("mkdir {path}"), error)
}

/// The environment, with `HOME` if it has none.
fn environment(spec: &Spec, identity: &Identity) -> Result<Vec<CString>, StartError> {
    let mut env = spec.env.clone();
    if !env
        .iter()
        .any(|entry| entry.strip_prefix("HOME=").is_some_and(|home| !home.is_empty()))
    {
        env.retain(|entry| !entry.starts_with("HOME="));
        env.push(format!("HOME={}", identity.home));
    }
    strings(&env)
}

fn strings(texts: &[String]) -> Result<Vec<CString>, StartError> {
    let strings: Result<_, _> = texts.iter().map(|text| CString::new(text.as_str())).collect();
    strings
        .map_err(io::Error::from)
        .at(Step::Spec, "arguments and environment")
}

/// What the parent sees of a child that has reported a failure.
const EXIT_FAILED: i32 = 1;

/// Names by number, `<asm-generic/resource.h>`.
const LIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_sysctl_are_one() {
        let cases = [
            ("net.ipv4.ip_forward", Some("sys/net/ipv4/ip_forward")),
            ("net/ipv4/ip_forward", Some("sys/net/ipv4/ip_forward")),
            (
                "net.ipv4.conf.eth0/1.rp_filter",
                Some("sys/net/ipv4/conf/eth0.1/rp_filter"),
            ),
            (
                "net/ipv4/conf/eth0.1/rp_filter",
                Some("sys/net/ipv4/conf/eth0.1/rp_filter"),
            ),
            ("net/../kernel/hostname", None),
            ("net.//.kernel.hostname", None),
            ("/etc/passwd", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(sysctl_path(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn home_is_added_when_missing() {
        let identity = Identity {
            uid: 5,
            gid: 5,
            groups: vec![5],
            home: "/h".into(),
        };
        let cases: [(&[&str], &[&str]); 3] = [
            (&["A=1"], &["A=1", "HOME=/h"]),
            (&["HOME=/x"], &["HOME=/x"]),
            (&["HOME=", "B=2"], &["B=2", "HOME=/h"]),
        ];
        for (env, expected) in cases {
            let spec = Spec {
                env: env.iter().map(|&entry| entry.to_owned()).collect(),
                ..Spec::default()
            };
            let result: Vec<_> = environment(&spec, &identity).unwrap();
            let expected: Vec<_> = expected.iter().map(|&entry| CString::new(entry).unwrap()).collect();
            assert_eq!(result, expected, "{env:?}");
        }
    }

    #[test]
    fn limits_are_named() {
        for (resource, name) in [
            (libc::RLIMIT_NOFILE, "RLIMIT_NOFILE"),
            (libc::RLIMIT_RTTIME, "RLIMIT_RTTIME"),
        ] {
            assert_eq!(limit_name(resource), name);
        }
        assert_eq!(limit_name(99), "resource limit 99");
    }
}
