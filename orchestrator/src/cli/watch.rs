//! `watch`: what is saved here is in the containers a moment later.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;

use bowline_api::ContainerSummary;
use bowline_client::Client;
use bowline_compose::model::{Hook, Project};
use bowline_plan as planning;
use clap::Args;
use futures_util::future::try_join_all;

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::exec::run_in;
use super::prepare::{Making, prepare};
use super::signals::Interrupts;
use crate::apply::Options;
use crate::ui::{Failure, Mode, Outcome, WithContext as _};
use crate::watch::{Batch, Change, Rule, Source, archive, batch, rules};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Watch {
    /// Services; all that have a `develop` section if none is named
    services: Vec<String>,
    /// Do not bring the services up first
    #[arg(long)]
    no_up: bool,
    /// Remove images that a rebuild replaced
    #[arg(
        long, value_name = "BOOL", default_value_t = true, hide_default_value = true,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set
    )]
    prune: bool,
    /// Do not show how building goes
    #[arg(long)]
    quiet: bool,
}

impl Watch {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let project = context.project(&self.services)?;
        let mut interrupts = Interrupts::catch()?;
        // Listening begins before the start, so that nothing saved meanwhile is missed.
        let mut watching =
            Watching::open(context, &project, &self.services, self.quiet, self.prune).await?;
        if !self.no_up {
            let making = Making {
                services: self.services.clone(),
                build: true,
                quiet_build: self.quiet,
                ..Making::default()
            };
            let up = async {
                let prepared = prepare(context, &making, false, false).await?;
                let watch = prepared.watch().await?;
                prepared.execute(context, &watch, Options::default()).await
            };
            tokio::select! {
                done = Box::pin(up) => drop(done?),
                _ = interrupts.next() => return Ok(130),
            }
        }
        tokio::select! {
            ended = Box::pin(watching.run()) => match ended? {},
            _ = interrupts.next() => Ok(130),
        }
    }
}

/// A project whose files are watched.
#[derive(Debug)]
pub(super) struct Watching<'a> {
    context: &'a Context,
    client: Client,
    project: String,
    rules: Vec<Rule>,
    source: Source,
    quiet: bool,
    prune: bool,
}

impl<'a> Watching<'a> {
    /// Listens from now on; nothing is done before [`Watching::run`].
    pub(super) async fn open(
        context: &'a Context,
        project: &Project,
        services: &[String],
        quiet: bool,
        prune: bool,
    ) -> Outcome<Self> {
        let read = |path: &std::path::Path| std::fs::read_to_string(path).ok();
        let (rules, warnings) = rules(project, services, read)?;
        for warning in warnings {
            context.ui.warn(warning);
        }
        let source = Source::open(&rules).during("cannot watch files")?;
        Ok(Self {
            context,
            client: context.client().await?,
            project: project.name.clone(),
            rules,
            source,
            quiet,
            prune,
        })
    }

    /// Watches for ever. What fails is told, and watching goes on.
    pub(super) async fn run(&mut self) -> Outcome<Infallible> {
        let initial = self.source.all(|rule| rule.initial_sync);
        let mut first = batch(&self.rules, &initial, |_| true);
        first.restart.clear();
        first.exec.clear();
        first.rebuild.clear();
        self.act(first).await;
        self.context.ui.note("Watch enabled");
        let mut changed = BTreeSet::new();
        loop {
            self.source.next(&mut changed).await;
            let paths: BTreeSet<PathBuf> = std::mem::take(&mut changed);
            let is_there = |path: &std::path::Path| std::fs::symlink_metadata(path).is_ok();
            self.act(batch(&self.rules, &paths, is_there)).await;
        }
    }

    async fn act(&self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        if let Err(failure) = Box::pin(self.try_act(batch)).await {
            self.context
                .ui
                .note(failure.render(self.context.ui.color_err).trim_end());
        }
    }

    async fn try_act(&self, batch: Batch) -> Outcome<()> {
        if !batch.rebuild.is_empty() {
            self.rebuild(&batch.rebuild).await?;
        }
        let copies = batch
            .sync
            .iter()
            .map(|(service, changes)| self.sync(service, changes));
        try_join_all(copies).await?;
        if !batch.restart.is_empty() {
            self.restart(&batch.restart).await?;
        }
        for number in &batch.exec {
            let rule = &self.rules[*number];
            self.exec(&rule.service, &rule.exec).await?;
        }
        Ok(())
    }

    async fn running(&self, service: &str) -> Outcome<Vec<ContainerSummary>> {
        let services = [service.to_owned()];
        let found = containers::list(&self.client, &self.project, false, &services).await?;
        let replicas = found
            .into_iter()
            .filter(|container| !container.is_one_off());
        Ok(replicas.collect())
    }

    async fn sync(&self, service: &str, changes: &BTreeSet<Change>) -> Outcome<()> {
        let kept = changes.clone();
        let packing = tokio::task::spawn_blocking(move || archive(&kept));
        let (containers, packed) = tokio::join!(self.running(service), packing);
        let containers = containers?;
        let packed = packed?.during("cannot read the changed files")?;
        let gone: Vec<String> = changes
            .iter()
            .filter(|change| change.gone)
            .map(|change| change.inside.clone())
            .collect();
        let packed = bytes::Bytes::from(packed);
        let copies = containers.iter().map(async |container| {
            if gone.len() < changes.len() {
                let unpacked =
                    self.client
                        .container_unpack(&container.id, "/", packed.clone(), true);
                unpacked
                    .await
                    .during(format!("cannot copy files into `{}`", container.name()))?;
            }
            self.delete(container, &gone).await
        });
        try_join_all(copies).await?;
        let count = changes.len();
        let files = if count == 1 { "file" } else { "files" };
        self.context
            .ui
            .note(format!("Synced service `{service}`: {count} {files}"));
        Ok(())
    }

    /// There is no way to delete through the archive, so the container's own `rm` does it.
    async fn delete(&self, container: &ContainerSummary, gone: &[String]) -> Outcome<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let command = ["rm", "-rf", "--"].map(ToOwned::to_owned);
        let hook = Hook {
            command: Some(command.into_iter().chain(gone.iter().cloned()).collect()),
            // Whoever owns the folder, root may.
            user: Some("0".into()),
            ..Hook::default()
        };
        let (code, output) = run_in(&self.client, &container.id, &hook).await?;
        match code {
            0 => Ok(()),
            code => Err(
                Failure::new(format!("cannot delete files in `{}`", container.name()))
                    .cause(format!("`rm` ended with code {code}: {}", output.trim())),
            ),
        }
    }

    async fn restart(&self, services: &BTreeSet<String>) -> Outcome<()> {
        let services: Vec<String> = services.iter().cloned().collect();
        let session = self.context.session(&services).await?;
        let choices = planning::Restart {
            services: services.clone(),
            no_deps: false,
        };
        let plan = planning::restart(&session.scope.desired, &session.observed, &choices);
        let plan = plan.map_err(|error| session.scope.failure(&error))?;
        self.context.carry_out(&session, &plan, plainly()).await?;
        self.context
            .ui
            .note(format!("Restarted {}", names(&services)));
        Ok(())
    }

    async fn exec(&self, service: &str, hook: &Hook) -> Outcome<()> {
        for container in self.running(service).await? {
            let (code, output) = run_in(&self.client, &container.id, hook).await?;
            if !self.quiet {
                output.lines().for_each(|line| {
                    self.context
                        .ui
                        .note(format!("{} -> {line}", container.name()));
                });
            }
            if code != 0 {
                let name = container.name();
                return Err(Failure::new(format!(
                    "the command of a watch rule ended with code {code} in `{name}`"
                )));
            }
        }
        Ok(())
    }

    async fn rebuild(&self, services: &BTreeSet<String>) -> Outcome<()> {
        let services: Vec<String> = services.iter().cloned().collect();
        self.context
            .ui
            .note(format!("Rebuilding {}", names(&services)));
        let making = Making {
            services: services.clone(),
            build: true,
            quiet_build: self.quiet,
            no_deps: true,
            force_recreate: true,
            ..Making::default()
        };
        let prepared = prepare(self.context, &making, false, false).await?;
        let watch = prepared.watch().await?;
        prepared.execute(self.context, &watch, plainly()).await?;
        if self.prune {
            let filters = bowline_api::Filters::new().with("dangling", "true").with(
                "label",
                format!("{}={}", planning::labels::PROJECT, self.project),
            );
            self.client.images_prune(&filters).await?;
        }
        self.context
            .ui
            .note(format!("Rebuilt {}", names(&services)));
        Ok(())
    }
}

/// There may be output of containers on the screen, which a picture of progress must not paint over.
fn plainly() -> Options {
    Options {
        mode: Some(Mode::Plain),
        ..Options::default()
    }
}

fn names(services: &[String]) -> String {
    let names: Vec<String> = services.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
