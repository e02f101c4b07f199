//! `gantryd`: the daemon. Joins the engine, the protocol core and a transport; see `gantryd --help`.

mod channel;
mod descriptors;
mod endpoint;
mod front;
mod gate;
mod handover;
mod listener;
mod options;
mod reactors;
mod service;
mod signals;
mod stderr_log;
mod tls;
mod transport;

use std::{
    collections::{HashMap, HashSet},
    process::ExitCode,
    sync::Arc,
};

use gantry_core::driver::limits::Limits;
use gantry_engine::{Config, Engine};
use listenfd::ListenFd;

use crate::{
    descriptors::Descriptors,
    front::Front,
    listener::{ListenError, Listener},
    options::Options,
    reactors::Reactors,
    service::{Daemon, Note},
    tls::server_config,
    transport::{Choice, Loop, Mio, Transport, Uring},
};

fn main() -> ExitCode {
    let options = match Options::from_command_line() {
        Ok(options) => options,
        Err(code) => return code,
    };
    stderr_log::install(options.log_level);
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gantryd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What ends the daemon, in words.
type Error = Box<dyn std::error::Error + Send + Sync>;

fn run(options: Options) -> Result<(), Error> {
    options.check_privileges()?;
    match options.transport {
        Choice::Mio => serve::<Mio>(&options),
        Choice::Uring | Choice::Auto => match Uring::refusal() {
            None => serve::<Uring>(&options),
            Some(refused) if options.transport == Choice::Uring => Err(format!("--transport uring: {refused}").into()),
            Some(refused) => {
                log::info!("using epoll: {refused}");
                serve::<Mio>(&options)
            }
        },
    }
}

fn serve<T: Transport>(options: &Options) -> Result<(), Error> {
    // Before any thread exists, so that all of them have the signals blocked.
    let signals = signals::receive()?;
    let descriptors = Descriptors::raise()?;
    let connections = descriptors.connections(Limits::default().connections);
    let limits = Limits {
        connections: connections / usize::from(options.reactors),
    };
    let mut first = T::Loop::<Note>::open(limits)?;
    let tls = options.tls.as_ref().map(server_config).transpose()?;
    // All that could be wrong with the options has been said by now.
    let mut taken = Vec::new();
    if options.take_over {
        taken = handover::take_over(&options.engine.exec_root)
            .map_err(|error| format!("taking over from the running gantryd: {error}"))?;
    }
    let config = Config {
        descriptors: Some(descriptors.inherited),
        ..options.engine.clone()
    };
    let post = first.sender();
    let engine = Engine::open(config, Arc::new(move |message| post(Note::Engine(message))))?;
    let pid_file = options.write_pid_file()?;
    let mut listeners = open_listeners(options, taken)?;
    let by_tcp = listeners.iter().filter(|listener| listener.is_tcp());
    let by_tcp: HashSet<_> = by_tcp.map(Listener::id).collect();
    let front = Arc::new(Front {
        tls: tls.map_or_else(HashMap::new, |config| {
            by_tcp.iter().map(|id| (*id, Arc::clone(&config))).collect()
        }),
        by_tcp,
        allowed_origin: options.allowed_origin.clone(),
    });
    let reactors = Reactors::start::<T>(options.reactors - 1, limits, &front, &listeners, &first.sender())?;
    for listener in &listeners {
        first.listen(listener.socket()?, listener.id())?;
    }
    let door = handover::Door::open(&options.engine.exec_root)?;
    let mut daemon = Daemon::new(engine, front, door, reactors.senders());
    daemon.start(first.driver(), signals);
    options.say_where(listeners.iter().map(Listener::address));
    let stopped = first.run(&mut daemon);
    log::info!("stopping; containers run on");
    reactors.stop();
    let successor = daemon.take_successor();
    // Before anybody else can want them: the stores and the lock of the data root.
    drop(daemon);
    drop(pid_file);
    if let Some(successor) = successor {
        handover::hand_over(&successor, std::mem::take(&mut listeners));
    }
    // Paths go while their sockets still listen: nobody is refused where there seems to be a daemon.
    drop(listeners);
    Ok(stopped?)
}

/// Listens where the options say, with the sockets that a predecessor has left where it did so too.
fn open_listeners(options: &Options, mut taken: Vec<Listener>) -> Result<Vec<Listener>, ListenError> {
    let mut inherited = ListenFd::from_env();
    let mut listeners = Vec::new();
    for host in &options.hosts {
        let address = host.to_string();
        match taken.iter().position(|listener| listener.address() == address) {
            Some(found) => listeners.push(taken.swap_remove(found)),
            None => listeners.extend(Listener::open(host, &mut inherited)?),
        }
    }
    for (number, listener) in (0..).zip(&mut listeners) {
        listener.set_number(number);
    }
    // What the predecessor served and we do not is closed with `taken`.
    Ok(listeners)
}
