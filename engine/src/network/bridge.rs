//! The bridge, and the way of a container to it.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read,
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{
    Ipv4Net, NetworkError,
    addresses::{Addresses, Holder},
    codec::Request,
    housekeeping::{Housekeeping, Rules},
    route::{self, VethPair},
    session::{Refused, Session},
    subnet,
    sysctl::Sysctl,
};
use crate::sys::{netlink::Family, netns::inside};

/// How the bridge is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Interface name, 1 … 15 bytes.
    pub name: String,
    /// The gateway's address in the network of the containers (`--bip`); prefix of 8 … 30 bits. `None` keeps the address
    /// of a bridge that is there, and chooses a free network for a new one.
    pub address: Option<Ipv4Net>,
    /// Largest packet in bytes, 68 … 65535.
    pub mtu: u32,
    /// Install firewall rules; `--iptables=false` leaves the firewall alone, rules of an earlier daemon included.
    pub masquerade: bool,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            name: "gantry0".into(),
            address: None,
            mtu: 1500,
            masquerade: true,
        }
    }
}

/// What a client wishes for its container. `None` leaves it to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Address; in the bridge's network.
    pub address: Option<Ipv4Addr>,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
}

/// A container's place on the bridge. The container engine stores it, and gives it back after a restart of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The container's address.
    pub address: Ipv4Addr,
    /// Bits of the network's prefix.
    pub prefix_len: u8,
    /// Where everything outside the network is sent to: the bridge.
    pub gateway: Ipv4Addr,
    /// The container's hardware address; unless wished otherwise, `02:42` and the address's four bytes.
    pub mac: [u8; 6],
    /// 64 random hexadecimal digits; different for each stay of a container.
    pub endpoint_id: String,
    /// The other end of the container's interface, a port of the bridge.
    pub host_interface: String,
}

/// The name that a container sees its end by.
pub const CONTAINER_INTERFACE: &str = "eth0";

/// A bridge of this daemon, in the network namespace of the thread that opened it.
///
/// As long as it lives, rules that somebody else deletes are put in force again within a second. Dropping it leaves
/// bridge, rules and containers as they are, for the next daemon to adopt.
#[derive(Debug)]
pub struct Bridge {
    /// `address` is always there.
    config: BridgeConfig,
    subnet: Ipv4Net,
    index: u32,
    /// The kernel knows IPv6.
    ipv6: bool,
    warnings: Vec<NetworkError>,
    session: Mutex<Session>,
    addresses: Mutex<Addresses>,
    housekeeping: Housekeeping,
}

impl Bridge {
    /// Makes the bridge in the calling thread's network namespace, or adopts the one that an earlier daemon has left there,
    /// and puts its firewall rules in force. Containers that are on it stay connected. The host forwards IPv4 packets from
    /// then on, between its other interfaces too.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used, the kernel lacks something or refuses it. A bridge that was made is gone again.
    pub fn open(config: &BridgeConfig) -> Result<Self, NetworkError> {
        check(config)?;
        let mut session = Session::open(Family::Route)?;
        let name = config.name.as_str();
        let found = route::link(&mut session, name).map_err(|refused| refused.about(name))?;
        let created = found.is_none();
        if found.is_some_and(|link| link.kind != "bridge") {
            return Err(NetworkError::InterfaceNotBridge { name: name.to_owned() });
        }
        let subnet = match config.address {
            Some(address) => address,
            None => default_subnet(&mut session, name)?,
        };
        if created {
            create(&mut session, config, subnet)?;
        }
        Self::configure(&mut session, config, subnet)
            .and_then(|configured| configured.finish(session))
            .inspect_err(|_| {
                if created && let Ok(mut session) = Session::open(Family::Route) {
                    delete(&mut session, name);
                }
            })
    }

    fn configure(session: &mut Session, config: &BridgeConfig, subnet: Ipv4Net) -> Result<Configured, NetworkError> {
        let name = config.name.as_str();
        let about = |refused: Refused| refused.about(name);
        let sysctl = Sysctl::open()?;
        let ipv6 = sysctl.exists(Path::new("net/ipv6/conf/default"));
        // The MTU decides whether the interface has IPv6 parameters, so it comes before them.
        let mut request = Request::default();
        route::set_mtu(&mut request, name, config.mtu);
        session.submit(request).map_err(about)?;
        if ipv6 && config.mtu >= IPV6_MTU_MIN {
            keep_ipv6_off(&sysctl, name)?;
        }

        let held = |session: &mut Session, index| -> Result<Vec<Ipv4Net>, NetworkError> {
            let all = route::addresses(session).map_err(about)?;
            Ok(all
                .into_iter()
                .filter(|(holder, _)| *holder == index)
                .map(|(_, net)| net)
                .collect())
        };
        let index = route::link(session, name)
            .map_err(about)?
            .ok_or_else(|| no_bridge(name))?
            .index;
        // Only one address: containers know one gateway. The kernel removes what was secondary to a removed one with it, so
        // one after the other.
        while let Some(former) = held(session, index)?.into_iter().find(|net| *net != subnet) {
            let mut request = Request::default();
            route::delete_address(&mut request, index, former);
            session.submit(request).map_err(about)?;
        }
        let mut request = Request::default();
        if held(session, index)?.is_empty() {
            route::add_address(&mut request, index, subnet);
        }
        route::set_up(&mut request, name);
        session.submit(request).map_err(about)?;

        let rules = if config.masquerade {
            Some(Rules::install(name, subnet)?)
        } else {
            None
        };
        // Containers reach each other and the host without it.
        let warnings = sysctl
            .ensure(Path::new("net/ipv4/ip_forward"), "1")
            .err()
            .into_iter()
            .collect();
        let config = BridgeConfig {
            address: Some(subnet),
            ..config.clone()
        };
        Ok(Configured {
            config,
            subnet,
            index,
            ipv6,
            warnings,
            rules,
        })
    }

    /// The configuration, with the address that was chosen.
    pub fn config(&self) -> &BridgeConfig {
        &self.config
    }

    /// The gateway's address in the network of the containers.
    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// What does not work but keeps no container from running: packets are not forwarded beyond the host.
    pub fn warnings(&self) -> &[NetworkError] {
        &self.warnings
    }

    /// Connects a network namespace: loopback up, an interface `eth0` with an address and a default route. Many threads
    /// may attach at once.
    ///
    /// # Errors
    ///
    /// A wish cannot be met, no address is free, or the kernel refuses. Nothing is left of the attempt, but that the
    /// namespace's parameters for new interfaces keep IPv6 off.
    pub fn attach(&self, netns: BorrowedFd<'_>, container_id: &str, wish: Wish) -> Result<Attachment, NetworkError> {
        if let Some(mac) = wish.mac
            && (mac[0] & 1 != 0 || mac == [0; 6])
        {
            return Err(NetworkError::BadMacAddress { mac });
        }
        let endpoint_id = random_id()?;
        let host_interface = format!("veth{}", &endpoint_id[..INTERFACE_DIGITS]);
        let holder = Holder {
            endpoint: endpoint_id.clone(),
            container: container_id.to_owned(),
        };
        let address = match wish.address {
            Some(address) => self.addresses().take(address, holder).map(|()| address)?,
            None => self.addresses().take_next(holder)?,
        };
        let mac = wish.mac.unwrap_or_else(|| mac_of(address));
        let (prefix_len, gateway) = (self.subnet.prefix_len(), self.subnet.address());
        let attachment = Attachment {
            address,
            prefix_len,
            gateway,
            mac,
            endpoint_id,
            host_interface,
        };
        self.connect(netns, &attachment).inspect_err(|_| {
            self.addresses().release(address, &attachment.endpoint_id);
        })?;
        Ok(attachment)
    }

    fn connect(&self, netns: BorrowedFd<'_>, attachment: &Attachment) -> Result<(), NetworkError> {
        let name = attachment.host_interface.as_str();
        // Before the interface is there, so that it has never had IPv6.
        let mut visitor = visit(netns, || {
            if self.ipv6 {
                keep_ipv6_off(&Sysctl::open()?, "default")?;
            }
            Session::open(Family::Route)
        })?;

        let mut request = Request::default();
        let pair = VethPair {
            host_interface: name,
            bridge: self.index,
            interface: CONTAINER_INTERFACE,
            mac: attachment.mac,
            netns: netns.as_raw_fd(),
            mtu: self.config.mtu,
        };
        route::create_veth_pair(&mut request, &pair);
        let created = request.parts()[0].step;
        if self.ipv6 && self.config.mtu >= IPV6_MTU_MIN {
            route::no_link_local(&mut request, name);
        }
        route::set_up(&mut request, name);
        let mut session = self.session();
        if let Err(refused) = session.submit(request) {
            // If it was not even created, the name may be somebody else's.
            if refused.step != created {
                delete(&mut session, name);
            } else if refused.errno == Errno::EOPNOTSUPP {
                return Err(NetworkError::MissingFeature {
                    feature: "veth",
                    step: refused.step,
                });
            } else if !matches!(route::link(&mut session, &self.config.name), Ok(Some(link)) if link.index == self.index)
            {
                return Err(no_bridge(&self.config.name));
            }
            return Err(refused.about(name));
        }
        drop(session);
        self.configure_container(&mut visitor, attachment).map_err(|refused| {
            delete(&mut self.session(), name);
            refused.about(CONTAINER_INTERFACE)
        })
    }

    fn configure_container(&self, session: &mut Session, attachment: &Attachment) -> Result<(), Refused> {
        let link = route::link(session, CONTAINER_INTERFACE)?;
        // Gone already: somebody inside the namespace has renamed or deleted it. The next step says so.
        let index = link.map_or(0, |link| link.index);
        let mut request = Request::default();
        route::set_loopback_up(&mut request);
        if let Some(net) = Ipv4Net::new(attachment.address, attachment.prefix_len) {
            route::add_address(&mut request, index, net);
        }
        route::set_up(&mut request, CONTAINER_INTERFACE);
        route::add_default_route(&mut request, index, attachment.gateway);
        session.submit(request)
    }

    /// Takes note that a container is gone: its address is free again. The interface is expected to disappear with the
    /// namespace; if it is still there some seconds later (another process holds the namespace), it is deleted. Harmless
    /// if done twice.
    pub fn detach(&self, attachment: &Attachment) {
        self.addresses().release(attachment.address, &attachment.endpoint_id);
        self.housekeeping.expect_gone(&attachment.host_interface);
    }

    /// Takes note that a container which outlived an earlier daemon has its place, and puts its interface on the bridge
    /// again, should the bridge be a new one. Harmless if done twice. The namespace may be about to die: a missing
    /// interface is no error.
    ///
    /// # Errors
    ///
    /// The address is outside this bridge's network, or another endpoint's. Or the kernel refuses; the container has its
    /// address all the same.
    pub fn adopt(&self, container_id: &str, attachment: &Attachment) -> Result<(), NetworkError> {
        let holder = Holder {
            endpoint: attachment.endpoint_id.clone(),
            container: container_id.to_owned(),
        };
        self.addresses().take(attachment.address, holder)?;
        let mut request = Request::default();
        route::set_bridge(&mut request, &attachment.host_interface, self.index);
        match self.session().submit(request) {
            Err(refused) if refused.errno != Errno::ENODEV => Err(refused.about(&attachment.host_interface)),
            _ => Ok(()),
        }
    }

    // What the locks protect is whole after each step, so a panic elsewhere does no harm to it.

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the loopback interface of a namespace up: all that a container without network gets.
///
/// # Errors
///
/// The namespace cannot be entered, or the kernel refuses.
pub fn loopback_up(netns: BorrowedFd<'_>) -> Result<(), NetworkError> {
    let mut session = visit(netns, || Session::open(Family::Route))?;
    let mut request = Request::default();
    route::set_loopback_up(&mut request);
    session.submit(request).map_err(|refused| refused.about("lo"))
}

/// A bridge in the kernel that nobody watches yet.
struct Configured {
    config: BridgeConfig,
    subnet: Ipv4Net,
    index: u32,
    ipv6: bool,
    warnings: Vec<NetworkError>,
    rules: Option<Rules>,
}

impl Configured {
    fn finish(self, session: Session) -> Result<Bridge, NetworkError> {
        let Self {
            config,
            subnet,
            index,
            ipv6,
            warnings,
            rules,
        } = self;
        let housekeeping = Housekeeping::start(Session::open(Family::Route)?, rules)?;
        let (session, addresses) = (Mutex::new(session), Mutex::new(Addresses::new(subnet)));
        Ok(Bridge {
            config,
            subnet,
            index,
            ipv6,
            warnings,
            session,
            addresses,
            housekeeping,
        })
    }
}

fn check(config: &BridgeConfig) -> Result<(), NetworkError> {
    let BridgeConfig { name, address, mtu, .. } = config;
    // As the kernel's dev_valid_name, and no control characters besides.
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > INTERFACE_NAME_BYTES_MAX || name == "." || name == ".." || name.contains(odd) {
        return Err(NetworkError::BadInterfaceName { name: name.clone() });
    }
    // These are directories of /proc/sys/net/*/conf that belong to no interface.
    if ["all", "default"].contains(&name.as_str()) {
        return Err(NetworkError::BadInterfaceName { name: name.clone() });
    }
    if !(68..=65535).contains(mtu) {
        return Err(NetworkError::BadMtu { mtu: *mtu });
    }
    match address {
        Some(subnet) if !subnet.fits_bridge() => Err(NetworkError::BadSubnet { subnet: *subnet }),
        _ => Ok(()),
    }
}

/// The network of the bridge that is there, else one that the host does not use.
fn default_subnet(session: &mut Session, name: &str) -> Result<Ipv4Net, NetworkError> {
    let about = |refused: Refused| refused.about(name);
    let link = route::link(session, name).map_err(about)?;
    let addresses = route::addresses(session).map_err(about)?;
    let held = addresses
        .iter()
        .find(|(index, net)| Some(*index) == link.as_ref().map(|l| l.index) && net.fits_bridge());
    if let Some((_, net)) = held {
        return Ok(*net);
    }
    let mut taken: Vec<Ipv4Net> = addresses.into_iter().map(|(_, net)| net).collect();
    taken.extend(route::destinations(session).map_err(about)?);
    subnet::choose(&taken).ok_or(NetworkError::NoFreeSubnet)
}

fn create(session: &mut Session, config: &BridgeConfig, subnet: Ipv4Net) -> Result<(), NetworkError> {
    let mut request = Request::default();
    route::create_bridge(&mut request, &config.name, mac_of(subnet.address()), config.mtu);
    session.submit(request).map_err(|refused| match refused.errno {
        Errno::EOPNOTSUPP => NetworkError::MissingFeature {
            feature: "bridge",
            step: refused.step,
        },
        _ => refused.about(&config.name),
    })
}

/// Somebody has deleted it.
fn no_bridge(name: &str) -> NetworkError {
    let (object, source) = (name.to_owned(), Errno::ENODEV.into());
    NetworkError::Kernel {
        step: "find the bridge",
        object,
        source,
        detail: String::new(),
    }
}

/// Undoes a creation. That it fails too would be no news: the cause is the same, and is told.
fn delete(session: &mut Session, name: &str) {
    let mut request = Request::default();
    route::delete_link(&mut request, name);
    let _ = session.submit(request);
}

/// No IPv6 on an interface that is given no IPv6 address, and no router on the link may give it one (CVE-2020-13401,
/// CVE-2024-32473).
fn keep_ipv6_off(sysctl: &Sysctl, interface: &str) -> Result<(), NetworkError> {
    let directory = Path::new("net/ipv6/conf").join(OsStr::new(interface));
    sysctl.set(&directory.join("accept_ra"), "0")?;
    sysctl.set(&directory.join("disable_ipv6"), "1")
}

/// Runs `call` inside a container's namespace.
fn visit<T: Send>(
    netns: BorrowedFd<'_>,
    call: impl FnOnce() -> Result<T, NetworkError> + Send,
) -> Result<T, NetworkError> {
    inside(netns, call).map_err(|source| NetworkError::System {
        step: "enter the container's network namespace",
        source,
    })?
}

/// Docker's rule: locally administered `02:42`, and the address.
fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// 64 hexadecimal digits.
fn random_id() -> Result<String, NetworkError> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| NetworkError::Random { source })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// IFNAMSIZ without the final zero byte.
const INTERFACE_NAME_BYTES_MAX: usize = 15;
/// As many random digits as fit behind `veth`.
const INTERFACE_DIGITS: usize = INTERFACE_NAME_BYTES_MAX - "veth".len();
/// RFC 8200 §5. The kernel has no IPv6 on interfaces with less.
const IPV6_MTU_MIN: u32 = 1280;

#[cfg(test)]
mod tests;
