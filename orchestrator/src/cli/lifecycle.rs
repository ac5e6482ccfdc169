//! `stop`, `start`, `restart`, `kill`, `rm`, `pause` and `unpause`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use bowline_plan as planning;
use bowline_plan::Plan;
use clap::Args;

use super::context::{Context, Session};
use crate::apply::Options;
use crate::ui::{Failure, Outcome};

/// Stop containers without removing them
#[derive(Args, Clone, Debug)]
pub(super) struct Stop {
    /// Services; all if none is named
    services: Vec<String>,
    /// Seconds that a container gets to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
}

/// Start containers that exist
#[derive(Args, Clone, Debug)]
pub(super) struct Start {
    /// Services; all if none is named
    services: Vec<String>,
    /// Return when the services are running or healthy
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    wait_timeout: Option<u64>,
}

/// Freeze containers
#[derive(Args, Clone, Debug)]
pub(super) struct Pause {
    /// Services; all if none is named
    services: Vec<String>,
}

/// Let frozen containers go on
#[derive(Args, Clone, Debug)]
pub(super) struct Unpause {
    /// Services; all if none is named
    services: Vec<String>,
}

/// Restart containers
#[derive(Args, Clone, Debug)]
pub(super) struct Restart {
    /// Services; all if none is named
    services: Vec<String>,
    /// Leave dependents alone that ask to be restarted along
    #[arg(long)]
    no_deps: bool,
    /// Seconds that a container gets to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
}

/// Send a signal to containers
#[derive(Args, Clone, Debug)]
pub(super) struct Kill {
    /// Services; all if none is named
    services: Vec<String>,
    /// Name or number of the signal
    #[arg(short, long, default_value = "SIGKILL")]
    signal: String,
    /// Containers of services that are no longer in the file, too
    #[arg(long)]
    remove_orphans: bool,
}

/// Remove stopped containers
#[derive(Args, Clone, Debug)]
pub(super) struct Rm {
    /// Services; all if none is named
    services: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Stop what runs first
    #[arg(short, long)]
    stop: bool,
    /// Remove anonymous volumes, too
    #[arg(short, long)]
    volumes: bool,
}

async fn carry_out(
    context: &Context,
    session: &Session,
    plan: planning::Result<Plan>,
    options: Options,
    nothing: &str,
) -> Outcome {
    let plan = plan.map_err(|error| session.scope.failure(&error))?;
    match plan.is_empty() {
        true => context.ui.note(nothing),
        false => {
            Box::pin(context.carry_out(session, &plan, options)).await?;
        }
    }
    Ok(0)
}

impl Stop {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let plan = planning::stop(&session.scope.desired, &session.observed, &self.services);
        let options = Options {
            stop_timeout: self.timeout,
            ..Options::default()
        };
        carry_out(
            context,
            &session,
            plan,
            options,
            "Nothing to do: no container is running",
        )
        .await
    }
}

impl Start {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let Session {
            scope, observed, ..
        } = &session;
        let plan = planning::start(&scope.desired, observed, &self.services, self.wait);
        let wait_timeout = self.wait_timeout.map(Duration::from_secs);
        let options = Options {
            wait_timeout,
            ..Options::default()
        };
        carry_out(
            context,
            &session,
            plan,
            options,
            "Nothing to do: every container is running",
        )
        .await
    }
}

impl Restart {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let choices = planning::Restart {
            services: self.services,
            no_deps: self.no_deps,
        };
        let plan = planning::restart(&session.scope.desired, &session.observed, &choices);
        let options = Options {
            stop_timeout: self.timeout,
            ..Options::default()
        };
        carry_out(
            context,
            &session,
            plan,
            options,
            "Nothing to do: there is no container",
        )
        .await
    }
}

impl Kill {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let (services, signal) = (self.services, self.signal);
        let choices = planning::Kill {
            services,
            signal,
            orphans: self.remove_orphans,
        };
        let plan = planning::kill(&session.scope.desired, &session.observed, &choices);
        let nothing = "Nothing to do: no container is running";
        carry_out(context, &session, plan, Options::default(), nothing).await
    }
}

impl Pause {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let plan = planning::pause(&session.scope.desired, &session.observed, &self.services);
        let nothing = "Nothing to do: no container is running";
        carry_out(context, &session, plan, Options::default(), nothing).await
    }
}

impl Unpause {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let plan = planning::unpause(&session.scope.desired, &session.observed, &self.services);
        let nothing = "Nothing to do: no container is paused";
        carry_out(context, &session, plan, Options::default(), nothing).await
    }
}

impl Rm {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let Session {
            scope, observed, ..
        } = &session;
        let plan = planning::remove_stopped(
            &scope.desired,
            observed,
            &self.services,
            self.volumes,
            self.stop,
        );
        let going: Vec<String> = plan
            .iter()
            .flat_map(Plan::steps)
            .filter_map(|step| match &step.node.op {
                planning::Op::Remove { target, .. } => Some(target.name.clone()),
                _ => None,
            })
            .collect();
        if !going.is_empty() && !self.force && !context.globals.dry_run {
            confirm(&format!("Going to remove {}", going.join(", ")))?;
        }
        let nothing = "Nothing to do: no stopped container";
        carry_out(context, &session, plan, Options::default(), nothing).await
    }
}

/// Asks on the terminal; without one nobody could answer.
fn confirm(what: &str) -> Outcome<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("there is no terminal to confirm on").hint("`-f` does not ask"));
    }
    let mut answer = String::new();
    let mut errors = std::io::stderr();
    let _closed = write!(errors, "{what}\nAre you sure? [y/N] ").and_then(|()| errors.flush());
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::exit(1)),
    }
}
