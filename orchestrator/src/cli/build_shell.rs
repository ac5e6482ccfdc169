//! A shell in what a failed step of a build left.

use bowline_api::{Command, Config, ContainerCreate, HostConfig, KeptState, WaitCondition};
use bowline_client::{AttachOptions, Client, RemoveOptions};

use super::context::Context;
use super::streams::{Resize, join};
use crate::ui::{Failure, Outcome, WithContext as _};

/// Runs it until the person leaves it; container and image then go.
pub(super) async fn open(context: &Context, client: &Client, kept: &KeptState) -> Outcome<()> {
    let outcome = Box::pin(look(context, client, kept)).await;
    // Somebody may have removed it from elsewhere.
    let _gone = client.image_remove(&kept.image, true, false).await;
    outcome
}

async fn look(context: &Context, client: &Client, kept: &KeptState) -> Outcome<()> {
    let create = ContainerCreate {
        config: Config {
            image: kept.image.clone(),
            env: kept.env.clone(),
            user: kept.user.clone(),
            working_dir: kept.working_dir.clone(),
            entrypoint: Some(Command(vec![
                kept.shell.first().cloned().unwrap_or_default(),
            ])),
            cmd: Some(Command(Vec::new())),
            tty: true,
            open_stdin: true,
            stdin_once: true,
            attach_stdin: true,
            attach_stdout: true,
            attach_stderr: true,
            ..Config::default()
        },
        host_config: HostConfig {
            auto_remove: true,
            ..HostConfig::default()
        },
        ..ContainerCreate::default()
    };
    let created = client.container_create(None, None, &create).await;
    let id = created
        .during("cannot make a container of what the step left")?
        .id;
    context
        .ui
        .note("a shell in the state of the failed step; `exit` leaves it, and it is gone");
    let options = AttachOptions {
        stdin: true,
        stdout: true,
        stderr: true,
        tty: Some(true),
        ..AttachOptions::default()
    };
    let stream = client.container_attach(&id, &options).await?;
    let waiting = client.container_wait(&id, WaitCondition::Removed).await?;
    if let Err(error) = client.container_start(&id).await {
        let all = RemoveOptions {
            force: true,
            volumes: true,
        };
        let _left = client.container_remove(&id, all).await;
        return Err(Failure::from_error(&error).context("there is no shell to look with"));
    }
    join(client, stream, true, Some(Resize::Container(id))).await?;
    let _ended = waiting.exit().await;
    Ok(())
}
