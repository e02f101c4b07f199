//! A gantryd in a network namespace of its own, its clean-up, and short forms of the calls that most tests make.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use gantry_conformance::client::{Connection, Request, Response};
use gantry_engine::cgroup::Hierarchies;
use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};
use serde_json::{Value, json};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon; gone with all it made when dropped.
pub(crate) struct Daemon {
    root: PathBuf,
    process: Option<Child>,
    namespace: Namespace,
    /// Further words on its command line.
    arguments: Vec<String>,
    /// A socket that it inherits, as from a service manager.
    inherited: Option<OwnedFd>,
}

/// A network namespace, held by a thread.
struct Namespace {
    release: Option<std::sync::mpsc::Sender<()>>,
    spawn: std::sync::mpsc::Sender<(Command, std::sync::mpsc::Sender<Child>)>,
}

impl Namespace {
    /// A thread in a namespace of its own starts what is to live there, after `prepare`.
    fn new(prepare: impl FnOnce() + Send + 'static) -> Self {
        let (spawn, jobs) = std::sync::mpsc::channel::<(Command, std::sync::mpsc::Sender<Child>)>();
        let (release, released) = std::sync::mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            prepare();
            for (mut command, answer) in jobs {
                answer
                    .send(command.spawn().expect("a process"))
                    .expect("someone waits for it");
            }
            // The namespace lives as long as this thread, or longer by its processes.
            let _: Result<(), _> = released.recv();
        });
        Self {
            release: Some(release),
            spawn,
        }
    }

    fn start(&self, command: Command) -> Child {
        let (answer, child) = std::sync::mpsc::channel();
        self.spawn
            .send((command, answer))
            .expect("the namespace's thread lives");
        child.recv().expect("the process starts")
    }
}

/// Says that a test is passed over, past the test runner, which swallows what passing tests print.
pub(crate) fn skip(reason: &str) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    // Nobody has to read it.
    let _ = writeln!(std::io::stderr(), "skipped: {reason} ({name})");
}

/// Whether the test can run; says why not.
pub(crate) fn is_root() -> bool {
    let root = Uid::effective().is_root();
    if !root {
        skip("needs root");
    }
    root
}

impl Daemon {
    /// Starts a daemon on an empty data root, with the image `probe` imported.
    pub(crate) fn start() -> Self {
        Self::make(Vec::new(), None, || {})
    }

    /// As [`start`](Self::start), with further arguments and a socket to inherit.
    pub(crate) fn start_with(arguments: Vec<String>, inherited: Option<OwnedFd>) -> Self {
        Self::make(arguments, inherited, || {})
    }

    /// As [`start`](Self::start), from a thread that does something first: what it changes of itself, the daemon inherits.
    pub(crate) fn start_after(prepare: impl FnOnce() + Send + 'static) -> Self {
        Self::make(Vec::new(), None, prepare)
    }

    fn make(arguments: Vec<String>, inherited: Option<OwnedFd>, prepare: impl FnOnce() + Send + 'static) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("gantry-test-{}-{count}", std::process::id()));
        fs::create_dir_all(&root).expect("a directory for the test");
        let mut daemon = Self {
            root,
            process: None,
            namespace: Namespace::new(prepare),
            arguments,
            inherited,
        };
        daemon.launch();
        daemon.import_probe();
        daemon
    }

    /// Has another process take the place of the running one, which has to end well.
    pub(crate) fn replace(&mut self) {
        let mut predecessor = self.process.take().expect("the daemon runs");
        self.arguments.push("--take-over".to_owned());
        self.launch();
        self.arguments.pop();
        let status = predecessor.wait().expect("it ends");
        assert!(status.success(), "gantryd ended with {status:?}\n{}", self.log());
    }

    /// Starts the process and waits until it answers.
    pub(crate) fn launch(&mut self) {
        let program = env!("CARGO_BIN_EXE_gantryd");
        let mut command = match &self.inherited {
            None => Command::new(program),
            Some(socket) => {
                // The shell gives it the number and the environment that systemd would (sd_listen_fds(3)).
                let mut shell = Command::new("/bin/sh");
                let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
                shell.args(["-c", script, "sh", program]);
                shell.stdin(socket.try_clone().expect("a descriptor"));
                shell
            }
        };
        if self.inherited.is_none() {
            command.stdin(Stdio::null());
        }
        command
            .args(&self.arguments)
            .args(further_arguments())
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .arg("--data-root")
            .arg(self.root.join("data"))
            .arg("--exec-root")
            .arg(self.root.join("exec"))
            .arg("--log-level=debug")
            .stdout(Stdio::piped())
            .stderr(
                fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(self.root.join("log"))
                    .expect("a log"),
            );
        let mut process = self.namespace.start(command);
        let mut first = String::new();
        let out = process.stdout.take().expect("standard output is a pipe");
        let _ = BufReader::new(out).read_line(&mut first);
        assert!(
            first.contains("listens on"),
            "gantryd did not start: {first}\n{}",
            self.log()
        );
        self.process = Some(process);
    }

    /// Ends the process as a crash would.
    pub(crate) fn crash(&mut self) {
        let mut process = self.process.take().expect("the daemon runs");
        process.kill().expect("SIGKILL");
        process.wait().expect("it ends");
    }

    /// Ends the process as an operator would.
    pub(crate) fn terminate(&mut self) {
        let mut process = self.process.take().expect("the daemon runs");
        kill(pid(&process), Signal::SIGTERM).expect("SIGTERM");
        let status = process.wait().expect("it ends");
        assert!(
            status.success(),
            "gantryd ended with {status:?} (signal {:?})\n{}",
            status.signal(),
            self.log()
        );
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("sock")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn pid(&self) -> i32 {
        pid(self.process.as_ref().expect("the daemon runs")).as_raw()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.socket(), PATIENCE).expect("a connection")
    }

    pub(crate) fn exchange(&self, request: &Request) -> Response {
        self.connect()
            .exchange(request)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", request.line(), self.log()))
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.exchange(&Request::new("GET", target))
    }

    pub(crate) fn post(&self, target: &str) -> Response {
        self.exchange(&Request::new("POST", target))
    }

    pub(crate) fn delete(&self, target: &str) -> Response {
        self.exchange(&Request::new("DELETE", target))
    }

    pub(crate) fn post_json(&self, target: &str, body: &Value) -> Response {
        self.exchange(&Request::new("POST", target).body("application/json", body.to_string().into_bytes()))
    }

    /// Creates a container of the probe image and returns its id.
    pub(crate) fn create(&self, command: &[&str], more: Value) -> String {
        let mut words = vec!["/probe"];
        words.extend(command);
        let mut body = json!({"Image": "probe", "Cmd": words, "HostConfig": {"NetworkMode": "none"}});
        merge(&mut body, more);
        let response = self.post_json("/v1.24/containers/create", &body);
        assert_eq!(status(&response), 201, "{}", text(&response));
        json_of(&response)["Id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn start_container(&self, id: &str) {
        let response = self.post(&format!("/v1.24/containers/{id}/start"));
        assert_eq!(status(&response), 204, "{}\n{}", text(&response), self.log());
    }

    pub(crate) fn wait(&self, id: &str) -> i64 {
        let response = self.post(&format!("/v1.24/containers/{id}/wait"));
        assert_eq!(status(&response), 200, "{}", text(&response));
        json_of(&response)["StatusCode"].as_i64().expect("a code")
    }

    pub(crate) fn inspect(&self, id: &str) -> Value {
        let response = self.get(&format!("/v1.24/containers/{id}/json"));
        assert_eq!(status(&response), 200, "{}", text(&response));
        json_of(&response)
    }

    /// Standard output and error as the log has them.
    pub(crate) fn logs(&self, id: &str) -> (String, String) {
        let response = self.get(&format!("/v1.24/containers/{id}/logs?stdout=1&stderr=1"));
        assert_eq!(status(&response), 200, "{}", text(&response));
        split(&response.body)
    }

    /// Creates, starts and waits; returns exit code and output.
    pub(crate) fn run(&self, command: &[&str], more: Value) -> (i64, String, String) {
        let id = self.create(command, more);
        self.start_container(&id);
        let code = self.wait(&id);
        let (out, err) = self.logs(&id);
        (code, out, err)
    }

    fn import_probe(&self) {
        let response = self.exchange(
            &Request::new("POST", "/v1.24/images/create?fromSrc=-&repo=probe")
                .body("application/x-tar", probe_archive()),
        );
        assert_eq!(status(&response), 200, "{}\n{}", text(&response), self.log());
    }

    /// What of this daemon's containers is left on the machine: keepers, control groups, mounts.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let root = self.root.display().to_string();
        for mount in fs::read_to_string("/proc/mounts")
            .expect("mounts")
            .lines()
            .filter(|line| line.contains(&root))
        {
            found.push(format!("mount {mount}"));
        }
        for id in self.container_ids() {
            for group in cgroups(&id) {
                found.push(format!("control group {}", group.display()));
            }
        }
        found
    }

    fn container_ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root.join("data/containers"))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// Waits for something that happens by itself.
    pub(crate) fn eventually(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what} did not come true\n{}", self.log());
            thread::yield_now();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
        // The daemon may be down; the containers' first processes are then found by their control groups.
        for id in self.container_ids() {
            for group in cgroups(&id) {
                let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                for process in processes.lines().filter_map(|line| line.parse().ok()) {
                    let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
                }
            }
        }
        for id in self.container_ids() {
            let deadline = Instant::now() + Duration::from_secs(10);
            while !cgroups(&id).is_empty() && Instant::now() < deadline {
                thread::yield_now();
            }
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        self.namespace.release.take();
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Words for the command line of every daemon, from outside: the same tests, other transports.
fn further_arguments() -> Vec<String> {
    let words = std::env::var("GANTRYD_ARGUMENTS").unwrap_or_default();
    words.split_whitespace().map(str::to_owned).collect()
}

fn pid(process: &Child) -> Pid {
    Pid::from_raw(i32::try_from(process.id()).expect("a process id"))
}

/// The control groups of a container that are there.
pub(crate) fn cgroups(id: &str) -> Vec<PathBuf> {
    let hierarchies = Hierarchies::discover().expect("mountinfo");
    let groups = hierarchies
        .iter()
        .map(|hierarchy| hierarchy.directory(&format!("/gantry/{id}")));
    groups.filter(|group| group.is_dir()).collect()
}

/// A tar of the probe and a few directories.
pub(crate) fn probe_archive() -> Vec<u8> {
    let program = Path::new(env!("CARGO_BIN_EXE_gantryd"))
        .with_file_name("examples")
        .join("probe");
    let program = fs::read(&program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_400_000_000);
        archive.append_data(&mut header, path, content).expect("memory");
    };
    for directory in ["etc/", "proc/", "sys/", "dev/", "tmp/"] {
        add(directory, tar::EntryType::Directory, 0o755, b"");
    }
    add(
        "etc/passwd",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:0:root:/:/probe\nalice:x:1000:1001:alice:/tmp:/probe\n",
    );
    add(
        "etc/group",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:\nalice:x:1001:\nwheel:x:10:alice\n",
    );
    add("plain", tar::EntryType::Regular, 0o644, b"no program\n");
    add("probe", tar::EntryType::Regular, 0o755, &program);
    archive.into_inner().expect("memory")
}

pub(crate) fn status(response: &Response) -> u16 {
    response.head.status
}

pub(crate) fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

pub(crate) fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {}", text(response)))
}

/// Takes a framed stream apart: standard output, standard error.
pub(crate) fn split(stream: &[u8]) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut rest = stream;
    while let Some((&[kind, 0, 0, 0, l0, l1, l2, l3], after)) = rest.split_first_chunk::<8>() {
        let (payload, after) = after.split_at(u32::from_be_bytes([l0, l1, l2, l3]) as usize);
        match kind {
            1 => out.extend_from_slice(payload),
            2 => err.extend_from_slice(payload),
            other => panic!("a frame of stream {other}"),
        }
        rest = after;
    }
    assert!(rest.is_empty(), "half a frame: {rest:?}");
    (
        String::from_utf8_lossy(&out).into_owned(),
        String::from_utf8_lossy(&err).into_owned(),
    )
}

/// Lays the members of `more` over `base`, level by level.
fn merge(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (name, value) in more {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more,
    }
}
