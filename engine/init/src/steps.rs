//! The steps of a setup, and what each does.

use core::ffi::CStr;

use crate::paths::{self, FOLLOW};
use crate::sys::{
    self, AT_FDCWD, BENEATH, CHARACTER, DIRECTORY, EEXIST, EINVAL, ENOENT, ENOSYS, ENOTDIR, Fd,
    NO_MAGICLINKS, NO_SYMLINKS, O_PATH, O_PATH_DIRECTORY, O_TERMINAL, O_WRITE, RDONLY, Result,
    TYPE,
};

/// A mount was asked for inside of `/proc`, where it could hide what the container's protection rests on.
pub const IN_PROC: i32 = 4001;
/// A file is not the one that was expected there (`/dev/null` that is not, a terminal of another file system).
pub const UNEXPECTED: i32 = 4002;

const PROC_MAGIC: u64 = 0x9fa0;
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// Nothing but what lies there: no symlink at all.
const STRICT: u64 = BENEATH | NO_SYMLINKS | NO_MAGICLINKS;

/// Where in the new root something is to be. Paths are relative to it, without a leading slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The path.
    pub path: &'a CStr,
    /// A file rather than a directory.
    pub file: bool,
    /// One of ours (`/proc`, `/dev`): then no part of it may be a symlink, and it may lie in `/proc`. Otherwise
    /// symlinks are followed inside the root, and nothing may be mounted over parts of `/proc`.
    pub ours: bool,
}

/// One thing to do. Descriptors are numbers of the parent's that the child keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Writes itself into a v1 cgroup by its `tasks` file.
    JoinTasks(i32),
    /// Joins namespaces of the process, or the one of the file, behind a descriptor.
    Enter {
        /// Pidfd or namespace file.
        fd: i32,
        /// `CLONE_NEW*`; for a file, the one it must be.
        kinds: i32,
    },
    /// Leaves namespaces for new ones.
    Unshare(i32),
    /// A session of its own.
    Session,
    /// A session keyring of its own.
    Keyring(&'a CStr),
    /// Keeps mounts made from here on to itself.
    PrivateMounts,
    /// Attaches the detached mount that becomes the root, over a directory of the host that exists.
    Root {
        /// The mount.
        tree: i32,
        /// The directory.
        at: &'a CStr,
    },
    /// Takes the root it finds itself in, after joining somebody's mounts.
    CurrentRoot,
    /// Attaches a detached mount.
    Attach {
        /// The mount.
        tree: i32,
        /// Where.
        on: Place<'a>,
    },
    /// Mounts a file system of its own.
    Mount {
        /// Its kind.
        kind: &'a CStr,
        /// Its options.
        options: &'a [(&'a CStr, Option<&'a CStr>)],
        /// `MOUNT_ATTR_*`.
        attributes: u64,
        /// Where.
        on: Place<'a>,
        /// Whether the container can do without it.
        optional: bool,
    },
    /// Makes a directory.
    Directory {
        /// Which.
        path: &'a CStr,
        /// With these permissions, for it and its parents.
        mode: u32,
    },
    /// Makes a device.
    Device {
        /// Which.
        path: &'a CStr,
        /// Type and permissions.
        mode: u32,
        /// The number as the kernel packs it.
        number: u64,
        /// Major and minor, to compare with one that is there already.
        pair: (u32, u32),
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Makes a symlink, unless something is there.
    Link {
        /// What it says.
        target: &'a CStr,
        /// Where.
        path: &'a CStr,
    },
    /// A terminal of the container's own; its master goes to the parent.
    Terminal {
        /// Whether it is to be `/dev/console` too.
        console: bool,
    },
    /// Writes a kernel parameter through a procfs that nobody else sees.
    Parameter {
        /// Below `/proc/sys`.
        path: &'a CStr,
        /// What to write.
        value: &'a [u8],
    },
    /// Host name.
    HostName(&'a [u8]),
    /// NIS domain name.
    DomainName(&'a [u8]),
    /// Makes what lies at a path, if anything, read-only.
    ReadOnly(&'a CStr),
    /// Hides what lies at a path, if anything.
    Mask(&'a CStr),
    /// Makes the mount at a path itself read-only, not what is mounted in it. The empty path is the root.
    ReadOnlyMount(&'a CStr),
    /// Moves into the new root and lets go of the old.
    Pivot,
}

/// What earlier steps left for later ones.
pub(crate) struct State {
    root: Option<Fd>,
    proc: Option<Fd>,
    null: Option<Fd>,
    cover: Option<Fd>,
    pub(crate) terminal: Option<Terminal>,
}

/// Both ends of a terminal.
#[derive(Clone, Copy)]
pub(crate) struct Terminal {
    pub(crate) master: Fd,
    pub(crate) peer: Fd,
}

impl State {
    pub(crate) const fn new() -> Self {
        Self {
            root: None,
            proc: None,
            null: None,
            cover: None,
            terminal: None,
        }
    }

    fn root(&self) -> Result<Fd> {
        self.root.ok_or(ENOENT)
    }

    pub(crate) fn run(&mut self, step: &Step<'_>) -> Result<()> {
        match *step {
            Step::JoinTasks(fd) => sys::write(fd, b"0").map(drop),
            Step::Enter { fd, kinds } => sys::setns(fd, kinds),
            Step::Unshare(kinds) => sys::unshare(kinds),
            Step::Session => sys::setsid(),
            Step::Keyring(name) => keyring(name),
            Step::PrivateMounts => sys::make_private(),
            Step::Root { tree, at } => self.attach_root(tree, at),
            Step::CurrentRoot => self.current_root(),
            Step::Attach { tree, on } => self.attach(tree, on),
            Step::Mount {
                kind,
                options,
                attributes,
                on,
                optional,
            } => {
                let done = self.mount(kind, options, attributes, on);
                if optional { Ok(()) } else { done }
            }
            Step::Directory { path, mode } => {
                paths::directory(self.root()?, path, mode, FOLLOW).map(drop)
            }
            Step::Device {
                path,
                mode,
                number,
                pair,
                uid,
                gid,
            } => {
                self.device(path, mode, number, pair)?;
                self.own(path, mode, uid, gid)
            }
            Step::Link { target, path } => self.link(target, path),
            Step::Terminal { console } => self.terminal(console),
            Step::Parameter { path, value } => self.parameter(path, value),
            Step::HostName(name) => sys::set_host_name(name),
            Step::DomainName(name) => sys::set_domain_name(name),
            Step::ReadOnly(path) => self.read_only(path),
            Step::Mask(path) => self.mask(path),
            Step::ReadOnlyMount(path) => sys::set_attributes(self.mount_at(path)?, RDONLY, false),
            Step::Pivot => self.pivot(),
        }
    }

    fn attach_root(&mut self, tree: Fd, at: &CStr) -> Result<()> {
        let onto = sys::openat(AT_FDCWD, at, O_PATH_DIRECTORY, 0)?;
        sys::attach(tree, onto)?;
        self.root = Some(tree);
        Ok(())
    }

    fn current_root(&mut self) -> Result<()> {
        self.root = Some(sys::openat(AT_FDCWD, c"/", O_PATH_DIRECTORY, 0)?);
        Ok(())
    }

    fn attach(&self, tree: Fd, on: Place<'_>) -> Result<()> {
        sys::attach(tree, self.find(on)?)
    }

    /// The place, made where it is missing.
    fn find(&self, on: Place<'_>) -> Result<Fd> {
        let resolve = if on.ours { STRICT } else { FOLLOW };
        let root = self.root()?;
        let found = if on.file {
            paths::file(root, on.path, resolve)?
        } else {
            paths::directory(root, on.path, 0o755, resolve)?
        };
        if !on.ours && sys::file_system(found)? == PROC_MAGIC {
            return Err(IN_PROC);
        }
        Ok(found)
    }

    fn mount(
        &self,
        kind: &CStr,
        options: &[(&CStr, Option<&CStr>)],
        attributes: u64,
        on: Place<'_>,
    ) -> Result<()> {
        self.attach(new_mount(kind, options, attributes)?, on)
    }

    /// A device that is there already must be the very same, or the image could slip us another.
    fn device(&self, path: &CStr, mode: u32, number: u64, pair: (u32, u32)) -> Result<()> {
        let (parent, name) = paths::parent(self.root()?, path, FOLLOW)?;
        match sys::mknodat(parent, name, mode, number) {
            Err(EEXIST) => {}
            other => return other,
        }
        let there = sys::stat_at(parent, name)?;
        let same = there.mode & TYPE == mode & TYPE && there.device == pair;
        if same { Ok(()) } else { Err(UNEXPECTED) }
    }

    /// Not through the last symlink: the name was made, or found to be a device, a moment ago.
    fn own(&self, path: &CStr, mode: u32, uid: u32, gid: u32) -> Result<()> {
        let (parent, name) = paths::parent(self.root()?, path, FOLLOW)?;
        if sys::stat_at(parent, name)?.mode & TYPE != mode & TYPE {
            return Err(UNEXPECTED);
        }
        sys::chownat(parent, name, uid, gid)?;
        sys::chmodat(parent, name, mode & 0o7777)
    }

    fn link(&self, target: &CStr, path: &CStr) -> Result<()> {
        let (parent, name) = paths::parent(self.root()?, path, FOLLOW)?;
        match sys::symlinkat(target, parent, name) {
            Err(EEXIST) => Ok(()),
            other => other,
        }
    }

    /// The master must be the multiplexer of a devpts, or a file that the image put there would be our terminal. The
    /// peer comes from the master alone, never by the name it has below `/dev/pts`.
    fn terminal(&mut self, console: bool) -> Result<()> {
        let root = self.root()?;
        let master = sys::openat2(root, c"dev/pts/ptmx", O_TERMINAL, STRICT)?;
        let stat = sys::stat(master)?;
        let genuine = stat.mode & TYPE == CHARACTER && stat.device == (5, 2);
        if !genuine || sys::file_system(master)? != DEVPTS_MAGIC {
            return Err(UNEXPECTED);
        }
        let peer = sys::terminal_peer(master)?;
        if console {
            let place = Place {
                path: c"dev/console",
                file: true,
                ours: true,
            };
            sys::attach(sys::copy_tree(peer)?, self.find(place)?)?;
        }
        self.terminal = Some(Terminal { master, peer });
        Ok(())
    }

    /// A procfs of our own: the container's may have been mounted over, or be somebody else's file altogether.
    fn parameter(&mut self, path: &CStr, value: &[u8]) -> Result<()> {
        let proc = match self.proc {
            Some(fd) => fd,
            None => new_mount(c"proc", &[], 0)?,
        };
        self.proc = Some(proc);
        let file = sys::openat2(proc, path, O_WRITE, STRICT)?;
        sys::write(file, value).map(drop)
    }

    fn mount_at(&self, path: &CStr) -> Result<Fd> {
        if path.is_empty() {
            self.root()
        } else {
            sys::openat2(self.root()?, path, O_PATH, STRICT)
        }
    }

    fn read_only(&self, path: &CStr) -> Result<()> {
        let Some(there) = self.existing(path)? else {
            return Ok(());
        };
        let copy = sys::copy_tree(there)?;
        sys::set_attributes(copy, RDONLY, true)?;
        sys::attach(copy, there)
    }

    fn mask(&mut self, path: &CStr) -> Result<()> {
        let Some(there) = self.existing(path)? else {
            return Ok(());
        };
        let cover = if sys::stat(there)?.mode & TYPE == DIRECTORY {
            self.empty_directory()?
        } else {
            self.null()?
        };
        sys::attach(cover, there)
    }

    /// Only what is not there may be passed over.
    fn existing(&self, path: &CStr) -> Result<Option<Fd>> {
        match sys::openat2(self.root()?, path, O_PATH, STRICT) {
            Ok(fd) => Ok(Some(fd)),
            Err(ENOENT | ENOTDIR) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// A copy of the container's `/dev/null`, after a look at what it is.
    fn null(&mut self) -> Result<Fd> {
        let null = match self.null {
            Some(fd) => fd,
            None => sys::openat2(self.root()?, c"dev/null", O_PATH, STRICT)?,
        };
        let stat = sys::stat(null)?;
        if stat.mode & TYPE != CHARACTER || stat.device != (1, 3) {
            return Err(UNEXPECTED);
        }
        self.null = Some(null);
        sys::copy_tree(null)
    }

    /// One empty file system for all masked directories: each further one is a copy of the mount, not another
    /// superblock to take down later. A mount can only be copied once it is attached (before 6.15).
    fn empty_directory(&mut self) -> Result<Fd> {
        if let Some(first) = self.cover {
            return sys::copy_tree(first);
        }
        let options = [(c"nr_blocks", Some(c"1")), (c"nr_inodes", Some(c"1"))];
        let first = new_mount(c"tmpfs", &options, RDONLY | 2 | 4 | 8)?;
        self.cover = Some(first);
        Ok(first)
    }

    /// The new root on top of the old at the same place, so that the kernel needs no directory for the old one; then
    /// the old one goes, cut off first so that its going stays ours.
    fn pivot(&self) -> Result<()> {
        let old = sys::openat(AT_FDCWD, c"/", O_PATH_DIRECTORY, 0)?;
        sys::fchdir(self.root()?)?;
        sys::pivot_here()?;
        sys::fchdir(old)?;
        sys::make_slave_here()?;
        sys::detach_here()?;
        sys::chdir(c"/")
    }
}

/// A detached mount of a new file system.
fn new_mount(kind: &CStr, options: &[(&CStr, Option<&CStr>)], attributes: u64) -> Result<Fd> {
    let fs = sys::fsopen(kind)?;
    for (key, value) in options {
        sys::fsconfig(fs, key, *value)?;
    }
    sys::fsconfig_create(fs)?;
    sys::fsmount(fs, attributes)
}

/// Kernels may lack keyrings, and quotas on them may be used up: neither keeps a container from running. The point is
/// only not to share the caller's.
fn keyring(name: &CStr) -> Result<()> {
    const EDQUOT: i32 = 122;
    match sys::join_keyring(name) {
        Err(ENOSYS | EDQUOT | EINVAL) => Ok(()),
        other => other,
    }
}
