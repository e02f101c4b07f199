//! `GET /containers/{id}/export`: everything a container has below its root, but for what is mounted there.

use gantry_core::{Refusal, Reply};

use super::{ContainerPaths, Operation};
use crate::{
    Engine, archive,
    download::TarPipe,
    message::Outcome,
    port::{CallId, Port},
    rootfs,
};

impl Engine {
    pub(crate) fn container_export(&mut self, port: &mut dyn Port, call: CallId, name: String) {
        let container = match self.containers.resolve(&name) {
            Ok(container) => container,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        if container.operation == Some(Operation::Removing) {
            return port.reply(call, Reply::Refused(Refusal::RemovalInProgress { name }));
        }
        let id = container.record.id.clone();
        let Some(image) = container.image.clone() else {
            let text = format!("container {id}: its image is damaged");
            return port.reply(call, Reply::Refused(Refusal::Internal(text)));
        };
        let mut pipe = match self.open_download(port, call, Some(id.clone())) {
            Ok(pipe) => pipe,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        self.download(call, move |shared| {
            let writable = ContainerPaths::new(&shared.data_root, &id).upper();
            // The image is kept until the last byte, whatever happens to it meanwhile.
            let layers: Vec<_> = std::iter::once(writable).chain(image.layer_paths()).collect();
            let root = rootfs::mount_view(&layers).map_err(|error| Refusal::Internal(error.to_string()))?;
            pack(&mut pipe, &root).map_err(|error| Refusal::Internal(format!("export of container {id}: {error}")))?;
            Ok(Outcome {
                reply: Reply::Tar,
                events: Vec::new(),
            })
        });
    }
}

fn pack(pipe: &mut TarPipe, root: &std::os::fd::OwnedFd) -> std::io::Result<()> {
    use std::os::fd::AsFd;
    archive::pack_tree(root.as_fd(), pipe)?;
    // What was gone when it was looked for may have gone with the container.
    pipe.check()?;
    archive::finish(pipe)
}
