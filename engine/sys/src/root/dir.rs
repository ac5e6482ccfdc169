//! An open directory and what can be done to the names in it. Names are single components: no call here walks a path
//! and none follows a symbolic link.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::{FileKind, Stat, Timestamp, is_errno};

/// What `mknod` can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Named pipe.
    Fifo,
    /// Character device with major and minor number; 0:0 is overlayfs' whiteout.
    Character(u32, u32),
    /// Block device with major and minor number.
    Block(u32, u32),
}

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// Opens the directory at a path of the host, links followed: for trusted paths only.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// Takes an open directory.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The same directory through a second descriptor.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Opens the directory `name`; a link there is refused.
    pub fn open_dir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(fs::openat(
            self,
            leaf(name.as_ref())?,
            flags,
            Mode::empty(),
        )?))
    }

    /// Opens the file `name` for reading; a link there is refused, a fifo does not block.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(
            self,
            leaf(name.as_ref())?,
            flags,
            Mode::empty(),
        )?))
    }

    /// Makes the file `name`, which must not exist yet, and opens it for reading and writing.
    pub fn create_file(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(fs::openat(
            self,
            leaf(name.as_ref())?,
            flags,
            bits(mode),
        )?))
    }

    /// Makes the directory `name`.
    pub fn mkdir(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<()> {
        Ok(fs::mkdirat(self, leaf(name.as_ref())?, bits(mode))?)
    }

    /// Makes the symbolic link `name`, holding `target` as it is.
    pub fn symlink(&self, target: impl AsRef<Path>, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(fs::symlinkat(target.as_ref(), self, leaf(name.as_ref())?)?)
    }

    /// Makes the device or fifo `name`.
    pub fn mknod(&self, name: impl AsRef<OsStr>, node: Node, mode: u32) -> io::Result<()> {
        let (kind, device) = match node {
            Node::Fifo => (FileType::Fifo, 0),
            Node::Character(major, minor) => (FileType::CharacterDevice, fs::makedev(major, minor)),
            Node::Block(major, minor) => (FileType::BlockDevice, fs::makedev(major, minor)),
        };
        Ok(fs::mknodat(
            self,
            leaf(name.as_ref())?,
            kind,
            bits(mode),
            device,
        )?)
    }

    /// Makes `name` another name of `old_name` in `old`. A link there is linked itself, not its target.
    pub fn hard_link(
        &self,
        name: impl AsRef<OsStr>,
        old: &Self,
        old_name: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        let (old_name, name) = (leaf(old_name.as_ref())?, leaf(name.as_ref())?);
        Ok(fs::linkat(old, old_name, self, name, AtFlags::empty())?)
    }

    /// Moves `name` to `new_name` in `new`, replacing a file there.
    pub fn rename(
        &self,
        name: impl AsRef<OsStr>,
        new: &Self,
        new_name: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        Ok(fs::renameat(
            self,
            leaf(name.as_ref())?,
            new,
            leaf(new_name.as_ref())?,
        )?)
    }

    /// Removes the name of anything but a directory.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(fs::unlinkat(self, leaf(name.as_ref())?, AtFlags::empty())?)
    }

    /// Removes the empty directory `name`.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(fs::unlinkat(
            self,
            leaf(name.as_ref())?,
            AtFlags::REMOVEDIR,
        )?)
    }

    /// Removes `name` and, if it is a directory, all below it. Nothing there is success.
    pub fn remove_all(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = name.as_ref();
        match self.remove_file(name) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if is_errno(&error, Errno::ISDIR) => {}
            Err(error) => return Err(error),
        }
        let dir = self.open_dir(name)?;
        for (child, _) in dir.entries()? {
            dir.remove_all(child)?;
        }
        self.remove_dir(name)
    }

    /// The attributes of `name` itself.
    pub fn stat(&self, name: impl AsRef<OsStr>) -> io::Result<Stat> {
        let raw = fs::statat(self, leaf(name.as_ref())?, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat::from_raw(&raw))
    }

    /// The target of the symbolic link `name`.
    pub fn read_link(&self, name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
        let target = fs::readlinkat(self, leaf(name.as_ref())?, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// The names in it, with the type the directory itself tells ([`FileKind::Unknown`] where it does not).
    pub fn entries(&self) -> io::Result<Vec<(OsString, FileKind)>> {
        let mut found = Vec::new();
        for entry in fs::Dir::read_from(self)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                found.push((owned(name), entry.file_type().into()));
            }
        }
        Ok(found)
    }

    /// Sets owner and group of `name` itself.
    pub fn chown(&self, name: impl AsRef<OsStr>, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(fs::chownat(
            self,
            leaf(name.as_ref())?,
            uid,
            gid,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Sets the permission bits of `name`, which must not be a link that another process may swap in: `fchmodat`
    /// follows links.
    pub fn chmod(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<()> {
        Ok(fs::chmodat(
            self,
            leaf(name.as_ref())?,
            bits(mode),
            AtFlags::empty(),
        )?)
    }

    /// Sets access and modification time of `name` itself.
    pub fn set_times(&self, name: impl AsRef<OsStr>, time: Timestamp) -> io::Result<()> {
        let name = leaf(name.as_ref())?;
        Ok(fs::utimensat(
            self,
            name,
            &time.both(),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Sets access and modification time of the directory.
    pub fn set_own_times(&self, time: Timestamp) -> io::Result<()> {
        Ok(fs::futimens(self, &time.both())?)
    }

    /// Sets an extended attribute of `name` itself. Linux has no call for that relative to a directory, so it goes
    /// through the descriptor's entry in `/proc`.
    pub fn set_xattr(&self, name: impl AsRef<OsStr>, key: &OsStr, value: &[u8]) -> io::Result<()> {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        path.push(leaf(name.as_ref())?);
        Ok(fs::lsetxattr(path, key, value, XattrFlags::empty())?)
    }

    /// Writes the file system that holds the directory out to disk.
    pub fn sync_filesystem(&self) -> io::Result<()> {
        Ok(fs::syncfs(self)?)
    }

    /// Writes the directory's own names out to disk, so that a rename survives a power cut.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(self)?)
    }

    /// The path the kernel knows this directory by.
    pub fn path(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// Whether the file system stamps changes by this machine's own clock, finely: true for the usual local ones. A
    /// server's clock may be off, and old formats count in seconds.
    pub fn stamps_finely(&self) -> io::Result<bool> {
        // The kernel's magic numbers of ext4, xfs, btrfs, tmpfs, overlay, f2fs, zfs and bcachefs.
        const LOCAL: [u64; 8] = [
            0xef53,
            0x5846_5342,
            0x9123_683e,
            0x0102_1994,
            0x794c_7630,
            0xf2f5_2010,
            0x2fc1_2fc1,
            0xca45_1a4e,
        ];
        let kind = u64::try_from(fs::fstatfs(self)?.f_type).unwrap_or(0);
        Ok(LOCAL.contains(&kind))
    }

    /// Bytes an unprivileged writer could still store on the file system that holds it.
    pub fn available_bytes(&self) -> io::Result<u64> {
        let stat = fs::fstatvfs(self)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> Self {
        dir.0
    }
}

/// Gives the empty file `to` the contents of `from` by sharing their blocks. Fails where the file system cannot, or
/// where they lie on two.
pub fn share_blocks(from: &File, to: &File) -> io::Result<()> {
    Ok(fs::ioctl_ficlone(to, from)?)
}

/// Sets access and modification time of an open file.
pub fn set_times(fd: impl AsFd, time: Timestamp) -> io::Result<()> {
    Ok(fs::futimens(fd, &time.both())?)
}

fn bits(mode: u32) -> Mode {
    Mode::from_raw_mode(mode)
}

fn owned(name: &CStr) -> OsString {
    OsString::from_vec(name.to_bytes().to_vec())
}

/// Refuses what is not the name of an entry: a slash would walk, `..` would leave.
fn leaf(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    let walks = bytes.contains(&b'/') || matches!(bytes, b"" | b"." | b"..");
    if walks {
        Err(Errno::INVAL.into())
    } else {
        Ok(name)
    }
}
