//! `DELETE /containers/{id}`.

use gantry_core::{Call, ContainerRemove, Refusal, Reply};

use super::{AfterEnd, ContainerPaths, Operation};
use crate::{
    Engine,
    keeper::{self, wire::ToKeeper},
    message::News,
    port::{CallId, Port},
};

impl Engine {
    pub(crate) fn container_remove(&mut self, port: &mut dyn Port, call: CallId, request: ContainerRemove) {
        if request.link {
            return port.reply(
                call,
                Reply::Refused(Refusal::NotSupported("removal of links".to_owned())),
            );
        }
        let id = match self.containers.resolve_id(&request.container) {
            Ok(id) => id,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let Some(container) = self.containers.get_mut(&id) else {
            return;
        };
        match container.operation {
            Some(Operation::Removing) => {
                let refusal = Refusal::RemovalInProgress {
                    name: request.container,
                };
                return port.reply(call, Reply::Refused(refusal));
            }
            Some(_) => return self.enqueue(&id, call, Call::ContainerRemove(request)),
            None => {}
        }
        if !container.is_running() {
            return self.begin_removal(call, &id);
        }
        if !request.force {
            return port.reply(call, Reply::Refused(Refusal::ContainerRunning { id }));
        }
        container.after_end.push((call, AfterEnd::Remove));
        self.kill_now(port, &id);
    }

    /// Forgets the container first and its files second, so that a crash in between leaves files without a container,
    /// which the next start clears away, and never a container without files.
    pub(crate) fn begin_removal(&mut self, call: CallId, id: &str) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        container.operation = Some(Operation::Removing);
        self.cancel_downloads(id);
        let id = id.to_owned();
        let container = id.clone();
        self.job(Some(call), Some(&container), move |shared| {
            let result = shared.remove_record(&id).map(|()| {
                shared.discard(ContainerPaths::new(&shared.data_root, &id).dir());
                let _ = keeper::client::forget(&shared.keeper_paths(&id));
                // Missing for a container that never ran.
                let _ = std::fs::remove_dir_all(shared.run_dir(&id));
            });
            News::Removed { call, id, result }
        });
    }

    pub(crate) fn removed(&mut self, port: &mut dyn Port, call: CallId, id: &str, result: Result<(), Refusal>) {
        if let Err(refusal) = result {
            port.reply(call, Reply::Refused(refusal));
            return self.operation_failed(port, id);
        }
        // In this order: a client that waits for the event (`docker run --rm`) drops the request that is not answered yet.
        port.reply(call, Reply::Done);
        self.container_event(port, id, "destroy", &[]);
        let Some(container) = self.containers.remove(id) else {
            return;
        };
        self.forget_uses(id);
        if container.image.is_some_and(|image| {
            self.shared
                .images
                .by_id(&image.id())
                .is_some_and(|image| image.is_hidden())
        }) {
            self.drop_unused_images();
        }
        for follower in container.followers {
            self.end_follower(port, follower);
        }
        for waiter in container.waiters {
            port.reply(
                waiter,
                Reply::ContainerExited {
                    status_code: i64::from(container.record.exit_code),
                },
            );
        }
        port.reply(call, Reply::Done);
        for (call, request) in container.queue {
            self.call(port, call, request);
        }
    }

    /// Ends every process of a container, and sees to it that the end comes.
    pub(crate) fn kill_now(&mut self, port: &mut dyn Port, id: &str) {
        if let Err(error) = self.ask_keeper(id, &ToKeeper::KillAll) {
            // It may have ended by itself a moment ago; the deadline watches over the rest.
            log::debug!("container {id}: its keeper cannot be asked to kill it: {error}");
        }
        self.arm_kill_deadline(port, id);
    }
}
