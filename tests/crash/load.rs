//! A steady stream of fresh connections, none of which is tried twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bowline_tests::get;

/// Each sends one request after the other, on a beat.
const CALLERS: u32 = 6;
/// All of them together aim at 300 a second, so that 200 is reached on a busy machine.
const BEAT: Duration = Duration::from_millis(20);

pub(crate) struct Load {
    over: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Asks the addresses in turn until [`Load::end`].
    pub(crate) fn on(addresses: &[SocketAddr]) -> Self {
        let (over, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let callers = (0..CALLERS).map(|caller| {
            let (over, served) = (Arc::clone(&over), Arc::clone(&served));
            let address = addresses[caller as usize % addresses.len()];
            thread::spawn(move || call(address, &over, &served))
        });
        Self {
            callers: callers.collect(),
            over,
            served,
        }
    }

    /// How many were answered so far.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// What went wrong.
    pub(crate) fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        let faults = self.callers.into_iter().map(|caller| caller.join());
        faults.flat_map(|list| list.expect("a caller")).collect()
    }
}

fn call(address: SocketAddr, over: &AtomicBool, served: &AtomicU64) -> Vec<String> {
    let mut faults = Vec::new();
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        match get(address, "/") {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => faults.push(format!("{address}: {answer}")),
            Err(error) => faults.push(format!("{address}: {error}")),
        }
        next = (next + BEAT).max(Instant::now() - BEAT * 10);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    faults
}
