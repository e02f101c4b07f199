//! Asks a daemon in any version of the API, over a unix socket.
//!
//! ```sh
//! cargo run -p gantry-core --example ask -- /run/gantry.sock 1.3                    # what there is
//! cargo run -p gantry-core --example ask -- /run/gantry.sock 1.3 run gantry/hello   # create, attach, start, wait, remove
//! ```
//!
//! The whole transport is [`Daemon::next_event`]: blocking reads and writes around a [`Connection`].
#![allow(
    clippy::indexing_slicing,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    missing_docs
)]

use std::{
    error::Error,
    io::{Read, Write},
    os::unix::net::UnixStream,
    time,
};

use gantry_core::{
    Call, ContainerAttach, ContainerCreate, ContainerList, ContainerRemove, ImageList, Instant, Item, Limits, Reply,
    client::{ApiVersion, Connection, Event, Options},
    driver::{Output, Protocol},
    framing::StreamKind,
    model::ContainerConfig,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Daemon {
    socket: UnixStream,
    connection: Connection,
    options: Options,
    start: time::Instant,
    /// Bytes that the connection has not taken.
    received: Vec<u8>,
}

impl Daemon {
    fn connect(path: &str, options: &Options) -> Result<Self> {
        Ok(Self {
            socket: UnixStream::connect(path)?,
            connection: Connection::new(Limits::default()),
            options: options.clone(),
            start: time::Instant::now(),
            received: Vec::new(),
        })
    }

    fn now(&self) -> Instant {
        Instant(self.start.elapsed())
    }

    fn next_event(&mut self) -> Result<Event> {
        let mut memory = [0; 16 * 1024];
        loop {
            match self.connection.poll_output(self.now(), &mut memory) {
                Output::Event(event) => return Ok(event),
                Output::Transmit(len) => self.socket.write_all(&memory[..len])?,
                Output::Shutdown => self.socket.shutdown(std::net::Shutdown::Write)?,
                Output::Close => return Err("the connection is closed".into()),
                Output::Splice { .. } => return Err("a client has no pipes".into()),
                Output::Wait(_) => {
                    if self.received.is_empty() {
                        match self.socket.read(&mut memory)? {
                            0 => self.connection.handle_eof(self.now()),
                            len => self.received.extend_from_slice(&memory[..len]),
                        }
                    }
                    let taken = self.connection.handle_input(self.now(), &self.received);
                    self.received.drain(..taken);
                }
            }
        }
    }

    /// Makes a call and waits for the reply.
    fn ask(&mut self, call: &Call) -> Result<Reply> {
        self.connection.ask(call, &self.options)?;
        match self.next_event()? {
            Event::Reply { reply, .. } => Ok(reply),
            Event::Refused { error, .. } => Err(error.into()),
            Event::Failed { error, .. } => Err(error.into()),
            other => Err(format!("{other:?}").into()),
        }
    }
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (socket, version, run) = match words[..] {
        [socket, version] => (socket, version, None),
        [socket, version, "run", image, ref command @ ..] => (socket, version, Some((image, command))),
        _ => return Err("usage: ask SOCKET VERSION [run IMAGE [COMMAND...]]".into()),
    };
    let options = Options {
        version: ApiVersion::parse(version)?,
        ..Options::default()
    };
    match run {
        None => show(socket, &options),
        Some((image, command)) => {
            let status = play(socket, &options, image, command)?;
            std::process::exit(i32::try_from(status)?)
        }
    }
}

/// What there is.
fn show(socket: &str, options: &Options) -> Result<()> {
    let mut daemon = Daemon::connect(socket, options)?;
    if let Reply::Version(version) = daemon.ask(&Call::Version)? {
        println!(
            "daemon {} on {} {}",
            version.version, version.os, version.kernel_version
        );
    }
    if let Reply::Info(info) = daemon.ask(&Call::Info)? {
        println!(
            "{} containers, {} images, {}",
            info.containers, info.images, info.driver
        );
    }
    let list = ContainerList {
        all: true,
        ..ContainerList::default()
    };
    if let Reply::ContainerList(containers) = daemon.ask(&Call::ContainerList(list))? {
        for container in containers {
            println!("container {} {} {}", container.id, container.image, container.status);
            let inspect = Call::ContainerInspect {
                container: container.id,
                size: false,
            };
            if let Reply::Container(container) = daemon.ask(&inspect)? {
                println!("  {} {} {:?}", container.name, container.path, container.args);
            }
        }
    }
    if let Reply::ImageList(images) = daemon.ask(&Call::ImageList(ImageList::default()))? {
        for image in images {
            println!("image {} {}", image.id, image.repo_tags.join(" "));
            if let Reply::Image(image) = daemon.ask(&Call::ImageInspect { image: image.id })? {
                println!("  {} {} {} bytes", image.os, image.architecture, image.size);
            }
        }
    }
    Ok(())
}

/// Runs a command, shows its output, and returns its exit code.
fn play(socket: &str, options: &Options, image: &str, command: &[&str]) -> Result<i64> {
    let mut daemon = Daemon::connect(socket, options)?;
    let words: Vec<String> = command.iter().map(|word| String::from(*word)).collect();
    let create = ContainerCreate {
        config: ContainerConfig {
            image: image.into(),
            cmd: (!words.is_empty()).then_some(words),
            attach_stdout: true,
            attach_stderr: true,
            ..ContainerConfig::default()
        },
        ..ContainerCreate::default()
    };
    let Reply::ContainerCreated { id, .. } = daemon.ask(&Call::ContainerCreate(Box::new(create)))? else {
        return Err("no container".into());
    };
    let container = || id.clone();
    let mut output = Daemon::connect(socket, options)?;
    output.ask(&Call::ContainerAttach(ContainerAttach {
        container: container(),
        stream: true,
        stdout: true,
        stderr: true,
        ..ContainerAttach::default()
    }))?;
    daemon.ask(&Call::ContainerStart {
        container: container(),
        host_config: None,
    })?;
    loop {
        match output.next_event()? {
            Event::Item {
                item: Item::Output(StreamKind::Stderr, bytes),
                ..
            } => std::io::stderr().write_all(&bytes)?,
            Event::Item {
                item: Item::Output(_, bytes),
                ..
            } => std::io::stdout().write_all(&bytes)?,
            Event::StreamEnd { .. } => break,
            other => return Err(format!("{other:?}").into()),
        }
    }
    let Reply::ContainerExited { status_code } = daemon.ask(&Call::ContainerWait { container: container() })? else {
        return Err("no exit code".into());
    };
    daemon.ask(&Call::ContainerRemove(ContainerRemove {
        container: container(),
        ..ContainerRemove::default()
    }))?;
    Ok(status_code)
}
