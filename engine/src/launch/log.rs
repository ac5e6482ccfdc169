//! What a container's logging options ask of its shim. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use bowline_api::LogConfig;
use bowline_runtime::LogPlan;
use regex::Regex;

use crate::record::ContainerRecord;

/// Options that select what every line carries beside its text.
const CARRIED: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];
/// Of `mode: non-blocking`.
const BUFFER: &str = "max-buffer-size";

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// JSON lines, as Docker writes them, uncompressed and without an end unless told otherwise.
    JsonFile,
    /// The same lines, by default compressed and in five files of 20 MB: Docker's `local` has a form that only its
    /// daemon reads, so the limits are what its users choose it for.
    Local,
    /// Nowhere.
    None,
}

/// Why logging options are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogOptionError {
    /// A driver that sends logs elsewhere.
    #[error("log driver `{0}` is not supported yet; use json-file, local or none")]
    Driver(String),
    /// An option of no driver, or of another.
    #[error("unknown log opt '{option}' for {driver} log driver")]
    Unknown { option: String, driver: String },
    /// A value that is none.
    #[error("invalid value `{value}` of log option {option}: {wanted}")]
    Value {
        option: &'static str,
        value: String,
        wanted: &'static str,
    },
    /// A pattern that is none, or a tag with a part that is not known.
    #[error("invalid log option {option}: {reason}")]
    Text {
        option: &'static str,
        reason: String,
    },
    /// Several files of a log that never ends.
    #[error("max-file needs max-size: a log without a size has one file")]
    FilesWithoutSize,
    /// Compressing what is never put aside.
    #[error("compress needs max-size and a max-file of at least 2")]
    NothingToCompress,
}

impl Driver {
    /// By its name; none means `json-file`.
    ///
    /// # Errors
    /// [`LogOptionError::Driver`].
    pub(crate) fn named(name: &str) -> Result<Self, LogOptionError> {
        match name {
            "" | "json-file" => Ok(Self::JsonFile),
            "local" => Ok(Self::Local),
            "none" => Ok(Self::None),
            other => Err(LogOptionError::Driver(other.into())),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::None => "none",
        }
    }
}

/// A log's options, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) driver: Driver,
    max_size: Option<u64>,
    max_file: u32,
    compress: bool,
}

impl Options {
    /// Reads and checks them.
    ///
    /// # Errors
    /// See [`LogOptionError`].
    pub(crate) fn read(config: &LogConfig) -> Result<Self, LogOptionError> {
        let driver = Driver::named(&config.kind)?;
        let known = |option: &str| {
            let file = ["max-size", "max-file", "compress"].contains(&option);
            let anywhere = ["mode", BUFFER].contains(&option);
            match driver {
                Driver::JsonFile => file || anywhere || CARRIED.contains(&option),
                Driver::Local => file || anywhere,
                // Docker does not look at the options of a log that is not kept.
                Driver::None => true,
            }
        };
        if let Some(option) = config.config.keys().find(|option| !known(option)) {
            return Err(LogOptionError::Unknown {
                option: option.clone(),
                driver: driver.name().into(),
            });
        }
        check_mode(config)?;
        let (size, files, compress) = match driver {
            Driver::Local => (Some(20 << 20), 5, true),
            Driver::JsonFile | Driver::None => (None, 1, false),
        };
        let text = |option: &str| config.config.get(option).map(String::as_str);
        let max_size = match text("max-size") {
            None => size,
            Some("-1") => None,
            Some(given) => Some(
                super::size(given)
                    .filter(|size| *size > 0)
                    .ok_or_else(|| wrong("max-size", given, "a size such as 10m"))?,
            ),
        };
        let max_file = match text("max-file") {
            None => files,
            Some(given) => (given.parse().ok().filter(|files| *files > 0))
                .ok_or_else(|| wrong("max-file", given, "a number from 1 on"))?,
        };
        let asked = match text("compress") {
            None => None,
            Some(given) => {
                Some(flag(given).ok_or_else(|| wrong("compress", given, "true or false"))?)
            }
        };
        if max_size.is_none() && text("max-file").is_some() && max_file > 1 {
            return Err(LogOptionError::FilesWithoutSize);
        }
        let rotates = max_size.is_some() && max_file > 1;
        if asked == Some(true) && !rotates {
            return Err(LogOptionError::NothingToCompress);
        }
        Ok(Self {
            driver,
            max_size,
            max_file,
            compress: asked.unwrap_or(compress) && rotates,
        })
    }
}

/// A shim never lets a container wait long for its log, so both modes are served by the same queue.
fn check_mode(config: &LogConfig) -> Result<(), LogOptionError> {
    let mode = config.config.get("mode").map_or("", String::as_str);
    if !["", "blocking", "non-blocking"].contains(&mode) {
        return Err(wrong("mode", mode, "blocking or non-blocking"));
    }
    match config.config.get(BUFFER) {
        Some(given) if super::size(given).is_none() => Err(wrong(BUFFER, given, "a size")),
        _ => Ok(()),
    }
}

fn wrong(option: &'static str, value: &str, wanted: &'static str) -> LogOptionError {
    LogOptionError::Value {
        option,
        value: value.into(),
        wanted,
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The shim's instructions for a container whose files lie in `folder`.
///
/// # Errors
/// See [`LogOptionError`].
pub(crate) fn plan(record: &ContainerRecord, folder: &Path) -> Result<LogPlan, LogOptionError> {
    let options = Options::read(&record.host.log_config)?;
    Ok(match options.driver {
        Driver::None => LogPlan::None,
        Driver::JsonFile | Driver::Local => LogPlan::JsonFile {
            path: folder.join(format!("{}-json.log", record.id)),
            max_size: options.max_size,
            max_file: options.max_file,
            compress: options.compress,
            attrs: carried(record)?,
        },
    })
}

/// What each line carries: labels and variables that were named, and a tag.
fn carried(record: &ContainerRecord) -> Result<BTreeMap<String, String>, LogOptionError> {
    let options = &record.host.log_config.config;
    let labels = Chosen::read(options, "labels", "labels-regex")?;
    let variables = Chosen::read(options, "env", "env-regex")?;
    let entries = (record.config.env.iter()).filter_map(|entry| entry.split_once('='));
    let entries = entries.filter(|(name, _)| variables.has(name));
    let mut carried: BTreeMap<String, String> = (record.config.labels.iter())
        .filter(|(name, _)| labels.has(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain(entries.map(|(name, value)| (name.into(), value.into())))
        .collect();
    if let Some(template) = options.get("tag").filter(|text| !text.is_empty()) {
        carried.insert("tag".into(), tag(template, record)?);
    }
    Ok(carried)
}

/// Names that a list or a pattern selects.
struct Chosen<'o> {
    listed: Vec<&'o str>,
    pattern: Option<Regex>,
}

impl<'o> Chosen<'o> {
    fn read(
        options: &'o BTreeMap<String, String>,
        list: &str,
        pattern: &'static str,
    ) -> Result<Self, LogOptionError> {
        let listed = options.get(list).map_or("", String::as_str).split(',');
        let text = options.get(pattern).filter(|text| !text.is_empty());
        let compiled = text.map(|text| Regex::new(text)).transpose();
        Ok(Self {
            listed: listed.filter(|name| !name.is_empty()).collect(),
            pattern: compiled.map_err(|error| LogOptionError::Text {
                option: pattern,
                reason: error.to_string(),
            })?,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.listed.contains(&name) || self.pattern.as_ref().is_some_and(|one| one.is_match(name))
    }
}

/// The parts that Docker's templates know; anything else between braces is refused rather than printed.
fn tag(template: &str, record: &ContainerRecord) -> Result<String, LogOptionError> {
    let short = |id: &str| id.trim_start_matches("sha256:").chars().take(12).collect();
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let unknown = || LogOptionError::Text {
            option: "tag",
            reason: format!(
                "`{template}` is not a template of ID, FullID, Name, ImageID, ImageFullID, ImageName or DaemonName"
            ),
        };
        let (part, later) = after.split_once("}}").ok_or_else(unknown)?;
        text.push_str(before);
        text.push_str(&match part.trim() {
            ".ID" => short(&record.id),
            ".FullID" => record.id.clone(),
            ".Name" => record.name.clone(),
            ".ImageID" => short(&record.image),
            ".ImageFullID" => record.image.clone(),
            ".ImageName" => record.config.image.clone(),
            ".DaemonName" => "bowline".to_owned(),
            _ => return Err(unknown()),
        });
        rest = later;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: &str, options: &[(&str, &str)]) -> LogConfig {
        let options = options.iter();
        LogConfig {
            kind: kind.into(),
            config: (options.map(|(key, value)| ((*key).into(), (*value).into()))).collect(),
        }
    }

    #[test]
    fn each_driver_has_its_defaults() {
        let read = |kind, options: &[_]| Options::read(&config(kind, options)).unwrap();
        let plain = read("", &[]);
        assert_eq!(
            (plain.max_size, plain.max_file, plain.compress),
            (None, 1, false)
        );
        let local = read("local", &[]);
        assert_eq!(
            (local.max_size, local.max_file, local.compress),
            (Some(20 << 20), 5, true)
        );
        let own = read("local", &[("max-size", "1k"), ("compress", "false")]);
        assert_eq!(
            (own.max_size, own.max_file, own.compress),
            (Some(1024), 5, false)
        );
        let one = read("local", &[("max-file", "1")]);
        assert!(!one.compress, "one file is never put aside");
    }

    #[test]
    fn what_cannot_be_right_is_refused_by_name() {
        for (kind, options, word) in [
            ("syslog", &[][..], "syslog"),
            ("json-file", &[("max-sise", "1m")], "max-sise"),
            ("json-file", &[("max-size", "much")], "much"),
            ("json-file", &[("max-file", "0")], "from 1 on"),
            ("json-file", &[("max-file", "3")], "needs max-size"),
            ("json-file", &[("compress", "true")], "max-file"),
            ("json-file", &[("mode", "fast")], "non-blocking"),
            ("local", &[("labels", "a")], "labels"),
        ] {
            let error = Options::read(&config(kind, options)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_line_carries_what_was_named() {
        let mut record = ContainerRecord {
            id: "0123456789abcdef".into(),
            name: "web".into(),
            ..ContainerRecord::default()
        };
        record.config.env = ["TOKEN=secret", "STAGE=test"].map(String::from).to_vec();
        record.config.labels = [("team", "a"), ("com.x", "b"), ("other", "c")]
            .map(|(key, value)| (key.into(), value.into()))
            .into_iter()
            .collect();
        record.host.log_config = config(
            "json-file",
            &[
                ("labels", "team,absent"),
                ("labels-regex", "^com\\."),
                ("env", "STAGE"),
                ("tag", "{{.Name}}/{{ .ID }}"),
            ],
        );
        let found = carried(&record).unwrap();
        let found: Vec<_> = (found.iter())
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            found,
            ["STAGE=test", "com.x=b", "tag=web/0123456789ab", "team=a"]
        );
        record.host.log_config = config("json-file", &[("tag", "{{.Secret}}")]);
        assert!(carried(&record).is_err());
    }
}
