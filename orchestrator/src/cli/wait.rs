//! `wait`: until containers of services stop.

use bowline_api::WaitCondition;
use clap::Args;
use futures_util::future::try_join_all;

use super::containers::{self, Labelled as _};
use super::context::Context;
use crate::ui::{Failure, Outcome};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Wait {
    /// Services
    #[arg(required = true)]
    services: Vec<String>,
    /// Bring the project down when the first container stops
    #[arg(long)]
    down_project: bool,
}

impl Wait {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        let client = &session.client;
        let found = containers::list(client, &session.scope.name, false, &self.services).await?;
        if found.is_empty() {
            return Err(Failure::new("no container of these services is running"));
        }
        let waits = found.iter().map(async |container| {
            let waiting = client
                .container_wait(&container.id, WaitCondition::NotRunning)
                .await?;
            let code = waiting.exit().await?.status_code;
            context.ui.line(format!(
                "container `{}` exited with code {code}",
                container.name()
            ));
            Outcome::Ok(code)
        });
        let code = match self.down_project {
            true => {
                let waits = waits.map(Box::pin);
                futures_util::future::select_all(waits).await.0?
            }
            false => try_join_all(waits)
                .await?
                .into_iter()
                .next_back()
                .unwrap_or(0),
        };
        if self.down_project {
            Box::pin(super::down::Down::plain().run(context)).await?;
        }
        Ok(u8::try_from(code & 0xff).unwrap_or(1))
    }
}
