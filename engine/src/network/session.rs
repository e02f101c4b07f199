//! Requests to the kernel and their answers, in order.

use std::{fmt, io};

use nix::errno::Errno;

use super::{
    NetworkError,
    codec::{Body, DUMP, Message, Request, messages},
};
use crate::sys::netlink::{Family, Socket};

/// A netlink socket with a running number.
pub(super) struct Session {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A message that the kernel refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// What the message asked for.
    pub(super) step: &'static str,
    /// `Errno` 0 never occurs.
    pub(super) errno: Errno,
    /// What the kernel said beside the number; empty if nothing.
    pub(super) detail: String,
}

impl Refused {
    /// Says which object was meant.
    pub(super) fn about(self, object: &str) -> NetworkError {
        let Self { step, errno, detail } = self;
        NetworkError::Kernel {
            step,
            object: object.to_owned(),
            source: errno.into(),
            detail,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The buffer holds only what was read last.
        f.debug_struct("Session")
            .field("socket", &self.socket)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a session in the calling thread's network namespace. It stays there, whoever uses it.
    pub(super) fn open(family: Family) -> Result<Self, NetworkError> {
        let (feature, step) = match family {
            Family::Route => ("rtnetlink", "open a route netlink socket"),
            Family::Netfilter => ("nfnetlink (nf_tables)", "open a netfilter netlink socket"),
        };
        let socket = Socket::open(family).map_err(|source| match source.raw_os_error() {
            Some(libc::EPROTONOSUPPORT) => NetworkError::MissingFeature { feature, step },
            _ => NetworkError::System { step, source },
        })?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        })
    }

    /// The number that the kernel knows this session by.
    pub(super) fn port(&self) -> Result<u32, NetworkError> {
        self.socket.port().map_err(|source| NetworkError::System {
            step: "name a netlink socket",
            source,
        })
    }

    /// Has every message of `request` carried out. The error is that of the first message that was refused; messages
    /// behind it may have been carried out (route), or none of all (nf_tables).
    pub(super) fn submit(&mut self, mut request: Request) -> Result<(), Refused> {
        let Some(first_part) = request.parts().first().copied() else {
            return Ok(());
        };
        let first = self.sequence;
        self.sequence = first.wrapping_add(u32::try_from(request.parts().len()).unwrap_or(u32::MAX));
        let failed = |source: io::Error| refused(first_part.step, errno(&source), "");
        self.socket.send(request.number(first)).map_err(failed)?;

        let mut unanswered = request.parts().iter().filter(|part| part.confirmed).count();
        let mut worst: Option<(usize, Refused)> = None;
        // To the last datagram, so that none is left for the next request.
        while let Some(datagram) = self.socket.receive(&mut self.buffer).map_err(failed)? {
            for message in messages(datagram) {
                let index = message.sequence.wrapping_sub(first) as usize;
                let (Some(part), Some(verdict)) = (request.parts().get(index), message.verdict()) else {
                    continue;
                };
                if part.confirmed {
                    unanswered = unanswered.saturating_sub(1);
                }
                if verdict.errno != 0 && worst.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    let errno = Errno::from_raw(verdict.errno);
                    worst = Some((index, refused(part.step, errno, verdict.detail.unwrap_or_default())));
                }
            }
        }
        match worst {
            Some((_, refused)) => Err(refused),
            None if unanswered > 0 => Err(refused(
                first_part.step,
                Errno::EPROTO,
                "the kernel left a request unanswered",
            )),
            None => Ok(()),
        }
    }

    /// Asks for all objects of a kind. `header` is the family header, `each` sees every message of the answer.
    pub(super) fn dump(
        &mut self,
        step: &'static str,
        kind: u16,
        header: &[u8],
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), Refused> {
        self.ask(step, kind, DUMP, header, |_| {}, &mut each)
    }

    /// Asks for one object. `each` sees the answer.
    pub(super) fn get(
        &mut self,
        step: &'static str,
        kind: u16,
        header: &[u8],
        fill: impl FnOnce(&mut Body<'_>),
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<(), Refused> {
        self.ask(step, kind, 0, header, fill, &mut each)
    }

    fn ask(
        &mut self,
        step: &'static str,
        kind: u16,
        flags: u16,
        header: &[u8],
        fill: impl FnOnce(&mut Body<'_>),
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), Refused> {
        let mut request = Request::default();
        request.push_unconfirmed(step, kind, flags, |body| {
            body.header(header);
            fill(body);
        });
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let failed = |source: io::Error| refused(step, errno(&source), "");
        self.socket.send(request.number(sequence)).map_err(failed)?;

        let mut answered = false;
        let mut outcome = Ok(());
        while let Some(datagram) = self.socket.receive(&mut self.buffer).map_err(failed)? {
            for message in messages(datagram).filter(|message| message.sequence == sequence) {
                answered = true;
                match message.verdict() {
                    Some(verdict) if verdict.errno != 0 => {
                        outcome = Err(refused(
                            step,
                            Errno::from_raw(verdict.errno),
                            verdict.detail.unwrap_or_default(),
                        ));
                    }
                    Some(_) => {}
                    None if message.is_interrupted() => {
                        outcome = Err(refused(step, Errno::EAGAIN, "it changed while it was read"));
                    }
                    None if message.is_done() => {}
                    None => each(&message),
                }
            }
        }
        if answered {
            outcome
        } else {
            Err(refused(step, Errno::EPROTO, "the kernel left a request unanswered"))
        }
    }
}

fn refused(step: &'static str, errno: Errno, detail: &str) -> Refused {
    Refused {
        step,
        errno,
        detail: detail.to_owned(),
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EPROTO, Errno::from_raw)
}

/// The kernel builds dumps in pieces of at most 32 KiB when the reader's buffer is that large; everything else is smaller.
const DATAGRAM_BYTES_MAX: usize = 32 * 1024;
