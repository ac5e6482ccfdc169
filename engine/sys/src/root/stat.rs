//! What a file is, in the types the callers need and no library's.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Timespec, Timestamps, statat};

/// A point in time as files carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds, below 1 000 000 000.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Access and modification time both set to `self`.
    pub(super) fn both(self) -> Timestamps {
        let time = Timespec {
            tv_sec: self.seconds,
            tv_nsec: self.nanoseconds.into(),
        };
        Timestamps {
            last_access: time,
            last_modification: time,
        }
    }
}

/// The types of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Character device.
    Character,
    /// Block device.
    Block,
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
    /// Something this list does not know.
    Unknown,
}

impl From<FileType> for FileKind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice => Self::Character,
            FileType::BlockDevice => Self::Block,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::Unknown => Self::Unknown,
        }
    }
}

/// The attributes of one file.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Its type.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Blocks of 512 bytes it occupies.
    pub blocks: u64,
    /// Hard links to it.
    pub links: u64,
    /// Device and inode: which file it is.
    pub identity: (u64, u64),
    /// Major and minor number, of a device.
    pub device: (u32, u32),
    /// Time of last modification.
    pub modified: Timestamp,
    /// Time of the last change of anything about it, its name included; nobody can set it.
    pub changed: Timestamp,
}

impl Stat {
    /// The attributes of an open file.
    pub fn of(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self::from_raw(&statat(fd, "", AtFlags::EMPTY_PATH)?))
    }

    /// Whether overlayfs reads this file as "deleted here".
    pub fn is_whiteout(&self) -> bool {
        self.kind == FileKind::Character && self.device == (0, 0)
    }

    pub(super) fn from_raw(raw: &rustix::fs::Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(raw.st_mode).into(),
            mode: raw.st_mode & 0o7777,
            uid: raw.st_uid,
            gid: raw.st_gid,
            size: u64::try_from(raw.st_size).unwrap_or(0),
            blocks: u64::try_from(raw.st_blocks).unwrap_or(0),
            links: raw.st_nlink,
            identity: (raw.st_dev, raw.st_ino),
            device: (
                rustix::fs::major(raw.st_rdev),
                rustix::fs::minor(raw.st_rdev),
            ),
            modified: Timestamp {
                seconds: raw.st_mtime,
                nanoseconds: u32::try_from(raw.st_mtime_nsec).unwrap_or(0),
            },
            changed: Timestamp {
                seconds: raw.st_ctime,
                nanoseconds: u32::try_from(raw.st_ctime_nsec).unwrap_or(0),
            },
        }
    }
}
