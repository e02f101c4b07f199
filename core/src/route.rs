//! Method and path → [`Route`], one row per endpoint.
//!
//! Here is what the paths look like, never which version has them: that is the business of [`dialect`](crate::dialect).
//! The rows are those of the Engine API documents v1.0 to v1.24 and of the servers of that time.

use alloc::{borrow::ToOwned, string::String};

/// An endpoint of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Route {
    AuthCheck,
    AuthShow,
    Build,
    Commit,
    ContainerArchiveGet,
    ContainerArchivePut,
    ContainerArchiveStat,
    ContainerAttach,
    ContainerAttachWebsocket,
    ContainerChanges,
    ContainerCopy,
    ContainerCreate,
    ContainerExec,
    ContainerExport,
    ContainerInspect,
    ContainerKill,
    ContainerList,
    ContainerLogs,
    ContainerPause,
    ContainerRemove,
    ContainerRename,
    ContainerResize,
    /// The `GET` form that only the v1.15 document has.
    ContainerResizeByGet,
    ContainerRestart,
    ContainerStart,
    ContainerStats,
    ContainerStop,
    ContainerTop,
    ContainerUnpause,
    ContainerUpdate,
    ContainerWait,
    Events,
    ExecInspect,
    ExecResize,
    ExecStart,
    /// A step of builds on clients of the first year.
    ImageCached,
    ImageCreate,
    ImageGet,
    ImageGetMany,
    ImageHistory,
    ImageInsert,
    ImageInspect,
    ImageList,
    ImageLoad,
    ImagePush,
    ImageRemove,
    ImageSearch,
    ImageTag,
    ImageViz,
    Info,
    NetworkConnect,
    NetworkCreate,
    NetworkDisconnect,
    NetworkInspect,
    NetworkList,
    NetworkRemove,
    Node,
    Ping,
    Plugin,
    Service,
    Swarm,
    Task,
    Version,
    VolumeCreate,
    VolumeInspect,
    VolumeList,
    VolumeRemove,
}

impl Route {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::VolumeRemove as usize + 1;

    /// Whether there is a [`Call`](crate::Call) for it. The others, which orchestrate clusters and plugins, are refused by
    /// name.
    pub(crate) fn is_served(self) -> bool {
        !matches!(
            self,
            Self::Node | Self::Plugin | Self::Service | Self::Swarm | Self::Task
        )
    }
}

/// Finds the endpoint of a decoded, clean path without version prefix. The second value is what stands for the
/// placeholder, empty where there is none.
///
/// A placeholder is greedy: image names hold slashes and colons, and what follows the placeholder is looked for at the
/// end of the path. Fixed paths stand before those with a placeholder that would fit as well.
pub(crate) fn find(method: &str, path: &str) -> Option<(Route, String)> {
    ROWS.iter()
        .filter(|row| row.method == method)
        .find_map(|row| Some((row.route, fit(row.pattern, path)?.to_owned())))
}

/// Method and path of an endpoint, with `name` for the placeholder, not encoded. `None` when no path of the endpoint holds that
/// name: it would lead elsewhere.
pub(crate) fn path(route: Route, name: &str) -> Option<(&'static str, String)> {
    let row = ROWS.iter().find(|row| row.route == route)?;
    let path = row.pattern.replace("{}", name);
    let (found, holds) = find(row.method, &path)?;
    (found == route && holds == name).then_some((row.method, path))
}

/// What fills the placeholder (`{}`) of `pattern` in `path`; empty for a pattern without one.
fn fit<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once("{}") else {
        return (pattern == path).then_some("");
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty()).then_some(name)
}

struct Row {
    method: &'static str,
    pattern: &'static str,
    route: Route,
}

const fn row(method: &'static str, pattern: &'static str, route: Route) -> Row {
    Row { method, pattern, route }
}

static ROWS: &[Row] = &[
    row("GET", "/_ping", Route::Ping),
    row("GET", "/version", Route::Version),
    row("GET", "/info", Route::Info),
    row("GET", "/events", Route::Events),
    row("POST", "/auth", Route::AuthCheck),
    row("GET", "/auth", Route::AuthShow),
    row("POST", "/build", Route::Build),
    row("POST", "/commit", Route::Commit),
    row("POST", "/containers/create", Route::ContainerCreate),
    row("GET", "/containers/json", Route::ContainerList),
    // An undocumented alias of the first years, still used by scripts.
    row("GET", "/containers/ps", Route::ContainerList),
    row("GET", "/containers/{}/archive", Route::ContainerArchiveGet),
    row("HEAD", "/containers/{}/archive", Route::ContainerArchiveStat),
    row("PUT", "/containers/{}/archive", Route::ContainerArchivePut),
    row("GET", "/containers/{}/attach/ws", Route::ContainerAttachWebsocket),
    row("GET", "/containers/{}/changes", Route::ContainerChanges),
    row("GET", "/containers/{}/export", Route::ContainerExport),
    row("GET", "/containers/{}/json", Route::ContainerInspect),
    row("GET", "/containers/{}/logs", Route::ContainerLogs),
    row("GET", "/containers/{}/resize", Route::ContainerResizeByGet),
    row("GET", "/containers/{}/stats", Route::ContainerStats),
    row("GET", "/containers/{}/top", Route::ContainerTop),
    row("POST", "/containers/{}/attach", Route::ContainerAttach),
    row("POST", "/containers/{}/copy", Route::ContainerCopy),
    row("POST", "/containers/{}/exec", Route::ContainerExec),
    row("POST", "/containers/{}/kill", Route::ContainerKill),
    row("POST", "/containers/{}/pause", Route::ContainerPause),
    row("POST", "/containers/{}/rename", Route::ContainerRename),
    row("POST", "/containers/{}/resize", Route::ContainerResize),
    row("POST", "/containers/{}/restart", Route::ContainerRestart),
    row("POST", "/containers/{}/start", Route::ContainerStart),
    row("POST", "/containers/{}/stop", Route::ContainerStop),
    row("POST", "/containers/{}/unpause", Route::ContainerUnpause),
    row("POST", "/containers/{}/update", Route::ContainerUpdate),
    row("POST", "/containers/{}/wait", Route::ContainerWait),
    row("DELETE", "/containers/{}", Route::ContainerRemove),
    row("GET", "/exec/{}/json", Route::ExecInspect),
    row("POST", "/exec/{}/resize", Route::ExecResize),
    row("POST", "/exec/{}/start", Route::ExecStart),
    row("POST", "/images/create", Route::ImageCreate),
    row("POST", "/images/getCache", Route::ImageCached),
    row("POST", "/images/load", Route::ImageLoad),
    row("GET", "/images/json", Route::ImageList),
    row("GET", "/images/get", Route::ImageGetMany),
    row("GET", "/images/search", Route::ImageSearch),
    row("GET", "/images/viz", Route::ImageViz),
    row("GET", "/images/{}/get", Route::ImageGet),
    row("GET", "/images/{}/history", Route::ImageHistory),
    row("GET", "/images/{}/json", Route::ImageInspect),
    row("POST", "/images/{}/insert", Route::ImageInsert),
    row("POST", "/images/{}/push", Route::ImagePush),
    row("POST", "/images/{}/tag", Route::ImageTag),
    row("DELETE", "/images/{}", Route::ImageRemove),
    row("GET", "/networks", Route::NetworkList),
    row("GET", "/networks/", Route::NetworkList),
    row("POST", "/networks/create", Route::NetworkCreate),
    row("POST", "/networks/{}/connect", Route::NetworkConnect),
    row("POST", "/networks/{}/disconnect", Route::NetworkDisconnect),
    row("GET", "/networks/{}", Route::NetworkInspect),
    row("DELETE", "/networks/{}", Route::NetworkRemove),
    row("GET", "/volumes", Route::VolumeList),
    row("POST", "/volumes/create", Route::VolumeCreate),
    row("GET", "/volumes/{}", Route::VolumeInspect),
    row("DELETE", "/volumes/{}", Route::VolumeRemove),
    // The orchestration endpoints came together, so each family is one route.
    row("GET", "/nodes", Route::Node),
    row("GET", "/nodes/{}", Route::Node),
    row("DELETE", "/nodes/{}", Route::Node),
    row("POST", "/nodes/{}/update", Route::Node),
    row("GET", "/services", Route::Service),
    row("POST", "/services/create", Route::Service),
    row("GET", "/services/{}", Route::Service),
    row("DELETE", "/services/{}", Route::Service),
    row("POST", "/services/{}/update", Route::Service),
    row("GET", "/swarm", Route::Swarm),
    row("POST", "/swarm/init", Route::Swarm),
    row("POST", "/swarm/join", Route::Swarm),
    row("POST", "/swarm/leave", Route::Swarm),
    row("POST", "/swarm/update", Route::Swarm),
    row("GET", "/tasks", Route::Task),
    row("GET", "/tasks/{}", Route::Task),
    row("GET", "/plugins", Route::Plugin),
    row("POST", "/plugins/pull", Route::Plugin),
    row("GET", "/plugins/{}", Route::Plugin),
    row("DELETE", "/plugins/{}", Route::Plugin),
    row("POST", "/plugins/{}/disable", Route::Plugin),
    row("POST", "/plugins/{}/enable", Route::Plugin),
    row("POST", "/plugins/{}/push", Route::Plugin),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds() {
        let rows = [
            ("fixed", "GET", "/version", Some((Route::Version, ""))),
            (
                "fixed before placeholder",
                "POST",
                "/containers/create",
                Some((Route::ContainerCreate, "")),
            ),
            (
                "a list is no image",
                "GET",
                "/images/json",
                Some((Route::ImageList, "")),
            ),
            (
                "greedy",
                "GET",
                "/images/host:5000/a/b:c/json",
                Some((Route::ImageInspect, "host:5000/a/b:c")),
            ),
            (
                "suffix inside a name",
                "POST",
                "/images/a/push/push",
                Some((Route::ImagePush, "a/push")),
            ),
            (
                "longer suffix",
                "GET",
                "/containers/c/attach/ws",
                Some((Route::ContainerAttachWebsocket, "c")),
            ),
            (
                "link name",
                "DELETE",
                "/containers/web/db",
                Some((Route::ContainerRemove, "web/db")),
            ),
            (
                "json is an image name for DELETE",
                "DELETE",
                "/images/json",
                Some((Route::ImageRemove, "json")),
            ),
            ("the alias", "GET", "/containers/ps", Some((Route::ContainerList, ""))),
            ("empty name", "DELETE", "/containers/", None),
            ("no name", "GET", "/containers//json", None),
            ("trailing slash", "GET", "/version/", None),
            ("wrong method", "POST", "/_ping", None),
            ("no fallback of HEAD to GET", "HEAD", "/info", None),
            ("root", "GET", "/", None),
            ("empty", "GET", "", None),
            ("unknown", "GET", "/containers/x/nothing", None),
        ];
        for (name, method, path, expected) in rows {
            let found = find(method, path);
            let found = found.as_ref().map(|(route, arg)| (*route, arg.as_str()));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn no_row_hides_a_later_one() {
        for (i, row) in ROWS.iter().enumerate() {
            let example = row.pattern.replace("{}", "some/name:tag");
            let found = ROWS
                .iter()
                .position(|other| other.method == row.method && fit(other.pattern, &example).is_some());
            assert_eq!(found, Some(i), "{} {}", row.method, row.pattern);
        }
    }
}
