//! What a build has to do: steps, each over the results of others, and the images that come of them.
//!
//! The front end writes this, the solver does it; between them there is nothing else. Everything here is a value: no
//! digest was looked up and no file was read. Dockerfiles of several services share one graph, in which equal steps are
//! one vertex ([`Graph::add`]).

use std::collections::HashMap;
use std::sync::Arc;

use bowline_image::{HistoryRecord, ImageFile, Platform};

use crate::dockerfile::Span;

/// The steps of one or several Dockerfiles. A vertex stands behind all its inputs.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The Dockerfiles that [`Place`]s point into.
    pub sources: Vec<Source>,
    /// The steps.
    pub vertices: Vec<Vertex>,
    /// The images wanted, in the order in which they were lowered.
    pub targets: Vec<Target>,
    known: HashMap<(Op, Platform, bool), VertexId>,
}

/// A step's index in [`Graph::vertices`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId(pub usize);

/// A Dockerfile that vertices come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Its name for people: a path as they gave it.
    pub name: String,
    /// What is in it.
    pub text: Arc<str>,
}

/// Where in the Dockerfiles of a graph something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Index in [`Graph::sources`].
    pub source: usize,
    /// Characters of it.
    pub span: Span,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// What it does, and over which others.
    pub op: Op,
    /// What people see: `[web 2/5] RUN pip install -r requirements.txt`
    pub name: String,
    /// The stage it belongs to, by its name or as `stage-1`; empty in a Dockerfile of one stage without a name.
    pub stage: String,
    /// The instruction it comes from.
    pub place: Option<Place>,
    /// For which machine its result is and, for a `RUN`, on which it runs.
    pub platform: Platform,
    /// It is done even if the cache knows its result.
    pub no_cache: bool,
}

/// What a step does. Equal values with equal inputs give equal results, but for what the world outside changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Nothing at all.
    Scratch,
    /// The file system of an image, as the caller resolved it.
    Image(ImageBase),
    /// A folder of the machine, less what its ignore file hides.
    Context(ContextId),
    /// Files over nothing.
    Files(Vec<InlineFile>),
    /// A process over a base.
    Run(Box<Run>),
    /// Files of others over a base.
    Copy(Box<Copy>),
    /// A folder over a base.
    MakeDir(MakeDir),
}

/// The caller's name for a context: whatever tells folder and ignore file apart from every other context of the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(pub String);

/// An image as a base.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageBase {
    /// The reference as resolved: with its digest, where the caller gave one.
    pub reference: String,
    /// Its layers by diff_id, bottom first. Two references of the same layers are still two vertices, whose keys agree.
    pub diff_ids: Vec<bowline_image::Digest>,
}

/// A file that stands in the Dockerfile itself. Owner is root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InlineFile {
    /// Absolute.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// All of it.
    pub data: Vec<u8>,
}

/// A process and what it sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Its root.
    pub base: VertexId,
    /// Argument vector; the shell is in it where there is one.
    pub args: Vec<String>,
    /// Environment in order, each name once. Holds the `ARG`s in scope. `PATH` is always there.
    pub env: Vec<(String, String)>,
    /// Working directory, absolute. It need not exist yet.
    pub cwd: String,
    /// `user[:group]`, names or numbers of the base; empty is root.
    pub user: String,
    /// Besides its root.
    pub mounts: Vec<Mount>,
    /// What it can reach.
    pub network: Network,
    /// Environment besides `env`, appended last, and no part of the cache key.
    pub proxy: Vec<(String, String)>,
    /// Lines for its `/etc/hosts`: name and address. Addresses are no part of the cache key.
    pub extra_hosts: Vec<(String, String)>,
    /// Its host name; none means the solver's own.
    pub hostname: Option<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Limits besides the solver's own.
    pub ulimits: Vec<Ulimit>,
}

/// What a `RUN` can reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// The builder's own choice.
    #[default]
    Default,
    /// Its own loopback only.
    None,
    /// All the machine can.
    Host,
    /// A network that the engine knows by this name.
    Named(String),
}

/// A limit of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ulimit {
    /// `nofile` and the like.
    pub name: String,
    /// Soft value; -1 is none.
    pub soft: i64,
    /// Hard value; -1 is none.
    pub hard: i64,
}

/// Something a `RUN` finds at a path, and which is no part of its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mount {
    /// Absolute and clean, never `/`. Empty for a secret that only becomes a variable, and for an SSH agent without a
    /// path of its own.
    pub target: String,
    /// Whether it refuses writes. What is written to a writable bind is thrown away.
    pub readonly: bool,
    /// What it is.
    pub kind: MountKind,
}

/// What a [`Mount`] shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// A path of another result.
    Bind {
        /// Whose.
        from: VertexId,
        /// Absolute path in it, `/` for all.
        source: String,
    },
    /// A folder that outlives the build.
    Cache {
        /// Its identity, with the namespace asked for by `BUILDKIT_CACHE_MOUNT_NS`.
        id: String,
        /// How several builds use it at once.
        sharing: Sharing,
        /// What a new one starts with.
        from: Option<VertexId>,
        /// Absolute path in `from` (and in the cache itself), `/` for all.
        source: String,
        /// Permission bits of a new one.
        mode: u32,
        /// Owner of a new one.
        uid: u32,
        /// Group of a new one.
        gid: u32,
    },
    /// An empty folder in memory.
    Tmpfs {
        /// Bytes; none for the kernel's own limit.
        size: Option<u64>,
    },
    /// A file, or a variable, that the caller provides.
    Secret {
        /// Its name.
        id: String,
        /// The variable it becomes. With a `target` too, it is both.
        env: Option<String>,
        /// Whether the step fails without it.
        required: bool,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A socket of an SSH agent that the caller provides; `SSH_AUTH_SOCK` names it.
    Ssh {
        /// Its name: `default` if none was given.
        id: String,
        /// Whether the step fails without it.
        required: bool,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// How several steps use one cache mount at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// All together.
    #[default]
    Shared,
    /// Each with a folder of its own when another is busy with it.
    Private,
    /// One after the other.
    Locked,
}

/// Files of other results or contexts, over a base.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Copy {
    /// What they are laid over.
    pub base: VertexId,
    /// Where from, in order; a later one overwrites.
    pub sources: Vec<CopySource>,
    /// Absolute. A slash at its end (and several sources) says that it is a folder.
    pub dest: String,
    /// `user[:group]`, names of the base or numbers; none is root.
    pub chown: Option<String>,
    /// Bits that all files and folders get.
    pub chmod: Option<Chmod>,
    /// Patterns of paths left out, in the syntax of ignore files, relative to each source.
    pub exclude: Vec<String>,
    /// The result does not depend on `base`: links in the destination's path are not followed, and the key leaves the
    /// base out.
    pub link: bool,
}

/// A mode as `--chmod` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Chmod {
    /// These bits, instead of the file's own.
    Octal(u32),
    /// A change of them as in `u=rwX,go-w`; it was checked.
    Symbolic(String),
}

/// One source of a [`Copy`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CopySource {
    /// Where it lies.
    pub from: VertexId,
    /// Absolute path in `from`, cleaned of `.` and `..`; `/` for all. A folder's contents are copied, not the folder.
    /// A slash at the end was kept.
    pub path: String,
    /// `path` may hold `*`, `?` and `[…]`; no match is no error, while a plain path that is not there is one.
    pub wildcard: bool,
    /// With `--parents`: the pattern of paths below `path` that are copied with their folders.
    pub parents: Option<String>,
    /// A tar archive, compressed or not, is unpacked in place of being copied.
    pub unpack: bool,
}

/// A folder, with those above it. What is there already stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MakeDir {
    /// Over what.
    pub base: VertexId,
    /// Absolute and clean.
    pub path: String,
    /// Permission bits of what is made.
    pub mode: u32,
    /// `user[:group]` who owns what is made, names of the base or numbers; empty is root.
    pub owner: String,
}

/// An image that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The caller's name for it, by which other Dockerfiles may name it as a context.
    pub name: String,
    /// Its file system.
    pub result: VertexId,
    /// Its configuration, whole but for three things: `created` is empty, `rootfs` and `history` are those of the base
    /// image.
    pub config: ImageFile,
    /// What comes after the base image's history, in order.
    pub steps: Vec<Step>,
    /// For which machine.
    pub platform: Platform,
}

/// An instruction in an image's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// As the stock builder writes it. `empty_layer` is set where `layer` is none. It has a time only where the build
    /// was told one (`SOURCE_DATE_EPOCH`), which is that of the image too.
    pub record: HistoryRecord,
    /// The vertex whose difference to its base is the layer.
    pub layer: Option<VertexId>,
}

impl Graph {
    /// A vertex that does this: the one already there if there is one.
    pub fn add(&mut self, vertex: Vertex) -> VertexId {
        let key = (vertex.op.clone(), vertex.platform.clone(), vertex.no_cache);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let id = VertexId(self.vertices.len());
        self.vertices.push(vertex);
        self.known.insert(key, id);
        id
    }

    /// The step with this id.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.0]
    }

    /// The image of this name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }
}

impl Op {
    /// What it works over: the base first, then the others, some perhaps several times.
    pub fn inputs(&self) -> Vec<VertexId> {
        match self {
            Self::Scratch | Self::Image(_) | Self::Context(_) | Self::Files(_) => Vec::new(),
            Self::Run(run) => std::iter::once(run.base)
                .chain(run.mounts.iter().filter_map(Mount::input))
                .collect(),
            Self::Copy(copy) => std::iter::once(copy.base)
                .chain(copy.sources.iter().map(|source| source.from))
                .collect(),
            Self::MakeDir(dir) => vec![dir.base],
        }
    }

    /// The result that this one is laid over.
    pub fn base(&self) -> Option<VertexId> {
        match self {
            Self::Scratch | Self::Image(_) | Self::Context(_) | Self::Files(_) => None,
            Self::Run(run) => Some(run.base),
            Self::Copy(copy) => Some(copy.base),
            Self::MakeDir(dir) => Some(dir.base),
        }
    }
}

impl Mount {
    /// The result it shows a part of.
    pub fn input(&self) -> Option<VertexId> {
        match &self.kind {
            MountKind::Bind { from, .. } => Some(*from),
            MountKind::Cache { from, .. } => *from,
            MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(op: Op) -> Vertex {
        Vertex {
            op,
            name: String::new(),
            stage: String::new(),
            place: None,
            platform: Platform::host(),
            no_cache: false,
        }
    }

    #[test]
    fn equal_steps_are_one_vertex() {
        let mut graph = Graph::default();
        let base = graph.add(vertex(Op::Scratch));
        let dir = |path: &str| {
            Op::MakeDir(MakeDir {
                base,
                path: path.to_owned(),
                mode: 0o755,
                owner: String::new(),
            })
        };
        let first = graph.add(vertex(dir("/a")));
        assert_eq!(graph.add(vertex(dir("/a"))), first);
        assert_ne!(graph.add(vertex(dir("/b"))), first);
        assert_eq!(graph.vertex(first).op.inputs(), [base]);
    }
}
