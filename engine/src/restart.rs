//! Restart policies, as Docker decides them (moby `restartmanager`). Pure.

use std::time::Duration;

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Never.
    No,
    /// Whatever happened, even after a reboot.
    Always,
    /// As `Always`, unless a person stopped it.
    UnlessStopped,
    /// After a failure, at most this often (0: without limit).
    OnFailure(u64),
}

/// A policy that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyError {
    /// No such policy.
    #[error(
        "invalid restart policy: unknown policy '{0}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )]
    Unknown(String),
    /// A count where none makes sense.
    #[error("invalid restart policy: maximum retry count can only be used with 'on-failure'")]
    CountWithout,
    /// A negative delay or window.
    #[error("invalid restart policy: delay and window cannot be negative")]
    Time,
    /// A negative count.
    #[error("invalid restart policy: maximum retry count cannot be negative")]
    Negative,
}

impl Policy {
    /// Reads the API's name and retry count.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub(crate) fn parse(name: &str, maximum: i64) -> Result<Self, PolicyError> {
        let count = u64::try_from(maximum).map_err(|_| PolicyError::Negative)?;
        match name {
            "on-failure" => return Ok(Self::OnFailure(count)),
            "" | "no" | "always" | "unless-stopped" if count > 0 => {
                return Err(PolicyError::CountWithout);
            }
            _ => {}
        }
        match name {
            "" | "no" => Ok(Self::No),
            "always" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            other => Err(PolicyError::Unknown(other.into())),
        }
    }

    /// Whether a run that ended with `code` is followed by another, `restarts` having been made.
    pub(crate) fn restarts_after(self, code: i32, restarts: u64) -> bool {
        match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure(maximum) => code != 0 && (maximum == 0 || restarts < maximum),
        }
    }

    /// Whether a container that ran before is started in a new boot of the machine.
    pub(crate) fn starts_at_boot(self, stopped_by_hand: bool, code: i32, restarts: u64) -> bool {
        match self {
            Self::Always => true,
            _ => !stopped_by_hand && self.restarts_after(code, restarts),
        }
    }
}

/// Delays between restarts: 100 ms, doubling up to a minute, from the start again after a run of ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BackOff {
    next: Option<Duration>,
}

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(60);
const CALM: Duration = Duration::from_secs(10);

/// What a policy adds to its name, of those that `deploy.restart_policy` writes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Instead of the growing delays.
    delay: Option<Duration>,
    /// A run of this length is a success: retries are counted anew.
    window: Option<Duration>,
}

impl Pace {
    /// Reads the API's nanoseconds, 0 for what is not said.
    ///
    /// # Errors
    /// [`PolicyError::Negative`].
    pub(crate) fn parse(delay: i64, window: i64) -> Result<Self, PolicyError> {
        let some = |nanos: i64| match u64::try_from(nanos) {
            Ok(0) => Ok(None),
            Ok(nanos) => Ok(Some(Duration::from_nanos(nanos))),
            Err(_) => Err(PolicyError::Time),
        };
        Ok(Self {
            delay: some(delay)?,
            window: some(window)?,
        })
    }

    /// The delay before the restart that follows a run of `lasted`.
    pub(crate) fn after(self, back_off: &mut BackOff, lasted: Duration) -> Duration {
        self.delay.unwrap_or_else(|| back_off.after(lasted))
    }

    /// How many of `restarts` still count after a run of `lasted`.
    pub(crate) fn counted(self, restarts: u64, lasted: Duration) -> u64 {
        match self.window {
            Some(window) if lasted >= window => 0,
            _ => restarts,
        }
    }
}

impl BackOff {
    /// The delay before the restart that follows a run of `lasted`.
    pub(crate) fn after(&mut self, lasted: Duration) -> Duration {
        let delay = match self.next {
            Some(next) if lasted < CALM => next,
            _ => FIRST,
        };
        self.next = Some((delay * 2).min(LAST));
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_minute_and_a_calm_run_resets_them() {
        let mut back_off = BackOff::default();
        let quick = Duration::from_millis(3);
        let delays: Vec<u128> = (0..12).map(|_| back_off.after(quick).as_millis()).collect();
        assert_eq!(
            delays,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000
            ]
        );
        assert_eq!(back_off.after(CALM), FIRST);
        assert_eq!(back_off.after(quick), FIRST * 2);
    }

    #[test]
    fn a_pace_replaces_the_delays_and_forgives_after_its_window() {
        let pace = Pace::parse(5_000_000_000, 2_000_000_000).unwrap();
        let (quick, long) = (Duration::from_secs(1), Duration::from_secs(2));
        let mut back_off = BackOff::default();
        for _ in 0..3 {
            assert_eq!(pace.after(&mut back_off, quick), Duration::from_secs(5));
        }
        assert_eq!((pace.counted(3, quick), pace.counted(3, long)), (3, 0));
        let usual = Pace::default();
        assert_eq!(usual.after(&mut back_off, quick), FIRST);
        assert_eq!(usual.counted(3, Duration::from_secs(999)), 3);
        assert_eq!(Pace::parse(-1, 0), Err(PolicyError::Time));
    }

    #[test]
    fn on_failure_counts_and_looks_at_the_code() {
        let policy = Policy::parse("on-failure", 2).unwrap();
        assert!(policy.restarts_after(1, 0) && policy.restarts_after(1, 1));
        assert!(!policy.restarts_after(1, 2) && !policy.restarts_after(0, 0));
        assert!(Policy::OnFailure(0).restarts_after(1, 1000));
    }

    #[test]
    fn only_always_ignores_a_stop_by_hand_at_boot() {
        assert!(Policy::Always.starts_at_boot(true, 0, 0));
        assert!(!Policy::UnlessStopped.starts_at_boot(true, 0, 0));
        assert!(Policy::UnlessStopped.starts_at_boot(false, 0, 0));
        assert!(!Policy::No.starts_at_boot(false, 1, 0));
    }

    #[test]
    fn wrong_policies_are_named() {
        assert_eq!(Policy::parse("always", 3), Err(PolicyError::CountWithout));
        assert_eq!(Policy::parse("on-failure", -1), Err(PolicyError::Negative));
        assert_eq!(
            Policy::parse("sometimes", 0),
            Err(PolicyError::Unknown("sometimes".into()))
        );
    }
}
