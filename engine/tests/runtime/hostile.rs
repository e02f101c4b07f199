//! Images that lie in wait: links, files and fifos where the runtime mounts, and working directories that lead out.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use gantry_engine::process::{Bind, Step};
use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::{Case, fixture::Box};

pub(crate) const CASES: &[Case] = &[
    (
        "links_for_kernel_file_systems_are_refused",
        links_for_kernel_file_systems_are_refused,
    ),
    ("binds_stay_in_the_root", binds_stay_in_the_root),
    ("nothing_is_bound_into_proc", nothing_is_bound_into_proc),
    ("no_working_directory_leads_out", no_working_directory_leads_out),
    (
        "hostile_user_databases_are_harmless",
        hostile_user_databases_are_harmless,
    ),
];

/// A directory on the host that must not change.
struct Canary(PathBuf);

impl Canary {
    fn new(container: &Box) -> Self {
        let path = container.base.join("canary");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("token"), "secret").unwrap();
        Self(path)
    }

    fn check(&self, name: &str) {
        let names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["token"], "{name}");
        assert_eq!(fs::read(self.0.join("token")).unwrap(), b"secret", "{name}");
    }
}

fn links_for_kernel_file_systems_are_refused() {
    for name in ["proc", "sys", "dev"] {
        for kind in ["link in", "link out", "file", "fifo"] {
            let container = Box::new(&["true"]);
            let canary = Canary::new(&container);
            let path = container.lower(name);
            match kind {
                "link in" => symlink("/tmp", path).unwrap(),
                "link out" => symlink(&canary.0, path).unwrap(),
                "file" => fs::write(path, "").unwrap(),
                _ => mkfifo(&path, Mode::from_bits_truncate(0o666)).unwrap(),
            }
            let error = container.start().map(drop).unwrap_err();
            assert_eq!(error.step, Step::Mounts, "{name} is a {kind}: {error}");
            canary.check(name);
        }
    }
}

fn binds_stay_in_the_root() {
    // What the image has at /etc, and where the bind is found then.
    for (name, link) in [
        ("absolute", "/canary"),
        ("climbing", "../../../../../canary"),
        ("real path", "CANARY"),
    ] {
        let mut container = Box::script("cat /etc/hosts");
        let canary = Canary::new(&container);
        fs::remove_dir_all(container.lower("etc")).unwrap();
        let link = if link == "CANARY" {
            canary.0.clone()
        } else {
            link.into()
        };
        symlink(link, container.lower("etc")).unwrap();
        fs::write(container.base.join("hosts"), "bound\n").unwrap();
        let source = container.base.join("hosts");
        container.spec.binds = vec![Bind {
            source,
            target: "/etc/hosts".into(),
            read_only: false,
        }];
        assert_eq!(container.output(), "bound\n", "{name}");
        canary.check(name);
        assert!(!Path::new("/canary").exists(), "{name}");
    }
}

fn nothing_is_bound_into_proc() {
    for (name, target) in [
        ("plain", "/proc/self/attr"),
        ("above", "/proc"),
        ("by a link", "/link/sys/kernel"),
    ] {
        let mut container = Box::new(&["true"]);
        symlink("/proc", container.lower("link")).unwrap();
        let source = container.lower("tmp");
        container.spec.binds = vec![Bind {
            source,
            target: target.into(),
            read_only: false,
        }];
        let error = container.start().map(drop).unwrap_err();
        assert_eq!((error.step, error.errno), (Step::Binds, libc::EPERM), "{name}: {error}");
    }
}

fn no_working_directory_leads_out() {
    for number in 0..16 {
        for link in [false, true] {
            let mut container = Box::new(&["pwd"]);
            container.spec.working_dir = format!("/proc/self/fd/{number}");
            if link {
                symlink(&container.spec.working_dir, container.lower("link")).unwrap();
                container.spec.working_dir = "/link".into();
            }
            let error = container.start().map(drop).unwrap_err();
            assert_eq!(error.step, Step::WorkingDirectory, "{number}: {error}");
        }
    }
}

fn hostile_user_databases_are_harmless() {
    for kind in ["fifo", "directory", "link", "missing"] {
        let mut container = Box::script("grep -E '^[UG]id:' /proc/self/status");
        let path = container.lower("etc/passwd");
        fs::remove_file(&path).unwrap();
        match kind {
            "fifo" => mkfifo(&path, Mode::from_bits_truncate(0o666)).unwrap(),
            "directory" => fs::create_dir(&path).unwrap(),
            "link" => symlink("/etc/group", &path).unwrap(),
            _ => {}
        }
        container.spec.user = "12:34".into();
        assert_eq!(
            container.output(),
            "Uid:\t12\t12\t12\t12\nGid:\t34\t34\t34\t34\n",
            "{kind}"
        );
        container.spec.user = "app".into();
        let error = container.start().map(drop).unwrap_err();
        assert_eq!(error.step, Step::User, "{kind}: {error}");
        assert!(
            error.message.starts_with("unable to find user app: "),
            "{kind}: {error}"
        );
    }
}
