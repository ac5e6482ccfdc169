//! Runs a plan: every step as soon as those before it are done, the first failure ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use bowline_api::{NetworkConnect, NetworkDisconnect};
use bowline_client::{Client, RemoveOptions};
use bowline_compose::model::Project;
use bowline_plan::{Await, Desired, Node, Op, Plan, Step, Target};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, watch as flag};
use tokio::time::Instant;

use super::container::{Replica, replica};
use super::network::{endpoint, network, volume};
use super::watch::Watch;
use super::{failure, images, last_lines, wait};
use crate::ui::{Failure, Meter, Mode, Outcome, Phase, Subject};

/// Choices that are about the doing, not about what is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Grace for stops over what containers were made with.
    pub(crate) stop_timeout: Option<i64>,
    /// How many operations at once; without bound if absent.
    pub(crate) parallel: Option<usize>,
    /// Waits fail after this time.
    pub(crate) wait_timeout: Option<Duration>,
    /// How progress is shown, where not as usual.
    pub(crate) mode: Option<Mode>,
}

/// A plan with everything needed to do it.
#[derive(Debug)]
pub(crate) struct Execution<'a> {
    pub(crate) client: &'a Client,
    pub(crate) project: Option<&'a Project>,
    pub(crate) desired: &'a Desired,
    pub(crate) plan: &'a Plan,
    pub(crate) watch: &'a Watch,
    pub(crate) meter: &'a Meter,
    pub(crate) options: Options,
}

/// Operations beyond this wait for their turn, lest a large project exhausts descriptors.
const AT_ONCE: usize = 128;

impl Execution<'_> {
    /// Does every step. On a failure steps under way are finished, no further one is begun.
    pub(crate) async fn run(&self) -> Outcome<()> {
        let steps: Vec<Step<'_>> = self.plan.steps().collect();
        let mut missing: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let mut followers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for step in &steps {
            for before in &step.after {
                followers.entry(*before).or_default().push(step.number);
            }
        }
        let turns = Semaphore::new(self.options.parallel.unwrap_or(AT_ONCE).max(1));
        let deadline = self
            .options
            .wait_timeout
            .map(|limit| Instant::now() + limit);
        let (give_up, given_up) = flag::channel(false);
        let begin = |number: usize| {
            let (node, turns) = (steps[number - 1].node, &turns);
            let given_up = given_up.clone();
            Box::pin(async move { (number, self.step(node, turns, deadline, given_up).await) })
        };
        let ready = steps.iter().filter(|step| step.after.is_empty());
        let mut running: FuturesUnordered<_> = ready.map(|step| begin(step.number)).collect();
        let mut failed: Option<Failure> = None;
        let mut clock = tokio::time::interval(Duration::from_millis(100));
        loop {
            let done = tokio::select! {
                done = running.next() => done,
                _ = clock.tick() => {
                    self.meter.tick();
                    continue;
                }
            };
            let Some((number, outcome)) = done else { break };
            match outcome {
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
                Ok(()) => {
                    for next in followers.remove(&number).unwrap_or_default() {
                        missing[next - 1] -= 1;
                        if missing[next - 1] == 0 {
                            running.push(begin(next));
                        }
                    }
                }
            }
        }
        let Some(failure) = failed else { return Ok(()) };
        // Requests under way are waited for, so that what follows sees a quiet engine; waits and pulls
        // could last for ever and are given up.
        give_up.send_replace(true);
        while running.next().await.is_some() {}
        Err(failure)
    }

    async fn step(
        &self,
        node: &Node,
        turns: &Semaphore,
        deadline: Option<Instant>,
        mut given_up: flag::Receiver<bool>,
    ) -> Outcome<()> {
        if let Op::Wait {
            until,
            targets,
            optional,
            ..
        } = &node.op
        {
            let waited = tokio::select! {
                waited = self.wait(*until, targets, deadline) => waited,
                _ = given_up.wait_for(|given_up| *given_up) => return Err(Failure::exit(1)),
            };
            return match waited {
                Err(failure) if *optional => {
                    let subject = container(&targets[0]);
                    self.meter.change(&subject, Phase::Failed, &failure.line());
                    Ok(())
                }
                waited => waited,
            };
        }
        let _turn = turns.acquire().await?;
        self.announce(node, false);
        let acting = Box::pin(self.act(&node.op));
        let done = match node.op {
            Op::PullImage { .. } => tokio::select! {
                done = acting => done,
                _ = given_up.wait_for(|given_up| *given_up) => return Err(Failure::exit(1)),
            },
            _ => acting.await,
        };
        match done {
            Ok(()) => {
                self.announce(node, true);
                Ok(())
            }
            Err(error) => {
                self.meter
                    .change(&subject(&node.op, self.project), Phase::Failed, "Error");
                Err(failure::of(&node.op, self.project, error))
            }
        }
    }

    fn announce(&self, node: &Node, done: bool) {
        let subject = subject(&node.op, self.project);
        let words = match (&node.op, &node.group) {
            // Pulling shows its own progress.
            (Op::PullImage { .. }, _) => return,
            (Op::Create { .. }, Some(_)) if !done => ("Recreate", ""),
            (Op::Rename { .. }, Some(_)) if done => ("", "Recreated"),
            (_, Some(_)) => return,
            (Op::CreateNetwork { .. } | Op::CreateVolume { .. } | Op::Create { .. }, None) => {
                ("Creating", "Created")
            }
            (Op::RemoveNetwork { .. } | Op::RemoveVolume { .. } | Op::Remove { .. }, None) => {
                ("Removing", "Removed")
            }
            (Op::Start { .. }, None) => ("Starting", "Started"),
            (Op::Stop { .. }, None) => ("Stopping", "Stopped"),
            (Op::Restart { .. }, None) => ("Restarting", "Started"),
            (Op::Kill { .. }, None) => ("Killing", "Killed"),
            (Op::Unpause { .. }, None) => ("Resuming", "Running"),
            (Op::Rename { .. }, None) => ("Renaming", "Renamed"),
            (Op::Connect { .. }, None) => ("Connecting", "Connected"),
            (Op::Disconnect { .. }, None) => ("Disconnecting", "Disconnected"),
            (Op::Wait { .. }, None) => return,
        };
        match done {
            true => self.meter.change(&subject, Phase::Done, words.1),
            false => self.meter.change(&subject, Phase::Busy, words.0),
        }
    }

    async fn wait(
        &self,
        until: Await,
        targets: &[Target],
        deadline: Option<Instant>,
    ) -> Outcome<()> {
        let waits = targets.iter().map(async |target| {
            let subject = container(target);
            self.meter.change(&subject, Phase::Busy, "Waiting");
            let reached = wait::until(self.client, target, until, self.watch.subscribe());
            let outcome = match deadline {
                None => reached.await,
                Some(deadline) => match tokio::time::timeout_at(deadline, reached).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(self.late(target, until).await),
                },
            };
            match outcome {
                Ok(word) => {
                    self.meter.change(&subject, Phase::Done, word);
                    Ok(())
                }
                Err(failure) => {
                    self.meter.change(&subject, Phase::Failed, "Error");
                    Err(self.explain(target, failure).await)
                }
            }
        });
        try_join_all(waits).await?;
        Ok(())
    }

    async fn late(&self, target: &Target, until: Await) -> Failure {
        let limit = self.options.wait_timeout.unwrap_or_default().as_secs();
        let failure = Failure::new(format!(
            "container `{}` is not {until} after {limit} seconds",
            target.name
        ));
        let seen = self.client.container_inspect(&target.reference).await.ok();
        let health = seen.and_then(|seen| seen.state.health);
        match health.and_then(|health| health.log.into_iter().next_back()) {
            Some(probe) => failure.cause(format!(
                "its healthcheck last ended with code {}: {}",
                probe.exit_code,
                probe.output.trim()
            )),
            None => failure,
        }
    }

    async fn explain(&self, target: &Target, failure: Failure) -> Failure {
        let lines = last_lines(self.client, &target.reference, 10).await;
        let failure = failure.excerpt("last lines of its log:", lines);
        failure.hint(format!("`bowline logs {}` shows all of it", target.service))
    }

    async fn act(&self, op: &Op) -> Outcome<()> {
        match op {
            Op::PullImage { reference } => self.pull(reference).await,
            Op::CreateNetwork { key } => self.create_network(key).await,
            Op::RemoveNetwork {
                id, best_effort, ..
            } => {
                let removed = self.client.network_remove(id).await;
                self.tolerate(op, removed, *best_effort)
            }
            Op::CreateVolume { key } => self.create_volume(key).await,
            Op::RemoveVolume { name, .. } => {
                let removed = self.client.volume_remove(name, false).await;
                self.tolerate(op, removed, true)
            }
            Op::Disconnect { target, network } => {
                let container = target.reference.clone();
                let body = NetworkDisconnect {
                    container,
                    force: true,
                };
                Ok(self.client.network_disconnect(network, &body).await?)
            }
            Op::Connect { target, key } => self.reconnect(target, key).await,
            Op::Create { .. } => self.create(op).await,
            Op::Rename { target } => {
                let from = &target.reference;
                Ok(self.client.container_rename(from, &target.name).await?)
            }
            Op::Start { target } => {
                self.client.container_start(&target.reference).await?;
                Ok(())
            }
            Op::Stop { target } => {
                let (id, timeout) = (&target.reference, self.options.stop_timeout);
                let stopped = self.client.container_stop(id, None, timeout).await;
                self.tolerate(op, stopped.map(drop), false)
            }
            Op::Restart { target } => {
                let (id, timeout) = (&target.reference, self.options.stop_timeout);
                Ok(self.client.container_restart(id, None, timeout).await?)
            }
            Op::Kill { target, signal } => {
                let killed = self
                    .client
                    .container_kill(&target.reference, Some(signal))
                    .await;
                self.tolerate(op, killed, false)
            }
            Op::Unpause { target } => Ok(self.client.container_unpause(&target.reference).await?),
            Op::Remove { target, volumes } => {
                let options = RemoveOptions {
                    force: false,
                    volumes: *volumes,
                };
                let removed = self
                    .client
                    .container_remove(&target.reference, options)
                    .await;
                self.tolerate(op, removed, false)
            }
            Op::Wait { .. } => Ok(()),
        }
    }

    /// What is gone already need not be ended or removed. What others still use is left with a word,
    /// where the plan allows that.
    fn tolerate(
        &self,
        op: &Op,
        done: bowline_client::Result<()>,
        best_effort: bool,
    ) -> Outcome<()> {
        match done {
            Err(error) if error.is_not_found() => Ok(()),
            Err(bowline_client::Error::Api {
                status: 403 | 409,
                message,
            }) if best_effort => {
                let subject = subject(op, self.project);
                let word = format!("Still in use: {message}");
                self.meter.change(&subject, Phase::Failed, &word);
                Ok(())
            }
            done => Ok(done?),
        }
    }

    async fn pull(&self, reference: &str) -> Outcome<()> {
        let services = self
            .project
            .into_iter()
            .flat_map(|project| project.services.values());
        let mut users = services.filter(|service| service.image == reference);
        let platform = users.next().and_then(|service| service.platform.as_deref());
        images::pull_image(self.client, reference, platform, self.meter).await
    }

    fn project(&self) -> Outcome<&Project> {
        self.project
            .ok_or_else(|| Failure::new("there is no Compose file to create this from"))
    }

    async fn create_network(&self, key: &str) -> Outcome<()> {
        let project = self.project()?;
        if let Some(wish) = project.networks.get(key) {
            let hashes = &self.desired.networks[key].hashes;
            let body = network(&project.name, key, wish, hashes);
            self.client.network_create(&body).await?;
        }
        Ok(())
    }

    async fn create_volume(&self, key: &str) -> Outcome<()> {
        let project = self.project()?;
        if let Some(wish) = project.volumes.get(key) {
            let hashes = &self.desired.volumes[key].hashes;
            let body = volume(&project.name, key, wish, hashes);
            self.client.volume_create(&body).await?;
        }
        Ok(())
    }

    async fn reconnect(&self, target: &Target, key: &str) -> Outcome<()> {
        let project = self.project()?;
        let wish = project
            .service(&target.service)
            .and_then(|s| s.networks.get(key));
        let names = [target.name.as_str(), target.service.as_str()];
        let settings = endpoint(wish.and_then(Option::as_ref), &names, &[]);
        let container = target.reference.clone();
        let body = NetworkConnect {
            container,
            endpoint_config: Some(settings),
        };
        let name = project
            .networks
            .get(key)
            .map_or(key, |network| network.name.as_str());
        Ok(self.client.network_connect(name, &body).await?)
    }

    async fn create(&self, op: &Op) -> Outcome<()> {
        let Op::Create {
            target,
            replaces,
            inherit,
            joins,
        } = op
        else {
            return Ok(());
        };
        let project = self.project()?;
        let service = project
            .service(&target.service)
            .ok_or_else(|| Failure::new(format!("no such service: `{}`", target.service)))?;
        let wish = &self.desired.services[&target.service];
        let image = match &wish.image.local {
            Some(id) => id.clone(),
            None => self.client.image_inspect(&service.image).await?.id,
        };
        let body = replica(&Replica {
            project,
            service,
            hashes: &wish.hashes,
            depends_on: &wish.depends_on,
            target,
            replaces: replaces.as_deref(),
            inherit,
            joins,
            image: &image,
        })?;
        let platform = service.platform.as_deref();
        self.client
            .container_create(Some(&target.reference), platform, &body)
            .await?;
        Ok(())
    }
}

fn container(target: &Target) -> Subject {
    Subject {
        kind: "Container",
        name: target.name.clone(),
    }
}

/// The thing an operation is about, by the name it has in the engine.
fn subject(op: &Op, project: Option<&Project>) -> Subject {
    let named = |kind, name: Option<&String>, key: &String| Subject {
        kind,
        name: name.unwrap_or(key).clone(),
    };
    match op {
        Op::PullImage { reference } => Subject {
            kind: "Image",
            name: reference.clone(),
        },
        Op::CreateNetwork { key } => {
            let network = project.and_then(|project| project.networks.get(key));
            named("Network", network.map(|network| &network.name), key)
        }
        Op::CreateVolume { key } => {
            let volume = project.and_then(|project| project.volumes.get(key));
            named("Volume", volume.map(|volume| &volume.name), key)
        }
        Op::RemoveNetwork { name, .. } => Subject {
            kind: "Network",
            name: name.clone(),
        },
        Op::RemoveVolume { name, .. } => Subject {
            kind: "Volume",
            name: name.clone(),
        },
        op => match op.target() {
            Some(target) => container(target),
            None => Subject {
                kind: "Service",
                name: op.subject(),
            },
        },
    }
}
