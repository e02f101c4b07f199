//! Any call that the newest version has: what the properties of this role are held against.

use proptest::{prelude::*, sample::subsequence};
use serde_json::{Value, from_value, json};

use super::*;
use crate::{
    AuthCheck, Build, BuildLimits, Commit, ContainerArchivePut, ContainerAttach, ContainerCreate, ContainerList,
    ContainerLogs, ContainerRemove, EventsQuery, ExecCreate, ExecStart, ImageCached, ImageImport, ImageInsert,
    ImageList, ImagePull, ImagePush, ImageSearch, Login, NetworkConnect, NetworkDisconnect, RegistryAuth, Secret,
    model::{self, ContainerConfig, Filters, HostConfig, Timestamp},
};

/// Names and texts of any kind; never empty.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z0-9][a-z0-9/:._-]{0,8}", 1 => "[ -~é\n]{1,6}"]
}

pub(super) fn name() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-z0-9][a-z0-9/:_-]{0,8}[a-z0-9]", 1 => text()]
}

pub(super) fn time() -> impl Strategy<Value = Option<Timestamp>> {
    let nanos = prop_oneof![Just(0), 0_u32..1_000_000_000];
    let time = (1..=i64::MAX, nanos).prop_map(|(secs, nanos)| Timestamp { secs, nanos });
    prop::option::of(prop_oneof![
        time,
        (i64::MIN..0).prop_map(|secs| Timestamp { secs, nanos: 5 })
    ])
}

pub(super) fn any_filters(names: &'static [&'static str]) -> impl Strategy<Value = Filters> {
    let values = prop::collection::vec(text(), 1..3);
    let pairs = prop::collection::btree_map(prop::sample::select(names), values, 0..2);
    pairs.prop_map(|map| Filters(map.into_iter().map(|(name, values)| (name.into(), values)).collect()))
}

/// Some of these keys.
pub(super) fn some_of(values: Value) -> impl Strategy<Value = Value> {
    let Value::Object(map) = values else { panic!("{values}") };
    let pairs: Vec<(String, Value)> = map.into_iter().collect();
    let few = 0..=3.min(pairs.len());
    prop_oneof![4 => subsequence(pairs.clone(), few), 1 => subsequence(pairs.clone(), 0..=pairs.len())]
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

pub(super) fn config() -> impl Strategy<Value = ContainerConfig> {
    let values = json!({
        "AttachStdin": true, "Cmd": [], "Domainname": "d", "Entrypoint": ["/bin/sh", ""], "Env": ["A=b"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Healthcheck": {"Test": ["NONE"]}, "Hostname": "h", "Image": "base",
        "Labels": {"a": "b"}, "MacAddress": "02:42:ac:11:00:02", "NetworkDisabled": true, "OnBuild": ["RUN x"],
        "OpenStdin": true, "Shell": ["sh"], "StdinOnce": true, "StopSignal": "9", "Tty": true, "User": "u", "Volumes": {"/v": {}},
        "WorkingDir": "/w",
    });
    let entrypoint = prop_oneof![9 => Just(None), 1 => Just(Some(vec![]))];
    (some_of(values), entrypoint).prop_map(|(values, entrypoint)| {
        let config: ContainerConfig = from_value(values).expect("a configuration");
        ContainerConfig {
            entrypoint: entrypoint.or(config.entrypoint),
            ..config
        }
    })
}

pub(super) fn host_config() -> impl Strategy<Value = HostConfig> {
    let port = |ip: &str, port: &str| json!({"HostIp": ip, "HostPort": port});
    let values = r#"{
        "AutoRemove": true, "Binds": ["/a:/b:ro", "v:/c:nocopy"], "BlkioDeviceReadBps": [{"Path": "/dev/x", "Rate": 1}],
        "BlkioDeviceReadIOps": [], "BlkioWeight": 500, "BlkioWeightDevice": [{"Path": "/dev/x", "Weight": 1}],
        "CapAdd": ["NET_ADMIN"], "CapDrop": [], "Cgroup": "x", "CgroupParent": "/p", "ConsoleSize": [1, 2],
        "ContainerIDFile": "f", "CpuPeriod": 1, "CpuQuota": -1, "CpuShares": 2, "CpusetCpus": "0,1", "CpusetMems": "0",
        "Devices": [{"PathOnHost": "/dev/x"}], "DiskQuota": 1, "Dns": ["8.8.8.8"], "DnsOptions": ["a"], "DnsSearch": ["b"],
        "ExtraHosts": ["h:1.2.3.4"], "GroupAdd": ["g"], "IpcMode": "host", "Isolation": "i", "KernelMemory": 1,
        "Links": ["/a:/b"], "LogConfig": {"Type": "none"}, "Memory": 33554432, "MemoryReservation": 1, "MemorySwap": -1,
        "MemorySwappiness": 0, "NetworkMode": "none", "OomKillDisable": false, "OomScoreAdj": -5, "PidMode": "host",
        "PidsLimit": 3,
        "PortBindings": {"53/udp": [{"HostIp": "", "HostPort": ""}, {"HostIp": "::1", "HostPort": ""}], "80/tcp": [{"HostIp": "1.2.3.4", "HostPort": "8080"}, {"HostIp": "", "HostPort": "1-2"}]},
        "Privileged": true, "PublishAllPorts": true, "ReadonlyRootfs": true,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "Runtime": "r", "SecurityOpt": ["x"], "ShmSize": 1,
        "StorageOpt": {"size": "1G"}, "Sysctls": {"a": "b"}, "Tmpfs": {"/t": ""}, "UTSMode": "host",
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": -1}], "UsernsMode": "host", "VolumeDriver": "local",
        "VolumesFrom": ["a", "b:ro"]
    }"#;
    let values = serde_json::from_str(values).expect("values");
    let others = prop_oneof![
        6 => Just(json!({})),
        1 => Just(json!({"PidMode": "container:x"})),
        1 => Just(json!({"VolumesFrom": []})),
        1 => Just(json!({"VolumesFrom": ["a,b"], "RestartPolicy": {"Name": "unless-stopped"}})),
        1 => Just(json!({"PortBindings": {"80": null, "81/tcp": [port("a/b", "")]}})),
        1 => Just(json!({"PortBindings": {"80/tcp": [port("", "1:2")]}})),
    ];
    (some_of(values), others).prop_map(|(mut values, others)| {
        let (Value::Object(values), Value::Object(others)) = (&mut values, others) else {
            unreachable!()
        };
        values.extend(others);
        from_value(Value::Object(values.clone())).expect("a host configuration")
    })
}

pub(super) fn any_create() -> impl Strategy<Value = ContainerCreate> {
    let networking = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"EndpointsConfig": {"n": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "1.2.3.4"}}, "m": null}})),
    ];
    (
        prop::option::of("[a-z][a-z0-9_.-]{0,8}"),
        config(),
        host_config(),
        networking,
        any::<bool>(),
    )
        .prop_map(|(name, mut config, host_config, networking, exposes)| {
            // What is published is exposed, as every client of the time did.
            if exposes {
                let ports = host_config.port_bindings.keys();
                config
                    .exposed_ports
                    .extend(ports.map(|port| (port.clone(), crate::model::Empty {})));
            }
            ContainerCreate {
                name,
                config,
                host_config,
                networking_config: from_value(networking).expect("networks"),
            }
        })
}

/// Any call that has a meaning of its own: texts that mean "none" when empty are not empty.
pub(super) fn any_call() -> impl Strategy<Value = Call> {
    let flags = || any::<[bool; 5]>();
    let creates = any_create().prop_map(|create| Call::ContainerCreate(Box::new(create)));
    let starts = (name(), prop::option::of(host_config())).prop_map(|(container, config)| Call::ContainerStart {
        container,
        host_config: config.map(Box::new),
    });
    let containers = prop_oneof![
        (name(), flags()).prop_map(|(container, [logs, stream, stdin, stdout, stderr])| {
            Call::ContainerAttach(ContainerAttach {
                container,
                logs,
                stream,
                stdin,
                stdout,
                stderr,
            })
        }),
        (name(), any::<bool>()).prop_map(|(container, size)| Call::ContainerInspect { container, size }),
        (name(), prop::option::of(text())).prop_map(|(container, signal)| Call::ContainerKill { container, signal }),
        (
            flags(),
            prop::option::of(text()),
            any_filters(crate::decode::CONTAINER_FILTERS),
            any::<Option<i64>>(),
            prop::option::of(text())
        )
            .prop_map(|([all, size, ..], before, filters, limit, since)| {
                Call::ContainerList(ContainerList {
                    all,
                    before,
                    filters,
                    limit,
                    since,
                    size,
                })
            }),
        (name(), flags(), time(), any::<Option<u64>>()).prop_map(
            |(container, [follow, stdout, stderr, timestamps, _], since, tail)| {
                Call::ContainerLogs(ContainerLogs {
                    container,
                    follow,
                    stdout: stdout || !stderr,
                    stderr,
                    since,
                    tail,
                    timestamps,
                })
            }
        ),
        (name(), flags()).prop_map(|(container, [force, link, volumes, ..])| {
            Call::ContainerRemove(ContainerRemove {
                container,
                force,
                link,
                volumes,
            })
        }),
        (name(), any::<u16>(), any::<u16>()).prop_map(|(container, height, width)| Call::ContainerResize {
            container,
            height,
            width,
        }),
        (name(), any::<Option<i64>>())
            .prop_map(|(container, grace_secs)| Call::ContainerStop { container, grace_secs }),
        name().prop_map(|container| Call::ContainerWait { container }),
    ];
    let events = &[
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "type",
        "volume",
    ];
    let others = prop_oneof![
        (any_filters(events), time(), time()).prop_map(|(filters, since, until)| Call::Events(EventsQuery {
            filters,
            since,
            until
        })),
        (
            text(),
            ".{0,4}",
            ".{0,4}",
            ".{0,9}",
            prop::collection::vec(".{0,9}", 0..3)
        )
            .prop_map(
                |(source, repository, tag, message, changes)| Call::ImageImport(ImageImport {
                    source,
                    repository,
                    tag,
                    message,
                    changes,
                })
            ),
        name().prop_map(|image| Call::ImageInspect { image }),
        (
            any::<bool>(),
            any_filters(&["before", "dangling", "label", "reference", "since"])
        )
            .prop_map(|(all, filters)| Call::ImageList(ImageList { all, filters })),
        any::<bool>().prop_map(|quiet| Call::ImageLoad { quiet }),
        (name(), flags()).prop_map(|(image, [force, noprune, ..])| Call::ImageRemove { image, force, noprune }),
        (name(), ".{0,4}", ".{0,4}", any::<bool>()).prop_map(|(image, repository, tag, force)| Call::ImageTag {
            image,
            repository,
            tag,
            force,
        }),
        Just(Call::Info),
        Just(Call::Ping),
        Just(Call::Version),
    ];
    prop_oneof![
        2 => creates.boxed(),
        1 => starts.boxed(),
        2 => containers.boxed(),
        2 => others.boxed(),
        2 => more_containers().boxed(),
        1 => execs().boxed(),
        2 => registry_calls().boxed(),
        1 => commits_and_caches().boxed(),
        1 => builds().boxed(),
        2 => networks_and_volumes().boxed(),
    ]
}

/// The calls about containers that neither stream output nor configure anything.
fn more_containers() -> impl Strategy<Value = Call> {
    let update = json!({
        "BlkioWeight": 5, "CpuShares": 1, "CpusetCpus": "0", "KernelMemory": 3, "Memory": 4, "MemorySwap": -1,
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
    });
    prop_oneof![
        (name(), text()).prop_map(|(container, path)| Call::ContainerArchiveGet { container, path }),
        (name(), text(), any::<bool>()).prop_map(|(container, path, no_overwrite_dir_non_dir)| {
            Call::ContainerArchivePut(ContainerArchivePut {
                container,
                path,
                no_overwrite_dir_non_dir,
            })
        }),
        (name(), text()).prop_map(|(container, path)| Call::ContainerArchiveStat { container, path }),
        name().prop_map(|container| Call::ContainerChanges { container }),
        (name(), text()).prop_map(|(container, resource)| Call::ContainerCopy { container, resource }),
        name().prop_map(|container| Call::ContainerExport { container }),
        name().prop_map(|container| Call::ContainerPause { container }),
        (name(), "[a-z][a-z0-9_.-]{0,8}").prop_map(|(container, name)| Call::ContainerRename { container, name }),
        (name(), any::<Option<i64>>())
            .prop_map(|(container, grace_secs)| Call::ContainerRestart { container, grace_secs }),
        (name(), any::<bool>()).prop_map(|(container, stream)| Call::ContainerStats { container, stream }),
        (name(), prop::option::of(text())).prop_map(|(container, ps_args)| Call::ContainerTop { container, ps_args }),
        name().prop_map(|container| Call::ContainerUnpause { container }),
        (name(), some_of(update)).prop_map(|(container, config)| Call::ContainerUpdate {
            container,
            config: from_value(config).expect("limits"),
        }),
    ]
}

fn execs() -> impl Strategy<Value = Call> {
    let config = json!({
        "AttachStderr": true, "AttachStdin": true, "AttachStdout": true, "DetachKeys": "ctrl-a,b", "Privileged": true,
        "Tty": true, "User": "u:g",
    });
    prop_oneof![
        (name(), some_of(config)).prop_map(|(container, config)| {
            let mut config: model::ExecConfig = from_value(config).expect("an exec");
            config.cmd = vec!["ls".into(), String::new()];
            Call::ExecCreate(Box::new(ExecCreate { container, config }))
        }),
        (name(), any::<bool>()).prop_map(|(exec, container)| Call::ExecInspect { exec, container }),
        (name(), any::<u16>(), any::<u16>()).prop_map(|(exec, height, width)| Call::ExecResize { exec, height, width }),
        (name(), any::<bool>(), any::<bool>()).prop_map(|(exec, detach, tty)| Call::ExecStart(ExecStart {
            exec,
            detach,
            tty
        })),
    ]
}

pub(super) fn login() -> impl Strategy<Value = Login> {
    let token = || prop::option::weighted(0.2, text()).prop_map(|token| Secret::from(token.unwrap_or_default()));
    (text(), ".{0,4}", ".{0,4}", "(https://r/)?", token(), token()).prop_map(
        |(username, password, email, server_address, identity_token, registry_token)| Login {
            username,
            password: password.into(),
            email,
            server_address,
            identity_token,
            registry_token,
        },
    )
}

pub(super) fn auth() -> impl Strategy<Value = RegistryAuth> {
    prop_oneof![
        login().prop_map(|login| RegistryAuth::Login(Box::new(login))),
        Just(RegistryAuth::None),
        Just(RegistryAuth::Stored),
    ]
}

fn registry_calls() -> impl Strategy<Value = Call> {
    let flag = any::<Option<bool>>;
    prop_oneof![
        (login(), any::<bool>()).prop_map(|(login, store)| Call::AuthCheck(Box::new(AuthCheck { login, store }))),
        Just(Call::AuthShow),
        (name(), ".{0,9}", ".{0,9}").prop_map(|(image, url, path)| Call::ImageInsert(ImageInsert { image, url, path })),
        (text(), ".{0,4}", auth()).prop_map(|(repository, tag, auth)| Call::ImagePull(ImagePull {
            repository,
            tag,
            auth
        })),
        (name(), ".{0,2}", "(h:5000)?", auth()).prop_map(|(image, tag, registry, auth)| Call::ImagePush(ImagePush {
            image,
            tag,
            registry,
            auth
        })),
        (".{0,9}", flag(), flag(), 0u64..3, prop::option::of(1u8..=100), auth()).prop_map(
            |(term, is_automated, is_official, stars_min, limit, auth)| Call::ImageSearch(ImageSearch {
                term,
                is_automated,
                is_official,
                stars_min,
                limit,
                auth,
            })
        ),
    ]
}

fn commits_and_caches() -> impl Strategy<Value = Call> {
    let texts = [".{0,3}"; 4];
    let changes = prop::collection::vec(".{0,9}", 0..3);
    prop_oneof![
        (name(), texts, any::<bool>(), changes, config()).prop_map(
            |(container, [repository, tag, comment, author], pause, changes, config)| {
                Call::Commit(Box::new(Commit {
                    container,
                    repository,
                    tag,
                    comment,
                    author,
                    pause,
                    changes,
                    config,
                }))
            }
        ),
        (".{0,9}", config()).prop_map(|(parent, config)| Call::ImageCached(Box::new(ImageCached { parent, config }))),
        name().prop_map(|image| Call::ImageGet { image }),
        prop::collection::vec(text(), 0..3).prop_map(|images| Call::ImageGetMany { images }),
        name().prop_map(|image| Call::ImageHistory { image }),
    ]
}

fn builds() -> impl Strategy<Value = Call> {
    let texts = || ["[a-z]{0,1}"; 5];
    let numbers = any::<[Option<i64>; 6]>().prop_map(|numbers| numbers.map(Option::unwrap_or_default));
    let pairs = || prop::collection::btree_map("[A-Z]", ".{0,3}", 0..2);
    let limits = (texts(), prop_oneof![3 => Just([0; 6]), 1 => numbers], any::<bool>()).prop_map(
        |([cgroup_parent, cpuset_cpus, cpuset_mems, ..], [period, quota, shares, memory, swap, shm], limited)| {
            BuildLimits {
                cgroup_parent,
                cpu_period: period,
                cpu_quota: quota,
                cpu_shares: shares,
                cpuset_cpus,
                cpuset_mems,
                memory,
                memory_swap: swap,
                shm_size: shm,
                ulimits: match limited {
                    true => from_value(json!([{"Name": "nofile", "Soft": 1, "Hard": -1}])).expect("limits"),
                    false => vec![],
                },
            }
        },
    );
    let logins = prop::collection::btree_map("https://r/|https://index.docker.io/v1/", login(), 0..3);
    (
        prop::collection::vec(text(), 0..3),
        prop::option::weighted(0.2, text()),
        prop::option::weighted(0.2, text()),
        any::<[bool; 6]>(),
        limits,
        texts(),
        (pairs(), pairs()),
        logins,
    )
        .prop_map(
            |(
                tags,
                dockerfile,
                remote,
                [quiet, no_cache, pull, remove, force_remove, _],
                limits,
                texts,
                pairs,
                logins,
            )| {
                let [network_mode, isolation, ..] = texts;
                let (build_args, labels) = pairs;
                Call::Build(Box::new(Build {
                    tags,
                    dockerfile,
                    remote,
                    quiet,
                    no_cache,
                    pull,
                    remove: remove || force_remove,
                    force_remove,
                    limits,
                    network_mode,
                    isolation,
                    build_args,
                    labels,
                    logins,
                }))
            },
        )
}

fn networks_and_volumes() -> impl Strategy<Value = Call> {
    let network = json!({
        "CheckDuplicate": true, "Driver": "bridge", "EnableIPv6": true,
        "IPAM": {"Driver": "default", "Options": {"a": "b"}, "Config": [{"Subnet": "10.0.0.0/8", "AuxiliaryAddresses": {"a": "10.0.0.1"}}]},
        "Internal": true, "Labels": {"a": "b"}, "Options": {"com.docker.network.enable_ipv6": "true"},
    });
    let endpoint = json!({"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}, "Links": ["a:b"]});
    let volume = json!({"Driver": "local", "DriverOpts": {"a": "b"}, "Labels": {"a": "b"}, "Name": "v"});
    let typed = prop::collection::vec(prop::sample::select(&["builtin", "custom"]), 1..3);
    let dangling = prop::sample::select(&["0", "1", "false", "true"]);
    let with = |mut filters: Filters, name: &str, values: Vec<&str>| {
        let values = values.into_iter().map(String::from).collect();
        filters.0.insert(name.into(), values);
        filters
    };
    prop_oneof![
        (name(), text(), prop::option::of(some_of(endpoint))).prop_map(|(network, container, endpoint)| {
            Call::NetworkConnect(NetworkConnect {
                network,
                container,
                endpoint: endpoint.map(|endpoint| from_value(endpoint).expect("an endpoint")),
            })
        }),
        (text(), some_of(network)).prop_map(|(name, config)| {
            let mut config: model::NetworkConfig = from_value(config).expect("a network");
            config.name = name;
            Call::NetworkCreate(Box::new(config))
        }),
        (name(), text(), any::<bool>()).prop_map(|(network, container, force)| {
            Call::NetworkDisconnect(NetworkDisconnect {
                network,
                container,
                force,
            })
        }),
        name().prop_map(|network| Call::NetworkInspect { network }),
        (any_filters(&["driver", "id", "label", "name"]), prop::option::of(typed)).prop_map(move |(filters, typed)| {
            let filters = match typed {
                Some(values) => with(filters, "type", values),
                None => filters,
            };
            Call::NetworkList { filters }
        }),
        name().prop_map(|network| Call::NetworkRemove { network }),
        some_of(volume).prop_map(|config| Call::VolumeCreate(from_value(config).expect("a volume"))),
        name().prop_map(|volume| Call::VolumeInspect { volume }),
        (any_filters(&["driver", "name"]), prop::option::of(dangling)).prop_map(move |(filters, dangling)| {
            let filters = match dangling {
                Some(value) => with(filters, "dangling", vec![value]),
                None => filters,
            };
            Call::VolumeList { filters }
        }),
        name().prop_map(|volume| Call::VolumeRemove { volume }),
    ]
}
