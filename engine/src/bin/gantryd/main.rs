//! `gantryd`: the daemon. Joins the engine, the protocol core and a transport; see `gantryd --help`.

mod channel;
mod descriptors;
mod endpoint;
mod handover;
mod listener;
mod options;
mod service;
mod signals;
mod stderr_log;
mod tls;

use std::{collections::HashMap, process::ExitCode, sync::Arc};

use gantry_core::driver::ListenerId;
use gantry_engine::{Config, Engine};
use gantry_transport_mio::{Limits, Server};
use listenfd::ListenFd;

use crate::{descriptors::Descriptors, listener::Listener, options::Options, service::Daemon, tls::server_config};

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

type Error = Box<dyn std::error::Error>;

fn run(options: Options) -> Result<(), Error> {
    options.check_privileges()?;
    let tls = options.tls.as_ref().map(server_config).transpose()?;
    let mut taken = Vec::new();
    if options.take_over {
        taken = handover::take_over(&options.engine.exec_root)
            .map_err(|error| format!("taking over from the running gantryd: {error}"))?;
    }
    // Before any thread exists, so that all of them have the signals blocked.
    let signals = signals::receive()?;
    let descriptors = Descriptors::raise()?;
    let limits = Limits {
        connections: descriptors.connections(Limits::default().connections),
    };
    let mut server = Server::new(limits)?;
    let mailbox = server.mailbox();
    let post = move |message| {
        // When the loop has ended, nobody is left to be told.
        let _ = mailbox.send(message);
    };
    let config = Config {
        descriptors: Some(descriptors.inherited),
        ..options.engine.clone()
    };
    let engine = Engine::open(config, Arc::new(post))?;
    let pid_file = options.write_pid_file()?;
    let mut inherited = ListenFd::from_env();
    let mut listeners = Vec::new();
    for host in &options.hosts {
        let address = host.to_string();
        match taken.iter().position(|listener| listener.address() == address) {
            Some(found) => listeners.push(taken.swap_remove(found)),
            None => listeners.extend(Listener::open(host, &mut inherited)?),
        }
    }
    // What the predecessor served and we do not is closed.
    drop(taken);
    let door = handover::Door::open(&options.engine.exec_root)?;
    let mut secured = HashMap::new();
    for (id, listener) in (0..).map(ListenerId).zip(&listeners) {
        server.listen(listener.socket()?, id)?;
        if let (Some(config), true) = (&tls, listener.is_tcp()) {
            secured.insert(id, Arc::clone(config));
        }
    }
    let mut daemon = Daemon::new(engine, secured, options.allowed_origin.clone(), door);
    daemon.start(server.driver(), signals);
    options.say_where(listeners.iter().map(Listener::address));
    let stopped = server.run(&mut daemon);
    log::info!("stopping; containers run on");
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
