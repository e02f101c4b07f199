//! Which devices a container may open: the list of cgroup v1, and for v2 an eBPF program of the same meaning.
//!
//! Every node may be made; only those of [`DEVICES`] may be opened. Source: cgroup-v1/devices.rst, and for v2
//! `BPF_PROG_TYPE_CGROUP_DEVICE` in `<linux/bpf.h>`.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use crate::sys::bpf::{Instruction, attach_device_program, load_device_program};

/// Character devices a container may read and write, by major and minor number; no minor is all of them: null, zero, full,
/// random, urandom, tty, console, ptmx, the pseudo-terminals, tun.
const DEVICES: [(u32, Option<u32>); 10] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
    (10, Some(200)),
];

/// File and content to write, in order, for cgroup v1.
pub(super) fn rules() -> impl Iterator<Item = (&'static str, String)> {
    let allow = |rule: String| ("devices.allow", rule);
    let first = [
        ("devices.deny", "a".to_owned()),
        allow("c *:* m".to_owned()),
        allow("b *:* m".to_owned()),
    ];
    let devices = DEVICES.iter().map(move |&(major, minor)| {
        let minor = minor.map_or_else(|| "*".to_owned(), |minor| minor.to_string());
        allow(format!("c {major}:{minor} rwm"))
    });
    // What Docker's runtimes deny by name: fuse.
    first
        .into_iter()
        .chain(devices)
        .chain([("devices.deny", "c 10:229 rwm".to_owned())])
}

/// Confines a group of the unified hierarchy.
pub(super) fn confine(group: BorrowedFd<'_>) -> io::Result<()> {
    attach_device_program(load_device_program(&program())?.as_fd(), group)
}

/// Reads `struct bpf_cgroup_dev_ctx` at r1: access in the high and type in the low half of the first word, then major and
/// minor. Returns 1 to allow, 0 to refuse.
fn program() -> Vec<Instruction> {
    let of = |code, destination: u8, source: u8, offset, immediate| Instruction {
        code,
        registers: source << 4 | destination,
        offset,
        immediate,
    };
    let load = |register, offset| of(LOAD_WORD, register, 1, offset, 0);
    let give = |value| [of(MOVE, 0, 0, 0, value), of(EXIT, 0, 0, 0, 0)];
    let unless = |register, value: u32, skip| of(JUMP_NOT_EQUAL, register, 0, skip, value as i32);
    let mut program = vec![
        load(ACCESS, 0),
        of(MOVE_REGISTER, TYPE, ACCESS, 0, 0),
        of(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        of(AND, TYPE, 0, 0, 0xffff),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    // To make a node is all that is asked.
    program.push(unless(ACCESS, ACCESS_MKNOD, 2));
    program.extend(give(1));
    // Block devices are for nobody.
    program.push(of(JUMP_EQUAL, TYPE, 0, 2, TYPE_CHARACTER as i32));
    program.extend(give(0));
    for (major, minor) in DEVICES {
        match minor {
            Some(minor) => program.extend([unless(MAJOR, major, 3), unless(MINOR, minor, 2)]),
            None => program.push(unless(MAJOR, major, 2)),
        }
        program.extend(give(1));
    }
    program.extend(give(0));
    program
}

const ACCESS: u8 = 2;
const TYPE: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// `BPF_DEVCG_ACC_MKNOD`.
const ACCESS_MKNOD: u32 = 1;
/// `BPF_DEVCG_DEV_CHAR`.
const TYPE_CHARACTER: u32 = 2;

// `<linux/bpf_common.h>` and `<linux/bpf.h>`: class, operation, immediate operand.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, process::Command};

    use super::*;
    use crate::cgroup::{Hierarchies, destroy};

    /// What the program answers: an interpreter for the instructions it uses.
    fn allows(access: u32, kind: u32, major: u32, minor: u32) -> bool {
        let program = program();
        let context = [access << 16 | kind, major, minor];
        let (mut registers, mut at) = ([0u64; 11], 0);
        loop {
            let Instruction {
                code,
                registers: pair,
                offset,
                immediate,
            } = program[at];
            let (destination, source) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            let target = || usize::try_from(at as i64 + i64::from(offset)).unwrap();
            let value = immediate as u64;
            match code {
                LOAD_WORD => registers[destination] = u64::from(context[usize::try_from(offset).unwrap() / 4]),
                MOVE => registers[destination] = value,
                MOVE_REGISTER => registers[destination] = registers[source],
                AND => registers[destination] &= value,
                SHIFT_RIGHT => registers[destination] >>= value,
                JUMP_EQUAL if registers[destination] == value => at = target(),
                JUMP_NOT_EQUAL if registers[destination] != value => at = target(),
                JUMP_EQUAL | JUMP_NOT_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_means_what_the_list_means() {
        let (block, character) = (1, TYPE_CHARACTER);
        for access in 1..8 {
            for kind in [block, character] {
                for major in 0..300 {
                    for minor in (0..12).chain([199, 200, 201, 229, 1 << 19]) {
                        let listed = DEVICES.iter().any(|&(a, b)| a == major && b.is_none_or(|b| b == minor));
                        let expected = access == ACCESS_MKNOD || kind == character && listed;
                        let name = format!("access {access} to type {kind} {major}:{minor}");
                        assert_eq!(allows(access, kind, major, minor), expected, "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_list_is_the_default_one() {
        let rules: Vec<String> = rules().map(|(file, rule)| format!("{} {rule}", &file[8..])).collect();
        let expected = "deny a|allow c *:* m|allow b *:* m|allow c 1:3 rwm|allow c 1:5 rwm|allow c 1:7 rwm|allow c 1:8 rwm|\
                        allow c 1:9 rwm|allow c 5:0 rwm|allow c 5:1 rwm|allow c 5:2 rwm|allow c 136:* rwm|\
                        allow c 10:200 rwm|deny c 10:229 rwm";
        assert_eq!(rules.join("|"), expected);
    }

    /// A process in a confined group of the unified hierarchy, which needs no controllers for this.
    #[test]
    fn the_kernel_takes_the_program() {
        let hierarchies = Hierarchies::discover().unwrap();
        let Some(unified) = hierarchies.unified().filter(|_| nix::unistd::geteuid().is_root()) else {
            crate::skip::say("needs root and a cgroup v2 hierarchy");
            return;
        };
        let path = format!("/gantry-devices-{}", std::process::id());
        let directory = unified.directory(&path);
        fs::create_dir(&directory).unwrap();
        confine(File::open(&directory).unwrap().as_fd()).unwrap();
        let node = std::env::temp_dir().join(format!("gantry-devices-{}", std::process::id()));
        let script = "echo 0 > $0/cgroup.procs && echo x > /dev/null && mknod $1 c 1 11 && ! (exec 3< $1) && rm $1";
        let result = Command::new("sh")
            .args(["-c", script])
            .arg(&directory)
            .arg(&node)
            .output();
        destroy(&path).unwrap();
        let output = result.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("not permitted"), "{said}");
    }
}
