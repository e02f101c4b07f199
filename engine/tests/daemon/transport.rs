//! The choice of a transport where the kernel refuses io_uring. That either serves real containers is shown by running all
//! tests with `GANTRYD_ARGUMENTS` set.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use nix::sched::{CloneFlags, unshare};

use crate::harness::is_root;

#[test]
fn where_io_uring_is_forbidden_the_daemon_runs_on_epoll_and_says_why() {
    if !is_root() {
        return;
    }
    let dir = Scratch::new("forbidden");
    let mut daemon = launch_without_io_uring(&dir.path, libc::EPERM, "auto");
    let mut first = String::new();
    let _ = BufReader::new(daemon.stdout.take().expect("a pipe")).read_line(&mut first);
    daemon.kill().expect("it runs");
    let mut log = String::new();
    let _ = daemon.stderr.take().expect("a pipe").read_to_string(&mut log);
    daemon.wait().expect("it ends");
    assert!(first.contains("listens on"), "{first}{log}");
    assert!(log.contains("using epoll: io_uring is forbidden"), "{log}");
}

#[test]
fn asked_for_by_name_a_refused_transport_is_an_error() {
    if !is_root() {
        return;
    }
    let dir = Scratch::new("missing");
    let daemon = launch_without_io_uring(&dir.path, libc::ENOSYS, "uring");
    let output = daemon.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "gantryd: --transport uring: this kernel has no io_uring\n"
    );
    assert!(output.stdout.is_empty());
}

/// A directory of one test, removed when dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gantry-transport-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("a directory for the test");
        Self { path }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A gantryd in a network namespace of its own, for which `io_uring_setup(2)` fails.
fn launch_without_io_uring(dir: &Path, errno: i32, transport: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gantryd"));
    command
        .arg("--host")
        .arg(format!("unix://{}", dir.join("sock").display()))
        .arg("--data-root")
        .arg(dir.join("data"))
        .arg("--exec-root")
        .arg(dir.join("exec"))
        .args(["--transport", transport])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Namespace and filter are the thread's, and so the child's.
    let launching = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        refuse_io_uring(errno);
        command.spawn().expect("a process")
    });
    launching.join().expect("the thread")
}

/// Makes `io_uring_setup(2)` fail in this thread and in what it starts, by a seccomp filter.
fn refuse_io_uring(errno: i32) {
    const LOAD_NUMBER: libc::sock_filter = step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
    const ALLOW: libc::sock_filter = step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW);
    const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        }
    }
    let refuse = libc::SECCOMP_RET_ERRNO | errno as u32;
    let mut filter = [
        LOAD_NUMBER,
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            libc::SYS_io_uring_setup as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        ALLOW,
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and its filter live until the call returns; the kernel copies them.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
