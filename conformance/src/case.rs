//! The form of a case file, in TOML. `cases/README.md` explains it to those who write cases; this is its grammar.
//!
//! Unknown keys are refused: a misspelt expectation must not pass as none at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::version::{ApiVersion, Versions};

/// A file of cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// What the file is about and where its expectations come from.
    pub about: String,
    /// Its cases.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// One case: steps in order, on a daemon that has the image and nothing else of ours.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Name, unique in its file.
    pub name: String,
    /// Versions for which it holds; all by default.
    pub api: Option<Versions>,
    /// The steps.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// One step: either a `call` or work on a `stream` that an earlier step opened; then what must come of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Versions for which this step is taken; all by default.
    pub api: Option<Versions>,

    /// `METHOD /path?query`; the version prefix is put before the path.
    pub call: Option<String>,
    /// The path is sent as it is, without a version prefix.
    pub unversioned: bool,
    /// Header fields of the request.
    pub headers: BTreeMap<String, String>,
    /// Request body, as JSON with its Content-Type.
    pub json: Option<Value>,
    /// Request body as text, nothing replaced in it, without a Content-Type of its own.
    pub body: Option<String>,
    /// Request body: the root file system tar.
    pub rootfs: bool,
    /// Ask for the connection with `Upgrade: tcp`.
    pub upgrade: bool,
    /// Keep the connection under this name after the head of the answer came.
    pub open: Option<String>,
    /// Do not even wait for the head; only with `open`.
    pub answer_later: bool,

    /// Work on the stream of this name.
    pub stream: Option<String>,
    /// Text for its other side.
    pub send: Option<String>,
    /// End our side, and only ours.
    pub half_close: bool,
    /// Read raw bytes until this text has come, and keep the stream open. Frames are not taken apart for it.
    pub until: Option<String>,
    /// Vanish: close the connection without reading what came.
    pub vanish: bool,

    /// Status of the answer.
    pub status: Option<ByVersion<u16>>,
    /// Content-Type of the answer, parameters such as a charset left aside.
    #[serde(rename = "type")]
    pub content_type: Option<ByVersion<String>>,
    /// Error message of the answer, in the form of the version: text below 1.24, JSON from there on.
    pub error: Option<ByVersion<String>>,
    /// The answer is this JSON, see [`crate::check`].
    pub answer: Option<Value>,
    /// The answer is a series of JSON values, these among them and in this order.
    pub values: Option<Vec<Value>>,
    /// The answer or stream is exactly this text.
    pub text: Option<String>,
    /// The answer or stream holds this text.
    pub contains: Option<String>,
    /// Framed answer or stream: all of stdout.
    pub stdout: Option<String>,
    /// Framed answer or stream: all of stderr.
    pub stderr: Option<String>,
    /// Values to keep for later steps: name → JSON pointer into the answer.
    pub capture: BTreeMap<String, String>,
}

/// An expectation that is one for all versions, or a table of them by range.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ByVersion<T> {
    /// For all.
    Always(T),
    /// By range of versions.
    Ranges(BTreeMap<String, T>),
}

impl<T> ByVersion<T> {
    /// What holds for `version`.
    ///
    /// # Errors
    /// When a range cannot be read, or not exactly one of them holds the version.
    pub fn at(&self, version: ApiVersion) -> Result<&T, String> {
        match self {
            Self::Always(expected) => Ok(expected),
            Self::Ranges(ranges) => {
                let mut found = None;
                for (range, expected) in ranges {
                    let range: Versions = range.parse().map_err(|error| format!("{error}"))?;
                    if range.contain(version) && found.replace(expected).is_some() {
                        return Err(format!("two expectations for version {version}"));
                    }
                }
                found.ok_or_else(|| format!("no expectation for version {version}"))
            }
        }
    }
}

impl Step {
    fn fault(&self) -> Option<&'static str> {
        let framed = self.stdout.is_some() || self.stderr.is_some();
        let expects = framed
            || self.answer.is_some()
            || self.values.is_some()
            || self.text.is_some()
            || self.contains.is_some()
            || self.error.is_some();
        match (&self.call, &self.stream) {
            (Some(_), Some(_)) => Some("both call and stream"),
            (None, None) => Some("neither call nor stream"),
            (Some(call), None) if !call.contains(" /") => Some("call is not METHOD /path"),
            (Some(_), None) if self.send.is_some() || self.half_close || self.until.is_some() || self.vanish => {
                Some("send, half_close, until and vanish need a stream")
            }
            (Some(_), None) if self.answer_later && self.open.is_none() => Some("answer_later needs open"),
            (Some(_), None) if self.open.is_some() && expects => Some("an opened stream is read in a later step"),
            (Some(_), None) if self.status.is_none() && !self.answer_later => Some("call without a status"),
            (None, Some(_)) if self.vanish && expects => Some("nothing can be read from a connection that is closed"),
            _ if [self.json.is_some(), self.body.is_some(), self.rootfs]
                .iter()
                .filter(|given| **given)
                .count()
                > 1 =>
            {
                Some("more than one request body")
            }
            _ if !self.capture.is_empty() && self.answer.is_none() => Some("capture needs answer"),
            _ if framed && (self.text.is_some() || self.contains.is_some()) => Some("framed and plain text at once"),
            _ => None,
        }
    }
}

/// A case with the name of its file.
#[derive(Clone, Debug)]
pub struct NamedCase {
    /// `file/case`.
    pub name: String,
    /// The case.
    pub case: Case,
}

/// Reads every `.toml` below `folder`, in the order of their names.
///
/// # Errors
/// When a file cannot be read, does not follow the grammar, or two cases have one name.
pub fn load(folder: &Path) -> Result<Vec<NamedCase>, String> {
    let mut cases: Vec<NamedCase> = Vec::new();
    for path in files(folder)? {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file: CaseFile = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let stem = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
        for case in file.cases {
            let name = format!("{}/{}", stem.display(), case.name);
            if cases.iter().any(|other| other.name == name) {
                return Err(format!("two cases are called {name}"));
            }
            for (number, step) in case.steps.iter().enumerate() {
                if let Some(fault) = step.fault() {
                    return Err(format!("{name}, step {}: {fault}", number + 1));
                }
            }
            cases.push(NamedCase { name, case });
        }
    }
    if cases.is_empty() {
        Err(format!("no case below {}", folder.display()))
    } else {
        Ok(cases)
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Cases that a daemon is known to fail, with the reason. They are run all the same, and one that passes is a failure.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skips {
    /// The list.
    #[serde(rename = "skip", default)]
    pub skips: Vec<Skip>,
}

/// One known failure.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// `file/case`.
    pub case: String,
    /// Versions in which it fails; all by default.
    pub api: Option<Versions>,
    /// Why.
    pub reason: String,
}

impl Skips {
    /// Why `case` fails in `version`, if that is known.
    pub fn reason(&self, case: &str, version: ApiVersion) -> Option<&str> {
        let covers = |skip: &&Skip| skip.case == case && skip.api.as_ref().is_none_or(|api| api.contain(version));
        self.skips.iter().find(covers).map(|skip| skip.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_file_follows_the_grammar_and_decides_for_every_version() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        for NamedCase { name, case } in load(&folder).expect("cases") {
            for minor in 0..=24 {
                let version = ApiVersion { major: 1, minor };
                let holds = |range: &Option<Versions>| range.as_ref().is_none_or(|range| range.contain(version));
                if !holds(&case.api) {
                    continue;
                }
                for (number, step) in case.steps.iter().enumerate().filter(|(_, step)| holds(&step.api)) {
                    let status = step
                        .status
                        .as_ref()
                        .map_or(Ok(()), |status| status.at(version).map(drop));
                    let kind = step
                        .content_type
                        .as_ref()
                        .map_or(Ok(()), |kind| kind.at(version).map(drop));
                    let error = step.error.as_ref().map_or(Ok(()), |error| error.at(version).map(drop));
                    assert_eq!(status.and(kind).and(error), Ok(()), "{name}, step {}", number + 1);
                }
            }
        }
    }

    #[test]
    fn every_skip_names_a_case() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let cases = load(&root.join("cases")).expect("cases");
        for path in files(&root.join("skips")).expect("skips") {
            let skips: Skips = toml::from_str(&std::fs::read_to_string(&path).expect("text")).expect("skips");
            for skip in skips.skips {
                let known = cases.iter().any(|case| case.name == skip.case);
                assert!(known, "{}: no case is called {}", path.display(), skip.case);
            }
        }
    }

    #[test]
    fn faults_in_steps_are_named() {
        let table = [
            ("call = 'GET /x'\nstream = 'a'", "both call and stream"),
            ("status = 200", "neither call nor stream"),
            ("call = 'GET x'\nstatus = 200", "call is not METHOD /path"),
            ("call = 'GET /x'", "call without a status"),
            (
                "call = 'GET /x'\nstatus = 200\nsend = 'x'",
                "send, half_close, until and vanish need a stream",
            ),
            (
                "call = 'POST /x'\nstatus = 200\nbody = 'x'\nrootfs = true",
                "more than one request body",
            ),
            (
                "call = 'GET /x'\nstatus = 200\ncapture = { id = '/Id' }",
                "capture needs answer",
            ),
            (
                "stream = 'a'\nstdout = 'x'\ntext = 'x'",
                "framed and plain text at once",
            ),
        ];
        for (text, expected) in table {
            let step: Step = toml::from_str(text).expect(text);
            assert_eq!(step.fault(), Some(expected), "{text}");
        }
        assert!(
            toml::from_str::<Step>("call = 'GET /x'\nstaus = 200").is_err(),
            "a misspelt key"
        );
    }
}
