//! The graph of all images, as v1.0 to v1.6 draw it for graphviz.
//!
//! From v1.7 on clients draw it themselves from the list of images ("API v1.7", item 1), and so does this. The form of the
//! lines is that of the documents' example, the truth is the v1.0 document.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{dialect::short, model::ImageSummary};

/// The text: an edge to each image from its parent, or from `base` when it has none here, in the order of the list; then the
/// names, those of an image in one box.
pub(super) fn graph(images: &[ImageSummary]) -> String {
    let mut text = String::from("digraph docker {\n");
    let known: BTreeSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
    let mut boxes: BTreeMap<String, &str> = BTreeMap::new();
    for image in images {
        let (id, parent) = (short(&image.id), image.parent_id.as_str());
        if known.contains(parent) {
            text += &format!("\"{}\" -> \"{id}\"\n", short(parent));
        } else {
            text += &format!("base -> \"{id}\" [style=invis]\n");
        }
        let names: Vec<String> = image.repo_tags.iter().filter_map(|tag| label(tag)).collect();
        if !names.is_empty() {
            boxes.insert(names.join("\\n"), id);
        }
    }
    for (names, id) in boxes {
        text += &format!(
            "\"{id}\" [label=\"{id}\\n{names}\",shape=box,fillcolor=\"paleturquoise\",style=\"filled,rounded\"];\n"
        );
    }
    text + "base [style=invisible]\n}"
}

/// A tag as a box shows it: without `latest`. `None` for the tag of an image that has none. What may be in a reference needs
/// no escape.
fn label(tag: &str) -> Option<String> {
    let name = tag.strip_suffix(":latest").unwrap_or(tag);
    (tag != "<none>:<none>").then(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn draws() {
        let image = |id: &str, parent: &str, tags: &[&str]| ImageSummary {
            id: format!("sha256:{}", id.repeat(16)),
            parent_id: format!("sha256:{}", parent.repeat(16)),
            repo_tags: tags.iter().map(ToString::to_string).collect(),
            ..ImageSummary::default()
        };
        let style = "shape=box,fillcolor=\"paleturquoise\",style=\"filled,rounded\"";
        let rows = [
            ("nothing", vec![], "".to_string()),
            (
                "no parent",
                vec![image("aaaa", "", &[])],
                "base -> \"aaaaaaaaaaaa\" [style=invis]\n".into(),
            ),
            (
                "the parent is not here",
                vec![image("aaaa", "bbbb", &["<none>:<none>"])],
                "base -> \"aaaaaaaaaaaa\" [style=invis]\n".into(),
            ),
            (
                "several names in one box, boxes by name",
                vec![
                    image("aaaa", "bbbb", &["b:latest"]),
                    image("bbbb", "", &["a:1", "h:5/a:latest"]),
                ],
                format!(
                    "\"bbbbbbbbbbbb\" -> \"aaaaaaaaaaaa\"\nbase -> \"bbbbbbbbbbbb\" [style=invis]\n\"bbbbbbbbbbbb\" \
                     [label=\"bbbbbbbbbbbb\\na:1\\nh:5/a\",{style}];\n\"aaaaaaaaaaaa\" [label=\"aaaaaaaaaaaa\\nb\",{style}];\n"
                ),
            ),
        ];
        for (name, images, lines) in rows {
            let expected = format!("digraph docker {{\n{lines}base [style=invisible]\n}}");
            assert_eq!(graph(&images), expected, "{name}");
        }
    }
}
