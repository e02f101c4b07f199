//! Byte-identical answers: whatever transport, socket and cut, a client gets what core in memory sends, and the daemon is told
//! the same.

use crate::{
    common::{TCP, UNIX},
    exchanges::*,
};

#[test]
fn every_exchange_is_the_same_over_every_socket_and_cut() {
    let seed = seed();
    let mut random = Random(seed);
    let serving = Serving::start();
    for exchange in exchanges() {
        let wanted = in_memory(&exchange);
        for listener in [UNIX, TCP] {
            for cut in [Cut::Whole, Cut::Bytes, Cut::Random(random.next())] {
                let got = serving.run(listener, &exchange, cut);
                let what = format!("{}, {listener:?}, {cut:?}, GANTRY_SEED={seed}", exchange.name);
                assert_same(&what, &got, &wanted);
            }
        }
    }
}

/// The list is worth something: what is documented reaches the daemon, and is answered.
#[test]
fn the_documented_exchanges_are_answered() {
    let all = documented_exchanges();
    assert_eq!(all.len(), 875);
    for exchange in all {
        let outcome = in_memory(&exchange);
        assert!(outcome.sent.starts_with(b"HTTP/1.1 "), "{}", exchange.name);
        // See core/tests/cases/deviations.tsv: the example forgets the size.
        let without_size = exchange.name.contains("/exec/{id}/resize") && !exchange.input.contains(&b'?');
        let calls = outcome.told.iter().filter(|told| told.starts_with("Call")).count();
        assert_eq!(
            calls,
            usize::from(!without_size),
            "{}: {:?}",
            exchange.name,
            outcome.told
        );
    }
}
