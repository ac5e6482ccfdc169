//! Changes of files, gathered until it is quiet for a moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::rules::Rule;

/// A batch ends when nothing happened for so long: an editor's save is several steps.
const QUIET: Duration = Duration::from_millis(8);
/// A batch ends after so long in any case.
const LONGEST: Duration = Duration::from_millis(150);

/// What the kernel told.
enum Told {
    Paths(Vec<PathBuf>),
    /// It told less than happened.
    Lost,
}

/// Watches what rules are about. Folders are watched one by one, so that what is ignored costs nothing.
pub(crate) struct Source {
    watcher: RecommendedWatcher,
    told: mpsc::UnboundedReceiver<Told>,
    folders: BTreeSet<PathBuf>,
    rules: Vec<Rule>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Source")
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

/// Reading and looking are not changes.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

impl Source {
    /// Watches from now on; what happens once this has returned is not missed.
    pub(crate) fn open(rules: &[Rule]) -> Result<Self, notify::Error> {
        let (sender, told) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: Result<Event, notify::Error>| {
            let told = match event {
                Ok(event) if event.need_rescan() => Told::Lost,
                Ok(event) if is_change(event.kind) => Told::Paths(event.paths),
                Ok(_) => return,
                Err(_) => Told::Lost,
            };
            // Nobody listens any more when the command ends.
            let _ended = sender.send(told);
        })?;
        let mut source = Self {
            watcher,
            told,
            folders: BTreeSet::new(),
            rules: rules.to_vec(),
        };
        for rule in rules {
            source.add_root(&rule.root)?;
        }
        Ok(source)
    }

    /// A single file is watched through its folder, since editors replace it by another.
    fn add_root(&mut self, root: &Path) -> Result<(), notify::Error> {
        if root.is_dir() {
            self.add(root, &mut BTreeSet::new());
            return match self.folders.contains(root) {
                true => Ok(()),
                false => Err(notify::Error::path_not_found().add_path(root.to_owned())),
            };
        }
        let folder = root.parent().unwrap_or(root);
        if self.folders.insert(folder.to_owned()) {
            self.watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(())
    }

    /// Watches a folder and those in it, and gathers their files. A folder that is gone again is no fault.
    fn add(&mut self, folder: &Path, files: &mut BTreeSet<PathBuf>) {
        let skipped = |rule: &Rule| rule.skips(folder);
        if self.rules.iter().all(skipped) {
            return;
        }
        if !self.folders.contains(folder) {
            if self
                .watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .is_err()
            {
                return;
            }
            self.folders.insert(folder.to_owned());
        }
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Links are copied, not followed.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path(), files);
            } else {
                files.insert(entry.path());
            }
        }
    }

    /// The files there are under the roots of rules.
    pub(crate) fn all(&mut self, wanted: impl Fn(&Rule) -> bool) -> BTreeSet<PathBuf> {
        let roots: Vec<PathBuf> = self
            .rules
            .iter()
            .filter(|rule| wanted(rule))
            .map(|rule| rule.root.clone())
            .collect();
        let mut files = BTreeSet::new();
        for root in roots {
            if root.is_dir() {
                self.add(&root, &mut files);
            } else {
                files.insert(root);
            }
        }
        files
    }

    /// The next paths that changed. May be dropped at any await: what was heard is kept by the caller.
    pub(crate) async fn next(&mut self, changed: &mut BTreeSet<PathBuf>) {
        if changed.is_empty() {
            let first = self.told.recv().await;
            self.take(first, changed);
        }
        let end = Instant::now() + LONGEST;
        loop {
            let pause = end.min(Instant::now() + QUIET);
            match tokio::time::timeout_at(pause, self.told.recv()).await {
                Ok(told) => self.take(told, changed),
                Err(_quiet) => return,
            }
            if Instant::now() >= end {
                return;
            }
        }
    }

    fn take(&mut self, told: Option<Told>, changed: &mut BTreeSet<PathBuf>) {
        match told {
            None => {}
            Some(Told::Lost) => changed.extend(self.all(|_| true)),
            Some(Told::Paths(paths)) => {
                for path in paths {
                    let is_folder =
                        std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
                    if is_folder {
                        // Its files may have come before anybody watched it.
                        let known = self.folders.contains(&path);
                        let mut files = BTreeSet::new();
                        self.add(&path, &mut files);
                        if !known {
                            changed.extend(files);
                            changed.insert(path);
                        }
                    } else {
                        if self.folders.remove(&path) {
                            let _gone = self.watcher.unwatch(&path);
                        }
                        changed.insert(path);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bowline_compose::model::WatchAction;

    use super::super::rules::rules;
    use super::super::rules::tests::{project, trigger};
    use super::*;

    async fn heard(source: &mut Source, wanted: &Path) {
        let mut changed = BTreeSet::new();
        let waiting = async {
            while !changed.contains(wanted) {
                source.next(&mut changed).await;
                if !changed.contains(wanted) {
                    changed.clear();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap_or_else(|_| panic!("{} was not heard of", wanted.display()));
    }

    #[tokio::test]
    async fn files_in_new_folders_are_heard_of_and_ignored_folders_are_not_watched() {
        let folder = std::env::temp_dir().join(format!("bowline-watch-{}", std::process::id()));
        fs::create_dir_all(folder.join("node_modules/x")).unwrap();
        fs::create_dir_all(folder.join("src")).unwrap();
        let root = folder.to_str().unwrap();
        let mut sync = trigger(WatchAction::Sync, root, "/app");
        sync.ignore = vec!["node_modules".into()];
        let (rules, _) = rules(&project(vec![sync], false), &[], |_| None).unwrap();
        let mut source = Source::open(&rules).unwrap();
        assert!(
            !source
                .folders
                .iter()
                .any(|path| path.ends_with("node_modules"))
        );
        fs::write(folder.join("src/a"), "1").unwrap();
        heard(&mut source, &folder.join("src/a")).await;
        fs::create_dir_all(folder.join("src/deep/er")).unwrap();
        fs::write(folder.join("src/deep/er/b"), "1").unwrap();
        heard(&mut source, &folder.join("src/deep/er/b")).await;
        fs::write(folder.join("src/deep/er/c"), "1").unwrap();
        heard(&mut source, &folder.join("src/deep/er/c")).await;
        fs::remove_file(folder.join("src/a")).unwrap();
        heard(&mut source, &folder.join("src/a")).await;
        fs::write(folder.join("tmp"), "1").unwrap();
        fs::rename(folder.join("tmp"), folder.join("src/a")).unwrap();
        heard(&mut source, &folder.join("src/a")).await;
        assert!(source.all(|_| true).contains(&folder.join("src/deep/er/c")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
