//! `up` and `create`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::follow::Attached;
use super::prepare::{Making, Prepared, prepare};
use super::signals::Interrupts;
use crate::apply::{self, Options, Watch};
use crate::ui::{Outcome, Style};

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
}

/// `create`: `up --no-start`.
#[derive(Args, Clone, Debug)]
pub(super) struct Create {
    #[command(flatten)]
    making: Making,
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

impl Up {
    pub(super) async fn run(mut self, context: &Context) -> Outcome {
        // A code can only come from a container that ends the whole.
        self.abort_on_container_exit |= self.exit_code_from.is_some();
        let mut interrupts = Interrupts::catch()?;
        let began = now();
        let prepared = tokio::select! {
            prepared = Box::pin(prepare(context, &self.making, self.wait, self.no_start)) => prepared?,
            _ = interrupts.next() => return Ok(130),
        };
        let watch = prepared.watch().await?;
        let mut notices = watch.subscribe();
        let options = Options {
            stop_timeout: self.timeout,
            wait_timeout: self.wait_timeout.map(Duration::from_secs),
            ..Options::default()
        };
        let done = tokio::select! {
            done = Box::pin(prepared.execute(context, &watch, options)) => done,
            _ = interrupts.next() => {
                return self.interrupted(context, &prepared, &watch, interrupts).await;
            }
        }?;
        if !done || self.no_start {
            return Ok(0);
        }
        let detached = self.detach || self.wait;
        if detached {
            deaths(context, &prepared, &mut notices).await;
        }
        print_urls(context, &prepared).await?;
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
        };
        Box::pin(attached.run(interrupts)).await
    }

    /// Ctrl-C while things are being made: an attached `up` takes back what it started.
    async fn interrupted(
        &self,
        context: &Context,
        prepared: &Prepared,
        watch: &Watch,
        interrupts: Interrupts,
    ) -> Outcome {
        if !self.detach && !self.wait {
            super::follow::stop_all(context, prepared, watch, self.timeout, interrupts).await?;
        }
        Ok(130)
    }

    fn attached_services(&self, prepared: &Prepared) -> BTreeSet<String> {
        let named = &self.making.services;
        let shown = |name: &&String| {
            if !self.attach.is_empty() {
                return self.attach.contains(name);
            }
            let asked = named.is_empty() || named.contains(name) || self.attach_dependencies;
            asked && !self.no_attach.contains(name)
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
        for url in apply::urls(container) {
            let name = Style::Bold.paint(&name, context.ui.color_out);
            context.ui.line(format!("{name}  {url}"));
        }
    }
    Ok(())
}
