//! What calls about images ask for.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use serde_json::{Map, Value};

use crate::{
    Call, Commit, ImageCached, ImageImport, ImagePull, Refusal, RegistryAuth,
    dialect::Failure,
    json::{self, JsonError},
    model::{ContainerConfig, Empty, MountPoint},
    query::Query,
};
use serde::Deserialize;

use super::container;

/// Gives the keys of a commit body their proper case.
pub(super) fn spell_commit(map: &mut Map<String, Value>) {
    container::spell(map);
    json::spell(map, &["Mounts"]);
}

/// The call of a commit.
pub(super) fn commit(query: &Query, mut body: Map<String, Value>) -> Result<Commit, Failure> {
    /// What v1.20 and later show in place of `Volumes`. Daemons go on reading that, and both are read here.
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Mounted {
        mounts: Option<Vec<MountPoint>>,
    }
    let mounts = body.remove_entry("Mounts");
    let mounted: Mounted = json::typed(mounts.into_iter().collect(), "")?;
    let mut config: ContainerConfig = json::typed(body, "")?;
    for mount in mounted.mounts.into_iter().flatten() {
        let volumes = config.volumes.get_or_insert_default();
        volumes.insert(mount.destination, Empty {});
    }
    Ok(Commit {
        container: query.text("container").ok_or(Failure::NoContainer)?,
        repository: query.text("repo").unwrap_or_default(),
        tag: query.text("tag").unwrap_or_default(),
        comment: query.text("comment").unwrap_or_default(),
        author: query.text("author").unwrap_or_default(),
        pause: query.text("pause").is_none() || query.flag("pause"),
        changes: query.all("changes"),
        config,
    })
}

/// Whether an image is made from the request's body.
pub(super) fn imports_body(query: &Query) -> bool {
    query.text("fromImage").is_none() && query.get("fromSrc") == Some("-")
}

/// The call of `POST /images/getCache`: the id stands among the keys of the configuration.
pub(super) fn cached(mut body: Map<String, Value>) -> Result<ImageCached, Failure> {
    let parent = match body.remove("Id") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(id)) => id,
        Some(other) => {
            let (key, why) = ("Id".to_owned(), format!("expected a string, got {other}"));
            return Err(JsonError::WrongType { key, why }.into());
        }
    };
    Ok(ImageCached {
        parent,
        config: json::typed(body, "")?,
    })
}

/// The call of `POST /images/create`.
pub(super) fn create(query: &Query, auth: RegistryAuth) -> Result<Call, Failure> {
    if let Some(repository) = query.text("fromImage") {
        return Ok(Call::ImagePull(ImagePull {
            repository,
            tag: query.text("tag").unwrap_or_default(),
            auth,
        }));
    }
    let Some(source) = query.text("fromSrc") else {
        let why = "neither fromImage nor fromSrc is given".to_owned();
        return Err(Refusal::BadParameter(why).into());
    };
    Ok(Call::ImageImport(ImageImport {
        source,
        repository: query.text("repo").unwrap_or_default(),
        tag: query.text("tag").unwrap_or_default(),
        message: query.text("message").unwrap_or_default(),
        changes: query.all("changes"),
    }))
}

/// Filters of the image list (v1.24), and the one that the `filter` parameter stands for.
pub(super) const IMAGE_FILTERS: &[&str] = &["before", "dangling", "label", "reference", "since"];
