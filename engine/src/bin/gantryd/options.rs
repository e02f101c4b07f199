//! The command line and the configuration file. Names are dockerd's where dockerd has them.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use gantry_engine::Config;
use log::LevelFilter;
use nix::{
    fcntl::{Flock, FlockArg},
    unistd::Uid,
};
use serde::Deserialize;

use crate::{endpoint::Endpoint, gate::REACTORS_MAX, tls::TlsFiles, transport::Choice};

/// Everything the daemon is told at its start.
pub(crate) struct Options {
    pub(crate) hosts: Vec<Endpoint>,
    /// For every listener that is reached by TCP.
    pub(crate) tls: Option<TlsFiles>,
    /// Whether to take the place of a gantryd that runs.
    pub(crate) take_over: bool,
    /// Loops with connections, the first one included: 1 to [`REACTORS_MAX`].
    pub(crate) reactors: u8,
    /// Whose pages browsers let call.
    pub(crate) allowed_origin: Option<Arc<str>>,
    pub(crate) log_level: LevelFilter,
    pub(crate) engine: Config,
    pub(crate) transport: Choice,
    pid_file: PathBuf,
}

/// A container daemon that speaks every version of the Docker Remote API from v1.0 on.
#[derive(Parser)]
#[command(
    name = "gantryd",
    version,
    after_help = "Settings may also stand in the configuration file, under dockerd's names (daemon.json)."
)]
struct CommandLine {
    /// Where to listen: unix://PATH, tcp://ADDRESS, tcp://ADDRESS:PORT or fd:// (from the service manager); may be given several times
    #[arg(short = 'H', long = "host", value_name = "ADDRESS")]
    hosts: Vec<String>,
    /// Group that may use the unix sockets
    #[arg(short = 'G', long, default_value = "docker", value_name = "NAME")]
    group: String,
    /// Use TLS on TCP; implied by --tlsverify
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    tls: Option<bool>,
    /// Use TLS on TCP, and let in only clients with a certificate of the CA
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    tlsverify: Option<bool>,
    /// Certificate of the CA whose clients are let in [default: ~/.docker/ca.pem]
    #[arg(long, value_name = "FILE")]
    tlscacert: Option<PathBuf>,
    /// The daemon's certificate [default: ~/.docker/cert.pem]
    #[arg(long, value_name = "FILE")]
    tlscert: Option<PathBuf>,
    /// The key of the daemon's certificate [default: ~/.docker/key.pem]
    #[arg(long, value_name = "FILE")]
    tlskey: Option<PathBuf>,
    /// Origin whose pages may call the daemon from a browser, or * for all
    #[arg(long, value_name = "ORIGIN")]
    api_cors_header: Option<String>,
    /// As --api-cors-header='*'
    #[arg(long, conflicts_with = "api_cors_header")]
    api_enable_cors: bool,
    /// Images and containers
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Sockets of running containers
    #[arg(long, value_name = "DIR")]
    exec_root: Option<PathBuf>,
    /// File for the daemon's process id
    #[arg(short = 'p', long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Settings in JSON; the command line wins
    #[arg(long, default_value = "/etc/gantry/daemon.json", value_name = "FILE")]
    config_file: PathBuf,
    /// Name of the default bridge
    #[arg(short = 'b', long, value_name = "NAME")]
    bridge: Option<String>,
    /// Address and prefix of the default bridge [default: one that is free]
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    bip: Option<String>,
    /// Largest packet on the bridge, in bytes
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// Install firewall rules (masquerading and forwarding)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    iptables: Option<bool>,
    /// Name server for containers; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// Label of the daemon, NAME=VALUE; may be given several times
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// How bytes are moved [default: auto]
    #[arg(long, value_enum, value_name = "NAME")]
    transport: Option<Choice>,
    /// How much to log: error, warn, info, debug
    #[arg(short = 'l', long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log everything, as --log-level=debug
    #[arg(short = 'D', long)]
    debug: bool,
    /// Take the place of the gantryd that runs with the same --exec-root, and its listening sockets
    #[arg(long)]
    take_over: bool,
    /// Threads that serve connections, 1 to 8; containers' streams are all on the first
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=i64::from(REACTORS_MAX)))]
    reactors: Option<u8>,
    /// Accepted for dockerd's sake: containers always outlive the daemon
    #[arg(long)]
    live_restore: bool,
}

/// dockerd's `daemon.json`, as far as it concerns us; other keys are refused by name.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct File {
    hosts: Vec<String>,
    group: Option<String>,
    tls: Option<bool>,
    tlsverify: Option<bool>,
    tlscacert: Option<PathBuf>,
    tlscert: Option<PathBuf>,
    tlskey: Option<PathBuf>,
    api_cors_header: Option<String>,
    reactors: Option<u8>,
    data_root: Option<PathBuf>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    bridge: Option<String>,
    bip: Option<String>,
    mtu: Option<u32>,
    iptables: Option<bool>,
    dns: Vec<String>,
    labels: Vec<String>,
    log_level: Option<String>,
    transport: Option<Choice>,
    debug: bool,
    #[serde(rename = "live-restore")]
    _live_restore: bool,
}

impl Options {
    /// Reads the command line and the configuration file. The error is the exit code; its reason has been printed.
    pub(crate) fn from_command_line() -> Result<Self, ExitCode> {
        let line = CommandLine::parse();
        Self::merge(line).map_err(|error| {
            eprintln!("gantryd: {error}");
            ExitCode::from(2)
        })
    }

    fn merge(line: CommandLine) -> Result<Self, String> {
        let _ = line.live_restore;
        let file = read_file(&line.config_file)?;
        let level = line.log_level.or(file.log_level).unwrap_or_else(|| "info".to_owned());
        let debug = line.debug || file.debug || level == "debug";
        let log_level = match level.as_str() {
            _ if debug => LevelFilter::Debug,
            "info" => LevelFilter::Info,
            "warn" => LevelFilter::Warn,
            "error" | "fatal" => LevelFilter::Error,
            other => return Err(format!("unknown log level {other:?}: want debug, info, warn or error")),
        };
        let mut texts = if line.hosts.is_empty() { file.hosts } else { line.hosts };
        if texts.is_empty() {
            texts.push(DEFAULT_HOST.to_owned());
        }
        let gid = group_id(file.group.as_deref().unwrap_or(&line.group))?;
        let tls = tls_files(TlsOptions {
            tls: line.tls.or(file.tls),
            tlsverify: line.tlsverify.or(file.tlsverify),
            tlscacert: line.tlscacert.or(file.tlscacert),
            tlscert: line.tlscert.or(file.tlscert),
            tlskey: line.tlskey.or(file.tlskey),
        })?;
        let reactors = line.reactors.or(file.reactors).unwrap_or(1);
        if !(1..=REACTORS_MAX).contains(&reactors) {
            return Err(format!("reactors {reactors}: want 1 to {REACTORS_MAX}"));
        }
        let any = line.api_enable_cors.then(|| "*".to_owned());
        let allowed_origin = any.or(line.api_cors_header).or(file.api_cors_header);
        if let Some(origin) = &allowed_origin
            && !origin.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(format!(
                "--api-cors-header {origin:?}: an origin is visible ASCII without spaces"
            ));
        }
        let hosts = texts
            .iter()
            .map(|text| endpoint(text, gid, tls.as_ref()))
            .collect::<Result<_, _>>()?;
        let absolute =
            |path: PathBuf| std::path::absolute(&path).map_err(|error| format!("{}: {error}", path.display()));
        let beside = |name: &str| std::env::current_exe().map(|exe| exe.with_file_name(name));
        let keeper = beside("gantry-keeper").map_err(|error| format!("own path: {error}"))?;
        let hello = beside("gantry-hello").ok().filter(|path| path.is_file());
        let exec_root = absolute(
            line.exec_root
                .or(file.exec_root)
                .unwrap_or_else(|| "/run/gantry".into()),
        )?;
        let engine = Config {
            data_root: absolute(
                line.data_root
                    .or(file.data_root)
                    .unwrap_or_else(|| "/var/lib/gantry".into()),
            )?,
            keeper,
            hello,
            bridge: line.bridge.or(file.bridge).unwrap_or_else(|| "gantry0".to_owned()),
            bridge_address: line.bip.or(file.bip),
            mtu: line.mtu.or(file.mtu).unwrap_or(1500),
            firewall: line.iptables.or(file.iptables).unwrap_or(true),
            dns: if line.dns.is_empty() { file.dns } else { line.dns },
            descriptors: None,
            labels: if line.labels.is_empty() {
                file.labels
            } else {
                line.labels
            },
            debug,
            exec_root: exec_root.clone(),
        };
        let pid_file = line
            .pidfile
            .or(file.pidfile)
            .unwrap_or_else(|| exec_root.join("gantryd.pid"));
        Ok(Self {
            hosts,
            tls,
            take_over: line.take_over,
            reactors,
            allowed_origin: allowed_origin.filter(|origin| !origin.is_empty()).map(Arc::from),
            log_level,
            engine,
            transport: line.transport.or(file.transport).unwrap_or_default(),
            pid_file: absolute(pid_file)?,
        })
    }

    /// Says what is missing before anything is touched.
    pub(crate) fn check_privileges(&self) -> Result<(), String> {
        if Uid::effective().is_root() {
            return Ok(());
        }
        Err(
            "must run as root: it makes namespaces, mounts, control groups and network interfaces. Try it with sudo."
                .to_owned(),
        )
    }

    /// Writes and locks the file; the lock ends with the process. Another daemon that holds it is an error.
    pub(crate) fn write_pid_file(&self) -> Result<Flock<fs::File>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("pid file {}: {error}", self.pid_file.display());
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.pid_file)
            .map_err(|e| failed(&e))?;
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, error)| failed(&format!("another gantryd holds it ({error})")))?;
        lock.set_len(0).map_err(|e| failed(&e))?;
        lock.write_all(format!("{}\n", std::process::id()).as_bytes())
            .map_err(|e| failed(&e))?;
        Ok(lock)
    }

    /// Prints where the daemon listens, and what to do next. Nobody has to read it.
    pub(crate) fn say_where<'a>(&self, addresses: impl Iterator<Item = &'a str> + Clone) {
        let _ = io::stdout().write_all(self.where_text(addresses).as_bytes());
    }

    fn where_text<'a>(&self, addresses: impl Iterator<Item = &'a str> + Clone) -> String {
        let lines = addresses
            .clone()
            .map(|address| format!("gantryd {} listens on {address}\n", env!("CARGO_PKG_VERSION")));
        let mut text: String = lines.collect();
        let (Some(first), Some(_)) = (addresses.clone().next(), &self.engine.hello) else {
            return text;
        };
        text += &format!("\nTry it from another terminal:\n    docker -H {first} run --rm gantry/hello\n");
        if let Some(path) = first.strip_prefix("unix://") {
            let curl = format!("curl -sS --unix-socket {path}");
            text += &format!(
                "or, without a docker client:\n    \
                 {curl} -H 'Content-Type: application/json' -d '{{\"Image\":\"gantry/hello\",\"Tty\":true}}' 'http://d/containers/create?name=hello' \\\n      \
                 && {curl} -X POST http://d/containers/hello/start \\\n      \
                 && {curl} -X POST http://d/containers/hello/wait \\\n      \
                 && {curl} --output - 'http://d/containers/hello/logs?stdout=1' \\\n      \
                 && {curl} -X DELETE http://d/containers/hello\n"
            );
        }
        text
    }
}

/// dockerd's options about TLS, as they were given.
struct TlsOptions {
    tls: Option<bool>,
    tlsverify: Option<bool>,
    tlscacert: Option<PathBuf>,
    tlscert: Option<PathBuf>,
    tlskey: Option<PathBuf>,
}

fn tls_files(options: TlsOptions) -> Result<Option<TlsFiles>, String> {
    let verify = options.tlsverify.unwrap_or(false);
    if !verify && !options.tls.unwrap_or(false) {
        // dockerd ignores them, and serves root in the clear to someone who has made certificates.
        let given = [
            ("--tlscacert", &options.tlscacert),
            ("--tlscert", &options.tlscert),
            ("--tlskey", &options.tlskey),
        ];
        return match given.iter().find(|(_, path)| path.is_some()) {
            Some((name, _)) => Err(format!("{name} is of no use without --tls or --tlsverify")),
            None => Ok(None),
        };
    }
    let directory = match (env::var_os("DOCKER_CERT_PATH"), env::var_os("HOME")) {
        (Some(path), _) if !path.is_empty() => PathBuf::from(path),
        (_, home) => PathBuf::from(home.unwrap_or_default()).join(".docker"),
    };
    let or_default = |path: Option<PathBuf>, name: &str| path.unwrap_or_else(|| directory.join(name));
    Ok(Some(TlsFiles {
        cert: or_default(options.tlscert, "cert.pem"),
        key: or_default(options.tlskey, "key.pem"),
        client_ca: verify.then(|| or_default(options.tlscacert, "ca.pem")),
    }))
}

fn endpoint(text: &str, gid: Option<u32>, tls: Option<&TlsFiles>) -> Result<Endpoint, String> {
    let port = if tls.is_some() { PORT_TLS } else { PORT_CLEAR };
    let mut endpoint = Endpoint::parse(text, port).map_err(|error| format!("--host {text}: {error}"))?;
    if let Endpoint::Unix { gid: group, .. } = &mut endpoint {
        *group = gid;
    }
    if let Endpoint::Tcp(address) = &endpoint
        && !address.ip().is_loopback()
        && tls.is_none_or(|files| files.client_ca.is_none())
    {
        eprintln!(
            "gantryd: WARNING: {text} without --tlsverify is open to everyone who can reach it, and gives them root on \
             this machine"
        );
    }
    Ok(endpoint)
}

fn read_file(path: &Path) -> Result<File, String> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path == Path::new("/etc/gantry/daemon.json") => {
            Ok(File::default())
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The id of a group by `/etc/group` (the program is static and loads no name service). The default group may be missing.
fn group_id(name: &str) -> Result<Option<u32>, String> {
    if let Ok(gid) = name.parse() {
        return Ok(Some(gid));
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let gid = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    });
    match gid {
        None if name != "docker" => Err(format!("--group {name}: no such group in /etc/group")),
        gid => Ok(gid),
    }
}

const DEFAULT_HOST: &str = "unix:///run/gantry.sock";

/// Docker's ports (IANA: docker, docker-s).
const PORT_CLEAR: u16 = 2375;
const PORT_TLS: u16 = 2376;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }

    #[test]
    fn defaults_and_overrides() {
        let parse = |words: &[&str]| Options::merge(CommandLine::parse_from([&["gantryd"], words].concat()));
        let options = parse(&[]).unwrap();
        assert_eq!(options.engine.data_root, Path::new("/var/lib/gantry"));
        assert_eq!(options.pid_file, Path::new("/run/gantry/gantryd.pid"));
        assert!(options.engine.firewall);
        assert_eq!(options.transport, Choice::Auto);
        assert_eq!(parse(&["--transport", "mio"]).unwrap().transport, Choice::Mio);
        let options = parse(&[
            "-D",
            "--iptables=false",
            "--exec-root",
            "/x",
            "-H",
            "tcp://127.0.0.1:0",
            "-H",
            "unix:///y",
        ])
        .unwrap();
        assert!(!options.engine.firewall && options.hosts.len() == 2 && options.log_level == LevelFilter::Debug);
        assert_eq!(options.pid_file, Path::new("/x/gantryd.pid"));
        for bad in [
            &["-H", "ftp://x"][..],
            &["--group", "no-such-group-here"],
            &["-l", "loud"],
            &["--config-file", "/nonexistent"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
