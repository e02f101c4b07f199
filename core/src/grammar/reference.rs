//! Image references: `[host[:port]/]path[:tag][@digest]`.
//!
//! Grammar: the `reference` package of the distribution project (`reference.go`, the grammar in its package comment);
//! normal and familiar forms: its `normalize.go`. Docker's short names are kept as the key everywhere: `x`,
//! `library/x` and `docker.io/library/x` are all `x`. Digests are `sha256:` and 64 lower-case hexadecimal digits; other
//! algorithms are refused, as Docker never wrote them. The error texts are Docker's.

use alloc::{borrow::ToOwned, format, string::String};
use core::{error::Error, fmt};

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host, with port; `docker.io` when none was given; empty when what looks like one is none, but part of a path.
    domain: String,
    /// Repository below the host; with `library/` on Docker Hub.
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no reference, or none for this use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceError {
    /// The grammar is not met.
    Format,
    /// Upper case in the repository.
    NotLowercase,
    /// The repository has more than 255 characters.
    TooLong,
    /// 64 hexadecimal digits, which always mean an id.
    IsId,
    /// The tag does not meet the grammar.
    Tag,
    /// It names a digest, where a name is to be given.
    Digest,
}

impl ReferenceError {
    /// Docker's text; `name` is what the client wrote.
    pub fn text(self, name: &str) -> String {
        match self {
            Self::IsId => format!("invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"),
            _ => self.why().to_owned(),
        }
    }

    fn why(self) -> &'static str {
        match self {
            Self::Format => "invalid reference format",
            Self::NotLowercase => "invalid reference format: repository name must be lowercase",
            Self::TooLong => "repository name must not be more than 255 characters",
            Self::IsId => "invalid repository name, cannot specify 64-byte hexadecimal strings",
            Self::Tag => "invalid tag format",
            Self::Digest => "refusing to create a tag with a digest reference",
        }
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

impl Error for ReferenceError {}

impl Reference {
    /// Parses a reference as a person or client writes it.
    ///
    /// # Errors
    /// See [`ReferenceError`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_hex_id(text) {
            return Err(ReferenceError::IsId);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) if is_digest(digest) => (name, Some(digest.to_owned())),
            Some(_) => return Err(ReferenceError::Format),
            None => (text, None),
        };
        // A colon behind the last slash begins the tag; before it, a port.
        let last = name.rfind('/').unwrap_or(0);
        let (name, tag) = match name.match_indices(':').find(|(colon, _)| *colon >= last) {
            Some((colon, _)) => (name.get(..colon).unwrap_or_default(), name.get(colon + 1..)),
            None => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Format);
        }
        Ok(Self {
            tag: tag.map(ToOwned::to_owned),
            digest,
            ..Self::repository(name)?
        })
    }

    /// Parses a repository and, when it is not empty, a tag given apart from it, as the tag and import calls have them.
    ///
    /// # Errors
    /// See [`ReferenceError`]. A tag inside `repository` counts only when `tag` is empty, as in Docker.
    pub fn with_tag(repository: &str, tag: &str) -> Result<Self, ReferenceError> {
        let reference = Self::parse(repository)?;
        if tag.is_empty() {
            return Ok(reference.or_latest());
        }
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            ..reference
        })
    }

    fn repository(name: &str) -> Result<Self, ReferenceError> {
        // The first part is a host when it cannot be the start of a repository.
        let (domain, path) = match name.split_once('/') {
            // `my_registry.local/x` has no host that there could be, and Docker takes it for a path on none at all.
            Some((first, _)) if is_host_like(first) && !is_domain(first) && is_path(name) => {
                return Self::on("", name);
            }
            Some((first, rest)) if is_host_like(first) => (first, rest),
            _ => (HUB, name),
        };
        let domain = if domain == OLD_HUB { HUB } else { domain };
        if path.chars().any(|c| c.is_ascii_uppercase()) && is_path(&path.to_ascii_lowercase()) && is_domain(domain) {
            return Err(ReferenceError::NotLowercase);
        }
        if !is_domain(domain) || !is_path(path) {
            return Err(ReferenceError::Format);
        }
        if domain == HUB && !path.contains('/') {
            Self::on(domain, &format!("{LIBRARY}{path}"))
        } else {
            Self::on(domain, path)
        }
    }

    fn on(domain: &str, path: &str) -> Result<Self, ReferenceError> {
        if domain.len() + 1 + path.len() > NAME_BYTES_MAX {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self {
            domain: domain.to_owned(),
            path: path.to_owned(),
            tag: None,
            digest: None,
        })
    }

    /// The reference with the tag `latest` when it has neither tag nor digest.
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The repository as people write it: without `docker.io/` and `library/`.
    pub fn familiar_name(&self) -> String {
        if self.domain.is_empty() {
            return self.path.clone();
        }
        if self.domain != HUB {
            return format!("{}/{}", self.domain, self.path);
        }
        match self.path.strip_prefix(LIBRARY) {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            // Without its host, `docker.io/a.b/c` would become a repository on the host `a.b`.
            _ if self.path.split('/').next().is_some_and(is_host_like) => format!("{HUB}/{}", self.path),
            _ => self.path.clone(),
        }
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, `sha256:` and 64 lower-case hexadecimal digits.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The key under which the image is found: with a digest `repository@digest`, else `repository:tag`.
    pub fn key(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.familiar_name()),
            (None, Some(tag)) => format!("{}:{tag}", self.familiar_name()),
            (None, None) => format!("{}:latest", self.familiar_name()),
        }
    }
}

impl fmt::Display for Reference {
    /// The familiar form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar_name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The repository of a key that [`Reference::key`] made.
pub fn repository_of(key: &str) -> &str {
    if let Some((repository, _)) = key.split_once('@') {
        return repository;
    }
    key.rsplit_once(':').map_or(key, |(repository, _)| repository)
}

/// Whether a key names a digest.
pub fn is_digest_key(key: &str) -> bool {
    key.contains('@')
}

/// `[\w][\w.-]{0,127}`.
fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let (first, rest) = match tag.as_bytes() {
        [first, rest @ ..] => (*first, rest),
        [] => return false,
    };
    word(first) && rest.len() < 128 && rest.iter().all(|&b| word(b) || b == b'.' || b == b'-')
}

/// 64 lower-case hexadecimal digits.
pub fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_hex_id)
}

fn is_host_like(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

/// Host names, IPv4 addresses and bracketed IPv6 addresses, with an optional port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            match port {
                "" => return true,
                port => match port.strip_prefix(':') {
                    Some(port) => ("x", Some(port)),
                    None => return false,
                },
            }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let label = |label: &str| {
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = label.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower-case words joined by `.`, `_`, `__` or dashes, and those parts joined by `/`.
fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_part)
}

fn is_path_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = part;
    loop {
        let after = rest.trim_start_matches(word);
        if after.len() == rest.len() {
            return false;
        }
        if after.is_empty() {
            return true;
        }
        rest = after.trim_start_matches(|c| !word(c));
        let separator = after.strip_suffix(rest).unwrap_or_default();
        if !matches!(separator, "." | "_" | "__") && separator.chars().any(|c| c != '-') {
            return false;
        }
    }
}

const HUB: &str = "docker.io";
const OLD_HUB: &str = "index.docker.io";
const LIBRARY: &str = "library/";
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn familiar_forms() {
        let rows = [
            ("busybox", "busybox:latest"),
            ("busybox:1.0", "busybox:1.0"),
            ("library/busybox", "busybox:latest"),
            ("docker.io/busybox", "busybox:latest"),
            ("docker.io/library/busybox:x", "busybox:x"),
            ("index.docker.io/library/busybox", "busybox:latest"),
            ("gantry/hello", "gantry/hello:latest"),
            ("docker.io/gantry/hello", "gantry/hello:latest"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x:t", "localhost:5000/x:t"),
            ("quay.io/a/b/c:T.1-_", "quay.io/a/b/c:T.1-_"),
            ("Host/x", "Host/x:latest"),
            ("[2001:db8::1]:5000/x", "[2001:db8::1]:5000/x:latest"),
            ("a__b/c--d.e", "a__b/c--d.e:latest"),
            ("library/a/b", "library/a/b:latest"),
            ("sha256:abc", "sha256:abc"),
            ("docker.io/a.b/c", "docker.io/a.b/c:latest"),
            ("my_registry.local/x", "my_registry.local/x:latest"),
            ("docker.io/localhost/c", "docker.io/localhost/c:latest"),
        ];
        for (text, key) in rows {
            assert_eq!(Reference::parse(text).map(|r| r.key()), Ok(key.to_owned()), "{text}");
        }
        let pinned = Reference::parse(&format!("busybox:1@{DIGEST}")).expect("pinned");
        assert_eq!(pinned.key(), format!("busybox@{DIGEST}"));
        assert_eq!(pinned.to_string(), format!("busybox:1@{DIGEST}"));
    }

    #[test]
    fn refusals() {
        use ReferenceError as E;
        let long = format!("a/{}", "b".repeat(254));
        let rows = [
            ("", E::Format),
            (":x", E::Format),
            ("x:", E::Format),
            ("x:-a", E::Format),
            ("x:a/b", E::Format),
            ("x y", E::Format),
            ("/x", E::Format),
            ("x/", E::Format),
            ("x//y", E::Format),
            ("-x", E::Format),
            ("x-", E::Format),
            ("x___y", E::Format),
            ("x..y", E::Format),
            ("x@sha256:abc", E::Format),
            ("x@sha512:abc", E::Format),
            ("-host.x/y", E::Format),
            ("host:port/y", E::Format),
            ("a_b:5000/y", E::Format),
            ("[::1/y", E::Format),
            ("../../etc/passwd", E::Format),
            ("Busybox", E::NotLowercase),
            ("x/Y", E::NotLowercase),
            ("ünicode", E::Format),
            (&long, E::TooLong),
            (&DIGEST[7..], E::IsId),
        ];
        for (text, expected) in rows {
            assert_eq!(Reference::parse(text), Err(expected), "{text}");
        }
        assert_eq!(Reference::with_tag("x", "a b"), Err(E::Tag));
        assert_eq!(Reference::with_tag("x", &"a".repeat(129)), Err(E::Tag));
        assert_eq!(
            Reference::with_tag("x:old", "new").map(|r| r.key()),
            Ok("x:new".to_owned())
        );
    }

    proptest! {
        #[test]
        fn what_the_grammar_makes_is_read_back(
            domain in prop::option::of("[a-z0-9]{1,8}(-[a-z]{1,3})?\\.[a-z]{1,4}(:[0-9]{1,5})?"),
            // No dot in the first part, which would make it a host.
            path in "[a-z0-9]{1,6}((_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}(\\.[a-z]{1,3})?){0,2}",
            tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        ) {
            let mut text = domain.map_or(String::new(), |d| format!("{d}/")) + &path;
            if let Some(tag) = &tag {
                text = format!("{text}:{tag}");
            }
            let reference = Reference::parse(&text).expect("made by the grammar");
            prop_assert_eq!(reference.tag(), tag.as_deref());
            let key = reference.key();
            prop_assert_eq!(Reference::parse(&key).map(|r| r.key()), Ok(key.clone()), "keys are stable");
            let familiar = reference.familiar_name();
            prop_assert_eq!(repository_of(&key), familiar.as_str());
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = Reference::parse(&text);
        }
    }
}
