//! Links, addresses and routes as rtnetlink(7) messages.
//!
//! Source: rtnetlink(7); the kernel's `include/uapi/linux/{if_link,if_addr,rtnetlink,veth}.h` and
//! `Documentation/netlink/specs/rt-*.yaml`.

use std::{net::Ipv4Addr, os::fd::RawFd};

use super::{
    Ipv4Net,
    codec::{Body, CREATE, EXCLUSIVE, Message, Request, find, text},
    session::{Refused, Session},
};

/// A network interface that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Number.
    pub(super) index: u32,
    /// What made it: `bridge`, `veth`; empty for hardware.
    pub(super) kind: String,
}

/// One end of a new veth pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct VethPair<'a> {
    /// The end in the session's namespace. It is left down.
    pub(super) host_interface: &'a str,
    /// Number of the bridge that it becomes a port of.
    pub(super) bridge: u32,
    /// The end in the container. It is left down: veth refuses to come up before the pair is complete.
    pub(super) interface: &'a str,
    /// The container end's hardware address.
    pub(super) mac: [u8; 6],
    /// The container's network namespace.
    pub(super) netns: RawFd,
    /// Both ends' MTU.
    pub(super) mtu: u32,
}

/// Adds: make a bridge, down.
pub(super) fn create_bridge(request: &mut Request, name: &str, mac: [u8; 6], mtu: u32) {
    request.push("create the bridge", NEW_LINK, CREATE | EXCLUSIVE, |body| {
        body.header(&link_header(0, 0, 0));
        body.text(LINK_NAME, name);
        // Without one of its own, the bridge would take over a port's address, and change it with the ports.
        body.attribute(LINK_ADDRESS, &mac);
        body.attribute(LINK_MTU, &mtu.to_ne_bytes());
        body.nested(LINK_INFO, |body| body.text(LINK_INFO_KIND, "bridge"));
    });
}

/// Adds: make a veth pair with one end in another namespace, in one step (rtnetlink undoes its own half-done work).
pub(super) fn create_veth_pair(request: &mut Request, pair: &VethPair<'_>) {
    request.push("create the veth pair", NEW_LINK, CREATE | EXCLUSIVE, |body| {
        body.header(&link_header(0, 0, 0));
        body.text(LINK_NAME, pair.host_interface);
        body.attribute(LINK_MTU, &pair.mtu.to_ne_bytes());
        body.attribute(LINK_MASTER, &pair.bridge.to_ne_bytes());
        body.nested(LINK_INFO, |body| {
            body.text(LINK_INFO_KIND, "veth");
            body.nested(LINK_INFO_DATA, |body| {
                body.nested(VETH_PEER, |body| {
                    body.header(&link_header(0, 0, 0));
                    body.text(LINK_NAME, pair.interface);
                    body.attribute(LINK_ADDRESS, &pair.mac);
                    body.attribute(LINK_MTU, &pair.mtu.to_ne_bytes());
                    body.attribute(LINK_NETNS_FD, &pair.netns.to_ne_bytes());
                });
            });
        });
    });
}

/// Adds: never give an IPv6 address to this interface by itself. Refused where it has no IPv6 at all.
pub(super) fn no_link_local(request: &mut Request, name: &str) {
    request.push("keep IPv6 off the interface", SET_LINK, 0, |body| {
        body.header(&link_header(0, 0, 0));
        body.text(LINK_NAME, name);
        body.nested(LINK_AF_SPEC, |body| {
            body.nested(libc::AF_INET6 as u16, |body| {
                body.attribute(INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
            });
        });
    });
}

/// Adds: set an interface up, by name.
pub(super) fn set_up(request: &mut Request, name: &str) {
    request.push("set the interface up", SET_LINK, 0, |body| {
        body.header(&link_header(0, IFF_UP, IFF_UP));
        body.text(LINK_NAME, name);
    });
}

/// Adds: make an interface a port of a bridge, by name. Nothing happens if it is one already.
pub(super) fn set_bridge(request: &mut Request, name: &str, bridge: u32) {
    request.push("put the interface on the bridge", SET_LINK, 0, |body| {
        body.header(&link_header(0, 0, 0));
        body.text(LINK_NAME, name);
        body.attribute(LINK_MASTER, &bridge.to_ne_bytes());
    });
}

/// Adds: change an interface's MTU, by name.
pub(super) fn set_mtu(request: &mut Request, name: &str, mtu: u32) {
    request.push("set the MTU", SET_LINK, 0, |body| {
        body.header(&link_header(0, 0, 0));
        body.text(LINK_NAME, name);
        body.attribute(LINK_MTU, &mtu.to_ne_bytes());
    });
}

/// Adds: set the loopback interface up.
pub(super) fn set_loopback_up(request: &mut Request) {
    request.push("set the loopback interface up", SET_LINK, 0, |body| {
        body.header(&link_header(LOOPBACK_INDEX, IFF_UP, IFF_UP));
    });
}

/// Adds: delete an interface, by name. Costs many milliseconds, during which the kernel configures no other interface.
pub(super) fn delete_link(request: &mut Request, name: &str) {
    request.push("delete the interface", DEL_LINK, 0, |body| {
        body.header(&link_header(0, 0, 0));
        body.text(LINK_NAME, name);
    });
}

/// Adds: give an address to an interface.
pub(super) fn add_address(request: &mut Request, index: u32, net: Ipv4Net) {
    request.push("add the address", NEW_ADDRESS, CREATE | EXCLUSIVE, |body| {
        address(body, index, net);
    });
}

/// Adds: take an address from an interface.
pub(super) fn delete_address(request: &mut Request, index: u32, net: Ipv4Net) {
    request.push("remove the former address", DEL_ADDRESS, 0, |body| {
        address(body, index, net);
    });
}

fn address(body: &mut Body<'_>, index: u32, net: Ipv4Net) {
    body.header(&address_header(net.prefix_len(), index));
    body.attribute(ADDRESS_LOCAL, &net.address().octets());
    body.attribute(ADDRESS_ADDRESS, &net.address().octets());
    body.attribute(ADDRESS_BROADCAST, &net.broadcast().octets());
}

/// Adds: send everything that no other route is for to `gateway`.
pub(super) fn add_default_route(request: &mut Request, index: u32, gateway: Ipv4Addr) {
    request.push("add the default route", NEW_ROUTE, CREATE | EXCLUSIVE, |body| {
        body.header(&[
            libc::AF_INET as u8,
            0,
            0,
            0,
            TABLE_MAIN,
            PROTOCOL_STATIC,
            SCOPE_UNIVERSE,
            TYPE_UNICAST,
            0,
            0,
            0,
            0,
        ]);
        body.attribute(ROUTE_GATEWAY, &gateway.octets());
        body.attribute(ROUTE_OIF, &index.to_ne_bytes());
    });
}

/// The interface with this name, if there is one.
pub(super) fn link(session: &mut Session, name: &str) -> Result<Option<Link>, Refused> {
    let mut found = None;
    let outcome = session.get(
        "look up the interface",
        GET_LINK,
        &link_header(0, 0, 0),
        |body| body.text(LINK_NAME, name),
        |message| found = decode_link(message),
    );
    match outcome {
        Ok(()) => Ok(found),
        Err(refused) if refused.errno == nix::errno::Errno::ENODEV => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// All IPv4 addresses, each with the number of its interface.
pub(super) fn addresses(session: &mut Session) -> Result<Vec<(u32, Ipv4Net)>, Refused> {
    let mut found = Vec::new();
    session.dump("list addresses", GET_ADDRESS, &address_header(0, 0), |message| {
        found.extend(decode_address(message));
    })?;
    Ok(found)
}

/// The destinations of all IPv4 routes but the default ones.
pub(super) fn destinations(session: &mut Session) -> Result<Vec<Ipv4Net>, Refused> {
    let mut header = [0; 12];
    header[0] = libc::AF_INET as u8;
    let mut found = Vec::new();
    session.dump("list routes", GET_ROUTE, &header, |message| {
        found.extend(decode_destination(message));
    })?;
    Ok(found)
}

fn decode_link(message: &Message<'_>) -> Option<Link> {
    let (header, attributes) = message.payload.split_first_chunk::<16>()?;
    let [_, _, _, _, i0, i1, i2, i3, ..] = *header;
    let kind = find(attributes, LINK_INFO)
        .and_then(|info| find(info, LINK_INFO_KIND))
        .and_then(text);
    (message.kind == NEW_LINK).then(|| Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        kind: kind.unwrap_or_default().to_owned(),
    })
}

fn decode_address(message: &Message<'_>) -> Option<(u32, Ipv4Net)> {
    let ([family, prefix_len, _, _, i0, i1, i2, i3], attributes) = message.payload.split_first_chunk::<8>()?;
    if message.kind != NEW_ADDRESS || i32::from(*family) != libc::AF_INET {
        return None;
    }
    // With a peer (point to point) LOCAL is ours and ADDRESS the peer's.
    let local = find(attributes, ADDRESS_LOCAL).or_else(|| find(attributes, ADDRESS_ADDRESS))?;
    let octets: [u8; 4] = local.try_into().ok()?;
    Some((
        u32::from_ne_bytes([*i0, *i1, *i2, *i3]),
        Ipv4Net::new(octets.into(), *prefix_len)?,
    ))
}

fn decode_destination(message: &Message<'_>) -> Option<Ipv4Net> {
    let ([family, prefix_len, ..], attributes) = message.payload.split_first_chunk::<12>()?;
    if message.kind != NEW_ROUTE || i32::from(*family) != libc::AF_INET {
        return None;
    }
    let octets: [u8; 4] = find(attributes, ROUTE_DESTINATION)?.try_into().ok()?;
    Ipv4Net::new(octets.into(), *prefix_len)
}

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

/// `struct ifaddrmsg`.
fn address_header(prefix_len: u8, index: u32) -> [u8; 8] {
    let [i0, i1, i2, i3] = index.to_ne_bytes();
    [libc::AF_INET as u8, prefix_len, 0, SCOPE_UNIVERSE, i0, i1, i2, i3]
}

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;

const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_AF_SPEC: u16 = 26;
const LINK_NETNS_FD: u16 = 28;
const LINK_INFO_KIND: u16 = 1;
const LINK_INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_BROADCAST: u16 = 4;

const ROUTE_DESTINATION: u16 = 1;
const ROUTE_OIF: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_UNIVERSE: u8 = 0;
const TYPE_UNICAST: u8 = 1;

const IFF_UP: u32 = 1;
/// The kernel makes it first in every namespace.
const LOOPBACK_INDEX: u32 = 1;

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::codec::messages;

    #[test]
    fn requests_have_the_bytes_of_rtnetlink_7() {
        type Build = fn(&mut Request);
        let table: &[(&str, Build, u16, u16, &[u8])] = &[
            (
                "loopback",
                set_loopback_up,
                19,
                5,
                &[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
            ),
            (
                "address",
                |r| add_address(r, 7, "10.1.2.3/16".parse().unwrap()),
                20,
                0x605,
                &[
                    2, 16, 0, 0, 7, 0, 0, 0, 8, 0, 2, 0, 10, 1, 2, 3, 8, 0, 1, 0, 10, 1, 2, 3, 8, 0, 4, 0, 10, 1, 255,
                    255,
                ],
            ),
            (
                "route",
                |r| add_default_route(r, 7, [10, 1, 0, 1].into()),
                24,
                0x605,
                &[
                    2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0, 8, 0, 5, 0, 10, 1, 0, 1, 8, 0, 4, 0, 7, 0, 0, 0,
                ],
            ),
            (
                "no link-local",
                |r| no_link_local(r, "a"),
                19,
                5,
                &[
                    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 3, 0, b'a', 0, 0, 0, 16, 0, 26, 0x80, 12, 0,
                    10, 0x80, 5, 0, 8, 0, 1, 0, 0, 0,
                ],
            ),
            (
                "bridge",
                |r| create_bridge(r, "b", [2, 0x42, 10, 0, 0, 1], 1500),
                16,
                0x605,
                &[
                    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 3, 0, b'b', 0, 0, 0, 10, 0, 1, 0, 2, 0x42,
                    10, 0, 0, 1, 0, 0, 8, 0, 4, 0, 0xdc, 5, 0, 0, 16, 0, 18, 0x80, 11, 0, 1, 0, b'b', b'r', b'i', b'd',
                    b'g', b'e', 0, 0,
                ],
            ),
        ];
        for (name, build, kind, flags, payload) in table {
            let mut request = Request::default();
            build(&mut request);
            let datagram = request.number(1).to_vec();
            let message = messages(&datagram).next().unwrap();
            assert_eq!(
                (message.kind, message.flags, message.payload),
                (*kind, *flags, *payload),
                "{name}"
            );
        }
    }

    #[test]
    fn answers() {
        fn message(kind: u16, payload: &[u8]) -> Message<'_> {
            Message {
                kind,
                flags: 0,
                sequence: 0,
                port: 0,
                payload,
            }
        }
        let link = [
            0, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 18, 0, 8, 0, 1, 0, b'v', b'x', b'l', 0,
        ];
        assert_eq!(
            decode_link(&message(NEW_LINK, &link)),
            Some(Link {
                index: 5,
                kind: "vxl".into()
            })
        );
        assert_eq!(
            decode_link(&message(NEW_LINK, &link[..16])),
            Some(Link {
                index: 5,
                kind: String::new()
            })
        );
        assert_eq!(decode_link(&message(NEW_LINK, &link[..15])), None);
        let address = [2, 24, 0, 0, 3, 0, 0, 0, 8, 0, 1, 0, 9, 9, 9, 9, 8, 0, 2, 0, 10, 0, 0, 1];
        let ours = "10.0.0.1/24".parse().unwrap();
        assert_eq!(decode_address(&message(NEW_ADDRESS, &address)), Some((3, ours)));
        assert_eq!(decode_address(&message(NEW_ADDRESS, &address[..10])), None);
        let route = [2, 24, 0, 0, 254, 2, 0, 1, 0, 0, 0, 0, 8, 0, 1, 0, 10, 0, 0, 0];
        assert_eq!(
            decode_destination(&message(NEW_ROUTE, &route)),
            Some("10.0.0.0/24".parse().unwrap())
        );
        assert_eq!(decode_destination(&message(NEW_ROUTE, &route[..12])), None);
    }

    proptest! {
        #[test]
        fn decoding_is_total(kind in 14u16..30, payload in prop::collection::vec(any::<u8>(), 0..128)) {
            let message = Message { kind, flags: 0, sequence: 0, port: 0, payload: &payload };
            let known = [
                decode_link(&message).is_some(),
                decode_address(&message).is_some(),
                decode_destination(&message).is_some(),
            ];
            prop_assert!(known.iter().filter(|known| **known).count() <= 1);
        }
    }
}
