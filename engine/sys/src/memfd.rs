//! Anonymous files that nobody can change any more.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// The bytes of `contents`, sealed.
pub fn sealed(name: &str, contents: &[&[u8]]) -> io::Result<OwnedFd> {
    let mut file = File::from(create(name, MemfdFlags::NOEXEC_SEAL)?);
    for part in contents {
        file.write_all(part)?;
    }
    seal(file)
}

/// A copy of this process's own executable, sealed: what runs inside a container from it cannot be overwritten through
/// `/proc/PID/exe`, and an upgrade of the file on disk changes nothing for what was started before.
pub fn sealed_self(name: &str) -> io::Result<OwnedFd> {
    let mut own = File::open("/proc/self/exe")?;
    let mut file = File::from(create(name, MemfdFlags::EXEC)?);
    io::copy(&mut own, &mut file)?;
    seal(file)
}

/// All of a file that somebody else wrote, whatever its offset is now.
pub fn read(fd: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(fd);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Kernels before 6.3 know neither `MFD_EXEC` nor `MFD_NOEXEC_SEAL` and make every memfd executable.
fn create(name: &str, executable: MemfdFlags) -> io::Result<OwnedFd> {
    let common = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, common | executable) {
        Err(Errno::INVAL) => Ok(memfd_create(name, common)?),
        other => Ok(other?),
    }
}

fn seal(mut file: File) -> io::Result<OwnedFd> {
    file.rewind()?;
    fcntl_add_seals(
        &file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_can_be_read_and_not_written() {
        let fd = sealed("test", &[b"one ", b"two"]).unwrap();
        let mut file = File::from(fd.try_clone().unwrap());
        assert!(file.write_all(b"x").is_err());
        assert_eq!(read(fd).unwrap(), b"one two");
    }

    #[test]
    fn the_copy_of_ourselves_is_whole() {
        let copy = File::from(sealed_self("copy").unwrap());
        assert_eq!(
            copy.metadata().unwrap().len(),
            std::fs::metadata("/proc/self/exe").unwrap().len()
        );
    }
}
