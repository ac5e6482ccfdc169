//! Cases as files: what is given, and what has to come out of it.
//!
//! ```text
//! # what the case shows
//! args: --profile dev          (optional: -f, -p, --profile, --env-file, --project-directory)
//! env: FOO=foo BAR=bar         (optional)
//! oracle: accepts, because ... (optional: a deliberate difference to Docker Compose)
//! --- compose.yaml
//! services: ...
//! === json                     (or: errors; warnings; refused, what loads and cannot be run)
//! ...
//! === compose                  (optional: the last line of what Docker Compose says)
//! ...
//! ```

#![expect(clippy::unwrap_used, reason = "a broken case has to stop the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bowline_compose::load::{MemoryFiles, Options};
use bowline_compose::{Env, Faults, Loaded, load};

/// The folder that a case's files lie in. `/work/` above it is needed by cases that look upwards.
pub(crate) const ROOT: &str = "/srv/project";

/// One case.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The file and its head, for whoever writes it anew.
    pub(crate) origin: (PathBuf, String),
    pub(crate) args: Vec<String>,
    pub(crate) env: Env,
    pub(crate) oracle: Option<String>,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) expected: BTreeMap<String, String>,
    /// What Docker Compose says instead, to stand beside ours.
    pub(crate) theirs: Option<String>,
}

/// Every case of the folder.
pub(crate) fn cases() -> Vec<Case> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose-specs/cases");
    let folder = std::env::var_os("BOWLINE_CASES").map_or(ours, PathBuf::from);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut case = Case::parse(&name, &text);
    case.origin.0 = path.to_owned();
    case
}

impl Case {
    /// A case from its text.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let mut case = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        let mut section: Option<String> = None;
        let mut body = String::new();
        for line in text.split_inclusive('\n') {
            if let Some(name) = line
                .strip_prefix("--- ")
                .or_else(|| line.strip_prefix("=== "))
            {
                case.close(section.take(), std::mem::take(&mut body));
                section = Some(format!("{}{}", &line[..1], name.trim_end()));
            } else {
                body.push_str(line);
            }
        }
        case.close(section, body);
        case
    }

    fn close(&mut self, section: Option<String>, body: String) {
        match section {
            None => self.header(body),
            Some(section) if section.starts_with('-') => {
                self.files.push((section[1..].to_owned(), body));
            }
            Some(section) if section == "=compose" => {
                self.theirs = Some(body.trim_end().to_owned());
            }
            Some(section) => {
                self.expected
                    .insert(section[1..].to_owned(), body.trim_end().to_owned());
            }
        }
    }

    fn header(&mut self, text: String) {
        for line in text.lines() {
            let words = |rest: &str| {
                rest.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            match line.split_once(": ") {
                Some(("args", rest)) => self.args = words(rest),
                Some(("env", rest)) => {
                    let pairs = words(rest);
                    self.env = pairs
                        .iter()
                        .filter_map(|pair| pair.split_once('='))
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .collect();
                }
                Some(("oracle", rest)) => self.oracle = Some(rest.to_owned()),
                _ => assert!(
                    line.starts_with('#') || line.is_empty(),
                    "{}: {line}",
                    self.name
                ),
            }
        }
        self.origin.1 = text;
    }

    /// What `config` prints for a case that loads.
    pub(crate) fn yaml(&self) -> String {
        self.load()
            .map(|loaded| bowline_compose::print::yaml(&loaded.project))
            .unwrap_or_default()
    }

    fn load(&self) -> Result<Loaded, Faults> {
        let mut files = MemoryFiles::default();
        for (name, text) in &self.files {
            let path = if name.starts_with('/') || name == "-" {
                name.clone()
            } else {
                format!("{ROOT}/{name}")
            };
            files = files.with(path, text.clone());
        }
        let mut env = self.env.clone();
        env.insert("HOME".to_owned(), "/root".to_owned());
        let options = self.options();
        load(&files, &env, &options)
    }

    /// What comes out, by the names of the expected sections.
    pub(crate) fn actual(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        match self.load() {
            Ok(loaded) => {
                let json = bowline_compose::print::json(&loaded.project);
                out.insert("json".to_owned(), json.trim_end().to_owned());
                let refused = loaded.render_refusals(false);
                if !refused.is_empty() {
                    out.insert("refused".to_owned(), refused.trim_end().to_owned());
                }
                let warnings = loaded.render_warnings(false);
                if !warnings.is_empty() {
                    out.insert("warnings".to_owned(), warnings.trim_end().to_owned());
                }
            }
            Err(faults) => {
                out.insert(
                    "errors".to_owned(),
                    faults.render(false).trim_end().to_owned(),
                );
            }
        }
        out
    }

    fn options(&self) -> Options {
        let mut options = Options {
            cwd: ROOT.to_owned(),
            ..Options::default()
        };
        let mut args = self.args.iter().cloned();
        while let Some(flag) = args.next() {
            let value = args.next().unwrap();
            match flag.as_str() {
                "-f" => options.files.push(value),
                "-p" => options.project_name = Some(value),
                "--profile" => options.profiles.push(value),
                "--env-file" => options.env_files.push(value),
                "--project-directory" => options.project_directory = Some(value),
                other => panic!("{}: unknown argument {other}", self.name),
            }
        }
        options
    }
}
