//! What changed paths come to: pure, from rules and paths to things to do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bowline_compose::model::WatchAction;

use super::rules::Rule;

/// A file and its place in the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    /// Where it is here.
    pub(crate) host: PathBuf,
    /// Where it is in the container.
    pub(crate) inside: String,
    /// It is not here any more.
    pub(crate) gone: bool,
}

/// Things to do, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Services to build and replace. Nothing else is done to them: the image has the files.
    pub(crate) rebuild: BTreeSet<String>,
    /// Files to copy or delete, by service.
    pub(crate) sync: BTreeMap<String, BTreeSet<Change>>,
    /// Services to restart.
    pub(crate) restart: BTreeSet<String>,
    /// Rules whose command is to be run, by their place in the list.
    pub(crate) exec: BTreeSet<usize>,
}

impl Batch {
    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What changes of these paths ask for. `is_there` says whether a path exists now.
pub(crate) fn batch(
    rules: &[Rule],
    paths: &BTreeSet<PathBuf>,
    is_there: impl Fn(&Path) -> bool,
) -> Batch {
    let mut batch = Batch::default();
    for path in paths {
        let gone = !is_there(path);
        for (number, rule) in rules.iter().enumerate() {
            let Some(inside) = rule.place(path) else {
                continue;
            };
            // A watched root that is away for a moment must not empty the container.
            if gone && *path == rule.root {
                continue;
            }
            let service = rule.service.clone();
            match rule.action {
                WatchAction::Rebuild => {
                    batch.rebuild.insert(service);
                    continue;
                }
                WatchAction::Restart | WatchAction::SyncRestart => {
                    batch.restart.insert(service.clone());
                }
                WatchAction::SyncExec => {
                    batch.exec.insert(number);
                }
                WatchAction::Sync => {}
            }
            if rule.copies() {
                let host = path.clone();
                batch
                    .sync
                    .entry(service)
                    .or_default()
                    .insert(Change { host, inside, gone });
            }
        }
    }
    let rebuilt = &batch.rebuild;
    batch.sync.retain(|service, _| !rebuilt.contains(service));
    batch.restart.retain(|service| !rebuilt.contains(service));
    batch
        .exec
        .retain(|number| !rebuilt.contains(&rules[*number].service));
    batch
}

#[cfg(test)]
mod tests {
    use super::super::rules::rules;
    use super::super::rules::tests::{project, trigger};
    use super::*;

    fn world() -> Vec<Rule> {
        let triggers = vec![
            trigger(WatchAction::Sync, "/p/src", "/app"),
            trigger(WatchAction::SyncRestart, "/p/conf", "/etc/app"),
            trigger(WatchAction::SyncExec, "/p/site", "/srv"),
            trigger(WatchAction::Rebuild, "/p/deps.txt", ""),
            trigger(WatchAction::Restart, "/p/flag", ""),
        ];
        rules(&project(triggers, true), &[], |_| None).unwrap().0
    }

    fn of(paths: &[&str], gone: &[&str]) -> Batch {
        let all = paths.iter().chain(gone).map(PathBuf::from).collect();
        batch(&world(), &all, |path| {
            !gone.iter().any(|gone| path == Path::new(gone))
        })
    }

    fn inside(batch: &Batch) -> Vec<(String, bool)> {
        let changes = batch.sync.values().flatten();
        changes
            .map(|change| (change.inside.clone(), change.gone))
            .collect()
    }

    #[test]
    fn each_action_comes_to_its_own() {
        let sync = of(&["/p/src/a", "/p/src/b", "/p/elsewhere"], &["/p/src/c"]);
        assert_eq!(
            inside(&sync),
            [
                ("/app/a".into(), false),
                ("/app/b".into(), false),
                ("/app/c".into(), true)
            ]
        );
        assert!(sync.restart.is_empty() && sync.exec.is_empty());
        let restart = of(&["/p/conf/x"], &[]);
        assert_eq!((restart.restart.len(), inside(&restart).len()), (1, 1));
        let exec = of(&["/p/site/1", "/p/site/2"], &[]);
        assert_eq!(exec.exec, BTreeSet::from([2]));
        let only = of(&["/p/flag"], &[]);
        assert!(only.restart.contains("web") && only.sync.is_empty());
        assert!(of(&["/q"], &[]).is_empty());
    }

    #[test]
    fn a_service_that_is_rebuilt_is_not_touched_before() {
        let batch = of(&["/p/deps.txt", "/p/src/a", "/p/conf/x", "/p/site/1"], &[]);
        assert_eq!(batch.rebuild, BTreeSet::from(["web".to_owned()]));
        assert!(batch.sync.is_empty() && batch.restart.is_empty() && batch.exec.is_empty());
    }

    #[test]
    fn a_root_that_is_away_deletes_nothing() {
        assert!(of(&[], &["/p/src"]).is_empty());
    }
}
