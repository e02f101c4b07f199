//! Binds: `[source:]destination[:mode]`, where the source is a path of the host, or the name of a volume.
//!
//! Source: Remote API v1.22, "Create a container", `HostConfig.Binds`: `container_path`, `host_path:container_path`,
//! `host_path:container_path:ro`, `volume_name:container_path[:ro]`; modes: Docker CLI reference, `docker run -v`.

use alloc::{borrow::ToOwned, format, string::String};
use core::mem;

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A volume that is made for this container.
    Anonymous,
    /// A path of the host, absolute.
    Path(String),
    /// A volume of this name.
    Volume(String),
}

/// How mounts below the source and the destination show up on the other side. mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// As private, with all that is mounted below the source.
    RecursivePrivate,
    /// In both directions.
    Shared,
    /// In both directions, with all that is mounted below.
    RecursiveShared,
    /// From the host into the container.
    Slave,
    /// From the host into the container, with all that is mounted below.
    RecursiveSlave,
}

/// A bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// What is mounted.
    pub source: Source,
    /// Where in the container, absolute.
    pub destination: String,
    /// Nothing can be written there.
    pub read_only: bool,
    /// `None` is the daemon's default, recursive private.
    pub propagation: Option<Propagation>,
    /// A new volume is not filled with what the image has at the destination.
    pub no_copy: bool,
}

impl Bind {
    /// Parses a bind.
    ///
    /// # Errors
    /// A part is missing, too many or empty, a path is not absolute, the destination is the root, or the mode is unknown or
    /// names two of a kind.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("invalid volume specification: '{text}'");
        let mut parts = text.split(':');
        let (source, destination, mode) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(destination), None, None, None) => (None, destination, ""),
            // A destination with a mode and no source has never been a form.
            (Some(_), Some(mode), None, None) if Mode::parse(mode).is_some() => return Err(bad()),
            (Some(source), Some(destination), mode, None) => (Some(source), destination, mode.unwrap_or_default()),
            _ => return Err(bad()),
        };
        if source == Some("") || destination.is_empty() || text.contains('\0') {
            return Err(bad());
        }
        let mode = Mode::parse(mode).ok_or_else(|| format!("invalid mode: {mode}"))?;
        let kind = match source {
            Some(path) if path.starts_with('/') => "bind",
            _ => "volume",
        };
        let unfit = |why: &str| format!("{}: invalid mount config for type \"{kind}\": {why}", bad());
        if !destination.starts_with('/') {
            let why = format!("invalid mount path: '{destination}' mount path must be absolute");
            return Err(unfit(&why));
        }
        if destination.split('/').all(|part| matches!(part, "" | ".")) {
            return Err(unfit("invalid specification: destination can't be '/'"));
        }
        // How mounts spread is a matter of paths; whether to copy, one of volumes.
        if kind == "bind" && mode.no_copy {
            return Err(unfit("field VolumeOptions must not be specified"));
        }
        if kind == "volume" && mode.propagation.is_some() {
            return Err(unfit("field BindOptions must not be specified"));
        }
        let source = match source {
            None => Source::Anonymous,
            Some(path) if kind == "bind" => Source::Path(path.to_owned()),
            Some(name) => {
                check_volume_name(name).map_err(|why| format!("create {name}: {why}"))?;
                Source::Volume(name.to_owned())
            }
        };
        Ok(Self {
            source,
            destination: destination.to_owned(),
            read_only: mode.read_only,
            propagation: mode.propagation,
            no_copy: mode.no_copy,
        })
    }
}

/// What stands behind the destination.
#[derive(Default)]
struct Mode {
    read_only: bool,
    propagation: Option<Propagation>,
    no_copy: bool,
}

impl Mode {
    /// Words joined by commas, one of a kind each; nothing is a mode as well.
    fn parse(text: &str) -> Option<Self> {
        let mut mode = Self::default();
        let (mut access, mut label, mut consistency) = (false, false, false);
        let once = |seen: &mut bool| !mem::replace(seen, true);
        for word in text.split(',').filter(|_| !text.is_empty()) {
            let fresh = match word {
                "ro" | "rw" => {
                    mode.read_only = word == "ro";
                    once(&mut access)
                }
                // Without SELinux there is nothing to relabel.
                "z" | "Z" => once(&mut label),
                // For desktops that mount across machines.
                "consistent" | "cached" | "delegated" => once(&mut consistency),
                "nocopy" => once(&mut mode.no_copy),
                _ => mode.propagation.replace(propagation(word)?).is_none(),
            };
            if !fresh {
                return None;
            }
        }
        Some(mode)
    }
}

/// Checks the name of a volume: two or more letters, digits, `_`, `.` and `-`, the first a letter or digit.
///
/// # Errors
/// What is wrong with it.
pub fn check_volume_name(name: &str) -> Result<(), String> {
    let word = |b: &u8| b.is_ascii_alphanumeric();
    let inner = |b: &u8| word(b) || matches!(b, b'_' | b'.' | b'-');
    match name.as_bytes() {
        [] | [_] => Err("volume name is too short, names should be at least two alphanumeric characters".to_owned()),
        [first, rest @ ..] if word(first) && rest.iter().all(inner) => Ok(()),
        _ => Err(bad_characters(name) + ". If you intended to pass a host directory, use absolute path"),
    }
}

/// What every daemon says of a volume's name that is not one.
pub(crate) fn bad_characters(name: &str) -> String {
    format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
    )
}

fn propagation(word: &str) -> Option<Propagation> {
    Some(match word {
        "private" => Propagation::Private,
        "rprivate" => Propagation::RecursivePrivate,
        "shared" => Propagation::Shared,
        "rshared" => Propagation::RecursiveShared,
        "slave" => Propagation::Slave,
        "rslave" => Propagation::RecursiveSlave,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn binds() {
        let path = |path: &str| Source::Path(path.to_owned());
        let volume = |name: &str| Source::Volume(name.to_owned());
        // Text, source, destination, read-only, propagation, no copy.
        let rows = [
            ("/data", Source::Anonymous, "/data", false, None, false),
            ("/host:/data:", path("/host"), "/data", false, None, false),
            ("/host:/data", path("/host"), "/data", false, None, false),
            ("/host:/data:ro", path("/host"), "/data", true, None, false),
            ("/host:/data:rw,Z", path("/host"), "/data", false, None, false),
            (
                "/host:/data:rslave,ro",
                path("/host"),
                "/data",
                true,
                Some(Propagation::RecursiveSlave),
                false,
            ),
            ("db-1:/data", volume("db-1"), "/data", false, None, false),
            ("db-1:/data:nocopy,ro", volume("db-1"), "/data", true, None, true),
            ("/a b:/c d", path("/a b"), "/c d", false, None, false),
            ("/host:/data:cached", path("/host"), "/data", false, None, false),
        ];
        for (text, source, destination, read_only, propagation, no_copy) in rows {
            let expected = Bind {
                source,
                destination: destination.to_owned(),
                read_only,
                propagation,
                no_copy,
            };
            assert_eq!(Bind::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn refusals() {
        let rows = [
            ("", "invalid volume specification: ''"),
            (":", "invalid volume specification: ':'"),
            (":/data", "invalid volume specification: ':/data'"),
            ("/host:", "invalid volume specification: '/host:'"),
            ("/data:ro", "invalid volume specification: '/data:ro'"),
            ("name:ro", "invalid volume specification: 'name:ro'"),
            ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"),
            (
                "/host:data",
                "type \"bind\": invalid mount path: 'data' mount path must be absolute",
            ),
            (
                "data",
                "type \"volume\": invalid mount path: 'data' mount path must be absolute",
            ),
            (
                "/host:/",
                "type \"bind\": invalid specification: destination can't be '/'",
            ),
            ("/host://./", "destination can't be '/'"),
            ("/", "type \"volume\": invalid specification: destination can't be '/'"),
            ("/host:/data:xx", "invalid mode: xx"),
            ("/host:/data:ro,rw", "invalid mode: ro,rw"),
            ("/host:/data:ro,", "invalid mode: ro,"),
            ("/host:/data:z,Z", "invalid mode: z,Z"),
            ("/host:/data:shared,slave", "invalid mode: shared,slave"),
            ("/tmp:ro:/x", "invalid mode: /x"),
            (
                "/host:/data:nocopy",
                "type \"bind\": field VolumeOptions must not be specified",
            ),
            (
                "name:/data:shared",
                "type \"volume\": field BindOptions must not be specified",
            ),
            ("./a:/b", "create ./a: \"./a\" includes invalid characters"),
            ("x:/b", "create x: volume name is too short"),
            ("/a\0:/b", "invalid volume specification"),
        ];
        for (text, reason) in rows {
            let error = Bind::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_read_is_sound(text in "[a-z/:.,]{0,24}|\\PC{0,16}") {
            if let Ok(bind) = Bind::parse(&text) {
                prop_assert!(bind.destination.starts_with('/'));
                prop_assert!(text.contains(&bind.destination));
            }
        }
    }
}
