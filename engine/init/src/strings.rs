//! Argument and environment vectors as execve wants them, with lifetimes that say what they point at.

use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::fmt;
use core::marker::PhantomData;
use core::ptr;

/// One pointer of a vector.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    pointer: *const c_char,
    lifetime: PhantomData<&'a CStr>,
}

impl<'a> Arg<'a> {
    /// What ends every vector.
    pub const END: Self = Self {
        pointer: ptr::null(),
        lifetime: PhantomData,
    };

    /// A string.
    #[must_use]
    pub fn new(text: &'a CStr) -> Self {
        Self {
            pointer: text.as_ptr(),
            lifetime: PhantomData,
        }
    }

    /// `HOME=` and what will be filled in.
    #[must_use]
    pub fn home(home: &'a Home) -> Self {
        Self {
            pointer: home.bytes.as_ptr().cast(),
            lifetime: PhantomData,
        }
    }
}

impl fmt::Debug for Arg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.pointer.is_null() { "END" } else { "Arg" })
    }
}

/// A vector that is known to end.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    pub(crate) args: &'a [Arg<'a>],
}

impl<'a> Vector<'a> {
    /// The vector, if its last element is [`Arg::END`].
    #[must_use]
    pub fn new(args: &'a [Arg<'a>]) -> Option<Self> {
        let last = args.last()?;
        last.pointer.is_null().then_some(Self { args })
    }
}

const PREFIX: &[u8] = b"HOME=";
const LONGEST: usize = 4096;

/// Room for `HOME=/some/where`, filled in by the child.
pub struct Home {
    bytes: [Cell<u8>; LONGEST],
}

impl Home {
    /// Says `HOME=/` until told otherwise.
    #[must_use]
    pub fn new() -> Self {
        let home = Self {
            bytes: [const { Cell::new(0) }; LONGEST],
        };
        home.set(b"/");
        home
    }

    /// Fills it in, as far as it fits; the last byte always stays null.
    pub(crate) fn set(&self, directory: &[u8]) {
        let room = &self.bytes[..LONGEST - 1];
        let text = PREFIX.iter().chain(directory).chain(&[0]);
        for (cell, byte) in room.iter().zip(text) {
            cell.set(*byte);
        }
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Home")
    }
}
