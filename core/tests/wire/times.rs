//! Deadlines, in invented time.

use std::time::Duration;

use gantry_core::{Event, Limits, driver::Protocol};

use super::scenario::{CREATE_HEAD, FIRST, LOAD_HEAD, LOGS, PING, Scenario, attach, obliging, passive};

const MS: Duration = Duration::from_millis(1);

#[test]
fn an_idle_connection_ends_quietly() {
    for requests in [0, 1] {
        let idle = Limits::default().idle_timeout;
        let mut scenario = Scenario::new(obliging);
        scenario.pass(idle / 2).receive(PING.repeat(requests));
        let since = if requests == 0 { idle / 2 } else { Duration::ZERO };
        scenario.pass(idle - since - MS);
        assert!(!scenario.is_shut, "{requests}");
        scenario.pass(MS).eof();
        assert_eq!((scenario.statuses().len(), scenario.is_closed), (requests, true));
    }
}

#[test]
fn a_slow_head_is_not_saved_by_its_activity() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive("G");
    for byte in "ET /v1.24/_ping HTTP/1.1\r\nX: ".bytes() {
        scenario.pass(Duration::from_secs(1)).receive([byte]);
    }
    assert!(!scenario.is_shut && scenario.deadline.is_some());
    scenario.pass(Duration::from_secs(2));
    assert_eq!((scenario.statuses(), scenario.is_shut), (vec![408], true));
}

#[test]
fn empty_lines_are_no_activity() {
    let mut scenario = Scenario::new(obliging);
    let idle = Limits::default().idle_timeout;
    scenario.pass(idle - MS).receive("\r\n\r").pass(MS);
    assert!(scenario.is_shut && scenario.sent.is_empty());
}

#[test]
fn a_body_may_be_slow_but_not_stand_still() {
    let body = Limits::default().body_timeout;
    for head in [CREATE_HEAD, LOAD_HEAD] {
        let mut scenario = Scenario::new(passive);
        scenario.receive(format!("{head}Content-Length: 100\r\n\r\n"));
        for _ in 0..10 {
            scenario.pass(body - MS).receive("x");
        }
        assert!(!scenario.is_shut);
        scenario.pass(body);
        assert_eq!((scenario.statuses(), scenario.is_shut), (vec![408], true));
        let aborted = scenario.count(|event| *event == Event::Aborted { id: FIRST });
        assert_eq!(aborted, scenario.calls().len(), "whoever was told is told again");
    }
}

#[test]
fn nobody_is_hurried_while_we_make_them_wait() {
    let hour = Duration::from_secs(3600);
    let mut called = Scenario::new(passive);
    called.receive(PING).pass(hour);
    assert!(!called.is_shut && called.deadline.is_none(), "a call may take long");

    let mut paused = Scenario::new(|connection, event| {
        if let Event::Call { id, .. } = event {
            connection.pause_input(*id, true);
        }
    });
    paused
        .receive(format!("{LOAD_HEAD}Content-Length: 100\r\n\r\n"))
        .pass(hour);
    assert!(
        !paused.is_shut && paused.deadline.is_none(),
        "a body that is not read is not late"
    );
    paused.connection.pause_input(FIRST, false);
    paused.drive();
    assert_eq!(
        paused.deadline,
        Some(paused.now + Limits::default().body_timeout),
        "the time begins now"
    );

    for request in [LOGS.to_owned(), attach("c", "")] {
        let mut stream = Scenario::new(obliging);
        stream.receive(&request);
        stream.write_bytes = 0;
        stream.send(FIRST, "unread").pass(hour);
        assert!(!stream.is_closed && stream.deadline.is_none(), "a stream may rest");
        stream.finish(FIRST).pass(hour);
        assert!(!stream.is_closed, "and so may what is left of it");
        stream.write_bytes = 100;
        assert!(stream.drive().text().contains("unread"));
    }
}

#[test]
fn an_answer_that_is_not_taken_ends_the_connection() {
    let mut scenario = Scenario::new(obliging);
    scenario.write_bytes = 0;
    scenario.receive(PING).pass(Limits::default().stall_timeout - MS);
    assert!(!scenario.is_closed);
    scenario.write_bytes = 1;
    let mut out = [0];
    scenario.connection.poll_output(scenario.now, &mut out);
    scenario.write_bytes = 0;
    scenario.drive().pass(Limits::default().stall_timeout - MS);
    assert!(!scenario.is_closed, "a byte is progress");
    scenario.pass(MS);
    assert!(scenario.is_closed);
}

#[test]
fn time_may_be_told_at_any_time() {
    let mut scenario = Scenario::new(obliging);
    for _ in 0..3 {
        scenario.pass(Duration::ZERO).receive(PING).pass(MS);
    }
    assert_eq!((scenario.statuses(), scenario.is_shut), (vec![200; 3], false));
}
