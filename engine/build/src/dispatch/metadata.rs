//! Instructions that change the image's configuration only, and `WORKDIR`, which also makes a folder.

use bowline_image::Empty;

use super::stage::{Build, Now, Stage};
use super::{expose, history, signal};
use crate::dockerfile::{
    Arg, CommandLine, Fault, Healthcheck, Instruction, Kind, Mistake, Pair, Span,
};
use crate::graph::{MakeDir, Op};
use crate::ignore::clean;
use crate::warnings::{Rule, names_a_secret};

/// Arguments that steer the builder and are no variables of a `RUN`.
const NO_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

type Result<T = (), E = Fault> = std::result::Result<T, E>;

impl Build<'_> {
    pub(super) fn metadata(&mut self, stage: &mut Stage, now: &Now<'_>) -> Result {
        let instruction = &now.command.instruction;
        match &instruction.kind {
            Kind::Env(pairs) => self.env(stage, instruction, pairs),
            Kind::Label(pairs) => self.label(stage, instruction, pairs),
            Kind::Arg(args) => self.arg(stage, instruction, args),
            Kind::Cmd(line) => self.cmd(stage, instruction, line),
            Kind::Entrypoint(line) => self.entrypoint(stage, instruction, line),
            Kind::Healthcheck(check) => self.healthcheck(stage, instruction, check),
            Kind::Expose(ports) => self.expose(stage, instruction, ports),
            Kind::Volume(paths) => self.volume(stage, instruction, paths),
            Kind::User(user) => {
                let user = self.word(stage, user, instruction)?;
                stage.commit(&format!("USER {user}"), None);
                stage.image.config.user.clone_from(&user);
                stage.user = user;
                Ok(())
            }
            Kind::StopSignal(name) => {
                let name = self.word(stage, name, instruction)?;
                if !signal::is_signal(&name) {
                    return Err(Fault::new(Mistake::Signal(name), instruction.span));
                }
                stage.commit(&format!("STOPSIGNAL {name}"), None);
                stage.image.config.stop_signal = Some(name);
                Ok(())
            }
            Kind::Shell(shell) => {
                stage.commit(&format!("SHELL [{}]", shell.join(" ")), None);
                stage.image.config.shell = Some(shell.clone());
                Ok(())
            }
            Kind::OnBuild(trigger) => {
                stage.image.config.on_build.push(trigger.clone());
                Ok(())
            }
            Kind::Maintainer(name) => {
                stage.image.author.clone_from(name);
                stage.commit(&format!("MAINTAINER {name}"), None);
                Ok(())
            }
            Kind::From(_) | Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_) => {
                Ok(())
            }
        }
    }

    /// Pairs with their variables expanded, all of them with the values from before the instruction.
    fn pairs(
        &mut self,
        stage: &Stage,
        instruction: &Instruction,
        pairs: &[Pair],
    ) -> Result<Vec<(String, String)>> {
        let mut expanded = Vec::new();
        for pair in pairs {
            let key = self.word(stage, &pair.key, instruction)?;
            let value = self.word(stage, &pair.value, instruction)?;
            if pair.legacy {
                let name = &instruction.keyword;
                let text = format!(
                    "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
                );
                self.remarks
                    .warn(Rule::LegacyKeyValueFormat, instruction.span, text);
            }
            expanded.push((key, value));
        }
        Ok(expanded)
    }

    fn env(&mut self, stage: &mut Stage, instruction: &Instruction, pairs: &[Pair]) -> Result {
        let mut text = "ENV".to_owned();
        for (key, value) in self.pairs(stage, instruction, pairs)? {
            self.check_secret("ENV", &key, instruction.span);
            text.push_str(&format!(" {key}={value}"));
            stage.env.set(&key, &value);
            let env = &mut stage.image.config.env;
            let known = env
                .iter_mut()
                .find(|pair| pair.split('=').next() == Some(&key));
            match known {
                Some(known) => *known = format!("{key}={value}"),
                None => env.push(format!("{key}={value}")),
            }
        }
        stage.commit(&text, None);
        Ok(())
    }

    fn check_secret(&mut self, instruction: &str, name: &str, span: Span) {
        if names_a_secret(name) {
            let text = format!(
                "Do not use ARG or ENV instructions for sensitive data ({instruction} \"{name}\")"
            );
            self.remarks.warn(Rule::SecretsUsedInArgOrEnv, span, text);
        }
    }

    fn label(&mut self, stage: &mut Stage, instruction: &Instruction, pairs: &[Pair]) -> Result {
        let mut text = "LABEL".to_owned();
        let pairs = self.pairs(stage, instruction, pairs)?;
        let at = *stage.labels.get_or_insert_with(|| {
            self.shared.labels.push(Default::default());
            self.shared.labels.len() - 1
        });
        for (key, value) in pairs {
            text.push_str(&format!(" {key}={value}"));
            self.shared.labels[at].insert(key, value);
        }
        stage.commit(&text, None);
        Ok(())
    }

    /// An argument given to the build wins over the default, the default over that of a global one.
    fn arg(&mut self, stage: &mut Stage, instruction: &Instruction, args: &[Arg]) -> Result {
        let mut words = vec!["ARG".to_owned()];
        for arg in args {
            self.check_secret("ARG", &arg.name, instruction.span);
            let value = match (self.options.args.get(&arg.name), &arg.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.word(stage, default, instruction)?),
                (None, None) => self.plan.globals.get(&arg.name).map(str::to_owned),
            };
            if let Some(value) = &value
                && !NO_VARIABLES.contains(&arg.name.as_str())
            {
                stage.env.set(&arg.name, value);
            }
            words.push(match &value {
                Some(value) => format!("{}={value}", arg.name),
                None => arg.name.clone(),
            });
            stage.args.push((arg.name.clone(), value));
        }
        stage.commit(&words.join(" "), None);
        Ok(())
    }

    /// Remarks on an instruction that came before: only this one counts.
    fn once(&mut self, stage: &mut Stage, instruction: &Instruction) {
        if let Some(before) = stage.once.insert(instruction.name(), instruction.span) {
            let text = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                instruction.keyword
            );
            self.remarks
                .warn(Rule::MultipleInstructionsDisallowed, before, text);
        }
    }

    fn line(
        &mut self,
        stage: &Stage,
        instruction: &Instruction,
        line: &CommandLine,
    ) -> Vec<String> {
        if !line.shell {
            return line.args.clone();
        }
        if stage
            .image
            .config
            .shell
            .as_deref()
            .unwrap_or_default()
            .is_empty()
        {
            let text = format!(
                "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                instruction.keyword
            );
            self.remarks
                .warn(Rule::JSONArgsRecommended, instruction.span, text);
        }
        stage.with_shell(&line.args)
    }

    fn cmd(&mut self, stage: &mut Stage, instruction: &Instruction, line: &CommandLine) -> Result {
        self.once(stage, instruction);
        let args = self.line(stage, instruction, line);
        stage.commit(&format!("CMD {}", history::quoted_list(&args)), None);
        stage.image.config.cmd = Some(args).filter(|args| !args.is_empty());
        stage.image.config.args_escaped = true;
        Ok(())
    }

    fn entrypoint(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        line: &CommandLine,
    ) -> Result {
        self.once(stage, instruction);
        let args = self.line(stage, instruction, line);
        stage.commit(&format!("ENTRYPOINT {}", history::quoted_list(&args)), None);
        stage.image.config.entrypoint = Some(args).filter(|args| !args.is_empty());
        // A command of the base image was meant for its own entry point.
        if !stage.once.contains_key("CMD") {
            stage.image.config.cmd = None;
        }
        Ok(())
    }

    fn healthcheck(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
        check: &Healthcheck,
    ) -> Result {
        self.once(stage, instruction);
        stage.commit(&history::healthcheck(check), None);
        stage.image.config.healthcheck = Some(bowline_image::Healthcheck {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        });
        Ok(())
    }

    fn expose(&mut self, stage: &mut Stage, instruction: &Instruction, ports: &[String]) -> Result {
        let mut written = Vec::new();
        for port in ports {
            let expanded = self.lexer().expand(port, &stage.env);
            written.extend(
                expanded
                    .map_err(|error| Fault::new(error, instruction.span))?
                    .words,
            );
        }
        let mut exposed = Vec::new();
        for port in written {
            let parsed = expose::parse(&port)
                .ok_or_else(|| Fault::new(Mistake::Port(port.clone()), instruction.span))?;
            if parsed.odd_case {
                let text =
                    format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
                self.remarks
                    .warn(Rule::ExposeProtoCasing, instruction.span, text);
            }
            if parsed.host {
                let text = format!(
                    "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
                );
                self.remarks
                    .warn(Rule::ExposeInvalidFormat, instruction.span, text);
            }
            exposed.extend(parsed.ports);
        }
        let at = self.set(&mut stage.ports);
        for port in &exposed {
            self.shared.sets[at].insert(port.clone(), Empty {});
        }
        stage.commit(&format!("EXPOSE [{}]", exposed.join(" ")), None);
        Ok(())
    }

    fn set(&mut self, at: &mut Option<usize>) -> usize {
        *at.get_or_insert_with(|| {
            self.shared.sets.push(Default::default());
            self.shared.sets.len() - 1
        })
    }

    fn volume(&mut self, stage: &mut Stage, instruction: &Instruction, paths: &[String]) -> Result {
        let mut volumes = Vec::new();
        for path in paths {
            let path = self.word(stage, path, instruction)?;
            if path.is_empty() {
                return Err(Fault::new(Mistake::EmptyVolume, instruction.span));
            }
            volumes.push(path);
        }
        let at = self.set(&mut stage.volumes);
        for path in &volumes {
            self.shared.sets[at].insert(path.clone(), Empty {});
        }
        stage.commit(&format!("VOLUME [{}]", volumes.join(" ")), None);
        Ok(())
    }

    pub(super) fn workdir(&mut self, stage: &mut Stage, now: &mut Now<'_>, path: &str) -> Result {
        let instruction = &now.command.instruction;
        let path = self.word(stage, path, instruction)?;
        if !stage.workdir_set && !path.starts_with('/') {
            let text = format!(
                "Relative workdir \"{path}\" can have unexpected results if the base image changes"
            );
            self.remarks
                .warn(Rule::WorkdirRelativePath, instruction.span, text);
        }
        stage.workdir_set = true;
        let current = &stage.image.config.working_dir;
        let dir = match path.as_str() {
            "" if current.is_empty() => "/".to_owned(),
            "" => current.clone(),
            path if path.starts_with('/') => path.to_owned(),
            path => clean(&format!("/{current}/{path}")),
        };
        stage.image.config.working_dir.clone_from(&dir);
        stage.dir.clone_from(&dir);
        let mut layer = None;
        if dir != "/" {
            let lexer = self.lexer();
            let name = self.name(now, &instruction.code, lexer, &stage.env, &stage.platform);
            let op = Op::MakeDir(MakeDir {
                base: stage.vertex,
                path: clean(&dir),
                mode: 0o755,
                owner: stage.image.config.user.clone(),
            });
            let label = now.state.label.clone();
            stage.vertex = self.vertex(op, name, label, instruction.span, &stage.platform);
            layer = Some(stage.vertex);
        }
        stage.commit(&format!("WORKDIR {dir}"), layer);
        Ok(())
    }
}

impl Stage {
    /// A line for the shell as arguments.
    pub(super) fn with_shell(&self, args: &[String]) -> Vec<String> {
        let shell = self
            .image
            .config
            .shell
            .as_deref()
            .filter(|shell| !shell.is_empty());
        let mut words = match shell {
            Some(shell) => shell.to_vec(),
            None => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        };
        words.push(args.join(" "));
        words
    }
}
