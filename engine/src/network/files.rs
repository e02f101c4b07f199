//! What a container's `/etc/hosts` and `/etc/resolv.conf` say: text in, text out.
//!
//! Source: hosts(5), resolv.conf(5), and what Docker writes (Docker docs, "Networking overview": "DNS services"; the
//! order of lines is that of a 20.10 daemon).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

/// A line for `/etc/hosts` that the client asked for: `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    name: String,
    address: IpAddr,
}

impl ExtraHost {
    /// Parses `name:address`. The address may be IPv6, with or without brackets, or `host-gateway`, which stands for the
    /// host as containers reach it; `gateway` is that address, if there is one.
    ///
    /// # Errors
    ///
    /// The text has no colon, the name is empty or holds blanks or control characters, or the address is none.
    pub fn parse(text: &str, gateway: Option<Ipv4Addr>) -> Result<Self, BadExtraHost> {
        let bad_format = || BadExtraHost::Format { text: text.to_owned() };
        let bad_address = || BadExtraHost::Address { text: text.to_owned() };
        let (name, address) = text.split_once(':').ok_or_else(bad_format)?;
        // A blank would begin another name and a line feed another line.
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(bad_format());
        }
        let address = match address {
            "host-gateway" => gateway.map(IpAddr::V4).ok_or_else(bad_address)?,
            _ => {
                let bare = address
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'))
                    .unwrap_or(address);
                bare.parse().map_err(|_| bad_address())?
            }
        };
        Ok(Self {
            name: name.to_owned(),
            address,
        })
    }
}

/// A text is not a usable `name:address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadExtraHost {
    /// It does not consist of a name and an address.
    Format {
        /// As the client wrote it.
        text: String,
    },
    /// What stands for the address is none.
    Address {
        /// As the client wrote it.
        text: String,
    },
}

impl fmt::Display for BadExtraHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { text } => write!(f, "bad format for add-host: {text:?}"),
            Self::Address { text } => write!(f, "invalid IP address in add-host: {text:?}"),
        }
    }
}

impl std::error::Error for BadExtraHost {}

/// A container's `/etc/hosts`. `hostname` may hold a domain already; `address` is the container's own, which its name
/// stands for. The names are written as they are: the caller has checked that they are names.
pub fn hosts_file(hostname: &str, domainname: &str, address: Option<Ipv4Addr>, extra_hosts: &[ExtraHost]) -> String {
    let mut file = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for ExtraHost { name, address } in extra_hosts {
        file.push_str(&format!("{address}\t{name}\n"));
    }
    if let Some(address) = address
        && !hostname.is_empty()
    {
        let full = match domainname {
            "" => hostname.to_owned(),
            _ => format!("{hostname}.{domainname}"),
        };
        match full.split_once('.') {
            Some((short, _)) => file.push_str(&format!("{address}\t{full} {short}\n")),
            None => file.push_str(&format!("{address}\t{full}\n")),
        }
    }
    file
}

/// A container's `/etc/resolv.conf`.
///
/// `host_conf` is the host's file. `dns`, `search` and `options` each replace what the host's file says of it, if they
/// are not empty; a search list of only `.` means none. `private_netns`: the container has a network namespace of its
/// own, where the host's loopback name servers are out of reach and there is no IPv6, so those of the host's file are left
/// out; if none remains, public ones stand in, as in Docker. Name servers in `dns` were asked for and stay.
///
/// Without any wish, the host's file is kept line by line, comments included.
pub fn resolv_conf(
    host_conf: &str,
    dns: &[String],
    search: &[String],
    options: &[String],
    private_netns: bool,
) -> String {
    let reachable = |server: &str| !private_netns || server.parse().is_ok_and(|ip: Ipv4Addr| !ip.is_loopback());
    if dns.is_empty() && search.is_empty() && options.is_empty() {
        let mut file = String::new();
        let kept = host_conf.lines().filter(|line| name_server(line).is_none_or(reachable));
        kept.for_each(|line| push_line(&mut file, [line]));
        if private_netns && !file.lines().any(|line| name_server(line).is_some()) {
            FALLBACK_SERVERS
                .iter()
                .for_each(|server| push_line(&mut file, ["nameserver", server]));
        }
        return file;
    }

    let mut file = String::new();
    let search: Vec<&str> = match search {
        [] => last_words(host_conf, &["search", "domain"]),
        [root] if root == "." => Vec::new(),
        _ => search.iter().map(String::as_str).collect(),
    };
    if !search.is_empty() {
        push_line(&mut file, ["search"].into_iter().chain(search));
    }
    let mut servers: Vec<&str> = match dns {
        [] => host_conf
            .lines()
            .filter_map(name_server)
            .filter(|server| reachable(server))
            .collect(),
        _ => dns.iter().map(String::as_str).collect(),
    };
    if servers.is_empty() && private_netns {
        servers = FALLBACK_SERVERS.to_vec();
    }
    servers
        .into_iter()
        .for_each(|server| push_line(&mut file, ["nameserver", server]));
    let options: Vec<&str> = match options {
        [] => last_words(host_conf, &["options"]),
        _ => options.iter().map(String::as_str).collect(),
    };
    if !options.is_empty() {
        push_line(&mut file, ["options"].into_iter().chain(options));
    }
    file
}

/// Whether the host's resolv.conf names nobody but systemd-resolved's stub (127.0.0.53). The servers behind it, which
/// containers can use, are then in `/run/systemd/resolve/resolv.conf`.
pub fn uses_local_stub(host_conf: &str) -> bool {
    let mut servers = host_conf.lines().filter_map(name_server).peekable();
    servers.peek().is_some() && servers.all(|server| server == "127.0.0.53")
}

/// The address of a `nameserver` line.
fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

/// The words of the last line that begins with one of `keywords`: the resolver ignores the earlier ones.
fn last_words<'a>(conf: &'a str, keywords: &[&str]) -> Vec<&'a str> {
    let words = |line: &'a str| {
        let mut words = line.split_whitespace();
        words
            .next()
            .filter(|first| keywords.contains(first))
            .map(|_| words.collect())
    };
    conf.lines().rev().find_map(words).unwrap_or_default()
}

fn push_line<'a>(file: &mut String, words: impl IntoIterator<Item = &'a str>) {
    let words: Vec<&str> = words.into_iter().collect();
    file.push_str(&words.join(" "));
    file.push('\n');
}

/// What Docker falls back to.
const FALLBACK_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn extra_hosts() {
        let gateway = Some(Ipv4Addr::new(172, 31, 0, 1));
        let table = [
            ("plain", "db:10.0.0.1", gateway, Ok("10.0.0.1\tdb")),
            ("IPv6", "db:2001:db8::1", gateway, Ok("2001:db8::1\tdb")),
            ("IPv6 in brackets", "db:[2001:db8::1]", gateway, Ok("2001:db8::1\tdb")),
            (
                "gateway",
                "host.docker.internal:host-gateway",
                gateway,
                Ok("172.31.0.1\thost.docker.internal"),
            ),
            (
                "no gateway",
                "h:host-gateway",
                None,
                Err("invalid IP address in add-host: \"h:host-gateway\""),
            ),
            ("no colon", "db", gateway, Err("bad format for add-host: \"db\"")),
            (
                "no name",
                ":10.0.0.1",
                gateway,
                Err("bad format for add-host: \":10.0.0.1\""),
            ),
            (
                "another line",
                "a\n1.1.1.1 b:10.0.0.1",
                gateway,
                Err("bad format for add-host: \"a\\n1.1.1.1 b:10.0.0.1\""),
            ),
            (
                "no address",
                "db:",
                gateway,
                Err("invalid IP address in add-host: \"db:\""),
            ),
            (
                "a name for address",
                "db:web",
                gateway,
                Err("invalid IP address in add-host: \"db:web\""),
            ),
            (
                "line in the address",
                "db:1.1.1.1\n",
                gateway,
                Err("invalid IP address in add-host: \"db:1.1.1.1\\n\""),
            ),
        ];
        for (name, text, gateway, expected) in table {
            let parsed = ExtraHost::parse(text, gateway);
            let line = parsed
                .map(|h| format!("{}\t{}", h.address, h.name))
                .map_err(|error| error.to_string());
            assert_eq!(line.as_deref().map_err(String::as_str), expected, "{name}");
        }
    }

    #[test]
    fn hosts() {
        let own = Some(Ipv4Addr::new(172, 31, 0, 2));
        type Case<'a> = (&'a str, &'a str, &'a str, Option<Ipv4Addr>, &'a [&'a str], &'a str);
        let table: &[Case<'_>] = &[
            ("name", "web", "", own, &[], "172.31.0.2\tweb\n"),
            (
                "name and domain",
                "web",
                "example.org",
                own,
                &[],
                "172.31.0.2\tweb.example.org web\n",
            ),
            (
                "domain in the name",
                "web.example.org",
                "",
                own,
                &[],
                "172.31.0.2\tweb.example.org web\n",
            ),
            (
                "domains in both",
                "web.example.org",
                "more.example",
                own,
                &[],
                "172.31.0.2\tweb.example.org.more.example web\n",
            ),
            ("no network", "web", "", None, &[], ""),
            ("no name", "", "", own, &[], ""),
            (
                "more hosts",
                "web",
                "",
                own,
                &["db:10.0.0.1", "a:::1"],
                "10.0.0.1\tdb\n::1\ta\n172.31.0.2\tweb\n",
            ),
        ];
        for (name, hostname, domainname, address, extra, expected) in table {
            let extra: Vec<_> = extra.iter().map(|text| ExtraHost::parse(text, None).unwrap()).collect();
            let file = hosts_file(hostname, domainname, *address, &extra);
            let (head, tail) = file.split_at(file.find("ff02::2\tip6-allrouters\n").unwrap() + 23);
            assert!(
                head.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
                "{name}"
            );
            assert_eq!(tail, *expected, "{name}");
        }
    }

    #[test]
    fn resolvers() {
        const HOST: &str = "# made by hand\nsearch old\nsearch example.org sub.example.org\nnameserver 127.0.0.53\n\
                            nameserver 10.0.0.53\nnameserver fe80::1%eth0\noptions ndots:2 edns0\n";
        const LOOPBACK: &str = "nameserver 127.0.0.1\nnameserver ::1\n";
        type Words<'a> = &'a [&'a str];
        let table: &[(&str, &str, Words<'_>, Words<'_>, Words<'_>, bool, &str)] = &[
            ("the host's own", HOST, &[], &[], &[], false, HOST),
            (
                "loopback and IPv6 left out",
                HOST,
                &[],
                &[],
                &[],
                true,
                "# made by hand\nsearch old\nsearch example.org sub.example.org\nnameserver 10.0.0.53\n\
                 options ndots:2 edns0\n",
            ),
            (
                "none left",
                LOOPBACK,
                &[],
                &[],
                &[],
                true,
                "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
            ),
            (
                "empty file",
                "",
                &[],
                &[],
                &[],
                true,
                "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
            ),
            ("empty file of the host", "", &[], &[], &[], false, ""),
            (
                "no final line feed",
                "nameserver 1.1.1.1",
                &[],
                &[],
                &[],
                true,
                "nameserver 1.1.1.1\n",
            ),
            (
                "commented out",
                "#nameserver 1.1.1.1\n; nameserver 1.1.1.1",
                &[],
                &[],
                &[],
                true,
                "#nameserver 1.1.1.1\n; nameserver 1.1.1.1\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n",
            ),
            (
                "servers wished",
                HOST,
                &["9.9.9.9", "127.0.0.1"],
                &[],
                &[],
                true,
                "search example.org sub.example.org\nnameserver 9.9.9.9\nnameserver 127.0.0.1\noptions ndots:2 edns0\n",
            ),
            (
                "search wished",
                HOST,
                &[],
                &["a", "b"],
                &[],
                true,
                "search a b\nnameserver 10.0.0.53\noptions ndots:2 edns0\n",
            ),
            (
                "search unwished",
                HOST,
                &[],
                &["."],
                &[],
                true,
                "nameserver 10.0.0.53\noptions ndots:2 edns0\n",
            ),
            (
                "options wished",
                HOST,
                &[],
                &[],
                &["ndots:9"],
                true,
                "search example.org sub.example.org\nnameserver 10.0.0.53\noptions ndots:9\n",
            ),
            (
                "all wished",
                HOST,
                &["9.9.9.9"],
                &["a"],
                &["ndots:9"],
                true,
                "search a\nnameserver 9.9.9.9\noptions ndots:9\n",
            ),
            (
                "wish with loopback host",
                LOOPBACK,
                &[],
                &["a"],
                &[],
                true,
                "search a\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n",
            ),
            (
                "wish with the host's network",
                LOOPBACK,
                &[],
                &["a"],
                &[],
                false,
                "search a\nnameserver 127.0.0.1\nnameserver ::1\n",
            ),
            (
                "domain is a search list",
                "domain d\n",
                &["1.1.1.1"],
                &[],
                &[],
                true,
                "search d\nnameserver 1.1.1.1\n",
            ),
        ];
        let owned = |words: Words<'_>| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        for (name, host, dns, search, options, private, expected) in table {
            let file = resolv_conf(host, &owned(dns), &owned(search), &owned(options), *private);
            assert_eq!(file, *expected, "{name}");
        }
    }

    #[test]
    fn stubs() {
        let table = [
            ("stub", "nameserver 127.0.0.53\noptions edns0\n", true),
            ("stub and another", "nameserver 127.0.0.53\nnameserver 1.1.1.1\n", false),
            ("none", "search a\n", false),
        ];
        for (name, conf, expected) in table {
            assert_eq!(uses_local_stub(conf), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_private_namespace_never_sees_loopback(conf in "((nameserver|search|#)[ \t](127\\.0\\.0\\.[0-9]|::1|[1-9]\\.1\\.1\\.1|x)?\r?\n){0,6}") {
            let file = resolv_conf(&conf, &[], &[], &[], true);
            let servers: Vec<_> = file.lines().filter_map(name_server).collect();
            prop_assert!(!servers.is_empty());
            for server in servers {
                prop_assert!(!server.parse::<Ipv4Addr>().unwrap().is_loopback());
            }
        }
    }
}
