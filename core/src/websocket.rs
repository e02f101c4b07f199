//! WebSocket, server side, without I/O and without Docker (RFC 6455).
//!
//! [`handshake`] judges the request and [`Handshake::headers`] are the answer's; then [`Decoder`] takes frames apart and
//! [`frame_header`] stands before each payload that is sent. Payload of messages is handed on as it comes, so a length is
//! never a reason to allocate. What breaks the rules is a [`Violation`], which names the code to close with: frames that
//! are not masked, reserved bits, unknown opcodes, control frames that are long or in fragments, lengths of more than 63
//! bits or not in the shortest form, fragments out of order, text that is no UTF-8.
//!
//! No extension is spoken. SHA-1 is written out here: it serves one input of 60 bytes and no secrecy, which
//! is no reason for a dependency.

use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
    vec::Vec,
};
use core::fmt;

use bytes::Bytes;

use crate::{
    base64,
    http::{HttpVersion, RequestHead, is_token, list_holds},
};

/// What a client asks for that may have a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    accept: String,
    /// The one subprotocol that the client offers. Genuine daemons agree to any, and to none of several.
    protocol: Option<String>,
}

/// Why a request is no handshake. The texts are those of genuine daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeError {
    /// It does not ask for a WebSocket over HTTP/1.1, or brings a body.
    NotWebSocket,
    /// The key is missing or not 16 bytes in base64.
    BadKey,
    /// The version is not 13.
    BadVersion,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWebSocket => "not websocket protocol",
            Self::BadKey => "mismatch challenge/response",
            Self::BadVersion => "missing or bad WebSocket Version",
        })
    }
}

impl core::error::Error for HandshakeError {}

/// Judges a request (RFC 6455 §4.2.1). Its method and `Origin` are the caller's business.
///
/// # Errors
/// What it lacks.
pub fn handshake(head: &RequestHead) -> Result<Handshake, HandshakeError> {
    let headers = &head.headers;
    let says = |name, token| headers.get_all(name).any(|list| list_holds(list, token));
    let has_body =
        headers.get("transfer-encoding").is_some() || headers.get("content-length").is_some_and(|len| len != "0");
    if head.version != HttpVersion::Http11
        || !says("connection", "upgrade")
        || !says("upgrade", "websocket")
        || has_body
    {
        return Err(HandshakeError::NotWebSocket);
    }
    let one = |name| {
        let mut values = headers.get_all(name);
        values.next().filter(|_| values.next().is_none())
    };
    let key = one("sec-websocket-key").filter(|key| is_key(key));
    let key = key.ok_or(HandshakeError::BadKey)?;
    if one("sec-websocket-version") != Some("13") {
        return Err(HandshakeError::BadVersion);
    }
    let protocol = one("sec-websocket-protocol").filter(|name| !name.is_empty() && name.bytes().all(is_token));
    Ok(Handshake {
        accept: accept(key),
        protocol: protocol.map(ToOwned::to_owned),
    })
}

impl Handshake {
    /// The fields of the answer, whose status is 101.
    pub fn headers(&self) -> Vec<(&'static str, Cow<'static, str>)> {
        let mut headers = Vec::from([
            ("Upgrade", Cow::Borrowed("websocket")),
            ("Connection", Cow::Borrowed("Upgrade")),
            ("Sec-WebSocket-Accept", Cow::Owned(self.accept.clone())),
        ]);
        let protocol = self.protocol.clone();
        headers.extend(protocol.map(|name| ("Sec-WebSocket-Protocol", Cow::Owned(name))));
        headers
    }
}

/// Whether a page of `origin` comes from `host`, which is what a request says about where it goes.
pub fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority
        .zip(host)
        .is_some_and(|(ours, host)| ours.eq_ignore_ascii_case(host))
}

/// What a frame carries (RFC 6455 §11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// A message of UTF-8.
    Text = 1,
    /// A message of bytes.
    Binary = 2,
    /// The last frame.
    Close = 8,
    /// To be answered with its own payload.
    Ping = 9,
    /// The answer.
    Pong = 10,
}

impl Opcode {
    const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What stands before a payload of `len` bytes that is a whole message: not masked, not in fragments.
pub fn frame_header(opcode: Opcode, len: usize) -> Bytes {
    let mut header = Vec::with_capacity(HEADER_LEN_MAX);
    header.push(FIN | opcode as u8);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..=CONTROL_LEN_MAX), _) => header.push(len),
        (_, Ok(len)) => {
            header.push(LEN_16);
            header.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            header.push(LEN_64);
            header.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    header.into()
}

/// A close frame with a code, or without.
pub fn close_frame(code: Option<u16>) -> Bytes {
    let code = code.map(u16::to_be_bytes);
    let payload = code.as_ref().map_or(&[][..], |code| code);
    let mut frame = Vec::from(frame_header(Opcode::Close, payload.len()));
    frame.extend_from_slice(payload);
    frame.into()
}

/// The code of an end that both sides want.
pub const NORMAL: u16 = 1000;

/// How a client broke the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A frame that may not be.
    Protocol,
    /// Text that is no UTF-8.
    NotUtf8,
}

impl Violation {
    /// The code to close with (RFC 6455 §7.4.1).
    pub const fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => "a frame that may not be",
            Self::NotUtf8 => "text that is no UTF-8",
        })
    }
}

impl core::error::Error for Violation {}

/// A frame about the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The client leaves, with a code or without. Nothing follows.
    Close(Option<u16>),
    /// To be answered with [`Opcode::Pong`] and this payload.
    Ping(Bytes),
    /// To be ignored.
    Pong,
}

/// Takes the frames of a client apart. Sizes of reads do not matter.
///
/// ```
/// use gantry_core::websocket::{Control, Decoder};
///
/// // "he" in a first fragment, a ping between, and "y" in the last one; the mask of all is zero.
/// let mut input = &b"\x01\x82\0\0\0\0he\x89\x80\0\0\0\0\x80\x81\0\0\0\0y"[..];
/// let (mut decoder, mut data) = (Decoder::default(), Vec::new());
/// assert_eq!(decoder.decode(&mut input, &mut data), Ok(Some(Control::Ping("".into()))));
/// assert_eq!(decoder.decode(&mut input, &mut data), Ok(None));
/// assert_eq!(data, b"hey");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    state: State,
    /// A message that goes on in further frames.
    message: Option<Message>,
}

#[derive(Debug, Clone)]
enum State {
    /// A part of a header has come.
    Header(Vec<u8>),
    /// A part of a message.
    Data(Payload),
    /// A control frame, gathered.
    Control(Opcode, Payload, Vec<u8>),
    /// Nothing is read any more.
    Over(Result<(), Violation>),
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Vec::new())
    }
}

/// The payload of a frame on its way.
#[derive(Debug, Clone, Copy)]
struct Payload {
    left: u64,
    /// Its first byte is for the next byte.
    mask: [u8; 4],
    is_last: bool,
}

#[derive(Debug, Clone, Copy)]
enum Message {
    Binary,
    Text(Utf8),
}

impl Decoder {
    /// Appends the payload of messages to `data` and shortens `input` by what was read, until that is empty (`None`) or a
    /// control frame is whole.
    ///
    /// # Errors
    /// The client broke the rules, in the byte that was read last. What it has sent before is in `data`; the same is said
    /// on.
    pub fn decode(&mut self, input: &mut &[u8], data: &mut Vec<u8>) -> Result<Option<Control>, Violation> {
        loop {
            let stepped = self.step(input, data);
            if let Err(violation) = stepped {
                self.state = State::Over(Err(violation));
            }
            match stepped? {
                Step::Control(control) => return Ok(Some(control)),
                Step::Starved => return Ok(None),
                Step::Moved => {}
            }
        }
    }

    fn step(&mut self, input: &mut &[u8], data: &mut Vec<u8>) -> Result<Step, Violation> {
        match &mut self.state {
            State::Over(end) => {
                *input = &[];
                (*end).map(|()| Step::Starved)
            }
            State::Header(header) => {
                let Some((&byte, rest)) = input.split_first() else {
                    return Ok(Step::Starved);
                };
                *input = rest;
                header.push(byte);
                if let Some(header) = parse_header(header)? {
                    self.begin(header)?;
                }
                Ok(Step::Moved)
            }
            State::Data(payload) if payload.left == 0 => {
                match self.message {
                    Some(Message::Text(text)) if payload.is_last && !text.is_whole() => {
                        return Err(Violation::NotUtf8);
                    }
                    _ if payload.is_last => self.message = None,
                    _ => {}
                }
                self.state = State::default();
                Ok(Step::Moved)
            }
            State::Data(payload) => {
                let start = data.len();
                payload.take(input, data);
                let added = data.get(start..).unwrap_or_default();
                if let Some(Message::Text(text)) = &mut self.message {
                    let good = text.accept(added);
                    if good < added.len() {
                        data.truncate(start + good);
                        return Err(Violation::NotUtf8);
                    }
                }
                Ok(if data.len() == start {
                    Step::Starved
                } else {
                    Step::Moved
                })
            }
            State::Control(opcode, payload, gathered) if payload.left == 0 => {
                let control = control(*opcode, core::mem::take(gathered))?;
                self.state = match control {
                    Control::Close(_) => State::Over(Ok(())),
                    Control::Ping(_) | Control::Pong => State::default(),
                };
                Ok(Step::Control(control))
            }
            State::Control(_, payload, gathered) => {
                let start = gathered.len();
                payload.take(input, gathered);
                Ok(if gathered.len() == start {
                    Step::Starved
                } else {
                    Step::Moved
                })
            }
        }
    }

    /// A header is whole: what follows it?
    fn begin(&mut self, (opcode, payload): (Opcode, Payload)) -> Result<(), Violation> {
        let message = match (opcode, self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {
                self.state = State::Control(opcode, payload, Vec::new());
                return Ok(());
            }
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Text, None) => Message::Text(Utf8::default()),
            (Opcode::Binary, None) => Message::Binary,
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::Protocol);
            }
        };
        self.message = Some(message);
        self.state = State::Data(payload);
        Ok(())
    }
}

enum Step {
    Control(Control),
    /// There is no more input.
    Starved,
    Moved,
}

impl Payload {
    /// Moves bytes from `input` to `data` and takes the mask off.
    fn take(&mut self, input: &mut &[u8], data: &mut Vec<u8>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let Some((masked, rest)) = input.split_at_checked(left.min(input.len())) else {
            return;
        };
        *input = rest;
        let start = data.len();
        data.extend_from_slice(masked);
        for four in data.get_mut(start..).unwrap_or_default().chunks_mut(4) {
            four.iter_mut().zip(self.mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        self.mask.rotate_left(masked.len() % 4);
        self.left -= masked.len() as u64;
    }
}

/// Reads a header as far as it has come; `None` while a part of it is missing.
fn parse_header(header: &[u8]) -> Result<Option<(Opcode, Payload)>, Violation> {
    let Some((&first, rest)) = header.split_first() else {
        return Ok(None);
    };
    let opcode = Opcode::from_wire(first & 0x0f).ok_or(Violation::Protocol)?;
    let is_last = first & FIN != 0;
    if first & RESERVED != 0 || opcode.is_control() && !is_last {
        return Err(Violation::Protocol);
    }
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    let short = second & !MASKED;
    if second & MASKED == 0 || opcode.is_control() && short > CONTROL_LEN_MAX {
        return Err(Violation::Protocol);
    }
    // A length that had room in a shorter form is another way to write the same, which nobody sends in good faith.
    let (left, least, mask) = match short {
        LEN_16 => match rest.split_first_chunk() {
            Some((len, mask)) => (u64::from(u16::from_be_bytes(*len)), u64::from(LEN_16), mask),
            None => return Ok(None),
        },
        LEN_64 => match rest.split_first_chunk() {
            Some((len, mask)) => (u64::from_be_bytes(*len), 1 << 16, mask),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, rest),
    };
    if left < least || left >> 63 != 0 {
        return Err(Violation::Protocol);
    }
    let mask = mask.first_chunk();
    Ok(mask.map(|&mask| (opcode, Payload { left, mask, is_last })))
}

/// A control frame that is whole.
fn control(opcode: Opcode, payload: Vec<u8>) -> Result<Control, Violation> {
    match opcode {
        Opcode::Ping => Ok(Control::Ping(payload.into())),
        Opcode::Close => match payload.split_first_chunk() {
            None if payload.is_empty() => Ok(Control::Close(None)),
            None => Err(Violation::Protocol),
            Some((&code, reason)) => match u16::from_be_bytes(code) {
                // 1004 to 1006 and 1015 stand for ends without a code, and those up to 2999 are nobody's yet.
                code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => match str::from_utf8(reason) {
                    Ok(_) => Ok(Control::Close(Some(code))),
                    Err(_) => Err(Violation::NotUtf8),
                },
                _ => Err(Violation::Protocol),
            },
        },
        _ => Ok(Control::Pong),
    }
}

/// Checks UTF-8 byte by byte (RFC 3629 §4), so that it does not matter how the bytes are cut.
#[derive(Debug, Clone, Copy)]
struct Utf8 {
    /// Bytes that the character under way lacks.
    left: u8,
    /// What the next of them may be.
    low: u8,
    high: u8,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self::character(0)
    }
}

impl Utf8 {
    /// In a character that lacks `left` bytes, any.
    const fn character(left: u8) -> Self {
        Self {
            left,
            low: 0x80,
            high: 0xbf,
        }
    }

    /// Goes on; returns how many of the bytes may stand there.
    fn accept(&mut self, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            *self = match (self.left, byte) {
                (1.., _) if (self.low..=self.high).contains(&byte) => Self::character(self.left - 1),
                (1.., _) => return at,
                (0, 0x00..=0x7f) => Self::character(0),
                (0, 0xc2..=0xdf) => Self::character(1),
                (0, 0xe0) => Self {
                    low: 0xa0,
                    ..Self::character(2)
                },
                (0, 0xed) => Self {
                    high: 0x9f,
                    ..Self::character(2)
                },
                (0, 0xe1..=0xef) => Self::character(2),
                (0, 0xf0) => Self {
                    low: 0x90,
                    ..Self::character(3)
                },
                (0, 0xf1..=0xf3) => Self::character(3),
                (0, 0xf4) => Self {
                    high: 0x8f,
                    ..Self::character(3)
                },
                (0, 0x80..=0xc1 | 0xf5..) => return at,
            };
        }
        bytes.len()
    }

    const fn is_whole(self) -> bool {
        self.left == 0
    }
}

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// The length follows in 16 bits.
const LEN_16: u8 = 126;
/// The length follows in 64 bits.
const LEN_64: u8 = 127;
const CONTROL_LEN_MAX: u8 = 125;
/// Of a header without mask.
const HEADER_LEN_MAX: usize = 10;

/// 16 bytes in base64 are 22 digits and `==`.
fn is_key(key: &str) -> bool {
    let digits = key.strip_suffix("==").unwrap_or_default();
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.len() == 22 && digits.bytes().all(is_digit)
}

/// What proves that a WebSocket server has read `key` (RFC 6455 §1.3).
fn accept(key: &str) -> String {
    let mut text = key.to_owned();
    text.push_str("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::encode(&sha1(text.as_bytes()), base64::STANDARD)
}

/// FIPS 180-4 §6.1.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() < message.len() + 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let bits = (message.len() as u64 * 8).to_be_bytes();
    padded.truncate(padded.len() - bits.len());
    padded.extend_from_slice(&bits);

    let mut hash: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 16];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
        }
        let [mut a, mut b, mut c, mut d, mut e] = hash;
        for round in 0..80 {
            let (mixed, constant) = match round {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = [mixed, e, constant, words[0]]
                .into_iter()
                .fold(a.rotate_left(5), u32::wrapping_add);
            (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
            let next = (words[0] ^ words[2] ^ words[8] ^ words[13]).rotate_left(1);
            words.rotate_left(1);
            words[15] = next;
        }
        for (sum, word) in hash.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(word);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(hash) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests;
