//! The control groups of one container: made, limited, and joined.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use super::{Controller, Hierarchies, Hierarchy, destroy, devices, plan_limits};
use crate::process::{
    Cgroup, StartError,
    error::{At, Step, words},
};

/// A container's directories in every hierarchy, with its limits written.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) hierarchies: Hierarchies,
    /// v1: into each of these the container's process writes `0` to join. `tasks`, not `cgroup.procs`: moving only the
    /// calling thread skips the wait for all other processes that a move of a whole process costs (7 ms).
    pub(crate) tasks: Vec<File>,
    /// v2: given to `clone3`.
    pub(crate) unified: Option<OwnedFd>,
}

impl Group {
    /// Makes the directories and writes the limits.
    ///
    /// # Errors
    /// When the path is not `/name[/name…]`, a limit is refused, or its controller is missing. Nothing is left then.
    pub(crate) fn create(limits: &Cgroup) -> Result<Self, StartError> {
        check_path(&limits.path)?;
        let hierarchies = Hierarchies::discover().at(Step::Cgroup, "read /proc/self/mountinfo")?;
        let controllers = match hierarchies.unified() {
            Some(unified) if hierarchies.is_unified() => enable_controllers(unified, &limits.path)?,
            _ => Vec::new(),
        };
        let plan = plan_limits(limits, &hierarchies, &controllers)?;
        // Outside of what is undone: if the first one is there already, so is a container, and it is not ours to end.
        if let Some(first) = hierarchies.iter().next() {
            make_directories(first, &limits.path)?;
        }
        let make = || -> Result<(Vec<File>, Option<OwnedFd>), StartError> {
            for hierarchy in hierarchies.iter().skip(1) {
                make_directories(hierarchy, &limits.path)?;
            }
            for setting in &plan {
                let hierarchy = hierarchies.of(setting.controller).or_else(|| hierarchies.unified());
                let Some(hierarchy) = hierarchy else { continue };
                write_file(&hierarchy.directory(&limits.path), setting.file, &setting.value)?;
            }
            confine_devices(&hierarchies, &limits.path)?;
            let open = |hierarchy: &Hierarchy| {
                let path = hierarchy.directory(&limits.path).join("tasks");
                OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .at(Step::Cgroup, format_args!("open {}", path.display()))
            };
            let tasks = hierarchies.legacy().map(open).collect::<Result<_, _>>()?;
            let unified = hierarchies
                .unified()
                .map(|hierarchy| hierarchy.open(&limits.path))
                .transpose();
            Ok((tasks, unified.at(Step::Cgroup, "open the unified cgroup")?))
        };
        match make() {
            Ok((tasks, unified)) => Ok(Self {
                hierarchies,
                tasks,
                unified,
            }),
            Err(mut error) => {
                if let Err(undo) = destroy(&limits.path) {
                    error.message = format!("{}; {undo}", error.message);
                }
                Err(error)
            }
        }
    }

    /// Moves the calling process, which has one thread, into the v1 groups.
    pub(crate) fn join(&self) -> Result<(), StartError> {
        for mut tasks in &self.tasks {
            tasks.write_all(b"0").at(Step::Cgroup, "cgroup join failed: tasks")?;
        }
        Ok(())
    }
}

/// Without a way to do so the start is refused: a container may make the node of any disk.
fn confine_devices(hierarchies: &Hierarchies, path: &str) -> Result<(), StartError> {
    if let Some(legacy) = hierarchies.of("devices") {
        let directory = legacy.directory(path);
        return devices::rules().try_for_each(|(file, rule)| write_file(&directory, file, &rule));
    }
    let Some(unified) = hierarchies.unified() else {
        return Err(StartError::other(
            Step::Cgroup,
            "cgroup controller devices is not available",
        ));
    };
    let confine = || devices::confine(unified.open(path)?.as_fd());
    confine().at(Step::Cgroup, "attach the device program to the cgroup")
}

/// `/name[/name…]` without `.`, `..` and NUL: the path becomes a directory on the host, and is removed again.
pub(super) fn check_path(path: &str) -> Result<(), StartError> {
    let names = path.strip_prefix('/').unwrap_or_default();
    let valid = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    if names.split('/').all(valid) {
        return Ok(());
    }
    Err(StartError::other(Step::Cgroup, format!("invalid cgroup path {path:?}")))
}

/// Makes each directory on the way that is missing. The last one must be new: it belongs to this container alone.
fn make_directories(hierarchy: &Hierarchy, path: &str) -> Result<(), StartError> {
    let cpuset = hierarchy.controllers().iter().any(|name| name == "cpuset");
    let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
    for end in ends {
        let directory = hierarchy.directory(&path[..end]);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && end < path.len() => continue,
            made => made.at(Step::Cgroup, format_args!("make cgroup {}", directory.display()))?,
        }
        if cpuset {
            // A new v1 cpuset is empty, and no process can join an empty one.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let parent = directory.parent().unwrap_or(&directory).join(file);
                let value = fs::read_to_string(&parent).at(Step::Cgroup, format_args!("read {}", parent.display()))?;
                write_file(&directory, file, value.trim())?;
            }
        }
    }
    Ok(())
}

/// Enables every controller the root has on the way to the group. What cannot be enabled is refused only to those who ask
/// for a limit of it.
fn enable_controllers(unified: &Hierarchy, path: &str) -> Result<Vec<Controller>, StartError> {
    let read = |directory: &Path, file: &str| {
        let path = directory.join(file);
        fs::read_to_string(&path).at(Step::Cgroup, format_args!("read {}", path.display()))
    };
    let names = read(unified.mount(), "cgroup.controllers")?;
    let controller = |name: &str| Controller {
        name: name.to_owned(),
        refused: None,
    };
    let mut controllers: Vec<_> = names.split_whitespace().map(controller).collect();
    for (end, _) in path.match_indices('/') {
        let directory = unified.directory(&path[..end]);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StartError::kernel(
                    Step::Cgroup,
                    format_args!("make cgroup {}", directory.display()),
                    &error,
                ));
            }
            _ => {}
        }
        // A write waits until every group that has just ended is gone, even if it changes nothing.
        let enabled = read(&directory, "cgroup.subtree_control")?;
        let missing: Vec<_> = controllers
            .iter_mut()
            .filter(|controller| controller.refused.is_none())
            .filter(|controller| !enabled.split_whitespace().any(|name| name == controller.name))
            .collect();
        // No group but the real root, which has no type, may hold processes and share out memory. The kernel would still
        // enable cpu, cpuset and pids there, but then for threads: no container could be started below any more. It is so
        // at the root of a cgroup namespace with the daemon itself in it.
        let busy = !missing.is_empty()
            && directory.join("cgroup.type").exists()
            && !read(&directory, "cgroup.procs")?.is_empty();
        // One at a time: one that a v1 hierarchy or a real-time process holds must not keep back the others.
        for controller in missing {
            let enable = if busy {
                Err(io::Error::from_raw_os_error(libc::EBUSY))
            } else {
                fs::write(
                    directory.join("cgroup.subtree_control"),
                    format!("+{}", controller.name),
                )
            };
            let refused = |error| format!("enable it in {}: {}", directory.display(), words(&error));
            controller.refused = enable.err().map(refused);
        }
    }
    Ok(controllers)
}

fn write_file(directory: &Path, file: &str, value: &str) -> Result<(), StartError> {
    // Not `fs::write`: that would ask to create the file, and truncate it.
    OpenOptions::new()
        .write(true)
        .open(directory.join(file))
        .and_then(|mut opened| opened.write_all(value.as_bytes()))
        .at(Step::Cgroup, format_args!("cgroup write failed: {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_hierarchy() {
        let cases = [
            ("/gantry/0123", true),
            ("/gantry", true),
            ("", false),
            ("/", false),
            ("gantry", false),
            ("/gantry/", false),
            ("/gantry/../x", false),
            ("//x", false),
            ("/a/./b", false),
            ("/a\0b", false),
        ];
        for (path, valid) in cases {
            assert_eq!(check_path(path).is_ok(), valid, "{path:?}");
        }
    }
}
