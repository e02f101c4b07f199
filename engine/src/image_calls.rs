//! Calls about images: reads inline, everything that touches the disk on a worker.

use gantry_core::{Call, ImageImport, Item, Refusal, Reply, model::ImageRemoval, model::Progress};

use crate::{
    Engine, clock,
    container::Container,
    image::{ImageError, ImageId, ImageUser},
    message::{Ended, ImageEvent, News, Outcome},
    port::{CallId, Port},
    upload,
};

/// A client whose body is being read, or whose progress is being sent.
pub(crate) struct Transfer {
    upload: upload::Upload,
    /// The progress stream has been opened.
    opened: bool,
}

impl Engine {
    pub(crate) fn image_list(&self, port: &mut dyn Port, call: CallId, query: &gantry_core::ImageList) {
        let reply = self.shared.images.list(query).map(Reply::ImageList);
        port.reply(call, refused(reply));
    }

    pub(crate) fn image_inspect(&self, port: &mut dyn Port, call: CallId, image: &str) {
        let reply = self
            .shared
            .images
            .inspect(image)
            .map(|image| Reply::Image(Box::new(image)));
        port.reply(call, refused(reply));
    }

    pub(crate) fn image_tag(&self, call: CallId, image: String, repository: String, tag: String, force: bool) {
        self.defer(call, Ended::Nothing, move |shared| {
            let id = shared.images.resolve(&image)?.id().to_string();
            shared.images.tag(&image, &repository, &tag, force)?;
            let tag = if tag.is_empty() { "latest" } else { &tag };
            let event = ImageEvent {
                action: "tag",
                id,
                name: format!("{repository}:{tag}"),
            };
            Ok(Outcome {
                reply: Reply::Done,
                events: vec![event],
            })
        });
    }

    /// A removal waits for creates under way and holds later ones back, so that no container is made of an image that
    /// is going.
    pub(crate) fn image_remove(&mut self, call: CallId, image: String, force: bool, noprune: bool) {
        if self.containers.creating() > 0 || self.image_removal {
            self.held.push_back((call, Call::ImageRemove { image, force, noprune }));
            return;
        }
        self.image_removal = true;
        let users = self.image_users();
        self.defer(call, Ended::ImageRemoval, move |shared| {
            let removals = shared
                .images
                .remove(&image, force, noprune, &|image| users_of(&users, image))?;
            let events = removals.iter().map(|removal| match removal {
                ImageRemoval::Untagged(name) => ImageEvent {
                    action: "untag",
                    id: name.clone(),
                    name: name.clone(),
                },
                ImageRemoval::Deleted(id) => ImageEvent {
                    action: "delete",
                    id: id.clone(),
                    name: id.clone(),
                },
            });
            let events = events.collect();
            Ok(Outcome {
                reply: Reply::ImageRemoved(removals),
                events,
            })
        });
    }

    /// Which image each container uses.
    fn image_users(&self) -> Vec<(String, ImageUser)> {
        let user = |container: &Container| {
            let record = &container.record;
            let user = ImageUser {
                id: record.id.clone(),
                name: record.name.clone(),
                running: container.is_running(),
            };
            (record.image.clone(), user)
        };
        self.containers.iter().map(user).collect()
    }

    /// Lets go of images that were removed by force under a stopped container, and that no container uses any more.
    pub(crate) fn drop_unused_images(&self) {
        let users = self.image_users();
        self.background(move |shared| {
            if let Err(error) = shared.images.drop_unused_hidden(&|image| users_of(&users, image)) {
                log::error!("dropping unused images failed: {error}");
            }
        });
    }

    pub(crate) fn image_get(&mut self, port: &mut dyn Port, call: CallId, names: &[String]) {
        let saving = match self.shared.images.saving(names) {
            Ok(saving) => saving,
            Err(error) => return port.reply(call, refused(Err(error))),
        };
        let mut pipe = match self.open_download(port, call, None) {
            Ok(pipe) => pipe,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        self.download(call, move |shared| {
            shared.images.save(&saving, &mut pipe)?;
            let event = |id: String| ImageEvent {
                action: "save",
                name: id.clone(),
                id,
            };
            Ok(Outcome {
                reply: Reply::Tar,
                events: saving.ids().into_iter().map(event).collect(),
            })
        });
    }

    pub(crate) fn image_import(&mut self, port: &mut dyn Port, call: CallId, request: ImageImport) {
        if request.source != "-" {
            let what = format!("import from {} (only from the request body, fromSrc=-)", request.source);
            port.reply(call, Reply::Refused(Refusal::NotSupported(what)));
            return;
        }
        let reader = self.open_transfer(call);
        let post = self.post.clone();
        self.transfer(call, move |shared| {
            let id = shared.images.import(reader, &request, clock::now())?.to_string();
            // The id is the one message; it also opens the stream.
            post(News::Progress {
                call,
                progress: Progress {
                    status: Some(id.clone()),
                    ..Progress::default()
                },
            });
            let event = ImageEvent {
                action: "import",
                name: id.clone(),
                id,
            };
            Ok(Outcome {
                reply: Reply::ProgressStream,
                events: vec![event],
            })
        });
    }

    pub(crate) fn image_load(&mut self, call: CallId, quiet: bool) {
        let reader = self.open_transfer(call);
        let post = self.post.clone();
        self.transfer(call, move |shared| {
            shared.images.load(reader, &mut |progress| {
                // What was loaded is told also to those who want no progress bars.
                if !quiet || progress.stream.is_some() {
                    post(News::Progress { call, progress });
                }
            })?;
            Ok(Outcome {
                reply: Reply::ProgressStream,
                events: Vec::new(),
            })
        });
    }

    fn open_transfer(&mut self, call: CallId) -> upload::UploadReader {
        let post = self.post.clone();
        let (upload, reader) = upload::channel(move || post(News::UploadRoom { call }));
        self.transfers.insert(call, Transfer { upload, opened: false });
        reader
    }

    pub(crate) fn transfer_body(&self, port: &mut dyn Port, call: CallId, bytes: bytes::Bytes) {
        if let Some(transfer) = self.transfers.get(&call)
            && !transfer.upload.push(bytes)
        {
            port.pause_input(call, true);
        }
    }

    pub(crate) fn transfer_body_end(&self, call: CallId) {
        if let Some(transfer) = self.transfers.get(&call) {
            transfer.upload.finish();
        }
    }

    pub(crate) fn transfer_aborted(&mut self, call: CallId) {
        if let Some(transfer) = self.transfers.remove(&call) {
            transfer.upload.abort();
        }
    }

    pub(crate) fn transfer_progress(&mut self, port: &mut dyn Port, call: CallId, progress: Progress) {
        if let Some(transfer) = self.transfers.get_mut(&call) {
            if !std::mem::replace(&mut transfer.opened, true) {
                port.reply(call, Reply::ProgressStream);
            }
            port.send(call, Item::Progress(progress));
        }
    }

    /// The answer of an import or load. Before the first message a failure is an ordinary error; after it, it is the
    /// stream's last message.
    pub(crate) fn transfer_ended(&mut self, port: &mut dyn Port, call: CallId, reply: Reply) {
        let Some(transfer) = self.transfers.remove(&call) else {
            return;
        };
        match (transfer.opened, reply) {
            (false, Reply::Refused(refusal)) => port.reply(call, Reply::Refused(refusal)),
            (false, reply) => {
                port.reply(call, reply);
                port.finish(call);
            }
            (true, Reply::Refused(refusal)) => {
                port.send(call, Item::Failed(refusal));
                port.finish(call);
            }
            (true, _) => port.finish(call),
        }
    }
}

fn users_of(users: &[(String, ImageUser)], image: &ImageId) -> Vec<ImageUser> {
    let image = image.to_string();
    users
        .iter()
        .filter(|(used, _)| *used == image)
        .map(|(_, user)| user.clone())
        .collect()
}

fn refused(reply: Result<Reply, ImageError>) -> Reply {
    reply.unwrap_or_else(|error| Reply::Refused(error.into()))
}
