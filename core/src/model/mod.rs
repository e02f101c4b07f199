//! The objects of the API in their newest shape (v1.24), as Rust types that serialise to it.
//!
//! Keys, types and meaning are those of the Engine API v1.24 document. Fields that a client may leave out are
//! [`Option`]s or have an empty default; `null` and absent mean the same when reading. Older shapes are made from
//! these by `dialect`, on JSON, never here.

mod container;
mod event;
mod exec;
mod filters;
mod image;
mod network;
mod null;
mod registry;
mod stats;
mod system;
mod timestamp;
mod volume;

pub use self::{
    container::{
        BlkioWeight, Container, ContainerConfig, ContainerState, ContainerSummary, DeviceMapping, Empty, FileChange,
        FileChangeKind, HealthConfig, HostConfig, LogConfig, MountPoint, NetworkModeOnly, PathStat, PortSummary,
        ProcessList, RestartPolicy, ThrottleRate, Ulimit, UnknownFileChange, UpdateConfig,
    },
    event::{Actor, Event, Progress, ProgressDetail},
    exec::{Exec, ExecConfig, ExecProcess},
    filters::Filters,
    image::{GraphDriver, Image, ImageHistoryEntry, ImageRemoval, ImageSummary, RootFs},
    network::{
        Endpoint, Ipam, IpamConfig, Network, NetworkConfig, NetworkContainer, NetworkSettings, NetworkSummary,
        NetworkingConfig, PortBinding,
    },
    registry::{Pushed, SearchResult, StoredLogin},
    stats::{
        BlkioEntry, BlkioStats, CpuStats, CpuUsage, InterfaceStats, MemoryStats, PidsStats, Stats, ThrottlingData,
    },
    system::{IndexConfig, Info, PluginNames, RegistryConfig, Version},
    timestamp::{Timestamp, TimestampError},
    volume::{Volume, VolumeConfig},
};
