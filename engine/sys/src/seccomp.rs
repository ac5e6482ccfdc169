//! Seccomp filters as the kernel takes them. What a filter says is decided elsewhere (`bowline-runtime`).
#![expect(
    unsafe_code,
    reason = "seccomp(2) and prctl(2) have no safe wrapper for prebuilt programs"
)]

use std::io;

/// One classic BPF instruction, laid out as `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SockFilter {
    /// Operation.
    pub code: u16,
    /// How far to jump when the comparison holds.
    pub jt: u8,
    /// How far to jump when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// The program's bytes in the kernel's own layout, for a memfd or a plan.
#[must_use]
pub fn to_bytes(program: &[SockFilter]) -> Vec<u8> {
    program
        .iter()
        .flat_map(|insn| {
            let [a, b] = insn.code.to_ne_bytes();
            let [c, d, e, f] = insn.k.to_ne_bytes();
            [a, b, insn.jt, insn.jf, c, d, e, f]
        })
        .collect()
}

/// Puts the calling thread, and all it will ever execute, under `program`.
///
/// Needs CAP_SYS_ADMIN or no_new_privs set before; it never sets no_new_privs itself, for that is the caller's
/// decision. There is no way back.
pub fn install(program: &[SockFilter]) -> io::Result<()> {
    let len =
        u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let fprog = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: fprog points at `len` instructions of the kernel's layout, alive during the call; the kernel only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const fprog,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_kernels_layout() {
        let program = [SockFilter {
            code: 0x06,
            jt: 1,
            jf: 2,
            k: 0x7fff_0000,
        }];
        assert_eq!(size_of::<SockFilter>(), size_of::<libc::sock_filter>());
        assert_eq!(to_bytes(&program), [0x06, 0, 1, 2, 0, 0, 0xff, 0x7f]);
    }
}
