//! The firewall rules of a bridge, as one nf_tables transaction.
//!
//! The daemon has one table of its own, `ip gantry`, and touches no other. It is replaced as a whole, so neither an
//! older daemon's rules nor half of a new set are ever in force. In nft(8)'s language:
//!
//! ```text
//! table ip gantry {
//!     chain forward {
//!         type filter hook forward priority filter; policy accept;
//!         oifname BRIDGE ct state established,related accept    # answers
//!         oifname BRIDGE iifname != BRIDGE drop                 # nobody else reaches containers
//!         iifname BRIDGE accept                                 # containers reach each other and everything
//!     }
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat; policy accept;
//!         ip saddr SUBNET oifname != BRIDGE masquerade          # nobody outside knows a way back to SUBNET
//!     }
//! }
//! ```
//! There is one daemon per network namespace: a second one would take the table for its own.
//!
//! The forward chain's policy is to accept, as what passes by without touching the bridge is none of our business.
//! An `accept` here ends only this chain: a drop in somebody else's table stays a drop.
//!
//! Source: nft(8); the kernel's `include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h` and
//! `Documentation/netlink/specs/nftables.yaml`. Numbers in attributes are big-endian, values that are compared with a
//! register are in the register's order.

use nix::errno::Errno;

use super::{
    Ipv4Net, NetworkError,
    codec::{APPEND, Body, CREATE, Message, Request, find, text},
    session::{Refused, Session},
};

/// The name of the daemon's table.
pub(super) const TABLE: &str = "gantry";

/// Puts the rules of a bridge in force, all at once, in place of whatever the table held.
pub(super) fn install(session: &mut Session, bridge: &str, subnet: Ipv4Net) -> Result<(), NetworkError> {
    session.submit(transaction(bridge, subnet)).map_err(explain)
}

/// Whether this message tells that something of the daemon's table was deleted.
pub(super) fn is_loss(message: &Message<'_>) -> bool {
    let loss = [DEL_TABLE, DEL_CHAIN, DEL_RULE].contains(&message.kind);
    let Some(([family, ..], attributes)) = message.payload.split_first_chunk::<4>() else {
        return false;
    };
    // The attribute with the table's name has the same number in all three.
    loss && *family == FAMILY_IPV4 && find(attributes, TABLE_NAME).and_then(text) == Some(TABLE)
}

/// The multicast group that [`is_loss`] listens to, as a bit mask.
pub(super) const GROUPS: u32 = 1 << (7 - 1);

fn explain(refused: Refused) -> NetworkError {
    match refused.errno {
        // No subsystem at all, or no expression or chain of this type (the kernel has tried to load modules by then).
        Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::ENOENT => {
            let feature = if refused.step == MASQUERADE {
                "nf_tables masquerade (NFT_MASQ)"
            } else {
                "nf_tables"
            };
            NetworkError::MissingFeature {
                feature,
                step: refused.step,
            }
        }
        _ => refused.about(TABLE),
    }
}

fn transaction(bridge: &str, subnet: Ipv4Net) -> Request {
    let mut request = Request::default();
    batch_edge(&mut request, BATCH_BEGIN);
    // It must exist to be deleted; kernels before 6.3 cannot say "delete if there".
    for (kind, flags) in [(NEW_TABLE, CREATE), (DEL_TABLE, 0), (NEW_TABLE, CREATE)] {
        request.push("replace the firewall table", kind, flags, |body| {
            body.header(&FAMILY_HEADER);
            body.text(TABLE_NAME, TABLE);
        });
    }
    chain(
        &mut request,
        &Chain {
            name: "forward",
            kind: "filter",
            hook: HOOK_FORWARD,
            priority: 0,
        },
    );
    chain(
        &mut request,
        &Chain {
            name: "postrouting",
            kind: "nat",
            hook: HOOK_POSTROUTING,
            priority: 100,
        },
    );
    rule(&mut request, "let answers through", "forward", |body| {
        interface(body, META_OIFNAME, CMP_EQ, bridge);
        established_or_related(body);
        verdict(body, ACCEPT);
    });
    rule(&mut request, "shield the bridge", "forward", |body| {
        interface(body, META_OIFNAME, CMP_EQ, bridge);
        interface(body, META_IIFNAME, CMP_NEQ, bridge);
        verdict(body, DROP);
    });
    rule(&mut request, "let containers out", "forward", |body| {
        interface(body, META_IIFNAME, CMP_EQ, bridge);
        verdict(body, ACCEPT);
    });
    rule(&mut request, MASQUERADE, "postrouting", |body| {
        source_in(body, subnet);
        interface(body, META_OIFNAME, CMP_NEQ, bridge);
        expression(body, "masq", |_| {});
    });
    batch_edge(&mut request, BATCH_END);
    request
}

struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: i32,
}

/// The edges of a transaction. What stands between is carried out as a whole, or not at all.
fn batch_edge(request: &mut Request, kind: u16) {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    request.push_unconfirmed("change the firewall", kind, 0, |body| body.header(&[0, 0, high, low]));
}

fn chain(request: &mut Request, chain: &Chain) {
    request.push("add a firewall chain", NEW_CHAIN, CREATE, |body| {
        body.header(&FAMILY_HEADER);
        body.text(CHAIN_TABLE, TABLE);
        body.text(CHAIN_NAME, chain.name);
        body.nested(CHAIN_HOOK, |body| {
            body.attribute(HOOK_NUMBER, &chain.hook.to_be_bytes());
            body.attribute(HOOK_PRIORITY, &chain.priority.to_be_bytes());
        });
        body.attribute(CHAIN_POLICY, &ACCEPT.to_be_bytes());
        body.text(CHAIN_TYPE, chain.kind);
    });
}

fn rule(request: &mut Request, step: &'static str, chain: &str, expressions: impl FnOnce(&mut Body<'_>)) {
    request.push(step, NEW_RULE, CREATE | APPEND, |body| {
        body.header(&FAMILY_HEADER);
        body.text(RULE_TABLE, TABLE);
        body.text(RULE_CHAIN, chain);
        body.nested(RULE_EXPRESSIONS, expressions);
    });
}

fn expression(body: &mut Body<'_>, name: &str, data: impl FnOnce(&mut Body<'_>)) {
    body.nested(LIST_ELEMENT, |body| {
        body.text(EXPRESSION_NAME, name);
        body.nested(EXPRESSION_DATA, data);
    });
}

/// `iifname`/`oifname` is, or is not, `name`.
fn interface(body: &mut Body<'_>, key: u32, operator: u32, name: &str) {
    expression(body, "meta", |body| {
        body.attribute(META_REGISTER, &REGISTER_1.to_be_bytes());
        body.attribute(META_KEY, &key.to_be_bytes());
    });
    // The register holds the name in a field of fixed size, filled up with zeros.
    let mut field = [0; INTERFACE_NAME_BYTES];
    for (to, from) in field.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    compare(body, operator, &field);
}

/// `ct state established,related`.
fn established_or_related(body: &mut Body<'_>) {
    expression(body, "ct", |body| {
        body.attribute(CT_REGISTER, &REGISTER_1.to_be_bytes());
        body.attribute(CT_KEY, &CT_STATE.to_be_bytes());
    });
    mask(body, &(CT_ESTABLISHED | CT_RELATED).to_ne_bytes());
    compare(body, CMP_NEQ, &0u32.to_ne_bytes());
}

/// `ip saddr subnet`.
fn source_in(body: &mut Body<'_>, subnet: Ipv4Net) {
    expression(body, "payload", |body| {
        body.attribute(PAYLOAD_REGISTER, &REGISTER_1.to_be_bytes());
        body.attribute(PAYLOAD_BASE, &BASE_NETWORK_HEADER.to_be_bytes());
        body.attribute(PAYLOAD_OFFSET, &IPV4_SOURCE_OFFSET.to_be_bytes());
        body.attribute(PAYLOAD_LENGTH, &4u32.to_be_bytes());
    });
    mask(body, &subnet.netmask().octets());
    compare(body, CMP_EQ, &subnet.network().octets());
}

/// Keeps only these bits of the register.
fn mask(body: &mut Body<'_>, bits: &[u8; 4]) {
    expression(body, "bitwise", |body| {
        body.attribute(BITWISE_SOURCE, &REGISTER_1.to_be_bytes());
        body.attribute(BITWISE_DESTINATION, &REGISTER_1.to_be_bytes());
        body.attribute(BITWISE_LENGTH, &4u32.to_be_bytes());
        body.nested(BITWISE_MASK, |body| body.attribute(DATA_VALUE, bits));
        body.nested(BITWISE_XOR, |body| body.attribute(DATA_VALUE, &[0; 4]));
    });
}

fn compare(body: &mut Body<'_>, operator: u32, value: &[u8]) {
    expression(body, "cmp", |body| {
        body.attribute(CMP_REGISTER, &REGISTER_1.to_be_bytes());
        body.attribute(CMP_OPERATOR, &operator.to_be_bytes());
        body.nested(CMP_DATA, |body| body.attribute(DATA_VALUE, value));
    });
}

fn verdict(body: &mut Body<'_>, code: u32) {
    expression(body, "immediate", |body| {
        body.attribute(IMMEDIATE_REGISTER, &REGISTER_VERDICT.to_be_bytes());
        body.nested(IMMEDIATE_DATA, |body| {
            body.nested(DATA_VERDICT, |body| body.attribute(VERDICT_CODE, &code.to_be_bytes()));
        });
    });
}

/// The step that needs NFT_MASQ beside nf_tables.
const MASQUERADE: &str = "hide containers behind the host's address";

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DEL_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const DEL_CHAIN: u16 = SUBSYSTEM << 8 | 5;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const DEL_RULE: u16 = SUBSYSTEM << 8 | 8;

const FAMILY_IPV4: u8 = 2;
/// `struct nfgenmsg`.
const FAMILY_HEADER: [u8; 4] = [FAMILY_IPV4, 0, 0, 0];

const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const META_REGISTER: u16 = 1;
const META_KEY: u16 = 2;
const CT_REGISTER: u16 = 1;
const CT_KEY: u16 = 2;
const PAYLOAD_REGISTER: u16 = 1;
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const PAYLOAD_LENGTH: u16 = 4;
const BITWISE_SOURCE: u16 = 1;
const BITWISE_DESTINATION: u16 = 2;
const BITWISE_LENGTH: u16 = 3;
const BITWISE_MASK: u16 = 4;
const BITWISE_XOR: u16 = 5;
const CMP_REGISTER: u16 = 1;
const CMP_OPERATOR: u16 = 2;
const CMP_DATA: u16 = 3;
const IMMEDIATE_REGISTER: u16 = 1;
const IMMEDIATE_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;

const HOOK_FORWARD: u32 = 2;
const HOOK_POSTROUTING: u32 = 4;
const REGISTER_VERDICT: u32 = 0;
const REGISTER_1: u32 = 1;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const CT_STATE: u32 = 0;
const CT_ESTABLISHED: u32 = 2;
const CT_RELATED: u32 = 4;
const BASE_NETWORK_HEADER: u32 = 1;
const IPV4_SOURCE_OFFSET: u32 = 12;
const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const INTERFACE_NAME_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::codec::messages;

    /// What the kernel tells about a table, chain or rule, as far as it matters here.
    fn news(kind: u16, family: u8, table: &str) -> bool {
        let mut request = Request::default();
        request.push_unconfirmed("test", kind, 0, |body| {
            body.header(&[family, 0, 0, 0]);
            body.text(TABLE_NAME, table);
            body.text(CHAIN_NAME, "forward");
        });
        messages(request.number(0)).all(|message| is_loss(&message))
    }

    #[test]
    fn losses() {
        let table = [
            ("table", DEL_TABLE, FAMILY_IPV4, TABLE, true),
            ("chain", DEL_CHAIN, FAMILY_IPV4, TABLE, true),
            ("rule", DEL_RULE, FAMILY_IPV4, TABLE, true),
            ("added", NEW_RULE, FAMILY_IPV4, TABLE, false),
            ("another family", DEL_TABLE, 10, TABLE, false),
            ("another table", DEL_TABLE, FAMILY_IPV4, "gantry2", false),
            ("no name", DEL_TABLE, FAMILY_IPV4, "", false),
        ];
        for (name, kind, family, of, expected) in table {
            assert_eq!(news(kind, family, of), expected, "{name}");
        }
    }

    /// The whole meaning is checked against nft(8) where there is a kernel to ask; the edges hold everywhere.
    #[test]
    fn a_transaction_is_one_batch() {
        let mut request = transaction("gantry0", "10.9.0.1/24".parse().unwrap());
        let kinds: Vec<u16> = messages(request.number(0)).map(|message| message.kind).collect();
        let expected = [
            BATCH_BEGIN,
            NEW_TABLE,
            DEL_TABLE,
            NEW_TABLE,
            NEW_CHAIN,
            NEW_CHAIN,
            NEW_RULE,
            NEW_RULE,
            NEW_RULE,
            NEW_RULE,
            BATCH_END,
        ];
        assert_eq!(kinds, expected);
        let confirmed: Vec<bool> = request.parts().iter().map(|part| part.confirmed).collect();
        assert_eq!(confirmed, [&[false][..], &[true; 9], &[false]].concat());
    }

    proptest! {
        #[test]
        fn news_is_read_totally(kind in 0xa00u16..0xa10, payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let message = Message { kind, flags: 0, sequence: 0, port: 0, payload: &payload };
            prop_assert!(!is_loss(&message) || payload.len() >= 4 + 4 + TABLE.len());
        }
    }
}
