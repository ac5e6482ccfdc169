//! What `develop.watch` asks for, service by service.

use std::path::{Component, Path, PathBuf};

use bowline_compose::model::{Hook, MountKind, Project, Service, Trigger, WatchAction};
use thiserror::Error;

use super::pattern::{PatternError, Patterns};

/// Files that editors and tools make for a moment.
const PASSING: &[&str] = &[
    "**/.git",
    "**/*~",
    "**/4913",
    "**/.*.sw?",
    "**/.*.swpx",
    "**/.#*",
    "**/#*#",
    "**/*___jb_tmp___",
    "**/*___jb_old___",
    "**/.idea",
    "**/.*.kate-swp",
    "**/*-go-tmp-umask",
];

/// Why a project cannot be watched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RuleError {
    /// No rule anywhere.
    #[error("none of the services has a `develop.watch` section")]
    None,
    /// A pattern of a rule.
    #[error("service `{service}`: watch rule {}", rule + 1)]
    Pattern {
        /// The service.
        service: String,
        /// Which of its rules, from 0.
        rule: usize,
        /// What is wrong.
        #[source]
        source: PatternError,
    },
    /// Its `.dockerignore`.
    #[error("service `{service}`: its `.dockerignore`")]
    Dockerignore {
        /// The service.
        service: String,
        /// What is wrong.
        #[source]
        source: PatternError,
    },
    /// There is nothing to build.
    #[error("service `{service}` is to be rebuilt when files change, but has no `build` section")]
    NothingToBuild {
        /// The service.
        service: String,
    },
    /// There is no place to copy to.
    #[error("service `{service}`: watch rule {} copies files, but has no `target`", rule + 1)]
    NoTarget {
        /// The service.
        service: String,
        /// Which of its rules, from 0.
        rule: usize,
    },
}

/// One rule of one service.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The service.
    pub(crate) service: String,
    /// What is done.
    pub(crate) action: WatchAction,
    /// The file or folder that is watched.
    pub(crate) root: PathBuf,
    /// Where it is in the container.
    pub(crate) target: String,
    /// What runs after `sync+exec`.
    pub(crate) exec: Hook,
    /// Everything is copied at the start.
    pub(crate) initial_sync: bool,
    ignore: Patterns,
    include: Patterns,
    /// The folder that is built from, and what its `.dockerignore` leaves out.
    context: Option<(PathBuf, Patterns)>,
    passing: Patterns,
}

/// The rules of these services, all if none is named, and warnings. `read` gives the text of a file, if it is there.
pub(crate) fn rules(
    project: &Project,
    services: &[String],
    read: impl Fn(&Path) -> Option<String>,
) -> Result<(Vec<Rule>, Vec<String>), RuleError> {
    let mut rules = Vec::new();
    let mut warnings = Vec::new();
    let chosen = project
        .services
        .iter()
        .filter(|(name, _)| services.is_empty() || services.contains(name));
    for (name, service) in chosen {
        let Some(develop) = &service.develop else {
            continue;
        };
        let context = context(name, service, &read)?;
        for (index, trigger) in develop.watch.iter().enumerate() {
            if let Some(source) = mounted(service, trigger) {
                warnings.push(format!(
                    "service `{name}` mounts `{source}`, so `{}` is not watched: it is in the container already",
                    trigger.path
                ));
                continue;
            }
            rules.push(rule(name, service, index, trigger, context.clone())?);
        }
    }
    match rules.is_empty() && warnings.is_empty() {
        true => Err(RuleError::None),
        false => Ok((rules, warnings)),
    }
}

/// The bind mount that brings the path into the container anyway.
fn mounted<'s>(service: &'s Service, trigger: &Trigger) -> Option<&'s str> {
    let binds = service
        .volumes
        .iter()
        .filter(|mount| mount.kind == MountKind::Bind);
    let mut sources = binds.filter_map(|mount| mount.source.as_deref());
    sources.find(|source| {
        trigger.action != WatchAction::Rebuild && Path::new(&trigger.path).starts_with(source)
    })
}

fn context(
    name: &str,
    service: &Service,
    read: impl Fn(&Path) -> Option<String>,
) -> Result<Option<(PathBuf, Patterns)>, RuleError> {
    let Some(build) = &service.build else {
        return Ok(None);
    };
    // A context that is a reference has no files here.
    let Some(folder) = build
        .context
        .as_deref()
        .filter(|context| context.starts_with('/'))
    else {
        return Ok(None);
    };
    let folder = PathBuf::from(folder);
    let dockerfile = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let own = folder.join(format!("{dockerfile}.dockerignore"));
    let text = read(&own).or_else(|| read(&folder.join(".dockerignore")));
    let patterns = Patterns::of_file(&text.unwrap_or_default());
    let patterns = patterns.map_err(|source| RuleError::Dockerignore {
        service: name.to_owned(),
        source,
    })?;
    Ok(Some((folder, patterns)))
}

fn rule(
    name: &str,
    service: &Service,
    index: usize,
    trigger: &Trigger,
    context: Option<(PathBuf, Patterns)>,
) -> Result<Rule, RuleError> {
    let name = name.to_owned();
    if trigger.action == WatchAction::Rebuild && service.build.is_none() {
        return Err(RuleError::NothingToBuild { service: name });
    }
    let copies = !matches!(trigger.action, WatchAction::Rebuild | WatchAction::Restart);
    let target = trigger.target.clone().unwrap_or_default();
    if copies && target.is_empty() {
        return Err(RuleError::NoTarget {
            service: name,
            rule: index,
        });
    }
    let patterns = |list: &[String]| {
        Patterns::new(list.iter().map(String::as_str)).map_err(|source| RuleError::Pattern {
            service: name.clone(),
            rule: index,
            source,
        })
    };
    Ok(Rule {
        action: trigger.action,
        root: PathBuf::from(&trigger.path),
        target,
        exec: trigger.exec.clone(),
        initial_sync: trigger.initial_sync && copies,
        ignore: patterns(&trigger.ignore)?,
        include: patterns(&trigger.include)?,
        context,
        passing: Patterns::new(PASSING.iter().copied()).unwrap_or_default(),
        service: name,
    })
}

impl Rule {
    /// Whether files are copied.
    pub(crate) fn copies(&self) -> bool {
        !matches!(self.action, WatchAction::Rebuild | WatchAction::Restart)
    }

    /// Where a file goes in the container, if a change of it matters to this rule.
    pub(crate) fn place(&self, path: &Path) -> Option<String> {
        let inner = path.strip_prefix(&self.root).ok()?;
        let wanted =
            self.include.is_empty() || inner.as_os_str().is_empty() || self.include.matches(inner);
        (wanted && !self.ignores(path)).then(|| join(&self.target, inner))
    }

    /// Whether a path is left out by a pattern.
    fn ignores(&self, path: &Path) -> bool {
        let Ok(inner) = path.strip_prefix(&self.root) else {
            return true;
        };
        // Whoever names a single file means that file.
        if inner.as_os_str().is_empty() {
            return false;
        }
        let built = self.context.as_ref().and_then(|(folder, patterns)| {
            let inner = path.strip_prefix(folder).ok()?;
            Some(patterns.matches(inner))
        });
        self.ignore.matches(inner) || self.passing.matches(inner) || built == Some(true)
    }

    /// Whether nothing in a folder matters, so that it need not be watched.
    pub(crate) fn skips(&self, folder: &Path) -> bool {
        let Ok(inner) = folder.strip_prefix(&self.root) else {
            return true;
        };
        if inner.as_os_str().is_empty() {
            return false;
        }
        let built = self.context.as_ref().is_some_and(|(context, patterns)| {
            let inner = folder.strip_prefix(context);
            inner.is_ok_and(|inner| patterns.covers(inner))
        });
        self.ignore.covers(inner) || self.passing.covers(inner) || built
    }
}

/// `target/inner`, with slashes; a target that ends in one is the same folder.
fn join(target: &str, inner: &Path) -> String {
    let mut out = target.trim_end_matches('/').to_owned();
    for part in inner.components() {
        if let Component::Normal(part) = part {
            out.push('/');
            out.push_str(&part.to_string_lossy());
        }
    }
    if out.is_empty() { "/".to_owned() } else { out }
}

#[cfg(test)]
pub(super) mod tests {
    use bowline_compose::model::{Build, Develop};

    use super::*;

    /// A project with one service that has these rules, and a `.dockerignore`.
    pub(crate) fn project(triggers: Vec<Trigger>, build: bool) -> Project {
        let service = Service {
            name: "web".into(),
            develop: Some(Develop {
                watch: triggers,
                ..Develop::default()
            }),
            build: build.then(|| Build {
                context: Some("/p".into()),
                ..Build::default()
            }),
            ..Service::default()
        };
        let mut project = Project::default();
        project.services.insert("web".into(), service);
        project
    }

    pub(crate) fn trigger(action: WatchAction, path: &str, target: &str) -> Trigger {
        Trigger {
            path: path.into(),
            action,
            target: (!target.is_empty()).then(|| target.into()),
            exec: Hook::default(),
            include: Vec::new(),
            ignore: Vec::new(),
            initial_sync: false,
            extensions: std::collections::BTreeMap::new(),
        }
    }

    fn one(trigger: Trigger) -> Rule {
        let read =
            |path: &Path| (path == Path::new("/p/.dockerignore")).then(|| "dist\n".to_owned());
        rules(&project(vec![trigger], true), &[], read)
            .unwrap()
            .0
            .remove(0)
    }

    #[test]
    fn a_file_has_its_place_below_the_target() {
        let rule = one(trigger(WatchAction::Sync, "/p/src", "/app/src/"));
        let place = |path: &str| rule.place(Path::new(path));
        assert_eq!(place("/p/src/a/b.py").unwrap(), "/app/src/a/b.py");
        assert_eq!(place("/p/other/b.py"), None);
        assert_eq!(place("/p/srcs/b.py"), None);
        let file = one(trigger(WatchAction::Sync, "/p/app.conf", "/etc/app.conf"));
        assert_eq!(
            file.place(Path::new("/p/app.conf")).unwrap(),
            "/etc/app.conf"
        );
    }

    #[test]
    fn what_is_left_out_has_no_place() {
        let mut wish = trigger(WatchAction::Sync, "/p", "/app");
        wish.ignore = vec!["node_modules/".into()];
        wish.include = vec!["**/*.js".into(), "dist/**".into()];
        let rule = one(wish);
        assert!(rule.place(Path::new("/p/a/b.js")).is_some());
        for path in [
            "/p/a.py",
            "/p/node_modules/x.js",
            "/p/dist/x.js",
            "/p/.git/x.js",
            "/p/a/.b.js.swp",
            "/p/x.js~",
        ] {
            assert_eq!(rule.place(Path::new(path)), None, "{path}");
        }
        assert!(rule.skips(Path::new("/p/node_modules")) && rule.skips(Path::new("/p/dist")));
        assert!(!rule.skips(Path::new("/p/src")) && !rule.skips(Path::new("/p")));
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        let refused = |project: &Project| rules(project, &[], |_| None).unwrap_err().to_string();
        let rebuild = trigger(WatchAction::Rebuild, "/p", "");
        assert!(refused(&project(vec![rebuild], false)).contains("no `build` section"));
        let sync = trigger(WatchAction::Sync, "/p", "");
        assert!(refused(&project(vec![sync], false)).contains("watch rule 1"));
        assert!(refused(&Project::default()).contains("develop.watch"));
        let named = rules(
            &project(vec![trigger(WatchAction::Sync, "/p", "/a")], true),
            &["db".into()],
            |_| None,
        );
        assert_eq!(named.unwrap_err(), RuleError::None);
    }
}
