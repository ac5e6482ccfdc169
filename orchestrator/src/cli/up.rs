//! `up`, `create` and `scale`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::follow::Attached;
use super::prepare::{Making, Prepared, prepare};
use super::signals::Interrupts;
use super::watch::Watching;
use crate::apply::{self, Options, Summary};
use crate::ui::{Failure, Outcome, Style, seconds};

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug)]
pub(super) struct Up {
    #[command(flatten)]
    making: Making,
    /// Return when the containers are started
    #[arg(short, long)]
    detach: bool,
    /// Return when the services are running or healthy
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    /// Create containers without starting them
    #[arg(long, conflicts_with_all = ["wait", "detach"])]
    no_start: bool,
    /// Seconds that a container gets to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Stop everything when a container exits
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    abort_on_container_exit: bool,
    /// Stop everything when a container fails
    #[arg(long, conflicts_with_all = ["detach", "wait", "abort_on_container_exit"])]
    abort_on_container_failure: bool,
    /// Exit as the first container of this service does
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    exit_code_from: Option<String>,
    /// Show the output of these services only
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    attach: Vec<String>,
    /// Do not show the output of these services
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,
    /// Show the output of dependencies, too
    #[arg(long, conflicts_with_all = ["detach", "wait", "attach"])]
    attach_dependencies: bool,
    /// No colours in the output
    #[arg(long)]
    no_color: bool,
    /// No prefix before the output
    #[arg(long)]
    no_log_prefix: bool,
    /// The time before each line of output
    #[arg(long)]
    timestamps: bool,
    /// Bring files into the containers when they are saved
    #[arg(short, long, conflicts_with_all = ["detach", "wait", "no_start", "no_build"])]
    watch: bool,
    /// A menu of keys; there is none, so only `--menu=false` is taken
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    menu: Option<bool>,
}

/// `create`: `up --no-start`.
#[derive(Args, Clone, Debug)]
pub(super) struct Create {
    #[command(flatten)]
    making: Making,
}

/// `scale`: `up -d --scale`, for the services that are named.
#[derive(Args, Clone, Debug)]
pub(super) struct Scale {
    /// Leave dependencies alone
    #[arg(long)]
    no_deps: bool,
    /// Number of containers of each service
    #[arg(required = true, value_name = "SERVICE=N", value_parser = super::prepare::scale)]
    scale: Vec<(String, u32)>,
}

impl Create {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let prepared = prepare(context, &self.making, false, true).await?;
        let watch = prepared.watch().await?;
        prepared
            .execute(context, &watch, Options::default())
            .await?;
        Ok(0)
    }
}

impl Scale {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let services = self.scale.iter().map(|(service, _)| service.clone());
        let making = Making {
            services: services.collect(),
            scale: self.scale,
            no_deps: self.no_deps,
            ..Making::default()
        };
        let prepared = Box::pin(prepare(context, &making, false, false)).await?;
        let watch = prepared.watch().await?;
        prepared
            .execute(context, &watch, Options::default())
            .await?;
        Ok(0)
    }
}

impl Up {
    pub(super) async fn run(mut self, context: &Context) -> Outcome {
        if self.menu == Some(true) {
            return Err(Failure::usage("there is no menu of keys")
                .hint("`bowline watch` follows changes of files"));
        }
        // A code can only come from a container that ends the whole.
        self.abort_on_container_exit |= self.exit_code_from.is_some();
        let mut interrupts = Interrupts::catch()?;
        let began = now();
        let mut prepared = tokio::select! {
            prepared = Box::pin(prepare(context, &self.making, self.wait, self.no_start)) => prepared?,
            _ = interrupts.next() => return Ok(130),
        };
        self.check_services(&prepared)?;
        let watching = match (self.watch, &prepared.scope.project) {
            (true, Some(project)) => {
                let (services, quiet) = (&self.making.services, self.making.quiet_build);
                Some(Watching::open(context, project, services, quiet, true).await?)
            }
            _ => None,
        };
        let watch = prepared.watch().await?;
        let mut notices = watch.subscribe();
        let options = Options {
            stop_timeout: self.timeout,
            wait_timeout: self.wait_timeout.map(Duration::from_secs),
            ..Options::default()
        };
        let detached = self.detach || self.wait;
        let done = Box::pin(prepared.execute(context, &watch, options)).await;
        prepared.release();
        let summary = match done {
            Ok(Some(summary)) if !self.no_start => summary,
            Ok(_) => return Ok(0),
            // An attached `up` takes back what it started.
            Err(failure) if failure.code() == 130 && !detached => {
                context
                    .ui
                    .note(failure.render(context.ui.color_err).trim_end());
                let again = Interrupts::catch()?;
                super::follow::stop_all(context, &prepared, &watch, self.timeout, again).await?;
                return Ok(130);
            }
            Err(failure) => return Err(failure),
        };
        self.tell(context, &summary);
        if detached {
            deaths(context, &prepared, &mut notices).await;
        }
        print_urls(context, &prepared).await?;
        if let Some(original) = &prepared.original {
            let name = &prepared.scope.name;
            context.ui.note(format!(
                "`{name}` is a copy of `{original}`; `bowline -p {name} down -v` removes it"
            ));
        }
        if detached {
            return Ok(0);
        }
        let attached = Attached {
            context,
            prepared: &prepared,
            watch: &watch,
            notices,
            since: began,
            services: self.attached_services(&prepared),
            up: &self,
            watching,
        };
        Box::pin(attached.run(interrupts)).await
    }

    /// How long it took, and what for.
    fn tell(&self, context: &Context, summary: &Summary) {
        if summary.path.is_empty() {
            return;
        }
        let word = if self.wait { "Ready" } else { "Started" };
        let took = seconds(summary.took);
        let text = format!("{word} in {took}: {}", summary.text());
        context.ui.note(text);
    }

    /// Services that options name must be among those in play.
    fn check_services(&self, prepared: &Prepared) -> Outcome<()> {
        let named = [("--attach", &self.attach), ("--no-attach", &self.no_attach)];
        let named = named
            .into_iter()
            .flat_map(|(option, names)| names.iter().map(move |name| (option, name)))
            .chain(
                self.exit_code_from
                    .iter()
                    .map(|name| ("--exit-code-from", name)),
            );
        for (option, name) in named {
            if !prepared.services.contains(name) {
                let known: Vec<&str> = prepared.services.iter().map(String::as_str).collect();
                let failure = Failure::new(format!("{option}: no such service: `{name}`"));
                return Err(failure.hint(format!("there is {}", known.join(", "))));
            }
        }
        Ok(())
    }

    fn attached_services(&self, prepared: &Prepared) -> BTreeSet<String> {
        let named = &self.making.services;
        let project = prepared.scope.project.as_ref();
        let silent = |name: &String| {
            let service = project.and_then(|project| project.service(name));
            service.is_some_and(|service| service.attach == Some(false))
        };
        let shown = |name: &&String| {
            if !self.attach.is_empty() {
                return self.attach.contains(name);
            }
            let asked = named.is_empty() || named.contains(name) || self.attach_dependencies;
            asked && !self.no_attach.contains(name) && !silent(name)
        };
        prepared.services.iter().filter(shown).cloned().collect()
    }

    /// The exit code that an ended container gives the whole, if it ends it.
    pub(super) fn aborts(&self, service: &str, code: i64) -> Option<u8> {
        let ends = self.abort_on_container_exit || self.abort_on_container_failure && code != 0;
        let chosen = self
            .exit_code_from
            .as_ref()
            .is_none_or(|from| from == service);
        let byte = u8::try_from(code & 0xff).unwrap_or(1);
        ends.then_some(if chosen { byte } else { 0 })
    }

    pub(super) fn exit_code_from(&self) -> Option<&str> {
        self.exit_code_from.as_deref()
    }

    /// Whether it goes on although every container has ended.
    pub(super) fn watches(&self) -> bool {
        self.watch
    }

    pub(super) fn timeout(&self) -> Option<i64> {
        self.timeout
    }

    pub(super) fn shape(&self, color: bool) -> crate::logs::Shape {
        crate::logs::Shape {
            prefix: !self.no_log_prefix,
            timestamps: self.timestamps,
            color: color && !self.no_color,
        }
    }
}

/// The time, in the form that logs are asked with.
pub(super) fn now() -> String {
    let now = Timestamp::now();
    format!("{}.{:09}", now.as_second(), now.subsec_nanosecond())
}

/// Containers that failed while the others were started.
async fn deaths(
    context: &Context,
    prepared: &Prepared,
    notices: &mut tokio::sync::broadcast::Receiver<crate::apply::Notice>,
) {
    let mut dead: BTreeMap<String, String> = BTreeMap::new();
    while let Ok(notice) = notices.try_recv() {
        let crate::apply::Notice::Event(event) = notice else {
            continue;
        };
        let attribute = |key: &str| event.actor.attributes.get(key).cloned().unwrap_or_default();
        match event.action.as_str() {
            "die" if attribute("exitCode") != "0" => {
                dead.insert(event.actor.id.clone(), attribute("name"));
            }
            "start" => {
                dead.remove(&event.actor.id);
            }
            _ => {}
        }
    }
    for (id, name) in dead {
        let Ok(seen) = prepared.client.container_inspect(&id).await else {
            continue;
        };
        if seen.state.running || seen.state.status != "exited" {
            continue;
        }
        let code = seen.state.exit_code;
        context.ui.warn(format!(
            "container `{name}` exited with code {code}; last lines of its log:"
        ));
        for line in apply::last_lines(&prepared.client, &id, 10).await {
            context.ui.note(format!("    | {line}"));
        }
    }
}

async fn print_urls(context: &Context, prepared: &Prepared) -> Outcome<()> {
    let services: Vec<String> = prepared.services.iter().cloned().collect();
    let running =
        containers::list(&prepared.client, &prepared.scope.name, false, &services).await?;
    for container in running.iter().filter(|container| !container.is_one_off()) {
        let name = crate::logs::prefix(&prepared.scope.name, container.name());
        let name = Style::Bold.paint(&name, context.ui.color_out);
        for url in apply::urls(container) {
            context.ui.line(format!("{name}  {url}"));
        }
    }
    Ok(())
}
