//! Containers: the registry, and one file per verb.

pub(crate) mod attach;
mod boot;
mod configure;
mod create;
mod end;
mod export;
mod list;
pub(crate) mod log_file;
mod log_watch;
mod logs;
mod names;
mod paths;
mod plan;
mod record;
mod registry;
mod remove;
mod start;
mod stop;
mod view;
mod wait;

pub(crate) use self::{
    attach::Follower,
    boot::{Stored, load, make_roots},
    configure::Facts,
    log_watch::LogWatch,
    paths::ContainerPaths,
    record::{Phase, Record},
    registry::{AfterEnd, Container, Containers, Operation, Run},
    start::Started,
    view::{STORAGE_DRIVER, Sizes},
};
