//! What a volume's driver options mean. Pure.
//!
//! The words and their checks are those of Docker's `local` driver: `type`, `device`, `o` and `size`; the first two need
//! each other, the third needs both.

use std::collections::BTreeMap;

use nix::mount::MsFlags;

/// Driver options that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionError {
    /// Not one of the driver's.
    #[error("invalid option: \"{0}\"")]
    Unknown(String),
    /// One that another one needs.
    #[error("missing required option: \"{0}\"")]
    Missing(&'static str),
    /// A size that is none.
    #[error("invalid size: '{0}'")]
    Size(String),
    /// Nothing here can hold a folder to a size.
    #[error("quota size requested but no quota support")]
    Quota,
    /// A port in the address of a CIFS share.
    #[error("port not allowed in CIFS device URL, include 'port' in 'o='")]
    Port,
}

/// Something that is mounted where a volume's files are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// File system type.
    pub kind: String,
    /// What is mounted.
    pub device: String,
    /// Flags of the mount.
    pub flags: MsFlags,
    /// Options of the file system.
    pub data: String,
    /// How mounts in it travel, if that was said.
    pub propagation: Option<MsFlags>,
}

impl Device {
    /// Reads a volume's options. `None` where its files lie in its own folder.
    ///
    /// # Errors
    /// See [`OptionError`].
    pub(crate) fn parse(options: &BTreeMap<String, String>) -> Result<Option<Self>, OptionError> {
        const KNOWN: [&str; 4] = ["device", "o", "size", "type"];
        if let Some(unknown) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(OptionError::Unknown(unknown.clone()));
        }
        let get = |key: &str| options.get(key).map(String::as_str);
        let cifs = get("type") == Some("cifs");
        if cifs && get("device").is_some_and(names_a_port) {
            return Err(OptionError::Port);
        }
        if let Some(size) = get("size") {
            match crate::launch::size(size) {
                Some(0) => {}
                Some(_) => return Err(OptionError::Quota),
                None => return Err(OptionError::Size(size.into())),
            }
        }
        for (key, needs) in [
            ("device", "type"),
            ("type", "device"),
            ("o", "device"),
            ("o", "type"),
        ] {
            if options.contains_key(key) && !options.contains_key(needs) {
                return Err(OptionError::Missing(needs));
            }
        }
        let (Some(kind), Some(device)) = (get("type"), get("device")) else {
            return Ok(None);
        };
        let (flags, data, propagation) = words(get("o").unwrap_or_default());
        Ok(Some(Self {
            kind: kind.into(),
            device: device.into(),
            flags,
            data,
            propagation,
        }))
    }

    /// The server, where it is named and has to become an address: the kernel looks up no names.
    pub(crate) fn server(&self) -> Option<&str> {
        const REMOTE: [&str; 5] = ["nfs", "nfs3", "nfs4", "cifs", "smb3"];
        if !REMOTE.contains(&self.kind.as_str()) {
            return None;
        }
        let said = self
            .data
            .split(',')
            .find_map(|word| word.strip_prefix("addr="));
        let share = match self.kind.as_str() {
            // A share names its server itself: //server/share.
            "cifs" | "smb3" => self.device.trim_start_matches('/').split('/').next(),
            _ => self.device.split_once(":/").map(|(host, _)| host),
        };
        said.or(share.filter(|host| !host.is_empty()))
    }

    /// The file system's options with the server's address.
    pub(crate) fn data_with(&self, address: &str) -> String {
        let words = self.data.split(',').filter(|word| !word.is_empty());
        let others = words.filter(|word| !word.starts_with("addr="));
        let mut all: Vec<String> = others.map(Into::into).collect();
        all.push(format!("addr={address}"));
        all.join(",")
    }

    /// The mount in words for a message, passwords left out.
    pub(crate) fn shown(&self, place: &std::path::Path) -> String {
        let mut text = format!("mount {}:{}", self.device, place.display());
        if !self.flags.is_empty() {
            text.push_str(&format!(", flags: {:#x}", self.flags.bits()));
        }
        if !self.data.is_empty() {
            let masked = self.data.split(',').map(|word| match word.split_once('=') {
                Some((key @ ("password" | "pass"), _)) => format!("{key}=********"),
                _ => word.to_owned(),
            });
            text.push_str(&format!(", data: {}", masked.collect::<Vec<_>>().join(",")));
        }
        text
    }
}

fn names_a_port(device: &str) -> bool {
    let host = device.trim_start_matches('/').split('/').next();
    host.is_some_and(|host| host.contains(':') && !host.starts_with('['))
}

/// Mount flags by their words, as mount(8) has them; what is none is the file system's own.
fn words(options: &str) -> (MsFlags, String, Option<MsFlags>) {
    let mut flags = MsFlags::empty();
    let mut data = Vec::new();
    let mut propagation = None;
    for word in options.split(',').filter(|word| !word.is_empty()) {
        if let Some(kind) = propagation_of(word) {
            propagation = Some(kind);
            continue;
        }
        match flag(word) {
            Some((flag, true)) => flags.insert(flag),
            Some((flag, false)) => flags.remove(flag),
            None => data.push(word),
        }
    }
    (flags, data.join(","), propagation)
}

fn propagation_of(word: &str) -> Option<MsFlags> {
    let recursive = |flag: MsFlags| flag | MsFlags::MS_REC;
    Some(match word {
        "private" => MsFlags::MS_PRIVATE,
        "rprivate" => recursive(MsFlags::MS_PRIVATE),
        "shared" => MsFlags::MS_SHARED,
        "rshared" => recursive(MsFlags::MS_SHARED),
        "slave" => MsFlags::MS_SLAVE,
        "rslave" => recursive(MsFlags::MS_SLAVE),
        "unbindable" => MsFlags::MS_UNBINDABLE,
        "runbindable" => recursive(MsFlags::MS_UNBINDABLE),
        _ => return None,
    })
}

fn flag(word: &str) -> Option<(MsFlags, bool)> {
    Some(match word {
        "defaults" => (MsFlags::empty(), true),
        "ro" => (MsFlags::MS_RDONLY, true),
        "rw" => (MsFlags::MS_RDONLY, false),
        "nosuid" => (MsFlags::MS_NOSUID, true),
        "suid" => (MsFlags::MS_NOSUID, false),
        "nodev" => (MsFlags::MS_NODEV, true),
        "dev" => (MsFlags::MS_NODEV, false),
        "noexec" => (MsFlags::MS_NOEXEC, true),
        "exec" => (MsFlags::MS_NOEXEC, false),
        "sync" => (MsFlags::MS_SYNCHRONOUS, true),
        "async" => (MsFlags::MS_SYNCHRONOUS, false),
        "dirsync" => (MsFlags::MS_DIRSYNC, true),
        "mand" => (MsFlags::MS_MANDLOCK, true),
        "nomand" => (MsFlags::MS_MANDLOCK, false),
        "noatime" => (MsFlags::MS_NOATIME, true),
        "atime" => (MsFlags::MS_NOATIME, false),
        "nodiratime" => (MsFlags::MS_NODIRATIME, true),
        "diratime" => (MsFlags::MS_NODIRATIME, false),
        "relatime" => (MsFlags::MS_RELATIME, true),
        "norelatime" => (MsFlags::MS_RELATIME, false),
        "strictatime" => (MsFlags::MS_STRICTATIME, true),
        "bind" => (MsFlags::MS_BIND, true),
        "rbind" => (MsFlags::MS_BIND | MsFlags::MS_REC, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<Option<Device>, OptionError> {
        let options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Device::parse(&options.collect())
    }

    #[test]
    fn options_need_each_other() {
        assert_eq!(parse(&[]), Ok(None));
        for (options, error) in [
            (vec![("x", "1")], OptionError::Unknown("x".into())),
            (vec![("type", "nfs")], OptionError::Missing("device")),
            (vec![("device", "/x")], OptionError::Missing("type")),
            (vec![("o", "bind")], OptionError::Missing("device")),
            (vec![("size", "1g")], OptionError::Quota),
            (vec![("size", "big")], OptionError::Size("big".into())),
            (
                vec![("type", "cifs"), ("device", "//host:445/share")],
                OptionError::Port,
            ),
        ] {
            assert_eq!(parse(&options), Err(error), "{options:?}");
        }
    }

    #[test]
    fn words_become_flags_and_the_rest_is_the_file_systems() {
        let bind = [("type", "none"), ("o", "bind,ro,rslave"), ("device", "/x")];
        let bind = parse(&bind).unwrap().unwrap();
        assert_eq!(bind.flags, MsFlags::MS_BIND | MsFlags::MS_RDONLY);
        assert_eq!(bind.data, "");
        assert_eq!(bind.propagation, Some(MsFlags::MS_SLAVE | MsFlags::MS_REC));
        let memory = [
            ("type", "tmpfs"),
            ("o", "size=1m,nodev"),
            ("device", "tmpfs"),
        ];
        assert_eq!(parse(&memory).unwrap().unwrap().data, "size=1m");
    }

    #[test]
    fn a_server_is_found_where_it_is_named_and_passwords_are_hidden() {
        let nfs = [
            ("type", "nfs"),
            ("o", "addr=files.example,rw"),
            ("device", ":/export"),
        ];
        let nfs = parse(&nfs).unwrap().unwrap();
        assert_eq!(nfs.server(), Some("files.example"));
        assert_eq!(nfs.data_with("10.0.0.1"), "addr=10.0.0.1");
        let share = [
            ("type", "cifs"),
            ("o", "username=me,password=secret"),
            ("device", "//files.example/share"),
        ];
        let share = parse(&share).unwrap().unwrap();
        assert_eq!(share.server(), Some("files.example"));
        let shown = share.shown(std::path::Path::new("/v"));
        assert!(shown.contains("password=********") && !shown.contains("secret"));
    }
}
