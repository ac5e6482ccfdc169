//! `down`.

use bowline_plan as planning;
use clap::{Args, ValueEnum};

use super::context::{Context, Session};
use crate::apply::Options;
use crate::ui::Outcome;

/// Which images go, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Images {
    /// All that services of the project use.
    All,
    /// Those that are built here and have no name of their own.
    Local,
}

/// Stop and remove the project's containers and networks
#[derive(Args, Clone, Debug)]
pub(super) struct Down {
    /// Services, with what depends on them; all if none is named
    services: Vec<String>,
    /// Remove named volumes of the file and anonymous volumes, too
    #[arg(short, long)]
    volumes: bool,
    /// Remove containers of services that are no longer in the file
    #[arg(long)]
    remove_orphans: bool,
    /// Seconds that a container gets to stop
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Remove images, too
    #[arg(long, value_enum)]
    rmi: Option<Images>,
}

impl Down {
    /// `down` without options.
    pub(super) fn plain() -> Self {
        let (services, timeout, rmi) = (Vec::new(), None, None);
        Self {
            services,
            volumes: false,
            remove_orphans: false,
            timeout,
            rmi,
        }
    }

    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (session, _held) = context.exclusive_session(&self.services).await?;
        let choices = planning::Down {
            services: self.services.clone(),
            volumes: self.volumes,
            remove_orphans: self.remove_orphans,
            has_file: session.scope.project.is_some(),
            images: self.rmi.map(|images| match images {
                Images::All => planning::Images::All,
                Images::Local => planning::Images::Local,
            }),
        };
        let plan = planning::down(&session.scope.desired, &session.observed, &choices);
        let plan = plan.map_err(|error| session.scope.failure(&error))?;
        let options = Options {
            stop_timeout: self.timeout,
            ..Options::default()
        };
        if plan.is_empty() && plan.warnings().is_empty() {
            context.ui.note(format!(
                "Nothing to do: project `{}` is down",
                session.scope.name
            ));
        } else if context.carry_out(&session, &plan, options).await?.is_none() {
            return Ok(0);
        }
        if !self.volumes && self.services.is_empty() {
            name_kept_volumes(context, &session);
        }
        Ok(0)
    }
}

/// What holds data stays, and how to be rid of it is said.
fn name_kept_volumes(context: &Context, session: &Session) {
    let ours = session
        .observed
        .volumes
        .iter()
        .filter(|volume| volume.key.is_some());
    let names: Vec<String> = ours.map(|volume| format!("`{}`", volume.name)).collect();
    match names.as_slice() {
        [] => {}
        [one] => context
            .ui
            .note(format!("Kept volume {one}; `bowline down -v` removes it")),
        many => {
            let many = many.join(", ");
            context.ui.note(format!(
                "Kept volumes {many}; `bowline down -v` removes them"
            ));
        }
    }
}
