//! `POST /containers/create`.

use std::{fs, io, os::unix::fs::DirBuilderExt, path::Path};

use gantry_core::{
    Call, ContainerCreate, Refusal, Reply,
    model::{ContainerConfig, Timestamp},
};

use super::{ContainerPaths, Phase, Record, configure, names};
use crate::{
    Engine, clock,
    message::{Ended, News},
    port::{CallId, Port},
    shared::Shared,
};

impl Engine {
    pub(crate) fn container_create(&mut self, port: &mut dyn Port, call: CallId, request: Box<ContainerCreate>) {
        if self.image_removal {
            self.held.push_back((call, Call::ContainerCreate(request)));
            return;
        }
        let (record, warnings) = match self.plan_create(*request) {
            Ok(planned) => planned,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        self.containers.reserve(call, &record);
        let container = record.id.clone();
        self.job(Some(call), Some(&container), move |shared| {
            let result = store_new(shared, &record).map(|()| warnings);
            News::Created {
                call,
                record: Box::new(record),
                result,
            }
        });
    }

    fn plan_create(&self, request: ContainerCreate) -> Result<(Record, Vec<String>), Refusal> {
        let ContainerCreate {
            name,
            mut config,
            mut host_config,
            networking_config,
        } = request;
        if config == ContainerConfig::default() {
            return Err(Refusal::NoConfig);
        }
        if let Some(network) = networking_config
            .endpoints_config
            .keys()
            .find(|n| *n != &host_config.network_mode)
        {
            return Err(Refusal::NotSupported(format!(
                "NetworkingConfig.EndpointsConfig ({network})"
            )));
        }
        let random = |error: io::Error| Refusal::Internal(format!("no random bits: {error}"));
        let name = match name {
            Some(name) => {
                let plain = name.strip_prefix('/').unwrap_or(&name);
                if !names::is_valid(plain) {
                    return Err(Refusal::BadContainerName { name });
                }
                if let Some(holder) = self.containers.holder(plain) {
                    return Err(Refusal::NameInUse {
                        name: plain.to_owned(),
                        holder: holder.to_owned(),
                    });
                }
                plain.to_owned()
            }
            None => {
                let mut attempt = 0;
                loop {
                    let name = names::invent(clock::random_bits().map_err(random)?, attempt);
                    if self.containers.holder(&name).is_none() {
                        break name;
                    }
                    attempt += 1;
                }
            }
        };
        let image = self.shared.images.resolve(&config.image)?;
        if let Some(defaults) = &image.config().config {
            configure::merge_image(&mut config, defaults);
        }
        let warnings = configure::check(&config, &mut host_config, &self.shared.facts)?;
        let id = clock::random_id().map_err(random)?;
        if config.hostname.is_empty() && host_config.uts_mode != "host" && host_config.network_mode != "host" {
            id.get(..12).unwrap_or_default().clone_into(&mut config.hostname);
        }
        let record = Record {
            id,
            name,
            created: clock::now(),
            image: image.id().to_string(),
            config,
            host_config,
            phase: Phase::Created,
            started_at: Timestamp::ZERO,
            finished_at: Timestamp::ZERO,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            attachment: None,
        };
        Ok((record, warnings))
    }

    pub(crate) fn created(
        &mut self,
        port: &mut dyn Port,
        call: CallId,
        record: Box<Record>,
        result: Result<Vec<String>, Refusal>,
    ) {
        let id = record.id.clone();
        let image = self.shared.image_of(&record);
        self.containers.create_ended(call, *record, image, result.is_ok());
        match result {
            Ok(warnings) => {
                self.container_event(port, &id, "create", &[]);
                port.reply(call, Reply::ContainerCreated { id, warnings });
            }
            Err(refusal) => port.reply(call, Reply::Refused(refusal)),
        }
        self.work_ended(port, Ended::Nothing);
    }
}

/// Makes the container's directory and stores its record; leaves nothing when it fails.
fn store_new(shared: &Shared, record: &Record) -> Result<(), Refusal> {
    let paths = ContainerPaths::new(&shared.data_root, &record.id);
    let made = make_directories(&paths)
        .map_err(|error| Refusal::Internal(format!("creating the container's directory failed: {error}")))
        .and_then(|()| shared.put_record(record));
    if made.is_err() {
        shared.discard(paths.dir());
    }
    made
}

fn make_directories(paths: &ContainerPaths) -> io::Result<()> {
    let make = |path: &Path, mode: u32| fs::DirBuilder::new().mode(mode).create(path);
    make(paths.dir(), 0o700)?;
    // The upper directory's mode is that of the container's `/`.
    make(&paths.upper(), 0o755)?;
    make(&paths.work(), 0o700)
}
