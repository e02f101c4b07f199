//! When output goes out directly, and when by the ring: see the transport's documentation.

use std::io::Write;

use super::{
    tests::{ANSWER, Answering, QUESTION, is_answered, served},
    *,
};

#[test]
fn answers_to_several_go_out_with_the_next_wait() {
    for count in [2, 5] {
        let Some((mut server, mut clients)) = served(count) else {
            return;
        };
        assert!(server.is_at_rest());
        for client in &mut clients {
            client.write_all(QUESTION).expect("write");
        }
        while server.reactor.ring.completions() < count {
            server.reactor.ring.enter(Wait::Forever).expect("enter");
        }
        server.turn(&mut Answering);
        assert!(
            !clients.iter_mut().any(is_answered),
            "{count}: one call for all of them"
        );
        assert_eq!(server.reactor.ring.unsubmitted(), count);
        server.round(&mut Answering).expect("round");
        assert!(clients.iter_mut().all(is_answered), "{count}");
        // That round has heard of what was sent, and nobody has anything to do about it.
        assert!(server.is_at_rest(), "{count}");
    }
}

#[test]
fn what_a_full_socket_leaves_of_a_direct_send_follows_in_order() {
    let Some((mut server, mut clients)) = served(1) else {
        return;
    };
    let client = &mut clients[0];
    // Nothing is read, so the socket fills up, and from then on answers wait for the ring.
    let mut asked = 0;
    while server.is_at_rest() {
        client.write_all(QUESTION).expect("write");
        server.round(&mut Answering).expect("round");
        asked += 1;
    }
    for _ in 0..3 {
        client.write_all(QUESTION).expect("write");
        server.round(&mut Answering).expect("round");
        asked += 1;
    }
    let mut answers = Vec::new();
    let mut room = [0; 4096];
    while answers.len() < asked * ANSWER.len() {
        match std::io::Read::read(client, &mut room) {
            Ok(len) => answers.extend_from_slice(&room[..len]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                server.round(&mut Answering).expect("round");
            }
        }
    }
    assert_eq!(answers, ANSWER.repeat(asked));
}
