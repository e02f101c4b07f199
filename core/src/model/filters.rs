//! The `filters` parameter, decoded.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

/// Filter name → values. Several values of one name are alternatives; several names must all hold.
///
/// On the wire a JSON map of lists (`{"label":["a=b"]}`) or of maps (`{"label":{"a=b":true}}`, from v1.22).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters(pub BTreeMap<String, Vec<String>>);

impl Filters {
    /// The values of `name`; empty when the filter is not there.
    pub fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether `value` passes the filter `name`: it is not there, or holds this very value.
    pub fn allows(&self, name: &str, value: &str) -> bool {
        let values = self.values(name);
        values.is_empty() || values.iter().any(|v| v == value)
    }

    /// The first filter that is not among `known`.
    pub fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.0.keys().map(String::as_str).find(|name| !known.contains(name))
    }
}
