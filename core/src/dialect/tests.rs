//! The history as a list: whole, in order, and without an item that does nothing.

use alloc::{borrow::ToOwned, format, string::ToString, vec};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    ImageUse, Refusal, RegistryLack, StartFailure,
    json::JsonError,
    model,
    query::{BadNumber, QueryError},
    route,
    websocket::HandshakeError,
};

/// Every change with its version, oldest first.
fn history() -> impl DoubleEndedIterator<Item = (u8, &'static Change)> {
    let versions = HISTORY.iter().enumerate();
    versions.flat_map(|(i, changes)| {
        let minor = u8::try_from(i + 1).expect("few versions");
        changes.iter().map(move |change| (minor, change))
    })
}

#[test]
fn parses_versions() {
    let v = |minor| Ok(ApiVersion { minor });
    let rows = [
        ("1.0", v(0)),
        ("1.9", v(9)),
        ("1.10", v(10)),
        ("1.24", v(24)),
        ("1", v(0)),
        ("1.", v(0)),
        ("1.000000", v(0)),
        ("1.010", v(10)),
        ("01.2", v(2)),
        ("1.24.0", v(24)),
        ("1.9.5", v(9)),
        ("1.24.1", Err(VersionError::TooNew)),
        ("1.25", Err(VersionError::TooNew)),
        ("1.99", Err(VersionError::TooNew)),
        ("1.280", Err(VersionError::TooNew)),
        ("1.99999999999999999999", Err(VersionError::TooNew)),
        ("2.0", Err(VersionError::TooNew)),
        ("0.9", Err(VersionError::TooOld)),
        ("0.99", Err(VersionError::TooOld)),
        ("", Err(VersionError::TooOld)),
        (".", Err(VersionError::TooOld)),
        ("1.x", Err(VersionError::Malformed)),
        ("1.+2", Err(VersionError::Malformed)),
        ("1.2.x", Err(VersionError::Malformed)),
    ];
    for (text, expected) in rows {
        assert_eq!(ApiVersion::parse(text), expected, "{text:?}");
    }
    for version in ApiVersion::all() {
        assert_eq!(ApiVersion::parse(&version.to_string()), Ok(version));
    }
}

/// The documented change list: version, number, endpoints, kind.
fn documented() -> impl Iterator<Item = (u8, u16, &'static str, &'static str)> {
    let lines = include_str!("../../tests/cases/changes.tsv").lines().skip(1);
    lines.map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        let [version, bullet, endpoints, kind] = fields[..] else {
            panic!("{line}")
        };
        let minor = version.strip_prefix("1.").and_then(|minor| minor.parse().ok());
        (
            minor.expect("version"),
            bullet.parse().expect("bullet"),
            endpoints,
            kind,
        )
    })
}

fn find(endpoint: &str) -> Option<Route> {
    let (method, path) = endpoint.trim().split_once(' ')?;
    let path = path.replace("{id}", "x").replace("{name}", "x");
    route::find(method, &path).map(|(route, _)| route)
}

#[test]
fn every_documented_change_has_its_item() {
    let mut seen = 0;
    for (minor, bullet, endpoints, kind) in documented() {
        let routes: Vec<_> = endpoints.split(',').filter_map(find).collect();
        let moves_route = matches!(kind, "new-endpoint" | "removed-endpoint");
        let wanted = endpoints == "*" || moves_route || routes.iter().any(|route| route.is_served());
        let item = history().find(|(m, change)| (*m, change.bullet) == (minor, bullet));
        assert_eq!(item.is_some(), wanted, "v1.{minor} item {bullet}: {endpoints} {kind}");
        let Some((_, change)) = item else { continue };
        seen += 1;
        assert_ne!(change.source, Source::Daemons, "v1.{minor} item {bullet}");
        for route in change.routes {
            assert!(routes.contains(route), "v1.{minor} item {bullet}: {route:?}");
        }
    }
    let documented_items = history().filter(|(_, change)| change.source != Source::Daemons).count();
    assert_eq!(seen, documented_items);
}

/// What [`effects_after`] passes over has no effect.
#[test]
fn every_effect_is_found() {
    for version in ApiVersion::all() {
        for route in &routes() {
            let later = history().filter(|(minor, change)| *minor > version.minor && change.concerns(*route));
            let all = later.flat_map(|(_, change)| change.effects);
            let with_effect = all.filter(|effect| !matches!(effect, Effect::None { .. })).count();
            assert_eq!(
                effects_after(version, *route).count(),
                with_effect,
                "v{version} {route:?}"
            );
        }
    }
}

#[test]
fn removed_endpoints_have_their_bit() {
    for (minor, change) in history() {
        for route in change.routes {
            let removes = change
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::RemovesRoute));
            assert!(!removes || REMOVED & bit(*route) != 0, "v1.{minor} {route:?}");
        }
    }
}

#[test]
fn items_are_in_order_and_say_something() {
    for (i, changes) in HISTORY.iter().enumerate() {
        let minor = u8::try_from(i + 1).expect("few versions");
        assert!(!changes.is_empty(), "v1.{minor}");
        assert!(changes.is_sorted_by(|a, b| a.bullet < b.bullet), "v1.{minor}");
        for change in *changes {
            assert!(
                !change.what.is_empty() && !change.effects.is_empty(),
                "v1.{minor} {change:?}"
            );
            for effect in change.effects {
                if let Effect::None { why } = effect {
                    assert!(!why.is_empty() && change.effects.len() == 1, "v1.{minor} {change:?}");
                }
            }
        }
    }
}

#[test]
fn every_version_has_its_endpoints() {
    // Where daemons and documents part, with the reason.
    let elsewhere = [
        ("GET /_ping", "every genuine daemon answers it at every version"),
        (
            "POST /containers/{id}/resize",
            "genuine daemons take POST at every version",
        ),
        ("GET /containers/ps", "the alias does no harm in newer versions"),
        (
            "POST /images/{name}/insert",
            "the history removes it in v1.12, the document of v1.11 forgot it",
        ),
    ];
    let mut rows = 0;
    for line in include_str!("../../tests/cases/endpoints.tsv").lines().skip(1) {
        let fields: Vec<_> = line.split('\t').collect();
        let [method, path, first, last] = fields[..] else {
            panic!("{line}")
        };
        let endpoint = format!("{method} {path}");
        if elsewhere.iter().any(|(known, _)| *known == endpoint) {
            continue;
        }
        rows += 1;
        let route = find(&endpoint).expect(&endpoint);
        let parse = |text| ApiVersion::parse(text).expect(&endpoint);
        let span = parse(first)..=parse(last);
        for version in ApiVersion::all() {
            assert_eq!(
                has_route(version, route),
                span.contains(&version),
                "{endpoint} in v{version}"
            );
        }
    }
    assert!(rows > 60, "{rows}");
    let insert = |minor| has_route(ApiVersion { minor }, Route::ImageInsert);
    assert!(insert(0) && insert(11) && !insert(12));
}

/// The script of the tests' daemon, with all that the model adds.
fn script<T: serde::de::DeserializeOwned + serde::Serialize>(key: &str) -> Value {
    let mut script: Value = serde_json::from_str(include_str!("../../tests/cases/replies.json")).expect("script");
    let typed: T = serde_json::from_value(script[key].take()).expect(key);
    serde_json::to_value(typed).expect(key)
}

/// Newest-shape answers for every endpoint that has one.
fn answers(route: Route) -> Vec<Answer> {
    let ok = |body| {
        vec![Answer {
            status: 200,
            body: Some(body),
        }]
    };
    let done = |status| vec![Answer { status, body: None }];
    match route {
        Route::AuthCheck => {
            let reply = |status| json!({"IdentityToken": "x", "Status": status});
            let mut replies = [reply("Login Succeeded"), reply("")].map(ok).concat();
            replies.extend(done(200));
            replies
        }
        Route::Commit => ok(json!({"Id": "sha256:".to_owned() + &"ab".repeat(32)})),
        Route::ContainerInspect => ok(script::<model::Container>("container")),
        Route::ContainerList => {
            let mut list = ok(script::<Vec<model::ContainerSummary>>("containers"));
            list.iter_mut().flat_map(elements).for_each(|container| {
                container.insert("SizeRw".into(), json!(1));
                container.insert("SizeRootFs".into(), json!(1));
            });
            list
        }
        Route::ContainerExec => ok(json!({"Id": "f90e34656806", "Warnings": []})),
        Route::ContainerStart => done(204),
        Route::ContainerStats => ok(script::<model::Stats>("stats")),
        Route::ContainerTop => ok(script::<model::ProcessList>("processes")),
        Route::ExecInspect => {
            let mut running = ok(script::<model::Exec>("exec"));
            running.iter_mut().filter_map(body).for_each(|exec| {
                exec.insert("ExitCode".into(), Value::Null);
                exec.insert("Container".into(), script::<model::Container>("container"));
            });
            running
        }
        Route::ExecResize => done(200),
        Route::ImageHistory => ok(script::<Vec<model::ImageHistoryEntry>>("history")),
        Route::ImageInspect => ok(script::<model::Image>("image")),
        Route::ImageList => ok(script::<Vec<model::ImageSummary>>("images")),
        Route::ImageRemove => ok(script::<Vec<model::ImageRemoval>>("removed")),
        Route::ImageSearch => ok(script::<Vec<model::SearchResult>>("found")),
        Route::ImageTag => done(201),
        Route::Info => ok(script::<model::Info>("info")),
        Route::NetworkInspect => ok(script::<model::Network>("network")),
        Route::NetworkList => ok(script::<Vec<model::Network>>("networks")),
        Route::NetworkRemove => done(204),
        Route::Version => ok(script::<model::Version>("version")),
        Route::VolumeCreate | Route::VolumeInspect => ok(script::<model::Volume>("volume")),
        Route::VolumeList => {
            let volumes = script::<Vec<model::Volume>>("volumes");
            ok(json!({"Volumes": volumes, "Warnings": ["x"]}))
        }
        _ => Vec::new(),
    }
}

fn stream_items(route: Route) -> Vec<Value> {
    match route {
        Route::ContainerStats => vec![script::<model::Stats>("stats")],
        Route::Events => match script::<Vec<model::Event>>("events") {
            Value::Array(events) => events,
            other => panic!("{other}"),
        },
        Route::ImageCreate => {
            let id = "sha256:".to_owned() + &"ab".repeat(32);
            vec![
                json!({"status": id}),
                json!({"status": "x", "progressDetail": {"total": 1}}),
            ]
        }
        Route::ImageInsert | Route::ImagePush => vec![
            json!({"status": "x", "progressDetail": {"total": 1}}),
            json!({"aux": {"Tag": "x"}}),
        ],
        _ => Vec::new(),
    }
}

/// A request with everything that some version reads differently.
fn odd_request() -> Asked {
    let mut query = Query::default();
    for (name, value) in [
        ("detachKeys", "a"),
        ("fromImage", "x"),
        ("filters", r#"{"nope":["x"],"status":["running"]}"#),
        ("limit", "abc"),
        ("registry", "http://host:5000/v1/"),
        ("ps_args", "aux"),
        ("m", "x"),
        ("run", r#"{"Cmd":["ls"]}"#),
        ("since", "abc"),
        ("stream", "0"),
        ("t", "abc"),
    ] {
        query.set(name, value);
    }
    let body = json!({
        "Cmd": "date", "DetachKeys": "ctrl-a", "DisableNetwork": true, "Dns": ["8.8.8.8"], "Entrypoint": [], "PortSpecs": ["8080:80"], "Privileged": true,
        "DisableNetwork": true, "Dns": ["8.8.8.8"], "DriverOpts": {"type": "tmpfs"}, "Entrypoint": [],
        "Options": {"com.docker.network.enable_ipv6": "true"}, "PortSpecs": ["8080:80"], "Privileged": true,
        "RestartPolicy": {"Name": "always"}, "SecurityOpt": ["x"], "VolumeDriver": "local", "VolumesFrom": "a,b",
        "X-Registry-Auth": {"username": "x"}, "X-Registry-Config": {"configs": {"r": {"username": "x"}}},
    });
    let Value::Object(body) = body else { unreachable!() };
    Asked { query, body }
}

/// A call with everything that some version says differently, or not at all.
fn odd_call() -> Asked {
    let mut query = Query::default();
    for (name, value) in [("comment", "x"), ("pause", "0"), ("size", "1")] {
        query.set(name, value);
    }
    query.add("t", "a");
    query.add("t", "b");
    let body = json!({
        "DriverOpts": {"type": "tmpfs"}, "EnableIPv6": true, "X-Registry-Auth": {"username": "x"},
        "X-Registry-Config": {"configs": {"r": {"username": "x"}}}, "Entrypoint": [], "ExposedPorts": {"80/tcp": {}}, "PortSpecs": ["80"],
        "HostConfig": {
            "Binds": ["a:/a:nocopy"], "Dns": ["8.8.8.8"], "Memory": 1, "PidMode": "container:x",
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "Privileged": true,
            "RestartPolicy": {"Name": "unless-stopped"}, "SecurityOpt": ["x"], "VolumeDriver": "local",
        },
    });
    let Value::Object(body) = body else { unreachable!() };
    Asked { query, body }
}

/// A call that says nothing but `name`, which is written as in [`Effect::AddsParameters`].
fn call_with(name: &str) -> Asked {
    let mut asked = Asked {
        query: Query::default(),
        body: Map::new(),
    };
    if let Some(filter) = name.strip_prefix("?filters.") {
        asked.query.set("filters", &json!({filter: ["x"]}).to_string());
    } else if let Some(parameter) = name.strip_prefix('?') {
        asked.query.set(parameter, r#"{"x":["x"]}"#);
    } else if let Some((outer, inner)) = name.split_once('.') {
        asked.body.insert(outer.into(), json!({inner: "x"}));
    } else {
        asked.body.insert(name.into(), "x".into());
    }
    asked
}

/// An event as the daemons of the first years told it.
fn old_event() -> Value {
    json!({"status": "start", "id": "abc", "from": "base:latest", "time": 1_374_067_924})
}

/// One of each failure, with texts that some version words differently.
fn failures() -> Vec<Failure> {
    let text = || "0123456789abcdef".to_owned();
    let refusals = [
        Refusal::BadChange { instruction: text() },
        Refusal::BadDockerfile(text()),
        Refusal::BadParameter(text()),
        Refusal::BadLogin { why: text() },
        Refusal::BadContainerName { name: text() },
        Refusal::BadReference {
            reference: text(),
            why: "repository name must be lowercase",
        },
        Refusal::BadReference {
            reference: text(),
            why: "invalid tag format",
        },
        Refusal::BadReference {
            reference: String::new(),
            why: "",
        },
        Refusal::BadFilterValue {
            filter: "type".into(),
            value: text(),
        },
        Refusal::BadNetworkConfig(text()),
        Refusal::BadVolumeName { name: text() },
        Refusal::BadVolumeName { name: "x".into() },
        Refusal::BadVolumeOption {
            name: text(),
            option: text(),
        },
        Refusal::BadSignal { signal: text() },
        Refusal::BadSignalNumber {
            container: text(),
            signal: "999".into(),
        },
        Refusal::AlreadyPaused {
            id: text(),
            name: text(),
        },
        Refusal::ContainerNotRunning {
            id: text(),
            name: text(),
        },
        Refusal::ContainerPaused {
            id: text(),
            name: text(),
        },
        Refusal::ContainerRunning { id: text() },
        Refusal::ExecEnded { id: text() },
        Refusal::ExecNotRunning { id: text() },
        Refusal::ExecRunning { id: text() },
        Refusal::EndpointExists {
            container: text(),
            network: text(),
        },
        Refusal::HostNetworkIsFixed,
        Refusal::NetworkInUse {
            name: text(),
            id: text(),
        },
        Refusal::NetworkNameInUse { name: text() },
        Refusal::NoSuchDriver {
            driver: text(),
            name: text(),
        },
        Refusal::NoSuchNetwork { name: text() },
        Refusal::NoSuchVolume { name: text() },
        Refusal::NotConnected {
            container: text(),
            network: text(),
        },
        Refusal::OneNetworkOnly { driver: text() },
        Refusal::PredefinedNetwork { name: text() },
        Refusal::SubnetInUse,
        Refusal::VolumeInUse {
            name: text(),
            containers: vec![text(), text()],
        },
        Refusal::RemovalInProgress { name: text() },
        Refusal::NameInUse {
            name: text(),
            holder: text(),
        },
        Refusal::NameUnchanged {
            name: text(),
            id: text(),
        },
        Refusal::EmptyDockerfile { path: text() },
        Refusal::NoDockerfile { path: text() },
        Refusal::ImageInUse(ImageUse::Running {
            reference: text(),
            image: text(),
            container: text(),
        }),
        Refusal::ImageInUse(ImageUse::Stopped {
            reference: text(),
            image: text(),
            container: text(),
            by_tag: true,
        }),
        Refusal::ImageInUse(ImageUse::Stopped {
            reference: text(),
            image: text(),
            container: text(),
            by_tag: false,
        }),
        Refusal::ImageInUse(ImageUse::SeveralTags { image: text() }),
        Refusal::ImageInUse(ImageUse::HasChildren { image: text() }),
        Refusal::NotSupported(text()),
        Refusal::NotADirectory { path: text() },
        Refusal::NoCommand,
        Refusal::NoConfig,
        Refusal::NoExecCommand,
        Refusal::NoSuchContainer { name: text() },
        Refusal::NoSuchExec { id: text() },
        Refusal::NoSuchImage { reference: text() },
        Refusal::NotInRegistry {
            reference: text(),
            lack: RegistryLack::Access,
            why: text(),
        },
        Refusal::NotInRegistry {
            reference: text(),
            lack: RegistryLack::Manifest,
            why: text(),
        },
        Refusal::NotInRegistry {
            reference: text(),
            lack: RegistryLack::Repository,
            why: text(),
        },
        Refusal::ReservedName { name: text() },
        Refusal::NotPaused {
            id: text(),
            name: text(),
        },
        Refusal::NoSuchPath {
            container: text(),
            path: text(),
        },
        Refusal::ReadOnly { path: text() },
        Refusal::AmbiguousId { prefix: text() },
        Refusal::TagInUse {
            reference: text(),
            holder: text(),
        },
        Refusal::StartFailed {
            name: text(),
            cause: StartFailure::NotFound,
            message: text(),
        },
        Refusal::StartFailed {
            name: text(),
            cause: StartFailure::NotExecutable,
            message: text(),
        },
        Refusal::StartFailed {
            name: text(),
            cause: StartFailure::Other,
            message: text(),
        },
        Refusal::Internal(text()),
    ];
    let own = [
        Failure::BadNumber(BadNumber {
            parameter: "h",
            value: text(),
        }),
        Failure::BadFilters(text()),
        Failure::UnknownFilter(text()),
        Failure::BadJson(JsonError::Cut),
        Failure::BadLogin(JsonError::Cut),
        Failure::BadJsonParameter {
            what: "labels",
            error: JsonError::Cut,
        },
        Failure::BadJson(JsonError::Empty),
        Failure::ContentType(text()),
        Failure::NoContainer,
        Failure::NoStream,
        Failure::BodyAtStart,
        Failure::BadDetachKeys(text()),
        Failure::BadHandshake(HandshakeError::BadVersion),
        Failure::BadTarget(QueryError::BadEscape(text())),
        Failure::ForeignOrigin(text()),
        Failure::NoRoute,
        Failure::NotServed {
            method: "GET".into(),
            path: text(),
        },
        Failure::TooNew(text()),
        Failure::TooOld(text()),
    ];
    refusals.into_iter().map(Failure::Refused).chain(own).collect()
}

/// Walks down the history with real answers: every item that claims to change something does.
#[test]
fn no_item_is_idle() {
    let mut manners: Vec<_> = served().into_iter().map(|route| (route, Manner::NEWEST)).collect();
    let mut replies: Vec<_> = served().into_iter().map(|route| (route, answers(route))).collect();
    let mut items: Vec<_> = served().into_iter().map(|route| (route, stream_items(route))).collect();
    for (minor, change) in history().rev() {
        let at = |effect: &dyn fmt::Debug| format!("v1.{minor} item {}: {effect:?}", change.bullet);
        for effect in change.effects.iter().rev() {
            match effect {
                Effect::AddsRoute | Effect::RemovesRoute => {
                    assert!(!change.routes.is_empty(), "{}", at(effect));
                }
                Effect::AddsFields(paths) => {
                    for path in *paths {
                        let concerned = replies.iter_mut().filter(|(route, _)| change.concerns(*route));
                        let mut bodies = concerned.flat_map(|(_, list)| list).filter_map(|a| a.body.as_mut());
                        let mut changed = false;
                        bodies.by_ref().for_each(|body| {
                            let before = body.clone();
                            take_field(body, path);
                            changed |= *body != before;
                        });
                        assert!(changed, "{}: {path}", at(effect));
                    }
                }
                Effect::Lower(lower) => {
                    let concerned = replies.iter_mut().filter(|(route, _)| change.concerns(*route));
                    let mut changed = false;
                    concerned.flat_map(|(_, list)| list).for_each(|answer| {
                        let before = answer.clone();
                        lower(answer);
                        changed |= *answer != before;
                    });
                    assert!(changed, "{}", at(effect));
                }
                Effect::LowerItem(lower) => {
                    let concerned = items.iter_mut().filter(|(route, _)| change.concerns(*route));
                    let mut changed = false;
                    concerned.for_each(|(_, list)| {
                        let before = list.clone();
                        list.retain_mut(lower);
                        changed |= *list != before;
                    });
                    assert!(changed, "{}", at(effect));
                }
                Effect::Lift(lift) => {
                    let mut asked = odd_request();
                    // Two lifts read what only a good request has.
                    if change.routes.contains(&Route::ContainerInspect) {
                        asked.query.set("size", "1");
                    }
                    let before = asked.clone();
                    lift(&mut asked);
                    assert_ne!(asked, before, "{}", at(effect));
                }
                Effect::Switch(turn) => {
                    let concerned = manners.iter_mut().filter(|(route, _)| change.concerns(*route));
                    let mut changed = false;
                    concerned.for_each(|(_, manner)| {
                        let before = *manner;
                        turn(manner);
                        changed |= *manner != before;
                    });
                    assert!(changed, "{}", at(effect));
                }
                Effect::Reword(reword) => {
                    let differs = |route: &Route| {
                        let version = ApiVersion { minor };
                        failures().iter().any(|failure| {
                            let older = reword(failure, *route);
                            older.is_some_and(|older| older != words(version, Some(*route), failure))
                        })
                    };
                    assert!(served().iter().any(differs), "{}", at(effect));
                }
                Effect::AddsParameters(names) => {
                    let below = ApiVersion { minor: minor - 1 };
                    for name in *names {
                        let refused = |route: &Route| lower_call(below, *route, &mut call_with(name)).is_err();
                        assert!(change.routes.iter().any(refused), "{}: {name}", at(effect));
                    }
                }
                Effect::LowerCall(lower) => {
                    let mut asked = odd_call();
                    let lowered = lower(&mut asked);
                    assert!(lowered.is_err() || asked != odd_call(), "{}", at(effect));
                }
                // What they undo comes first.
                Effect::Raise(_) | Effect::RaiseItem(_) | Effect::None { .. } => {}
            }
        }
        for effect in change.effects {
            let at = || format!("v1.{minor} item {}: {effect:?}", change.bullet);
            match effect {
                Effect::Raise(raise) => {
                    let concerned = replies.iter().filter(|(route, _)| change.concerns(*route));
                    let changes = |answer: &Answer| {
                        let mut raised = answer.clone();
                        raise(&mut raised);
                        raised != *answer
                    };
                    assert!(concerned.flat_map(|(_, list)| list).any(changes), "{}", at());
                }
                Effect::RaiseItem(raise) => {
                    let concerned = items.iter().filter(|(route, _)| change.concerns(*route));
                    let told: Vec<_> = concerned
                        .flat_map(|(_, list)| list.clone())
                        .chain([old_event()])
                        .collect();
                    let mut raised = told.clone();
                    raised.iter_mut().for_each(raise);
                    assert_ne!(raised, told, "{}", at());
                }
                _ => {}
            }
        }
    }
}

/// The endpoints of the documents.
fn routes() -> Vec<Route> {
    let documented = include_str!("../../tests/cases/endpoints.tsv").lines().skip(1);
    let mut routes: Vec<_> = documented
        .filter_map(|line| {
            let mut fields = line.split('\t');
            find(&format!("{} {}", fields.next()?, fields.next()?))
        })
        .collect();
    routes.sort_unstable();
    routes.dedup();
    routes
}

/// Those that are carried out.
fn served() -> Vec<Route> {
    routes().into_iter().filter(|route| route.is_served()).collect()
}

#[test]
fn the_newest_version_passes_no_change() {
    for route in &served() {
        assert_eq!(effects_after(ApiVersion::NEWEST, *route).count(), 0);
        assert_eq!(manner(ApiVersion::NEWEST, *route), Manner::NEWEST);
        assert!(!lowers(ApiVersion::NEWEST, *route, false) && !lowers(ApiVersion::NEWEST, *route, true));
    }
}

#[test]
fn every_failure_has_words_at_every_version() {
    for version in ApiVersion::all() {
        for route in &served() {
            for failure in failures() {
                let words = words(version, Some(*route), &failure);
                let good = (400..600).contains(&words.status) && !words.text.is_empty();
                // Killing a container that does not run was no error once, nor was resizing an exec that had ended.
                let ended = matches!(failure, Failure::Refused(Refusal::ExecNotRunning { .. }));
                let done = words.status == 204 && *route == Route::ContainerKill || words.status == 201 && ended;
                assert!(good || done, "v{version} {route:?} {failure:?}: {words:?}");
            }
        }
    }
}

/// Any JSON value, biased towards the keys and lists that the history looks at.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "Actor",
        "Cmd",
        "Config",
        "Container",
        "Containers",
        "ContainerConfig",
        "Debug",
        "Dns",
        "Entrypoint",
        "ExitCode",
        "ExposedPorts",
        "HostConfig",
        "Id",
        "IPAM",
        "IndexServerAddress",
        "IdentityToken",
        "Mounts",
        "Labels",
        "NetworkSettings",
        "Networks",
        "Options",
        "PortBindings",
        "PortSpecs",
        "Ports",
        "Processes",
        "RepoTags",
        "State",
        "Status",
        "Tags",
        "Volumes",
        "VolumesFrom",
        "aux",
        "description",
        "is_automated",
        "name",
        "password",
        "Titles",
        "VolumesFrom",
        "networks",
        "rx_bytes",
        "X-Registry-Auth",
        "X-Registry-Config",
        "configs",
        "Warnings",
        "status",
        "username",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z:/]{0,8}".prop_map(Value::from),
        Just(json!("sha256:é")),
        Just(json!(format!("sha256:{}", "é".repeat(32)))),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        let map = prop::collection::btree_map(keys.clone(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            map.prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn lifting_and_lowering_are_total(minor in 0..=ApiVersion::NEWEST.minor, value in any_json(), text in ".{0,40}") {
        let query = Query::parse(&text).unwrap_or_default();
        let version = ApiVersion { minor };
        for route in &served() {
            let mut answer = Answer {
                status: 200,
                body: Some(value.clone()),
            };
            lower(version, *route, &mut answer);
            raise(version, *route, &mut answer);
            answer.body = Some(value.clone());
            raise(version, *route, &mut answer);
            let mut item = value.clone();
            lower_item(version, *route, &mut item);
            raise_item(version, *route, &mut item);
            item = value.clone();
            raise_item(version, *route, &mut item);
            if let Value::Object(body) = &value {
                let mut asked = Asked {
                    query: query.clone(),
                    body: body.clone(),
                };
                let _ = lower_call(version, *route, &mut asked.clone());
                lift(version, *route, &mut asked);
                // An error is a fine answer; a panic is not.
                let _ = crate::decode::call(*route, &manner(version, *route), "name".into(), asked);
            }
        }
    }
}
