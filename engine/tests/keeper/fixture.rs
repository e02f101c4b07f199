//! A busybox container to be held by a real `gantry-keeper`, and a daemon reduced to what follows one container.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use gantry_engine::cgroup::{self, Hierarchies};
use gantry_engine::keeper::Paths;
use gantry_engine::keeper::client::{self, KeeperExe, LaunchError, Launched, Subscriber};
use gantry_engine::keeper::log::{CatchUp, Reader};
use gantry_engine::keeper::record::ExitRecord;
use gantry_engine::keeper::wire::{
    CHUNK_MAX, Chunk, FRAME_HEADER_BYTES, From, FromKeeper, MESSAGE_MAX, Position, SPLICE_MAX,
};
use gantry_engine::process::capability::{available, plan_capabilities};
use gantry_engine::process::{Cgroup, Rootfs, Spec, defaults};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

const BUSYBOX: &str = "/bin/busybox";

/// Prints why nothing can be tested here, if so.
pub(crate) fn skipped() -> bool {
    let missing = if !nix::unistd::geteuid().is_root() {
        "needs root"
    } else if !Path::new(BUSYBOX).exists() {
        "needs a static /bin/busybox"
    } else {
        return false;
    };
    // Past the test runner, which swallows what passing tests print.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {missing}\n"));
    true
}

/// How many containers of this process may have a group below [`cgroup_parent`].
static HOMES: Mutex<u32> = Mutex::new(0);

/// Where the containers of this process have their control groups.
fn cgroup_parent() -> String {
    format!("/gantry-keeper-{}", std::process::id())
}

/// A container's directories and settings. Everything of it is removed when dropped.
pub(crate) struct Home {
    pub(crate) base: PathBuf,
    pub(crate) spec: Spec,
    pub(crate) paths: Paths,
    pub(crate) exe: KeeperExe,
}

impl Home {
    /// A container that runs a shell script.
    pub(crate) fn script(script: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        *HOMES.lock().unwrap() += 1;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:056x}{number:08x}", std::process::id());
        // Longer than the address of a socket may be.
        let base = std::env::temp_dir().join(format!("gantry-keeper-{}-{id}-{id}", std::process::id()));
        for directory in ["lower/bin", "lower/etc", "lower/tmp", "upper", "work", "run"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::copy(BUSYBOX, base.join("lower/bin/busybox")).unwrap();
        for applet in [
            "sh", "cat", "seq", "printf", "head", "sleep", "stty", "tail", "yes", "tr", "dd",
        ] {
            symlink("busybox", base.join("lower/bin").join(applet)).unwrap();
        }
        let spec = Spec {
            id: id.clone(),
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![format!("PATH={}", defaults::PATH)],
            working_dir: "/".into(),
            hostname: Some("held".into()),
            rootfs: Rootfs {
                lower: vec![base.join("lower")],
                upper: base.join("upper"),
                work: base.join("work"),
                read_only: false,
            },
            shm_size: defaults::SHM_BYTES,
            cgroup: Cgroup {
                path: format!("{}/{id}", cgroup_parent()),
                ..Cgroup::default()
            },
            capabilities: plan_capabilities(&[], &[], false, available()).unwrap(),
            log: Some(base.join("json.log")),
            ..Spec::default()
        };
        let paths = Paths {
            socket: base.join("run/keeper.sock"),
            exit_record: base.join("exit"),
        };
        let exe = KeeperExe::seal(&fs::read(env!("CARGO_BIN_EXE_gantry-keeper")).unwrap()).unwrap();
        Self { base, spec, paths, exe }
    }

    pub(crate) fn with_stdin(mut self) -> Self {
        self.spec.open_stdin = true;
        self
    }

    pub(crate) fn try_launch(&self, subscribers: Vec<Subscriber>) -> Result<Launched, LaunchError> {
        client::launch(&self.paths, &self.exe, &self.spec, subscribers, &mut |_| Ok(()))
    }

    pub(crate) fn launch(&self) -> Launched {
        self.try_launch(Vec::new()).unwrap()
    }

    /// Launches with a subscription from the first byte.
    pub(crate) fn launch_and_follow(&self) -> (Launched, Follower) {
        self.launch_and_follow_by(Way::Socket)
    }

    pub(crate) fn launch_and_follow_by(&self, way: Way) -> (Launched, Follower) {
        let (ours, theirs, pipe_end) = live(way);
        let launched = self
            .try_launch(vec![Subscriber {
                subscription: 0,
                output: theirs,
                pipe: pipe_end,
            }])
            .unwrap();
        (
            launched,
            Follower {
                log: self.spec.log.clone(),
                way,
                state: State::Live(ours),
                subscription: 0,
                lagged: 0,
            },
        )
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.spec.log.clone().unwrap()
    }

    /// What the log holds, by stream.
    pub(crate) fn logged(&self) -> [Vec<u8>; 2] {
        let mut logged: [Vec<u8>; 2] = Default::default();
        let mut reader = Reader::open(&self.log(), 0).unwrap();
        while let Some(entry) = reader.read_entry().unwrap() {
            assert_eq!(entry.lost, 0);
            logged[entry.stream as usize - 1].extend_from_slice(entry.bytes);
        }
        assert_eq!(reader.damaged(), 0);
        assert_eq!(
            reader.offset(),
            fs::metadata(self.log()).unwrap().len(),
            "the log ends in a whole entry"
        );
        logged
    }

    /// Nothing of the container exists on the host.
    pub(crate) fn assert_gone(&self) {
        for hierarchy in Hierarchies::discover().unwrap().iter() {
            let directory = hierarchy.directory(&self.spec.cgroup.path);
            assert!(!directory.exists(), "{} is left", directory.display());
        }
        assert!(!self.paths.socket.exists(), "the socket is left");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = cgroup::destroy(&self.spec.cgroup.path) {
            println!("{error}");
        }
        drop(fs::remove_dir_all(&self.base));
        // An empty parent is not enough: another test may be about to make its group in it.
        let mut homes = HOMES.lock().unwrap();
        *homes -= 1;
        if *homes == 0 {
            for hierarchy in Hierarchies::discover().unwrap().iter() {
                drop(fs::remove_dir(hierarchy.directory(&cgroup_parent())));
            }
        }
    }
}

/// The next message of a keeper, waited for; `None` at the end of the connection.
pub(crate) fn message(control: &OwnedFd) -> Option<FromKeeper> {
    let mut buffer = [0; MESSAGE_MAX];
    match recv(control.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        Ok(0) | Err(nix::errno::Errno::ECONNRESET) => None,
        Ok(len) => Some(FromKeeper::decode(&buffer[..len]).unwrap()),
        Err(errno) => panic!("{errno}"),
    }
}

/// Waits for the container's end.
pub(crate) fn exit(control: &OwnedFd) -> ExitRecord {
    loop {
        if let FromKeeper::Exited(record) = message(control).expect("an exit before the end of the connection") {
            return record;
        }
    }
}

/// How a follower gets its output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Socket,
    SocketAndPipe,
}

/// The follower's ends, and the keeper's.
fn live(way: Way) -> (Live, OwnedFd, Option<OwnedFd>) {
    let (socket, theirs) = client::packet_pair().unwrap();
    if way == Way::Socket {
        return (Live { socket, pipe: None }, theirs, None);
    }
    let (pipe, pipe_end) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(SPLICE_MAX as i32)).unwrap();
    let pipe = Some(File::from(pipe));
    (Live { socket, pipe }, theirs, Some(pipe_end))
}

struct Live {
    socket: OwnedFd,
    pipe: Option<File>,
}

/// One client's output: what gantryd does for `attach` and `logs -f`.
pub(crate) struct Follower {
    log: Option<PathBuf>,
    way: Way,
    state: State,
    subscription: u64,
    /// How often it was too slow.
    pub(crate) lagged: u32,
}

enum State {
    Live(Live),
    Reading(CatchUp),
    Done,
}

impl Follower {
    /// A subscription to what comes from now on, without a log to fall back to.
    pub(crate) fn live(control: &OwnedFd, way: Way) -> Self {
        let (ours, theirs, pipe_end) = live(way);
        let pipe = pipe_end.as_ref().map(AsFd::as_fd);
        client::request_subscribe(control.as_fd(), 1, theirs.as_fd(), pipe, From::Now).unwrap();
        Self {
            log: None,
            way,
            state: State::Live(ours),
            subscription: 1,
            lagged: 0,
        }
    }

    pub(crate) fn from_log(home: &Home, position: Position) -> Self {
        let catch_up = CatchUp::new(File::open(home.log()).unwrap(), position);
        Self {
            log: home.spec.log.clone(),
            way: Way::Socket,
            state: State::Reading(catch_up),
            subscription: 1000,
            lagged: 0,
        }
    }

    /// Follows to the end; `sink` gets every piece of output with its stream (0 stdout, 1 stderr).
    pub(crate) fn follow(&mut self, control: &OwnedFd, mut sink: impl FnMut(usize, &[u8])) -> ExitRecord {
        let mut told = Vec::new();
        let mut exited = None;
        let mut buffer = vec![0; CHUNK_MAX + FRAME_HEADER_BYTES];
        let mut piped = vec![0; SPLICE_MAX];
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Done) {
                State::Live(mut live) => match recv(live.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap() {
                    0 => self.why_closed(&mut told, control, &mut exited),
                    len => {
                        let chunk = Chunk::decode(&buffer[..len]).unwrap();
                        let piped = &mut piped[..chunk.spliced];
                        if let Some(pipe) = &mut live.pipe {
                            pipe.read_exact(piped).expect("what is announced is there");
                        }
                        let parts = [piped, chunk.inline];
                        for part in parts.into_iter().filter(|part| !part.is_empty()) {
                            sink(chunk.stream, part);
                        }
                        State::Live(live)
                    }
                },
                State::Reading(mut catch_up) => {
                    while let Some((stream, bytes)) = catch_up.read_output().unwrap() {
                        sink(stream as usize - 1, bytes);
                    }
                    self.resubscribe(catch_up, &mut told, control, &mut exited)
                }
                State::Done => break,
            }
        }
        exited.unwrap_or_else(|| exit(control))
    }

    fn why_closed(&mut self, told: &mut Vec<FromKeeper>, control: &OwnedFd, exited: &mut Option<ExitRecord>) -> State {
        loop {
            for told in std::mem::take(told) {
                match told {
                    FromKeeper::Ended { subscription } if subscription == self.subscription => return State::Done,
                    FromKeeper::Lagging { subscription, position } if subscription == self.subscription => {
                        self.lagged += 1;
                        let log = File::open(self.log.as_ref().expect("a log to fall back to")).unwrap();
                        return State::Reading(CatchUp::new(log, position));
                    }
                    _ => {}
                }
            }
            hear(told, control, exited);
        }
    }

    fn resubscribe(
        &mut self,
        catch_up: CatchUp,
        told: &mut Vec<FromKeeper>,
        control: &OwnedFd,
        exited: &mut Option<ExitRecord>,
    ) -> State {
        if let Some(record) = exited {
            let whole = catch_up.position().log_offset == record.log_offset;
            return if whole { State::Done } else { State::Reading(catch_up) };
        }
        let (ours, theirs, pipe_end) = live(self.way);
        self.subscription += 1;
        let from = From::At(catch_up.position());
        let pipe = pipe_end.as_ref().map(AsFd::as_fd);
        match client::request_subscribe(control.as_fd(), self.subscription, theirs.as_fd(), pipe, from) {
            Ok(()) => {}
            // It has ended; what it said before is still to be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => panic!("{error}"),
        }
        drop((theirs, pipe_end));
        loop {
            for told in std::mem::take(told) {
                match told {
                    FromKeeper::SubscribedAt { subscription, .. } if subscription == self.subscription => {
                        return State::Live(ours);
                    }
                    FromKeeper::Behind { subscription, .. } if subscription == self.subscription => {
                        return State::Reading(catch_up);
                    }
                    FromKeeper::Refused { .. } => panic!("{told:?}"),
                    _ => {}
                }
            }
            if exited.is_some() {
                return State::Reading(catch_up);
            }
            hear(told, control, exited);
        }
    }
}

fn hear(told: &mut Vec<FromKeeper>, control: &OwnedFd, exited: &mut Option<ExitRecord>) {
    poll(
        &mut [PollFd::new(control.as_fd(), PollFlags::POLLIN)],
        PollTimeout::NONE,
    )
    .unwrap();
    match message(control).expect("the keeper is there until it has said how it ended") {
        FromKeeper::Exited(record) => *exited = Some(record),
        message => told.push(message),
    }
}
