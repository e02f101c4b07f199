//! A daemon under test: where it listens, which version to speak, what was made in it and has to go again.
//!
//! Whatever a run makes is noted here before it is asked for, so that [`Subject::clean_up`] (also run on drop) takes
//! everything away even if the daemon failed between the two.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{ClientError, Connection, Request, Response};
use crate::endpoint::Endpoint;

/// Longest wait for any single answer; dockerd itself takes up to 15 s over some errors.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon's failure to do what the run needs of it.
#[derive(Debug)]
pub enum SubjectError {
    /// The exchange failed.
    Client(String, ClientError),
    /// Another status than the wanted one.
    Status {
        /// Method and target.
        call: String,
        /// What was wanted.
        wanted: u16,
        /// What came.
        got: u16,
        /// Start of the body.
        body: String,
    },
    /// An answer without something that it must hold.
    Shape {
        /// Method and target.
        call: String,
        /// What is missing.
        lacks: String,
    },
}

impl SubjectError {
    /// Whether ctrl-c was the cause.
    pub fn is_interrupt(&self) -> bool {
        matches!(self, Self::Client(_, ClientError::Interrupted))
    }
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(call, error) => write!(f, "{call}: {error}"),
            Self::Status {
                call,
                wanted,
                got,
                body,
            } => write!(f, "{call}: status {got} instead of {wanted}: {body}"),
            Self::Shape { call, lacks } => write!(f, "{call}: answer lacks {lacks}"),
        }
    }
}

impl std::error::Error for SubjectError {}

/// One daemon.
#[derive(Debug)]
pub struct Subject {
    /// Short name for tables.
    pub name: String,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// API version to speak, `1.24`.
    pub api: String,
    /// Image to run.
    pub image: String,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    containers: BTreeSet<String>,
    images: BTreeSet<String>,
}

impl Subject {
    /// A daemon at `endpoint`, not yet spoken to.
    pub fn new(name: &str, endpoint: &Endpoint, api: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            endpoint: endpoint.clone(),
            api: api.to_owned(),
            image: image.to_owned(),
            made: Mutex::default(),
        }
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(&self) -> Result<Connection, SubjectError> {
        Connection::open_at(&self.endpoint, PATIENCE)
            .map_err(|error| SubjectError::Client(self.endpoint.to_string(), error))
    }

    /// A target with this subject's version prefix.
    pub fn target(&self, path: &str) -> String {
        format!("/v{}{path}", self.api)
    }

    /// One exchange that has to end with `wanted`.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn call(&self, connection: &mut Connection, request: &Request, wanted: u16) -> Result<Response, SubjectError> {
        let answer = connection
            .exchange(request)
            .map_err(|error| SubjectError::Client(request.line(), error))?;
        if answer.head.status != wanted {
            let (got, body) = (answer.head.status, answer.excerpt());
            return Err(SubjectError::Status {
                call: request.line(),
                wanted,
                got,
                body,
            });
        }
        Ok(answer)
    }

    /// The daemon's `/version`, without a version prefix.
    ///
    /// # Errors
    /// When it is not answered with JSON.
    pub fn version(&self) -> Result<Value, SubjectError> {
        let request = Request::new("GET", "/version");
        let answer = self.call(&mut self.connect()?, &request, 200)?;
        json_of(&request, &answer)
    }

    /// Imports `tar` under this subject's image name; the image is removed by the clean-up.
    ///
    /// # Errors
    /// When the daemon does not take it, or reports an error inside its progress stream.
    pub fn import(&self, tar: &[u8]) -> Result<(), SubjectError> {
        let (repository, tag) = self.image.rsplit_once(':').unwrap_or((&self.image, "latest"));
        self.made().images.insert(self.image.clone());
        let target = self.target(&format!("/images/create?fromSrc=-&repo={repository}&tag={tag}"));
        let request = Request::new("POST", target).body("application/x-tar", tar.to_vec());
        let answer = self.call(&mut self.connect()?, &request, 200)?;
        if String::from_utf8_lossy(&answer.body).contains("\"error\"") {
            return Err(SubjectError::Shape {
                call: request.line(),
                lacks: format!("success: {}", answer.excerpt()),
            });
        }
        Ok(())
    }

    /// A name for a container, unique on this machine for as long as this process lives; noted for the clean-up.
    pub fn container_name(&self) -> String {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("conformance-{}-{serial}", std::process::id());
        self.made().containers.insert(name.clone());
        name
    }

    /// Notes something for the clean-up that was not made here: a container by name or id.
    pub fn note_container(&self, name: &str) {
        self.made().containers.insert(name.to_owned());
    }

    /// Notes an image for the clean-up.
    pub fn note_image(&self, name: &str) {
        self.made().images.insert(name.to_owned());
    }

    /// The container is gone by other means.
    pub fn forget_container(&self, name: &str) {
        self.made().containers.remove(name);
    }

    /// Creates a container running `cmd`, with `host` as its `HostConfig`; its id.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub fn create(
        &self,
        connection: &mut Connection,
        name: &str,
        cmd: &[&str],
        host: &Value,
    ) -> Result<String, SubjectError> {
        let body =
            json!({ "Image": self.image, "Cmd": cmd, "HostConfig": host, "AttachStdout": true, "AttachStderr": true });
        self.create_from(connection, name, &body)
    }

    /// Creates a container from a whole body; its id.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub fn create_from(&self, connection: &mut Connection, name: &str, body: &Value) -> Result<String, SubjectError> {
        let request = Request::new("POST", self.target(&format!("/containers/create?name={name}")))
            .body("application/json", body.to_string().into_bytes());
        let answer = self.call(connection, &request, 201)?;
        let id = json_of(&request, &answer)?["Id"].as_str().map(str::to_owned);
        id.ok_or_else(|| SubjectError::Shape {
            call: request.line(),
            lacks: "Id".to_owned(),
        })
    }

    /// Starts a container.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub fn start(&self, connection: &mut Connection, id: &str) -> Result<(), SubjectError> {
        let request = Request::new("POST", self.target(&format!("/containers/{id}/start")));
        self.call(connection, &request, 204).map(drop)
    }

    /// Waits for a container's end; its exit code.
    ///
    /// # Errors
    /// When the daemon refuses or answers without a code.
    pub fn wait(&self, connection: &mut Connection, id: &str) -> Result<i64, SubjectError> {
        let request = Request::new("POST", self.target(&format!("/containers/{id}/wait")));
        let answer = self.call(connection, &request, 200)?;
        let code = json_of(&request, &answer)?["StatusCode"].as_i64();
        code.ok_or_else(|| SubjectError::Shape {
            call: request.line(),
            lacks: "StatusCode".to_owned(),
        })
    }

    /// Removes a stopped container.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub fn remove(&self, connection: &mut Connection, name: &str) -> Result<(), SubjectError> {
        let request = Request::new("DELETE", self.target(&format!("/containers/{name}?v=1")));
        self.call(connection, &request, 204)?;
        self.forget_container(name);
        Ok(())
    }

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub fn remove_running(&self, connection: &mut Connection, name: &str) -> Result<(), SubjectError> {
        let request = Request::new("DELETE", self.target(&format!("/containers/{name}?force=1&v=1")));
        self.call(connection, &request, 204)?;
        self.forget_container(name);
        Ok(())
    }

    /// Removes an image.
    ///
    /// # Errors
    /// When the daemon refuses.
    pub fn remove_image(&self, connection: &mut Connection, name: &str) -> Result<(), SubjectError> {
        let request = Request::new("DELETE", self.target(&format!("/images/{name}?force=1")));
        self.call(connection, &request, 200)?;
        self.made().images.remove(name);
        Ok(())
    }

    /// Takes away every container and image that is noted, whatever state it is in; what could not be removed.
    pub fn clean_up(&self) -> Vec<String> {
        let mut left = Vec::new();
        let (containers, images) = {
            let mut made = self.made();
            (std::mem::take(&mut made.containers), std::mem::take(&mut made.images))
        };
        let containers = containers
            .iter()
            .map(|name| (name, format!("/containers/{name}?force=1&v=1")));
        let images = images.iter().map(|name| (name, format!("/images/{name}?force=1")));
        for (name, path) in containers.chain(images) {
            let request = Request::new("DELETE", self.target(&path));
            let answer = Connection::open_at(&self.endpoint, PATIENCE)
                .and_then(|connection| connection.uninterruptible().exchange(&request));
            match answer {
                Ok(answer) if matches!(answer.head.status, 200 | 204 | 404) => {}
                Ok(answer) => left.push(format!("{name}: status {}: {}", answer.head.status, answer.excerpt())),
                Err(error) => left.push(format!("{name}: {error}")),
            }
        }
        left
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        for left in self.clean_up() {
            eprintln!("left behind in {}: {left}", self.name);
        }
    }
}

fn json_of(request: &Request, answer: &Response) -> Result<Value, SubjectError> {
    serde_json::from_slice(&answer.body).map_err(|error| SubjectError::Shape {
        call: request.line(),
        lacks: format!("JSON ({error})"),
    })
}
