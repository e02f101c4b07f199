//! What calls about execs ask for.

use alloc::{string::String, vec::Vec};

use serde_json::{Map, Value};

use crate::{
    ExecCreate, ExecStart, Refusal, detach,
    dialect::Failure,
    json::{self, JsonError},
    model::ExecConfig,
};

/// Gives the keys of a create body their proper case.
pub(super) fn spell_create(map: &mut Map<String, Value>) {
    json::spell(map, CREATE_KEYS);
}

/// Gives the keys of a start body their proper case.
pub(super) fn spell_start(map: &mut Map<String, Value>) {
    json::spell(map, START_KEYS);
}

/// The call of a create.
pub(super) fn create(container: String, body: Map<String, Value>) -> Result<ExecCreate, Failure> {
    let config: ExecConfig = json::typed(body, "")?;
    if config.cmd.is_empty() {
        return Err(Refusal::NoExecCommand.into());
    }
    // Kept as text; that it can be read is found out here, where somebody is told.
    detach_keys(&config.detach_keys)?;
    Ok(ExecCreate { container, config })
}

/// The call of a start.
pub(super) fn start(exec: String, mut body: Map<String, Value>) -> Result<ExecStart, JsonError> {
    let mut flag = |key| match body.remove(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(other) => Err(super::wrong_type(key, "a boolean", &other)),
    };
    Ok(ExecStart {
        detach: flag("Detach")?,
        tty: flag("Tty")?,
        exec,
    })
}

/// The keys that a create's `DetachKeys` stands for.
pub(crate) fn detach_keys(text: &str) -> Result<Vec<u8>, Failure> {
    if text.is_empty() {
        return Ok(detach::DEFAULT_KEYS.to_vec());
    }
    detach::parse_keys(text).map_err(|_| Failure::BadDetachKeys(text.into()))
}

/// Keys of [`ExecConfig`].
const CREATE_KEYS: &[&str] = &[
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "DetachKeys",
    "Privileged",
    "Tty",
    "User",
];

const START_KEYS: &[&str] = &["Detach", "Tty"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_list_holds_every_key_of_the_model() {
        let Ok(Value::Object(map)) = serde_json::to_value(ExecConfig::default()) else {
            panic!("no object")
        };
        assert!(map.keys().eq(CREATE_KEYS), "{map:?}");
    }
}
