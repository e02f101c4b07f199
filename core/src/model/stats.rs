//! Resource usage: what `GET /containers/{id}/stats` tells. Source: the Engine API documents v1.17 to v1.24; the lists of
//! `blkio_stats`, which their examples leave empty, as genuine daemons send them.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Timestamp, null};

/// One reading of a container's usage. Counters run from its start. One that does not run has all zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// When it was read.
    pub read: Timestamp,
    /// Name with a leading slash. In no document, but clients of today show it.
    pub name: String,
    /// 64 hexadecimal digits. In no document, as `name`.
    pub id: String,
    /// Processes.
    pub pids_stats: PidsStats,
    /// Interface (`eth0`) → its counters; absent for a container without a network of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, InterfaceStats>,
    /// Memory.
    pub memory_stats: MemoryStats,
    /// Block devices.
    pub blkio_stats: BlkioStats,
    /// Processor time now.
    pub cpu_stats: CpuStats,
    /// Processor time at the reading before this one, from which clients work out percentages; zeros in the first.
    pub precpu_stats: CpuStats,
}

/// Processes of a container (v1.23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PidsStats {
    /// How many there are, threads counted.
    pub current: u64,
}

/// What went over an interface, seen from the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceStats {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Packets dropped on the way in.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Send errors.
    pub tx_errors: u64,
    /// Packets dropped on the way out.
    pub tx_dropped: u64,
}

/// Memory of a container, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    /// In use, caches included.
    pub usage: u64,
    /// Most that was ever in use; 0 where the kernel does not tell it.
    pub max_usage: u64,
    /// How often the limit was hit; 0 where the kernel does not tell it.
    pub failcnt: u64,
    /// The limit, or the host's memory without one.
    pub limit: u64,
    /// The kernel's own counters (`memory.stat`), under its names.
    pub stats: BTreeMap<String, u64>,
}

/// Block input and output of a container. A list is empty where the kernel does not count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioStats {
    /// Bytes.
    #[serde(deserialize_with = "null::as_default")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(deserialize_with = "null::as_default")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// Operations that wait.
    #[serde(deserialize_with = "null::as_default")]
    pub io_queue_recursive: Vec<BlkioEntry>,
    /// Nanoseconds from dispatch to completion.
    #[serde(deserialize_with = "null::as_default")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    /// Nanoseconds in the queue.
    #[serde(deserialize_with = "null::as_default")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    /// Operations that were merged.
    #[serde(deserialize_with = "null::as_default")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    /// Milliseconds of the device.
    #[serde(deserialize_with = "null::as_default")]
    pub io_time_recursive: Vec<BlkioEntry>,
    /// Sectors of 512 bytes.
    #[serde(deserialize_with = "null::as_default")]
    pub sectors_recursive: Vec<BlkioEntry>,
}

/// A counter of a block device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioEntry {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Total`; empty for a counter that is not split.
    pub op: String,
    /// The counter.
    pub value: u64,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    /// Time of the container.
    pub cpu_usage: CpuUsage,
    /// Time of the whole host, idle time included, over all processors.
    pub system_cpu_usage: u64,
    /// What the quota kept from running.
    pub throttling_data: ThrottlingData,
}

/// Processor time of a container, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    /// In all.
    pub total_usage: u64,
    /// By processor. Clients take the length of the list for the number of processors, so it is as long even where the
    /// kernel does not count them apart.
    #[serde(deserialize_with = "null::as_default")]
    pub percpu_usage: Vec<u64>,
    /// In the kernel.
    pub usage_in_kernelmode: u64,
    /// Outside of it.
    pub usage_in_usermode: u64,
}

/// What the CPU quota kept from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ThrottlingData {
    /// Periods that passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// Nanoseconds spent waiting for the next period.
    pub throttled_time: u64,
}
