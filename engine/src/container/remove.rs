//! Removing a container and everything that is only its own.

use bowline_runtime::cgroup::Cgroup;
use nix::sys::signal::Signal;

use super::Reply;
use super::actor::{Actor, Flow, answer};
use super::stop::Then;
use crate::error::{Error, Result};
use crate::record::{MountKind, Phase};
use crate::store::Kind;

impl Actor {
    pub(super) async fn remove(&mut self, force: bool, volumes: bool, reply: Reply<()>) -> Flow {
        let busy = self.record.phase.is_alive() || self.record.phase == Phase::Restarting;
        if busy && !force {
            let message = format!(
                "cannot remove container \"/{}\": container is {}: stop the container before removing or force remove",
                self.record.name,
                self.record.phase.word(),
            );
            answer(reply, Err(Error::conflict(message)));
            return Flow::On;
        }
        let then = Then::Remove { volumes, reply };
        if self.record.phase == Phase::Restarting {
            self.cancel_restart().await;
        }
        if !self.record.phase.is_alive() {
            return self.after_stop(vec![then]).await;
        }
        self.record.stopped_by_hand = true;
        self.save_what_is();
        match self.deliver(Signal::SIGKILL as i32).await {
            Ok(()) => self.await_kill(then),
            Err(error) => {
                if let Then::Remove { reply, .. } = then {
                    answer(reply, Err(error));
                }
            }
        }
        Flow::On
    }

    /// A container that is to go when it ends also goes when its start fails.
    pub(super) async fn auto_remove_unstarted(&mut self) -> Flow {
        let idle = matches!(self.record.phase, Phase::Created | Phase::Exited);
        if self.record.host.auto_remove && idle {
            self.auto_remove().await
        } else {
            Flow::On
        }
    }

    pub(super) async fn auto_remove(&mut self) -> Flow {
        match self.erase(true).await {
            Ok(()) => Flow::Gone,
            Err(error) => {
                tracing::warn!(container = self.record.name, %error, "not removed");
                Flow::On
            }
        }
    }

    /// Removes files, then the record, then the name. Killed in between, the next engine finishes it.
    pub(super) async fn erase(&mut self, volumes: bool) -> Result<()> {
        self.record.phase = Phase::Removing;
        self.record.removes_volumes |= volumes;
        let volumes = self.record.removes_volumes;
        self.save()?;
        self.release_network().await;
        let roots = &self.engine.settings().roots;
        let folders = [
            roots.container_run(&self.record.id),
            roots.container(&self.record.id),
        ];
        let removed = tokio::task::spawn_blocking(move || {
            folders.iter().try_for_each(|folder| remove_tree(folder))
        });
        let removed = removed
            .await
            .map_err(|error| Error::failed("remove files", &error))?;
        removed.map_err(|error| Error::failed("remove the container's files", &error))?;
        self.remove_cgroup();
        let store = self.engine.store();
        let forgotten =
            tokio::task::block_in_place(|| store.remove(Kind::Container, &self.record.id));
        forgotten.map_err(|error| Error::failed("forget the container", &error))?;
        self.engine.containers().remove(&self.record.id);
        self.engine.execs().container_gone(&self.record.id);
        if volumes {
            self.remove_anonymous_volumes().await;
        }
        self.event("destroy", &[]);
        self.handle.answer_waiters(|_| true, &self.record);
        self.show();
        Ok(())
    }

    async fn remove_anonymous_volumes(&self) {
        for mount in self
            .record
            .mounts
            .iter()
            .filter(|mount| mount.kind == MountKind::Volume)
        {
            if self.engine.volume_is_anonymous(&mount.name)
                && let Err(error) = self.engine.volume_remove(&mount.name, false).await
            {
                // Another container uses it, so it is not only this one's.
                tracing::debug!(volume = mount.name, %error, "anonymous volume kept");
            }
        }
    }

    pub(super) fn cgroup(&self) -> Result<Cgroup> {
        let engine = &self.engine;
        let opened = Cgroup::open(
            engine.hierarchies(),
            &engine.cgroup_parent(&self.record),
            &self.record.id,
        );
        opened.map_err(|error| Error::failed("open the container's cgroup", &error))
    }

    /// The kernel needs a moment after the last exit, so this is nobody's wait.
    pub(super) fn remove_cgroup(&self) {
        let (engine, record) = (std::sync::Arc::clone(&self.engine), self.record.clone());
        self.engine.background(move || {
            let opened = Cgroup::open(
                engine.hierarchies(),
                &engine.cgroup_parent(&record),
                &record.id,
            );
            if let Err(error) = opened.and_then(|cgroup| cgroup.remove()) {
                tracing::warn!(container = record.name, %error, "cgroup left behind");
            }
        });
    }
}

fn remove_tree(folder: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
