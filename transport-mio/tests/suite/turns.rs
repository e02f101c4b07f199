//! Timers, messages of other threads, and the fairness of turns.

use std::{
    io::Write,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
    time::Duration,
};

use gantry_core::driver::{Direction, Driver, TimerId};
use transport::{Limits, Reactor};

use crate::common::*;

#[test]
fn timers_fire_in_order_and_never_early() {
    let (calls, seen) = channel();
    let running = Running::start(Limits::default(), Wire::echo, move |driver, call| {
        let _ = calls.send((call, driver.now()));
    });
    let wanted = running.on_loop(|driver| {
        let now = driver.now();
        // Set out of order; two at the same time; one moved later, one earlier; one cleared.
        let millis = [(1, 40), (2, 10), (3, 25), (4, 25), (5, 5), (6, 60), (7, 15)];
        for (timer, millis) in millis {
            driver.set_timer(TimerId(timer), Some(now + Duration::from_millis(millis)));
        }
        driver.set_timer(TimerId(5), Some(now + Duration::from_micros(50_500)));
        driver.set_timer(TimerId(6), Some(now + Duration::from_micros(1_500)));
        driver.set_timer(TimerId(7), None);
        [
            (6, 1_500),
            (2, 10_000),
            (3, 25_000),
            (4, 25_000),
            (1, 40_000),
            (5, 50_500),
        ]
        .map(|(timer, micros)| (TimerId(timer), now + Duration::from_micros(micros)))
    });
    for (timer, at) in wanted {
        let (call, now) = seen.recv_timeout(PATIENCE).expect("a timer");
        assert_eq!(call, Call::Timer(timer));
        assert!(now >= at, "{timer:?} came {:?} early", at.0 - now.0);
    }
    running.on_loop(|_| ());
    assert!(seen.try_recv().is_err(), "each fires once");
}

#[test]
fn a_timer_that_sets_itself_for_now_does_not_stop_the_loop() {
    let mut fired = 0u64;
    let (calls, seen) = channel();
    let running = Running::start(Limits::default(), Wire::echo, move |driver, call| {
        if let Call::Timer(timer) = call {
            fired += 1;
            driver.set_timer(timer, Some(driver.now()));
            if fired.is_multiple_of(1000) {
                let _ = calls.send(fired);
            }
        }
    });
    running.on_loop(|driver| driver.set_timer(TimerId(1), Some(driver.now())));
    seen.recv_timeout(PATIENCE).expect("it goes on firing");
    let mut client = running.connect_unix();
    client.write_all(b"ping").unwrap();
    assert_eq!(read_len(&mut client, 4), b"ping");
}

#[test]
fn messages_of_many_threads_arrive_once_and_in_order() {
    const THREADS: u64 = 8;
    const EACH: u64 = 20_000;
    let running = Running::start(Limits::default(), Wire::echo, |_, _| ());
    let (got, seen) = channel();
    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            let mailbox = running.mailbox.clone();
            let got = got.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    let got = got.clone();
                    mailbox
                        .send(Box::new(move |_| got.send((thread, number)).unwrap()))
                        .expect("the loop runs");
                }
            })
        })
        .collect();
    let mut expected = [0; THREADS as usize];
    for _ in 0..THREADS * EACH {
        let (thread, number) = seen.recv_timeout(PATIENCE).expect("a message");
        assert_eq!(number, expected[thread as usize], "thread {thread}");
        expected[thread as usize] += 1;
    }
    assert!(seen.try_recv().is_err());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn what_was_sent_before_the_loop_ran_is_delivered() {
    let mut server = server(Limits::default());
    let mailbox = server.mailbox();
    let (order, seen) = channel();
    for number in 0..5_000 {
        let order = order.clone();
        mailbox
            .send(Box::new(move |_: &mut Reactor<Wire>| order.send(number).unwrap()))
            .unwrap();
    }
    mailbox
        .send(Box::new(|driver: &mut Reactor<Wire>| driver.stop()))
        .unwrap();
    // The driver is there before the loop, too.
    let now = server.driver().now();
    server.driver().set_timer(TimerId(9), Some(now));
    let timers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&timers);
    let call = move |_: &mut Reactor<Wire>, call| {
        assert_eq!(call, Call::Timer(TimerId(9)));
        counted.fetch_add(1, Ordering::Relaxed);
    };
    server
        .run(&mut Daemon {
            accept: |_: &mut Reactor<Wire>, _, _| Wire::echo(),
            call,
        })
        .unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), (0..5_000).collect::<Vec<_>>());
    assert_eq!(timers.load(Ordering::Relaxed), 1);
    let late = mailbox.send(Box::new(|_: &mut Reactor<Wire>| ()));
    assert!(late.is_err(), "the message comes back");
}

/// Bytes that all firehoses together may get through between a request and its answer. A turn of the loop ends after 4 MiB
/// and what the last one overshoots; the request waits for the rest of one turn, and for its place in the next.
const BYTES_BETWEEN_MAX: usize = 2 * (4 * 1024 * 1024 + 512 * 1024);

#[test]
fn a_ping_is_answered_in_two_turns_while_firehoses_run() {
    // A file and a pipe that are always ready, and two connections that only write. Everything is counted on the loop, so
    // the scheduler has no say.
    let through = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&through);
    let (answers, answered) = channel();
    let running = Running::start(Limits::default(), Wire::relay, move |_, call| match call {
        Call::Event(_, Said::Input(bytes)) if bytes == b"ping" => {
            let _ = answers.send(counted.load(Ordering::Relaxed));
        }
        Call::Event(_, Said::Input(bytes)) | Call::PipeInput(_, bytes) => {
            counted.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        _ => {}
    });
    let stop = Arc::new(AtomicBool::new(false));
    let (reader, writer) = std::io::pipe().unwrap();
    let writers: [Box<dyn Write + Send>; 3] = [
        Box::new(running.connect_unix()),
        Box::new(running.connect_tcp()),
        Box::new(writer),
    ];
    let hoses = writers.map(|mut writer| {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                writer.write_all(&[b'x'; 256 * 1024]).expect("the loop reads");
            }
        })
    });
    let zeros: Vec<OwnedFd> = (0..30)
        .map(|_| std::fs::File::open("/dev/zero").unwrap().into())
        .collect();
    running.on_loop(move |driver| {
        driver.open_pipe(reader.into(), Direction::Read);
        for zero in zeros {
            driver.open_pipe(zero, Direction::Read);
        }
    });
    let client = running.connect_unix();
    for round in 0..100 {
        let (mut client, through) = (client.try_clone().unwrap(), Arc::clone(&through));
        // Written during a turn, so the kernel reports it in the next one.
        let before = running.on_loop(move |_| {
            client.write_all(b"ping").unwrap();
            through.load(Ordering::Relaxed)
        });
        let between = answered.recv_timeout(PATIENCE).expect("an answer") - before;
        assert!(
            between < 2 * BYTES_BETWEEN_MAX,
            "round {round}: {between} bytes went before the answer"
        );
    }
    assert!(through.load(Ordering::Relaxed) > BYTES_BETWEEN_MAX, "the firehoses ran");
    stop.store(true, Ordering::Relaxed);
    for hose in hoses {
        hose.join().unwrap();
    }
}

#[test]
fn shares_of_two_firehoses_alternate() {
    // Two sources that are always ready: neither gets two shares of bytes before the other has had one.
    let (calls, seen) = channel();
    let mut total = 0usize;
    let running = Running::start(Limits::default(), Wire::echo, move |driver, call| {
        if let Call::PipeInput(pipe, bytes) = call {
            total += bytes.len();
            let _ = calls.send((pipe, bytes.len()));
            if total > 20_000_000 {
                driver.close_pipe(pipe);
            }
        }
    });
    let zeros: Vec<OwnedFd> = (0..2)
        .map(|_| std::fs::File::open("/dev/zero").unwrap().into())
        .collect();
    running.on_loop(move |driver| {
        for zero in zeros {
            driver.open_pipe(zero, Direction::Read);
        }
    });
    let (mut last, mut run) = seen.recv_timeout(PATIENCE).expect("bytes");
    let mut switches = 0;
    for _ in 0..200 {
        let (pipe, len) = seen.recv_timeout(PATIENCE).expect("bytes");
        if pipe == last {
            run += len;
            assert!(run <= 256 * 1024 + 64 * 1024, "{run} bytes in a row");
        } else {
            (last, run) = (pipe, len);
            switches += 1;
        }
    }
    assert!(switches > 20, "{switches}");
}
