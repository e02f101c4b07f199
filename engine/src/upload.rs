//! A request body on its way from the reactor to a thread that reads it.
//!
//! The reactor pushes what arrives and never waits; the thread reads and waits. Between them lies a bounded queue: when
//! it is full, the reactor stops taking the client's bytes, and the thread tells it when there is room again.

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use bytes::{Buf, Bytes};

/// The reactor's end.
#[derive(Clone)]
pub(crate) struct Upload {
    shared: Arc<Shared>,
}

/// The thread's end. Dropping it lets the rest of the body pass unread.
pub(crate) struct UploadReader {
    shared: Arc<Shared>,
    current: Bytes,
    room: Box<dyn Fn() + Send>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    queued: usize,
    /// The reactor was told that the queue is full and waits for room.
    full: bool,
    end: Option<End>,
    /// Nobody reads any more.
    abandoned: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Whole,
    Broken,
}

/// A new queue. `room` is called on the reading thread when there is room again after [`Upload::push`] said "full".
pub(crate) fn channel(room: impl Fn() + Send + 'static) -> (Upload, UploadReader) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        arrived: Condvar::new(),
    });
    let reader = UploadReader {
        shared: Arc::clone(&shared),
        current: Bytes::new(),
        room: Box::new(room),
    };
    (Upload { shared }, reader)
}

impl Upload {
    /// Adds bytes; returns false when the queue is full now, and the client is to be held.
    pub(crate) fn push(&self, bytes: Bytes) -> bool {
        let mut state = self.shared.lock();
        if state.abandoned {
            return true;
        }
        state.queued += bytes.len();
        state.queue.push_back(bytes);
        // Once said, it stays so until the reader has told of room: what comes meanwhile was on its way before.
        state.full |= state.queued >= QUEUED_BYTES_MAX;
        let full = state.full;
        drop(state);
        self.shared.arrived.notify_one();
        !full
    }

    /// The body is whole.
    pub(crate) fn finish(&self) {
        self.end(End::Whole);
    }

    /// The client is gone in the middle; the reader gets an error.
    pub(crate) fn abort(&self) {
        self.end(End::Broken);
    }

    fn end(&self, end: End) {
        self.shared.lock().end.get_or_insert(end);
        self.shared.arrived.notify_one();
    }
}

impl Read for UploadReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            let mut state = self.shared.lock();
            loop {
                if let Some(bytes) = state.queue.pop_front() {
                    state.queued -= bytes.len();
                    let room = state.full && state.queued < QUEUED_BYTES_MAX / 2;
                    if room {
                        state.full = false;
                    }
                    drop(state);
                    if room {
                        (self.room)();
                    }
                    self.current = bytes;
                    break;
                }
                match state.end {
                    Some(End::Whole) => return Ok(0),
                    Some(End::Broken) => {
                        return Err(io::Error::new(
                            io::ErrorKind::ConnectionAborted,
                            "the client ended in the middle of the body",
                        ));
                    }
                    None => state = self.shared.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            }
        }
        let len = out.len().min(self.current.len());
        self.current.copy_to_slice(&mut out[..len]);
        Ok(len)
    }
}

impl Drop for UploadReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.abandoned = true;
        state.queue.clear();
        let room = std::mem::take(&mut state.full);
        drop(state);
        if room {
            (self.room)();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes between reactor and reader.
const QUEUED_BYTES_MAX: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn carries_bytes_and_holds_the_client() {
        let (room, has_room) = mpsc::channel();
        let (upload, mut reader) = channel(move || room.send(()).unwrap());
        let thread = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        let mut sent = Vec::new();
        for n in 0..100_u8 {
            let piece = vec![n; 65_536];
            sent.extend_from_slice(&piece);
            if !upload.push(piece.into()) {
                has_room.recv().unwrap();
            }
        }
        upload.finish();
        assert!(thread.join().unwrap().unwrap() == sent);
    }

    #[test]
    fn bytes_that_were_on_their_way_do_not_hide_that_the_client_waits() {
        let (room, has_room) = mpsc::channel();
        let (upload, mut reader) = channel(move || room.send(()).unwrap());
        let quarter = vec![0; QUEUED_BYTES_MAX / 4];
        let mut piece = quarter.clone();
        (0..3).for_each(|_| assert!(upload.push(quarter.clone().into())));
        assert!(!upload.push(quarter.clone().into()), "full");
        reader.read_exact(&mut piece).unwrap();
        reader.read_exact(&mut piece).unwrap();
        upload.push(vec![0; 1].into());
        assert!(has_room.try_recv().is_err(), "still more than half full");
        reader.read_exact(&mut piece).unwrap();
        has_room.try_recv().expect("the client is told");
    }

    #[test]
    fn a_broken_body_is_an_error_after_what_arrived() {
        let (upload, mut reader) = channel(|| {});
        upload.push(Bytes::from_static(b"half"));
        upload.abort();
        let mut four = [0; 4];
        reader.read_exact(&mut four).unwrap();
        assert_eq!(
            reader.read(&mut four).unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
    }

    #[test]
    fn an_abandoned_reader_frees_the_client() {
        let (room, has_room) = mpsc::channel();
        let (upload, reader) = channel(move || room.send(()).unwrap());
        assert!(!upload.push(vec![0; QUEUED_BYTES_MAX].into()));
        drop(reader);
        has_room.recv().unwrap();
        assert!(upload.push(vec![0; QUEUED_BYTES_MAX].into()));
    }
}
