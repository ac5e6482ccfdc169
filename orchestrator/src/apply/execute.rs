//! Runs a plan: every step as soon as those before it are done, the first failure ends it.

use std::collections::{BTreeMap, BTreeSet};
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
use super::shown::{container, subject};
use super::timeline::{self, Span, Summary};
use super::watch::Watch;
use super::{failure, last_lines, wait};
use crate::ui::{Failure, Meter, Mode, Outcome, Phase};

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
    /// No progress of pulls and builds.
    pub(crate) quiet_images: bool,
    /// Signals are somebody else's business.
    pub(crate) ignore_signals: bool,
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

/// How far a plan has come.
struct Progress<'p> {
    steps: Vec<Step<'p>>,
    /// For each step, how many of those before it are not done.
    missing: Vec<usize>,
    followers: BTreeMap<usize, Vec<usize>>,
    spans: Vec<Option<Span>>,
}

impl<'p> Progress<'p> {
    fn new(plan: &'p Plan) -> Self {
        let steps: Vec<Step<'p>> = plan.steps().collect();
        let missing = steps.iter().map(|step| step.after.len()).collect();
        let mut followers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for step in &steps {
            for before in &step.after {
                followers.entry(*before).or_default().push(step.number);
            }
        }
        let spans = vec![None; steps.len()];
        Self {
            steps,
            missing,
            followers,
            spans,
        }
    }

    fn first(&self) -> Vec<usize> {
        let first = self.steps.iter().filter(|step| step.after.is_empty());
        first.map(|step| step.number).collect()
    }

    /// Enters a step as done; returns those that may begin now.
    fn done(&mut self, number: usize, span: Span) -> Vec<usize> {
        self.spans[number - 1] = Some(span);
        let mut next = self.followers.remove(&number).unwrap_or_default();
        next.retain(|next| {
            self.missing[next - 1] -= 1;
            self.missing[next - 1] == 0
        });
        next
    }

    /// In words, what the plan was to do and has not: services that were not started first of all.
    fn left(&self) -> Vec<String> {
        let open = |step: &&Step<'_>| self.spans[step.number - 1].is_none();
        let mut told = Vec::new();
        let mut tell = |words: &str, pick: &dyn Fn(&Op) -> bool| {
            let steps = self.steps.iter().filter(open);
            let names: BTreeSet<String> = steps
                .filter(|step| pick(&step.node.op))
                .filter_map(|step| Some(format!("`{}`", step.node.op.target()?.name)))
                .collect();
            if !names.is_empty() {
                let names: Vec<String> = names.into_iter().collect();
                told.push(format!("{words} {}", names.join(", ")));
            }
        };
        tell("not created:", &|op| matches!(op, Op::Create { .. }));
        tell("not started:", &|op| {
            matches!(
                op,
                Op::Start { .. } | Op::Restart { .. } | Op::Unpause { .. }
            )
        });
        tell("not stopped:", &|op| {
            matches!(op, Op::Stop { .. } | Op::Pause { .. })
        });
        tell("not removed:", &|op| matches!(op, Op::Remove { .. }));
        told
    }
}

impl Execution<'_> {
    /// Does every step. On a failure, or when `cancel` becomes true, steps under way are finished and no
    /// further one is begun.
    pub(crate) async fn run(&self, mut cancel: flag::Receiver<bool>) -> Outcome<Summary> {
        let mut progress = Progress::new(self.plan);
        let turns = Semaphore::new(self.options.parallel.unwrap_or(AT_ONCE).max(1));
        let began = Instant::now();
        let deadline = self.options.wait_timeout.map(|limit| began + limit);
        let (give_up, given_up) = flag::channel(false);
        let begin = |number: usize, node| {
            let (turns, given_up) = (&turns, given_up.clone());
            Box::pin(async move {
                let from = began.elapsed();
                let outcome = self.step(node, turns, deadline, given_up).await;
                (number, (from, began.elapsed()), outcome)
            })
        };
        let mut running = FuturesUnordered::new();
        for number in progress.first() {
            running.push(begin(number, progress.steps[number - 1].node));
        }
        let mut failed: Option<Failure> = None;
        let mut clock = tokio::time::interval(Duration::from_millis(100));
        loop {
            let done = tokio::select! {
                done = running.next() => done,
                _ = clock.tick() => {
                    self.meter.tick();
                    continue;
                }
                () = raised(&mut cancel) => {
                    failed = Some(Failure::interrupted());
                    break;
                }
            };
            let Some((number, span, outcome)) = done else {
                break;
            };
            match outcome {
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
                Ok(()) => {
                    for next in progress.done(number, span) {
                        running.push(begin(next, progress.steps[next - 1].node));
                    }
                }
            }
        }
        let Some(failure) = failed else {
            return Ok(timeline::summary(&progress.steps, &progress.spans));
        };
        // Requests under way are waited for, so that what follows sees a quiet engine; waits and pulls
        // could last for ever and are given up.
        give_up.send_replace(true);
        while let Some((number, span, outcome)) = running.next().await {
            if outcome.is_ok() {
                progress.done(number, span);
            }
        }
        Err(failure.left(progress.left()))
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
                () = raised(&mut given_up) => return Err(Failure::exit(1)),
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
            Op::PullImage { .. } | Op::BuildImage { .. } => tokio::select! {
                done = acting => done,
                () = raised(&mut given_up) => return Err(Failure::exit(1)),
            },
            _ => acting.await,
        };
        self.close(node, done)
    }

    fn close(&self, node: &Node, done: Outcome<Act>) -> Outcome<()> {
        let subject = subject(&node.op, self.project);
        match done {
            Ok(Act::Done) => {
                self.announce(node, true);
                Ok(())
            }
            Ok(Act::Left(why)) => {
                self.meter.change(&subject, Phase::Failed, &why);
                Ok(())
            }
            Err(error) => {
                // Pulling shows its own progress, its failure included.
                if !matches!(node.op, Op::PullImage { .. }) {
                    self.meter.change(&subject, Phase::Failed, "Error");
                }
                Err(failure::of(&node.op, self.project, error))
            }
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
            let tell = |words: &str| self.meter.change(&subject, Phase::Busy, words);
            let notices = self.watch.subscribe();
            let reached = wait::telling(self.client, target, until, notices, &tell);
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

/// Returns once the flag is up; never when nobody is left to raise it.
async fn raised(flag: &mut flag::Receiver<bool>) {
    if flag.wait_for(|up| *up).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_by_what_it_means() {
        let desired = Desired::default();
        let mut observed = bowline_plan::Observed::default();
        let running = |name: &str| bowline_plan::Container {
            id: name.into(),
            name: name.into(),
            service: name.into(),
            number: 1,
            one_off: false,
            hook: false,
            state: bowline_plan::State::Running,
            health: bowline_plan::Health::None,
            hashes: bowline_plan::Hashes::default(),
            model: None,
            image: String::new(),
            ports: Vec::new(),
            networks: Vec::new(),
            mounts: Vec::new(),
            joins: Vec::new(),
            depends_on: Vec::new(),
            replaces: None,
        };
        observed.containers = vec![running("a"), running("b")];
        let down = bowline_plan::Down::default();
        let plan = bowline_plan::down(&desired, &observed, &down).unwrap();
        let mut progress = Progress::new(&plan);
        let next = progress.done(1, (Duration::ZERO, Duration::ZERO));
        assert_eq!(next, [2]);
        assert_eq!(
            progress.left(),
            ["not stopped: `a`", "not removed: `a`, `b`"]
        );
    }
}
