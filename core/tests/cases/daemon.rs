//! The daemon of the documented exchanges: it answers every call from `replies.json`, in the newest shape. The tests of core and
//! of the transports compile this one file.

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec, vec::Vec};

use bytes::Bytes;
use gantry_core::{Call, Item, Reply, framing::StreamKind, model};
use serde_json::{Value, from_value, json};

/// What the scripted daemon answers to a call.
pub(crate) fn reply(call: &Call) -> Reply {
    match call {
        Call::AuthCheck(_) => Reply::AuthChecked {
            status: "Login Succeeded".to_owned(),
            identity_token: "9cbaf023786cd7".into(),
        },
        Call::AuthShow => Reply::AuthShown(from_value(script("login")).expect("login")),
        Call::Commit(_) => Reply::Committed {
            id: "sha256:596069db4bf5596069db4bf5596069db4bf5596069db4bf5596069db4bf5596f".to_owned(),
        },
        Call::ContainerArchiveGet { .. } => Reply::Archive(from_value(script("path")).expect("path")),
        Call::ContainerArchiveStat { .. } => Reply::ContainerPath(from_value(script("path")).expect("path")),
        Call::ContainerAttach(_) => Reply::Attached { tty: false },
        Call::ContainerChanges { .. } => Reply::ContainerChanges(from_value(script("changes")).expect("changes")),
        Call::ContainerCreate(_) => Reply::ContainerCreated {
            id: "e90e34656806e90e34656806e90e34656806e90e34656806e90e34656806e90e".to_owned(),
            warnings: Vec::new(),
        },
        Call::ContainerCopy { .. }
        | Call::ContainerExport { .. }
        | Call::ImageGet { .. }
        | Call::ImageGetMany { .. } => Reply::Tar,
        Call::ContainerInspect { size, .. } => {
            let mut container: Box<model::Container> = from_value(script("container")).expect("container");
            container.size_rw = size.then_some(12_288);
            container.size_root_fs = size.then_some(24_576);
            Reply::Container(container)
        }
        Call::ContainerList(list) => {
            let mut containers: Vec<model::ContainerSummary> = from_value(script("containers")).expect("containers");
            for container in &mut containers {
                container.size_rw = list.size.then_some(12_288);
                container.size_root_fs = list.size.then_some(24_576);
            }
            Reply::ContainerList(containers)
        }
        Call::ContainerLogs(_) => Reply::Logs { tty: false },
        Call::ContainerStats { stream: true, .. } => Reply::StatsStream,
        Call::ContainerStats { stream: false, .. } => Reply::Stats(from_value(script("stats")).expect("stats")),
        Call::ContainerTop { .. } => Reply::ProcessList(from_value(script("processes")).expect("processes")),
        Call::ContainerUpdate { .. } => Reply::ContainerUpdated { warnings: Vec::new() },
        Call::ContainerWait { .. } => Reply::ContainerExited { status_code: 3 },
        Call::Events(_) => Reply::EventStream,
        Call::ImageCached(_) => Reply::ImageCached {
            id: "b750fe79269d2ec9a3c593ef05b4332b1d1a02a62b4accb2c21d589ff2f5f2dc".to_owned(),
        },
        Call::Build(_)
        | Call::ImageImport(_)
        | Call::ImageInsert(_)
        | Call::ImageLoad { .. }
        | Call::ImagePull(_)
        | Call::ImagePush(_) => Reply::ProgressStream,
        Call::ExecCreate(_) => Reply::ExecCreated {
            id: "f90e34656806f90e34656806f90e34656806f90e34656806f90e34656806f90e".to_owned(),
            warnings: Vec::new(),
        },
        Call::ExecInspect { container, .. } => {
            let mut exec: Box<model::Exec> = from_value(script("exec")).expect("exec");
            exec.container = container.then(|| from_value(script("container")).expect("container"));
            Reply::Exec(exec)
        }
        Call::ExecStart(start) if !start.detach => Reply::ExecAttached {
            tty: start.tty,
            detach_keys: start.tty.then(Default::default),
        },
        Call::ImageHistory { .. } => Reply::ImageHistory(from_value(script("history")).expect("history")),
        Call::ImageInspect { .. } => Reply::Image(from_value(script("image")).expect("image")),
        Call::ImageList(list) if list.all => Reply::ImageList(from_value(script("all images")).expect("images")),
        Call::ImageList(_) => Reply::ImageList(from_value(script("images")).expect("images")),
        Call::ImageRemove { .. } => Reply::ImageRemoved(from_value(script("removed")).expect("removed")),
        Call::ImageSearch(_) => Reply::ImageSearch(from_value(script("found")).expect("found")),
        Call::Info => Reply::Info(from_value(script("info")).expect("info")),
        Call::NetworkCreate(_) => Reply::NetworkCreated {
            id: "22be93d5babb089c5aab8dbc369042fad48ff791584ca2da2100db837a1c7c30".to_owned(),
            warning: String::new(),
        },
        Call::NetworkInspect { .. } => Reply::Network(from_value(script("network")).expect("network")),
        Call::NetworkList { .. } => Reply::NetworkList(from_value(script("networks")).expect("networks")),
        Call::Ping => Reply::Pong,
        Call::Version => Reply::Version(from_value(script("version")).expect("version")),
        Call::VolumeCreate(_) | Call::VolumeInspect { .. } => {
            Reply::Volume(from_value(script("volume")).expect("volume"))
        }
        Call::VolumeList { .. } => Reply::VolumeList {
            volumes: from_value(script("volumes")).expect("volumes"),
            warnings: vec!["driver nosuch did not answer".to_owned()],
        },
        Call::ContainerArchivePut(_)
        | Call::ContainerKill { .. }
        | Call::ContainerPause { .. }
        | Call::ContainerRemove(_)
        | Call::ContainerRename { .. }
        | Call::ContainerResize { .. }
        | Call::ContainerRestart { .. }
        | Call::ContainerStart { .. }
        | Call::ContainerStop { .. }
        | Call::ContainerUnpause { .. }
        | Call::ExecResize { .. }
        | Call::ExecStart(_)
        | Call::ImageTag { .. }
        | Call::NetworkConnect(_)
        | Call::NetworkDisconnect(_)
        | Call::NetworkRemove { .. }
        | Call::VolumeRemove { .. } => Reply::Done,
    }
}

/// What the scripted daemon sends after a reply that opens a stream.
pub(crate) fn items(call: &Call) -> Vec<Item> {
    let progress = |value| Item::Progress(from_value(value).expect("progress"));
    match call {
        Call::ContainerAttach(_) | Call::ContainerLogs(_) => output(),
        Call::ContainerStats { stream: true, .. } => {
            vec![Item::Stats(from_value(script("stats")).expect("stats"))]
        }
        Call::Build(_) => vec![
            progress(json!({"stream": "Step 1/5...\n"})),
            progress(json!({"stream": "..."})),
            progress(json!({"error": "Error...", "errorCode": 123})),
        ],
        Call::ContainerArchiveGet { .. }
        | Call::ContainerCopy { .. }
        | Call::ContainerExport { .. }
        | Call::ImageGet { .. }
        | Call::ImageGetMany { .. } => vec![
            Item::Data(Bytes::from_static(b"header")),
            Item::Data(Bytes::from_static(b"data")),
        ],
        Call::Events(_) => {
            let events: Vec<model::Event> = from_value(script("events")).expect("events");
            events.into_iter().map(|event| Item::Event(Box::new(event))).collect()
        }
        Call::ExecStart(start) if !start.detach => output(),
        Call::ImageImport(_) | Call::ImageInsert(_) | Call::ImagePull(_) | Call::ImagePush(_) => vec![
            progress(
                json!({"status": "Pulling", "id": "8dbd9e392a96", "progress": "1 B/100 B",
                            "progressDetail": {"current": 1, "total": 100}}),
            ),
            progress(json!({"error": "Invalid..."})),
        ],
        Call::ImageLoad { .. } => vec![progress(json!({"stream": "Loaded image: busybox:latest\n"}))],
        _ => Vec::new(),
    }
}

fn output() -> Vec<Item> {
    vec![
        Item::Output(StreamKind::Stdout, Bytes::from_static(b"out")),
        Item::Output(StreamKind::Stderr, Bytes::from_static(b"err")),
    ]
}

fn script(key: &str) -> Value {
    let mut script: Value = serde_json::from_str(include_str!("replies.json")).expect("script");
    script[key].take()
}
