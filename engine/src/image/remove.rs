//! `DELETE /images/{name}`: Docker's rules of what is untagged, what is deleted, and what is in the way.
//!
//! ```text
//!   by name:  untag it; while other names are left, that is all. Without force, the only name of an image that a
//!             container uses stays. Then the image itself goes, unless a container or a child needs it: it stays untagged.
//!   by id:    refused (without force) when several names are left or a stopped container uses it; refused always when
//!             a running container uses it or another image is built on it. Then all its names and the image go.
//!   after it: its parents that have no name, no other child and no user, unless `noprune`.
//! ```
//!
//! An image removed by force under a stopped container is only hidden: its layers are needed until that container goes.

use std::sync::Arc;

use gantry_core::{
    ImageUse,
    grammar::reference::{Reference, is_digest_key, repository_of},
    model::ImageRemoval,
};

use super::{
    ImageId, Images,
    catalog::{Catalog, Stored},
    error::ImageError,
};
use crate::store::ImageChanges;

/// A container that uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// Container id.
    pub id: String,
    /// It runs.
    pub running: bool,
    /// Its name.
    pub name: String,
}

/// What uses an image, by id.
type Users<'a> = &'a dyn Fn(&ImageId) -> Vec<ImageUser>;

impl Images {
    /// Removes a name, or an image, or both; see the module's picture. `users` tells which containers use an image; it
    /// must not call back into `Images`. What happened is answered in order.
    ///
    /// # Errors
    /// [`ImageError::InUse`], and those of [`Images::resolve`]. Nothing has happened then.
    pub fn remove(
        &self,
        reference: &str,
        force: bool,
        noprune: bool,
        users: Users<'_>,
    ) -> Result<Vec<ImageRemoval>, ImageError> {
        self.change(|catalog, changes| {
            let mut removal = Removal {
                images: self,
                catalog,
                changes,
                users,
                done: Vec::new(),
            };
            removal.remove(reference, force, !noprune)?;
            Ok(removal.done)
        })
    }

    /// Drops the images that were removed by force while stopped containers used them and that no container uses any
    /// more. To be called once the containers are known after a start, and after a container was removed.
    ///
    /// # Errors
    /// The store fails.
    pub fn drop_unused_hidden(&self, users: Users<'_>) -> Result<(), ImageError> {
        if !self.snapshot().images.values().any(|image| image.is_hidden()) {
            return Ok(());
        }
        self.change(|catalog, changes| {
            catalog.images.retain(|id, image| {
                let keep = !image.is_hidden() || !users(id).is_empty();
                if !keep {
                    changes.remove.push(id.hex());
                }
                keep
            });
            Ok(())
        })
    }
}

struct Removal<'a> {
    images: &'a Images,
    catalog: &'a mut Catalog,
    changes: &'a mut ImageChanges,
    users: Users<'a>,
    done: Vec<ImageRemoval>,
}

impl Removal<'_> {
    fn remove(&mut self, text: &str, force: bool, prune: bool) -> Result<(), ImageError> {
        let id = self.catalog.resolve(text)?.id();
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let key = Reference::parse(text).ok().map(|reference| reference.key());
        match key.filter(|key| self.catalog.references.get(key) == Some(&id)) {
            // A name that happens to be the start of the image's id counts as the id, as in Docker.
            Some(key) if !id.hex().starts_with(digits) => self.by_name(id, text, &key, force, prune),
            _ => self.by_id(id, text, force, prune),
        }
    }

    fn by_name(&mut self, id: ImageId, text: &str, key: &str, force: bool, prune: bool) -> Result<(), ImageError> {
        let users = (self.users)(&id);
        if !force
            && is_single(&self.catalog.keys_of(&id))
            && let Some(user) = users.first()
        {
            return Err(ImageError::InUse(ImageUse::Stopped {
                reference: text.to_owned(),
                image: id.hex(),
                container: user.id.clone(),
                by_tag: true,
            }));
        }
        self.untag(key);
        let rest = self.catalog.keys_of(&id);
        let same = |other: &&String| repository_of(other) == repository_of(key);
        // Digests of a repository go with its last tag.
        if !is_digest_key(key) && !rest.iter().any(|other| same(&other) && !is_digest_key(other)) {
            for digest in rest.iter().filter(same) {
                self.untag(digest);
            }
        }
        if !self.catalog.keys_of(&id).is_empty() {
            return Ok(());
        }
        let needed = users.iter().any(|user| user.running || !force) || self.catalog.has_children(&id);
        if !needed {
            self.delete(id, prune)?;
        }
        Ok(())
    }

    fn by_id(&mut self, id: ImageId, text: &str, force: bool, prune: bool) -> Result<(), ImageError> {
        let keys = self.catalog.keys_of(&id);
        if self.catalog.has_children(&id) {
            return Err(ImageError::InUse(ImageUse::HasChildren { image: id.hex() }));
        }
        let users = (self.users)(&id);
        let stop = |user: &ImageUser| (text.to_owned(), id.hex(), user.id.clone());
        if let Some(user) = users.iter().find(|user| user.running) {
            let (reference, image, container) = stop(user);
            return Err(ImageError::InUse(ImageUse::Running {
                reference,
                image,
                container,
            }));
        }
        if !force && !is_single(&keys) {
            return Err(ImageError::InUse(ImageUse::SeveralTags { image: id.hex() }));
        }
        if !force && let Some(user) = users.first() {
            let (reference, image, container) = stop(user);
            return Err(ImageError::InUse(ImageUse::Stopped {
                reference,
                image,
                container,
                by_tag: false,
            }));
        }
        self.delete(id, prune)
    }

    fn untag(&mut self, key: &str) {
        self.catalog.references.remove(key);
        self.changes.untag.push(key.to_owned());
        self.done.push(ImageRemoval::Untagged(key.to_owned()));
    }

    /// Takes all names and the image away, then its parents.
    fn delete(&mut self, id: ImageId, prune: bool) -> Result<(), ImageError> {
        let mut next = Some(id);
        while let Some(id) = next.take() {
            for key in self.catalog.keys_of(&id) {
                self.untag(&key);
            }
            let Some(record) = self.catalog.images.remove(&id) else {
                break;
            };
            if (self.users)(&id).is_empty() {
                self.changes.remove.push(id.hex());
            } else {
                self.hide(id)?;
            }
            self.done.push(ImageRemoval::Deleted(id.to_string()));
            next = record.parent().filter(|parent| {
                let free = self.catalog.visible(parent).is_some()
                    && self.catalog.keys_of(parent).is_empty()
                    && !self.catalog.has_children(parent);
                prune && free && (self.users)(parent).is_empty()
            });
        }
        Ok(())
    }

    fn hide(&mut self, id: ImageId) -> Result<(), ImageError> {
        let missing = || ImageError::NoSuchImage {
            reference: id.to_string(),
        };
        let bad = |what| ImageError::BadConfig { what };
        let bytes = self.images.store.image(&id.hex())?.ok_or_else(missing)?;
        let mut stored = Stored::decode(&bytes).map_err(bad)?;
        stored.hidden = true;
        self.changes.put.push((id.hex(), stored.encode()));
        let record = stored.record(id, &self.images.layers).map_err(bad)?;
        self.catalog.images.insert(id, Arc::new(record));
        Ok(())
    }
}

/// At most one tag, and no digests of another repository than its own.
fn is_single(keys: &[String]) -> bool {
    let tags: Vec<_> = keys.iter().filter(|key| !is_digest_key(key)).collect();
    match tags[..] {
        [] => keys
            .windows(2)
            .all(|two| repository_of(&two[0]) == repository_of(&two[1])),
        [tag] => keys.iter().all(|key| repository_of(key) == repository_of(tag)),
        _ => false,
    }
}
