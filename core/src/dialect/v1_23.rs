//! API v1.23. Sources: the Engine API version history, section "v1.23", and the documents of v1.22 and v1.23.

use alloc::{
    format,
    string::{String, ToString},
};
use serde_json::{Value, json};

use super::{
    Answer, Asked, Change, Effect, Failure, Manner, Source, Words, body, object, why,
    wording::{
        SUBNET_IN_USE, bad_change, container_name, content_type, network_name_in_use, number, one_network_only,
        renaming, reserved, volume_in_use, with_tag,
    },
};
use crate::{
    decode::CONTAINER_FILTERS,
    grammar::bind::bad_characters,
    refusal::{ImageUse, Refusal, RegistryLack, StartFailure},
    route::Route,
};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerList],
        what: "State added (created, restarting, running, paused, exited, dead)",
        source: Source::History,
        effects: &[Effect::AddsFields(&["[].State"])],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerList],
        what: "Mounts added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["[].Mounts"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::NetworkInspect],
        what: "Internal added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["Internal"])],
    },
    Change {
        bullet: 4,
        routes: &[Route::NetworkInspect],
        what: "EnableIPv6 added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["EnableIPv6"])],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerUpdate],
        what: "RestartPolicy accepted",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["RestartPolicy"])],
    },
    Change {
        bullet: 6,
        routes: &[Route::NetworkCreate],
        what: "EnableIPv6 added; the label way stops working",
        source: Source::History,
        effects: &[Effect::Lift(ipv6_by_option), Effect::LowerCall(ipv6_as_the_option)],
    },
    Change {
        bullet: 7,
        routes: &[Route::Info],
        what: "CgroupDriver added (cgroupfs or systemd)",
        source: Source::History,
        effects: &[Effect::AddsFields(&["CgroupDriver"])],
    },
    Change {
        bullet: 8,
        routes: &[Route::Info],
        what: "KernelMemory added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["KernelMemory"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.PidsLimit added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.PidsLimit"])],
    },
    Change {
        bullet: 10,
        routes: &[Route::ContainerStats],
        what: "pids_stats added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["pids_stats"])],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.UsernsMode: opt out of user namespace remapping",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.UsernsMode"])],
    },
    Change {
        bullet: 12,
        routes: &[Route::ContainerCreate],
        what: "nocopy mode for named volumes",
        source: Source::History,
        effects: &[Effect::LowerCall(no_nocopy)],
    },
    Change {
        bullet: 13,
        routes: &[Route::AuthCheck],
        what: "IdentityToken added; body shown again",
        source: Source::History,
        effects: &[Effect::AddsFields(&["IdentityToken"]), Effect::Raise(silence_is_good)],
    },
    Change {
        bullet: 14,
        routes: &[Route::ContainerCreate],
        what: "with Hostname and Domainname both set the hostname is Hostname alone",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 15,
        routes: &[Route::VolumeList],
        what: "filters gain name and driver",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.driver", "?filters.name"])],
    },
    Change {
        bullet: 16,
        routes: &[Route::ContainerLogs],
        what: "details added (document: v1.24)",
        source: Source::History,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 17,
        routes: &[Route::ImageLoad],
        what: "progress as a JSON stream; quiet query",
        source: Source::History,
        effects: &[Effect::Switch(load_was_silent)],
    },
    Change {
        bullet: 18,
        routes: &[Route::Build],
        what: "labels added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?labels"])],
    },
    Change {
        bullet: 19,
        routes: &[Route::ContainerList],
        what: "filters gain ancestor, before, since, volume",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&[
            "?filters.ancestor",
            "?filters.before",
            "?filters.since",
            "?filters.volume",
        ])],
    },
    Change {
        bullet: 20,
        routes: &[Route::ImageInspect],
        what: "RootFS added; ids carry the sha256: prefix",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["RootFS"])],
    },
    Change {
        bullet: 21,
        routes: &[Route::VolumeCreate],
        what: "Labels added (also in answers)",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["Labels"]), Effect::AddsParameters(&["Labels"])],
    },
    Change {
        bullet: 22,
        routes: &[Route::NetworkCreate],
        what: "Options and Labels shown",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["Labels"])],
    },
    Change {
        bullet: 23,
        routes: &[Route::NetworkRemove],
        what: "success becomes 204 instead of 200",
        source: Source::Documents,
        effects: &[Effect::Lower(removal_was_200)],
    },
    Change {
        bullet: 24,
        routes: &[Route::ImageCreate, Route::ImagePush],
        what: "token key in X-Registry-Auth is identitytoken (v1.22: registrytoken)",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["X-Registry-Auth.identitytoken"])],
    },
    Change {
        bullet: 25,
        routes: &[Route::AuthCheck],
        what: "email no longer shown",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 26,
        routes: &[Route::NetworkRemove],
        what: "listed: 403 (also in v1.21)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 27,
        routes: &[Route::ContainerList],
        what: "example keys change: +[].State, +[].Mounts, +[].Mounts[], +[].Mounts[].Name …",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 28,
        routes: &[Route::ContainerInspect],
        what: "example keys change: -HostConfig.LxcConf",
        source: Source::Documents,
        effects: &[Effect::Lower(lxc_conf)],
    },
    Change {
        bullet: 29,
        routes: &[Route::ContainerStats],
        what: "example keys change: +pids_stats, +pids_stats.current",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 30,
        routes: &[Route::ImageInspect],
        what: "example keys change: +RootFS, +RootFS.Type, +RootFS.Layers, +RootFS.Layers[]",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 31,
        routes: &[Route::Info],
        what: "example keys change: +CgroupDriver, +KernelMemory",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 32,
        routes: &[Route::NetworkList],
        what: "example keys change: +[].EnableIPv6, +[].Internal",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["[].EnableIPv6", "[].Internal", "[].Labels"])],
    },
    Change {
        bullet: 33,
        routes: &[Route::NetworkInspect],
        what: "listed: 500 (also in v1.21)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 34,
        routes: &[Route::NetworkInspect],
        what: "example keys change: +EnableIPv6, +Internal, +Labels, +Labels.{key}",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["Labels"])],
    },
    Change {
        bullet: 35,
        routes: &[Route::VolumeInspect],
        what: "example keys change: +Labels, +Labels.{key}",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["Labels"])],
    },
    Change {
        bullet: 36,
        routes: &[Route::AuthCheck],
        what: "response kind empty becomes json",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 37,
        routes: &[Route::AuthCheck],
        what: "example keys change: -email",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 38,
        routes: &[Route::AuthCheck],
        what: "example keys change: +Status, +IdentityToken",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 39,
        routes: &[Route::ContainerCreate],
        what: "example keys change: +HostConfig.PidsLimit",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 40,
        routes: &[Route::ContainerUpdate],
        what: "example keys change: +RestartPolicy, +RestartPolicy.MaximumRetryCount …",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 41,
        routes: &[Route::ImageLoad],
        what: "added: quiet",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?quiet"])],
    },
    Change {
        bullet: 42,
        routes: &[Route::ImageLoad],
        what: "answer Content-Type not shown becomes application/json",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 43,
        routes: &[Route::ImageLoad],
        what: "response kind empty becomes json-stream",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 44,
        routes: &[Route::ImageLoad],
        what: "example keys change: +status, +progressDetail, +progressDetail.current …",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 45,
        routes: &[Route::NetworkCreate],
        what: "example keys change: +EnableIPv6, +Options, +Options.{key}, +Labels, +Labels.{key}",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 46,
        routes: &[Route::VolumeCreate],
        what: "example keys change: +Labels, +Labels.{key}",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 47,
        routes: &[Route::VolumeCreate],
        what: "example keys change: +Labels, +Labels.{key}",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 48,
        routes: &[Route::Info],
        what: "InitPath and InitSha1 are sent no more",
        source: Source::Daemons,
        effects: &[Effect::Lower(init_path)],
    },
    Change {
        bullet: 49,
        routes: &[
            Route::Commit,
            Route::ContainerInspect,
            Route::ContainerList,
            Route::Events,
            Route::ImageCreate,
            Route::ImageHistory,
            Route::ImageInspect,
            Route::ImageList,
            Route::ImageRemove,
        ],
        what: "ids of images carry their algorithm",
        source: Source::Daemons,
        effects: &[
            Effect::Lower(ids_were_bare),
            Effect::LowerItem(ids_in_items_were_bare),
            Effect::Raise(ids_have_an_algorithm),
            Effect::RaiseItem(ids_in_items_have_an_algorithm),
        ],
    },
    Change {
        bullet: 50,
        routes: &[],
        what: "errors are worded anew, and bad input is 400 instead of 500",
        source: Source::Daemons,
        effects: &[Effect::Reword(words_of_1_22)],
    },
    Change {
        bullet: 51,
        routes: &[Route::ContainerRestart, Route::ContainerStop],
        what: "a grace period that is no number is an error instead of ignored",
        source: Source::Daemons,
        effects: &[Effect::Lift(bad_grace_was_ignored)],
    },
    Change {
        bullet: 52,
        routes: &[Route::ContainerList],
        what: "an unknown filter is an error instead of ignored",
        source: Source::Daemons,
        effects: &[Effect::Lift(unknown_filters_were_ignored)],
    },
    Change {
        bullet: 53,
        routes: &[Route::ExecResize],
        what: "a resize answers 200 instead of the documented 201",
        source: Source::Daemons,
        effects: &[Effect::Lower(exec_resize_was_201)],
    },
    Change {
        bullet: 54,
        routes: &[Route::VolumeList],
        what: "volumes of a list have their labels, too",
        source: Source::Daemons,
        effects: &[Effect::AddsFields(&["Volumes.[].Labels"])],
    },
    Change {
        bullet: 55,
        routes: &[Route::ContainerStats],
        what: "name and id of the container are told",
        source: Source::Daemons,
        effects: &[Effect::AddsFields(&["name", "id"])],
    },
    Change {
        bullet: 56,
        routes: &[Route::VolumeCreate],
        what: "the local driver has options, and refuses those it does not know",
        source: Source::Daemons,
        effects: &[
            Effect::Lift(local_driver_took_no_options),
            Effect::LowerCall(local_driver_takes_no_options),
        ],
    },
];

fn load_was_silent(manner: &mut Manner) {
    manner.load_talks = false;
}

fn ids_were_bare(answer: &mut Answer) {
    if let Some(value) = &mut answer.body {
        bare_ids(value);
    }
}

fn ids_in_items_were_bare(item: &mut Value) -> bool {
    bare_ids(item);
    true
}

/// Takes `sha256:` from the values that may be image ids. A digest in a reference (`name@sha256:…`) stays.
fn bare_ids(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(bare_ids),
        Value::Object(map) => {
            for key in [
                "Id", "ParentId", "Parent", "Image", "ImageID", "Deleted", "Untagged", "id", "from", "status",
            ] {
                if let Some(Value::String(text)) = map.get_mut(key)
                    && let Some(digits) = text.strip_prefix("sha256:")
                    && digits.len() == 64
                {
                    *text = String::from(digits);
                }
            }
            for key in ["Config", "ContainerConfig", "Actor"] {
                if let Some(inner) = map.get_mut(key) {
                    bare_ids(inner);
                }
            }
            if let Some(Value::String(text)) = map.get_mut("ID")
                && let Some(digits) = text.strip_prefix("sha256:")
            {
                *text = String::from(digits);
            }
        }
        _ => {}
    }
}

fn ids_have_an_algorithm(answer: &mut Answer) {
    if let Some(value) = &mut answer.body {
        whole_ids(value);
    }
}

fn ids_in_items_have_an_algorithm(item: &mut Value) {
    whole_ids(item);
}

/// Puts `sha256:` before the values that are image ids. `Id` is one in what has a parent, tags or a step, or stands alone, and `id` and `ID` in events
/// of images.
fn whole_ids(value: &mut Value) {
    let map = match value {
        Value::Array(list) => return list.iter_mut().for_each(whole_ids),
        Value::Object(map) => map,
        _ => return,
    };
    let is_image = ["CreatedBy", "Parent", "ParentId", "RepoTags"]
        .iter()
        .any(|key| map.contains_key(*key));
    let is_commit = map.len() == 1;
    let is_image_event = map.get("Type").is_some_and(|kind| kind == "image");
    let always = [
        "ParentId", "Parent", "Image", "ImageID", "Deleted", "Untagged", "from", "status",
    ];
    let keys = always
        .iter()
        .chain((is_image || is_commit).then_some(&"Id"))
        .chain(is_image_event.then_some(&"id"));
    for key in keys {
        if let Some(id) = map.get_mut(*key) {
            whole_id(id);
        }
    }
    for key in ["Config", "ContainerConfig"] {
        if let Some(inner) = map.get_mut(key) {
            whole_ids(inner);
        }
    }
    if is_image_event && let Some(id) = map.get_mut("Actor").and_then(|actor| actor.get_mut("ID")) {
        whole_id(id);
    }
}

fn whole_id(id: &mut Value) {
    if let Value::String(digits) = id
        && digits.len() == 64
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    {
        digits.insert_str(0, "sha256:");
    }
}

/// `name:/target:nocopy`.
fn no_nocopy(asked: &mut Asked) -> Result<(), String> {
    let binds = asked.body.get("HostConfig").and_then(|config| config.get("Binds"));
    let mut binds = binds
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let nocopy = |bind: &str| {
        bind.rsplit(':')
            .next()
            .unwrap_or_default()
            .split(',')
            .any(|mode| mode == "nocopy")
    };
    match binds.any(nocopy) {
        true => Err("the mode nocopy of HostConfig.Binds".into()),
        false => Ok(()),
    }
}

fn bad_grace_was_ignored(asked: &mut Asked) {
    if asked.query.number("t").is_err() {
        asked.query.remove("t");
    }
}

fn unknown_filters_were_ignored(asked: &mut Asked) {
    let Ok(mut filters) = asked.query.filters() else { return };
    filters.0.retain(|name, _| CONTAINER_FILTERS.contains(&name.as_str()));
    if let Ok(text) = serde_json::to_string(&filters.0) {
        asked.query.set("filters", &text);
    }
}

/// The words of Docker 1.10.3.
fn words_of_1_22(failure: &Failure, route: Route) -> Option<Words> {
    let refusal = match failure {
        Failure::Refused(refusal) => refusal,
        Failure::NoRoute => return Some(Words::new(404, "404 page not found")),
        Failure::BadNumber(bad) => return Some(Words::new(500, number(bad))),
        Failure::BadJson(error) if matches!(route, Route::ContainerExec | Route::ExecStart) => {
            return Some(Words::new(500, error.to_string()));
        }
        Failure::ContentType(found) => return Some(Words::new(500, content_type(found))),
        Failure::BadJsonParameter { error, .. } => return Some(Words::new(500, error.to_string())),
        Failure::NoContainer => return Some(Words::new(500, failure.words(Some(route)).text)),
        Failure::BadFilters(why) if route == Route::VolumeList => return Some(Words::new(500, why.as_str())),
        Failure::BadJson(error) => return Some(Words::new(500, format!("{error}"))),
        Failure::UnknownFilter(name) => return Some(Words::new(500, format!("Invalid filter '{name}'"))),
        _ => return None,
    };
    Some(match refusal {
        Refusal::BadChange { instruction } => Words::new(500, bad_change(instruction)),
        Refusal::BadDockerfile(why) => Words::new(500, why.as_str()),
        // The documents list a 400 for these, and no other of that time.
        Refusal::BadParameter(_) if ARCHIVES.contains(&route) => return None,
        Refusal::BadParameter(why) => Words::new(500, why.as_str()),
        Refusal::BadLogin { .. } if route == Route::AuthCheck => {
            Words::new(401, "Wrong login/password, please try again")
        }
        Refusal::AlreadyPaused { id, name } => Words::new(
            500,
            format!("Cannot pause container {name}: Container {id} is already paused"),
        ),
        Refusal::BadContainerName { name } if route == Route::ContainerRename => {
            Words::new(500, renaming(&container_name(&format!("/{name}"))))
        }
        Refusal::BadContainerName { name } => Words::new(500, container_name(name)),
        Refusal::BadFilterValue { filter, value } if route == Route::NetworkList => {
            Words::new(500, format!("Invalid filter: '{filter}'='{value}'"))
        }
        Refusal::BadFilterValue { filter, value } => Words::new(500, format!("Invalid filter '{filter}=[{value}]'")),
        Refusal::BadReference { reference, why } => match route {
            Route::ContainerCreate | Route::ImageRemove => {
                Words::new(404, format!("No such image: {}", with_tag(reference)))
            }
            Route::ImageHistory => Words::new(404, format!("no such id: {reference}")),
            Route::ImageInspect => Words::new(404, format!("No such image: {reference}")),
            Route::Build | Route::ImageCreate => Words::new(
                500,
                format!("Error parsing reference: \"{reference}\" is not a valid repository/tag"),
            ),
            _ if why.is_empty() => Words::new(500, "invalid reference format"),
            _ if *why == "invalid tag format" => Words::new(500, *why),
            _ => Words::new(500, format!("invalid reference format: {why}")),
        },
        Refusal::BadSignal { signal } => Words::new(500, format!("Invalid signal: {signal}")),
        Refusal::BadSignalNumber { container, signal } => Words::new(
            500,
            format!("Cannot kill container {container}: The linux daemon does not support signal {signal}"),
        ),
        Refusal::BadVolumeName { name } => Words::new(
            500,
            format!("create {name}: volume name invalid: {}", bad_characters(name)),
        ),
        Refusal::ContainerNotRunning { id, name } if route == Route::ContainerKill => Words::new(
            500,
            format!("Cannot kill container {name}: Container {id} is not running"),
        ),
        Refusal::ContainerNotRunning { id, name } if route == Route::ContainerPause => Words::new(
            500,
            format!("Cannot pause container {name}: Container {id} is not running"),
        ),
        Refusal::ContainerNotRunning { name, .. } if matches!(route, Route::ContainerExec | Route::ContainerTop) => {
            Words::new(500, format!("Container {name} is not running"))
        }
        // Conflicts of an exec that is started have their status from v1.21 on.
        Refusal::ContainerNotRunning { .. } if route == Route::ExecStart => return None,
        Refusal::ContainerNotRunning { id, .. } => Words::new(500, format!("Container {id} is not running")),
        Refusal::ContainerPaused { .. } if route == Route::ContainerStart => {
            Words::new(500, "Cannot start a paused container, try unpause instead.")
        }
        Refusal::ContainerPaused { id, name } if route == Route::ContainerStop => Words::new(
            500,
            format!("Cannot stop container {name}: Container {id} is paused. Unpause the container before stopping"),
        ),
        Refusal::ContainerRunning { .. } => Words::new(
            409,
            "Conflict, You cannot remove a running container. Stop the container before attempting removal or use -f",
        ),
        // A resize of what had ended was done.
        Refusal::ExecNotRunning { .. } => Words::new(201, ""),
        Refusal::NameInUse { name, holder } if route == Route::ContainerRename => {
            Words::new(409, renaming(&name_in_use(name, holder)))
        }
        Refusal::NameInUse { name, holder } => Words::new(409, name_in_use(name, holder)),
        Refusal::NameUnchanged { name, id } => Words::new(409, renaming(&name_in_use(name, id))),
        Refusal::EmptyDockerfile { path } => Words::new(500, format!("The Dockerfile ({path}) cannot be empty")),
        Refusal::ImageInUse(ImageUse::SeveralTags { image }) => Words::new(
            409,
            format!(
                "conflict: unable to delete {} (must be forced) - image is referenced in one or more repositories",
                super::wording::short(image)
            ),
        ),
        Refusal::EndpointExists { container, .. } => {
            Words::new(500, format!("service endpoint with name {container} already exists"))
        }
        Refusal::HostNetworkIsFixed => Words::new(
            500,
            "Container cannot be disconnected from host network or connected to host network",
        ),
        Refusal::NetworkInUse { name, .. } => Words::new(500, format!("network {name} has active endpoints")),
        Refusal::NetworkNameInUse { name } => Words::new(500, network_name_in_use(name)),
        Refusal::OneNetworkOnly { driver } => Words::new(500, one_network_only(driver)),
        Refusal::PredefinedNetwork { name } if route == Route::NetworkCreate => {
            Words::new(403, format!("{name} is a pre-defined network and cannot be created"))
        }
        Refusal::NoSuchDriver { driver, name } if route == Route::VolumeCreate => Words::new(
            404,
            format!("create {name}: create {name}: Error looking up volume plugin {driver}: plugin not found"),
        ),
        Refusal::NoSuchDriver { .. } => Words::new(404, "plugin not found"),
        Refusal::SubnetInUse => Words::new(500, SUBNET_IN_USE),
        Refusal::VolumeInUse { name, containers } => {
            Words::new(409, format!("Conflict: {}", volume_in_use(name, containers)))
        }
        Refusal::NoCommand => Words::new(500, "No command specified"),
        Refusal::NoConfig => Words::new(500, "Config cannot be empty in order to create a container"),
        Refusal::NoExecCommand => Words::new(500, "No exec command specified"),
        Refusal::NoSuchContainer { name } if route == Route::ContainerKill => {
            Words::new(404, format!("Cannot kill container {name}: No such container: {name}"))
        }
        Refusal::NoSuchExec { id } => Words::new(404, format!("No such exec instance '{id}' found in daemon")),
        Refusal::NoSuchImage { reference } if route == Route::ImageInspect => {
            Words::new(404, format!("No such image: {reference}"))
        }
        Refusal::NoSuchImage { reference } if route == Route::ImagePush => {
            Words::new(404, format!("Repository does not exist: {reference}"))
        }
        Refusal::NoSuchImage { reference } if matches!(route, Route::ImageHistory | Route::ImageTag) => {
            Words::new(404, format!("no such id: {reference}"))
        }
        Refusal::NotInRegistry {
            reference,
            lack: RegistryLack::Manifest,
            ..
        } => {
            let whole = with_tag(reference);
            let split = whole.split_once('@').or_else(|| whole.rsplit_once(':'));
            let (repository, tag) = split.unwrap_or((reference, "latest"));
            Words::new(404, format!("Tag {tag} not found in repository {repository}"))
        }
        Refusal::NotInRegistry { reference, .. } => Words::new(404, format!("Error: image {reference} not found")),
        Refusal::ReservedName { name } => Words::new(500, reserved(name)),
        Refusal::NotPaused { id, name } => Words::new(
            500,
            format!("Cannot unpause container {name}: Container {id} is not paused"),
        ),
        Refusal::StartFailed { .. } if route == Route::ContainerRestart => return None,
        Refusal::NoSuchPath { container, path } if route == Route::ContainerCopy => {
            Words::new(500, format!("Could not find the file {path} in container {container}"))
        }
        Refusal::StartFailed { cause, message, .. } => match cause {
            // Clients of the time tell 126 and 127 from 125 by how the text begins. Daemons took the status from the
            // text as well, and "not found" in it made it 404.
            StartFailure::NotFound => {
                Words::new(404, format!("Container command not found or does not exist. {message}"))
            }
            StartFailure::NotExecutable => {
                Words::new(500, format!("Container command could not be invoked. {message}"))
            }
            StartFailure::Other => return None,
        },
        _ => return None,
    })
}

fn name_in_use(name: &str, holder: &str) -> String {
    format!(
        "Conflict. The name \"/{name}\" is already in use by container {holder}. You have to remove (or rename) that \
         container to be able to reuse that name."
    )
}

/// The documents up to v1.22 say so.
fn exec_resize_was_201(answer: &mut Answer) {
    if answer.status == 200 {
        answer.status = 201;
    }
}

/// The calls about a path in a container.
const ARCHIVES: &[Route] = &[
    Route::ContainerArchiveGet,
    Route::ContainerArchivePut,
    Route::ContainerArchiveStat,
];

/// There is no LXC, so the list is empty.
fn lxc_conf(answer: &mut Answer) {
    if let Some(config) = answer.body.as_mut().and_then(|body| object(body, "HostConfig")) {
        config.insert("LxcConf".into(), json!([]));
    }
}

/// There is no init program of its own.
fn init_path(answer: &mut Answer) {
    if let Some(info) = body(answer) {
        info.insert("InitPath".into(), json!(""));
        info.insert("InitSha1".into(), json!(""));
    }
}

/// The network driver read it among its options.
fn ipv6_by_option(asked: &mut Asked) {
    let option = asked
        .body
        .get("Options")
        .and_then(|options| options.get("com.docker.network.enable_ipv6"));
    let wanted = option.and_then(Value::as_str).is_some_and(is_true);
    if wanted && !asked.body.contains_key("EnableIPv6") {
        asked.body.insert("EnableIPv6".into(), json!(true));
    }
}

/// The option alone decided, so it has to say the same.
fn ipv6_as_the_option(asked: &mut Asked) -> Result<(), String> {
    let mut by_option = asked.clone();
    by_option.body.remove("EnableIPv6");
    ipv6_by_option(&mut by_option);
    match by_option.body.get("EnableIPv6") == asked.body.get("EnableIPv6") {
        true => {
            asked.body.remove("EnableIPv6");
            Ok(())
        }
        false => Err("EnableIPv6 unlike the option com.docker.network.enable_ipv6".into()),
    }
}

/// What Go reads as true.
fn is_true(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True"].contains(&text)
}

fn removal_was_200(answer: &mut Answer) {
    answer.status = 200;
}

/// Options of the local driver were not looked at.
fn local_driver_took_no_options(asked: &mut Asked) {
    let driver = asked.body.get("Driver").and_then(Value::as_str).unwrap_or_default();
    if matches!(driver, "" | "local") {
        asked.body.remove("DriverOpts");
    }
}

fn local_driver_takes_no_options(asked: &mut Asked) -> Result<(), String> {
    let before = asked.body.len();
    local_driver_took_no_options(asked);
    match asked.body.len() == before {
        true => Ok(()),
        false => Err("DriverOpts of the local driver".into()),
    }
}

/// Nothing was shown that would tell more than the status.
fn silence_is_good(answer: &mut Answer) {
    if answer.body.is_none() {
        *answer = Answer {
            status: 200,
            body: Some(json!({"Status": ""})),
        };
    }
}
