//! What calls about volumes ask for.

use alloc::{borrow::ToOwned, string::String};

use serde_json::{Map, Value};

use super::filters;
use crate::{Refusal, dialect::Failure, json, model::Filters, query::Query};

/// Gives the keys of a create body their proper case.
pub(super) fn spell(body: &mut Map<String, Value>) {
    json::spell(body, VOLUME_KEYS);
}

/// The filters of a list.
pub(super) fn list(query: &Query) -> Result<Filters, Failure> {
    let filters = filters(query, VOLUME_FILTERS)?;
    let is_bool = |value: &&String| matches!(value.as_str(), "0" | "1" | "false" | "true");
    match filters.values("dangling").iter().find(|value| !is_bool(value)) {
        Some(value) => Err(Failure::Refused(Refusal::BadFilterValue {
            filter: "dangling".to_owned(),
            value: value.clone(),
        })),
        None => Ok(filters),
    }
}

/// Filters of the volume list (v1.24).
const VOLUME_FILTERS: &[&str] = &["dangling", "driver", "name"];

/// Keys of [`VolumeConfig`](crate::model::VolumeConfig).
const VOLUME_KEYS: &[&str] = &["Driver", "DriverOpts", "Labels", "Name"];
