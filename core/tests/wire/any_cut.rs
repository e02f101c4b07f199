//! Sizes never matter: any cut of what comes in gives the same events, any size of write the same bytes.

use gantry_core::{Connection, Event, Limits};
use proptest::prelude::*;

use super::{
    scenario::{CREATE_HEAD, KILL, LOAD_HEAD, LOGS, PING, Scenario, UPGRADE, attach, obliging, websocket},
    websocket::frame,
};

/// Also writes into every stream it opens and ends it, and echoes input.
fn talkative(connection: &mut Connection, event: &Event) {
    obliging(connection, event);
    let stdout = |bytes| gantry_core::Item::Output(gantry_core::framing::StreamKind::Stdout, bytes);
    match event {
        Event::Call {
            id,
            call: gantry_core::Call::ContainerLogs(_),
        } => {
            connection.send(*id, stdout("some".into())).unwrap();
            connection.send(*id, stdout("x".repeat(1000).into())).unwrap();
            connection.finish(*id).unwrap();
        }
        Event::Input { id, bytes } => connection.send(*id, stdout(bytes.clone())).unwrap(),
        Event::InputEnd { id } => connection.finish(*id).unwrap(),
        _ => {}
    }
}

/// Events with neighbouring bytes joined, the bytes sent, and how it ended.
fn run(wire: &[u8], cuts: &[usize], write_bytes: usize, limits: Limits) -> (Vec<String>, Vec<u8>, bool, bool) {
    let mut scenario = Scenario::with_limits(talkative, limits);
    scenario.write_bytes = write_bytes;
    let (mut rest, mut cuts) = (wire, cuts.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
        scenario.receive(piece);
        rest = after;
    }
    if scenario.untaken.is_empty() {
        scenario.eof();
    }
    let mut events: Vec<String> = vec![];
    let mut joined: Vec<u8> = vec![];
    for event in &scenario.events {
        match event {
            Event::Body { bytes, .. } | Event::Input { bytes, .. } => joined.extend_from_slice(bytes),
            other => {
                events.push(format!("{joined:?}"));
                joined.clear();
                events.push(format!("{other:?}"));
            }
        }
    }
    events.push(format!("{joined:?}"));
    (events, scenario.sent, scenario.is_shut, scenario.is_closed)
}

const FORM_HEAD: &str = "POST /v1.2/build HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\n";
const FORM: &str = "--B\r\nContent-Disposition: form-data; name=Dockerfile\r\n\r\nFROM a\r\n\r\n--A\n\r\n--B--\r\n";

/// What a real client sends, an odd one, or a broken one.
fn request() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => plain().prop_map(String::into_bytes), 1 => by_websocket()]
}

/// A handshake and frames, good ones and broken ones.
fn by_websocket() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        Just(0x81),
        Just(0x82),
        Just(0x01),
        Just(0x80),
        Just(0x89),
        Just(0x8a),
        Just(0x88),
        any::<u8>()
    ];
    let payload = prop_oneof![
        Just(b"\x10\x11".to_vec()),
        prop::collection::vec(any::<u8>(), 0..9),
        Just(b"text".to_vec())
    ];
    let frames = prop::collection::vec((first, payload), 0..6);
    (prop_oneof![Just("c"), Just("tty")], frames).prop_map(|(container, frames)| {
        let frames = frames.into_iter().flat_map(|(first, payload)| frame(first, payload));
        websocket(container, "")
            .into_bytes()
            .into_iter()
            .chain(frames)
            .collect()
    })
}

fn plain() -> impl Strategy<Value = String> {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    prop_oneof![
        4 => Just(PING.to_owned()),
        2 => Just(KILL.to_owned()),
        2 => Just(LOGS.to_owned()),
        1 => Just(format!("\r\n{}", PING.replace("\r\n", "\n"))),
        2 => Just(format!("{CREATE_HEAD}Content-Length: 13\r\n\r\n{{\"Image\":\"a\"}}")),
        2 => Just(format!("{CREATE_HEAD}{chunked}d\r\n{{\"Image\":\"a\"}}\r\n0\r\n\r\n")),
        2 => Just(format!("{LOAD_HEAD}{chunked}5;x\r\nhello\r\n6\r\n\r\nworl\r\n0\r\nT: v\r\n\r\n")),
        1 => Just(format!("{LOAD_HEAD}Expect: 100-continue\r\nContent-Length: 3\r\n\r\ntar")),
        1 => Just(format!("{FORM_HEAD}Content-Length: 79\r\n\r\n{FORM}")),
        1 => Just(format!("{FORM_HEAD}Content-Length: 75\r\n\r\n{}", &FORM[..75])),
        1 => Just("POST /v1.0/build HTTP/1.1\r\n\r\nFROM a\n".to_owned()),
        1 => Just("GET /v1.24/nowhere HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody".to_owned()),
        1 => Just(attach("none", "")),
        1 => Just(format!("{LOAD_HEAD}{chunked}5\r\nhello world\r\n0\r\n\r\n")),
        1 => Just(format!("{LOAD_HEAD}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")),
        1 => "[A-Z]{0,4}[ \r\n:/]{0,3}[ -~]{0,20}\r?\n".prop_map(|line| line),
        1 => Just(format!("{}ls\n\u{10}", attach("tty", UPGRADE))),
        1 => Just(format!("{}echo\u{10}\u{11}more", attach("tty", ""))),
        1 => Just(format!("{}3\r\nabc\r\n0\r\n\r\nraw", attach("c", chunked.trim_end_matches("\r\n")).trim_end().to_owned() + "\r\n\r\n")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn sizes_do_not_matter(
        requests in prop::collection::vec(request(), 1..6),
        cuts in prop::collection::vec(1usize..40, 1..8),
        write_bytes in 1usize..50,
    ) {
        let wire = requests.concat();
        let whole = run(&wire, &[usize::MAX], 65536, Limits::default());
        let cut = run(&wire, &cuts, write_bytes, Limits::default());
        // Output of an echo follows the cuts of its input, so its frame headers differ.
        let echoes = ["/c/attach", "/tty/attach"].iter().any(|path| wire.windows(path.len()).any(|at| at == path.as_bytes()));
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!((whole.2, whole.3), (cut.2, cut.3));
        if !echoes {
            prop_assert_eq!(String::from_utf8_lossy(&whole.1), String::from_utf8_lossy(&cut.1));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_stay_bounded(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(1usize..20, 1..4),
    ) {
        let _ = run(&bytes, &cuts, 16, Limits::default());
    }
}
