//! What is wrong with a Dockerfile, and where.

use std::fmt;

use super::Span;
use crate::words::WordError;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub mistake: Box<Mistake>,
    /// Where.
    pub span: Span,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Mistake {
    #[error("the Dockerfile has no instructions")]
    Empty,
    #[error("no build stage: the Dockerfile has no `FROM`")]
    NoStage,
    #[error("a line is longer than 65535 bytes")]
    LongLine,
    #[error("only one `{0}` directive can be used")]
    RepeatedDirective(String),
    #[error("`{0}` is no escape character: it is a backslash or a backtick")]
    EscapeCharacter(String),
    #[error(
        "the syntax `{0}` is not served: only the stock front end, `docker/dockerfile`, is built in"
    )]
    ForeignSyntax(String),
    #[error("invalid check option `{0}`")]
    CheckOption(String),
    #[error("unknown instruction: {0}")]
    UnknownInstruction(String),
    #[error("no build stage in current context: `{0}` stands before the first `FROM`")]
    BeforeFrom(String),
    #[error("unterminated heredoc: no line is `{0}`")]
    OpenHeredoc(String),
    #[error("a JSON array of arguments holds strings only")]
    NotStrings,
    #[error("unknown flag: --{0}")]
    UnknownFlag(String),
    #[error("duplicate flag specified: --{0}")]
    RepeatedFlag(String),
    #[error("missing a value on flag: --{0}")]
    FlagWithoutValue(String),
    #[error("expecting boolean value for flag --{flag}, not: {value}")]
    FlagNotBoolean { flag: String, value: String },
    #[error("`{0}` is not supported by this builder")]
    Unsupported(String),
    #[error("{0} requires at least one argument")]
    AtLeastOne(&'static str),
    #[error("{0} requires exactly one argument")]
    ExactlyOne(&'static str),
    #[error("{0} requires at least two arguments: sources and a destination")]
    NoDestination(&'static str),
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    #[error("`{0}` has no `=`: it must be of the form name=value")]
    NoEquals(String),
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(&'static str),
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    #[error(
        "invalid name for build stage: \"{0}\", name can't start with a number or contain symbols"
    )]
    StageName(String),
    #[error("ONBUILD in ONBUILD isn't allowed")]
    ChainedOnBuild,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnBuildTrigger(String),
    #[error("a trigger of ONBUILD has to be one instruction")]
    OneTrigger,
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    #[error("missing command after HEALTHCHECK CMD")]
    HealthcheckCommand,
    #[error("unknown type \"{0}\" in HEALTHCHECK (try CMD)")]
    HealthcheckType(String),
    #[error("\"{0}\" is no duration such as `1m30s`")]
    Duration(String),
    #[error("--{0} cannot be less than 1ms")]
    ShortDuration(String),
    #[error("\"{0}\" is no number of retries")]
    Retries(String),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellNotJson,
    #[error("unsupported network mode \"{0}\"")]
    NetworkMode(String),
    #[error("a field of `{0}` is badly quoted")]
    MountFields(String),
    #[error("unsupported mount type \"{0}\"")]
    MountType(String),
    #[error("unexpected key '{key}' in '{field}'")]
    MountKey { key: String, field: String },
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    MountKeyForType { key: String, kind: &'static str },
    #[error("invalid field '{0}' must be a key=value pair")]
    MountField(String),
    #[error("invalid value for {key}: {value}")]
    MountValue { key: String, value: String },
    #[error("unsupported sharing value \"{0}\"")]
    MountSharing(String),
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    MountFromVariable,
    #[error("{key} not allowed for \"{kind}\" type mounts")]
    MountOwner {
        key: &'static str,
        kind: &'static str,
    },
    #[error("{0}")]
    MountConflict(&'static str),
    #[error("invalid mount target \"{0}\"")]
    MountTarget(String),
    #[error("{0}")]
    Words(#[from] WordError),
    #[error("base name ({0}) should not be blank")]
    BlankBase(String),
    #[error("`{0}` is no image reference")]
    Reference(String),
    #[error("`{0}` is no platform")]
    Platform(String),
    #[error("target stage \"{0}\" could not be found")]
    NoTarget(String),
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    )]
    CopyFromVariable,
    #[error("invalid stage index {0}")]
    StageIndex(i64),
    #[error("circular dependency detected on stage: {0}")]
    Circular(String),
    #[error("{what} from stage \"{from}\": it needs to be defined before the current one")]
    LaterStage { what: &'static str, from: String },
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    Chmod(String),
    #[error("checksum can't be specified for sources that are not remote")]
    Checksum,
    #[error("`{0}` is no path: a `[` or a `\\` in it has no end")]
    SourcePattern(String),
    #[error("source can't be {0} for COPY")]
    CopyRemote(&'static str),
    #[error("ADD of {what} is not supported by this builder: {source_path}")]
    AddRemote {
        what: &'static str,
        source_path: String,
    },
    #[error("{0} names can not be blank after expansion")]
    BlankExpanded(&'static str),
    #[error("SOURCE_DATE_EPOCH is a number of seconds since 1970, not `{0}`")]
    Epoch(String),
    #[error("invalid signal: {0}")]
    Signal(String),
    #[error("invalid port: \"{0}\"")]
    Port(String),
    #[error("{0}")]
    Pattern(#[from] crate::ignore::IgnoreError),
    #[error("{0}")]
    Trigger(String),
    #[error("lint violation found for rules: {0}")]
    Lint(String),
}

impl Fault {
    pub(crate) fn new(mistake: impl Into<Mistake>, span: Span) -> Self {
        Self {
            mistake: Box::new(mistake.into()),
            span,
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Adds `did you mean …?` if one of the names is close to the one that was written.
    pub(crate) fn suggesting<'a>(
        self,
        written: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let name = super::suggest::closest(written, names);
        self.with_hint(name.map(|name| format!("did you mean `{name}`?")))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.span.start.line, self.mistake)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}
