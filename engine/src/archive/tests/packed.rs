//! Packing: everything but sockets, files that change meanwhile, paths that are too long.

use super::*;

pub(super) fn pack(tree: &Path) -> Vec<u8> {
    let mut packed = Vec::new();
    pack_into(tree, &mut packed);
    packed
}

fn pack_into(tree: &Path, sink: &mut dyn Sink) {
    pack_tree(File::open(tree).expect("open").as_fd(), sink).expect("packs");
    finish(sink).expect("ends");
}

#[test]
fn everything_but_sockets_is_packed() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    if !is_root("everything_but_sockets_is_packed") {
        return;
    }
    let scratch = Scratch::new("pack");
    let tree = scratch.path().join("tree");
    let at = |name: &str| tree.join(name);
    fs::create_dir_all(at("directory/below")).expect("mkdir");
    fs::set_permissions(at("directory"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    fs::write(at("directory/file"), "content").expect("write");
    fs::set_permissions(at("directory/file"), fs::Permissions::from_mode(0o4711)).expect("chmod");
    std::os::unix::fs::chown(at("directory/file"), Some(3_000_000), Some(7)).expect("chown");
    fs::write(at("empty"), "").expect("write");
    fs::hard_link(at("directory/file"), at("directory/below/other name")).expect("link");
    fs::write(at(&"n".repeat(200)), "long name").expect("write");
    // A hole, and something behind it.
    let sparse = File::create(at("sparse")).expect("create");
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 3_000_001).expect("write");
    symlink("/nowhere/at/all", at("absolute link")).expect("symlink");
    symlink("../tree/empty", at("relative link")).expect("symlink");
    fs::hard_link(at("relative link"), at("the same link")).expect("link");
    let all = Mode::from_bits_truncate(0o640);
    mknod(&at("fifo"), SFlag::S_IFIFO, all, 0).expect("mkfifo");
    mknod(&at("tty"), SFlag::S_IFCHR, all, makedev(5, 0)).expect("mknod");
    mknod(&at("disk"), SFlag::S_IFBLK, all, makedev(8, 17)).expect("mknod");
    let xattrs = [
        (c"user.note", &b"a\0b"[..]),
        (
            c"security.capability",
            b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
    ];
    let file = File::open(at("directory/file")).expect("open");
    for (name, value) in xattrs {
        openat::set_xattr(file.as_fd(), name, value).expect("setxattr");
    }
    openat::set_xattr(file.as_fd(), c"trusted.private", b"x").expect("setxattr");
    let expected = picture(&tree);
    let socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bind");
    let ours = scratch.path().join("ours");
    unpack(&pack(&tree)[..], &ours).expect("unpacks");
    drop(socket);
    assert_eq!(picture(&ours), expected);
    let copy = File::open(ours.join("directory/file")).expect("open");
    for (name, value) in xattrs {
        assert_eq!(
            openat::xattr(copy.as_fd(), name).expect("getxattr").as_deref(),
            Some(value),
            "{name:?}"
        );
    }
    assert_eq!(openat::xattr(copy.as_fd(), c"trusted.private").expect("getxattr"), None);
    assert_eq!(pack(&tree), pack(&tree), "the same every time");
}

#[test]
fn a_file_that_changes_while_it_is_packed_has_the_size_of_its_header() {
    /// Changes the file's length before it is read.
    struct Changing(Vec<u8>, PathBuf, u64);
    impl Write for Changing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Sink for Changing {
        fn copy(&mut self, file: &File, len: u64) -> io::Result<u64> {
            File::options().write(true).open(&self.1)?.set_len(self.2)?;
            self.0.copy(file, len)
        }
    }
    for (len, expected) in [(3, "con\0\0\0\0"), (0, "\0\0\0\0\0\0\0"), (1000, "content")] {
        let scratch = Scratch::new("changing");
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).expect("mkdir");
        fs::write(tree.join("file"), "content").expect("write");
        fs::write(tree.join("next"), "").expect("write");
        let mut sink = Changing(Vec::new(), tree.join("file"), len);
        pack_into(&tree, &mut sink);
        let ours = scratch.path().join("ours");
        unpack(&sink.0[..], &ours).expect("unpacks");
        assert_eq!(fs::read_to_string(ours.join("file")).expect("read"), expected, "{len}");
        assert!(ours.join("next").exists(), "{len}");
    }
}

/// A path of the kernel has 4095 bytes, a tree may be deeper.
#[test]
fn what_is_too_deep_is_left_out() {
    let scratch = Scratch::new("deep");
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).expect("mkdir");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o755);
    let name = "d".repeat(200);
    let mut directory = std::os::fd::OwnedFd::from(File::open(&tree).expect("open"));
    for _ in 0..30 {
        nix::sys::stat::mkdirat(&directory, name.as_str(), mode).expect("mkdir");
        let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY;
        directory = nix::fcntl::openat(&directory, name.as_str(), flags, mode).expect("open");
        let flags = nix::fcntl::OFlag::O_CREAT | nix::fcntl::OFlag::O_WRONLY;
        nix::fcntl::openat(&directory, "f".repeat(100).as_str(), flags, mode).expect("create");
    }
    let ours = scratch.path().join("ours");
    unpack(&pack(&tree)[..], &ours).expect("unpacks");
    let mut depth = 0;
    let mut path = ours;
    while path.join(&name).exists() {
        path = path.join(&name);
        depth += 1;
    }
    assert_eq!(depth, 4095 / 201);
}
