//! `GET /images/json`: which images are shown, and how.

use std::collections::BTreeMap;

use gantry_core::{
    ImageList,
    grammar::reference::repository_of,
    model::{Filters, ImageSummary, Timestamp},
};

use super::{
    ImageId, ImageRecord, Images,
    catalog::{Catalog, split_keys},
    error::ImageError,
    pattern,
};

const FILTERS: [&str; 5] = ["before", "dangling", "label", "reference", "since"];

impl Images {
    /// `GET /images/json`, newest first. Filters: `before` and `since` (an image), `dangling` (`true`, `false`, `1`,
    /// `0`), `label` (`name` or `name=value`, all of which must hold), `reference` (patterns, one of which must fit).
    ///
    /// # Errors
    /// An unknown filter or filter value; an image named by a filter that is not there.
    pub fn list(&self, request: &ImageList) -> Result<Vec<ImageSummary>, ImageError> {
        let catalog = self.snapshot();
        let wanted = Wanted::decode(&request.filters, &catalog)?;
        let mut keys: BTreeMap<ImageId, Vec<String>> = BTreeMap::new();
        for (key, id) in &catalog.references {
            keys.entry(*id).or_default().push(key.clone());
        }
        let parents: std::collections::BTreeSet<_> = catalog.shown().filter_map(|image| image.parent()).collect();
        let mut images = Vec::new();
        for image in catalog.shown() {
            if !wanted.fits(image) {
                continue;
            }
            let keys = keys.remove(&image.id()).unwrap_or_default();
            let named = !keys.is_empty();
            let keys = wanted.fitting(keys)?;
            let (mut tags, mut digests) = split_keys(keys);
            if tags.is_empty() && digests.is_empty() {
                let intermediate = parents.contains(&image.id());
                let hidden = named || wanted.names.is_some() || wanted.dangling == Some(false);
                if hidden || (intermediate && (!request.all || wanted.dangling == Some(true))) {
                    continue;
                }
                tags = vec!["<none>:<none>".to_owned()];
                digests = vec!["<none>@<none>".to_owned()];
            } else if wanted.dangling == Some(true) && !tags.is_empty() {
                continue;
            }
            images.push((image.config().created, summary(image, tags, digests)));
        }
        images.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.id.cmp(&other.id)));
        Ok(images.into_iter().map(|(_, image)| image).collect())
    }
}

fn summary(image: &ImageRecord, repo_tags: Vec<String>, repo_digests: Vec<String>) -> ImageSummary {
    let size = i64::try_from(image.size()).unwrap_or(i64::MAX);
    let config = image.config();
    let labels = config.config.as_ref().map(|config| config.labels.clone());
    ImageSummary {
        id: image.id().to_string(),
        parent_id: image.parent().map(|id| id.to_string()).unwrap_or_default(),
        repo_tags,
        repo_digests: (!repo_digests.is_empty()).then_some(repo_digests),
        created: config.created.secs,
        size,
        virtual_size: size,
        labels: labels.filter(|labels| !labels.is_empty()),
    }
}

/// The filters, understood.
struct Wanted<'a> {
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    dangling: Option<bool>,
    labels: &'a [String],
    names: Option<&'a [String]>,
}

impl<'a> Wanted<'a> {
    fn decode(filters: &'a Filters, catalog: &Catalog) -> Result<Self, ImageError> {
        if let Some(filter) = filters.unknown(&FILTERS) {
            return Err(ImageError::BadFilter {
                filter: filter.to_owned(),
            });
        }
        let mut dangling = None;
        for value in filters.values("dangling") {
            dangling = match value.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                other => {
                    return Err(ImageError::BadFilter {
                        filter: format!("dangling=[{other}]"),
                    });
                }
            };
        }
        let time = |name: &str| {
            let images = filters.values(name).iter().map(|text| catalog.resolve(text));
            let times = images.map(|image| Ok(image?.config().created));
            times.collect::<Result<Vec<_>, ImageError>>()
        };
        Ok(Self {
            before: time("before")?.into_iter().min(),
            since: time("since")?.into_iter().max(),
            dangling,
            labels: filters.values("label"),
            names: Some(filters.values("reference")).filter(|names| !names.is_empty()),
        })
    }

    fn fits(&self, image: &ImageRecord) -> bool {
        let created = image.config().created;
        let labels = image.config().config.as_ref().map(|config| &config.labels);
        self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.labels.iter().all(|wanted| {
                let (name, value) = match wanted.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (wanted.as_str(), None),
                };
                let found = labels.and_then(|labels| labels.get(name));
                found.is_some_and(|found| value.is_none_or(|value| value == found))
            })
    }

    /// The keys that the `reference` filter lets through: it may name the repository or all of it.
    fn fitting(&self, mut keys: Vec<String>) -> Result<Vec<String>, ImageError> {
        let Some(patterns) = self.names else {
            return Ok(keys);
        };
        let mut bad = None;
        keys.retain(|key| {
            patterns.iter().any(|pattern| {
                let fits = |text| pattern::matches(pattern, text);
                match fits(key).and_then(|whole| Ok(whole || fits(repository_of(key))?)) {
                    Ok(fits) => fits,
                    Err(pattern::BadPattern) => {
                        bad = Some(pattern.clone());
                        false
                    }
                }
            })
        });
        match bad {
            None => Ok(keys),
            Some(pattern) => Err(ImageError::BadPattern { pattern }),
        }
    }
}
