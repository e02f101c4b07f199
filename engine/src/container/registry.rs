//! All containers, by id and by name, and what is in memory about each besides its record.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    os::fd::OwnedFd,
    sync::Arc,
};

use gantry_core::{
    Call, Refusal,
    driver::{PipeId, TimerId},
};

use super::{Phase, Record};
use crate::{image::ImageRecord, port::CallId};

/// A container in memory.
#[derive(Debug)]
pub(crate) struct Container {
    /// What is stored of it.
    pub(crate) record: Record,
    /// Its image, whose layers live at least as long as this. `None` when the image is damaged.
    pub(crate) image: Option<Arc<ImageRecord>>,
    /// Its present run.
    pub(crate) run: Option<Run>,
    /// Exclusive work under way.
    pub(crate) operation: Option<Operation>,
    /// Calls that wait for the operation to end, in order.
    pub(crate) queue: VecDeque<(CallId, Call)>,
    /// Calls that wait for the end of the run.
    pub(crate) waiters: Vec<CallId>,
    /// What to do when the run has ended and is stored.
    pub(crate) after_end: Vec<(CallId, AfterEnd)>,
    /// Attach and logs streams on it.
    pub(crate) followers: Vec<CallId>,
    /// Where the log of the latest run begins.
    pub(crate) log_start: u64,
    /// The last end was asked for by a stop.
    pub(crate) stop_timer: Option<TimerId>,
}

/// A run of a container, from the keeper's answer to the exit.
#[derive(Debug)]
pub(crate) struct Run {
    /// Process id of its first process.
    pub(crate) pid: i32,
    /// The keeper's socket, to send requests on.
    pub(crate) control: OwnedFd,
    /// The same socket, as the loop reads it.
    pub(crate) control_pipe: PipeId,
    /// Standard input or terminal, for writing.
    pub(crate) stdin: Option<PipeId>,
    /// The terminal, for its size.
    pub(crate) terminal: Option<OwnedFd>,
}

/// Exclusive work on one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A worker starts it.
    Starting,
    /// Its end is being stored and cleaned up after.
    Settling,
    /// A worker removes it.
    Removing,
}

/// What a call wants when the run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterEnd {
    /// A kill that waits.
    Killed,
    /// A forced removal goes on.
    Remove,
    /// A stop is done.
    Stopped,
}

impl Container {
    pub(crate) fn new(record: Record, image: Option<Arc<ImageRecord>>) -> Self {
        Self {
            record,
            image,
            run: None,
            operation: None,
            queue: VecDeque::new(),
            waiters: Vec::new(),
            after_end: Vec::new(),
            followers: Vec::new(),
            log_start: 0,
            stop_timer: None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.record.phase == Phase::Running
    }
}

/// The registry.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    by_id: BTreeMap<String, Container>,
    /// Also names of containers that are being created.
    by_name: HashMap<String, String>,
    /// Creates under way: image and call.
    creating: HashMap<CallId, String>,
}

impl Containers {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Container> {
        self.by_id.values()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Container> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Container> {
        self.by_id.get_mut(id)
    }

    /// Creates under way.
    pub(crate) fn creating(&self) -> usize {
        self.creating.len()
    }

    /// Who has or will have `name`.
    pub(crate) fn holder(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// Takes a name and notes that a create is under way.
    pub(crate) fn reserve(&mut self, call: CallId, record: &Record) {
        self.by_name.insert(record.name.clone(), record.id.clone());
        self.creating.insert(call, record.id.clone());
    }

    /// A create is over: with a container, or with its name free again.
    pub(crate) fn create_ended(&mut self, call: CallId, record: Record, image: Option<Arc<ImageRecord>>, stored: bool) {
        self.creating.remove(&call);
        if stored {
            self.insert(record, image);
        } else {
            self.by_name.remove(&record.name);
        }
    }

    pub(crate) fn insert(&mut self, record: Record, image: Option<Arc<ImageRecord>>) {
        self.by_name.insert(record.name.clone(), record.id.clone());
        self.by_id.insert(record.id.clone(), Container::new(record, image));
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Container> {
        let container = self.by_id.remove(id)?;
        self.by_name.remove(&container.record.name);
        Some(container)
    }

    /// The container that a client means: full id, name (with or without leading slash), or unambiguous id prefix.
    pub(crate) fn resolve(&self, name: &str) -> Result<&Container, Refusal> {
        let missing = || Refusal::NoSuchContainer { name: name.to_owned() };
        if let Some(container) = self.by_id.get(name) {
            return Ok(container);
        }
        let plain = name.strip_prefix('/').unwrap_or(name);
        if let Some(container) = self.by_name.get(plain).and_then(|id| self.by_id.get(id)) {
            return Ok(container);
        }
        if plain.is_empty() || !plain.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(missing());
        }
        let mut fitting = self
            .by_id
            .range(plain.to_owned()..)
            .take_while(|(id, _)| id.starts_with(plain));
        match (fitting.next(), fitting.next()) {
            (Some((_, container)), None) => Ok(container),
            (Some(_), Some(_)) => Err(Refusal::AmbiguousId {
                prefix: plain.to_owned(),
            }),
            (None, _) => Err(missing()),
        }
    }

    /// The id of the container that a client means.
    pub(crate) fn resolve_id(&self, name: &str) -> Result<String, Refusal> {
        self.resolve(name).map(|container| container.record.id.clone())
    }

    /// A client is gone: nothing waits for it any more. What it asked for and is under way goes on.
    pub(crate) fn forget_caller(&mut self, call: CallId) -> bool {
        let mut known = false;
        for container in self.by_id.values_mut() {
            let before = container.queue.len() + container.waiters.len();
            container.queue.retain(|(waiting, _)| *waiting != call);
            container.waiters.retain(|waiting| *waiting != call);
            known |= before != container.queue.len() + container.waiters.len();
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use gantry_core::model::{ContainerConfig, HostConfig, Timestamp};

    use super::*;

    fn record(id: &str, name: &str) -> Record {
        Record {
            id: id.to_owned(),
            name: name.to_owned(),
            created: Timestamp::ZERO,
            image: String::new(),
            config: ContainerConfig::default(),
            host_config: HostConfig::default(),
            phase: Phase::Created,
            started_at: Timestamp::ZERO,
            finished_at: Timestamp::ZERO,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            attachment: None,
        }
    }

    #[test]
    fn resolves_as_docker_does() {
        let mut all = Containers::default();
        let (a, b, c) = ("aa11".repeat(16), "aa22".repeat(16), "bb33".repeat(16));
        // The name of the third is a prefix of the first's id; a name wins over a prefix.
        for (id, name) in [(&a, "one"), (&b, "two"), (&c, "aa1")] {
            all.insert(record(id, name), None);
        }
        let rows = [
            (a.as_str(), Ok(&a)),
            ("one", Ok(&a)),
            ("/one", Ok(&a)),
            ("aa11", Ok(&a)),
            ("aa1", Ok(&c)),
            ("b", Ok(&c)),
            ("aa", Err(Refusal::AmbiguousId { prefix: "aa".into() })),
            ("zz", Err(Refusal::NoSuchContainer { name: "zz".into() })),
            ("", Err(Refusal::NoSuchContainer { name: String::new() })),
            ("/", Err(Refusal::NoSuchContainer { name: "/".into() })),
        ];
        for (name, wanted) in rows {
            assert_eq!(all.resolve_id(name), wanted.cloned(), "{name:?}");
        }
    }
}
