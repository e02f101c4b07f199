//! Noticing that a followed log has grown: one inotify descriptor for all of them.

use std::{collections::HashMap, io, os::fd::OwnedFd};

use gantry_core::driver::Direction;

use super::ContainerPaths;
use crate::{Engine, engine::PipeUse, port::Port, sys::inotify};

/// The watches.
#[derive(Default)]
pub(crate) struct LogWatch {
    /// Made with the first watch; the loop reads a duplicate.
    descriptor: Option<OwnedFd>,
    by_container: HashMap<String, i32>,
    by_watch: HashMap<i32, String>,
}

impl Engine {
    /// Watches the log of a container. The file is made when it is missing, as a container that never ran has none.
    pub(super) fn watch_log(&mut self, port: &mut dyn Port, id: &str) -> io::Result<()> {
        if self.log_watch.by_container.contains_key(id) {
            return Ok(());
        }
        let path = ContainerPaths::new(&self.shared.data_root, id).log();
        let descriptor = match &self.log_watch.descriptor {
            Some(descriptor) => descriptor,
            None => {
                let descriptor = inotify::open()?;
                let pipe = port.open_pipe(descriptor.try_clone()?, Direction::Read);
                self.pipes.insert(pipe, PipeUse::LogWatch);
                self.log_watch.descriptor.insert(descriptor)
            }
        };
        let watch = match inotify::watch_changes(descriptor, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                use std::os::unix::fs::OpenOptionsExt;
                std::fs::OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o640)
                    .open(&path)?;
                inotify::watch_changes(descriptor, &path)?
            }
            watch => watch?,
        };
        self.log_watch.by_container.insert(id.to_owned(), watch);
        self.log_watch.by_watch.insert(watch, id.to_owned());
        Ok(())
    }

    /// Ends the watch when nobody follows the container's log any more.
    pub(super) fn unwatch_log(&mut self, id: &str) {
        let followed = |follower: &super::Follower| follower.container() == id && follower.follow;
        if self.followers.values().any(followed) {
            return;
        }
        if let Some(watch) = self.log_watch.by_container.remove(id) {
            self.log_watch.by_watch.remove(&watch);
            if let Some(descriptor) = &self.log_watch.descriptor {
                inotify::unwatch(descriptor, watch);
            }
        }
    }

    /// The kernel says which logs have grown.
    pub(crate) fn logs_changed(&mut self, events: &[u8]) {
        for watch in inotify::watches(events) {
            let Some(id) = self.log_watch.by_watch.get(&watch) else {
                continue;
            };
            let followers = self.containers.get(id).map(|container| container.followers.clone());
            for call in followers.unwrap_or_default() {
                self.log_grew(call);
            }
        }
    }
}
