//! What is mounted where, and where this process is.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{CgroupError, Join, files, tree};

/// How the machine's control groups are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One tree.
    V2,
    /// A tree per controller.
    V1,
    /// v1 trees and a v2 tree beside them.
    Hybrid,
}

/// The hierarchies of this machine. Read once, shared by reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    pub(super) v1: Vec<Mount>,
    pub(super) v2: Option<Mount>,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is visible.
    pub(super) point: PathBuf,
    /// Which of its directories is visible there.
    pub(super) root: String,
    /// What it controls (`cpu`, `name=systemd`); empty for v2, whose directories tell themselves.
    pub(super) controllers: Vec<String>,
}

/// Mount options of cgroup v1 that name no controller.
const OPTIONS: [&str; 7] = [
    "rw",
    "ro",
    "noprefix",
    "clone_children",
    "cpuset_v2_mode",
    "favordynmods",
    "xattr",
];

impl Hierarchies {
    /// Reads /proc/self/mountinfo.
    pub fn detect() -> Result<Self, CgroupError> {
        Self::parse(&proc("/proc/self/mountinfo")?)
    }

    fn parse(mountinfo: &str) -> Result<Self, CgroupError> {
        let mut seen = HashSet::new();
        let (mut v1, mut v2) = (Vec::new(), None);
        // The same hierarchy may be mounted again elsewhere (a container's view of it): the first one is the host's.
        for line in mountinfo.lines().filter_map(Line::parse) {
            if !seen.insert(line.device) {
                continue;
            }
            match line.kind {
                "cgroup" => v1.push(line.mount()),
                "cgroup2" if v2.is_none() => v2 = Some(line.mount()),
                _ => {}
            }
        }
        if v1.is_empty() && v2.is_none() {
            return Err(CgroupError::NothingMounted);
        }
        Ok(Self { v1, v2 })
    }

    /// Which of the three.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match (&self.v2, self.v1.is_empty()) {
            (Some(_), true) => Layout::V2,
            (Some(_), false) => Layout::Hybrid,
            (None, _) => Layout::V1,
        }
    }

    /// Moves this process, which must have one thread, into `path` in every hierarchy, systemd's too, making the
    /// directories as needed. Where it is already, and where nothing may be written, nothing is.
    pub fn leave_to(&self, path: &str) -> Result<(), CgroupError> {
        // On v1 `tasks` moves the writing thread alone, which spares the wait that `cgroup.procs` costs.
        self.enter(path, "tasks")
    }

    /// The same for a process of many threads. On v1 the kernel lets it wait some milliseconds in every hierarchy.
    pub fn leave_with_all_threads(&self, path: &str) -> Result<(), CgroupError> {
        self.enter(path, "cgroup.procs")
    }

    fn enter(&self, path: &str, v1_file: &str) -> Result<(), CgroupError> {
        let path = check_path(path)?;
        let now = proc("/proc/self/cgroup")?;
        let now = Membership::parse(&now);
        for mount in self.all().filter(|mount| !now.is_in(mount, path)) {
            let file = if mount.controllers.is_empty() {
                "cgroup.procs"
            } else {
                v1_file
            };
            let moved = tree::make(mount, path).and_then(|dir| files::write(&dir.join(file), "0"));
            match moved {
                Err(error) if !error.is_refusal() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What a process about to be spawned needs to be born in `path`, made as needed, instead of moving there later.
    pub fn join_at(&self, path: &str) -> Result<Join, CgroupError> {
        let path = check_path(path)?;
        let mut dirs = Vec::new();
        for mount in self.all() {
            match tree::make(mount, path) {
                Ok(dir) => dirs.push((dir, mount.controllers.is_empty())),
                Err(error) if error.is_refusal() => {}
                Err(error) => return Err(error),
            }
        }
        Join::open(dirs.iter().map(|(dir, unified)| (dir.as_path(), *unified)))
    }

    /// Removes the directory `path` and those below it from every hierarchy. Processes inside are an error.
    pub fn remove_path(&self, path: &str) -> Result<(), CgroupError> {
        let path = check_path(path)?;
        let dirs: Vec<PathBuf> = self.all().map(|mount| mount.dir(path)).collect();
        tree::remove_all(dirs.iter().map(PathBuf::as_path))
    }

    /// Every directory called `path` that exists, for a ledger of what was left behind.
    #[must_use]
    pub fn existing(&self, path: &str) -> Vec<PathBuf> {
        let Ok(path) = check_path(path) else {
            return Vec::new();
        };
        self.all()
            .map(|mount| mount.dir(path))
            .filter(|dir| dir.is_dir())
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Mount> {
        self.v1.iter().chain(&self.v2)
    }
}

impl Mount {
    /// Where `path` (checked) is.
    pub(super) fn dir(&self, path: &str) -> PathBuf {
        self.point.join(path.trim_start_matches('/'))
    }
}

/// An absolute path that stays inside: what a user wrote as `cgroup_parent` must not name a place outside cgroupfs.
pub(super) fn check_path(path: &str) -> Result<&str, CgroupError> {
    let inside = path.split('/').all(|part| part != "..") && !path.contains('\0');
    if path.starts_with('/') && inside {
        Ok(path)
    } else {
        Err(CgroupError::BadPath(path.to_owned()))
    }
}

fn proc(path: &'static str) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Proc { path, source })
}

/// The fields of a line of mountinfo that matter here.
struct Line<'a> {
    device: &'a str,
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        // Optional fields lie before the lone dash, so the two halves are counted from their own ends.
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        let mut back = back.split(' ');
        Some(Self {
            device: front.next()?,
            root: front.next()?,
            point: front.next()?,
            kind: back.next()?,
            options: back.nth(1)?,
        })
    }

    fn mount(&self) -> Mount {
        let is_controller =
            |option: &&str| !OPTIONS.contains(option) && !option.starts_with("release_agent=");
        let v1 = self.kind == "cgroup";
        let options = self.options.split(',').filter(is_controller);
        Mount {
            point: PathBuf::from(unescape(self.point)),
            root: unescape(self.root),
            controllers: if v1 {
                options.map(str::to_owned).collect()
            } else {
                Vec::new()
            },
        }
    }
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8)
                .ok()
                .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        });
        match (first, code) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// /proc/self/cgroup: which directory of which hierarchy.
struct Membership<'a>(Vec<(Vec<&'a str>, &'a str)>);

impl<'a> Membership<'a> {
    fn parse(text: &'a str) -> Self {
        let line = |line: &'a str| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields
                .next()?
                .split(',')
                .filter(|name| !name.is_empty())
                .collect();
            Some((controllers, fields.next()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Is this process in `path` of that hierarchy?
    fn is_in(&self, mount: &Mount, path: &str) -> bool {
        let same = |controllers: &[&str]| {
            controllers.len() == mount.controllers.len()
                && controllers
                    .iter()
                    .all(|name| mount.controllers.iter().any(|other| other == name))
        };
        let full = Path::new(&mount.root).join(path.trim_start_matches('/'));
        self.0
            .iter()
            .any(|(controllers, at)| same(controllers) && Path::new(at) == full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V2: &str = "24 31 0:22 / /proc rw,nosuid - proc proc rw
29 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";
    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
41 31 0:32 / /mnt/other\\040view rw - cgroup cgroup rw,memory
";
    const UNIFIED: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn controllers(hierarchies: &Hierarchies) -> Vec<String> {
        hierarchies
            .v1
            .iter()
            .map(|mount| mount.controllers.join("+"))
            .collect()
    }

    #[test]
    fn three_layouts_are_told_apart() {
        let v2 = Hierarchies::parse(V2).unwrap();
        assert_eq!(
            (v2.layout(), v2.v2.unwrap().point),
            (Layout::V2, PathBuf::from("/sys/fs/cgroup"))
        );
        let v1 = Hierarchies::parse(V1).unwrap();
        assert_eq!(v1.layout(), Layout::V1);
        assert_eq!(controllers(&v1), ["cpu+cpuacct", "memory", "name=systemd"]);
        assert_eq!(
            v1.v1[1].point,
            Path::new("/sys/fs/cgroup/memory"),
            "the first mount counts"
        );
        let both = Hierarchies::parse(&format!("{V1}{UNIFIED}")).unwrap();
        assert_eq!(both.layout(), Layout::Hybrid);
        assert!(matches!(
            Hierarchies::parse("1 2 0:1 / /proc rw - proc proc rw"),
            Err(CgroupError::NothingMounted)
        ));
    }

    #[test]
    fn escaped_mount_points_are_read() {
        assert_eq!(unescape("/a\\040b\\134c\\09"), "/a b\\c\\09");
    }

    #[test]
    fn membership_knows_where_the_mount_begins() {
        let v1 = Hierarchies::parse(V1).unwrap();
        let now = Membership::parse(
            "4:memory:/docker/abc/x\n3:cpuacct,cpu:/x\n1:name=systemd:/y\n0::/z\n",
        );
        assert!(now.is_in(&v1.v1[0], "/x"));
        assert!(now.is_in(&v1.v1[1], "/x"));
        assert!(!now.is_in(&v1.v1[1], "/"));
        assert!(!now.is_in(&v1.v1[2], "/x"));
        assert!(now.is_in(&v1.v1[2], "/y/"));
        let v2 = Hierarchies::parse(V2).unwrap().v2.unwrap();
        assert!(now.is_in(&v2, "/z"));
    }

    #[test]
    fn paths_stay_inside() {
        assert!(check_path("/a/b..c").is_ok());
        for path in ["a", "", "/a/../b", "/..", "/a\0"] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "([ -~\\n]|cgroup2? |- |:|\\\\[0-9]{0,4}){0,60}") {
            drop(Hierarchies::parse(&text));
            let mount = Mount { point: PathBuf::new(), root: unescape(&text), controllers: vec![] };
            Membership::parse(&text).is_in(&mount, "/");
        }
    }
}
