//! Networks, by themselves and as containers show them.

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

/// `GET /networks/{id}`, and an entry of `GET /networks`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    /// Name, as created.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// How far it reaches: `local`, or `global` or `swarm` for a cluster.
    pub scope: String,
    /// Driver: `bridge`, `host`, `null`.
    pub driver: String,
    /// Its containers have IPv6 addresses (v1.23).
    #[serde(rename = "EnableIPv6", default)]
    pub enable_ipv6: bool,
    /// Where its addresses come from.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// Nothing beyond it can be reached (v1.23).
    #[serde(default)]
    pub internal: bool,
    /// Id of a running container in it → its place.
    pub containers: BTreeMap<String, NetworkContainer>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Free names and values (v1.23).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Where the addresses of a network come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ipam {
    /// Driver; `default` is the only one, and empty when asked means it.
    #[serde(deserialize_with = "null::as_default")]
    pub driver: String,
    /// The driver's options (v1.22), `null` when there were none.
    #[serde(deserialize_with = "null::as_default")]
    pub options: Option<BTreeMap<String, String>>,
    /// Subnets; when asked and empty, the daemon chooses one.
    #[serde(deserialize_with = "null::as_default")]
    pub config: Vec<IpamConfig>,
}

/// A subnet. Everything is text as the client wrote it; empty is not given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpamConfig {
    /// Address and prefix length, `172.20.0.0/16`.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "String::is_empty")]
    pub subnet: String,
    /// The part of the subnet that containers get addresses from.
    #[serde(
        rename = "IPRange",
        deserialize_with = "null::as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub ip_range: String,
    /// The host's address in it.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// Name → address that no container gets. The documents up to v1.24 call it `AuxAddress`, which is read as well.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary_addresses: BTreeMap<String, String>,
}

/// A container's place as its network shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkContainer {
    /// Name, without leading slash (v1.22).
    #[serde(default)]
    pub name: String,
    /// Endpoint id.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Hardware address.
    pub mac_address: String,
    /// Address and prefix length.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// IPv6 address and prefix length; empty when it has none.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}

/// What `POST /networks/create` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkConfig {
    /// Name; never empty.
    #[serde(deserialize_with = "null::as_default")]
    pub name: String,
    /// Fail when there is a network of that name.
    #[serde(deserialize_with = "null::as_default")]
    pub check_duplicate: bool,
    /// Driver; empty is the daemon's default, `bridge`.
    #[serde(deserialize_with = "null::as_default")]
    pub driver: String,
    /// Give containers IPv6 addresses (v1.23).
    #[serde(rename = "EnableIPv6", deserialize_with = "null::as_default")]
    pub enable_ipv6: bool,
    /// Where addresses come from.
    #[serde(rename = "IPAM", deserialize_with = "null::as_default")]
    pub ipam: Ipam,
    /// Nothing beyond the network is to be reached (v1.22).
    #[serde(deserialize_with = "null::as_default")]
    pub internal: bool,
    /// The driver's options.
    #[serde(deserialize_with = "null::as_default")]
    pub options: BTreeMap<String, String>,
    /// Free names and values (v1.23).
    #[serde(deserialize_with = "null::as_default")]
    pub labels: BTreeMap<String, String>,
}
