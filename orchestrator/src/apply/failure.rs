//! Failures of single operations, with the service, the place in the file and what to try.

use bowline_client::{Client, LogsOptions};
use bowline_compose::model::Project;
use bowline_plan::{Op, Target};
use futures_util::StreamExt as _;

use crate::ui::Failure;

/// Says which operation failed and where in the file its wish stands.
pub(super) fn of(op: &Op, project: Option<&Project>, error: Failure) -> Failure {
    let words = error.line();
    let what = match op {
        Op::PullImage { reference } => format!("cannot pull image `{reference}`"),
        Op::BuildImage { reference, .. } => format!("cannot build image `{reference}`"),
        Op::RemoveImage { reference } => format!("cannot remove image `{reference}`"),
        Op::CreateNetwork { key } => format!("cannot create network `{key}`"),
        Op::RemoveNetwork { name, .. } => format!("cannot remove network `{name}`"),
        Op::CreateVolume { key } => format!("cannot create volume `{key}`"),
        Op::RemoveVolume { name, .. } => format!("cannot remove volume `{name}`"),
        Op::Disconnect { target, network } => {
            format!(
                "cannot disconnect container `{}` from network `{network}`",
                target.name
            )
        }
        Op::Connect { target, key } => {
            format!(
                "cannot connect container `{}` to network `{key}`",
                target.name
            )
        }
        Op::Create { target, .. } => format!("cannot create container `{}`", target.name),
        Op::Rename { target } => format!("cannot rename container `{}`", target.name),
        Op::Start { target } => format!("cannot start service `{}`", target.service),
        Op::Stop { target } => format!("cannot stop container `{}`", target.name),
        Op::Restart { target } => format!("cannot restart service `{}`", target.service),
        Op::Kill { target, .. } => format!("cannot kill container `{}`", target.name),
        Op::PreStart { target, .. } => format!("cannot prepare service `{}`", target.service),
        Op::PostStart { target } | Op::PreStop { target } => {
            format!("cannot run the hooks of container `{}`", target.name)
        }
        Op::Pause { target } => format!("cannot pause container `{}`", target.name),
        Op::Unpause { target } => format!("cannot resume container `{}`", target.name),
        Op::Remove { target, .. } => format!("cannot remove container `{}`", target.name),
        // A wait says itself what it waited for.
        Op::Wait { .. } => return error,
    };
    let failure = error.context(what);
    match project.and_then(|project| hint(op, project, &words)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn hint(op: &Op, project: &Project, words: &str) -> Option<String> {
    // What ends or removes something follows from no line of the file.
    let makes = matches!(
        op,
        Op::PullImage { .. }
            | Op::CreateNetwork { .. }
            | Op::CreateVolume { .. }
            | Op::Create { .. }
            | Op::Start { .. }
            | Op::Connect { .. }
    );
    let path = path(op, project, words).filter(|_| makes)?;
    let place = project.location(&path)?;
    Some(match path.rsplit('/').next() {
        Some("ports") if words.contains("port") => {
            format!("change the left side of `ports:` at {place}, or stop what holds the port")
        }
        _ => format!("see {place}"),
    })
}

/// Where in the model the cause most likely stands.
fn path(op: &Op, project: &Project, words: &str) -> Option<String> {
    Some(match op {
        Op::PullImage { reference } => {
            let mut services = project.services.values();
            let service = services.find(|service| service.image == *reference)?;
            format!("services/{}/image", service.name)
        }
        Op::CreateNetwork { key } | Op::RemoveNetwork { key, .. } => format!("networks/{key}"),
        Op::CreateVolume { key } | Op::RemoveVolume { key, .. } => format!("volumes/{key}"),
        op => {
            let Target { service, .. } = op.target()?;
            let key = match words {
                words if words.contains("port is already") || words.contains("port ") => "ports",
                words if words.contains("bind source") || words.contains("mount") => "volumes",
                words if words.contains("No such image") => "image",
                _ => return Some(format!("services/{service}")),
            };
            format!("services/{service}/{key}")
        }
    })
}

/// The last lines of a container's log, for a failure that is about it.
pub(crate) async fn last_lines(client: &Client, container: &str, count: u64) -> Vec<String> {
    let options = LogsOptions {
        tail: Some(count),
        ..LogsOptions::default()
    };
    let Ok(mut stream) = client.container_logs(container, &options).await else {
        return Vec::new();
    };
    let mut text = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        text.extend_from_slice(&chunk.bytes);
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    lines[lines.len().saturating_sub(count)..].to_vec()
}
