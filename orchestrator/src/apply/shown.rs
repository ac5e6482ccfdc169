//! What people see of an operation: the thing it is about, and a word before and after.

use bowline_compose::model::Project;
use bowline_plan::{Node, Op, Target};

use super::execute::Execution;
use crate::ui::{Phase, Subject};

impl Execution<'_> {
    pub(super) fn announce(&self, node: &Node, done: bool) {
        let Some((before, after)) = words(node, done) else {
            return;
        };
        let subject = subject(&node.op, self.project);
        match done {
            false if !before.is_empty() => self.meter.change(&subject, Phase::Busy, before),
            true if !after.is_empty() => self.meter.change(&subject, Phase::Done, after),
            _ => {}
        }
    }
}

fn words(node: &Node, done: bool) -> Option<(&'static str, &'static str)> {
    Some(match (&node.op, &node.group) {
        // Pulling and building show their own progress.
        (Op::PullImage { .. } | Op::BuildImage { .. }, _) => return None,
        (Op::PreStart { .. }, _) => ("Preparing", "Prepared"),
        (Op::PostStart { .. }, _) => ("Running post_start", "Started"),
        (Op::PreStop { .. }, _) => ("Running pre_stop", ""),
        (Op::Create { .. }, Some(_)) if !done => ("Recreate", ""),
        (Op::Rename { .. }, Some(_)) if done => ("", "Recreated"),
        (Op::Start { .. }, _) => ("Starting", "Started"),
        (_, Some(_)) => return None,
        (Op::CreateNetwork { .. } | Op::CreateVolume { .. } | Op::Create { .. }, None) => {
            ("Creating", "Created")
        }
        (
            Op::RemoveNetwork { .. }
            | Op::RemoveVolume { .. }
            | Op::RemoveImage { .. }
            | Op::Remove { .. },
            None,
        ) => ("Removing", "Removed"),
        (Op::Stop { .. }, None) => ("Stopping", "Stopped"),
        (Op::Restart { .. }, None) => ("Restarting", "Started"),
        (Op::Kill { .. }, None) => ("Killing", "Killed"),
        (Op::Pause { .. }, None) => ("Pausing", "Paused"),
        (Op::Unpause { .. }, None) => ("Resuming", "Resumed"),
        (Op::Rename { .. }, None) => ("Renaming", "Renamed"),
        (Op::Disconnect { .. }, None) => ("Disconnecting", "Disconnected"),
        (Op::Connect { .. }, None) => ("Connecting", "Connected"),
        (Op::Wait { .. }, None) => return None,
    })
}

pub(super) fn container(target: &Target) -> Subject {
    Subject {
        kind: "Container",
        name: target.name.clone(),
    }
}

/// The thing an operation is about, by the name it has in the engine.
pub(super) fn subject(op: &Op, project: Option<&Project>) -> Subject {
    let named = |kind, name: Option<&String>, key: &String| Subject {
        kind,
        name: name.unwrap_or(key).clone(),
    };
    match op {
        Op::PullImage { reference }
        | Op::BuildImage { reference, .. }
        | Op::RemoveImage { reference } => Subject {
            kind: "Image",
            name: reference.clone(),
        },
        Op::CreateNetwork { key } => {
            let network = project.and_then(|project| project.networks.get(key));
            named("Network", network.map(|network| &network.name), key)
        }
        Op::CreateVolume { key } => {
            let volume = project.and_then(|project| project.volumes.get(key));
            named("Volume", volume.map(|volume| &volume.name), key)
        }
        Op::RemoveNetwork { name, .. } => Subject {
            kind: "Network",
            name: name.clone(),
        },
        Op::RemoveVolume { name, .. } => Subject {
            kind: "Volume",
            name: name.clone(),
        },
        op => match op.target() {
            Some(target) => container(target),
            None => Subject {
                kind: "Service",
                name: op.subject(),
            },
        },
    }
}
