//! Networks as containers show them.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::null;

/// A host address and port that a container port is published on. Both are text on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// Address; empty is all.
    #[serde(deserialize_with = "null::as_default")]
    pub host_ip: String,
    /// Port or range; empty lets the daemon choose.
    #[serde(deserialize_with = "null::as_default")]
    pub host_port: String,
}

/// Networks to join at creation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkingConfig {
    /// Network name → wishes.
    #[serde(deserialize_with = "null::as_default")]
    pub endpoints_config: BTreeMap<String, Option<Endpoint>>,
}

/// A container's place in one network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    /// Wished addresses.
    #[serde(rename = "IPAMConfig", deserialize_with = "null::as_default")]
    pub ipam_config: Option<BTreeMap<String, serde_json::Value>>,
    /// `container:alias`.
    #[serde(deserialize_with = "null::as_default")]
    pub links: Option<Vec<String>>,
    /// More names in this network.
    #[serde(deserialize_with = "null::as_default")]
    pub aliases: Option<Vec<String>>,
    /// Network id.
    #[serde(rename = "NetworkID", deserialize_with = "null::as_default")]
    pub network_id: String,
    /// Endpoint id.
    #[serde(rename = "EndpointID", deserialize_with = "null::as_default")]
    pub endpoint_id: String,
    /// Gateway address.
    #[serde(deserialize_with = "null::as_default")]
    pub gateway: String,
    /// Address.
    #[serde(rename = "IPAddress", deserialize_with = "null::as_default")]
    pub ip_address: String,
    /// Prefix length.
    #[serde(rename = "IPPrefixLen", deserialize_with = "null::as_default")]
    pub ip_prefix_len: u8,
    /// IPv6 gateway.
    #[serde(rename = "IPv6Gateway", deserialize_with = "null::as_default")]
    pub ipv6_gateway: String,
    /// IPv6 address.
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "null::as_default")]
    pub global_ipv6_address: String,
    /// IPv6 prefix length.
    #[serde(rename = "GlobalIPv6PrefixLen", deserialize_with = "null::as_default")]
    pub global_ipv6_prefix_len: u8,
    /// Hardware address.
    #[serde(deserialize_with = "null::as_default")]
    pub mac_address: String,
}

/// The networks of a list entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSummary {
    /// Network name → place.
    pub networks: BTreeMap<String, Endpoint>,
}

/// The network part of an inspected container. The fields outside `networks` repeat the default bridge's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSettings {
    /// Always empty.
    pub bridge: String,
    /// Id of the network namespace.
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    /// Whether the bridge sends frames back where they came from.
    pub hairpin_mode: bool,
    /// Always empty.
    #[serde(rename = "LinkLocalIPv6Address")]
    pub link_local_ipv6_address: String,
    /// Always 0.
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    pub link_local_ipv6_prefix_len: u8,
    /// Container port → host addresses and ports; `null` for an exposed port that is not published.
    pub ports: BTreeMap<String, Option<Vec<PortBinding>>>,
    /// Path of the network namespace.
    pub sandbox_key: String,
    /// Always `null`.
    #[serde(rename = "SecondaryIPAddresses")]
    pub secondary_ip_addresses: Option<Vec<String>>,
    /// Always `null`.
    #[serde(rename = "SecondaryIPv6Addresses")]
    pub secondary_ipv6_addresses: Option<Vec<String>>,
    /// Endpoint id.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Gateway address.
    pub gateway: String,
    /// IPv6 address.
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    /// IPv6 prefix length.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    /// Address.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// Prefix length.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// IPv6 gateway.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// Hardware address.
    pub mac_address: String,
    /// Network name → place.
    pub networks: BTreeMap<String, Endpoint>,
}
