//! What a container cannot do: capabilities, seccomp, masks, devices, limits of privilege.

use gantry_engine::process::{
    Rlimit,
    capability::{self, plan_capabilities},
    seccomp::{self, Architecture},
};

use crate::{Case, fixture::Box};

pub(crate) const CASES: &[Case] = &[
    ("capabilities_follow_the_user", capabilities_follow_the_user),
    ("the_filter_is_loaded", the_filter_is_loaded),
    (
        "the_kernel_refuses_what_the_filter_says",
        the_kernel_refuses_what_the_filter_says,
    ),
    ("no_new_privileges_is_set", no_new_privileges_is_set),
    ("masked_paths_are_empty", masked_paths_are_empty),
    ("read_only_paths_are", read_only_paths_are),
    ("foreign_devices_stay_closed", foreign_devices_stay_closed),
    ("limits_are_set", limits_are_set),
    (
        "a_privileged_filterless_container_mounts",
        a_privileged_filterless_container_mounts,
    ),
    ("the_keyring_is_its_own", the_keyring_is_its_own),
    ("signals_are_at_their_default", signals_are_at_their_default),
];

fn status(container: &Box, key: &str) -> String {
    let status = container.output();
    let value = status.lines().find_map(|line| line.strip_prefix(&format!("{key}:")));
    value
        .unwrap_or_else(|| panic!("no {key} in {status}"))
        .trim()
        .to_owned()
}

fn filter(capabilities: u64) -> Vec<u8> {
    seccomp::compile(&seccomp::DEFAULT, capabilities, Architecture::native().unwrap())
}

fn capabilities_follow_the_user() {
    let (some, none) = ("00000000a80425fb", "0000000000000000");
    for (user, held) in [("", some), ("app", none), ("0:5", some), ("5", none)] {
        let mut container = Box::new(&["cat", "/proc/self/status"]);
        container.spec.user = user.into();
        let cases = [
            ("CapBnd", some),
            ("CapPrm", held),
            ("CapEff", held),
            ("CapInh", none),
            ("CapAmb", none),
        ];
        for (set, expected) in cases {
            assert_eq!(status(&container, set), expected, "{set} of {user:?}");
        }
    }
}

fn the_filter_is_loaded() {
    // With and without no_new_privs the filter is loaded at a different moment.
    for (no_new_privileges, user) in [(false, ""), (true, ""), (false, "app"), (true, "app")] {
        let name = format!("no_new_privs {no_new_privileges}, user {user:?}");
        let script = "grep Seccomp: /proc/self/status; unshare -U true || echo no user namespace; \
                      unshare -m true || echo no mount namespace; mkdir /tmp/m && mount -t tmpfs x /tmp/m || echo no mount; \
                      hostname x || echo no host name; (true) && echo fork";
        let mut container = Box::script(script);
        container.spec.user = user.into();
        container.spec.no_new_privileges = no_new_privileges;
        container.spec.seccomp = filter(container.spec.capabilities);
        let expected = "Seccomp:\t2\nno user namespace\nno mount namespace\nno mount\nno host name\nfork\n";
        let outcome = container.run();
        assert_eq!(
            (outcome.code, outcome.out.as_str()),
            (0, expected),
            "{name}: {}",
            outcome.err
        );
        // It is the filter that refuses, not only the missing capability.
        assert!(
            outcome.err.contains("Operation not permitted"),
            "{name}: {}",
            outcome.err
        );
    }
    let mut container = Box::script("unshare -U true && echo made");
    assert_eq!(container.output(), "made\n", "without a filter");
    container = Box::new(&["cat", "/proc/self/status"]);
    assert_eq!(status(&container, "Seccomp"), "0");
}

/// With every capability, so that it is the filter that refuses; without the filter none of these calls says EPERM.
fn the_kernel_refuses_what_the_filter_says() {
    // mount unshare setns pivot_root init_module kexec_load keyctl bpf userfaultfd perf_event_open open_tree io_uring_setup
    // add_key fsopen quotactl, and beyond the tables.
    let refused = [
        165, 272, 308, 155, 175, 246, 250, 321, 323, 298, 428, 425, 248, 430, 179,
    ];
    let missing = [435, 600, 5000];
    let allowed = [39, 102, 24];
    let x32 = refused.map(|number| number | 0x4000_0000);
    let numbers = [&refused[..], &x32, &missing, &allowed].concat();
    let mut container = Box::new(&["/probe", crate::probe::ARGUMENT]);
    container.spec.argv.extend(numbers.iter().map(i64::to_string));
    std::fs::copy("/proc/self/exe", container.lower("probe")).unwrap();
    container.spec.capabilities = capability::available();
    container.spec.seccomp = filter(capability::DEFAULT);
    let line = |number: &i64, errno: i32| format!("{number} {errno}\n");
    let errno = |number: &i64| match number {
        number if missing.contains(number) => libc::ENOSYS,
        number if allowed.contains(number) => 0,
        _ => libc::EPERM,
    };
    let expected: String = numbers.iter().map(|number| line(number, errno(number))).collect();
    assert_eq!(container.output(), expected);
    // Without the filter the kernel has other reasons.
    container.spec.seccomp.clear();
    container.spec.argv.truncate(2);
    container
        .spec
        .argv
        .extend(["272", "308", "425", "321", "430"].map(str::to_owned));
    std::fs::remove_file(container.base.join("out")).unwrap();
    let out = container.output();
    assert!(
        out.lines().count() == 5 && !out.lines().any(|line| line.ends_with(" 1")),
        "{out}"
    );
}

fn no_new_privileges_is_set() {
    for (asked, expected) in [(false, "0"), (true, "1")] {
        let mut container = Box::new(&["cat", "/proc/self/status"]);
        container.spec.no_new_privileges = asked;
        assert_eq!(status(&container, "NoNewPrivs"), expected);
    }
}

fn masked_paths_are_empty() {
    for user in ["", "app"] {
        let mut container = Box::script(
            "cat /proc/keys /proc/timer_list /proc/interrupts | wc -c; ls -A /sys/firmware | wc -l; \
             touch /sys/firmware/x || echo refused; echo x > /proc/keys && echo swallowed; \
             stat -L -c %t:%T /proc/keys",
        );
        container.spec.user = user.into();
        assert_eq!(container.output(), "0\n0\nrefused\nswallowed\n1:3\n", "{user:?}");
    }
}

fn read_only_paths_are() {
    let script = "for p in /proc/sys/kernel/domainname /proc/irq/default_smp_affinity; do echo h > $p && echo written; done; \
                  mkdir /sys/fs/cgroup/x || echo refused";
    let outcome = Box::script(script).run();
    assert_eq!(outcome.out, "refused\n");
    assert_eq!(
        outcome.err.matches("Read-only file system").count(),
        3,
        "{}",
        outcome.err
    );
}

fn foreign_devices_stay_closed() {
    let script = "cd /dev/shm; cd /tmp; for d in 'disk b 254 0' 'mem c 1 1' 'kmsg c 1 11' 'fuse c 10 229'; do \
                  mknod $d && { head -c 1 ${d%% *} > /dev/shm/out && echo opened $d; }; done; \
                  mknod null c 1 3 && echo x > null && echo null; head -c 4 /dev/zero | wc -c; echo x > /dev/full || echo full";
    let outcome = Box::script(script).run();
    assert_eq!(outcome.out, "null\n4\nfull\n", "{}", outcome.err);
    assert_eq!(
        outcome.err.matches("Operation not permitted").count(),
        4,
        "{}",
        outcome.err
    );
}

fn limits_are_set() {
    let mut container = Box::script("ulimit -n; ulimit -c; cat /proc/self/oom_score_adj");
    container.spec.rlimits = vec![
        Rlimit {
            resource: libc::RLIMIT_NOFILE,
            soft: 100,
            hard: 200,
        },
        Rlimit {
            resource: libc::RLIMIT_CORE,
            soft: 0,
            hard: 0,
        },
    ];
    container.spec.oom_score_adj = 500;
    assert_eq!(container.output(), "100\n0\n500\n");
}

fn a_privileged_filterless_container_mounts() {
    let mut container = Box::script("mkdir /tmp/m && mount -t tmpfs x /tmp/m && echo mounted");
    container.spec.capabilities = plan_capabilities(&[], &[], true, capability::available()).unwrap();
    assert_eq!(container.output(), "mounted\n");
    // The filter lets CAP_SYS_ADMIN mount, too.
    container = Box::script("mkdir /tmp/m && mount -t tmpfs x /tmp/m && echo mounted");
    container.spec.capabilities =
        plan_capabilities(&["SYS_ADMIN".into()], &[], false, capability::available()).unwrap();
    container.spec.seccomp = filter(container.spec.capabilities);
    assert_eq!(container.output(), "mounted\n");
}

fn signals_are_at_their_default() {
    // This process ignores SIGPIPE, as every Rust program does.
    let container = Box::new(&["cat", "/proc/self/status"]);
    for set in ["SigBlk", "SigIgn"] {
        assert_eq!(status(&container, set), "0000000000000000", "{set}");
    }
}

fn the_keyring_is_its_own() {
    let mut container = Box::script(
        "while read -r _ _ _ _ rights _ _ kind name _; do case $kind in keyring) echo $rights $name;; esac; done < /proc/keys",
    );
    container.spec.masked_paths.clear();
    let seen = container.output();
    let expected = format!("3f000000 _ses.{}:", container.spec.id);
    assert!(seen.lines().any(|line| line == expected), "{seen}");
}
