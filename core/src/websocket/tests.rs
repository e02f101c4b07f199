//! The rules of RFC 6455 as a table, test vectors of what the handshake is made of, and cuts.

use std::{format, string::ToString, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::http::Headers;

/// A frame of a client: first byte, mask, payload, with the shortest length.
fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from(frame_header(Opcode::Binary, payload.len()));
    frame[0] = first;
    frame[1] |= MASKED;
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What comes out of a client's bytes, read in pieces of `cut`: joined data and control frames in order, and the end.
fn run(wire: &[u8], cut: usize) -> (Vec<String>, Result<(), Violation>) {
    let (mut decoder, mut data, mut told) = (Decoder::default(), Vec::new(), Vec::new());
    for mut input in wire.chunks(cut) {
        loop {
            match decoder.decode(&mut input, &mut data) {
                Ok(Some(control)) => {
                    if !data.is_empty() {
                        told.push(format!("{}", core::mem::take(&mut data).escape_ascii()));
                    }
                    told.push(format!("{control:?}"));
                }
                Ok(None) => break assert!(input.is_empty()),
                Err(violation) => {
                    assert_eq!(decoder.decode(&mut input, &mut data), Err(violation), "it is said on");
                    if !data.is_empty() {
                        told.push(format!("{}", data.escape_ascii()));
                    }
                    return (told, Err(violation));
                }
            }
        }
    }
    if !data.is_empty() {
        told.push(format!("{}", data.escape_ascii()));
    }
    (told, Ok(()))
}

#[test]
fn rules_of_frames() {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const NONE: [u8; 4] = [0; 4];
    let (fine, protocol, text) = (Ok(()), Err(Violation::Protocol), Err(Violation::NotUtf8));
    let f = |first: u8, payload: &[u8]| frame(first, MASK, payload);
    let long = |first: u8, second: u8, len: &[u8]| {
        let mut wire = vec![first, second];
        wire.extend_from_slice(len);
        wire.extend_from_slice(&NONE);
        wire
    };
    let close = |code: u16, reason: &[u8]| {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason);
        f(0x88, &payload)
    };
    type Row = (&'static str, Vec<u8>, &'static [&'static str], Result<(), Violation>);
    let rows: Vec<Row> = vec![
        // RFC 6455 §5.7
        (
            "a masked text of the RFC",
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            &["Hello"],
            fine,
        ),
        (
            "a ping of the RFC",
            b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            &["Ping(b\"Hello\")"],
            fine,
        ),
        ("nothing", vec![], &[], fine),
        ("binary", f(0x82, b"\0\xff\x80"), &["\\x00\\xff\\x80"], fine),
        ("empty messages", [f(0x81, b""), f(0x82, b"")].concat(), &[], fine),
        (
            "fragments",
            [f(0x01, b"a"), f(0x00, b""), f(0x80, b"b"), f(0x82, b"c")].concat(),
            &["abc"],
            fine,
        ),
        (
            "control between fragments",
            [f(0x02, b"a"), f(0x89, b"p"), f(0x8a, b"q"), f(0x80, b"b")].concat(),
            &["a", "Ping(b\"p\")", "Pong", "b"],
            fine,
        ),
        ("payload of 125", f(0x82, &[b'x'; 125]), &[X125], fine),
        ("payload of 126", f(0x82, &[b'x'; 126]), &[X126], fine),
        // §5.1: masks
        ("not masked", b"\x81\x01a".to_vec(), &[], protocol),
        ("control not masked", b"\x89\x00".to_vec(), &[], protocol),
        (
            "second not masked",
            [f(0x82, b"a"), b"\x82\x00".to_vec()].concat(),
            &["a"],
            protocol,
        ),
        // §5.2: reserved bits, opcodes, lengths
        ("RSV1", f(0xc1, b"a"), &[], protocol),
        ("RSV2", f(0xa1, b"a"), &[], protocol),
        ("RSV3", f(0x91, b"a"), &[], protocol),
        ("RSV1 on a control frame", f(0xc9, b""), &[], protocol),
        ("opcode 3", f(0x83, b"a"), &[], protocol),
        ("opcode 7", f(0x87, b"a"), &[], protocol),
        ("opcode 11", f(0x8b, b"a"), &[], protocol),
        ("opcode 15", f(0x8f, b"a"), &[], protocol),
        (
            "16 bits for 125",
            long(0x82, 0xfe, &125_u16.to_be_bytes()),
            &[],
            protocol,
        ),
        (
            "64 bits for 65535",
            long(0x82, 0xff, &65535_u64.to_be_bytes()),
            &[],
            protocol,
        ),
        ("64 bits for 0", long(0x82, 0xff, &[0; 8]), &[], protocol),
        (
            "length of 2^63",
            long(0x82, 0xff, &(1_u64 << 63).to_be_bytes()),
            &[],
            protocol,
        ),
        ("length of 2^64 - 1", long(0x82, 0xff, &[0xff; 8]), &[], protocol),
        (
            "length of 2^63 - 1, begun",
            [long(0x82, 0xff, &(u64::MAX >> 1).to_be_bytes()), b"abc".to_vec()].concat(),
            &["abc"],
            fine,
        ),
        // §5.4: fragments
        ("continuation of nothing", f(0x80, b"a"), &[], protocol),
        (
            "continuation of a whole message",
            [f(0x81, b"a"), f(0x80, b"b")].concat(),
            &["a"],
            protocol,
        ),
        (
            "text in a message",
            [f(0x01, b"a"), f(0x81, b"b")].concat(),
            &["a"],
            protocol,
        ),
        (
            "binary in a message",
            [f(0x02, b"a"), f(0x02, b"b")].concat(),
            &["a"],
            protocol,
        ),
        // §5.5: control frames
        ("ping of 125", f(0x89, &[b'x'; 125]), &[PING125], fine),
        ("ping of 126", f(0x89, &[b'x'; 126]), &[], protocol),
        ("ping in fragments", f(0x09, b"a"), &[], protocol),
        ("close in fragments", f(0x08, b""), &[], protocol),
        ("close", f(0x88, b""), &["Close(None)"], fine),
        (
            "close, and what follows",
            [f(0x88, b""), f(0x81, b"a"), b"\xff\xff".to_vec()].concat(),
            &["Close(None)"],
            fine,
        ),
        (
            "close within a message",
            [f(0x01, b"a"), close(1000, b"")].concat(),
            &["a", "Close(Some(1000))"],
            fine,
        ),
        (
            "close with a reason",
            close(1001, "wéll".as_bytes()),
            &["Close(Some(1001))"],
            fine,
        ),
        ("close with half a code", f(0x88, b"\x03"), &[], protocol),
        ("close with a reason that is no text", close(1000, b"\xff"), &[], text),
        ("close 999", close(999, b""), &[], protocol),
        ("close 1003", close(1003, b""), &["Close(Some(1003))"], fine),
        ("close 1004", close(1004, b""), &[], protocol),
        ("close 1005", close(1005, b""), &[], protocol),
        ("close 1006", close(1006, b""), &[], protocol),
        ("close 1011", close(1011, b""), &["Close(Some(1011))"], fine),
        ("close 1015", close(1015, b""), &[], protocol),
        ("close 2999", close(2999, b""), &[], protocol),
        ("close 3000", close(3000, b""), &["Close(Some(3000))"], fine),
        ("close 4999", close(4999, b""), &["Close(Some(4999))"], fine),
        ("close 5000", close(5000, b""), &[], protocol),
        // §5.6, §8.1: text
        (
            "text",
            f(0x81, "κόσμε".as_bytes()),
            &["\\xce\\xba\\xcf\\x8c\\xcf\\x83\\xce\\xbc\\xce\\xb5"],
            fine,
        ),
        (
            "character in two fragments",
            [f(0x01, b"\xf0\x9f"), f(0x80, b"\x98\x80")].concat(),
            &["\\xf0\\x9f\\x98\\x80"],
            fine,
        ),
        ("half a character", f(0x81, b"a\xe2\x82"), &["a\\xe2\\x82"], text),
        (
            "half a character, and a message",
            [f(0x01, b"\xc3"), f(0x80, b""), f(0x81, b"a")].concat(),
            &["\\xc3"],
            text,
        ),
        ("no text", f(0x81, b"ab\xffcd"), &["ab"], text),
        (
            "no text in a later fragment",
            [f(0x01, b"a"), f(0x00, b"\xc3"), f(0x80, b"(")].concat(),
            &["a\\xc3"],
            text,
        ),
        ("no text after half a character", f(0x81, b"a\xe2(b"), &["a\\xe2"], text),
        ("surrogate", f(0x81, b"\xed\xa0\x80"), &["\\xed"], text),
        ("overlong", f(0x81, b"\xc0\xaf"), &[], text),
        (
            "binary after text is not looked at",
            [f(0x81, b"a"), f(0x82, b"\xff")].concat(),
            &["a\\xff"],
            fine,
        ),
    ];
    for (name, wire, told, end) in rows {
        for cut in [1, 2, 3, 5, 7, usize::MAX] {
            let (found, found_end) = run(&wire, cut);
            assert_eq!(
                (found, found_end),
                (told.iter().map(ToString::to_string).collect(), end),
                "{name}, cut {cut}"
            );
        }
    }
}

const X125: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const X126: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const PING125: &str = "Ping(b\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\")";

#[test]
fn violations_have_their_codes() {
    assert_eq!((Violation::Protocol.code(), Violation::NotUtf8.code()), (1002, 1007));
}

#[test]
fn headers_of_our_frames() {
    let rows: [(Opcode, usize, &[u8]); 8] = [
        (Opcode::Text, 0, b"\x81\0"),
        (Opcode::Text, 5, b"\x81\x05"),
        (Opcode::Binary, 125, b"\x82\x7d"),
        (Opcode::Binary, 126, b"\x82\x7e\0\x7e"),
        (Opcode::Binary, 256, b"\x82\x7e\x01\0"),
        (Opcode::Binary, 65535, b"\x82\x7e\xff\xff"),
        (Opcode::Binary, 65536, b"\x82\x7f\0\0\0\0\0\x01\0\0"),
        (Opcode::Pong, 3, b"\x8a\x03"),
    ];
    for (opcode, len, expected) in rows {
        assert_eq!(frame_header(opcode, len), expected, "{opcode:?} {len}");
    }
    assert_eq!(close_frame(Some(NORMAL)), &b"\x88\x02\x03\xe8"[..]);
    assert_eq!(close_frame(None), &b"\x88\0"[..]);
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn handshakes() {
    let good = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    let judge = |version, change: &[(&str, &str)]| {
        // A change replaces a field of that name, and an empty one takes it away.
        let kept = good
            .iter()
            .filter(|(name, _)| !change.iter().any(|(other, _)| other == name));
        let headers = kept.chain(change.iter().filter(|(_, value)| !value.is_empty()));
        let headers: Headers = headers
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        handshake(&RequestHead {
            method: "GET".into(),
            target: "/".into(),
            version,
            headers,
        })
    };
    let (none, key, version) = (
        Err(HandshakeError::NotWebSocket),
        Err(HandshakeError::BadKey),
        Err(HandshakeError::BadVersion),
    );
    type Row = (
        &'static str,
        &'static [(&'static str, &'static str)],
        Result<Option<&'static str>, HandshakeError>,
    );
    let rows: &[Row] = &[
        ("plain", &[], Ok(None)),
        (
            "odd case and lists",
            &[("Connection", "keep-alive, UPGRADE"), ("Upgrade", "WebSocket")],
            Ok(None),
        ),
        ("no Upgrade", &[("Upgrade", "")], none),
        ("another protocol", &[("Upgrade", "tcp")], none),
        ("no Connection", &[("Connection", "")], none),
        ("Connection without upgrade", &[("Connection", "keep-alive")], none),
        ("a body", &[("Content-Length", "1")], none),
        ("a chunked body", &[("Transfer-Encoding", "chunked")], none),
        ("length 0", &[("Content-Length", "0")], Ok(None)),
        ("no key", &[("Sec-WebSocket-Key", "")], key),
        ("15 bytes of key", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j")], key),
        (
            "17 bytes of key",
            &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZWU=")],
            key,
        ),
        ("no base64", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j*Q==")], key),
        (
            "two keys",
            &[("Sec-WebSocket-Key", KEY), ("sec-websocket-key", KEY)],
            key,
        ),
        ("no version", &[("Sec-WebSocket-Version", "")], version),
        ("version 8", &[("Sec-WebSocket-Version", "8")], version),
        (
            "two versions",
            &[("Sec-WebSocket-Version", "13"), ("sec-websocket-version", "13")],
            version,
        ),
        ("a list of versions", &[("Sec-WebSocket-Version", "8, 13")], version),
        (
            "a subprotocol",
            &[("Sec-WebSocket-Protocol", "tty.v1")],
            Ok(Some("tty.v1")),
        ),
        ("two subprotocols", &[("Sec-WebSocket-Protocol", "a, b")], Ok(None)),
        (
            "extensions are not spoken",
            &[("Sec-WebSocket-Extensions", "permessage-deflate")],
            Ok(None),
        ),
    ];
    for (name, change, expected) in rows {
        let found = judge(HttpVersion::Http11, change);
        let protocol = found.as_ref().map(|handshake| handshake.protocol.as_deref());
        assert_eq!(protocol.map_err(|error| *error), *expected, "{name}");
        if let Ok(handshake) = found {
            let mut fields = vec![
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ];
            fields.extend(expected.ok().flatten().map(|name| ("Sec-WebSocket-Protocol", name)));
            let headers = handshake.headers();
            assert!(
                headers.iter().map(|(name, value)| (*name, &**value)).eq(fields),
                "{name}: {headers:?}"
            );
        }
    }
    assert_eq!(judge(HttpVersion::Http10, &[]), Err(HandshakeError::NotWebSocket));
}

#[test]
fn origins() {
    let rows = [
        ("http://localhost:2375", Some("localhost:2375"), true),
        ("https://Host", Some("host"), true),
        ("http://evil.example", Some("localhost:2375"), false),
        ("http://localhost:80", Some("localhost:2375"), false),
        ("http://localhost:2375.evil.example", Some("localhost:2375"), false),
        ("http://localhost:2375", None, false),
        ("null", Some("null"), false),
        ("", Some(""), false),
    ];
    for (origin, host, expected) in rows {
        assert_eq!(is_same_origin(origin, host), expected, "{origin} {host:?}");
    }
}

/// FIPS 180-4 and RFC 3174 §7.3.
#[test]
fn sha1_vectors() {
    let million = "a".repeat(1_000_000);
    let rows = [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
        ),
        (&million, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
        // Around the end of a block.
        (&million[..55], "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
        (&million[..56], "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
        (&million[..64], "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
    ];
    for (message, expected) in rows {
        let digest: String = sha1(message.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, expected, "{} bytes", message.len());
    }
}

proptest! {
    /// The oracle is the standard library.
    #[test]
    fn text_is_utf8(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80..0xc0_u8, 0xe0..0xf8_u8], 0..12), cut in 1usize..5) {
        let mut utf8 = Utf8::default();
        let accepted = bytes.chunks(cut).all(|piece| utf8.accept(piece) == piece.len());
        prop_assert_eq!(accepted && utf8.is_whole(), str::from_utf8(&bytes).is_ok());
    }

    #[test]
    fn frames_come_back_in_any_cut(
        messages in prop::collection::vec((any::<bool>(), "\\PC{0,90}", any::<[u8; 4]>(), 0usize..90), 0..6),
        cut in 1usize..40,
    ) {
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for (is_text, text, mask, split) in messages {
            let opcode = if is_text { Opcode::Text } else { Opcode::Binary } as u8;
            let (first, last) = text.as_bytes().split_at(split.min(text.len()));
            wire.extend(frame(opcode, mask, first));
            wire.extend(frame(FIN, mask, last));
            sent.extend_from_slice(text.as_bytes());
        }
        let (told, end) = run(&wire, cut);
        let expected: Vec<_> = Some(sent.escape_ascii().to_string()).filter(|text| !text.is_empty()).into_iter().collect();
        prop_assert_eq!((told, end), (expected, Ok(())));
    }

    #[test]
    fn arbitrary_bytes_end_alike_in_any_cut(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 1usize..9) {
        prop_assert_eq!(run(&bytes, cut), run(&bytes, usize::MAX));
    }
}
