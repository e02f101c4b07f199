//! What the core costs, in instructions and allocations: numbers that no noisy machine changes.
//!
//!   cargo bench -p gantry-core            all cases, as a Markdown table
//!   cargo bench -p gantry-core -- ping    those whose name contains a word
//!
//! Needs valgrind (apt-get install valgrind). The program runs itself below callgrind, with a small and a large number of
//! rounds; what the difference of the two cost, divided by the rounds, is the cost of one. What a case needs
//! but is not core's (copies of replies, which a daemon would make) is measured apart and taken off.
#![allow(
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    reason = "a program with std, which may panic"
)]

use std::{
    env, fs,
    hint::black_box,
    ops::Sub,
    process::{Command, ExitCode},
};

use bytes::Bytes;
use gantry_core::{
    Call, Connection, Event, Instant, Item, Limits, Reply, RequestId,
    driver::{Output, Protocol},
    framing::{FrameHeader, Splitter, StreamKind},
    model,
};
use serde_json::Value;

/// A case: what is measured, and what of that is not core's.
struct Case {
    name: String,
    run: Box<dyn Fn(u32)>,
    apart: Box<dyn Fn(u32)>,
}

fn case(name: impl Into<String>, run: impl Fn(u32) + 'static) -> Case {
    Case {
        name: name.into(),
        run: Box::new(run),
        apart: Box::new(|_| ()),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("framing: encode a header", |rounds| {
            for _ in 0..rounds {
                let header = FrameHeader {
                    stream: StreamKind::Stdout,
                    payload_len: black_box(1000),
                };
                black_box(header.encode());
            }
        }),
        case("framing: split a frame of 1 KiB", |rounds| split(rounds, 1 << 10)),
        case("framing: split a frame of 1 MiB", |rounds| split(rounds, 1 << 20)),
        case("framing: split 1 MiB of frames of 16 KiB", |rounds| {
            split(rounds * 64, 16 << 10);
        }),
        case("output: 1 MiB of pieces of 16 KiB, attach, in frames", |rounds| {
            attach(rounds);
        }),
    ];
    for version in ["/v1.24", "/v1.22", "/v1.0"] {
        cases.push(exchange("_ping", version, "/_ping", || Box::new(|| Reply::Pong)));
        cases.push(exchange(
            "list of 1,000 containers",
            version,
            "/containers/json?all=1",
            || {
                let one: model::ContainerSummary = scripted("containers", |value| value[0].take());
                let list = vec![one; 1000];
                Box::new(move || Reply::ContainerList(list.clone()))
            },
        ));
        cases.push(exchange("inspect", version, "/containers/web/json", || {
            let container: Box<model::Container> = scripted("container", Value::take);
            Box::new(move || Reply::Container(container.clone()))
        }));
    }
    cases
}

/// A part of what the tests' daemon answers.
fn scripted<T: serde::de::DeserializeOwned>(key: &str, part: fn(&mut Value) -> Value) -> T {
    let mut script: Value = serde_json::from_str(include_str!("../tests/cases/replies.json")).expect("script");
    serde_json::from_value(part(&mut script[key])).expect("a model")
}

fn split(rounds: u32, payload: u32) {
    let header = FrameHeader {
        stream: StreamKind::Stdout,
        payload_len: payload,
    };
    let mut frame = header.encode().to_vec();
    frame.resize(frame.len() + payload as usize, b'x');
    let mut splitter = Splitter::new(payload);
    for _ in 0..rounds {
        let mut input = black_box(&frame[..]);
        while let Some(piece) = splitter.next_piece(&mut input).expect("frames") {
            black_box(piece.payload);
        }
    }
}

/// Requests on one connection: bytes in, call out, reply in, bytes out.
fn exchange(what: &str, version: &str, path: &str, daemon: fn() -> Box<dyn Fn() -> Reply>) -> Case {
    let request = format!("GET {version}{path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: bench\r\n\r\n");
    Case {
        name: format!("{what}, {}", version.trim_start_matches('/')),
        run: Box::new(move |rounds| {
            let (reply, mut peer) = (daemon(), Peer::new());
            for _ in 0..rounds {
                peer.input(request.as_bytes());
                let id = peer.output().expect("a call");
                peer.connection.respond(id, reply()).expect("the call is open");
                assert_eq!(peer.output(), None);
            }
        }),
        apart: Box::new(move |rounds| {
            let reply = daemon();
            for _ in 0..rounds {
                black_box(reply());
            }
        }),
    }
}

/// Sends output to an attached client.
fn attach(rounds: u32) {
    const PIECE: Bytes = Bytes::from_static(&[b'x'; 16 << 10]);
    let mut peer = Peer::new();
    peer.input(b"POST /v1.24/containers/web/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: docker\r\n\r\n");
    let id = peer.output().expect("a call");
    peer.connection
        .respond(id, Reply::Attached { tty: false })
        .expect("the call is open");
    for _ in 0..rounds * 64 {
        let item = Item::Output(StreamKind::Stdout, PIECE);
        peer.connection.send(id, item).expect("the stream is open");
        assert_eq!(peer.output(), None);
    }
}

/// A connection whose output is thrown away.
struct Peer {
    connection: Connection,
    out: Vec<u8>,
}

impl Peer {
    const NOW: Instant = Instant(core::time::Duration::ZERO);

    fn new() -> Self {
        Self {
            connection: Connection::new(Limits::default(), Self::NOW),
            out: vec![0; 64 << 10],
        }
    }

    fn input(&mut self, bytes: &[u8]) {
        assert_eq!(self.connection.handle_input(Self::NOW, black_box(bytes)), bytes.len());
    }

    /// Takes what there is to send; stops at a call.
    fn output(&mut self) -> Option<RequestId> {
        loop {
            match self.connection.poll_output(Self::NOW, &mut self.out) {
                Output::Event(Event::Call { id, call }) => {
                    black_box::<Call>(call);
                    return Some(id);
                }
                Output::Transmit(len) => _ = black_box(self.out.get(..len)),
                Output::Wait(_) => return None,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What something costs.
#[derive(Clone, Copy)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

impl Cost {
    fn of(case: &str) -> Result<Self, String> {
        let (core, apart) = (Self::per_round(case, "core")?, Self::per_round(case, "apart")?);
        Ok(core - apart)
    }

    /// What one round of a part of a case costs.
    fn per_round(case: &str, part: &str) -> Result<Self, String> {
        const FEW: u32 = 4;
        const MANY: u32 = 36;
        let more = Self::measure(case, part, MANY)? - Self::measure(case, part, FEW)?;
        let rounds = f64::from(MANY - FEW);
        Ok(Self {
            instructions: more.instructions / rounds,
            allocations: more.allocations / rounds,
        })
    }

    /// What a whole run costs.
    fn measure(case: &str, part: &str, rounds: u32) -> Result<Self, String> {
        let own = env::current_exe().map_err(|error| format!("own program: {error}"))?;
        let profile = concat!(env!("CARGO_TARGET_TMPDIR"), "/callgrind.out");
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", &format!("--callgrind-out-file={profile}")])
            .arg(own)
            .args(["--run", case, part, &rounds.to_string()])
            .output()
            .map_err(|error| format!("valgrind: {error} (apt-get install valgrind)"))?;
        let text = fs::read_to_string(profile)
            .map_err(|error| format!("{profile}: {error}: {}", String::from_utf8_lossy(&output.stderr)))?;
        Self::read(&text).ok_or_else(|| format!("{profile} is no profile"))
    }

    /// Reads a profile: the sum of all instructions, and how often the C library was asked for memory. Callgrind Format
    /// Specification: a function's name is written once and its number ever after; `cfn` names who is called, and `calls`
    /// on the next line says how often.
    fn read(profile: &str) -> Option<Self> {
        let mut allocators = Vec::new();
        let mut callee = "";
        let (mut instructions, mut allocations) = (None, 0.0);
        for line in profile.lines() {
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            match key {
                "fn" | "cfn" => {
                    let (number, name) = value.split_once(' ').unwrap_or((value, ""));
                    if ["malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign"].contains(&name) {
                        allocators.push(number);
                    }
                    callee = number;
                }
                "calls" if allocators.contains(&callee) => {
                    allocations += value.split(' ').next()?.parse::<f64>().ok()?;
                }
                "summary" | "totals" => instructions = value.trim().parse().ok(),
                _ => {}
            }
        }
        Some(Self {
            instructions: instructions?,
            allocations,
        })
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            instructions: self.instructions - other.instructions,
            allocations: self.allocations - other.allocations,
        }
    }
}

/// `--run CASE PART ROUNDS`: what runs below valgrind.
fn run(case: &str, part: &str, rounds: &str) -> Option<()> {
    let case = cases().into_iter().find(|known| known.name == case)?;
    let rounds = rounds.parse().ok()?;
    match part {
        "core" => (case.run)(rounds),
        _ => (case.apart)(rounds),
    }
    Some(())
}

fn table(words: &[String]) -> Result<(), String> {
    println!("| one round of | instructions | allocations |\n| --- | --: | --: |");
    for case in cases() {
        if words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str())) {
            let Cost {
                instructions,
                allocations,
            } = Cost::of(&case.name)?;
            println!("| {} | {instructions:.0} | {allocations:.1} |", case.name);
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    // Cargo adds its own flag.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, case, part, rounds] = &arguments[..]
        && flag == "--run"
    {
        return match run(case, part, rounds) {
            Some(()) => ExitCode::SUCCESS,
            None => ExitCode::FAILURE,
        };
    }
    match table(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
