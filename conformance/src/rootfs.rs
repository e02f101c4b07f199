//! The image that judge and bench run: one static busybox and a file of lines, as a tar in memory.
//!
//! No registry and no other daemon is needed: `POST /images/create?fromSrc=-` takes the tar as it is.

use std::io;
use std::path::Path;

/// Applets that the root file system offers beside `/bin/busybox` itself.
const APPLETS: &[&str] = &[
    "cat",
    "dd",
    "echo",
    "env",
    "false",
    "head",
    "hostname",
    "id",
    "kill",
    "ls",
    "printf",
    "pwd",
    "sh",
    "sha256sum",
    "sleep",
    "stty",
    "test",
    "touch",
    "true",
    "wc",
];

/// Bytes of one line of `/lines`, its line end included.
pub const LINE_BYTES: usize = 100;

/// Bytes of `/lines`: as many whole lines as one MiB holds.
pub const LINES_BYTES: usize = 1024 * 1024 / LINE_BYTES * LINE_BYTES;

/// The root file system as an uncompressed tar: `busybox` under `/bin` with its applets as symbolic links, `/lines`,
/// a non-executable `/bin/notexec`, `/etc/passwd`, and the directories a container expects.
///
/// # Errors
/// When `busybox` cannot be read or is not statically linked (nothing of the host would be there to load it).
pub fn busybox_tar(busybox: &Path) -> io::Result<Vec<u8>> {
    let program = std::fs::read(busybox)?;
    if let Some(why) = not_static(&program) {
        return Err(io::Error::other(format!("{} cannot be used: {why}", busybox.display())));
    }
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode) in [
        ("bin/", 0o755),
        ("dev/", 0o755),
        ("etc/", 0o755),
        ("proc/", 0o755),
        ("sys/", 0o755),
        ("tmp/", 0o1777),
    ] {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        tar.append_data(&mut header, path, io::empty())?;
    }
    let mut file = |path: &str, mode, data: &[u8]| {
        let mut header = header(tar::EntryType::Regular, mode, data.len() as u64);
        tar.append_data(&mut header, path, data)
    };
    file("bin/busybox", 0o755, &program)?;
    file("bin/notexec", 0o644, b"#!/bin/sh\nexit 0\n")?;
    file(
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    )?;
    file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    file("lines", 0o644, &lines())?;
    for applet in APPLETS {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    tar.into_inner()
}

/// The header of a regular file in a tar, for whoever sends the data behind it: one block of 512 bytes.
pub(crate) fn file_header(path: &str, bytes: u64) -> Vec<u8> {
    let mut header = header(tar::EntryType::Regular, 0o644, bytes);
    header.set_path(path).expect("a short path");
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(1_400_000_000);
    header
}

/// Lines of printable bytes, none equal to its neighbour.
fn lines() -> Vec<u8> {
    let mut out = Vec::with_capacity(LINES_BYTES);
    for number in 0..LINES_BYTES / LINE_BYTES {
        let mut line = format!("{number:08} ");
        line.extend((0..LINE_BYTES - 10).map(|column| char::from(b' ' + 1 + ((number + column) % 90) as u8)));
        line.push('\n');
        out.extend_from_slice(line.as_bytes());
    }
    out
}

/// Why this is not a static ELF program, if so: it asks for an interpreter (`PT_INTERP`, elf(5)).
fn not_static(program: &[u8]) -> Option<&'static str> {
    const PT_INTERP: u32 = 3;
    if program.get(..5) != Some(b"\x7fELF\x02") {
        return Some("it is not a 64-bit ELF program");
    }
    let word = |at: usize, bytes: usize| -> Option<usize> {
        let field = program.get(at..at.checked_add(bytes)?)?;
        field
            .iter()
            .rev()
            .try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))
    };
    let (Some(offset), Some(size), Some(count)) = (word(32, 8), word(54, 2), word(56, 2)) else {
        return Some("its ELF header is cut off");
    };
    for number in 0..count {
        match offset.checked_add(number * size).and_then(|at| word(at, 4)) {
            None => return Some("its ELF program headers are cut off"),
            Some(kind) if kind == PT_INTERP as usize => return Some("it is dynamically linked"),
            Some(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-bit ELF header with one program header of the given type.
    fn elf(kind: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..5].copy_from_slice(b"\x7fELF\x02");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn only_static_programs_are_taken() {
        let table: &[(&str, Vec<u8>, bool)] = &[
            ("static", elf(1), true),
            ("dynamic", elf(3), false),
            ("script", b"#!/bin/sh\n".to_vec(), false),
            ("cut off", elf(1)[..70].to_vec(), true),
            ("cut in the program header", elf(1)[..66].to_vec(), false),
            ("cut in the header", elf(1)[..40].to_vec(), false),
        ];
        for (name, program, expected) in table {
            assert_eq!(not_static(program).is_none(), *expected, "{name}");
        }
    }

    #[test]
    fn lines_are_all_of_one_length_and_differ() {
        let lines = lines();
        assert_eq!(lines.len(), LINES_BYTES);
        let rows: Vec<&[u8]> = lines.chunks(LINE_BYTES).collect();
        assert!(
            rows.iter()
                .all(|row| row.iter().position(|b| *b == b'\n') == Some(LINE_BYTES - 1))
        );
        assert!(rows.windows(2).all(|two| two[0] != two[1]));
    }

    #[test]
    fn the_tar_holds_every_applet() {
        let path = std::env::temp_dir().join(format!("conformance-busybox-{}", std::process::id()));
        std::fs::write(&path, elf(1)).expect("write");
        let tar = busybox_tar(&path).expect("tar");
        std::fs::remove_file(&path).expect("unlink");
        let mut archive = tar::Archive::new(tar.as_slice());
        let links = archive.entries().expect("entries").filter(|entry| {
            let entry = entry.as_ref().expect("entry");
            entry
                .link_name()
                .expect("link")
                .is_some_and(|target| target.as_os_str() == "busybox")
        });
        assert_eq!(links.count(), APPLETS.len());
    }
}
