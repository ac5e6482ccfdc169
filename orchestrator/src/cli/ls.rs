//! `ls`: projects, from the labels of containers.

use std::collections::{BTreeMap, BTreeSet};

use bowline_api::Filters;
use bowline_plan::labels;
use clap::Args;
use serde_json::json;

use super::context::Context;
use super::ps::Format;
use crate::ui::{Outcome, Table, WithContext as _};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Ls {
    /// Projects without a running container, too
    #[arg(short, long)]
    all: bool,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// `name=TEXT`: projects whose name contains it
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Option<String>,
}

fn filter(text: &str) -> Result<String, String> {
    let name = text
        .strip_prefix("name=")
        .ok_or("only `name=TEXT` can be filtered by")?;
    Ok(name.to_owned())
}

#[derive(Default)]
struct Project {
    states: BTreeMap<String, u32>,
    files: BTreeSet<String>,
}

impl Ls {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let filters = Filters::new().with("label", labels::PROJECT);
        let found = client.containers_list(self.all, &filters).await;
        let mut projects: BTreeMap<String, Project> = BTreeMap::new();
        for container in found.during("cannot list containers")? {
            let label = |key: &str| container.labels.get(key).cloned().unwrap_or_default();
            let project = projects.entry(label(labels::PROJECT)).or_default();
            *project.states.entry(container.state.clone()).or_default() += 1;
            project.files.insert(label(labels::CONFIG_FILES));
        }
        let wanted = self.filter.unwrap_or_default();
        projects.retain(|name, _| name.contains(&wanted));
        match (self.quiet, self.format) {
            (true, _) => projects.keys().for_each(|name| context.ui.line(name)),
            (false, Format::Json) => context.ui.line(json(&projects)),
            (false, Format::Table) => context.ui.line(table(&projects).render()),
        }
        Ok(0)
    }
}

fn status(project: &Project) -> String {
    let states = project
        .states
        .iter()
        .map(|(state, count)| format!("{state}({count})"));
    states.collect::<Vec<_>>().join(", ")
}

fn files(project: &Project) -> String {
    project.files.iter().cloned().collect::<Vec<_>>().join(",")
}

fn json(projects: &BTreeMap<String, Project>) -> String {
    let list = projects.iter().map(|(name, project)| {
        json!({"Name": name, "Status": status(project), "ConfigFiles": files(project)})
    });
    serde_json::Value::Array(list.collect()).to_string()
}

fn table(projects: &BTreeMap<String, Project>) -> Table {
    let mut table = Table::new(&["NAME", "STATUS", "CONFIG FILES"]);
    for (name, project) in projects {
        table.row(vec![name.clone(), status(project), files(project)]);
    }
    table
}
