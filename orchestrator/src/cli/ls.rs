//! `ls`: projects, from the labels of containers.

use std::collections::{BTreeMap, BTreeSet};

use bowline_api::Filters;
use bowline_plan::labels;
use clap::Args;
use serde_json::json;

use super::context::Context;
use super::format::{Format, Json, Listing};
use crate::ui::{Outcome, WithContext as _};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Ls {
    /// Projects without a running container, too
    #[arg(short, long)]
    all: bool,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    /// `table`, `json` (one list), or a Go template
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: Format,
    /// `name=TEXT`: projects whose name contains it
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<String>,
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
        // Stopped containers count in the status of a project that also has running ones.
        let found = client.containers_list(true, &filters).await;
        let mut projects: BTreeMap<String, Project> = BTreeMap::new();
        for container in found.during("cannot list containers")? {
            let label = |key: &str| container.labels.get(key).cloned().unwrap_or_default();
            let project = projects.entry(label(labels::PROJECT)).or_default();
            *project.states.entry(container.state.clone()).or_default() += 1;
            project.files.insert(label(labels::CONFIG_FILES));
        }
        projects.retain(|name, project| {
            let named = |part: &String| name.contains(part);
            (self.all || project.states.contains_key("running"))
                && (self.filter.is_empty() || self.filter.iter().any(named))
        });
        if self.quiet {
            projects.keys().for_each(|name| context.ui.line(name));
            return Ok(0);
        }
        let mut listing = Listing::new(&["NAME", "STATUS", "CONFIG FILES"]);
        for (name, project) in projects {
            let (status, files) = (project.status(), project.files());
            let object = json!({"Name": name, "Status": status, "ConfigFiles": files});
            listing.row(object, vec![name, status, files]);
        }
        listing.print(context.ui, &self.format, Json::List)?;
        Ok(0)
    }
}

impl Project {
    fn status(&self) -> String {
        let states = self
            .states
            .iter()
            .map(|(state, count)| format!("{state}({count})"));
        states.collect::<Vec<_>>().join(", ")
    }

    fn files(&self) -> String {
        self.files.iter().cloned().collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_told_by_its_states_and_files() {
        let project = Project {
            states: BTreeMap::from([("running".into(), 2), ("exited".into(), 1)]),
            files: BTreeSet::from(["/a/compose.yaml".into()]),
        };
        assert_eq!(project.status(), "exited(1), running(2)");
        assert_eq!(project.files(), "/a/compose.yaml");
        assert_eq!(filter("name=x").unwrap(), "x");
        assert!(filter("label=x").is_err());
    }
}
