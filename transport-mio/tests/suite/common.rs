//! What the tests of the loop share: a tiny protocol, a service made of one closure, and a loop on a thread of its own.
//! The clients are plain blocking sockets of the standard library, with a time limit instead of a hang.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use gantry_core::{
    Instant,
    driver::{ConnId, Driver, ListenerId, Output, PipeId, Protocol, Service, SourceId, TimerId},
};
use transport::{Limits, Mailbox, Reactor, Server};

/// Long enough for the slowest machine; reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes in, bytes out. It echoes, or it tells the service what came in and sends what it is given.
#[derive(Debug)]
pub struct Wire {
    pub echo: bool,
    pub paused: bool,
    /// Output that may wait before an echo takes no more input.
    pub out_max: usize,
    /// The longest prefix of one input that is taken.
    pub take_max: usize,
    /// When to say [`Said::Timeout`], once.
    pub deadline: Option<Instant>,
    out: VecDeque<u8>,
    /// Behind `out`: so much of a source, and bytes behind that.
    spliced: VecDeque<(SourceId, usize, Vec<u8>)>,
    said: VecDeque<Said>,
    finish: Finish,
    closing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finish {
    No,
    Wanted,
    Said,
}

/// The events of [`Wire`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Input(Vec<u8>),
    Eof,
    Reset,
    Timeout,
}

impl Wire {
    pub fn echo() -> Self {
        Self {
            echo: true,
            ..Self::relay()
        }
    }

    pub fn relay() -> Self {
        Self {
            echo: false,
            paused: false,
            out_max: 64 * 1024,
            take_max: usize::MAX,
            deadline: None,
            out: VecDeque::new(),
            spliced: VecDeque::new(),
            said: VecDeque::new(),
            finish: Finish::No,
            closing: false,
        }
    }

    /// A relay that takes no input yet.
    pub fn paused() -> Self {
        let mut wire = Self::relay();
        wire.paused = true;
        wire
    }

    /// An echo that takes a few bytes of each input.
    pub fn nibbling() -> Self {
        let mut wire = Self::echo();
        wire.take_max = 3;
        wire
    }

    pub fn send(&mut self, bytes: &[u8]) {
        match self.spliced.back_mut() {
            Some((_, _, behind)) => behind.extend(bytes),
            None => self.out.extend(bytes),
        }
    }

    /// Sends so much of a source behind what was sent before.
    pub fn splice(&mut self, source: SourceId, len: usize) {
        self.spliced.push_back((source, len, Vec::new()));
    }

    /// Ends our direction behind what is queued.
    pub fn finish(&mut self) {
        self.finish = Finish::Wanted;
    }

    /// Closes the connection behind what is queued.
    pub fn close(&mut self) {
        self.closing = true;
    }
}

impl Protocol for Wire {
    type Event = Said;

    fn handle_input(&mut self, _now: Instant, bytes: &[u8]) -> usize {
        if self.paused {
            return 0;
        }
        let mut len = bytes.len().min(self.take_max);
        if self.echo {
            len = len.min(self.out_max.saturating_sub(self.out.len()));
            self.out.extend(&bytes[..len]);
        } else {
            self.said.push_back(Said::Input(bytes[..len].to_vec()));
        }
        len
    }

    fn handle_eof(&mut self, _now: Instant) {
        self.said.push_back(Said::Eof);
        if self.echo {
            self.closing = true;
        }
    }

    fn handle_reset(&mut self, _now: Instant) {
        self.said.push_back(Said::Reset);
        self.out.clear();
        self.spliced.clear();
        self.closing = true;
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.said.push_back(Said::Timeout);
        }
    }

    fn poll_output(&mut self, _now: Instant, out: &mut [u8]) -> Output<Said> {
        if let Some(said) = self.said.pop_front() {
            return Output::Event(said);
        }
        let len = self.out.len().min(out.len());
        if len > 0 {
            let (front, back) = self.out.as_slices();
            let from_front = len.min(front.len());
            out[..from_front].copy_from_slice(&front[..from_front]);
            out[from_front..len].copy_from_slice(&back[..len - from_front]);
            self.out.drain(..len);
            if self.out.is_empty() {
                self.out = VecDeque::new();
            }
            return Output::Transmit(len);
        }
        if !out.is_empty()
            && let Some((source, len, behind)) = self.spliced.pop_front()
        {
            self.out.extend(behind);
            return Output::Splice { source, len };
        }
        if !self.spliced.is_empty() {
            return Output::Wait(self.deadline);
        }
        if self.out.is_empty() && self.finish == Finish::Wanted {
            self.finish = Finish::Said;
            return Output::Shutdown;
        }
        if self.out.is_empty() && self.closing {
            Output::Close
        } else {
            Output::Wait(self.deadline)
        }
    }

    fn output_queued(&self) -> usize {
        let spliced = self.spliced.iter().map(|(_, len, behind)| len + behind.len());
        self.out.len() + spliced.sum::<usize>()
    }

    fn wants_input(&self) -> bool {
        !self.paused && !self.closing && (!self.echo || self.out.len() < self.out_max)
    }
}

/// Every call-back but `accept` and `message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Event(ConnId, Said),
    Writable(ConnId),
    Closed(ConnId),
    PipeInput(PipeId, Vec<u8>),
    PipeDrained(PipeId),
    PipeClosed(PipeId, i32),
    Timer(TimerId),
}

/// What other threads send: something to do on the loop.
pub type Job = Box<dyn FnOnce(&mut Reactor<Wire>) + Send>;

/// A service made of closures.
pub struct Daemon<A, F> {
    pub accept: A,
    pub call: F,
}

impl<A, F> Service<Reactor<Wire>> for Daemon<A, F>
where
    A: FnMut(&mut Reactor<Wire>, ConnId, ListenerId) -> Wire,
    F: FnMut(&mut Reactor<Wire>, Call),
{
    type Message = Job;

    fn accept(&mut self, driver: &mut Reactor<Wire>, conn: ConnId, listener: ListenerId) -> Wire {
        (self.accept)(driver, conn, listener)
    }

    fn event(&mut self, driver: &mut Reactor<Wire>, conn: ConnId, event: Said) {
        (self.call)(driver, Call::Event(conn, event));
    }

    fn writable(&mut self, driver: &mut Reactor<Wire>, conn: ConnId) {
        (self.call)(driver, Call::Writable(conn));
    }

    fn closed(&mut self, driver: &mut Reactor<Wire>, conn: ConnId) {
        assert!(driver.protocol(conn).is_none(), "the id is dead");
        (self.call)(driver, Call::Closed(conn));
    }

    fn pipe_input(&mut self, driver: &mut Reactor<Wire>, pipe: PipeId, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        (self.call)(driver, Call::PipeInput(pipe, bytes.to_vec()));
    }

    fn pipe_drained(&mut self, driver: &mut Reactor<Wire>, pipe: PipeId) {
        assert_eq!(driver.pipe_queued(pipe), 0);
        (self.call)(driver, Call::PipeDrained(pipe));
    }

    fn pipe_closed(&mut self, driver: &mut Reactor<Wire>, pipe: PipeId, errno: i32) {
        (self.call)(driver, Call::PipeClosed(pipe, errno));
    }

    fn timer(&mut self, driver: &mut Reactor<Wire>, timer: TimerId) {
        (self.call)(driver, Call::Timer(timer));
    }

    fn message(&mut self, driver: &mut Reactor<Wire>, job: Job) {
        job(driver);
    }
}

/// The listeners of [`Running`].
pub const UNIX: ListenerId = ListenerId(7);
pub const TCP: ListenerId = ListenerId(11);

/// A loop that is not running yet.
pub fn server(limits: Limits) -> Server<Wire, Job> {
    Server::new(limits).unwrap_or_else(|error| crate::refused(&error))
}

/// A loop on a thread of its own, stopped when dropped.
pub struct Running {
    pub unix: PathBuf,
    pub tcp: String,
    pub mailbox: Mailbox<Job>,
    /// Connections in the order in which they were accepted.
    accepted: Receiver<(ConnId, ListenerId)>,
    thread: Option<JoinHandle<()>>,
    _dir: Scratch,
}

impl Running {
    /// Starts a loop; `wire` makes the protocol of each connection, `call` gets every call-back.
    pub fn start<F>(limits: Limits, wire: fn() -> Wire, mut call: F) -> Self
    where
        F: FnMut(&mut Reactor<Wire>, Call) + Send + 'static,
    {
        let dir = Scratch::new();
        let unix = dir.path.join("d.sock");
        let mut server = server(limits);
        let socket = UnixListener::bind(&unix).expect("unix");
        server.listen(socket.into(), UNIX).expect("unix");
        let socket = TcpListener::bind("127.0.0.1:0").expect("tcp");
        let tcp = socket.local_addr().expect("tcp").to_string();
        server.listen(socket.into(), TCP).expect("tcp");
        let mailbox = server.mailbox();
        let (accepts, accepted) = channel();
        let thread = std::thread::spawn(move || {
            let accept = move |_: &mut Reactor<Wire>, conn, listener| {
                let _ = accepts.send((conn, listener));
                wire()
            };
            server
                .run(&mut Daemon {
                    accept,
                    call: move |driver: &mut Reactor<Wire>, it| call(driver, it),
                })
                .expect("run");
        });
        Self {
            unix,
            tcp,
            mailbox,
            accepted,
            thread: Some(thread),
            _dir: dir,
        }
    }

    /// Starts a loop whose call-backs are sent to the test.
    pub fn record(wire: fn() -> Wire) -> (Self, Receiver<Call>) {
        let (calls, seen) = channel();
        let running = Self::start(Limits::default(), wire, move |_, call| {
            let _ = calls.send(call);
        });
        (running, seen)
    }

    /// Does something on the loop and returns its result.
    pub fn on_loop<T: Send + 'static>(&self, job: impl FnOnce(&mut Reactor<Wire>) -> T + Send + 'static) -> T {
        let (results, result): (Sender<T>, Receiver<T>) = channel();
        let job: Job = Box::new(move |driver| {
            let _ = results.send(job(driver));
        });
        self.mailbox.send(job).expect("the loop runs");
        result.recv_timeout(PATIENCE).expect("the loop answers")
    }

    /// A command to the protocol of a connection.
    pub fn tell(&self, conn: ConnId, command: impl FnOnce(&mut Wire) + Send + 'static) {
        self.on_loop(move |driver| command(driver.protocol(conn).expect("the connection is there")));
    }

    pub fn next_conn(&self) -> ConnId {
        self.next_accepted().0
    }

    pub fn next_accepted(&self) -> (ConnId, ListenerId) {
        self.accepted.recv_timeout(PATIENCE).expect("a connection is accepted")
    }

    /// Whether a connection has been accepted that the test has not asked for.
    pub fn has_accepted(&self) -> bool {
        self.accepted.try_recv().is_ok()
    }

    pub fn connect_unix(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.unix).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn connect_tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.tcp).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One connection of each kind.
    pub fn connect_both(&self) -> [(&'static str, Box<dyn Client>); 2] {
        [
            ("unix", Box::new(self.connect_unix())),
            ("tcp", Box::new(self.connect_tcp())),
        ]
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.mailbox.send(Box::new(|driver| driver.stop()));
        let ended = self.thread.take().expect("joined once").join();
        if !std::thread::panicking() {
            ended.expect("the loop did not panic");
        }
    }
}

/// A stream socket of either kind.
pub trait Client: Read + Write + Send {
    fn shut_write(&self);
    fn twin(&self) -> Box<dyn Client>;
}

impl Client for UnixStream {
    fn shut_write(&self) {
        shut(self.shutdown(std::net::Shutdown::Write));
    }

    fn twin(&self) -> Box<dyn Client> {
        Box::new(self.try_clone().expect("clone"))
    }
}

impl Client for TcpStream {
    fn shut_write(&self) {
        shut(self.shutdown(std::net::Shutdown::Write));
    }

    fn twin(&self) -> Box<dyn Client> {
        Box::new(self.try_clone().expect("clone"))
    }
}

/// Of a connection that has been reset nothing is left to be ended.
fn shut(result: std::io::Result<()>) {
    let is_over = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotConnected;
    assert!(result.as_ref().err().is_none_or(is_over), "{result:?}");
}

/// Reads exactly this many bytes.
pub fn read_len(client: &mut dyn Read, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).expect("bytes arrive");
    bytes
}

pub fn next(calls: &Receiver<Call>) -> Call {
    calls.recv_timeout(PATIENCE).expect("a call-back comes")
}

/// Joins the inputs of a connection until something else is said, which is returned too.
pub fn inputs_until_other(calls: &Receiver<Call>) -> (Vec<u8>, Call) {
    let mut bytes = Vec::new();
    loop {
        match next(calls) {
            Call::Event(_, Said::Input(more)) | Call::PipeInput(_, more) => bytes.extend(more),
            other => return (bytes, other),
        }
    }
}

/// Bytes that differ from place to place.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// A directory of one test, removed when dropped.
pub struct Scratch {
    pub path: PathBuf,
}

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gantry-transport-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("scratch directory");
        Self { path }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
