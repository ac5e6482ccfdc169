//! Waiting for a state.

use std::fmt::Debug;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Looks again and again until `look` answers `Ok`, for at most `limit`; the last `Err` is what the failure shows.
///
/// Level-triggered on purpose: a story asks whether something is so, never whether an event was seen.
#[track_caller]
pub fn eventually<T, E: Debug>(limit: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + limit;
    let (_never, pause) = mpsc::channel::<()>();
    loop {
        match look() {
            Ok(value) => return value,
            Err(last) => assert!(
                Instant::now() < end,
                "not within {limit:?}; last seen: {last:?}"
            ),
        }
        // A pause between looks, so that looking does not take the processor from what is waited for.
        let _ = pause.recv_timeout(Duration::from_millis(20));
    }
}
