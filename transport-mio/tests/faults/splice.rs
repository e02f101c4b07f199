//! Sources under faults: what is spliced keeps its place among what is sent, or the connection is cut off and closed once.

use std::{io::Write, thread};

use gantry_core::driver::{Driver, SourceId};
use transport::faults::{Plan, Tally, begin, tally};

use crate::{common::*, exchanges::seed, scene::*};

const SOURCE: SourceId = SourceId(1);

/// Sends headers, and behind each what is in a pipe, while a plan holds.
fn play(running: &Running, mut client: Box<dyn Client>, chunks: usize, plan: Plan) -> Tally {
    let conn = running.next_conn();
    let (reader, mut writer) = std::io::pipe().expect("pipe");
    running.on_loop(move |driver| {
        begin(plan);
        driver.open_source(conn, SOURCE, reader.into());
    });
    let receiver = thread::spawn(move || {
        let mut got = Vec::new();
        // A reset is an end as well.
        let _ = client.read_to_end(&mut got);
        got
    });
    let (mut wanted, mut spliced) = (Vec::new(), 0);
    for number in 0..chunks {
        let (header, chunk) = ([number as u8; 8], pattern(1 + number * 997));
        wanted.extend(header);
        wanted.extend(&chunk);
        spliced += chunk.len() as u64;
        // The pipe is closed with a connection that was cut off.
        if writer.write_all(&chunk).is_err() {
            break;
        }
        running.on_loop(move |driver| {
            if let Some(wire) = driver.protocol(conn) {
                wire.send(&header);
                wire.splice(SOURCE, chunk.len());
            }
        });
    }
    running.on_loop(move |driver| {
        driver.end_source(conn, SOURCE, spliced);
        if let Some(wire) = driver.protocol(conn) {
            wire.close();
        }
    });
    let got = receiver.join().expect("the client");
    let tally = running.on_loop(|_| tally());
    let what = format!("{plan:?}, {tally:?}: {} of {} bytes", got.len(), wanted.len());
    assert!(wanted.starts_with(&got), "{what}");
    assert!(tally.resets > 0 || got.len() == wanted.len(), "{what}");
    comes_back(&what, |in_use| running.on_loop(in_use));
    tally
}

#[test]
fn spliced_bytes_keep_their_place_or_end_with_the_connection() {
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    let (mut faults, mut resets) = (0, 0);
    for round in 0..12 {
        alone(|| {
            let (running, calls) = Running::record(Wire::relay);
            let plan = often(seed.wrapping_add(round), round % 2 == 1);
            let tallies = [0, 1].map(|kind| {
                running.on_loop(|_| calm());
                let client: Box<dyn Client> = match kind {
                    0 => Box::new(running.connect_unix()),
                    _ => Box::new(running.connect_tcp()),
                };
                play(&running, client, 40, plan)
            });
            faults += tallies.iter().map(|tally| tally.faults).sum::<u64>();
            resets += tallies.iter().map(|tally| tally.resets).sum::<u64>();
            let closed = calls.try_iter().filter(|call| matches!(call, Call::Closed(_)));
            assert_eq!(closed.count(), 2, "{plan:?}: each connection once");
        });
    }
    assert!(faults > 50 && resets > 2, "{faults} faults, {resets} resets");
}

/// Each chance for a fault by itself, as many as there are.
#[test]
fn a_single_fault_anywhere_in_a_splice() {
    const CHANCES_MAX: u64 = 60;
    let seed = seed();
    println!("GANTRY_SEED={seed}");
    alone(|| {
        let (running, _calls) = Running::record(Wire::relay);
        for resets in [false, true] {
            let mut faults = 0;
            for number in 0..CHANCES_MAX {
                let plan = only(seed.wrapping_add(number), number, resets);
                running.on_loop(|_| calm());
                let tally = play(&running, Box::new(running.connect_unix()), 6, plan);
                faults += tally.faults;
                if tally.chances <= number {
                    break;
                }
            }
            assert!(faults > 0, "with resets: {resets}");
        }
    });
}
