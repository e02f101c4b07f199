//! Real containers held by a real `gantry-keeper`: needs root and a static `/bin/busybox`.

mod fixture;

use std::fs::{self, File};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use gantry_engine::keeper::client::{self, LaunchError, Reconnected, reconnect, request};
use gantry_engine::keeper::record::ExitRecord;
use gantry_engine::keeper::wire::{From, FromKeeper, MESSAGE_MAX, Position, Running, StartFailureKind, ToKeeper};
use gantry_engine::packet;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};

use self::fixture::{Follower, Home, Way, exit, message, skipped};

#[test]
fn exit_codes_are_the_program_s() {
    if skipped() {
        return;
    }
    let table: [(&str, &str, Option<ToKeeper>, i32); 6] = [
        ("success", "exit 0", None, 0),
        ("a code", "exit 42", None, 42),
        ("largest code", "exit 255", None, 255),
        (
            "killed",
            "read x",
            Some(ToKeeper::Signal { number: libc::SIGKILL }),
            137,
        ),
        ("all killed", "sleep 1000 & read x", Some(ToKeeper::KillAll), 137),
        (
            "a handled real-time signal",
            "trap 'exit 7' 40; echo ready; while :; do read x; done",
            Some(ToKeeper::Signal { number: 40 }),
            7,
        ),
    ];
    for (name, script, ask, expected) in table {
        let home = Home::script(script).with_stdin();
        let (launched, mut follower) = home.launch_and_follow();
        let mut ask = ask;
        if !script.contains("ready")
            && let Some(ask) = ask.take()
        {
            request(launched.control.as_fd(), &ask).unwrap();
        }
        let record = follower.follow(&launched.control, |_, output| {
            assert_eq!(output, b"ready\n", "{name}");
            request(launched.control.as_fd(), &ask.take().unwrap()).unwrap();
        });
        assert_eq!(record.exit_code, expected, "{name}");
        assert_eq!(
            (record.oom_killed, record.remains, record.pid),
            (false, false, launched.running.pid),
            "{name}"
        );
        assert_eq!(record.started_at_ns, launched.running.started_at_ns, "{name}");
        assert!(record.finished_at_ns >= record.started_at_ns, "{name}");
        assert_eq!(message(&launched.control), None, "{name}: the keeper leaves");
        assert_eq!(
            ExitRecord::read(&home.paths.exit_record).unwrap(),
            Some(record),
            "{name}"
        );
        home.assert_gone();
        client::forget(&home.paths).unwrap();
        assert!(!home.paths.exit_record.exists(), "{name}");
    }
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    if skipped() {
        return;
    }
    let table: [(&str, &str, StartFailureKind); 2] = [
        ("not found", "nosuch", StartFailureKind::NotFound),
        ("a directory", "/tmp", StartFailureKind::NotExecutable),
    ];
    for (name, program, kind) in table {
        let mut home = Home::script("");
        home.spec.argv = vec![program.to_owned()];
        match home.try_launch(Vec::new()) {
            Err(LaunchError::Start(failure)) => assert_eq!(failure.kind, kind, "{name}: {failure:?}"),
            other => panic!("{name}: {other:?}"),
        }
        home.assert_gone();
        assert!(
            !home.paths.exit_record.exists() && !home.base.join("exit.new").exists(),
            "{name}"
        );
    }
    let home = Home::script("exit 0");
    let refused = client::launch(&home.paths, &home.exe, &home.spec, Vec::new(), &mut |_| {
        Err(io::Error::from_raw_os_error(libc::ENODEV))
    });
    assert!(matches!(refused, Err(LaunchError::Network(_))), "{refused:?}");
    home.assert_gone();
    let mut home = Home::script("exit 0");
    home.spec.log = Some(home.base.join("no/such/directory/log"));
    match home.try_launch(Vec::new()) {
        Err(LaunchError::Start(failure)) => assert!(failure.message.starts_with("open log: "), "{failure:?}"),
        other => panic!("{other:?}"),
    }
    home.assert_gone();
    home.spec.argv = vec!["x".repeat(2 << 20)];
    assert!(matches!(
        home.try_launch(Vec::new()),
        Err(LaunchError::SpecTooLarge { .. })
    ));
    home.spec.argv = vec!["true".into()];
    home.spec.log = None;
    home.exe = client::KeeperExe::Path("/bin/busybox".into());
    let no_keeper = home.try_launch(Vec::new());
    assert!(matches!(no_keeper, Err(LaunchError::Keeper { .. })), "{no_keeper:?}");
    home.exe = client::KeeperExe::Path("/nosuch".into());
    assert!(matches!(
        home.try_launch(Vec::new()),
        Err(LaunchError::Keeper { step: "execute", .. })
    ));
}

#[test]
fn a_daemon_that_dies_during_a_launch_leaves_nothing() {
    if skipped() {
        return;
    }
    let home = Home::script("exit 0");
    let died = std::panic::catch_unwind(|| {
        // Unwinding closes the control socket, as the end of the process would.
        client::launch(&home.paths, &home.exe, &home.spec, Vec::new(), &mut |_| {
            std::panic::resume_unwind(Box::new(()))
        })
    });
    assert!(died.is_err());
    while home.paths.socket.exists() {
        thread::yield_now();
    }
    home.assert_gone();
    assert!(matches!(
        reconnect(&home.paths, &home.spec.cgroup.path).unwrap(),
        Reconnected::Lost
    ));
}

#[test]
fn a_launch_that_cannot_be_kept_leaves_nothing() {
    if skipped() {
        return;
    }
    for script in ["sleep 60 & echo here; wait", "exit 3"] {
        let home = Home::script(script);
        client::revoke(home.launch(), &home.paths, &home.spec.cgroup.path).unwrap();
        home.assert_gone();
        assert!(!home.paths.exit_record.exists(), "{script}: its exit is nobody's");
    }
}

#[test]
fn running_out_of_memory_is_said() {
    if skipped() {
        return;
    }
    let mut home = Home::script("head -c 200000000 /dev/zero | tail -n 1; exit 6");
    home.spec.cgroup.memory = Some(16 << 20);
    let launched = home.launch();
    let record = exit(&launched.control);
    assert_eq!((record.oom_killed, record.exit_code), (true, 6));
}

#[test]
fn hostile_output_is_logged_exactly() {
    if skipped() {
        return;
    }
    // A NUL, bytes that are not UTF-8, a line of a megabyte, both streams, and no newline at the end.
    let home = Home::script(
        r"printf 'a\000b\377\n'; printf 'e\303' >&2; head -c 1048576 /dev/zero | tr '\000' x; printf '\nend'; printf '\244\n' >&2",
    );
    let (launched, mut follower) = home.launch_and_follow();
    let mut got: [Vec<u8>; 2] = Default::default();
    let record = follower.follow(&launched.control, |stream, output| {
        got[stream].extend_from_slice(output);
    });
    let mut stdout = b"a\0b\xff\n".to_vec();
    stdout.extend(vec![b'x'; 1 << 20]);
    stdout.extend(b"\nend");
    let expected = [stdout, "eä\n".as_bytes().to_vec()];
    assert!(got == expected, "live");
    assert!(home.logged() == expected, "logged");
    assert_eq!(record.log_offset, fs::metadata(home.log()).unwrap().len());
    let text = fs::read_to_string(home.log()).unwrap();
    let entries: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = entries.iter().find(|entry| entry["stream"] == "stdout").unwrap();
    assert_eq!(
        (first["log"].as_str(), first["invalid"].as_str()),
        (Some("a\0b\u{fffd}\n"), Some("ff"))
    );
    let parts = entries
        .iter()
        .filter(|entry| entry["log"].as_str().unwrap().starts_with("xxx"));
    let lengths: Vec<usize> = parts.map(|entry| entry["log"].as_str().unwrap().len()).collect();
    assert_eq!(lengths, vec![16 * 1024; 64], "long lines are cut as Docker does");
    assert_eq!(
        entries.last().unwrap()["log"],
        "end",
        "an unfinished line is flushed at the end"
    );
}

#[test]
fn the_container_outlives_the_daemon() {
    if skipped() {
        return;
    }
    let home = Home::script("seq 1 20000; read x; seq 20001 40000; exit 9").with_stdin();
    let (launched, follower) = home.launch_and_follow();
    // As kill -9 does: every descriptor of the daemon goes, in the middle of a flood.
    let pid = launched.running.pid;
    drop((launched, follower));
    let Reconnected::Running(launched) = reconnect(&home.paths, &home.spec.cgroup.path).unwrap() else {
        panic!("it waits for a line and so must run");
    };
    assert_eq!((launched.running.pid, launched.running.log_start), (pid, 0));
    let mut stdin = File::from(launched.stdin.unwrap());
    stdin.write_all(b"\n").unwrap();
    let mut got = Vec::new();
    let mut follower = Follower::from_log(&home, Position::default());
    let record = follower.follow(&launched.control, |_, output| got.extend_from_slice(output));
    let expected: Vec<u8> = (1..=40_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    assert_eq!(record.exit_code, 9);
    assert!(
        got == expected && home.logged()[0] == expected,
        "no line is missing, none is there twice"
    );
}

#[test]
fn an_exit_without_a_daemon_is_found() {
    if skipped() {
        return;
    }
    let home = Home::script("read x; echo done; exit 5").with_stdin();
    let launched = home.launch();
    drop(launched.control);
    File::from(launched.stdin.unwrap()).write_all(b"\n").unwrap();
    // The record is there before the socket goes, and the keeper waits for nobody.
    while home.paths.socket.exists() {
        thread::yield_now();
    }
    match reconnect(&home.paths, &home.spec.cgroup.path).unwrap() {
        Reconnected::Exited(record) => {
            assert_eq!((record.exit_code, record.pid), (5, launched.running.pid));
            assert_eq!(record.log_offset, fs::metadata(home.log()).unwrap().len());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(home.logged()[0], b"done\n");
    home.assert_gone();
}

#[test]
fn a_lost_keeper_is_said_and_cleaned_up() {
    if skipped() {
        return;
    }
    let home = Home::script("while :; do sleep 1000; done");
    let launched = home.launch();
    kill(Pid::from_raw(launched.running.keeper_pid), Signal::SIGKILL).unwrap();
    assert_eq!(message(&launched.control), None);
    let found = reconnect(&home.paths, &home.spec.cgroup.path).unwrap();
    assert!(matches!(found, Reconnected::Lost), "{found:?}");
    client::forget(&home.paths).unwrap();
    home.assert_gone();
    // Whoever inherits it may not have reaped it yet.
    let state = fs::read_to_string(format!("/proc/{}/stat", launched.running.pid));
    assert!(state.as_ref().map_or(true, |stat| stat.contains(") Z ")), "{state:?}");
}

#[test]
fn the_newest_daemon_is_served_and_nonsense_ends_only_its_connection() {
    if skipped() {
        return;
    }
    let home = Home::script("cat").with_stdin();
    let (first, _follower) = home.launch_and_follow();
    let again = |expected: &str| match reconnect(&home.paths, &home.spec.cgroup.path).unwrap() {
        Reconnected::Running(launched) => launched,
        other => panic!("{expected}: {other:?}"),
    };
    let second = again("second");
    assert_eq!(message(&first.control), None, "the first is cut off");
    for nonsense in [&b"\x04\0\0\0"[..], &[0xff; 20_000]] {
        let third = again("third");
        nix::sys::socket::send(
            std::os::fd::AsRawFd::as_raw_fd(&third.control),
            nonsense,
            nix::sys::socket::MsgFlags::empty(),
        )
        .unwrap();
        assert_eq!(message(&third.control), None, "nonsense is answered by closing");
    }
    assert_eq!(message(&second.control), None);
    let last = again("last");
    // Every daemon had a descriptor of stdin; the program reads the end only when the last one and the keeper's are gone.
    request(last.control.as_fd(), &ToKeeper::CloseStdin).unwrap();
    drop((first.stdin, second.stdin));
    let mut stdin = File::from(last.stdin.unwrap());
    stdin.write_all(b"bye").unwrap();
    drop(stdin);
    assert_eq!(exit(&last.control).exit_code, 0);
    assert_eq!(home.logged()[0], b"bye");
}

#[test]
fn a_daemon_of_version_1_is_served() {
    if skipped() {
        return;
    }
    let home = Home::script("read x; echo out; head -c 100000 /dev/zero >&2; exit 3").with_stdin();
    let launched = home.launch();
    let control = packet::connect(&home.paths.socket, Duration::from_secs(10))
        .unwrap()
        .unwrap();
    request(control.as_fd(), &ToKeeper::Hello { oldest: 1, newest: 1 }).unwrap();
    let Some(FromKeeper::Welcome(running)) = message(&control) else {
        panic!("no welcome");
    };
    assert_eq!(running.version, 1);
    let mut follower = Follower::live(&control, Way::Socket);
    assert!(matches!(message(&control), Some(FromKeeper::SubscribedAt { .. })));
    File::from(launched.stdin.unwrap()).write_all(b"go\n").unwrap();
    let mut got: [Vec<u8>; 2] = Default::default();
    let record = follower.follow(&control, |stream, output| got[stream].extend_from_slice(output));
    assert_eq!(record.exit_code, 3);
    assert!(got == [b"out\n".to_vec(), vec![0; 100_000]]);
}

/// A keeper of version 1 in words: it knows one descriptor of a subscription, and closes what else comes.
#[test]
fn a_keeper_of_version_1_is_understood() {
    if skipped() {
        return;
    }
    let home = Home::script("");
    let listener = packet::listen(&home.paths.socket).unwrap();
    let keeper = thread::spawn(move || {
        let poll_fd = PollFd::new(listener.as_fd(), PollFlags::POLLIN);
        poll(&mut [poll_fd], PollTimeout::NONE).unwrap();
        let control = packet::accept(listener.as_fd()).unwrap();
        let mut buffer = [0; MESSAGE_MAX];
        let mut hear = || {
            poll(
                &mut [PollFd::new(control.as_fd(), PollFlags::POLLIN)],
                PollTimeout::NONE,
            )
            .unwrap();
            let packet = packet::receive(control.as_fd(), &mut buffer, true).unwrap();
            (
                ToKeeper::decode(&buffer[..packet.len]).unwrap().unwrap(),
                packet.descriptors,
            )
        };
        let tell = |message: FromKeeper| {
            packet::send(control.as_fd(), &[IoSlice::new(&message.encode())], &[], true).unwrap();
        };
        let (ToKeeper::Hello { oldest, newest }, _) = hear() else {
            panic!("no hello")
        };
        assert!(oldest <= 1 && newest >= 1, "version 1 is still spoken");
        tell(FromKeeper::Welcome(Running {
            version: 1,
            ..Running::default()
        }));
        let (ToKeeper::Subscribe { subscription, .. }, mut descriptors) = hear() else {
            panic!("no subscription")
        };
        descriptors.truncate(1);
        let position = Position::default();
        tell(FromKeeper::SubscribedAt { subscription, position });
        let frame = [&[1, 0, 0, 0, 0, 0, 0, 4][..], b"old\n"].concat();
        packet::send(descriptors[0].as_fd(), &[IoSlice::new(&frame)], &[], true).unwrap();
        drop(descriptors);
        tell(FromKeeper::Ended { subscription });
        tell(FromKeeper::Exited(ExitRecord {
            exit_code: 8,
            ..ExitRecord::default()
        }));
    });
    let Reconnected::Running(launched) = reconnect(&home.paths, &home.spec.cgroup.path).unwrap() else {
        panic!("it listens");
    };
    assert_eq!(launched.running.version, 1);
    let mut follower = Follower::live(&launched.control, Way::SocketAndPipe);
    let mut got = Vec::new();
    let record = follower.follow(&launched.control, |_, output| got.extend_from_slice(output));
    keeper.join().unwrap();
    assert_eq!((record.exit_code, &got[..]), (8, &b"old\n"[..]));
}

#[test]
fn neither_signals_nor_a_second_start_harm_a_keeper() {
    if skipped() {
        return;
    }
    let mut home = Home::script("").with_stdin();
    // Not a shell, which has signal settings of its own.
    home.spec.argv = vec!["cat".to_owned()];
    let launched = home.launch();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGPIPE,
        Signal::SIGCHLD,
    ] {
        kill(Pid::from_raw(launched.running.keeper_pid), signal).unwrap();
    }
    // Nothing of this is inherited: the program starts with every signal at its default and unblocked.
    let status = fs::read_to_string(format!("/proc/{}/status", launched.running.pid)).unwrap();
    for line in status
        .lines()
        .filter(|line| line.starts_with("SigIgn") || line.starts_with("SigBlk"))
    {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    request(launched.control.as_fd(), &ToKeeper::CloseStdin).unwrap();
    drop(launched.stdin);
    assert_eq!(exit(&launched.control).exit_code, 0);
}

#[test]
fn a_hundred_megabytes_pass_a_stalling_reader() {
    if skipped() {
        return;
    }
    const TOTAL: usize = 100 * 1000 * 1000;
    for (logged, way) in [
        (true, Way::Socket),
        (true, Way::SocketAndPipe),
        (false, Way::Socket),
        (false, Way::SocketAndPipe),
    ] {
        let mut home = Home::script("cat").with_stdin();
        if !logged {
            home.spec.log = None;
        }
        let (mut launched, mut follower) = home.launch_and_follow_by(way);
        let mut stdin = File::from(launched.stdin.take().unwrap());
        request(launched.control.as_fd(), &ToKeeper::CloseStdin).unwrap();
        let (sent, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (written, read, record) = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut hash = Sha256::new();
                for block in blocks(TOTAL) {
                    let so_far = sent.load(Relaxed);
                    if so_far < TOTAL / 2 && so_far + block.len() >= TOTAL / 2 {
                        // Half-way the reader gets the time to catch up, and so to subscribe again.
                        while got.load(Relaxed) < so_far {
                            thread::yield_now();
                        }
                    }
                    hash.update(&block);
                    stdin.write_all(&block).unwrap();
                    sent.fetch_add(block.len(), Relaxed);
                }
                drop(stdin);
                hash.finalize()
            });
            let (mut hash, mut stalls) = (Sha256::new(), 0);
            let record = follower.follow(&launched.control, |stream, output| {
                assert_eq!(stream, 0);
                hash.update(output);
                let got = got.fetch_add(output.len(), Relaxed) + output.len();
                // Once in each half it does not read until far more is on its way than the pipes and sockets between hold.
                if logged && got > stalls * TOTAL / 2 + TOTAL / 8 {
                    stalls += 1;
                    while sent.load(Relaxed) < got + 4_000_000 {
                        thread::yield_now();
                    }
                }
            });
            (writer.join().unwrap(), hash.finalize(), record)
        });
        assert_eq!(
            (record.exit_code, record.log_lost_bytes, got.into_inner()),
            (0, 0, TOTAL),
            "logged {logged}, {way:?}"
        );
        assert!(read == written, "logged {logged}, {way:?}: the bytes are the same");
        assert_eq!(
            follower.lagged >= 2,
            logged,
            "{way:?}: a reader of a log is taken off when it stalls, another is waited for"
        );
    }
}

/// Text with a binary part, no two blocks alike, `total` bytes in all: an xorshift generator.
fn blocks(total: usize) -> impl Iterator<Item = Vec<u8>> {
    let (mut left, mut state) = (total, 1u64);
    std::iter::from_fn(move || {
        let mut block = Vec::with_capacity(65_536);
        while block.len() < left.min(65_536) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bytes = state.to_le_bytes();
            block.extend(if block.len() % 8192 < 7000 {
                bytes.map(|byte| 32 + byte % 90)
            } else {
                bytes
            });
        }
        block.truncate(left);
        left -= block.len();
        (!block.is_empty()).then_some(block)
    })
}

#[test]
fn the_keeper_reads_no_byte_that_only_passes() {
    if skipped() {
        return;
    }
    const MIB: u64 = 1 << 20;
    // (logged, bytes that pass, bytes read by the keeper)
    for (logged, total, read) in [(false, 64 * MIB, 0..MIB / 4), (true, 16 * MIB, 16 * MIB..17 * MIB)] {
        let script = format!("read x; dd if=/dev/zero bs=65536 count={}; read x", total / 65_536);
        let mut home = Home::script(&script).with_stdin();
        if !logged {
            home.spec.log = None;
        }
        let (mut launched, mut follower) = home.launch_and_follow_by(Way::SocketAndPipe);
        let process = format!("/proc/{}", launched.running.keeper_pid);
        let io = |name: &str| -> u64 {
            let io = fs::read_to_string(format!("{process}/io")).unwrap();
            let line = io.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().parse().unwrap()
        };
        let (bytes_before, calls_before) = (io("rchar"), io("syscr"));
        let mut stdin = File::from(launched.stdin.take().unwrap());
        stdin.write_all(b"go\n").unwrap();
        let (mut got, mut counted) = (0, None);
        follower.follow(&launched.control, |stream, output| {
            got += if stream == 0 { output.len() as u64 } else { 0 };
            if got == total && counted.is_none() {
                counted = Some((io("rchar") - bytes_before, io("syscr") - calls_before));
                request(launched.control.as_fd(), &ToKeeper::KillAll).unwrap();
            }
        });
        let (bytes, calls) = counted.expect("everything");
        println!("logged {logged}: {bytes} bytes in {calls} reads");
        assert!(read.contains(&bytes), "logged {logged}: {bytes} bytes read");
        assert!(calls < total / 4096 / 2, "logged {logged}: {calls} reads");
    }
}

#[test]
fn a_terminal_is_one_stream() {
    if skipped() {
        return;
    }
    let mut home = Home::script("stty -echo; echo ready; read x; echo \"got $x\"; echo err >&2; exit 4");
    home.spec.tty = true;
    let (launched, mut follower) = home.launch_and_follow();
    let mut terminal = File::from(launched.terminal.as_ref().unwrap().try_clone().unwrap());
    let mut got = Vec::new();
    let record = follower.follow(&launched.control, |stream, output| {
        assert_eq!(stream, 0);
        got.extend_from_slice(output);
        if got == b"ready\r\n" {
            terminal.write_all(b"line\n").unwrap();
        }
    });
    assert_eq!(record.exit_code, 4);
    assert_eq!(String::from_utf8(got).unwrap(), "ready\r\ngot line\r\nerr\r\n");
    assert_eq!(home.logged()[0], b"ready\r\ngot line\r\nerr\r\n");
}

#[test]
fn a_keeper_is_small() {
    if skipped() {
        return;
    }
    let home = Home::script("seq 1 30000; printf 'unfinished'; echo end >&2; read x").with_stdin();
    let (launched, _follower) = home.launch_and_follow();
    // Measured when everything has been used: both streams, the log, a subscription.
    let mut text = String::new();
    while !text.contains("end\\n") {
        text.clear();
        File::open(home.log()).unwrap().read_to_string(&mut text).unwrap();
    }
    let process = format!("/proc/{}", launched.running.keeper_pid);
    let rollup = fs::read_to_string(format!("{process}/smaps_rollup")).unwrap();
    let kib = |name: &str| -> u64 {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // The program's own pages are shared by all keepers; a newly built one counts as dirty until it is on the disk.
    let (own, pss, rss) = (kib("Anonymous:"), kib("Pss:"), kib("Rss:"));
    println!("keeper: {own} KiB of its own, {pss} KiB PSS as the only one, {rss} KiB RSS");
    assert!(own <= 512, "{rollup}");
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    assert!(
        status.contains("Name:\tgantry-keeper") && status.contains("Threads:\t1"),
        "{status}"
    );
    let (_, theirs) = client::packet_pair().unwrap();
    client::request_subscribe(launched.control.as_fd(), 7, theirs.as_fd(), None, From::Now).unwrap();
    drop(launched.stdin);
    request(launched.control.as_fd(), &ToKeeper::KillAll).unwrap();
    assert_eq!(exit(&launched.control).exit_code, 137);
}
