//! Runs cases against a daemon and says how each went.
//!
//! Every case gets connections, names and a clean-up of its own; whatever a case leaves behind fails it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::case::{Case, NamedCase, Skips, Step};
use crate::check::{Names, fill, fill_json, fits};
use crate::client::{Connection, Request, Response};
use crate::endpoint::Endpoint;
use crate::frames::Splitter;
use crate::http::Head;
use crate::subject::Subject;
use crate::version::{ApiVersion, Versions};

/// How long a step may wait for the daemon. dockerd takes 10 s to stop what ignores the signal.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Otherwise, and how.
    Failed(String),
    /// It failed as it is known to, and why that is so.
    Skipped(String),
}

/// The daemon and what the cases are run with.
#[derive(Debug)]
pub struct Judge {
    endpoint: Endpoint,
    /// Image for the cases, imported already.
    image: String,
    /// Version to clean up with: one that knows `force`.
    newest: ApiVersion,
    rootfs: Vec<u8>,
    skips: Skips,
    serial: AtomicU64,
}

impl Judge {
    /// A judge over the daemon of `subject`, which has the image; `rootfs` is the tar for steps that send it.
    pub fn new(subject: &Subject, newest: ApiVersion, rootfs: Vec<u8>, skips: Skips) -> Self {
        let (endpoint, image) = (subject.endpoint.clone(), subject.image.clone());
        Self {
            endpoint,
            image,
            newest,
            rootfs,
            skips,
            serial: AtomicU64::new(0),
        }
    }

    /// Runs one case in one version; nothing if the case is not about that version.
    pub fn run(&self, case: &NamedCase, version: ApiVersion) -> Option<Verdict> {
        if !holds(&case.case.api, version) {
            return None;
        }
        let outcome = self.run_steps(&case.case, version);
        Some(match (outcome, self.skips.reason(&case.name, version)) {
            (Ok(()), None) => Verdict::Passed,
            (Err(why), None) => Verdict::Failed(why),
            (Err(_), Some(reason)) => Verdict::Skipped(reason.to_owned()),
            (Ok(()), Some(reason)) => Verdict::Failed(format!("passes although it is skipped: {reason}")),
        })
    }

    fn run_steps(&self, case: &Case, version: ApiVersion) -> Result<(), String> {
        let subject = Subject::new("", &self.endpoint, &self.newest.to_string(), &self.image);
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let mut names = Names::new();
        let unique = format!("judge-{}-{serial}", std::process::id());
        for (key, value) in [
            ("api", version.to_string()),
            ("image", self.image.clone()),
            ("name", format!("{unique}-a")),
            ("name2", format!("{unique}-b")),
            ("repo", format!("{unique}-image")),
            ("missing", "deadbeef".repeat(8)),
        ] {
            names.insert(key.to_owned(), value);
        }
        subject.note_container(&names["name"]);
        subject.note_container(&names["name2"]);
        subject.note_image(&format!("{}:latest", names["repo"]));
        let mut run = Run {
            judge: self,
            version,
            names,
            streams: BTreeMap::new(),
            subject,
        };
        let mut outcome = Ok(());
        for (number, step) in case
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| holds(&step.api, version))
        {
            outcome = run.step(step).map_err(|why| {
                let what = step.call.as_deref().or(step.stream.as_deref()).unwrap_or_default();
                format!("step {} ({what}): {why}", number + 1)
            });
            if outcome.is_err() {
                break;
            }
        }
        let Run { subject, streams, .. } = run;
        drop(streams);
        let left = subject.clean_up();
        outcome.and_then(|()| {
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("left behind: {}", left.join("; ")))
            }
        })
    }
}

fn holds(range: &Option<Versions>, version: ApiVersion) -> bool {
    range.as_ref().is_none_or(|range| range.contain(version))
}

/// One case under way.
struct Run<'a> {
    judge: &'a Judge,
    version: ApiVersion,
    names: Names,
    streams: BTreeMap<String, Stream>,
    subject: Subject,
}

struct Stream {
    connection: Connection,
    method: String,
    /// The head of the answer, once it was read.
    head: Option<Head>,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match (&step.call, &step.stream) {
            (Some(call), _) => self.call(step, call),
            (None, Some(name)) => self.stream(step, name),
            (None, None) => Err("neither call nor stream".to_owned()),
        }
    }

    fn call(&mut self, step: &Step, call: &str) -> Result<(), String> {
        let request = self.request(step, call)?;
        let mut connection = Connection::open_at(&self.judge.endpoint, PATIENCE).map_err(|error| error.to_string())?;
        connection.send(&request.encode()).map_err(|error| error.to_string())?;
        let method = request.method().to_owned();
        if step.answer_later {
            self.keep(
                step,
                Stream {
                    connection,
                    method,
                    head: None,
                },
            );
            return Ok(());
        }
        let head = connection.read_head(&method).map_err(|error| error.to_string())?;
        let wanted = step.status.as_ref().map(|status| status.at(self.version)).transpose()?;
        if wanted.is_none_or(|wanted| *wanted == head.status) && step.open.is_some() {
            self.check_head(step, &head)?;
            self.keep(
                step,
                Stream {
                    connection,
                    method,
                    head: Some(head),
                },
            );
            return Ok(());
        }
        self.read(step, connection, head)
    }

    fn stream(&mut self, step: &Step, name: &str) -> Result<(), String> {
        let mut stream = self
            .streams
            .remove(name)
            .ok_or_else(|| format!("no stream is open as {name}"))?;
        if let Some(text) = &step.send {
            let text = fill(text, &self.names)?;
            stream
                .connection
                .send(text.as_bytes())
                .map_err(|error| error.to_string())?;
        }
        if step.half_close {
            stream.connection.half_close().map_err(|error| error.to_string())?;
        }
        if let Some(text) = &step.until {
            read_until(&mut stream.connection, &fill(text, &self.names)?)?;
        }
        if step.vanish {
            return Ok(());
        }
        if !expects_content(step) && step.status.is_none() {
            self.streams.insert(name.to_owned(), stream);
            return Ok(());
        }
        let head = match stream.head.take() {
            Some(head) => head,
            None => stream
                .connection
                .read_head(&stream.method)
                .map_err(|error| error.to_string())?,
        };
        self.read(step, stream.connection, head)
    }

    fn keep(&mut self, step: &Step, stream: Stream) {
        if let Some(name) = &step.open {
            self.streams.insert(name.clone(), stream);
        }
    }

    fn request(&self, step: &Step, call: &str) -> Result<Request, String> {
        let call = fill(call, &self.names)?;
        let (method, path) = call.split_once(' ').ok_or("call is not METHOD /path")?;
        let target = if step.unversioned {
            path.to_owned()
        } else {
            format!("/v{}{path}", self.version)
        };
        let mut request = Request::new(method, target);
        for (name, value) in &step.headers {
            request = request.field(name, &fill(value, &self.names)?);
        }
        if step.upgrade {
            request = request.upgrade();
        }
        if let Some(json) = &step.json {
            let json = fill_json(json, &self.names)?.to_string();
            request = request.body("application/json", json.into_bytes());
        } else if let Some(body) = &step.body {
            request = request.bare_body(body.clone().into_bytes());
        } else if step.rootfs {
            request = request.body("application/x-tar", self.judge.rootfs.clone());
        }
        Ok(request)
    }

    /// Reads what the step wants to see, and compares.
    fn read(&mut self, step: &Step, mut connection: Connection, head: Head) -> Result<(), String> {
        if let Some(values) = &step.values {
            self.check_head(step, &head)?;
            let wanted = values
                .iter()
                .map(|value| fill_json(value, &self.names))
                .collect::<Result<Vec<_>, _>>()?;
            return read_values(&mut connection, &wanted);
        }
        let body = connection.read_rest().map_err(|error| error.to_string())?;
        let answer = Response { head, body };
        self.check_head(step, &answer.head)
            .map_err(|why| format!("{why}: {}", answer.excerpt()))?;
        self.check_text(step, &answer)?;
        self.check_json(step, &answer)
    }

    fn check_head(&self, step: &Step, head: &Head) -> Result<(), String> {
        if let Some(wanted) = &step.status {
            let wanted = wanted.at(self.version)?;
            if *wanted != head.status {
                return Err(format!("status is {}, wanted {wanted}", head.status));
            }
        }
        if let Some(wanted) = &step.content_type {
            let wanted = wanted.at(self.version)?;
            let got = head.field("content-type").unwrap_or("none");
            if got.split(';').next().map(str::trim) != Some(wanted) {
                return Err(format!("Content-Type is {got}, wanted {wanted}"));
            }
        }
        Ok(())
    }

    fn check_text(&self, step: &Step, answer: &Response) -> Result<(), String> {
        let text = String::from_utf8_lossy(&answer.body);
        if let Some(wanted) = &step.text {
            let wanted = fill(wanted, &self.names)?;
            if text != wanted {
                return Err(format!("text is {text:?}, wanted {wanted:?}"));
            }
        }
        if let Some(wanted) = &step.contains {
            let wanted = fill(wanted, &self.names)?;
            if !text.contains(&wanted) {
                return Err(format!("text is {text:?}, wanted {wanted:?} in it"));
            }
        }
        if step.stdout.is_some() || step.stderr.is_some() {
            let got = split(&answer.body)?;
            for (stream, wanted, got) in [("stdout", &step.stdout, &got[1]), ("stderr", &step.stderr, &got[2])] {
                let Some(wanted) = wanted else { continue };
                let (wanted, got) = (fill(wanted, &self.names)?, String::from_utf8_lossy(got));
                if got != wanted {
                    return Err(format!("{stream} is {got:?}, wanted {wanted:?}"));
                }
            }
        }
        if let Some(wanted) = &step.error {
            let wanted = fill(wanted.at(self.version)?, &self.names)?;
            let got = error_message(self.version, answer)?;
            if got != wanted {
                return Err(format!("error is {got:?}, wanted {wanted:?}"));
            }
        }
        Ok(())
    }

    fn check_json(&mut self, step: &Step, answer: &Response) -> Result<(), String> {
        let Some(wanted) = &step.answer else { return Ok(()) };
        let got: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("the answer is not JSON ({error}): {}", answer.excerpt()))?;
        fits(&fill_json(wanted, &self.names)?, &got)?;
        for (name, pointer) in &step.capture {
            let value = got
                .pointer(pointer)
                .ok_or_else(|| format!("nothing to capture at {pointer}"))?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if step
                .call
                .as_deref()
                .is_some_and(|call| call.starts_with("POST /containers/create"))
            {
                self.subject.note_container(&text);
            }
            self.names.insert(name.clone(), text);
        }
        Ok(())
    }
}

fn expects_content(step: &Step) -> bool {
    step.text.is_some()
        || step.contains.is_some()
        || step.stdout.is_some()
        || step.stderr.is_some()
        || step.answer.is_some()
        || step.values.is_some()
        || step.error.is_some()
}

/// Takes frames apart: stdin, stdout, stderr.
fn split(body: &[u8]) -> Result<[Vec<u8>; 3], String> {
    let mut streams: [Vec<u8>; 3] = Default::default();
    let mut splitter = Splitter::default();
    splitter
        .feed(body, |stream, data| {
            streams[usize::from(stream)].extend_from_slice(data);
        })
        .map_err(|error| error.to_string())?;
    if splitter.at_boundary() {
        Ok(streams)
    } else {
        Err("the last frame is cut off".to_owned())
    }
}

/// The message of an error answer. Below v1.24 it is the whole text with a line end, from there on JSON with one field
/// (history, v1.24: "errors are JSON").
fn error_message(version: ApiVersion, answer: &Response) -> Result<String, String> {
    const JSON_FROM: ApiVersion = ApiVersion { major: 1, minor: 24 };
    let kind = answer.head.field("content-type").unwrap_or("none");
    if version < JSON_FROM {
        let text = String::from_utf8_lossy(&answer.body);
        if !kind.starts_with("text/plain") {
            return Err(format!("an error has Content-Type {kind}, wanted text/plain: {text}"));
        }
        return text
            .strip_suffix('\n')
            .map(str::to_owned)
            .ok_or_else(|| format!("an error has no line end: {text:?}"));
    }
    if !kind.starts_with("application/json") {
        return Err(format!(
            "an error has Content-Type {kind}, wanted application/json: {}",
            answer.excerpt()
        ));
    }
    let value: Value =
        serde_json::from_slice(&answer.body).map_err(|error| format!("an error is not JSON: {error}"))?;
    value["message"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("an error has no message: {value}"))
}

/// Reads the body until `wanted` has come; what came behind it is gone too.
fn read_until(connection: &mut Connection, wanted: &str) -> Result<(), String> {
    let mut received = Vec::new();
    while !received.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
        let came = || String::from_utf8_lossy(&received).into_owned();
        match connection.read_piece() {
            Ok(Some(piece)) => received.extend_from_slice(piece),
            Ok(None) => return Err(format!("the stream ended before {wanted:?} came; came: {:?}", came())),
            Err(error) => return Err(format!("{error} before {wanted:?} came; came: {:?}", came())),
        }
    }
    Ok(())
}

/// Reads JSON values until all of `wanted` came in their order.
fn read_values(connection: &mut Connection, wanted: &[Value]) -> Result<(), String> {
    let mut received = Vec::new();
    let mut wanted = wanted.iter().peekable();
    let mut seen = Vec::new();
    while wanted.peek().is_some() {
        let Some(piece) = connection
            .read_piece()
            .map_err(|error| format!("{error}; came: {}", seen.join(" ")))?
        else {
            let missing = wanted.peek().map_or(String::new(), ToString::to_string);
            return Err(format!(
                "the stream ended before {missing} came; came: {}",
                seen.join(" ")
            ));
        };
        received.extend_from_slice(piece);
        let mut values = serde_json::Deserializer::from_slice(&received).into_iter::<Value>();
        let mut used = 0;
        while let Some(Ok(value)) = values.next() {
            used = values.byte_offset();
            if wanted.peek().is_some_and(|wanted| fits(wanted, &value).is_ok()) {
                wanted.next();
            }
            seen.push(value.to_string());
        }
        received.drain(..used);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_messages_have_the_form_of_their_version() {
        type Row<'a> = (&'a str, u32, &'a str, &'a str, Result<&'a str, &'a str>);
        let table: &[Row<'_>] = &[
            ("old", 23, "text/plain; charset=utf-8", "no\n", Ok("no")),
            (
                "old without line end",
                23,
                "text/plain",
                "no",
                Err("an error has no line end: \"no\""),
            ),
            ("new", 24, "application/json", "{\"message\":\"no\"}", Ok("no")),
            (
                "new as text",
                24,
                "text/plain",
                "no\n",
                Err("an error has Content-Type text/plain, wanted application/json: no"),
            ),
        ];
        for (name, minor, kind, body, expected) in table {
            let fields = vec![("Content-Type".to_owned(), (*kind).to_owned())];
            let head = Head {
                minor: 1,
                status: 404,
                reason: String::new(),
                fields,
            };
            let answer = Response {
                head,
                body: body.as_bytes().to_vec(),
            };
            let got = error_message(
                ApiVersion {
                    major: 1,
                    minor: *minor,
                },
                &answer,
            );
            assert_eq!(got.as_deref().map_err(String::as_str), *expected, "{name}");
        }
    }

    #[test]
    fn frames_have_to_be_whole() {
        assert_eq!(split(b"\x02\0\0\0\0\0\0\x01x").expect("whole")[2], b"x");
        assert!(split(b"\x02\0\0\0\0\0\0\x02x").is_err());
    }
}
