//! The one thread that changes links, addresses and rules. The kernel serialises such work by a single lock, so a
//! second thread gains nothing, and netlink calls block.

use std::sync::mpsc;
use std::thread;

use bowline_network::Host;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&Host) + Send>;

/// Sends work to the thread; it ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct NetThread {
    jobs: mpsc::Sender<Job>,
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
        Ok(Self { jobs })
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
}
