//! Deletes links in the background, for the kernel takes 20 ms over each.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use crate::link::{LinkError, Rtnl, Step};

/// Names on their way out.
#[derive(Debug, Default)]
struct Pending {
    names: Mutex<BTreeSet<String>>,
    changed: Condvar,
}

impl Pending {
    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&BTreeSet<String>) -> bool) {
        let guard = self
            .changed
            .wait_while(self.names(), |names| condition(names));
        drop(guard);
    }
}

/// The thread that deletes links; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Reaper {
    orders: mpsc::Sender<String>,
    pending: Arc<Pending>,
}

impl Reaper {
    /// `rtnl` decides in which namespace it works.
    pub(crate) fn start(mut rtnl: Rtnl) -> Result<Self, LinkError> {
        let pending = Arc::new(Pending::default());
        let (orders, inbox) = mpsc::channel::<String>();
        let shared = Arc::clone(&pending);
        let work = move || {
            for name in inbox {
                match rtnl.run(vec![Step::delete(&name)]) {
                    Err(error) if !error.is_missing() => {
                        tracing::warn!(%error, "a link could not be deleted");
                    }
                    _ => {}
                }
                shared.names().remove(&name);
                shared.changed.notify_all();
            }
        };
        thread::Builder::new()
            .name("link-reaper".to_owned())
            .spawn(work)
            .map_err(LinkError::Socket)?;
        Ok(Self { orders, pending })
    }

    /// Deletes a link some time soon.
    pub(crate) fn delete(&self, name: &str) {
        self.pending.names().insert(name.to_owned());
        if self.orders.send(name.to_owned()).is_err() {
            self.pending.names().remove(name);
        }
    }

    /// Returns when that link is not about to be deleted any more.
    pub(crate) fn wait_for(&self, name: &str) {
        self.pending.wait_while(|names| names.contains(name));
    }

    /// Returns when nothing is left to do.
    pub(crate) fn finish(&self) {
        self.pending.wait_while(|names| !names.is_empty());
    }
}
