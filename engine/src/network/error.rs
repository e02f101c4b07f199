//! Why a network could not be made or used.

use std::{error::Error, fmt, io, net::Ipv4Addr, path::PathBuf};

use super::Ipv4Net;

/// What went wrong with a network, and with which one.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetworkError {
    /// Another endpoint has the wished address.
    AddressInUse {
        /// The wish.
        address: Ipv4Addr,
        /// Id of the container that has it.
        container: String,
    },
    /// The address is none that a container of this network can have.
    AddressUnusable {
        /// The wish.
        address: Ipv4Addr,
        /// The network.
        subnet: Ipv4Net,
    },
    /// Every address of the network is in use.
    AddressesExhausted {
        /// The network.
        subnet: Ipv4Net,
    },
    /// The name cannot be that of a network interface.
    BadInterfaceName {
        /// The name.
        name: String,
    },
    /// The hardware address is a group address or all zeros.
    BadMacAddress {
        /// The address.
        mac: [u8; 6],
    },
    /// An interface cannot have this MTU.
    BadMtu {
        /// Bytes.
        mtu: u32,
    },
    /// The network has no room for a gateway and a container, or the gateway's address is not one of a host.
    BadSubnet {
        /// The gateway's address and the length of the prefix.
        subnet: Ipv4Net,
    },
    /// An interface has the bridge's name and is none.
    InterfaceNotBridge {
        /// The name.
        name: String,
    },
    /// The kernel refused.
    Kernel {
        /// What was asked for.
        step: &'static str,
        /// Of which interface or table.
        object: String,
        /// The operating system's error.
        source: io::Error,
        /// What the kernel said beside the number; empty if nothing.
        detail: String,
    },
    /// The kernel was built without something, or its module cannot be loaded.
    MissingFeature {
        /// The name of the feature.
        feature: &'static str,
        /// What was asked for when it was missed.
        step: &'static str,
    },
    /// Every network of the built-in list overlaps with a route or address of the host.
    NoFreeSubnet,
    /// No random bytes for an endpoint id.
    Random {
        /// The operating system's error.
        source: io::Error,
    },
    /// A kernel parameter could not be read or set.
    Sysctl {
        /// The file below `/proc/sys`.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A step that is neither netlink's nor a parameter's: entering a namespace, starting a thread, opening a socket.
    System {
        /// What was tried.
        step: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse { address, container } => {
                write!(f, "address {address} is already in use by {container}")
            }
            Self::AddressUnusable { address, subnet } => {
                write!(f, "address {address} is not one for a container in {subnet}")
            }
            Self::AddressesExhausted { subnet } => write!(f, "no free address left in {subnet}"),
            Self::BadInterfaceName { name } => write!(f, "not a name for a network interface: {name:?}"),
            Self::BadMacAddress {
                mac: [a, b, c, d, e, g],
            } => {
                write!(
                    f,
                    "not a hardware address for an interface: {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"
                )
            }
            Self::BadMtu { mtu } => write!(f, "MTU out of range 68 to 65535: {mtu}"),
            Self::BadSubnet { subnet } => write!(f, "not a gateway address and prefix for a bridge: {subnet}"),
            Self::InterfaceNotBridge { name } => write!(f, "network interface exists and is not a bridge: {name}"),
            Self::Kernel {
                step,
                object,
                source,
                detail,
            } if detail.is_empty() => {
                write!(f, "cannot {step}: {object}: {source}")
            }
            Self::Kernel {
                step,
                object,
                source,
                detail,
            } => write!(f, "cannot {step}: {object}: {source} ({detail})"),
            Self::MissingFeature { feature, step } => write!(f, "cannot {step}: the kernel lacks {feature}"),
            Self::NoFreeSubnet => write!(f, "every default subnet overlaps with a route or address of the host"),
            Self::Random { source } => write!(f, "cannot read random bytes: {source}"),
            Self::Sysctl { path, source } => {
                write!(
                    f,
                    "cannot access kernel parameter: /proc/sys/{}: {source}",
                    path.display()
                )
            }
            Self::System { step, source } => write!(f, "cannot {step}: {source}"),
        }
    }
}

impl Error for NetworkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Kernel { source, .. }
            | Self::Random { source }
            | Self::Sysctl { source, .. }
            | Self::System { source, .. } => Some(source),
            Self::AddressInUse { .. }
            | Self::AddressUnusable { .. }
            | Self::AddressesExhausted { .. }
            | Self::BadInterfaceName { .. }
            | Self::BadMacAddress { .. }
            | Self::BadMtu { .. }
            | Self::BadSubnet { .. }
            | Self::InterfaceNotBridge { .. }
            | Self::MissingFeature { .. }
            | Self::NoFreeSubnet => None,
        }
    }
}
