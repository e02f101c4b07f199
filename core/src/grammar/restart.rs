//! Restart policies.
//!
//! Source: Engine API, "Create a container", `HostConfig.RestartPolicy`: `Name` is empty, `no`, `always`, `on-failure` or
//! `unless-stopped`; `MaximumRetryCount` goes with `on-failure` only.

use alloc::{borrow::ToOwned, format, string::String};

/// When a container whose process has ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Always; after a restart of the daemon even if it had been stopped.
    Always,
    /// When it ended with another code than 0.
    OnFailure {
        /// At most so many times in a row; `None` is without end.
        retries_max: Option<u32>,
    },
    /// Always, except that one that had been stopped stays so when the daemon starts.
    UnlessStopped,
}

impl RestartPolicy {
    /// Reads the two fields.
    ///
    /// # Errors
    /// The name is unknown, or the count is negative or of no use to the policy.
    pub fn parse(name: &str, retries_max: i64) -> Result<Self, String> {
        let policy = match name {
            "" | "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" if retries_max < 0 => return Err("maximum retry count cannot be negative".to_owned()),
            "on-failure" => Self::OnFailure {
                retries_max: (retries_max > 0).then(|| u32::try_from(retries_max).unwrap_or(u32::MAX)),
            },
            _ => return Err(format!("invalid restart policy '{name}'")),
        };
        // Clients that were told no policy send the count that they have as well.
        if retries_max != 0 && matches!(policy, Self::Always | Self::UnlessStopped | Self::No) && !name.is_empty() {
            return Err(format!(
                "maximum retry count cannot be used with restart policy '{name}'"
            ));
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let on_failure = |retries_max| Ok(RestartPolicy::OnFailure { retries_max });
        let rows = [
            (("", 0), Ok(RestartPolicy::No)),
            (("", 3), Ok(RestartPolicy::No)),
            (("no", 0), Ok(RestartPolicy::No)),
            (("always", 0), Ok(RestartPolicy::Always)),
            (("unless-stopped", 0), Ok(RestartPolicy::UnlessStopped)),
            (("on-failure", 0), on_failure(None)),
            (("on-failure", 5), on_failure(Some(5))),
            (("on-failure", i64::MAX), on_failure(Some(u32::MAX))),
            (("on-failure", -1), Err("maximum retry count cannot be negative")),
            (
                ("always", 1),
                Err("maximum retry count cannot be used with restart policy 'always'"),
            ),
            (
                ("no", 1),
                Err("maximum retry count cannot be used with restart policy 'no'"),
            ),
            (("Always", 0), Err("invalid restart policy 'Always'")),
            (("on-failure:3", 0), Err("invalid restart policy 'on-failure:3'")),
        ];
        for ((name, count), expected) in rows {
            let parsed = RestartPolicy::parse(name, count);
            assert_eq!(parsed, expected.map_err(ToOwned::to_owned), "{name:?} {count}");
        }
    }
}
