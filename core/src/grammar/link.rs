//! Links to other containers: `name[:alias]`, and the form in which an inspected container shows them, `/name:/own/alias`,
//! which old clients send back.
//!
//! Source: Remote API v1.22, "Create a container", `HostConfig.Links`: "a list of links for the container. Each link entry
//! should be in the form of `container_name:alias`"; daemons since 1.6 take the name alone.

use alloc::{borrow::ToOwned, format, string::String};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Name or id of the other container.
    pub container: String,
    /// What it is called in this one.
    pub alias: String,
}

impl Link {
    /// Parses a link.
    ///
    /// # Errors
    /// The text is empty, has a part too many, or a part without a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty string specified for links".to_owned());
        }
        let bad = || format!("bad format for links: {text}");
        let (container, alias) = text.split_once(':').unwrap_or((text, text));
        if alias.contains(':') && alias != text {
            return Err(bad());
        }
        let (container, alias) = match container.strip_prefix('/') {
            Some(inner) => (inner, alias.rsplit('/').next().unwrap_or(alias)),
            None => (container, alias),
        };
        if container.is_empty() || alias.is_empty() || container.contains('/') || alias.contains('/') {
            return Err(bad());
        }
        Ok(Self {
            container: container.to_owned(),
            alias: alias.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let rows = [
            ("db:mysql", Some(("db", "mysql"))),
            ("db", Some(("db", "db"))),
            ("/db:/web/mysql", Some(("db", "mysql"))),
            ("/db:mysql", Some(("db", "mysql"))),
            ("/db", Some(("db", "db"))),
            ("", None),
            (":", None),
            ("db:", None),
            (":mysql", None),
            ("db:mysql:x", None),
            ("/:/web/mysql", None),
            ("/db:/web/", None),
            ("a/b:c", None),
            ("db:../x", None),
        ];
        for (text, expected) in rows {
            let link = Link::parse(text).ok();
            let pair = link.as_ref().map(|link| (link.container.as_str(), link.alias.as_str()));
            assert_eq!(pair, expected, "{text:?}");
        }
    }
}
