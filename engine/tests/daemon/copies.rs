//! How often gantryd copies a container's output on its way to a client, by its system calls, as a tracer sees them.
//!
//! The truth is the table at the head of `engine/src/container/attach.rs`. What io_uring receives is no system call of its own, but
//! what is moved by splice(2) is, and what has been moved whole has not been copied as well.
#![cfg(target_arch = "x86_64")]

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
};

use gantry_conformance::client::Request;
use nix::{
    libc,
    sys::{
        ptrace::{self, Options},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use serde_json::json;

use crate::harness::{Daemon, is_root, skip};

/// System calls: how many, and the sum of what they returned.
#[derive(Debug, Default)]
struct Tally(BTreeMap<u64, (u64, u64)>);

impl Tally {
    fn bytes(&self, calls: &[libc::c_long]) -> u64 {
        let bytes = |call: &libc::c_long| self.0.get(&(*call as u64)).map_or(0, |(_, bytes)| *bytes);
        calls.iter().map(bytes).sum()
    }
}

/// Traces all threads of a process until `over` and one more system call. `begun` is called once nothing escapes it any more. The
/// calling thread has to end soon after, for that is what lets those go that were not to be seen again.
fn trace(process: i32, begun: impl FnOnce(), over: &AtomicBool) -> nix::Result<Tally> {
    let mut stopping = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).expect("the daemon runs") {
        let name = thread.expect("a thread").file_name();
        let thread = Pid::from_raw(name.to_str().and_then(|id| id.parse().ok()).expect("a number"));
        ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD)?;
        ptrace::interrupt(thread)?;
        stopping += 1;
    }
    let mut tally = Tally::default();
    let mut begun = Some(begun);
    while !over.load(Ordering::Acquire) {
        // Those of this thread only: the process has other children.
        let status = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))?;
        let (thread, signal) = match status {
            WaitStatus::PtraceSyscall(thread) => {
                if ptrace::syscall_info(thread)?.op == libc::PTRACE_SYSCALL_INFO_EXIT {
                    let registers = ptrace::getregs(thread)?;
                    let (calls, bytes) = tally.0.entry(registers.orig_rax).or_default();
                    *calls += 1;
                    // An error is negative.
                    *bytes += u64::try_from(registers.rax as i64).unwrap_or(0);
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, ..) => {
                stopping -= 1;
                (thread, None)
            }
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            _ => continue,
        };
        ptrace::syscall(thread, signal)?;
        if stopping == 0
            && let Some(begun) = begun.take()
        {
            begun();
        }
    }
    Ok(tally)
}

#[test]
fn output_that_is_only_passed_on_is_not_copied() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // What is attached; how much of the output is spliced; how often the rest may pass through a system call.
    let both = "stdout=1&stderr=1";
    let table = [
        ("no log", "none", both, 1),
        ("a log", "json-file", both, 1),
        ("one stream of two: it has to be looked at", "none", "stdout=1", 0),
    ];
    for (name, driver, streams, spliced) in table {
        let id = daemon.create(
            &["lines", "1000000"],
            json!({"HostConfig": {"LogConfig": {"Type": driver}}}),
        );
        let mut connection = daemon.connect();
        let target = format!("/v1.24/containers/{id}/attach?stream=1&{streams}");
        let head = connection.begin(&Request::new("POST", target)).expect("a head");
        assert_eq!(head.status, 200, "{name}");

        let over = Arc::new(AtomicBool::new(false));
        let (begin, begun) = channel();
        let tracer = thread::spawn({
            let (over, process) = (Arc::clone(&over), daemon.pid());
            move || trace(process, || begin.send(()).expect("the test listens"), &over)
        });
        if begun.recv().is_err() {
            let refused = tracer.join().expect("the tracer").expect_err("it has not begun");
            return skip(&format!("no process can be traced: {refused}"));
        }
        daemon.start_container(&id);
        let stream = connection.read_rest().expect("the stream to its end");
        assert_eq!(daemon.wait(&id), 0, "{name}");
        over.store(true, Ordering::Release);
        daemon.get("/v1.24/_ping");
        let tally = tracer.join().expect("the tracer").expect(name);

        let (mut payload, mut rest) = (0, stream.as_slice());
        while let Some((&[1, 0, 0, 0, l0, l1, l2, l3], after)) = rest.split_first_chunk::<8>() {
            let len = u32::from_be_bytes([l0, l1, l2, l3]);
            payload += u64::from(len);
            rest = &after[len as usize..];
        }
        assert!(rest.is_empty() && payload > 10_000_000, "{name}: {payload} bytes");
        let moved = tally.bytes(&[libc::SYS_splice]);
        let received = tally.bytes(&[libc::SYS_read, libc::SYS_recvfrom, libc::SYS_recvmsg]);
        let sent = tally.bytes(&[libc::SYS_write, libc::SYS_writev, libc::SYS_sendto, libc::SYS_sendmsg]);
        // Headers, other answers, and what came in pieces that are not worth a splice.
        let few = payload / 50;
        let copied = (1 - spliced) * payload;
        assert!(
            moved.abs_diff(spliced * payload) < few,
            "{name}: {moved} of {payload} bytes moved"
        );
        assert!(
            received < copied + few,
            "{name}: {received} of {payload} bytes received"
        );
        assert!(sent < copied + few, "{name}: {sent} of {payload} bytes sent");
        // A frame takes a header and a splice; the rest is waiting.
        let calls = tally.0.values().map(|(calls, _)| calls).sum::<u64>();
        assert!(
            calls < payload / 1000,
            "{name}: {calls} system calls for {payload} bytes"
        );
    }
}
