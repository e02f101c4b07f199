//! Images as a whole, on a real directory: importing, naming, listing, removing, and what a crash leaves.

use std::{
    fs,
    path::Path,
    sync::{Arc, Barrier},
};

use gantry_core::{
    ImageImport, ImageList, ImageUse,
    model::{Filters, ImageRemoval, Timestamp},
};

use super::{
    Images,
    error::ImageError,
    remove::ImageUser,
    scratch::{Scratch, is_root},
};
use crate::{store::Store, trash::Trash};

pub(super) struct House {
    pub(super) scratch: Scratch,
    pub(super) images: Images,
    trash: Arc<Trash>,
}

impl House {
    pub(super) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let (images, trash) = open(scratch.path());
        Self { scratch, images, trash }
    }

    /// As after a restart.
    pub(super) fn reopened(self) -> Self {
        let Self { scratch, images, trash } = self;
        drop(images);
        drop(trash);
        let (images, trash) = open(scratch.path());
        Self { scratch, images, trash }
    }

    fn import(&self, name: &str, content: &str, secs: i64) -> String {
        let (repository, tag) = name.split_once(':').unwrap_or((name, ""));
        let request = ImageImport {
            source: "-".into(),
            repository: repository.into(),
            tag: tag.into(),
            ..ImageImport::default()
        };
        let now = Timestamp { secs, nanos: 0 };
        let id = self.images.import(&tar(&[("file", content)])[..], &request, now);
        id.expect("import").hex()
    }

    pub(super) fn layer_count(&self) -> usize {
        fs::read_dir(self.scratch.path().join("image/layers"))
            .expect("list")
            .count()
    }

    fn listed(&self, all: bool, filters: &[(&str, &str)]) -> Result<Vec<String>, ImageError> {
        let mut map = Filters::default();
        for (name, value) in filters {
            map.0.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        let images = self.images.list(&ImageList { all, filters: map })?;
        Ok(images.into_iter().map(|image| image.repo_tags.join(",")).collect())
    }
}

fn open(root: &Path) -> (Images, Arc<Trash>) {
    let store = Arc::new(Store::open(&root.join("state")).expect("store"));
    let trash = Arc::new(Trash::open(&root.join("trash")).expect("trash"));
    let images = Images::open(&root.join("image"), store, Arc::clone(&trash)).expect("images");
    (images, trash)
}

pub(super) fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // As whoever runs the test, who may not be allowed to give files away.
        header.set_uid(nix::unistd::geteuid().as_raw().into());
        header.set_gid(nix::unistd::getegid().as_raw().into());
        builder
            .append_data(&mut header, name, content.as_bytes())
            .expect("memory");
    }
    builder.into_inner().expect("memory")
}

#[test]
fn import_is_found_and_survives() {
    let house = House::new("import");
    let id = house.import("x:1", "hello", 7);
    let house = house.reopened();
    assert!(house.images.warnings().is_empty(), "{:?}", house.images.warnings());
    for name in [
        "x:1",
        "docker.io/library/x:1",
        &id,
        &format!("sha256:{id}"),
        &id[..12],
        &format!("sha256:{}", &id[..5]),
    ] {
        assert_eq!(house.images.resolve(name).expect(name).id().hex(), id, "{name}");
    }
    let record = house.images.resolve("x:1").expect("there");
    let [layer] = &house.images.layers(&record)[..] else {
        panic!("one layer");
    };
    assert_eq!(fs::read_to_string(layer.join("file")).expect("file"), "hello");
    let image = house.images.inspect("x:1").expect("inspect");
    assert_eq!(image.id, format!("sha256:{id}"));
    assert_eq!(
        (image.repo_tags, image.size, image.created.secs),
        (vec!["x:1".to_owned()], 5, 7)
    );
    assert_eq!(image.comment, "Imported from -");
    assert_eq!(image.config.expect("config").cmd, None);
    for (name, ambiguous) in [("y", false), ("x", false), ("x:2", false), ("0123456789abcdef", false)] {
        match house.images.resolve(name) {
            Err(ImageError::NoSuchImage { reference }) => assert_eq!(reference, name),
            Err(ImageError::Ambiguous { .. }) => assert!(ambiguous, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(
        house.images.resolve("UPPER"),
        Err(ImageError::BadReference { .. })
    ));
}

fn refuses<T: std::fmt::Debug>(result: Result<T, ImageError>) -> ImageError {
    result.expect_err("refused")
}

#[test]
fn tags_move_only_by_force() {
    let house = House::new("tag");
    let (one, two) = (house.import("a:1", "one", 1), house.import("b", "two", 2));
    house.images.tag("a:1", "c", "", false).expect("free");
    house.images.tag("a:1", "c", "latest", false).expect("the same again");
    match refuses(house.images.tag("b", "c", "", false)) {
        ImageError::TagInUse { reference, holder } => assert_eq!((reference.as_str(), holder), ("c:latest", one)),
        other => panic!("{other}"),
    }
    house
        .images
        .tag(&two[..12], "docker.io/library/c", "latest", true)
        .expect("forced");
    assert_eq!(house.images.resolve("c").expect("moved").id().hex(), two);
    let id = "a".repeat(64);
    let digest = format!("x@sha256:{id}");
    let is_id = format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings");
    let lowercase = "invalid reference format: repository name must be lowercase";
    // The texts are those of Docker 20.10 for the same requests.
    for (repository, tag, text) in [
        ("Up", "", lowercase),
        ("x", "-a", "invalid tag format"),
        (&id, "", &is_id),
        ("", "", "invalid reference format"),
        (&digest, "", "refusing to create a tag with a digest reference"),
    ] {
        assert_eq!(refuses(house.images.tag("b", repository, tag, true)).to_string(), text);
    }
    for (repository, tag) in [("Up", ""), ("x", "a b"), ("", ""), (&two[..], ""), ("x@sha256:0", "")] {
        let error = refuses(house.images.tag("b", repository, tag, true));
        assert!(
            matches!(error, ImageError::BadReference { .. }),
            "{repository}:{tag}: {error}"
        );
    }
    let house = house.reopened();
    assert_eq!(house.images.resolve("c").expect("still").id().hex(), two);
}

#[test]
fn lists_and_filters() {
    let house = House::new("list");
    house.import("a:1", "one", 1);
    house.import("team/b:x", "two", 2);
    house.import("", "three", 3);
    let labelled = ImageImport {
        source: "-".into(),
        repository: "labelled".into(),
        changes: vec!["LABEL k=v other=1".into()],
        ..ImageImport::default()
    };
    let now = Timestamp { secs: 4, nanos: 0 };
    house
        .images
        .import(&tar(&[("f", "four")])[..], &labelled, now)
        .expect("import");
    house.images.tag("a:1", "a", "2", false).expect("tag");
    let none = "<none>:<none>";
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let rows: [Row<'_>; 17] = [
        (&[], &["labelled:latest", none, "team/b:x", "a:1,a:2"]),
        (&[("dangling", "true")], &[none]),
        (&[("dangling", "false")], &["labelled:latest", "team/b:x", "a:1,a:2"]),
        (&[("label", "k")], &["labelled:latest"]),
        (&[("label", "k=v")], &["labelled:latest"]),
        (&[("label", "k=w")], &[]),
        (&[("label", "k"), ("label", "missing")], &[]),
        (&[("reference", "a")], &["a:1,a:2"]),
        (&[("reference", "a:2")], &["a:2"]),
        (&[("reference", "*")], &["labelled:latest", "a:1,a:2"]),
        (&[("reference", "*/*")], &["team/b:x"]),
        (&[("reference", "nothing"), ("reference", "team/b")], &["team/b:x"]),
        (&[("before", "team/b:x")], &["a:1,a:2"]),
        (&[("since", "team/b:x")], &["labelled:latest", none]),
        (&[("since", "a:1"), ("before", "labelled")], &[none, "team/b:x"]),
        (&[("reference", "a"), ("label", "k")], &[]),
        (&[("dangling", "true"), ("reference", "a")], &[]),
    ];
    for (filters, expected) in rows {
        assert_eq!(house.listed(false, filters).expect("lists"), expected, "{filters:?}");
    }
    let bad = [
        ("colour", "x", "Invalid filter 'colour'"),
        ("dangling", "maybe", "Invalid filter 'dangling=[maybe]'"),
        ("reference", "[", "syntax error in pattern"),
    ];
    for (name, value, text) in bad {
        let error = refuses(house.listed(false, &[(name, value)]));
        assert_eq!(error.to_string(), text);
    }
    assert!(matches!(
        refuses(house.listed(true, &[("before", "gone")])),
        ImageError::NoSuchImage { .. }
    ));
    assert_eq!(house.images.count(), 4);
}

fn nobody(_: &super::ImageId) -> Vec<ImageUser> {
    Vec::new()
}

fn user(running: bool) -> impl Fn(&super::ImageId) -> Vec<ImageUser> {
    move |_| {
        vec![ImageUser {
            id: "c".repeat(64),
            running,
            name: "user".into(),
        }]
    }
}

#[test]
fn removal_follows_dockers_rules() {
    type Rows<'a> = [(
        &'a str,
        &'a [&'a str],
        &'a str,
        bool,
        Option<bool>,
        Result<&'a [&'a str], &'a str>,
    ); 17];
    // (name, tags, reference or "id", force, a container that runs or not, what happens)
    let rows: Rows<'_> = [
        ("only tag", &["a:1"], "a:1", false, None, Ok(&["-a:1", "deleted"])),
        ("one of two tags", &["a:1", "a:2"], "a:1", false, None, Ok(&["-a:1"])),
        ("id, one tag", &["a:1"], "id", false, None, Ok(&["-a:1", "deleted"])),
        ("id, two tags", &["a:1", "a:2"], "id", false, None, Err("SeveralTags")),
        (
            "id, two tags, force",
            &["a:1", "a:2"],
            "id",
            true,
            None,
            Ok(&["-a:1", "-a:2", "deleted"]),
        ),
        (
            "id, two repositories",
            &["a:1", "b:1"],
            "id",
            false,
            None,
            Err("SeveralTags"),
        ),
        ("id, no tag", &[], "id", false, None, Ok(&["deleted"])),
        (
            "only tag, stopped",
            &["a:1"],
            "a:1",
            false,
            Some(false),
            Err("Stopped by tag"),
        ),
        (
            "only tag, running",
            &["a:1"],
            "a:1",
            false,
            Some(true),
            Err("Stopped by tag"),
        ),
        (
            "one of two, running",
            &["a:1", "a:2"],
            "a:1",
            false,
            Some(true),
            Ok(&["-a:1"]),
        ),
        (
            "only tag, running, force",
            &["a:1"],
            "a:1",
            true,
            Some(true),
            Ok(&["-a:1"]),
        ),
        (
            "only tag, stopped, force",
            &["a:1"],
            "a:1",
            true,
            Some(false),
            Ok(&["-a:1", "deleted"]),
        ),
        ("id, stopped", &["a:1"], "id", false, Some(false), Err("Stopped by id")),
        ("id, running", &["a:1"], "id", false, Some(true), Err("Running")),
        ("id, running, force", &["a:1"], "id", true, Some(true), Err("Running")),
        (
            "id, stopped, force",
            &["a:1"],
            "id",
            true,
            Some(false),
            Ok(&["-a:1", "deleted"]),
        ),
        (
            "id, no tag, stopped",
            &[],
            "id",
            false,
            Some(false),
            Err("Stopped by id"),
        ),
    ];
    for (n, (name, tags, reference, force, container, expected)) in rows.into_iter().enumerate() {
        let house = House::new(&format!("remove-{n}"));
        let id = house.import("", "content", 1);
        for tag in tags {
            let (repository, tag) = tag.split_once(':').expect("a tag");
            house.images.tag(&id, repository, tag, false).expect(name);
        }
        let reference = if reference == "id" { &id[..12] } else { reference };
        let done = match container {
            None => house.images.remove(reference, force, false, &nobody),
            Some(running) => house.images.remove(reference, force, false, &user(running)),
        };
        let done: Result<Vec<String>, String> = match done {
            Ok(steps) => Ok(steps
                .into_iter()
                .map(|step| match step {
                    ImageRemoval::Untagged(tag) => format!("-{tag}"),
                    ImageRemoval::Deleted(gone) => {
                        assert_eq!(gone, format!("sha256:{id}"), "{name}");
                        "deleted".into()
                    }
                })
                .collect()),
            Err(ImageError::InUse(cause)) => Err(match cause {
                ImageUse::Running { .. } => "Running".into(),
                ImageUse::Stopped { by_tag: true, .. } => "Stopped by tag".into(),
                ImageUse::Stopped { by_tag: false, .. } => "Stopped by id".into(),
                ImageUse::SeveralTags { .. } => "SeveralTags".into(),
                ImageUse::HasChildren { .. } => "HasChildren".into(),
            }),
            Err(other) => panic!("{name}: {other}"),
        };
        let expected = expected
            .map(|steps| steps.iter().map(|&step| step.to_owned()).collect())
            .map_err(str::to_owned);
        assert_eq!(done, expected, "{name}");
        let deleted = done.is_ok_and(|steps| steps.contains(&"deleted".to_owned()));
        assert_eq!(house.images.resolve(&id).is_err(), deleted, "{name}");
        // The layer goes with the image, but not under a container.
        assert_eq!(
            house.layer_count(),
            usize::from(!deleted || container.is_some()),
            "{name}"
        );
    }
}

#[test]
fn an_image_removed_under_a_container_is_kept_until_it_goes() {
    let house = House::new("hidden");
    let id = house.import("a", "content", 1);
    house.images.remove("a", true, false, &user(false)).expect("forced");
    assert!(house.images.resolve(&id).is_err());
    assert_eq!(
        (house.images.count(), house.listed(true, &[]).expect("lists").len()),
        (0, 0)
    );
    let house = house.reopened();
    let kept = house
        .images
        .by_id(&super::ImageId::from_hex(&id).expect("id"))
        .expect("kept");
    assert!(house.images.layers(&kept)[0].join("file").exists());
    drop(kept);
    house.images.drop_unused_hidden(&user(false)).expect("still used");
    assert_eq!(house.layer_count(), 1);
    house.images.drop_unused_hidden(&nobody).expect("free");
    assert_eq!(house.layer_count(), 0);
    let again = house.import("a", "content", 1);
    assert_eq!(again, id);
    assert_eq!(house.images.resolve("a").expect("back").id().hex(), id);
}

#[test]
fn a_record_in_use_keeps_its_layers() {
    let house = House::new("hold");
    house.import("a", "content", 1);
    let record = house.images.resolve("a").expect("there");
    house.images.remove("a", false, false, &nobody).expect("removed");
    assert!(house.images.layers(&record)[0].join("file").exists());
    drop(record);
    assert_eq!(house.layer_count(), 0);
    house.trash.wait_empty();
    assert_eq!(
        fs::read_dir(house.scratch.path().join("trash")).expect("list").count(),
        0
    );
}

#[test]
fn what_a_crash_leaves_is_put_right() {
    let house = House::new("crash");
    let kept = house.import("kept", "kept", 1);
    let lost = house.import("lost", "lost", 2);
    let root = house.scratch.path().join("image");
    let record = house.images.resolve("lost").expect("there");
    let layer = house.images.layers(&record)[0].parent().expect("layer").to_owned();
    drop(record);
    let House { scratch, images, trash } = house;
    drop((images, trash));
    // A layer half unpacked, one published without its record, and one whose files are gone.
    fs::create_dir_all(root.join("tmp/9/diff/half")).expect("mkdir");
    fs::create_dir_all(root.join("layers").join("e".repeat(64)).join("diff")).expect("mkdir");
    fs::create_dir_all(root.join("layers/rubbish")).expect("mkdir");
    fs::remove_dir_all(layer).expect("remove");
    let (images, trash) = open(scratch.path());
    let house = House { scratch, images, trash };
    let warnings = house.images.warnings().join("\n");
    assert!(
        warnings.contains(&format!("image {lost} dropped: layer sha256:")),
        "{warnings}"
    );
    assert!(warnings.contains("reference lost:latest dropped"), "{warnings}");
    assert_eq!(house.images.count(), 1);
    assert_eq!(house.images.resolve("kept").expect("kept").id().hex(), kept);
    assert_eq!(house.layer_count(), 1);
    assert_eq!(fs::read_dir(root.join("tmp")).expect("list").count(), 0);
    let house = house.reopened();
    assert!(house.images.warnings().is_empty(), "the second start has nothing to do");
}

#[test]
fn a_refused_import_leaves_nothing() {
    let house = House::new("refused");
    let request = ImageImport {
        source: "-".into(),
        repository: "x".into(),
        ..ImageImport::default()
    };
    let good = tar(&[("a", "1"), ("b", "2")]);
    let cut = good[..300].to_vec();
    let changed = ImageImport {
        changes: vec!["RUN make".into()],
        ..request.clone()
    };
    let named = ImageImport {
        repository: "X".into(),
        ..request.clone()
    };
    for (name, body, request, is_internal) in [
        ("cut", &cut, &request, true),
        ("change", &good, &changed, false),
        ("name", &good, &named, false),
    ] {
        let refusal: gantry_core::Refusal = refuses(house.images.import(&body[..], request, Timestamp::ZERO)).into();
        let internal = matches!(refusal, gantry_core::Refusal::Internal(_));
        assert_eq!(internal, is_internal, "{name}: {refusal:?}");
    }
    assert_eq!((house.images.count(), house.layer_count()), (0, 0));
    assert_eq!(
        fs::read_dir(house.scratch.path().join("image/tmp"))
            .expect("list")
            .count(),
        0
    );
}

#[test]
fn concurrent_imports_and_removals_agree() {
    let house = House::new("concurrent");
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (house, start) = (&house, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..15 {
                    // The same layer everywhere, an image of its own each time.
                    house.import(&format!("t{thread}"), "shared", i64::from(thread * 100 + round));
                    let record = house.images.resolve(&format!("t{thread}")).expect("mine");
                    assert!(house.images.layers(&record)[0].join("file").exists());
                    house
                        .images
                        .remove(&record.id().hex(), true, false, &nobody)
                        .expect("mine");
                    assert!(house.images.layers(&record)[0].join("file").exists(), "held");
                }
            });
        }
    });
    assert_eq!((house.images.count(), house.layer_count()), (0, 0));
}

#[test]
fn the_builtin_image_comes_once() {
    if !is_root("the_builtin_image_comes_once") {
        return;
    }
    let house = House::new("builtin");
    let install = |house: &House| {
        let now = Timestamp { secs: 1, nanos: 0 };
        house
            .images
            .ensure_builtin("gantry/hello", "/hello", b"#!program", now)
            .expect("install")
    };
    let id = install(&house).expect("the first time");
    let image = house.images.inspect("gantry/hello:latest").expect("there");
    assert_eq!(image.id, id.to_string());
    assert_eq!(image.config.expect("config").cmd.expect("cmd"), ["/hello"]);
    let record = house.images.resolve("gantry/hello").expect("there");
    let program = house.images.layers(&record)[0].join("hello");
    assert_eq!(fs::read(&program).expect("program"), b"#!program");
    drop(record);
    house
        .images
        .remove("gantry/hello", false, false, &nobody)
        .expect("removed");
    assert_eq!(install(&house.reopened()), None);
}

/// Saves into memory.
fn saved(house: &House, names: &[&str]) -> Result<Vec<u8>, ImageError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut archive = Vec::new();
    house.images.save(&house.images.saving(&names)?, &mut archive)?;
    Ok(archive)
}

/// Archives that no writer would make of their files alone: what is saved is what came, to the byte.
#[test]
fn what_is_saved_loads_as_the_same_image() {
    if !is_root("what_is_saved_loads_as_the_same_image") {
        return;
    }
    let files = [("a/b", "content"), ("a/empty", ""), ("c", "more")];
    let plain = tar(&files);
    let [mut padded, mut unended, mut dirty] = [plain.clone(), plain.clone(), plain.clone()];
    padded.resize(700_000, 0);
    unended.truncate(plain.len() - 1024);
    // Behind the seven bytes of the first file.
    dirty[512 + 7..1024].fill(b'x');
    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut compressed, &plain).expect("memory");
    let compressed = compressed.finish().expect("memory");
    let linked = {
        let mut builder = tar::Builder::new(Vec::new());
        let header = |kind, size| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_size(size);
            header
        };
        let mut directory = header(tar::EntryType::Directory, 0);
        builder
            .append_data(&mut directory, "directory", &b""[..])
            .expect("memory");
        let mut link = header(tar::EntryType::Symlink, 0);
        builder.append_link(&mut link, "link", "/directory").expect("memory");
        let long = format!("link/{}", "long".repeat(60));
        let mut file = header(tar::EntryType::Regular, 4);
        builder.append_data(&mut file, long, &b"data"[..]).expect("memory");
        builder.into_inner().expect("memory")
    };
    let rows: [(&str, &[u8]); 7] = [
        ("plain", &plain),
        ("empty", &[0; 1024]),
        ("many zeros at the end", &padded),
        ("no end", &unended),
        ("letters for padding", &dirty),
        ("compressed", &compressed),
        ("through a link, with a long name", &linked),
    ];
    for (name, archive) in rows {
        let house = House::new("save");
        let request = ImageImport {
            source: "-".into(),
            repository: "x".into(),
            tag: "1".into(),
            changes: vec!["CMD x".into()],
            ..ImageImport::default()
        };
        let now = Timestamp { secs: 7, nanos: 5 };
        let id = house.images.import(archive, &request, now).expect(name);
        let house = house.reopened();
        let first = saved(&house, &["x:1"]).expect(name);
        let other = House::new("save-other");
        let loaded = other.images.load(&first[..], &mut |_| ()).expect(name);
        assert_eq!(loaded.len(), 1, "{name}");
        assert_eq!(
            (loaded[0].id, &*loaded[0].references),
            (id, &["x:1".to_owned()][..]),
            "{name}"
        );
        assert_eq!(saved(&other, &["x"]).expect(name), first, "{name}: saved again");
        let without_name = saved(&other, &[&id.to_string()]).expect(name);
        drop(other);
        let other = House::new("save-other");
        let loaded = other.images.load(&without_name[..], &mut |_| ()).expect(name);
        assert_eq!((loaded[0].id, loaded[0].references.len()), (id, 0), "{name}");
    }
}

#[test]
fn names_say_what_is_saved() {
    let house = House::new("save-names");
    let one = house.import("x:1", "one", 1);
    let two = house.import("x:2", "two", 2);
    house.images.tag("x:1", "h:5000/y", "v", false).expect("tags");
    let short = &one[..12];
    let digest = format!("sha256:{one}");
    // names, and what is saved: image and names
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a [&'a str])]);
    let rows: [Row<'_>; 11] = [
        (&["x:1"], &[(&one, &["x:1"])]),
        (&["x"], &[(&one, &["x:1"]), (&two, &["x:2"])]),
        (&["library/x:2", "x:2"], &[(&two, &["x:2"])]),
        (
            &["x:2", "h:5000/y", "x:1"],
            &[(&two, &["x:2"]), (&one, &["h:5000/y:v", "x:1"])],
        ),
        (&[&one], &[(&one, &[])]),
        (&[&digest], &[(&one, &[])]),
        (&[short], &[(&one, &[])]),
        (&[short, "x:1"], &[(&one, &["x:1"])]),
        (&["x:1", &digest], &[(&one, &["x:1"])]),
        (
            &["h:5000/y:v", "docker.io/library/x:2"],
            &[(&one, &["h:5000/y:v"]), (&two, &["x:2"])],
        ),
        (&[], &[]),
    ];
    for (names, expected) in rows {
        let archive = saved(&house, names).expect("saves");
        let other = House::new("save-names-other");
        if expected.is_empty() {
            assert_eq!(archive.len(), 2048, "an empty manifest");
            continue;
        }
        let loaded = other.images.load(&archive[..], &mut |_| ()).expect("loads");
        let loaded: Vec<_> = loaded
            .iter()
            .map(|image| (image.id.hex(), image.references.clone()))
            .collect();
        let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected: Vec<_> = expected
            .iter()
            .map(|(id, keys)| ((*id).to_owned(), text(keys)))
            .collect();
        assert_eq!(loaded, expected, "{names:?}");
    }
    let missing = ["z", "x:3", "sha256:00", "0000"];
    for name in missing {
        let error = refuses(saved(&house, &["x:1", name]));
        assert!(
            matches!(error, ImageError::NoSuchImage { .. } | ImageError::BadReference { .. }),
            "{name}: {error}"
        );
    }
    let twice = tar(&[("file", "first"), ("file", "second")]);
    let id = house
        .images
        .import(&twice[..], &ImageImport::default(), Timestamp::ZERO)
        .expect("import");
    let error = refuses(saved(&house, &["x:1", &id.to_string()]));
    assert!(matches!(error, ImageError::Unsaveable { .. }), "{error}");
}
