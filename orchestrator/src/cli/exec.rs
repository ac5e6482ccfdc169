//! `exec`.

use std::io::IsTerminal as _;
use std::time::Duration;

use bowline_api::ExecCreate;
use bowline_client::Client;
use bowline_compose::model::Hook;
use clap::Args;
use futures_util::StreamExt as _;

use super::containers;
use super::context::Context;
use super::streams::{Resize, join};
use crate::terminal::size;
use crate::ui::{Failure, Outcome, WithContext as _};

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug)]
pub(super) struct Exec {
    /// No terminal; without a terminal of ours there is none anyway
    #[arg(short = 'T', long = "no-tty")]
    no_tty: bool,
    /// Scripts of old say these; they are the default
    #[arg(short = 'i', long, hide = true)]
    interactive: bool,
    #[arg(short = 't', long, hide = true, conflicts_with = "no_tty")]
    tty: bool,
    /// Variable to set; a name alone takes its value from here
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// User to run as
    #[arg(short, long)]
    user: Option<String>,
    /// Folder to run in
    #[arg(short, long)]
    workdir: Option<String>,
    /// Return at once
    #[arg(short, long)]
    detach: bool,
    /// Which container of the service
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// With all rights
    #[arg(long)]
    privileged: bool,
    /// The service
    service: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        session
            .scope
            .check(&session.observed, std::slice::from_ref(&self.service))?;
        let client = &session.client;
        let container =
            containers::one(client, &session.scope.name, &self.service, self.index).await?;
        let terminal = std::io::stdin().is_terminal();
        if self.tty && !terminal {
            return Err(Failure::new("there is no terminal to give to the command")
                .hint("leave out `-t`, or give `-T`"));
        }
        let tty = !self.no_tty && !self.detach && terminal;
        let stdin = !self.detach;
        let create = ExecCreate {
            user: self.user.clone().unwrap_or_default(),
            privileged: self.privileged,
            tty,
            console_size: size()
                .filter(|_| tty)
                .map(|(rows, columns)| [rows.into(), columns.into()]),
            attach_stdin: stdin,
            attach_stdout: stdin,
            attach_stderr: stdin,
            env: environment(context, &self.environment),
            working_dir: self.workdir.clone().unwrap_or_default(),
            cmd: self.command.clone().into(),
            ..ExecCreate::default()
        };
        let id = client.exec_create(&container.id, &create).await;
        let id = id.during(format!(
            "cannot run a command in service `{}`",
            self.service
        ))?;
        if self.detach {
            client
                .exec_start_detached(&id, tty)
                .await
                .map_err(refused)?;
            return Ok(0);
        }
        let stream = client.exec_start(&id, tty).await.map_err(refused)?;
        join(client, stream, stdin, tty.then(|| Resize::Exec(id.clone()))).await?;
        exit_code(client, &id).await
    }
}

/// Runs a command in a container, whatever it prints taken in. Gives its code and what it printed.
pub(super) async fn run_in(client: &Client, id: &str, hook: &Hook) -> Outcome<(u8, String)> {
    let environment = hook.environment.iter();
    let create = ExecCreate {
        user: hook.user.clone().unwrap_or_default(),
        privileged: hook.privileged,
        attach_stdout: true,
        attach_stderr: true,
        env: environment
            .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
            .collect(),
        working_dir: hook.working_dir.clone().unwrap_or_default(),
        cmd: hook.command.clone().unwrap_or_default().into(),
        ..ExecCreate::default()
    };
    let exec = client.exec_create(id, &create).await?;
    let (mut output, _input) = client
        .exec_start(&exec, false)
        .await
        .map_err(refused)?
        .split();
    let mut printed = Vec::new();
    while let Some(chunk) = output.next().await {
        printed.extend_from_slice(&chunk?.bytes);
    }
    let code = exit_code(client, &exec).await?;
    Ok((code, String::from_utf8_lossy(&printed).into_owned()))
}

/// `NAME` alone is passed on from our environment, if it is set there.
pub(super) fn environment(context: &Context, given: &[String]) -> Vec<String> {
    given
        .iter()
        .filter_map(|entry| match entry.contains('=') {
            true => Some(entry.clone()),
            false => Some(format!("{entry}={}", context.environment.get(entry)?)),
        })
        .collect()
}

/// Shells' codes for a command that could not be run.
pub(super) fn refused(error: bowline_client::Error) -> Failure {
    let text = error.to_string();
    let failure = Failure::from_error(&error);
    if text.contains("executable file not found") || text.contains("no such file or directory") {
        failure.with_code(127)
    } else if text.contains("permission denied") || text.contains("is a directory") {
        failure.with_code(126)
    } else {
        failure
    }
}

/// The process has closed its output; that it has ended may be told a moment later, and by an engine
/// that is just being brought back.
async fn exit_code(client: &Client, id: &str) -> Outcome {
    let mut pause = Duration::from_millis(2);
    for _ in 0..60 {
        match client.exec_inspect(id).await {
            Ok(seen) if !seen.running => {
                let code = seen.exit_code.unwrap_or(0);
                return Ok(u8::try_from(code & 0xff).unwrap_or(1));
            }
            Ok(_) => {}
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    Err(Failure::new(
        "the engine does not tell how the command ended",
    ))
}
