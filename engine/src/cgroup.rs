//! Control groups: where a container's are, which limits they hold, and how they end.
//!
//! Three worlds are served: v1 (one hierarchy for each controller), v2 (one for all), and the hybrid, where v1 holds the
//! controllers and an empty v2 hierarchy serves to kill. Limits are planned purely ([`plan_limits`]) and then written.
//! Truth: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst; the v1-to-v2 scales are those of the OCI runtimes.

mod devices;
mod discover;
mod end;
mod group;
mod limits;
mod support;

pub use self::{
    discover::{Hierarchies, Hierarchy},
    end::{DESTROY_TIME_MAX, DestroyError, destroy, oom_kills},
    limits::{Controller, Setting, plan_limits},
};
pub(crate) use self::{group::Group, support::Support};
