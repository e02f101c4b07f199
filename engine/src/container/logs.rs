//! `GET /containers/{id}/logs`, and reading the log for an attach that replays it.

use bytes::{Bytes, BytesMut};
use gantry_core::{ContainerLogs, Item, Refusal, Reply, model::Timestamp};

use super::{
    ContainerPaths,
    attach::{Follower, Source},
    log_file,
};
use crate::{
    Engine,
    keeper::wire::From,
    message::News,
    port::{CallId, Port},
};

/// How a follower reads the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogOptions {
    /// Only the last so many entries of what is there at the beginning. Taken by the first read.
    tail: Option<u64>,
    /// Only entries not older.
    since: Option<Timestamp>,
    /// A time before each entry.
    timestamps: bool,
    /// A logs call: entries with their times are wanted, and at the log's end it is watched instead of going live.
    timed: bool,
}

impl Engine {
    pub(crate) fn container_logs(&mut self, port: &mut dyn Port, call: CallId, request: ContainerLogs) {
        let container = match self.containers.resolve(&request.container) {
            Ok(container) => container,
            Err(refusal) => return port.reply(call, Reply::Refused(refusal)),
        };
        if container.record.host_config.log_config.driver == "none" {
            let text = "configured logging driver does not support reading".to_owned();
            return port.reply(call, Reply::Refused(Refusal::BadParameter(text)));
        }
        let id = container.record.id.clone();
        let tty = container.record.config.tty;
        if request.follow
            && let Err(error) = self.watch_log(port, &id)
        {
            let text = format!("watching the log failed: {error}");
            return port.reply(call, Reply::Refused(Refusal::Internal(text)));
        }
        port.reply(call, Reply::Logs { tty });
        let options = LogOptions {
            tail: request.tail,
            since: request.since,
            timestamps: request.timestamps,
            timed: true,
        };
        self.add_follower(
            call,
            Follower::of_log(id, request.stdout, request.stderr, request.follow, options),
        );
        self.read_log(call);
    }

    /// Has a worker read the next piece, unless one does already.
    pub(super) fn read_log(&mut self, call: CallId) {
        let Some(follower) = self.followers.get_mut(&call) else {
            return;
        };
        let Source::Log {
            position,
            reading,
            dirty,
        } = &mut follower.source
        else {
            return;
        };
        if std::mem::replace(reading, true) {
            *dirty = true;
            return;
        }
        *dirty = false;
        let position = *position;
        let (timed, tail) = (follower.log.timed, follower.log.tail.take());
        let id = follower.container().to_owned();
        self.job(Some(call), None, move |shared| {
            let path = ContainerPaths::new(&shared.data_root, &id).log();
            let result = if timed {
                let from = tail.map_or(Ok(position.log_offset), |lines| log_file::tail(&path, lines));
                from.and_then(|from| log_file::read(&path, from, PIECE_BYTES))
            } else {
                log_file::catch_up(&path, position, PIECE_BYTES)
            };
            News::LogRead {
                call,
                result: result.map_err(|error| format!("reading the log failed: {error}")),
            }
        });
    }

    /// There is more in the log than there was.
    pub(super) fn log_grew(&mut self, call: CallId) {
        if let Some(Follower {
            source: Source::Log {
                reading: true, dirty, ..
            },
            ..
        }) = self.followers.get_mut(&call)
        {
            *dirty = true;
        } else {
            self.read_log(call);
        }
    }

    pub(crate) fn log_read(&mut self, port: &mut dyn Port, call: CallId, result: Result<log_file::Piece, String>) {
        let piece = match result {
            Ok(piece) => piece,
            Err(error) => {
                log::error!("{error}");
                return self.abort_follower(port, call);
            }
        };
        let Some(follower) = self.followers.get_mut(&call) else {
            return;
        };
        let Source::Log {
            position,
            reading,
            dirty,
        } = &mut follower.source
        else {
            return;
        };
        (*reading, *position) = (false, piece.next);
        let (at_end, next) = (piece.at_end && !*dirty, piece.next);
        for entry in &piece.entries {
            if !entry.bytes.is_empty()
                && follower.wants(entry.stream)
                && follower.log.since.is_none_or(|since| entry.time >= since)
            {
                port.send(call, Item::Output(entry.stream, shown(entry, follower.log.timestamps)));
            }
        }
        if !at_end {
            if port.has_room(call) {
                self.read_log(call);
            }
            return;
        }
        let (follow, watch, lived) = (follower.follow, follower.log.timed, follower.lived);
        let container = self.containers.get(follower.container());
        let running = container.is_some_and(super::Container::is_running);
        let starting = container.is_some_and(|container| container.operation == Some(super::Operation::Starting));
        if !follow || ((watch || lived) && !running && !starting) {
            self.end_follower(port, call);
        } else if watch {
            // The next change, or the end of the run, goes on here.
        } else if running {
            self.subscribe(port, call, From::At(next), next);
        } else if let Some(follower) = self.followers.get_mut(&call) {
            follower.source = Source::Waiting;
        }
    }
}

fn shown(entry: &log_file::Entry, timestamps: bool) -> Bytes {
    if !timestamps {
        return entry.bytes.clone();
    }
    let time = entry.time.fixed_width().to_string();
    let mut text = BytesMut::with_capacity(time.len() + 1 + entry.bytes.len());
    text.extend_from_slice(time.as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(&entry.bytes);
    text.freeze()
}

/// About how much of the file is read at once.
const PIECE_BYTES: usize = 128 * 1024;
