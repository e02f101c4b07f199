//! `GET /containers/json` and `GET /containers/{id}/json`: from memory alone, unless sizes are asked for.

use gantry_core::{ContainerList, Refusal, Reply, model::Timestamp};

use regex_lite::Regex;

use super::{ContainerPaths, Record, Sizes, registry::Container, view};
use crate::{
    Engine, clock,
    message::{Ended, Outcome},
    port::{CallId, Port},
    shared::Shared,
};

impl Engine {
    pub(crate) fn container_list(&self, port: &mut dyn Port, call: CallId, query: &ContainerList) {
        let chosen = match self.choose(query) {
            Ok(chosen) => chosen,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let now = clock::now();
        let named = |record: &Record| self.image_name(record);
        if !query.size {
            let list = chosen
                .iter()
                .map(|container| view::summary(&container.record, now, named(&container.record), None));
            return port.reply(call, Reply::ContainerList(list.collect()));
        }
        let records: Vec<_> = chosen
            .iter()
            .map(|container| (container.record.clone(), named(&container.record)))
            .collect();
        self.defer(call, Ended::Nothing, move |shared| {
            let list = records.into_iter().map(|(record, image)| {
                let sizes = measure(shared, &record);
                view::summary(&record, now, image, Some(sizes))
            });
            Ok(Outcome {
                reply: Reply::ContainerList(list.collect()),
                events: Vec::new(),
            })
        });
    }

    /// What the image is called: as the client wrote it, unless that name means another image by now.
    fn image_name(&self, record: &Record) -> String {
        match self.shared.images.resolve(&record.config.image) {
            Ok(image) if image.id().to_string() == record.image => record.config.image.clone(),
            _ => record.image.clone(),
        }
    }

    /// The containers that a list asks for, newest first.
    fn choose(&self, query: &ContainerList) -> Result<Vec<&Container>, Refusal> {
        if let Some(name) = query.filters.unknown(FILTERS) {
            return Err(Refusal::BadParameter(format!("Invalid filter '{name}'")));
        }
        let created = |name: &String| self.containers.resolve(name).map(|container| container.record.created);
        let limits = |parameter: &Option<String>, filter: &str| -> Result<Vec<Timestamp>, Refusal> {
            parameter
                .iter()
                .chain(query.filters.values(filter))
                .map(created)
                .collect()
        };
        let (before, since) = (limits(&query.before, "before")?, limits(&query.since, "since")?);
        let exited: Vec<i32> = query
            .filters
            .values("exited")
            .iter()
            .map(|code| {
                code.parse()
                    .map_err(|_| Refusal::BadParameter(format!("Invalid filter 'exited={code}'")))
            })
            .collect::<Result<_, _>>()?;
        for status in query.filters.values("status") {
            if !STATUSES.contains(&status.as_str()) {
                return Err(Refusal::BadParameter(format!(
                    "Unrecognised filter value for status: {status}"
                )));
            }
        }
        let ancestors: Vec<String> = query
            .filters
            .values("ancestor")
            .iter()
            .filter_map(|name| self.shared.images.resolve(name).ok())
            .map(|image| image.id().to_string())
            .collect();
        // The name filter is a regular expression, matched with and without the leading slash.
        let names: Vec<Regex> = query
            .filters
            .values("name")
            .iter()
            .map(|text| {
                Regex::new(text)
                    .map_err(|error| Refusal::BadParameter(format!("Invalid filter 'name={text}': {error}")))
            })
            .collect::<Result<_, _>>()?;
        let limit = query
            .limit
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| *limit > 0);
        let by_state = query.filters.values("status").is_empty() && query.filters.values("exited").is_empty();
        let running_only = !query.all && limit.is_none() && before.is_empty() && since.is_empty() && by_state;
        let mut chosen: Vec<_> = self
            .containers
            .iter()
            .filter(|container| {
                let record = &container.record;
                let never = super::Phase::Exited != record.phase;
                (!running_only || container.is_running())
                    && before.iter().all(|time| record.created < *time)
                    && since.iter().all(|time| record.created > *time)
                    && (exited.is_empty() || (!never && exited.contains(&record.exit_code)))
                    && query.filters.allows("status", record.phase.as_str())
                    && (query.filters.values("ancestor").is_empty() || ancestors.contains(&record.image))
                    && any(query.filters.values("id"), |id| record.id.starts_with(id))
                    && (names.is_empty() || names.iter().any(|name| fits_name(name, &record.name)))
                    && any(query.filters.values("network"), |network| {
                        network == network_name(record)
                    })
                    && query.filters.values("volume").is_empty()
                    && query
                        .filters
                        .values("label")
                        .iter()
                        .all(|label| has_label(record, label))
            })
            .collect();
        chosen.sort_by(|a, b| {
            b.record
                .created
                .cmp(&a.record.created)
                .then_with(|| a.record.id.cmp(&b.record.id))
        });
        chosen.truncate(limit.unwrap_or(usize::MAX));
        Ok(chosen)
    }

    pub(crate) fn container_inspect(&self, port: &mut dyn Port, call: CallId, name: &str, size: bool) {
        let container = match self.containers.resolve(name) {
            Ok(container) => container,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let pid = container.run.as_ref().map_or(0, |run| run.pid);
        let record = container.record.clone();
        if !size {
            return port.reply(
                call,
                Reply::Container(Box::new(inspect(&self.shared, &record, pid, None))),
            );
        }
        self.defer(call, Ended::Nothing, move |shared| {
            let sizes = measure(shared, &record);
            let container = inspect(shared, &record, pid, Some(sizes));
            Ok(Outcome {
                reply: Reply::Container(Box::new(container)),
                events: Vec::new(),
            })
        });
    }
}

fn inspect(shared: &Shared, record: &Record, pid: i32, sizes: Option<Sizes>) -> gantry_core::model::Container {
    let layers = shared
        .image_of(record)
        .map(|image| shared.images.layers(&image))
        .unwrap_or_default();
    let layers: Vec<_> = layers.iter().map(|layer| layer.display().to_string()).collect();
    view::inspect(record, pid, &shared.data_root, sizes, &layers)
}

fn measure(shared: &Shared, record: &Record) -> Sizes {
    let rw = crate::disk::tree_bytes(&ContainerPaths::new(&shared.data_root, &record.id).upper());
    let image = shared
        .image_of(record)
        .map_or(0, |image| i64::try_from(image.size()).unwrap_or(i64::MAX));
    Sizes {
        rw,
        root_fs: rw.saturating_add(image),
    }
}

fn any(values: &[String], fits: impl Fn(&str) -> bool) -> bool {
    values.is_empty() || values.iter().any(|value| fits(value))
}

fn fits_name(pattern: &Regex, name: &str) -> bool {
    pattern.is_match(name) || pattern.is_match(&format!("/{name}"))
}

fn network_name(record: &Record) -> &str {
    match record.host_config.network_mode.as_str() {
        "default" => "bridge",
        mode => mode,
    }
}

fn has_label(record: &Record, label: &str) -> bool {
    match label.split_once('=') {
        Some((name, value)) => record.config.labels.get(name).is_some_and(|have| have == value),
        None => record.config.labels.contains_key(label),
    }
}

const FILTERS: &[&str] = &[
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
const STATUSES: &[&str] = &[
    "created",
    "dead",
    "exited",
    "paused",
    "removing",
    "restarting",
    "running",
];
