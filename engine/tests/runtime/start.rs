//! What a started container is: its namespaces, mounts, streams, environment, user, directory, terminal.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::fd::AsRawFd,
};

use gantry_engine::{
    cgroup,
    process::{Bind, Prepared, prepare},
};

use crate::{
    Case,
    fixture::{Box, wait},
};

pub(crate) const CASES: &[Case] = &[
    ("a_container_runs_and_ends", a_container_runs_and_ends),
    ("streams_are_connected", streams_are_connected),
    ("only_the_streams_are_open", only_the_streams_are_open),
    ("namespaces_are_its_own", namespaces_are_its_own),
    (
        "the_network_can_be_set_up_in_between",
        the_network_can_be_set_up_in_between,
    ),
    ("mounts_are_the_default_ones", mounts_are_the_default_ones),
    ("devices_are_the_default_ones", devices_are_the_default_ones),
    ("the_environment_is_the_specs", the_environment_is_the_specs),
    ("users_are_looked_up", users_are_looked_up),
    ("the_working_directory_is_made", the_working_directory_is_made),
    ("binds_lie_over_the_image", binds_lie_over_the_image),
    ("a_read_only_root_is", a_read_only_root_is),
    ("a_terminal_controls", a_terminal_controls),
    ("sysctls_are_set", sysctls_are_set),
    ("what_is_dropped_is_gone", what_is_dropped_is_gone),
];

fn a_container_runs_and_ends() {
    let cases: [(&[&str], i32); 4] = [
        (&["true"], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "sleep 60 & kill -9 $!"], 0),
    ];
    for (argv, code) in cases {
        let outcome = Box::new(argv).run();
        assert_eq!(outcome.code, code, "{argv:?}: {outcome:?}");
    }
}

fn streams_are_connected() {
    let outcome = Box::script("cat; echo out; echo err >&2; echo again >> /dev/stdout").run();
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("out\nagain\n", "err\n"));
    // As a user that does not own the files, either.
    let mut container = Box::script("echo again >> /dev/stdout && echo err >> /dev/stderr");
    container.spec.user = "app".into();
    let outcome = container.run();
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("again\n", "err\n"));
}

fn only_the_streams_are_open() {
    // 3 is the directory that ls itself reads.
    let open = Box::script("exec ls /proc/self/fd").output();
    assert_eq!(open, "0\n1\n2\n3\n");
    let host_null = Box::script("stat -L -c %t:%T:%d /proc/self/fd/0 /dev/null").output();
    let lines: Vec<_> = host_null.lines().collect();
    assert_eq!(lines[0], lines[1], "standard input is the container's own null device");
}

fn namespaces_are_its_own() {
    let script = "for n in mnt pid ipc uts net; do readlink /proc/self/ns/$n; done; hostname; echo $$; readlink /proc/self/ns/user";
    let seen = Box::script(script).output();
    let lines: Vec<_> = seen.lines().collect();
    for (name, seen) in ["mnt", "pid", "ipc", "uts", "net"].iter().zip(&lines) {
        let host = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(host.to_str().unwrap(), *seen, "{name}");
    }
    let user = fs::read_link("/proc/self/ns/user").unwrap();
    assert_eq!(lines[5..], ["inside", "1", user.to_str().unwrap()]);
}

fn the_network_can_be_set_up_in_between() {
    let container = Box::script("readlink /proc/self/ns/net; ls /sys/class/net");
    let (stdio, _, _) = container.stdio();
    let prepared = prepare(&container.spec, Some(stdio)).unwrap();
    let network = prepared.network_namespace().unwrap();
    let link = fs::read_link(format!("/proc/self/fd/{}", network.as_raw_fd())).unwrap();
    assert_ne!(link, fs::read_link("/proc/self/ns/net").unwrap());
    assert!(fs::exists(format!("/proc/{}", prepared.pid())).unwrap());
    let started = prepared.run().unwrap();
    assert_eq!(wait(&started.pidfd), 0);
    let out = fs::read_to_string(container.base.join("out")).unwrap();
    assert_eq!(out, format!("{}\nlo\n", link.display()));
}

fn mounts_are_the_default_ones() {
    let container = Box::script("cat /proc/self/mountinfo");
    let mounts = container.output();
    // Target, type, source, some of the options; `!` for what must not be there.
    let cases: [(&str, &str, &str, &[&str]); 10] = [
        ("/", "overlay", "overlay", &["rw"]),
        ("/proc", "proc", "proc", &["rw", "nosuid", "noexec", "nodev"]),
        (
            "/dev",
            "tmpfs",
            "tmpfs",
            &["rw", "nosuid", "!relatime", "mode=755", "size=65536k"],
        ),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"],
        ),
        (
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "size=65536k"],
        ),
        ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        (
            "/sys",
            "sysfs",
            "sysfs",
            &["ro", "nosuid", "noexec", "nodev", "!rw,nosuid"],
        ),
        (
            "/sys/fs/cgroup",
            if is_v2() { "cgroup2" } else { "tmpfs" },
            if is_v2() { "cgroup" } else { "tmpfs" },
            &["ro", "nosuid", "noexec", "nodev"],
        ),
        ("/proc/sys", "proc", "proc", &["ro", "nosuid", "noexec", "nodev"]),
        ("/proc/keys", "tmpfs", "tmpfs", &["nosuid"]),
    ];
    for (target, kind, source, options) in cases {
        let line = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(target));
        let line = line.unwrap_or_else(|| panic!("{target} is not mounted:\n{mounts}"));
        assert!(line.contains(&format!(" - {kind} {source} ")), "{target}: {line}");
        assert!(
            !line.contains("shared:") && !line.contains("master:"),
            "{target} is not private: {line}"
        );
        for option in options {
            let (wanted, option) = option
                .strip_prefix('!')
                .map_or((true, *option), |option| (false, option));
            assert_eq!(line.contains(option), wanted, "{option} of {target}: {line}");
        }
    }
    // The layers are the only host paths to be seen.
    let base = container.base.to_str().unwrap();
    for line in mounts.lines().filter(|line| line.contains(base)) {
        assert_eq!(line.split(' ').nth(4), Some("/"), "{line}");
    }
    let cgroups = mounts
        .lines()
        .filter(|line| line.split(' ').nth(4).unwrap().starts_with("/sys/fs/cgroup/"));
    for line in cgroups {
        assert!(line.split(' ').nth(5).unwrap().starts_with("ro,"), "{line}");
        assert!(line.contains(&container.spec.cgroup.path), "only its own group: {line}");
    }
}

fn is_v2() -> bool {
    cgroup::Hierarchies::discover().unwrap().is_unified()
}

fn devices_are_the_default_ones() {
    let script = "cd /dev; ls -A; stat -c '%n %t:%T %a %u:%g' null zero full random urandom tty; \
                  for l in ptmx fd stdin stdout stderr; do readlink $l; done; stat -c %a shm";
    let expected = "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n\
                    null 1:3 666 0:0\nzero 1:5 666 0:0\nfull 1:7 666 0:0\nrandom 1:8 666 0:0\nurandom 1:9 666 0:0\n\
                    tty 5:0 666 0:0\npts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n1777\n";
    let core = if fs::exists("/proc/kcore").unwrap() {
        "core\n"
    } else {
        ""
    };
    assert_eq!(Box::script(script).output(), format!("{core}{expected}"));
}

fn the_environment_is_the_specs() {
    let container = Box::new(&["env"]);
    let mut seen: Vec<String> = container.output().lines().map(str::to_owned).collect();
    let mut expected = container.spec.env.clone();
    expected.push("HOME=/root".to_owned());
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!(Box::script("umask").output(), "0022\n");
}

fn users_are_looked_up() {
    let root_groups = "uid=0(root) gid=0(root) groups=0(root)\n/root\n";
    let cases: [(&str, &[&str], &str); 5] = [
        ("", &[], root_groups),
        ("root", &[], root_groups),
        (
            "app",
            &[],
            "uid=1000(app) gid=1000(app) groups=29(audio),1000(app)\n/home/app\n",
        ),
        ("7:8", &["audio"], "uid=7 gid=8 groups=8,29(audio)\n/\n"),
        (
            "app:audio",
            &[],
            "uid=1000(app) gid=29(audio) groups=29(audio)\n/home/app\n",
        ),
    ];
    for (user, add, expected) in cases {
        let mut container = Box::script("id; echo $HOME");
        container.spec.user = user.into();
        container.spec.group_add = add.iter().map(|&group| group.to_owned()).collect();
        assert_eq!(container.output(), expected, "{user:?}");
    }
}

fn the_working_directory_is_made() {
    let mut container = Box::script("pwd; stat -c '%a %u:%g' .");
    container.spec.working_dir = "/srv/../srv/new/deep".into();
    container.spec.user = "app".into();
    assert_eq!(container.output(), "/srv/new/deep\n755 0:0\n");
    assert!(container.base.join("upper/srv/new/deep").is_dir());
}

fn binds_lie_over_the_image() {
    let mut container = Box::script(
        "cat /etc/hosts /etc/resolv.conf /run/real; ls /data; echo x >> /etc/hosts && echo x > /data/new; \
         echo y > /fixed/new || echo refused",
    );
    std::os::unix::fs::symlink("../run/real", container.lower("etc/resolv.conf")).unwrap();
    fs::create_dir(container.base.join("data")).unwrap();
    for (name, content) in [("hosts", "hosts\n"), ("resolv", "resolv\n"), ("data/file", "")] {
        fs::write(container.base.join(name), content).unwrap();
    }
    for (source, target, read_only) in [
        ("hosts", "/etc/hosts", false),
        ("resolv", "/etc/resolv.conf", false),
        ("data", "/data", false),
        ("data", "/fixed", true),
    ] {
        container.spec.binds.push(Bind {
            source: container.base.join(source),
            target: target.into(),
            read_only,
        });
    }
    assert_eq!(container.output(), "hosts\nresolv\nresolv\nfile\nrefused\n");
    assert_eq!(fs::read_to_string(container.base.join("hosts")).unwrap(), "hosts\nx\n");
    assert_eq!(fs::read_to_string(container.base.join("data/new")).unwrap(), "x\n");
}

fn a_read_only_root_is() {
    let mut container = Box::script("touch /x || echo refused; touch /dev/shm/x && echo allowed");
    container.spec.rootfs.read_only = true;
    assert_eq!(container.output(), "refused\nallowed\n");
}

fn a_terminal_controls() {
    let mut container = Box::script(
        "tty; stty rows 7 cols 9; stty size; echo from tty > /dev/tty; stat -c %t /dev/console; id -u; exec cat",
    );
    container.spec.tty = true;
    container.spec.user = "app".into();
    let prepared = prepare(&container.spec, None).unwrap();
    let started = Prepared::run(prepared).unwrap();
    let mut master = File::from(started.terminal.expect("a terminal was asked for"));
    let mut seen = String::new();
    let mut bytes = [0; 512];
    while !seen.contains("1000\r\n") {
        let length = master.read(&mut bytes).unwrap();
        seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    assert_eq!(seen, "/dev/pts/0\r\n7 9\r\nfrom tty\r\n88\r\n1000\r\n");
    // The end of input, as typed.
    master.write_all(b"\x04").unwrap();
    assert_eq!(wait(&started.pidfd), 0);
}

fn sysctls_are_set() {
    let mut container =
        Box::script("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range");
    container.spec.sysctls = gantry_engine::process::defaults::sysctls(&container.spec.network);
    assert_eq!(container.output(), "0\n0\t2147483647\n");
}

fn what_is_dropped_is_gone() {
    let container = Box::new(&["true"]);
    let (stdio, _, _) = container.stdio();
    let prepared = prepare(&container.spec, Some(stdio)).unwrap();
    let process = format!("/proc/{}", prepared.pid());
    assert!(fs::exists(&process).unwrap());
    drop(prepared);
    assert!(!fs::exists(&process).unwrap());
    for hierarchy in cgroup::Hierarchies::discover().unwrap().iter() {
        assert!(!hierarchy.directory(&container.spec.cgroup.path).exists());
    }
}
