//! Tar streams out: export and save, to clients that read, that do not, and that vanish.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
};

use gantry_conformance::client::Request;
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, is_root, json_of, probe_archive, status, text},
    load::{all_descriptors, connect, memory_bytes, ping},
};

/// Members by path: type, mode, owner, link and data.
type Members = BTreeMap<String, (tar::EntryType, u32, u64, String, Vec<u8>)>;

fn members(archive: &[u8]) -> Members {
    let mut archive = tar::Archive::new(archive);
    let mut members = Members::new();
    for member in archive.entries().expect("a tar") {
        let mut member = member.expect("a member");
        let path = member.path().expect("a path").to_string_lossy().into_owned();
        let link = member
            .link_name()
            .expect("a link")
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let header = member.header().clone();
        let mut data = Vec::new();
        member.read_to_end(&mut data).expect("data");
        // A blank field is 0 to whoever unpacks.
        let (mode, owner) = (header.mode().expect("a mode"), header.uid().unwrap_or(0));
        let known = members.insert(path.clone(), (header.entry_type(), mode, owner, link, data));
        assert!(known.is_none(), "{path} is there twice");
    }
    members
}

fn get(daemon: &Daemon, target: &str) -> Vec<u8> {
    let response = daemon.get(target);
    assert_eq!(status(&response), 200, "{target}: {}", text(&response));
    assert_eq!(response.head.field("transfer-encoding"), Some("chunked"), "{target}");
    response.body
}

fn import(daemon: &Daemon, name: &str, archive: Vec<u8>) -> Value {
    let target = format!("/v1.24/images/create?fromSrc=-&repo={name}");
    let response = daemon.exchange(&Request::new("POST", target).body("application/x-tar", archive));
    assert_eq!(status(&response), 200, "{}", text(&response));
    json_of(&daemon.get(&format!("/v1.24/images/{name}/json")))
}

/// Data that does not repeat.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
        .collect()
}

/// The probe, and files of all sizes that matter to how they are sent.
fn large_archive(largest: usize) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_mtime(1_400_000_000);
        archive.append_data(&mut header, path, content).expect("memory");
    };
    let probe = members(&probe_archive()).remove("probe").expect("the probe").4;
    add("probe", tar::EntryType::Regular, &probe);
    add("data/", tar::EntryType::Directory, b"");
    for len in [0, 1, 511, 512, 513, 65_535, 65_536, 131_072, 1_048_577, largest] {
        add(&format!("data/{len}"), tar::EntryType::Regular, &pattern(len));
    }
    for number in 0..500 {
        add(
            &format!("data/small-{number}"),
            tar::EntryType::Regular,
            &pattern(number),
        );
    }
    archive.into_inner().expect("memory")
}

#[test]
fn an_export_imports_as_the_same_tree() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    import(&daemon, "large", large_archive(20_000_000));
    let body = json!({"Image": "large", "Cmd": ["/probe", "write", "/data/1", "written"], "HostConfig": {"NetworkMode": "none"}});
    let created = daemon.post_json("/v1.24/containers/create", &body);
    let id = json_of(&created)["Id"].as_str().expect("an id").to_owned();
    let fresh = members(&get(&daemon, &format!("/v1.24/containers/{id}/export")));
    let sent = members(&large_archive(20_000_000));
    for (path, member) in &sent {
        assert!(fresh.get(path) == Some(member), "{path} has changed");
    }
    daemon.start_container(&id);
    assert_eq!(daemon.wait(&id), 0);
    // The same at the first version.
    let exported = get(&daemon, &format!("/v1.0/containers/{id}/export"));
    let after = members(&exported);
    assert_eq!(after["data/1"].4, b"written");
    assert!(after["data/20000000"].4 == pattern(20_000_000));
    import(&daemon, "again", exported);
    let body = json!({"Image": "again", "Cmd": ["/probe", "true"]});
    let created = daemon.post_json("/v1.24/containers/create", &body);
    let copy = json_of(&created)["Id"].as_str().expect("an id").to_owned();
    let copied = members(&get(&daemon, &format!("/v1.24/containers/{copy}/export")));
    assert!(copied == after, "another tree came of it");
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
    let soon = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs() + 1;
    let events = daemon.get(&format!(
        "/v1.24/events?since=1&until={soon}&filters=%7B%22event%22%3A%5B%22export%22%5D%7D"
    ));
    assert!(text(&events).lines().count() >= 1, "{}", text(&events));
}

#[test]
fn a_running_container_is_exported_without_what_is_mounted() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["stay"], json!({}));
    daemon.start_container(&id);
    let running = members(&get(&daemon, &format!("/v1.24/containers/{id}/export")));
    let below = |directory: &str| running.keys().filter(|path| path.starts_with(directory)).count();
    assert_eq!((below("proc/"), below("sys/")), (1, 1), "{:?}", running.keys());
    assert_eq!(running["plain"].4, b"no program\n");
    assert_eq!(
        json_of(&daemon.get(&format!("/v1.24/containers/{id}/json")))["State"]["Running"],
        true
    );
    daemon.delete(&format!("/v1.24/containers/{id}?force=1"));
}

#[test]
fn what_is_saved_loads_with_the_same_id() {
    if !is_root() {
        return;
    }
    let (daemon, other) = (Daemon::start(), Daemon::start());
    let large = import(&daemon, "large", large_archive(20_000_000));
    let id = |daemon: &Daemon, name: &str| json_of(&daemon.get(&format!("/v1.24/images/{name}/json")))["Id"].clone();
    let one = get(&daemon, "/v1.7/images/large/get");
    let both = get(&daemon, "/v1.24/images/get?names=probe:latest&names=large");
    assert_eq!(members(&both)["repositories"].4.first(), Some(&b'{'));
    for (archive, version, names) in [(one, "1.7", &["large"][..]), (both, "1.24", &["large", "probe"])] {
        for name in names {
            other.delete(&format!("/v1.24/images/{name}?force=1"));
        }
        let load = Request::new("POST", format!("/v{version}/images/load")).body("application/x-tar", archive);
        let loaded = other.exchange(&load);
        assert_eq!(status(&loaded), 200, "{}", text(&loaded));
        for name in names {
            assert_eq!(id(&other, name), id(&daemon, name), "{name}");
        }
    }
    assert_eq!(large["Id"], id(&other, "large"));
    let missing = daemon.get("/v1.24/images/get?names=probe&names=nothing");
    assert_eq!(
        (status(&missing), json_of(&missing)),
        (404, json!({"message": "No such image: nothing"}))
    );
    let missing = daemon.get("/v1.18/containers/nothing/export");
    assert_eq!(
        (status(&missing), text(&missing).as_str()),
        (404, "no such id: nothing\n")
    );
    // The connection persists after a refusal and after a stream.
    let mut connection = daemon.connect();
    for target in ["/v1.24/images/nothing/get", "/v1.24/images/probe/get", "/v1.24/_ping"] {
        connection.exchange(&Request::new("GET", target)).expect(target);
    }
}

/// Threads that write tar streams, and descriptors of pipes.
fn at_work(daemon: &Daemon) -> (usize, usize) {
    let process = Path::new("/proc").join(daemon.pid().to_string());
    let entries = |name: &str| fs::read_dir(process.join(name)).expect("the daemon runs").flatten();
    let is_download = |comm: String| comm.starts_with("gantry-downloa");
    // An idle thread waits for its next job on a futex, one that has a job on its pipe.
    let threads = entries("task").filter(|thread| {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        is_download(read("comm")) && !read("wchan").contains("futex")
    });
    let pipes = entries("fd").filter(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.starts_with("pipe:")));
    (threads.count(), pipes.count())
}

/// Sends a request for a tar and reads its beginning.
fn begin(daemon: &Daemon, target: &str) -> UnixStream {
    let mut client = connect(daemon);
    client
        .write_all(format!("GET {target} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes())
        .expect("the request");
    let mut first = [0; 1024];
    client.read_exact(&mut first).expect("a beginning");
    assert!(
        first.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&first)
    );
    client
}

#[test]
fn clients_that_stop_or_vanish_cost_little_and_leave_nothing() {
    if !is_root() {
        return;
    }
    all_descriptors();
    let daemon = Daemon::start();
    import(&daemon, "large", large_archive(50_000_000));
    let before = at_work(&daemon);
    let memory = memory_bytes(daemon.pid());
    // More than there are threads for it: the rest wait for their turn.
    let target = "/v1.24/images/large/get";
    let mut stopped: Vec<_> = (0..16).map(|_| begin(&daemon, target)).collect();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let mut client = connect(&daemon);
            client
                .write_all(format!("GET {target} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes())
                .expect("the request");
            client
        })
        .collect();
    ping(&mut connect(&daemon));
    let each = memory_bytes(daemon.pid()).saturating_sub(memory) / 16;
    assert!(each <= 1 << 20, "{each} bytes for each");
    // Neither uploads nor containers wait for them.
    import(&daemon, "other", probe_archive());
    assert_eq!(daemon.run(&["true"], json!({})).0, 0);
    // One reads on, to the end.
    let mut one = stopped.pop().expect("a client");
    let mut rest = Vec::new();
    while !rest.ends_with(b"\r\n0\r\n\r\n") {
        let mut piece = vec![0; 1 << 20];
        let len = one.read(&mut piece).expect("the rest");
        assert_ne!(len, 0, "the stream broke off");
        rest.extend_from_slice(&piece[..len]);
    }
    assert!(rest.len() > 50_000_000);
    drop((stopped, waiting));
    daemon.eventually("the end of all work for nobody", |daemon| at_work(daemon) == before);
    assert!(get(&daemon, target).len() > 50_000_000, "the next one is served");
}

#[test]
fn an_export_breaks_off_when_its_container_is_removed() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    import(&daemon, "large", large_archive(50_000_000));
    let body = json!({"Image": "large", "Cmd": ["/probe", "true"]});
    let created = daemon.post_json("/v1.24/containers/create", &body);
    let id = json_of(&created)["Id"].as_str().expect("an id").to_owned();
    let before = at_work(&daemon);
    let mut client = begin(&daemon, &format!("/v1.24/containers/{id}/export"));
    let removed = daemon.delete(&format!("/v1.24/containers/{id}"));
    assert_eq!(status(&removed), 204, "it waits for nobody who reads");
    let mut rest = Vec::new();
    // The end, or a reset; but no last chunk.
    let _ = client.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "half a container looks whole");
    assert!(rest.len() < 50_000_000);
    daemon.eventually("the end of the work", |daemon| at_work(daemon) == before);
    assert_eq!(status(&daemon.delete("/v1.24/images/large")), 200);
}

/// Many at once, of one container that writes on.
#[test]
fn exports_side_by_side_are_whole() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    import(&daemon, "large", large_archive(5_000_000));
    let body = json!({"Image": "large", "Cmd": ["/probe", "stay"], "HostConfig": {"NetworkMode": "none"}});
    let created = daemon.post_json("/v1.24/containers/create", &body);
    let id = json_of(&created)["Id"].as_str().expect("an id").to_owned();
    daemon.start_container(&id);
    let target = format!("/v1.24/containers/{id}/export");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let found = members(&get(&daemon, &target));
                assert!(found["data/5000000"].4 == pattern(5_000_000));
            });
        }
    });
    daemon.delete(&format!("/v1.24/containers/{id}?force=1"));
}
