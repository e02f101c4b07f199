//! A lifted request → the typed [`Call`].
//!
//! Only the newest shape is known here. Two forms are read that no document of that version has, because every genuine
//! daemon reads them at every version: the memory and CPU limits beside `HostConfig` instead of in it, and a host
//! configuration with the create in versions whose documents have it with the start.

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};

use serde_json::{Map, Value};

use crate::{
    Call, ContainerAttach, ContainerCreate, ContainerList, ContainerLogs, ContainerRemove, EventsQuery, ImageImport,
    ImageList, Refusal, detach,
    dialect::{Asked, Failure, Manner},
    json::{self, JsonError},
    model::{ContainerConfig, Filters, HostConfig, NetworkingConfig},
    query::Query,
    route::Route,
};

/// Makes the call for a served endpoint.
pub(crate) fn call(route: Route, manner: &Manner, name: String, asked: Asked) -> Result<Call, Failure> {
    let Asked { query, body } = asked;
    Ok(match route {
        Route::ContainerAttach => Call::ContainerAttach(ContainerAttach {
            container: name,
            logs: query.flag("logs"),
            stream: query.flag("stream"),
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr"),
        }),
        Route::ContainerCreate => Call::ContainerCreate(Box::new(create(&query, body)?)),
        Route::ContainerInspect => Call::ContainerInspect {
            container: name,
            size: query.flag("size"),
        },
        Route::ContainerKill => Call::ContainerKill {
            container: name,
            signal: query.text("signal"),
        },
        Route::ContainerList => Call::ContainerList(ContainerList {
            all: query.flag("all"),
            before: query.text("before"),
            filters: filters(&query, CONTAINER_FILTERS)?,
            limit: query.number("limit")?,
            since: query.text("since"),
            size: query.flag("size"),
        }),
        Route::ContainerLogs => Call::ContainerLogs(logs(name, &query)?),
        Route::ContainerRemove => Call::ContainerRemove(ContainerRemove {
            container: name,
            force: query.flag("force"),
            link: query.flag("link"),
            volumes: query.flag("v"),
        }),
        Route::ContainerResize | Route::ContainerResizeByGet => Call::ContainerResize {
            container: name,
            height: query.size("h")?,
            width: query.size("w")?,
        },
        Route::ContainerStart => Call::ContainerStart {
            container: name,
            host_config: match body.is_empty() {
                true => None,
                false => Some(Box::new(json::typed(body, "")?)),
            },
        },
        Route::ContainerStop => Call::ContainerStop {
            container: name,
            grace_secs: query.number("t")?,
        },
        Route::ContainerWait => Call::ContainerWait { container: name },
        Route::Events => Call::Events(EventsQuery {
            filters: query.filters().map_err(Failure::BadFilters)?,
            since: query.time("since")?,
            until: query.time("until")?,
        }),
        Route::ImageCreate => image_create(&query)?,
        Route::ImageInspect => Call::ImageInspect { image: name },
        Route::ImageList => {
            let mut filters = filters(&query, IMAGE_FILTERS)?;
            if let Some(pattern) = query.text("filter") {
                filters.0.entry("reference".to_owned()).or_default().push(pattern);
            }
            let all = query.flag("all");
            Call::ImageList(ImageList { all, filters })
        }
        Route::ImageLoad => Call::ImageLoad {
            quiet: query.flag("quiet"),
        },
        Route::ImageRemove => Call::ImageRemove {
            image: name,
            force: query.flag("force"),
            noprune: query.flag("noprune"),
        },
        Route::ImageTag => Call::ImageTag {
            image: name,
            repository: query.text("repo").unwrap_or_default(),
            tag: query.text("tag").unwrap_or_default(),
            force: manner.tag_moves || query.flag("force"),
        },
        Route::Info => Call::Info,
        Route::Ping => Call::Ping,
        Route::Version => Call::Version,
        _ => return Err(Failure::NoRoute),
    })
}

/// Whether an image is made from the request's body.
pub(crate) fn imports_body(query: &Query) -> bool {
    query.text("fromImage").is_none() && query.get("fromSrc") == Some("-")
}

/// Gives the keys of a create or start body their proper case.
pub(crate) fn spell(map: &mut Map<String, Value>) {
    json::spell(map, CREATE_KEYS);
    json::spell(map, CONFIG_KEYS);
    json::spell(map, HOST_CONFIG_KEYS);
    if let Some(Value::Object(host_config)) = map.get_mut("HostConfig") {
        json::spell(host_config, HOST_CONFIG_KEYS);
    }
}

/// The detach keys that an attach asks for.
pub(crate) fn detach_keys(query: &Query) -> Result<Vec<u8>, Failure> {
    match query.text("detachKeys") {
        Some(text) => detach::parse_keys(&text).map_err(|_| Failure::BadDetachKeys(text)),
        None => Ok(detach::DEFAULT_KEYS.to_vec()),
    }
}

fn create(query: &Query, mut body: Map<String, Value>) -> Result<ContainerCreate, Failure> {
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
    let name = query.text("name");
    Ok(ContainerCreate {
        name: name.map(|name| name.strip_prefix('/').map(ToOwned::to_owned).unwrap_or(name)),
        config: json::typed::<ContainerConfig>(body, "")?,
        host_config: json::typed(host_config, "HostConfig.")?,
        networking_config: json::typed::<NetworkingConfig>(networking_config, "NetworkingConfig.")?,
    })
}

/// Takes an object out of a body; missing and `null` are empty.
fn section(body: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, JsonError> {
    match body.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(other) => Err(JsonError::WrongType {
            key: key.to_owned(),
            why: alloc::format!("expected an object, got {other}"),
        }),
    }
}

/// Missing, `null`, 0 or empty: what Go takes for "not given".
fn is_unset(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

fn logs(container: String, query: &Query) -> Result<ContainerLogs, Failure> {
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

fn image_create(query: &Query) -> Result<Call, Failure> {
    if let Some(repository) = query.text("fromImage") {
        return Ok(Call::ImagePull {
            repository,
            tag: query.text("tag").unwrap_or_default(),
        });
    }
    let Some(source) = query.text("fromSrc") else {
        let why = "neither fromImage nor fromSrc is given".to_owned();
        return Err(Refusal::BadParameter(why).into());
    };
    Ok(Call::ImageImport(ImageImport {
        source,
        repository: query.text("repo").unwrap_or_default(),
        tag: query.text("tag").unwrap_or_default(),
        message: query.text("message").unwrap_or_default(),
        changes: query.all("changes"),
    }))
}

/// Reads `filters` and refuses those that the endpoint does not have.
fn filters(query: &Query, known: &[&str]) -> Result<Filters, Failure> {
    let filters = query.filters().map_err(Failure::BadFilters)?;
    match filters.unknown(known) {
        Some(name) => Err(Failure::UnknownFilter(name.to_owned())),
        None => Ok(filters),
    }
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

/// Filters of the image list (v1.24), and the one that the `filter` parameter stands for.
const IMAGE_FILTERS: &[&str] = &["before", "dangling", "label", "reference", "since"];

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

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
