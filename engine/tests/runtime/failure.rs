//! Starts that fail, one at each step: what is said, and that nothing stays. The harness compares mounts, children,
//! control groups and descriptors of the host before and after each case.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use gantry_engine::{
    cgroup::Hierarchies,
    process::{Bind, Rlimit, Spec, StartErrorKind, Step},
};

use crate::{
    Case,
    fixture::{Box, wait},
};

pub(crate) const CASES: &[Case] = &[
    ("programs_that_cannot_run", programs_that_cannot_run),
    ("every_step_fails_cleanly", every_step_fails_cleanly),
    (
        "a_running_container_is_not_started_again",
        a_running_container_is_not_started_again,
    ),
];

fn programs_that_cannot_run() {
    let (missing, refused) = (StartErrorKind::NotFound, StartErrorKind::NotExecutable);
    let cases = [
        (
            "nosuch",
            missing,
            "exec: \"nosuch\": executable file not found in $PATH",
        ),
        (
            "/nosuch",
            missing,
            "exec: \"/nosuch\": stat /nosuch: no such file or directory",
        ),
        ("/plain", refused, "exec: \"/plain\": permission denied"),
        ("/tmp", refused, "exec: \"/tmp\": permission denied"),
        ("/garbage", refused, "exec /garbage: exec format error"),
        ("/orphan", missing, "exec /orphan: no such file or directory"),
        ("", missing, "exec: \"\": executable file not found in $PATH"),
    ];
    for (argument, kind, message) in cases {
        let container = Box::new(&[argument]);
        for (name, mode, content) in [
            ("plain", 0o644, ""),
            ("garbage", 0o755, "\x7fnothing"),
            ("orphan", 0o755, "#!/no/such/shell\n"),
        ] {
            fs::write(container.lower(name), content).unwrap();
            fs::set_permissions(container.lower(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let error = container.start().map(drop).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str(), error.step),
            (kind, message, Step::Program),
            "{argument:?}"
        );
    }
}

type Spoil = fn(&Box, &mut Spec);

fn every_step_fails_cleanly() {
    let cases: [(&str, Spoil, Step, &str); 21] = [
        (
            "no command",
            |_, spec| spec.argv.clear(),
            Step::Spec,
            "no command specified",
        ),
        (
            "relative directory",
            |_, spec| spec.working_dir = "x".into(),
            Step::Spec,
            "the working directory 'x' is invalid",
        ),
        (
            "cgroup path",
            |_, spec| spec.cgroup.path = "/x/../../y".into(),
            Step::Cgroup,
            "invalid cgroup path",
        ),
        (
            "cgroup limit",
            |_, spec| spec.cgroup.cpuset_cpus = Some("4000".into()),
            Step::Cgroup,
            "cgroup write failed: cpuset.cpus: ",
        ),
        (
            "missing layer",
            |_, spec| spec.rootfs.lower = vec!["/no/layer".into()],
            Step::Root,
            "open layer /no/layer: no such",
        ),
        (
            "no layer",
            |_, spec| spec.rootfs.lower.clear(),
            Step::Root,
            "the root file system has no layer",
        ),
        (
            "work elsewhere",
            |_, spec| spec.rootfs.work = "/dev/shm".into(),
            Step::Root,
            "mount overlay: ",
        ),
        (
            "link for /proc",
            |container, _| symlink("/tmp", container.lower("proc")).expect("a new link"),
            Step::Mounts,
            "/proc of the image is not a directory",
        ),
        (
            "missing source",
            |_, spec| {
                spec.binds.push(Bind {
                    source: "/no/source".into(),
                    target: "/x".into(),
                    read_only: false,
                });
            },
            Step::Binds,
            "bind /no/source to /x: no such file or directory",
        ),
        (
            "file over a directory",
            |container, spec| {
                let source = container.lower("etc/passwd");
                spec.binds.push(Bind {
                    source,
                    target: "/tmp".into(),
                    read_only: false,
                });
            },
            Step::Binds,
            "bind ",
        ),
        (
            "mask",
            |_, spec| spec.masked_paths = vec!["/loop".into()],
            Step::Masks,
            "open /loop: ",
        ),
        (
            "host name",
            |_, spec| spec.hostname = Some("x".repeat(65)),
            Step::Settings,
            "sethostname: invalid argument",
        ),
        (
            "sysctl",
            |_, spec| spec.sysctls = vec![("net.no.such".into(), "1".into())],
            Step::Settings,
            "write sysctl net.no.such: no such file or directory",
        ),
        (
            "climbing sysctl",
            |_, spec| spec.sysctls = vec![("net/../../1/oom_score_adj".into(), "1".into())],
            Step::Settings,
            "invalid sysctl",
        ),
        (
            "limit",
            |_, spec| {
                spec.rlimits = vec![Rlimit {
                    resource: libc::RLIMIT_NOFILE,
                    soft: 9,
                    hard: 8,
                }];
            },
            Step::Settings,
            "set RLIMIT_NOFILE: invalid argument",
        ),
        (
            "OOM score",
            |_, spec| spec.oom_score_adj = 1001,
            Step::Settings,
            "set oom_score_adj to 1001: invalid argument",
        ),
        (
            "user",
            |_, spec| spec.user = "x".into(),
            Step::User,
            "unable to find user x: no matching entries in passwd file",
        ),
        (
            "group",
            |_, spec| spec.group_add = vec!["x".into()],
            Step::User,
            "unable to find group x: no matching entries in group file",
        ),
        (
            "file as directory",
            |_, spec| spec.working_dir = "/etc/passwd".into(),
            Step::WorkingDirectory,
            "Cannot mkdir: /etc/passwd is not a directory",
        ),
        (
            "closed directory",
            |container, spec| {
                fs::create_dir(container.lower("closed")).unwrap();
                fs::set_permissions(container.lower("closed"), fs::Permissions::from_mode(0o700)).unwrap();
                spec.working_dir = "/closed".into();
                spec.user = "app".into();
            },
            Step::WorkingDirectory,
            "chdir to cwd (\"/closed\") failed: permission denied",
        ),
        (
            "filter",
            |_, spec| spec.seccomp = vec![0; 12],
            Step::Confinement,
            "load the seccomp filter: invalid argument",
        ),
    ];
    for (name, spoil, step, message) in cases {
        let mut container = Box::new(&["true"]);
        symlink("loop", container.lower("loop")).unwrap();
        let mut spec = container.spec.clone();
        spoil(&container, &mut spec);
        container.spec = spec;
        let before = crate::fixture::Host::look();
        let error = container.start().map(drop).unwrap_err();
        assert_eq!(before.changes(), None, "{name}");
        assert_eq!(error.step, step, "{name}: {error}");
        assert!(error.message.starts_with(message), "{name}: {error}");
        assert_eq!(error.kind, StartErrorKind::Other, "{name}");
        // The same container starts once the flaw is gone.
        if step == Step::User {
            container.spec.user.clear();
            container.spec.group_add.clear();
            assert_eq!(container.run().code, 0, "{name}: the second try");
        }
    }
}

fn a_running_container_is_not_started_again() {
    let container = Box::new(&["sleep", "600"]);
    let (started, _, _) = container.start().unwrap();
    let error = container.start().map(drop).unwrap_err();
    assert_eq!((error.step, error.errno), (Step::Cgroup, libc::EEXIST), "{error}");
    for hierarchy in Hierarchies::discover().unwrap().iter() {
        assert!(
            hierarchy.directory(&container.spec.cgroup.path).exists(),
            "{hierarchy:?}"
        );
    }
    gantry_engine::cgroup::destroy(&container.spec.cgroup.path).unwrap();
    assert_eq!(
        wait(&started.pidfd),
        128 + libc::SIGKILL,
        "the first one ran on until now"
    );
}
