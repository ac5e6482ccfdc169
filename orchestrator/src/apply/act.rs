//! One operation of a plan as calls of the engine.

use bowline_api::{NetworkConnect, NetworkDisconnect};
use bowline_client::RemoveOptions;
use bowline_compose::model::Project;
use bowline_plan::{Op, Target};

use super::container::{Replica, replica};
use super::execute::Execution;
use super::hooks;
use super::images;
use super::network::{endpoint, network, volume};
use crate::ui::{Failure, Meter, Mode, Outcome};

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It was done.
    Done,
    /// Others still use the thing, and the plan allows to leave it.
    Left(String),
}

/// What is gone already need not be ended or removed.
fn gone_is_done(done: bowline_client::Result<()>) -> Outcome<()> {
    match done {
        Err(error) if error.is_not_found() => Ok(()),
        done => Ok(done?),
    }
}

/// What others still use is left with a word, where the plan allows that.
fn leave(done: bowline_client::Result<()>, allowed: bool) -> Outcome<Act> {
    match done {
        Err(bowline_client::Error::Api {
            status: 403 | 409,
            message,
        }) if allowed => Ok(Act::Left(format!("Still in use: {message}"))),
        done => gone_is_done(done).map(|()| Act::Done),
    }
}

impl Execution<'_> {
    /// Does one operation; a wait is not one.
    pub(super) async fn act(&self, op: &Op) -> Outcome<Act> {
        match op {
            Op::RemoveNetwork {
                id, best_effort, ..
            } => leave(self.client.network_remove(id).await, *best_effort),
            Op::RemoveVolume { name, .. } => {
                leave(self.client.volume_remove(name, false).await, true)
            }
            Op::RemoveImage { reference } => {
                let removed = self.client.image_remove(reference, false, false).await;
                leave(removed.map(drop), true)
            }
            op => self.perform(op).await.map(|()| Act::Done),
        }
    }

    async fn perform(&self, op: &Op) -> Outcome<()> {
        match op {
            Op::PullImage { reference } => self.pull(reference).await,
            Op::CreateNetwork { key } => self.create_network(key).await,
            Op::CreateVolume { key } => self.create_volume(key).await,
            Op::Disconnect { target, network } => {
                let container = target.reference.clone();
                let body = NetworkDisconnect {
                    container,
                    force: true,
                };
                Ok(self.client.network_disconnect(network, &body).await?)
            }
            Op::Connect { target, key } => self.reconnect(target, key).await,
            Op::Create { .. } => self.create(op).await,
            Op::Rename { target } => {
                let from = &target.reference;
                Ok(self.client.container_rename(from, &target.name).await?)
            }
            Op::Start { target } => {
                self.client.container_start(&target.reference).await?;
                Ok(())
            }
            Op::Stop { target } => {
                let (id, timeout) = (&target.reference, self.options.stop_timeout);
                let stopped = self.client.container_stop(id, None, timeout).await;
                gone_is_done(stopped.map(drop))
            }
            Op::Restart { target } => {
                let (id, timeout) = (&target.reference, self.options.stop_timeout);
                Ok(self.client.container_restart(id, None, timeout).await?)
            }
            Op::Kill { target, signal } => {
                let killed = self
                    .client
                    .container_kill(&target.reference, Some(signal))
                    .await;
                gone_is_done(killed)
            }
            Op::Pause { target } => Ok(self.client.container_pause(&target.reference).await?),
            Op::Unpause { target } => Ok(self.client.container_unpause(&target.reference).await?),
            Op::BuildImage { service, .. } => Self::built(service),
            Op::PreStart { target, hook } => self.pre_start(target, *hook).await,
            Op::PostStart { target } => self.hooks(target, hooks::When::PostStart).await,
            Op::PreStop { target } => self.hooks(target, hooks::When::PreStop).await,
            Op::Remove { target, volumes } => {
                let options = RemoveOptions {
                    force: false,
                    volumes: *volumes,
                };
                let removed = self
                    .client
                    .container_remove(&target.reference, options)
                    .await;
                gone_is_done(removed)
            }
            // The first three are done by `act`, a wait by whoever waits.
            Op::RemoveNetwork { .. }
            | Op::RemoveVolume { .. }
            | Op::RemoveImage { .. }
            | Op::Wait { .. } => Ok(()),
        }
    }

    /// Images are built before a plan is made, since what they are decides what it says.
    fn built(service: &str) -> Outcome<()> {
        Err(Failure::new(format!(
            "the image of service `{service}` went away after it was built"
        )))
    }

    async fn pull(&self, reference: &str) -> Outcome<()> {
        let services = self
            .project
            .into_iter()
            .flat_map(|project| project.services.values());
        let mut users = services.filter(|service| service.image == reference);
        let platform = users.next().and_then(|service| service.platform.as_deref());
        let quiet = Meter::new(Mode::Quiet, false);
        let meter = match self.options.quiet_images {
            true => &quiet,
            false => self.meter,
        };
        images::pull_image(self.client, reference, platform, meter).await
    }

    pub(super) fn project(&self) -> Outcome<&Project> {
        self.project
            .ok_or_else(|| Failure::new("there is no Compose file to create this from"))
    }

    async fn create_network(&self, key: &str) -> Outcome<()> {
        let project = self.project()?;
        if let Some(wish) = project.networks.get(key) {
            let made = &self.desired.networks[key];
            let body = network(&project.name, key, wish, (&made.hashes, &made.model));
            self.client.network_create(&body).await?;
        }
        Ok(())
    }

    async fn create_volume(&self, key: &str) -> Outcome<()> {
        let project = self.project()?;
        if let Some(wish) = project.volumes.get(key) {
            let made = &self.desired.volumes[key];
            let body = volume(&project.name, key, wish, (&made.hashes, &made.model));
            self.client.volume_create(&body).await?;
        }
        Ok(())
    }

    async fn reconnect(&self, target: &Target, key: &str) -> Outcome<()> {
        let project = self.project()?;
        let wish = project
            .service(&target.service)
            .and_then(|s| s.networks.get(key));
        let names = [target.name.as_str(), target.service.as_str()];
        let settings = endpoint(wish.and_then(Option::as_ref), &names, &[]);
        let container = target.reference.clone();
        let body = NetworkConnect {
            container,
            endpoint_config: Some(settings),
        };
        let name = project
            .networks
            .get(key)
            .map_or(key, |network| network.name.as_str());
        Ok(self.client.network_connect(name, &body).await?)
    }

    async fn create(&self, op: &Op) -> Outcome<()> {
        let Op::Create {
            target,
            replaces,
            inherit,
            joins,
        } = op
        else {
            return Ok(());
        };
        let project = self.project()?;
        let service = project
            .service(&target.service)
            .ok_or_else(|| Failure::new(format!("no such service: `{}`", target.service)))?;
        let wish = &self.desired.services[&target.service];
        let image = match &wish.image.local {
            Some(id) => id.clone(),
            None => self.client.image_inspect(&wish.image.reference).await?.id,
        };
        let body = replica(&Replica {
            project,
            service,
            hashes: &wish.hashes,
            model: &wish.model,
            depends_on: &wish.depends_on,
            target,
            replaces: replaces.as_deref(),
            inherit,
            joins,
            image: &image,
        })?;
        let platform = service.platform.as_deref();
        let made = self
            .client
            .container_create(Some(&target.reference), platform, &body)
            .await?;
        super::give(self.client, project, service, &made.id).await
    }
}
