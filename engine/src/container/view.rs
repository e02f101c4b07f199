//! Containers as the list and inspect calls show them. Pure: made from the record alone, without I/O.

use std::{collections::BTreeMap, path::Path};

use gantry_core::model::{
    Container, ContainerState, ContainerSummary, Endpoint, GraphDriver, NetworkModeOnly, NetworkSettings,
    NetworkSummary, PortSummary, Timestamp,
};

use super::{Phase, Record, paths::ContainerPaths};

/// Bytes of a container's writable layer and of all its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Writable layer.
    pub rw: i64,
    /// All layers.
    pub root_fs: i64,
}

/// `GET /containers/{id}/json`.
pub(super) fn inspect(
    record: &Record,
    pid: i32,
    data_root: &Path,
    sizes: Option<Sizes>,
    layers: &[String],
) -> Container {
    let paths = ContainerPaths::new(data_root, &record.id);
    let shown = |path: &Path| path.display().to_string();
    let mut argv = record.argv().into_iter();
    let upper = shown(&paths.upper());
    let logged = record.host_config.log_config.driver != "none";
    Container {
        id: record.id.clone(),
        created: record.created,
        path: argv.next().unwrap_or_default(),
        args: argv.collect(),
        state: state(record, pid),
        image: record.image.clone(),
        resolv_conf_path: shown(&paths.resolv_conf()),
        hostname_path: shown(&paths.hostname()),
        hosts_path: shown(&paths.hosts()),
        log_path: if logged { shown(&paths.log()) } else { String::new() },
        name: format!("/{}", record.name),
        restart_count: 0,
        driver: STORAGE_DRIVER.to_owned(),
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: None,
        host_config: record.host_config.clone(),
        graph_driver: GraphDriver {
            name: STORAGE_DRIVER.to_owned(),
            data: Some(BTreeMap::from([
                ("LowerDir".to_owned(), layers.join(":")),
                ("UpperDir".to_owned(), upper),
                ("WorkDir".to_owned(), shown(&paths.work())),
            ])),
        },
        size_rw: sizes.map(|sizes| sizes.rw),
        size_root_fs: sizes.map(|sizes| sizes.root_fs),
        mounts: Vec::new(),
        config: record.config.clone(),
        network_settings: network_settings(record),
    }
}

fn state(record: &Record, pid: i32) -> ContainerState {
    let running = record.phase == Phase::Running;
    ContainerState {
        status: record.phase.as_str().to_owned(),
        running,
        oom_killed: record.oom_killed,
        pid: if running { i64::from(pid) } else { 0 },
        exit_code: i64::from(record.exit_code),
        error: record.error.clone(),
        started_at: record.started_at,
        finished_at: record.finished_at,
        ..ContainerState::default()
    }
}

fn endpoint(record: &Record) -> (String, Endpoint) {
    let network = match record.host_config.network_mode.as_str() {
        "default" => "bridge",
        mode => mode,
    };
    let mut endpoint = Endpoint {
        network_id: network.to_owned(),
        ..Endpoint::default()
    };
    if let Some(attachment) = &record.attachment {
        endpoint.endpoint_id.clone_from(&attachment.endpoint_id);
        endpoint.gateway = attachment.gateway.to_string();
        endpoint.ip_address = attachment.address.to_string();
        endpoint.ip_prefix_len = attachment.prefix_len;
        endpoint.mac_address = mac_text(attachment.mac);
    }
    (network.to_owned(), endpoint)
}

fn network_settings(record: &Record) -> NetworkSettings {
    let (network, endpoint) = endpoint(record);
    let running = record.phase == Phase::Running;
    NetworkSettings {
        sandbox_id: if running { record.id.clone() } else { String::new() },
        ports: record
            .config
            .exposed_ports
            .keys()
            .filter(|_| running)
            .map(|port| (port.clone(), None))
            .collect(),
        endpoint_id: endpoint.endpoint_id.clone(),
        gateway: endpoint.gateway.clone(),
        ip_address: endpoint.ip_address.clone(),
        ip_prefix_len: endpoint.ip_prefix_len,
        mac_address: endpoint.mac_address.clone(),
        networks: BTreeMap::from([(network, endpoint)]),
        ..NetworkSettings::default()
    }
}

/// `02:42:ac:11:00:02`.
pub(super) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// An entry of `GET /containers/json`. `image` is what the image is called now.
pub(super) fn summary(record: &Record, now: Timestamp, image: String, sizes: Option<Sizes>) -> ContainerSummary {
    let (network, endpoint) = endpoint(record);
    let exposed = record
        .config
        .exposed_ports
        .keys()
        .filter(|_| record.phase == Phase::Running);
    ContainerSummary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.name)],
        image,
        image_id: record.image.clone(),
        command: command_text(&record.argv()),
        created: record.created.secs,
        ports: exposed.filter_map(|port| port_summary(port)).collect(),
        size_rw: sizes.map(|sizes| sizes.rw),
        size_root_fs: sizes.map(|sizes| sizes.root_fs),
        labels: record.config.labels.clone(),
        state: record.phase.as_str().to_owned(),
        status: status_text(record, now),
        host_config: NetworkModeOnly {
            network_mode: record.host_config.network_mode.clone(),
        },
        network_settings: NetworkSummary {
            networks: BTreeMap::from([(network, endpoint)]),
        },
        mounts: Vec::new(),
    }
}

fn port_summary(port: &str) -> Option<PortSummary> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    Some(PortSummary {
        private_port: number.parse().ok()?,
        protocol: protocol.to_owned(),
        ..PortSummary::default()
    })
}

/// The command as a list shows it: words with blanks are quoted, as Docker does.
fn command_text(argv: &[String]) -> String {
    let mut words = argv.iter().enumerate().map(|(index, word)| {
        if index > 0 && word.contains(' ') {
            format!("'{word}'")
        } else {
            word.clone()
        }
    });
    let first = words.next().unwrap_or_default();
    words.fold(first, |text, word| text + " " + &word)
}

/// `Up 5 minutes`, `Exited (0) 2 hours ago`, `Created`.
fn status_text(record: &Record, now: Timestamp) -> String {
    let since = |time: Timestamp| human_duration(now.secs.saturating_sub(time.secs));
    match record.phase {
        Phase::Created => "Created".to_owned(),
        Phase::Running => format!("Up {}", since(record.started_at)),
        Phase::Exited => format!("Exited ({}) {} ago", record.exit_code, since(record.finished_at)),
    }
}

/// A duration in words, to the precision people care for (Docker's `units.HumanDuration`).
fn human_duration(secs: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    match secs {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..MINUTE => format!("{secs} seconds"),
        _ if secs < 2 * MINUTE => "About a minute".to_owned(),
        _ if secs < HOUR => format!("{} minutes", secs / MINUTE),
        _ if (secs + HOUR / 2) / HOUR == 1 => "About an hour".to_owned(),
        _ if (secs + HOUR / 2) / HOUR < 48 => format!("{} hours", (secs + HOUR / 2) / HOUR),
        _ if secs < 14 * DAY => format!("{} days", secs / DAY),
        _ if secs < 60 * DAY => format!("{} weeks", secs / (7 * DAY)),
        _ if secs < 2 * YEAR => format!("{} months", secs / (30 * DAY)),
        _ => format!("{} years", secs / YEAR),
    }
}

/// What the `Driver` fields say.
pub(crate) const STORAGE_DRIVER: &str = "overlay";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let rows = [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86_400, "2 weeks"),
            (60 * 86_400, "2 months"),
            (800 * 86_400, "2 years"),
        ];
        for (secs, text) in rows {
            assert_eq!(human_duration(secs), text, "{secs}");
        }
    }

    #[test]
    fn commands() {
        let rows: [(&[&str], &str); 3] = [
            (&["sh", "-c", "echo hi"], "sh -c 'echo hi'"),
            (&["true"], "true"),
            (&[], ""),
        ];
        for (argv, text) in rows {
            let argv: Vec<_> = argv.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(command_text(&argv), text);
        }
    }
}
