//! The container engine: images, containers, networks, and the programs `gantryd` and `gantry-keeper`.

pub mod archive;
pub mod cgroup;
pub mod image;
pub mod keeper;
pub mod network;
pub mod process;
pub mod rootfs;
pub mod store;
mod sys;
pub mod trash;
