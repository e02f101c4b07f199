//! Replies and items: what a version tells comes back from it.
//!
//! Lowering loses what the version does not know, so the law is that nothing else is lost: an answer that was read and is told
//! again in the same version is the same, byte for byte.

use proptest::{prelude::*, sample::subsequence};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::*;
use crate::{
    AuthCheck, Build, Commit, ContainerArchivePut, ContainerAttach, ContainerList, ContainerLogs, EventsQuery,
    ExecCreate, ExecStart, ImageImport, ImageInsert, ImageList, ImagePull, ImagePush, ImageSearch, NetworkConnect,
    Refusal, RegistryAuth,
    framing::StreamKind,
    model::{self, Progress, ProgressDetail},
};

/// The answer of the server role to `call`, and what the client role makes of it.
fn round(
    call: &Call,
    options: &Options,
    reply: Reply,
    items: Vec<Item>,
    cut: usize,
) -> Result<(Response, Vec<u8>, Option<Reply>, Vec<Item>, Ending), AnswerError> {
    let (outgoing, asked) = prepare(call, options).expect("a call that can be said");
    let (mut exchange, _) = served(&outgoing).expect("a call that can be read");
    let (response, bytes) = sent(&mut exchange, reply, items);
    let answering = asked.answering(&Limits::default());
    let (opened, items, ending) = received(answering, response.status, headers(&response), &bytes, cut)?;
    Ok((response, bytes, opened, items, ending))
}

/// The calls that have these replies, and those that are done and say nothing.
pub(super) fn calls() -> Vec<Call> {
    let container = || "c".to_owned();
    let image = || "i".to_owned();
    vec![
        Call::ContainerCreate(Box::default()),
        Call::ContainerInspect {
            container: container(),
            size: false,
        },
        Call::ContainerKill {
            container: container(),
            signal: None,
        },
        Call::ContainerList(ContainerList {
            size: true,
            ..ContainerList::default()
        }),
        Call::ContainerStart {
            container: container(),
            host_config: None,
        },
        Call::ContainerStop {
            container: container(),
            grace_secs: None,
        },
        Call::ContainerWait { container: container() },
        Call::ImageInspect { image: image() },
        Call::ImageList(ImageList::default()),
        Call::ImageRemove {
            image: image(),
            force: false,
            noprune: false,
        },
        Call::ImageTag {
            image: image(),
            repository: image(),
            tag: String::new(),
            force: true,
        },
        Call::Info,
        Call::Ping,
        Call::Version,
        Call::AuthCheck(Box::default()),
        Call::AuthCheck(Box::new(AuthCheck {
            store: true,
            ..AuthCheck::default()
        })),
        Call::AuthShow,
        commit(false),
        commit(true),
        Call::ContainerArchivePut(ContainerArchivePut {
            container: container(),
            path: "/".into(),
            no_overwrite_dir_non_dir: false,
        }),
        Call::ContainerArchiveStat {
            container: container(),
            path: "/".into(),
        },
        Call::ContainerChanges { container: container() },
        Call::ContainerPause { container: container() },
        Call::ContainerRename {
            container: container(),
            name: "n".into(),
        },
        Call::ContainerStats {
            container: container(),
            stream: false,
        },
        Call::ContainerTop {
            container: container(),
            ps_args: None,
        },
        Call::ContainerUpdate {
            container: container(),
            config: Box::default(),
        },
        Call::ExecCreate(Box::new(ExecCreate {
            container: container(),
            config: model::ExecConfig {
                cmd: vec!["ls".into()],
                ..model::ExecConfig::default()
            },
        })),
        Call::ExecInspect {
            exec: "e".into(),
            container: false,
        },
        Call::ExecInspect {
            exec: "e".into(),
            container: true,
        },
        Call::ExecResize {
            exec: "e".into(),
            height: 1,
            width: 2,
        },
        Call::ExecStart(ExecStart {
            exec: "e".into(),
            detach: true,
            tty: false,
        }),
        Call::ImageCached(Box::default()),
        Call::ImageHistory { image: image() },
        Call::ImageSearch(ImageSearch::default()),
        Call::ImageSearch(ImageSearch {
            auth: RegistryAuth::Stored,
            ..ImageSearch::default()
        }),
        Call::NetworkConnect(NetworkConnect {
            network: "n".into(),
            container: container(),
            endpoint: None,
        }),
        Call::NetworkCreate(Box::new(model::NetworkConfig {
            name: "n".into(),
            ..model::NetworkConfig::default()
        })),
        Call::NetworkInspect { network: "n".into() },
        Call::NetworkList {
            filters: model::Filters::default(),
        },
        Call::NetworkRemove { network: "n".into() },
        Call::VolumeCreate(model::VolumeConfig::default()),
        Call::VolumeInspect { volume: "v".into() },
        Call::VolumeList {
            filters: model::Filters::default(),
        },
        Call::VolumeRemove { volume: "v".into() },
    ]
}

fn commit(pause: bool) -> Call {
    Call::Commit(Box::new(Commit {
        container: "c".into(),
        repository: String::new(),
        tag: String::new(),
        comment: String::new(),
        author: String::new(),
        pause,
        changes: vec![],
        config: model::ContainerConfig::default(),
    }))
}

fn script(key: &str) -> Value {
    let mut script: Value = serde_json::from_str(include_str!("../../../tests/cases/replies.json")).expect("script");
    script[key].take()
}

/// The script's value with every field of the model, changed here and there: other texts and numbers, shorter lists.
fn any_of<T: core::fmt::Debug + DeserializeOwned + Serialize>(key: &str) -> impl Strategy<Value = T> + use<T> {
    let typed: T = serde_json::from_value(script(key)).expect("a reply");
    let whole = serde_json::to_value(typed).expect("JSON");
    changed("", whole).prop_map(|value| serde_json::from_value(value).expect("still a reply"))
}

fn changed(key: &str, value: Value) -> BoxedStrategy<Value> {
    match value {
        Value::String(text) if text.parse::<model::Timestamp>().is_ok() => {
            prop_oneof![3 => Just(text.into()), 1 => Just("0001-01-01T00:00:00Z".into())].boxed()
        }
        // Words of a grammar, and ids, which tell entries apart.
        Value::String(text) if matches!(key, "Type" | "Id" | "status" | "Action") => Just(text.into()).boxed(),
        Value::String(text) => {
            prop_oneof![3 => Just(text.into()), 1 => "[a-z0-9:/,. ]{0,9}".prop_map(Value::from)].boxed()
        }
        // A kind of change.
        Value::Number(number) if key == "Kind" => Just(number.into()).boxed(),
        Value::Number(number) => prop_oneof![1 => Just(number.into()), 1 => (0..200).prop_map(Value::from)].boxed(),
        Value::Bool(_) => any::<bool>().prop_map(Value::from).boxed(),
        Value::Null => Just(Value::Null).boxed(),
        Value::Array(list) => {
            // A list in a list is a pair.
            let fixed = matches!(key, "[]" | "ConsoleSize");
            let count = list.len();
            let list: Vec<_> = list.into_iter().map(|value| changed("[]", value)).collect();
            (list, Just(fixed))
                .prop_flat_map(move |(list, fixed)| match fixed {
                    true => Just(list).boxed(),
                    false => subsequence(list, 0..=count).boxed(),
                })
                .prop_map(Value::from)
                .boxed()
        }
        Value::Object(map) => {
            let (keys, values): (Vec<_>, Vec<_>) = map.into_iter().unzip();
            let values: Vec<_> = keys
                .iter()
                .zip(values)
                .map(|(key, value)| changed(key, value))
                .collect();
            values
                .prop_map(move |values| Value::Object(keys.iter().cloned().zip(values).collect()))
                .boxed()
        }
    }
}

/// Several images, each with an id of its own.
fn images() -> impl Strategy<Value = Vec<model::ImageSummary>> {
    prop::collection::vec(any_of::<Vec<model::ImageSummary>>("images"), 0..4).prop_map(|lists| {
        let mut images = lists.concat();
        for (at, image) in images.iter_mut().enumerate() {
            image.id = format!("sha256:{at:064x}");
        }
        images
    })
}

fn warnings() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(".{0,9}", 0..3)
}

/// Any reply that a call may have.
fn reply(call: &Call) -> BoxedStrategy<Reply> {
    let sizes = any::<Option<u32>>().prop_map(|size| size.map(i64::from));
    match call {
        Call::ContainerCreate(_) => ("[0-9a-f]{64}", warnings())
            .prop_map(|(id, warnings)| Reply::ContainerCreated { id, warnings })
            .boxed(),
        Call::ContainerInspect { .. } => (any_of::<model::Container>("container"), sizes)
            .prop_map(|(container, size_rw)| Reply::Container(Box::new(model::Container { size_rw, ..container })))
            .boxed(),
        Call::ContainerList(_) => (any_of::<Vec<model::ContainerSummary>>("containers"), sizes)
            .prop_map(|(mut list, size)| {
                list.iter_mut().for_each(|container| container.size_root_fs = size);
                Reply::ContainerList(list)
            })
            .boxed(),
        Call::ContainerStart { .. } | Call::ContainerStop { .. } => {
            prop_oneof![Just(Reply::Done), Just(Reply::NotModified)].boxed()
        }
        Call::ContainerWait { .. } => any::<i64>()
            .prop_map(|status_code| Reply::ContainerExited { status_code })
            .boxed(),
        Call::ImageInspect { .. } => any_of::<model::Image>("image")
            .prop_map(|i| Reply::Image(Box::new(i)))
            .boxed(),
        Call::ImageList(_) => images().prop_map(Reply::ImageList).boxed(),
        Call::ImageRemove { .. } => any_of("removed").prop_map(Reply::ImageRemoved).boxed(),
        Call::Info => any_of::<model::Info>("info")
            .prop_map(|i| Reply::Info(Box::new(i)))
            .boxed(),
        Call::Ping => Just(Reply::Pong).boxed(),
        Call::AuthCheck(_) => (".{0,9}", ".{0,9}")
            .prop_map(|(status, token)| Reply::AuthChecked {
                status,
                identity_token: token.into(),
            })
            .boxed(),
        Call::AuthShow => any_of("login").prop_map(Reply::AuthShown).boxed(),
        Call::Commit(_) => "sha256:[0-9a-f]{64}".prop_map(|id| Reply::Committed { id }).boxed(),
        Call::ContainerArchiveStat { .. } => any_of("path").prop_map(|p| Reply::ContainerPath(Box::new(p))).boxed(),
        Call::ContainerChanges { .. } => any_of("changes").prop_map(Reply::ContainerChanges).boxed(),
        Call::ContainerStats { .. } => any_of("stats").prop_map(|s| Reply::Stats(Box::new(s))).boxed(),
        Call::ContainerTop { .. } => any_of("processes").prop_map(Reply::ProcessList).boxed(),
        Call::ContainerUpdate { .. } => warnings()
            .prop_map(|warnings| Reply::ContainerUpdated { warnings })
            .boxed(),
        Call::ExecCreate(_) => ("[0-9a-f]{64}", warnings())
            .prop_map(|(id, warnings)| Reply::ExecCreated { id, warnings })
            .boxed(),
        Call::ExecInspect { container: false, .. } => any_of("exec").prop_map(|e| Reply::Exec(Box::new(e))).boxed(),
        Call::ExecInspect { container: true, .. } => {
            (any_of::<model::Exec>("exec"), any_of::<model::Container>("container"))
                .prop_map(|(exec, container)| {
                    let container = Some(Box::new(container));
                    Reply::Exec(Box::new(model::Exec { container, ..exec }))
                })
                .boxed()
        }
        Call::ImageCached(_) => "[0-9a-f]{64}".prop_map(|id| Reply::ImageCached { id }).boxed(),
        Call::ImageHistory { .. } => any_of("history").prop_map(Reply::ImageHistory).boxed(),
        Call::ImageSearch(_) => any_of("found").prop_map(Reply::ImageSearch).boxed(),
        Call::NetworkCreate(_) => ("[0-9a-f]{64}", ".{0,9}")
            .prop_map(|(id, warning)| Reply::NetworkCreated { id, warning })
            .boxed(),
        Call::NetworkInspect { .. } => any_of("network").prop_map(|n| Reply::Network(Box::new(n))).boxed(),
        Call::NetworkList { .. } => any_of("networks").prop_map(Reply::NetworkList).boxed(),
        Call::VolumeCreate(_) | Call::VolumeInspect { .. } => {
            any_of("volume").prop_map(|v| Reply::Volume(Box::new(v))).boxed()
        }
        Call::VolumeList { .. } => (any_of("volumes"), warnings())
            .prop_map(|(volumes, warnings)| Reply::VolumeList { volumes, warnings })
            .boxed(),
        Call::Version => any_of::<model::Version>("version")
            .prop_map(|v| Reply::Version(Box::new(v)))
            .boxed(),
        _ => Just(Reply::Done).boxed(),
    }
}

fn call_and_reply() -> impl Strategy<Value = (Call, Reply)> {
    prop::sample::select(calls()).prop_flat_map(|call| {
        let reply = reply(&call);
        (Just(call), reply)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_a_version_tells_comes_back((call, reply) in call_and_reply(), version in any_version()) {
        let options = at(version);
        if encode(&call, &options).is_err() {
            return Ok(());
        }
        let (first, bytes, _, _, ending) = round(&call, &options, reply.clone(), vec![], 4096).expect("an answer");
        let Ending::Replied(told) = ending else { panic!("{ending:?}") };
        if version == ApiVersion::NEWEST {
            prop_assert_eq!(&told, &reply);
        }
        let (again, bytes_again, ..) = round(&call, &options, told, vec![], 4096).expect("the answer again");
        prop_assert_eq!(String::from_utf8(bytes), String::from_utf8(bytes_again));
        prop_assert_eq!(first.status, again.status);
    }

    #[test]
    fn events_come_back(events in prop::collection::vec(any_of::<Vec<model::Event>>("events"), 0..3), cut in 1usize..99, version in any_version()) {
        let call = Call::Events(EventsQuery::default());
        let told: Vec<_> = events.concat().into_iter().map(|event| Item::Event(Box::new(event))).collect();
        items_come_back(&call, version, Reply::EventStream, told, cut)?;
    }

    #[test]
    fn progress_comes_back(lines in prop::collection::vec(progress(), 0..5), cut in 1usize..99, version in any_version()) {
        let told: Vec<_> = lines.into_iter().map(Item::Progress).collect();
        let import = Call::ImageImport(ImageImport { source: "-".into(), ..ImageImport::default() });
        let auth = || match encode(&Call::AuthShow, &at(version)) {
            Ok(_) => RegistryAuth::Stored,
            Err(_) => RegistryAuth::None,
        };
        let pull = Call::ImagePull(ImagePull { repository: "r".into(), auth: auth(), ..ImagePull::default() });
        let push = Call::ImagePush(ImagePush { image: "r".into(), auth: auth(), ..ImagePush::default() });
        let insert = Call::ImageInsert(ImageInsert { image: "r".into(), ..ImageInsert::default() });
        for call in [import, Call::ImageLoad { quiet: false }, pull, push, insert] {
            items_come_back(&call, version, Reply::ProgressStream, told.clone(), cut)?;
        }
    }

    #[test]
    fn steps_of_a_build_come_back(lines in prop::collection::vec(step(), 0..5), cut in 1usize..99, version in any_version()) {
        let told: Vec<_> = lines.into_iter().map(Item::Progress).collect();
        let build = Call::Build(Box::new(Build { remove: false, ..Build::default() }));
        items_come_back(&build, version, Reply::ProgressStream, told, cut)?;
    }

    #[test]
    fn readings_come_back(stats in prop::collection::vec(any_of::<model::Stats>("stats"), 0..3), cut in 1usize..999, version in any_version()) {
        let told: Vec<_> = stats.into_iter().map(|stats| Item::Stats(Box::new(stats))).collect();
        let call = Call::ContainerStats { container: "c".into(), stream: true };
        items_come_back(&call, version, Reply::StatsStream, told, cut)?;
    }

    #[test]
    fn archives_come_back(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        path in any_of::<model::PathStat>("path"),
        cut in 1usize..50,
        version in any_version(),
    ) {
        let (container, image) = (|| "c".to_owned(), || "i".to_owned());
        let archive = Reply::Archive(Box::new(path));
        for (call, reply) in [
            (Call::ContainerArchiveGet { container: container(), path: "/".into() }, archive),
            (Call::ContainerCopy { container: container(), resource: "/".into() }, Reply::Tar),
            (Call::ContainerExport { container: container() }, Reply::Tar),
            (Call::ImageGet { image: image() }, Reply::Tar),
            (Call::ImageGetMany { images: vec![image()] }, Reply::Tar),
        ] {
            if encode(&call, &at(version)).is_err() {
                continue;
            }
            let items = pieces.iter().map(|bytes| Item::Data(bytes.clone().into())).collect();
            let (_, _, opened, got, ending) = round(&call, &at(version), reply.clone(), items, cut).expect("a stream");
            prop_assert_eq!(opened, Some(reply));
            prop_assert_eq!(ending, Ending::StreamEnd);
            let got: Vec<_> = got.into_iter().map(|item| match item {
                Item::Data(bytes) => bytes.to_vec(),
                other => panic!("{other:?}"),
            }).collect();
            prop_assert_eq!(got.concat(), pieces.concat());
        }
    }

    #[test]
    fn output_comes_back(
        pieces in prop::collection::vec((0u8..3, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        cut in 1usize..50,
        tty in any::<bool>(),
        version in any_version(),
    ) {
        let kind = |kind| StreamKind::from_wire(kind).expect("a kind");
        let items: Vec<_> = pieces.iter().map(|(k, bytes)| Item::Output(kind(*k), bytes.clone().into())).collect();
        let attach = Call::ContainerAttach(ContainerAttach { container: "c".into(), ..ContainerAttach::default() });
        let logs = Call::ContainerLogs(ContainerLogs { container: "c".into(), stdout: true, ..ContainerLogs::default() });
        let exec = Call::ExecStart(ExecStart { exec: "e".into(), detach: false, tty });
        let options = Options { tty, ..at(version) };
        let started = Reply::ExecAttached { tty, detach_keys: None };
        for (call, reply) in [(&attach, Reply::Attached { tty }), (&logs, Reply::Logs { tty }), (&exec, started)] {
            if encode(call, &options).is_err() {
                continue;
            }
            let (_, bytes, opened, got, ending) =
                round(call, &options, reply.clone(), items.clone(), cut).expect("a stream");
            prop_assert_eq!(opened, Some(reply));
            prop_assert_eq!(ending, Ending::StreamEnd);
            let written: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
            let merged = bytes.len() == written;
            prop_assert_eq!(runs(got.iter(), merged), runs(items.iter(), merged));
        }
    }
}

/// Output with neighbouring pieces of one stream joined; of all streams, when they are merged.
fn runs<'a>(items: impl Iterator<Item = &'a Item>, merged: bool) -> Vec<(StreamKind, Vec<u8>)> {
    let mut runs: Vec<(StreamKind, Vec<u8>)> = vec![];
    for item in items {
        let Item::Output(kind, bytes) = item else {
            panic!("{item:?}")
        };
        let kind = if merged { StreamKind::Stdout } else { *kind };
        match runs.last_mut() {
            Some((last, joined)) if *last == kind => joined.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => runs.push((kind, bytes.to_vec())),
        }
    }
    runs
}

fn items_come_back(
    call: &Call,
    version: ApiVersion,
    reply: Reply,
    told: Vec<Item>,
    cut: usize,
) -> Result<(), TestCaseError> {
    let options = at(version);
    if encode(call, &options).is_err() {
        return Ok(());
    }
    let first = round(call, &options, reply.clone(), told.clone(), cut);
    let (response, bytes, opened, items, ending) = first.expect("a stream");
    if response.status >= 400 {
        // A load below v1.23 keeps its error to the end.
        prop_assert!(matches!(ending, Ending::Refused(_)), "{ending:?}");
        return Ok(());
    }
    prop_assert_eq!(opened.as_ref(), Some(&reply));
    prop_assert_eq!(ending, Ending::StreamEnd);
    if version == ApiVersion::NEWEST {
        prop_assert_eq!(&items, &told);
    }
    let (_, bytes_again, ..) = round(call, &options, reply, items, cut).expect("the stream again");
    prop_assert_eq!(String::from_utf8(bytes), String::from_utf8(bytes_again));
    Ok(())
}

fn progress() -> impl Strategy<Value = Progress> {
    let text = || prop::option::of("[a-z:é ]{1,6}");
    let sizes = (any::<Option<u32>>(), any::<Option<u32>>()).prop_map(|(current, total)| ProgressDetail {
        current: current.map(i64::from),
        total: total.map(i64::from),
    });
    (
        prop::option::weighted(0.2, "[a-z]{1,6}\n"),
        text(),
        prop::option::of(sizes),
        text(),
        text(),
        prop::option::weighted(0.1, ".{1,6}"),
        any::<Option<u8>>(),
        prop::option::weighted(0.1, any::<u64>()),
    )
        .prop_map(
            |(stream, status, progress_detail, progress, id, error, code, size)| Progress {
                stream,
                status,
                progress_detail,
                progress,
                id,
                aux: size.map(|size| {
                    let (tag, digest) = ("t".into(), "sha256:0".into());
                    Box::new(model::Pushed { tag, digest, size })
                }),
                error_code: code.filter(|_| error.is_some()).map(i64::from),
                error,
            },
        )
}

/// What a build tells: lines that its steps write, and what made it fail.
fn step() -> impl Strategy<Value = Progress> {
    prop_oneof![
        4 => "[a-z:é ]{0,6}\n".prop_map(|line| Progress { stream: Some(line), ..Progress::default() }),
        1 => "[a-z]{1,6}".prop_map(|error| Progress { error: Some(error), ..Progress::default() }),
    ]
}

#[test]
fn refusals_keep_their_words() {
    let call = Call::ContainerInspect {
        container: "c".into(),
        size: false,
    };
    let missing = || Reply::Refused(Refusal::NoSuchContainer { name: "c".into() });
    for (text, message, is_json) in [
        ("1.18", "no such id: c", false),
        ("1.23", "No such container: c", false),
        ("1.24", "No such container: c", true),
    ] {
        let (.., ending) = round(&call, &at(version(text)), missing(), vec![], 7).expect("an answer");
        let error = DaemonError {
            status: 404,
            message: message.into(),
            is_json,
        };
        assert_eq!(ending, Ending::Refused(error), "v{text}");
    }
}

#[test]
fn a_failure_in_a_stream_is_progress() {
    let call = Call::ImageImport(ImageImport {
        source: "-".into(),
        ..ImageImport::default()
    });
    for version in ApiVersion::all() {
        let items = vec![Item::Failed(Refusal::Internal("no space".into()))];
        let (.., items, ending) = round(&call, &at(version), Reply::ProgressStream, items, 5).expect("a stream");
        let failed = Progress {
            error: Some("no space".into()),
            ..Progress::default()
        };
        assert_eq!(
            (items, ending),
            (vec![Item::Progress(failed)], Ending::StreamEnd),
            "{version}"
        );
    }
}
