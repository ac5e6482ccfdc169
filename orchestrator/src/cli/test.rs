//! `test`: a service's command against a copy of the project that nobody else sees and that nothing is
//! left of.
//!
//! The copy hangs on a lease: the engine removes it when our connection ends, whatever ended us.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bowline_api::Event;
use bowline_client::{Client, Lease, LeaseRequest};
use bowline_plan as planning;
use clap::Args;
use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinHandle;

use super::context::Context;
use super::isolate;
use super::prepare::{Making, Prepared, Pull, prepare};
use super::run::Run;
use super::signals::Interrupts;
use crate::apply::{self, Notice, Options};
use crate::ui::{Failure, Outcome, WithContext as _, seconds};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Test {
    /// Folder for logs, events and states of a run that failed
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Variable to set; a name alone takes its value from here
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Do not build images, even if they are not here
    #[arg(long)]
    no_build: bool,
    /// When to pull images
    #[arg(long, value_enum)]
    pull: Option<Pull>,
    /// Seconds that services get to be running or healthy
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    /// Seconds that containers get to stop at the end; they are killed at once if it is 0
    #[arg(short, long, value_name = "SECONDS", default_value_t = 0)]
    timeout: u32,
    /// The service whose command tests the others
    service: String,
    /// The command and its arguments instead of the service's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// What happened while the copy lived.
#[derive(Debug)]
struct Chronicle(JoinHandle<Vec<Event>>, tokio::sync::oneshot::Sender<()>);

impl Chronicle {
    fn begin(mut notices: Receiver<Notice>) -> Self {
        let (end, mut ended) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut events = Vec::new();
            loop {
                tokio::select! {
                    notice = notices.recv() => match notice {
                        Ok(Notice::Event(event)) => events.push(Event::clone(&event)),
                        Ok(Notice::Gap) => {}
                        Err(_) => return events,
                    },
                    _ = &mut ended => return events,
                }
            }
        });
        Self(task, end)
    }

    async fn end(self) -> Vec<Event> {
        let _gone = self.1.send(());
        self.0.await.unwrap_or_default()
    }
}

impl Test {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let suffix = format!("test-{}", isolate::random()?);
        let original = context.quiet_project(std::slice::from_ref(&self.service))?;
        if !original.services.contains_key(&self.service) {
            let known: Vec<&str> = original.services.keys().map(String::as_str).collect();
            return Err(Failure::new(format!("no such service: `{}`", self.service))
                .hint(format!("the project has {}", known.join(", "))));
        }
        let name = format!("{}-{suffix}", original.name);
        let client = context.client().await?;
        let keeper = match context.globals.dry_run {
            true => None,
            false => keep(&client, &name).await?,
        };
        let making = Making {
            isolated: Some(suffix),
            lease: Some(name.clone()),
            build: !self.no_build,
            no_build: self.no_build,
            pull: self.pull,
            ..Making::around(&self.service, false)
        };
        let mut interrupts = Interrupts::catch()?;
        let prepared = tokio::select! {
            prepared = Box::pin(prepare(context, &making, true, false)) => prepared?,
            _ = interrupts.next() => return Ok(130),
        };
        let watch = prepared.watch().await?;
        let chronicle = Chronicle::begin(watch.subscribe());
        let outcome = Box::pin(self.tested(context, &prepared, &watch)).await;
        if context.globals.dry_run {
            return outcome;
        }
        let events = chronicle.end().await;
        let code = match &outcome {
            Ok(code) => *code,
            Err(failure) => failure.code(),
        };
        let reported = match code != 0 && code != 130 {
            true => self.report(context, &prepared, &events).await,
            false => Ok(()),
        };
        let removed = self.remove(context, &prepared, &watch).await;
        drop(keeper);
        reported?;
        let code = outcome?;
        removed?;
        Ok(code)
    }

    async fn tested(
        &self,
        context: &Context,
        prepared: &Prepared,
        watch: &apply::Watch,
    ) -> Outcome {
        let options = Options {
            wait_timeout: self.wait_timeout.map(Duration::from_secs),
            ..Options::default()
        };
        let summary = prepared.execute(context, watch, options).await?;
        if let Some(summary) = summary.filter(|summary| !summary.path.is_empty()) {
            let took = seconds(summary.took);
            context
                .ui
                .note(format!("Ready in {took}: {}", summary.text()));
        }
        if context.globals.dry_run {
            return Ok(0);
        }
        let run = Run::of(&self.service, &self.command, &self.environment);
        Box::pin(run.in_prepared(context, prepared)).await
    }

    /// All that is known of the copy, for whoever looks for the reason.
    async fn report(
        &self,
        context: &Context,
        prepared: &Prepared,
        events: &[Event],
    ) -> Outcome<()> {
        let folder = match &self.report {
            Some(folder) => folder.clone(),
            None => PathBuf::from(format!(
                "bowline-test/{}-{}",
                self.service,
                Timestamp::now().strftime("%Y%m%d-%H%M%S")
            )),
        };
        let made = std::fs::create_dir_all(&folder);
        made.during(format!("cannot make {} for the report", folder.display()))?;
        write(&folder, "plan.txt", &prepared.plan.to_string())?;
        let lines: Vec<String> = events
            .iter()
            .filter_map(|event| serde_json::to_string(event).ok())
            .collect();
        write(&folder, "events.jsonl", &lines.join("\n"))?;
        let (client, name) = (&prepared.client, &prepared.scope.name);
        for container in super::containers::list(client, name, true, &[]).await? {
            let called = super::containers::Labelled::name(&container).to_owned();
            let log = apply::last_lines(client, &container.id, 1_000_000).await;
            write(&folder, &format!("{called}.log"), &log.join("\n"))?;
            let seen = client.container_inspect(&container.id).await?;
            let text = serde_json::to_string_pretty(&seen)?;
            write(&folder, &format!("{called}.json"), &text)?;
        }
        context.ui.note(format!(
            "What is known of the failed run is in {}",
            folder.display()
        ));
        Ok(())
    }

    async fn remove(
        &self,
        context: &Context,
        prepared: &Prepared,
        watch: &apply::Watch,
    ) -> Outcome<()> {
        let Prepared { client, scope, .. } = prepared;
        let observed = apply::observe(client, &scope.name, scope.project.as_ref()).await?;
        let choices = planning::Down {
            volumes: true,
            remove_orphans: true,
            has_file: true,
            ..planning::Down::default()
        };
        let plan = planning::down(&scope.desired, &observed, &choices);
        let plan = plan.map_err(|error| scope.failure(&error))?;
        let options = Options {
            stop_timeout: Some(self.timeout.into()),
            mode: Some(crate::ui::Mode::Quiet),
            ignore_signals: true,
            ..Options::default()
        };
        Box::pin(context.execute(client, scope, &plan, watch, options)).await?;
        Ok(())
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome<()> {
    let path = folder.join(name);
    std::fs::write(&path, format!("{text}\n")).during(format!("cannot write {}", path.display()))
}

/// Ends with the test.
#[derive(Debug)]
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Holds the lease that the copy hangs on, and takes it again from an engine that was replaced. Engines
/// without leases are used without: there a killed test leaves its copy.
async fn keep(client: &Client, name: &str) -> Outcome<Option<Keeper>> {
    let request = LeaseRequest {
        name: name.to_owned(),
        holder: format!("`bowline test` (pid {})", std::process::id()),
        wait: true,
        remove: true,
    };
    let mut lease: Lease = match client.lease(&request).await {
        Ok(lease) => lease,
        Err(bowline_client::Error::Api { status: 404, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let client = client.clone();
    let task = tokio::spawn(async move {
        loop {
            lease.lost().await;
            loop {
                match client.lease(&request).await {
                    Ok(again) => break lease = again,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        }
    });
    Ok(Some(Keeper(task)))
}
