//! `wait`: until containers of services stop, or until services are in a state.

use bowline_api::{ContainerSummary, WaitCondition};
use bowline_client::Client;
use bowline_plan::{Await, Target};
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;

use super::containers::{self, Labelled as _};
use super::context::{Context, Session};
use super::signals::Interrupts;
use crate::apply::{self, Watch};
use crate::ui::{Failure, Outcome};

/// See the module.
#[derive(Args, Clone, Debug)]
pub(super) struct Wait {
    /// Services; `SERVICE:healthy`, `SERVICE:running` and `SERVICE:completed` wait for that instead of the end
    #[arg(required = true, value_parser = wish)]
    services: Vec<Wish>,
    /// Bring the project down when the first container stops
    #[arg(long)]
    down_project: bool,
}

/// A service and what is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    service: String,
    /// None is the end, however it comes.
    until: Option<Await>,
}

fn wish(text: &str) -> Result<Wish, String> {
    let (service, until) = match text.split_once(':') {
        None => (text, None),
        Some((service, "healthy")) => (service, Some(Await::Healthy)),
        Some((service, "running")) => (service, Some(Await::Ready)),
        Some((service, "completed")) => (service, Some(Await::Completed)),
        Some((_, other)) => {
            return Err(format!(
                "`{other}` is none of `healthy`, `running`, `completed`"
            ));
        }
    };
    Ok(Wish {
        service: service.to_owned(),
        until,
    })
}

/// What a wait came to: a container's code, unless it waited for a state.
type Came = Outcome<Option<i64>>;

impl Wait {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let session = context.session(&[]).await?;
        let names: Vec<String> = self
            .services
            .iter()
            .map(|wish| wish.service.clone())
            .collect();
        session.scope.check(&session.observed, &names)?;
        let mut interrupts = Interrupts::catch()?;
        let code = tokio::select! {
            code = self.code(context, &session) => code?,
            _ = interrupts.next() => return Ok(130),
        };
        if self.down_project {
            Box::pin(super::down::Down::plain().run(context)).await?;
        }
        Ok(u8::try_from(code & 0xff).unwrap_or(1))
    }

    /// The code of the container that ended last; of the first with `--down-project`.
    async fn code(&self, context: &Context, session: &Session) -> Outcome<i64> {
        let filter = apply::project_filter(&session.scope.name).with("type", "container");
        let watch = Watch::open(&session.client, filter).await?;
        let mut waits: FuturesUnordered<BoxFuture<'_, Came>> = FuturesUnordered::new();
        for wish in &self.services {
            let services = std::slice::from_ref(&wish.service);
            let found =
                containers::list(&session.client, &session.scope.name, true, services).await?;
            let found: Vec<_> = found.into_iter().filter(|one| !one.is_one_off()).collect();
            if found.is_empty() {
                return Err(
                    Failure::new(format!("service `{}` has no container", wish.service))
                        .hint("`bowline up` creates it"),
                );
            }
            for container in found {
                waits.push(match wish.until {
                    None => ended(context, &session.client, container).boxed(),
                    Some(until) => {
                        reached(context, &session.client, &watch, container, until).boxed()
                    }
                });
            }
        }
        let mut last = 0;
        while let Some(came) = waits.next().await {
            if let Some(code) = came? {
                last = code;
                if self.down_project {
                    break;
                }
            }
        }
        Ok(last)
    }
}

async fn ended(context: &Context, client: &Client, container: ContainerSummary) -> Came {
    let waiting = client
        .container_wait(&container.id, WaitCondition::NotRunning)
        .await?;
    let code = waiting.exit().await?.status_code;
    let name = container.name();
    context
        .ui
        .line(format!("container `{name}` exited with code {code}"));
    Ok(Some(code))
}

async fn reached(
    context: &Context,
    client: &Client,
    watch: &Watch,
    container: ContainerSummary,
    until: Await,
) -> Came {
    let target = Target {
        service: container.service().to_owned(),
        number: container.number(),
        name: container.name().to_owned(),
        reference: container.id.clone(),
    };
    let word = apply::wait_until(client, &target, until, watch.subscribe()).await?;
    let name = container.name();
    context
        .ui
        .line(format!("container `{name}` is {}", word.to_lowercase()));
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_may_be_named_behind_the_service() {
        assert_eq!(wish("db").unwrap().until, None);
        assert_eq!(wish("db:healthy").unwrap().until, Some(Await::Healthy));
        assert_eq!(wish("job:completed").unwrap().service, "job");
        assert!(wish("db:happy").unwrap_err().contains("`happy`"));
    }
}
