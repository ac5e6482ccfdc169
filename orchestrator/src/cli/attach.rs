//! `attach`: our streams joined with those of a container's main process.

use std::io::IsTerminal as _;
use std::time::Duration;

use bowline_api::WaitCondition;
use bowline_client::{AttachOptions, Client};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::streams::{Resize, join};
use crate::ui::{Failure, Outcome, WithContext as _};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Attach {
    /// The service
    service: String,
    /// Keys that leave the container alone again, as in `ctrl-p,ctrl-q`
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Which container of the service
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// Do not send our input
    #[arg(long)]
    no_stdin: bool,
    /// Send signals that we get to the container
    #[arg(
        long, value_name = "BOOL", default_value_t = true, hide_default_value = true,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set
    )]
    sig_proxy: bool,
}

/// How long a container may take to end after its streams did; longer, and it was left alone.
const END: Duration = Duration::from_millis(500);

impl Attach {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        let named = std::slice::from_ref(&self.service);
        session.scope.check(&session.observed, named)?;
        let client = &session.client;
        let container =
            containers::one(client, &session.scope.name, &self.service, self.index).await?;
        if container.state != "running" {
            return Err(Failure::new(format!(
                "container `{}` is {}",
                container.name(),
                container.state
            ))
            .hint("only what runs can be attached to"));
        }
        let seen = client.container_inspect(&container.id).await;
        let seen = seen.during(format!("cannot look at container `{}`", container.name()))?;
        let tty = seen.config.tty;
        let stdin = !self.no_stdin && seen.config.open_stdin;
        let options = AttachOptions {
            stdin,
            stdout: true,
            stderr: true,
            detach_keys: self.detach_keys.clone(),
            tty: Some(tty),
            ..AttachOptions::default()
        };
        let waiting = client
            .container_wait(&container.id, WaitCondition::NotRunning)
            .await?;
        let stream = client.container_attach(&container.id, &options).await;
        let stream = stream.during(format!("cannot attach to container `{}`", container.name()))?;
        let follows = tty && std::io::stdin().is_terminal();
        let resize = follows.then(|| Resize::Container(container.id.clone()));
        let mut joined = Box::pin(join(client, stream, stdin, resize));
        let mut signals = Signals::catch()?;
        loop {
            tokio::select! {
                done = &mut joined => break done?,
                name = signals.next() => match self.sig_proxy {
                    true => send(client, &container.id, name).await,
                    false => return Ok(130),
                },
            }
        }
        match tokio::time::timeout(END, waiting.exit()).await {
            Ok(exit) => Ok(u8::try_from(exit?.status_code & 0xff).unwrap_or(1)),
            Err(_left) => Ok(0),
        }
    }
}

async fn send(client: &Client, id: &str, signal: &str) {
    // It may just have ended, which the stream tells next.
    let _gone = client.container_kill(id, Some(signal)).await;
}

/// The signals that are handed on.
struct Signals([(Signal, &'static str); 6]);

impl Signals {
    fn catch() -> Outcome<Self> {
        let catch = |kind, name| Outcome::Ok((signal(kind).during("cannot catch signals")?, name));
        Ok(Self([
            catch(SignalKind::interrupt(), "SIGINT")?,
            catch(SignalKind::terminate(), "SIGTERM")?,
            catch(SignalKind::hangup(), "SIGHUP")?,
            catch(SignalKind::quit(), "SIGQUIT")?,
            catch(SignalKind::user_defined1(), "SIGUSR1")?,
            catch(SignalKind::user_defined2(), "SIGUSR2")?,
        ]))
    }

    async fn next(&mut self) -> &'static str {
        let waits = self.0.iter_mut().map(|(signal, name)| {
            Box::pin(async move {
                signal.recv().await;
                *name
            })
        });
        futures_util::future::select_all(waits).await.0
    }
}
