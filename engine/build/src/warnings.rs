//! What is legal in a Dockerfile and still probably not meant. Names and conditions of the rules are those of the stock
//! front end, so that `# check=skip=…` and its documentation hold for both.

use std::collections::BTreeSet;

use crate::dockerfile::{Dockerfile, Instruction, Kind, Span};

/// A remark on a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub rule: Rule,
    /// What it says here.
    pub message: String,
    /// Where.
    pub span: Span,
}

macro_rules! rules {
    ($($name:ident $page:literal $text:literal)*) => {
        /// A rule that a Dockerfile may break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "description() says what each is about")]
        pub enum Rule { $($name,)* }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name, as `# check=skip=` takes it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it asks for.
            pub fn description(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The last part of the address of its page in Docker's documentation.
            pub fn page(self) -> &'static str {
                match self { $(Self::$name => $page,)* }
            }
        }
    };
}

rules! {
    StageNameCasing "stage-name-casing" "Stage names should be lowercase"
    FromAsCasing "from-as-casing" "`AS` should be written in the case of its `FROM`"
    NoEmptyContinuation "no-empty-continuation" "Empty continuation lines will become errors"
    ConsistentInstructionCasing "consistent-instruction-casing" "All instructions should be written in one case"
    DuplicateStageName "duplicate-stage-name" "Stage names should be unique"
    ReservedStageName "reserved-stage-name" "Reserved words should not be stage names"
    JSONArgsRecommended "json-args-recommended" "JSON arguments let signals reach the process of ENTRYPOINT and CMD"
    MaintainerDeprecated "maintainer-deprecated" "A label should name the author instead of MAINTAINER"
    UndefinedArgInFrom "undefined-arg-in-from" "FROM should use declared ARGs only"
    WorkdirRelativePath "workdir-relative-path" "A relative WORKDIR depends on the base image"
    UndefinedVar "undefined-var" "Variables should be defined before they are used"
    MultipleInstructionsDisallowed "multiple-instructions-disallowed" "Only the last of several instructions of one kind counts"
    LegacyKeyValueFormat "legacy-key-value-format" "Keys and values should be separated by `=`"
    InvalidBaseImagePlatform "invalid-base-image-platform" "The base image should be for the platform of the build"
    RedundantTargetPlatform "redundant-target-platform" "The target platform is what FROM takes anyway"
    SecretsUsedInArgOrEnv "secrets-used-in-arg-or-env" "Secrets should not stand in ARG or ENV, where the image shows them"
    InvalidDefaultArgInFrom "invalid-default-arg-in-from" "Defaults of global ARGs should make a valid base image name"
    FromPlatformFlagConstDisallowed "from-platform-flag-const-disallowed" "The platform of FROM should not be a constant"
    CopyIgnoredFile "copy-ignored-file" "What is copied should not be hidden by .dockerignore"
    InvalidDefinitionDescription "invalid-definition-description" "A comment above a stage or argument should begin with its name"
    ExposeProtoCasing "expose-proto-casing" "Protocols in EXPOSE should be lowercase"
    ExposeInvalidFormat "expose-invalid-format" "EXPOSE should name neither addresses nor ports of the host"
}

impl Rule {
    /// Whether it is asked for only when it is named.
    pub fn experimental(self) -> bool {
        matches!(
            self,
            Self::CopyIgnoredFile | Self::InvalidDefinitionDescription
        )
    }
}

/// Which rules count: `# check=skip=A,B;error=true;experimental=C`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    skip: Choice,
    experimental: Choice,
    /// A broken rule ends the build.
    pub error: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    All,
    These(BTreeSet<String>),
}

impl Default for Choice {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Choice {
    fn parse(text: &str) -> Self {
        match text.trim() {
            "all" => Self::All,
            names => Self::These(
                names
                    .split(',')
                    .map(|name| name.trim().to_owned())
                    .collect(),
            ),
        }
    }

    fn has(&self, rule: Rule) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(rule.name()),
        }
    }
}

impl Checks {
    /// Reads the options; the error is the one that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut checks = Self::default();
        if text.trim().is_empty() {
            return Ok(checks);
        }
        for option in text.trim().splitn(3, ';') {
            let wrong = || option.trim().to_owned();
            let (key, value) = option.split_once('=').ok_or_else(wrong)?;
            match key.trim() {
                "skip" => checks.skip = Choice::parse(value),
                "experimental" => checks.experimental = Choice::parse(value),
                "error" => {
                    checks.error = match value.trim() {
                        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                        _ => return Err(wrong()),
                    }
                }
                _ => return Err(wrong()),
            }
        }
        Ok(checks)
    }

    /// Whether a rule counts.
    pub fn wants(&self, rule: Rule) -> bool {
        if rule.experimental() {
            self.experimental.has(rule)
        } else {
            !self.skip.has(rule)
        }
    }
}

/// What an instruction alone gives rise to.
pub(crate) fn of_statement(
    instruction: &Instruction,
    comments: &[String],
    warnings: &mut Vec<Warning>,
) {
    let mut warn = |rule, message| {
        warnings.push(Warning {
            rule,
            message,
            span: instruction.span,
        });
    };
    match &instruction.kind {
        Kind::Maintainer(_) => warn(
            Rule::MaintainerDeprecated,
            "Maintainer instruction is deprecated in favor of using label".to_owned(),
        ),
        Kind::From(from) => {
            let words: Vec<&str> = instruction.code.split_whitespace().collect();
            let (name, keyword) = (words.last().unwrap_or(&""), words.iter().rev().nth(1));
            if from.name.is_empty() {
                return;
            }
            if *name != name.to_lowercase() {
                let text = format!("Stage name '{name}' should be lowercase");
                warn(Rule::StageNameCasing, text);
            }
            if let Some(keyword) =
                keyword.filter(|keyword| !same_case(&instruction.keyword, keyword))
            {
                let text = format!(
                    "'{keyword}' and '{}' keywords' casing do not match",
                    instruction.keyword
                );
                warn(Rule::FromAsCasing, text);
            }
            let names = [from.name.as_str()];
            if let Some(text) = undescribed("FROM", &names, "", comments) {
                warn(Rule::InvalidDefinitionDescription, text);
            }
        }
        Kind::Arg(args) => {
            let names: Vec<&str> = args.iter().map(|arg| arg.name.as_str()).collect();
            if let Some(text) = undescribed("ARG", &names, "<arg_key>", comments) {
                warn(Rule::InvalidDefinitionDescription, text);
            }
        }
        _ => {}
    }
}

/// Whether two keywords are written in one case. A first one of mixed case is another rule's matter.
fn same_case(first: &str, second: &str) -> bool {
    if first == first.to_lowercase() {
        second == second.to_lowercase()
    } else if first == first.to_uppercase() {
        second == second.to_uppercase()
    } else {
        true
    }
}

fn undescribed(
    instruction: &str,
    names: &[&str],
    several: &str,
    comments: &[String],
) -> Option<String> {
    let first = comments.last()?.split(' ').next()?;
    if names.is_empty() || names.contains(&first) {
        return None;
    }
    let example = if names.len() > 1 { several } else { names[0] };
    Some(format!(
        "Comment for {instruction} should follow the format: `# {example} <description>`"
    ))
}

/// What only the whole file shows: names of stages, and the case that most instructions are written in.
pub(crate) fn of_file(file: &Dockerfile) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut names = BTreeSet::new();
    for stage in file
        .stages
        .iter()
        .filter(|stage| !stage.from.name.is_empty())
    {
        let name = stage.from.name.as_str();
        let mut warn = |rule, message| {
            warnings.push(Warning {
                rule,
                message,
                span: stage.head.span,
            });
        };
        if matches!(name, "context" | "scratch") {
            let text =
                format!("Stage name should not use the same name as reserved stage \"{name}\"");
            warn(Rule::ReservedStageName, text);
        }
        if !names.insert(name) {
            let text = format!("Duplicate stage name \"{name}\", stage names should be unique");
            warn(Rule::DuplicateStageName, text);
        }
    }
    casing(file, &mut warnings);
    warnings
}

fn casing(file: &Dockerfile, warnings: &mut Vec<Warning>) {
    let all: Vec<&Instruction> = file
        .stages
        .iter()
        .flat_map(|stage| std::iter::once(&stage.head).chain(&stage.instructions))
        .collect();
    let lower = all
        .iter()
        .filter(|one| one.keyword == one.keyword.to_lowercase());
    let upper = all
        .iter()
        .filter(|one| one.keyword == one.keyword.to_uppercase());
    let mostly_lower = lower.count() > upper.count();
    for one in all {
        let (wanted, case) = if mostly_lower {
            (one.keyword.to_lowercase(), "lowercase")
        } else {
            (one.keyword.to_uppercase(), "uppercase")
        };
        if one.keyword != wanted {
            warnings.push(Warning {
                rule: Rule::ConsistentInstructionCasing,
                message: format!(
                    "Command '{}' should match the case of the command majority ({case})",
                    one.keyword
                ),
                span: one.span,
            });
        }
    }
}

/// Whether a variable's name says that its value is secret: one of the words at its beginning, at its end or between
/// underscores, unless `public` is there too.
pub(crate) fn names_a_secret(name: &str) -> bool {
    const WORDS: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    let name = name.to_lowercase();
    let has = |word: &str| name.split('_').any(|part| part == word);
    WORDS.iter().any(|word| has(word)) && !has("public")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let checks = Checks::parse("skip=UndefinedVar, StageNameCasing;error=true").unwrap();
        assert!(checks.error && !checks.wants(Rule::UndefinedVar));
        assert!(!checks.wants(Rule::StageNameCasing) && checks.wants(Rule::FromAsCasing));
        assert!(!checks.wants(Rule::CopyIgnoredFile));
        let checks = Checks::parse("experimental=all;skip=all").unwrap();
        assert!(checks.wants(Rule::CopyIgnoredFile) && !checks.wants(Rule::FromAsCasing));
        assert_eq!(Checks::parse("x"), Err("x".to_owned()));
        assert_eq!(Checks::parse("error=maybe"), Err("error=maybe".to_owned()));
    }

    #[test]
    fn secrets_by_name() {
        for name in ["API_KEY", "password", "GITHUB_TOKEN", "secret_x", "AUTH"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["PUBLIC_KEY", "monkey", "TOKENIZER", "author"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
