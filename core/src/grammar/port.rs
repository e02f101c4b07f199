//! Ports: `80/tcp` as keys of `ExposedPorts` and `PortBindings`, and what `PortSpecs` of old versions and `-p` say:
//! `[[address:][host port]:]container port[/protocol]`, where a port may be a range.
//!
//! Source: Engine API, "Create a container", `ExposedPorts` and `HostConfig.PortBindings`; Remote API v1.0, `PortSpecs`;
//! Docker CLI reference, `docker run -p`.

use alloc::{borrow::ToOwned, format, string::String};
use core::{fmt, net::IpAddr};

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// TCP, which is meant where none is named.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    fn parse(text: &str) -> Result<Self, String> {
        let known = [Self::Tcp, Self::Udp, Self::Sctp];
        let found = known
            .into_iter()
            .find(|protocol| text.eq_ignore_ascii_case(protocol.name()));
        found.ok_or_else(|| format!("invalid proto: {text}"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Ports in a row, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// How many there are.
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// Parses `80` or `80-89`; `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self {
            first: port(first)?,
            last: port(last)?,
        };
        (range.first <= range.last).then_some(range)
    }
}

/// A container's port: a key of `ExposedPorts` and `PortBindings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its number, not 0.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl Port {
    /// Parses `80` or `80/tcp`.
    ///
    /// # Errors
    /// It is no single port, is 0, or the protocol is unknown.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, protocol) = split_protocol(text)?;
        match PortRange::parse(number) {
            Some(PortRange { first, last }) if first == last && first != 0 => Ok(Self {
                number: first,
                protocol,
            }),
            _ => Err(format!("invalid port specification: {number:?}")),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// What to publish where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSpec {
    /// The host's address; `None` is every one.
    pub address: Option<IpAddr>,
    /// The host's ports, as many as the container's unless that is a single one; `None` lets the daemon choose.
    pub host: Option<PortRange>,
    /// The container's ports.
    pub container: PortRange,
    /// Their protocol.
    pub protocol: Protocol,
}

impl PortSpec {
    /// Parses a specification.
    ///
    /// # Errors
    /// A part is missing, is no number, address or protocol, or the two ranges do not fit each other.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (ports, protocol) = split_protocol(text)?;
        let (rest, container) = ports.rsplit_once(':').unwrap_or(("", ports));
        if container.is_empty() {
            return Err(format!("no port specified: {text}<empty>"));
        }
        let (address, host) = rest.rsplit_once(':').unwrap_or(("", rest));
        let bare = address
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(address);
        let spec = Self {
            address: match bare {
                "" => None,
                _ => Some(bare.parse().map_err(|_| format!("invalid IP address: {bare}"))?),
            },
            host: match host {
                "" => None,
                _ => Some(PortRange::parse(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
            },
            container: PortRange::parse(container).ok_or_else(|| format!("invalid containerPort: {container}"))?,
            protocol,
        };
        // A single port of the container may take any one out of a range of the host's.
        match spec.host {
            Some(range) if range.count() != spec.container.count() && spec.container.count() != 1 => Err(format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            )),
            _ => Ok(spec),
        }
    }
}

fn split_protocol(text: &str) -> Result<(&str, Protocol), String> {
    match text.split_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((_, "")) => Err("invalid proto: ".to_owned()),
        Some((ports, protocol)) => Ok((ports, Protocol::parse(protocol)?)),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ports() {
        let rows = [
            ("80/tcp", Some("80/tcp")),
            ("80", Some("80/tcp")),
            ("53/UDP", Some("53/udp")),
            ("65535/sctp", Some("65535/sctp")),
            ("65536", None),
            ("0/tcp", None),
            ("", None),
            ("/tcp", None),
            ("80/", None),
            ("80/icmp", None),
            ("80-81/tcp", None),
            ("+80", None),
            ("-80", None),
            (" 80", None),
            ("80/tcp/udp", None),
        ];
        for (text, expected) in rows {
            let port = Port::parse(text).ok().map(|port| port.to_string());
            assert_eq!(port.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn specs() {
        let range = |first, last| PortRange { first, last };
        let spec = |address: &str, host, container| {
            Ok(PortSpec {
                address: (!address.is_empty()).then(|| address.parse().expect("address")),
                host,
                container,
                protocol: Protocol::Tcp,
            })
        };
        let rows = [
            ("80", spec("", None, range(80, 80))),
            ("8080:80", spec("", Some(range(8080, 8080)), range(80, 80))),
            (":80", spec("", None, range(80, 80))),
            ("127.0.0.1::80", spec("127.0.0.1", None, range(80, 80))),
            (
                "127.0.0.1:8080:80/tcp",
                spec("127.0.0.1", Some(range(8080, 8080)), range(80, 80)),
            ),
            ("[::1]:8080:80", spec("::1", Some(range(8080, 8080)), range(80, 80))),
            ("::1:8080:80", spec("::1", Some(range(8080, 8080)), range(80, 80))),
            ("8000-8002:80-82", spec("", Some(range(8000, 8002)), range(80, 82))),
            ("8000-8002:80", spec("", Some(range(8000, 8002)), range(80, 80))),
            ("0:80", spec("", Some(range(0, 0)), range(80, 80))),
            (
                "8000-8001:80-82",
                Err("invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
            ),
            ("", Err("no port specified: <empty>")),
            ("8080:", Err("no port specified: 8080:<empty>")),
            ("8080:x", Err("invalid containerPort: x")),
            ("x:80", Err("invalid hostPort: x")),
            ("82-80", Err("invalid containerPort: 82-80")),
            ("localhost:8080:80", Err("invalid IP address: localhost")),
            ("80/x", Err("invalid proto: x")),
            ("80/", Err("invalid proto: ")),
            ("99999", Err("invalid containerPort: 99999")),
        ];
        for (text, expected) in rows {
            assert_eq!(PortSpec::parse(text), expected.map_err(ToOwned::to_owned), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_port_is_read_back(number in 1_u16.., protocol in prop::sample::select(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp][..])) {
            let port = Port { number, protocol };
            prop_assert_eq!(Port::parse(&port.to_string()), Ok(port));
        }

        #[test]
        fn nothing_panics(text in "[0-9a-z:./\\[\\]-]{0,24}|\\PC{0,12}") {
            let _ = (Port::parse(&text), PortSpec::parse(&text));
        }
    }
}
