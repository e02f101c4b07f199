//! What a keeper says, and the end of a run.

use std::os::fd::AsFd;

use gantry_core::{Call, Reply, model::Timestamp};

use super::{AfterEnd, Operation, Phase, Stored};
use crate::{
    Engine, clock,
    engine::{PipeUse, TimerUse},
    event,
    keeper::{
        self,
        client::Reconnected,
        wire::{FromKeeper, ToKeeper},
    },
    message::News,
    port::{CallId, Port},
    shared::Shared,
};

impl Engine {
    pub(crate) fn keeper_said(&mut self, port: &mut dyn Port, id: &str, packet: &[u8]) {
        match FromKeeper::decode(packet) {
            Ok(FromKeeper::Exited(record)) => self.ended(port, id, Stored::Exited(record)),
            Ok(FromKeeper::SubscribedAt { subscription, .. }) => self.output_followed(port, subscription),
            Ok(FromKeeper::Behind { subscription, .. }) => self.output_behind(port, subscription),
            Ok(FromKeeper::Lagging { subscription, position }) => self.output_lagging(port, subscription, position),
            Ok(FromKeeper::Ended { subscription }) => self.output_told_ended(port, subscription, false),
            Ok(FromKeeper::Lost { subscription } | FromKeeper::Refused { subscription }) => {
                self.output_told_ended(port, subscription, true);
            }
            Ok(FromKeeper::Unknown { kind }) => log::debug!("container {id}: keeper sent an unknown message {kind}"),
            Ok(other) => log::warn!("container {id}: keeper sent a message out of turn: {other:?}"),
            Err(error) => log::warn!("container {id}: keeper sent an unreadable message: {error}"),
        }
    }

    /// The connection to a keeper broke. Whether it was only the connection, or the keeper ended, is found out aside.
    pub(crate) fn keeper_gone(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        if !container.is_running() {
            return;
        }
        let container = id.to_owned();
        self.job(None, Some(id), move |shared| {
            let stored = find(shared, &container);
            News::Found { id: container, stored }
        });
    }

    pub(crate) fn found(&mut self, port: &mut dyn Port, id: &str, stored: Stored) {
        match stored {
            Stored::Running(launched) => {
                self.close_run(port, id);
                self.run_begins(port, id, launched);
            }
            stored => self.ended(port, id, stored),
        }
    }

    /// A run is over; its exit is on disk.
    fn ended(&mut self, port: &mut dyn Port, id: &str, stored: Stored) {
        self.close_run(port, id);
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        if !container.is_running() {
            return;
        }
        let record = &mut container.record;
        let mut remains = None;
        record.phase = Phase::Exited;
        match stored {
            Stored::Exited(exit) => {
                record.exit_code = exit.exit_code;
                record.oom_killed = exit.oom_killed;
                record.finished_at = Timestamp::from_nanos(i128::from(exit.finished_at_ns));
                if exit.remains {
                    let id = id.to_owned();
                    let path = self.shared.cgroup_path(&id);
                    log::warn!("container {id}: something of it outlived its keeper and is ended now");
                    remains = Some(path);
                }
                if exit.log_lost_bytes > 0 {
                    record.error = format!("{} bytes of output could not be logged", exit.log_lost_bytes);
                }
            }
            Stored::Running(_) | Stored::Lost => {
                record.exit_code = EXIT_CODE_LOST;
                record.finished_at = clock::now();
                "its keeper ended without a record of the exit".clone_into(&mut record.error);
            }
        }
        let attachment = record.attachment.take();
        let exit_code = record.exit_code;
        let record = record.clone();
        container.operation = Some(Operation::Settling);
        let timer = container.stop_timer.take();
        let waiters = std::mem::take(&mut container.waiters);
        let mut stopped = false;
        let mut removals = Vec::new();
        for (call, after) in std::mem::take(&mut container.after_end) {
            match after {
                AfterEnd::Killed => port.reply(call, Reply::Done),
                AfterEnd::Stopped => {
                    stopped = true;
                    port.reply(call, Reply::Done);
                }
                AfterEnd::Remove => removals.push((call, after)),
            }
        }
        container.after_end = removals;
        if let Some(timer) = timer {
            self.stop_timer(port, timer);
        }
        self.container_event(port, id, "die", &[("exitCode", exit_code.to_string())]);
        if stopped {
            self.container_event(port, id, "stop", &[]);
        }
        for call in waiters {
            port.reply(
                call,
                Reply::ContainerExited {
                    status_code: i64::from(exit_code),
                },
            );
        }
        self.run_ended_followers(port, id);
        self.job(None, Some(id), move |shared| {
            let id = record.id.clone();
            let paths = shared.keeper_paths(&id);
            if let Some(attachment) = &attachment {
                shared.release(attachment);
            }
            if let Some(Err(error)) = remains.map(|path| crate::cgroup::destroy(&path)) {
                log::error!("container {id}: {error}");
            }
            // The keeper's record goes only when ours is stored.
            if let Err(refusal) = shared.put_record(&record) {
                log::error!("container {id}: storing its end failed: {refusal:?}");
            } else if let Err(error) = keeper::client::forget(&paths) {
                log::warn!("container {id}: removing the keeper's files failed: {error}");
            }
            News::Settled { id }
        });
    }

    pub(crate) fn settled(&mut self, port: &mut dyn Port, id: &str) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        container.operation = None;
        if let Some((call, _)) = container.after_end.pop() {
            let others = std::mem::take(&mut container.after_end);
            for (other, _) in others {
                port.reply(
                    other,
                    Reply::Refused(gantry_core::Refusal::RemovalInProgress { name: id.to_owned() }),
                );
            }
            self.begin_removal(call, id);
        } else {
            self.operation_ended(port, id);
        }
    }

    /// Takes a run's descriptors off the loop.
    fn close_run(&mut self, port: &mut dyn Port, id: &str) {
        let Some(run) = self.containers.get_mut(id).and_then(|container| container.run.take()) else {
            return;
        };
        for pipe in [Some(run.control_pipe), run.stdin].into_iter().flatten() {
            if self.pipes.remove(&pipe).is_some() {
                port.close_pipe(pipe);
            }
        }
    }

    /// Lets the calls go on that waited for an operation.
    pub(crate) fn operation_ended(&mut self, port: &mut dyn Port, id: &str) {
        loop {
            let Some(container) = self.containers.get_mut(id) else {
                return;
            };
            if container.operation.is_some() {
                return;
            }
            let Some((call, request)) = container.queue.pop_front() else {
                return;
            };
            self.call(port, call, request);
        }
    }

    /// A job about a container panicked: it is free again.
    pub(crate) fn operation_failed(&mut self, port: &mut dyn Port, id: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            container.operation = None;
        }
        self.operation_ended(port, id);
    }

    /// Puts a call behind the operation that is under way.
    pub(crate) fn enqueue(&mut self, id: &str, call: CallId, request: Call) {
        if let Some(container) = self.containers.get_mut(id) {
            container.queue.push_back((call, request));
        }
    }

    /// Sends a request to a running container's keeper.
    pub(crate) fn ask_keeper(&self, id: &str, request: &ToKeeper) -> std::io::Result<()> {
        let run = self.containers.get(id).and_then(|container| container.run.as_ref());
        let run = run.ok_or(std::io::ErrorKind::NotConnected)?;
        keeper::client::request(run.control.as_fd(), request)
    }

    /// Records an event of a container.
    pub(crate) fn container_event(&mut self, port: &mut dyn Port, id: &str, action: &str, more: &[(&str, String)]) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let record = &container.record;
        let labels = record
            .config
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        let own = [("image", record.config.image.clone()), ("name", record.name.clone())];
        let actor = event::actor(id, labels.chain(own).chain(more.iter().cloned()));
        self.event(port, "container", action, actor);
    }

    /// The pipe and timer uses of a container that goes.
    pub(crate) fn forget_uses(&mut self, id: &str) {
        self.pipes.retain(|_, pipe_use| {
            !matches!(pipe_use, PipeUse::Keeper { container } | PipeUse::Stdin { container } if container == id)
        });
        self.timers.retain(|_, timer_use| {
            !matches!(timer_use, TimerUse::StopGrace { container } | TimerUse::KillDeadline { container } if container == id)
        });
    }
}

/// Looks for a container's keeper, and for its exit record when it is gone.
pub(super) fn find(shared: &Shared, id: &str) -> Stored {
    match keeper::client::reconnect(&shared.keeper_paths(id), &shared.cgroup_path(id)) {
        Ok(Reconnected::Running(launched)) => Stored::Running(launched),
        Ok(Reconnected::Exited(record)) => Stored::Exited(record),
        Ok(Reconnected::Lost) => Stored::Lost,
        Err(error) => {
            log::error!("container {id}: its keeper cannot be spoken to: {error}");
            Stored::Lost
        }
    }
}

/// What dockerd says of a container whose end nobody saw.
const EXIT_CODE_LOST: i32 = 255;
