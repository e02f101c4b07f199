//! One client, and its book of what the daemon has promised it.

use std::{path::Path, sync::atomic::Ordering};

use gantry_conformance::client::{ClientError, Connection, Request, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Round, random::Random};
use crate::harness::{Daemon, PATIENCE, json_of, status, text};

/// Things of one client, above which it removes more than it makes.
const THINGS_MAX: usize = 8;

/// What may be seen of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Created,
    Running,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// Prints its container's name and ends with this code.
    Answers(u8),
    /// Prints and stays until it is killed.
    Stays,
}

#[derive(Debug)]
struct Container {
    name: String,
    program: Program,
    /// Never empty; one state unless the program changes it by itself or a call went unanswered.
    may_be: Vec<State>,
    /// Starts that were acknowledged.
    started: usize,
    /// Starts that went unanswered.
    perhaps_started: usize,
    /// A removal that went unanswered may have killed it before its own end.
    perhaps_killed: bool,
}

#[derive(Debug)]
struct Image {
    /// `repository:tag`.
    name: String,
    /// What its one layer's one file says; `None` for another name of the image `probe`.
    content: Option<String>,
    may_be_there: bool,
    may_be_absent: bool,
}

pub(crate) struct Client {
    number: usize,
    random: Random,
    containers: Vec<Container>,
    images: Vec<Image>,
    /// Things made so far, for names that are never used again.
    made: usize,
}

/// The daemon died before it had answered.
struct Unanswered;

impl Client {
    pub(crate) fn new(number: usize, random: Random) -> Self {
        Self {
            number,
            random,
            containers: Vec::new(),
            images: Vec::new(),
            made: 0,
        }
    }

    /// Names of the containers that are there; only after [`check`](Self::check).
    pub(crate) fn containers(&self) -> impl Iterator<Item = String> {
        self.containers.iter().map(|container| container.name.clone())
    }

    /// Names of the images that are there; only after [`check`](Self::check).
    pub(crate) fn images(&self) -> impl Iterator<Item = String> {
        self.images.iter().map(|image| image.name.clone())
    }

    /// Calls until the daemon is gone.
    pub(crate) fn work(&mut self, socket: &Path, round: &Round) {
        while let Ok(()) = self.step(&Caller { socket, round }) {
            round.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn step(&mut self, caller: &Caller<'_>) -> Result<(), Unanswered> {
        let full = self.containers.len() + self.images.len() >= THINGS_MAX;
        match self.random.below(10) {
            0..=1 if !full => self.create(caller),
            2 if !full => self.import(caller),
            3 if !full => self.load(caller),
            4 if !full => self.tag(caller),
            5..=6 if !self.images.is_empty() => {
                let which = self.random.below(self.images.len());
                self.remove_image(caller, which)
            }
            _ if self.containers.is_empty() => self.create(caller),
            _ => {
                let which = self.random.below(self.containers.len());
                self.move_container(caller, which)
            }
        }
    }

    fn create(&mut self, caller: &Caller<'_>) -> Result<(), Unanswered> {
        let name = self.fresh_name("c");
        let (program, command) = if self.random.below(2) == 0 {
            let code = self.random.below(100) as u8;
            (
                Program::Answers(code),
                vec!["/probe".into(), "answer".into(), name.clone(), code.to_string()],
            )
        } else {
            (Program::Stays, vec!["/probe".into(), "stay".into()])
        };
        let network = ["none", "bridge"][self.random.below(2)];
        let body = json!({"Image": "probe", "Cmd": command, "HostConfig": {"NetworkMode": network}});
        self.containers.push(Container {
            name: name.clone(),
            program,
            may_be: vec![State::Absent, State::Created],
            started: 0,
            perhaps_started: 0,
            perhaps_killed: false,
        });
        let request = Request::new("POST", format!("/v1.24/containers/create?name={name}"))
            .body("application/json", body.to_string().into_bytes());
        caller.expect(&request, 201)?;
        self.containers.last_mut().expect("pushed above").may_be = vec![State::Created];
        Ok(())
    }

    /// The next thing that can happen to a container.
    fn move_container(&mut self, caller: &Caller<'_>, which: usize) -> Result<(), Unanswered> {
        let choice = self.random.below(4);
        let container = &mut self.containers[which];
        let target = |verb: &str| format!("/v1.24/containers/{}{verb}", container.name);
        let post = |verb: &str| Request::new("POST", target(verb));
        let remove = Request::new("DELETE", target("?force=1"));
        let runs = container.may_be.contains(&State::Running);
        match (choice, container.program) {
            (0, _) => {
                let after = vec![State::Absent];
                container.call(caller, &remove, 204, after)?;
                self.containers.remove(which);
                Ok(())
            }
            (_, Program::Stays) if runs => {
                let verb = ["/kill", "/stop?t=0", "/kill?signal=9"][choice - 1];
                container.call(caller, &post(verb), 204, vec![State::Ended])?;
                // A kill is answered when the signal is sent.
                container.wait(caller, 137)
            }
            (_, Program::Answers(code)) if runs => container.wait(caller, i64::from(code)),
            _ => {
                let after = match container.program {
                    Program::Answers(_) => vec![State::Running, State::Ended],
                    Program::Stays => vec![State::Running],
                };
                let start = post("/start");
                container.perhaps_started += 1;
                container.call(caller, &start, 204, after)?;
                container.perhaps_started -= 1;
                container.started += 1;
                Ok(())
            }
        }
    }

    fn import(&mut self, caller: &Caller<'_>) -> Result<(), Unanswered> {
        let name = self.fresh_name("i");
        let layer = layer(&name);
        let request = Request::new("POST", format!("/v1.24/images/create?fromSrc=-&repo={name}&tag=latest"))
            .body("application/x-tar", layer);
        self.make_image(caller, &request, name.clone(), Some(name))
    }

    fn load(&mut self, caller: &Caller<'_>) -> Result<(), Unanswered> {
        let name = self.fresh_name("l");
        let archive = saved_image(&name);
        let request = Request::new("POST", "/v1.24/images/load").body("application/x-tar", archive);
        self.make_image(caller, &request, name.clone(), Some(name))
    }

    fn tag(&mut self, caller: &Caller<'_>) -> Result<(), Unanswered> {
        let name = self.fresh_name("t");
        let request = Request::new("POST", format!("/v1.24/images/probe/tag?repo={name}&tag=latest"));
        self.make_image(caller, &request, name, None)
    }

    fn make_image(
        &mut self,
        caller: &Caller<'_>,
        request: &Request,
        repository: String,
        content: Option<String>,
    ) -> Result<(), Unanswered> {
        let wanted = if content.is_some() { 200 } else { 201 };
        self.images.push(Image {
            name: format!("{repository}:latest"),
            content,
            may_be_there: true,
            may_be_absent: true,
        });
        let response = caller.expect(request, wanted)?;
        assert!(
            !text(&response).contains("error"),
            "{}: {}",
            request.line(),
            text(&response)
        );
        self.images.last_mut().expect("pushed above").may_be_absent = false;
        Ok(())
    }

    fn remove_image(&mut self, caller: &Caller<'_>, which: usize) -> Result<(), Unanswered> {
        let image = &mut self.images[which];
        let request = Request::new("DELETE", format!("/v1.24/images/{}", image.name));
        image.may_be_absent = true;
        caller.expect(&request, 200)?;
        self.images.remove(which);
        Ok(())
    }

    /// Compares the book with what the daemon says, and strikes out what a call that went unanswered has not done.
    pub(crate) fn check(&mut self, daemon: &Daemon) {
        self.containers.retain_mut(|container| container.check(daemon));
        self.images.retain_mut(|image| image.check(daemon));
    }

    pub(crate) fn remove_everything(&mut self, daemon: &Daemon) {
        for container in self.containers.drain(..) {
            let target = format!("/v1.24/containers/{}?force=1", container.name);
            assert_eq!(status(&daemon.delete(&target)), 204, "{container:?}");
        }
        for image in self.images.drain(..) {
            assert_eq!(
                status(&daemon.delete(&format!("/v1.24/images/{}", image.name))),
                200,
                "{image:?}"
            );
        }
    }

    fn fresh_name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}{}-{}", self.number, self.made)
    }
}

impl Container {
    /// A call after which the container is in one of the states `after`; until it is answered, also in those of before.
    fn call(
        &mut self,
        caller: &Caller<'_>,
        request: &Request,
        wanted: u16,
        after: Vec<State>,
    ) -> Result<(), Unanswered> {
        let force_removes = request.method() == "DELETE";
        let ends_first = force_removes && self.may_be.contains(&State::Running);
        self.may_be.extend(&after);
        self.may_be.extend(ends_first.then_some(State::Ended));
        self.perhaps_killed |= ends_first;
        caller.expect(request, wanted)?;
        self.may_be = after;
        Ok(())
    }

    fn wait(&mut self, caller: &Caller<'_>, code: i64) -> Result<(), Unanswered> {
        let request = Request::new("POST", format!("/v1.24/containers/{}/wait", self.name));
        let response = caller.expect(&request, 200)?;
        assert_eq!(json_of(&response)["StatusCode"], code, "{self:?}");
        self.may_be = vec![State::Ended];
        Ok(())
    }

    /// Whether it is there.
    fn check(&mut self, daemon: &Daemon) -> bool {
        let response = daemon.get(&format!("/v1.24/containers/{}/json", self.name));
        let inspected = (status(&response) == 200).then(|| json_of(&response));
        let seen = match inspected.as_ref().and_then(|it| it["State"]["Status"].as_str()) {
            None => State::Absent,
            Some("created") => State::Created,
            Some("running") => State::Running,
            Some("exited") => State::Ended,
            Some(other) => panic!("{other}: {self:?}"),
        };
        let state = inspected.as_ref().map(|it| &it["State"]);
        assert!(self.may_be.contains(&seen), "it is {seen:?}: {self:?} {state:?}");
        let Some(inspected) = inspected else { return false };
        self.may_be = match (seen, self.program) {
            (State::Running, Program::Answers(_)) => vec![State::Running, State::Ended],
            _ => vec![seen],
        };
        if seen == State::Ended {
            let code = inspected["State"]["ExitCode"].as_i64().expect("a number");
            let expected = match self.program {
                Program::Answers(own) => code == i64::from(own) || self.perhaps_killed && code == 137,
                Program::Stays => code == 137,
            };
            assert!(expected, "{self:?} {}", inspected["State"]);
            self.check_log(daemon);
        }
        if seen == State::Running {
            let pid = inspected["State"]["Pid"].as_i64().expect("a process id");
            // A program that answers may have ended since.
            let there = Path::new("/proc").join(pid.to_string()).exists();
            assert!(there || self.program != Program::Stays, "no process {pid}: {self:?}");
        }
        true
    }

    /// What each start has printed is there once.
    fn check_log(&self, daemon: &Daemon) {
        let line = match self.program {
            Program::Answers(_) => format!("{}\n", self.name),
            Program::Stays => "here\n".to_owned(),
        };
        let (log, _) = daemon.logs(&self.name);
        let count = log.len() / line.len();
        assert_eq!(log, line.repeat(count), "{self:?}");
        let most = self.started + self.perhaps_started;
        // A program that is killed at once may have printed nothing yet.
        let least = match self.program {
            Program::Answers(_) if !self.perhaps_killed => self.started,
            Program::Answers(_) | Program::Stays => 0,
        };
        assert!((least..=most).contains(&count), "{count} lines: {self:?}");
    }
}

impl Image {
    /// Whether it is there.
    fn check(&mut self, daemon: &Daemon) -> bool {
        let response = daemon.get(&format!("/v1.24/images/{}/json", self.name));
        let there = status(&response) == 200;
        assert!(
            if there { self.may_be_there } else { self.may_be_absent },
            "there: {there}, {self:?}"
        );
        (self.may_be_there, self.may_be_absent) = (there, !there);
        if let (true, Some(content)) = (there, &self.content) {
            let inspected = json_of(&response);
            let layer = inspected["RootFS"]["Layers"][0].as_str().expect("a layer");
            let digest = layer.strip_prefix("sha256:").expect("a digest");
            let file = daemon.root().join("data/layers").join(digest).join("diff/file");
            assert_eq!(
                std::fs::read_to_string(&file).ok().as_ref(),
                Some(content),
                "{}",
                file.display()
            );
        }
        there
    }
}

/// Sends requests, each on a connection of its own, to a daemon that may die.
struct Caller<'a> {
    socket: &'a Path,
    round: &'a Round,
}

impl Caller<'_> {
    fn expect(&self, request: &Request, wanted: u16) -> Result<Response, Unanswered> {
        match Connection::open(self.socket, PATIENCE).and_then(|mut connection| connection.exchange(request)) {
            Ok(response) => {
                assert_eq!(status(&response), wanted, "{}: {}", request.line(), text(&response));
                Ok(response)
            }
            Err(error) => {
                let killed = self.round.killed.load(Ordering::SeqCst);
                assert!(
                    killed && !matches!(error, ClientError::Silence(_)),
                    "{}: {error}",
                    request.line()
                );
                Err(Unanswered)
            }
        }
    }
}

/// A tar with one file.
fn layer(content: &str) -> Vec<u8> {
    archive(&[("file", content.as_bytes())])
}

/// What `docker save` gives for an image of one layer.
fn saved_image(name: &str) -> Vec<u8> {
    let layer = layer(name);
    let digest: String = Sha256::digest(&layer)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [format!("{name}:latest")], "Layers": ["layer.tar"]}]);
    archive(&[
        ("layer.tar", &layer),
        ("config.json", config.to_string().as_bytes()),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, *content).expect("memory");
    }
    archive.into_inner().expect("memory")
}
