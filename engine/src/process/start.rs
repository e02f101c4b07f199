//! The parent's side of a start: control groups, a process in new namespaces, its go-ahead, and undoing all of it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use super::{
    NetworkNamespace, Spec, child, control,
    control::Report,
    error::{At, StartError, Step},
};
use crate::{
    cgroup::{self, Group},
    sys::{
        clone::{Side, clone_process},
        pidfd::{self, Ended},
    },
};

/// The container's ends of its standard streams; a container with a terminal has none.
#[derive(Debug)]
pub struct Stdio {
    /// What the program reads.
    pub stdin: OwnedFd,
    /// Where it writes.
    pub stdout: OwnedFd,
    /// Where it writes its errors.
    pub stderr: OwnedFd,
}

/// A container that waits for its go-ahead. Dropping it undoes everything.
#[derive(Debug)]
pub struct Prepared {
    pid: i32,
    control: OwnedFd,
    undo: Undo,
}

/// A container whose program runs.
#[derive(Debug)]
pub struct Started {
    /// The program, in the caller's pid namespace. It is the caller's child: to be waited for.
    pub pid: i32,
    /// The program, close-on-exec.
    pub pidfd: OwnedFd,
    /// The master of its terminal, if the spec asked for one.
    pub terminal: Option<OwnedFd>,
}

/// First half of a start: makes the control groups with their limits, and a process in new namespaces, which prepares the
/// container's file system and then waits. Nothing is mounted on the host.
///
/// The caller must have one thread, because the child goes on as a copy of it.
///
/// # Errors
/// When the spec contradicts itself or the host refuses; nothing is left then.
pub fn prepare(spec: &Spec, stdio: Option<Stdio>) -> Result<Prepared, StartError> {
    check(spec, stdio.as_ref())?;
    let group = Group::create(&spec.cgroup)?;
    // From here on a failure has something to undo, and `undo` does it when dropped.
    let mut undo = Undo {
        cgroup: Some(spec.cgroup.path.clone()),
        process: None,
    };
    let (ours, theirs) = control::pair().at(Step::Clone, "socketpair")?;
    let mut namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
    if spec.hostname.is_some() {
        namespaces |= libc::CLONE_NEWUTS;
    }
    if spec.network == NetworkNamespace::New {
        namespaces |= libc::CLONE_NEWNET;
    }
    match clone_process(namespaces, group.unified.as_ref().map(AsFd::as_fd)).at(Step::Clone, "clone3")? {
        Side::Child => {
            drop(ours);
            child::become_container(spec, stdio, &group, &theirs)
        }
        Side::Parent { pid, pidfd } => {
            undo.process = Some(pidfd);
            Ok(Prepared {
                pid,
                control: ours,
                undo,
            })
        }
    }
}

impl Prepared {
    /// The waiting process, in the caller's pid namespace.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its network namespace: to be set up before [`Prepared::run`].
    ///
    /// # Errors
    /// When the process has died meanwhile; [`Prepared::run`] then says why.
    pub fn network_namespace(&self) -> io::Result<OwnedFd> {
        // The process is our child and not reaped, so the number is still its own.
        Ok(File::open(format!("/proc/{}/ns/net", self.pid))?.into())
    }

    /// Second half: the process confines itself and becomes the program. Returns once the program runs,
    /// after at most [`START_TIME_MAX`].
    ///
    /// # Errors
    /// When a step failed. The process is gone then, and so are the control groups; if those could not be removed, the
    /// message says so too.
    pub fn run(mut self) -> Result<Started, StartError> {
        match self.await_program() {
            Ok(terminal) => {
                self.undo.cgroup = None;
                let Some(pidfd) = self.undo.process.take() else {
                    return Err(StartError::other(Step::Child, "the container has no process"));
                };
                Ok(Started {
                    pid: self.pid,
                    pidfd,
                    terminal,
                })
            }
            Err(mut error) => {
                if let Err(left) = self.undo.apply() {
                    error = StartError::new(
                        error.kind,
                        error.step,
                        error.errno,
                        format!("{}; {left}", error.message),
                    );
                }
                Err(error)
            }
        }
    }

    fn await_program(&mut self) -> Result<Option<OwnedFd>, StartError> {
        // A child that has failed already has said why, and that is the better error.
        let gone = control::send_go(self.control.as_fd());
        let (mut terminal, mut executing) = (None, false);
        let deadline = Instant::now() + START_TIME_MAX;
        let next = || control::receive_report(self.control.as_fd(), deadline);
        while let Some(report) = next().at(Step::Child, "wait for the container's process")? {
            match report {
                Report::Terminal(master) => terminal = Some(master),
                Report::Executing => executing = true,
                Report::Failed(error) => return Err(error),
            }
        }
        if executing {
            return Ok(terminal);
        }
        let how = match self.undo.reap() {
            Ok(Some(Ended::Exited(code))) => format!("exited with {code}"),
            Ok(Some(Ended::Killed(signal))) => format!("was killed by signal {signal}"),
            Ok(None) => "is gone".to_owned(),
            Err(error) => format!("cannot be waited for: {error}"),
        };
        gone.at(
            Step::Child,
            format_args!("the container's process {how} before the program ran"),
        )?;
        Err(StartError::other(
            Step::Child,
            format!("the container's process {how} before the program ran"),
        ))
    }
}

/// How long the process has from its go-ahead to its program; after that it is killed.
pub const START_TIME_MAX: Duration = Duration::from_secs(60);

/// What a start has made so far.
#[derive(Debug)]
struct Undo {
    cgroup: Option<String>,
    process: Option<OwnedFd>,
}

impl Undo {
    fn apply(&mut self) -> Result<(), cgroup::DestroyError> {
        if let Some(process) = &self.process {
            // Fails only for a process that has ended.
            drop(pidfd::kill(process.as_fd(), libc::SIGKILL));
        }
        drop(self.reap());
        self.cgroup.take().map_or(Ok(()), |path| cgroup::destroy(&path))
    }

    fn reap(&mut self) -> io::Result<Option<Ended>> {
        self.process
            .take()
            .map(|process| pidfd::reap(process.as_fd()))
            .transpose()
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // Nobody is left to tell: what stays is found again by its name when the container is started or removed.
        drop(self.apply());
    }
}

/// Refuses what no step could carry out.
fn check(spec: &Spec, stdio: Option<&Stdio>) -> Result<(), StartError> {
    let no = |message: &str| Err(StartError::other(Step::Spec, message));
    let strings = spec.argv.iter().chain(&spec.env);
    if spec.argv.is_empty() {
        return no("no command specified");
    }
    if strings.clone().any(|string| string.contains('\0')) {
        return no("arguments and environment must not contain a NUL byte");
    }
    if !spec.working_dir.starts_with('/') {
        return Err(StartError::other(
            Step::Spec,
            format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                spec.working_dir
            ),
        ));
    }
    if spec.tty == stdio.is_some() {
        return no("a container has either a terminal or three streams");
    }
    if spec.hostname.is_none() && spec.domainname.is_some() {
        return no("a domain name needs a UTS namespace of its own");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            argv: vec!["true".into()],
            working_dir: "/".into(),
            tty: true,
            ..Spec::default()
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let cases = [
            ("good", spec(), Ok(())),
            (
                "no command",
                Spec {
                    argv: Vec::new(),
                    ..spec()
                },
                Err("no command specified"),
            ),
            (
                "NUL",
                Spec {
                    env: vec!["A=\0".into()],
                    ..spec()
                },
                Err("arguments and environment must not contain a NUL byte"),
            ),
            (
                "relative directory",
                Spec {
                    working_dir: "tmp".into(),
                    ..spec()
                },
                Err("the working directory 'tmp' is invalid, it needs to be an absolute path"),
            ),
            (
                "no streams",
                Spec { tty: false, ..spec() },
                Err("a container has either a terminal or three streams"),
            ),
            (
                "the host's domain",
                Spec {
                    domainname: Some("example.org".into()),
                    ..spec()
                },
                Err("a domain name needs a UTS namespace of its own"),
            ),
        ];
        for (name, spec, expected) in cases {
            let result = check(&spec, None);
            assert_eq!(
                result.as_ref().map_err(|error| error.message.as_str()),
                expected.as_ref().map_err(|text| *text),
                "{name}"
            );
        }
    }

    #[test]
    fn a_process_with_threads_starts_nothing() {
        // The test harness has threads. The control groups must not be left behind.
        let mut spec = spec();
        spec.cgroup.path = format!("/gantry-threads/{}", std::process::id());
        if !nix::unistd::geteuid().is_root() {
            crate::skip::say("needs root");
            return;
        }
        let waiting = std::thread::spawn(std::thread::park);
        let error = prepare(&spec, None).unwrap_err();
        waiting.thread().unpark();
        waiting.join().unwrap();
        assert_eq!((error.step, error.errno), (Step::Clone, libc::EBUSY));
        let hierarchies = cgroup::Hierarchies::discover().unwrap();
        for hierarchy in hierarchies.iter() {
            assert!(!hierarchy.directory(&spec.cgroup.path).exists(), "{hierarchy:?}");
            drop(std::fs::remove_dir(hierarchy.directory("/gantry-threads")));
        }
    }
}
