//! What parent and child say to each other between clone and exec.
//!
//! A pair of sequenced-packet sockets, close-on-exec on both sides: the end of the stream is the sign that the program
//! runs. The parent says [`GO`]; the child says what is in [`Report`]. One packet is one message, its first byte the kind.

use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, recv, send, sendmsg, socketpair,
    },
};

use super::error::StartError;
use crate::sys::rights;

/// The parent's end and the child's.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

/// A message of the child.
#[derive(Debug)]
pub(super) enum Report {
    /// The master of the container's terminal.
    Terminal(OwnedFd),
    /// All is done but the exec.
    Executing,
    /// The start failed; the child is about to exit.
    Failed(StartError),
}

/// Parent: lets the child go on.
pub(super) fn send_go(control: BorrowedFd<'_>) -> io::Result<()> {
    send(control.as_raw_fd(), &[GO], MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Child: waits for that. `false` if the parent is gone.
pub(super) fn receive_go(control: BorrowedFd<'_>) -> io::Result<bool> {
    let mut packet = [0; 1];
    loop {
        match recv(control.as_raw_fd(), &mut packet, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            received => return Ok(received? == 1 && packet == [GO]),
        }
    }
}

/// Child: passes the terminal's master to the parent.
pub(super) fn send_terminal(control: BorrowedFd<'_>, master: BorrowedFd<'_>) -> io::Result<()> {
    let rights = [master.as_raw_fd()];
    let messages = [ControlMessage::ScmRights(&rights)];
    let packet = [IoSlice::new(&[TERMINAL])];
    sendmsg::<UnixAddr>(control.as_raw_fd(), &packet, &messages, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Child: the next call is the exec.
pub(super) fn send_executing(control: BorrowedFd<'_>) -> io::Result<()> {
    send(control.as_raw_fd(), &[EXECUTING], MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Child: the start failed.
pub(super) fn send_failed(control: BorrowedFd<'_>, error: &StartError) -> io::Result<()> {
    let mut packet = error.encode();
    packet.insert(0, FAILED);
    send(control.as_raw_fd(), &packet, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Parent: the next message; `None` at the end.
///
/// # Errors
/// `EBADMSG` for a message that is none, `ETIMEDOUT` when there is none until `deadline`.
pub(super) fn receive_report(control: BorrowedFd<'_>, deadline: Instant) -> io::Result<Option<Report>> {
    await_readable(control, deadline)?;
    let mut packet = [0; PACKET_BYTES_MAX];
    let (length, terminal) = loop {
        match rights::receive(control, &mut packet) {
            // A child that fails early leaves the go-ahead unread. The kernel says so once, before what the child said.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            received => break received?,
        }
    };
    match (&packet[..length], terminal) {
        ([], _) => Ok(None),
        (&[TERMINAL], Some(master)) => Ok(Some(Report::Terminal(master))),
        (&[EXECUTING], None) => Ok(Some(Report::Executing)),
        ([FAILED, error @ ..], None) => {
            let error = StartError::decode(error).ok_or(Errno::EBADMSG)?;
            Ok(Some(Report::Failed(error)))
        }
        _ => Err(Errno::EBADMSG.into()),
    }
}

fn await_readable(control: BorrowedFd<'_>, deadline: Instant) -> io::Result<()> {
    loop {
        // Rounded up: a timeout too early would spin.
        let left = deadline
            .saturating_duration_since(Instant::now())
            .as_micros()
            .div_ceil(1000);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(control, PollFlags::POLLIN)], timeout) {
            Ok(0) if Instant::now() >= deadline => return Err(Errno::ETIMEDOUT.into()),
            Ok(0) | Err(Errno::EINTR) => {}
            polled => return Ok(polled.map(drop)?),
        }
    }
}

const GO: u8 = b'G';
const TERMINAL: u8 = b'T';
const EXECUTING: u8 = b'E';
const FAILED: u8 = b'F';
/// The longest message is an error: kind, head of 6 bytes, text.
const PACKET_BYTES_MAX: usize = 1 + 6 + StartError::MESSAGE_BYTES_MAX;

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd, time::Duration};

    use super::*;
    use crate::process::error::{StartErrorKind, Step};

    #[test]
    fn reports_arrive_in_order_from_a_child_that_does_not_read() {
        let (ours, theirs) = pair().unwrap();
        let error = StartError::new(StartErrorKind::NotFound, Step::Program, 2, "x".repeat(5000));
        send_go(ours.as_fd()).unwrap();
        send_terminal(theirs.as_fd(), File::open("/dev/null").unwrap().as_fd()).unwrap();
        send_executing(theirs.as_fd()).unwrap();
        send_failed(theirs.as_fd(), &error).unwrap();
        drop(theirs);
        let mut reports = Vec::new();
        while let Some(report) = receive_report(ours.as_fd(), soon()).unwrap() {
            reports.push(report);
        }
        let [Report::Terminal(_), Report::Executing, Report::Failed(received)] = &reports[..] else {
            panic!("{reports:?}");
        };
        assert_eq!(received, &error);
        assert!(send_go(ours.as_fd()).is_err(), "nobody is there");
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let (ours, _theirs) = pair().unwrap();
        let error = receive_report(ours.as_fd(), Instant::now() + Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
    }

    #[test]
    fn a_lost_parent_is_noticed() {
        let (ours, theirs) = pair().unwrap();
        send_go(ours.as_fd()).unwrap();
        assert!(receive_go(theirs.as_fd()).unwrap());
        drop(ours);
        assert!(!receive_go(theirs.as_fd()).unwrap());
    }

    #[test]
    fn strange_packets_are_errors() {
        for packet in [&b"Z"[..], b"T", b"F", b"F\x09\x01\0\0\0\0"] {
            let (ours, theirs) = pair().unwrap();
            send(theirs.as_raw_fd(), packet, MsgFlags::empty()).unwrap();
            let error = receive_report(ours.as_fd(), soon()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADMSG), "{packet:?}");
        }
    }
}
