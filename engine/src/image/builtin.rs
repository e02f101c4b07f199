//! The image that comes with the daemon: one static program, so that a fresh machine can run a container at once.

use std::io::Read;

use gantry_core::{ImageImport, model::Timestamp};

use super::{ImageId, Images, error::ImageError};

impl Images {
    /// Installs the image `name` made of one static `program` at the absolute path `path`, which is also its command.
    /// Once: when it was ever installed in this store, nothing happens, so an image that the user has removed stays
    /// removed. `None` then.
    ///
    /// # Errors
    /// As [`Images::import`].
    pub fn ensure_builtin(
        &self,
        name: &str,
        path: &str,
        program: &[u8],
        now: Timestamp,
    ) -> Result<Option<ImageId>, ImageError> {
        let note = format!("builtin:{name}");
        if self.store.meta(&note)?.is_some() {
            return Ok(None);
        }
        let mut header = tar::Header::new_ustar();
        let bad_path = |error| ImageError::Host {
            step: "archive",
            path: path.into(),
            error,
        };
        header.set_path(path.trim_start_matches('/')).map_err(bad_path)?;
        header.set_size(program.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(u64::try_from(now.secs).unwrap_or(0));
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        // Up to the next block, and the two blocks that end an archive.
        let padding = (512 - program.len() % 512) % 512 + 1024;
        let archive = header
            .as_bytes()
            .chain(program)
            .chain(std::io::repeat(0).take(padding as u64));
        let command = serde_json::to_string(&[path]).expect("a string is always JSON");
        let request = ImageImport {
            source: "-".into(),
            repository: name.into(),
            message: "Comes with gantry".into(),
            changes: vec![format!("CMD {command}")],
            ..ImageImport::default()
        };
        self.import_noting(archive, &request, now, Some((note, Vec::new())))
            .map(Some)
    }
}
