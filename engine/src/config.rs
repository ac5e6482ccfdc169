//! What can be set, where each value came from, and the typed result.
//!
//! One table names every setting; the reader, `bowline info` and the documentation come from it.
//! Precedence: flag, environment, `config.toml`, default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::roots::{Roots, Tag};

/// One row of the table of settings.
#[derive(Debug)]
pub struct Setting {
    /// Key in `config.toml`.
    pub key: &'static str,
    /// Environment variable that overrides the file.
    pub variable: &'static str,
    /// One sentence, with the unit where there is one.
    pub doc: &'static str,
}

/// Every setting there is.
pub const TABLE: &[Setting] = &[
    Setting {
        key: "data_root",
        variable: "BOWLINE_DATA_ROOT",
        doc: "folder of images, volumes, logs and the state store; default /var/lib/bowline",
    },
    Setting {
        key: "run_root",
        variable: "BOWLINE_RUN_ROOT",
        doc: "folder of the socket, locks and what does not outlive a boot; default /run/bowline",
    },
    Setting {
        key: "socket_group",
        variable: "BOWLINE_SOCKET_GROUP",
        doc: "group that may use the socket, which equals root; default bowline, where it exists",
    },
    Setting {
        key: "idle_timeout",
        variable: "BOWLINE_IDLE_TIMEOUT",
        doc: "seconds without work after which an engine that a command started leaves; default 60",
    },
    Setting {
        key: "revive",
        variable: "BOWLINE_REVIVE",
        doc: "whether the shims of running containers bring a killed engine back, true or false; default true",
    },
    Setting {
        key: "subnet_pools",
        variable: "BOWLINE_SUBNET_POOLS",
        doc: "address pools, comma-separated CIDRs, that networks get their /24 from",
    },
    Setting {
        key: "nft_table",
        variable: "BOWLINE_NFT_TABLE",
        doc: "name of the nf_tables table; default follows from the two roots",
    },
    Setting {
        key: "cgroup_parent",
        variable: "BOWLINE_CGROUP_PARENT",
        doc: "cgroup under which engine and containers live; default follows from the two roots",
    },
    Setting {
        key: "interface_prefix",
        variable: "BOWLINE_INTERFACE_PREFIX",
        doc: "first letters of every interface, at most 6; default follows from the two roots",
    },
    Setting {
        key: "http_proxy",
        variable: "HTTP_PROXY",
        doc: "proxy for plain HTTP registries",
    },
    Setting {
        key: "https_proxy",
        variable: "HTTPS_PROXY",
        doc: "proxy for HTTPS registries",
    },
    Setting {
        key: "no_proxy",
        variable: "NO_PROXY",
        doc: "comma-separated hosts that are reached without a proxy",
    },
];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nothing set it.
    Default,
    /// The file at this path.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// A flag of the command.
    Flag,
}

/// One effective value, for `bowline info`.
#[derive(Clone, Debug, Serialize)]
pub struct Effective {
    /// The setting's key.
    pub key: &'static str,
    /// The value in force, as text; empty means unset.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
    /// What it means.
    pub doc: &'static str,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file exists and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's message with line and column.
        message: String,
    },
    /// The file names a setting that does not exist.
    #[error("{}: unknown key `{key}`; known keys: {known}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// What it says.
        key: String,
        /// All keys there are.
        known: String,
    },
    /// A value has the wrong form.
    #[error("{key} = `{value}` (from {origin}): {reason}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Its text.
        value: String,
        /// Who set it.
        origin: String,
        /// What would be right.
        reason: String,
    },
}

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Data and run root.
    pub roots: Roots,
    /// Group of the socket.
    pub socket_group: String,
    /// How long an auto-started engine stays without work.
    pub idle_timeout: Duration,
    /// Whether shims bring a killed engine back.
    pub revive: bool,
    /// CIDR texts; empty means the built-in pools.
    pub subnet_pools: Vec<String>,
    /// Name of the nf_tables table.
    pub nft_table: String,
    /// Absolute cgroup path.
    pub cgroup_parent: String,
    /// Interface prefix.
    pub interface_prefix: String,
    /// HTTP, HTTPS proxy and exceptions; empty means unset.
    pub proxies: [String; 3],
    /// Every value with its origin.
    pub effective: Vec<Effective>,
}

/// Flags of the command by key.
pub type Flags = BTreeMap<&'static str, String>;

impl Settings {
    /// Resolves the settings from `flags`, the environment and the text of a configuration file.
    ///
    /// # Errors
    /// An unreadable or wrong file, an unknown key, or a value of the wrong form.
    pub fn resolve(
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<(PathBuf, String)>,
    ) -> Result<Self, ConfigError> {
        let from_file = file.map(read_file).transpose()?;
        let mut effective: Vec<Effective> = TABLE
            .iter()
            .map(|setting| effective(setting, flags, environment, from_file.as_ref()))
            .collect();
        let roots = Roots::new(
            or_default(&mut effective, "data_root", "/var/lib/bowline").into(),
            or_default(&mut effective, "run_root", "/run/bowline").into(),
        );
        let tag = roots.tag();
        Ok(Self {
            socket_group: or_default(&mut effective, "socket_group", "bowline"),
            idle_timeout: seconds(&mut effective)?,
            revive: truth(&mut effective)?,
            subnet_pools: list(&value(&effective, "subnet_pools").value),
            nft_table: or_default(&mut effective, "nft_table", &format!("bowline-{tag}")),
            cgroup_parent: cgroup_parent(&mut effective, &tag)?,
            interface_prefix: interface_prefix(&mut effective, &tag)?,
            proxies: ["http_proxy", "https_proxy", "no_proxy"]
                .map(|key| value(&effective, key).value.clone()),
            roots,
            effective,
        })
    }

    /// Resolves from the process environment and `BOWLINE_CONFIG` (default
    /// `/etc/bowline/config.toml`, which need not exist).
    ///
    /// # Errors
    /// As [`Settings::resolve`]; a file named by the variable must exist.
    pub fn from_process(flags: &Flags) -> Result<Self, ConfigError> {
        let named = std::env::var_os("BOWLINE_CONFIG").map(PathBuf::from);
        let path = named
            .clone()
            .unwrap_or_else(|| "/etc/bowline/config.toml".into());
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => None,
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        Self::resolve(flags, &process_variable, file)
    }
}

/// Proxy variables are customarily lower-case; both spellings count, the lower-case one first.
fn process_variable(name: &str) -> Option<String> {
    let lower = name
        .ends_with("_PROXY")
        .then(|| std::env::var(name.to_lowercase()).ok())
        .flatten();
    lower
        .or_else(|| std::env::var(name).ok())
        .filter(|text| !text.is_empty())
}

type FromFile = (PathBuf, BTreeMap<String, String>);

fn read_file((path, text): (PathBuf, String)) -> Result<FromFile, ConfigError> {
    let table: toml::Table =
        text.parse()
            .map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: path.clone(),
                message: error.to_string(),
            })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(setting) = TABLE.iter().find(|setting| setting.key == key) else {
            let known = TABLE
                .iter()
                .map(|setting| setting.key)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(ConfigError::UnknownKey { path, key, known });
        };
        let text = text_of(&value).ok_or_else(|| ConfigError::Value {
            key: setting.key,
            value: value.to_string(),
            origin: path.display().to_string(),
            reason: "must be a string, an integer, a boolean or a list of strings".into(),
        })?;
        values.insert(key, text);
    }
    Ok((path, values))
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

fn effective(
    setting: &'static Setting,
    flags: &Flags,
    environment: &dyn Fn(&str) -> Option<String>,
    file: Option<&FromFile>,
) -> Effective {
    let (value, origin) = if let Some(value) = flags.get(setting.key) {
        (value.clone(), Origin::Flag)
    } else if let Some(value) = environment(setting.variable) {
        (value, Origin::Environment(setting.variable.into()))
    } else if let Some((path, value)) =
        file.and_then(|(path, values)| Some((path, values.get(setting.key)?)))
    {
        (value.clone(), Origin::File(path.clone()))
    } else {
        (String::new(), Origin::Default)
    };
    Effective {
        key: setting.key,
        value,
        origin,
        doc: setting.doc,
    }
}

fn value<'a>(effective: &'a [Effective], key: &str) -> &'a Effective {
    let found = effective.iter().find(|entry| entry.key == key);
    // Every key asked for here is a row of the table, and `effective` has one entry a row.
    found.unwrap_or(&effective[0])
}

fn or_default(effective: &mut [Effective], key: &str, default: &str) -> String {
    let Some(entry) = effective.iter_mut().find(|entry| entry.key == key) else {
        return default.into();
    };
    if entry.value.is_empty() {
        entry.value = default.into();
    }
    entry.value.clone()
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(Into::into)
        .collect()
}

fn wrong(entry: &Effective, reason: &str) -> ConfigError {
    ConfigError::Value {
        key: entry.key,
        value: entry.value.clone(),
        origin: match &entry.origin {
            Origin::Default => "the default".into(),
            Origin::File(path) => path.display().to_string(),
            Origin::Environment(variable) => format!("${variable}"),
            Origin::Flag => "a flag".into(),
        },
        reason: reason.into(),
    }
}

fn seconds(effective: &mut [Effective]) -> Result<Duration, ConfigError> {
    let text = or_default(effective, "idle_timeout", "60");
    let parsed = text.parse::<u64>().map(Duration::from_secs);
    parsed.map_err(|_| wrong(value(effective, "idle_timeout"), "must be whole seconds"))
}

fn truth(effective: &mut [Effective]) -> Result<bool, ConfigError> {
    match or_default(effective, "revive", "true").as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(value(effective, "revive"), "must be true or false")),
    }
}

fn cgroup_parent(effective: &mut [Effective], tag: &Tag) -> Result<String, ConfigError> {
    let text = or_default(effective, "cgroup_parent", &format!("/bowline-{tag}"));
    let sound = text.len() > 1
        && text.starts_with('/')
        && text[1..]
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if sound {
        return Ok(text);
    }
    Err(wrong(
        value(effective, "cgroup_parent"),
        "must be an absolute path below the root cgroup",
    ))
}

fn interface_prefix(effective: &mut [Effective], tag: &Tag) -> Result<String, ConfigError> {
    let text = or_default(effective, "interface_prefix", &format!("bl{tag}"));
    if (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(text);
    }
    Err(wrong(
        value(effective, "interface_prefix"),
        "must be one to six letters or digits",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], file: &str) -> Result<Settings, ConfigError> {
        let variables: BTreeMap<String, String> = variables
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Settings::resolve(
            &Flags::new(),
            &|name| variables.get(name).cloned(),
            Some(("c.toml".into(), file.into())),
        )
    }

    #[test]
    fn environment_beats_the_file_and_both_beat_the_default() {
        let settings = resolve(
            &[("BOWLINE_IDLE_TIMEOUT", "5")],
            "idle_timeout = 7\nsubnet_pools = [\"10.9.0.0/16\", \"10.8.0.0/16\"]",
        )
        .unwrap();
        assert_eq!(settings.idle_timeout, Duration::from_secs(5));
        assert_eq!(settings.subnet_pools, ["10.9.0.0/16", "10.8.0.0/16"]);
        assert_eq!(settings.socket_group, "bowline");
        let origin = &value(&settings.effective, "idle_timeout").origin;
        assert_eq!(*origin, Origin::Environment("BOWLINE_IDLE_TIMEOUT".into()));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_lists_the_known_ones() {
        let error = resolve(&[], "idle = 7").unwrap_err().to_string();
        assert!(
            error.contains("unknown key `idle`") && error.contains("idle_timeout"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_value_names_its_origin() {
        let error = resolve(&[("BOWLINE_IDLE_TIMEOUT", "soon")], "")
            .unwrap_err()
            .to_string();
        assert!(error.contains("$BOWLINE_IDLE_TIMEOUT"), "{error}");
        assert!(!resolve(&[], "revive = false").unwrap().revive);
        assert!(resolve(&[("BOWLINE_REVIVE", "maybe")], "").is_err());
        assert!(resolve(&[], "cgroup_parent = \"/a/../b\"").is_err());
        assert!(resolve(&[], "interface_prefix = \"much-too-long\"").is_err());
    }

    #[test]
    fn two_pairs_of_roots_never_share_names() {
        let a = resolve(&[("BOWLINE_RUN_ROOT", "/run/a")], "").unwrap();
        let b = resolve(&[("BOWLINE_RUN_ROOT", "/run/b")], "").unwrap();
        assert_ne!(a.nft_table, b.nft_table);
        assert_ne!(a.cgroup_parent, b.cgroup_parent);
        assert_ne!(a.interface_prefix, b.interface_prefix);
    }
}
