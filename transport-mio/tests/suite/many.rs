//! Many connections, and too many: memory of idle ones, and descriptors that run out. Programs of their own, because they
//! measure or limit the whole process.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::*;

/// Set in the child processes of this test, which run one of the scenarios below.
const SCENARIO: &str = "GANTRY_TEST_SCENARIO";

#[test]
fn scenarios() {
    // One process each, and one at a time.
    let scenarios: [(&str, fn()); 3] = [
        ("a thousand connections", a_thousand_connections),
        ("out of descriptors for a while", out_of_descriptors_for_a_while),
        ("out of descriptors for long", out_of_descriptors_for_long),
    ];
    if let Ok(wanted) = std::env::var(SCENARIO) {
        return scenarios
            .iter()
            .find(|(name, _)| *name == wanted)
            .expect("a scenario")
            .1();
    }
    for (name, _) in scenarios {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "many::scenarios", "--nocapture"])
            .env(SCENARIO, name)
            .stdin(Stdio::null())
            .output()
            .expect("run the child");
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn a_thousand_connections() {
    const COUNT: usize = 1000;
    let (running, _calls) = Running::record(Wire::echo);
    let bytes = pattern(100_000);
    // What one connection needs is there before it is measured.
    let mut first = running.connect_unix();
    first.write_all(b"x").unwrap();
    read_len(&mut first, 1);
    let before = resident_bytes();
    let mut clients: Vec<UnixStream> = (0..COUNT).map(|_| running.connect_unix()).collect();
    for client in &mut clients {
        client.write_all(&bytes).unwrap();
    }
    for client in &mut clients {
        assert!(read_len(client, bytes.len()) == bytes);
    }
    let each = resident_bytes().saturating_sub(before) / COUNT;
    assert!(each <= 32 * 1024, "an idle connection holds {each} bytes");
    // All are still there, and in any order.
    for client in clients.iter_mut().rev() {
        client.write_all(b"again").unwrap();
    }
    for client in &mut clients {
        assert_eq!(read_len(client, 5), b"again");
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Leaves this process no descriptor beyond `free` more. To be called first: whoever accepts already may go by the limit
/// that there was then.
fn leave_descriptors(free: u64) {
    let highest = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().parse::<u64>().ok())
        .max()
        .unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, highest + free, hard).unwrap();
}

/// Takes every descriptor that is left.
fn take_all_descriptors() -> Vec<std::fs::File> {
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let spent = |time: nix::sys::time::TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000);
    spent(usage.user_time()) + spent(usage.system_time())
}

fn out_of_descriptors_for_a_while() {
    leave_descriptors(60);
    let (running, _calls) = Running::record(Wire::echo);
    let mut early = running.connect_unix();
    early.write_all(b"x").unwrap();
    read_len(&mut early, 1);
    let mut client = unconnected(&running);
    let taken = take_all_descriptors();
    let mut late = client.remove(0).connect();
    late.write_all(b"patience").unwrap();
    // The loop has met the limit, and still serves those it has.
    for _ in 0..100 {
        early.write_all(b"x").unwrap();
        assert_eq!(read_len(&mut early, 1), b"x");
    }
    drop(taken);
    assert_eq!(
        read_len(&mut late, 8),
        b"patience",
        "accepted when there is room, with no further report"
    );
}

fn out_of_descriptors_for_long() {
    leave_descriptors(60);
    let (running, _calls) = Running::record(Wire::echo);
    let mut clients = unconnected(&running);
    let taken = take_all_descriptors();
    let started = (Instant::now(), cpu_time());
    let mut late = clients.remove(0).connect();
    late.write_all(b"hello?").unwrap();
    let end = late.read(&mut [0]);
    assert!(!matches!(end, Ok(1..)), "turned away: {end:?}");
    let (wall, cpu) = (started.0.elapsed(), cpu_time() - started.1);
    assert!(wall >= Duration::from_millis(900), "only after some patience: {wall:?}");
    assert!(cpu < wall / 4, "the loop rests meanwhile: {cpu:?} of {wall:?}");
    drop(taken);
    let mut next = clients.remove(0).connect();
    next.write_all(b"again").unwrap();
    assert_eq!(read_len(&mut next, 5), b"again");
}

/// A client whose descriptor exists already, so that it can connect when there are no more.
struct Unconnected {
    socket: std::os::fd::OwnedFd,
    address: nix::sys::socket::UnixAddr,
}

fn unconnected(running: &Running) -> Vec<Unconnected> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};
    (0..2)
        .map(|_| Unconnected {
            socket: socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap(),
            address: UnixAddr::new(&running.unix).unwrap(),
        })
        .collect()
}

impl Unconnected {
    fn connect(self) -> UnixStream {
        use std::os::fd::AsRawFd;
        nix::sys::socket::connect(self.socket.as_raw_fd(), &self.address).expect("connect");
        let stream = UnixStream::from(self.socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}
