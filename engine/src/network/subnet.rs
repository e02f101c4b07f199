//! IPv4 networks: an address with the length of its prefix.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize, de};

/// An address in its network. As text (and in JSON) `172.31.0.1/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ipv4Net {
    address: Ipv4Addr,
    /// 0 … 32.
    prefix_len: u8,
}

impl Ipv4Net {
    /// `None` if the prefix is longer than 32 bits.
    pub const fn new(address: Ipv4Addr, prefix_len: u8) -> Option<Self> {
        if prefix_len <= 32 {
            Some(Self { address, prefix_len })
        } else {
            None
        }
    }

    /// The address, with its host bits.
    pub const fn address(self) -> Ipv4Addr {
        self.address
    }

    /// Bits of the prefix, 0 … 32.
    pub const fn prefix_len(self) -> u8 {
        self.prefix_len
    }

    /// The prefix's bits as an address: `255.255.0.0`.
    pub const fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.mask())
    }

    /// The lowest address: the network itself.
    pub const fn network(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() & self.mask())
    }

    /// The highest address: everyone in the network.
    pub const fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask())
    }

    /// Whether the address is in the network.
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.network().to_bits()
    }

    /// Whether the networks share an address.
    pub const fn overlaps(self, other: Self) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }

    /// Whether a bridge can have it: room for a gateway and a container, and an address of a host.
    pub(super) fn fits_bridge(self) -> bool {
        (8..=30).contains(&self.prefix_len)
            && self.address != self.network()
            && self.address != self.broadcast()
            && !self.address.is_loopback()
            && !self.address.is_multicast()
            && self.address.octets()[0] != 0
            && self.address.octets()[0] < 240
    }

    const fn mask(self) -> u32 {
        match u32::MAX.checked_shl(32 - self.prefix_len as u32) {
            Some(mask) => mask,
            None => 0,
        }
    }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

/// The text is not `address/prefix length`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadIpv4Net {
    text: String,
}

impl fmt::Display for BadIpv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not an IPv4 address with the length of its prefix, such as 172.31.0.1/16: {:?}",
            self.text
        )
    }
}

impl std::error::Error for BadIpv4Net {}

impl FromStr for Ipv4Net {
    type Err = BadIpv4Net;

    fn from_str(text: &str) -> Result<Self, BadIpv4Net> {
        let parse = || {
            let (address, prefix_len) = text.split_once('/')?;
            // `u8::from_str` would take "+16".
            let digits = prefix_len.bytes().all(|byte| byte.is_ascii_digit());
            Self::new(address.parse().ok()?, digits.then(|| prefix_len.parse().ok())??)
        };
        parse().ok_or_else(|| BadIpv4Net { text: text.to_owned() })
    }
}

impl Serialize for Ipv4Net {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ipv4Net {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The first network of the built-in list that shares no address with `taken`.
///
/// Routes with prefixes shorter than 8 bits are no obstacle: they say "everything else", as `0.0.0.0/1` of a VPN does.
pub(super) fn choose(taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    candidates().find(|candidate| !taken.iter().any(|net| net.prefix_len >= 8 && net.overlaps(*candidate)))
}

/// Private networks (RFC 1918) that other daemons use last: 172.31.0.1/16 down to 172.17.0.1/16, then 192.168.240.1/20
/// down to 192.168.0.1/20.
fn candidates() -> impl Iterator<Item = Ipv4Net> {
    let large = (17..=31).rev().map(|second| Ipv4Net {
        address: Ipv4Addr::new(172, second, 0, 1),
        prefix_len: 16,
    });
    let small = (0..=15).rev().map(|third| Ipv4Net {
        address: Ipv4Addr::new(192, 168, third * 16, 1),
        prefix_len: 20,
    });
    large.chain(small)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn texts() {
        let table = [
            ("172.31.0.1/16", true),
            ("0.0.0.0/0", true),
            ("10.1.2.3/32", true),
            ("10.1.2.3/33", false),
            ("10.1.2.3/+8", false),
            ("10.1.2.3/", false),
            ("10.1.2.3", false),
            ("10.1.2/8", false),
            ("::1/8", false),
            ("", false),
        ];
        for (text, good) in table {
            match text.parse::<Ipv4Net>() {
                Ok(net) => assert!(good && net.to_string() == text, "{text}"),
                Err(error) => assert!(!good && error.to_string().ends_with(&format!("{text:?}")), "{text}"),
            }
        }
    }

    #[test]
    fn bridges() {
        let table = [
            ("172.31.0.1/16", true),
            ("10.0.0.1/8", true),
            ("10.0.0.1/30", true),
            ("10.0.0.1/31", false),
            ("10.0.0.1/7", false),
            ("10.0.0.0/24", false),
            ("10.0.0.255/24", false),
            ("127.0.0.1/8", false),
            ("224.0.0.1/24", false),
            ("240.0.0.1/24", false),
            ("0.0.0.1/24", false),
        ];
        for (text, expected) in table {
            assert_eq!(net(text).fits_bridge(), expected, "{text}");
        }
    }

    #[test]
    fn first_free() {
        let all: Vec<Ipv4Net> = candidates().collect();
        let table: &[(&str, &[Ipv4Net], Option<&str>)] = &[
            ("nothing taken", &[], Some("172.31.0.1/16")),
            ("an address inside", &[net("172.31.77.1/32")], Some("172.30.0.1/16")),
            ("a wider route", &[net("172.24.0.0/13")], Some("172.23.0.1/16")),
            ("all of 172.16/12", &[net("172.16.0.0/12")], Some("192.168.240.1/20")),
            ("default route", &[net("0.0.0.0/0")], Some("172.31.0.1/16")),
            (
                "halves of everything",
                &[net("0.0.0.0/1"), net("128.0.0.0/1")],
                Some("172.31.0.1/16"),
            ),
            ("everything", &all, None),
        ];
        for (name, taken, expected) in table {
            assert_eq!(choose(taken), expected.map(net), "{name}");
        }
        assert!(all.iter().all(|net| net.fits_bridge()));
    }

    proptest! {
        #[test]
        fn bounds(bits: u32, other: u32, prefix_len in 0u8..=32) {
            let net = Ipv4Net::new(bits.into(), prefix_len).unwrap();
            let inside = (u64::from(u32::from(net.network()))..=u64::from(u32::from(net.broadcast()))).contains(&other.into());
            prop_assert_eq!(net.contains(other.into()), inside);
            prop_assert_eq!(net.contains(bits.into()), true);
            prop_assert_eq!(net.overlaps(Ipv4Net::new(other.into(), 32).unwrap()), inside);
            prop_assert_eq!(net.to_string().parse(), Ok(net));
        }
    }
}
