//! Commands run in containers: created, running, ended; kept for a while so that their code can be asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bowline_api::{ExecCreate, ExecInspect, ProcessConfig};
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::ids;

/// Docker keeps ended ones for as long.
const KEPT: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Exec {
    container: String,
    create: ExecCreate,
    pid: i32,
    running: bool,
    claimed: bool,
    ended: Option<Instant>,
    code: watch::Sender<Option<i32>>,
}

/// All execs of the engine.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    inner: Mutex<HashMap<String, Exec>>,
}

impl Execs {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Exec>) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Registers an exec and returns its id.
    ///
    /// # Errors
    /// No random numbers.
    pub(crate) fn create(&self, container: &str, create: ExecCreate) -> Result<String> {
        let id = ids::fresh().map_err(|error| Error::failed("make an id", &error))?;
        let exec = Exec {
            container: container.into(),
            create,
            pid: 0,
            running: false,
            claimed: false,
            ended: None,
            code: watch::channel(None).0,
        };
        self.with(|execs| {
            execs.retain(|_, exec| exec.ended.is_none_or(|ended| ended.elapsed() < KEPT));
            execs.insert(id.clone(), exec);
        });
        Ok(id)
    }

    /// Claims an exec for its one start; returns its container and request.
    ///
    /// # Errors
    /// 404, or 409 where it was started before.
    pub(crate) fn claim(&self, id: &str) -> Result<(String, ExecCreate)> {
        self.with(|execs| {
            let exec = execs.get_mut(id).ok_or_else(|| no_such(id))?;
            if exec.claimed {
                return Err(Error::conflict(format!(
                    "Error: Exec command {id} has already run"
                )));
            }
            exec.claimed = true;
            Ok((exec.container.clone(), exec.create.clone()))
        })
    }

    /// The container of an exec.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn container(&self, id: &str) -> Result<String> {
        self.with(|execs| execs.get(id).map(|exec| exec.container.clone()))
            .ok_or_else(|| no_such(id))
    }

    /// Notes that it runs.
    pub(crate) fn started(&self, id: &str, pid: i32) {
        self.with(|execs| {
            if let Some(exec) = execs.get_mut(id).filter(|exec| exec.ended.is_none()) {
                exec.pid = pid;
                exec.running = true;
            }
        });
    }

    /// Notes its end; false for one that nobody here created.
    pub(crate) fn ended(&self, id: &str, code: i32) -> bool {
        self.with(|execs| {
            let exec = execs.get_mut(id);
            exec.map(|exec| {
                exec.running = false;
                exec.pid = 0;
                exec.ended = Some(Instant::now());
                exec.code.send_replace(Some(code));
            })
            .is_some()
        })
    }

    /// Ends what still ran in a container that ended.
    pub(crate) fn container_ended(&self, container: &str) {
        let running: Vec<String> = self.with(|execs| {
            let own = execs
                .iter()
                .filter(|(_, exec)| exec.container == container && exec.running);
            own.map(|(id, _)| id.clone()).collect()
        });
        for id in running {
            self.ended(&id, 137);
        }
    }

    /// Forgets a removed container's.
    pub(crate) fn container_gone(&self, container: &str) {
        self.with(|execs| execs.retain(|_, exec| exec.container != container));
    }

    /// Ids of a container's running execs.
    pub(crate) fn running_in(&self, container: &str) -> Vec<String> {
        self.with(|execs| {
            let own = execs
                .iter()
                .filter(|(_, exec)| exec.container == container && exec.running);
            own.map(|(id, _)| id.clone()).collect()
        })
    }

    /// Whether any runs.
    pub(crate) fn any_running(&self) -> bool {
        self.with(|execs| execs.values().any(|exec| exec.running))
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self, id: &str) -> i32 {
        let Some(mut code) = self.with(|execs| execs.get(id).map(|exec| exec.code.subscribe()))
        else {
            return 255;
        };
        let ended = code.wait_for(Option::is_some).await;
        ended.ok().and_then(|code| *code).unwrap_or(255)
    }

    /// The API's view of it.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn inspect(&self, id: &str) -> Result<ExecInspect> {
        self.with(|execs| {
            let exec = execs.get(id).ok_or_else(|| no_such(id))?;
            let create = &exec.create;
            Ok(ExecInspect {
                id: id.into(),
                running: exec.running,
                exit_code: exec.code.borrow().map(i64::from),
                process_config: ProcessConfig {
                    tty: create.tty,
                    entrypoint: create.cmd.first().cloned().unwrap_or_default(),
                    arguments: create.cmd.iter().skip(1).cloned().collect(),
                    privileged: Some(create.privileged),
                    user: create.user.clone(),
                },
                open_stdin: create.attach_stdin,
                open_stderr: create.attach_stderr,
                open_stdout: create.attach_stdout,
                can_remove: exec.ended.is_some(),
                container_id: exec.container.clone(),
                detach_keys: create.detach_keys.clone(),
                pid: exec.pid.into(),
            })
        })
    }
}

fn no_such(id: &str) -> Error {
    Error::not_found(format!("No such exec instance: {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_exec_starts_once_and_keeps_its_code() {
        let execs = Execs::default();
        let id = execs.create("c", ExecCreate::default()).unwrap();
        execs.claim(&id).unwrap();
        assert!(execs.claim(&id).is_err());
        execs.started(&id, 7);
        assert_eq!(execs.inspect(&id).unwrap().exit_code, None);
        assert!(execs.ended(&id, 3) && !execs.ended("other", 3));
        assert_eq!(execs.wait(&id).await, 3);
        assert_eq!(execs.inspect(&id).unwrap().exit_code, Some(3));
        execs.container_gone("c");
        assert!(execs.inspect(&id).is_err());
    }
}
