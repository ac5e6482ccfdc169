//! Runs a plan: every step as soon as those before it are done, the first failure ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use bowline_client::Client;
use bowline_compose::model::Project;
use bowline_plan::{Await, Desired, Node, Op, Plan, Step, Target};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, watch as flag};
use tokio::time::Instant;

use super::act::Act;
use super::watch::Watch;
use super::{failure, last_lines, wait};
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
            Ok(Act::Done) => {
                self.announce(node, true);
                Ok(())
            }
            Ok(Act::Left(why)) => {
                let subject = subject(&node.op, self.project);
                self.meter.change(&subject, Phase::Failed, &why);
                Ok(())
            }
            Err(error) => {
                // Pulling shows its own progress, its failure included.
                if !matches!(node.op, Op::PullImage { .. }) {
                    let subject = subject(&node.op, self.project);
                    self.meter.change(&subject, Phase::Failed, "Error");
                }
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
        match seen.as_ref().and_then(wait::last_probe) {
            Some(probe) => failure.cause(probe),
            None => failure,
        }
    }

    async fn explain(&self, target: &Target, failure: Failure) -> Failure {
        let lines = last_lines(self.client, &target.reference, 10).await;
        let failure = failure.excerpt("last lines of its log:", lines);
        failure.hint(format!("`bowline logs {}` shows all of it", target.service))
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
