//! The states of one request and its response, and the table of moves between them.
//!
//! A connection serves one request at a time, in order; pipelined ones wait in the receive buffer. So the whole protocol
//! is a pair: what is being read ([`Inbound`]) and what is being written ([`Outbound`]). Nothing is parsed here.
//!
//! ```text
//!   inbound:   Idle -> Head -> Body -> Complete -.          Raw
//!                ^         '--------->    |       '--------> ^   (hijack)
//!                '------------------------'                  '-- from Body, once it ends
//!   outbound:  Idle ---------> Owed -> Stream -> Sent -> Idle
//!                               |'---------------^
//!                               '----> Raw
//!   both:      anything -> (Discard, Closing) -> (Discard, Shut)
//! ```

use core::fmt;

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inbound {
    /// Between requests.
    Idle,
    /// A part of a head has come.
    Head,
    /// A body follows or is under way.
    Body,
    /// The request is whole. Further bytes belong to the next one and wait.
    Complete,
    /// Hijacked: bytes mean nothing to HTTP.
    Raw,
    /// Whatever comes is thrown away.
    Discard,
}

/// What is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outbound {
    /// No request to answer.
    Idle,
    /// A request waits for its answer.
    Owed,
    /// The head is out, pieces of body follow.
    Stream,
    /// Hijacked: bytes mean nothing to HTTP.
    Raw,
    /// Answered; the request's body may still have to be read.
    Sent,
    /// Nothing more will be written but what is queued, and then FIN.
    Closing,
    /// FIN was said.
    Shut,
}

/// Something that moves the cycle on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The first byte of a request has come.
    HeadBegun,
    /// The head is whole.
    HeadDone {
        /// A body follows.
        body: bool,
    },
    /// The body's last byte was read.
    BodyDone,
    /// The whole answer was queued.
    Answered,
    /// The answer's head was queued, pieces follow.
    StreamOpened,
    /// The answer's head was queued, the connection leaves HTTP.
    Hijacked,
    /// The stream (or hijacked stream) has ended.
    Finished,
    /// Request and response are over and the connection persists.
    NextRequest,
    /// The connection ends after what is queued.
    Close,
    /// FIN was said.
    Shutdown,
}

/// Both halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
}

/// A step that the state does not allow. It changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfTurn;

impl fmt::Display for OutOfTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not possible in this state of the connection")
    }
}

impl core::error::Error for OutOfTurn {}

impl Cycle {
    pub(crate) const START: Self = Self {
        inbound: Inbound::Idle,
        outbound: Outbound::Idle,
    };

    /// Takes the step, or refuses it. The one table of the protocol.
    pub(crate) fn step(&mut self, step: Step) -> Result<(), OutOfTurn> {
        use Inbound as In;
        use Outbound as Out;
        let (inbound, outbound) = match (step, self.inbound, self.outbound) {
            (Step::HeadBegun, In::Idle, Out::Idle) => (In::Head, Out::Idle),
            (Step::HeadDone { body: false }, In::Head, Out::Idle) => (In::Complete, Out::Owed),
            (Step::HeadDone { body: true }, In::Head, Out::Idle) => (In::Body, Out::Owed),
            (Step::BodyDone, In::Body, Out::Raw) => (In::Raw, Out::Raw),
            (Step::BodyDone, In::Body, outbound @ (Out::Owed | Out::Stream | Out::Sent)) => (In::Complete, outbound),
            (Step::Answered, inbound @ (In::Body | In::Complete), Out::Owed) => (inbound, Out::Sent),
            (Step::StreamOpened, inbound @ (In::Body | In::Complete), Out::Owed) => (inbound, Out::Stream),
            (Step::Hijacked, In::Body, Out::Owed) => (In::Body, Out::Raw),
            (Step::Hijacked, In::Complete, Out::Owed) => (In::Raw, Out::Raw),
            (Step::Finished, inbound @ (In::Body | In::Complete), Out::Stream) => (inbound, Out::Sent),
            (Step::Finished, In::Body | In::Raw, Out::Raw) => (In::Discard, Out::Closing),
            (Step::NextRequest, In::Complete, Out::Sent) => (In::Idle, Out::Idle),
            (Step::Close, _, Out::Shut) => (In::Discard, Out::Shut),
            (Step::Close, _, _) => (In::Discard, Out::Closing),
            (Step::Shutdown, In::Discard, Out::Closing) => (In::Discard, Out::Shut),
            _ => return Err(OutOfTurn),
        };
        *self = Self { inbound, outbound };
        Ok(())
    }

    /// Whether somebody works on a request: it was handed out, and its answer is not complete.
    pub(crate) fn is_live(self) -> bool {
        matches!(self.outbound, Outbound::Owed | Outbound::Stream | Outbound::Raw)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const STEPS: [Step; 11] = [
        Step::HeadBegun,
        Step::HeadDone { body: false },
        Step::HeadDone { body: true },
        Step::BodyDone,
        Step::Answered,
        Step::StreamOpened,
        Step::Hijacked,
        Step::Finished,
        Step::NextRequest,
        Step::Close,
        Step::Shutdown,
    ];

    #[test]
    fn walks() {
        use Inbound as In;
        use Outbound as Out;
        use Step::*;
        let table: &[(&str, &[Step], Option<(In, Out)>)] = &[
            (
                "plain",
                &[HeadBegun, HeadDone { body: false }, Answered, NextRequest],
                Some((In::Idle, Out::Idle)),
            ),
            (
                "body",
                &[HeadBegun, HeadDone { body: true }, BodyDone, Answered, NextRequest],
                Some((In::Idle, Out::Idle)),
            ),
            (
                "early answer",
                &[HeadBegun, HeadDone { body: true }, Answered, BodyDone, NextRequest],
                Some((In::Idle, Out::Idle)),
            ),
            (
                "body unread",
                &[HeadBegun, HeadDone { body: true }, Answered, NextRequest],
                None,
            ),
            (
                "two answers",
                &[HeadBegun, HeadDone { body: false }, Answered, Answered],
                None,
            ),
            (
                "stream",
                &[HeadBegun, HeadDone { body: false }, StreamOpened, Finished, NextRequest],
                Some((In::Idle, Out::Idle)),
            ),
            (
                "stream over body",
                &[HeadBegun, HeadDone { body: true }, StreamOpened, BodyDone],
                Some((In::Complete, Out::Stream)),
            ),
            (
                "hijack",
                &[HeadBegun, HeadDone { body: false }, Hijacked],
                Some((In::Raw, Out::Raw)),
            ),
            (
                "hijack with body",
                &[HeadBegun, HeadDone { body: true }, Hijacked, BodyDone],
                Some((In::Raw, Out::Raw)),
            ),
            (
                "hijack ends",
                &[HeadBegun, HeadDone { body: false }, Hijacked, Finished, Shutdown],
                Some((In::Discard, Out::Shut)),
            ),
            (
                "hijack never back",
                &[HeadBegun, HeadDone { body: false }, Hijacked, NextRequest],
                None,
            ),
            (
                "close twice",
                &[Close, Close, Shutdown, Close],
                Some((In::Discard, Out::Shut)),
            ),
            (
                "answer after close",
                &[HeadBegun, HeadDone { body: false }, Close, Answered],
                None,
            ),
        ];
        for (name, steps, expected) in table {
            let mut cycle = Cycle::START;
            let walked: Result<Vec<()>, OutOfTurn> = steps.iter().map(|&step| cycle.step(step)).collect();
            assert_eq!(
                walked.ok().map(|_| (cycle.inbound, cycle.outbound)),
                *expected,
                "{name}"
            );
        }
    }

    /// Every state that can be reached: a hijacked or closing connection never serves a request again.
    #[test]
    fn there_is_no_way_back_into_http() {
        let mut seen = Vec::from([Cycle::START]);
        let mut at = 0;
        while let Some(&from) = seen.get(at) {
            at += 1;
            for step in STEPS {
                let mut to = from;
                if to.step(step).is_err() {
                    assert_eq!(to, from, "a refused step changes nothing");
                    continue;
                }
                let left = |cycle: Cycle| matches!(cycle.outbound, Outbound::Raw | Outbound::Closing | Outbound::Shut);
                assert!(!left(from) || left(to), "{from:?} {step:?} {to:?}");
                if !seen.contains(&to) {
                    seen.push(to);
                }
            }
        }
        assert_eq!(seen.len(), 12, "{seen:?}");
    }
}
