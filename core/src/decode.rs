//! A lifted request → the typed [`Call`].
//!
//! Only the newest shape is known here. Two forms are read that no document of that version has, because every genuine
//! daemon reads them at every version: the memory and CPU limits beside `HostConfig` instead of in it, and a host
//! configuration with the create in versions whose documents have it with the start.

mod build;
mod container;
mod exec;
mod image;
mod network;
pub(crate) mod registry;
mod volume;

use alloc::{borrow::ToOwned, boxed::Box, format, string::String};

use serde_json::{Map, Value};

pub(crate) use self::{
    build::{REGISTRY_AUTH, REGISTRY_CONFIG, logins},
    container::{CONTAINER_FILTERS, detach_keys, websocket_streams},
    exec::detach_keys as exec_detach_keys,
};
use crate::{
    AuthCheck, Call, ContainerArchivePut, ContainerAttach, ContainerList, ContainerRemove, EventsQuery, ImageInsert,
    ImageList,
    dialect::{Asked, Failure, Manner},
    json::{self, JsonError},
    model::Filters,
    query::Query,
    route::Route,
};

/// What a request brings after its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing that anybody reads.
    None,
    /// A JSON object, which may be left out.
    Optional,
    /// A JSON object.
    Required,
    /// Bytes that are handed on piece by piece after the call.
    Stream,
}

/// What a request for a served endpoint brings after its head.
pub(crate) fn body(route: Route, query: &Query) -> Body {
    match route {
        Route::AuthCheck
        | Route::ContainerCreate
        | Route::ContainerExec
        | Route::ContainerUpdate
        | Route::ExecStart
        | Route::ImageCached => Body::Required,
        Route::ContainerStart | Route::ImagePush => Body::Optional,
        Route::Commit => Body::Optional,
        Route::Build | Route::ImageLoad => Body::Stream,
        Route::NetworkConnect | Route::NetworkCreate | Route::NetworkDisconnect => Body::Required,
        Route::VolumeCreate => Body::Required,
        Route::ContainerArchivePut => Body::Stream,
        Route::ContainerCopy => Body::Required,
        Route::ImageCreate if image::imports_body(query) => Body::Stream,
        _ => Body::None,
    }
}

/// Gives the keys of a JSON body their proper case.
pub(crate) fn spell(route: Route, body: &mut Map<String, Value>) {
    match route {
        Route::AuthCheck | Route::ImagePush => registry::spell(body),
        Route::Commit => image::spell_commit(body),
        Route::ContainerCopy => container::spell_copy(body),
        Route::ContainerCreate | Route::ContainerStart => container::spell(body),
        Route::ImageCached => {
            json::spell(body, &["Id"]);
            container::spell(body);
        }
        Route::ContainerExec => exec::spell_create(body),
        Route::ContainerUpdate => container::spell_update(body),
        Route::ExecStart => exec::spell_start(body),
        Route::NetworkConnect | Route::NetworkCreate | Route::NetworkDisconnect => network::spell(body),
        Route::VolumeCreate => volume::spell(body),
        _ => {}
    }
}

/// Makes the call for a served endpoint.
pub(crate) fn call(route: Route, manner: &Manner, name: String, asked: Asked) -> Result<Call, Failure> {
    let Asked { query, body } = asked;
    Ok(match route {
        Route::AuthCheck => Call::AuthCheck(Box::new(AuthCheck {
            login: registry::login(&body)?,
            store: manner.login_stored,
        })),
        Route::AuthShow => Call::AuthShow,
        Route::Build => Call::Build(Box::new(build::build(&query, body)?)),
        Route::Commit => Call::Commit(Box::new(image::commit(&query, body)?)),
        Route::ContainerArchiveGet => Call::ContainerArchiveGet {
            container: name,
            path: container::path(&query)?,
        },
        Route::ContainerArchivePut => Call::ContainerArchivePut(ContainerArchivePut {
            container: name,
            path: container::path(&query)?,
            no_overwrite_dir_non_dir: query.flag("noOverwriteDirNonDir"),
        }),
        Route::ContainerArchiveStat => Call::ContainerArchiveStat {
            container: name,
            path: container::path(&query)?,
        },
        Route::ContainerAttach => Call::ContainerAttach(ContainerAttach {
            container: name,
            logs: query.flag("logs"),
            stream: query.flag("stream"),
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr"),
        }),
        Route::ContainerChanges => Call::ContainerChanges { container: name },
        Route::ContainerAttachWebsocket => {
            let (stdin, stdout, stderr) = websocket_streams(&query);
            Call::ContainerAttach(ContainerAttach {
                container: name,
                logs: query.flag("logs"),
                stream: query.flag("stream"),
                stdin,
                stdout,
                stderr,
            })
        }
        Route::ContainerCopy => Call::ContainerCopy {
            container: name,
            resource: container::resource(body)?,
        },
        Route::ContainerCreate => Call::ContainerCreate(Box::new(container::create(&query, body)?)),
        Route::ContainerExec => Call::ExecCreate(Box::new(exec::create(name, body)?)),
        Route::ContainerExport => Call::ContainerExport { container: name },
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
        Route::ContainerLogs => Call::ContainerLogs(container::logs(name, &query)?),
        Route::ContainerPause => Call::ContainerPause { container: name },
        Route::ContainerRemove => Call::ContainerRemove(ContainerRemove {
            container: name,
            force: query.flag("force"),
            link: query.flag("link"),
            volumes: query.flag("v"),
        }),
        Route::ContainerRename => Call::ContainerRename {
            container: name,
            name: container::new_name(&query)?,
        },
        Route::ContainerResize | Route::ContainerResizeByGet => Call::ContainerResize {
            container: name,
            height: query.size("h")?,
            width: query.size("w")?,
        },
        Route::ContainerRestart => Call::ContainerRestart {
            container: name,
            grace_secs: query.number("t")?,
        },
        Route::ContainerStart => Call::ContainerStart {
            container: name,
            host_config: match body.is_empty() {
                true => None,
                false => Some(Box::new(json::typed(body, "")?)),
            },
        },
        Route::ContainerStats => Call::ContainerStats {
            container: name,
            stream: query.get("stream").is_none() || query.flag("stream"),
        },
        Route::ContainerStop => Call::ContainerStop {
            container: name,
            grace_secs: query.number("t")?,
        },
        Route::ContainerTop => Call::ContainerTop {
            container: name,
            ps_args: query.text("ps_args"),
        },
        Route::ContainerUnpause => Call::ContainerUnpause { container: name },
        Route::ContainerUpdate => Call::ContainerUpdate {
            container: name,
            config: Box::new(json::typed(body, "")?),
        },
        Route::ContainerWait => Call::ContainerWait { container: name },
        Route::Events => Call::Events(EventsQuery {
            filters: query.filters().map_err(Failure::BadFilters)?,
            since: query.time("since")?,
            until: query.time("until")?,
        }),
        Route::ImageCached => Call::ImageCached(Box::new(image::cached(body)?)),
        Route::ImageCreate => image::create(&query, registry::auth(manner, &body)?)?,
        Route::ImageInsert => Call::ImageInsert(ImageInsert {
            image: name,
            url: query.text("url").unwrap_or_default(),
            path: query.text("path").unwrap_or_default(),
        }),
        Route::ExecInspect => Call::ExecInspect {
            exec: name,
            container: manner.exec_shows_container,
        },
        Route::ExecResize => Call::ExecResize {
            exec: name,
            height: query.size("h")?,
            width: query.size("w")?,
        },
        Route::ExecStart => Call::ExecStart(exec::start(name, body)?),
        Route::ImageHistory => Call::ImageHistory { image: name },
        Route::ImageGet => Call::ImageGet { image: name },
        Route::ImageGetMany => Call::ImageGetMany {
            images: query.all("names"),
        },
        Route::ImageInspect => Call::ImageInspect { image: name },
        Route::ImageList => {
            let mut filters = filters(&query, image::IMAGE_FILTERS)?;
            if let Some(pattern) = query.text("filter") {
                filters.0.entry("reference".to_owned()).or_default().push(pattern);
            }
            let all = query.flag("all");
            Call::ImageList(ImageList { all, filters })
        }
        Route::ImageLoad => Call::ImageLoad {
            quiet: query.flag("quiet"),
        },
        Route::ImagePush => Call::ImagePush(registry::push(name, &query, manner, &body)?),
        Route::ImageRemove => Call::ImageRemove {
            image: name,
            force: query.flag("force"),
            noprune: query.flag("noprune"),
        },
        Route::ImageSearch => Call::ImageSearch(registry::search(&query, registry::auth(manner, &body)?)?),
        Route::ImageTag => Call::ImageTag {
            image: name,
            repository: query.text("repo").unwrap_or_default(),
            tag: query.text("tag").unwrap_or_default(),
            force: manner.tag_moves || query.flag("force"),
        },
        // `all` is listed for it, with the words of the container list; no daemon looked at it.
        Route::ImageViz => Call::ImageList(ImageList {
            all: true,
            filters: Filters::default(),
        }),
        Route::Info => Call::Info,
        Route::NetworkConnect => Call::NetworkConnect(network::connect(name, body)?),
        Route::NetworkCreate => Call::NetworkCreate(Box::new(network::create(body)?)),
        Route::NetworkDisconnect => Call::NetworkDisconnect(network::disconnect(name, body)?),
        Route::NetworkInspect => Call::NetworkInspect { network: name },
        Route::NetworkList => Call::NetworkList {
            filters: network::list(&query)?,
        },
        Route::NetworkRemove => Call::NetworkRemove { network: name },
        Route::Ping => Call::Ping,
        Route::Version => Call::Version,
        Route::VolumeCreate => Call::VolumeCreate(json::typed(body, "")?),
        Route::VolumeInspect => Call::VolumeInspect { volume: name },
        Route::VolumeList => Call::VolumeList {
            filters: volume::list(&query)?,
        },
        Route::VolumeRemove => Call::VolumeRemove { volume: name },
        _ => return Err(Failure::NoRoute),
    })
}

/// Takes an object out of a body; missing and `null` are empty.
fn section(body: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, JsonError> {
    match body.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(other) => Err(wrong_type(key, "an object", &other)),
    }
}

fn wrong_type(key: &str, expected: &str, found: &Value) -> JsonError {
    JsonError::WrongType {
        key: key.to_owned(),
        why: format!("expected {expected}, got {found}"),
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

/// Reads `filters` and refuses those that the endpoint does not have.
fn filters(query: &Query, known: &[&str]) -> Result<Filters, Failure> {
    let filters = query.filters().map_err(Failure::BadFilters)?;
    match filters.unknown(known) {
        Some(name) => Err(Failure::UnknownFilter(name.to_owned())),
        None => Ok(filters),
    }
}
