//! Real interfaces, rules and sockets. What the kernel was told by netlink is checked with other eyes: sockets, procfs, and
//! the programs `ip` and `nft`.

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount, umount},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
};

use super::*;
use crate::{
    network::{
        nftables,
        stage::{Namespace, as_daemon, interfaces, ipv6_interfaces, outside, run, sysctl, veths},
    },
    sys::netlink::Socket,
};

/// Sends a word from `client` to `address`, and returns the address that is seen in `server`.
fn talk(client: &Namespace, server: &dyn Fn() -> TcpListener, address: Ipv4Addr) -> IpAddr {
    let listener = server();
    let port = listener.local_addr().unwrap().port();
    let stream = client.run(|| TcpStream::connect_timeout(&(address, port).into(), Duration::from_secs(10)));
    let mut stream = stream.unwrap_or_else(|error| panic!("connect to {address}: {error}"));
    let (mut accepted, peer) = listener.accept().unwrap();
    stream.write_all(b"word").unwrap();
    let mut word = [0; 4];
    accepted.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"word");
    peer.ip()
}

fn listen() -> TcpListener {
    TcpListener::bind("0.0.0.0:0").unwrap()
}

impl Namespace {
    fn attach(&self, bridge: &Bridge) -> Attachment {
        bridge.attach(self.fd(), "c0ffee", Wish::default()).unwrap()
    }
}

fn config(address: &str) -> BridgeConfig {
    BridgeConfig {
        address: Some(address.parse().unwrap()),
        ..BridgeConfig::default()
    }
}

#[test]
fn containers_reach_each_other_and_the_gateway() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        assert_eq!(bridge.subnet().to_string(), "172.31.0.1/16");
        assert!(bridge.warnings().is_empty());
        let (one, two) = (Namespace::new(), Namespace::new());
        let (a, b) = (one.attach(&bridge), two.attach(&bridge));
        assert_eq!(a.address, Ipv4Addr::new(172, 31, 0, 2));
        assert_eq!(b.address, Ipv4Addr::new(172, 31, 0, 3));
        assert_eq!(b.mac, [2, 0x42, 172, 31, 0, 3]);
        assert_eq!((a.prefix_len, a.gateway), (16, Ipv4Addr::new(172, 31, 0, 1)));
        assert_eq!(a.endpoint_id.len(), 64);

        assert_eq!(talk(&one, &|| two.run(listen), b.address), a.address);
        assert_eq!(talk(&two, &|| one.run(listen), a.address), b.address);
        assert_eq!(talk(&two, &listen, b.gateway), b.address);
        assert_eq!(
            talk(&one, &|| one.run(listen), Ipv4Addr::LOCALHOST),
            Ipv4Addr::LOCALHOST
        );

        let seen = two.run(|| run("ip -4 -o addr show dev eth0"));
        assert!(
            seen.contains("inet 172.31.0.3/16 brd 172.31.255.255 scope global eth0"),
            "{seen}"
        );
        let seen = two.run(|| run("ip -o link show dev eth0"));
        assert!(
            seen.contains("mtu 1500") && seen.contains("link/ether 02:42:ac:1f:00:03"),
            "{seen}"
        );
        let seen = two.run(|| run("ip route"));
        assert!(seen.starts_with("default via 172.31.0.1 dev eth0"), "{seen}");
    });
}

#[test]
fn wishes_are_met() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig {
            mtu: 1234,
            ..config("10.9.0.1/24")
        })
        .unwrap();
        let wish = Wish {
            address: Some([10, 9, 0, 77].into()),
            mac: Some([2, 1, 2, 3, 4, 5]),
        };
        let container = Namespace::new();
        let attachment = bridge.attach(container.fd(), "c0ffee", wish).unwrap();
        assert_eq!(
            (attachment.address, attachment.mac),
            (wish.address.unwrap(), wish.mac.unwrap())
        );
        let seen = container.run(|| run("ip -o addr show dev eth0") + &run("ip -o link show dev eth0"));
        for part in ["10.9.0.77/24", "02:01:02:03:04:05", "mtu 1234"] {
            assert!(seen.contains(part), "{part}: {seen}");
        }
        assert_eq!(talk(&container, &listen, bridge.subnet().address()), attachment.address);

        let other = Namespace::new();
        let table = [
            (wish, "address 10.9.0.77 is already in use by c0ffee"),
            (
                Wish {
                    address: Some([10, 9, 1, 1].into()),
                    mac: None,
                },
                "address 10.9.1.1 is not one for a container in 10.9.0.1/24",
            ),
            (
                Wish {
                    address: None,
                    mac: Some([1, 0, 0, 0, 0, 1]),
                },
                "not a hardware address for an interface: 01:00:00:00:00:01",
            ),
        ];
        for (wish, expected) in table {
            assert_eq!(
                bridge.attach(other.fd(), "decade", wish).unwrap_err().to_string(),
                expected
            );
        }
        assert_eq!(bridge.addresses().len(), 1);
    });
}

#[test]
fn the_world_is_reached_under_the_daemons_address_and_reaches_nobody() {
    as_daemon(|| {
        let world = outside();
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        assert_eq!(sysctl("ipv4/ip_forward"), "1");
        let container = Namespace::new();
        let attachment = container.attach(&bridge);
        let seen = talk(&container, &|| world.run(listen), [198, 51, 100, 2].into());
        assert_eq!(seen, IpAddr::from([198, 51, 100, 1]));

        // The way in, for somebody who knows the route.
        world.run(|| run("ip route add 172.31.0.0/16 via 198.51.100.1"));
        let listener = container.run(listen);
        let door: SocketAddr = (attachment.address, listener.local_addr().unwrap().port()).into();
        let knock = || world.run(|| TcpStream::connect_timeout(&door, Duration::from_millis(400)).map(drop));
        assert_eq!(knock().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        // It is the rule that keeps it out, nothing else.
        drop(bridge);
        run("nft flush ruleset");
        knock().unwrap();
    });
}

#[test]
fn rules_are_those_of_the_daemon_alone() {
    as_daemon(|| {
        run("nft add table ip foreign");
        run("nft add chain ip foreign forward { type filter hook forward priority 5 ; policy accept ; }");
        run("nft add rule ip foreign forward ip saddr 10.0.0.1 drop");
        let foreign = run("nft list table ip foreign");
        let wanted = "table ip gantry {\n\
            \tchain forward {\n\
            \t\ttype filter hook forward priority filter; policy accept;\n\
            \t\toifname \"gantry0\" ct state established,related accept\n\
            \t\toifname \"gantry0\" iifname != \"gantry0\" drop\n\
            \t\tiifname \"gantry0\" accept\n\
            \t}\n\
            \n\
            \tchain postrouting {\n\
            \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
            \t\tip saddr 10.9.8.0/22 oifname != \"gantry0\" masquerade\n\
            \t}\n\
            }\n";
        let config = config("10.9.8.1/22");
        for round in 0..3 {
            let bridge = Bridge::open(&config).unwrap();
            assert_eq!(run("nft list table ip gantry"), wanted, "{round}");
            assert_eq!(run("nft list table ip foreign"), foreign, "{round}");
            drop(bridge);
        }
        assert_eq!(run("nft list tables"), "table ip foreign\ntable ip gantry\n");
    });
}

#[test]
fn lost_rules_come_back() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        let wanted = run("nft list table ip gantry");
        for loss in [
            "nft flush ruleset",
            "nft delete table ip gantry",
            "nft flush chain ip gantry forward",
        ] {
            let news = Socket::subscribe(Family::Netfilter, nftables::GROUPS).unwrap();
            run(loss);
            let mut buffer = vec![0; 64 * 1024];
            while run("nft list ruleset") != wanted {
                let mut polled = [PollFd::new(news.as_fd(), PollFlags::POLLIN)];
                assert_eq!(
                    poll(&mut polled, PollTimeout::from(10_000u16)),
                    Ok(1),
                    "nothing follows {loss}"
                );
                while news.receive(&mut buffer).unwrap().is_some() {}
            }
        }
        drop(bridge);
    });
}

#[test]
fn without_rules_the_firewall_is_left_alone() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig {
            masquerade: false,
            ..BridgeConfig::default()
        })
        .unwrap();
        assert_eq!(run("nft list ruleset"), "");
        let container = Namespace::new();
        let attachment = container.attach(&bridge);
        assert_eq!(talk(&container, &listen, attachment.gateway), attachment.address);
        assert_eq!(run("nft list ruleset"), "");
    });
}

#[test]
fn a_bridge_is_adopted_with_its_containers() {
    as_daemon(|| {
        let first = Bridge::open(&config("10.9.0.1/24")).unwrap();
        let mac = run("ip -o link show dev gantry0");
        let old = Namespace::new();
        let attachment = old.attach(&first);
        drop(first);

        let second = Bridge::open(&BridgeConfig::default()).unwrap();
        assert_eq!(second.config().address, Some("10.9.0.1/24".parse().unwrap()));
        let stored = serde_json::to_string(&attachment).unwrap();
        let restored: Attachment = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored, attachment);
        second.adopt("c0ffee", &restored).unwrap();
        second.adopt("c0ffee", &restored).unwrap();
        let impostor = Attachment {
            endpoint_id: "other".into(),
            ..restored.clone()
        };
        let error = second.adopt("decade", &impostor).unwrap_err();
        assert_eq!(error.to_string(), "address 10.9.0.2 is already in use by c0ffee");
        let new = Namespace::new();
        let other = new.attach(&second);
        assert_eq!(other.address, Ipv4Addr::new(10, 9, 0, 3));
        assert_eq!(talk(&new, &|| old.run(listen), attachment.address), other.address);
        // Ports come and go, the bridge's own address stays.
        let ether = |link: &str| link.split_once("link/ether ").unwrap().1[..17].to_owned();
        assert_eq!(ether(&run("ip -o link show dev gantry0")), ether(&mac));
        drop(second);

        let third = Bridge::open(&config("10.8.0.1/24")).unwrap();
        let addresses = run("ip -4 -o addr show dev gantry0");
        assert!(
            addresses.contains("10.8.0.1/24") && !addresses.contains("10.9.0.1"),
            "{addresses}"
        );
        let error = third.adopt("c0ffee", &attachment).unwrap_err();
        assert_eq!(
            error.to_string(),
            "address 10.9.0.2 is not one for a container in 10.8.0.1/24"
        );
    });
}

#[test]
fn a_covered_parameter_is_not_written_and_costs_only_forwarding() {
    as_daemon(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        // Whatever is written there seems to succeed.
        let forward = "/proc/sys/net/ipv4/ip_forward";
        mount(Some("/dev/null"), forward, none, MsFlags::MS_BIND, none).unwrap();
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        let warnings: Vec<_> = bridge.warnings().iter().map(ToString::to_string).collect();
        let expected = format!("cannot access kernel parameter: {forward}: Invalid cross-device link (os error 18)");
        assert_eq!(warnings, [expected]);
        let container = Namespace::new();
        let attachment = container.attach(&bridge);
        assert_eq!(talk(&container, &listen, attachment.gateway), attachment.address);
        umount(forward).unwrap();
        assert_eq!(sysctl("ipv4/ip_forward"), "0");
    });
}

#[test]
fn other_addresses_of_a_bridge_are_removed() {
    as_daemon(|| {
        run("ip link add gantry0 type bridge");
        // The second and third are secondary to the first, and go with it.
        for address in ["10.9.0.5/24", "10.9.0.1/24", "10.9.0.6/24", "10.8.0.1/24"] {
            run(&format!("ip addr add {address} dev gantry0"));
        }
        let bridge = Bridge::open(&config("10.9.0.1/24")).unwrap();
        let addresses = run("ip -4 -o addr show dev gantry0");
        assert!(
            addresses.lines().count() == 1 && addresses.contains(" 10.9.0.1/24 "),
            "{addresses}"
        );
        let container = Namespace::new();
        let attachment = container.attach(&bridge);
        assert_eq!(talk(&container, &listen, attachment.gateway), attachment.address);
    });
}

#[test]
fn containers_move_to_a_new_bridge() {
    as_daemon(|| {
        let first = Bridge::open(&BridgeConfig::default()).unwrap();
        let container = Namespace::new();
        let attachment = container.attach(&first);
        drop(first);
        run("ip link del gantry0");
        let second = Bridge::open(&config("172.31.0.1/16")).unwrap();
        second.adopt("c0ffee", &attachment).unwrap();
        assert_eq!(talk(&container, &listen, attachment.gateway), attachment.address);
        let dying = Attachment {
            address: [172, 31, 0, 9].into(),
            endpoint_id: "dying".into(),
            host_interface: "vethgone".into(),
            ..attachment
        };
        second.adopt("decade", &dying).unwrap();
        assert_eq!(second.addresses().len(), 2);
    });
}

#[test]
fn the_first_refusal_is_told_and_the_next_request_is_not_confused() {
    as_daemon(|| {
        let mut session = Session::open(Family::Route).unwrap();
        for _ in 0..3 {
            let mut request = Request::default();
            route::set_loopback_up(&mut request);
            route::set_mtu(&mut request, "nobody", 1500);
            route::delete_link(&mut request, "lo");
            let refused = session.submit(request).unwrap_err();
            assert_eq!((refused.step, refused.errno), ("set the MTU", Errno::ENODEV));
            let error = refused.about("nobody").to_string();
            assert_eq!(error, "cannot set the MTU: nobody: No such device (os error 19)");
            assert_eq!(route::link(&mut session, "nobody").unwrap(), None);
            assert_eq!(route::link(&mut session, "lo").unwrap().unwrap().index, 1);
        }
        // The kernel's own words.
        let mut request = Request::default();
        request.push("make it", 16, crate::network::codec::CREATE, |body| {
            body.header(&[0; 16]);
            body.nested(18, |body| body.text(1, "no such kind"));
        });
        let error = session.submit(request).unwrap_err().about("it").to_string();
        assert!(
            error.starts_with("cannot make it: it: ") && error.ends_with("(Unknown device type)"),
            "{error}"
        );
        session.submit(Request::default()).unwrap();
    });
}

#[test]
fn a_free_subnet_is_chosen() {
    as_daemon(|| {
        run("ip link add busy type bridge");
        run("ip addr add 172.31.5.5/24 dev busy");
        run("ip link set busy up");
        run("ip route add 172.30.7.0/24 dev busy");
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        assert_eq!(bridge.subnet().to_string(), "172.29.0.1/16");
    });
}

#[test]
fn parallel_attaches_get_addresses_of_their_own() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        let containers: Vec<_> = (0..50).map(|_| Namespace::new()).collect();
        let attachments: Vec<Attachment> = thread::scope(|scope| {
            let threads: Vec<_> = containers.iter().map(|c| scope.spawn(|| c.attach(&bridge))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let addresses: HashSet<_> = attachments.iter().map(|attachment| attachment.address).collect();
        assert_eq!(addresses.len(), 50);
        assert_eq!(veths(), 50);
        for (container, attachment) in containers.iter().zip(&attachments) {
            assert_eq!(talk(container, &listen, attachment.gateway), attachment.address);
        }
    });
}

#[test]
fn a_full_network_says_so() {
    as_daemon(|| {
        let bridge = Bridge::open(&config("10.9.0.1/29")).unwrap();
        let containers: Vec<_> = (0..6).map(|_| Namespace::new()).collect();
        let attachments: Vec<_> = containers[..5]
            .iter()
            .map(|container| container.attach(&bridge))
            .collect();
        let attach = || bridge.attach(containers[5].fd(), "decade", Wish::default());
        assert_eq!(attach().unwrap_err().to_string(), "no free address left in 10.9.0.1/29");
        bridge.detach(&attachments[2]);
        let next = attach().unwrap();
        assert_eq!(next.address, attachments[2].address);
        // The address has another owner now, whom a second detach must not hurt.
        bridge.detach(&attachments[2]);
        assert_eq!(bridge.addresses().len(), 5);
    });
}

#[test]
fn no_interface_has_ipv6() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        let container = Namespace::new();
        let attachment = container.attach(&bridge);
        container.run(|| {
            for interface in ["eth0", "default"] {
                assert_eq!(sysctl(&format!("ipv6/conf/{interface}/accept_ra")), "0", "{interface}");
                assert_eq!(
                    sysctl(&format!("ipv6/conf/{interface}/disable_ipv6")),
                    "1",
                    "{interface}"
                );
            }
            assert_eq!(ipv6_interfaces(), HashSet::from(["lo".to_owned()]));
        });
        assert_eq!(sysctl("ipv6/conf/gantry0/accept_ra"), "0");
        assert_eq!(sysctl("ipv6/conf/gantry0/disable_ipv6"), "1");
        assert!(interfaces().contains(&attachment.host_interface));
        assert_eq!(ipv6_interfaces(), HashSet::new());
    });
}

#[test]
fn failed_attaches_leave_nothing() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        let before = interfaces();
        let table: [(&str, &[&str], &str); 2] = [
            (
                "eth0 is there",
                &["ip link add eth0 type bridge"],
                "cannot create the veth pair: veth",
            ),
            (
                "a default route is there",
                &[
                    "ip link add other type bridge",
                    "ip link set other up",
                    "ip route add default dev other",
                ],
                "cannot add the default route: eth0: ",
            ),
        ];
        for (name, preparation, expected) in table {
            let container = Namespace::new();
            container.run(|| preparation.iter().for_each(|command| drop(run(command))));
            let inner = container.run(interfaces);
            let error = bridge
                .attach(container.fd(), "c0ffee", Wish::default())
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(expected) && error.contains("File exists"),
                "{name}: {error}"
            );
            assert_eq!(interfaces(), before, "{name}");
            assert_eq!(container.run(interfaces), inner, "{name}");
            assert_eq!(bridge.addresses().len(), 0, "{name}");
        }
        let file = File::open("/dev/null").unwrap();
        let error = bridge
            .attach(file.as_fd(), "c0ffee", Wish::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("cannot enter the container's network namespace: "),
            "{error}"
        );
        assert_eq!(bridge.addresses().len(), 0);
    });
}

#[test]
fn a_bridge_that_was_deleted_is_missed() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        run("ip link del gantry0");
        let container = Namespace::new();
        let error = bridge.attach(container.fd(), "c0ffee", Wish::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot find the bridge: gantry0: No such device (os error 19)"
        );
        assert_eq!((veths(), bridge.addresses().len()), (0, 0));
    });
}

#[test]
fn interfaces_that_outlive_their_container_are_deleted() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        let (held, kept) = (Namespace::new(), Namespace::new());
        let (gone, stays) = (held.attach(&bridge), kept.attach(&bridge));
        bridge.detach(&gone);
        bridge.detach(&gone);
        drop(bridge);
        assert!(!interfaces().contains(&gone.host_interface));
        assert!(interfaces().contains(&stays.host_interface));
        assert!(!held.run(interfaces).contains("eth0"));
    });
}

#[test]
fn interfaces_that_outlive_their_container_are_deleted_in_time() {
    as_daemon(|| {
        let bridge = Bridge::open(&BridgeConfig::default()).unwrap();
        let held = Namespace::new();
        let gone = held.attach(&bridge);
        // RTNLGRP_LINK.
        let news = Socket::subscribe(Family::Route, 1).unwrap();
        bridge.detach(&gone);
        let mut buffer = vec![0; 64 * 1024];
        while interfaces().contains(&gone.host_interface) {
            let mut polled = [PollFd::new(news.as_fd(), PollFlags::POLLIN)];
            assert_eq!(
                poll(&mut polled, PollTimeout::from(20_000u16)),
                Ok(1),
                "it is never deleted"
            );
            while news.receive(&mut buffer).unwrap().is_some() {}
        }
    });
}

#[test]
fn unusable_configurations() {
    as_daemon(|| {
        run("ip link add other type veth peer name peer");
        let table = [
            (
                BridgeConfig {
                    name: "other".into(),
                    ..BridgeConfig::default()
                },
                "network interface exists and is not a bridge: other",
            ),
            (
                BridgeConfig {
                    name: "a/b".into(),
                    ..BridgeConfig::default()
                },
                "not a name for a network interface: \"a/b\"",
            ),
            (
                BridgeConfig {
                    name: "sixteen_letters_".into(),
                    ..BridgeConfig::default()
                },
                "not a name for a network interface: \"sixteen_letters_\"",
            ),
            (
                BridgeConfig {
                    name: "all".into(),
                    ..BridgeConfig::default()
                },
                "not a name for a network interface: \"all\"",
            ),
            (
                BridgeConfig {
                    mtu: 67,
                    ..BridgeConfig::default()
                },
                "MTU out of range 68 to 65535: 67",
            ),
            (
                config("10.0.0.0/24"),
                "not a gateway address and prefix for a bridge: 10.0.0.0/24",
            ),
        ];
        let before = interfaces();
        for (config, expected) in table {
            assert_eq!(Bridge::open(&config).unwrap_err().to_string(), expected);
        }
        assert_eq!(interfaces(), before);
        assert_eq!(run("nft list ruleset"), "");
    });
}

#[test]
fn a_bridge_that_cannot_be_finished_is_gone_again() {
    as_daemon(|| {
        let before = interfaces();
        let news = Socket::subscribe(Family::Netfilter, nftables::GROUPS).unwrap();
        // A table that belongs to a program which runs, and which nobody else may change.
        let mut owner = Command::new("nft")
            .arg("-i")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        owner
            .stdin
            .as_ref()
            .unwrap()
            .write_all(b"add table ip gantry { flags owner; }\n")
            .unwrap();
        let mut polled = [PollFd::new(news.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut polled, PollTimeout::from(10_000u16)), Ok(1));
        let outcome = Bridge::open(&BridgeConfig::default())
            .map(drop)
            .map_err(|error| error.to_string());
        drop(owner.stdin.take());
        owner.wait().unwrap();
        let expected = "cannot replace the firewall table: gantry: Operation not permitted (os error 1)";
        assert_eq!(outcome, Err(expected.to_owned()));
        assert_eq!(interfaces(), before);
    });
}

#[test]
fn loopback_alone() {
    as_daemon(|| {
        let container = Namespace::new();
        loopback_up(container.fd()).unwrap();
        loopback_up(container.fd()).unwrap();
        assert_eq!(
            talk(&container, &|| container.run(listen), Ipv4Addr::LOCALHOST),
            Ipv4Addr::LOCALHOST
        );
        assert_eq!(container.run(|| run("ip route")), "");
    });
}
