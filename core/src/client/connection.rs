//! One connection to a daemon: HTTP joined with what answers mean.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{
    AskError, DaemonError, Options,
    answer::{Answering, Ending},
    request,
};
use crate::{
    Call, Item, Limits, Misuse, Reply, RequestId,
    driver::{Output, Protocol},
    error::AnswerError,
    http::{Client, ClientEvent},
    time::Instant,
};

/// What a connection tells the asker.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The call succeeded. If the reply opens a stream ([`Reply::opens_stream`]) its items follow; otherwise the request is
    /// over.
    Reply {
        /// The request.
        id: RequestId,
        /// The answer, in the newest shape.
        reply: Reply,
    },
    /// The daemon refused the call. The request is over.
    Refused {
        /// The request.
        id: RequestId,
        /// What it said.
        error: DaemonError,
    },
    /// One piece of the stream.
    Item {
        /// The request.
        id: RequestId,
        /// The piece. Progress that tells an error is an [`Item::Progress`] with that error.
        item: Item,
    },
    /// The stream is complete. The request is over.
    StreamEnd {
        /// The request.
        id: RequestId,
    },
    /// There is no answer, or no more of it. The request is over, and so is the connection.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        error: AnswerError,
    },
    /// The connection takes no more calls. Told once, as the last event.
    Closed,
}

/// A connection to a daemon, as a state machine without I/O. A transport drives it as a [`Protocol`].
///
/// **One call at a time**: [`ask`](Self::ask) again when the request is over. If the call streams its body
/// ([`Call::streams_body`]), or when [`Reply::Attached`] or [`Reply::ExecAttached`] has been told, pieces are [sent](Self::send) and
/// [finished](Self::finish). **Commands for a request that is over are harmless and do nothing**, because the asker cannot
/// know what the daemon did a moment ago.
///
/// ```text
///   ask ---> (send* finish) ---> Reply | Refused                                   --> ask
///                           '--> Reply (opens a stream) ---> Item* StreamEnd        --> ask, or Closed
///                                   Attached: send* finish (half-close)
///   at any time: Failed, Closed
/// ```
#[derive(Debug)]
pub struct Connection {
    http: Client,
    limits: Limits,
    next_id: RequestId,
    active: Option<Active>,
    /// Items are not told.
    paused: bool,
    /// What was found out together with something else and is told next: the items of one piece of input at most.
    untold: VecDeque<Event>,
    /// Items on their way; empty between calls, kept for its memory.
    items: VecDeque<Item>,
}

#[derive(Debug)]
struct Active {
    id: RequestId,
    answering: Answering,
}

impl Connection {
    /// A connection that was just established.
    pub fn new(limits: Limits) -> Self {
        Self {
            http: Client::new(limits),
            limits,
            next_id: RequestId(0),
            active: None,
            paused: false,
            untold: VecDeque::new(),
            items: VecDeque::new(),
        }
    }

    /// Whether a call can be made now.
    pub fn is_idle(&self) -> bool {
        self.active.is_none() && self.untold.is_empty() && self.http.is_idle()
    }

    /// Makes a call. Nothing is sent if it is an error.
    ///
    /// # Errors
    /// The version cannot say this; another call is under way; the connection is over.
    pub fn ask(&mut self, call: &Call, options: &Options) -> Result<RequestId, AskError> {
        let (outgoing, asked) = request::prepare(call, options)?;
        if !self.is_idle() {
            return Err(match self.http.is_over() {
                true => AskError::Closed,
                false => AskError::Busy,
            });
        }
        self.http.request(outgoing).map_err(|_| AskError::Busy)?;
        let id = self.next_id;
        self.next_id = RequestId(id.0 + 1);
        self.paused = false;
        let answering = asked.answering(&self.limits);
        self.active = Some(Active { id, answering });
        Ok(id)
    }

    /// Sends a piece of the call's body, or of the input of an attached container. It is queued whatever
    /// [`has_room`](Self::has_room) says.
    ///
    /// # Errors
    /// [`Misuse`] when the request has neither, when the body would become longer than was announced, or the id was never
    /// given out.
    pub fn send(&mut self, id: RequestId, bytes: Bytes) -> Result<(), Misuse> {
        if self.sending(id)? {
            self.http.send(bytes).map_err(|_| Misuse::BodyLength(id))?;
        }
        Ok(())
    }

    /// Ends the body, or the input of an attached container (half-close: output goes on).
    ///
    /// # Errors
    /// [`Misuse`] when the request has neither, when the body is shorter than was announced, or the id was never given out.
    pub fn finish(&mut self, id: RequestId) -> Result<(), Misuse> {
        if self.sending(id)? {
            self.http.finish().map_err(|_| Misuse::BodyLength(id))?;
        }
        Ok(())
    }

    /// Gives a request up. The connection ends, which is how a daemon notices. Without effect for a request that is over.
    pub fn abort(&mut self, id: RequestId) {
        if self.active.as_ref().is_some_and(|active| active.id == id) {
            self.close();
        }
    }

    /// Ends the connection, and gives up what is under way.
    pub fn close(&mut self) {
        self.active = None;
        self.untold.clear();
        self.http.close();
    }

    /// Stops (or resumes) telling items and the end of their stream. Meanwhile at most [`Limits::input_bytes_max`] bytes are
    /// held, and then the socket is not read. Without effect but for the last request.
    pub fn pause(&mut self, id: RequestId, paused: bool) {
        if id.0.checked_add(1) == Some(self.next_id.0) {
            self.paused = paused;
            self.http.pause(paused);
        }
    }

    /// Whether less than [`Limits::output_high_water`] waits to be sent. False for a request that is over.
    pub fn has_room(&self, id: RequestId) -> bool {
        self.active.as_ref().is_some_and(|active| active.id == id) && self.http.has_room()
    }

    /// Whether the request is under way and has something to send; an error if it never has.
    fn sending(&self, id: RequestId) -> Result<bool, Misuse> {
        if id >= self.next_id {
            return Err(Misuse::UnknownRequest(id));
        }
        match &self.active {
            Some(active) if active.id == id && !self.http.is_sending() => Err(Misuse::NoStream(id)),
            Some(active) => Ok(active.id == id),
            None => Ok(false),
        }
    }

    fn handle_http(&mut self, event: ClientEvent) {
        let Some(active) = &mut self.active else {
            if event == ClientEvent::Closed {
                self.untold.push_back(Event::Closed);
            }
            return;
        };
        let id = active.id;
        let found = match event {
            ClientEvent::Head { head, .. } => match active.answering.begin(&head) {
                Ok(reply) => {
                    self.untold.extend(reply.map(|reply| Event::Reply { id, reply }));
                    return;
                }
                Err(error) => Err(error),
            },
            ClientEvent::Bytes(bytes) => active.answering.take(bytes, &mut self.items).map(|()| None),
            ClientEvent::End => active.answering.end(&mut self.items).map(Some),
            ClientEvent::Failed(error) => Err(error),
            ClientEvent::Closed => Err(AnswerError::CutOff),
        };
        let items = self.items.drain(..);
        self.untold.extend(items.map(|item| Event::Item { id, item }));
        let last = match found {
            Ok(None) => return,
            Ok(Some(Ending::Replied(reply))) => Event::Reply { id, reply },
            Ok(Some(Ending::Refused(error))) => Event::Refused { id, error },
            Ok(Some(Ending::StreamEnd)) => Event::StreamEnd { id },
            Err(error) => {
                self.http.close();
                Event::Failed { id, error }
            }
        };
        self.active = None;
        self.untold.push_back(last);
    }

    /// The next event that may be told.
    fn next_event(&mut self) -> Option<Event> {
        let held = matches!(self.untold.front()?, Event::Item { .. } | Event::StreamEnd { .. });
        if self.paused && held {
            return None;
        }
        self.untold.pop_front()
    }
}

impl Protocol for Connection {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        self.http.handle_input(now, bytes)
    }

    fn handle_eof(&mut self, now: Instant) {
        self.http.handle_eof(now);
    }

    fn handle_reset(&mut self, now: Instant) {
        self.http.handle_reset(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.http.handle_timeout(now);
    }

    fn poll_output(&mut self, now: Instant, out: &mut [u8]) -> Output<Event> {
        loop {
            if let Some(event) = self.next_event() {
                return Output::Event(event);
            }
            match self.http.poll_output(now, out) {
                Output::Event(event) => self.handle_http(event),
                Output::Splice { source, len } => return Output::Splice { source, len },
                Output::Transmit(len) => return Output::Transmit(len),
                Output::Wait(deadline) => return Output::Wait(deadline),
                Output::Shutdown => return Output::Shutdown,
                // What a paused asker has not heard yet comes first.
                Output::Close if !self.untold.is_empty() => return Output::Wait(None),
                Output::Close => return Output::Close,
            }
        }
    }

    fn output_queued(&self) -> usize {
        self.http.output_queued()
    }

    fn wants_input(&self) -> bool {
        self.http.wants_input()
    }
}
