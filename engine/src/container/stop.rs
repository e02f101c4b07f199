//! `POST /containers/{id}/stop`, `/kill` and `/resize`.

use std::time::Duration;

use gantry_core::{Call, Refusal, Reply, grammar::signal};

use super::{AfterEnd, Operation};
use crate::{
    Engine,
    engine::TimerUse,
    keeper::wire::ToKeeper,
    port::{CallId, Port},
    sys::terminal_size,
};

impl Engine {
    /// Sends the stop signal; SIGKILL when the grace is over. Answered when the container has ended.
    pub(crate) fn container_stop(&mut self, port: &mut dyn Port, call: CallId, name: String, grace_secs: Option<i64>) {
        let id = match self.containers.resolve_id(&name) {
            Ok(id) => id,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let Some(container) = self.containers.get_mut(&id) else {
            return;
        };
        if container.operation == Some(Operation::Starting) {
            return self.enqueue(
                &id,
                call,
                Call::ContainerStop {
                    container: name,
                    grace_secs,
                },
            );
        }
        if !container.is_running() {
            return port.reply(call, Reply::NotModified);
        }
        container.after_end.push((call, AfterEnd::Stopped));
        let number = signal::parse(&container.record.config.stop_signal).unwrap_or(signal::TERM);
        if container.stop_timer.is_some() {
            // Another stop is under way; both end with it.
            return;
        }
        self.signal(port, &id, number);
        let grace = match grace_secs.unwrap_or(STOP_GRACE_SECS) {
            secs @ 0.. => Duration::from_secs(secs.unsigned_abs()),
            ..0 => return,
        };
        let timer = self.start_timer(port, grace, TimerUse::StopGrace { container: id.clone() });
        if let Some(container) = self.containers.get_mut(&id) {
            container.stop_timer = Some(timer);
        }
    }

    pub(crate) fn stop_grace_over(&mut self, port: &mut dyn Port, id: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            container.stop_timer = None;
            if container.is_running() {
                self.kill_event(port, id, signal::KILL);
                self.kill_now(port, id);
            }
        }
    }

    pub(crate) fn arm_kill_deadline(&mut self, port: &mut dyn Port, id: &str) {
        if let Some(timer) = self
            .containers
            .get_mut(id)
            .and_then(|container| container.stop_timer.take())
        {
            self.stop_timer(port, timer);
        }
        let timer = self.start_timer(
            port,
            KILL_DEADLINE,
            TimerUse::KillDeadline {
                container: id.to_owned(),
            },
        );
        if let Some(container) = self.containers.get_mut(id) {
            container.stop_timer = Some(timer);
        }
    }

    /// A killed process that does not end hangs in the kernel; those who wait are told so, the container stays.
    pub(crate) fn kill_deadline_over(&mut self, port: &mut dyn Port, id: &str) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        container.stop_timer = None;
        let text = format!(
            "container {id} did not end within {} s of SIGKILL",
            KILL_DEADLINE.as_secs()
        );
        for (call, _) in std::mem::take(&mut container.after_end) {
            port.reply(call, Reply::Refused(Refusal::Internal(text.clone())));
        }
    }

    /// Sends a signal. Answered at once, but for SIGKILL when the container has ended.
    pub(crate) fn container_kill(&mut self, port: &mut dyn Port, call: CallId, name: String, signal: Option<String>) {
        let number = match parse_signal(&name, signal.as_deref()) {
            Ok(number) => number,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let id = match self.containers.resolve_id(&name) {
            Ok(id) => id,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let Some(container) = self.containers.get_mut(&id) else {
            return;
        };
        if container.operation == Some(Operation::Starting) {
            return self.enqueue(
                &id,
                call,
                Call::ContainerKill {
                    container: name,
                    signal,
                },
            );
        }
        if !container.is_running() {
            return port.reply(call, Reply::Refused(Refusal::ContainerNotRunning { id, name }));
        }
        if number == signal::KILL {
            container.after_end.push((call, AfterEnd::Killed));
            self.kill_event(port, &id, number);
            self.kill_now(port, &id);
        } else {
            self.signal(port, &id, number);
            port.reply(call, Reply::Done);
        }
    }

    fn signal(&mut self, port: &mut dyn Port, id: &str, number: i32) {
        if let Err(error) = self.ask_keeper(id, &ToKeeper::Signal { number }) {
            log::warn!("container {id}: its keeper cannot be asked to send signal {number}: {error}");
        }
        self.kill_event(port, id, number);
    }

    fn kill_event(&mut self, port: &mut dyn Port, id: &str, number: i32) {
        self.container_event(port, id, "kill", &[("signal", number.to_string())]);
    }

    pub(crate) fn container_resize(&mut self, port: &mut dyn Port, call: CallId, name: &str, height: u16, width: u16) {
        let container = match self.containers.resolve(name) {
            Ok(container) => container,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let id = container.record.id.clone();
        if container.operation == Some(Operation::Starting) {
            return self.enqueue(
                &id,
                call,
                Call::ContainerResize {
                    container: name.to_owned(),
                    height,
                    width,
                },
            );
        }
        let Some(run) = &container.run else {
            let refusal = Refusal::ContainerNotRunning {
                id,
                name: name.to_owned(),
            };
            return port.reply(call, Reply::Refused(refusal));
        };
        // dockerd takes a resize of a container without terminal, and does nothing.
        let resized = run
            .terminal
            .as_ref()
            .map_or(Ok(()), |terminal| terminal_size::set(terminal, height, width));
        match resized {
            Ok(()) => {
                self.container_event(
                    port,
                    &id,
                    "resize",
                    &[("height", height.to_string()), ("width", width.to_string())],
                );
                port.reply(call, Reply::Done);
            }
            Err(error) => port.reply(
                call,
                Reply::Refused(Refusal::Internal(format!("resizing the terminal failed: {error}"))),
            ),
        }
    }
}

fn parse_signal(container: &str, text: Option<&str>) -> Result<i32, Refusal> {
    match text {
        None | Some("" | "0") => Ok(signal::KILL),
        Some(text) => signal::parse(text).ok_or_else(|| {
            let signal = text.to_owned();
            if signal::is_number(text) {
                Refusal::BadSignalNumber {
                    container: container.to_owned(),
                    signal,
                }
            } else {
                Refusal::BadSignal { signal }
            }
        }),
    }
}

/// Docker's default.
const STOP_GRACE_SECS: i64 = 10;
/// A process that gets SIGKILL and is not stuck in the kernel ends in far less.
const KILL_DEADLINE: Duration = Duration::from_secs(30);
