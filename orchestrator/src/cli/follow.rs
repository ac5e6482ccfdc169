//! The second half of an attached `up`: output until everything has ended or Ctrl-C.

use std::collections::BTreeSet;

use bowline_api::ContainerSummary;
use bowline_plan as planning;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::prepare::Prepared;
use super::signals::Interrupts;
use super::up::Up;
use super::watch::Watching;
use crate::apply::{self, Notice, Options, Watch};
use crate::logs::{Follower, Following, Printer, Source, prefix};
use crate::ui::{Failure, Mode, Outcome};

/// See the module.
#[derive(Debug)]
pub(super) struct Attached<'a> {
    pub(super) context: &'a Context,
    pub(super) prepared: &'a Prepared,
    pub(super) watch: &'a Watch,
    pub(super) notices: Receiver<Notice>,
    /// Output from before this `up` is not shown.
    pub(super) since: String,
    pub(super) services: BTreeSet<String>,
    pub(super) up: &'a Up,
    /// Files that are watched meanwhile.
    pub(super) watching: Option<Watching<'a>>,
}

/// Why the output ends.
enum End {
    /// All containers have ended; the code is that of `--exit-code-from`.
    All(u8),
    /// One container ended, and that ends all.
    Abort(u8),
    Interrupt,
    /// Files cannot be watched any more.
    Failed(Failure),
}

impl Attached<'_> {
    pub(super) async fn run(mut self, mut interrupts: Interrupts) -> Outcome {
        let running = self.running().await?;
        let names: Vec<_> = running
            .iter()
            .map(|found| prefix(&self.prepared.scope.name, found.name()))
            .collect();
        self.context
            .ui
            .note(format!("Attaching to {}", names.join(", ")));
        let shape = self.up.shape(self.context.ui.color_out);
        let printer = Printer::new(shape, names.iter().map(|name| &**name));
        let mut follower = Follower::new(self.prepared.client.clone(), printer);
        for container in &running {
            self.follow(&mut follower, &container.id, container.name());
        }
        let watching = self.watching.take();
        let end = tokio::select! {
            end = self.show(&mut follower) => end,
            _ = interrupts.next() => End::Interrupt,
            failure = watch(watching) => End::Failed(failure),
        };
        let code = match end {
            End::All(code) => return Ok(code),
            End::Failed(failure) => return Err(failure),
            End::Abort(code) => {
                self.context.ui.note("Aborting on container exit...");
                code
            }
            End::Interrupt => {
                self.context
                    .ui
                    .note("Gracefully stopping... (press Ctrl+C again to force)");
                130
            }
        };
        let stop = stop_all(
            self.context,
            self.prepared,
            self.watch,
            self.up.timeout(),
            interrupts,
        );
        let mut stop = Box::pin(stop);
        // Containers have things to say while they stop.
        let forced = loop {
            tokio::select! {
                forced = &mut stop => break forced?,
                ended = follower.next() => self.remark(&mut follower, &ended).await,
            }
        };
        while follower.is_live() && !forced {
            let ended = follower.next().await;
            self.remark(&mut follower, &ended).await;
        }
        match self.up.exit_code_from() {
            _ if forced => Ok(130),
            Some(service) if code != 130 => Ok(self.code_of(service).await.unwrap_or(code)),
            _ => Ok(code),
        }
    }

    /// The containers to show, also those that have ended since `up` began.
    async fn running(&self) -> Outcome<Vec<ContainerSummary>> {
        let services: Vec<String> = self.services.iter().cloned().collect();
        let project = &self.prepared.scope.name;
        let mut found = match services.is_empty() {
            true => Vec::new(),
            false => containers::list(&self.prepared.client, project, true, &services).await?,
        };
        found.retain(|container| !container.is_one_off() && container.state != "created");
        Ok(found)
    }

    fn follow(&self, follower: &mut Follower, id: &str, name: &str) {
        let index = follower
            .source(id)
            .map_or(follower.count(), |source| source.index);
        let prefix = prefix(&self.prepared.scope.name, name);
        let source = Source {
            id: id.to_owned(),
            prefix,
            index,
        };
        follower.follow(source, None, Some(self.since.clone()), None);
    }

    async fn show(&mut self, follower: &mut Follower) -> End {
        let mut code = 0;
        while follower.is_live() || self.up.watches() {
            tokio::select! {
                following = follower.next() => {
                    let Following::Ended(id) = following else { continue };
                    let Some((service, exit)) = self.ended(follower, &id).await else { continue };
                    if self.up.exit_code_from() == Some(service.as_str()) {
                        code = u8::try_from(exit & 0xff).unwrap_or(1);
                    }
                    if let Some(code) = self.up.aborts(&service, exit) {
                        return End::Abort(code);
                    }
                }
                notice = self.notices.recv() => match notice {
                    Ok(Notice::Event(event)) => {
                        let attribute = |key| event.actor.attributes.get(key).map_or("", String::as_str);
                        let service = attribute(planning::labels::SERVICE);
                        let one_off = attribute(planning::labels::ONE_OFF) == "True";
                        if event.action == "start" && !one_off && self.services.contains(service) {
                            let name = attribute("name").to_owned();
                            self.follow(follower, &event.actor.id, &name);
                        }
                    }
                    Ok(Notice::Gap) | Err(RecvError::Lagged(_)) => {
                        for container in self.running().await.unwrap_or_default() {
                            if container.state == "running" {
                                self.follow(follower, &container.id, container.name());
                            }
                        }
                    }
                    Err(RecvError::Closed) => std::future::pending().await,
                },
            }
        }
        End::All(code)
    }

    /// The exit code of a service's first container.
    async fn code_of(&self, service: &str) -> Option<u8> {
        let (client, project) = (&self.prepared.client, &self.prepared.scope.name);
        let found = containers::list(client, project, true, &[service.to_owned()])
            .await
            .ok()?;
        let first = found.iter().find(|container| !container.is_one_off())?;
        let code = client
            .container_inspect(&first.id)
            .await
            .ok()?
            .state
            .exit_code;
        Some(u8::try_from(code & 0xff).unwrap_or(1))
    }

    /// Says how a container ended; follows it again if it came back meanwhile.
    async fn ended(&self, follower: &mut Follower, id: &str) -> Option<(String, i64)> {
        let seen = self.prepared.client.container_inspect(id).await.ok()?;
        let service = seen
            .config
            .labels
            .get(planning::labels::SERVICE)
            .cloned()
            .unwrap_or_default();
        if seen.state.running {
            self.follow(follower, id, seen.name.trim_start_matches('/'));
            return None;
        }
        let code = seen.state.exit_code;
        follower.remark(id, &format!("exited with code {code}"));
        Some((service, code))
    }

    async fn remark(&self, follower: &mut Follower, following: &Following) {
        if let Following::Ended(id) = following
            && let Ok(seen) = self.prepared.client.container_inspect(id).await
        {
            follower.remark(id, &format!("exited with code {}", seen.state.exit_code));
        }
    }
}

/// Watches files, if there are any to be watched.
async fn watch(watching: Option<Watching<'_>>) -> Failure {
    match watching {
        Some(mut watching) => match Box::pin(watching.run()).await {
            Ok(never) => match never {},
            Err(failure) => failure,
        },
        None => std::future::pending().await,
    }
}

/// Stops the services in play; a further signal kills them. Returns whether it came to that.
pub(super) async fn stop_all(
    context: &Context,
    prepared: &Prepared,
    watch: &Watch,
    timeout: Option<i64>,
    mut interrupts: Interrupts,
) -> Outcome<bool> {
    let Prepared { client, scope, .. } = prepared;
    let services: Vec<String> = prepared.services.iter().cloned().collect();
    let observed = apply::observe(client, &scope.name, scope.project.as_ref()).await?;
    let plan = planning::stop(&scope.desired, &observed, &services);
    let plan = plan.map_err(|error| scope.failure(&error))?;
    let options = Options {
        stop_timeout: timeout,
        mode: Some(Mode::Plain),
        // A signal means something else here: see below.
        ignore_signals: true,
        ..Options::default()
    };
    tokio::select! {
        stopped = Box::pin(context.execute(client, scope, &plan, watch, options.clone())) => {
            stopped?;
            return Ok(false);
        }
        _ = interrupts.next() => context.ui.note("Killing..."),
    }
    let observed = apply::observe(client, &scope.name, scope.project.as_ref()).await?;
    let choices = planning::Kill {
        services,
        signal: "SIGKILL".into(),
        orphans: false,
    };
    let plan = planning::kill(&scope.desired, &observed, &choices);
    let plan = plan.map_err(|error| scope.failure(&error))?;
    Box::pin(context.execute(client, scope, &plan, watch, options)).await?;
    Ok(true)
}
