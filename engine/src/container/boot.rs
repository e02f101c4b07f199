//! What becomes of containers when gantryd starts.
//!
//! The store says what was acknowledged; keepers and their exit records say what has happened since. Both together give
//! the present: a keeper that answers means the container runs, whatever was stored; an exit record means it has ended.

use std::{collections::HashSet, fs, io, path::Path, sync::Arc};

use super::{Phase, Record, end};
use crate::{
    Engine,
    keeper::{client::Launched, record::ExitRecord},
    port::Port,
    shared::Shared,
};

/// What was found of a container's run.
pub(crate) enum Stored {
    /// It runs.
    Running(Launched),
    /// It has ended, and this is how.
    Exited(ExitRecord),
    /// Its keeper is gone and left no record.
    Lost,
}

impl Engine {
    /// Brings the stored containers to life. To be called once, before the first call of a client.
    pub fn start(&mut self, port: &mut dyn Port) {
        for (record, stored) in std::mem::take(&mut self.booting) {
            let id = record.id.clone();
            let image = self.shared.image_of(&record);
            if image.is_none() {
                log::error!(
                    "container {id}: its image {} is gone; it cannot be started",
                    record.image
                );
            }
            self.containers.insert(record, image);
            if let Some(stored) = stored {
                // The keeper is the witness: a run that it knows of took place.
                if let (Some(container), Stored::Exited(ExitRecord { started_at_ns, .. })) =
                    (self.containers.get_mut(&id), &stored)
                {
                    container.record.begin_run(*started_at_ns);
                }
                self.found(port, &id, stored);
            }
        }
        self.drop_unused_images();
    }
}

/// Reads all records and looks for their keepers. Blocks; files without a record are thrown away.
pub(crate) fn load(shared: &Arc<Shared>) -> io::Result<Vec<(Record, Option<Stored>)>> {
    let mut loaded = Vec::new();
    let mut known = HashSet::new();
    for (id, bytes) in shared.store.containers().map_err(io::Error::other)? {
        let mut record: Record = match serde_json::from_slice(&bytes) {
            Ok(record) => record,
            Err(error) => {
                // Its files stay, for someone to look at.
                log::error!("container {id}: its record cannot be read and is left alone: {error}");
                known.insert(id);
                continue;
            }
        };
        let paths = shared.keeper_paths(&id);
        let traces = fs::exists(&paths.socket)? || fs::exists(&paths.exit_record)?;
        let stored = (record.phase == Phase::Running || traces).then(|| end::find(shared, &id));
        let stored = match stored {
            // A start that was never acknowledged and left only traces.
            Some(Stored::Lost) if record.phase != Phase::Running => {
                let _ = crate::keeper::client::forget(&paths);
                None
            }
            stored => stored,
        };
        if let Some(Stored::Running(_)) = stored {
            record.attachment = shared.attachment(&id);
            if let Some(attachment) = &record.attachment {
                shared.adopt(&id, attachment);
            }
        }
        known.insert(id);
        loaded.push((record, stored));
    }
    sweep(&shared.data_root.join("containers"), &known, &mut |path| {
        shared.discard(path);
    })?;
    sweep(&shared.exec_root.join("containers"), &known, &mut |path| {
        let _ = fs::remove_dir_all(path);
    })?;
    Ok(loaded)
}

/// Finds the directories that belong to no container: a create or removal was cut short.
fn sweep(root: &Path, known: &HashSet<String>, throw: &mut dyn FnMut(&Path)) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| !known.contains(name)) {
            log::info!(
                "clearing away {}, which belongs to no container",
                entry.path().display()
            );
            throw(&entry.path());
        }
    }
    Ok(())
}

/// Makes the directories that containers live below.
pub(crate) fn make_roots(data_root: &Path, exec_root: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let make = |path: &Path, mode: u32| match fs::DirBuilder::new().recursive(true).mode(mode).create(path) {
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        Ok(()) => Ok(()),
    };
    make(data_root, 0o710)?;
    make(&data_root.join("containers"), 0o700)?;
    make(exec_root, 0o700)?;
    make(&exec_root.join("containers"), 0o700)?;
    Ok(())
}
