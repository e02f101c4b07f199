//! Requests that two readers could read differently, or that no client sends in good faith. Each hides a second request
//! behind itself; it must be refused, the connection must end, and the hidden request must never run.

use super::scenario::{CREATE_HEAD, LOAD_HEAD, PING, Scenario, obliging};

/// Sends the request and the hidden one, in one piece and byte by byte.
fn check(name: &str, request: &[u8], status: u16) {
    for cut in [usize::MAX, 1] {
        let mut scenario = Scenario::new(obliging);
        let wire = [request, PING.as_bytes()].concat();
        for piece in wire.chunks(cut.min(wire.len())) {
            scenario.receive(piece);
        }
        let text = scenario.text();
        assert_eq!(scenario.statuses(), [status], "{name}: {text}");
        assert!(text.contains("\r\nConnection: close\r\n"), "{name}: {text}");
        assert!(scenario.is_shut, "{name}: the connection goes on");
        assert!(
            !scenario.calls().contains(&&gantry_core::Call::Ping),
            "{name}: the hidden request ran"
        );
        scenario.eof();
        assert!(scenario.is_closed, "{name}");
    }
}

#[test]
fn request_lines() {
    let long = format!("GET /{} HTTP/1.1", "a".repeat(16 * 1024));
    let table: &[(&str, &[u8], u16)] = &[
        ("no version", b"GET /v1.24/_ping", 400),
        ("no target", b"GET HTTP/1.1", 400),
        ("only a method", b"GET", 400),
        ("two blanks after the method", b"GET  /v1.24/_ping HTTP/1.1", 400),
        ("two blanks after the target", b"GET /v1.24/_ping  HTTP/1.1", 400),
        ("blank in the target", b"GET /v1.24/ _ping HTTP/1.1", 400),
        ("blank at the front", b" GET /v1.24/_ping HTTP/1.1", 400),
        ("blank at the end", b"GET /v1.24/_ping HTTP/1.1 ", 400),
        ("tab as delimiter", b"GET\t/v1.24/_ping\tHTTP/1.1", 400),
        ("tab in the target", b"GET /v1.24/\t_ping HTTP/1.1", 400),
        ("colon in the method", b"G:T /v1.24/_ping HTTP/1.1", 400),
        ("bracket in the method", b"G(T /v1.24/_ping HTTP/1.1", 400),
        ("obs-text in the method", b"G\xe9T /v1.24/_ping HTTP/1.1", 400),
        ("a target that is no UTF-8", b"GET /v1.24/\xff HTTP/1.1", 400),
        ("relative target", b"GET v1.24/_ping HTTP/1.1", 400),
        ("empty authority", b"GET http:///v1.24/_ping HTTP/1.1", 400),
        ("another scheme", b"GET ftp://h/v1.24/_ping HTTP/1.1", 400),
        ("authority form", b"CONNECT docker:2375 HTTP/1.1", 400),
        ("authority form with GET", b"GET docker:2375 HTTP/1.1", 400),
        ("asterisk with GET", b"GET * HTTP/1.1", 400),
        ("lower-case protocol", b"GET /v1.24/_ping http/1.1", 400),
        ("protocol with a blank", b"GET /v1.24/_ping HTTP /1.1", 400),
        ("another protocol", b"GET /v1.24/_ping RTSP/1.0", 400),
        ("version with two digits", b"GET /v1.24/_ping HTTP/1.10", 400),
        ("version with a letter", b"GET /v1.24/_ping HTTP/1.x", 400),
        ("version without dot", b"GET /v1.24/_ping HTTP/11", 400),
        ("version with a sign", b"GET /v1.24/_ping HTTP/+1.1", 400),
        ("HTTP/0.9 by name", b"GET /v1.24/_ping HTTP/0.9", 505),
        ("HTTP/1.2", b"GET /v1.24/_ping HTTP/1.2", 505),
        ("HTTP/2.0", b"GET /v1.24/_ping HTTP/2.0", 505),
        ("HTTP/9.9", b"GET /v1.24/_ping HTTP/9.9", 505),
        ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM", 505),
        ("too long", long.as_bytes(), 414),
        ("a response", b"HTTP/1.1 200 OK", 400),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        ("bare CR in the line", b"GET /v1.24/_ping HTTP/1.1\rX: y", 400),
    ];
    for (name, line, status) in table {
        check(name, &[line, &b"\r\nHost: docker\r\n\r\n"[..]].concat(), *status);
    }
    check(
        "many empty lines",
        &[&b"\r\n".repeat(33)[..], PING.as_bytes()].concat(),
        400,
    );
    check("bare CR before a request", b"\rGET / HTTP/1.1\r\n\r\n", 400);
}

#[test]
fn header_lines() {
    let long = format!("X: {}", "v".repeat(64 * 1024));
    let many = "X: y\r\n".repeat(256) + "X: y";
    let large = [
        format!("X: {}", "v".repeat(60_000)),
        format!("Y: {}", "v".repeat(60_000)),
        "Z: ".to_owned() + &"v".repeat(12_000),
    ]
    .join("\r\n");
    let table: &[(&str, &[u8], u16)] = &[
        // Two framings.
        (
            "length and chunked",
            b"Content-Length: 2\r\nTransfer-Encoding: chunked",
            400,
        ),
        (
            "chunked and length",
            b"Transfer-Encoding: chunked\r\nContent-Length: 2",
            400,
        ),
        (
            "length 0 and chunked",
            b"Content-Length: 0\r\nTransfer-Encoding: chunked",
            400,
        ),
        (
            "length and identity",
            b"Content-Length: 2\r\nTransfer-Encoding: identity",
            400,
        ),
        (
            "length and empty encoding",
            b"Content-Length: 2\r\nTransfer-Encoding:",
            400,
        ),
        (
            "length and odd case",
            b"cOnTeNt-LeNgTh: 2\r\ntRaNsFeR-eNcOdInG: chunked",
            400,
        ),
        // Lengths.
        ("two lengths", b"Content-Length: 2\r\nContent-Length: 3", 400),
        ("two equal lengths", b"Content-Length: 2\r\nContent-Length: 2", 400),
        (
            "two lengths in odd case",
            b"Content-Length: 2\r\ncontent-length: 2",
            400,
        ),
        ("list of lengths", b"Content-Length: 2, 2", 400),
        ("list with an empty element", b"Content-Length: 2,", 400),
        ("length with plus", b"Content-Length: +2", 400),
        ("length with minus", b"Content-Length: -2", 400),
        ("length of nothing", b"Content-Length:", 400),
        ("length of blanks", b"Content-Length:   ", 400),
        ("length in hex", b"Content-Length: 0x2", 400),
        ("length in hex digits", b"Content-Length: a", 400),
        ("length with a fraction", b"Content-Length: 2.0", 400),
        ("length with an exponent", b"Content-Length: 2e0", 400),
        ("length with an underscore", b"Content-Length: 1_0", 400),
        ("length with a blank inside", b"Content-Length: 1 0", 400),
        ("length in quotes", b"Content-Length: \"2\"", 400),
        ("length with a semicolon", b"Content-Length: 2;", 400),
        ("length in other digits", "Content-Length: ２".as_bytes(), 400),
        ("length of 2^64", b"Content-Length: 18446744073709551616", 400),
        (
            "length of 30 digits",
            b"Content-Length: 999999999999999999999999999999",
            400,
        ),
        // Encodings.
        ("gzip", b"Transfer-Encoding: gzip", 400),
        ("identity", b"Transfer-Encoding: identity", 400),
        ("gzip, chunked", b"Transfer-Encoding: gzip, chunked", 400),
        ("chunked, gzip", b"Transfer-Encoding: chunked, gzip", 400),
        ("chunked, chunked", b"Transfer-Encoding: chunked, chunked", 400),
        (
            "chunked twice",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        (
            "chunked and identity",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            400,
        ),
        (
            "identity and chunked",
            b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("Chunked", b"Transfer-Encoding: Chunked", 400),
        ("CHUNKED", b"Transfer-Encoding: CHUNKED", 400),
        ("xchunked", b"Transfer-Encoding: xchunked", 400),
        ("chunkedx", b"Transfer-Encoding: chunkedx", 400),
        ("chunked with comma", b"Transfer-Encoding: chunked,", 400),
        ("comma chunked", b"Transfer-Encoding: ,chunked", 400),
        ("chunked with parameter", b"Transfer-Encoding: chunked;q=1", 400),
        ("chunked in quotes", b"Transfer-Encoding: \"chunked\"", 400),
        ("empty encoding", b"Transfer-Encoding:", 400),
        ("vertical tab before chunked", b"Transfer-Encoding: \x0bchunked", 400),
        ("form feed after chunked", b"Transfer-Encoding: chunked\x0c", 400),
        ("obs-text before chunked", b"Transfer-Encoding: \xa0chunked", 400),
        // Grammar.
        ("blank before the colon", b"Content-Length : 2", 400),
        ("tab before the colon", b"Content-Length\t: 2", 400),
        (
            "blank before the colon of encoding",
            b"Transfer-Encoding : chunked",
            400,
        ),
        ("blank in the name", b"Content Length: 2", 400),
        ("no colon", b"Content-Length 2", 400),
        ("no name", b": 2", 400),
        ("obs-fold", b"X: a\r\n b", 400),
        ("obs-fold with tab", b"X: a\r\n\tb", 400),
        ("folded encoding", b"Transfer-Encoding:\r\n chunked", 400),
        ("folded length", b"Content-Length:\r\n 2", 400),
        ("line of blanks", b"X: a\r\n ", 400),
        ("NUL in the name", b"Content-Length\0: 2", 400),
        ("NUL in the value", b"Content-Length: 2\0", 400),
        ("obs-text in the name", b"X\xe9: 2", 400),
        ("bracket in the name", b"X(: 2", 400),
        ("quote in the name", b"\"X\": 2", 400),
        ("slash in the name", b"X/Y: 2", 400),
        ("at in the name", b"X@: 2", 400),
        ("bare CR in the value", b"X: a\rContent-Length: 2", 400),
        ("bare CR in the name", b"X\rY: a", 400),
        ("CR CR LF", b"X: a\r", 400),
        ("bare CR hides the end", b"X: a\r\r\nContent-Length: 2", 400),
        ("DEL in the value", b"X: \x7f", 400),
        // Hosts.
        ("second host", b"Host: other", 400),
        ("second host in odd case", b"hOST: docker", 400),
        ("second host, empty", b"Host:", 400),
        // Sizes.
        ("header too long", long.as_bytes(), 431),
        ("headers too many", many.as_bytes(), 431),
        ("headers too large", large.as_bytes(), 431),
        // Expectations.
        ("unknown expectation", b"Expect: 200-ok", 417),
        ("list of expectations", b"Expect: 100-continue, x", 417),
        ("second expectation", b"Expect: 100-continue\r\nExpect: tea", 417),
    ];
    for (name, header, status) in table {
        check(name, &[CREATE_HEAD.as_bytes(), header, b"\r\n\r\n{}"].concat(), *status);
    }
    for byte in (0..=31u8)
        .chain([127])
        .filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r'))
    {
        let with = |text: &str| {
            text.bytes()
                .map(|b| if b == b'^' { byte } else { b })
                .collect::<Vec<u8>>()
        };
        for place in ["X^: y", "X: ^", "X: a^b", "^X: y"] {
            let name = format!("byte {byte} in {place}");
            check(
                &name,
                &[CREATE_HEAD.as_bytes(), &with(place), b"\r\nContent-Length: 2\r\n\r\n{}"].concat(),
                400,
            );
        }
        check(
            &format!("byte {byte} in the target"),
            &with("GET /v1.24/_p^ing HTTP/1.1\r\n\r\n"),
            400,
        );
    }
}

#[test]
fn encodings_in_http_1_0() {
    for header in [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Connection: keep-alive\r\nTransfer-Encoding: chunked",
    ] {
        let request = format!("POST /v1.24/containers/create HTTP/1.0\r\n{header}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
        check(header, request.as_bytes(), 400);
    }
}

#[test]
fn chunked_bodies() {
    let table: &[(&str, &[u8])] = &[
        ("no size", b"\r\n{}\r\n0\r\n\r\n"),
        ("size with plus", b"+2\r\n{}\r\n0\r\n\r\n"),
        ("size with minus", b"-2\r\n{}\r\n0\r\n\r\n"),
        ("size with 0x", b"0x2\r\n{}\r\n0\r\n\r\n"),
        ("size with a blank before", b" 2\r\n{}\r\n0\r\n\r\n"),
        ("size with a blank after", b"2 \r\n{}\r\n0\r\n\r\n"),
        ("size with a tab after", b"2\t\r\n{}\r\n0\r\n\r\n"),
        ("blank before the semicolon", b"2 ;x\r\n{}\r\n0\r\n\r\n"),
        ("size with an underscore", b"0_2\r\n{}\r\n0\r\n\r\n"),
        ("size with a letter", b"2g\r\n{}\r\n0\r\n\r\n"),
        ("size with h", b"2h\r\n{}\r\n0\r\n\r\n"),
        ("size of 17 digits", b"00000000000000002\r\n{}\r\n0\r\n\r\n"),
        ("size that overflows", b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
        ("size in quotes", b"\"2\"\r\n{}\r\n0\r\n\r\n"),
        ("bare LF after the size", b"2\n{}\r\n0\r\n\r\n"),
        ("bare CR after the size", b"2\r{}\r\n0\r\n\r\n"),
        ("CR CR LF after the size", b"2\r\r\n{}\r\n0\r\n\r\n"),
        ("LF CR after the size", b"2\n\r{}\r\n0\r\n\r\n"),
        ("bare LF after the data", b"2\r\n{}\n0\r\n\r\n"),
        ("bare CR after the data", b"2\r\n{}\r0\r\n\r\n"),
        ("nothing after the data", b"2\r\n{}0\r\n\r\n"),
        ("data too long", b"1\r\n{}\r\n0\r\n\r\n"),
        ("data too short", b"3\r\n{}\r\n0\r\n\r\n"),
        ("bare LF in the extension", b"2;x\n{}\r\n0\r\n\r\n"),
        ("bare CR in the extension", b"2;x\ry\r\n{}\r\n0\r\n\r\n"),
        ("NUL in the extension", b"2;\0\r\n{}\r\n0\r\n\r\n"),
        ("bare LF ends the last size", b"2\r\n{}\r\n0\n\r\n"),
        ("bare LF ends the body", b"2\r\n{}\r\n0\r\n\n"),
        ("bare CR ends the body", b"2\r\n{}\r\n0\r\n\rX"),
        ("a request as trailer", b"2\r\n{}\r\n0\r\nGET / HTTP/1.1\r\n\r\n"),
        ("folded trailer", b"2\r\n{}\r\n0\r\nX: y\r\n z\r\n\r\n"),
        ("blank before the colon of a trailer", b"2\r\n{}\r\n0\r\nX : y\r\n\r\n"),
        ("NUL in a trailer", b"2\r\n{}\r\n0\r\nX: \0\r\n\r\n"),
        ("bare LF in a trailer", b"2\r\n{}\r\n0\r\nX: y\n\r\n"),
        ("trailer without name", b"2\r\n{}\r\n0\r\n: y\r\n\r\n"),
    ];
    for (name, body) in table {
        for head in [CREATE_HEAD, LOAD_HEAD] {
            check(
                name,
                &[head.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n", body].concat(),
                400,
            );
        }
    }
}

/// What follows a refused hijack may have been meant for the stream.
#[test]
fn bytes_behind_a_refused_hijack_are_no_request() {
    let upgrade = super::scenario::UPGRADE;
    for (name, headers) in [
        ("upgrade", upgrade),
        ("plain", "Content-Length: 0\r\n"),
        ("neither", ""),
    ] {
        check(name, super::scenario::attach("none", headers).as_bytes(), 404);
    }
    check(
        "unknown endpoint",
        format!("POST /v1.24/nowhere HTTP/1.1\r\nHost: docker\r\n{upgrade}\r\n").as_bytes(),
        404,
    );
}

#[test]
fn bodies_too_large() {
    check(
        "by its length",
        format!("{CREATE_HEAD}Content-Length: 4194305\r\n\r\n").as_bytes(),
        413,
    );
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    let body = chunk.repeat(4) + "1\r\n \r\n0\r\n\r\n";
    let mut scenario = Scenario::new(obliging);
    scenario.receive(format!("{CREATE_HEAD}Transfer-Encoding: chunked\r\n\r\n{body}{PING}"));
    assert_eq!((scenario.statuses(), scenario.calls().len()), (vec![413], 0));
    assert!(scenario.is_shut);
}
