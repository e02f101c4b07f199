//! How the engine is set up: what `gantryd`'s command line and configuration file say about it.

use std::path::PathBuf;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Images, containers, everything that lasts. Made with mode 0710 when missing.
    pub data_root: PathBuf,
    /// Sockets and what else does not outlive a reboot. Made with mode 0700 when missing.
    pub exec_root: PathBuf,
    /// The program `gantry-keeper`.
    pub keeper: PathBuf,
    /// The program inside the built-in image; `None` installs no such image.
    pub hello: Option<PathBuf>,
    /// Name of the default bridge.
    pub bridge: String,
    /// Address and prefix of the default bridge (`172.31.0.1/16`); `None` chooses a free one.
    pub bridge_address: Option<String>,
    /// Largest packet on the bridge, in bytes.
    pub mtu: u32,
    /// Install firewall rules (masquerading, forwarding) and switch forwarding on.
    pub firewall: bool,
    /// Name servers for containers that name none.
    pub dns: Vec<String>,
    /// Soft and hard limit on descriptors (RLIMIT_NOFILE) in containers that ask for none; `None` leaves them what this
    /// process has.
    pub descriptors: Option<(u64, u64)>,
    /// Labels of the daemon, `name=value`.
    pub labels: Vec<String>,
    /// Debug logging is on.
    pub debug: bool,
}
