//! The messages between gantryd and a keeper: a pure codec, one message per packet of the control socket.
//!
//! ```text
//! kind u16 · 0 u16 · body: fixed-width fields, little endian
//! ```
//!
//! # How the protocol may grow
//!
//! A keeper lives as long as its container, so **an old keeper meets a newer gantryd**, never the other way round for
//! longer than a failed upgrade. Therefore: a message kind never changes its meaning and a field never moves; new fields
//! are appended, and both sides ignore bytes after those they know; a keeper ignores request kinds it does not know, and
//! gantryd sees [`FromKeeper::Unknown`] for kinds it does not know. gantryd says in `Hello` which versions it speaks, the
//! keeper answers `Welcome` with the one it chose, and gantryd asks for nothing above it. Descriptors belong to the message they
//! come with, in the order documented there.
//!
//! # Launch
//!
//! ```text
//! gantryd                                                  keeper
//!   Launch + memfd of the spec  ------------------------>
//!        <-------------------------------------------------  Prepared + network namespace (or Failed)
//!   Subscribe + socket, any number  -------------------->
//!   Go  ------------------------------------------------->   (the control socket closing means "undo")
//!        <-------------------------------------------------  Started + stdin + terminal (or Failed)
//! ```

pub use super::chunk::Chunk;
pub use super::field::DecodeError;
use super::field::{Append, Fields};
use super::record::{ExitRecord, RECORD_BYTES};

/// The protocol version of this build. Since 2 a subscription may bring a pipe; a keeper of version 1 closes it unused.
pub const VERSION: u16 = 2;
/// The oldest version that this build still speaks.
pub const VERSION_OLDEST: u16 = 1;
/// Largest message in bytes. A keeper never sends more; it drops a connection that does.
pub const MESSAGE_MAX: usize = 16 * 1024;
/// Largest encoded spec in bytes.
pub const SPEC_MAX: u32 = 1024 * 1024;
/// Most subscriptions of one container at a time.
pub const SUBSCRIPTIONS_MAX: usize = 128;
/// Bytes of the header in front of each piece of output.
pub const FRAME_HEADER_BYTES: usize = 8;
/// Most bytes of output in one packet of a subscription, without its header.
pub const CHUNK_MAX: usize = 64 * 1024;
/// Most bytes of output that a packet without any in itself announces in the subscription's pipe. The pipe should hold as
/// many.
pub const SPLICE_MAX: usize = 256 * 1024;

const MAGIC: u32 = u32::from_le_bytes(*b"gtry");
const PATH_MAX: u32 = 4096;
const STEP_MAX: usize = 128;
const TEXT_MAX: usize = 4096;

/// A place in a container's output, exact to the byte for each stream.
///
/// The log holds entries (lines, or parts of long ones); a subscriber may already have got the beginning of an entry that
/// was not yet complete when it was sent. So a place is a length of the log file, at an entry's end, and for each stream the number
/// of bytes after it that belong to entries still to come and are already known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bytes of the log file; always the end of an entry.
    pub log_offset: u64,
    /// Raw bytes of stdout and of stderr to leave out after that.
    pub skip: [u64; 2],
}

/// From where a subscriber wants output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// What the container writes from now on.
    Now,
    /// Exactly what comes after this place. Accepted only at the current end of the log; otherwise the answer is
    /// [`FromKeeper::Behind`], and the subscriber reads the log up to there first. Without a log the same as `Now`.
    At(Position),
}

/// What the keeper is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToKeeper {
    /// First message to a new keeper. Descriptor: the encoded spec (a regular or memory file of `spec_bytes`).
    Launch {
        /// Length of the spec.
        spec_bytes: u32,
        /// [`Paths::socket`](super::Paths::socket).
        socket: Vec<u8>,
        /// [`Paths::exit_record`](super::Paths::exit_record).
        exit_record: Vec<u8>,
    },
    /// The network stands: run the program.
    Go,
    /// First message on a new connection: versions that gantryd speaks.
    Hello {
        /// Oldest version.
        oldest: u16,
        /// Newest version.
        newest: u16,
    },
    /// Send this signal to the container's first process.
    Signal {
        /// Signal number.
        number: i32,
    },
    /// End every process of the container.
    KillAll,
    /// Close standard input: the container reads end of file once gantryd has closed its own descriptor.
    CloseStdin,
    /// Send output to a socket, as [`Chunk`]s. Descriptors: one end of a `SOCK_SEQPACKET` pair; from version 2 on it may be
    /// followed by the write end of a pipe.
    Subscribe {
        /// Chosen by gantryd; not in use.
        subscription: u64,
        /// Where to begin.
        from: From,
    },
    /// End a subscription; answered with [`FromKeeper::Ended`] unless it has ended already.
    Unsubscribe {
        /// Which.
        subscription: u64,
    },
}

/// A running container, as its keeper describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Running {
    /// Protocol version that the keeper speaks on this connection.
    pub version: u16,
    /// The container's first process, in the daemon's namespace.
    pub pid: i32,
    /// The keeper's own process.
    pub keeper_pid: i32,
    /// When the program began, in nanoseconds since the Unix epoch.
    pub started_at_ns: i64,
    /// Length of the log when this run began: [`Position::log_offset`] of its first byte of output.
    pub log_start: u64,
    /// A descriptor of standard input's write end comes with the message (after none, before the terminal).
    pub stdin: bool,
    /// A descriptor of the pseudo-terminal's master comes with the message.
    pub terminal: bool,
}

/// Why a container did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// What clients must be able to tell apart.
    pub kind: StartFailureKind,
    /// The step that failed.
    pub step: String,
    /// `errno`, or 0.
    pub errno: i32,
    /// What to tell the client.
    pub message: String,
}

/// The kinds of start failure that have exit statuses of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFailureKind {
    /// The program does not exist (127).
    NotFound,
    /// The program cannot be executed (126).
    NotExecutable,
    /// Anything else (128, or 125 for `docker run`).
    Other,
}

/// What the keeper tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromKeeper {
    /// The container's namespaces exist; its program waits for `Go`. Descriptor: its network namespace, if it has its own.
    Prepared {
        /// The container's first process.
        pid: i32,
    },
    /// The program runs. Descriptors: see [`Running`].
    Started(Running),
    /// The program did not run; everything has been undone. Nothing follows.
    Failed(StartFailure),
    /// Answer to `Hello`. Descriptors as with `Started`.
    Welcome(Running),
    /// The container has ended and the record is on disk. Every subscription has ended before; nothing follows.
    Exited(ExitRecord),
    /// The subscription gets everything after `position`. For [`From::Now`] this is where "now" was.
    SubscribedAt {
        /// Which.
        subscription: u64,
        /// Where it begins.
        position: Position,
    },
    /// Not subscribed: the log has grown to `log_offset`. Read it up to there and ask again.
    Behind {
        /// Which.
        subscription: u64,
        /// Current length of the log.
        log_offset: u64,
    },
    /// The subscriber did not read, so it was taken off: what it has not got begins at `position` of the log. Its socket
    /// is closed after this message was sent; what had been queued in the socket is still to be read.
    Lagging {
        /// Which.
        subscription: u64,
        /// Where the unsent output begins.
        position: Position,
    },
    /// The subscription is over: the output has ended and all of it was sent, or `Unsubscribe` was asked.
    Ended {
        /// Which.
        subscription: u64,
    },
    /// The subscription is over and its end is lost: the container ended, it has no log, and the subscriber did not read.
    Lost {
        /// Which.
        subscription: u64,
    },
    /// Not subscribed: there are [`SUBSCRIPTIONS_MAX`] already, the number is in use, or no socket came along.
    Refused {
        /// Which.
        subscription: u64,
    },
    /// A message of a newer protocol; to be ignored.
    Unknown {
        /// Its kind.
        kind: u16,
    },
}

impl ToKeeper {
    /// The packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Launch {
                spec_bytes,
                socket,
                exit_record,
            } => message(1, |out| {
                out.put_u32(MAGIC);
                out.put_u16(VERSION);
                out.put_u32(*spec_bytes);
                out.put_bytes(socket);
                out.put_bytes(exit_record);
            }),
            Self::Go => message(2, |_| ()),
            Self::Hello { oldest, newest } => message(3, |out| {
                out.put_u32(MAGIC);
                out.put_u16(*oldest);
                out.put_u16(*newest);
            }),
            Self::Signal { number } => message(4, |out| out.put_i32(*number)),
            Self::KillAll => message(5, |_| ()),
            Self::CloseStdin => message(6, |_| ()),
            Self::Subscribe { subscription, from } => message(7, |out| {
                out.put_u64(*subscription);
                match from {
                    From::Now => out.put_bool(false),
                    From::At(position) => {
                        out.put_bool(true);
                        put_position(out, *position);
                    }
                }
            }),
            Self::Unsubscribe { subscription } => message(8, |out| out.put_u64(*subscription)),
        }
    }

    /// The message in `packet`; `None` for a kind that this version does not know.
    ///
    /// # Errors
    ///
    /// A known kind with a malformed body.
    pub fn decode(packet: &[u8]) -> Result<Option<Self>, DecodeError> {
        let (kind, mut body) = kind_and_body(packet)?;
        Ok(Some(match kind {
            1 => {
                magic(&mut body)?;
                if body.u16("version")? != VERSION {
                    return Err(DecodeError::Invalid { field: "version" });
                }
                Self::Launch {
                    spec_bytes: body.count("spec", SPEC_MAX)?,
                    socket: body.bytes("socket path", PATH_MAX)?.to_vec(),
                    exit_record: body.bytes("exit record path", PATH_MAX)?.to_vec(),
                }
            }
            2 => Self::Go,
            3 => {
                magic(&mut body)?;
                Self::Hello {
                    oldest: body.u16("oldest version")?,
                    newest: body.u16("newest version")?,
                }
            }
            4 => Self::Signal {
                number: body.i32("signal")?,
            },
            5 => Self::KillAll,
            6 => Self::CloseStdin,
            7 => Self::Subscribe {
                subscription: body.u64("subscription")?,
                from: if body.bool("begin")? {
                    From::At(position(&mut body)?)
                } else {
                    From::Now
                },
            },
            8 => Self::Unsubscribe {
                subscription: body.u64("subscription")?,
            },
            _ => return Ok(None),
        }))
    }
}

impl FromKeeper {
    /// The packet. Texts that are too long are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let about = |kind, subscription: u64| message(kind, |out| out.put_u64(subscription));
        match self {
            Self::Prepared { pid } => message(101, |out| out.put_i32(*pid)),
            Self::Started(running) => message(102, |out| put_running(out, running)),
            Self::Failed(failure) => message(103, |out| {
                out.put_u8(match failure.kind {
                    StartFailureKind::NotFound => 1,
                    StartFailureKind::NotExecutable => 2,
                    StartFailureKind::Other => 3,
                });
                out.put_i32(failure.errno);
                out.put_bytes(cut(&failure.step, STEP_MAX).as_bytes());
                out.put_bytes(cut(&failure.message, TEXT_MAX).as_bytes());
            }),
            Self::Welcome(running) => message(104, |out| put_running(out, running)),
            Self::Exited(record) => message(105, |out| out.put(&record.encode())),
            Self::SubscribedAt { subscription, position } => message(106, |out| {
                out.put_u64(*subscription);
                put_position(out, *position);
            }),
            Self::Behind {
                subscription,
                log_offset,
            } => message(107, |out| {
                out.put_u64(*subscription);
                out.put_u64(*log_offset);
            }),
            Self::Lagging { subscription, position } => message(108, |out| {
                out.put_u64(*subscription);
                put_position(out, *position);
            }),
            Self::Ended { subscription } => about(109, *subscription),
            Self::Lost { subscription } => about(110, *subscription),
            Self::Refused { subscription } => about(111, *subscription),
            Self::Unknown { kind } => message(*kind, |_| ()),
        }
    }

    /// The message in `packet`.
    ///
    /// # Errors
    ///
    /// A known kind with a malformed body. The keeper is then not to be trusted further.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let (kind, mut body) = kind_and_body(packet)?;
        Ok(match kind {
            101 => Self::Prepared { pid: body.i32("pid")? },
            102 => Self::Started(running(&mut body)?),
            103 => {
                let kind = match body.u8("kind of failure")? {
                    1 => StartFailureKind::NotFound,
                    2 => StartFailureKind::NotExecutable,
                    3 => StartFailureKind::Other,
                    _ => {
                        return Err(DecodeError::Invalid {
                            field: "kind of failure",
                        });
                    }
                };
                Self::Failed(StartFailure {
                    kind,
                    errno: body.i32("errno")?,
                    step: body.text("step", STEP_MAX as u32)?.to_owned(),
                    message: body.text("message", TEXT_MAX as u32)?.to_owned(),
                })
            }
            104 => Self::Welcome(running(&mut body)?),
            105 => Self::Exited(ExitRecord::decode(body.take("exit record", RECORD_BYTES)?)?),
            106 => Self::SubscribedAt {
                subscription: body.u64("subscription")?,
                position: position(&mut body)?,
            },
            107 => Self::Behind {
                subscription: body.u64("subscription")?,
                log_offset: body.u64("log offset")?,
            },
            108 => Self::Lagging {
                subscription: body.u64("subscription")?,
                position: position(&mut body)?,
            },
            109 => Self::Ended {
                subscription: body.u64("subscription")?,
            },
            110 => Self::Lost {
                subscription: body.u64("subscription")?,
            },
            111 => Self::Refused {
                subscription: body.u64("subscription")?,
            },
            kind => Self::Unknown { kind },
        })
    }
}

fn message(kind: u16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = Vec::with_capacity(64);
    packet.put_u16(kind);
    packet.put_u16(0);
    body(&mut packet);
    packet
}

fn kind_and_body(packet: &[u8]) -> Result<(u16, Fields<'_>), DecodeError> {
    let mut fields = Fields(packet);
    let kind = fields.u16("kind")?;
    let _ = fields.u16("header")?;
    Ok((kind, fields))
}

fn magic(body: &mut Fields<'_>) -> Result<(), DecodeError> {
    if body.u32("magic")? == MAGIC {
        Ok(())
    } else {
        Err(DecodeError::Invalid { field: "magic" })
    }
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    out.put_u64(position.log_offset);
    position.skip.iter().for_each(|&skip| out.put_u64(skip));
}

fn position(body: &mut Fields<'_>) -> Result<Position, DecodeError> {
    Ok(Position {
        log_offset: body.u64("log offset")?,
        skip: [body.u64("skip")?, body.u64("skip")?],
    })
}

fn put_running(out: &mut Vec<u8>, running: &Running) {
    out.put_u16(running.version);
    out.put_i32(running.pid);
    out.put_i32(running.keeper_pid);
    out.put_i64(running.started_at_ns);
    out.put_u64(running.log_start);
    out.put_bool(running.stdin);
    out.put_bool(running.terminal);
}

fn running(body: &mut Fields<'_>) -> Result<Running, DecodeError> {
    Ok(Running {
        version: body.u16("version")?,
        pid: body.i32("pid")?,
        keeper_pid: body.i32("keeper pid")?,
        started_at_ns: body.i64("start")?,
        log_start: body.u64("log start")?,
        stdin: body.bool("stdin")?,
        terminal: body.bool("terminal")?,
    })
}

/// The longest prefix of whole characters within `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.split_at(end).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_position() -> impl Strategy<Value = Position> {
        any::<(u64, [u64; 2])>().prop_map(|(log_offset, skip)| Position { log_offset, skip })
    }

    fn any_running() -> impl Strategy<Value = Running> {
        any::<(u16, i32, i32, i64, u64, bool, bool)>().prop_map(
            |(version, pid, keeper_pid, started_at_ns, log_start, stdin, terminal)| Running {
                version,
                pid,
                keeper_pid,
                started_at_ns,
                log_start,
                stdin,
                terminal,
            },
        )
    }

    fn any_request() -> impl Strategy<Value = ToKeeper> {
        let path = || proptest::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            (0..=SPEC_MAX, path(), path()).prop_map(|(spec_bytes, socket, exit_record)| ToKeeper::Launch {
                spec_bytes,
                socket,
                exit_record
            }),
            Just(ToKeeper::Go),
            any::<(u16, u16)>().prop_map(|(oldest, newest)| ToKeeper::Hello { oldest, newest }),
            any::<i32>().prop_map(|number| ToKeeper::Signal { number }),
            Just(ToKeeper::KillAll),
            Just(ToKeeper::CloseStdin),
            any::<u64>().prop_map(|subscription| ToKeeper::Subscribe {
                subscription,
                from: From::Now
            }),
            (any::<u64>(), any_position()).prop_map(|(subscription, at)| ToKeeper::Subscribe {
                subscription,
                from: From::At(at)
            }),
            any::<u64>().prop_map(|subscription| ToKeeper::Unsubscribe { subscription }),
        ]
    }

    fn any_answer() -> impl Strategy<Value = FromKeeper> {
        let kind = prop_oneof![
            Just(StartFailureKind::NotFound),
            Just(StartFailureKind::NotExecutable),
            Just(StartFailureKind::Other)
        ];
        prop_oneof![
            any::<i32>().prop_map(|pid| FromKeeper::Prepared { pid }),
            any_running().prop_map(FromKeeper::Started),
            (kind, any::<i32>(), ".{0,20}", ".{0,200}").prop_map(|(kind, errno, step, message)| {
                FromKeeper::Failed(StartFailure {
                    kind,
                    step,
                    errno,
                    message,
                })
            }),
            any_running().prop_map(FromKeeper::Welcome),
            any::<(i32, bool, u64)>().prop_map(|(exit_code, oom_killed, log_offset)| FromKeeper::Exited(ExitRecord {
                exit_code,
                oom_killed,
                log_offset,
                ..ExitRecord::default()
            })),
            (any::<u64>(), any_position())
                .prop_map(|(subscription, position)| FromKeeper::SubscribedAt { subscription, position }),
            any::<(u64, u64)>().prop_map(|(subscription, log_offset)| FromKeeper::Behind {
                subscription,
                log_offset
            }),
            (any::<u64>(), any_position())
                .prop_map(|(subscription, position)| FromKeeper::Lagging { subscription, position }),
            any::<u64>().prop_map(|subscription| FromKeeper::Ended { subscription }),
            any::<u64>().prop_map(|subscription| FromKeeper::Lost { subscription }),
            any::<u64>().prop_map(|subscription| FromKeeper::Refused { subscription }),
            (200u16..).prop_map(|kind| FromKeeper::Unknown { kind }),
        ]
    }

    proptest! {
        #[test]
        fn requests_survive_the_wire(request in any_request(), future in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut packet = request.encode();
            prop_assert_eq!(ToKeeper::decode(&packet), Ok(Some(request.clone())));
            packet.extend(future);
            prop_assert_eq!(ToKeeper::decode(&packet), Ok(Some(request)), "fields of a later version are ignored");
        }

        #[test]
        fn answers_survive_the_wire(answer in any_answer(), future in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut packet = answer.encode();
            prop_assert_eq!(FromKeeper::decode(&packet), Ok(answer.clone()));
            packet.extend(future);
            prop_assert_eq!(FromKeeper::decode(&packet), Ok(answer), "fields of a later version are ignored");
        }

        #[test]
        fn a_cut_message_is_an_error(request in any_request(), answer in any_answer(), cut in 1usize..400) {
            let packet = request.encode();
            let end = packet.len().saturating_sub(cut);
            prop_assert!(ToKeeper::decode(&packet[..end]).is_err());
            let packet = answer.encode();
            let end = packet.len().saturating_sub(cut);
            prop_assert!(FromKeeper::decode(&packet[..end]).is_err());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(kind in 0u16..120, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut packet = kind.to_le_bytes().to_vec();
            packet.extend(&bytes);
            let _ = ToKeeper::decode(&packet);
            let _ = FromKeeper::decode(&packet);
            let _ = FromKeeper::decode(&bytes);
        }

        #[test]
        fn long_texts_are_cut_at_a_character(message in ".{0,3000}") {
            let failure = StartFailure { kind: StartFailureKind::Other, step: message.clone(), errno: 1, message };
            let Ok(FromKeeper::Failed(decoded)) = FromKeeper::decode(&FromKeeper::Failed(failure.clone()).encode()) else {
                panic!("not decoded");
            };
            prop_assert!(failure.message.starts_with(&decoded.message) && decoded.message.len() <= TEXT_MAX);
            prop_assert!(failure.step.starts_with(&decoded.step) && decoded.step.len() <= STEP_MAX);
        }
    }
}
