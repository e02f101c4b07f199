//! API v1.9. Sources: the Engine API version history, section "v1.9", and the documents of v1.8 and v1.9.

use alloc::string::String;

use serde_json::{Map, Value};

use super::{Asked, Change, Effect, Source, why};
use crate::{
    decode::{self, REGISTRY_AUTH, REGISTRY_CONFIG},
    json,
    route::Route,
};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::Build],
        what: "X-Registry-Config (base64 configuration file, several registries) replaces X-Registry-Auth",
        source: Source::History,
        effects: &[Effect::Lift(one_login), Effect::LowerCall(to_one_login)],
    },
    Change {
        bullet: 2,
        routes: &[Route::Build],
        what: "rm listed again",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerKill],
        what: "signal listed again, integer or name",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 4,
        routes: &[Route::Commit],
        what: "full container configuration as JSON body (with DisableNetwork)",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "DisableNetwork is lifted at v1.12",
        }],
    },
    Change {
        bullet: 5,
        routes: &[Route::Commit],
        what: "run removed for good",
        source: Source::Documents,
        effects: &[Effect::Lift(run_was_a_parameter)],
    },
];

/// v1.0, v1.7 and v1.8 have the configuration of a commit as a parameter, the versions between as a body. Both are read below,
/// and the body wins. What is no object was ignored then.
fn run_was_a_parameter(asked: &mut Asked) {
    let Some(text) = asked.query.text("run") else { return };
    asked.query.remove("run");
    if let Ok(Value::Object(mut run)) = json::parse(text.as_bytes()) {
        decode::spell(Route::Commit, &mut run);
        for (key, value) in run {
            asked.body.entry(key).or_insert(value);
        }
    }
}

/// v1.8 has one login, for the registry that it names. A map beside it wins, as it did.
fn one_login(asked: &mut Asked) {
    let Some(Value::Object(login)) = asked.body.remove(REGISTRY_AUTH) else {
        return;
    };
    let server = login
        .get("serveraddress")
        .and_then(Value::as_str)
        .filter(|server| !server.is_empty());
    let server = String::from(server.unwrap_or(INDEX));
    let logins = Map::from_iter([(server, Value::Object(login))]);
    asked.body.entry(REGISTRY_CONFIG).or_insert(Value::Object(logins));
}

/// A login that does not name its registry is told which one it is for.
fn to_one_login(asked: &mut Asked) -> Result<(), String> {
    let Some(Value::Object(mut config)) = asked.body.remove(REGISTRY_CONFIG) else {
        return Ok(());
    };
    let Some(Value::Object(logins)) = config.remove("configs") else {
        return Ok(());
    };
    let mut logins = logins.into_iter();
    match (logins.next(), logins.next()) {
        (Some((registry, Value::Object(mut login))), None) => {
            let server = login.get("serveraddress").and_then(Value::as_str);
            match server {
                Some(server) if server != registry => return Err("a login for another registry than it names".into()),
                None if registry != INDEX => {
                    login.insert("serveraddress".into(), registry.into());
                }
                _ => {}
            }
            asked.body.insert(REGISTRY_AUTH.into(), Value::Object(login));
            Ok(())
        }
        _ => Err("logins for several registries".into()),
    }
}

/// What a login without registry is for.
const INDEX: &str = "https://index.docker.io/v1/";
