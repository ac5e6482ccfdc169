//! `top`: processes in containers.

use clap::Args;

use super::containers::{self, Labelled as _};
use super::context::Context;
use crate::ui::{Outcome, Style, Table, WithContext as _};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Top {
    /// Services; all if none is named
    services: Vec<String>,
}

impl Top {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session.scope.check(&session.observed, &self.services)?;
        let client = &session.client;
        for container in
            containers::list(client, &session.scope.name, false, &self.services).await?
        {
            let name = container.name();
            let top = client.container_top(&container.id, None).await;
            let top = top.during(format!("cannot list the processes of `{name}`"))?;
            let titles: Vec<&str> = top.titles.iter().map(String::as_str).collect();
            let mut table = Table::new(&titles);
            top.processes
                .into_iter()
                .for_each(|process| table.row(process));
            context
                .ui
                .line(Style::Bold.paint(name, context.ui.color_out));
            context.ui.line(table.render());
            context.ui.line("");
        }
        Ok(0)
    }
}
