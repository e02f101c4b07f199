//! Requests that look odd and are served, because real clients send them.

use gantry_core::{Call, ContainerAttach};

use super::scenario::{PING, Scenario, attach, obliging, passive};

#[test]
fn served() {
    let long_target = format!("GET /v1.24/_ping?{} HTTP/1.1\r\n\r\n", "q".repeat(16_000));
    let large_header = format!(
        "GET /v1.24/_ping HTTP/1.1\r\nX-Registry-Config: {}\r\n\r\n",
        "v".repeat(65_000)
    );
    let many_headers = format!("GET /v1.24/_ping HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(256));
    // name, request, whether the connection persists
    let table: &[(&str, &[u8], bool)] = &[
        ("plain", PING.as_bytes(), true),
        ("no host", b"GET /v1.24/_ping HTTP/1.1\r\n\r\n", true),
        ("empty host", b"GET /v1.24/_ping HTTP/1.1\r\nHost:\r\n\r\n", true),
        (
            "socket path as host",
            b"GET /v1.24/_ping HTTP/1.1\r\nHost: /var/run/docker.sock\r\n\r\n",
            true,
        ),
        (
            "escaped socket path as host",
            b"GET /v1.24/_ping HTTP/1.1\r\nHost: %2Fvar%2Frun%2Fdocker.sock\r\n\r\n",
            true,
        ),
        ("no version", b"GET /_ping HTTP/1.1\r\n\r\n", true),
        (
            "bare LF in the head",
            b"GET /v1.24/_ping HTTP/1.1\nHost: docker\n\n",
            true,
        ),
        (
            "mixed line ends",
            b"GET /v1.24/_ping HTTP/1.1\nHost: docker\r\n\n",
            true,
        ),
        (
            "empty lines before",
            b"\r\n\n\r\nGET /v1.24/_ping HTTP/1.1\r\n\r\n",
            true,
        ),
        (
            "absolute form",
            b"GET http://docker/v1.24/_ping HTTP/1.1\r\nHost: x\r\n\r\n",
            true,
        ),
        (
            "absolute form in odd case",
            b"GET HTTPS://docker:2376/v1.24/_ping?a=b HTTP/1.1\r\n\r\n",
            true,
        ),
        (
            "no blank after the colon",
            b"GET /v1.24/_ping HTTP/1.1\r\nHost:docker\r\nX:\ty\t\r\n\r\n",
            true,
        ),
        (
            "obs-text in a value",
            b"GET /v1.24/_ping HTTP/1.1\r\nUser-Agent: caf\xe9\r\n\r\n",
            true,
        ),
        (
            "body that nobody wants",
            b"GET /v1.24/_ping HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            true,
        ),
        (
            "chunked body that nobody wants",
            b"GET /v1.24/_ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            true,
        ),
        (
            "length with zeros",
            b"GET /v1.24/_ping HTTP/1.1\r\nContent-Length: 000\r\n\r\n",
            true,
        ),
        (
            "length with blanks around",
            b"GET /v1.24/_ping HTTP/1.1\r\nContent-Length: \t 0 \r\n\r\n",
            true,
        ),
        (
            "upgrade to something else",
            b"GET /v1.24/_ping HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            true,
        ),
        (
            "upgrade without connection",
            b"GET /v1.24/_ping HTTP/1.1\r\nUpgrade: tcp\r\n\r\n",
            true,
        ),
        (
            "expectation without body",
            b"GET /v1.24/_ping HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            true,
        ),
        (
            "expectation in HTTP/1.0",
            b"GET /v1.24/_ping HTTP/1.0\r\nConnection: keep-alive\r\nExpect: tea\r\n\r\n",
            true,
        ),
        (
            "connection list",
            b"GET /v1.24/_ping HTTP/1.1\r\nConnection: x, y,\r\nConnection: z\r\n\r\n",
            true,
        ),
        (
            "close",
            b"GET /v1.24/_ping HTTP/1.1\r\nConnection: close\r\n\r\n",
            false,
        ),
        (
            "close in a list in odd case",
            b"GET /v1.24/_ping HTTP/1.1\r\nConnection: x\r\nConnection: y, CLOSE\r\n\r\n",
            false,
        ),
        ("HTTP/1.0", b"GET /v1.24/_ping HTTP/1.0\r\n\r\n", false),
        (
            "HTTP/1.0 that persists",
            b"GET /v1.24/_ping HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.0 that wants both",
            b"GET /v1.24/_ping HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
            false,
        ),
        ("longest target", long_target.as_bytes(), true),
        ("large header", large_header.as_bytes(), true),
        ("most headers", many_headers.as_bytes(), true),
    ];
    for (name, request, persists) in table {
        let mut scenario = Scenario::new(obliging);
        scenario.receive(request);
        let text = scenario.take_text();
        assert!(
            text.ends_with("\r\n\r\nOK") && text.contains(" 200 OK\r\n"),
            "{name}: {text}"
        );
        assert_eq!(scenario.calls(), [&Call::Ping], "{name}");
        assert_eq!(scenario.is_shut, !persists, "{name}");
        let says_close = text.contains("Connection: close");
        assert!(!says_close || !persists, "{name}: {text}");
        if *persists {
            scenario.receive(PING);
            assert!(scenario.take_text().ends_with("\r\n\r\nOK"), "{name}: the next request");
        }
    }
}

#[test]
fn versions_are_echoed() {
    for (version, connection) in [("1.0", "Connection: keep-alive\r\n"), ("1.1", "")] {
        let mut scenario = Scenario::new(obliging);
        scenario.receive(format!(
            "GET /v1.24/_ping HTTP/{version}\r\nConnection: keep-alive\r\n\r\n"
        ));
        let text = scenario.text();
        assert!(text.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{text}");
        assert!(
            text.contains("Content-Length: 2\r\n") && text.contains(connection),
            "{text}"
        );
    }
}

#[test]
fn targets_lose_the_authority_only() {
    for target in [
        "/v1.24/containers/c/attach?stdin=1",
        "http://h:1/v1.24/containers/c/attach?stdin=1",
    ] {
        let mut scenario = Scenario::new(passive);
        scenario.receive(format!("POST {target} HTTP/1.1\r\n\r\n"));
        let expected = ContainerAttach {
            container: "c".into(),
            stdin: true,
            ..ContainerAttach::default()
        };
        assert_eq!(scenario.calls(), [&Call::ContainerAttach(expected)], "{target}");
    }
}

#[test]
fn an_empty_chunked_body_before_a_hijack_is_no_input() {
    for headers in [
        "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n",
        "Connection: Upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut scenario = Scenario::new(obliging);
        scenario.receive(attach("c", headers) + "0\r\n\r\nls\n").eof();
        assert_eq!(scenario.input(), b"ls\n", "{headers}");
    }
}
