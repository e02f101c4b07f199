//! `gantry-conformance`: runs the benches or the cases against any daemon. What they do is in the library;
//! here are the command line and the exit status: 0 all well, 1 something failed, 2 wrong usage, 130 interrupted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use gantry_conformance::bench;
use gantry_conformance::bench::arguments::{Arguments, named_socket};
use gantry_conformance::case::{self, Skips};
use gantry_conformance::echo::Echo;
use gantry_conformance::endpoint::Endpoint;
use gantry_conformance::judge::{Judge, Verdict};
use gantry_conformance::subject::{Subject, SubjectError};
use gantry_conformance::version::{ApiVersion, Versions};
use gantry_conformance::{interrupt, rootfs};

/// Judge a container daemon from outside, by where it listens.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure one or several daemons in one run and print Markdown tables.
    Bench(Box<Arguments>),
    /// Answer every request like _ping, on one thread with epoll, and do nothing else: a ceiling to hold daemons
    /// against in a bench, no HTTP server. Ends by ctrl-c.
    Echo(EchoArgs),
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
#[group(required = true, multiple = true)]
struct EchoArgs {
    /// Unix socket to make and listen at.
    #[arg(long = "socket", value_name = "PATH")]
    sockets: Vec<PathBuf>,
    /// TCP address to listen at.
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = interrupt::watch() {
        eprintln!("cannot watch for signals: {error}");
        return ExitCode::from(1);
    }
    let outcome = match cli.command {
        Command::Bench(args) => run_bench(&args),
        Command::Echo(args) => run_echo(&args),
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

fn run_bench(args: &Arguments) -> Result<bool, String> {
    let tar = match args.image {
        Some(_) => None,
        None => Some(image_tar(&args.busybox)?),
    };
    let image = args.image.clone().unwrap_or_else(own_image);
    let (contenders, lines) = args.contenders(&image)?;
    for line in lines {
        println!("- {line}");
    }
    println!();
    let report = bench::run(&contenders, &args.options(), tar.as_deref());
    print!("{}", report.markdown());
    let left: Vec<String> = contenders
        .iter()
        .flat_map(|contender| contender.subject.clean_up())
        .collect();
    for left in &left {
        eprintln!("left behind: {left}");
    }
    Ok(report.is_complete() && left.is_empty())
}

fn run_echo(args: &EchoArgs) -> Result<bool, String> {
    let mut echo = Echo::new().map_err(|error| error.to_string())?;
    for path in &args.sockets {
        echo.listen_unix(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    for address in &args.tcp {
        echo.listen_tcp(address)
            .map_err(|error| format!("{address}: {error}"))?;
    }
    echo.run().map_err(|error| error.to_string())?;
    Ok(true)
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
    let (name, path) = named_socket(&args.socket);
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

fn message(error: SubjectError) -> String {
    error.to_string()
}
