//! How far a failure of accept4(2) reaches. Both transports compile this very file. Truth: accept(2), "Error handling" and
//! "Errors".

use nix::errno::Errno;

/// Who a failure concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptFailure {
    /// Nobody waits, or the accept was cancelled.
    Nobody,
    /// This peer has gone, or its network has failed: "treat them like EAGAIN by retrying", says accept(2).
    OnePeer,
    /// There is no room for anybody now: descriptors or memory.
    Everybody,
}

impl AcceptFailure {
    pub(crate) fn of(errno: Errno) -> Self {
        match errno {
            Errno::EAGAIN | Errno::ECANCELED => Self::Nobody,
            Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::ENETDOWN
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
            | Errno::EPERM => Self::OnePeer,
            _ => Self::Everybody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_accept_reach_as_far_as_they_should() {
        let cases = [
            (Errno::EAGAIN, AcceptFailure::Nobody),
            (Errno::ECANCELED, AcceptFailure::Nobody),
            (Errno::ECONNABORTED, AcceptFailure::OnePeer),
            (Errno::EPERM, AcceptFailure::OnePeer),
            (Errno::EMFILE, AcceptFailure::Everybody),
            (Errno::ENFILE, AcceptFailure::Everybody),
            (Errno::ENOBUFS, AcceptFailure::Everybody),
            (Errno::EBADF, AcceptFailure::Everybody),
        ];
        for (errno, expected) in cases {
            assert_eq!(AcceptFailure::of(errno), expected, "{errno}");
        }
    }
}
