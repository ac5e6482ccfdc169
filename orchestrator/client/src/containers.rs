//! `/containers`.

use bowline_api::{
    ContainerCreate, ContainerCreated, ContainerInspect, ContainerSummary, ContainerUpdated,
    ContainersPruned, Filters, HostConfig, Stats, Top, WaitCondition, WaitResponse,
};
use hyper::Response;
use hyper::body::Incoming;

use crate::body::ByteStream;
use crate::hijack::{Hijacked, is_multiplexed};
use crate::logs::{self, LogStream};
use crate::query::Query;
use crate::transport::{Call, collect};
use crate::{Client, Error, Result};

/// What of a container's output is wanted.
#[derive(Clone, Debug)]
pub struct LogsOptions {
    /// Go on until the container ends.
    pub follow: bool,
    /// With standard output.
    pub stdout: bool,
    /// With standard error.
    pub stderr: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// How many of the last lines; `None` is all.
    pub tail: Option<u64>,
    /// `seconds[.nanoseconds]` since 1970.
    pub since: Option<String>,
    /// `seconds[.nanoseconds]` since 1970.
    pub until: Option<String>,
    /// Whether the container has a terminal, if the caller knows. Needed with engines older than API 1.42 only.
    pub tty: Option<bool>,
}

impl Default for LogsOptions {
    fn default() -> Self {
        Self {
            follow: false,
            stdout: true,
            stderr: true,
            timestamps: false,
            tail: None,
            since: None,
            until: None,
            tty: None,
        }
    }
}

/// Which streams are attached.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// Write to the container.
    pub stdin: bool,
    /// Read its standard output.
    pub stdout: bool,
    /// Read its standard error.
    pub stderr: bool,
    /// Begin with what it printed so far.
    pub logs: bool,
    /// `ctrl-p,ctrl-q` unless given.
    pub detach_keys: Option<String>,
    /// As in [`LogsOptions::tty`].
    pub tty: Option<bool>,
}

/// How thoroughly a container is removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Kill it if it runs.
    pub force: bool,
    /// With its anonymous volumes.
    pub volumes: bool,
}

/// A wait the engine has registered: an exit from now on is not missed.
#[derive(Debug)]
pub struct Waiting {
    response: Response<Incoming>,
}

impl Waiting {
    /// The exit, when it happens.
    pub async fn exit(self) -> Result<WaitResponse> {
        let bytes = collect(self.response).await?;
        let path = "/containers/{id}/wait".to_owned();
        serde_json::from_slice(&bytes).map_err(|source| Error::Decode { path, source })
    }
}

impl Client {
    /// Containers that run, or all.
    pub async fn containers_list(
        &self,
        all: bool,
        filters: &Filters,
    ) -> Result<Vec<ContainerSummary>> {
        self.fetch(Call::get(
            &Query::new("/containers/json")
                .flag("all", all)
                .filters(filters),
        ))
        .await
    }

    /// Makes a container. `platform` is `os/arch[/variant]`.
    pub async fn container_create(
        &self,
        name: Option<&str>,
        platform: Option<&str>,
        create: &ContainerCreate,
    ) -> Result<ContainerCreated> {
        let query = Query::new("/containers/create")
            .maybe("name", name)
            .maybe("platform", platform);
        self.fetch(Call::post(&query).json(create)?).await
    }

    /// Everything about a container.
    pub async fn container_inspect(&self, id: &str) -> Result<ContainerInspect> {
        self.fetch(Call::get(&Query::on("/containers/{}/json", id)))
            .await
    }

    /// Starts it; `false` when it runs already.
    pub async fn container_start(&self, id: &str) -> Result<bool> {
        self.perform(Call::post(&Query::on("/containers/{}/start", id)))
            .await
    }

    /// Stops it; `false` when it does not run. `timeout` in seconds, negative waits for ever.
    pub async fn container_stop(
        &self,
        id: &str,
        signal: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<bool> {
        self.perform(Call::post(&ending(
            "/containers/{}/stop",
            id,
            signal,
            timeout,
        )))
        .await
    }

    /// Stops it if it runs, and starts it.
    pub async fn container_restart(
        &self,
        id: &str,
        signal: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<()> {
        self.perform(Call::post(&ending(
            "/containers/{}/restart",
            id,
            signal,
            timeout,
        )))
        .await?;
        Ok(())
    }

    /// Sends a signal, KILL unless given.
    pub async fn container_kill(&self, id: &str, signal: Option<&str>) -> Result<()> {
        let query = Query::on("/containers/{}/kill", id).maybe("signal", signal);
        self.perform(Call::post(&query)).await?;
        Ok(())
    }

    /// Freezes it.
    pub async fn container_pause(&self, id: &str) -> Result<()> {
        self.perform(Call::post(&Query::on("/containers/{}/pause", id)))
            .await?;
        Ok(())
    }

    /// Thaws it.
    pub async fn container_unpause(&self, id: &str) -> Result<()> {
        self.perform(Call::post(&Query::on("/containers/{}/unpause", id)))
            .await?;
        Ok(())
    }

    /// Registers a wait; the answer's headers say that it is registered.
    pub async fn container_wait(&self, id: &str, condition: WaitCondition) -> Result<Waiting> {
        let query = Query::on("/containers/{}/wait", id).with("condition", condition.as_str());
        Ok(Waiting {
            response: self.send(Call::post(&query)).await?,
        })
    }

    /// Removes it.
    pub async fn container_remove(&self, id: &str, options: RemoveOptions) -> Result<()> {
        let query = Query::on("/containers/{}", id)
            .flag("force", options.force)
            .flag("v", options.volumes);
        self.perform(Call::delete(&query)).await?;
        Ok(())
    }

    /// Gives it another name.
    pub async fn container_rename(&self, id: &str, name: &str) -> Result<()> {
        let query = Query::on("/containers/{}/rename", id).with("name", name);
        self.perform(Call::post(&query)).await?;
        Ok(())
    }

    /// Tells its terminal a new size.
    pub async fn container_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let query = Query::on("/containers/{}/resize", id)
            .with("h", height.to_string())
            .with("w", width.to_string());
        self.perform(Call::post(&query)).await?;
        Ok(())
    }

    /// Its processes.
    pub async fn container_top(&self, id: &str, ps_args: Option<&str>) -> Result<Top> {
        self.fetch(Call::get(
            &Query::on("/containers/{}/top", id).maybe("ps_args", ps_args),
        ))
        .await
    }

    /// Changes its resources or restart policy; zero fields stay as they are.
    pub async fn container_update(&self, id: &str, host: &HostConfig) -> Result<ContainerUpdated> {
        self.fetch(Call::post(&Query::on("/containers/{}/update", id)).json(host)?)
            .await
    }

    /// One sample of what it uses.
    pub async fn container_stats(&self, id: &str) -> Result<Stats> {
        self.fetch(Call::get(
            &Query::on("/containers/{}/stats", id).with("stream", "0"),
        ))
        .await
    }

    /// What it printed.
    pub async fn container_logs(&self, id: &str, options: &LogsOptions) -> Result<LogStream> {
        let query = Query::on("/containers/{}/logs", id)
            .flag("follow", options.follow)
            .flag("stdout", options.stdout)
            .flag("stderr", options.stderr)
            .flag("timestamps", options.timestamps)
            .maybe("tail", options.tail.map(|lines| lines.to_string()))
            .maybe("since", options.since.as_ref())
            .maybe("until", options.until.as_ref());
        let response = self.send(Call::get(&query)).await?;
        let multiplexed = is_multiplexed(&response, options.tty);
        Ok(logs::from_body(
            ByteStream::new(response.into_body()),
            multiplexed,
        ))
    }

    /// Joins its streams from now on; works on a container that is not started yet.
    pub async fn container_attach(&self, id: &str, options: &AttachOptions) -> Result<Hijacked> {
        let query = Query::on("/containers/{}/attach", id)
            .with("stream", "1")
            .flag("stdin", options.stdin)
            .flag("stdout", options.stdout)
            .flag("stderr", options.stderr)
            .flag("logs", options.logs)
            .maybe("detachKeys", options.detach_keys.as_ref());
        self.hijack(Call::post(&query), options.tty).await
    }

    /// Removes those that do not run.
    pub async fn containers_prune(&self, filters: &Filters) -> Result<ContainersPruned> {
        self.fetch(Call::post(
            &Query::new("/containers/prune").filters(filters),
        ))
        .await
    }
}

fn ending(template: &str, id: &str, signal: Option<&str>, timeout: Option<i64>) -> Query {
    let timeout = timeout.map(|seconds| seconds.to_string());
    Query::on(template, id)
        .maybe("signal", signal)
        .maybe("t", timeout)
}
