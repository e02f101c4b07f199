//! Loading an eBPF program and attaching it to a control group: `bpf(2)`.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// `struct bpf_insn`, laid out as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Destination register in the low half, source in the high one.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// Loads a program that decides about devices (`BPF_PROG_TYPE_CGROUP_DEVICE`).
pub(crate) fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let count = u32::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let license: &CStr = c"Apache-2.0";
    let attributes = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        count,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        rest: [0; 3],
    };
    // SAFETY: `attributes` is the start of `union bpf_attr` for this command and as large as said; it points to `count`
    // instructions and to a string that ends in NUL, which both live through the call.
    let fd = super::check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const attributes,
            size_of_val(&attributes),
        )
    })?;
    // SAFETY: a new descriptor that nobody else knows; the kernel makes it close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches it to a directory of the unified hierarchy; it stays as long as the group does. Programs of groups above
/// still count.
pub(crate) fn attach_device_program(program: BorrowedFd<'_>, group: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = [
        group.as_raw_fd() as u32,
        program.as_raw_fd() as u32,
        BPF_CGROUP_DEVICE,
        BPF_F_ALLOW_MULTI,
    ];
    // SAFETY: `attributes` is the start of `union bpf_attr` for this command and as large as said.
    super::check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    })
    .map(drop)
}

/// The start of `union bpf_attr` for `BPF_PROG_LOAD`; what is left out is zero.
#[repr(C)]
struct Load {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    rest: [u64; 3],
}

// `<linux/bpf.h>`.
const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
