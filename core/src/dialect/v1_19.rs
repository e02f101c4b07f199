//! API v1.19. Sources: the Engine API version history, section "v1.19", and the documents of v1.18 and v1.19.

use alloc::{format, string::String};
use serde_json::{Value, json};

use super::{
    Answer, Asked, Change, Effect, Failure, Manner, Source, Words, body, object, why,
    wording::{container_name, marked, renaming, restart_failed, short, sign, with_tag},
};
use crate::{
    refusal::{ImageUse, Refusal},
    route::Route,
};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[],
        what: "version mismatch is answered 400 instead of 404",
        source: Source::History,
        effects: &[Effect::None {
            why: "a newer version is answered as the newest does",
        }],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerStats],
        what: "stream added (default true)",
        source: Source::History,
        effects: &[Effect::Lift(stats_streamed), Effect::AddsParameters(&["?stream"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerLogs],
        what: "since added (UNIX time, default 0)",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?since"])],
    },
    Change {
        bullet: 4,
        routes: &[Route::Info],
        what: "Debug, IPv4Forwarding, MemoryLimit, SwapLimit are booleans again; CpuCfsPeriod …",
        source: Source::History,
        effects: &[
            Effect::Lower(flags_were_numbers),
            Effect::Raise(flags_are_booleans),
            Effect::AddsFields(&["CpuCfsPeriod", "CpuCfsQuota", "OomKillDisable"]),
        ],
    },
    Change {
        bullet: 5,
        routes: &[Route::Info],
        what: "ExperimentalBuild added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["ExperimentalBuild"])],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.CpuPeriod and CpuQuota added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.CpuPeriod", "HostConfig.CpuQuota"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.CpusetMems, BlkioWeight, OomKillDisable added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&[
            "HostConfig.BlkioWeight",
            "HostConfig.CpusetMems",
            "HostConfig.OomKillDisable",
        ])],
    },
    Change {
        bullet: 8,
        routes: &[Route::Build],
        what: "cpuperiod and cpuquota added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?cpuperiod", "?cpuquota"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerInspect],
        what: "HostConfig.BlkioWeight, CpusetMems, CpuPeriod, OomKillDisable added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&[
            "HostConfig.BlkioWeight",
            "HostConfig.CpusetMems",
            "HostConfig.CpuPeriod",
            "HostConfig.CpuQuota",
            "HostConfig.OomKillDisable",
        ])],
    },
    Change {
        bullet: 10,
        routes: &[Route::ContainerStats],
        what: "precpu_stats added; throttling_data members shown",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["precpu_stats"])],
    },
    Change {
        bullet: 11,
        routes: &[Route::ImageList],
        what: "Labels shown",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "returned from v1.17 on",
        }],
    },
    Change {
        bullet: 12,
        routes: &[Route::ImageHistory],
        what: "Tags, Size, Comment added",
        source: Source::Documents,
        // Daemons sent Tags and Size before.
        effects: &[Effect::AddsFields(&["[].Comment"])],
    },
    Change {
        bullet: 13,
        routes: &[Route::ImageSearch],
        what: "is_trusted shown beside is_automated, in this document only",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["[].is_trusted"])],
    },
    Change {
        bullet: 14,
        routes: &[Route::Commit],
        what: "Labels added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["Labels"])],
    },
    Change {
        bullet: 15,
        routes: &[Route::Events],
        what: "events attach, commit, copy, rename, resize, top listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 16,
        routes: &[Route::ContainerExec],
        what: "User added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["User"])],
    },
    Change {
        bullet: 17,
        routes: &[],
        what: "errors are worded anew",
        source: Source::Daemons,
        effects: &[Effect::Reword(words_of_1_18)],
    },
    Change {
        bullet: 18,
        routes: &[Route::ContainerList],
        what: "a limit that is no number is an error instead of ignored",
        source: Source::Daemons,
        effects: &[Effect::Lift(bad_limit_was_ignored)],
    },
    Change {
        bullet: 19,
        routes: &[Route::ContainerLogs, Route::Events],
        what: "a time that cannot be read is an error instead of ignored",
        source: Source::Daemons,
        effects: &[Effect::Lift(bad_times_were_ignored)],
    },
    Change {
        bullet: 20,
        routes: &[Route::ContainerCreate],
        what: "an empty entry point means none instead of the image's",
        source: Source::Daemons,
        effects: &[
            Effect::Lift(empty_entrypoint_was_none),
            Effect::LowerCall(no_empty_entrypoint),
        ],
    },
    Change {
        bullet: 21,
        routes: &[Route::ImageInspect],
        what: "configurations of images lose limits and PortSpecs",
        source: Source::Daemons,
        effects: &[Effect::Lower(limits_in_image_configs)],
    },
    Change {
        bullet: 22,
        routes: &[Route::Events],
        what: "each event ends with a line feed",
        source: Source::Daemons,
        effects: &[Effect::Switch(events_ran_together)],
    },
    Change {
        bullet: 23,
        routes: &[Route::AuthCheck],
        what: "a login about which the registry says nothing is 200 instead of 204",
        source: Source::Daemons,
        effects: &[Effect::Lower(silent_login_was_204)],
    },
    Change {
        bullet: 24,
        routes: &[Route::ContainerExec],
        what: "the command is a list, never one string",
        source: Source::Daemons,
        effects: &[Effect::Lift(command_was_text)],
    },
    Change {
        bullet: 25,
        routes: &[Route::ExecInspect],
        what: "ExitCode is null before the end instead of 0",
        source: Source::Daemons,
        effects: &[Effect::Lower(exit_code_was_a_number)],
    },
];

/// `1` and `0` in v1.18 only; below they are booleans again.
fn flags_were_numbers(answer: &mut Answer) {
    let Some(info) = body(answer) else { return };
    for flag in ["Debug", "IPv4Forwarding", "MemoryLimit", "SwapLimit"] {
        if let Some(value) = info.get_mut(flag)
            && let Some(on) = value.as_bool()
        {
            *value = Value::from(i32::from(on));
        }
    }
}

fn flags_are_booleans(answer: &mut Answer) {
    let Some(info) = body(answer) else { return };
    for flag in ["Debug", "IPv4Forwarding", "MemoryLimit", "SwapLimit"] {
        if let Some(value) = info.get_mut(flag)
            && let Some(number) = value.as_i64()
        {
            *value = Value::Bool(number != 0);
        }
    }
}

fn bad_limit_was_ignored(asked: &mut Asked) {
    if asked.query.number("limit").is_err() {
        asked.query.remove("limit");
    }
}

fn bad_times_were_ignored(asked: &mut Asked) {
    for name in ["since", "until"] {
        if asked.query.time(name).is_err() {
            asked.query.remove(name);
        }
    }
}

fn empty_entrypoint_was_none(asked: &mut Asked) {
    if asked
        .body
        .get("Entrypoint")
        .and_then(Value::as_array)
        .is_some_and(|words| words.is_empty())
    {
        asked.body.remove("Entrypoint");
    }
}

fn no_empty_entrypoint(asked: &mut Asked) -> Result<(), String> {
    match asked.body.get("Entrypoint").and_then(Value::as_array) {
        Some(words) if words.is_empty() => Err("an empty Entrypoint".into()),
        _ => Ok(()),
    }
}

fn events_ran_together(manner: &mut Manner) {
    manner.event_lines = false;
}

/// Images keep no limits, but the keys were there.
fn limits_in_image_configs(answer: &mut Answer) {
    for key in ["Config", "ContainerConfig"] {
        let Some(config) = answer.body.as_mut().and_then(|body| object(body, key)) else {
            continue;
        };
        for (key, value) in [
            ("CpuShares", json!(0)),
            ("Cpuset", json!("")),
            ("Memory", json!(0)),
            ("MemorySwap", json!(0)),
            ("PortSpecs", Value::Null),
        ] {
            config.entry(key).or_insert(value);
        }
    }
}

/// The words of Docker 1.6.2.
fn words_of_1_18(failure: &Failure, route: Route) -> Option<Words> {
    let refusal = match failure {
        Failure::Refused(refusal) => refusal,
        Failure::NoContainer => return Some(Words::new(500, "Prefix can't be empty")),
        _ => return None,
    };
    Some(match refusal {
        Refusal::NoSuchContainer { name } => Words::new(404, format!("no such id: {name}")),
        Refusal::NoSuchImage { reference } => match route {
            Route::ContainerCreate => Words::new(404, missing(reference)),
            Route::ImagePush => Words::new(404, format!("Repository does not exist: {reference}")),
            Route::ImageGet | Route::ImageGetMany | Route::ImageHistory | Route::ImageTag => {
                Words::new(404, format!("could not find image: no such id: {reference}"))
            }
            _ => Words::new(404, format!("No such image: {reference}")),
        },
        Refusal::BadReference { reference, why } => match route {
            Route::ContainerCreate => Words::new(404, missing(reference)),
            Route::ImageGet | Route::ImageGetMany | Route::ImageHistory => {
                Words::new(404, format!("could not find image: no such id: {reference}"))
            }
            Route::ImageInspect | Route::ImageRemove => Words::new(404, format!("No such image: {reference}")),
            _ if reference.is_empty() => Words::new(500, "Repository name can't be empty"),
            _ if *why == "invalid tag format" => Words::new(
                500,
                format!(
                    "Illegal tag name ({reference}): only [A-Za-z0-9_.-] are allowed, minimum 1, maximum 128 in length"
                ),
            ),
            _ => Words::new(
                500,
                format!("Invalid repository name ({reference}), only [a-z0-9-_.] are allowed"),
            ),
        },
        Refusal::BadSignalNumber { signal, .. } => Words::new(500, format!("Invalid signal: {signal}")),
        Refusal::ContainerNotRunning { id, .. }
            if matches!(route, Route::ContainerResize | Route::ContainerResizeByGet) =>
        {
            Words::new(500, format!("Cannot resize container {id}, container is not running"))
        }
        Refusal::ContainerNotRunning { name, .. } if !matches!(route, Route::ContainerKill | Route::ContainerPause) => {
            Words::new(500, format!("Container {name} is not running"))
        }
        Refusal::BadContainerName { name } if route == Route::ContainerRename => {
            Words::new(500, renaming(&container_name(name)))
        }
        Refusal::NameInUse { name, holder } if route == Route::ContainerRename => {
            Words::new(409, renaming(&name_in_use(name, holder)))
        }
        Refusal::NameInUse { name, holder } => Words::new(409, name_in_use(name, holder)),
        Refusal::NameUnchanged { name, id } => Words::new(409, renaming(&name_in_use(name, id))),
        Refusal::EmptyDockerfile { .. } => Words::new(500, "Dockerfile cannot be empty"),
        Refusal::NoConfig => Words::new(500, "No command specified"),
        Refusal::ImageInUse(usage) => Words::new(409, image_in_use(usage)),
        Refusal::StartFailed { name, cause, message } => {
            let text = match route {
                Route::ContainerRestart => restart_failed(name, *cause, message),
                _ => format!("Cannot start container {name}: {}", marked(message, sign(*cause))),
            };
            // Statuses were found by looking into the text.
            let status = if message.contains("no such") { 404 } else { 500 };
            Words::new(status, text)
        }
        _ => return None,
    })
}

fn name_in_use(name: &str, holder: &str) -> alloc::string::String {
    format!(
        "Conflict. The name \"{name}\" is already in use by container {}. You have to delete (or rename) that container \
         to be able to reuse that name.",
        short(holder)
    )
}

/// `No such image: busybox (tag: latest)`.
fn missing(reference: &str) -> alloc::string::String {
    let whole = with_tag(reference);
    let tag = whole.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    format!("No such image: {reference} (tag: {tag})")
}

fn image_in_use(usage: &ImageUse) -> alloc::string::String {
    match usage {
        ImageUse::Running { image, container, .. } => format!(
            "Conflict, cannot delete {} because the running container {} is using it, stop it and use -f to force",
            short(image),
            short(container)
        ),
        ImageUse::Stopped { image, container, .. } => format!(
            "Conflict, cannot delete {} because the container {} is using it, use -f to force",
            short(image),
            short(container)
        ),
        ImageUse::SeveralTags { image } => {
            let image = image.strip_prefix("sha256:").unwrap_or(image);
            format!(
                "Conflict, cannot delete image {image} because it is tagged in multiple repositories, use -f to force"
            )
        }
        ImageUse::HasChildren { image } => {
            format!(
                "Conflict, cannot delete {} because other images are built on it",
                short(image)
            )
        }
    }
}

/// The documents list 204 without saying when: daemons answered it when the registry had nothing to say.
fn silent_login_was_204(answer: &mut Answer) {
    let is_silent = |body: &Value| body.get("Status").and_then(Value::as_str) == Some("");
    if answer.body.as_ref().is_some_and(is_silent) {
        *answer = Answer {
            status: 204,
            body: None,
        };
    }
}

/// The stream had no end but the client's.
fn stats_streamed(asked: &mut Asked) {
    asked.query.remove("stream");
}

/// One string is a command without arguments.
fn command_was_text(asked: &mut Asked) {
    if let Some(command @ Value::String(_)) = asked.body.get_mut("Cmd") {
        *command = json!([command.take()]);
    }
}

fn exit_code_was_a_number(answer: &mut Answer) {
    if let Some(code @ Value::Null) = body(answer).and_then(|exec| exec.get_mut("ExitCode")) {
        *code = json!(0);
    }
}
