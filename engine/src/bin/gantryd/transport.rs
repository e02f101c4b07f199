//! Which transport moves the bytes: chosen at start, for the rest of the daemon all are one.

use std::{io, os::fd::OwnedFd, sync::Arc};

use clap::ValueEnum;
use gantry_core::driver::{Driver, ListenerId, Service, limits::Limits};
use gantry_transport_mio as mio;
use gantry_transport_uring as uring;
use serde::Deserialize;

use crate::{Error, channel::Channel};

/// What `--transport` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Choice {
    /// io_uring if the kernel allows it, else epoll
    #[default]
    Auto,
    /// epoll
    Mio,
    /// io_uring
    Uring,
}

/// How other threads reach a loop. What comes after its end is dropped: nobody is left to be told.
pub(crate) type Sender<M> = Arc<dyn Fn(M) + Send + Sync>;

/// A transport, by its loops.
pub(crate) trait Transport: 'static {
    /// One loop, to which other threads send `M`.
    type Loop<M: Send + 'static>: Loop<M>;
}

/// A loop that is not running yet. It is made and run on the same thread.
pub(crate) trait Loop<M>: Sized {
    type Driver: Driver<Protocol = Channel, Fd = OwnedFd>;

    fn open(limits: Limits) -> Result<Self, Error>;
    fn sender(&self) -> Sender<M>;
    fn listen(&mut self, socket: OwnedFd, id: ListenerId) -> io::Result<()>;
    fn driver(&mut self) -> &mut Self::Driver;
    fn run<S: Service<Self::Driver, Message = M>>(self, service: &mut S) -> io::Result<()>;
}

/// epoll.
pub(crate) enum Mio {}

/// io_uring.
pub(crate) enum Uring {}

impl Uring {
    /// Why this kernel does not allow it, if it does not.
    pub(crate) fn refusal() -> Option<uring::Refused> {
        uring::Server::<Channel, ()>::new(Limits::default()).err()
    }
}

macro_rules! transport {
    ($name:ident, $module:ident) => {
        impl Transport for $name {
            type Loop<M: Send + 'static> = $module::Server<Channel, M>;
        }

        impl<M: Send + 'static> Loop<M> for $module::Server<Channel, M> {
            type Driver = $module::Reactor<Channel>;

            fn open(limits: Limits) -> Result<Self, Error> {
                Ok(Self::new(limits)?)
            }

            fn sender(&self) -> Sender<M> {
                let mailbox = self.mailbox();
                Arc::new(move |message| drop(mailbox.send(message)))
            }

            fn listen(&mut self, socket: OwnedFd, id: ListenerId) -> io::Result<()> {
                self.listen(socket, id)
            }

            fn driver(&mut self) -> &mut Self::Driver {
                self.driver()
            }

            fn run<S: Service<Self::Driver, Message = M>>(self, service: &mut S) -> io::Result<()> {
                self.run(service)
            }
        }
    };
}

transport!(Mio, mio);
transport!(Uring, uring);
