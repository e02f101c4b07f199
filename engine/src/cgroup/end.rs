//! The end of a container's control groups: everything in them is killed, then they are removed.

use std::{
    fmt, fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Hierarchies, group::check_path};
use crate::sys::pidfd;

/// A container's control groups could not be removed.
#[derive(Debug)]
pub struct DestroyError {
    /// What stayed.
    pub left: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for DestroyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cgroup removal failed: {}: {}",
            self.left.display(),
            crate::process::error::words(&self.source)
        )
    }
}

impl std::error::Error for DestroyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Kills every process below the control group `path` (`/gantry/<id>`) and removes the group from every hierarchy.
/// What is not there is no error, so this may be called at any time and twice.
///
/// # Errors
/// When something is still there after [`DESTROY_TIME_MAX`]; it names the directory. Also for a path that is none.
pub fn destroy(path: &str) -> Result<(), DestroyError> {
    let failed = |left: &Path, source| DestroyError {
        left: left.to_owned(),
        source,
    };
    if let Err(error) = check_path(path) {
        return Err(failed(
            Path::new(path),
            io::Error::new(io::ErrorKind::InvalidInput, error),
        ));
    }
    let hierarchies = Hierarchies::discover().map_err(|error| failed(Path::new("/proc/self/mountinfo"), error))?;
    // The unified one first: its `cgroup.kill` reaches what forks faster than process numbers can be read.
    let ordered = hierarchies.unified().into_iter().chain(hierarchies.legacy());
    let directories: Vec<PathBuf> = ordered.map(|hierarchy| hierarchy.directory(path)).collect();
    let deadline = Instant::now() + DESTROY_TIME_MAX;
    let mut pause = PAUSE_FIRST;
    loop {
        let mut left = None;
        for directory in &directories {
            match remove(directory) {
                Ok(()) => {}
                Err(error) => {
                    // Something still runs there, or is on its way out.
                    kill_all(directory);
                    left = Some(failed(directory, error));
                }
            }
        }
        match left {
            None => return Ok(()),
            Some(error) if Instant::now() >= deadline => return Err(error),
            Some(_) => thread::sleep(pause),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// How often the kernel killed a process of the control group for want of memory; 0 where nothing counts it.
#[must_use]
pub fn oom_kills(path: &str) -> u64 {
    let Ok(hierarchies) = Hierarchies::discover() else {
        return 0;
    };
    let file = match hierarchies.of("memory") {
        Some(memory) => memory.directory(path).join("memory.oom_control"),
        None => match hierarchies.unified() {
            Some(unified) => unified.directory(path).join("memory.events"),
            None => return 0,
        },
    };
    fs::read_to_string(file).map_or(0, |text| parse_oom_kills(&text))
}

/// Both files have a line `oom_kill 3`.
fn parse_oom_kills(text: &str) -> u64 {
    let count = |line: &str| {
        line.strip_prefix("oom_kill ")
            .and_then(|count| count.trim().parse().ok())
    };
    text.lines().find_map(count).unwrap_or(0)
}

/// Removes a directory with all below it, the deepest first.
fn remove(directory: &Path) -> io::Result<()> {
    for depth in below(directory).iter().rev() {
        match fs::remove_dir(depth) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Sends SIGKILL to all below a directory. Failures show when the directory cannot be removed.
fn kill_all(directory: &Path) {
    if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for group in below(directory) {
        let processes = || fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for line in processes().lines() {
            // 0 is a process that this pid namespace cannot see.
            let Some(pid) = line.parse().ok().filter(|&pid: &i32| pid > 1) else {
                continue;
            };
            let Ok(process) = pidfd::open(pid) else { continue };
            // The number may have become another process's before the descriptor held it.
            if processes().lines().any(|again| again == line) {
                drop(pidfd::kill(process.as_fd(), libc::SIGKILL));
            }
        }
    }
}

/// A directory and all below it, parents before children; nothing if it is not there.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut ahead = vec![directory.to_owned()];
    while let Some(next) = ahead.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        let directories = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        ahead.extend(directories.map(|entry| entry.path()));
        found.push(next);
    }
    found
}

/// How long [`destroy`] tries.
pub const DESTROY_TIME_MAX: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_micros(100);
const PAUSE_MAX: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oom_kills_are_counted_in_both_formats() {
        let cases = [
            ("v1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3),
            ("v2", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n", 1),
            ("an old v1", "oom_kill_disable 0\nunder_oom 0\n", 0),
            ("not a number", "oom_kill x\n", 0),
        ];
        for (name, text, expected) in cases {
            assert_eq!(parse_oom_kills(text), expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_destroyed() {
        destroy("/gantry-none/0000000000").unwrap();
    }

    #[test]
    fn a_bad_path_destroys_nothing() {
        for path in ["", "/", "/..", "/a/../..", "relative"] {
            assert_eq!(
                destroy(path).unwrap_err().source.kind(),
                io::ErrorKind::InvalidInput,
                "{path:?}"
            );
        }
    }
}
