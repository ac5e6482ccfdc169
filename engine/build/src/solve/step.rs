//! What all steps have in common: a key, a look into the cache, the work, a layer, a record.

use std::sync::Arc;

use bowline_image::{BuildRecord, Digest, Scratch};

use super::{Done, Solve, Stopped};
use crate::builder::guard;
use crate::failure::StepError;
use crate::graph::VertexId;
use crate::progress::EventKind;
use crate::why::{Looks, Seen, why};

/// A step about to be looked up, and done if that does not find it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) id: VertexId,
    pub(super) key: Digest,
    /// What it is laid over.
    pub(super) below: Arc<Done>,
    /// Its files depend on what is below only by what the key says of it: its layer fits over others too.
    pub(super) apart: bool,
    /// Records it stands on.
    pub(super) parents: Vec<Digest>,
}

impl Step {
    /// The layers that its files are laid over.
    pub(super) fn layers(&self) -> &[Digest] {
        &self.below.layers
    }
}

/// What a look into the cache came to.
pub(super) enum Look {
    Found(Done),
    /// It has to be done; whoever holds this lock does it.
    Missing(tokio::sync::OwnedMutexGuard<()>),
}

impl Solve {
    /// Looks for the step's result. While another build does the same step this waits.
    pub(super) async fn look(&self, step: &Step) -> Result<Look, StepError> {
        let no_cache = self.graph.vertex(step.id).no_cache;
        if !no_cache && let Some(done) = self.find(step)? {
            return Ok(Look::Found(done));
        }
        let lock = self.builder.0.lock_of(&step.key);
        let mut cancel = self.cancel.clone();
        let held = tokio::select! {
            held = lock.lock_owned() => held,
            () = cancel.cancelled() => return Err(StepError::Cancelled),
        };
        match self.find(step)? {
            Some(done) if !no_cache => Ok(Look::Found(done)),
            _ => Ok(Look::Missing(held)),
        }
    }

    fn find(&self, step: &Step) -> Result<Option<Done>, StepError> {
        let Some((record, hold)) = self.builder.0.lookup(&step.key)? else {
            return Ok(None);
        };
        if self.builder.0.is_news(&record) {
            guard(&self.leavings).used.push(step.key.clone());
        }
        self.events.send(EventKind::Cached {
            step: self.ids[step.id.0].clone(),
        });
        let mut layers = record.layers;
        if step.apart {
            let own = layers.pop();
            layers.clone_from(&step.below.layers);
            layers.extend(own);
        }
        Ok(Some(Done {
            layers,
            created: record.created,
            key: Some(step.key.clone()),
            hold: Some(Arc::new(hold)),
            context: None,
            tree: std::sync::OnceLock::new(),
        }))
    }

    /// Says that the step begins, and why.
    pub(super) fn begin(&self, step: &Step, seen: &Seen) {
        let id = self.ids[step.id.0].clone();
        let vertex = self.graph.vertex(step.id);
        self.events.send(EventKind::Started { step: id.clone() });
        let reasons = if vertex.no_cache {
            vec!["the cache is not to be used".to_owned()]
        } else {
            let (looks, number) = self.looks(step.id);
            why(looks.last(number, seen).as_ref(), seen)
        };
        self.events.send(EventKind::Missed { step: id, reasons });
    }

    /// Where the step's last look is kept, and its number in its stage.
    pub(super) fn looks(&self, id: VertexId) -> (Looks, usize) {
        let own = self.graph.vertex(id);
        let source = own.place.map_or(usize::MAX, |place| place.source);
        let name = self
            .graph
            .sources
            .get(source)
            .map_or("", |source| source.name.as_str());
        let number = self.graph.vertices[..id.0]
            .iter()
            .filter(|other| {
                other.stage == own.stage
                    && other.place.map_or(usize::MAX, |place| place.source) == source
            })
            .count();
        let folder = self.builder.0.steps();
        (
            Looks::new(&folder, &self.inputs.scope, name, &own.stage),
            number,
        )
    }

    /// Makes a layer of what the step left, and a record of it. Blocks.
    pub(super) fn complete(
        &self,
        step: &Step,
        scratch: Scratch,
        seen: &Seen,
    ) -> Result<Done, Stopped> {
        let inner = &self.builder.0;
        let sealed = inner.store.seal(scratch, step.layers())?;
        let mut layers = step.below.layers.clone();
        let mut own = if step.apart {
            Vec::new()
        } else {
            layers.clone()
        };
        layers.push(sealed.diff_id.clone());
        own.push(sealed.diff_id.clone());
        // The layers below are held by what is below, which lives as long as this build; the record's own hold is for
        // those who find it later.
        let now = inner.now();
        let record = BuildRecord {
            layers: own,
            created: now,
            used: now,
            uses: 1,
            description: self.graph.vertex(step.id).name.clone(),
            parents: step.parents.clone(),
        };
        let all = inner.store.hold(&layers)?;
        drop(sealed);
        inner.publish(&step.key, &record);
        guard(&self.leavings)
            .records
            .push((step.key.clone(), record));
        self.commit_sometimes()?;
        let (looks, number) = self.looks(step.id);
        looks.keep(number, seen);
        self.events.send(EventKind::Finished {
            step: self.ids[step.id.0].clone(),
        });
        Ok(Done {
            layers,
            created: now,
            key: Some(step.key.clone()),
            hold: Some(Arc::new(all)),
            context: None,
            tree: std::sync::OnceLock::new(),
        })
    }

    /// A place among those that work at the same time.
    pub(super) async fn work_place(&self) -> Result<tokio::sync::OwnedSemaphorePermit, StepError> {
        let mut cancel = self.cancel.clone();
        let places = Arc::clone(&self.builder.0.places);
        let place = tokio::select! {
            place = places.acquire_owned() => place.map_err(|_| StepError::Cancelled)?,
            () = cancel.cancelled() => return Err(StepError::Cancelled),
        };
        if self.given_up() {
            return Err(StepError::Cancelled);
        }
        Ok(place)
    }
}

/// Runs blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Stopped> + Send + 'static,
) -> Result<T, Stopped> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StepError::Broken.into()),
    }
}
