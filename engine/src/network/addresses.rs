//! Which endpoint has which address of a network.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{Ipv4Net, NetworkError};

/// The addresses of one network.
///
/// They are given out upwards from the last one, and from the lowest again after the highest, so that a freed address
/// rests as long as possible: neighbours and DNS answers elsewhere may still know its former owner.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The gateway's address and the network. `fits_bridge` holds.
    subnet: Ipv4Net,
    holders: BTreeMap<u32, Holder>,
    /// Where the search for a free one begins. First host … broadcast.
    next: u32,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// Tells apart two stays of one container.
    pub(super) endpoint: String,
    /// For people.
    pub(super) container: String,
}

impl Addresses {
    /// All free but the gateway's, which is `subnet`'s own.
    pub(super) fn new(subnet: Ipv4Net) -> Self {
        Self {
            subnet,
            holders: BTreeMap::new(),
            next: subnet.network().to_bits() + 1,
        }
    }

    /// Gives the next free address to an endpoint.
    pub(super) fn take_next(&mut self, holder: Holder) -> Result<Ipv4Addr, NetworkError> {
        let first = self.subnet.network().to_bits() + 1;
        let end = self.subnet.broadcast().to_bits();
        let free = (self.next..end)
            .chain(first..self.next)
            .find(|bits| *bits != self.subnet.address().to_bits() && !self.holders.contains_key(bits))
            .ok_or(NetworkError::AddressesExhausted { subnet: self.subnet })?;
        self.next = free + 1;
        self.holders.insert(free, holder);
        Ok(free.into())
    }

    /// Gives a certain address to an endpoint. Harmless if the endpoint has it already.
    pub(super) fn take(&mut self, address: Ipv4Addr, holder: Holder) -> Result<(), NetworkError> {
        let subnet = self.subnet;
        let reserved = [subnet.network(), subnet.broadcast(), subnet.address()].contains(&address);
        if reserved || !subnet.contains(address) {
            return Err(NetworkError::AddressUnusable { address, subnet });
        }
        match self.holders.get(&address.to_bits()) {
            Some(other) if other.endpoint != holder.endpoint => Err(NetworkError::AddressInUse {
                address,
                container: other.container.clone(),
            }),
            _ => {
                self.holders.insert(address.to_bits(), holder);
                Ok(())
            }
        }
    }

    /// Frees an address, if this endpoint has it.
    pub(super) fn release(&mut self, address: Ipv4Addr, endpoint: &str) {
        if self
            .holders
            .get(&address.to_bits())
            .is_some_and(|holder| holder.endpoint == endpoint)
        {
            self.holders.remove(&address.to_bits());
        }
    }

    /// How many are in use, without the gateway's.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn holder(endpoint: &str) -> Holder {
        Holder {
            endpoint: endpoint.into(),
            container: format!("container of {endpoint}"),
        }
    }

    fn last(address: Ipv4Addr) -> u8 {
        address.octets()[3]
    }

    #[test]
    fn upwards_and_round() {
        let mut addresses = Addresses::new("10.0.0.3/29".parse().unwrap());
        let mut take = |name: &str| addresses.take_next(holder(name)).map(last).ok();
        assert_eq!([take("a"), take("b"), take("c")], [Some(1), Some(2), Some(4)]);
        addresses.release([10, 0, 0, 1].into(), "a");
        addresses.release([10, 0, 0, 2].into(), "not b");
        let mut take = |name: &str| addresses.take_next(holder(name)).map(last).ok();
        assert_eq!(
            [take("d"), take("e"), take("f"), take("g")],
            [Some(5), Some(6), Some(1), None]
        );
        assert_eq!(
            addresses.take_next(holder("g")).unwrap_err().to_string(),
            "no free address left in 10.0.0.3/29"
        );
    }

    #[test]
    fn wishes() {
        let table = [
            ("free", [10, 0, 0, 2], "b", None),
            (
                "network",
                [10, 0, 0, 0],
                "b",
                Some("address 10.0.0.0 is not one for a container in 10.0.0.1/29"),
            ),
            (
                "broadcast",
                [10, 0, 0, 7],
                "b",
                Some("address 10.0.0.7 is not one for a container in 10.0.0.1/29"),
            ),
            (
                "gateway",
                [10, 0, 0, 1],
                "b",
                Some("address 10.0.0.1 is not one for a container in 10.0.0.1/29"),
            ),
            (
                "elsewhere",
                [10, 0, 0, 8],
                "b",
                Some("address 10.0.0.8 is not one for a container in 10.0.0.1/29"),
            ),
            (
                "held",
                [10, 0, 0, 6],
                "b",
                Some("address 10.0.0.6 is already in use by container of a"),
            ),
            ("held by the same", [10, 0, 0, 6], "a", None),
        ];
        for (name, address, endpoint, expected) in table {
            let mut addresses = Addresses::new("10.0.0.1/29".parse().unwrap());
            addresses.take([10, 0, 0, 6].into(), holder("a")).unwrap();
            let error = addresses
                .take(address.into(), holder(endpoint))
                .err()
                .map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{name}");
        }
    }

    proptest! {
        /// The oracle is a set of what is out.
        #[test]
        fn never_twice(prefix_len in 26u8..=30, steps in prop::collection::vec((any::<bool>(), any::<u8>()), 0..200)) {
            let subnet = Ipv4Net::new([10, 0, 0, 1].into(), prefix_len).unwrap();
            let capacity = (1usize << (32 - prefix_len)) - 3;
            let mut addresses = Addresses::new(subnet);
            let mut out = HashSet::new();
            for (take, which) in steps {
                if take {
                    match addresses.take_next(holder("e")) {
                        Ok(address) => prop_assert!(subnet.contains(address) && out.insert(address)),
                        Err(_) => prop_assert_eq!(out.len(), capacity),
                    }
                } else if let Some(address) = out.iter().nth(usize::from(which) % out.len().max(1)).copied() {
                    addresses.release(address, "e");
                    out.remove(&address);
                }
                prop_assert_eq!(addresses.len(), out.len());
            }
        }
    }
}
