//! Container operations as the API names them; each finds the actor and asks it.

use std::path::PathBuf;
use std::sync::Arc;

use bowline_api::{
    ContainerInspect, ContainerSummary, ContainersPruned, ExecCreate, ExecInspect, ExecStart,
    Filters, HostConfig, Top, WaitCondition,
};
use bowline_runtime::{Attach, AttachedStreams, ExecRecord, Target};

use super::Engine;
use crate::container::{ExecTicket, Handle, Message, Stream, WaitHandle};
use crate::error::{Error, Result};
use crate::record::{ContainerRecord, Phase};
use crate::view;

/// A checked attach that waits for its stream.
#[derive(Debug)]
pub struct AttachTicket {
    handle: Handle,
    attach: Attach,
    /// Replay the log first.
    pub logs: bool,
}

/// What a client wants to attach to.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// Which streams.
    pub streams: AttachedStreams,
    /// Replay the log first.
    pub logs: bool,
    /// Go on with what comes (`stream=1`).
    pub stream: bool,
    /// Keys that detach from a terminal; empty means Docker's.
    pub detach_keys: String,
}

impl AttachTicket {
    /// Whether the output is a terminal's, without frames.
    pub fn tty(&self) -> bool {
        self.handle.record().config.tty
    }

    /// Hands the client's stream over.
    ///
    /// # Errors
    /// The container is gone, or its shim refuses.
    pub async fn attach(self, stream: Stream) -> Result<()> {
        let attach = self.attach;
        self.handle
            .ask(|reply| Message::Attach {
                attach,
                stream,
                reply,
            })
            .await
    }
}

/// A checked exec start.
#[derive(Debug)]
pub struct ExecStartTicket {
    handle: Handle,
    ticket: ExecTicket,
}

impl ExecStartTicket {
    /// Whether it has a terminal.
    pub fn tty(&self) -> bool {
        self.ticket.create.tty
    }

    /// Runs it, with the client's stream unless it is detached.
    ///
    /// # Errors
    /// The command could not be started; Docker's words.
    pub async fn start(self, stream: Option<Stream>) -> Result<()> {
        let ticket = Box::new(self.ticket);
        let started = self.handle.ask(|reply| Message::Exec {
            ticket,
            stream,
            capture: None,
            reply,
        });
        started.await.map(drop)
    }
}

/// Where a container's log lies and how it is read.
#[derive(Debug)]
pub struct LogSource {
    /// Newest file; older ones end in `.1`, `.2` and so on.
    pub path: PathBuf,
    /// How many files there may be.
    pub max_file: u32,
    /// Output of a terminal has no frames.
    pub tty: bool,
    /// The log driver's name; `none` cannot be read.
    pub driver: String,
    /// Sees the container start and end.
    pub record: tokio::sync::watch::Receiver<Arc<ContainerRecord>>,
}

impl LogSource {
    /// Whether more may be written.
    pub fn is_running(&self) -> bool {
        let phase = self.record.borrow().phase;
        phase.is_alive() || phase == Phase::Restarting
    }
}

impl Engine {
    /// All records, for lists.
    pub fn records(&self) -> Vec<Arc<ContainerRecord>> {
        self.containers().all().iter().map(Handle::record).collect()
    }

    /// `GET /containers/json`.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn containers_list(
        &self,
        all: bool,
        limit: Option<usize>,
        size: bool,
        filters: &Filters,
    ) -> Result<Vec<ContainerSummary>> {
        let records = self.records();
        let networks = self.networks().all();
        let chosen = view::Query {
            all,
            limit,
            filters: Some(filters),
        }
        .select(&records)?;
        let row = |record: &ContainerRecord| {
            let mut row = view::summary(record, &networks);
            if size {
                row.size_rw = Some(self.size_rw(record));
            }
            row
        };
        Ok(chosen.into_iter().map(row).collect())
    }

    fn size_rw(&self, record: &ContainerRecord) -> i64 {
        super::disk::size(&self.settings().roots.container(&record.id).join("upper"))
    }

    /// `GET /containers/{id}/json`.
    ///
    /// # Errors
    /// 404.
    pub async fn container_inspect(&self, id: &str, size: bool) -> Result<ContainerInspect> {
        let record = self.containers().find(id)?.record();
        let execs = self.execs().running_in(&record.id);
        let networks = self.networks().all();
        let mut shown = view::inspect(&record, &networks, &self.settings().roots, execs);
        if size {
            shown.size_rw = Some(self.size_rw(&record));
        }
        Ok(shown)
    }

    /// Starts a container; false where it runs already.
    ///
    /// # Errors
    /// In Docker's words for what the command itself is to blame for.
    pub async fn container_start(&self, id: &str) -> Result<bool> {
        self.containers().find(id)?.ask(Message::Start).await
    }

    /// Stops a container; false where it does not run.
    ///
    /// # Errors
    /// The signal is wrong or the container does not end.
    pub async fn container_stop(
        &self,
        id: &str,
        signal: Option<String>,
        timeout: Option<i64>,
    ) -> Result<bool> {
        let handle = self.containers().find(id)?;
        handle
            .ask(|reply| Message::Stop {
                signal,
                timeout,
                reply,
            })
            .await
    }

    /// Stops and starts a container.
    ///
    /// # Errors
    /// As stop and start.
    pub async fn container_restart(
        &self,
        id: &str,
        signal: Option<String>,
        timeout: Option<i64>,
    ) -> Result<()> {
        let handle = self.containers().find(id)?;
        handle
            .ask(|reply| Message::Restart {
                signal,
                timeout,
                reply,
            })
            .await
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// 409 where it does not run.
    pub async fn container_kill(&self, id: &str, signal: Option<String>) -> Result<()> {
        let handle = self.containers().find(id)?;
        handle.ask(|reply| Message::Kill { signal, reply }).await
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// 409 in another state.
    pub async fn container_pause(&self, id: &str) -> Result<()> {
        let handle = self.containers().find(id)?;
        handle
            .ask(|reply| Message::Pause {
                freeze: true,
                reply,
            })
            .await
    }

    /// Thaws a container.
    ///
    /// # Errors
    /// 409 in another state.
    pub async fn container_unpause(&self, id: &str) -> Result<()> {
        let handle = self.containers().find(id)?;
        handle
            .ask(|reply| Message::Pause {
                freeze: false,
                reply,
            })
            .await
    }

    /// Registers a wait; what it returns is registered.
    ///
    /// # Errors
    /// 404.
    pub async fn container_wait(&self, id: &str, condition: WaitCondition) -> Result<WaitHandle> {
        Ok(self.containers().find(id)?.wait(condition))
    }

    /// Removes a container.
    ///
    /// # Errors
    /// 409 where it runs and `force` is not given.
    pub async fn container_remove(
        &self,
        id: &str,
        force: bool,
        volumes: bool,
        link: bool,
    ) -> Result<()> {
        if link {
            return Err(Error::unsupported(
                "removing a link is not supported: legacy links do not exist here",
            ));
        }
        let handle = self.containers().find(id)?;
        handle
            .ask(|reply| Message::Remove {
                force,
                volumes,
                reply,
            })
            .await
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// The name is taken or cannot be one.
    pub async fn container_rename(&self, id: &str, name: &str) -> Result<()> {
        let handle = self.containers().find(id)?;
        let name = name.strip_prefix('/').unwrap_or(name).to_owned();
        super::create::check_name(&name)?;
        let record = handle.record();
        if record.name == name {
            return Err(Error::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        self.containers().reserve(&name, &record.id)?;
        let new = name.clone();
        let renamed = handle
            .ask(|reply| Message::Rename { name: new, reply })
            .await;
        self.containers()
            .release(if renamed.is_ok() { &record.name } else { &name });
        self.refresh_names();
        renamed
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// 409 where it does not run.
    pub async fn container_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let handle = self.containers().find(id)?;
        let target = Target::Container;
        handle
            .ask(|reply| Message::Resize {
                target,
                height,
                width,
                reply,
            })
            .await
    }

    /// Changes limits or the restart policy.
    ///
    /// # Errors
    /// A value that cannot be right.
    pub async fn container_update(&self, id: &str, changes: HostConfig) -> Result<Vec<String>> {
        let handle = self.containers().find(id)?;
        let changes = Box::new(changes);
        handle.ask(|reply| Message::Update { changes, reply }).await
    }

    /// The processes of a container.
    ///
    /// # Errors
    /// 409 where it does not run; options of ps beyond `-ef` and `aux` are refused.
    pub async fn container_top(&self, id: &str, ps_args: &str) -> Result<Top> {
        let record = self.containers().find(id)?.record();
        if !record.phase.is_alive() {
            return Err(Error::conflict(format!(
                "container {} is not running",
                record.id
            )));
        }
        let cgroup = bowline_runtime::cgroup::Cgroup::open(
            self.hierarchies(),
            &self.cgroup_parent(&record),
            &record.id,
        );
        let pids = cgroup.and_then(|cgroup| cgroup.pids());
        let pids = pids.map_err(|error| Error::failed("list the container's processes", &error))?;
        super::top::table(&pids, ps_args)
    }

    /// Where a container's log is read from.
    ///
    /// # Errors
    /// 404.
    pub async fn container_log_source(&self, id: &str) -> Result<LogSource> {
        let handle = self.containers().find(id)?;
        let record = handle.record();
        let log = &record.host.log_config;
        let folder = self.settings().roots.container(&record.id);
        Ok(LogSource {
            path: folder.join(format!("{}-json.log", record.id)),
            max_file: log
                .config
                .get("max-file")
                .and_then(|text| text.parse().ok())
                .unwrap_or(1),
            tty: record.config.tty,
            driver: if log.kind.is_empty() {
                "json-file".into()
            } else {
                log.kind.clone()
            },
            record: handle.watch(),
        })
    }

    /// Checks an attach before the connection is given away.
    ///
    /// # Errors
    /// 409 for a paused or restarting container; a bad detach key.
    pub async fn container_attach(&self, id: &str, options: AttachOptions) -> Result<AttachTicket> {
        let handle = self.containers().find(id)?;
        let record = handle.record();
        match record.phase {
            Phase::Paused => {
                let message = format!(
                    "container {} is paused, unpause the container before attach",
                    record.id
                );
                return Err(Error::conflict(message));
            }
            Phase::Restarting => {
                let message = format!(
                    "container {} is restarting, wait until the container is running",
                    record.id
                );
                return Err(Error::conflict(message));
            }
            _ => {}
        }
        let mut streams = options.streams;
        // Clients ask for stdin of containers that have none; that is ignored, as Docker does.
        streams.stdin &= record.config.open_stdin;
        let detach_keys = (!options.detach_keys.is_empty()).then_some(options.detach_keys);
        let attach = Attach {
            streams,
            detach_keys,
            multiplexed: !record.config.tty,
            leftover: Vec::new(),
        };
        Ok(AttachTicket {
            handle,
            attach,
            logs: options.logs,
        })
    }

    /// Removes all stopped containers that the filters choose.
    ///
    /// # Errors
    /// A filter that cannot be right.
    pub async fn containers_prune(&self, filters: &Filters) -> Result<ContainersPruned> {
        let allowed = filters.allow_only(&["until", "label", "label!"]);
        allowed.map_err(|error| Error::invalid(error.to_string()))?;
        if filters.has("until") {
            return Err(Error::unsupported("prune by `until` is not supported yet"));
        }
        let mut pruned = ContainersPruned::default();
        for handle in self.containers().all() {
            let record = handle.record();
            let stopped = matches!(record.phase, Phase::Created | Phase::Exited);
            if !stopped || !filters.matches_labels(&record.config.labels) {
                continue;
            }
            let size = u64::try_from(self.size_rw(&record)).unwrap_or_default();
            let remove = |reply| Message::Remove {
                force: false,
                volumes: false,
                reply,
            };
            if handle.ask(remove).await.is_ok() {
                pruned.containers_deleted.push(record.id.clone());
                pruned.space_reclaimed += size;
            }
        }
        Ok(pruned)
    }

    /// Registers an exec.
    ///
    /// # Errors
    /// 409 where the container does not run or is paused; 400 without a command.
    pub async fn exec_create(&self, id: &str, create: ExecCreate) -> Result<String> {
        let record = self.containers().find(id)?.record();
        match record.phase {
            Phase::Running => {}
            Phase::Paused => {
                let message = format!(
                    "container {} is paused, unpause the container before exec",
                    record.id
                );
                return Err(Error::conflict(message));
            }
            _ => {
                return Err(Error::conflict(format!(
                    "container {} is not running",
                    record.id
                )));
            }
        }
        if create.cmd.is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        let command = create.cmd.join(" ");
        let exec = self.execs().create(&record.id, create)?;
        let mut attributes = record.event_attributes();
        attributes.insert("execID".into(), exec.clone());
        self.events().publish(
            "container",
            &format!("exec_create: {command}"),
            &record.id,
            attributes,
        );
        Ok(exec)
    }

    /// Claims an exec for its one start.
    ///
    /// # Errors
    /// 404; 409 where it was started before or the container has ended.
    pub async fn exec_start(&self, id: &str, start: &ExecStart) -> Result<ExecStartTicket> {
        let handle = self.containers().find(&self.execs().container(id)?)?;
        if handle.record().phase != Phase::Running {
            let message = format!("container {} is not running", handle.record().id);
            return Err(Error::conflict(message));
        }
        let (_, mut create) = self.execs().claim(id)?;
        create.tty |= start.tty;
        let size = start.console_size.or(create.console_size);
        let console_size = size.and_then(|[h, w]| Some((h.try_into().ok()?, w.try_into().ok()?)));
        let ticket = ExecTicket {
            id: id.to_owned(),
            create,
            console_size,
        };
        Ok(ExecStartTicket { handle, ticket })
    }

    /// An exec as the API shows it. The code is known as soon as its stream has closed: the shim writes it first.
    ///
    /// # Errors
    /// 404.
    pub async fn exec_inspect(&self, id: &str) -> Result<ExecInspect> {
        let read = |container: &str| {
            let run = self.settings().roots.container_run(container);
            ExecRecord::read(&run, id).ok().flatten()
        };
        match self.execs().inspect(id) {
            Ok(mut shown) => {
                if let Some(record) =
                    read(&shown.container_id).filter(|_| shown.exit_code.is_none())
                {
                    shown.running = false;
                    shown.exit_code = Some(record.code.into());
                }
                Ok(shown)
            }
            // Begun under an earlier engine: its record is all there is.
            Err(error) if bowline_api::ids::is_full_id(id) => {
                let found = self.records().into_iter().find_map(|container| {
                    read(&container.id).map(|record| (container.id.clone(), record.code))
                });
                let (container_id, code) = found.ok_or(error)?;
                Ok(ExecInspect {
                    id: id.to_owned(),
                    exit_code: Some(code.into()),
                    container_id,
                    ..ExecInspect::default()
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the size of an exec's terminal.
    ///
    /// # Errors
    /// 404, or 409 where it does not run.
    pub async fn exec_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let handle = self.containers().find(&self.execs().container(id)?)?;
        let target = Target::Exec(id.to_owned());
        handle
            .ask(|reply| Message::Resize {
                target,
                height,
                width,
                reply,
            })
            .await
    }
}
