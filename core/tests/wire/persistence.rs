//! Many requests on one connection, and what each side may do when.

use gantry_core::{Event, Limits, Misuse, Reply, RequestId, driver::Protocol};

use super::scenario::{FIRST, KILL, LOGS, PING, Scenario, obliging, passive};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive([PING, KILL, PING, "GET /v1.24/nowhere HTTP/1.1\r\n\r\n", PING].concat());
    assert_eq!(scenario.statuses(), [200, 204, 200, 404, 200]);
    let ids: Vec<u64> = scenario
        .events
        .iter()
        .map(|event| if let Event::Call { id, .. } = event { id.0 } else { 99 })
        .collect();
    assert_eq!(ids, [0, 1, 2, 3]);
}

#[test]
fn the_next_request_waits_for_the_answer() {
    let mut scenario = Scenario::new(passive);
    scenario.receive([PING, KILL].concat());
    assert_eq!(scenario.calls().len(), 1);
    scenario.respond(FIRST, Reply::Pong);
    assert_eq!(scenario.calls().len(), 2);
    scenario.respond(RequestId(1), Reply::Done);
    assert_eq!(scenario.statuses(), [200, 204]);
}

#[test]
fn what_is_pipelined_behind_a_request_is_bounded() {
    let mut scenario = Scenario::new(passive);
    scenario.receive(PING).receive(vec![b'x'; 1_000_000]);
    assert_eq!(1_000_000 - scenario.untaken.len(), Limits::default().early_bytes_max);
    assert!(!scenario.connection.wants_input());
}

#[test]
fn a_client_that_does_not_read_is_not_served_on() {
    let limits = Limits {
        output_high_water: 1000,
        ..Limits::default()
    };
    let mut scenario = Scenario::with_limits(obliging, limits);
    scenario.write_bytes = 0;
    scenario.receive(PING.repeat(10_000));
    let served = scenario.calls().len();
    assert!((1..=15).contains(&served), "{served}");
    assert!((1000..1200).contains(&scenario.connection.output_queued()));
    assert!(!scenario.untaken.is_empty() && !scenario.connection.wants_input());
    scenario.write_bytes = 777;
    scenario.drive();
    assert_eq!((scenario.calls().len(), scenario.untaken.len()), (10_000, 0));
}

#[test]
fn a_half_closed_client_is_answered() {
    let mut scenario = Scenario::new(passive);
    scenario.receive([PING, KILL].concat()).eof();
    assert!(!scenario.is_closed);
    scenario.respond(FIRST, Reply::Pong).respond(RequestId(1), Reply::Done);
    assert_eq!(scenario.statuses(), [200, 204]);
    assert!(scenario.is_shut && scenario.is_closed);
    assert_eq!(scenario.count(|event| matches!(event, Event::Aborted { .. })), 0);
}

#[test]
fn an_open_stream_is_aborted_by_fin() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(LOGS).send(FIRST, "before").eof();
    assert_eq!(scenario.events.last(), Some(&Event::Aborted { id: FIRST }));
    assert!(!scenario.text().ends_with("0\r\n\r\n") && scenario.is_closed);
    assert_eq!(scenario.connection.finish(FIRST), Ok(()), "it is over");
}

#[test]
fn a_stream_opened_after_fin_runs() {
    let mut scenario = Scenario::new(passive);
    scenario
        .receive(LOGS)
        .eof()
        .respond(FIRST, Reply::Logs { tty: true })
        .send(FIRST, "all of it")
        .finish(FIRST);
    assert!(scenario.text().ends_with("9\r\nall of it\r\n0\r\n\r\n") && scenario.is_closed);
}

#[test]
fn a_reset_aborts_everything() {
    for (name, request, is_live) in [("idle", "", false), ("called", KILL, true), ("stream", LOGS, true)] {
        let mut scenario = Scenario::new(if name == "stream" { obliging } else { passive });
        scenario.receive(request);
        scenario.write_bytes = 0;
        scenario.reset();
        assert_eq!(
            scenario.events.last() == Some(&Event::Aborted { id: FIRST }),
            is_live,
            "{name}"
        );
        assert!(scenario.is_closed && scenario.connection.output_queued() == 0, "{name}");
        scenario.connection.abort(FIRST);
        assert_eq!(
            scenario.connection.handle_input(scenario.now, b"x"),
            1,
            "{name}: nothing is kept"
        );
    }
}

#[test]
fn an_aborted_stream_has_no_end() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(LOGS).send(FIRST, "a part");
    scenario.connection.abort(FIRST);
    scenario.drive();
    assert!(scenario.text().contains("a part") && !scenario.text().ends_with("0\r\n\r\n"));
    assert!(
        scenario.is_closed && !scenario.is_shut,
        "an orderly end could be taken for the end of the stream"
    );
}

#[test]
fn commands_out_of_turn() {
    let mut scenario = Scenario::new(passive);
    let later = RequestId(7);
    assert_eq!(
        scenario.connection.respond(FIRST, Reply::Pong),
        Err(Misuse::UnknownRequest(FIRST))
    );
    scenario.receive(LOGS);
    assert_eq!(scenario.connection.finish(FIRST), Err(Misuse::NoStream(FIRST)));
    assert_eq!(scenario.connection.finish(later), Err(Misuse::UnknownRequest(later)));
    assert!(scenario.connection.has_room(FIRST) && !scenario.connection.has_room(later));
    scenario.connection.abort(later);
    scenario.connection.pause_input(later, true);
    scenario.respond(FIRST, Reply::Logs { tty: false });
    assert_eq!(
        scenario.connection.respond(FIRST, Reply::Pong),
        Err(Misuse::AlreadyAnswered(FIRST))
    );
    scenario.finish(FIRST);
    assert_eq!(scenario.connection.finish(FIRST), Ok(()));
    assert_eq!(scenario.connection.respond(FIRST, Reply::Pong), Ok(()));
    assert!(!scenario.connection.has_room(FIRST), "a request that is over has none");
    assert_eq!(scenario.statuses(), [200]);
}

#[test]
fn room_ends_at_the_high_water_mark() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(LOGS);
    scenario.write_bytes = 0;
    let kib = "x".repeat(1024).leak();
    let mut sent = 0;
    while scenario.connection.has_room(FIRST) {
        scenario.send(FIRST, kib);
        sent += 1;
        assert!(sent < 1000, "there is always room");
    }
    assert!(scenario.connection.output_queued() >= Limits::default().output_high_water);
    scenario.write_bytes = 4096;
    scenario.drive();
    assert!(scenario.connection.has_room(FIRST));
}
