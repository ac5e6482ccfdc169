//! Handing memory back that a long-lived process needed once.
#![expect(
    unsafe_code,
    reason = "malloc_trim(3) and madvise(2) have no safe wrapper"
)]

use std::ffi::c_void;
use std::ptr;

const PAGE: usize = 4096;

unsafe extern "C" {
    // Where the linker put the program: its first byte, and the first after its code.
    static __executable_start: u8;
    static etext: u8;
}

/// Gives back what is free: pages of the heap, and, on the main thread, those of the stack below the caller.
pub fn give_back_free() {
    // SAFETY: only asks the allocator to return what is free.
    unsafe { libc::malloc_trim(0) };
    if rustix::thread::gettid() == rustix::process::getpid() {
        give_back_stack();
    }
}

/// Frames of this depth below the caller stay: this one, and that of the system call with its red zone.
const SPARE: usize = 1024;
/// The kernel keeps at least 128 MiB below the main thread's stack free of other mappings.
const DEEP: usize = 4 * 1024 * 1024;

fn give_back_stack() {
    let local = 0u8;
    let end = ((&raw const local).addr() - SPARE) & !(PAGE - 1);
    // SAFETY: the range lies below every live frame of this thread's stack; pages that are not mapped there are an
    // error that is ignored, and dropped ones read as zeroes when the stack grows again.
    unsafe { dont_need(end - DEEP, end) };
}

/// Unmaps the program's own pages, which stay in the page cache: whatever goes on being used is mapped again when it is
/// touched, which is far less than what a start touches.
pub fn forget_program() {
    let start = (&raw const __executable_start).addr();
    let end = (&raw const etext).addr();
    // SAFETY: what lies between is a private mapping of a file that is never written to, headers, constants and code,
    // whatever the order the linker gave them; dropped pages read as the file again.
    unsafe { dont_need(start.next_multiple_of(PAGE), end & !(PAGE - 1)) };
}

/// # Safety
/// Nobody may rely on what the pages from `start` to `end` hold beyond what they read as when mapped anew.
unsafe fn dont_need(start: usize, end: usize) {
    let length = end.saturating_sub(start);
    // SAFETY: as the caller promises. A refusal leaves all as it is.
    unsafe {
        libc::madvise(
            ptr::without_provenance_mut::<c_void>(start),
            length,
            libc::MADV_DONTNEED,
        )
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_goes_on_without_what_it_gave_back() {
        let kept: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        super::give_back_free();
        super::forget_program();
        assert_eq!(kept.concat().len(), 2890);
    }
}
