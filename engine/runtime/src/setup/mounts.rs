//! The mounts of a container: Docker's own first, then the user's, in the order of their depth.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use bowline_sys::mount::{self, Attributes, Propagation};
use bowline_sys::overlay::Overlay;
use bowline_sys::root::Root;
use oci_spec::runtime::Mount;

use super::defaults;
use super::order::{FsOptions, Order, Spot, inside};
use crate::spawn::chain;
use crate::{Launch, StartError, StartStep};

/// All mounts, and whether `/dev` is ours to fill.
pub(super) fn orders(launch: &Launch) -> Result<(Vec<Order>, bool), StartError> {
    let mounts = launch.spec.mounts().as_deref().unwrap_or_default();
    let taken = |path: &str| {
        mounts
            .iter()
            .any(|mount| mount.destination() == Path::new(path))
    };
    let mut orders = Vec::new();
    orders.extend((!taken("/proc")).then(defaults::proc));
    let own_dev = !taken("/dev");
    if own_dev {
        orders.push(defaults::dev());
        orders.extend((!taken("/dev/pts")).then(defaults::devpts));
        orders.extend((!taken("/dev/mqueue")).then(defaults::mqueue));
        if !taken("/dev/shm") {
            orders.push(shared_memory(launch)?);
        }
    }
    if !taken("/sys") {
        orders.push(defaults::sys(launch.privileged));
        if !taken("/sys/fs/cgroup") {
            let table = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            orders.extend(defaults::cgroups(&table, launch.privileged));
        }
    }
    let mut own: Vec<&Mount> = mounts.iter().collect();
    // Parents before what lies in them; the order of equals is the user's.
    own.sort_by_key(|mount| mount.destination().components().count());
    for mount in own {
        orders.push(order(launch, mount)?);
    }
    Ok((orders, own_dev))
}

/// Whoever shares System V and POSIX queues shares `/dev/shm` with them.
fn shared_memory(launch: &Launch) -> Result<Order, StartError> {
    let on = Spot {
        path: c"dev/shm".into(),
        file: false,
        ours: true,
    };
    let path = Path::new("/dev/shm");
    let tree = match &launch.join.ipc {
        Some(namespace) => mount::bind_elsewhere(&namespace.with_file_name("mnt"), path),
        None if launch.join.host_ipc => mount::bind(path, true),
        None => return Ok(defaults::shm(launch.shm_size)),
    };
    let tree = tree.map_err(|error| StartError::io(StartStep::Rootfs, "share /dev/shm", &error))?;
    Ok(Order::Attach { tree, on })
}

/// Our own word for a path in the source of a bind or an image's files.
const INSIDE: &str = "x-bowline-inside";
/// The kernel's key for one lower directory of an overlay.
const LOWER: &str = "lowerdir+";

/// What the words of a mount's options mean.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    set: u64,
    clear: u64,
    /// What is mounted below is read-only, too.
    all_read_only: bool,
    recursive: bool,
    bind: bool,
    /// And whether it is also that of what is mounted below.
    propagation: Option<(Propagation, bool)>,
    /// What is mounted is not the source but this path in it, which no link in there leads out of.
    inside: PathBuf,
    /// The directories of a read-only overlay, top first.
    lowers: Vec<PathBuf>,
    /// For the file system itself.
    own: Vec<String>,
}

impl Options {
    fn parse(words: &[String]) -> Self {
        words
            .iter()
            .map(String::as_str)
            .fold(Self::default(), Self::with)
    }

    fn with(mut self, word: &str) -> Self {
        match word {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "private" | "rprivate" => {
                self.propagation = Some((Propagation::Private, word != "private"));
            }
            "slave" | "rslave" => self.propagation = Some((Propagation::Slave, word != "slave")),
            "shared" | "rshared" => {
                self.propagation = Some((Propagation::Shared, word != "shared"));
            }
            "rro" => self.all_read_only = true,
            "defaults" | "async" => {}
            "relatime" => self.clear |= Attributes::ATIME,
            other => match flag(other) {
                Some((flag, true)) => self.set |= flag,
                Some((flag, false)) => self.clear |= flag,
                None => match other.split_once('=') {
                    Some((INSIDE, path)) => self.inside = path.into(),
                    Some((LOWER, path)) => self.lowers.push(path.into()),
                    _ => self.own.push(other.to_owned()),
                },
            },
        }
        self
    }
}

/// An attribute by its word, and whether the word sets or clears it.
fn flag(word: &str) -> Option<(u64, bool)> {
    Some(match word {
        "ro" => (Attributes::READ_ONLY, true),
        "rw" => (Attributes::READ_ONLY, false),
        "nosuid" => (Attributes::NO_SUID, true),
        "suid" => (Attributes::NO_SUID, false),
        "nodev" => (Attributes::NO_DEV, true),
        "dev" => (Attributes::NO_DEV, false),
        "noexec" => (Attributes::NO_EXEC, true),
        "exec" => (Attributes::NO_EXEC, false),
        "noatime" => (Attributes::NO_ATIME, true),
        "strictatime" => (Attributes::STRICT_ATIME, true),
        "nodiratime" => (Attributes::NO_DIR_ATIME, true),
        "diratime" => (Attributes::NO_DIR_ATIME, false),
        _ => return None,
    })
}

fn order(launch: &Launch, mount: &Mount) -> Result<Order, StartError> {
    let bad = |what: &str| {
        StartError::new(
            StartStep::Plan,
            format!("mount {}: {what}", mount.destination().display()),
        )
    };
    let options = Options::parse(mount.options().as_deref().unwrap_or_default());
    let path = inside(mount.destination())
        .filter(|path| !path.is_empty())
        .ok_or_else(|| bad("no such place"))?;
    let kind = mount
        .typ()
        .as_deref()
        .unwrap_or(if options.bind { "bind" } else { "none" });
    if options.bind || kind == "bind" {
        let source = mount
            .source()
            .as_ref()
            .ok_or_else(|| bad("a bind mount needs a source"))?;
        return bind(source, path, &options);
    }
    if kind == "overlay" && !options.lowers.is_empty() {
        return layers(launch, path, &options);
    }
    let kind = CString::new(kind).map_err(|_| bad("the type has a null in it"))?;
    let source = mount
        .source()
        .as_ref()
        .map(|source| source.to_string_lossy().into_owned());
    let options_of_kind = file_system(source.as_deref(), &options.own)
        .ok_or_else(|| bad("an option has a null in it"))?;
    // Only what a container's own /proc and the like consist of may lie where symlinks are not followed.
    let ours = matches!(
        kind.to_bytes(),
        b"proc" | b"sysfs" | b"devpts" | b"mqueue" | b"cgroup" | b"cgroup2"
    ) || matches!(path.to_bytes(), b"dev" | b"dev/shm");
    let on = Spot {
        path,
        file: false,
        ours,
    };
    Ok(Order::Mount {
        kind,
        options: options_of_kind,
        attributes: options.set & !options.clear,
        on,
        optional: false,
    })
}

fn file_system(source: Option<&str>, words: &[String]) -> Option<FsOptions> {
    let source = source.map(|source| ("source", Some(source)));
    let own = words.iter().map(|word| match word.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (word.as_str(), None),
    });
    let all = source
        .into_iter()
        .chain(own.filter(|(key, _)| !key.is_empty() && *key != "newinstance"));
    all.map(|(key, value)| {
        Some((
            CString::new(key).ok()?,
            value.map(CString::new).transpose().ok()?,
        ))
    })
    .collect()
}

/// The source is taken here, where the host's paths mean something; the container's namespace never sees them.
fn bind(source: &Path, path: CString, options: &Options) -> Result<Order, StartError> {
    let failed = |error: &std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            let text = format!("bind source path does not exist: {}", source.display());
            return StartError {
                errno: error.raw_os_error(),
                ..StartError::new(StartStep::Rootfs, text)
            };
        }
        StartError::io(
            StartStep::Rootfs,
            &format!("bind {}", source.display()),
            error,
        )
    };
    let tree = mount::bind_inside(source, &options.inside, options.recursive);
    let tree = tree.map_err(|error| failed(&error))?;
    let file = !is_directory(&tree).map_err(|error| failed(&error))?;
    allow(&tree, options).map_err(|error| failed(&error))?;
    Ok(Order::Attach {
        tree,
        on: Spot {
            path,
            file,
            ours: false,
        },
    })
}

/// Propagation first: what is still shared with the host's mount must not be changed there.
fn allow(tree: &OwnedFd, options: &Options) -> std::io::Result<()> {
    let none = Attributes::default();
    // Unless told otherwise what the host mounts there later stays the host's.
    let (propagation, deep) = options.propagation.unwrap_or((Propagation::Private, true));
    let deep = deep && options.recursive;
    mount::set(tree.as_fd(), none, none, Some(propagation), deep)?;
    let (set, clear) = (Attributes(options.set), Attributes(options.clear));
    mount::set(tree.as_fd(), set, clear, None, false)?;
    if options.all_read_only {
        let read_only = Attributes(Attributes::READ_ONLY);
        mount::set(tree.as_fd(), read_only, none, None, true)?;
    }
    Ok(())
}

/// The files of an image, or of one folder in it.
fn layers(launch: &Launch, path: CString, options: &Options) -> Result<Order, StartError> {
    let failed =
        |what: &str, error: &std::io::Error| StartError::io(StartStep::Rootfs, what, error);
    let overlay = Overlay {
        lowers: &options.lowers,
        upper: None,
    };
    let mut tree = overlay
        .mount()
        .map_err(|error| StartError::new(StartStep::Rootfs, chain(&error)))?;
    if !options.inside.as_os_str().is_empty() {
        let what = format!("bind {} of the image", options.inside.display());
        tree = part_of(launch, &tree, &options.inside).map_err(|error| failed(&what, &error))?;
    }
    let file = !is_directory(&tree).map_err(|error| failed("look at the image", &error))?;
    let read_only = Attributes(Attributes::READ_ONLY);
    mount::set(tree.as_fd(), read_only, Attributes::default(), None, false)
        .map_err(|error| failed("make the image read-only", &error))?;
    Ok(Order::Attach {
        tree,
        on: Spot {
            path,
            file,
            ours: false,
        },
    })
}

/// A folder or file of a tree that is mounted nowhere. Kernels before 6.15 copy only what is mounted somewhere, so there
/// it is for a moment, in our own run folder.
fn part_of(launch: &Launch, tree: &OwnedFd, inside: &Path) -> std::io::Result<OwnedFd> {
    let part = Root::from_fd(tree.try_clone()?).open_path(inside)?;
    if let Ok(copy) = mount::copy(part.as_fd(), false) {
        return Ok(copy);
    }
    let place = launch.run_dir.join("image");
    fs::create_dir_all(&place)?;
    let on = fs::File::open(&place)?;
    mount::attach(tree.as_fd(), on.as_fd())?;
    let copy = mount::copy(part.as_fd(), false);
    let gone = nix::mount::umount2(&place, nix::mount::MntFlags::MNT_DETACH);
    drop(fs::remove_dir(&place));
    gone?;
    copy
}

fn is_directory(tree: &OwnedFd) -> std::io::Result<bool> {
    let stat = nix::sys::stat::fstat(tree)?;
    Ok(stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFDIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Options {
        Options::parse(
            &words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn option_words_become_attributes_and_the_rest_is_the_file_systems() {
        let options = parse(&["rbind", "ro", "nosuid", "rslave", "size=64k", "mode=1777"]);
        assert!(options.bind && options.recursive && !options.all_read_only);
        assert_eq!(options.set, Attributes::READ_ONLY | Attributes::NO_SUID);
        assert_eq!(options.propagation, Some((Propagation::Slave, true)));
        assert_eq!(options.own, ["size=64k", "mode=1777"]);
    }

    #[test]
    fn a_later_word_does_not_undo_what_another_kind_of_word_said() {
        let options = parse(&["rw", "noexec", "exec"]);
        assert_eq!(options.clear, Attributes::READ_ONLY | Attributes::NO_EXEC);
    }
}
