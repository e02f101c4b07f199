//! What a create, a start, an attach, logs, a rename, an update and the calls about paths in a container ask for.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{is_unset, section};
use crate::{
    ContainerCreate, ContainerLogs, Refusal, detach,
    dialect::Failure,
    json,
    model::{ContainerConfig, HostConfig, NetworkingConfig},
    query::Query,
};

/// Gives the keys of a create or start body their proper case.
pub(super) fn spell(map: &mut Map<String, Value>) {
    json::spell(map, CREATE_KEYS);
    json::spell(map, CONFIG_KEYS);
    json::spell(map, HOST_CONFIG_KEYS);
    if let Some(Value::Object(host_config)) = map.get_mut("HostConfig") {
        json::spell(host_config, HOST_CONFIG_KEYS);
    }
}

/// Gives the keys of an update body their proper case.
pub(super) fn spell_update(map: &mut Map<String, Value>) {
    json::spell(map, UPDATE_KEYS);
}

/// Gives the keys of a copy body their proper case.
pub(super) fn spell_copy(map: &mut Map<String, Value>) {
    json::spell(map, &["Resource"]);
}

/// The path that an archive call is about.
pub(super) fn path(query: &Query) -> Result<String, Failure> {
    query
        .text("path")
        .ok_or_else(|| Refusal::BadParameter("bad parameter: 'path' cannot be empty".to_owned()).into())
}

/// The path that a copy is about.
pub(super) fn resource(body: Map<String, Value>) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Copy {
        #[serde(rename = "Resource", default)]
        resource: Option<String>,
    }
    let copy: Copy = json::typed(body, "")?;
    copy.resource
        .filter(|resource| !resource.is_empty())
        .ok_or_else(|| Refusal::BadParameter("Path cannot be empty".to_owned()).into())
}

/// The detach keys that an attach asks for.
pub(crate) fn detach_keys(query: &Query) -> Result<Vec<u8>, Failure> {
    match query.text("detachKeys") {
        Some(text) => detach::parse_keys(&text).map_err(|_| Failure::BadDetachKeys(text)),
        None => Ok(detach::DEFAULT_KEYS.to_vec()),
    }
}

/// Standard input, output and error, as far as an attach by WebSocket wants them. The document of v1.22 lists the switches,
/// later ones do not, and daemons up to v1.41 attached all three whatever was asked; so a client that names none gets all.
pub(crate) fn websocket_streams(query: &Query) -> (bool, bool, bool) {
    let [stdin, stdout, stderr] = ["stdin", "stdout", "stderr"];
    let none = [stdin, stdout, stderr].iter().all(|name| query.get(name).is_none());
    let wants = |name| none || query.flag(name);
    (wants(stdin), wants(stdout), wants(stderr))
}

/// The call of a create.
pub(super) fn create(query: &Query, mut body: Map<String, Value>) -> Result<ContainerCreate, Failure> {
    if !body.keys().any(|key| CONFIG_KEYS.contains(&key.as_str())) {
        return Err(Refusal::NoConfig.into());
    }
    let mut host_config = section(&mut body, "HostConfig")?;
    let networking_config = section(&mut body, "NetworkingConfig")?;
    for (outer, inner) in [
        ("Memory", "Memory"),
        ("MemorySwap", "MemorySwap"),
        ("CpuShares", "CpuShares"),
        ("Cpuset", "CpusetCpus"),
    ] {
        if let Some(value) = body.remove(outer)
            && is_unset(host_config.get(inner))
            && !is_unset(Some(&value))
        {
            // The error names the key that the client wrote.
            let at_top = Map::from_iter([(inner.to_owned(), value.clone())]);
            json::typed::<HostConfig>(at_top, "")?;
            host_config.insert(inner.to_owned(), value);
        }
    }
    Ok(ContainerCreate {
        name: wished_name(query),
        config: json::typed::<ContainerConfig>(body, "")?,
        host_config: json::typed(host_config, "HostConfig.")?,
        networking_config: json::typed::<NetworkingConfig>(networking_config, "NetworkingConfig.")?,
    })
}

/// The name that a rename wishes.
pub(super) fn new_name(query: &Query) -> Result<String, Refusal> {
    match wished_name(query) {
        Some(name) if name.is_empty() => Err(Refusal::BadContainerName { name }),
        Some(name) => Ok(name),
        None => Err(Refusal::BadParameter(
            "Neither old nor new names may be empty".to_owned(),
        )),
    }
}

/// The parameter `name`, without the slash that names have in answers.
fn wished_name(query: &Query) -> Option<String> {
    let name = query.text("name")?;
    Some(name.strip_prefix('/').map(ToOwned::to_owned).unwrap_or(name))
}

/// The call of logs.
pub(super) fn logs(container: String, query: &Query) -> Result<ContainerLogs, Failure> {
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Failure::NoStream);
    }
    Ok(ContainerLogs {
        container,
        follow: query.flag("follow"),
        stdout,
        stderr,
        // The epoch itself is what clients send for "from the start".
        since: query.time("since")?.filter(|time| time.as_nanos() != 0),
        // Anything that is no count, `all` above all, means all lines.
        tail: query.get("tail").and_then(|tail| tail.parse().ok()),
        timestamps: query.flag("timestamps"),
    })
}

/// Filters of the container list (v1.24).
pub(crate) const CONTAINER_FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "id",
    "isolation",
    "label",
    "name",
    "network",
    "since",
    "status",
    "volume",
];

/// Keys of a create body that are not part of [`ContainerConfig`].
const CREATE_KEYS: &[&str] = &["HostConfig", "NetworkingConfig"];

/// Keys of [`ContainerConfig`], and those that older versions had at the same level.
const CONFIG_KEYS: &[&str] = &[
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "CpuShares",
    "Cpuset",
    "DisableNetwork",
    "Dns",
    "Domainname",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Hostname",
    "Image",
    "Labels",
    "MacAddress",
    "Memory",
    "MemorySwap",
    "NetworkDisabled",
    "OnBuild",
    "OpenStdin",
    "PortSpecs",
    "Privileged",
    "RestartPolicy",
    "SecurityOpt",
    "Shell",
    "StdinOnce",
    "StopSignal",
    "Tty",
    "User",
    "VolumeDriver",
    "Volumes",
    "VolumesFrom",
    "WorkingDir",
];

/// Keys of [`HostConfig`].
const HOST_CONFIG_KEYS: &[&str] = &[
    "AutoRemove",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cgroup",
    "CgroupParent",
    "ConsoleSize",
    "ContainerIDFile",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "Devices",
    "DiskQuota",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "IpcMode",
    "Isolation",
    "KernelMemory",
    "Links",
    "LogConfig",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "NetworkMode",
    "OomKillDisable",
    "OomScoreAdj",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Runtime",
    "SecurityOpt",
    "ShmSize",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "UTSMode",
    "Ulimits",
    "UsernsMode",
    "VolumeDriver",
    "VolumesFrom",
];

/// Keys of [`UpdateConfig`](crate::model::UpdateConfig).
const UPDATE_KEYS: &[&str] = &[
    "BlkioWeight",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "KernelMemory",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "RestartPolicy",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpdateConfig;

    #[test]
    fn the_key_lists_hold_every_key_of_the_model() {
        let keys = |value| match value {
            Ok(Value::Object(map)) => map.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        for key in keys(serde_json::to_value(HostConfig::default())) {
            assert!(HOST_CONFIG_KEYS.contains(&key.as_str()), "{key}");
        }
        for key in keys(serde_json::to_value(ContainerConfig::default())) {
            assert!(CONFIG_KEYS.contains(&key.as_str()), "{key}");
        }
        assert_eq!(keys(serde_json::to_value(UpdateConfig::default())), UPDATE_KEYS);
    }
}
