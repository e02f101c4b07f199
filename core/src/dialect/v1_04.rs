//! API v1.4. Sources: the Engine API version history, section "v1.4", and the documents of v1.3 and v1.4.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Map, Value, json};

use super::{Answer, Asked, Change, Effect, Source, body, why};
use crate::{query::number, route::Route};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ImageCreate],
        what: "all images of a repository are pulled in parallel",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerTop],
        what: "ps_args added",
        source: Source::History,
        effects: &[Effect::Lift(no_ps_args), Effect::AddsParameters(&["?ps_args"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerTop],
        what: "shape changes to an object with Titles and Processes",
        source: Source::Documents,
        effects: &[Effect::Lower(processes_were_objects), Effect::Raise(processes_are_rows)],
    },
    Change {
        bullet: 4,
        routes: &[Route::Events],
        what: "from (image name) added",
        source: Source::History,
        effects: &[Effect::LowerItem(no_from)],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerCopy],
        what: "body Resource, answer is a tar stream",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerCreate],
        what: "Privileged and WorkingDir added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["Privileged", "WorkingDir"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerInspect],
        what: "Config.WorkingDir added",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerInspect],
        what: "409 (conflict between containers and images) listed, in this document only",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ImageInspect],
        what: "409 listed, in this document only",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageInspect],
        what: "container_config.WorkingDir added",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerStart],
        what: "LxcConf (array of Key/Value) added",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "LXC options are ignored at every version, as there is no LXC",
        }],
    },
    Change {
        bullet: 12,
        routes: &[Route::ContainerStart],
        what: "status list says 204",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 13,
        routes: &[Route::Build],
        what: "nocache added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?nocache"])],
    },
    Change {
        bullet: 14,
        routes: &[Route::AuthCheck],
        what: "serveraddress added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["serveraddress"])],
    },
    Change {
        bullet: 15,
        routes: &[Route::Info],
        what: "IPv4Forwarding added; EventsListeners, LXCVersion, KernelVersion no longer shown",
        source: Source::Documents,
        effects: &[
            Effect::AddsFields(&["IPv4Forwarding"]),
            Effect::Lower(listeners_and_lxc),
            Effect::Raise(listeners_are_counted),
        ],
    },
];

fn no_from(item: &mut Value) -> bool {
    if let Value::Object(event) = item {
        event.remove("from");
    }
    true
}

/// v1.3 counts the listeners as text and names the version of LXC, of which there is none.
fn listeners_and_lxc(answer: &mut Answer) {
    let Some(info) = body(answer) else { return };
    if let Some(listeners) = info.remove("NEventsListener") {
        info.insert("EventsListeners".into(), Value::String(listeners.to_string()));
    }
    info.insert("LXCVersion".into(), "".into());
}

/// v1.3 shows four columns, whatever is asked for.
fn no_ps_args(asked: &mut Asked) {
    asked.query.remove("ps_args");
}

/// `[{"PID":…,"Tty":…,"Time":…,"Cmd":…}]`: what `ps` shows without options, where a program is told by its name alone.
fn processes_were_objects(answer: &mut Answer) {
    let Some(list) = body(answer) else { return };
    let (titles, processes) = (list.remove("Titles"), list.remove("Processes"));
    let (Some(Value::Array(titles)), Some(Value::Array(processes))) = (titles, processes) else {
        return;
    };
    let column = |title: &str| titles.iter().position(|found| found.as_str() == Some(title));
    let columns = [
        ("PID", column("PID")),
        ("Tty", column("TTY")),
        ("Time", column("TIME")),
        ("Cmd", column("CMD")),
    ];
    let object = |row: &Value| {
        let cells = columns.iter().map(|(key, at)| {
            let text = at
                .and_then(|at| row.get(at))
                .and_then(Value::as_str)
                .unwrap_or_default();
            let text = if *key == "Cmd" { program(text) } else { text };
            (String::from(*key), Value::from(text))
        });
        Value::Object(cells.collect::<Map<_, _>>())
    };
    answer.body = Some(processes.iter().map(object).collect());
}

/// Objects with these four keys, and nothing else, are what can be told.
fn processes_are_rows(answer: &mut Answer) {
    let Some(Value::Array(processes)) = &answer.body else {
        return;
    };
    let text = |process: &Value, key| process.get(key).cloned().unwrap_or_else(|| "".into());
    let row = |process: &Value| Value::from(["PID", "Tty", "Time", "Cmd"].map(|key| text(process, key)).to_vec());
    let rows: Vec<Value> = processes.iter().map(row).collect();
    let titles = ["PID", "TTY", "TIME", "CMD"];
    answer.body = Some(json!({"Titles": titles, "Processes": rows}));
}

/// The name of the program of a command line.
fn program(line: &str) -> &str {
    let path = line.split(' ').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

fn listeners_are_counted(answer: &mut Answer) {
    let Some(info) = body(answer) else { return };
    if let Some(Value::String(listeners)) = info.remove("EventsListeners")
        && let Some(listeners) = number(&listeners)
    {
        info.entry("NEventsListener").or_insert(listeners.into());
    }
}
