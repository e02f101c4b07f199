//! What a build asks for.

use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, vec::Vec};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::registry;
use crate::{
    Build, BuildLimits, Login, base64,
    dialect::Failure,
    json::{self, JsonError},
    model::Ulimit,
    query::Query,
};

/// The header with the logins of a build, and the key they have beside its parameters.
pub(crate) const REGISTRY_CONFIG: &str = "X-Registry-Config";
/// The same for the one login of v1.8.
pub(crate) const REGISTRY_AUTH: &str = "X-Registry-Auth";

/// The logins of the header fields; empty fields are none. As every genuine daemon, this takes what cannot be read for none.
pub(crate) fn logins(config: &str, auth: &str) -> Map<String, Value> {
    let mut body = Map::new();
    if let Some(bytes) = base64::decode(config)
        && let Ok(Value::Object(config)) = json::parse(&bytes)
    {
        body.insert(REGISTRY_CONFIG.to_owned(), Value::Object(config));
    }
    let auth = registry::header(auth);
    if !auth.is_empty() {
        body.insert(REGISTRY_AUTH.to_owned(), Value::Object(auth));
    }
    body
}

/// The call of a build.
pub(super) fn build(query: &Query, mut body: Map<String, Value>) -> Result<Build, Failure> {
    let text = |name| query.text(name).unwrap_or_default();
    let number = |name| query.number(name).ok().flatten().unwrap_or_default();
    let force_remove = query.flag("forcerm");
    Ok(Build {
        tags: query.all("t").into_iter().filter(|tag| !tag.is_empty()).collect(),
        dockerfile: query.text("dockerfile"),
        remote: query.text("remote"),
        quiet: query.flag("q"),
        no_cache: query.flag("nocache"),
        pull: query.flag("pull"),
        remove: force_remove || query.text("rm").is_none() || query.flag("rm"),
        force_remove,
        limits: BuildLimits {
            cgroup_parent: text("cgroupparent"),
            cpu_period: number("cpuperiod"),
            cpu_quota: number("cpuquota"),
            cpu_shares: number("cpushares"),
            cpuset_cpus: text("cpusetcpus"),
            cpuset_mems: text("cpusetmems"),
            memory: number("memory"),
            memory_swap: number("memswap"),
            // The one number that daemons insist on.
            shm_size: query.number("shmsize")?.unwrap_or_default(),
            ulimits: ulimits(query)?,
        },
        network_mode: text("networkmode"),
        isolation: text("isolation"),
        build_args: pairs(query, "buildargs", "build args")?,
        labels: pairs(query, "labels", "labels")?,
        logins: match body.remove(REGISTRY_CONFIG) {
            Some(Value::Object(map)) => map.into_iter().filter_map(login).collect(),
            _ => BTreeMap::new(),
        },
    })
}

/// A registry and its login, if it can be read.
fn login((registry, login): (String, Value)) -> Option<(String, Login)> {
    let Value::Object(mut login) = login else { return None };
    registry::spell(&mut login);
    Some((registry, registry::login(&login).ok()?))
}

/// A map of texts; `null` is an empty one.
fn pairs(query: &Query, name: &str, what: &'static str) -> Result<BTreeMap<String, String>, Failure> {
    let pairs: Option<BTreeMap<String, Option<String>>> = parameter(query, name, what, |_| {})?;
    let pairs = pairs.into_iter().flatten();
    Ok(pairs.map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

fn ulimits(query: &Query) -> Result<Vec<Ulimit>, Failure> {
    let spell = |value: &mut Value| {
        let list = value.as_array_mut().into_iter().flatten();
        list.filter_map(Value::as_object_mut)
            .for_each(|limit| json::spell(limit, &["Hard", "Name", "Soft"]));
    };
    let limits: Option<Vec<Option<Ulimit>>> = parameter(query, "ulimits", "ulimit settings", spell)?;
    Ok(limits.into_iter().flatten().flatten().collect())
}

/// A parameter that holds JSON; `None` when it is missing, empty or `null`.
fn parameter<T: DeserializeOwned>(
    query: &Query,
    name: &str,
    what: &'static str,
    spell: impl Fn(&mut Value),
) -> Result<Option<T>, Failure> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let read = || {
        let mut value = json::parse(text.as_bytes())?;
        spell(&mut value);
        json::typed::<BTreeMap<String, Option<T>>>(Map::from_iter([(name.to_owned(), value)]), "")
    };
    let mut read: BTreeMap<String, Option<T>> =
        read().map_err(|error: JsonError| Failure::BadJsonParameter { what, error })?;
    Ok(read.remove(name).flatten())
}
