//! Bodies of every era and what they become: creates, commits, networks, volumes.

use alloc::{borrow::ToOwned, format};

use serde_json::{Value, json};

use super::{super::*, call};
use crate::{ContainerCreate, NetworkConnect, NetworkDisconnect};

fn created(version: &str, body: Value) -> ContainerCreate {
    let target = format!("/v{version}/containers/create?name=/n");
    match call("POST", &target, &body.to_string()) {
        Ok(Call::ContainerCreate(create)) => *create,
        other => panic!("{version} {body}: {other:?}"),
    }
}

/// What a create of `version` asks for, as far as `expected` says.
#[test]
fn creates_are_lifted() {
    let rows = [
        (
            "nothing special",
            "1.24",
            json!({"Image": "a", "Cmd": "x y"}),
            json!({"Config": {"Image": "a", "Cmd": ["x y"]}}),
        ),
        (
            "other case",
            "1.24",
            json!({"image": "a", "HOSTCONFIG": {"memory": 9}}),
            json!({"Config": {"Image": "a"}, "HostConfig": {"Memory": 9}}),
        ),
        (
            "nulls",
            "1.0",
            json!({"Image": "a", "Env": null, "Volumes": {"/t": null}, "ExposedPorts": null}),
            json!({"Config": {"Env": [], "Volumes": {"/t": {}}}}),
        ),
        (
            "limits at the top",
            "1.17",
            json!({"Image": "a", "Memory": 9, "MemorySwap": -1, "CpuShares": 3, "Cpuset": "0,1"}),
            json!({"HostConfig": {"Memory": 9, "MemorySwap": -1, "CpuShares": 3, "CpusetCpus": "0,1"}}),
        ),
        (
            "limits at the top, newest",
            "1.24",
            json!({"Image": "a", "Memory": 9}),
            json!({"HostConfig": {"Memory": 9}}),
        ),
        (
            "limits in the host configuration win",
            "1.18",
            json!({"Image": "a", "Memory": 9, "HostConfig": {"Memory": 7}}),
            json!({"HostConfig": {"Memory": 7}}),
        ),
        (
            "zero gives way",
            "1.18",
            json!({"Image": "a", "Memory": 9, "HostConfig": {"Memory": 0}}),
            json!({"HostConfig": {"Memory": 9}}),
        ),
        (
            "volumes from, text",
            "1.0",
            json!({"Image": "a", "VolumesFrom": "b,c", "Dns": ["1.1.1.1"]}),
            json!({"HostConfig": {"VolumesFrom": ["b", "c"], "Dns": ["1.1.1.1"]}}),
        ),
        (
            "volumes from, empty",
            "1.9",
            json!({"Image": "a", "VolumesFrom": "", "Dns": null}),
            json!({"HostConfig": {"VolumesFrom": [], "Dns": null}}),
        ),
        (
            "privileged at the top",
            "1.4",
            json!({"Image": "a", "Privileged": true}),
            json!({"HostConfig": {"Privileged": true}}),
        ),
        (
            "disable network",
            "1.11",
            json!({"Image": "a", "DisableNetwork": true}),
            json!({"Config": {"NetworkDisabled": true}}),
        ),
        (
            "port specs",
            "1.5",
            json!({"Image": "a", "PortSpecs": ["80", "8080:81/udp", "127.0.0.1:1:2"]}),
            json!({"Config": {"ExposedPorts": {"80/tcp": {}, "81/udp": {}, "2/tcp": {}}},
                "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}],
                                                "81/udp": [{"HostIp": "", "HostPort": "8080"}],
                                                "2/tcp": [{"HostIp": "127.0.0.1", "HostPort": "1"}]}}}),
        ),
        (
            "port specs beside bindings",
            "1.14",
            json!({"Image": "a", "PortSpecs": ["80"], "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "7"}]}}}),
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "7"}]}}}),
        ),
        (
            "no port specs any more",
            "1.15",
            json!({"Image": "a", "PortSpecs": ["80"]}),
            json!({"HostConfig": {"PortBindings": {}}}),
        ),
        (
            "restart policy at the top",
            "1.14",
            json!({"Image": "a", "RestartPolicy": {"Name": "always"}}),
            json!({"HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}}),
        ),
        (
            "security options at the top",
            "1.16",
            json!({"Image": "a", "SecurityOpt": ["x"]}),
            json!({"HostConfig": {"SecurityOpt": ["x"]}}),
        ),
        (
            "volume driver at the top",
            "1.20",
            json!({"Image": "a", "VolumeDriver": "d"}),
            json!({"HostConfig": {"VolumeDriver": "d"}}),
        ),
        (
            "empty entry point was the image's",
            "1.18",
            json!({"Image": "a", "Entrypoint": []}),
            json!({"Config": {"Entrypoint": null}}),
        ),
        (
            "empty entry point is none",
            "1.19",
            json!({"Image": "a", "Entrypoint": []}),
            json!({"Config": {"Entrypoint": []}}),
        ),
        (
            "unknown keys",
            "1.24",
            json!({"Image": "a", "Nope": 1, "HostConfig": {"LxcConf": [{"Key": "k"}]}}),
            json!({}),
        ),
    ];
    for (name, version, body, expected) in rows {
        let create = created(version, body);
        assert_eq!(create.name.as_deref(), Some("n"), "{name}");
        let found = json!({
            "Config": serde_json::to_value(&create.config).expect(name),
            "HostConfig": serde_json::to_value(&create.host_config).expect(name),
        });
        for (section, fields) in expected.as_object().expect(name) {
            for (key, value) in fields.as_object().expect(name) {
                let got = found[section].get(key).unwrap_or(&Value::Null);
                assert_eq!(got, value, "{name}: {section}.{key}");
            }
        }
    }
}

/// What a commit of `version` with this query and body asks for, as far as `expected` says.
#[test]
fn commits_are_lifted() {
    let rows = [
        (
            "everything",
            "1.24",
            "&repo=r&tag=t&comment=c&author=a&pause=False&changes=x&changes=y",
            "",
            json!({"repository": "r", "tag": "t", "comment": "c", "author": "a", "pause": false, "changes": ["x", "y"]}),
        ),
        (
            "nothing else",
            "1.24",
            "",
            "",
            json!({"repository": "", "pause": true, "changes": []}),
        ),
        ("empty is not given", "1.24", "&pause=", "", json!({"pause": true})),
        ("pauses by itself", "1.13", "", "", json!({"pause": true})),
        ("did not", "1.12", "", "", json!({"pause": false})),
        ("paused when told", "1.12", "&pause=1", "", json!({"pause": true})),
        ("comment was m", "1.11", "&m=c", "", json!({"comment": "c"})),
        (
            "as daemons had it",
            "1.11",
            "&m=x&comment=c",
            "",
            json!({"comment": "c"}),
        ),
        ("m is nothing any more", "1.12", "&m=c", "", json!({"comment": ""})),
        (
            "run",
            "1.0",
            "&run={\"cmd\":[\"ls\"],\"PortSpecs\":[\"22\"]}",
            "",
            json!({"Cmd": ["ls"], "ExposedPorts": {"22/tcp": {}}}),
        ),
        (
            "run where no document has it",
            "1.5",
            "&run={\"Cmd\":[\"ls\"]}",
            "",
            json!({"Cmd": ["ls"]}),
        ),
        (
            "run beside a body",
            "1.8",
            "&run={\"Cmd\":[\"ls\"],\"User\":\"u\"}",
            r#"{"Cmd":["id"]}"#,
            json!({"Cmd": ["id"], "User": "u"}),
        ),
        ("run that is nothing", "1.8", "&run=zzz", "", json!({"Cmd": null})),
        ("run that is no object", "1.8", "&run=[]", "", json!({"Cmd": null})),
        (
            "run is nothing any more",
            "1.9",
            "&run={\"Cmd\":[\"ls\"]}",
            "",
            json!({"Cmd": null}),
        ),
        (
            "disable network",
            "1.9",
            "",
            r#"{"DisableNetwork":true}"#,
            json!({"NetworkDisabled": true}),
        ),
        (
            "network disabled",
            "1.10",
            "",
            r#"{"NetworkDisabled":true}"#,
            json!({"NetworkDisabled": true}),
        ),
        (
            "disable network is gone",
            "1.12",
            "",
            r#"{"DisableNetwork":true}"#,
            json!({"NetworkDisabled": null}),
        ),
        (
            "limits are not the image's",
            "1.12",
            "",
            r#"{"Memory":5,"Cpuset":"0","User":"u"}"#,
            json!({"User": "u"}),
        ),
        (
            "port specs",
            "1.19",
            "",
            r#"{"PortSpecs":["8080:80/udp"]}"#,
            json!({"ExposedPorts": {"80/udp": {}}}),
        ),
        (
            "no port specs any more",
            "1.20",
            "",
            r#"{"PortSpecs":["80"]}"#,
            json!({"ExposedPorts": null}),
        ),
        (
            "volumes",
            "1.19",
            "",
            r#"{"Volumes":{"/t":{}}}"#,
            json!({"Volumes": {"/t": {}}}),
        ),
        (
            "mounts",
            "1.20",
            "",
            r#"{"mounts":[{"Source":"/s","Destination":"/t","Mode":"ro","RW":false}]}"#,
            json!({"Volumes": {"/t": {}}}),
        ),
        (
            "both",
            "1.24",
            "",
            r#"{"Mounts":[{"Destination":"/t"}],"Volumes":{"/u":{}}}"#,
            json!({"Volumes": {"/t": {}, "/u": {}}}),
        ),
        (
            "nulls",
            "1.24",
            "",
            r#"{"Mounts":null,"Volumes":null,"Env":null}"#,
            json!({"Volumes": null, "Env": []}),
        ),
        ("null", "1.24", "", "null", json!({"Cmd": null})),
    ];
    for (name, version, query, body, expected) in rows {
        let commit = match call("POST", &format!("/v{version}/commit?container=c{query}"), body) {
            Ok(Call::Commit(commit)) => *commit,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(commit.container, "c", "{name}");
        let mut found = serde_json::to_value(&commit.config).expect(name);
        for (key, value) in [
            ("author", json!(commit.author)),
            ("changes", json!(commit.changes)),
            ("comment", json!(commit.comment)),
            ("pause", json!(commit.pause)),
            ("repository", json!(commit.repository)),
            ("tag", json!(commit.tag)),
        ] {
            found[key] = value;
        }
        for (key, value) in expected.as_object().expect(name) {
            assert_eq!(found.get(key).unwrap_or(&Value::Null), value, "{name}: {key}");
        }
    }
}

#[test]
fn networks_and_volumes_are_asked_for() {
    let create = |config: Value| Call::NetworkCreate(serde_json::from_value(config).expect("config"));
    let volume = |config: Value| Call::VolumeCreate(serde_json::from_value(config).expect("config"));
    let disconnect = |force| {
        Call::NetworkDisconnect(NetworkDisconnect {
            network: "n".into(),
            container: "c".into(),
            force,
        })
    };
    let connect = |endpoint: Option<Value>| {
        Call::NetworkConnect(NetworkConnect {
            network: "n".into(),
            container: "c".into(),
            endpoint: endpoint.map(|endpoint| serde_json::from_value(endpoint).expect("endpoint")),
        })
    };
    let by_option = json!({"com.docker.network.enable_ipv6": "true"});
    let rows = [
        (
            "1.24",
            "networks/create",
            json!({"Name": "n"}),
            create(json!({"Name": "n"})),
        ),
        (
            "1.21",
            "networks/create",
            json!({"name": "n", "ipam": {"config": [{"subnet": "s", "iprange": "r", "AUXADDRESS": {"a": "b"}}], "Driver": null}, "Labels": null}),
            create(
                json!({"Name": "n", "IPAM": {"Config": [{"Subnet": "s", "IPRange": "r", "AuxiliaryAddresses": {"a": "b"}}]}}),
            ),
        ),
        (
            "1.22",
            "networks/create",
            json!({"Name": "n", "Options": by_option}),
            create(json!({"Name": "n", "EnableIPv6": true, "Options": by_option})),
        ),
        (
            "1.22",
            "networks/create",
            json!({"Name": "n", "EnableIPv6": false, "Options": by_option}),
            create(json!({"Name": "n", "Options": by_option})),
        ),
        (
            "1.23",
            "networks/create",
            json!({"Name": "n", "Options": by_option}),
            create(json!({"Name": "n", "Options": by_option})),
        ),
        ("1.24", "networks/n/connect", json!({"container": "c"}), connect(None)),
        (
            "1.21",
            "networks/n/connect",
            json!({"Container": "c", "EndpointConfig": null}),
            connect(None),
        ),
        (
            "1.22",
            "networks/n/connect",
            json!({"Container": "c", "endpointconfig": {"ipamconfig": {"ipv4address": "a"}}}),
            connect(Some(json!({"IPAMConfig": {"IPv4Address": "a"}}))),
        ),
        (
            "1.21",
            "networks/n/disconnect",
            json!({"Container": "c"}),
            disconnect(false),
        ),
        (
            "1.24",
            "networks/n/disconnect",
            json!({"Container": "c", "Force": true}),
            disconnect(true),
        ),
        ("1.24", "volumes/create", json!({}), volume(json!({}))),
        (
            "1.23",
            "volumes/create",
            json!({"name": "v", "driveropts": {"o": "size=1m"}, "Labels": {"a": "b"}}),
            volume(json!({"Name": "v", "DriverOpts": {"o": "size=1m"}, "Labels": {"a": "b"}})),
        ),
        (
            "1.22",
            "volumes/create",
            json!({"Name": "v", "Driver": "local", "DriverOpts": {"o": "size=1m"}}),
            volume(json!({"Name": "v", "Driver": "local"})),
        ),
        (
            "1.22",
            "volumes/create",
            json!({"Name": "v", "Driver": "flocker", "DriverOpts": {"o": "size=1m"}}),
            volume(json!({"Name": "v", "Driver": "flocker", "DriverOpts": {"o": "size=1m"}})),
        ),
    ];
    for (version, path, body, expected) in rows {
        let target = format!("/v{version}/{path}");
        assert_eq!(
            call("POST", &target, &body.to_string()),
            Ok(expected),
            "{target} {body}"
        );
    }
    let filter = "filters=%7B%22type%22%3A%7B%22custom%22%3Atrue%7D%2C%22driver%22%3A%5B%22bridge%22%5D%7D";
    for path in ["networks", "networks/"] {
        match call("GET", &format!("/v1.21/{path}?{filter}"), "") {
            Ok(Call::NetworkList { filters }) => assert_eq!(
                (filters.values("type"), filters.values("driver")),
                (&["custom".to_owned()][..], &["bridge".to_owned()][..])
            ),
            other => panic!("{other:?}"),
        }
    }
    match call("GET", "/v1.21/volumes?filters=%7B%22dangling%22%3A%5B%221%22%5D%7D", "") {
        Ok(Call::VolumeList { filters }) => assert_eq!(filters.values("dangling"), ["1"]),
        other => panic!("{other:?}"),
    }
}
