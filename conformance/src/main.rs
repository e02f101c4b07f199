//! `gantry-conformance`: runs the benches or the cases against any daemon's socket. What they do is in the library;
//! here are the command line and the exit status: 0 all well, 1 something failed, 2 wrong usage, 130 interrupted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gantry_conformance::bench::{self, Contender, Options, Part};
use gantry_conformance::case::{self, Skips};
use gantry_conformance::endpoint::Endpoint;
use gantry_conformance::judge::{Judge, Verdict};
use gantry_conformance::subject::{Subject, SubjectError};
use gantry_conformance::version::{ApiVersion, Versions};
use gantry_conformance::{interrupt, procfs, rootfs};

/// Judge a container daemon from outside, by its socket.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure one or several daemons in one run and print Markdown tables.
    Bench(BenchArgs),
    /// Run the cases and say how each went; the last line counts.
    Judge(JudgeArgs),
}

#[derive(Args)]
struct JudgeArgs {
    /// Unix socket of the daemon.
    #[arg(long)]
    socket: String,
    /// API versions, such as 1.12,1.22-1.24; by default all up to 1.24 that the daemon serves.
    #[arg(long)]
    api: Option<Versions>,
    /// Folder with the case files.
    #[arg(long, default_value = "conformance/cases")]
    cases: PathBuf,
    /// File that lists known failures of this daemon with their reasons.
    #[arg(long)]
    skips: Option<PathBuf>,
    /// Static busybox to make the image of.
    #[arg(long, default_value = "/bin/busybox")]
    busybox: PathBuf,
    /// Print failures and skips alone.
    #[arg(long, short)]
    quiet: bool,
    /// Run only cases whose name holds one of these.
    filters: Vec<String>,
}

#[derive(Args)]
struct BenchArgs {
    /// Unix socket of a daemon, or NAME=SOCKET; ratios are to the first.
    #[arg(long = "socket", required = true, value_name = "[NAME=]SOCKET")]
    sockets: Vec<String>,
    /// Processes of the daemon at the same place in the list, comma separated; without it, the one that listens.
    #[arg(long = "pid", value_name = "PID[,PID]")]
    pids: Vec<String>,
    /// What to measure; everything by default.
    #[arg(long = "only", value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// API version to speak.
    #[arg(long, default_value = "1.24")]
    api: String,
    /// Image that is there already (with sh, true, cat, dd and /lines); without it one is imported and removed again.
    #[arg(long)]
    image: Option<String>,
    /// Static busybox to make the image of.
    #[arg(long, default_value = "/bin/busybox")]
    busybox: PathBuf,
    /// Rounds per figure; a fifth of it for streams and parallel cycles.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// Networks for the cycles.
    #[arg(long, value_delimiter = ',', default_value = "none,bridge")]
    networks: Vec<String>,
    /// _ping requests per round.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pings: u32,
    /// Connections for the second _ping figure.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Cycles in flight at once.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    parallel: u32,
    /// Millions of bytes per stream.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    megabytes: u32,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = interrupt::watch() {
        eprintln!("cannot watch for signals: {error}");
        return ExitCode::from(1);
    }
    let outcome = match cli.command {
        Command::Bench(args) => run_bench(&args),
        Command::Judge(args) => run_judge(&args),
    };
    match outcome {
        _ if interrupt::requested() => ExitCode::from(130),
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(1)
        }
    }
}

/// Image that is imported when none is named: one of this run alone, for another run may take its own away meanwhile.
fn own_image() -> String {
    format!("gantry-conformance-{}:busybox", std::process::id())
}

fn run_bench(args: &BenchArgs) -> Result<bool, String> {
    if args.pids.len() > args.sockets.len() {
        return Err("more --pid than --socket".to_owned());
    }
    let tar = match args.image {
        Some(_) => None,
        None => Some(image_tar(&args.busybox)?),
    };
    let image = args.image.clone().unwrap_or_else(own_image);
    let mut contenders = Vec::new();
    for (number, socket) in args.sockets.iter().enumerate() {
        let (name, path) = bench::named_socket(socket);
        let subject = Subject::new(&name, &Endpoint::Unix(path), &args.api, &image);
        let pids = match args.pids.get(number) {
            Some(list) => parse_pids(list)?,
            None => subject.connect().map_err(message)?.peer_pid().into_iter().collect(),
        };
        if let Some(tar) = &tar {
            subject.import(tar).map_err(message)?;
        }
        contenders.push(Contender { subject, pids });
    }
    for contender in &contenders {
        let version = contender.subject.version().map_err(message)?;
        let text = |key: &str| version[key].as_str().unwrap_or("unknown").to_owned();
        let programs: Vec<String> = contender
            .pids
            .iter()
            .map(|pid| format!("{} ({pid})", procfs::program(*pid)))
            .collect();
        println!(
            "- {}: version {}, newest API {}, spoken {}, process {}",
            contender.subject.name,
            text("Version"),
            text("ApiVersion"),
            args.api,
            if programs.is_empty() {
                "unknown".to_owned()
            } else {
                programs.join(", ")
            },
        );
    }
    println!();
    let parts = if args.parts.is_empty() {
        vec![Part::Memory, Part::Ping, Part::Cycle, Part::Parallel, Part::Attach]
    } else {
        args.parts.clone()
    };
    let options = Options {
        parts,
        rounds: args.rounds as usize,
        networks: args.networks.clone(),
        pings: args.pings as usize,
        connections: args.connections as usize,
        parallel: args.parallel as usize,
        megabytes: args.megabytes as usize,
    };
    let table = bench::run(&contenders, &options);
    print!("{}", table.markdown());
    let left: Vec<String> = contenders
        .iter()
        .flat_map(|contender| contender.subject.clean_up())
        .collect();
    for left in &left {
        eprintln!("left behind: {left}");
    }
    Ok(table.failures().is_empty() && left.is_empty())
}

/// Versions that the cases are about.
const CASES_UP_TO: ApiVersion = ApiVersion { major: 1, minor: 24 };

fn run_judge(args: &JudgeArgs) -> Result<bool, String> {
    let mut cases = case::load(&args.cases)?;
    if !args.filters.is_empty() {
        cases.retain(|case| args.filters.iter().any(|filter| case.name.contains(filter.as_str())));
    }
    if cases.is_empty() {
        return Err("no case is called like that".to_owned());
    }
    let skips = match &args.skips {
        None => Skips::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    let tar = image_tar(&args.busybox)?;
    let (name, path) = bench::named_socket(&args.socket);
    let endpoint = Endpoint::Unix(path);
    let image = own_image();
    let (lowest, newest) = served(&Subject::new(&name, &endpoint, "1.24", &image))?;
    let subject = Subject::new(&name, &endpoint, &newest.to_string(), &image);
    let wanted = match &args.api {
        None => format!("{lowest}-{newest}")
            .parse::<Versions>()
            .map_err(|error| error.to_string())?,
        Some(versions) => versions.clone(),
    };
    subject.import(&tar).map_err(message)?;
    let judge = Judge::new(&subject, newest, tar, skips);
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for version in wanted.between(ApiVersion { major: 1, minor: 0 }, CASES_UP_TO) {
        for case in &cases {
            if interrupt::requested() {
                break;
            }
            match judge.run(case, version) {
                None => {}
                Some(Verdict::Passed) => {
                    passed += 1;
                    if !args.quiet {
                        println!("passed v{version} {}", case.name);
                    }
                }
                Some(Verdict::Failed(why)) => {
                    failed += 1;
                    println!("FAILED v{version} {}: {why}", case.name);
                }
                Some(Verdict::Skipped(why)) => {
                    skipped += 1;
                    println!("skipped v{version} {}: {why}", case.name);
                }
            }
        }
    }
    let left = subject.clean_up();
    for left in &left {
        println!("FAILED to remove {left}");
    }
    failed += left.len();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0 && passed > 0)
}

/// Lowest and newest version that the daemon serves, the newest not above [`CASES_UP_TO`]. A daemon that names no
/// lowest version (below API 1.24 the field does not exist) is taken to serve all of them.
fn served(subject: &Subject) -> Result<(ApiVersion, ApiVersion), String> {
    let answer = subject.version().map_err(message)?;
    let named = |key: &str| {
        answer[key]
            .as_str()
            .map(|text| text.parse().map_err(|error| format!("{key}: {error}")))
    };
    let newest = named("ApiVersion").ok_or("/version names no ApiVersion")??;
    let lowest = named("MinAPIVersion").unwrap_or(Ok(ApiVersion { major: 1, minor: 0 }))?;
    Ok((lowest, CASES_UP_TO.min(newest)))
}

fn image_tar(busybox: &Path) -> Result<Vec<u8>, String> {
    rootfs::busybox_tar(busybox).map_err(|error| format!("cannot make an image of {}: {error}", busybox.display()))
}

fn parse_pids(list: &str) -> Result<Vec<i32>, String> {
    list.split(',')
        .map(|pid| pid.parse().map_err(|_| format!("not a process id: {pid:?}")))
        .collect()
}

fn message(error: SubjectError) -> String {
    error.to_string()
}
