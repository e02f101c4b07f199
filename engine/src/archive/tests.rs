//! Unpacking and packing as a whole: hostile archives beside a canary, GNU tar as the other reader, whiteouts, bounds.

mod packed;

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use proptest::prelude::*;

use self::packed::pack;

use super::{ArchiveError, Digest, Limits, Sink, Unpacked, finish, pack_tree, unpack_layer};
use crate::{
    image::scratch::{Scratch, is_root},
    sys::openat,
};

/// Builds archives byte by byte, so that nothing is too wrong to be written.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn member(mut self, kind: u8, name: &[u8], link: &[u8], data: &[u8]) -> Self {
        self.0
            .extend_from_slice(&header(kind, name, link, data.len() as u64, |_| {}));
        self.data(data)
    }

    fn raw(mut self, header: [u8; 512]) -> Self {
        self.0.extend_from_slice(&header);
        self
    }

    fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.member(b'0', name.as_bytes(), b"", data.as_bytes())
    }

    fn dir(self, name: &str) -> Self {
        self.member(b'5', name.as_bytes(), b"", b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.member(b'2', name.as_bytes(), target.as_bytes(), b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.member(b'1', name.as_bytes(), target.as_bytes(), b"")
    }

    fn pax(self, records: &[&str]) -> Self {
        let data: String = records.iter().map(|text| record(text)).collect();
        self.member(b'x', b"pax", b"", data.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn record(text: &str) -> String {
    let len = (text.len()..).find(|len| *len == len.to_string().len() + text.len() + 2);
    format!("{} {text}\n", len.expect("some length fits"))
}

fn header(kind: u8, name: &[u8], link: &[u8], size: u64, change: impl FnOnce(&mut [u8; 512])) -> [u8; 512] {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(if kind == b'5' { b"0000755" } else { b"0000644" });
    block[108..115].copy_from_slice(format!("{uid:07o}").as_bytes());
    block[116..123].copy_from_slice(format!("{gid:07o}").as_bytes());
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(format!("{:011o}", 1_400_000_000).as_bytes());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn unpack(archive: impl Read, root: &Path) -> Result<Unpacked, ArchiveError> {
    unpack_within(
        archive,
        root,
        &Limits {
            disk_reserve: 0,
            ..Limits::default()
        },
    )
}

fn unpack_within(archive: impl Read, root: &Path, limits: &Limits) -> Result<Unpacked, ArchiveError> {
    fs::create_dir(root).expect("mkdir");
    let directory = File::open(root).expect("open");
    unpack_layer(archive, directory.as_fd(), limits)
}

/// Everything about a tree that an archive can decide, one line a file, sorted.
fn picture(root: &Path) -> Vec<String> {
    fn walk(root: &Path, path: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(path).expect("list") {
            let path = entry.expect("entry").path();
            let meta = fs::symlink_metadata(&path).expect("stat");
            let name = path.strip_prefix(root).expect("below");
            let what = if meta.is_symlink() {
                format!("-> {:?}", fs::read_link(&path).expect("link"))
            } else if meta.is_file() {
                format!(
                    "{} links {:?}",
                    meta.nlink(),
                    fs::read(&path).map(|data| Digest::of(&data)).ok()
                )
            } else {
                String::new()
            };
            let (uid, gid, rdev) = (meta.uid(), meta.gid(), meta.rdev());
            lines.push(format!(
                "{name:?} {:o} {uid}:{gid} {rdev} {} {what}",
                meta.mode(),
                meta.mtime()
            ));
            if meta.is_dir() {
                walk(root, &path, lines);
            }
        }
    }
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.sort();
    lines
}

/// What must never change, in a directory beside the root.
fn canary(scratch: &Path) -> PathBuf {
    let path = scratch.join("canary");
    fs::create_dir(&path).expect("mkdir");
    fs::write(path.join("secret"), "token").expect("write");
    fs::set_permissions(path.join("secret"), fs::Permissions::from_mode(0o640)).expect("chmod");
    symlink("secret", path.join("link")).expect("symlink");
    path
}

#[test]
fn hostile_archives_stay_inside() {
    let scratch = Scratch::new("hostile");
    let outside = canary(scratch.path());
    let before = picture(&outside);
    let canary = outside.to_str().expect("text");
    let secret = format!("{canary}/secret");
    let long = format!("{}/x", "../".repeat(40));
    let pax_out = format!("path={long}");
    let tar = Tar::default;
    // (name, archive, whether it unpacks)
    let rows: Vec<(&str, Vec<u8>, bool)> = vec![
        (
            "absolute name",
            tar().file(&secret[..secret.len().min(99)], "evil").end(),
            true,
        ),
        ("parent names", tar().file("../canary/secret", "evil").end(), false),
        (
            "parent names inside",
            tar().dir("a").file("a/../../canary/secret", "evil").end(),
            false,
        ),
        ("name of parents alone", tar().dir("..").end(), false),
        (
            "link as parent, absolute",
            tar().symlink("l", canary).file("l/secret", "evil").end(),
            false,
        ),
        (
            "link as parent, relative",
            tar().symlink("l", "../canary").file("l/secret", "evil").end(),
            false,
        ),
        (
            "link at the end",
            tar().symlink("l", &secret).file("l", "evil").end(),
            true,
        ),
        (
            "chain of links",
            tar()
                .symlink("a", "..")
                .symlink("b", "a/canary")
                .file("b/secret", "evil")
                .end(),
            false,
        ),
        (
            "link to itself",
            tar().symlink("l", "l").file("l/x", "evil").end(),
            false,
        ),
        (
            "hard link out, parents",
            tar().hard_link("h", "../canary/secret").file("h", "evil").end(),
            false,
        ),
        (
            "hard link out, absolute",
            tar().hard_link("h", &secret[..secret.len().min(99)]).end(),
            false,
        ),
        (
            "hard link through link",
            tar().symlink("l", canary).hard_link("h", "l/secret").end(),
            false,
        ),
        (
            "hard link to link, then write",
            tar().symlink("l", &secret).hard_link("h", "l").file("h", "evil").end(),
            true,
        ),
        (
            "directory over link",
            tar().symlink("l", canary).dir("l").file("l/secret", "evil").end(),
            true,
        ),
        ("chmod through link", tar().symlink("l", canary).dir("l").end(), true),
        (
            "magic link",
            tar().symlink("l", "/proc/self/cwd").file("l/x", "evil").end(),
            false,
        ),
        ("pax path", tar().pax(&[&pax_out]).file("x", "evil").end(), false),
        (
            "pax link path",
            tar().pax(&["linkpath=../canary/secret"]).hard_link("x", "y").end(),
            false,
        ),
        (
            "GNU long name",
            tar()
                .member(b'L', b"././@LongLink", b"", b"../canary/secret\0")
                .file("x", "evil")
                .end(),
            false,
        ),
        (
            "GNU long link",
            tar()
                .member(b'K', b"././@LongLink", b"", b"../canary/secret\0")
                .hard_link("x", "y")
                .end(),
            false,
        ),
        ("whiteout of parent", tar().file(".wh...", "").end(), false),
        ("whiteout of itself", tar().file(".wh..", "").end(), false),
        ("whiteout of nothing", tar().file(".wh.", "").end(), false),
        (
            "whiteout through link",
            tar().symlink("l", canary).file("l/.wh.secret", "").end(),
            false,
        ),
        (
            "opaque through link",
            tar().symlink("l", canary).file("l/.wh..wh..opq", "").end(),
            false,
        ),
        ("whiteout as directory", tar().file(".wh.x/y", "").end(), false),
        ("whiteout with content", tar().file(".wh.x", "data").end(), false),
        (
            "file over full directory",
            tar().dir("d").file("d/x", "1").file("d", "evil").end(),
            false,
        ),
        ("file below file", tar().file("f", "1").file("f/x", "evil").end(), false),
        ("root as file", tar().file("./", "evil").end(), false),
        ("root as link", tar().symlink(".", canary).end(), false),
    ];
    for (n, (name, archive, unpacks)) in rows.into_iter().enumerate() {
        let result = unpack(&archive[..], &scratch.path().join(n.to_string()));
        assert_eq!(result.is_ok(), unpacks, "{name}: {result:?}");
        if let Err(error) = &result {
            assert!(error.is_clients(), "{name}: {error}");
        }
        assert_eq!(picture(&outside), before, "{name}");
    }
}

#[test]
fn ambiguous_archives_are_refused() {
    let scratch = Scratch::new("ambiguous");
    let tar = Tar::default;
    let field = |at: usize, bytes: &'static [u8]| {
        header(b'0', b"x", b"", 0, move |block| {
            block[at..at + bytes.len()].copy_from_slice(bytes);
        })
    };
    let mut bad_sum = header(b'0', b"x", b"", 0, |_| {});
    bad_sum[0] = b'y';
    let huge = header(b'x', b"pax", b"", 1 << 30, |_| {});
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("checksum", tar().raw(bad_sum).end()),
        ("magic", tar().raw(field(257, b"ustaR")).end()),
        ("signed size", tar().raw(field(124, b"+0000000001")).end()),
        ("negative size", tar().raw(field(124, &[0xff; 12])).end()),
        (
            "huge size",
            tar().raw(field(124, &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])).end(),
        ),
        ("blank size", tar().raw(field(124, &[b' '; 12])).end()),
        ("NUL inside a name", tar().raw(field(0, b"x\0y")).end()),
        ("owner of all ones", tar().pax(&["uid=4294967295"]).file("x", "").end()),
        ("owner too large", tar().pax(&["uid=4294967296"]).file("x", "").end()),
        ("data on a link", tar().member(b'2', b"l", b"t", b"data").end()),
        (
            "data on a hard link",
            tar().file("x", "").member(b'1', b"l", b"x", b"data").end(),
        ),
        ("data on a directory", tar().member(b'5', b"d", b"", b"data").end()),
        (
            "pax size on a link",
            tar().pax(&["size=5"]).symlink("l", "t").data(b"12345").end(),
        ),
        ("symbolic link without target", tar().symlink("l", "").end()),
        (
            "two pax headers",
            tar().pax(&["path=a"]).pax(&["path=b"]).file("x", "").end(),
        ),
        ("pax header at the end", tar().pax(&["path=a"]).end()),
        (
            "pax and GNU name",
            tar()
                .pax(&["path=a"])
                .member(b'L', b"L", b"", b"b\0")
                .file("x", "")
                .end(),
        ),
        (
            "two GNU names",
            tar()
                .member(b'L', b"L", b"", b"a\0")
                .member(b'L', b"L", b"", b"b\0")
                .file("x", "")
                .end(),
        ),
        (
            "global pax path",
            tar()
                .member(b'g', b"g", b"", record("path=a").as_bytes())
                .file("x", "")
                .end(),
        ),
        (
            "global pax size",
            tar()
                .member(b'g', b"g", b"", record("size=1").as_bytes())
                .file("x", "")
                .end(),
        ),
        ("sparse", tar().member(b'S', b"s", b"", b"").end()),
        ("pax sparse", tar().pax(&["GNU.sparse.major=1"]).file("x", "").end()),
        ("unknown type", tar().member(b'Z', b"z", b"", b"").end()),
        ("slash behind a file", tar().file("x/", "data").end()),
        ("empty name", tar().file("", "data").end()),
        ("huge pax header", tar().raw(huge).end()),
        (
            "trusted attribute",
            tar().pax(&["SCHILY.xattr.trusted.overlay.opaque=y"]).dir("d").end(),
        ),
        (
            "name too long",
            tar().pax(&[&format!("path={}", "a".repeat(256))]).file("x", "").end(),
        ),
        (
            "path too long",
            tar().pax(&[&format!("path={}", "a/".repeat(2100))]).file("x", "").end(),
        ),
        (
            "path too deep",
            tar()
                .pax(&[&format!("path={}", "a/".repeat(300) + "a")])
                .file("x", "")
                .end(),
        ),
        ("cut in a header", tar().file("x", "").end()[..300].to_vec()),
        (
            "cut in data",
            tar().member(b'0', b"x", b"", &[1; 2000]).end()[..1024].to_vec(),
        ),
        (
            "a second archive behind the end",
            [tar().end(), tar().file("x", "").end()].concat(),
        ),
        ("hard link to nothing", tar().hard_link("h", "nothing").end()),
        ("hard link to a directory", tar().dir("d").hard_link("h", "d").end()),
        ("no tar at all", b"<html>not found</html>".repeat(100)),
    ];
    for (n, (name, archive)) in rows.into_iter().enumerate() {
        match unpack(&archive[..], &scratch.path().join(n.to_string())) {
            Err(error) => assert!(error.is_clients(), "{name}: {error}"),
            Ok(done) => panic!("{name}: {done:?}"),
        }
    }
}

#[test]
fn plain_things_are_placed() {
    let scratch = Scratch::new("plain");
    let root = scratch.path().join("root");
    let long = "n".repeat(200);
    let archive = Tar::default()
        .dir("./")
        .file("./a/b/file", "content")
        .raw(header(b'0', b"tool", b"", 0, |block| {
            block[100..107].copy_from_slice(b"0004711");
        }))
        .symlink("a/link", "/a/b/file")
        .hard_link("a/hard", "a/b/file")
        .file("again", "old")
        .file("again", "new")
        .pax(&["size=3", "mtime=-1.5"])
        .raw(header(b'0', b"sized", b"", 0, |_| {}))
        .data(b"abc")
        .member(b'L', b"L", b"", format!("{long}\0").as_bytes())
        .file("short", "long")
        .member(b'g', b"g", b"", record("comment=commit").as_bytes())
        .member(b'6', b"pipe", b"", b"")
        .file("a/link2", "")
        .end();
    let done = unpack(&archive[..], &root).expect("unpacks");
    assert_eq!(done.diff_id, Digest::of(&archive));
    assert_eq!(done.size, 7 + 3 + 3 + 3 + 4);
    let read = |name: &str| fs::read_to_string(root.join(name)).expect(name);
    assert_eq!(
        (read("a/b/file"), read("a/hard"), read("again")),
        ("content".into(), "content".into(), "new".into())
    );
    assert_eq!((read("sized"), read(&long)), ("abc".into(), "long".into()));
    assert_eq!(
        fs::read_link(root.join("a/link")).expect("link"),
        Path::new("/a/b/file")
    );
    let meta = |name: &str| fs::symlink_metadata(root.join(name)).expect(name);
    assert_eq!(meta("tool").mode() & 0o7777, 0o4711);
    assert_eq!(meta("a").mode() & 0o7777, 0o755, "parents that no member makes");
    assert_eq!((meta("sized").mtime(), meta("sized").mtime_nsec()), (-2, 500_000_000));
    assert_eq!(meta("a/b/file").ino(), meta("a/hard").ino());
    assert_eq!(meta("a/link").mtime(), 1_400_000_000);
    assert_eq!(
        fs::metadata(&root).expect("root").mtime(),
        1_400_000_000,
        "the root's own time comes last"
    );
    assert_eq!(meta("pipe").mode() & 0o170_777, 0o010_644);
}

#[test]
fn the_end_may_be_missing() {
    let scratch = Scratch::new("end");
    let whole = Tar::default().file("x", "abc").end();
    // Two zero blocks, one, none, and not even the padding of the last file.
    for (n, len) in [2048, 1536, 1024, 700, 515].into_iter().enumerate() {
        let root = scratch.path().join(n.to_string());
        let done = unpack(&whole[..len], &root).expect("unpacks");
        assert_eq!(done.diff_id, Digest::of(&whole[..len]));
        assert_eq!(fs::read_to_string(root.join("x")).expect("x"), "abc");
    }
    assert!(unpack(&whole[..514], &scratch.path().join("cut")).is_err());
}

#[test]
fn whiteouts_devices_and_attributes() {
    if !is_root("whiteouts_devices_and_attributes") {
        return;
    }
    let scratch = Scratch::new("whiteouts");
    let root = scratch.path().join("root");
    let device = header(b'3', b"dev/zero", b"", 0, |block| {
        block[329..336].copy_from_slice(b"0000001");
        block[337..344].copy_from_slice(b"0000005");
        block[108..115].copy_from_slice(b"0000007");
    });
    // cap_net_raw=ep, as struct vfs_ns_cap_data of revision 2 has it.
    let caps = "SCHILY.xattr.security.capability=\u{1}\0\0\u{2}\0\u{20}\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let archive = Tar::default()
        .file("a/.wh.gone", "")
        .file("b/.wh..wh..opq", "")
        .file(".wh.again", "")
        .dir("again")
        .dir("first")
        .file(".wh.first", "")
        .dir(".wh..wh.orph")
        .raw(device)
        .pax(&[caps, "SCHILY.xattr.user.note=hi"])
        .raw(header(b'0', b"ping", b"", 0, |block| {
            block[108..115].copy_from_slice(b"0000007");
        }))
        .end();
    let done = unpack(&archive[..], &root).expect("unpacks");
    assert_eq!(done.xattrs_dropped, 0);
    let meta = |name: &str| fs::symlink_metadata(root.join(name)).expect(name);
    assert_eq!(
        (meta("a/gone").mode() & 0o170_000, meta("a/gone").rdev()),
        (0o020_000, 0)
    );
    assert_eq!(
        (meta("dev/zero").mode(), meta("dev/zero").rdev()),
        (0o020_644, nix::sys::stat::makedev(1, 5))
    );
    assert_eq!(meta("dev/zero").uid(), 7);
    assert!(!root.join(".wh..wh.orph").exists());
    let attribute = |name: &str, key| {
        let file = File::open(root.join(name)).expect(name);
        openat::xattr(file.as_fd(), key).expect(name)
    };
    for opaque in ["b", "again", "first"] {
        assert_eq!(
            attribute(opaque, c"trusted.overlay.opaque").as_deref(),
            Some(&b"y"[..]),
            "{opaque}"
        );
    }
    assert_eq!(attribute("a", c"trusted.overlay.opaque"), None);
    assert_eq!(attribute("ping", c"user.note").as_deref(), Some(&b"hi"[..]));
    assert!(
        attribute("ping", c"security.capability").is_some(),
        "set after the owner, who would clear it"
    );
}

#[test]
fn bounds_hold() {
    let scratch = Scratch::new("bounds");
    let tight = Limits {
        members_max: 10,
        bytes_max: 1 << 20,
        disk_reserve: 0,
    };
    let many = (0..11)
        .fold(Tar::default(), |tar, n| tar.file(&n.to_string(), ""))
        .end();
    let is_too_much = |result| matches!(result, Err(ArchiveError::TooMuch { .. }));
    assert!(is_too_much(unpack_within(
        &many[..],
        &scratch.path().join("many"),
        &tight
    )));
    // A thousand times larger unpacked than packed, and never written.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&header(b'0', b"zeros", b"", 1 << 30, |_| {}))
        .expect("memory");
    io::copy(&mut io::repeat(0).take(64 << 20), &mut gzip).expect("memory");
    let bomb = gzip.finish().expect("memory");
    assert!(is_too_much(unpack_within(
        &bomb[..],
        &scratch.path().join("bomb"),
        &tight
    )));
    let full = Limits {
        disk_reserve: u64::MAX,
        ..Limits::default()
    };
    let result = unpack_within(&Tar::default().end()[..], &scratch.path().join("full"), &full);
    assert!(matches!(result, Err(ArchiveError::DiskReserve { .. })));
}

/// One thing to put into a tree.
#[derive(Debug, Clone)]
enum Thing {
    Dir(u32),
    File(Vec<u8>, u32),
    Hard(usize),
    Link(String),
    Fifo,
}

fn things() -> impl Strategy<Value = Vec<(String, Thing)>> {
    let name = "[a-c](/[a-c]{1,2}){0,3}|[a-z]{90,120}/[ -~&&[^/]]{20,60}|ü/[é☃]{1,40}";
    let thing = prop_oneof![
        2 => (0..0o1000_u32).prop_map(Thing::Dir),
        4 => (prop::collection::vec(any::<u8>(), 0..2000), 0..0o10000_u32).prop_map(|(data, mode)| Thing::File(data, mode)),
        1 => any::<usize>().prop_map(Thing::Hard),
        1 => "[a-z./]{1,130}".prop_map(Thing::Link),
        1 => Just(Thing::Fifo),
    ];
    prop::collection::vec((name, thing), 0..12)
}

fn build(root: &Path, things: &[(String, Thing)]) {
    fs::create_dir(root).expect("mkdir");
    let mut files: Vec<PathBuf> = Vec::new();
    for (name, thing) in things {
        let path = root.join(name);
        // What does not fit on what is there already is left out; the tree is what counts.
        if fs::symlink_metadata(&path).is_ok() || fs::create_dir_all(path.parent().expect("parent")).is_err() {
            continue;
        }
        match thing {
            Thing::Dir(mode) => {
                fs::create_dir(&path).expect("mkdir");
                // The one who packs must be able to read it, root or not.
                fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o700)).expect("chmod");
            }
            Thing::File(data, mode) => {
                fs::write(&path, data).expect("write");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o400)).expect("chmod");
                files.push(path);
            }
            Thing::Hard(n) if !files.is_empty() => {
                fs::hard_link(&files[n % files.len()], &path).expect("link");
            }
            Thing::Hard(_) => {}
            Thing::Link(target) => symlink(target, &path).expect("symlink"),
            Thing::Fifo => {
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o640)).expect("mkfifo");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// GNU tar packs a tree in each of its formats; what we unpack is what GNU tar unpacks.
    #[test]
    fn reads_as_gnu_tar_does(things in things(), format in prop::sample::select(vec!["gnu", "pax", "ustar"])) {
        let scratch = Scratch::new("gnu");
        let tree = scratch.path().join("tree");
        build(&tree, &things);
        let packed = Command::new("tar")
            .args(["-c", "--format", format, "-C"])
            .args([&tree, Path::new(".")])
            .stderr(Stdio::null())
            .output();
        let Ok(packed) = packed else {
            eprintln!("reads_as_gnu_tar_does skipped: no tar program");
            return Ok(());
        };
        // The ustar format cannot say everything; GNU tar then complains and leaves something out.
        prop_assume!(packed.status.success());
        let theirs = scratch.path().join("theirs");
        fs::create_dir(&theirs).expect("mkdir");
        let mut child = Command::new("tar")
            .args(["-x", "-p", "-C"])
            .arg(&theirs)
            .stdin(Stdio::piped())
            .spawn()
            .expect("tar ran before");
        child.stdin.take().expect("piped").write_all(&packed.stdout).expect("write");
        prop_assert!(child.wait().expect("wait").success());
        let ours = scratch.path().join("ours");
        let done = unpack(&packed.stdout[..], &ours);
        prop_assert!(done.is_ok(), "{done:?}");
        prop_assert_eq!(picture(&ours), picture(&theirs));
    }

    #[test]
    fn gnu_tar_and_we_unpack_what_is_packed(things in things()) {
        let scratch = Scratch::new("packed");
        let tree = scratch.path().join("tree");
        build(&tree, &things);
        let packed = pack(&tree);
        let ours = scratch.path().join("ours");
        let done = unpack(&packed[..], &ours);
        prop_assert!(done.is_ok(), "{done:?}");
        prop_assert_eq!(picture(&ours), picture(&tree));
        let theirs = scratch.path().join("theirs");
        fs::create_dir(&theirs).expect("mkdir");
        let child = Command::new("tar").args(["-x", "-p", "-C"]).arg(&theirs).stdin(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            eprintln!("gnu_tar_and_we_unpack_what_is_packed skipped: no tar program");
            return Ok(());
        };
        child.stdin.take().expect("piped").write_all(&packed).expect("write");
        prop_assert!(child.wait().expect("wait").success());
        prop_assert_eq!(picture(&theirs), picture(&tree));
    }

    /// Bytes changed anywhere: refused or placed inside, never a panic, never the host's fault.
    #[test]
    fn damaged_archives_harm_nobody(things in things(), at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..8)) {
        let scratch = Scratch::new("damaged");
        let outside = canary(scratch.path());
        let before = picture(&outside);
        let mut archive = Tar::default();
        for (name, thing) in &things {
            let name = &name.as_bytes()[..name.len().min(99)];
            archive = match thing {
                Thing::Dir(_) => archive.member(b'5', name, b"", b""),
                Thing::File(data, _) => archive.member(b'0', name, b"", data),
                Thing::Hard(_) => archive.member(b'1', name, b"a", b""),
                Thing::Link(target) => archive.member(b'2', name, &target.as_bytes()[..target.len().min(99)], b""),
                Thing::Fifo => archive.pax(&["path=../canary/x"]).member(b'6', name, b"", b""),
            };
        }
        let mut archive = archive.end();
        let at = at.index(archive.len());
        for (byte, new) in archive[at..].iter_mut().zip(bytes) {
            *byte = new;
        }
        let _ = unpack(&archive[..], &scratch.path().join("root"));
        prop_assert_eq!(picture(&outside), before);
    }
}
