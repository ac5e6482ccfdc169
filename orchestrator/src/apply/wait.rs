//! Waiting for a container to reach a state: look, then sleep until something stirs, then look again.

use std::future::Future;

use bowline_api::ContainerInspect;
use bowline_plan::{Await, Target};
use tokio::sync::broadcast;

use super::watch::{Notice, stirred};
use crate::ui::Failure;

/// How often a container with a restart policy may come back while somebody waits for it.
const RESTARTS: i64 = 5;

/// What a look at a container says about a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Reached; the word to show.
    Reached(&'static str),
    /// Not yet.
    Pending,
    /// It never will.
    Failed(String),
}

/// Judges one look. `restarts` is the restart count when the wait began.
pub(super) fn judge(until: Await, seen: &ContainerInspect, restarts: i64) -> Verdict {
    let state = &seen.state;
    let health = state.health.as_ref().map(|health| health.status.as_str());
    if seen.restart_count - restarts > RESTARTS {
        return Verdict::Failed(format!(
            "keeps restarting, last with exit code {}",
            state.exit_code
        ));
    }
    match (state.status.as_str(), until) {
        ("restarting" | "created", _) => Verdict::Pending,
        ("exited", Await::Completed | Await::Ready) if state.exit_code == 0 => {
            Verdict::Reached("Exited")
        }
        ("exited", Await::Healthy) => Verdict::Failed(format!(
            "exited with code {} before it became healthy",
            state.exit_code
        )),
        ("exited", _) => Verdict::Failed(format!("exited with code {}", state.exit_code)),
        ("dead" | "removing", _) => Verdict::Failed("was removed".into()),
        (_, Await::Completed) => Verdict::Pending,
        (_, Await::Ready) if matches!(health, None | Some("" | "none")) => {
            Verdict::Reached("Running")
        }
        (_, Await::Healthy | Await::Ready) => match health {
            Some("healthy") => Verdict::Reached("Healthy"),
            Some("unhealthy") => Verdict::Failed("is unhealthy".into()),
            Some("starting") => Verdict::Pending,
            _ => Verdict::Failed("has no healthcheck, so it can never be healthy".into()),
        },
    }
}

/// Where a wait looks. The engine, or a script in tests.
pub(crate) trait Look {
    /// The container as it is now.
    fn look(
        &self,
        reference: &str,
    ) -> impl Future<Output = bowline_client::Result<ContainerInspect>> + Send;
}

impl Look for bowline_client::Client {
    async fn look(&self, reference: &str) -> bowline_client::Result<ContainerInspect> {
        self.container_inspect(reference).await
    }
}

/// What is being waited for, where a healthcheck has failed so far: `unhealthy 3/5, connection refused`.
fn said(seen: &ContainerInspect) -> Option<String> {
    let health = seen.state.health.as_ref()?;
    let probe = health.log.last()?;
    if health.failing_streak == 0 || health.status == "healthy" {
        return None;
    }
    let check = seen.config.healthcheck.as_ref();
    // Zero is the engine's default, which is three.
    let retries = check.map_or(0, |check| check.retries);
    let retries = if retries == 0 { 3 } else { retries };
    let state = match probe.output.trim().lines().last() {
        Some(output) => format!("last output: {output}"),
        None => format!("the last check ended with code {}", probe.exit_code),
    };
    let streak = health.failing_streak;
    Some(format!(
        "Waiting: {} {streak}/{retries}, {state}",
        health.status
    ))
}

/// Waits until the container reaches the state; returns the word to show.
pub(crate) async fn until(
    looker: &impl Look,
    target: &Target,
    state: Await,
    notices: broadcast::Receiver<Notice>,
) -> Result<&'static str, Failure> {
    telling(looker, target, state, notices, &|_| {}).await
}

/// The same; `tell` hears what is being waited for whenever that changes.
pub(super) async fn telling(
    looker: &impl Look,
    target: &Target,
    until: Await,
    mut notices: broadcast::Receiver<Notice>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<&'static str, Failure> {
    let mut restarts = None;
    let mut told = None;
    loop {
        let seen = match looker.look(&target.reference).await {
            Ok(seen) => seen,
            // The engine is away for a moment; the watch tells when it is back.
            Err(error) if error.is_gone() => match stirred(&mut notices, "").await {
                true => continue,
                false => return Err(Failure::from_error(&error)),
            },
            Err(error) => {
                let failure = Failure::from_error(&error);
                return Err(failure.context(format!("cannot look at container `{}`", target.name)));
            }
        };
        let first = *restarts.get_or_insert(seen.restart_count);
        match judge(until, &seen, first) {
            Verdict::Reached(word) => return Ok(word),
            Verdict::Pending => {}
            Verdict::Failed(how) => {
                return Err(failed(target, &how, &seen));
            }
        }
        let words = said(&seen);
        if words.is_some() && words != told {
            words.iter().for_each(|words| tell(words));
            told = words;
        }
        if !stirred(&mut notices, &seen.id).await {
            return Err(Failure::new("the engine's events ended"));
        }
    }
}

fn failed(target: &Target, how: &str, seen: &ContainerInspect) -> Failure {
    let failure = Failure::new(format!("container `{}` {how}", target.name));
    match last_probe(seen) {
        Some(probe) if how == "is unhealthy" => failure.cause(probe),
        _ if !seen.state.error.is_empty() => failure.cause(seen.state.error.clone()),
        _ => failure,
    }
}

/// What the healthcheck said last.
pub(super) fn last_probe(seen: &ContainerInspect) -> Option<String> {
    let probe = seen.state.health.as_ref()?.log.last()?;
    let ended = format!("its healthcheck last ended with code {}", probe.exit_code);
    Some(match probe.output.trim() {
        "" => ended,
        output => format!("{ended}: {output}"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bowline_api::{Health, State};

    use super::*;

    fn seen(status: &str, code: i64, health: Option<&str>) -> ContainerInspect {
        let health = health.map(|status| Health {
            status: status.into(),
            ..Health::default()
        });
        ContainerInspect {
            id: "abc".into(),
            state: State {
                status: status.into(),
                exit_code: code,
                health,
                ..State::default()
            },
            ..ContainerInspect::default()
        }
    }

    #[test]
    fn a_look_decides_by_what_is_waited_for() {
        let verdict = |until, status, code, health| judge(until, &seen(status, code, health), 0);
        let reached = |word| Verdict::Reached(word);
        assert_eq!(
            verdict(Await::Healthy, "running", 0, Some("healthy")),
            reached("Healthy")
        );
        assert_eq!(
            verdict(Await::Healthy, "running", 0, Some("starting")),
            Verdict::Pending
        );
        assert_eq!(
            verdict(Await::Ready, "running", 0, None),
            reached("Running")
        );
        assert_eq!(
            verdict(Await::Ready, "running", 0, Some("starting")),
            Verdict::Pending
        );
        assert_eq!(
            verdict(Await::Completed, "exited", 0, None),
            reached("Exited")
        );
        assert_eq!(
            verdict(Await::Completed, "running", 0, None),
            Verdict::Pending
        );
        assert_eq!(
            verdict(Await::Healthy, "restarting", 1, None),
            Verdict::Pending
        );
        for (until, status, code, health) in [
            (Await::Healthy, "exited", 0, None),
            (Await::Completed, "exited", 1, None),
            (Await::Ready, "exited", 1, None),
            (Await::Healthy, "running", 0, Some("unhealthy")),
            (Await::Healthy, "running", 0, None),
        ] {
            let verdict = verdict(until, status, code, health);
            assert!(
                matches!(verdict, Verdict::Failed(_)),
                "{until} {status} {verdict:?}"
            );
        }
        let mut looping = seen("restarting", 1, None);
        looping.restart_count = 9;
        assert!(matches!(
            judge(Await::Healthy, &looping, 0),
            Verdict::Failed(_)
        ));
    }

    struct Script(Mutex<Vec<ContainerInspect>>);

    impl Look for Script {
        async fn look(&self, _reference: &str) -> bowline_client::Result<ContainerInspect> {
            let mut looks = self.0.lock().unwrap();
            Ok(if looks.len() > 1 {
                looks.remove(0)
            } else {
                looks[0].clone()
            })
        }
    }

    #[tokio::test]
    async fn a_wait_looks_again_when_something_stirs_and_only_then() {
        let (sender, receiver) = broadcast::channel(8);
        let script = Script(Mutex::new(vec![
            seen("running", 0, Some("starting")),
            seen("running", 0, Some("healthy")),
        ]));
        let target = Target {
            service: "db".into(),
            number: 1,
            name: "shop-db-1".into(),
            reference: "abc".into(),
        };
        let mut other = bowline_api::Event::default();
        other.actor.id = "other".into();
        sender.send(Notice::Event(other.clone().into())).unwrap();
        other.actor.id = "abc".into();
        sender.send(Notice::Event(other.into())).unwrap();
        let word = until(&script, &target, Await::Healthy, receiver)
            .await
            .unwrap();
        assert_eq!(word, "Healthy");
        assert_eq!(script.0.lock().unwrap().len(), 1);
    }
}
