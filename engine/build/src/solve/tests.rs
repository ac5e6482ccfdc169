//! Whole builds with a real store and processes that are plain functions.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use bowline_image::{HistoryRecord, ImageFile, Platform, Store};
use bowline_sys::overlay::Overlay;
use redb::backends::InMemoryBackend;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::builder::BuilderSettings;
use crate::graph::{
    Copy, CopySource, InlineFile, MakeDir, Mount, MountKind, Network, Run, Sharing, Source, Step,
    Target, Vertex,
};
use crate::progress::{Event, Stream};
use crate::run::{Canceller, Exit, RunError, RunFuture, RunMountKind, RunOutput, RunStep, Runner};

mod copies;
mod fresh;
mod runs;

/// Runs `write PATH TEXT`, `remove PATH`, `exit CODE`, `wait` and `say TEXT`, in the root it is given.
#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) steps: Mutex<Vec<RunStep>>,
}

impl Runner for Fake {
    fn run(&self, step: RunStep, output: RunOutput, mut cancel: Cancel) -> RunFuture {
        guard(&self.steps).push(step.clone());
        Box::pin(async move {
            if step.args[0] == "wait" {
                cancel.cancelled().await;
                return Err(RunError::Cancelled);
            }
            Ok(Exit {
                code: act(&step, &output),
                out_of_memory: false,
            })
        })
    }
}

fn act(step: &RunStep, output: &RunOutput) -> i32 {
    let root = Overlay {
        lowers: &step.rootfs.lowers,
        upper: Some((&step.rootfs.upper, &step.rootfs.work)),
    };
    let root = root.mount().unwrap();
    let top = format!("/proc/self/fd/{}", root.as_fd().as_raw_fd());
    for mount in &step.mounts {
        // What a mount point leaves behind.
        let path = format!("{top}{}", mount.target.display());
        match mount.kind {
            RunMountKind::File { .. } => {
                fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            _ => fs::create_dir_all(path).unwrap(),
        }
    }
    let words: Vec<&str> = step.args.iter().map(String::as_str).collect();
    match words[..] {
        ["write", path, text] => fs::write(format!("{top}{path}"), text).unwrap(),
        ["remove", path] => fs::remove_file(format!("{top}{path}")).unwrap(),
        ["say", text] => output.write(Stream::Stdout, text.as_bytes()),
        ["exit", code] => {
            output.write(Stream::Stderr, b"about to fail\n");
            return code.parse().unwrap();
        }
        _ => {}
    }
    0
}

/// A machine with a store, a builder and a folder.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) store: Store,
    pub(super) builder: Builder,
    pub(super) runner: Arc<Fake>,
}

pub(super) fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let db = redb::Builder::new()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    let store = Store::open(&dir.path().join("images"), Arc::new(db)).unwrap();
    store.sweep().unwrap();
    let runner = Arc::new(Fake::default());
    fs::create_dir(dir.path().join("context")).unwrap();
    let settings = BuilderSettings {
        parallel: 4,
        now: SystemTime::now,
    };
    let builder = Builder::open(
        store.clone(),
        &dir.path().join("build"),
        runner.clone(),
        settings,
    );
    World {
        store,
        builder: builder.unwrap(),
        runner,
        dir,
    }
}

impl World {
    pub(super) fn context(&self) -> std::path::PathBuf {
        self.dir.path().join("context")
    }

    pub(super) fn put(&self, path: &str, text: &str) {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn inputs(&self) -> Inputs {
        let folder = ContextFolder {
            path: self.context(),
            ..ContextFolder::default()
        };
        Inputs {
            contexts: HashMap::from([(ContextId("main".to_owned()), folder)]),
            tags: BTreeMap::from([("app".to_owned(), vec!["app:latest".parse().unwrap()])]),
            scope: "test".to_owned(),
            ..Inputs::default()
        }
    }

    pub(super) async fn build(&self, graph: Graph) -> Outcome {
        self.build_with(graph, self.inputs()).await
    }

    pub(super) async fn build_with(&self, graph: Graph, inputs: Inputs) -> Outcome {
        let (events, reader) = Events::channel(SystemTime::now);
        let (_canceller, cancel) = Canceller::new();
        let result = self.builder.solve(graph, inputs, events, cancel).await;
        Outcome {
            result,
            events: drain(reader),
        }
    }

    /// The files of an image: path, kind, mode, owner, contents.
    pub(super) fn tree(&self, id: &ImageId) -> Vec<String> {
        let image = self.store.get(&id.to_string()).unwrap();
        let mount = self.store.mount_layers(&image.diff_ids).unwrap();
        let top = format!("/proc/self/fd/{}", mount.as_fd().as_raw_fd());
        let mut found = Vec::new();
        list(Path::new(&top), "", &mut found);
        found
    }

    pub(super) fn ran(&self) -> usize {
        guard(&self.runner.steps).len()
    }
}

fn list(dir: &Path, prefix: &str, found: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        let stat = entry.metadata().unwrap();
        let owner = if (stat.uid(), stat.gid()) == (0, 0) {
            String::new()
        } else {
            format!(" {}:{}", stat.uid(), stat.gid())
        };
        let mode = stat.permissions().mode() & 0o7777;
        if stat.is_dir() {
            found.push(format!("{path}/ {mode:o}{owner}"));
            list(&entry.path(), &path, found);
        } else if stat.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            found.push(format!("{path} -> {}{owner}", target.display()));
        } else {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            found.push(format!("{path} {mode:o}{owner} {text}"));
        }
    }
}

pub(super) struct Outcome {
    pub(super) result: Result<Vec<Built>, BuildError>,
    pub(super) events: Vec<Event>,
}

impl Outcome {
    pub(super) fn id(&self) -> &ImageId {
        match &self.result {
            Ok(built) => &built[0].id,
            Err(error) => panic!("{}", chain(error)),
        }
    }

    /// How many steps were found in the cache and how many done.
    pub(super) fn counts(&self) -> (usize, usize) {
        let count = |wanted: fn(&EventKind) -> bool| {
            self.events
                .iter()
                .filter(|event| wanted(&event.kind))
                .count()
        };
        (
            count(|kind| matches!(kind, EventKind::Cached { .. })),
            count(|kind| matches!(kind, EventKind::Started { .. })),
        )
    }

    pub(super) fn reasons(&self) -> Vec<String> {
        let reasons = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Missed { reasons, .. } => Some(reasons.clone()),
            _ => None,
        });
        reasons.flatten().collect()
    }
}

fn drain(mut reader: UnboundedReceiver<Event>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Ok(event) = reader.try_recv() {
        events.push(event);
    }
    events
}

/// A graph, put together by hand.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) graph: Graph,
    steps: Vec<VertexId>,
}

impl Plan {
    pub(super) fn add(&mut self, op: Op, name: &str) -> VertexId {
        if self.graph.sources.is_empty() {
            self.graph.sources.push(Source {
                name: "Dockerfile".to_owned(),
                text: "".into(),
            });
        }
        self.graph.add(Vertex {
            op,
            name: name.to_owned(),
            stage: String::new(),
            place: Some(crate::graph::Place {
                source: 0,
                span: crate::dockerfile::Span::default(),
            }),
            platform: Platform::host(),
            no_cache: false,
        })
    }

    pub(super) fn scratch(&mut self) -> VertexId {
        self.add(Op::Scratch, "FROM scratch")
    }

    pub(super) fn context(&mut self) -> VertexId {
        self.add(Op::Context(ContextId("main".to_owned())), "context")
    }

    pub(super) fn run(&mut self, base: VertexId, args: &[&str]) -> VertexId {
        let op = Op::Run(Box::new(run(base, args)));
        let id = self.add(op, &format!("RUN {}", args.join(" ")));
        self.steps.push(id);
        id
    }

    pub(super) fn copy(&mut self, base: VertexId, copy: Copy) -> VertexId {
        let paths: Vec<&str> = copy
            .sources
            .iter()
            .map(|source| source.path.as_str())
            .collect();
        let name = format!("COPY {} {}", paths.join(" "), copy.dest);
        let id = self.add(Op::Copy(Box::new(Copy { base, ..copy })), &name);
        self.steps.push(id);
        id
    }

    pub(super) fn target(mut self, result: VertexId) -> Graph {
        let steps = self.steps.iter().map(|id| Step {
            record: HistoryRecord {
                created_by: self.graph.vertex(*id).name.clone(),
                ..HistoryRecord::default()
            },
            layer: Some(*id),
        });
        let target = Target {
            name: "app".to_owned(),
            result,
            config: ImageFile::default(),
            steps: steps.collect(),
            platform: Platform::host(),
        };
        self.graph.targets.push(target);
        self.graph
    }
}

pub(super) fn run(base: VertexId, args: &[&str]) -> Run {
    Run {
        base,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![("PATH".to_owned(), "/bin".to_owned())],
        cwd: "/".to_owned(),
        user: String::new(),
        mounts: Vec::new(),
        network: Network::None,
        proxy: Vec::new(),
        extra_hosts: Vec::new(),
        hostname: None,
        shm_size: None,
        ulimits: Vec::new(),
    }
}

pub(super) fn from(from: VertexId, path: &str) -> CopySource {
    CopySource {
        from,
        path: path.to_owned(),
        wildcard: path.contains('*'),
        parents: None,
        unpack: false,
    }
}

pub(super) fn copying(sources: Vec<CopySource>, dest: &str) -> Copy {
    Copy {
        base: VertexId(0),
        sources,
        dest: dest.to_owned(),
        chown: None,
        chmod: None,
        exclude: Vec::new(),
        link: false,
    }
}

/// The commonest build: files of the context over nothing.
pub(super) fn copy_graph(path: &str, dest: &str, change: impl FnOnce(&mut Copy)) -> Graph {
    let mut plan = Plan::default();
    let base = plan.scratch();
    let context = plan.context();
    let mut copy = copying(vec![from(context, path)], dest);
    change(&mut copy);
    let copy = plan.copy(base, copy);
    plan.target(copy)
}
