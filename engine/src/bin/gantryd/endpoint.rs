//! Addresses to listen on, as dockerd's command line writes them. Opens nothing and resolves no names.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

/// Where to listen: `unix://PATH`, `tcp://HOST:PORT`, or `fd://` for what the service manager has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `fd://` or `fd://*`: every inherited socket; `fd://N`: the one with this number, 3 being the first
    /// (sd_listen_fds(3)).
    Inherited(Option<u32>),
    /// `tcp://ADDRESS:PORT`; an IPv6 address stands in brackets. Port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// `unix://PATH`: a stream socket in the file system.
    Unix {
        /// The path, at most [`UNIX_PATH_MAX`] bytes.
        path: PathBuf,
        /// The file's permission bits; [`UNIX_MODE`] unless changed.
        mode: u32,
        /// The file's group; that of the process if `None`.
        gid: Option<u32>,
    },
}

/// The first inherited descriptor (sd_listen_fds(3), SD_LISTEN_FDS_START).
pub(crate) const INHERITED_FIRST: u32 = 3;

/// Permission bits of a Unix socket that was parsed: for its owner and its group.
pub(crate) const UNIX_MODE: u32 = 0o660;

/// Bytes of the longest path of a Unix socket: `sun_path` less its final NUL (unix(7)).
pub(crate) const UNIX_PATH_MAX: usize = 107;

impl Endpoint {
    /// Reads an address; `port` is the one for `tcp://HOST`.
    pub(crate) fn parse(text: &str, port: u16) -> Result<Self, EndpointError> {
        match text.split_once("://") {
            Some(("fd", "" | "*")) => Ok(Self::Inherited(None)),
            Some(("fd", number)) => parse_inherited(number),
            Some(("unix", path)) => parse_unix(path),
            Some(("tcp", address)) => parse_tcp(address, port).map(Self::Tcp),
            _ => Err(EndpointError::Scheme { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited(None) => f.write_str("fd://"),
            Self::Inherited(Some(number)) => write!(f, "fd://{number}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix { path, .. } => write!(f, "unix://{}", path.display()),
        }
    }
}

fn parse_unix(path: &str) -> Result<Endpoint, EndpointError> {
    if path.is_empty() {
        return Err(EndpointError::PathMissing);
    }
    // Abstract sockets are written with `@`, and have no permissions: every process of the network namespace, a
    // container on the host's network included, could connect.
    if path.starts_with('@') {
        return Err(EndpointError::Abstract { name: path.to_owned() });
    }
    if path.contains('\0') {
        return Err(EndpointError::PathWithNul);
    }
    let path = PathBuf::from(path);
    let len = path.as_os_str().as_bytes().len();
    if len > UNIX_PATH_MAX {
        return Err(EndpointError::PathTooLong { path, len });
    }
    Ok(Endpoint::Unix {
        path,
        mode: UNIX_MODE,
        gid: None,
    })
}

fn parse_inherited(number: &str) -> Result<Endpoint, EndpointError> {
    let bad = || EndpointError::Inherited {
        number: number.to_owned(),
    };
    // `parse` would take a leading plus sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    match number.parse() {
        Ok(number) if number >= INHERITED_FIRST => Ok(Endpoint::Inherited(Some(number))),
        _ => Err(bad()),
    }
}

fn parse_tcp(text: &str, default_port: u16) -> Result<SocketAddr, EndpointError> {
    let bad_host = |host: &str| EndpointError::Host { host: host.to_owned() };
    let (host, port) = match text.rsplit_once(':') {
        // A colon inside brackets, or of an address that lacks them, is not followed by a port.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let ip = match host.strip_prefix('[') {
        Some(rest) => {
            let inside = rest.strip_suffix(']').ok_or_else(|| bad_host(host))?;
            IpAddr::V6(inside.parse().map_err(|_| bad_host(host))?)
        }
        // No host means this host alone, as dockerd has it; and one name needs no resolver.
        None if host.is_empty() || host == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        None => IpAddr::V4(host.parse().map_err(|_| bad_host(host))?),
    };
    let Some(port) = port else {
        return Ok(SocketAddr::new(ip, default_port));
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EndpointError::Port { port: port.to_owned() });
    }
    let port = port
        .parse()
        .map_err(|_| EndpointError::Port { port: port.to_owned() })?;
    Ok(SocketAddr::new(ip, port))
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndpointError {
    /// A name in the abstract namespace.
    Abstract {
        /// The name, with its `@`.
        name: String,
    },
    /// The host is no IP address, and names are not resolved. IPv6 addresses need brackets.
    Host {
        /// What stood before the port.
        host: String,
    },
    /// `fd://` with something else than the number of an inherited descriptor.
    Inherited {
        /// What stood there.
        number: String,
    },
    /// `unix://` without a path.
    PathMissing,
    /// The path does not fit into a socket address.
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
    /// The path contains a NUL byte.
    PathWithNul,
    /// The port is no number up to 65535.
    Port {
        /// What stood behind the last colon.
        port: String,
    },
    /// Neither `unix://`, `tcp://` nor `fd://`.
    Scheme {
        /// The whole text.
        text: String,
    },
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abstract { name } => write!(f, "abstract sockets are not supported, as anybody may connect: {name}"),
            Self::Host { host } => {
                write!(
                    f,
                    "not an IP address (names are not resolved, IPv6 stands in brackets): {host}"
                )
            }
            Self::Inherited { number } => {
                write!(f, "not a descriptor from {INHERITED_FIRST} on: {number}")
            }
            Self::PathMissing => f.write_str("unix:// needs a path"),
            Self::PathTooLong { path, len } => {
                write!(
                    f,
                    "socket path has {len} bytes, more than {UNIX_PATH_MAX}: {}",
                    path.display()
                )
            }
            Self::PathWithNul => f.write_str("socket path contains a NUL byte"),
            Self::Port { port } if port.is_empty() => f.write_str("no port behind the colon"),
            Self::Port { port } => write!(f, "not a port: {port}"),
            Self::Scheme { text } => write!(f, "neither unix://PATH, tcp://HOST:PORT nor fd://: {text}"),
        }
    }
}

impl std::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written() {
        let unix = |path: &str| Endpoint::Unix {
            path: path.into(),
            mode: UNIX_MODE,
            gid: None,
        };
        let tcp = |address: &str| Endpoint::Tcp(address.parse().expect(address));
        let cases = [
            ("path", "unix:///run/gantry.sock", unix("/run/gantry.sock")),
            ("relative path", "unix://gantry.sock", unix("gantry.sock")),
            ("path with colons", "unix:///a:1/b://c", unix("/a:1/b://c")),
            ("v4", "tcp://0.0.0.0:2375", tcp("0.0.0.0:2375")),
            ("v6", "tcp://[::1]:2375", tcp("[::1]:2375")),
            ("highest port", "tcp://127.0.0.1:65535", tcp("127.0.0.1:65535")),
            ("all inherited", "fd://", Endpoint::Inherited(None)),
            ("one inherited", "fd://4", Endpoint::Inherited(Some(4))),
        ];
        for (name, text, expected) in cases {
            let parsed = Endpoint::parse(text, 1).expect(name);
            assert_eq!(parsed, expected, "{name}");
            assert_eq!(parsed.to_string(), text, "{name}");
        }
        let short = [
            ("tcp://:99", tcp("127.0.0.1:99")),
            ("tcp://localhost:99", tcp("127.0.0.1:99")),
            ("tcp://", tcp("127.0.0.1:2376")),
            ("tcp://0.0.0.0", tcp("0.0.0.0:2376")),
            ("tcp://[::]", tcp("[::]:2376")),
            ("fd://*", Endpoint::Inherited(None)),
        ];
        for (text, expected) in short {
            assert_eq!(Endpoint::parse(text, 2376), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_by_name() {
        let long = format!("unix:///{}", "x".repeat(UNIX_PATH_MAX));
        let cases = [
            ("nothing", "", "neither unix://PATH, tcp://HOST:PORT nor fd://: "),
            (
                "bare path",
                "/run/x.sock",
                "neither unix://PATH, tcp://HOST:PORT nor fd://: /run/x.sock",
            ),
            (
                "other scheme",
                "http://h:1",
                "neither unix://PATH, tcp://HOST:PORT nor fd://: http://h:1",
            ),
            ("standard error", "fd://2", "not a descriptor from 3 on: 2"),
            ("a name", "fd://gantry", "not a descriptor from 3 on: gantry"),
            ("signed", "fd://+3", "not a descriptor from 3 on: +3"),
            ("no path", "unix://", "unix:// needs a path"),
            (
                "abstract",
                "unix://@x",
                "abstract sockets are not supported, as anybody may connect: @x",
            ),
            ("nul", "unix:///a\0b", "socket path contains a NUL byte"),
            ("empty port", "tcp://127.0.0.1:", "no port behind the colon"),
            ("large port", "tcp://127.0.0.1:65536", "not a port: 65536"),
            ("plus", "tcp://127.0.0.1:+1", "not a port: +1"),
            ("path behind", "tcp://127.0.0.1:1/x", "not a port: 1/x"),
            (
                "name",
                "tcp://example.org:1",
                "not an IP address (names are not resolved, IPv6 stands in brackets): example.org",
            ),
            (
                "bare v6",
                "tcp://::1:80",
                "not an IP address (names are not resolved, IPv6 stands in brackets): ::1",
            ),
            (
                "open bracket",
                "tcp://[::1:80",
                "not an IP address (names are not resolved, IPv6 stands in brackets): [::1",
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(
                Endpoint::parse(text, 1).map_err(|error| error.to_string()),
                Err(expected.to_owned()),
                "{name}"
            );
        }
        let refused = Endpoint::parse(&long, 1).expect_err("one byte too long");
        assert!(
            refused
                .to_string()
                .starts_with("socket path has 108 bytes, more than 107: /xxx"),
            "{refused}"
        );
    }
}
