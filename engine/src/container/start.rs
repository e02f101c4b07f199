//! `POST /containers/{id}/start`.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::Path,
};

use gantry_core::{Call, Refusal, Reply, StartFailure, driver::Direction, model::HostConfig};

use super::{ContainerPaths, Operation, Record, Run, configure, plan};
use crate::{
    Engine,
    engine::PipeUse,
    keeper::{
        self,
        client::{LaunchError, Launched, Subscriber},
        wire::StartFailureKind,
    },
    message::News,
    network::{self, Attachment, ExtraHost, Wish},
    port::{CallId, Port},
    shared::Shared,
};

/// What a start gave.
pub(crate) struct Started {
    pub(crate) launched: Launched,
    /// The record as it is stored now.
    pub(crate) record: Box<Record>,
}

impl Engine {
    pub(crate) fn container_start(
        &mut self,
        port: &mut dyn Port,
        call: CallId,
        name: String,
        host_config: Option<Box<HostConfig>>,
    ) {
        let container = match self.containers.resolve(&name) {
            Ok(container) => container,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let id = container.record.id.clone();
        if container.operation.is_some() {
            return self.enqueue(
                &id,
                call,
                Call::ContainerStart {
                    container: name,
                    host_config,
                },
            );
        }
        if container.is_running() {
            return port.reply(call, Reply::NotModified);
        }
        let mut record = container.record.clone();
        if let Some(start) = host_config {
            record.host_config = configure::overlay_host_config(&record.host_config, &start);
            if let Err(refusal) = configure::check(&record.config, &mut record.host_config, &self.shared.facts) {
                return port.reply(call, Reply::Refused(refusal));
            }
        }
        let subscribers = self.subscribers(port, &id);
        if let Some(container) = self.containers.get_mut(&id) {
            container.operation = Some(Operation::Starting);
        }
        let container = id.clone();
        self.job(Some(call), Some(&container), move |shared| {
            let result = start(shared, record, &name, subscribers);
            News::Started { call, id, result }
        });
    }

    pub(crate) fn started(&mut self, port: &mut dyn Port, call: CallId, id: &str, result: Result<Started, Refusal>) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        container.operation = None;
        match result {
            Ok(Started { launched, record }) => {
                container.record = *record;
                self.run_begins(port, id, launched);
                self.container_event(port, id, "start", &[]);
                port.reply(call, Reply::Done);
            }
            Err(refusal) => {
                if let Refusal::StartFailed { cause, message, .. } = &refusal {
                    container.record.exit_code = exit_code(*cause);
                    container.record.error.clone_from(message);
                }
                let exit_code = container.record.exit_code;
                for waiter in std::mem::take(&mut container.waiters) {
                    port.reply(
                        waiter,
                        Reply::ContainerExited {
                            status_code: i64::from(exit_code),
                        },
                    );
                }
                // Clients that remove a container when it has ended (`docker run --rm` below v1.25) wait for this.
                self.container_event(port, id, "die", &[("exitCode", exit_code.to_string())]);
                port.reply(call, Reply::Refused(refusal));
                self.start_failed_followers(port, id);
            }
        }
        self.operation_ended(port, id);
    }

    /// Puts a running container's descriptors on the loop.
    pub(crate) fn run_begins(&mut self, port: &mut dyn Port, id: &str, launched: Launched) {
        let Launched {
            control,
            stdin,
            terminal,
            running,
        } = launched;
        let duplicate = |fd: &OwnedFd| fd.try_clone();
        let (Ok(control_read), Ok(terminal_write)) =
            (duplicate(&control), terminal.as_ref().map(duplicate).transpose())
        else {
            // Without the descriptors the run cannot be followed; the keeper goes on, and is found again as after a restart.
            log::error!("container {id}: out of descriptors; its run is looked for again");
            return self.keeper_gone(id);
        };
        let control_pipe = port.open_pipe(control_read, Direction::Both);
        self.pipes.insert(
            control_pipe,
            PipeUse::Keeper {
                container: id.to_owned(),
            },
        );
        let stdin = stdin.or(terminal_write).map(|fd| port.open_pipe(fd, Direction::Write));
        if let Some(stdin) = stdin {
            self.pipes.insert(
                stdin,
                PipeUse::Stdin {
                    container: id.to_owned(),
                },
            );
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.log_start = running.log_start;
            container.record.begin_run(running.started_at_ns);
            container.run = Some(Run {
                pid: running.pid,
                control,
                control_pipe,
                stdin,
                terminal,
            });
        }
        self.run_began_followers(port, id);
    }
}

/// The exit code of a container whose program did not start.
fn exit_code(cause: StartFailure) -> i32 {
    match cause {
        StartFailure::NotFound => 127,
        StartFailure::NotExecutable => 126,
        StartFailure::Other => 128,
    }
}

/// Starts a container; on failure nothing is left but the reason in its record.
fn start(shared: &Shared, mut record: Record, name: &str, subscribers: Vec<Subscriber>) -> Result<Started, Refusal> {
    let before = record.clone();
    let result = launch(shared, &mut record, subscribers);
    match result {
        Ok(launched) => Ok(Started {
            launched,
            record: Box::new(record),
        }),
        Err(failure) => {
            if let Some(attachment) = &record.attachment {
                shared.release(attachment);
            }
            let (cause, message) = failure;
            let failed = Record {
                error: message.clone(),
                exit_code: exit_code(cause),
                ..before
            };
            // The first failure is the one to tell; a second one is for the log.
            if let Err(refusal) = shared.put_record(&failed) {
                log::error!("container {}: {refusal:?}", failed.id);
            }
            Err(Refusal::StartFailed {
                name: name.to_owned(),
                cause,
                message,
            })
        }
    }
}

type Failure = (StartFailure, String);

fn launch(shared: &Shared, record: &mut Record, subscribers: Vec<Subscriber>) -> Result<Launched, Failure> {
    let other = |step: &str, error: &dyn std::fmt::Display| (StartFailure::Other, format!("{step}: {error}"));
    let image = shared.image_of(record).ok_or_else(|| other("image", &"it is gone"))?;
    let paths = ContainerPaths::new(&shared.data_root, &record.id);
    let keeper_paths = shared.keeper_paths(&record.id);
    prepare_files(shared, record, &paths).map_err(|error| other("preparing the container's files", &error))?;
    let spec =
        plan::spec(shared, record, &paths, shared.images.layers(&image)).map_err(|error| other("plan", &error))?;

    record.attachment = None;
    shared
        .put_attachment(&record.id, None)
        .map_err(|error| other("run directory", &error))?;
    let mode = record.host_config.network_mode.clone();
    let mut connect = |namespace: BorrowedFd<'_>| -> io::Result<()> {
        if mode == "none" {
            return network::loopback_up(namespace).map_err(io::Error::other);
        }
        record.attachment = Some(attach(shared, record, namespace)?);
        shared.put_attachment(&record.id, record.attachment.as_ref())?;
        write_hosts(record, &paths)
    };
    let launched = keeper::client::launch(&keeper_paths, &shared.keeper, &spec, subscribers, &mut connect);
    let launched = launched.map_err(|error| match error {
        LaunchError::Start(failure) => {
            let cause = match failure.kind {
                StartFailureKind::NotFound => StartFailure::NotFound,
                StartFailureKind::NotExecutable => StartFailure::NotExecutable,
                StartFailureKind::Other => StartFailure::Other,
            };
            (cause, failure.message)
        }
        error => (StartFailure::Other, error.to_string()),
    })?;
    record.begin_run(launched.running.started_at_ns);
    if let Err(refusal) = shared.put_record(record) {
        // Not stored means not acknowledged, and so it must not run.
        if let Err(error) = keeper::client::revoke(launched, &keeper_paths, &shared.cgroup_path(&record.id)) {
            log::error!("container {}: ending it again failed: {error}", record.id);
        }
        return Err(other("store", &format!("{refusal:?}")));
    }
    Ok(launched)
}

fn attach(shared: &Shared, record: &Record, namespace: BorrowedFd<'_>) -> io::Result<Attachment> {
    let bridge = shared.bridge().map_err(io::Error::other)?;
    bridge
        .attach(namespace.as_fd(), &record.id, Wish::default())
        .map_err(io::Error::other)
}

/// Writes the files that are bound into the container, and makes the run directory.
fn prepare_files(shared: &Shared, record: &Record, paths: &ContainerPaths) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(shared.run_dir(&record.id)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    write_file(&paths.hostname(), &format!("{}\n", record.config.hostname))?;
    write_hosts(record, paths)?;
    let host = &record.host_config;
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let host_conf = host_resolv_conf();
    let own_namespace = host.network_mode != "host";
    let (mut dns, search, options) = (list(&host.dns), list(&host.dns_search), list(&host.dns_options));
    if dns.is_empty() {
        dns.clone_from(&shared.config.dns);
    }
    write_file(
        &paths.resolv_conf(),
        &network::resolv_conf(&host_conf, &dns, &search, &options, own_namespace),
    )
}

/// The machine's resolver configuration. With systemd's stub on loopback, which no container reaches, the one behind it.
fn host_resolv_conf() -> String {
    let conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if network::uses_local_stub(&conf) {
        fs::read_to_string("/run/systemd/resolve/resolv.conf").unwrap_or(conf)
    } else {
        conf
    }
}

fn write_hosts(record: &Record, paths: &ContainerPaths) -> io::Result<()> {
    let config = &record.config;
    let gateway = record.attachment.as_ref().map(|attachment| attachment.gateway);
    let extra = record.host_config.extra_hosts.iter().flatten();
    let extra: Vec<_> = extra.filter_map(|text| ExtraHost::parse(text, gateway).ok()).collect();
    let hosts = if record.host_config.network_mode == "host" && extra.is_empty() {
        fs::read_to_string("/etc/hosts")?
    } else {
        let address = record.attachment.as_ref().map(|attachment| attachment.address);
        network::hosts_file(&config.hostname, &config.domainname, address, &extra)
    };
    write_file(&paths.hosts(), &hosts)
}

/// The container's user may be anyone, so these files are for all to read; the directory above keeps others out.
fn write_file(path: &Path, content: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    io::Write::write_all(&mut file, content.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
