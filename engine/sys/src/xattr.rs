//! Extended attributes of open files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, flistxattr_query, fsetxattr};
use rustix::io::Errno;

/// Sets the attribute `key`, made or replaced.
pub fn set(fd: impl AsFd, key: &OsStr, value: &[u8]) -> io::Result<()> {
    Ok(fsetxattr(fd, key, value, XattrFlags::empty())?)
}

/// The kernel's limit for a value, and for a list of names.
const LIMIT: usize = 64 * 1024;

/// The value of the attribute `key`, or `None` where the file has none of that name.
pub fn get(fd: impl AsFd, key: &OsStr) -> io::Result<Option<Vec<u8>>> {
    // Room for the longest value: asking for the size first would race with whoever changes it.
    let mut value = vec![0; LIMIT];
    match fgetxattr(fd, key, &mut value[..]) {
        Ok(size) => {
            value.truncate(size);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names of all attributes the caller may see.
pub fn list(fd: impl AsFd) -> io::Result<Vec<OsString>> {
    // Nearly every file has none: asking for the size first spares them the room for the longest list.
    match flistxattr_query(&fd) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        _ => {}
    }
    let mut names = vec![0; LIMIT];
    let size = match flistxattr(fd, &mut names[..]) {
        Ok(size) => size,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = names[..size]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_kept_and_listed() {
        let file = tempfile::tempfile().unwrap();
        set(&file, "user.note".as_ref(), b"a\nb").unwrap();
        assert_eq!(get(&file, "user.note".as_ref()).unwrap().unwrap(), b"a\nb");
        assert_eq!(get(&file, "user.other".as_ref()).unwrap(), None);
        assert!(list(&file).unwrap().contains(&"user.note".into()));
    }
}
