//! `POST /containers/{id}/wait`.

use gantry_core::Reply;

use crate::{
    Engine,
    port::{CallId, Port},
};

impl Engine {
    /// Answers when the container does not run: at once for one that has ended or never ran (as dockerd does).
    pub(crate) fn container_wait(&mut self, port: &mut dyn Port, call: CallId, name: &str) {
        let id = match self.containers.resolve_id(name) {
            Ok(id) => id,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        let Some(container) = self.containers.get_mut(&id) else {
            return;
        };
        if container.is_running() || container.operation == Some(super::Operation::Starting) {
            container.waiters.push(call);
        } else {
            port.reply(
                call,
                Reply::ContainerExited {
                    status_code: i64::from(container.record.exit_code),
                },
            );
        }
    }
}
