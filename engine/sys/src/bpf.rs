//! The sliver of bpf(2) that device rules on cgroup v2 need: load a program of type CGROUP_DEVICE, attach it.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

const BPF_PROG_LOAD: c_int = 5;
const BPF_PROG_ATTACH: c_int = 8;
const BPF_PROG_DETACH: c_int = 9;
const BPF_PROG_GET_FD_BY_ID: c_int = 13;
const BPF_PROG_QUERY: c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;
/// Programs one cgroup may carry for one hook (`BPF_CGROUP_MAX_PROGS`).
const MOST_PROGRAMS: usize = 64;

/// One eBPF instruction, laid out as `struct bpf_insn` on a little-endian machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Insn {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub regs: u8,
    /// Offset of a jump or a memory access.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgAttach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgQuery {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct GetById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// Loads `program` as a cgroup device filter. The verifier has the last word.
pub fn load_device_program(program: &[Insn]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len())
            .map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        insns: address(program.as_ptr()),
        license: address(license.as_ptr()),
        ..ProgLoad::default()
    };
    bpf(BPF_PROG_LOAD, &mut attr).map(own)
}

/// Attaches `program` to the cgroup directory `cgroup`, beside whatever others attached there.
///
/// BPF_F_ALLOW_MULTI: rules of ancestors (a surrounding container manager, systemd) stay in force, ours only narrow.
pub fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    attach(cgroup, program, BPF_F_ALLOW_MULTI, 0)
}

/// Puts `program` in the place of `old` in one step, so that no instant is without rules.
pub fn replace_device_program(
    cgroup: impl AsFd,
    program: impl AsFd,
    old: impl AsFd,
) -> io::Result<()> {
    attach(cgroup, program, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, raw(old))
}

/// Takes `program` off the cgroup.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let mut attr = ProgAttach {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: BPF_CGROUP_DEVICE,
        ..ProgAttach::default()
    };
    bpf(BPF_PROG_DETACH, &mut attr).map(drop)
}

/// The device programs attached to this very cgroup.
pub fn device_programs(cgroup: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MOST_PROGRAMS];
    let mut attr = ProgQuery {
        target_fd: raw(cgroup),
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: 64,
        ..ProgQuery::default()
    };
    bpf(BPF_PROG_QUERY, &mut attr)?;
    let count = usize::try_from(attr.prog_cnt).unwrap_or(MOST_PROGRAMS);
    ids.iter().take(count).map(|id| by_id(*id)).collect()
}

fn by_id(id: u32) -> io::Result<OwnedFd> {
    bpf(
        BPF_PROG_GET_FD_BY_ID,
        &mut GetById {
            id,
            ..GetById::default()
        },
    )
    .map(own)
}

fn attach(cgroup: impl AsFd, program: impl AsFd, flags: u32, replaced: u32) -> io::Result<()> {
    let mut attr = ProgAttach {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: flags,
        replace_bpf_fd: replaced,
    };
    bpf(BPF_PROG_ATTACH, &mut attr).map(drop)
}

fn bpf<A>(command: c_int, attr: &mut A) -> io::Result<c_int> {
    let attr: *mut A = attr;
    // SAFETY: attr is one of the four structures above, a prefix of `union bpf_attr` whose size is passed along;
    // every address inside it belongs to a buffer that its caller keeps alive during the call.
    let result: c_long = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<A>()) };
    c_int::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}

fn own(fd: c_int) -> OwnedFd {
    // SAFETY: the two commands that lead here return a new descriptor (close-on-exec) that nobody else knows.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn raw(fd: impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.addr() as u64
}
