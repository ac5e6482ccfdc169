//! The mounts of a container: Docker's own first, then the user's, in the order of their depth.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use bowline_sys::mount::{self, Attributes, Propagation};
use oci_spec::runtime::Mount;

use super::defaults;
use super::order::{FsOptions, Order, Spot, inside};
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
        orders.push(order(mount)?);
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

/// What the words of a mount's options mean.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    set: u64,
    clear: u64,
    recursive: bool,
    bind: bool,
    propagation: Option<Propagation>,
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
            "private" | "rprivate" => self.propagation = Some(Propagation::Private),
            "slave" | "rslave" => self.propagation = Some(Propagation::Slave),
            "shared" | "rshared" => self.propagation = Some(Propagation::Shared),
            "defaults" | "async" => {}
            "relatime" => self.clear |= Attributes::ATIME,
            other => match flag(other) {
                Some((flag, true)) => self.set |= flag,
                Some((flag, false)) => self.clear |= flag,
                None => self.own.push(other.to_owned()),
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

fn order(mount: &Mount) -> Result<Order, StartError> {
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
    let tree = mount::bind(source, options.recursive).map_err(|error| failed(&error))?;
    let file = !is_directory(&tree).map_err(|error| failed(&error))?;
    let (set, clear) = (Attributes(options.set), Attributes(options.clear));
    // Unless told otherwise what the host mounts there later stays the host's.
    let propagation = options.propagation.unwrap_or(Propagation::Private);
    mount::set(
        tree.as_fd(),
        set,
        clear,
        Some(propagation),
        options.recursive,
    )
    .map_err(|error| failed(&error))?;
    Ok(Order::Attach {
        tree,
        on: Spot {
            path,
            file,
            ours: false,
        },
    })
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
        assert!(options.bind && options.recursive);
        assert_eq!(options.set, Attributes::READ_ONLY | Attributes::NO_SUID);
        assert_eq!(options.propagation, Some(Propagation::Slave));
        assert_eq!(options.own, ["size=64k", "mode=1777"]);
    }

    #[test]
    fn a_later_word_does_not_undo_what_another_kind_of_word_said() {
        let options = parse(&["rw", "noexec", "exec"]);
        assert_eq!(options.clear, Attributes::READ_ONLY | Attributes::NO_EXEC);
    }
}
