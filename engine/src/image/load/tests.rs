//! Loading bundles of every format, built by hand, and bundles that lie.

use std::{fs, io::Write};

use gantry_core::model::Progress;
use serde_json::{Value, json};

use super::super::{
    error::ImageError,
    tests::{House, tar},
};
use crate::archive::Digest;

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2016-01-02T03:04:05Z", "x-unknown": {"kept": [1.5]},
        "config": {"Cmd": ["/bin/true"], "Env": null, "Labels": null, "StopTimeout": 3},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}

fn bundle(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        if let Some(target) = name
            .strip_prefix("link:")
            .map(|_| std::str::from_utf8(data).expect("text"))
        {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, &name[5..], target).expect("memory");
            continue;
        }
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *data).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn load(house: &House, archive: &[u8]) -> Result<Vec<String>, ImageError> {
    let mut messages = Vec::new();
    let mut note = |progress: Progress| messages.extend(progress.stream);
    house.images.load(archive, &mut note)?;
    Ok(messages)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn manifest_bundles() {
    let house = House::new("load-manifest");
    let (base, top) = (tar(&[("base", "1")]), tar(&[("top", "22")]));
    // The base twice, the second time by a link, as Docker saves doubled layers.
    let config = config(&[&base, &top, &base]);
    let id = Digest::of(&config);
    let name = format!("{}.json", id.hex());
    let manifest = json!([{
        "Config": name, "RepoTags": ["x:1", "docker.io/library/y:2"],
        "Layers": ["one/layer.tar", "two/layer.tar", "three/layer.tar"],
    }]);
    let archive = bundle(&[
        ("one/VERSION", b"1.0"),
        ("one/layer.tar", &base),
        ("two/layer.tar", &top),
        ("link:three/layer.tar", b"../one/layer.tar"),
        (&name, &config),
        ("manifest.json", manifest.to_string().as_bytes()),
    ]);
    assert_eq!(
        load(&house, &archive).expect("loads"),
        ["Loaded image: x:1\n", "Loaded image: y:2\n"]
    );
    let image = house.images.inspect("y:2").expect("there");
    assert_eq!((image.id, image.size), (id.to_string(), 4));
    assert_eq!(image.root_fs.layers.len(), 3);
    let record = house.images.resolve("x:1").expect("there");
    let paths = house.images.layers(&record);
    assert_eq!(paths.len(), 2, "overlay takes no layer twice");
    assert!(paths[0].join("base").exists() && paths[1].join("top").exists());
    drop(record);
    // Again, compressed: nothing new. Then another image under the same name.
    assert_eq!(load(&house, &gzip(&archive)).expect("again").len(), 2);
    assert_eq!((house.images.count(), house.layer_count()), (1, 2));
    let other = config_of(&base);
    let manifest = json!([{"Config": "c", "RepoTags": ["x:1"], "Layers": ["l"]}, {"Config": "c", "RepoTags": null, "Layers": ["l"]}]);
    let archive = bundle(&[
        ("l", &base),
        ("c", &other),
        ("manifest.json", manifest.to_string().as_bytes()),
    ]);
    let new = Digest::of(&other);
    assert_eq!(
        load(&house, &archive).expect("loads"),
        [
            format!("The image x:1 already exists, renaming the old one with ID {id} to empty string\n"),
            "Loaded image: x:1\n".into(),
            format!("Loaded image ID: {new}\n"),
        ]
    );
    let house = house.reopened();
    assert!(house.images.warnings().is_empty());
    assert_eq!(
        house.images.resolve("x:1").expect("there").id().to_string(),
        new.to_string()
    );
}

fn config_of(layer: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(&config(&[layer])).expect("JSON");
    value["author"] = "another".into();
    value.to_string().into_bytes()
}

#[test]
fn oci_layouts() {
    let house = House::new("load-oci");
    let layer = tar(&[("file", "oci")]);
    let packed = gzip(&layer);
    let config = config(&[&layer]);
    let blob = |data: &[u8]| format!("blobs/sha256/{}", Digest::of(data).hex());
    let entry = |kind: &str, data: &[u8]| json!({"mediaType": kind, "digest": Digest::of(data).to_string(), "size": data.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": entry("application/vnd.oci.image.config.v1+json", &config),
        "layers": [entry("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut named = entry("application/vnd.oci.image.manifest.v1+json", &manifest);
    named["annotations"] = json!({"io.containerd.image.name": "docker.io/library/oci:1"});
    let index = json!({"schemaVersion": 2, "manifests": [named]}).to_string();
    let files: Vec<(String, Vec<u8>)> = vec![
        ("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        (blob(&manifest), manifest.clone()),
        (blob(&config), config.clone()),
        (blob(&packed), packed.clone()),
        ("index.json".into(), index.into_bytes()),
    ];
    let archive = |files: &[(String, Vec<u8>)]| {
        let files: Vec<_> = files
            .iter()
            .map(|(name, data)| (name.as_str(), data.as_slice()))
            .collect();
        bundle(&files)
    };
    assert_eq!(
        load(&house, &archive(&files)).expect("loads"),
        ["Loaded image: oci:1\n"]
    );
    assert_eq!(
        house.images.resolve("oci:1").expect("there").id().to_string(),
        Digest::of(&config).to_string()
    );
    // Every single file damaged or missing is noticed, and nothing is left behind.
    let house = House::new("load-oci-bad");
    for (n, (name, _)) in files.iter().enumerate().filter(|(_, (name, _))| name != "oci-layout") {
        let mut missing = files.clone();
        missing.remove(n);
        let mut damaged = files.clone();
        damaged[n].1 = damaged[n]
            .1
            .iter()
            .map(|b| if *b == b':' { b';' } else { *b })
            .collect();
        if damaged[n].1 == files[n].1 {
            let middle = damaged[n].1.len() - 6;
            damaged[n].1[middle] ^= 1;
        }
        for (what, files) in [("missing", missing), ("damaged", damaged)] {
            assert!(load(&house, &archive(&files)).is_err(), "{name} {what}");
            assert_eq!((house.images.count(), house.layer_count()), (0, 0), "{name} {what}");
        }
    }
}

#[test]
fn legacy_bundles() {
    let house = House::new("load-legacy");
    let (base, top) = (tar(&[("base", "1")]), tar(&[("top", "2")]));
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let json_one =
        json!({"id": one, "created": "2013-06-13T14:03:50Z", "container_config": {"Cmd": ["sh"]}}).to_string();
    let json_two = json!({"id": two, "parent": one, "created": "2013-06-14T00:00:00Z", "Size": 1, "os": "linux",
        "config": {"Cmd": ["/top"]}})
    .to_string();
    let repositories = json!({"old/app": {"v1": two, "latest": two}}).to_string();
    let paths = [&one, &two].map(|id| (format!("{id}/json"), format!("{id}/layer.tar")));
    let mut files: Vec<(&str, &[u8])> = vec![
        (&paths[0].0, json_one.as_bytes()),
        (&paths[0].1, &base),
        (&paths[1].0, json_two.as_bytes()),
        (&paths[1].1, &top),
        ("repositories", repositories.as_bytes()),
    ];
    let messages = load(&house, &bundle(&files)).expect("loads");
    assert_eq!(
        messages,
        ["Loaded image: old/app:latest\n", "Loaded image: old/app:v1\n"]
    );
    let image = house.images.inspect("old/app:v1").expect("there");
    assert_eq!(image.config.expect("config").cmd.expect("cmd"), ["/top"]);
    let diff_ids = [&base, &top].map(|layer| Digest::of(layer).to_string());
    assert_eq!(image.root_fs.layers, diff_ids);
    // Without names: the image that no other is built on. With a missing parent: nothing.
    files.pop();
    let messages = load(&house, &bundle(&files)).expect("loads");
    assert_eq!(messages, [format!("Loaded image ID: {}\n", image.id)]);
    assert!(load(&house, &bundle(&files[2..])).is_err());
}

#[test]
fn bundles_that_lie() {
    let house = House::new("load-lies");
    let layer = tar(&[("file", "1")]);
    let config = config(&[&layer]);
    let manifest = |value: Value| value.to_string().into_bytes();
    let good = manifest(json!([{"Config": "c", "RepoTags": ["x:1"], "Layers": ["l"]}]));
    let wrong_name = format!("{}.json", "0".repeat(64));
    let by_name = manifest(json!([{"Config": wrong_name, "Layers": ["l"]}]));
    let nothing = manifest(json!([]));
    let bad_tag = manifest(json!([{"Config": "c", "RepoTags": ["X:1"], "Layers": ["l"]}]));
    let more = manifest(json!([{"Config": "c", "Layers": ["l", "l"]}]));
    let other = tar(&[("file", "2")]);
    let windows = String::from_utf8(config.clone())
        .expect("text")
        .replace("linux", "windows");
    let deep = "[".repeat(100_000);
    let one_bad =
        manifest(json!([{"Config": "c", "RepoTags": ["x:1"], "Layers": ["l"]}, {"Config": "gone", "Layers": []}]));
    let long: Vec<u8> = vec![b' '; 5 << 20];
    type Files<'a> = Vec<(&'a str, &'a [u8])>;
    let rows: Vec<(&str, Files<'_>)> = vec![
        ("nothing", vec![]),
        ("no image", vec![("manifest.json", &nothing)]),
        ("no manifest", vec![("l", &layer), ("c", &config)]),
        ("not JSON", vec![("manifest.json", b"not json")]),
        ("nested deep", vec![("manifest.json", deep.as_bytes())]),
        ("large document", vec![("manifest.json", &long)]),
        ("no layer", vec![("c", &config), ("manifest.json", &good)]),
        ("no configuration", vec![("l", &layer), ("manifest.json", &good)]),
        (
            "other layer",
            vec![("l", &other), ("c", &config), ("manifest.json", &good)],
        ),
        (
            "broken layer",
            vec![("l", &layer[..600]), ("c", &config), ("manifest.json", &good)],
        ),
        (
            "more layers",
            vec![("l", &layer), ("c", &config), ("manifest.json", &more)],
        ),
        (
            "digest of configuration",
            vec![("l", &layer), (&wrong_name, &config), ("manifest.json", &by_name)],
        ),
        (
            "malformed tag",
            vec![("l", &layer), ("c", &config), ("manifest.json", &bad_tag)],
        ),
        (
            "other system",
            vec![("l", &layer), ("c", windows.as_bytes()), ("manifest.json", &good)],
        ),
        (
            "one of two bad",
            vec![("l", &layer), ("c", &config), ("manifest.json", &one_bad)],
        ),
        (
            "a file twice",
            vec![("l", &layer), ("l", &layer), ("c", &config), ("manifest.json", &good)],
        ),
        (
            "a link out",
            vec![
                ("link:l", b"../../etc/passwd"),
                ("c", &config),
                ("manifest.json", &good),
            ],
        ),
        (
            "links in a ring",
            vec![
                ("link:l", b"m"),
                ("link:m", b"l"),
                ("c", &config),
                ("manifest.json", &good),
            ],
        ),
        (
            "blob without digest",
            vec![("blobs/sha256/../../x", b"x"), ("manifest.json", &good)],
        ),
        ("a device", vec![("manifest.json", &good)]),
    ];
    for (name, files) in rows {
        // What tar's own writer would refuse is put in by hand.
        let archive = match name {
            "a device" => {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Fifo);
                header.set_path("pipe").expect("short");
                header.set_size(0);
                header.set_cksum();
                [header.as_bytes(), &bundle(&files)[..]].concat()
            }
            "blob without digest" => bundle(&[("blobs/sha256/xyz", b"x"), ("manifest.json", &good)]),
            _ => bundle(&files),
        };
        let error = load(&house, &archive).expect_err(name);
        let refusal: gantry_core::Refusal = error.into();
        assert!(
            !matches!(refusal, gantry_core::Refusal::Internal(_)),
            "{name}: {refusal:?}"
        );
        assert_eq!((house.images.count(), house.layer_count()), (0, 0), "{name}");
        let tmp = house.scratch.path().join("image/tmp");
        assert_eq!(fs::read_dir(tmp).expect("list").count(), 0, "{name}");
    }
}

/// Images that share layers, one of them with a layer twice: as they are, and as a daemon that knows no manifest reads them.
#[test]
fn what_is_saved_of_several_loads_again() {
    let house = House::new("load-saved");
    let (base, top, other) = (tar(&[("base", "1")]), tar(&[("top", "22")]), tar(&[("other", "333")]));
    let configs = [config(&[&base, &top]), config(&[&base, &other, &base]), config(&[])];
    let ids = configs.each_ref().map(|config| Digest::of(config));
    let manifest = json!([
        {"Config": "a", "RepoTags": ["x:1"], "Layers": ["base", "top"]},
        {"Config": "b", "RepoTags": ["x:2", "y:1"], "Layers": ["base", "other", "base"]},
        {"Config": "c", "RepoTags": null, "Layers": []},
    ]);
    let archive = bundle(&[
        ("base", &base),
        ("top", &top),
        ("other", &other),
        ("a", &configs[0]),
        ("b", &configs[1]),
        ("c", &configs[2]),
        ("manifest.json", manifest.to_string().as_bytes()),
    ]);
    load(&house, &archive).expect("loads");
    let names = ["x".to_owned(), "y:1".to_owned(), ids[2].to_string()];
    let mut saved = Vec::new();
    let saving = house.images.saving(&names).expect("all are there");
    house.images.save(&saving, &mut saved).expect("saves");
    let again = House::new("load-saved-again");
    let messages = load(&again, &saved).expect("loads");
    let loaded = ["Loaded image: x:1\n", "Loaded image: x:2\n", "Loaded image: y:1\n"].map(str::to_owned);
    assert_eq!(messages[..3], loaded);
    assert_eq!(messages[3], format!("Loaded image ID: {}\n", ids[2]));
    for (name, id) in [("x:1", ids[0]), ("x:2", ids[1]), ("y:1", ids[1])] {
        assert_eq!(again.images.inspect(name).expect(name).id, id.to_string(), "{name}");
    }
    assert_eq!(again.layer_count(), 3);
    // Each layer's bytes are there once.
    assert_eq!(saved.windows(3).filter(|bytes| bytes == b"333").count(), 1);

    let mut before_1_10 = tar::Builder::new(Vec::new());
    let mut members = tar::Archive::new(&saved[..]);
    for member in members.entries().expect("a tar") {
        let member = member.expect("a member");
        let path = member.path().expect("a path").into_owned();
        if path.extension().is_none_or(|extension| extension != "json") {
            before_1_10.append(&member.header().clone(), member).expect("memory");
        }
    }
    let old = House::new("load-saved-old");
    let messages = load(&old, &before_1_10.into_inner().expect("memory")).expect("loads");
    assert_eq!(messages.len(), 3, "{messages:?}");
    let layers = |house: &House, name: &str| house.images.inspect(name).expect("there").root_fs.layers;
    for name in ["x:1", "x:2", "y:1"] {
        assert_eq!(layers(&old, name), layers(&house, name), "{name}");
    }
}
