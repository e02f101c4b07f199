//! `kill -9` of the daemon at random moments of every call that changes something.
//!
//! Several clients create, start, wait, kill, stop and remove containers, import, load, tag and remove images, all at once,
//! until the daemon is killed in the middle of it. Each keeps a book ([`client`]) of the states its things may be in:
//! exactly one after an answer, the one before or the one after while a call went unanswered. The next daemon must agree
//! with every book, and have nothing on disk, in mounts or control groups that is in none of them.
//!
//! `GANTRY_CRASHES` sets how often (24), `GANTRY_SEED` plays a run's choices again; the kernel's own are not in it.

mod client;
mod random;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use self::{client::Client, random::Random};
use crate::harness::{Daemon, cgroups, is_root, json_of, status};

/// Clients at the same time; with two cores there is always one that waits in the middle of something.
const CLIENTS: usize = 4;

/// What a round's clients share.
pub(crate) struct Round {
    /// Set before the daemon is killed: from here on a connection may fail.
    killed: AtomicBool,
    acknowledged: AtomicUsize,
}

#[test]
fn nothing_acknowledged_is_lost_whenever_the_daemon_dies() {
    if !is_root() {
        return;
    }
    let crashes = setting("GANTRY_CRASHES").unwrap_or(24);
    let seed = setting("GANTRY_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("GANTRY_SEED={seed}");
    let mut random = Random::new(seed);
    let mut daemon = Daemon::start();
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|number| Client::new(number, Random::new(random.next())))
        .collect();
    let mut acknowledged = 0;
    for _ in 0..crashes {
        let round = Round {
            killed: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
        };
        let socket = daemon.socket();
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| client.work(&socket, &round));
            }
            // Anywhere in the work: after so many answers, and then anywhere within the next calls.
            let answers = random.below(40);
            while round.acknowledged.load(Ordering::Relaxed) < answers {
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(random.below(10_000) as u64));
            round.killed.store(true, Ordering::SeqCst);
            daemon.crash();
        });
        acknowledged += round.acknowledged.into_inner();
        daemon.launch();
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| client.check(&daemon));
            }
        });
        check_host(&daemon, &clients);
    }
    println!("{crashes} crashes, {acknowledged} acknowledged calls");
    for client in &mut clients {
        client.remove_everything(&daemon);
    }
    check_host(&daemon, &clients);
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: want a number")))
}

/// The daemon lists, and the host holds, what stands in the books, and nothing else.
fn check_host(daemon: &Daemon, clients: &[Client]) {
    let listed = json_of(&daemon.get("/v1.24/containers/json?all=1"));
    let listed = listed.as_array().expect("a list");
    let texts = |key: &str| -> BTreeSet<String> {
        let of = |container: &serde_json::Value| container[key].as_str().expect("text").to_owned();
        listed.iter().map(of).collect()
    };
    let names: BTreeSet<String> = listed
        .iter()
        .map(|container| container["Names"][0].as_str().expect("a name")[1..].to_owned())
        .collect();
    assert_eq!(names, clients.iter().flat_map(Client::containers).collect());
    assert_eq!(entries(daemon, "containers"), texts("Id"), "directories of containers");
    // A container that never ran has none.
    let run = entries_of(&daemon.root().join("exec/containers"));
    assert!(run.is_subset(&texts("Id")), "run directories: {run:?}");
    for container in listed.iter().filter(|container| container["State"] != "running") {
        // Its exit may have been seen this moment, while its groups go.
        let id = container["Id"].as_str().expect("text");
        daemon.eventually("the end of its control groups", |_| cgroups(id).is_empty());
    }

    let mut layers = BTreeSet::new();
    let mut tags = BTreeSet::new();
    for image in json_of(&daemon.get("/v1.24/images/json")).as_array().expect("a list") {
        let id = image["Id"].as_str().expect("text");
        let inspected = daemon.get(&format!("/v1.24/images/{id}/json"));
        assert_eq!(status(&inspected), 200, "{image}");
        for layer in json_of(&inspected)["RootFS"]["Layers"].as_array().expect("layers") {
            let digest = layer.as_str().expect("text").strip_prefix("sha256:").expect("a digest");
            layers.insert(digest.to_owned());
        }
        tags.extend(
            image["RepoTags"]
                .as_array()
                .expect("tags")
                .iter()
                .map(|tag| tag.as_str().expect("text").to_owned()),
        );
    }
    let given = ["gantry/hello:latest", "probe:latest"].map(str::to_owned);
    assert_eq!(tags, clients.iter().flat_map(Client::images).chain(given).collect());
    assert_eq!(entries(daemon, "layers"), layers, "directories of layers");
    assert_eq!(entries(daemon, "tmp"), BTreeSet::new(), "half-made layers");
}

/// The names in a directory of the data root.
fn entries(daemon: &Daemon, directory: &str) -> BTreeSet<String> {
    entries_of(&daemon.root().join("data").join(directory))
}

fn entries_of(path: &Path) -> BTreeSet<String> {
    fs::read_dir(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect()
}
