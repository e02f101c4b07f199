//! API versions and ranges of them, as the case files write them: `1.12`, `1.6-1.14`, `1.20-`, `1.0-1.5,1.8-`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};

use crate::http::decimal;

/// A version of the API. `1.10` is above `1.9`: the parts are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Before the dot; 1 for all that exist.
    pub major: u32,
    /// Behind the dot.
    pub minor: u32,
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What is wrong with a version or range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadVersion(String);

impl fmt::Display for BadVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an API version or range of them: {:?}", self.0)
    }
}

impl std::error::Error for BadVersion {}

impl FromStr for ApiVersion {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let part = |digits: &str| decimal(digits.as_bytes()).and_then(|n| u32::try_from(n).ok());
        text.split_once('.')
            .and_then(|(major, minor)| {
                Some(Self {
                    major: part(major)?,
                    minor: part(minor)?,
                })
            })
            .ok_or_else(|| BadVersion(text.to_owned()))
    }
}

/// A set of versions: one or more spans, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions(Vec<(ApiVersion, Option<ApiVersion>)>);

impl Versions {
    /// Whether `version` is one of them.
    pub fn contain(&self, version: ApiVersion) -> bool {
        self.0
            .iter()
            .any(|(from, to)| *from <= version && to.is_none_or(|to| version <= to))
    }

    /// The versions between two bounds that are in the set.
    pub fn between(&self, lowest: ApiVersion, highest: ApiVersion) -> Vec<ApiVersion> {
        (lowest.minor..=highest.minor)
            .map(|minor| ApiVersion {
                major: lowest.major,
                minor,
            })
            .filter(|version| self.contain(*version))
            .collect()
    }
}

impl FromStr for Versions {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let span = |span: &str| match span.split_once('-') {
            None => span.parse().map(|one| (one, Some(one))),
            Some((from, "")) => Ok((from.parse()?, None)),
            Some((from, to)) => {
                let (from, to): (ApiVersion, ApiVersion) = (from.parse()?, to.parse()?);
                if from <= to {
                    Ok((from, Some(to)))
                } else {
                    Err(BadVersion(span.to_owned()))
                }
            }
        };
        text.split(',').map(span).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("1.12", &["1.12"], &["1.1", "1.11", "1.13"]),
            ("1.6-1.14", &["1.6", "1.10", "1.14"], &["1.5", "1.15", "1.1"]),
            ("1.20-", &["1.20", "1.99"], &["1.2", "1.19"]),
            ("1.0-1.5,1.8-", &["1.0", "1.5", "1.8"], &["1.6", "1.7"]),
        ];
        for (text, inside, outside) in table {
            let range: Versions = text.parse().expect(text);
            for version in *inside {
                assert!(range.contain(version.parse().expect(version)), "{version} in {text}");
            }
            for version in *outside {
                assert!(!range.contain(version.parse().expect(version)), "{version} in {text}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "1", "1.", "v1.2", "1.+2", "1.5-1.4", "-1.4", "1.2,", "1.2-1.3-1.4"] {
            assert!(text.parse::<Versions>().is_err(), "{text:?}");
        }
    }
}
