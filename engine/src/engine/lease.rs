//! Leases: names that one connection holds at a time, and objects that end with them.
//!
//! A lease lives as long as the connection that took it, so that no end of a process, however sudden,
//! leaves it taken. One that was taken to `remove` takes along every container, network and volume whose
//! label [`LABEL`] names it. Objects that outlive an engine get a grace in which their client may come
//! back; then they go, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bowline_api::Filters;
use tokio::sync::Notify;

use super::Engine;
use crate::error::{Error, Result};

/// The label that ties an object to a lease.
const LABEL: &str = "dev.bowline.lease";

/// How long the client of an engine that was replaced may take to come back.
const GRACE: Duration = Duration::from_secs(10);

/// Who holds what.
#[derive(Debug, Default)]
pub(super) struct Leases {
    holders: Mutex<BTreeMap<String, String>>,
    freed: Notify,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseRequest {
    /// Its name; anything but empty.
    pub(crate) name: String,
    /// Who asks, in words that others are told.
    pub(crate) holder: String,
    /// Wait while somebody else has it, instead of being refused.
    pub(crate) wait: bool,
    /// When it ends, objects with its label end with it.
    pub(crate) remove: bool,
}

/// A lease that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    engine: Weak<Engine>,
    name: String,
    remove: bool,
}

impl Leases {
    fn take(&self, name: &str, holder: &str) -> std::result::Result<(), String> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        match holders.get(name) {
            Some(other) => Err(other.clone()),
            None => {
                holders.insert(name.to_owned(), holder.to_owned());
                Ok(())
            }
        }
    }

    fn free(&self, name: &str) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.remove(name);
        drop(holders);
        self.freed.notify_waiters();
    }

    fn is_held(&self, name: &str) -> bool {
        let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.contains_key(name)
    }
}

impl Engine {
    /// Takes a lease.
    ///
    /// # Errors
    /// A conflict, whose message is the holder's words, when it is taken and not to be waited for.
    pub(crate) async fn lease(self: &Arc<Self>, request: LeaseRequest) -> Result<Lease> {
        if request.name.is_empty() {
            return Err(Error::invalid("a lease needs a name"));
        }
        loop {
            // Registered before the look, so that no end falls between the two.
            let freed = self.leases.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.leases.take(&request.name, &request.holder) {
                Ok(()) => break,
                Err(_) if request.wait => freed.await,
                Err(holder) => return Err(Error::conflict(holder)),
            }
        }
        Ok(Lease {
            engine: Arc::downgrade(self),
            name: request.name,
            remove: request.remove,
        })
    }

    /// Objects of leases that nobody came back for go.
    pub(super) fn end_leases_nobody_renews(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let names = engine.leased_names().await;
            if names.is_empty() {
                return;
            }
            let _busy = engine.busy();
            tokio::time::sleep(GRACE).await;
            for name in names {
                if !engine.leases.is_held(&name) {
                    engine.remove_leased(&name).await;
                }
            }
        });
    }

    async fn leased_names(&self) -> Vec<String> {
        let filter = Filters::new().with("label", LABEL);
        let mut names = Vec::new();
        let mut note = |labels: &BTreeMap<String, String>| names.extend(labels.get(LABEL).cloned());
        for record in self.records() {
            note(&record.config.labels);
        }
        for network in self.networks_list(&filter).await.unwrap_or_default() {
            note(&network.labels);
        }
        for volume in self.volumes_list(&filter).await.unwrap_or_default().volumes {
            note(&volume.labels);
        }
        names.sort();
        names.dedup();
        names
    }

    /// Containers first, since they use the rest. What cannot be removed is tried once more, for a
    /// container may have been made while its client ended.
    async fn remove_leased(&self, name: &str) {
        let filter = Filters::new().with("label", format!("{LABEL}={name}"));
        for _attempt in 0..2 {
            let leased = |labels: &BTreeMap<String, String>| {
                labels.get(LABEL).is_some_and(|lease| lease == name)
            };
            for record in self.records() {
                if leased(&record.config.labels)
                    && let Err(error) = self.container_remove(&record.id, true, true, false).await
                {
                    tracing::debug!(%error, name, id = record.id, "a leased container stays");
                }
            }
            for network in self.networks_list(&filter).await.unwrap_or_default() {
                if let Err(error) = self.network_remove(&network.id).await {
                    tracing::debug!(%error, name, "a leased network stays");
                }
            }
            for volume in self.volumes_list(&filter).await.unwrap_or_default().volumes {
                if let Err(error) = self.volume_remove(&volume.name, true).await {
                    tracing::debug!(%error, name, "a leased volume stays");
                }
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(engine) = self.engine.upgrade() else {
            return;
        };
        let name = std::mem::take(&mut self.name);
        match (self.remove, tokio::runtime::Handle::try_current()) {
            (true, Ok(runtime)) => {
                let busy = engine.busy();
                runtime.spawn(async move {
                    engine.remove_leased(&name).await;
                    engine.leases.free(&name);
                    drop(busy);
                });
            }
            _ => engine.leases.free(&name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_and_its_holder_is_told() {
        let leases = Leases::default();
        assert_eq!(leases.take("a", "up"), Ok(()));
        assert_eq!(leases.take("a", "down"), Err("up".to_owned()));
        assert_eq!(leases.take("b", "down"), Ok(()));
        leases.free("a");
        assert!(!leases.is_held("a") && leases.is_held("b"));
        assert_eq!(leases.take("a", "down"), Ok(()));
    }
}
