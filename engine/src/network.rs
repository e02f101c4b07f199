//! The default network: a bridge in the daemon's network namespace, and a veth pair from it into each container's.
//!
//! ```text
//!   daemon's namespace                              container's namespace
//!   eth0 ── masquerade ── gantry0 ── veth3f9c… ════ eth0 172.31.0.2/16, default via 172.31.0.1
//!                         172.31.0.1/16             lo
//! ```
//! The kernel is spoken to directly: rtnetlink for interfaces, addresses and routes, nf_tables by nfnetlink for the
//! rules. No program is executed. Everything here blocks (for some hundred microseconds) and belongs on a worker thread.
//!
//! An endpoint is never deleted as such: it dies with the container's namespace, which the kernel does in batches in the
//! background, while deleting one interface on request holds up all others for some 16 ms.
//!
//! Not here: published ports, DNS, networks that users make.

mod addresses;
mod bridge;
mod codec;
mod error;
mod files;
mod housekeeping;
mod nftables;
mod route;
mod session;
#[cfg(test)]
mod stage;
mod subnet;
mod sysctl;

pub use self::{
    bridge::{Attachment, Bridge, BridgeConfig, CONTAINER_INTERFACE, Wish, loopback_up},
    error::NetworkError,
    files::{BadExtraHost, ExtraHost, hosts_file, resolv_conf, uses_local_stub},
    subnet::{BadIpv4Net, Ipv4Net},
};
