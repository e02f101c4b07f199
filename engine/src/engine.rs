//! The engine itself: takes calls, bytes and deadlines in, and gives replies and bytes out through a [`Port`].
//!
//! It lives on one thread and never waits. Reads are answered from memory; everything that blocks is a job for a
//! [`Workers`] pool that answers with a [`Message`]. What happens to one container happens in order: while a start or a
//! removal is under way, later calls on that container wait in its own queue, and nobody else waits for them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use gantry_core::{
    Call, EventsQuery, ImagePull, Refusal, Reply,
    driver::{PipeId, TimerId},
    model::{Actor, Event},
};

use crate::{
    container::{Containers, Follower, LogWatch, Record, Stored},
    download::Download,
    event::{self, Events},
    image_calls::Transfer,
    message::{Ended, ImageEvent, Message, News, Outcome},
    port::{CallId, Port},
    shared::Shared,
    worker::Workers,
};

/// The container engine.
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) post: Arc<dyn Fn(News) + Send + Sync>,
    /// Short jobs: starts, commits, removals.
    jobs: Workers,
    /// Jobs that wait for a client's bytes.
    transfer_jobs: Workers,
    /// Jobs that wait for a client to read.
    download_jobs: Workers,
    pub(crate) containers: Containers,
    pub(crate) events: Events,
    event_followers: HashMap<CallId, EventsQuery>,
    pub(crate) transfers: HashMap<CallId, Transfer>,
    pub(crate) downloads: HashMap<CallId, Download>,
    /// Attach and logs streams.
    pub(crate) followers: HashMap<CallId, Follower>,
    pub(crate) pipes: HashMap<PipeId, PipeUse>,
    pub(crate) timers: HashMap<TimerId, TimerUse>,
    timers_made: u64,
    /// An image is being removed; creates wait in `held`.
    pub(crate) image_removal: bool,
    pub(crate) held: VecDeque<(CallId, Call)>,
    /// Calls whose clients went away while they wait in a queue.
    pub(crate) abandoned: HashSet<CallId>,
    /// Who gets the output of which subscription.
    pub(crate) subscriptions: HashMap<u64, CallId>,
    pub(crate) subscriptions_made: u64,
    pub(crate) log_watch: LogWatch,
    /// What was found at the start, until [`Engine::start`].
    pub(crate) booting: Vec<(Record, Option<Stored>)>,
}

/// What a pipe is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PipeUse {
    /// A keeper's control socket.
    Keeper { container: String },
    /// Standard input of a container, or its terminal.
    Stdin { container: String },
    /// Live output on its way to a client.
    Output { call: CallId },
    /// A tar stream on its way to a client.
    Tar { call: CallId },
    /// Changes of followed logs.
    LogWatch,
}

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimerUse {
    /// The grace of a stop is over.
    StopGrace { container: String },
    /// A killed container should have ended by now.
    KillDeadline { container: String },
    /// `until` of an events stream.
    EventsUntil { call: CallId },
}

impl Engine {
    pub(crate) fn new(
        shared: Arc<Shared>,
        post: Arc<dyn Fn(Message) + Send + Sync>,
        booting: Vec<(Record, Option<Stored>)>,
    ) -> Self {
        Self {
            shared,
            post: Arc::new(move |news| post(Message(news))),
            jobs: Workers::new("gantry-job", JOB_THREADS_MAX),
            transfer_jobs: Workers::new("gantry-transfer", TRANSFER_THREADS_MAX),
            download_jobs: Workers::new("gantry-download", DOWNLOAD_THREADS_MAX),
            containers: Containers::default(),
            events: Events::default(),
            event_followers: HashMap::new(),
            transfers: HashMap::new(),
            downloads: HashMap::new(),
            followers: HashMap::new(),
            pipes: HashMap::new(),
            timers: HashMap::new(),
            timers_made: 0,
            image_removal: false,
            held: VecDeque::new(),
            abandoned: HashSet::new(),
            subscriptions: HashMap::new(),
            subscriptions_made: 0,
            log_watch: LogWatch::default(),
            booting,
        }
    }

    /// A client's call. It is answered with exactly one [`Port::reply`], now or later.
    pub fn call(&mut self, port: &mut dyn Port, call: CallId, request: Call) {
        match request {
            Call::ContainerAttach(request) => self.container_attach(port, call, request),
            Call::ContainerCreate(request) => self.container_create(port, call, request),
            Call::ContainerExport { container } => self.container_export(port, call, container),
            Call::ContainerInspect { container, size } => self.container_inspect(port, call, &container, size),
            Call::ContainerKill { container, signal } => self.container_kill(port, call, container, signal),
            Call::ContainerList(query) => self.container_list(port, call, &query),
            Call::ContainerLogs(request) => self.container_logs(port, call, request),
            Call::ContainerRemove(request) => self.container_remove(port, call, request),
            Call::ContainerResize {
                container,
                height,
                width,
            } => {
                self.container_resize(port, call, &container, height, width);
            }
            Call::ContainerStart { container, host_config } => self.container_start(port, call, container, host_config),
            Call::ContainerStop { container, grace_secs } => self.container_stop(port, call, container, grace_secs),
            Call::ContainerWait { container } => self.container_wait(port, call, &container),
            Call::Events(query) => self.events_open(port, call, query),
            Call::ImageGet { image } => self.image_get(port, call, &[image]),
            Call::ImageGetMany { images } => self.image_get(port, call, &images),
            Call::ImageImport(request) => self.image_import(port, call, request),
            Call::ImagePull(ImagePull { repository, tag, .. }) => {
                let name = if tag.is_empty() {
                    repository
                } else {
                    format!("{repository}:{tag}")
                };
                let what = format!("pulling images ({name}: import or load it instead)");
                port.reply(call, Reply::Refused(Refusal::NotSupported(what)));
            }
            Call::ImageInspect { image } => self.image_inspect(port, call, &image),
            Call::ImageList(query) => self.image_list(port, call, &query),
            Call::ImageLoad { quiet } => self.image_load(call, quiet),
            Call::ImageRemove { image, force, noprune } => self.image_remove(call, image, force, noprune),
            Call::ImageTag {
                image,
                repository,
                tag,
                force,
            } => self.image_tag(call, image, repository, tag, force),
            Call::Info => port.reply(call, Reply::Info(Box::new(self.info()))),
            Call::Ping => port.reply(call, Reply::Pong),
            Call::Version => port.reply(call, Reply::Version(Box::new(self.shared.version()))),
            unsupported => port.reply(
                call,
                Reply::Refused(Refusal::NotSupported(unsupported.endpoint().to_owned())),
            ),
        }
    }

    /// A piece of a call's body.
    pub fn body(&mut self, port: &mut dyn Port, call: CallId, bytes: Bytes) {
        self.transfer_body(port, call, bytes);
    }

    /// A call's body is whole.
    pub fn body_end(&mut self, call: CallId) {
        self.transfer_body_end(call);
    }

    /// Bytes for the standard input of an attached container.
    pub fn input(&mut self, port: &mut dyn Port, call: CallId, bytes: Bytes) {
        self.attach_input(port, call, bytes);
    }

    /// The client ended the standard input of an attached container.
    pub fn input_end(&mut self, port: &mut dyn Port, call: CallId) {
        self.attach_input_end(port, call);
    }

    /// The client typed the detach keys: its stream is over, the container runs on.
    pub fn detached(&mut self, port: &mut dyn Port, call: CallId) {
        if let Some(follower) = self.followers.get(&call) {
            let container = follower.container().to_owned();
            self.container_event(port, &container, "detach", &[]);
        }
        self.follower_gone(port, call);
    }

    /// The client of a call is gone.
    pub fn aborted(&mut self, port: &mut dyn Port, call: CallId) {
        self.transfer_aborted(call);
        self.download_aborted(port, call);
        self.event_followers.remove(&call);
        self.follower_gone(port, call);
        if !self.containers.forget_caller(call) && self.held.iter().any(|(held, _)| *held == call) {
            self.abandoned.insert(call);
        }
    }

    /// A client whose queue was full has room again.
    pub fn writable(&mut self, port: &mut dyn Port, call: CallId) {
        self.follower_writable(port, call);
        self.download_writable(port, call);
    }

    /// Bytes came out of a pipe.
    pub fn pipe_input(&mut self, port: &mut dyn Port, pipe: PipeId, bytes: &[u8]) {
        match self.pipes.get(&pipe).cloned() {
            Some(PipeUse::Keeper { container }) => self.keeper_said(port, &container, bytes),
            Some(PipeUse::Output { call }) => self.live_output(port, call, bytes),
            Some(PipeUse::Tar { call }) => self.tar_read(port, call, bytes),
            Some(PipeUse::LogWatch) => self.logs_changed(bytes),
            // A terminal's or pipe's own output goes through the keeper.
            Some(PipeUse::Stdin { .. }) | None => {}
        }
    }

    /// A pipe's queue is empty.
    pub fn pipe_drained(&mut self, port: &mut dyn Port, pipe: PipeId) {
        if let Some(PipeUse::Stdin { container }) = self.pipes.get(&pipe).cloned() {
            self.stdin_drained(port, &container);
        }
    }

    /// A pipe ended or failed.
    pub fn pipe_closed(&mut self, port: &mut dyn Port, pipe: PipeId) {
        match self.pipes.remove(&pipe) {
            Some(PipeUse::Keeper { container }) => self.keeper_gone(&container),
            Some(PipeUse::Stdin { container }) => self.stdin_closed(port, &container),
            Some(PipeUse::Output { call }) => self.live_output_ended(port, call),
            Some(PipeUse::Tar { call }) => self.tar_read_ended(port, call),
            Some(PipeUse::LogWatch) => log::error!("the watch on logs ended; followers will see no more output"),
            None => {}
        }
    }

    /// A timer's deadline has come.
    pub fn timer(&mut self, port: &mut dyn Port, timer: TimerId) {
        match self.timers.remove(&timer) {
            Some(TimerUse::StopGrace { container }) => self.stop_grace_over(port, &container),
            Some(TimerUse::KillDeadline { container }) => self.kill_deadline_over(port, &container),
            Some(TimerUse::EventsUntil { call }) if self.event_followers.remove(&call).is_some() => port.finish(call),
            Some(TimerUse::EventsUntil { .. }) | None => {}
        }
    }

    /// A worker has news.
    pub fn message(&mut self, port: &mut dyn Port, message: Message) {
        match message.0 {
            News::Answered { call, outcome, ended } => {
                for ImageEvent { action, id, name } in outcome.events {
                    self.event(port, "image", action, event::actor(&id, [("name", name)]));
                }
                self.answered(port, call, outcome.reply);
                self.work_ended(port, ended);
            }
            News::Created { call, record, result } => self.created(port, call, record, result),
            News::Started { call, id, result } => self.started(port, call, &id, result),
            News::Settled { id } => self.settled(port, &id),
            News::Removed { call, id, result } => self.removed(port, call, &id, result),
            News::Found { id, stored } => self.found(port, &id, stored),
            News::LogRead { call, result } => self.log_read(port, call, result),
            News::TarWritten { call, len } => self.tar_written(port, call, len),
            News::UploadRoom { call } => port.pause_input(call, false),
            News::Progress { call, progress } => self.transfer_progress(port, call, progress),
            News::Panicked { call, container, ended } => {
                log::error!("a job panicked (call {call:?}, container {container:?})");
                if let Some(call) = call {
                    let reply = Reply::Refused(Refusal::Internal("internal error: see the daemon's log".to_owned()));
                    self.answered(port, call, reply);
                }
                if let Some(id) = container {
                    self.operation_failed(port, &id);
                }
                self.work_ended(port, ended);
            }
        }
    }

    /// A job's result: the answer, or the end of a stream.
    fn answered(&mut self, port: &mut dyn Port, call: CallId, reply: Reply) {
        if self.transfers.contains_key(&call) {
            self.transfer_ended(port, call, reply);
        } else if self.downloads.contains_key(&call) {
            self.download_ended(port, call, reply);
        } else {
            port.reply(call, reply);
        }
    }

    /// Lets calls go on that waited for exclusive work.
    pub(crate) fn work_ended(&mut self, port: &mut dyn Port, ended: Ended) {
        if ended == Ended::ImageRemoval {
            self.image_removal = false;
        }
        if self.image_removal || self.containers.creating() > 0 {
            return;
        }
        for (call, request) in std::mem::take(&mut self.held) {
            if !self.abandoned.remove(&call) {
                self.call(port, call, request);
            }
        }
    }

    /// Runs a job whose result is the answer.
    pub(crate) fn defer(
        &self,
        call: CallId,
        ended: Ended,
        work: impl FnOnce(&Shared) -> Result<Outcome, Refusal> + Send + 'static,
    ) {
        self.answer_from(&self.jobs, call, ended, work);
    }

    /// As [`defer`](Self::defer), for jobs that read a client's bytes.
    pub(crate) fn transfer(
        &self,
        call: CallId,
        work: impl FnOnce(&Shared) -> Result<Outcome, Refusal> + Send + 'static,
    ) {
        self.answer_from(&self.transfer_jobs, call, Ended::Nothing, work);
    }

    /// As [`defer`](Self::defer), for jobs that write a tar stream.
    pub(crate) fn download(
        &self,
        call: CallId,
        work: impl FnOnce(&Shared) -> Result<Outcome, Refusal> + Send + 'static,
    ) {
        self.answer_from(&self.download_jobs, call, Ended::Nothing, work);
    }

    fn answer_from(
        &self,
        pool: &Workers,
        call: CallId,
        ended: Ended,
        work: impl FnOnce(&Shared) -> Result<Outcome, Refusal> + Send + 'static,
    ) {
        let (shared, post, panic_post) = (Arc::clone(&self.shared), self.post.clone(), self.post.clone());
        pool.run(
            move || {
                post(News::Answered {
                    call,
                    outcome: Outcome::of(work(&shared)),
                    ended,
                });
            },
            move || {
                panic_post(News::Panicked {
                    call: Some(call),
                    container: None,
                    ended,
                });
            },
        );
    }

    /// Runs a job about a container whose news is `work`'s result.
    pub(crate) fn job(
        &self,
        call: Option<CallId>,
        container: Option<&str>,
        work: impl FnOnce(&Shared) -> News + Send + 'static,
    ) {
        let (shared, post, panic_post) = (Arc::clone(&self.shared), self.post.clone(), self.post.clone());
        let container = container.map(str::to_owned);
        self.jobs.run(
            move || post(work(&shared)),
            move || {
                panic_post(News::Panicked {
                    call,
                    container,
                    ended: Ended::Nothing,
                });
            },
        );
    }

    /// Runs a job that nobody waits for.
    pub(crate) fn background(&self, work: impl FnOnce(&Shared) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        self.jobs.run(
            move || work(&shared),
            || log::error!("a job in the background panicked"),
        );
    }

    /// A timer that is set.
    pub(crate) fn start_timer(
        &mut self,
        port: &mut dyn Port,
        after: std::time::Duration,
        timer_use: TimerUse,
    ) -> TimerId {
        self.timers_made += 1;
        let timer = TimerId(self.timers_made);
        self.timers.insert(timer, timer_use);
        port.set_timer(timer, Some(port.now() + after));
        timer
    }

    pub(crate) fn stop_timer(&mut self, port: &mut dyn Port, timer: TimerId) {
        if self.timers.remove(&timer).is_some() {
            port.set_timer(timer, None);
        }
    }

    /// Records an event and tells those who follow.
    pub(crate) fn event(&mut self, port: &mut dyn Port, kind: &str, action: &str, actor: Actor) {
        let event = self.events.record(crate::clock::now(), kind, action, actor);
        let mut stalled = Vec::new();
        for (&call, query) in &self.event_followers {
            if event::matches(query, &event) {
                // A reader who does not read is let go rather than skipped, and costs its own queue only.
                if port.has_room(call) {
                    port.send(call, gantry_core::Item::Event(Box::new(event.clone())));
                } else {
                    stalled.push(call);
                }
            }
        }
        for call in stalled {
            self.event_followers.remove(&call);
            port.abort(call);
        }
    }

    pub(crate) fn events_followed(&self) -> usize {
        self.event_followers.len()
    }

    fn events_open(&mut self, port: &mut dyn Port, call: CallId, query: EventsQuery) {
        if let Some(name) = query.filters.unknown(event::FILTERS) {
            let text = format!("Invalid filter '{name}'");
            port.reply(call, Reply::Refused(Refusal::BadParameter(text)));
            return;
        }
        port.reply(call, Reply::EventStream);
        let past: Vec<Event> = self.events.past(&query);
        for event in past {
            port.send(call, gantry_core::Item::Event(Box::new(event)));
        }
        if let Some(until) = query.until {
            let left = until.as_nanos() - crate::clock::now().as_nanos();
            let Ok(left) = u64::try_from(left) else {
                port.finish(call);
                return;
            };
            self.start_timer(
                port,
                std::time::Duration::from_nanos(left),
                TimerUse::EventsUntil { call },
            );
        }
        self.event_followers.insert(call, query);
    }
}

/// Starts in parallel on few cores; each waits mostly for the kernel.
const JOB_THREADS_MAX: usize = 16;
/// Uploads read at the same time; more wait for their turn.
const TRANSFER_THREADS_MAX: usize = 16;
/// Tar streams written at the same time.
const DOWNLOAD_THREADS_MAX: usize = 16;
