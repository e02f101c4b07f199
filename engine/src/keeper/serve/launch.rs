//! Starting the container: the conversation of [`wire`](crate::keeper::wire), and undoing everything when it fails.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::fcntl::OFlag;

use super::control::Control;
use super::{Container, Launched, Paths, now_ns, record, subscribe};
use crate::cgroup;
use crate::keeper::log::LogFile;
use crate::keeper::output::{Output, Source};
use crate::keeper::spec;
use crate::keeper::wire::{FromKeeper, Running, StartFailure, StartFailureKind, ToKeeper, VERSION};
use crate::packet;
use crate::process::{NetworkNamespace, Spec, StartError, StartErrorKind, Started, Stdio, prepare};
use crate::sys::pidfd;

/// How long a keeper that should not exist may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Starts the container that gantryd asks for on `control`. `None`: it did not start, and nothing of it is left.
pub(super) fn launch(control: OwnedFd) -> io::Result<Option<Launched>> {
    let mut control = Control::new(control);
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let Some((
        ToKeeper::Launch {
            spec_bytes,
            socket,
            exit_record,
        },
        descriptors,
    )) = control.receive_waiting()
    else {
        return Err(nonsense());
    };
    let paths = Paths {
        socket: path(socket),
        exit_record: path(exit_record),
    };
    let spec_file = File::from(descriptors.into_iter().next().ok_or_else(nonsense)?);
    let spec = match read_spec(&spec_file, spec_bytes) {
        Ok(spec) => spec,
        Err(failure) => {
            control.send(&FromKeeper::Failed(failure), &[]);
            return Ok(None);
        }
    };
    drop(spec_file);
    match start(&mut control, &paths, &spec) {
        Ok((begun, container)) => Ok(Some(Launched {
            paths,
            cgroup: spec.cgroup.path,
            container,
            output: begun.output,
            record: begun.record,
            listener: begun.listener,
            control,
        })),
        Err(Stop::Failed(failure)) => {
            control.send(&FromKeeper::Failed(failure), &[]);
            Ok(None)
        }
        Err(Stop::Unwanted) => Ok(None),
    }
}

/// Why a container does not run.
enum Stop {
    Failed(StartFailure),
    /// gantryd has closed the connection.
    Unwanted,
}

/// What exists on disk before the container does, and its output's way.
struct Begun {
    output: Output,
    record: record::Pending,
    listener: OwnedFd,
}

/// The keeper's ends of the container's streams, and the container's own.
struct Streams {
    stdin: Option<OwnedFd>,
    sources: [Option<Source>; 2],
    stdio: Option<Stdio>,
}

fn start(control: &mut Control, paths: &Paths, spec: &Spec) -> Result<(Begun, Container), Stop> {
    let mut begun = begin(paths, spec)?;
    match run(control, spec, &mut begun.output) {
        Ok(container) => Ok((begun, container)),
        Err(stop) => {
            // gantryd looks for what is left when it sees us gone without having started.
            let _ = record::remove(&paths.socket);
            begun.record.discard();
            Err(stop)
        }
    }
}

fn begin(paths: &Paths, spec: &Spec) -> Result<Begun, Stop> {
    // Before anything is touched: a second start of a container must not take away what the first one's keeper needs.
    match packet::connect(&paths.socket, CONNECT_MAX) {
        Ok(None) => {}
        Ok(Some(_)) => return Err(other("listen", libc::EADDRINUSE, "the container runs already".to_owned()).into()),
        Err(error) => return Err(failure("listen", &error).into()),
    }
    let log = spec.log.as_deref().map(LogFile::open).transpose();
    let output = Output::new(log.map_err(|error| failure("open log", &error))?);
    let record = record::Pending::create(&paths.exit_record).map_err(|error| failure("make exit record", &error))?;
    let listener = packet::listen(&paths.socket).map_err(|error| {
        record.discard();
        failure("listen", &error)
    })?;
    Ok(Begun {
        output,
        record,
        listener,
    })
}

/// Both halves of the start. Each undoes what it made when it fails.
fn run(control: &mut Control, spec: &Spec, output: &mut Output) -> Result<Container, Stop> {
    let Streams {
        stdin,
        mut sources,
        stdio,
    } = streams(spec).map_err(|error| failure("make pipes", &error))?;
    let prepared = prepare(spec, stdio)?;
    let namespace = match spec.network {
        NetworkNamespace::Host => None,
        NetworkNamespace::New => {
            let namespace = prepared.network_namespace();
            Some(namespace.map_err(|error| failure("network namespace", &error))?)
        }
    };
    let shown: Vec<BorrowedFd<'_>> = namespace.iter().map(AsFd::as_fd).collect();
    control.send(&FromKeeper::Prepared { pid: prepared.pid() }, &shown);
    drop(namespace);
    loop {
        match control.receive_waiting() {
            Some((ToKeeper::Go, _)) => break,
            Some((ToKeeper::Subscribe { subscription, from }, descriptors)) => {
                let answer = subscribe(output, subscription, from, descriptors);
                control.send(&answer, &[]);
            }
            Some(_) => {}
            None => return Err(Stop::Unwanted),
        }
    }
    let Started { pid, pidfd, terminal } = prepared.run()?;
    let started_at_ns = now_ns();
    if let Some(terminal) = &terminal {
        match terminal.try_clone().and_then(Source::terminal) {
            Ok(source) => sources[0] = Some(source),
            Err(error) => {
                let _ = pidfd::kill(pidfd.as_fd(), libc::SIGKILL);
                // What does not go is found by gantryd, which knows the control group.
                let _ = cgroup::destroy(&spec.cgroup.path);
                return Err(failure("terminal", &error).into());
            }
        }
    }
    let running = Running {
        version: VERSION,
        pid,
        keeper_pid: nix::unistd::getpid().as_raw(),
        started_at_ns,
        log_start: output.log_start(),
        stdin: stdin.is_some(),
        terminal: terminal.is_some(),
    };
    control.send(&FromKeeper::Started(running), &descriptors(&stdin, &terminal));
    spare_from_oom();
    Ok(Container {
        running,
        pidfd,
        stdin,
        terminal,
        sources,
    })
}

/// The descriptors that come with [`Running`], in its order.
pub(super) fn descriptors<'a>(stdin: &'a Option<OwnedFd>, terminal: &'a Option<OwnedFd>) -> Vec<BorrowedFd<'a>> {
    stdin.iter().chain(terminal).map(AsFd::as_fd).collect()
}

fn read_spec(file: &File, spec_bytes: u32) -> Result<Spec, StartFailure> {
    let mut bytes = vec![0; usize::try_from(spec_bytes).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|error| failure("read settings", &error))?;
    spec::decode(&bytes).map_err(|error| other("read settings", 0, error.to_string()))
}

/// Makes the pipes of a container without a terminal.
fn streams(spec: &Spec) -> io::Result<Streams> {
    if spec.tty {
        return Ok(Streams {
            stdin: None,
            sources: [None, None],
            stdio: None,
        });
    }
    let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC);
    let (stdin, keep) = if spec.open_stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        (File::open("/dev/null")?.into(), None)
    };
    let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
    let sources = [Some(Source::pipe(stdout)?), Some(Source::pipe(stderr)?)];
    Ok(Streams {
        stdin: keep,
        sources,
        stdio: Some(Stdio {
            stdin,
            stdout: stdout_end,
            stderr: stderr_end,
        }),
    })
}

/// Asks the kernel to take the container before its keeper when memory runs out. After the start, so that the container
/// does not inherit it; without CAP_SYS_RESOURCE it is refused, and nothing depends on it.
fn spare_from_oom() {
    let file = File::options().write(true).open("/proc/self/oom_score_adj");
    let _ = file.and_then(|mut file| file.write_all(b"-999"));
}

impl From<StartFailure> for Stop {
    fn from(failure: StartFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StartError> for Stop {
    fn from(error: StartError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StartError> for StartFailure {
    fn from(error: StartError) -> Self {
        Self {
            kind: match error.kind {
                StartErrorKind::NotFound => StartFailureKind::NotFound,
                StartErrorKind::NotExecutable => StartFailureKind::NotExecutable,
                StartErrorKind::Other => StartFailureKind::Other,
            },
            step: format!("{:?}", error.step),
            errno: error.errno,
            message: error.message,
        }
    }
}

fn failure(step: &str, error: &io::Error) -> StartFailure {
    other(step, error.raw_os_error().unwrap_or(0), format!("{step}: {error}"))
}

fn other(step: &str, errno: i32, message: String) -> StartFailure {
    StartFailure {
        kind: StartFailureKind::Other,
        step: step.to_owned(),
        errno,
        message,
    }
}

fn path(bytes: Vec<u8>) -> std::path::PathBuf {
    OsString::from_vec(bytes).into()
}
