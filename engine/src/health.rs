//! The healthcheck state machine, as Docker runs it (moby `daemon/health.go`). Pure: probes and time come from outside.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Kept probe results.
const KEPT: usize = 5;
/// Kept bytes of a probe's output.
pub(crate) const OUTPUT_LIMIT: usize = 4096;

/// What to run and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The probe's command.
    pub command: Vec<String>,
    /// Time from the end of a probe to the next.
    pub interval: Duration,
    /// A probe that takes longer counts as failed and is killed.
    pub timeout: Duration,
    /// Failures in this time after the start do not count.
    pub start_period: Duration,
    /// The interval while in the start period.
    pub start_interval: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

impl Check {
    /// Reads the API's form; `None` where there is no check. `shell` runs the CMD-SHELL form.
    pub fn from_config(config: &bowline_api::HealthConfig, shell: &[String]) -> Option<Self> {
        let test = &config.test;
        let command = match test.first().map(String::as_str) {
            None | Some("NONE") => return None,
            Some("CMD") => test[1..].to_vec(),
            Some("CMD-SHELL") => {
                let mut command = shell.to_vec();
                if command.is_empty() {
                    command = vec!["/bin/sh".into(), "-c".into()];
                }
                command.extend(test.get(1).cloned());
                command
            }
            Some(_) => test.clone(),
        };
        let time = |nanoseconds: i64, default: u64| match u64::try_from(nanoseconds) {
            Ok(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
            _ => Duration::from_secs(default),
        };
        Some(Self {
            command,
            interval: time(config.interval, 30),
            timeout: time(config.timeout, 30),
            start_period: time(config.start_period, 0),
            start_interval: time(config.start_interval, 5),
            retries: u32::try_from(config.retries)
                .ok()
                .filter(|retries| *retries > 0)
                .unwrap_or(3),
        })
    }
}

/// The API's status words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No verdict yet.
    Starting,
    /// The last probe passed.
    Healthy,
    /// Too many failed in a row.
    Unhealthy,
}

impl Status {
    /// The API's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One probe's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// −1 on timeout.
    pub code: i32,
    /// At most [`OUTPUT_LIMIT`] bytes.
    pub output: String,
}

/// Verdict and history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub status: Status,
    /// Failures in a row.
    pub streak: u32,
    /// The last probes, oldest first.
    pub log: VecDeque<Probe>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            status: Status::Starting,
            streak: 0,
            log: VecDeque::new(),
        }
    }
}

impl Health {
    /// Takes a probe in; `started_after` is when it began, counted from the container's start.
    /// Returns whether the status changed, which is when an event is due.
    pub fn record(&mut self, check: &Check, probe: Probe, started_after: Duration) -> bool {
        let before = self.status;
        if probe.code == 0 {
            self.streak = 0;
            self.status = Status::Healthy;
        } else if before != Status::Starting || started_after >= check.start_period {
            self.streak += 1;
            if self.streak >= check.retries {
                self.status = Status::Unhealthy;
            }
        }
        self.log.push_back(probe);
        while self.log.len() > KEPT {
            self.log.pop_front();
        }
        self.status != before
    }

    /// Time until the next probe, `running` long after the container's start.
    pub fn next_in(&self, check: &Check, running: Duration) -> Duration {
        if self.status == Status::Starting && running < check.start_period {
            return check.start_interval;
        }
        check.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        Check {
            command: vec!["true".into()],
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            start_period: Duration::from_secs(10),
            start_interval: Duration::from_secs(1),
            retries: 2,
        }
    }

    fn probe(code: i32) -> Probe {
        Probe {
            start: String::new(),
            end: String::new(),
            code,
            output: String::new(),
        }
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_and_a_success_ends_it() {
        let (check, mut health) = (check(), Health::default());
        let early = Duration::from_secs(1);
        for _ in 0..5 {
            assert!(!health.record(&check, probe(1), early));
        }
        assert_eq!((health.status, health.streak), (Status::Starting, 0));
        assert_eq!(health.next_in(&check, early), check.start_interval);
        assert!(health.record(&check, probe(0), early));
        assert_eq!(health.next_in(&check, early), check.interval);
        assert!(!health.record(&check, probe(1), early));
        assert!(
            health.record(&check, probe(1), early),
            "counted once it was healthy"
        );
        assert_eq!(health.status, Status::Unhealthy);
    }

    #[test]
    fn unhealthy_recovers_and_only_five_probes_are_kept() {
        let (check, mut health) = (check(), Health::default());
        let late = Duration::from_secs(60);
        for _ in 0..7 {
            let _changed = health.record(&check, probe(1), late);
        }
        assert_eq!(
            (health.status, health.streak, health.log.len()),
            (Status::Unhealthy, 7, 5)
        );
        assert!(health.record(&check, probe(0), late));
        assert_eq!((health.status, health.streak), (Status::Healthy, 0));
    }
}
