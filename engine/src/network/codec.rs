//! Netlink messages and attributes: bytes ↔ values, pure.
//!
//! ```text
//!   0        4     6      8     12     16
//!   | length | type | flags | seq | port | family header, then attributes …
//!
//!   0        2      4
//!   | length | type | value … padded to 4      lengths count their own header, not the padding
//! ```
//! Everything is in the host's byte order, except what a field's own documentation says (nf_tables: big-endian).
//!
//! Source: netlink(7), the kernel's `include/uapi/linux/netlink.h`.

/// Messages for one datagram. The kernel carries them out in order and goes on after one that it refuses.
#[derive(Debug, Default)]
pub(super) struct Request {
    bytes: Vec<u8>,
    /// One per message, in order; `offset` is where it starts in `bytes`.
    parts: Vec<Part>,
}

/// One message of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    offset: usize,
    /// What the message asks for, for people: `create the veth pair`.
    pub(super) step: &'static str,
    /// The kernel was asked to confirm it.
    pub(super) confirmed: bool,
}

impl Request {
    /// Adds a message that the kernel confirms.
    pub(super) fn push(&mut self, step: &'static str, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
        self.add(
            Part {
                offset: self.bytes.len(),
                step,
                confirmed: true,
            },
            kind,
            flags | ACK,
            fill,
        );
    }

    /// Adds a message that is answered by nothing but an error.
    pub(super) fn push_unconfirmed(
        &mut self,
        step: &'static str,
        kind: u16,
        flags: u16,
        fill: impl FnOnce(&mut Body<'_>),
    ) {
        self.add(
            Part {
                offset: self.bytes.len(),
                step,
                confirmed: false,
            },
            kind,
            flags,
            fill,
        );
    }

    fn add(&mut self, part: Part, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        fill(&mut Body { bytes: &mut self.bytes });
        let length = u32::try_from(self.bytes.len() - part.offset).expect("a message is far below 4 GiB");
        self.bytes[part.offset..part.offset + 4].copy_from_slice(&length.to_ne_bytes());
        self.parts.push(part);
    }

    /// Numbers the messages from `first` on (wrapping) and returns the datagram.
    pub(super) fn number(&mut self, first: u32) -> &[u8] {
        for (part, index) in self.parts.iter().zip(0u32..) {
            let sequence = first.wrapping_add(index);
            self.bytes[part.offset + 8..part.offset + 12].copy_from_slice(&sequence.to_ne_bytes());
        }
        &self.bytes
    }

    /// The messages, in order.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// What follows the header of a message that is being written.
pub(super) struct Body<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Body<'_> {
    /// Appends a family header, and pads.
    pub(super) fn header(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// Appends an attribute.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nested_raw(kind, |body| body.bytes.extend_from_slice(value));
    }

    /// Appends an attribute that is text, with the final zero byte that the kernel wants.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.nested_raw(kind, |body| {
            body.bytes.extend_from_slice(value.as_bytes());
            body.bytes.push(0);
        });
    }

    /// Appends an attribute that holds attributes.
    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        self.nested_raw(kind | NESTED, fill);
    }

    fn nested_raw(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        let length =
            u16::try_from(self.bytes.len() - offset).expect("attributes hold names, addresses and short rules");
        self.bytes[offset..offset + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

/// A received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// Type.
    pub(super) kind: u16,
    /// Flags.
    pub(super) flags: u16,
    /// The number of the request that it answers.
    pub(super) sequence: u32,
    /// The socket that caused it; 0 is the kernel itself.
    pub(super) port: u32,
    /// Family header and attributes.
    pub(super) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The answer to a message that asked for one, or `None` if it is something else.
    pub(super) fn verdict(&self) -> Option<Verdict<'a>> {
        if self.kind != KIND_ERROR {
            return None;
        }
        let (code, rest) = self.payload.split_first_chunk::<4>()?;
        let errno = i32::from_ne_bytes(*code).checked_neg().unwrap_or(i32::MAX);
        // Without the CAPPED flag the whole request stands between the code and the attributes; its length comes first.
        let echoed = match rest.first_chunk::<4>() {
            Some(length) if self.flags & CAPPED == 0 => u32::from_ne_bytes(*length) as usize,
            _ => HEADER_BYTES,
        };
        let detail = (self.flags & ACK_ATTRIBUTES != 0)
            .then(|| rest.get(echoed.checked_next_multiple_of(4)?..))
            .flatten()
            .and_then(|attributes| find(attributes, ATTRIBUTE_MESSAGE))
            .and_then(text);
        Some(Verdict { errno, detail })
    }

    /// The end of a dump.
    pub(super) fn is_done(&self) -> bool {
        self.kind == KIND_DONE
    }

    /// What was dumped changed meanwhile: parts may be missing.
    pub(super) fn is_interrupted(&self) -> bool {
        self.flags & DUMP_INTERRUPTED != 0
    }
}

/// The kernel's answer to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict<'a> {
    /// 0 is success.
    pub(super) errno: i32,
    /// What the kernel says about it, if it says anything.
    pub(super) detail: Option<&'a str>,
}

/// The messages of a datagram. What is cut off at the end is left out.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *datagram.first_chunk()?;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let payload = datagram.get(HEADER_BYTES..length)?;
        datagram = datagram.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            payload,
        })
    })
}

/// Type and value of each attribute; the bits of the type that only tell about nesting and byte order are cleared. What
/// is cut off at the end is left out.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & KIND_MASK, value))
    })
}

/// The value of the first attribute of this type.
pub(super) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// Text up to its zero byte, if it is UTF-8.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    str::from_utf8(&value[..end]).ok()
}

/// The object must not exist yet.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// Make the object if it does not exist.
pub(super) const CREATE: u16 = 0x400;
/// Put it behind the others.
pub(super) const APPEND: u16 = 0x800;
/// Everything of a kind is asked for.
pub(super) const DUMP: u16 = 0x300;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP_INTERRUPTED: u16 = 0x10;
const CAPPED: u16 = 0x100;
const ACK_ATTRIBUTES: u16 = 0x200;
const KIND_ERROR: u16 = 2;
const KIND_DONE: u16 = 3;
const ATTRIBUTE_MESSAGE: u16 = 1;
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;
const HEADER_BYTES: usize = 16;

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_have_the_bytes_of_netlink_7() {
        type Fill = fn(&mut Body<'_>);
        let table: &[(&str, Fill, &[u8])] = &[
            ("empty", |_| {}, &[]),
            ("header is padded", |b| b.header(&[1, 2, 3]), &[1, 2, 3, 0]),
            (
                "attribute is padded",
                |b| b.attribute(7, &[9]),
                &[5, 0, 7, 0, 9, 0, 0, 0],
            ),
            (
                "text ends with zero",
                |b| b.text(3, "lo"),
                &[7, 0, 3, 0, b'l', b'o', 0, 0],
            ),
            (
                "nested",
                |b| b.nested(1, |b| b.attribute(2, &[1, 2, 3, 4])),
                &[12, 0, 1, 0x80, 8, 0, 2, 0, 1, 2, 3, 4],
            ),
            (
                "padding inside counts, behind does not",
                |b| {
                    b.nested(1, |b| b.attribute(2, &[1]));
                    b.attribute(3, &[]);
                },
                &[12, 0, 1, 0x80, 5, 0, 2, 0, 1, 0, 0, 0, 4, 0, 3, 0],
            ),
        ];
        for (name, fill, expected) in table {
            let mut request = Request::default();
            request.push("test", 0x1234, CREATE, fill);
            let mut wire = vec![
                16 + expected.len() as u8,
                0,
                0,
                0,
                0x34,
                0x12,
                0x05,
                0x04,
                7,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ];
            wire.extend_from_slice(expected);
            assert_eq!(request.number(7), wire, "{name}");
        }
    }

    #[test]
    fn every_message_has_its_number() {
        let mut request = Request::default();
        request.push("one", 1, 0, |b| b.header(&[1]));
        request.push_unconfirmed("two", 2, 0, |b| b.header(&[2]));
        request.push("three", 3, 0, |_| {});
        let numbers: Vec<_> = messages(request.number(u32::MAX))
            .map(|m| (m.kind, m.flags, m.sequence))
            .collect();
        assert_eq!(numbers, [(1, 5, u32::MAX), (2, 1, 0), (3, 5, 1)]);
        let steps: Vec<_> = request.parts().iter().map(|part| (part.step, part.confirmed)).collect();
        assert_eq!(steps, [("one", true), ("two", false), ("three", true)]);
    }

    #[test]
    fn verdicts() {
        let echo: &[u8] = &[20, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 4];
        let note: &[u8] = &[8, 0, 1, 0, b'n', b'o', b'!', 0];
        type Case<'a> = (&'a str, u16, u16, Vec<u8>, Option<(i32, Option<&'a str>)>);
        let table: &[Case<'_>] = &[
            (
                "confirmed, capped",
                2,
                CAPPED,
                [&[0; 4], &echo[..16]].concat(),
                Some((0, None)),
            ),
            (
                "refused, whole request",
                2,
                0,
                [&(-17i32).to_ne_bytes(), echo].concat(),
                Some((17, None)),
            ),
            (
                "refused with a reason, capped",
                2,
                CAPPED | ACK_ATTRIBUTES,
                [&(-95i32).to_ne_bytes(), &echo[..16], note].concat(),
                Some((95, Some("no!"))),
            ),
            (
                "refused with a reason, whole request",
                2,
                ACK_ATTRIBUTES,
                [&(-95i32).to_ne_bytes(), echo, note].concat(),
                Some((95, Some("no!"))),
            ),
            (
                "lowest number",
                2,
                0,
                i32::MIN.to_ne_bytes().to_vec(),
                Some((i32::MAX, None)),
            ),
            ("code cut off", 2, 0, vec![1, 2, 3], None),
            ("not an error", 16, 0, vec![0; 20], None),
        ];
        for (name, kind, flags, payload, expected) in table {
            let message = Message {
                kind: *kind,
                flags: *flags,
                sequence: 0,
                port: 0,
                payload,
            };
            assert_eq!(message.verdict().map(|v| (v.errno, v.detail)), *expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn decoding_is_total(bytes in prop::collection::vec(any::<u8>(), 0..512), first in 0u8..64) {
            // A small first length makes the outer decoder accept more often.
            let mut bytes = bytes;
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                *head = [first, 0, 0, 0];
            }
            let mut taken = 0;
            for message in messages(&bytes) {
                taken += HEADER_BYTES + message.payload.len();
                let _ = message.verdict();
                let inner: usize = attributes(message.payload).map(|(_, value)| 4 + value.len()).sum();
                prop_assert!(inner <= message.payload.len());
            }
            prop_assert!(taken <= bytes.len());
            prop_assert!(attributes(&bytes).all(|(_, value)| text(value).is_none_or(|text| text.len() <= value.len())));
        }

        #[test]
        fn attributes_come_back(wanted in prop::collection::vec((0u16..0x4000, prop::collection::vec(any::<u8>(), 0..40)), 0..8)) {
            let mut request = Request::default();
            request.push("test", 1, 0, |body| {
                for (kind, value) in &wanted {
                    body.attribute(*kind, value);
                }
            });
            let datagram = request.number(1);
            let message = messages(datagram).next().unwrap();
            let found: Vec<_> = attributes(message.payload).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
