//! The command line of the benches, and the daemons that it names.

use std::path::{Path, PathBuf};

use clap::{Args, value_parser};

use crate::bench::{Contender, Options, Part};
use crate::client::Request;
use crate::endpoint::{Endpoint, Tls, Transport};
use crate::procfs;
use crate::subject::{Subject, SubjectError};

/// What to measure, where and how long.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Unix socket of a daemon; those with one NAME are one daemon and share a column. May be given several times, as
    /// may --tcp and --tls.
    #[arg(long = "socket", value_name = "[NAME=]PATH", required_unless_present_any = ["tcp", "tls"])]
    pub sockets: Vec<String>,
    /// TCP address of a daemon.
    #[arg(long, value_name = "[NAME=]HOST:PORT")]
    pub tcp: Vec<String>,
    /// TCP address of a daemon that speaks TLS there; HOST has to be in its certificate.
    #[arg(long, value_name = "[NAME=]HOST:PORT", requires = "tls_ca")]
    pub tls: Vec<String>,
    /// Certificates to trust with --tls (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Our certificate for daemons that ask for one (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Daemon that the ratios are to; the first one by default (sockets come before TCP, TCP before TLS).
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Two daemons whose ratio is shown, too, beside those to the baseline: the first to the second. May be given several
    /// times.
    #[arg(long = "ratio", value_name = "NAME:NAME", value_parser = ratio)]
    pub ratios: Vec<(String, String)>,
    /// Processes of a daemon; without it, those that listen. On TCP they are found in our own network namespace alone.
    #[arg(long = "pid", value_name = "NAME=PID[,PID]")]
    pub pids: Vec<String>,
    /// What to measure; everything by default.
    #[arg(long = "only", value_enum, value_delimiter = ',')]
    pub parts: Vec<Part>,
    /// API version to speak.
    #[arg(long, default_value = "1.24")]
    pub api: String,
    /// Image that is there already (with sh, true, cat, dd and /lines); without it one is imported and removed again.
    #[arg(long)]
    pub image: Option<String>,
    /// Static busybox to make the image of.
    #[arg(long, default_value = "/bin/busybox")]
    pub busybox: PathBuf,
    /// Rounds per figure; a fifth of it, at least 3, for those that take long.
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u32).range(1..=100_000))]
    pub rounds: u32,
    /// Networks for the cycles.
    #[arg(long, value_delimiter = ',', default_value = "none,bridge")]
    pub networks: Vec<String>,
    /// _ping requests per round, and at least 10 on each connection.
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub pings: u32,
    /// Connections for the _ping figures.
    #[arg(long, value_delimiter = ',', default_value = "1,64,1000", value_parser = value_parser!(u32).range(1..=100_000))]
    pub connections: Vec<u32>,
    /// Idle connections to hold at once; 1,000 busy ones join the most of them.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub idle: Vec<u32>,
    /// _ping requests per second that the 1,000 busy ones send together when they are paced.
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub paced: u32,
    /// Cycles in flight at once.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=1000))]
    pub parallel: u32,
    /// Millions of bytes per stream.
    #[arg(long, default_value_t = 128, value_parser = value_parser!(u32).range(1..=100_000))]
    pub megabytes: u32,
}

impl Arguments {
    /// How to measure.
    pub fn options(&self) -> Options {
        let parts = if self.parts.is_empty() {
            Part::RUN_ORDER.to_vec()
        } else {
            self.parts.clone()
        };
        Options {
            parts,
            rounds: self.rounds as usize,
            networks: self.networks.clone(),
            pings: self.pings as usize,
            connections: self.connections.iter().map(|&count| count as usize).collect(),
            idle: self.idle.iter().map(|&count| count as usize).collect(),
            paced: self.paced,
            parallel: self.parallel as usize,
            megabytes: self.megabytes as usize,
            ratios: self.ratios.clone(),
        }
    }

    /// Names and endpoints, those of the baseline first; nothing is connected.
    ///
    /// # Errors
    /// When a certificate cannot be used, or the baseline or a daemon of a ratio is not among the names.
    pub fn endpoints(&self) -> Result<Vec<(String, Endpoint)>, String> {
        let mut endpoints = Vec::new();
        for argument in &self.sockets {
            let (name, path) = named_socket(argument);
            endpoints.push((name, Endpoint::Unix(path)));
        }
        for argument in &self.tcp {
            let (name, address) = named_address(argument);
            endpoints.push((name, Endpoint::Tcp(address)));
        }
        if let (Some(ca), false) = (&self.tls_ca, self.tls.is_empty()) {
            let own = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
            let tls = Tls::load(ca, own).map_err(|error| error.to_string())?;
            for argument in &self.tls {
                let (name, address) = named_address(argument);
                endpoints.push((name, Endpoint::Tls(address, tls.clone())));
            }
        }
        let known = |wanted: &String| endpoints.iter().any(|(name, _)| name == wanted);
        if let Some((of, to)) = self.ratios.iter().find(|(of, to)| !(known(of) && known(to))) {
            return Err(format!("--ratio {of}:{to}: no two daemons are called like that"));
        }
        if let Some(baseline) = &self.baseline {
            if !known(baseline) {
                return Err(format!("--baseline {baseline}: no daemon is called like that"));
            }
            endpoints.sort_by_key(|(name, _)| name != baseline);
        }
        Ok(endpoints)
    }

    /// The daemons, each connected to once and asked who it is; `image` is what their containers will be made of.
    /// Returns a line for each of them, too.
    ///
    /// # Errors
    /// When an endpoint or a process id is of no use, in words.
    pub fn contenders(&self, image: &str) -> Result<(Vec<Contender>, Vec<String>), String> {
        let endpoints = self.endpoints()?;
        let pids = named_pids(&self.pids)?;
        if let Some((name, _)) = pids.iter().find(|(name, _)| endpoints.iter().all(|(it, _)| it != name)) {
            return Err(format!("--pid {name}: no daemon is called like that"));
        }
        let mut contenders = Vec::new();
        let mut lines = Vec::new();
        for (name, endpoint) in endpoints {
            let subject = Subject::new(&name, &endpoint, &self.api, image);
            let pids = match pids.iter().find(|(it, _)| *it == name) {
                Some((_, pids)) => pids.clone(),
                None => listeners(&subject).map_err(|error| error.to_string())?,
            };
            let who = who(&subject).map_err(|error| error.to_string())?;
            let contender = Contender {
                subject,
                pids,
                is_bare: who.is_none(),
            };
            let who = who.map_or_else(
                || "answers _ping alone".to_owned(),
                |who| format!("{who}, spoken {}", self.api),
            );
            lines.push(format!(
                "{}: {who}, process {}",
                contender.label(),
                programs(&contender.pids)
            ));
            contenders.push(contender);
        }
        Ok((contenders, lines))
    }
}

/// A daemon as named on the command line: `name=/path`, or the path alone.
///
/// ```
/// use gantry_conformance::bench::arguments::named_socket;
///
/// let (name, path) = named_socket("dockerd=/run/docker.sock");
/// assert_eq!((name.as_str(), path.to_str()), ("dockerd", Some("/run/docker.sock")));
/// assert_eq!(named_socket("unix:///run/docker.sock").0, "docker");
/// ```
pub fn named_socket(argument: &str) -> (String, PathBuf) {
    let (name, path) = named(argument);
    let path = Path::new(path.strip_prefix("unix://").unwrap_or(path)).to_owned();
    let stem = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    (name.map_or(stem, str::to_owned), path)
}

/// `name=host:port`, or the address alone, which is the name then.
fn named_address(argument: &str) -> (String, String) {
    let (name, address) = named(argument);
    let address = address.strip_prefix("tcp://").unwrap_or(address);
    (name.unwrap_or(address).to_owned(), address.to_owned())
}

/// `NAME:NAME`.
fn ratio(argument: &str) -> Result<(String, String), String> {
    let (of, to) = argument.split_once(':').ok_or("not of the form NAME:NAME")?;
    Ok((of.to_owned(), to.to_owned()))
}

fn named(argument: &str) -> (Option<&str>, &str) {
    match argument.split_once('=') {
        Some((name, rest)) if !name.contains('/') => (Some(name), rest),
        _ => (None, argument),
    }
}

fn named_pids(arguments: &[String]) -> Result<Vec<(String, Vec<i32>)>, String> {
    let parse = |argument: &String| {
        let (name, list) = argument.split_once('=')?;
        let pids = list.split(',').map(|pid| pid.parse().ok()).collect::<Option<_>>()?;
        Some((name.to_owned(), pids))
    };
    let parsed = |argument| parse(argument).ok_or_else(|| format!("--pid {argument}: not of the form NAME=PID[,PID]"));
    arguments.iter().map(parsed).collect()
}

/// The processes that listen at the other end.
fn listeners(subject: &Subject) -> Result<Vec<i32>, SubjectError> {
    let connection = subject.connect()?;
    if subject.endpoint.transport() == Transport::Unix {
        return Ok(connection.peer_pid().into_iter().collect());
    }
    let addresses = subject.endpoint.addresses().unwrap_or_default();
    let mut pids: Vec<i32> = addresses.into_iter().flat_map(procfs::tcp_listeners).collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Version of the daemon and newest API version it speaks; nothing of a server that answers everything like `_ping`.
fn who(subject: &Subject) -> Result<Option<String>, SubjectError> {
    let request = Request::new("GET", "/version");
    let answer = subject.call(&mut subject.connect()?, &request, 200)?;
    if answer.body == b"OK" {
        return Ok(None);
    }
    let version = subject.version()?;
    let text = |key: &str| version[key].as_str().unwrap_or("unknown").to_owned();
    Ok(Some(format!(
        "version {}, newest API {}",
        text("Version"),
        text("ApiVersion")
    )))
}

fn programs(pids: &[i32]) -> String {
    if pids.is_empty() {
        return "unknown".to_owned();
    }
    let programs: Vec<String> = pids
        .iter()
        .map(|pid| format!("{} ({pid})", procfs::program(*pid)))
        .collect();
    programs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches as _};

    fn parse(line: &str) -> Result<Arguments, String> {
        let command = Arguments::augment_args(Command::new("bench").no_binary_name(true));
        let matches = command
            .try_get_matches_from(line.split_whitespace())
            .map_err(|error| error.to_string())?;
        Ok(Arguments::from_arg_matches(&matches).expect("parsed"))
    }

    fn endpoints(line: &str) -> Result<Vec<String>, String> {
        let endpoints = parse(line)?.endpoints()?;
        Ok(endpoints
            .into_iter()
            .map(|(name, endpoint)| format!("{name} {endpoint}"))
            .collect())
    }

    #[test]
    fn daemons_are_named_and_the_baseline_comes_first() {
        let table: &[(&str, &str, &[&str])] = &[
            (
                "names of files",
                "--socket /run/a.sock --socket unix:///b",
                &["a /run/a.sock", "b /b"],
            ),
            ("a path with =", "--socket /x=y/a.sock", &["a /x=y/a.sock"]),
            ("an address", "--tcp tcp://[::1]:7", &["[::1]:7 tcp://[::1]:7"]),
            (
                "one daemon twice",
                "--tcp a=h:1 --socket a=/s",
                &["a /s", "a tcp://h:1"],
            ),
            (
                "baseline",
                "--socket a=/a --socket b=/b --tcp b=h:1 --baseline b",
                &["b /b", "b tcp://h:1", "a /a"],
            ),
        ];
        for (name, line, expected) in table {
            let got = endpoints(line).expect(name);
            assert_eq!(got, *expected, "{name}");
        }
    }

    #[test]
    fn senseless_lines_are_refused() {
        let table = [
            ("no daemon", ""),
            ("TLS without trust", "--tls a=h:1"),
            (
                "a certificate without its key",
                "--tls a=h:1 --tls-ca /ca --tls-cert /c",
            ),
            ("a missing file", "--tls a=h:1 --tls-ca /nonexistent/ca.pem"),
            ("an unknown baseline", "--socket a=/a --baseline b"),
            ("a ratio of one", "--socket a=/a --ratio a"),
            ("a ratio to nobody", "--socket a=/a --ratio a:b"),
            ("no connections", "--socket a=/a --connections 0"),
            ("an unknown part", "--socket a=/a --only pong"),
        ];
        for (name, line) in table {
            assert!(endpoints(line).is_err(), "{name}");
        }
    }

    #[test]
    fn counts_parts_and_ratios_are_lists() {
        let options = parse("--socket a=/a --connections 1,5 --idle 7,6 --only ping,stdin")
            .expect("a line")
            .options();
        assert_eq!((options.connections, options.idle), (vec![1, 5], vec![7, 6]));
        assert_eq!(options.parts, [Part::Ping, Part::Stdin]);
        let arguments = parse("--socket a=/a --socket b=/b --ratio b:a --ratio a:b").expect("a line");
        let ratios = [("b", "a"), ("a", "b")].map(|(of, to)| (of.to_owned(), to.to_owned()));
        assert_eq!(arguments.options().ratios, ratios);
        assert!(arguments.endpoints().is_ok());
        let options = parse("--socket a=/a").expect("a line").options();
        assert_eq!(options.connections, [1, 64, 1000]);
        assert_eq!(options.parts, Part::RUN_ORDER);
    }

    #[test]
    fn process_ids_belong_to_a_name() {
        let pids = |argument: &str| named_pids(&[argument.to_owned()]);
        assert_eq!(pids("a=1,22"), Ok(vec![("a".to_owned(), vec![1, 22])]));
        for argument in ["1", "a=", "a=x", "a=1,"] {
            assert!(pids(argument).is_err(), "{argument}");
        }
    }
}
