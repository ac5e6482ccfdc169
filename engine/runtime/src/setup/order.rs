//! The steps of a setup as the shim owns them, each with words for people. `bowline-init` borrows them.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, OwnedFd};

use bowline_init::{Place, Step};

/// Where something is to be, below the new root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) path: CString,
    pub(super) file: bool,
    pub(super) ours: bool,
}

impl Spot {
    fn place(&self) -> Place<'_> {
        Place {
            path: &self.path,
            file: self.file,
            ours: self.ours,
        }
    }
}

/// Options of a file system: flags without a value, strings with one.
pub(super) type FsOptions = Vec<(CString, Option<CString>)>;
/// The same, borrowed.
pub(super) type FsOptionRefs<'a> = Vec<(&'a CStr, Option<&'a CStr>)>;

/// One step.
#[derive(Debug)]
pub(super) enum Order {
    JoinTasks(OwnedFd),
    Enter {
        fd: OwnedFd,
        kinds: i32,
        what: &'static str,
    },
    Unshare(i32),
    Session,
    Keyring(CString),
    PrivateMounts,
    Root {
        tree: OwnedFd,
        at: CString,
    },
    CurrentRoot,
    Attach {
        tree: OwnedFd,
        on: Spot,
    },
    Mount {
        kind: CString,
        options: FsOptions,
        attributes: u64,
        on: Spot,
        optional: bool,
    },
    Directory {
        path: CString,
        mode: u32,
    },
    Device(Device),
    Link {
        target: &'static CStr,
        path: &'static CStr,
    },
    NamedLink {
        target: CString,
        path: CString,
    },
    Terminal {
        console: bool,
    },
    Parameter {
        path: CString,
        value: CString,
        name: String,
    },
    HostName(String),
    DomainName(String),
    ReadOnly(CString),
    Mask(CString),
    ReadOnlyMount(CString),
    Pivot,
}

/// A device file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) path: CString,
    pub(super) mode: u32,
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Order {
    /// The descriptor that the child needs for it.
    pub(super) fn fd(&self) -> Option<i32> {
        match self {
            Self::JoinTasks(fd)
            | Self::Enter { fd, .. }
            | Self::Root { tree: fd, .. }
            | Self::Attach { tree: fd, .. } => Some(fd.as_raw_fd()),
            _ => None,
        }
    }

    /// Its file-system options, if it has any, as they are borrowed.
    pub(super) fn options(&self) -> FsOptionRefs<'_> {
        match self {
            Self::Mount { options, .. } => options
                .iter()
                .map(|(key, value)| (key.as_c_str(), value.as_deref()))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// As the child carries it out.
    pub(super) fn step<'a>(&'a self, options: &'a [(&'a CStr, Option<&'a CStr>)]) -> Step<'a> {
        match self {
            Self::JoinTasks(fd) => Step::JoinTasks(fd.as_raw_fd()),
            Self::Enter { fd, kinds, .. } => Step::Enter {
                fd: fd.as_raw_fd(),
                kinds: *kinds,
            },
            Self::Unshare(kinds) => Step::Unshare(*kinds),
            Self::Session => Step::Session,
            Self::Keyring(name) => Step::Keyring(name),
            Self::PrivateMounts => Step::PrivateMounts,
            Self::Root { tree, at } => Step::Root {
                tree: tree.as_raw_fd(),
                at,
            },
            Self::CurrentRoot => Step::CurrentRoot,
            Self::Attach { tree, on } => Step::Attach {
                tree: tree.as_raw_fd(),
                on: on.place(),
            },
            Self::Mount {
                kind,
                attributes,
                on,
                optional,
                ..
            } => Step::Mount {
                kind,
                options,
                attributes: *attributes,
                on: on.place(),
                optional: *optional,
            },
            Self::Directory { path, mode } => Step::Directory { path, mode: *mode },
            Self::Device(device) => device.step(),
            Self::Link { target, path } => Step::Link { target, path },
            Self::NamedLink { target, path } => Step::Link { target, path },
            Self::Terminal { console } => Step::Terminal { console: *console },
            Self::Parameter { path, value, .. } => Step::Parameter {
                path,
                value: value.as_bytes(),
            },
            Self::HostName(name) => Step::HostName(name.as_bytes()),
            Self::DomainName(name) => Step::DomainName(name.as_bytes()),
            Self::ReadOnly(path) => Step::ReadOnly(path),
            Self::Mask(path) => Step::Mask(path),
            Self::ReadOnlyMount(path) => Step::ReadOnlyMount(path),
            Self::Pivot => Step::Pivot,
        }
    }

    /// What it does, for the sentence that says why it failed.
    pub(super) fn words(&self) -> String {
        let inside = |path: &CString| format!("/{}", path.to_string_lossy());
        match self {
            Self::JoinTasks(_) => "join the cgroup".to_owned(),
            Self::Enter { what, .. } => format!("join the {what}"),
            Self::Unshare(_) => "make a cgroup namespace".to_owned(),
            Self::Session => "start a session".to_owned(),
            Self::Keyring(_) => "make a session keyring".to_owned(),
            Self::PrivateMounts => "make mounts private".to_owned(),
            Self::Root { .. } => "attach the root file system".to_owned(),
            Self::CurrentRoot => "open the container's root".to_owned(),
            Self::Attach { on, .. } => format!("mount on {}", inside(&on.path)),
            Self::Mount { kind, on, .. } => {
                format!("mount {} on {}", kind.to_string_lossy(), inside(&on.path))
            }
            Self::Directory { path, .. } => format!("make the directory {}", inside(path)),
            Self::Device(device) => format!("make the device {}", inside(&device.path)),
            Self::Link { path, .. } => format!("make the link /{}", path.to_string_lossy()),
            Self::NamedLink { path, .. } => format!("make the link {}", inside(path)),
            Self::Terminal { .. } => "open a terminal".to_owned(),
            Self::Parameter { name, .. } => format!("set the sysctl {name}"),
            Self::HostName(name) => format!("set the host name `{name}`"),
            Self::DomainName(name) => format!("set the domain name `{name}`"),
            Self::ReadOnly(path) => format!("make {} read-only", inside(path)),
            Self::Mask(path) => format!("mask {}", inside(path)),
            Self::ReadOnlyMount(path) => format!("make the mount {} read-only", inside(path)),
            Self::Pivot => {
                "change the root (the host's root must not be the initial ramfs)".to_owned()
            }
        }
    }
}

impl Device {
    fn step(&self) -> Step<'_> {
        Step::Device {
            path: &self.path,
            mode: self.mode,
            number: nix::sys::stat::makedev(self.major.into(), self.minor.into()),
            pair: (self.major, self.minor),
            uid: self.uid,
            gid: self.gid,
        }
    }
}

/// A path inside of the container, as the child takes it: without a leading slash, `.` and `..` gone by name.
pub(super) fn inside(path: &std::path::Path) -> Option<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Component, PathBuf};
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    CString::new(clean.as_os_str().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn paths_lose_what_would_lead_up_or_out() {
        let clean = |path| inside(Path::new(path)).unwrap().into_string().unwrap();
        assert_eq!(clean("/etc/passwd"), "etc/passwd");
        assert_eq!(clean("/../../etc/./x/../y"), "etc/y");
        assert_eq!(clean("/"), "");
    }
}
