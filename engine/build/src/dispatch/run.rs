//! `RUN`.

use super::mounts;
use super::stage::{Build, Now, Stage};
use crate::dockerfile::{Fault, Heredoc, Mistake, Run, RunNetwork, heredoc_of};
use crate::graph::{self, InlineFile, Mount, MountKind, Network, Op};
use crate::ignore::clean;
use crate::words::{Environment, Lexer};

type Result<T = (), E = Fault> = std::result::Result<T, E>;

/// Where a script that stands in the Dockerfile is found.
const PIPES: &str = "/dev/pipes";

/// Build arguments that reach each `RUN` as variables, in both cases, and that no cache key and no history shows.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

impl Build<'_> {
    pub(super) fn run(&mut self, stage: &mut Stage, now: &mut Now<'_>, run: &Run) -> Result {
        let instruction = &now.command.instruction;
        let mut mounts = self.mounts(stage, now, run)?;
        let mut args = run.command.args.clone();
        let mut shown = instruction.code.clone();
        if let Some(first) = run.command.heredocs.first() {
            let line = args.first().cloned().unwrap_or_default();
            if let Ok(Some(_)) = heredoc_of(&line) {
                args = vec![self.script(stage, now, first, &mut mounts)];
                shown.push_str(&format!(" ({})", summary(&first.content)));
            } else {
                args = vec![with_heredocs(line, &run.command.heredocs)];
            }
        }
        if run.command.shell {
            args = stage.with_shell(&args);
        }
        let created_by = created_by(stage, &args);
        let masked = Masked {
            stage,
            secrets: secret_variables(&mounts),
        };
        let lexer = Lexer {
            raw_quotes: true,
            keep_unset: true,
            ..self.lexer()
        };
        let name = self.name(now, &shown, lexer, &masked, &stage.platform);
        let op = Op::Run(Box::new(graph::Run {
            base: stage.vertex,
            args,
            env: stage.env.pairs().to_vec(),
            cwd: clean(&stage.dir),
            user: stage.user.clone(),
            mounts,
            network: match run.network {
                RunNetwork::Default => self.options.network.clone(),
                RunNetwork::None => Network::None,
                RunNetwork::Host => Network::Host,
            },
            proxy: self.proxy(),
            extra_hosts: self.options.extra_hosts.clone(),
            hostname: self.options.hostname.clone(),
            shm_size: self.options.shm_size,
            ulimits: self.options.ulimits.clone(),
        }));
        stage.vertex = self.step(op, name, now, &stage.platform);
        let layer = Some(stage.vertex);
        stage.commit(&created_by, layer);
        Ok(())
    }

    /// A line that is nothing but a heredoc is a script: one that names its interpreter becomes a file, any other one is
    /// for the shell as it stands, so that shells that know no heredocs can be used too.
    fn script(
        &mut self,
        stage: &Stage,
        now: &Now<'_>,
        heredoc: &Heredoc,
        mounts: &mut Vec<Mount>,
    ) -> String {
        if !heredoc.content.starts_with("#!") {
            return heredoc.text();
        }
        let op = Op::Files(vec![InlineFile {
            path: clean(&format!("/{}", heredoc.name)),
            mode: 0o755,
            data: heredoc.text().into_bytes(),
        }]);
        let from = self.inline_files(op, stage, now);
        mounts.insert(
            0,
            Mount {
                target: PIPES.to_owned(),
                readonly: true,
                kind: MountKind::Bind {
                    from,
                    source: "/".to_owned(),
                },
            },
        );
        clean(&format!("{PIPES}/{}", heredoc.name))
    }

    fn mounts(&mut self, stage: &Stage, now: &Now<'_>, run: &Run) -> Result<Vec<Mount>> {
        let mut mounts = Vec::new();
        for (flag, source) in run.mounts.iter().zip(&now.command.sources) {
            let lexer = self.lexer();
            let mut fields = Vec::new();
            for field in &flag.fields {
                fields.push(match field.split_once('=') {
                    Some((key, value)) => {
                        let value = self.expand(stage, value, flag.span, lexer)?;
                        (key.to_lowercase(), Some(value), field.as_str())
                    }
                    None => (field.to_lowercase(), None, field.as_str()),
                });
            }
            let fields = mounts::read(&fields, flag.span)?;
            let from = match (source, fields.needs_context()) {
                (Some(state), _) => Some(self.source_of(*state, "cannot mount", flag.span)?),
                (None, true) => Some(self.main_context(now.command.instruction.span)),
                (None, false) => None,
            };
            let namespace = self.options.args.get("BUILDKIT_CACHE_MOUNT_NS");
            let namespace = namespace.map_or("", String::as_str);
            let mount = fields.mount(from, &stage.dir, namespace);
            mounts.push(mount.map_err(|mistake| Fault::new(mistake, flag.span))?);
        }
        Ok(mounts)
    }

    fn proxy(&self) -> Vec<(String, String)> {
        let mut proxy = Vec::new();
        for name in PROXIES {
            let mut given = self.options.args.iter();
            let value = given.find(|(key, _)| key.eq_ignore_ascii_case(name));
            if let Some((_, value)) = value.filter(|(_, value)| !value.is_empty()) {
                proxy.push((name.to_owned(), value.clone()));
                proxy.push((name.to_lowercase(), value.clone()));
            }
        }
        proxy
    }
}

/// A line with the heredocs it begins, for the shell to make sense of.
fn with_heredocs(line: String, heredocs: &[Heredoc]) -> String {
    heredocs.iter().fold(line, |line, heredoc| {
        format!("{line}\n{}{}", heredoc.content, heredoc.name)
    })
}

/// The first line of a script.
fn summary(text: &str) -> String {
    let text = text.trim();
    match text.split_once('\n') {
        Some((first, _)) => format!("{}...", first.strip_suffix('\r').unwrap_or(first)),
        None => text.to_owned(),
    }
}

/// `RUN |1 A=b /bin/sh -c make # buildkit`: the arguments in scope, their number before them, and the command.
fn created_by(stage: &Stage, args: &[String]) -> String {
    let mut scope: Vec<(&str, String)> = Vec::new();
    for (name, value) in &stage.args {
        let current = stage.env.get(name).map(str::to_owned);
        let pair = format!("{name}={}", current.or(value.clone()).unwrap_or_default());
        match scope.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = pair,
            None => scope.push((name, pair)),
        }
    }
    let count = (!scope.is_empty()).then(|| format!("|{}", scope.len()));
    let words: Vec<String> = count
        .into_iter()
        .chain(scope.into_iter().map(|(_, pair)| pair))
        .chain(args.iter().cloned())
        .collect();
    format!("RUN {} # buildkit", words.join(" "))
}

fn secret_variables(mounts: &[Mount]) -> Vec<String> {
    let names = mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Secret { env, .. } => env.clone(),
        _ => None,
    });
    names.collect()
}

/// The stage's variables, with stars for those that come from secrets.
struct Masked<'a> {
    stage: &'a Stage,
    secrets: Vec<String>,
}

impl Environment for Masked<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        if self.secrets.iter().any(|secret| secret == name) {
            return Some("****");
        }
        self.stage.env.get(name)
    }
}

/// A fault about a target, which a mount cannot have.
pub(super) fn bad_target(target: &str) -> Mistake {
    Mistake::MountTarget(target.to_owned())
}
