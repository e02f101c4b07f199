//! Connections under faults: the exchanges of the real protocol, and an echo.

use std::{
    io::{ErrorKind, Read, Write},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use transport::{
    Limits,
    faults::{Plan, Tally, When, begin, tally},
};

use crate::{common::*, exchanges::*, scene::*};

/// Runs an exchange while a plan holds. Without resets the answer is the oracle's, and with them it begins like it; either
/// way the connection is closed once, and everything comes back.
fn run(serving: &Serving, exchange: &Exchange, wanted: &Outcome, cut: Cut, plan: Plan) -> Tally {
    serving.on_loop(move |_| begin(plan));
    let listener = if plan.seed.is_multiple_of(2) { UNIX } else { TCP };
    let got = serving.run(listener, exchange, cut);
    let tally = serving.on_loop(|_| tally());
    let what = format!("{}, {listener:?}, {cut:?}, {plan:?}, {tally:?}", exchange.name);
    if tally.resets == 0 {
        assert_same(&what, &got, wanted);
    } else {
        assert!(
            wanted.sent.starts_with(&got.sent),
            "{what}: {:?}",
            String::from_utf8_lossy(&got.sent)
        );
    }
    comes_back(&what, |in_use| serving.on_loop(in_use));
    tally
}

#[test]
fn every_exchange_comes_through_what_can_be_made_good() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let mut random = Random(seed);
    alone(|| {
        let serving = Serving::start();
        let mut faults = 0;
        for exchange in exchanges() {
            let wanted = in_memory(&exchange);
            // Those of the documents are many, and much alike.
            let rounds = if exchange.name.starts_with("v1.") { 1 } else { 3 };
            for _ in 0..rounds {
                let cut = [Cut::Whole, Cut::Random(random.next())][random.below(2)];
                faults += run(&serving, &exchange, &wanted, cut, often(random.next(), false)).faults;
            }
        }
        assert!(faults > 300, "{faults} faults");
    });
}

#[test]
fn a_reset_ends_one_connection_once() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let mut random = Random(seed);
    alone(|| {
        let serving = Serving::start();
        let (mut resets, mut whole) = (0, 0);
        for exchange in exchanges() {
            let wanted = in_memory(&exchange);
            let tally = run(&serving, &exchange, &wanted, Cut::Whole, often(random.next(), true));
            resets += u64::from(tally.resets > 0);
            whole += u64::from(tally.resets == 0);
        }
        assert!(resets > 50 && whole > 50, "{resets} with resets, {whole} without");
    });
}

/// Each chance for a fault by itself, as many as there are.
#[test]
fn a_single_fault_anywhere() {
    const WANTED: [&str; 6] = [
        "pipelined, all sorts",
        "JSON body in chunks",
        "attach with upgrade",
        "attach to a terminal, detached",
        "output that breaks off",
        "output as there is room",
    ];
    /// Those of the longest exchange are some hundreds, most of them alike.
    const CHANCES_MAX: u64 = 90;
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let exchanges = exchanges();
    alone(|| {
        let serving = Serving::start();
        for name in WANTED {
            let exchange = exchanges.iter().find(|exchange| exchange.name == name).expect(name);
            let wanted = in_memory(exchange);
            for resets in [false, true] {
                let mut faults = 0;
                for number in 0..CHANCES_MAX {
                    let plan = only(seed.wrapping_add(number), number, resets);
                    let tally = run(&serving, exchange, &wanted, Cut::Whole, plan);
                    faults += tally.faults;
                    if tally.chances <= number {
                        break;
                    }
                }
                assert!(faults > 0, "{name}");
            }
        }
    });
}

/// As [`Running::record`], but without the call-back whose number depends on how much the socket takes at once.
fn record(wire: fn() -> Wire) -> (Running, Receiver<Call>) {
    let (calls, seen) = channel();
    let running = Running::start(Limits::default(), wire, move |_, call| {
        if !matches!(call, Call::Writable(_)) {
            let _ = calls.send(call);
        }
    });
    (running, seen)
}

/// One at a time: faults may let those who come later be accepted first.
fn connect(running: &Running, name: &str) -> Box<dyn Client> {
    match name {
        "unix" => Box::new(running.connect_unix()),
        _ => Box::new(running.connect_tcp()),
    }
}

#[test]
fn an_echo_comes_through_what_can_be_made_good() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let wires: [fn() -> Wire; 2] = [Wire::echo, Wire::nibbling];
    let mut faults = 0;
    for round in 0..8 {
        alone(|| {
            let plan = often(seed.wrapping_add(round), false);
            let (running, seen) = record(wires[(round / 4) as usize]);
            running.on_loop(move |_| begin(plan));
            // Much, so that the socket is full while nobody reads; or little, for it is taken three bytes at a time.
            let bytes = pattern(if round < 4 { 1_500_000 } else { 20_000 });
            for name in ["unix", "tcp"] {
                let mut client = connect(&running, name);
                let (mut twin, sent) = (client.twin(), bytes.clone());
                let writer = thread::spawn(move || {
                    twin.write_all(&sent).expect("it is read");
                    twin.shut_write();
                });
                let mut got = Vec::new();
                // Slowly: again and again the socket is full.
                while (&mut client).take(200_000).read_to_end(&mut got).expect("an end") > 0 {
                    thread::sleep(Duration::from_millis(1));
                }
                writer.join().unwrap();
                assert!(got == bytes, "{name}, {plan:?}: {} of {}", got.len(), bytes.len());
                let conn = running.next_conn();
                assert_eq!(next(&seen), Call::Event(conn, Said::Eof), "{name}, {plan:?}");
                assert_eq!(next(&seen), Call::Closed(conn), "{name}, {plan:?}");
            }
            faults += running.on_loop(|_| tally()).faults;
            comes_back(&format!("{plan:?}"), |in_use| running.on_loop(in_use));
        });
    }
    assert!(faults > 50, "{faults}");
}

/// Ends are noticed by somebody who does not read, the second one as well.
#[test]
fn a_peer_that_goes_in_two_steps_is_seen_to_go() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    for round in 0..40 {
        alone(|| {
            let plan = often(seed.wrapping_add(round), false);
            let (running, calls) = record(Wire::paused);
            running.on_loop(move |_| begin(plan));
            let client = running.connect_unix();
            let conn = running.next_conn();
            client.shut_write();
            assert_eq!(next(&calls), Call::Event(conn, Said::Eof), "{plan:?}");
            drop(client);
            assert_eq!(next(&calls), Call::Event(conn, Said::Reset), "{plan:?}");
            assert_eq!(next(&calls), Call::Closed(conn), "{plan:?}");
            comes_back(&format!("{plan:?}"), |in_use| running.on_loop(in_use));
        });
    }
}

#[test]
fn an_echo_that_is_reset_says_so_once() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let mut resets = 0;
    for round in 0..24 {
        alone(|| {
            let seed = seed.wrapping_add(round);
            let when = When::OneIn(2 + round % 6);
            let plan = Plan {
                seed,
                when,
                resets: true,
            };
            let (running, calls) = record(Wire::echo);
            running.on_loop(move |_| begin(plan));
            let bytes = pattern(1_000_000);
            for name in ["unix", "tcp"] {
                let mut client = connect(&running, name);
                let (mut twin, sent) = (client.twin(), bytes.clone());
                // Nobody may read it any more.
                let writer = thread::spawn(move || twin.write_all(&sent).map(|()| twin.shut_write()));
                // Some find the socket full.
                thread::sleep(Duration::from_millis(10 * (round % 2)));
                let mut got = Vec::new();
                let end = client.read_to_end(&mut got);
                let end = end.map_err(|error| error.kind());
                assert!(
                    matches!(end, Ok(_) | Err(ErrorKind::ConnectionReset)),
                    "{name}, {plan:?}: {end:?}"
                );
                drop(client);
                let _ = writer.join().unwrap();
                assert!(bytes.starts_with(&got), "{name}, {plan:?}");
                let conn = running.next_conn();
                let mut said = Vec::new();
                while said.last() != Some(&Call::Closed(conn)) {
                    said.push(next(&calls));
                }
                let is_reset = said.contains(&Call::Event(conn, Said::Reset));
                // Having said close behind the peer's end, the protocol is not told any more what becomes of its last bytes.
                let has_closed = said.contains(&Call::Event(conn, Said::Eof));
                assert!(is_reset || has_closed || got == bytes, "{name}, {plan:?}: {said:?}");
                assert!(said.len() <= 3, "{name}, {plan:?}: {said:?}");
                resets += u64::from(is_reset);
            }
            comes_back(&format!("{plan:?}"), |in_use| running.on_loop(in_use));
            assert!(calls.try_recv().is_err(), "{plan:?}: nothing comes behind the end");
        });
    }
    assert!(resets > 0, "{resets}");
}
