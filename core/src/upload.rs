//! The context of a build on its way to the daemon: one form, whatever the version.
//!
//! | version | request body | parts that are told |
//! | --- | --- | --- |
//! | v1.0 | the Dockerfile, on a connection that has left HTTP | [`Dockerfile`](ContextPart::Dockerfile) |
//! | v1.1, v1.2 | a form with the fields `Dockerfile` and `Context` (an archive) | as they come, by their names |
//! | v1.1, no form | the Dockerfile, as its document says | [`Dockerfile`](ContextPart::Dockerfile) |
//! | v1.2, no form | an archive, as its document says | [`Archive`](ContextPart::Archive) |
//! | v1.3 and above | an archive | [`Archive`](ContextPart::Archive) |
//!
//! Why parts, and not an archive made of all of them on the way: an archive tells the length of a member before its bytes, and
//! that of a field that is still coming is known to nobody; and the archive in a form is compressed, so nothing can be added to
//! it without unpacking it. A daemon puts each part where it belongs, and nothing is held here.

use bytes::Bytes;

use crate::{
    call::ContextPart,
    multipart::{self, BadForm, Disposition, Multipart},
};

/// What a version takes for the body of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContextForm {
    /// An archive.
    Archive,
    /// A form if Content-Type says so, else an archive.
    FormOrArchive,
    /// A form if Content-Type says so, else the Dockerfile.
    FormOrDockerfile,
    /// The same; without a body, the Dockerfile is what the client sends after the head of the answer.
    FormOrInput,
}

/// The body of a build while it comes.
#[derive(Debug)]
pub(crate) enum Upload {
    /// One part; `None` after it was told.
    Whole(Option<ContextPart>),
    /// A form. Bytes of a field that is no part of a context are nobody's.
    Form { form: Multipart, is_part: bool },
}

/// What is told to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A part begins.
    Part(ContextPart),
    /// Its next bytes. Never empty.
    Bytes(Bytes),
}

impl Upload {
    /// The body of a build with this Content-Type; `None` for a form without usable boundary.
    pub(crate) fn new(form: ContextForm, content_type: &str) -> Option<Self> {
        if form != ContextForm::Archive && multipart::is_form(content_type) {
            let form = Multipart::new(content_type)?;
            return Some(Self::Form { form, is_part: false });
        }
        Some(Self::Whole(Some(match form {
            ContextForm::Archive | ContextForm::FormOrArchive => ContextPart::Archive,
            ContextForm::FormOrDockerfile | ContextForm::FormOrInput => ContextPart::Dockerfile,
        })))
    }

    /// Reads the next bytes, which are not empty.
    pub(crate) fn push(&mut self, bytes: Bytes, mut out: impl FnMut(Piece)) -> Result<(), BadForm> {
        match self {
            Self::Whole(part) => {
                part.take().into_iter().for_each(|part| out(Piece::Part(part)));
                out(Piece::Bytes(bytes));
                Ok(())
            }
            Self::Form { form, is_part } => form.push(bytes, |piece| match piece {
                multipart::Piece::Part(disposition) => {
                    let part = part(disposition);
                    *is_part = part.is_some();
                    part.into_iter().for_each(|part| out(Piece::Part(part)));
                }
                multipart::Piece::Bytes(bytes) if *is_part => out(Piece::Bytes(bytes)),
                multipart::Piece::Bytes(_) => {}
            }),
        }
    }

    /// There are no more bytes.
    pub(crate) fn finish(&self) -> Result<(), BadForm> {
        match self {
            Self::Whole(_) => Ok(()),
            Self::Form { form, .. } => form.finish(),
        }
    }
}

/// What a field of a form is to the context. A field that is neither known nor a file is nothing.
fn part(disposition: Disposition) -> Option<ContextPart> {
    match (&*disposition.name, disposition.file_name) {
        ("Dockerfile", _) => Some(ContextPart::Dockerfile),
        ("Context", _) => Some(ContextPart::Archive),
        (_, Some(name)) => Some(ContextPart::File { name }),
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec, vec::Vec};

    use super::*;

    #[test]
    fn tells_parts() {
        let bytes = |text: &'static str| Piece::Bytes(Bytes::from_static(text.as_bytes()));
        let field = |disposition: &str| format!("--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\nx\r\n");
        let form = [
            "name=t",
            "name=Context; filename=c.tar.bz2",
            "name=f; filename=a/b",
            "name=Dockerfile",
        ];
        let form = form.map(field).concat() + "--B--\r\n";
        let of_form = vec![
            Piece::Part(ContextPart::Archive),
            bytes("x"),
            Piece::Part(ContextPart::File { name: "a/b".into() }),
            bytes("x"),
            Piece::Part(ContextPart::Dockerfile),
            bytes("x"),
        ];
        let whole = |part| vec![Piece::Part(part), bytes("FROM a")];
        let kind = "multipart/form-data; boundary=B";
        let rows = [
            ("v1.3", ContextForm::Archive, "", "FROM a", whole(ContextPart::Archive)),
            (
                "v1.3, a form is none",
                ContextForm::Archive,
                kind,
                "FROM a",
                whole(ContextPart::Archive),
            ),
            ("v1.2", ContextForm::FormOrArchive, kind, &form, of_form.clone()),
            (
                "v1.2, no form",
                ContextForm::FormOrArchive,
                "",
                "FROM a",
                whole(ContextPart::Archive),
            ),
            (
                "v1.1, no form",
                ContextForm::FormOrDockerfile,
                "",
                "FROM a",
                whole(ContextPart::Dockerfile),
            ),
            (
                "v1.0",
                ContextForm::FormOrInput,
                "plain/text",
                "FROM a",
                whole(ContextPart::Dockerfile),
            ),
            ("v1.0, a form", ContextForm::FormOrInput, kind, &form, of_form),
            ("nothing", ContextForm::Archive, "", "", vec![]),
        ];
        for (name, form, content_type, body, expected) in rows {
            let mut upload = Upload::new(form, content_type).expect(name);
            let mut pieces = Vec::new();
            if !body.is_empty() {
                let body = Bytes::copy_from_slice(body.as_bytes());
                upload.push(body, |piece| pieces.push(piece)).expect(name);
            }
            assert_eq!((pieces, upload.finish()), (expected, Ok(())), "{name}");
        }
        assert!(Upload::new(ContextForm::FormOrArchive, "multipart/form-data").is_none());
    }
}
