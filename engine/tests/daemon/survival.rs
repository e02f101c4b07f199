//! `kill -9` of the daemon and of a keeper under running containers: what ran runs on, what was written is in the log. At
//! random moments of other calls: `crash`.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use gantry_conformance::client::{Connection, Request};
use serde_json::json;

use crate::harness::{Daemon, PATIENCE, is_root, status};

#[test]
fn containers_outlive_the_daemon() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let stays = daemon.create(&["talk"], json!({"OpenStdin": true, "StdinOnce": true}));
    daemon.start_container(&stays);
    let floods = daemon.create(&["flood"], json!({}));
    daemon.start_container(&floods);
    let ends = daemon.create(&["head", "3"], json!({"OpenStdin": true, "StdinOnce": true}));
    daemon.start_container(&ends);
    let pid = daemon.inspect(&stays)["State"]["Pid"].as_i64();
    daemon.crash();
    // Still down: the container that waits for input can be ended from outside, as its program's own end would.
    let ends_pid = crate::harness::cgroups(&ends)
        .iter()
        .find_map(|group| {
            std::fs::read_to_string(group.join("cgroup.procs"))
                .ok()?
                .lines()
                .next()?
                .parse()
                .ok()
        })
        .expect("its process");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(ends_pid), nix::sys::signal::Signal::SIGKILL).expect("SIGKILL");
    daemon.launch();
    assert_eq!(daemon.inspect(&stays)["State"]["Pid"].as_i64(), pid);
    assert_eq!(daemon.wait(&ends), 137);
    // Input reaches the container as before, and its end ends it.
    let mut connection = daemon.connect();
    let target = format!("/v1.24/containers/{stays}/attach?stream=1&stdin=1&stdout=1");
    connection
        .begin(&gantry_conformance::client::Request::new("POST", target))
        .expect("a head");
    connection.send(b"hello\nexit\n").expect("input");
    let stream = connection.read_rest().expect("the stream to its end");
    assert!(crate::harness::split(&stream).0.contains("you said hello\n"));
    assert_eq!(daemon.wait(&stays), 7);
    assert_eq!(status(&daemon.post(&format!("/v1.24/containers/{floods}/kill"))), 204);
    daemon.wait(&floods);
    let log = daemon.logs(&floods).0;
    for (n, line) in log.lines().enumerate() {
        assert_eq!(line, format!("line {n}"), "a line is missing or doubled");
    }
    assert!(log.lines().count() > 10);
}

#[test]
fn a_stop_by_the_operator_leaves_containers_alone() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let id = daemon.create(&["stay"], json!({}));
    daemon.start_container(&id);
    daemon.terminate();
    daemon.launch();
    assert_eq!(daemon.inspect(&id)["State"]["Running"], true);
    assert_eq!(status(&daemon.delete(&format!("/v1.24/containers/{id}?force=1"))), 204);
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}

#[test]
fn a_successor_takes_the_sockets_without_a_gap() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let id = daemon.create(&["stay"], json!({}));
    daemon.start_container(&id);
    let pid = daemon.inspect(&id)["State"]["Pid"].clone();
    let over = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let socket = daemon.socket();
        let over = &over;
        let knocking = scope.spawn(move || {
            let mut answers = 0;
            while !over.load(Ordering::Relaxed) {
                // Every connect succeeds. One that was accepted just before the end of the old process sees no answer.
                let mut connection = Connection::open(&socket, PATIENCE).expect("somebody always listens");
                let answer = connection.exchange(&Request::new("GET", "/_ping"));
                answers += usize::from(answer.is_ok_and(|response| status(&response) == 200));
            }
            answers
        });
        for _ in 0..3 {
            let old = daemon.pid();
            daemon.replace();
            assert_ne!(daemon.pid(), old);
        }
        over.store(true, Ordering::Relaxed);
        knocking.join().expect("no connection was refused")
    });
    assert!(answers > 0);
    assert_eq!(daemon.inspect(&id)["State"]["Pid"], pid, "the container runs on");
    assert_eq!(status(&daemon.delete(&format!("/v1.24/containers/{id}?force=1"))), 204);
    daemon.terminate();
    assert!(!daemon.socket().exists(), "the last one removes the path");
}

#[test]
fn a_killed_keeper_costs_its_own_container_only() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let victim = daemon.create(&["stay"], json!({}));
    let other = daemon.create(&["stay"], json!({}));
    daemon.start_container(&victim);
    daemon.start_container(&other);
    let pid = daemon.inspect(&victim)["State"]["Pid"].as_i64().expect("a process");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let keeper = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(1))
        .expect("its parent");
    let keeper = nix::unistd::Pid::from_raw(keeper.parse().expect("a number"));
    nix::sys::signal::kill(keeper, nix::sys::signal::Signal::SIGKILL).expect("SIGKILL");
    assert_eq!(daemon.wait(&victim), 255);
    assert!(
        daemon.inspect(&victim)["State"]["Error"]
            .as_str()
            .is_some_and(|text| text.contains("keeper"))
    );
    assert_eq!(daemon.inspect(&other)["State"]["Running"], true);
    assert_eq!(crate::harness::cgroups(&victim), Vec::<std::path::PathBuf>::new());
}
