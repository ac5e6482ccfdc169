//! Extended attributes of open files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

/// Sets the attribute `key`, made or replaced.
pub fn set(fd: impl AsFd, key: &OsStr, value: &[u8]) -> io::Result<()> {
    Ok(fsetxattr(fd, key, value, XattrFlags::empty())?)
}

/// The value of the attribute `key`, or `None` where the file has none of that name.
pub fn get(fd: impl AsFd, key: &OsStr) -> io::Result<Option<Vec<u8>>> {
    // The value may grow between asking for its size and reading it; the kernel then says ERANGE.
    loop {
        let size = match fgetxattr(&fd, key, &mut [0_u8; 0][..]) {
            Ok(size) => size,
            Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut value = vec![0; size];
        match fgetxattr(&fd, key, &mut value[..]) {
            Ok(size) => {
                value.truncate(size);
                return Ok(Some(value));
            }
            Err(Errno::RANGE) => {}
            Err(Errno::NODATA) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The names of all attributes the caller may see.
pub fn list(fd: impl AsFd) -> io::Result<Vec<OsString>> {
    loop {
        let size = match flistxattr(&fd, &mut [0_u8; 0][..]) {
            Ok(size) => size,
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut names = vec![0; size];
        match flistxattr(&fd, &mut names[..]) {
            Ok(size) => {
                let names = names[..size]
                    .split(|byte| *byte == 0)
                    .filter(|name| !name.is_empty());
                return Ok(names
                    .map(|name| OsStr::from_bytes(name).to_owned())
                    .collect());
            }
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
