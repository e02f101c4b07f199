//! A tar stream on its way from the thread that writes it to a client.
//!
//! Between them is a pipe. It holds so much and no more, so the thread waits for the client, and it breaks when the client is
//! gone, which ends the thread. What is in it goes on in one of two ways:
//!
//! ```text
//!   thread --- write, splice ---> pipe --- splice ---> the client's socket        (Way::Spliced)
//!        '---- "so much is in it" ---> engine ---> Item::Spliced
//!
//!   thread --- write, splice ---> pipe --- read ---> engine ---> Item::Data       (Way::Copied: through TLS)
//! ```
//!
//! On the first way nobody copies the data of a file that is not small: it goes from the page cache to the socket.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use gantry_core::{
    Item, Refusal, Reply,
    driver::{Direction, PipeId, SourceId},
    framing::StreamKind,
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice},
    poll::{PollFd, PollFlags, poll},
    unistd::pipe2,
};

use crate::{
    Engine,
    archive::Sink,
    engine::PipeUse,
    message::News,
    port::{CallId, Port},
};

/// A client that gets a tar stream.
pub(crate) struct Download {
    /// Id of the container it is made of.
    container: Option<String>,
    /// The reply has opened the stream.
    opened: bool,
    way: Way,
    /// What became of the thread's work, once it is over.
    outcome: Option<Result<(), Refusal>>,
    /// Tells the thread that its work is in vain.
    cancelled: Arc<AtomicBool>,
}

enum Way {
    Spliced {
        source: SourceId,
        /// Bytes that the thread has announced.
        announced: u64,
    },
    Copied {
        pipe: PipeId,
        /// All has been read out of it.
        ended: bool,
    },
}

/// The thread's end.
pub(crate) struct TarPipe {
    pipe: OwnedFd,
    /// Headers and small files.
    buffer: Vec<u8>,
    announce: Box<dyn Fn(usize) + Send>,
    cancelled: Arc<AtomicBool>,
}

impl Engine {
    /// Begins the tar stream that answers `call`; gives where it is to be written. `container` is what it is made of.
    pub(crate) fn open_download(
        &mut self,
        port: &mut dyn Port,
        call: CallId,
        container: Option<String>,
    ) -> Result<TarPipe, Refusal> {
        let failed = |error| Refusal::Internal(format!("a pipe for the tar stream: {error}"));
        let (reader, writer) = tar_pipe().map_err(failed)?;
        self.subscriptions_made += 1;
        let source = SourceId(self.subscriptions_made);
        // A client that cannot be served so closes what it was given.
        let copy = reader.try_clone().map_err(failed)?;
        let way = if port.open_source(call, source, reader) {
            drop(copy);
            Way::Spliced { source, announced: 0 }
        } else {
            let pipe = port.open_pipe(copy, Direction::Read);
            self.pipes.insert(pipe, PipeUse::Tar { call });
            Way::Copied { pipe, ended: false }
        };
        let cancelled = Arc::new(AtomicBool::new(false));
        let post = self.post.clone();
        let announces = matches!(way, Way::Spliced { .. });
        let pipe = TarPipe {
            pipe: writer,
            buffer: Vec::with_capacity(BUFFER),
            announce: Box::new(move |len| {
                if announces {
                    post(News::TarWritten { call, len });
                }
            }),
            cancelled: Arc::clone(&cancelled),
        };
        let download = Download {
            container,
            opened: false,
            way,
            outcome: None,
            cancelled,
        };
        self.downloads.insert(call, download);
        Ok(pipe)
    }

    /// The thread has put so much into the pipe.
    pub(crate) fn tar_written(&mut self, port: &mut dyn Port, call: CallId, len: usize) {
        let Some(download) = self.downloads.get_mut(&call) else {
            return;
        };
        download.open(port, call);
        if let Way::Spliced { source, announced } = &mut download.way {
            *announced += len as u64;
            let (kind, source) = (StreamKind::Stdout, *source);
            port.send(call, Item::Spliced { kind, source, len });
        }
    }

    /// Bytes that cannot go unseen.
    pub(crate) fn tar_read(&mut self, port: &mut dyn Port, call: CallId, bytes: &[u8]) {
        let Some(download) = self.downloads.get_mut(&call) else {
            return;
        };
        download.open(port, call);
        port.send(call, Item::Data(Bytes::copy_from_slice(bytes)));
        if let Way::Copied { pipe, .. } = download.way
            && !port.has_room(call)
        {
            port.pause_pipe(pipe, true);
        }
    }

    /// All bytes have been read.
    pub(crate) fn tar_read_ended(&mut self, port: &mut dyn Port, call: CallId) {
        if let Some(Download {
            way: Way::Copied { ended, .. },
            ..
        }) = self.downloads.get_mut(&call)
        {
            *ended = true;
            self.download_check(port, call);
        }
    }

    pub(crate) fn download_writable(&self, port: &mut dyn Port, call: CallId) {
        if let Some(Download {
            way: Way::Copied { pipe, ended: false },
            ..
        }) = self.downloads.get(&call)
        {
            port.pause_pipe(*pipe, false);
        }
    }

    /// The thread is done. Before the first byte a failure is an ordinary error; after it, the stream breaks off.
    pub(crate) fn download_ended(&mut self, port: &mut dyn Port, call: CallId, reply: Reply) {
        if let Some(download) = self.downloads.get_mut(&call) {
            download.outcome = Some(match reply {
                Reply::Refused(refusal) => Err(refusal),
                _ => Ok(()),
            });
            self.download_check(port, call);
        }
    }

    /// Ends the stream when the thread has, and nothing of what it wrote is left to be read.
    fn download_check(&mut self, port: &mut dyn Port, call: CallId) {
        let Some(download) = self.downloads.get(&call) else {
            return;
        };
        let all_read = !matches!(download.way, Way::Copied { ended: false, .. });
        if download.outcome.is_none() || !all_read {
            return;
        }
        let Some(mut download) = self.drop_download(port, call) else {
            return;
        };
        match download.outcome.take() {
            Some(Err(refusal)) if !download.opened => port.reply(call, Reply::Refused(refusal)),
            Some(Err(refusal)) => {
                log::warn!("a tar stream broke off: {refusal:?}");
                port.abort(call);
            }
            _ => {
                download.open(port, call);
                port.finish(call);
                if let Some(container) = &download.container {
                    self.container_event(port, container, "export", &[]);
                }
            }
        }
    }

    /// The client is gone.
    pub(crate) fn download_aborted(&mut self, port: &mut dyn Port, call: CallId) {
        self.drop_download(port, call);
    }

    /// A container's files are about to go: what is being made of them would lack some, and nobody could tell.
    pub(crate) fn cancel_downloads(&self, container: &str) {
        for download in self.downloads.values() {
            if download.container.as_deref() == Some(container) {
                download.cancelled.store(true, Ordering::Release);
            }
        }
    }

    fn drop_download(&mut self, port: &mut dyn Port, call: CallId) -> Option<Download> {
        let download = self.downloads.remove(&call)?;
        match download.way {
            Way::Spliced { source, announced } => port.end_source(call, source, announced),
            Way::Copied { pipe, .. } => {
                if self.pipes.remove(&pipe).is_some() {
                    port.close_pipe(pipe);
                }
            }
        }
        Some(download)
    }
}

impl Download {
    fn open(&mut self, port: &mut dyn Port, call: CallId) {
        if !std::mem::replace(&mut self.opened, true) {
            port.reply(call, Reply::Tar);
        }
    }
}

impl TarPipe {
    /// Whether the work is in vain, as a failure.
    ///
    /// # Errors
    /// It is.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.cancelled.load(Ordering::Acquire) {
            Err(io::Error::other("the container is being removed"))
        } else {
            Ok(())
        }
    }

    /// Waits for room.
    fn wait(&self) -> io::Result<()> {
        let mut pipe = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut pipe, CHECK_MILLIS) {
            Ok(_) | Err(Errno::EINTR) => self.check(),
            Err(errno) => Err(errno.into()),
        }
    }

    fn send_buffer(&mut self) -> io::Result<()> {
        self.check()?;
        let mut sent = 0;
        while sent < self.buffer.len() {
            let rest = &self.buffer[sent..];
            match nix::unistd::write(&self.pipe, rest) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait()?,
                written => {
                    let len = written?;
                    sent += len;
                    // Before waiting for room: nobody takes what he was not told of.
                    (self.announce)(len);
                }
            }
        }
        self.buffer.clear();
        Ok(())
    }
}

impl Write for TarPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= BUFFER {
            self.send_buffer()?;
        }
        let len = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_buffer()
    }
}

impl Sink for TarPipe {
    fn copy(&mut self, file: &File, len: u64) -> io::Result<u64> {
        if len < SPLICE_MIN {
            if self.buffer.len() + len as usize > BUFFER {
                self.send_buffer()?;
            }
            return file.take(len).read_to_end(&mut self.buffer).map(|len| len as u64);
        }
        self.send_buffer()?;
        let mut left = len;
        while left > 0 {
            self.check()?;
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(SPLICE_MAX);
            match splice(
                file.as_fd(),
                None,
                &self.pipe,
                None,
                wanted,
                SpliceFFlags::SPLICE_F_MOVE,
            ) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait()?,
                Ok(0) => break,
                moved => {
                    let moved = moved?;
                    left -= moved as u64;
                    (self.announce)(moved);
                }
            }
        }
        Ok(len - left)
    }
}

fn tar_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    // A user's pipes have a limit (pipe(7), "pipe-user-pages-soft"), beyond which this one stays as it is.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE as i32));
    Ok((reader, writer))
}

/// Bytes of a pipe; what a slow client makes the kernel keep.
const PIPE: usize = 1 << 20;
/// Bytes gathered before they are written.
const BUFFER: usize = 128 * 1024;
/// Files from this size on are spliced. Below it, a page of its own for each costs more than a copy.
const SPLICE_MIN: u64 = 64 * 1024;
/// Most bytes moved at once.
const SPLICE_MAX: usize = 1 << 20;
/// How long a thread that waits does not look whether its work is in vain.
const CHECK_MILLIS: u16 = 1000;
