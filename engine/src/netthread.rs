//! The one thread that changes links, addresses and rules. The kernel serialises such work by a single lock, so a
//! second thread gains nothing, and netlink calls block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use bowline_network::{Host, NetworkError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&Host) + Send>;

/// Sends work to the thread; it ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct NetThread {
    jobs: mpsc::Sender<Job>,
    /// The engine leaves: nothing is mended any more.
    drained: Arc<AtomicBool>,
}

/// The network thread is gone, which only a panic in it can cause.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the network thread has ended")]
pub(crate) struct Ended;

impl NetThread {
    /// Starts the thread around `host`.
    ///
    /// # Errors
    /// The kernel refuses another thread.
    pub(crate) fn start(host: Host) -> std::io::Result<Self> {
        let (jobs, work) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("network".into())
            .spawn(move || {
                while let Ok(job) = work.recv() {
                    job(&host);
                }
            })?;
        Ok(Self {
            jobs,
            drained: Arc::default(),
        })
    }

    /// Runs `work` on the thread and waits for its result.
    ///
    /// # Errors
    /// [`Ended`].
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Host) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |host| {
            // A caller that went away has no use for the result.
            drop(answer.send(work(host)));
        });
        self.jobs.send(job).map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }

    /// Mends rules that somebody else takes away (`nft flush ruleset`, a firewall that starts), for as long as the
    /// engine lives.
    pub(crate) async fn keep_whole(&self) -> Result<Result<(), NetworkError>, Ended> {
        let watch = match self.call(Host::watch).await? {
            Ok(watch) => watch,
            Err(error) => return Ok(Err(error)),
        };
        let (jobs, drained) = (self.jobs.clone(), Arc::clone(&self.drained));
        // Waiting blocks, and the process ends without waiting for it.
        let spawned = thread::Builder::new().name("rules".into()).spawn(move || {
            while let Ok(()) = watch.wait() {
                let drained = Arc::clone(&drained);
                let mend: Job = Box::new(move |host| mend(host, &drained));
                if jobs.send(mend).is_err() {
                    return;
                }
            }
        });
        spawned.map_or(Err(Ended), |_| Ok(Ok(())))
    }

    /// Takes everything back that no running container needs.
    pub(crate) async fn drain(&self) -> Result<Result<(), NetworkError>, Ended> {
        self.drained.store(true, Ordering::Release);
        self.call(Host::drain).await
    }
}

/// Jobs run one after the other, so none that sees `drained` unset comes after the drain.
fn mend(host: &Host, drained: &AtomicBool) {
    if !drained.load(Ordering::Acquire)
        && let Err(error) = host.mend()
    {
        tracing::warn!(%error, "the nf_tables rules are not whole");
    }
}
