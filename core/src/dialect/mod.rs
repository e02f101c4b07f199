//! The history of the API as data: what each version changed, and how to speak as if it had not.
//!
//! gantry knows one shape of everything, that of the newest version. There is one file per version, and in it one item
//! per change of the official history, in its order. A request of an older version is **lifted** through the changes
//! that came after it, oldest first; the answer is **lowered** through the same changes, newest first. A request of the
//! newest version passes none of them. A client goes the other way round: it lowers its call ([`Effect::LowerCall`]) and
//! **raises** the answer ([`Effect::Raise`]); each counterpart stands beside what it undoes. Nowhere else is a version
//! compared.
//!
//! Sources, in this order: the documents of v1.0, v1.1, v1.22 and the history up to v1.18; the recorded answers of a
//! genuine daemon of that time; the other documents. `bullet` is the number of the change within its version when the
//! history and the comparison of the documents are read as one list; of the endpoints that orchestrate clusters and
//! plugins only those changes have an item that add the endpoint.

mod v1_01;
mod v1_02;
mod v1_03;
mod v1_04;
mod v1_05;
mod v1_06;
mod v1_07;
mod v1_08;
mod v1_09;
mod v1_10;
mod v1_11;
mod v1_12;
mod v1_13;
mod v1_14;
mod v1_15;
mod v1_16;
mod v1_17;
mod v1_18;
mod v1_19;
mod v1_20;
mod v1_21;
mod v1_22;
mod v1_23;
mod v1_24;
mod wording;

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use serde_json::{Map, Value};

pub(crate) use self::wording::{Failure, Words, short};
use crate::{query::Query, route::Route, upload::ContextForm};

/// The newest API version that is served, as `ApiVersion` and `Api-Version` tell it.
pub const API_VERSION_NEWEST: &str = "1.24";
/// The oldest API version that is served, as `MinAPIVersion` tells it.
pub const API_VERSION_OLDEST: &str = "1.0";

/// A version of the API, `1.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    minor: u8,
}

impl ApiVersion {
    /// The first published version.
    pub const OLDEST: Self = Self { minor: 0 };
    /// The newest version that is served.
    pub const NEWEST: Self = Self { minor: 24 };

    /// Reads a version as Docker does: numbers separated by dots, missing ones are 0. So `1`, `1.` and `1.000000` (which
    /// Docker 0.3.3 sends) are 1.0, and 1.10 is newer than 1.9.
    ///
    /// # Errors
    /// It is no version, or one that is not spoken.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let mut numbers = text.split('.').map(|part| {
            part.bytes()
                .try_fold(0_u32, |n, digit| {
                    let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
                    Some(n.saturating_mul(10).saturating_add(digit))
                })
                .ok_or(VersionError::Malformed)
        });
        let major = numbers.next().unwrap_or(Ok(0))?;
        let minor = numbers.next().unwrap_or(Ok(0))?;
        let has_more = numbers.try_fold(false, |more, number| Ok(more || number? > 0))?;
        let newest = u32::from(Self::NEWEST.minor);
        if (major, minor, has_more) > (1, newest, false) {
            return Err(VersionError::TooNew);
        }
        if major < 1 {
            return Err(VersionError::TooOld);
        }
        // Not above the newest, so it fits.
        u8::try_from(minor)
            .map(|minor| Self { minor })
            .map_err(|_| VersionError::TooNew)
    }

    /// Every version that is spoken, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (Self::OLDEST.minor..=Self::NEWEST.minor).map(|minor| Self { minor })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

/// Why a version is not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionError {
    /// Not numbers and dots.
    Malformed,
    /// Above [`ApiVersion::NEWEST`].
    TooNew,
    /// Below [`ApiVersion::OLDEST`].
    TooOld,
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a version of the API",
            Self::TooNew => "version of the API too new",
            Self::TooOld => "version of the API too old",
        })
    }
}

impl core::error::Error for VersionError {}

/// One change of the history.
#[derive(Debug)]
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "number, text and source are for readers and tests")
)]
pub(crate) struct Change {
    /// Number within the version, from 1.
    pub(crate) bullet: u16,
    /// Endpoints concerned; empty means all.
    pub(crate) routes: &'static [Route],
    /// What changed.
    pub(crate) what: &'static str,
    /// Where it is written.
    pub(crate) source: Source,
    /// What it asks of a daemon that serves both sides of it.
    pub(crate) effects: &'static [Effect],
}

impl Change {
    fn concerns(&self, route: Route) -> bool {
        self.routes.is_empty() || self.routes.contains(&route)
    }
}

/// Where a change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The version history ("What's new", "API changes").
    History,
    /// Only the comparison of one version's document with the next.
    Documents,
    /// Only recordings of genuine daemons.
    Daemons,
}

/// What a change means for the versions below it.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The endpoint is not there below.
    AddsRoute,
    /// The endpoint is there only below.
    RemovesRoute,
    /// These keys are not in replies and items below. `a.b` is a key in a key, `[]` each element, `*` each value of a map.
    AddsFields(&'static [&'static str]),
    /// Calls cannot name these below: `?name` is a parameter, `?filters.name` a filter, anything else a key of the body,
    /// `a.b` a key in a key. As the daemons of the time, the server role takes them at every version; the client role
    /// refuses to send what the other side would silently ignore.
    AddsParameters(&'static [&'static str]),
    /// Makes a request of below one of this version.
    Lift(fn(&mut Asked)),
    /// Makes a call of this version one of below, as a client of that time wrote it. The error names what cannot be said
    /// there.
    LowerCall(fn(&mut Asked) -> Result<(), String>),
    /// Makes a reply of this version one of below.
    Lower(fn(&mut Answer)),
    /// Makes an item of a JSON stream one of below; `false` drops it.
    LowerItem(fn(&mut Value) -> bool),
    /// Makes a reply of below one of this version, as far as it tells what this version tells.
    Raise(fn(&mut Answer)),
    /// Makes an item of a JSON stream of below one of this version.
    RaiseItem(fn(&mut Value)),
    /// Turns the switches to where they were below.
    Switch(fn(&mut Manner)),
    /// Words a failure as below; `None` keeps the words of this version.
    Reword(fn(&Failure, Route) -> Option<Words>),
    /// Asks nothing of the daemon.
    None {
        /// Why it does not.
        #[cfg_attr(not(test), allow(dead_code, reason = "for readers and tests"))]
        why: &'static str,
    },
}

/// A request on its way up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// Its parameters.
    pub(crate) query: Query,
    /// Its JSON body; an empty map when there was none.
    pub(crate) body: Map<String, Value>,
}

/// A reply on its way down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Body; `None` is empty.
    pub(crate) body: Option<Value>,
}

/// Everything about an answer that is not in a JSON value: forms of streams, of errors, and what is read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// The answer to a commit is called JSON, not a raw stream.
    pub(crate) commit_is_json: bool,
    /// Errors are `{"message":…}`, not plain text.
    pub(crate) json_errors: bool,
    /// Output of a container without terminal carries frame headers.
    pub(crate) framed_output: bool,
    /// Progress is JSON messages, not lines of text.
    pub(crate) json_progress: bool,
    /// The answer stays in HTTP while progress is told.
    pub(crate) progress_in_http: bool,
    /// What the body of a build is.
    pub(crate) context: ContextForm,
    /// Load tells its progress. Otherwise it says nothing until it is over.
    pub(crate) load_talks: bool,
    /// The tar of a copy is called one, not just bytes.
    pub(crate) copy_is_tar: bool,
    /// Each event ends with a line feed.
    pub(crate) event_lines: bool,
    /// Start reads a host configuration from its body.
    pub(crate) start_configures: bool,
    /// The daemon keeps the login of `POST /auth`, and uses it for requests without one.
    pub(crate) login_stored: bool,
    /// A push may name a registry beside the repository.
    pub(crate) push_names_registry: bool,
    /// A tag that another image has is moved without being forced.
    pub(crate) tag_moves: bool,
    /// The body of an exec's start must say that it is JSON.
    pub(crate) exec_start_has_type: bool,
    /// Inspect of an exec shows the whole container.
    pub(crate) exec_shows_container: bool,
}

impl Manner {
    /// The newest version's.
    const NEWEST: Self = Self {
        commit_is_json: true,
        json_errors: true,
        framed_output: true,
        json_progress: true,
        progress_in_http: true,
        context: ContextForm::Archive,
        load_talks: true,
        copy_is_tar: true,
        event_lines: true,
        start_configures: false,
        login_stored: false,
        push_names_registry: false,
        tag_moves: true,
        exec_start_has_type: true,
        exec_shows_container: false,
    };
}

/// The changes of v1.1 (first) to the newest (last).
const HISTORY: [&[Change]; ApiVersion::NEWEST.minor as usize] = [
    v1_01::CHANGES,
    v1_02::CHANGES,
    v1_03::CHANGES,
    v1_04::CHANGES,
    v1_05::CHANGES,
    v1_06::CHANGES,
    v1_07::CHANGES,
    v1_08::CHANGES,
    v1_09::CHANGES,
    v1_10::CHANGES,
    v1_11::CHANGES,
    v1_12::CHANGES,
    v1_13::CHANGES,
    v1_14::CHANGES,
    v1_15::CHANGES,
    v1_16::CHANGES,
    v1_17::CHANGES,
    v1_18::CHANGES,
    v1_19::CHANGES,
    v1_20::CHANGES,
    v1_21::CHANGES,
    v1_22::CHANGES,
    v1_23::CHANGES,
    v1_24::CHANGES,
];

/// The effects on `route` of what came after `version`, oldest first.
fn effects_after(version: ApiVersion, route: Route) -> impl DoubleEndedIterator<Item = &'static Effect> {
    let touched = TOUCHED.get(route as usize).copied().unwrap_or_default();
    let later = HISTORY.iter().enumerate().skip(usize::from(version.minor));
    later
        .filter(move |(index, _)| touched & (1 << index) != 0)
        .flat_map(|(_, changes)| changes.iter())
        .filter(move |change| change.concerns(route))
        .flat_map(|change| change.effects)
        .filter(|effect| !matches!(effect, Effect::None { .. }))
}

/// For each endpoint the versions in which something has an effect on it, one bit each, so that the others need not be
/// looked through.
#[allow(clippy::indexing_slicing, reason = "an index too large does not compile here")]
const TOUCHED: [u32; Route::COUNT] = {
    let mut touched = [0; Route::COUNT];
    let mut index = 0;
    while index < HISTORY.len() {
        let mut changes: &[Change] = HISTORY[index];
        while let [change, rest @ ..] = changes {
            changes = rest;
            if matches!(change.effects, [Effect::None { .. }]) {
                continue;
            }
            let mut route = 0;
            while route < touched.len() {
                if change.routes.is_empty() || bits(change.routes) & (1 << route) != 0 {
                    touched[route] |= 1 << index;
                }
                route += 1;
            }
        }
        index += 1;
    }
    touched
};

/// Whether `version` has the endpoint.
pub(crate) fn has_route(version: ApiVersion, route: Route) -> bool {
    let removed = |effect: &Effect| matches!(effect, Effect::RemovesRoute);
    let added = |effect: &Effect| matches!(effect, Effect::AddsRoute);
    let was_removed = REMOVED & bit(route) != 0;
    let added_later = || effects_after(version, route).any(added);
    let removed_later = || effects_after(version, route).any(removed);
    (!was_removed || removed_later()) && !added_later()
}

/// One bit for each endpoint that some version removed, so that the newest version need not walk the history.
const REMOVED: u128 = {
    let mut removed = 0;
    let mut versions: &[&[Change]] = &HISTORY;
    while let [changes, later @ ..] = versions {
        versions = later;
        let mut changes: &[Change] = changes;
        while let [change, rest @ ..] = changes {
            changes = rest;
            if let [Effect::RemovesRoute] = change.effects {
                removed |= bits(change.routes);
            }
        }
    }
    removed
};

const fn bit(route: Route) -> u128 {
    1 << route as u32
}

/// One bit for each of the endpoints.
const fn bits(mut routes: &[Route]) -> u128 {
    let mut bits = 0;
    while let [route, others @ ..] = routes {
        bits |= bit(*route);
        routes = others;
    }
    bits
}

/// The switches of `version` for `route`.
pub(crate) fn manner(version: ApiVersion, route: Route) -> Manner {
    let mut manner = Manner::NEWEST;
    for effect in effects_after(version, route).rev() {
        if let Effect::Switch(turn) = effect {
            turn(&mut manner);
        }
    }
    manner
}

/// Makes a request of `version` one of the newest.
pub(crate) fn lift(version: ApiVersion, route: Route, asked: &mut Asked) {
    for effect in effects_after(version, route) {
        if let Effect::Lift(lift) = effect {
            lift(asked);
        }
    }
}

/// Makes a call of the newest version one of `version`. The error names what cannot be said there.
pub(crate) fn lower_call(version: ApiVersion, route: Route, asked: &mut Asked) -> Result<(), String> {
    for effect in effects_after(version, route).rev() {
        if let Effect::LowerCall(lower) = effect {
            lower(asked)?;
        }
    }
    // Only now, as a key may have found another place on its way.
    let configures = matches!(route, Route::Commit | Route::ImageCached);
    // Their configuration is that of a create, and said by its items; but for ports, which a commit of any document may expose.
    let same = configures.then(|| effects_after(version, Route::ContainerCreate));
    let effects = effects_after(version, route).chain(same.into_iter().flatten());
    let added = effects.filter_map(|effect| match effect {
        Effect::AddsParameters(names) => Some(names.iter()),
        _ => None,
    });
    let mut added = added.flatten().filter(|name| !configures || **name != "ExposedPorts");
    match added.find_map(|name| named(asked, name)) {
        Some(name) => Err(name),
        None => Ok(()),
    }
}

/// Makes a reply of `version` one of the newest.
pub(crate) fn raise(version: ApiVersion, route: Route, answer: &mut Answer) {
    for effect in effects_after(version, route) {
        if let Effect::Raise(raise) = effect {
            raise(answer);
        }
    }
}

/// Makes an item of a JSON stream of `version` one of the newest.
pub(crate) fn raise_item(version: ApiVersion, route: Route, item: &mut Value) {
    for effect in effects_after(version, route) {
        if let Effect::RaiseItem(raise) = effect {
            raise(item);
        }
    }
}

/// Makes a reply of the newest version one of `version`.
pub(crate) fn lower(version: ApiVersion, route: Route, answer: &mut Answer) {
    for effect in effects_after(version, route).rev() {
        match effect {
            Effect::Lower(lower) => lower(answer),
            Effect::AddsFields(paths) => {
                for path in *paths {
                    answer.body.iter_mut().for_each(|body| take_field(body, path));
                }
            }
            _ => {}
        }
    }
}

/// Makes an item of a JSON stream one of `version`; `false` when that version does not have it.
pub(crate) fn lower_item(version: ApiVersion, route: Route, item: &mut Value) -> bool {
    effects_after(version, route).rev().all(|effect| match effect {
        Effect::LowerItem(lower) => lower(item),
        Effect::AddsFields(paths) => {
            paths.iter().for_each(|path| take_field(item, path));
            true
        }
        _ => true,
    })
}

/// Status and text of a failure in `version`. `route` is `None` for failures before an endpoint was found; they are worded
/// by what concerns every endpoint.
pub(crate) fn words(version: ApiVersion, route: Option<Route>, failure: &Failure) -> Words {
    let mut words = failure.words(route);
    let route = route.unwrap_or(Route::Ping);
    for effect in effects_after(version, route).rev() {
        if let Effect::Reword(reword) = effect
            && let Some(older) = reword(failure, route)
        {
            words = older;
        }
    }
    words
}

/// Whether a newer version changed how replies (or, with `items`, stream items) of `route` look.
pub(crate) fn lowers(version: ApiVersion, route: Route, items: bool) -> bool {
    effects_after(version, route).any(|effect| match effect {
        Effect::AddsFields(_) => true,
        Effect::Lower(_) => !items,
        Effect::LowerItem(_) => items,
        _ => false,
    })
}

/// What a call says by `name` (see [`Effect::AddsParameters`]), if it says anything.
fn named(asked: &Asked, name: &str) -> Option<String> {
    if let Some(filter) = name.strip_prefix("?filters.") {
        let filters = asked.query.filters().unwrap_or_default();
        return filters.0.contains_key(filter).then(|| format!("the filter {filter}"));
    }
    if let Some(parameter) = name.strip_prefix('?') {
        return asked.query.get(parameter).map(|_| format!("the parameter {parameter}"));
    }
    let mut keys = name.split('.');
    let first = asked.body.get(keys.next()?)?;
    match keys.try_fold(first, |value, key| value.get(key))? {
        Value::Null => None,
        Value::Object(map) => match map.keys().next() {
            Some(key) => Some(format!("{name}.{key}")),
            None => Some(name.into()),
        },
        _ => Some(name.into()),
    }
}

/// Removes what `path` names; see [`Effect::AddsFields`].
fn take_field(value: &mut Value, path: &str) {
    let (step, rest) = path
        .split_once('.')
        .map_or((path, None), |(step, rest)| (step, Some(rest)));
    match (step, value, rest) {
        ("[]", Value::Array(list), Some(rest)) => list.iter_mut().for_each(|value| take_field(value, rest)),
        ("*", Value::Object(map), Some(rest)) => map.values_mut().for_each(|value| take_field(value, rest)),
        (key, Value::Object(map), Some(rest)) => {
            if let Some(value) = map.get_mut(key) {
                take_field(value, rest);
            }
        }
        (key, Value::Object(map), None) => {
            map.remove(key);
        }
        _ => {}
    }
}

/// The object under `key` of an object.
fn object<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Map<String, Value>> {
    value.get_mut(key)?.as_object_mut()
}

/// The elements of a reply that is a list of objects.
fn elements(answer: &mut Answer) -> impl Iterator<Item = &mut Map<String, Value>> {
    let list = answer.body.as_mut().and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The reply as an object.
fn body(answer: &mut Answer) -> Option<&mut Map<String, Value>> {
    answer.body.as_mut()?.as_object_mut()
}

/// Moves `keys` from the top of a request into its `HostConfig`, unless they are there too.
fn into_host_config(asked: &mut Asked, keys: &[&str]) {
    let moved: Vec<_> = keys.iter().filter_map(|key| asked.body.remove_entry(*key)).collect();
    if moved.is_empty() {
        return;
    }
    let host_config = asked
        .body
        .entry("HostConfig")
        .or_insert_with(|| Value::Object(Map::new()));
    if host_config.is_null() {
        *host_config = Value::Object(Map::new());
    }
    // Something else than an object is an error that the decoder words.
    if let Some(map) = host_config.as_object_mut() {
        for (key, value) in moved {
            map.entry(key).or_insert(value);
        }
    }
}

/// Moves `keys` from the `HostConfig` of a request to its top.
fn out_of_host_config(asked: &mut Asked, keys: &[&str]) {
    for key in keys {
        if let Some(value) = take_from_host_config(asked, key) {
            asked.body.insert((*key).into(), value);
        }
    }
}

/// Takes a key out of the `HostConfig` of a request, which goes when nothing is left in it.
fn take_from_host_config(asked: &mut Asked, key: &str) -> Option<Value> {
    let host_config = asked.body.get_mut("HostConfig")?.as_object_mut()?;
    let value = host_config.remove(key);
    if host_config.is_empty() {
        asked.body.remove("HostConfig");
    }
    value
}

/// Gives the `HostConfig` of an inspected container a value that it does not show.
fn set_in_host_config(container: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return;
    };
    let host_config = container
        .entry("HostConfig")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(host_config) = host_config {
        host_config.entry(key).or_insert(value);
    }
}

/// Reasons that several items share.
mod why {
    /// For new request fields and parameters.
    pub(super) const NOT_SENT: &str = "older clients do not send it, and genuine daemons took it at every version";
    /// For fields that daemons sent before the documents mention them.
    pub(super) const SENT_BEFORE: &str = "genuine daemons sent it before, and clients of the time read it";
    /// For fields of rewritten examples.
    pub(super) const EXTRA: &str = "an example was rewritten; genuine daemons sent these fields at every version";
    /// For keys that no longer appear in an example of a request.
    pub(super) const STILL_TAKEN: &str = "documents drop and bring it back; it is taken at every version";
    /// For what an exec shows of its container.
    pub(super) const INSPECTED: &str = "the container is shown as its own inspect shows it";
    /// For listed statuses and filters.
    pub(super) const DAEMON: &str = "a matter of the daemon behind the API, the same at every version";
    /// For corrections of documents.
    pub(super) const PROSE: &str = "changes the document only";
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a test may panic, and a table's type is the table"
)]
mod tests;
