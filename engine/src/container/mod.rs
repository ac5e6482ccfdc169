//! One actor per container: it alone changes the container's record, talks to its shim and decides what follows.
//!
//! Others hold a [`Handle`]: a snapshot of the record that is always current, and a mailbox. Listing and inspecting
//! read snapshots and never wait for an actor, so one stuck container cannot hang a list.

mod actor;
mod conflict;
mod exit;
mod health;
mod interface;
mod message;
mod network;
mod remove;
mod shim;
mod start;
mod stop;
mod streams;

use std::sync::{Arc, Mutex, PoisonError};

use bowline_api::{WaitCondition, WaitError, WaitResponse};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use actor::{Resume, spawn};
pub(crate) use interface::interface as network_interface;
pub use message::Stream;
pub(crate) use message::{ExecTicket, Message, Reply};
pub(crate) use stop::parse_signal;

use crate::error::{Error, Result};
use crate::record::{ContainerRecord, Phase};

/// What everybody but the actor sees of a container.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    snapshot: watch::Receiver<Arc<ContainerRecord>>,
    mailbox: mpsc::Sender<Message>,
    waiters: Arc<Mutex<Vec<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    condition: WaitCondition,
    answer: oneshot::Sender<WaitResponse>,
}

/// A registered wait: registered before it is returned, so that no exit can slip by.
#[derive(Debug)]
pub struct WaitHandle {
    answer: oneshot::Receiver<WaitResponse>,
}

impl WaitHandle {
    /// The container's exit code, once the condition holds.
    pub async fn wait(self) -> WaitResponse {
        // The sender is dropped unanswered only when the engine leaves.
        self.answer.await.unwrap_or_else(|_| WaitResponse {
            status_code: -1,
            error: Some(WaitError {
                message: "the engine is leaving".into(),
            }),
        })
    }
}

impl Handle {
    /// The record as it is now.
    pub(crate) fn record(&self) -> Arc<ContainerRecord> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// A receiver that sees every later record.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<ContainerRecord>> {
        self.snapshot.clone()
    }

    /// Sends a request to the actor and waits for its answer.
    ///
    /// # Errors
    /// The actor's, or 404 where the container was removed meanwhile.
    pub(crate) async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Message) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::not_found(format!("No such container: {}", self.record().name));
        self.mailbox
            .send(request(reply))
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Registers a wait.
    pub(crate) fn wait(&self, condition: WaitCondition) -> WaitHandle {
        let (answer, receiver) = oneshot::channel();
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: an exit that comes now finds the waiter, one that came before is in the record.
        let record = self.record();
        let over = condition == WaitCondition::NotRunning
            && !record.phase.is_alive()
            && record.phase != Phase::Restarting;
        if over {
            drop(answer.send(response(&record)));
        } else {
            waiters.push(Waiter { condition, answer });
        }
        WaitHandle { answer: receiver }
    }

    fn answer_waiters(&self, fires: impl Fn(WaitCondition) -> bool, record: &ContainerRecord) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        for waiter in std::mem::take(&mut *waiters) {
            if fires(waiter.condition) {
                // A client that went away has no use for the answer.
                drop(waiter.answer.send(response(record)));
            } else {
                waiters.push(waiter);
            }
        }
    }
}

fn response(record: &ContainerRecord) -> WaitResponse {
    let error = &record.run.error;
    WaitResponse {
        status_code: record.run.code.into(),
        error: (!error.is_empty()).then(|| WaitError {
            message: error.clone(),
        }),
    }
}
