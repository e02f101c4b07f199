//! What browsers are told: nothing, unless the daemon's operator has allowed an origin; and then in every answer.

use gantry_core::{Connection, Limits};

use super::scenario::{PING, Scenario, obliging};

#[test]
fn every_answer_tells_the_allowed_origin() {
    let requests = [
        (
            "preflight",
            "OPTIONS /v1.2/containers/json HTTP/1.1\r\nOrigin: http://a.b\r\n\r\n",
            "200",
        ),
        ("preflight of anything", "OPTIONS * HTTP/1.1\r\n\r\n", "200"),
        ("answer", PING, "200"),
        ("refusal", "GET /v1.22/nothing HTTP/1.1\r\n\r\n", "404"),
        ("hijack", "POST /v1.12/containers/x/attach HTTP/1.1\r\n\r\n", "200"),
    ];
    for origin in [None, Some("*"), Some("https://ui.example.org")] {
        for (name, request, status) in requests {
            let mut scenario = Scenario::new(obliging);
            scenario.connection = Connection::new(Limits::default(), scenario.now).allow_origin(origin.map(Into::into));
            scenario.receive(request.as_bytes());
            let answer = String::from_utf8_lossy(&scenario.sent).into_owned();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
            let fields: Vec<&str> = answer
                .lines()
                .filter(|line| line.starts_with("Access-Control-"))
                .collect();
            let expected = origin.map_or(vec![], |origin| {
                vec![
                    format!("Access-Control-Allow-Origin: {origin}"),
                    "Access-Control-Allow-Headers: Origin, X-Requested-With, Content-Type, Accept, X-Registry-Auth"
                        .into(),
                    "Access-Control-Allow-Methods: HEAD, GET, POST, DELETE, PUT, OPTIONS".into(),
                ]
            });
            assert_eq!(fields, expected, "{name}");
        }
    }
}
