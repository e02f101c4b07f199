//! How much a directory tree takes.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Bytes of all files below `root`, as `du --apparent-size` counts them; links are not followed. What cannot be read (it
/// may be going at this moment) counts nothing.
pub(crate) fn tree_bytes(root: &Path) -> i64 {
    let mut bytes: u64 = 0;
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                pending.push(entry.path());
            } else if metadata.is_file() {
                // A file with several names is counted once for each; layers seldom have them.
                bytes = bytes.saturating_add(metadata.size());
            }
        }
    }
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
