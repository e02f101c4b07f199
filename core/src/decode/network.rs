//! What calls about networks ask for.

use alloc::{borrow::ToOwned, boxed::Box, string::String};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{filters, section};
use crate::{
    NetworkConnect, NetworkDisconnect, Refusal,
    dialect::Failure,
    json,
    model::{Endpoint, Filters, Ipam, NetworkConfig},
    query::Query,
};

/// Gives the keys of a create, connect or disconnect their proper case. The documents themselves write `container` for
/// `Container`.
pub(super) fn spell(body: &mut Map<String, Value>) {
    json::spell(body, BODY_KEYS);
    if let Some(Value::Object(ipam)) = body.get_mut("IPAM") {
        json::spell(ipam, IPAM_KEYS);
        if let Some(Value::Array(subnets)) = ipam.get_mut("Config") {
            for subnet in subnets.iter_mut().filter_map(Value::as_object_mut) {
                json::spell(subnet, SUBNET_KEYS);
                if let Some(addresses) = subnet.remove("AuxAddress") {
                    subnet.entry("AuxiliaryAddresses").or_insert(addresses);
                }
            }
        }
    }
    if let Some(Value::Object(endpoint)) = body.get_mut("EndpointConfig") {
        json::spell(endpoint, ENDPOINT_KEYS);
        if let Some(Value::Object(ipam)) = endpoint.get_mut("IPAMConfig") {
            json::spell(ipam, ADDRESS_KEYS);
        }
    }
}

/// The filters of a list.
pub(super) fn list(query: &Query) -> Result<Filters, Failure> {
    let filters = filters(query, NETWORK_FILTERS)?;
    let is_type = |value: &&String| matches!(value.as_str(), "builtin" | "custom");
    match filters.values("type").iter().find(|value| !is_type(value)) {
        Some(value) => Err(Failure::Refused(Refusal::BadFilterValue {
            filter: "type".to_owned(),
            value: value.clone(),
        })),
        None => Ok(filters),
    }
}

/// The call of a create.
pub(super) fn create(mut body: Map<String, Value>) -> Result<NetworkConfig, Failure> {
    let ipam = json::typed::<Ipam>(section(&mut body, "IPAM")?, "IPAM.")?;
    let mut config = json::typed::<NetworkConfig>(body, "")?;
    if config.name.is_empty() {
        return Err(Refusal::BadNetworkConfig("invalid name: ".to_owned()).into());
    }
    config.ipam = ipam;
    Ok(config)
}

/// The call of a connect.
pub(super) fn connect(network: String, mut body: Map<String, Value>) -> Result<NetworkConnect, Failure> {
    let is_given = body.get("EndpointConfig").is_some_and(|config| !config.is_null());
    let endpoint = json::typed::<Endpoint>(section(&mut body, "EndpointConfig")?, "EndpointConfig.")?;
    Ok(NetworkConnect {
        network,
        container: member(body)?.0,
        endpoint: is_given.then(|| Box::new(endpoint)),
    })
}

/// The call of a disconnect.
pub(super) fn disconnect(network: String, body: Map<String, Value>) -> Result<NetworkDisconnect, Failure> {
    let (container, force) = member(body)?;
    Ok(NetworkDisconnect {
        network,
        container,
        force,
    })
}

/// The container that a body names, and whether force is to be used.
fn member(body: Map<String, Value>) -> Result<(String, bool), Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Member {
        container: Option<String>,
        force: Option<bool>,
    }
    let Member { container, force } = json::typed(body, "")?;
    match container.filter(|name| !name.is_empty()) {
        Some(container) => Ok((container, force.unwrap_or_default())),
        None => Err(Refusal::BadParameter("invalid name or ID supplied: \"\"".to_owned()).into()),
    }
}

/// Filters of the network list (v1.24).
const NETWORK_FILTERS: &[&str] = &["driver", "id", "label", "name", "type"];

/// Keys of the bodies.
const BODY_KEYS: &[&str] = &[
    "CheckDuplicate",
    "Container",
    "Driver",
    "EnableIPv6",
    "EndpointConfig",
    "Force",
    "IPAM",
    "Internal",
    "Labels",
    "Name",
    "Options",
];

/// Keys of [`Ipam`].
const IPAM_KEYS: &[&str] = &["Config", "Driver", "Options"];

/// Keys of [`IpamConfig`](crate::model::IpamConfig), and one that only the documents write.
const SUBNET_KEYS: &[&str] = &["AuxAddress", "AuxiliaryAddresses", "Gateway", "IPRange", "Subnet"];

/// Keys of [`Endpoint`].
const ENDPOINT_KEYS: &[&str] = &[
    "Aliases",
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAMConfig",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "Links",
    "MacAddress",
    "NetworkID",
];

/// Keys of an endpoint's wished addresses.
const ADDRESS_KEYS: &[&str] = &["IPv4Address", "IPv6Address", "LinkLocalIPs"];

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec, vec::Vec};

    use super::*;
    use crate::model::IpamConfig;

    #[test]
    fn the_key_lists_hold_every_key_of_the_model() {
        let keys = |value: Result<Value, serde_json::Error>| match value {
            Ok(Value::Object(map)) => map.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let subnet = IpamConfig {
            subnet: "a".into(),
            ip_range: "b".into(),
            gateway: "c".into(),
            auxiliary_addresses: [("d".to_string(), "e".to_string())].into(),
        };
        let lists = vec![
            (BODY_KEYS, keys(serde_json::to_value(NetworkConfig::default()))),
            (IPAM_KEYS, keys(serde_json::to_value(Ipam::default()))),
            (SUBNET_KEYS, keys(serde_json::to_value(subnet))),
            (ENDPOINT_KEYS, keys(serde_json::to_value(Endpoint::default()))),
        ];
        for (known, keys) in lists {
            assert!(!keys.is_empty());
            for key in keys {
                assert!(known.contains(&key.as_str()), "{key}");
            }
        }
    }
}
