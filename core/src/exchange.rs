//! One request and its answer, between HTTP and the daemon.
//!
//! An [`Exchange`] knows the version and the endpoint of one request. It makes the typed call out of head and body, and
//! puts replies and stream items into the words of that version. It has no part in framing: lengths, chunks, and the
//! choice between 101 and 200 are HTTP's.

mod piece;
mod response;
mod target;
mod viz;

use alloc::{
    borrow::{Cow, ToOwned},
    collections::VecDeque,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::{
    piece::{framed, message, progress_text},
    response::{BYTES, JSON, RAW_STREAM, TAR, TEXT},
    target::{escape, split_version},
};
pub(crate) use self::{
    response::{Response, ResponseBody},
    target::clean,
};
use crate::{
    Call, Item, Refusal, Reply, Secret, base64, decode,
    dialect::{self, Answer, ApiVersion, Asked, Failure, Manner, VersionError},
    framing::StreamKind,
    http::{Part, RequestHead},
    json,
    model::{Event, Exec, PathStat, Progress},
    query::{self, Query},
    route::{self, Route},
    upload::{ContextForm, Upload},
    websocket::{self, Handshake, HandshakeError, Opcode, close_frame, frame_header},
};

/// One request, from its head to the end of its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    version: ApiVersion,
    manner: Manner,
    route: Route,
    /// What stands for the placeholder of the path.
    name: String,
    query: Query,
    content_type: Option<String>,
    /// `X-Registry-Auth`; empty when it is not there.
    registry_auth: Secret,
    /// `X-Registry-Config`; empty when it is not there.
    registry_config: Secret,
    /// The body of a build while it comes.
    upload: Option<Upload>,
    /// Detach keys of an attach or exec with standard input; empty otherwise.
    detach_keys: Vec<u8>,
    /// The answer to come is carried by a WebSocket.
    handshake: Option<Handshake>,
    /// Whose page asks for a WebSocket; browsers say it.
    origin: Option<Origin>,
    stream: Stream,
}

/// Where a page comes from.
#[derive(Debug)]
struct Origin {
    name: String,
    /// From where the request goes to.
    is_same: bool,
}

/// What the items of the answer look like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stream {
    /// No stream has been opened.
    None,
    /// Container output with frame headers.
    Framed,
    /// Container output as it is; with a terminal, the detach keys are looked for.
    Raw {
        tty: bool,
    },
    /// Container output as WebSocket messages; with a terminal, the detach keys are looked for.
    Messages {
        tty: bool,
        /// Bytes of standard output and of standard error that are the beginning of a character.
        held: [Bytes; 2],
    },
    Events,
    Progress,
    Stats,
    /// A tar stream.
    Tar,
    /// Nothing is told until the end; holds the error, if there was one.
    Silent(Option<String>),
}

impl Exchange {
    /// Looks at the head. The error is the whole answer: an unknown endpoint or version, or an endpoint that needs no
    /// call.
    pub(crate) fn begin(head: &RequestHead) -> Result<Self, Response> {
        if head.method == "OPTIONS" {
            // Every daemon answers so on any path, for the preflight requests of browsers.
            return Err(Response::new(200, ResponseBody::None));
        }
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let newest = |failure| fail(ApiVersion::NEWEST, None, &failure);
        let path = query::decode(path, false).map_err(|e| newest(Failure::BadTarget(e)))?;
        let (version, plain) = split_version(&path);
        if let Some(clean) = clean(&path) {
            let target = if query.is_empty() {
                clean
            } else {
                format!("{clean}?{query}")
            };
            let mut response = Response::new(301, ResponseBody::None);
            response.headers.push(("Location", Cow::Owned(escape(&target))));
            return Err(response);
        }
        let parsed = version.map_or(Ok(ApiVersion::NEWEST), ApiVersion::parse);
        // An error is worded as the asked version does, even before the endpoint is known.
        let asked = parsed.unwrap_or(ApiVersion::NEWEST);
        let Some((route, name)) = route::find(&head.method, plain) else {
            return Err(fail(asked, None, &Failure::NoRoute));
        };
        let version = parsed.map_err(|e| {
            let text = version.unwrap_or_default().to_owned();
            newest(match e {
                VersionError::TooNew => Failure::TooNew(text),
                VersionError::TooOld => Failure::TooOld(text),
                VersionError::Malformed => Failure::NoRoute,
            })
        })?;
        if !dialect::has_route(version, route) {
            return Err(fail(version, Some(route), &Failure::NoRoute));
        }
        if !route.is_served() {
            let failure = Failure::NotServed {
                method: head.method.clone(),
                path: plain.to_owned(),
            };
            return Err(fail(version, Some(route), &failure));
        }
        let query = Query::parse(query).map_err(|e| fail(version, Some(route), &Failure::BadTarget(e)))?;
        let (mut handshake, mut origin) = (None, None);
        if route == Route::ContainerAttachWebsocket {
            handshake = Some(websocket::handshake(head).map_err(|e| {
                let mut response = fail(version, Some(route), &Failure::BadHandshake(e));
                if e == HandshakeError::BadVersion {
                    response.headers.push(("Sec-WebSocket-Version", Cow::Borrowed("13")));
                }
                response.close = true;
                response
            })?);
            origin = head.headers.get("origin").map(|name| Origin {
                name: name.to_owned(),
                is_same: websocket::is_same_origin(name, head.headers.get("host")),
            });
        }
        Ok(Self {
            version,
            manner: dialect::manner(version, route),
            route,
            name,
            query,
            content_type: head.headers.get("content-type").map(ToOwned::to_owned),
            registry_auth: head.headers.get("x-registry-auth").unwrap_or_default().into(),
            registry_config: head.headers.get("x-registry-config").unwrap_or_default().into(),
            upload: None,
            detach_keys: Vec::new(),
            handshake,
            origin,
            stream: Stream::None,
        })
    }

    /// What the request brings after its head.
    pub(crate) fn body(&self) -> decode::Body {
        decode::body(self.route, &self.query)
    }

    /// Whether what follows the request may be meant for a stream.
    pub(crate) fn may_hijack(&self) -> bool {
        matches!(self.route, Route::ContainerAttach | Route::ExecStart)
    }

    /// Refuses a WebSocket to pages of another origin than ours or `allowed` (`*` is any): unlike other requests, browsers
    /// send a handshake without asking first, and let the page read what comes.
    pub(crate) fn check_origin(&self, allowed: Option<&str>) -> Result<(), Response> {
        match &self.origin {
            Some(Origin { name, is_same: false })
                if !allowed.is_some_and(|allowed| allowed == "*" || allowed == name) =>
            {
                Err(self.fail(&Failure::ForeignOrigin(name.clone())))
            }
            _ => Ok(()),
        }
    }

    /// Whether the answer to come is carried by a WebSocket.
    pub(crate) fn is_websocket(&self) -> bool {
        self.handshake.is_some()
    }

    /// Makes the call. `body` is the whole body if [`body`](Self::body) said JSON, else empty.
    pub(crate) fn call(&mut self, body: &[u8]) -> Result<Call, Response> {
        self.decode(body).map_err(|failure| self.fail(&failure))
    }

    /// The answer to the call.
    pub(crate) fn respond(&mut self, reply: Reply) -> Response {
        match reply {
            Reply::Refused(refusal) => self.fail(&Failure::Refused(refusal)),
            Reply::Attached { tty } => self.attached(tty),
            Reply::ExecAttached { tty, detach_keys } => {
                // The daemon has them from a create, where they were read before.
                let keys = |text: String| decode::exec_detach_keys(&text).unwrap_or_default();
                self.detach_keys = detach_keys.map(keys).unwrap_or_default();
                self.attached(tty)
            }
            Reply::Logs { tty } => {
                self.stream = self.output(tty);
                Response::typed(200, RAW_STREAM, ResponseBody::Stream)
            }
            Reply::EventStream => {
                self.stream = Stream::Events;
                Response::typed(200, JSON, ResponseBody::Stream)
            }
            Reply::StatsStream => {
                self.stream = Stream::Stats;
                Response::typed(200, JSON, ResponseBody::Stream)
            }
            Reply::ProgressStream if self.route == Route::ImageLoad && !self.manner.load_talks => {
                self.stream = Stream::Silent(None);
                Response::new(200, ResponseBody::Later)
            }
            Reply::ProgressStream => {
                self.stream = Stream::Progress;
                let content_type = if self.manner.json_progress {
                    JSON
                } else if self.route == Route::Build && self.manner.context != ContextForm::FormOrInput {
                    TEXT
                } else {
                    RAW_STREAM
                };
                let body = if self.manner.progress_in_http {
                    ResponseBody::Stream
                } else {
                    ResponseBody::StreamUntilClose
                };
                Response::typed(200, content_type, body)
            }
            Reply::Pong => {
                let mut response = Response::typed(200, TEXT, ResponseBody::Full(Bytes::from_static(b"OK")));
                // Clients settle the version and the system they talk to by these.
                let newest = Cow::Borrowed(dialect::API_VERSION_NEWEST);
                response.headers.push(("Api-Version", newest));
                response.headers.push(("Ostype", Cow::Borrowed("linux")));
                response
            }
            Reply::Archive(stat) => {
                self.stream = Stream::Tar;
                let mut response = Response::typed(200, TAR, ResponseBody::Stream);
                response.headers.push((PATH_STAT, path_stat(&stat)));
                response
            }
            Reply::ContainerPath(stat) => {
                let mut response = Response::new(200, ResponseBody::None);
                response.headers.push((PATH_STAT, path_stat(&stat)));
                response
            }
            Reply::Tar => {
                self.stream = Stream::Tar;
                let content_type = match self.route {
                    Route::ContainerCopy if !self.manner.copy_is_tar => BYTES,
                    Route::ContainerExport => BYTES,
                    _ => TAR,
                };
                Response::typed(200, content_type, ResponseBody::Stream)
            }
            Reply::Done => self.empty(match self.route {
                Route::ContainerArchivePut
                | Route::ContainerResize
                | Route::ContainerResizeByGet
                | Route::ExecResize
                | Route::ExecStart
                | Route::ImageLoad
                | Route::NetworkConnect
                | Route::NetworkDisconnect => 200,
                Route::ImageTag => 201,
                _ => 204,
            }),
            Reply::NotModified => self.empty(304),
            Reply::AuthChecked { status, identity_token } => {
                let token = identity_token.expose();
                self.json(200, &json!({"IdentityToken": token, "Status": status}))
            }
            Reply::AuthShown(login) => self.json(200, &login),
            Reply::Committed { id } => {
                let mut response = self.json(201, &json!({"Id": id}));
                if !self.manner.commit_is_json {
                    response.headers = vec![("Content-Type", Cow::Borrowed(RAW_STREAM))];
                }
                response
            }
            Reply::ContainerCreated { id, warnings } => self.json(201, &json!({"Id": id, "Warnings": warnings})),
            Reply::ContainerChanges(list) => self.json(200, &list),
            Reply::ContainerExited { status_code } => self.json(200, &json!({"StatusCode": status_code})),
            Reply::ContainerList(list) => self.json(200, &list),
            Reply::Container(container) => self.json(200, &container),
            Reply::ContainerUpdated { warnings } => self.json(200, &json!({"Warnings": warnings})),
            Reply::Exec(exec) => self.exec(&exec),
            Reply::ExecCreated { id, warnings } => self.json(201, &json!({"Id": id, "Warnings": warnings})),
            Reply::Image(image) => self.json(200, &image),
            Reply::ImageCached { id } => self.json(200, &json!({"Id": id})),
            Reply::ImageHistory(history) => self.json(200, &history),
            Reply::ImageList(list) if self.route == Route::ImageViz => {
                Response::typed(200, TEXT, ResponseBody::Full(viz::graph(&list).into()))
            }
            Reply::ImageList(list) => self.json(200, &list),
            Reply::ImageRemoved(steps) => self.json(200, &steps),
            Reply::ImageSearch(found) => self.json(200, &found),
            Reply::Info(info) => self.json(200, &info),
            Reply::ProcessList(list) => self.json(200, &list),
            Reply::Stats(stats) => self.json(200, &stats),
            Reply::Network(network) => self.json(200, &network),
            Reply::NetworkCreated { id, warning } => self.json(201, &json!({"Id": id, "Warning": warning})),
            Reply::NetworkList(list) => self.json(200, &list),
            Reply::Version(version) => self.json(200, &version),
            Reply::Volume(volume) => {
                let status = if self.route == Route::VolumeCreate { 201 } else { 200 };
                self.json(status, &volume)
            }
            Reply::VolumeList { volumes, warnings } => {
                self.json(200, &json!({"Volumes": volumes, "Warnings": warnings}))
            }
        }
    }

    /// The bytes of one item of the stream that the last [`respond`](Self::respond) opened. Every event and message is
    /// one piece, as old clients take each chunk for one.
    pub(crate) fn item(&mut self, item: Item, out: &mut VecDeque<Part>) {
        let item = match item {
            Item::Failed(refusal) => {
                let words = dialect::words(self.version, Some(self.route), &Failure::Refused(refusal));
                Item::Progress(Progress {
                    error: Some(words.text),
                    ..Progress::default()
                })
            }
            item => item,
        };
        match (item, &mut self.stream) {
            (Item::Output(_, bytes), _) if bytes.is_empty() => {}
            (Item::Output(kind, mut bytes), Stream::Framed) => {
                framed(kind, bytes.len(), out, |len| Part::Bytes(bytes.split_to(len)));
            }
            (Item::Output(_, bytes), Stream::Raw { .. }) => out.push_back(Part::Bytes(bytes)),
            (Item::Output(kind, bytes), Stream::Messages { held, .. }) => {
                let [stdout, stderr] = held;
                message(if kind == StreamKind::Stderr { stderr } else { stdout }, bytes, out);
            }
            // What is not seen may be anything.
            (Item::Spliced { kind, source, len }, Stream::Messages { held, .. }) => {
                let [stdout, stderr] = held;
                let held = core::mem::take(if kind == StreamKind::Stderr { stderr } else { stdout });
                out.push_back(Part::Bytes(frame_header(Opcode::Binary, held.len() + len)));
                out.push_back(Part::Bytes(held));
                out.push_back(Part::Source { source, len });
            }
            (Item::Spliced { kind, source, len }, Stream::Framed) => {
                framed(kind, len, out, |len| Part::Source { source, len });
            }
            (Item::Spliced { source, len, .. }, Stream::Raw { .. }) => out.push_back(Part::Source { source, len }),
            (Item::Data(bytes), Stream::Tar) if !bytes.is_empty() => out.push_back(Part::Bytes(bytes)),
            (Item::Spliced { source, len, .. }, Stream::Tar) if len > 0 => out.push_back(Part::Source { source, len }),
            (Item::Event(event), Stream::Events) => out.extend(self.event(&event).map(Part::Bytes)),
            (Item::Stats(stats), Stream::Stats) => out.extend(self.json_line(&stats).map(Part::Bytes)),
            (Item::Progress(progress), Stream::Progress) => out.extend(self.progress(&progress).map(Part::Bytes)),
            (Item::Progress(progress), Stream::Silent(error)) => {
                if let Some(text) = progress.error {
                    error.get_or_insert(text);
                }
            }
            // An item of another kind than the stream is the daemon's mistake and has no form.
            _ => {}
        }
    }

    /// The answer of an exchange whose [`respond`](Self::respond) gave [`ResponseBody::Later`], at the end of its items.
    /// `None` for all others.
    pub(crate) fn finish(&mut self) -> Option<Response> {
        match &mut self.stream {
            Stream::Silent(error) => Some(match error.take() {
                Some(text) => self.fail(&Failure::Refused(Refusal::Internal(text))),
                None => Response::new(200, ResponseBody::None),
            }),
            _ => None,
        }
    }

    /// How the streamed body of a build is read; `None` for all others, which are passed on as they are.
    pub(crate) fn upload(&mut self) -> Option<&mut Upload> {
        self.upload.as_mut()
    }

    /// The head that is owed before the daemon has said anything: in v1.0 a client that builds takes the connection out of
    /// HTTP, and sends nothing until it has seen the answer. `None` when the request has a body, or needs none.
    pub(crate) fn promise(&self, has_body: bool) -> Option<Response> {
        let waits = self.route == Route::Build && self.manner.context == ContextForm::FormOrInput;
        let waits = waits && !has_body && self.query.text("remote").is_none();
        waits.then(|| Response::typed(200, RAW_STREAM, ResponseBody::Hijack))
    }

    /// Answers the call after the head has gone. The bytes are the last ones; `None` when items follow.
    pub(crate) fn respond_late(&mut self, reply: Reply) -> Option<Bytes> {
        if let Reply::Refused(refusal) = reply {
            let words = dialect::words(self.version, Some(self.route), &Failure::Refused(refusal));
            let text = progress_text(&json!({"error": words.text}));
            return Some(text.unwrap_or_default().into());
        }
        let opens_stream = reply.opens_stream();
        self.respond(reply);
        (!opens_stream).then(Bytes::new)
    }

    /// The last bytes of a WebSocket: what is left of the output, and the close frame.
    pub(crate) fn close(&mut self, code: Option<u16>, out: &mut VecDeque<Part>) {
        if let Stream::Messages { held, .. } = &mut self.stream {
            for rest in held.iter_mut().map(core::mem::take).filter(|rest| !rest.is_empty()) {
                out.push_back(Part::Bytes(frame_header(Opcode::Binary, rest.len())));
                out.push_back(Part::Bytes(rest));
            }
            out.push_back(Part::Bytes(close_frame(code)));
        }
    }

    /// The keys that end a terminal's attachment, after the reply to an attach with standard input.
    pub(crate) fn detach_keys(&self) -> Option<&[u8]> {
        let tty = matches!(
            self.stream,
            Stream::Raw { tty: true } | Stream::Messages { tty: true, .. }
        );
        (tty && !self.detach_keys.is_empty()).then_some(&self.detach_keys)
    }

    fn decode(&mut self, body: &[u8]) -> Result<Call, Failure> {
        let mut asked = Asked {
            body: self.read_body(body)?,
            query: core::mem::take(&mut self.query),
        };
        dialect::lift(self.version, self.route, &mut asked);
        let takes_input = match self.route {
            Route::ContainerAttach => asked.query.flag("stdin"),
            Route::ContainerAttachWebsocket => decode::websocket_streams(&asked.query).0,
            _ => false,
        };
        if takes_input {
            self.detach_keys = decode::detach_keys(&asked.query)?;
        }
        if self.route == Route::Build {
            let content_type = self.content_type.as_deref().unwrap_or_default();
            let upload = Upload::new(self.manner.context, content_type)
                .ok_or_else(|| Refusal::BadParameter("no multipart boundary param in Content-Type".to_owned()))?;
            self.upload = Some(upload);
        }
        decode::call(self.route, &self.manner, core::mem::take(&mut self.name), asked)
    }

    /// The JSON object of a gathered body; empty for none and for `null`.
    fn read_body(&self, body: &[u8]) -> Result<Map<String, Value>, Failure> {
        let takes_login = matches!(self.route, Route::ImageCreate | Route::ImagePush | Route::ImageSearch);
        if takes_login && !self.registry_auth.is_empty() {
            // The header took the place of the body, which nobody reads beside it.
            return Ok(decode::registry::header(self.registry_auth.expose()));
        }
        match (decode::body(self.route, &self.query), self.route) {
            (_, Route::Build) => {
                return Ok(decode::logins(
                    self.registry_config.expose(),
                    self.registry_auth.expose(),
                ));
            }
            (decode::Body::None | decode::Body::Stream, _) => return Ok(Map::new()),
            // `{}` and the like were never looked at, whatever their type.
            (_, Route::ContainerStart) if self.manner.start_configures && body.len() <= 2 => return Ok(Map::new()),
            (_, Route::ContainerStart) if self.manner.start_configures => {}
            (_, Route::ContainerStart) if body.len() <= SHORT_START_BODY => return Ok(Map::new()),
            (_, Route::ContainerStart) => return Err(Failure::BodyAtStart),
            (decode::Body::Optional, _) if body.is_empty() => return Ok(Map::new()),
            (decode::Body::Required, _) if body.is_empty() => return Err(json::JsonError::Empty.into()),
            (decode::Body::Optional | decode::Body::Required, _) => {}
        }
        self.read_json(body).map_err(|failure| match failure {
            Failure::BadJson(error) if self.route == Route::ImagePush => Failure::BadLogin(error),
            other => other,
        })
    }

    fn read_json(&self, body: &[u8]) -> Result<Map<String, Value>, Failure> {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
        let is_checked = match self.route {
            // Logins were never asked for their type.
            Route::AuthCheck | Route::ImagePush => false,
            Route::ExecStart => self.manner.exec_start_has_type,
            _ => true,
        };
        if is_checked && !media_type.trim().eq_ignore_ascii_case("application/json") {
            return Err(Failure::ContentType(content_type.to_owned()));
        }
        let mut map = match json::parse(body)? {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            other => {
                let why = format!("expected an object, got {}", json::kind(&other));
                let key = "the request body".to_owned();
                return Err(json::JsonError::WrongType { key, why }.into());
            }
        };
        decode::spell(self.route, &mut map);
        Ok(map)
    }

    fn output(&self, tty: bool) -> Stream {
        if tty || !self.manner.framed_output {
            Stream::Raw { tty }
        } else {
            Stream::Framed
        }
    }

    fn attached(&mut self, tty: bool) -> Response {
        let Some(handshake) = &self.handshake else {
            self.stream = self.output(tty);
            return Response::typed(200, RAW_STREAM, ResponseBody::Hijack);
        };
        let mut response = Response::new(101, ResponseBody::WebSocket);
        response.headers = handshake.headers();
        let held = [Bytes::new(), Bytes::new()];
        self.stream = Stream::Messages { tty, held };
        response
    }

    fn fail(&self, failure: &Failure) -> Response {
        let mut response = fail(self.version, Some(self.route), failure);
        response.close = self.is_websocket();
        response
    }

    fn empty(&self, status: u16) -> Response {
        self.answer(Answer { status, body: None })
    }

    fn json(&self, status: u16, body: &impl Serialize) -> Response {
        if !dialect::lowers(self.version, self.route, false) {
            return match serde_json::to_vec(body) {
                Ok(bytes) => Response::json(status, bytes),
                Err(e) => self.unserializable(&e),
            };
        }
        match serde_json::to_value(body) {
            Ok(body) => self.answer(Answer {
                status,
                body: Some(body),
            }),
            Err(e) => self.unserializable(&e),
        }
    }

    /// Lowers and writes an answer.
    fn answer(&self, mut answer: Answer) -> Response {
        dialect::lower(self.version, self.route, &mut answer);
        let Some(body) = answer.body else {
            return Response::new(answer.status, ResponseBody::None);
        };
        match serde_json::to_vec(&body) {
            Ok(bytes) => Response::json(answer.status, bytes),
            Err(e) => self.unserializable(&e),
        }
    }

    /// No type of the model fails to serialise (their keys are strings); still better an answer than a panic.
    fn unserializable(&self, error: &serde_json::Error) -> Response {
        self.fail(&Failure::Refused(Refusal::Internal(format!("reply: {error}"))))
    }

    /// An exec, with its container as an inspect of the version shows it.
    fn exec(&self, exec: &Exec) -> Response {
        let mut body = match serde_json::to_value(exec) {
            Ok(body) => body,
            Err(e) => return self.unserializable(&e),
        };
        if let Some(container) = body.get_mut("Container") {
            let mut inspected = Answer {
                status: 200,
                body: Some(container.take()),
            };
            dialect::lower(self.version, Route::ContainerInspect, &mut inspected);
            *container = inspected.body.unwrap_or_default();
        }
        self.answer(Answer {
            status: 200,
            body: Some(body),
        })
    }

    fn event(&self, event: &Event) -> Option<Bytes> {
        if self.manner.event_lines {
            self.json_line(event)
        } else {
            self.json_item(event).map(Bytes::from)
        }
    }

    fn json_line(&self, item: &impl Serialize) -> Option<Bytes> {
        let mut bytes = self.json_item(item)?;
        bytes.push(b'\n');
        Some(bytes.into())
    }

    /// An item of a JSON stream in the version's shape, if the version has it.
    fn json_item(&self, item: &impl Serialize) -> Option<Vec<u8>> {
        if !dialect::lowers(self.version, self.route, true) {
            return serde_json::to_vec(item).ok();
        }
        let mut item = serde_json::to_value(item).ok()?;
        if !dialect::lower_item(self.version, self.route, &mut item) {
            return None;
        }
        serde_json::to_vec(&item).ok()
    }

    fn progress(&self, progress: &Progress) -> Option<Bytes> {
        let mut item = serde_json::to_value(progress).ok()?;
        if let Some(error) = &progress.error {
            let detail = match progress.error_code {
                Some(code) => json!({"code": code, "message": error}),
                None => json!({"message": error}),
            };
            item.as_object_mut()?.insert("errorDetail".to_owned(), detail);
        }
        if !dialect::lower_item(self.version, self.route, &mut item) {
            return None;
        }
        if self.manner.json_progress {
            let mut bytes = serde_json::to_vec(&item).ok()?;
            bytes.extend_from_slice(b"\r\n");
            Some(bytes.into())
        } else {
            let mut text = progress_text(&item)?;
            if self.route == Route::Build && progress.stream.is_some() {
                // The line feed is in the text. A terminal in raw mode needs more, and builds are told there.
                text.push('\r');
            }
            Some(text.into())
        }
    }
}

/// Bytes up to which the body of a start is not looked at where it may not have one, as in Docker.
const SHORT_START_BODY: usize = 7;

/// The header that says what a path in a container is.
pub(crate) const PATH_STAT: &str = "X-Docker-Container-Path-Stat";

/// The error answer of `version`.
fn fail(version: ApiVersion, route: Option<Route>, failure: &Failure) -> Response {
    let words = dialect::words(version, route, failure);
    if words.status < 300 {
        // What is an error now was none then.
        return Response::new(words.status, ResponseBody::None);
    }
    let form = dialect::manner(version, route.unwrap_or(Route::Ping));
    if form.json_errors {
        let message = json!({"message": words.text}).to_string();
        Response::json(words.status, message.into_bytes())
    } else {
        let text = words.text + "\n";
        Response::typed(words.status, TEXT, ResponseBody::Full(text.into()))
    }
}

/// The value of [`PATH_STAT`].
fn path_stat(stat: &PathStat) -> Cow<'static, str> {
    // Its keys are names, so this does not fail.
    Cow::Owned(base64::encode(
        &serde_json::to_vec(stat).unwrap_or_default(),
        base64::STANDARD,
    ))
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a test may panic, and a table's type is the table"
)]
mod tests;
