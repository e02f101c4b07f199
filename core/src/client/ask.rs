//! A [`Call`] as a request of the newest version, and what answers it: one arm per endpoint.
//!
//! The names of parameters are those that `decode` reads; older names are the business of `dialect`.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::{Expects, Items, typed};
use crate::{
    Build, Call, Commit, ContainerCreate, ImageSearch, Item, Login, RegistryAuth, Reply, base64,
    decode::{REGISTRY_AUTH, REGISTRY_CONFIG},
    dialect::{self, ApiVersion, Asked},
    error::AnswerError,
    exchange::PATH_STAT,
    http::ResponseHead,
    model::{Filters, HostConfig, PathStat, Timestamp},
    query::Query,
    route::Route,
    upload::ContextForm,
};

/// A call, ready to be lowered.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) route: Route,
    /// What stands for the placeholder of the path.
    pub(super) name: String,
    /// A login that goes into a header has the header's name as its key in the body.
    pub(super) asked: Asked,
    /// Whether the answer is that of a terminal, if the call says so.
    pub(super) tty: Option<bool>,
    /// A successful answer takes the connection out of HTTP.
    pub(super) hijacks: bool,
    pub(super) expects: Expects,
}

/// The request of a call in the newest shape. The error names what the manners of `version` cannot say.
pub(super) fn ask(call: &Call, version: ApiVersion) -> Result<Ask, String> {
    Ok(match call {
        Call::AuthCheck(check) => {
            if check.store != dialect::manner(version, Route::AuthCheck).login_stored {
                let is_kept = if check.store { "is" } else { "is not" };
                return Err(format!("a login that {is_kept} kept by the daemon"));
            }
            Ask::new(Route::AuthCheck, Expects::Json(auth_checked)).body(login(&check.login))
        }
        Call::AuthShow => Ask::new(Route::AuthShow, Expects::Json(|v| Ok(Reply::AuthShown(typed(v)?)))),
        Call::Build(asked) => build(asked, version)?,
        Call::Commit(asked) => commit(asked)?,
        Call::ContainerArchiveGet { container, path } => Ask::new(
            Route::ContainerArchiveGet,
            Expects::Stream(|head, _| Ok(Reply::Archive(path_stat(head)?)), Items::Data),
        )
        .name(container)
        .text("path", Some(path)),
        Call::ContainerArchivePut(put) => Ask::new(Route::ContainerArchivePut, DONE)
            .name(&put.container)
            .text("path", Some(&put.path))
            .flag("noOverwriteDirNonDir", put.no_overwrite_dir_non_dir),
        Call::ContainerArchiveStat { container, path } => Ask::new(
            Route::ContainerArchiveStat,
            Expects::Head(|head| Ok(Reply::ContainerPath(path_stat(head)?))),
        )
        .name(container)
        .text("path", Some(path)),
        Call::ContainerAttach(attach) => Ask::new(Route::ContainerAttach, Expects::Stream(attached, Items::Output))
            .name(&attach.container)
            .flag("logs", attach.logs)
            .flag("stream", attach.stream)
            .flag("stdin", attach.stdin)
            .flag("stdout", attach.stdout)
            .flag("stderr", attach.stderr)
            .hijacks(),
        Call::ContainerChanges { container } => Ask::new(
            Route::ContainerChanges,
            Expects::Json(|v| Ok(Reply::ContainerChanges(typed(v)?))),
        )
        .name(container),
        Call::ContainerCopy { container, resource } => Ask::new(Route::ContainerCopy, TAR)
            .name(container)
            .body(Map::from_iter([("Resource".into(), resource.as_str().into())])),
        Call::ContainerCreate(create) => Ask::new(Route::ContainerCreate, Expects::Json(created))
            .text("name", create.name.as_deref())
            .body(create_body(create)?),
        Call::ContainerExport { container } => Ask::new(Route::ContainerExport, TAR).name(container),
        Call::ContainerInspect { container, size } => Ask::new(
            Route::ContainerInspect,
            Expects::Json(|v| Ok(Reply::Container(typed(v)?))),
        )
        .name(container)
        .flag("size", *size),
        Call::ContainerKill { container, signal } => Ask::new(Route::ContainerKill, DONE)
            .name(container)
            .text("signal", signal.as_deref()),
        Call::ContainerList(list) => Ask::new(
            Route::ContainerList,
            Expects::Json(|v| Ok(Reply::ContainerList(typed(v)?))),
        )
        .flag("all", list.all)
        .text("before", list.before.as_deref())
        .filters(&list.filters)
        .number("limit", list.limit)
        .text("since", list.since.as_deref())
        .flag("size", list.size),
        Call::ContainerLogs(logs) => Ask::new(Route::ContainerLogs, Expects::Stream(logs_opened, Items::Output))
            .name(&logs.container)
            .flag("follow", logs.follow)
            .flag("stdout", logs.stdout)
            .flag("stderr", logs.stderr)
            .time("since", logs.since)
            .number("tail", logs.tail)
            .flag("timestamps", logs.timestamps),
        Call::ContainerPause { container } => Ask::new(Route::ContainerPause, DONE).name(container),
        Call::ContainerRemove(remove) => Ask::new(Route::ContainerRemove, DONE)
            .name(&remove.container)
            .flag("force", remove.force)
            .flag("link", remove.link)
            .flag("v", remove.volumes),
        Call::ContainerRename { container, name } => Ask::new(Route::ContainerRename, DONE)
            .name(container)
            .text("name", Some(name)),
        Call::ContainerResize {
            container,
            height,
            width,
        } => Ask::new(Route::ContainerResize, DONE)
            .name(container)
            .number("h", Some(*height))
            .number("w", Some(*width)),
        Call::ContainerRestart { container, grace_secs } => Ask::new(Route::ContainerRestart, DONE)
            .name(container)
            .number("t", *grace_secs),
        Call::ContainerStart { container, host_config } => {
            let body = host_config.as_deref().map(start_body).transpose()?.unwrap_or_default();
            let configures = dialect::manner(version, Route::ContainerStart).start_configures;
            if !configures && !body.is_empty() {
                return Err("a host configuration at start".into());
            }
            Ask::new(Route::ContainerStart, DONE).name(container).body(body)
        }
        Call::ContainerStats {
            container,
            stream: true,
        } => Ask::new(
            Route::ContainerStats,
            Expects::Stream(|_, _| Ok(Reply::StatsStream), Items::Json(stats)),
        )
        .name(container),
        Call::ContainerStats {
            container,
            stream: false,
        } => Ask::new(Route::ContainerStats, Expects::Json(|v| Ok(Reply::Stats(typed(v)?))))
            .name(container)
            .text("stream", Some("0")),
        Call::ContainerStop { container, grace_secs } => Ask::new(Route::ContainerStop, DONE)
            .name(container)
            .number("t", *grace_secs),
        Call::ContainerTop { container, ps_args } => Ask::new(
            Route::ContainerTop,
            Expects::Json(|v| Ok(Reply::ProcessList(typed(v)?))),
        )
        .name(container)
        .text("ps_args", ps_args.as_deref()),
        Call::ContainerUnpause { container } => Ask::new(Route::ContainerUnpause, DONE).name(container),
        Call::ContainerUpdate { container, config } => Ask::new(Route::ContainerUpdate, Expects::Json(updated))
            .name(container)
            .body(said(&**config)?),
        Call::ContainerWait { container } => Ask::new(Route::ContainerWait, Expects::Json(exited)).name(container),
        Call::Events(events) => Ask::new(
            Route::Events,
            Expects::Stream(|_, _| Ok(Reply::EventStream), Items::Json(event)),
        )
        .filters(&events.filters)
        .time("since", events.since)
        .time("until", events.until),
        Call::ExecCreate(create) => Ask::new(Route::ContainerExec, Expects::Json(exec_created))
            .name(&create.container)
            .body(said(&create.config)?),
        Call::ExecInspect { exec, container } => {
            if *container != dialect::manner(version, Route::ExecInspect).exec_shows_container {
                let shows = if *container { "with" } else { "without" };
                return Err(format!("an exec {shows} its container"));
            }
            Ask::new(Route::ExecInspect, Expects::Json(|v| Ok(Reply::Exec(typed(v)?)))).name(exec)
        }
        Call::ExecResize { exec, height, width } => Ask::new(Route::ExecResize, DONE)
            .name(exec)
            .number("h", Some(*height))
            .number("w", Some(*width)),
        Call::ExecStart(start) => {
            let flags = [("Detach", start.detach), ("Tty", start.tty)];
            let said = flags.into_iter().filter(|(_, on)| *on);
            let body = said.map(|(key, on)| (key.into(), on.into())).collect();
            let ask = match start.detach {
                true => Ask::new(Route::ExecStart, DONE),
                false => Ask::new(Route::ExecStart, Expects::Stream(exec_attached, Items::Output)).hijacks(),
            };
            ask.name(&start.exec).body(body).tty(start.tty)
        }
        Call::ImageCached(cached) => {
            let mut body = said(&cached.config)?;
            body.insert("Id".into(), cached.parent.as_str().into());
            Ask::new(Route::ImageCached, Expects::Json(image_cached)).body(body)
        }
        Call::ImageGet { image } => Ask::new(Route::ImageGet, TAR).name(image),
        Call::ImageGetMany { images } => Ask::new(Route::ImageGetMany, TAR).each("names", images),
        Call::ImageHistory { image } => Ask::new(
            Route::ImageHistory,
            Expects::Json(|v| Ok(Reply::ImageHistory(typed(v)?))),
        )
        .name(image),
        Call::ImageImport(import) => Ask::new(Route::ImageCreate, PROGRESS)
            .text("fromSrc", Some(&import.source))
            .word("repo", &import.repository)
            .word("tag", &import.tag)
            .word("message", &import.message)
            .each("changes", &import.changes),
        Call::ImageInsert(insert) => Ask::new(Route::ImageInsert, PROGRESS)
            .name(&insert.image)
            .word("url", &insert.url)
            .word("path", &insert.path),
        Call::ImagePull(pull) => Ask::new(Route::ImageCreate, PROGRESS)
            .text("fromImage", Some(&pull.repository))
            .word("tag", &pull.tag)
            .auth(&pull.auth, version)?,
        Call::ImagePush(push) => {
            let names_registry = dialect::manner(version, Route::ImagePush).push_names_registry;
            if !names_registry && !push.registry.is_empty() {
                return Err("a registry beside the repository".into());
            }
            Ask::new(Route::ImagePush, PROGRESS)
                .name(&push.image)
                .word("registry", &push.registry)
                .word("tag", &push.tag)
                .auth(&push.auth, version)?
        }
        Call::ImageInspect { image } => {
            Ask::new(Route::ImageInspect, Expects::Json(|v| Ok(Reply::Image(typed(v)?)))).name(image)
        }
        Call::ImageList(list) => {
            let mut filters = list.filters.clone();
            let references = filters.0.remove("reference").unwrap_or_default();
            if references.len() > 1 {
                return Err("several values of the filter reference".into());
            }
            Ask::new(Route::ImageList, Expects::Json(|v| Ok(Reply::ImageList(typed(v)?))))
                .flag("all", list.all)
                .filters(&filters)
                .text("filter", references.first().map(String::as_str))
        }
        Call::ImageLoad { quiet } => Ask::new(Route::ImageLoad, PROGRESS).flag("quiet", *quiet),
        Call::ImageRemove { image, force, noprune } => Ask::new(
            Route::ImageRemove,
            Expects::Json(|v| Ok(Reply::ImageRemoved(typed(v)?))),
        )
        .name(image)
        .flag("force", *force)
        .flag("noprune", *noprune),
        Call::ImageSearch(asked) => search(asked).auth(&asked.auth, version)?,
        Call::ImageTag {
            image,
            repository,
            tag,
            force,
        } => {
            let moves = dialect::manner(version, Route::ImageTag).tag_moves;
            if moves && !force {
                return Err("a tag that is not moved".into());
            }
            Ask::new(Route::ImageTag, DONE)
                .name(image)
                .word("repo", repository)
                .word("tag", tag)
                .flag("force", *force && !moves)
        }
        Call::Info => Ask::new(Route::Info, Expects::Json(|v| Ok(Reply::Info(typed(v)?)))),
        Call::NetworkConnect(connect) => {
            let mut body = Map::from_iter([("Container".into(), connect.container.as_str().into())]);
            if let Some(endpoint) = &connect.endpoint {
                body.insert("EndpointConfig".into(), said(&**endpoint)?.into());
            }
            Ask::new(Route::NetworkConnect, DONE).name(&connect.network).body(body)
        }
        Call::NetworkCreate(config) => {
            Ask::new(Route::NetworkCreate, Expects::Json(network_created)).body(said(&**config)?)
        }
        Call::NetworkDisconnect(disconnect) => {
            let mut body = Map::from_iter([("Container".into(), disconnect.container.as_str().into())]);
            if disconnect.force {
                body.insert("Force".into(), true.into());
            }
            Ask::new(Route::NetworkDisconnect, DONE)
                .name(&disconnect.network)
                .body(body)
        }
        Call::NetworkInspect { network } => {
            Ask::new(Route::NetworkInspect, Expects::Json(|v| Ok(Reply::Network(typed(v)?)))).name(network)
        }
        Call::NetworkList { filters } => {
            Ask::new(Route::NetworkList, Expects::Json(|v| Ok(Reply::NetworkList(typed(v)?)))).filters(filters)
        }
        Call::NetworkRemove { network } => Ask::new(Route::NetworkRemove, DONE).name(network),
        Call::Ping => Ask::new(Route::Ping, Expects::Head(|_| Ok(Reply::Pong))),
        Call::Version => Ask::new(Route::Version, Expects::Json(|v| Ok(Reply::Version(typed(v)?)))),
        Call::VolumeCreate(config) => {
            Ask::new(Route::VolumeCreate, Expects::Json(|v| Ok(Reply::Volume(typed(v)?)))).body(said(config)?)
        }
        Call::VolumeInspect { volume } => {
            Ask::new(Route::VolumeInspect, Expects::Json(|v| Ok(Reply::Volume(typed(v)?)))).name(volume)
        }
        Call::VolumeList { filters } => Ask::new(Route::VolumeList, Expects::Json(volumes)).filters(filters),
        Call::VolumeRemove { volume } => Ask::new(Route::VolumeRemove, DONE).name(volume),
    })
}

const DONE: Expects = Expects::Head(|_| Ok(Reply::Done));
const PROGRESS: Expects = Expects::Stream(|_, _| Ok(Reply::ProgressStream), Items::Progress);
const TAR: Expects = Expects::Stream(|_, _| Ok(Reply::Tar), Items::Data);

fn attached(_: &ResponseHead, tty: bool) -> Result<Reply, AnswerError> {
    Ok(Reply::Attached { tty })
}

/// The detach keys are looked for by the daemon, and no business of the asker's.
fn exec_attached(_: &ResponseHead, tty: bool) -> Result<Reply, AnswerError> {
    let detach_keys = None;
    Ok(Reply::ExecAttached { tty, detach_keys })
}

fn logs_opened(_: &ResponseHead, tty: bool) -> Result<Reply, AnswerError> {
    Ok(Reply::Logs { tty })
}

/// What a path in a container is: JSON in base64, in a header.
fn path_stat(head: &ResponseHead) -> Result<Box<PathStat>, AnswerError> {
    let bad = |why: &str| AnswerError::BadShape(format!("{PATH_STAT}: {why}"));
    let text = head.headers.get(PATH_STAT).ok_or_else(|| bad("missing"))?;
    let bytes = base64::decode(text).ok_or_else(|| bad("no base64"))?;
    let stat = crate::json::parse(&bytes).map_err(|e| bad(&e.to_string()))?;
    typed(stat).map_err(|e| bad(&e.to_string()))
}

/// A build. What is at its default is not said, as older versions do not know it.
fn build(build: &Build, version: ApiVersion) -> Result<Ask, String> {
    match dialect::manner(version, Route::Build).context {
        ContextForm::Archive | ContextForm::FormOrArchive => {}
        ContextForm::FormOrDockerfile | ContextForm::FormOrInput => {
            return Err("an archive as the context of a build".into());
        }
    }
    let limits = &build.limits;
    let logins: Map<String, Value> = build
        .logins
        .iter()
        .map(|(registry, of)| (registry.clone(), login(of).into()))
        .collect();
    let ask = Ask::new(Route::Build, PROGRESS)
        .each("t", &build.tags)
        .text("dockerfile", build.dockerfile.as_deref())
        .text("remote", build.remote.as_deref())
        .flag("q", build.quiet)
        .flag("nocache", build.no_cache)
        .flag("pull", build.pull)
        .text("rm", (!build.remove).then_some("0"))
        .flag("forcerm", build.force_remove)
        .word("cgroupparent", &limits.cgroup_parent)
        .amount("cpuperiod", limits.cpu_period)
        .amount("cpuquota", limits.cpu_quota)
        .amount("cpushares", limits.cpu_shares)
        .word("cpusetcpus", &limits.cpuset_cpus)
        .word("cpusetmems", &limits.cpuset_mems)
        .amount("memory", limits.memory)
        .amount("memswap", limits.memory_swap)
        .amount("shmsize", limits.shm_size)
        .json("ulimits", (!limits.ulimits.is_empty()).then_some(&limits.ulimits))?
        .word("networkmode", &build.network_mode)
        .word("isolation", &build.isolation)
        .json("buildargs", (!build.build_args.is_empty()).then_some(&build.build_args))?
        .json("labels", (!build.labels.is_empty()).then_some(&build.labels))?;
    Ok(match logins.is_empty() {
        true => ask,
        false => ask.body(Map::from_iter([(REGISTRY_CONFIG.into(), logins.into())])),
    })
}

fn commit(commit: &Commit) -> Result<Ask, String> {
    Ok(Ask::new(Route::Commit, Expects::Json(committed))
        .text("container", Some(&commit.container))
        .word("repo", &commit.repository)
        .word("tag", &commit.tag)
        .word("comment", &commit.comment)
        .word("author", &commit.author)
        .text("pause", (!commit.pause).then_some("0"))
        .each("changes", &commit.changes)
        .body(said(&commit.config)?))
}

fn search(search: &ImageSearch) -> Ask {
    let flag = |name: &str, flag: Option<bool>| flag.map(|on| (name.into(), [on.to_string()].into()));
    let stars = (search.stars_min > 0).then(|| ("stars".into(), [search.stars_min.to_string()].into()));
    let filters = [
        flag("is-automated", search.is_automated),
        flag("is-official", search.is_official),
        stars,
    ];
    Ask::new(Route::ImageSearch, Expects::Json(|v| Ok(Reply::ImageSearch(typed(v)?))))
        .word("term", &search.term)
        .filters(&Filters(filters.into_iter().flatten().collect()))
        .number("limit", search.limit)
}

/// What a login says.
fn login(login: &Login) -> Map<String, Value> {
    let said = [
        ("email", login.email.as_str()),
        ("identitytoken", login.identity_token.expose()),
        ("password", login.password.expose()),
        ("registrytoken", login.registry_token.expose()),
        ("serveraddress", &login.server_address),
        ("username", &login.username),
    ];
    let said = said.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| (key.into(), value.into())).collect()
}

fn auth_checked(value: Value) -> Result<Reply, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Checked {
        status: String,
        identity_token: String,
    }
    let Checked { status, identity_token } = typed(value)?;
    let identity_token = identity_token.into();
    Ok(Reply::AuthChecked { status, identity_token })
}

fn committed(value: Value) -> Result<Reply, serde_json::Error> {
    let Created { id, .. } = typed(value)?;
    Ok(Reply::Committed { id })
}

fn exec_created(value: Value) -> Result<Reply, serde_json::Error> {
    let Created { id, warnings, .. } = typed(value)?;
    Ok(Reply::ExecCreated { id, warnings })
}

fn image_cached(value: Value) -> Result<Reply, serde_json::Error> {
    let Created { id, .. } = typed(value)?;
    Ok(Reply::ImageCached { id })
}

fn network_created(value: Value) -> Result<Reply, serde_json::Error> {
    let Created { id, warning, .. } = typed(value)?;
    Ok(Reply::NetworkCreated { id, warning })
}

fn updated(value: Value) -> Result<Reply, serde_json::Error> {
    let Created { warnings, .. } = typed(value)?;
    Ok(Reply::ContainerUpdated { warnings })
}

fn volumes(value: Value) -> Result<Reply, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        volumes: Vec<crate::model::Volume>,
        warnings: Vec<String>,
    }
    let List { volumes, warnings } = typed(value)?;
    Ok(Reply::VolumeList { volumes, warnings })
}

/// What was made or changed, and what could not be granted.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    warning: String,
    warnings: Vec<String>,
}

fn created(value: Value) -> Result<Reply, serde_json::Error> {
    let Created { id, warnings, .. } = typed(value)?;
    Ok(Reply::ContainerCreated { id, warnings })
}

fn exited(value: Value) -> Result<Reply, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Exited {
        status_code: i64,
    }
    let Exited { status_code } = typed(value)?;
    Ok(Reply::ContainerExited { status_code })
}

fn event(value: Value) -> Result<Item, serde_json::Error> {
    Ok(Item::Event(typed(value)?))
}

fn stats(value: Value) -> Result<Item, serde_json::Error> {
    Ok(Item::Stats(typed(value)?))
}

/// Only what differs from the default is said, as older versions do not know the rest; the image always, because a body
/// without any configuration is refused.
fn create_body(create: &ContainerCreate) -> Result<Map<String, Value>, String> {
    let mut body = said(&create.config)?;
    body.entry("Image").or_insert_with(|| "".into());
    for (key, section) in [
        ("HostConfig", said(&create.host_config)?),
        ("NetworkingConfig", said(&create.networking_config)?),
    ] {
        if !section.is_empty() {
            body.insert(key.into(), section.into());
        }
    }
    Ok(body)
}

/// A host configuration that sets nothing is not the same as none, but has to be said somehow.
fn start_body(host_config: &HostConfig) -> Result<Map<String, Value>, String> {
    let mut body = said(host_config)?;
    if body.is_empty() {
        body.insert("Binds".into(), Value::Null);
    }
    Ok(body)
}

/// The keys of an object that have another value than by default.
fn said<T: Serialize + Default>(object: &T) -> Result<Map<String, Value>, String> {
    let value = |object: &T| serde_json::to_value(object).map_err(|e| e.to_string());
    let (Value::Object(mut map), unset) = (value(object)?, value(&T::default())?) else {
        return Err("something else than an object".into());
    };
    map.retain(|key, value| unset.get(key) != Some(value));
    Ok(map)
}

impl Ask {
    fn new(route: Route, expects: Expects) -> Self {
        Self {
            route,
            name: String::new(),
            asked: Asked {
                query: Query::default(),
                body: Map::new(),
            },
            tty: None,
            hijacks: false,
            expects,
        }
    }

    fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    fn hijacks(mut self) -> Self {
        self.hijacks = true;
        self
    }

    fn tty(mut self, tty: bool) -> Self {
        self.tty = Some(tty);
        self
    }

    /// Who talks to the registry: a login in a header, or what the daemon does without one.
    fn auth(mut self, auth: &RegistryAuth, version: ApiVersion) -> Result<Self, String> {
        match (auth, dialect::manner(version, self.route).login_stored) {
            (RegistryAuth::Login(of), _) if of.is_empty() => return Err("a login without name or token".into()),
            (RegistryAuth::Login(of), _) => {
                self.asked.body.insert(REGISTRY_AUTH.into(), login(of).into());
            }
            (RegistryAuth::None, false) | (RegistryAuth::Stored, true) => {}
            (RegistryAuth::None, true) => return Err("nobody in place of the login that the daemon keeps".into()),
            (RegistryAuth::Stored, false) => return Err("the login that the daemon keeps".into()),
        }
        Ok(self)
    }

    fn body(mut self, body: Map<String, Value>) -> Self {
        self.asked.body = body;
        self
    }

    fn text(mut self, parameter: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.asked.query.set(parameter, value);
        }
        self
    }

    /// A text that means nothing when it is empty.
    fn word(self, parameter: &str, value: &str) -> Self {
        self.text(parameter, Some(value).filter(|value| !value.is_empty()))
    }

    fn each(mut self, parameter: &str, values: &[String]) -> Self {
        for value in values {
            self.asked.query.add(parameter, value);
        }
        self
    }

    fn flag(self, parameter: &str, on: bool) -> Self {
        self.text(parameter, on.then_some("1"))
    }

    fn number(self, parameter: &str, number: Option<impl ToString>) -> Self {
        self.text(parameter, number.map(|number| number.to_string()).as_deref())
    }

    /// A number that means nothing when it is 0.
    fn amount(self, parameter: &str, amount: i64) -> Self {
        self.number(parameter, (amount != 0).then_some(amount))
    }

    fn json(self, parameter: &str, value: Option<&impl Serialize>) -> Result<Self, String> {
        let text = value
            .map(serde_json::to_string)
            .transpose()
            .map_err(|e| e.to_string())?;
        Ok(self.text(parameter, text.as_deref()))
    }

    /// Seconds since 1970, with a fraction only if there is one, as the daemons of the first years took whole ones only.
    fn time(self, parameter: &str, time: Option<Timestamp>) -> Self {
        let text = time.map(|Timestamp { secs, nanos }| match nanos {
            0 => secs.to_string(),
            _ => format!("{secs}.{nanos:09}"),
        });
        self.text(parameter, text.as_deref())
    }

    /// As a map of lists, the form that every version reads. A filter without values says nothing.
    fn filters(self, filters: &Filters) -> Self {
        let said = filters.0.iter().filter(|(_, values)| !values.is_empty());
        let map: Map<String, Value> = said.map(|(name, values)| (name.clone(), json!(values))).collect();
        match map.is_empty() {
            true => self,
            false => self.text("filters", Some(&Value::Object(map).to_string())),
        }
    }
}
