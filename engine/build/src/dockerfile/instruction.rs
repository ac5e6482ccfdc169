//! Instructions as they were written: forms and flags are understood, variables are not yet expanded.

use super::Span;
use super::forms::Pair;
use super::heredoc::Heredoc;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its name as it was written.
    pub keyword: String,
    /// Its logical line, continuation lines joined.
    pub code: String,
    /// Its place.
    pub span: Span,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the instructions")]
pub enum Kind {
    From(From),
    Arg(Vec<Arg>),
    Env(Vec<Pair>),
    Label(Vec<Pair>),
    Run(Run),
    Cmd(CommandLine),
    Entrypoint(CommandLine),
    Copy(Copy),
    Add(Add),
    Workdir(String),
    User(String),
    Expose(Vec<String>),
    Volume(Vec<String>),
    Healthcheck(Healthcheck),
    Shell(Vec<String>),
    StopSignal(String),
    OnBuild(String),
    Maintainer(String),
}

/// `FROM base AS name`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// An image, a stage or a context.
    pub base: String,
    /// Lower case; empty if it has none.
    pub name: String,
    /// `--platform`
    pub platform: Option<String>,
}

/// `ARG name=default`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// What it is unless told otherwise.
    pub default: Option<String>,
}

/// Arguments of a process, or a line for a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// All words of the exec form; at most one text of the shell form.
    pub args: Vec<String>,
    /// The shell form.
    pub shell: bool,
    /// Files begun in the line.
    pub heredocs: Vec<Heredoc>,
}

/// `RUN`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: CommandLine,
    /// `--mount`
    pub mounts: Vec<MountFlag>,
    /// `--network`
    pub network: RunNetwork,
}

/// `--network` of a `RUN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunNetwork {
    /// That of the build.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The machine's.
    Host,
}

/// `--mount=…`, whose values may hold variables, but for `from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountFlag {
    /// Its fields.
    pub fields: Vec<String>,
    /// The stage, image or context it shows.
    pub from: Option<String>,
    /// Its place.
    pub span: Span,
}

/// What `COPY` and `ADD` have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Paths, perhaps with wildcards.
    pub sources: Vec<String>,
    /// Files that stand in the Dockerfile.
    pub heredocs: Vec<Heredoc>,
    /// Where to.
    pub dest: String,
    /// `--chown`
    pub chown: String,
    /// `--chmod`
    pub chmod: String,
    /// `--link`
    pub link: bool,
    /// `--exclude`
    pub exclude: Vec<String>,
}

/// `COPY`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// What and where.
    pub transfer: Transfer,
    /// `--from`, empty for the context.
    pub from: String,
    /// `--parents`
    pub parents: bool,
}

/// `ADD`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Add {
    /// What and where.
    pub transfer: Transfer,
    /// `--unpack`
    pub unpack: Option<bool>,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<bool>,
    /// `--checksum`
    pub checksum: String,
}

/// `HEALTHCHECK`; times in nanoseconds, 0 = default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`
    pub test: Vec<String>,
    /// `--interval`
    pub interval: i64,
    /// `--timeout`
    pub timeout: i64,
    /// `--start-period`
    pub start_period: i64,
    /// `--start-interval`
    pub start_interval: i64,
    /// `--retries`
    pub retries: i64,
}

impl Instruction {
    /// Its name in capitals.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::From(_) => "FROM",
            Kind::Arg(_) => "ARG",
            Kind::Env(_) => "ENV",
            Kind::Label(_) => "LABEL",
            Kind::Run(_) => "RUN",
            Kind::Cmd(_) => "CMD",
            Kind::Entrypoint(_) => "ENTRYPOINT",
            Kind::Copy(_) => "COPY",
            Kind::Add(_) => "ADD",
            Kind::Workdir(_) => "WORKDIR",
            Kind::User(_) => "USER",
            Kind::Expose(_) => "EXPOSE",
            Kind::Volume(_) => "VOLUME",
            Kind::Healthcheck(_) => "HEALTHCHECK",
            Kind::Shell(_) => "SHELL",
            Kind::StopSignal(_) => "STOPSIGNAL",
            Kind::OnBuild(_) => "ONBUILD",
            Kind::Maintainer(_) => "MAINTAINER",
        }
    }
}
