//! `top`: processes in containers, in one table.

use clap::Args;
use futures_util::future::try_join_all;

use super::containers::{self, Labelled as _};
use super::context::Context;
use crate::ui::{Outcome, Table, WithContext as _};

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
        let found = containers::list(client, &session.scope.name, false, &self.services).await?;
        let looks = found.iter().map(async |container| {
            let top = client.container_top(&container.id, None).await;
            top.during(format!(
                "cannot list the processes of `{}`",
                container.name()
            ))
        });
        let tops = try_join_all(looks).await?;
        let Some(titles) = tops.first().map(|top| top.titles.clone()) else {
            return Ok(0);
        };
        let mut headings = vec!["SERVICE", "#"];
        headings.extend(titles.iter().map(String::as_str));
        let mut table = Table::new(&headings);
        for (container, top) in found.iter().zip(tops) {
            for process in top.processes {
                let number = match container.is_one_off() {
                    true => container.name().to_owned(),
                    false => container.number().to_string(),
                };
                let mut row = vec![container.service().to_owned(), number];
                row.extend(process);
                table.row(row);
            }
        }
        context.ui.line(table.render());
        Ok(0)
    }
}
