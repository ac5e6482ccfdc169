//! Statements into instructions: each keyword's arguments and flags.

use super::fault::{Fault, Mistake};
use super::forms::{self, Arguments};
use super::heredoc::heredoc_of;
use super::instruction::{
    Add, Arg, CommandLine, Copy, From, Healthcheck, Instruction, Kind, MountFlag, Run, RunNetwork,
    Transfer,
};
use super::lines::Statement;
use super::split::{Flags, Known, Split, split};
use super::{csv, duration};

/// All keywords, for suggestions.
pub(super) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

type Result<T, E = Fault> = std::result::Result<T, E>;

/// Understands one statement.
pub(super) fn understand(statement: &Statement, escape: char) -> Result<Instruction> {
    let parts = split(&statement.text, escape);
    let kind = Reader {
        statement,
        parts: &parts,
        escape,
    }
    .kind()?;
    Ok(Instruction {
        keyword: parts.keyword.to_owned(),
        code: statement.text.trim().to_owned(),
        span: statement.span,
        kind,
    })
}

struct Reader<'a> {
    statement: &'a Statement,
    parts: &'a Split<'a>,
    escape: char,
}

impl<'a> Reader<'a> {
    fn kind(&self) -> Result<Kind> {
        let rest = self.parts.rest;
        Ok(match self.parts.keyword.to_ascii_lowercase().as_str() {
            "from" => Kind::From(self.from()?),
            "arg" => Kind::Arg(self.arg()?),
            "env" => Kind::Env(self.pairs("ENV")?),
            "label" => Kind::Label(self.pairs("LABEL")?),
            "run" => Kind::Run(self.run()?),
            "cmd" => Kind::Cmd(self.command()?),
            "entrypoint" => Kind::Entrypoint(self.command()?),
            "copy" => Kind::Copy(self.copy()?),
            "add" => Kind::Add(self.add()?),
            "workdir" => Kind::Workdir(self.one("WORKDIR")?),
            "user" => Kind::User(self.one("USER")?),
            "expose" => Kind::Expose(self.expose()?),
            "volume" => Kind::Volume(self.volume()?),
            "healthcheck" => Kind::Healthcheck(self.healthcheck()?),
            "shell" => Kind::Shell(self.shell()?),
            // Flags of this one have never been looked at.
            "stopsignal" if rest.is_empty() => return self.fail(Mistake::ExactlyOne("STOPSIGNAL")),
            "stopsignal" => Kind::StopSignal(rest.to_owned()),
            "onbuild" => Kind::OnBuild(self.on_build()?),
            "maintainer" => Kind::Maintainer(self.one("MAINTAINER")?),
            _ => {
                let upper = self.parts.keyword.to_ascii_uppercase();
                let mistake = Mistake::UnknownInstruction(self.parts.keyword.to_owned());
                return Err(self.fault(mistake).suggesting(&upper, KEYWORDS));
            }
        })
    }

    fn fault(&self, mistake: Mistake) -> Fault {
        Fault::new(mistake, self.statement.span)
    }

    fn fail<T>(&self, mistake: Mistake) -> Result<T> {
        Err(self.fault(mistake))
    }

    fn flags(&self, known: &Known) -> Result<Flags<'a>> {
        Flags::check(&self.parts.flags, self.statement, known)
    }

    fn no_flags(&self) -> Result<()> {
        self.flags(&Known::default()).map(|_| ())
    }

    fn one(&self, name: &'static str) -> Result<String> {
        if self.parts.rest.is_empty() {
            return self.fail(Mistake::ExactlyOne(name));
        }
        self.no_flags()?;
        Ok(self.parts.rest.to_owned())
    }

    fn pairs(&self, name: &'static str) -> Result<Vec<forms::Pair>> {
        self.no_flags()?;
        forms::pairs(self.parts.rest, self.escape, name).map_err(|mistake| self.fault(mistake))
    }

    fn from(&self) -> Result<From> {
        let words = forms::words(self.parts.rest).words;
        let (base, name) = match words.as_slice() {
            [base] => (base, String::new()),
            [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
                (base, self.stage_name(name)?)
            }
            _ => return self.fail(Mistake::FromArguments),
        };
        let flags = self.flags(&Known {
            single: &["platform"],
            ..Known::default()
        })?;
        Ok(From {
            base: base.clone(),
            name,
            platform: flags
                .value("platform")
                .filter(|value| !value.is_empty())
                .map(str::to_owned),
        })
    }

    fn stage_name(&self, written: &str) -> Result<String> {
        let name = written.to_lowercase();
        let good = |ch: char| ch.is_ascii_lowercase() || ch.is_ascii_digit() || "-_.".contains(ch);
        if name.starts_with(|ch: char| ch.is_ascii_lowercase()) && name.chars().all(good) {
            return Ok(name);
        }
        self.fail(Mistake::StageName(written.to_owned()))
    }

    fn arg(&self) -> Result<Vec<Arg>> {
        let words = super::split::quoted_words(self.parts.rest, self.escape);
        if words.is_empty() {
            return self.fail(Mistake::AtLeastOne("ARG"));
        }
        let args = words.into_iter().map(|word| match word.split_once('=') {
            Some(("", _)) => self.fail(Mistake::BlankName("ARG")),
            Some((name, value)) => Ok(Arg {
                name: name.to_owned(),
                default: Some(value.to_owned()),
            }),
            None => Ok(Arg {
                name: word,
                default: None,
            }),
        });
        args.collect()
    }

    /// The arguments of a form that knows a shell.
    fn line(&self, rest: &str) -> Result<CommandLine> {
        let Arguments { words, json } =
            forms::command(rest).map_err(|mistake| self.fault(mistake))?;
        Ok(CommandLine {
            args: if words.is_empty() && !json {
                vec![String::new()]
            } else {
                words
            },
            shell: !json,
            heredocs: self.statement.heredocs.clone(),
        })
    }

    fn command(&self) -> Result<CommandLine> {
        self.no_flags()?;
        self.line(self.parts.rest)
    }

    fn run(&self) -> Result<Run> {
        let flags = self.flags(&Known {
            single: &["network"],
            several: &["mount"],
            refused: &["security", "device"],
            ..Known::default()
        })?;
        let mounts = flags.all("mount").map(|flag| {
            let text = flag.value.as_deref().unwrap_or_default();
            mount_flag(text, self.statement.part(&flag.range))
        });
        Ok(Run {
            mounts: mounts.collect::<Result<_>>()?,
            network: match flags.value("network") {
                None | Some("default") => RunNetwork::Default,
                Some("none") => RunNetwork::None,
                Some("host") => RunNetwork::Host,
                Some(other) => {
                    let mistake = Mistake::NetworkMode(other.to_owned());
                    let fault = flags.fault("network", mistake);
                    return Err(fault.suggesting(other, ["default", "none", "host"]));
                }
            },
            command: self.line(self.parts.rest)?,
        })
    }

    fn copy(&self) -> Result<Copy> {
        let words = self.paths("COPY")?;
        let flags = self.flags(&Known {
            switches: &["link", "parents"],
            single: &["chown", "chmod", "from"],
            several: &["exclude"],
            refused: &[],
        })?;
        Ok(Copy {
            transfer: self.transfer("COPY", words, &flags)?,
            from: flags.value("from").unwrap_or_default().to_owned(),
            parents: flags.switch("parents").unwrap_or(false),
        })
    }

    fn add(&self) -> Result<Add> {
        let words = self.paths("ADD")?;
        let flags = self.flags(&Known {
            switches: &["link", "keep-git-dir", "unpack"],
            single: &["chown", "chmod", "checksum"],
            several: &["exclude"],
            refused: &[],
        })?;
        Ok(Add {
            transfer: self.transfer("ADD", words, &flags)?,
            unpack: flags.switch("unpack"),
            keep_git_dir: flags.switch("keep-git-dir"),
            checksum: flags.value("checksum").unwrap_or_default().to_owned(),
        })
    }

    fn paths(&self, name: &'static str) -> Result<Vec<String>> {
        let words = forms::list(self.parts.rest)
            .map_err(|mistake| self.fault(mistake))?
            .words;
        if words.len() < 2 {
            return self.fail(Mistake::NoDestination(name));
        }
        Ok(words)
    }

    fn transfer(
        &self,
        name: &'static str,
        mut words: Vec<String>,
        flags: &Flags<'_>,
    ) -> Result<Transfer> {
        let dest = words.pop().unwrap_or_default();
        if let Ok(Some(_)) = heredoc_of(&dest) {
            return self.fail(Mistake::HeredocDestination(name));
        }
        let mut sources = Vec::new();
        let mut heredocs = Vec::new();
        for word in words {
            let Ok(Some(mut heredoc)) = heredoc_of(&word) else {
                sources.push(word);
                continue;
            };
            // Of several with one name, all are the last.
            let written = self.statement.heredocs.iter().rev();
            let same = written.into_iter().find(|other| other.name == heredoc.name);
            heredoc.content = same.map(|same| same.content.clone()).unwrap_or_default();
            heredocs.push(heredoc);
        }
        let exclude = flags.all("exclude").filter_map(|flag| flag.value.clone());
        Ok(Transfer {
            sources,
            heredocs,
            dest,
            chown: flags.value("chown").unwrap_or_default().to_owned(),
            chmod: flags.value("chmod").unwrap_or_default().to_owned(),
            link: flags.switch("link").unwrap_or(false),
            exclude: exclude.collect(),
        })
    }

    fn expose(&self) -> Result<Vec<String>> {
        let mut ports = forms::words(self.parts.rest).words;
        if ports.is_empty() {
            return self.fail(Mistake::AtLeastOne("EXPOSE"));
        }
        self.no_flags()?;
        ports.sort();
        Ok(ports)
    }

    fn volume(&self) -> Result<Vec<String>> {
        let volumes = forms::list(self.parts.rest)
            .map_err(|mistake| self.fault(mistake))?
            .words;
        if volumes.is_empty() {
            return self.fail(Mistake::AtLeastOne("VOLUME"));
        }
        self.no_flags()?;
        let volumes: Vec<_> = volumes.iter().map(|path| path.trim().to_owned()).collect();
        if volumes.iter().any(String::is_empty) {
            return self.fail(Mistake::EmptyVolume);
        }
        Ok(volumes)
    }

    fn shell(&self) -> Result<Vec<String>> {
        self.no_flags()?;
        let Arguments { words, json } =
            forms::command(self.parts.rest).map_err(|mistake| self.fault(mistake))?;
        match (words.is_empty(), json) {
            (true, _) => self.fail(Mistake::AtLeastOne("SHELL")),
            (false, true) => Ok(words),
            (false, false) => self.fail(Mistake::ShellNotJson),
        }
    }

    fn healthcheck(&self) -> Result<Healthcheck> {
        let rest = self.parts.rest;
        if rest.is_empty() {
            return self.fail(Mistake::AtLeastOne("HEALTHCHECK"));
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (kind, command) = (rest[..end].to_uppercase(), rest[end..].trim_start());
        match kind.as_str() {
            "NONE" if command.is_empty() => {
                return Ok(Healthcheck {
                    test: vec![kind],
                    ..Healthcheck::default()
                });
            }
            "NONE" => return self.fail(Mistake::HealthcheckNone),
            "CMD" => {}
            _ => return self.fail(Mistake::HealthcheckType(kind)),
        }
        let flags = self.flags(&Known {
            single: &[
                "interval",
                "timeout",
                "start-period",
                "start-interval",
                "retries",
            ],
            ..Known::default()
        })?;
        let Arguments { words, json } =
            forms::command(command).map_err(|mistake| self.fault(mistake))?;
        if words.is_empty() {
            return self.fail(Mistake::HealthcheckCommand);
        }
        let kind = if json { "CMD" } else { "CMD-SHELL" };
        Ok(Healthcheck {
            test: std::iter::once(kind.to_owned()).chain(words).collect(),
            interval: interval(&flags, "interval")?,
            timeout: interval(&flags, "timeout")?,
            start_period: interval(&flags, "start-period")?,
            start_interval: interval(&flags, "start-interval")?,
            retries: retries(&flags)?,
        })
    }

    fn on_build(&self) -> Result<String> {
        let rest = self.parts.rest;
        if rest.is_empty() {
            return self.fail(Mistake::AtLeastOne("ONBUILD"));
        }
        self.no_flags()?;
        let trigger = split(rest, self.escape).keyword.to_ascii_uppercase();
        match trigger.as_str() {
            "ONBUILD" => return self.fail(Mistake::ChainedOnBuild),
            "MAINTAINER" | "FROM" => return self.fail(Mistake::OnBuildTrigger(trigger)),
            _ => {}
        }
        let text = self.statement.text.trim_start();
        let mut trigger = text[self.parts.keyword.len()..].trim_start().to_owned();
        for heredoc in &self.statement.heredocs {
            trigger.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
        }
        Ok(trigger)
    }
}

fn interval(flags: &Flags<'_>, name: &'static str) -> Result<i64> {
    let Some(text) = flags.value(name).filter(|value| !value.is_empty()) else {
        return Ok(0);
    };
    match duration::nanoseconds(text) {
        None => Err(flags.fault(name, Mistake::Duration(text.to_owned()))),
        Some(value) if value != 0 && value < 1_000_000 => {
            Err(flags.fault(name, Mistake::ShortDuration(name.to_owned())))
        }
        Some(value) => Ok(value),
    }
}

fn retries(flags: &Flags<'_>) -> Result<i64> {
    let Some(text) = flags.value("retries").filter(|value| !value.is_empty()) else {
        return Ok(0);
    };
    match text.parse::<i32>() {
        Ok(count) if count >= 0 => Ok(count.into()),
        _ => Err(flags.fault("retries", Mistake::Retries(text.to_owned()))),
    }
}

/// The fields of a `--mount`. `from` has to be known before any variable is, for it decides what is built at all.
fn mount_flag(text: &str, span: super::Span) -> Result<MountFlag> {
    let fields =
        csv::fields(text).ok_or_else(|| Fault::new(Mistake::MountFields(text.to_owned()), span))?;
    let mut from = None;
    for field in &fields {
        let Some((key, value)) = field.split_once('=') else {
            continue;
        };
        if !key.eq_ignore_ascii_case("from") {
            continue;
        }
        if value.find('$').is_some_and(|at| at + 1 < value.len()) {
            return Err(Fault::new(Mistake::MountFromVariable, span));
        }
        from = Some(value.to_owned()).filter(|value| !value.is_empty());
    }
    Ok(MountFlag { fields, from, span })
}
