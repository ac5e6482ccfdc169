//! `RUN`: a process over a base, and what it finds mounted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bowline_image::Digest;

use super::step::{Look, Step, blocking};
use super::trees::plain;
use super::works::{remove_stubs, stubs};
use super::{Done, Inputted, Solve, Stopped};
use crate::copy::{Laying, lay, select};
use crate::failure::{FailedState, Kept, StepError};
use crate::graph::{Mount, MountKind, Op, Run, VertexId};
use crate::key::Key;
use crate::run::{Exit, RunError, RunMount, RunMountKind, RunOutput, RunRootfs, RunStep, Secret};
use crate::why::Seen;

/// The host name of a step that was given none, as with the stock builder.
const HOSTNAME: &str = "buildkitsandbox";

/// A process, decided.
struct Prepared {
    step: Step,
    seen: Seen,
}

/// A process, ready to run.
struct Ready {
    run: RunStep,
    kept: Kept,
    /// Paths that exist only to be mounted on, deepest first.
    stubs: Vec<PathBuf>,
}

impl Solve {
    pub(super) async fn run_step(
        self: &Arc<Self>,
        id: VertexId,
        inputs: &Inputted,
    ) -> Result<Done, Stopped> {
        let inputs = Arc::new(Inputted(inputs.0.clone()));
        let (solve, given) = (Arc::clone(self), Arc::clone(&inputs));
        let prepared = blocking(move || Ok(solve.prepare_run(id, &given)?)).await?;
        let _held = match self.look(&prepared.step).await? {
            Look::Found(done) => return Ok(done),
            Look::Missing(held) => held,
        };
        let _place = self.work_place().await?;
        let (solve, step) = (Arc::clone(self), prepared.step);
        let seen = prepared.seen;
        let (step, seen, ready) = blocking(move || {
            solve.begin(&step, &seen);
            let ready = solve.root_of(&step, id)?;
            Ok((step, seen, ready))
        })
        .await?;
        let ready = self.mounts(id, &inputs, ready).await?;
        self.do_run(id, step, seen, ready).await
    }

    fn run_of(&self, id: VertexId) -> Result<&Run, StepError> {
        match &self.graph.vertex(id).op {
            Op::Run(run) => Ok(run),
            _ => Err(StepError::Broken),
        }
    }

    fn prepare_run(&self, id: VertexId, inputs: &Inputted) -> Result<Prepared, StepError> {
        let vertex = self.graph.vertex(id);
        let run = self.run_of(id)?;
        let (below, _) = self.below(run.base, inputs)?;
        let mut seen = self.seen(id, inputs);
        let mut key = Key::new("run");
        key.digests(&below.layers);
        key.value(&(&run.args, &run.env, &run.cwd, &run.user, &run.network));
        // Addresses of extra hosts change from day to day; their names say what the step wants.
        let hosts: Vec<&String> = run.extra_hosts.iter().map(|(name, _)| name).collect();
        key.value(&(hosts, &run.hostname, run.shm_size, &run.ulimits));
        key.value(&vertex.platform);
        for mount in &run.mounts {
            self.mount_key(mount, inputs, &mut key, &mut seen)?;
        }
        describe(run, &mut seen);
        let parents = vertex.op.inputs();
        let parents = parents
            .iter()
            .filter_map(|input| inputs.0.get(input)?.key.clone());
        Ok(Prepared {
            step: Step {
                id,
                key: key.finish(),
                apart: false,
                parents: parents.collect(),
                below,
            },
            seen,
        })
    }

    /// What a mount adds to the key: what can be seen through it, but neither secrets nor what a cache holds.
    fn mount_key(
        &self,
        mount: &Mount,
        inputs: &Inputted,
        key: &mut Key,
        seen: &mut Seen,
    ) -> Result<(), StepError> {
        key.value(&(&mount.target, mount.readonly));
        let mut shows = |from: VertexId, source: &str| -> Result<(), StepError> {
            let done = inputs.get(from)?;
            let digest = self.selected(done, &plain(source), &[], true)?.digest;
            key.text(digest.hex());
            let name = format!("--mount={}", mount.target);
            seen.facts.insert(name, digest.to_string());
            Ok(())
        };
        match &mount.kind {
            MountKind::Bind { from, source } => {
                shows(*from, source)?;
                key.text("bind");
            }
            MountKind::Cache {
                id,
                sharing,
                from,
                source,
                mode,
                uid,
                gid,
            } => {
                if let Some(from) = from {
                    shows(*from, "/")?;
                }
                key.value(&("cache", id, sharing, source, mode, uid, gid));
            }
            MountKind::Tmpfs { size } => key.value(&("tmpfs", size)),
            MountKind::Secret {
                id,
                env,
                required: _,
                mode,
                uid,
                gid,
            } => key.value(&("secret", id, env, mode, uid, gid)),
            // As with the stock builder, an agent changes nothing about the result.
            MountKind::Ssh { .. } => key.text("ssh"),
        }
        Ok(())
    }

    /// The root of the process. Blocks.
    fn root_of(&self, step: &Step, id: VertexId) -> Result<Ready, StepError> {
        let run = self.run_of(id)?;
        let store = &self.builder.0.store;
        let scratch = store.scratch(step.layers())?;
        let canvas = self.canvas(scratch.upper(), step.layers())?;
        let targets = run.mounts.iter().map(|mount| mount.target.as_str());
        let stubs = stubs(&canvas, targets).map_err(StepError::Tree)?;
        let mut env: Vec<String> = Vec::new();
        for (name, value) in run.env.iter().chain(&run.proxy) {
            env.push(format!("{name}={value}"));
        }
        let mut unique = Key::new("process");
        unique.text(step.key.hex());
        unique.number(self.builder.0.now());
        Ok(Ready {
            run: RunStep {
                id: unique.finish().hex().to_owned(),
                rootfs: RunRootfs {
                    lowers: store.lower_dirs(step.layers(), 1),
                    upper: scratch.upper().to_owned(),
                    work: scratch.work().to_owned(),
                },
                args: run.args.clone(),
                env,
                secret_env: Vec::new(),
                cwd: PathBuf::from(&run.cwd),
                user: run.user.clone(),
                mounts: Vec::new(),
                network: run.network.clone(),
                extra_hosts: run.extra_hosts.clone(),
                hostname: run.hostname.clone().unwrap_or_else(|| HOSTNAME.to_owned()),
                shm_size: run.shm_size,
                ulimits: run.ulimits.clone(),
                cgroup_parent: self.inputs.cgroup_parent.clone(),
            },
            kept: Kept {
                scratch: Some(scratch),
                holds: step.below.hold.iter().cloned().collect(),
                ..Kept::default()
            },
            stubs,
        })
    }

    async fn mounts(
        self: &Arc<Self>,
        id: VertexId,
        inputs: &Arc<Inputted>,
        mut ready: Ready,
    ) -> Result<Ready, Stopped> {
        let run = self.run_of(id)?;
        let mut order: Vec<&Mount> = run.mounts.iter().collect();
        // Caches in the order of their names, so that two steps that lock two of them do not wait for each other.
        order.sort_by_key(|mount| match &mount.kind {
            MountKind::Cache { id, .. } => (0, id.clone()),
            _ => (1, String::new()),
        });
        let mut agents = 0;
        for mount in order {
            match &mount.kind {
                MountKind::Cache { .. } => self.cache(mount, inputs, &mut ready).await?,
                MountKind::Bind { from, source } => {
                    let (solve, given) = (Arc::clone(self), Arc::clone(inputs));
                    let (from, source, readonly) = (*from, source.clone(), mount.readonly);
                    let (kind, kept) =
                        blocking(move || Ok(solve.bind(from, &source, readonly, &given)?)).await?;
                    ready.kept.scratches.extend(kept.scratches);
                    ready.kept.holds.extend(kept.holds);
                    ready.add(mount, kind);
                }
                MountKind::Tmpfs { size } => ready.add(mount, RunMountKind::Tmpfs { size: *size }),
                MountKind::Secret { .. } => self.secret(mount, &mut ready)?,
                MountKind::Ssh { .. } => {
                    self.agent(mount, agents, &mut ready)?;
                    agents += 1;
                }
            }
        }
        // Parents before what lies in them.
        ready
            .run
            .mounts
            .sort_by_key(|mount| mount.target.components().count());
        Ok(ready)
    }

    fn bind(
        &self,
        from: VertexId,
        source: &str,
        readonly: bool,
        inputs: &Inputted,
    ) -> Result<(RunMountKind, Kept), StepError> {
        let store = &self.builder.0.store;
        let done = inputs.get(from)?;
        let layered = self.as_layers(done, source)?;
        let mut kept = Kept {
            holds: layered.hold.into_iter().collect(),
            ..Kept::default()
        };
        let scratch = if readonly {
            None
        } else {
            let scratch = store.scratch(&layered.layers)?;
            let paths = (scratch.upper().to_owned(), scratch.work().to_owned());
            kept.scratches.push(scratch);
            Some(paths)
        };
        let source = Path::new(source);
        let kind = RunMountKind::Tree {
            lowers: store.lower_dirs(&layered.layers, 2),
            scratch,
            source: source.strip_prefix("/").unwrap_or(source).to_owned(),
        };
        Ok((kind, kept))
    }

    async fn cache(
        self: &Arc<Self>,
        mount: &Mount,
        inputs: &Arc<Inputted>,
        ready: &mut Ready,
    ) -> Result<(), Stopped> {
        let MountKind::Cache {
            id,
            sharing,
            from,
            source,
            mode,
            uid,
            gid,
        } = &mount.kind
        else {
            return Err(StepError::Broken.into());
        };
        let failed = |source| StepError::Cache {
            id: id.clone(),
            source,
        };
        let origin = match from {
            Some(from) => {
                let done = inputs.get(*from)?;
                let mut key = Key::new("origin");
                key.digests(&done.layers);
                key.finish().hex().to_owned()
            }
            None => String::new(),
        };
        let mut cancel = self.cancel.clone();
        let caches = &self.builder.0.caches;
        let guard = tokio::select! {
            guard = caches.acquire(id, &origin, *sharing) => guard.map_err(failed)?,
            () = cancel.cancelled() => return Err(StepError::Cancelled.into()),
        };
        let path = guard.path.clone();
        if guard.is_new {
            use std::os::unix::fs::{PermissionsExt, chown};
            let permissions = std::fs::Permissions::from_mode(*mode);
            if let Some(from) = from {
                let (solve, given, path) = (Arc::clone(self), Arc::clone(inputs), path.clone());
                let from = *from;
                blocking(move || Ok(solve.seed(from, &path, &given)?)).await?;
            }
            std::fs::set_permissions(&path, permissions).map_err(failed)?;
            chown(&path, Some(*uid), Some(*gid)).map_err(failed)?;
            guard.is_ready().map_err(failed)?;
        }
        // A part of it; no link in what others put there leads out.
        let root = bowline_sys::root::Root::open(&path).map_err(failed)?;
        let part = root.mkdir_all(source.trim_start_matches('/'), 0o755);
        let path = part.and_then(|part| part.path()).map_err(failed)?;
        ready.kept.caches.push(guard.shared());
        ready.add(mount, RunMountKind::Directory { path });
        Ok(())
    }

    fn seed(&self, from: VertexId, path: &Path, inputs: &Inputted) -> Result<(), StepError> {
        let tree = self.tree(inputs.get(from)?)?;
        let upper = bowline_sys::root::Dir::open(path).map_err(StepError::Tree)?;
        let mut canvas = crate::copy::Canvas::new(upper, None);
        for picked in select(&tree, &plain("/"), &[])? {
            let how = Laying {
                dest: "/",
                owner: None,
                chmod: None,
                unpack: false,
            };
            lay(&mut canvas, &tree, &picked, &how, None)?;
        }
        Ok(())
    }

    fn secret(&self, mount: &Mount, ready: &mut Ready) -> Result<(), StepError> {
        let MountKind::Secret {
            id,
            env,
            required,
            mode,
            uid,
            gid,
        } = &mount.kind
        else {
            return Err(StepError::Broken);
        };
        let Some(secret) = self.inputs.secrets.get(id) else {
            return if *required {
                Err(StepError::Secret(id.clone()))
            } else {
                Ok(())
            };
        };
        if let Some(name) = env {
            ready.run.secret_env.push((name.clone(), secret.clone()));
        }
        if !mount.target.is_empty() {
            let kind = RunMountKind::File {
                contents: Secret(Arc::clone(&secret.0)),
                mode: *mode,
                uid: *uid,
                gid: *gid,
            };
            ready.add(mount, kind);
        }
        Ok(())
    }

    fn agent(&self, mount: &Mount, number: usize, ready: &mut Ready) -> Result<(), StepError> {
        let MountKind::Ssh {
            id,
            required,
            mode,
            uid,
            gid,
        } = &mount.kind
        else {
            return Err(StepError::Broken);
        };
        let Some(socket) = self.inputs.ssh.get(id) else {
            return if *required {
                Err(StepError::Ssh(id.clone()))
            } else {
                Ok(())
            };
        };
        let target = if mount.target.is_empty() {
            format!("/run/buildkit/ssh_agent.{number}")
        } else {
            mount.target.clone()
        };
        let known = |entry: &String| entry.starts_with("SSH_AUTH_SOCK=");
        if number == 0 && !ready.run.env.iter().any(known) {
            ready.run.env.push(format!("SSH_AUTH_SOCK={target}"));
        }
        let kind = RunMountKind::Ssh {
            socket: socket.clone(),
            mode: *mode,
            uid: *uid,
            gid: *gid,
        };
        let target = PathBuf::from(target);
        ready.run.mounts.push(RunMount {
            target,
            readonly: mount.readonly,
            kind,
        });
        Ok(())
    }

    async fn do_run(
        self: &Arc<Self>,
        id: VertexId,
        step: Step,
        seen: Seen,
        ready: Ready,
    ) -> Result<Done, Stopped> {
        let Ready {
            run,
            mut kept,
            stubs,
        } = ready;
        let output = RunOutput::new(self.events.clone(), self.ids[id.0].clone());
        let ended = self
            .builder
            .0
            .runner
            .run(run.clone(), output, self.cancel.clone())
            .await;
        let command = self.run_of(id)?.args.join(" ");
        let error = match ended {
            Ok(Exit { code: 0, .. }) => None,
            Ok(Exit {
                out_of_memory: true,
                ..
            }) => Some(StepError::OutOfMemory { command }),
            Ok(Exit { code, .. }) => Some(StepError::Exit { command, code }),
            Err(RunError::Cancelled) => return Err(StepError::Cancelled.into()),
            Err(error @ RunError::Start { .. }) => Some(StepError::Run(error)),
            Err(error @ RunError::Engine(_)) => return Err(StepError::Run(error).into()),
        };
        if self.cancel.is_cancelled() {
            return Err(StepError::Cancelled.into());
        }
        if let Some(error) = error {
            let state = Box::new(FailedState { step: run, kept });
            return Err(Stopped {
                error,
                state: Some(state),
            });
        }
        let Some(scratch) = kept.scratch.take() else {
            return Err(StepError::Broken.into());
        };
        drop(kept);
        let solve = Arc::clone(self);
        blocking(move || {
            remove_stubs(scratch.upper(), &stubs).map_err(StepError::Tree)?;
            solve.complete(&step, scratch, &seen)
        })
        .await
    }
}

impl Ready {
    fn add(&mut self, mount: &Mount, kind: RunMountKind) {
        self.run.mounts.push(RunMount {
            target: PathBuf::from(&mount.target),
            readonly: mount.readonly,
            kind,
        });
    }
}

fn describe(run: &Run, seen: &mut Seen) {
    let mut fact = |name: String, value: String| drop(seen.facts.insert(name, value));
    fact("command".to_owned(), run.args.join("\0"));
    fact("user".to_owned(), run.user.clone());
    fact("working directory".to_owned(), run.cwd.clone());
    fact("network".to_owned(), format!("{:?}", run.network));
    for (name, value) in &run.env {
        // A value may be nobody's business; that it changed can be told without it.
        let value = Digest::of(value.as_bytes()).to_string();
        fact(format!("ENV {name}"), value);
    }
}
