//! Commands around the life of a service's containers.
//!
//! What comes before the start runs in a container of its own, which shares the service's volumes and
//! networks and goes when it has ended well; one that fails stays to be looked at. What comes after the
//! start and before a stop runs inside.

use std::collections::BTreeMap;

use bowline_api::{ExecCreate, WaitCondition};
use bowline_client::RemoveOptions;
use bowline_compose::model::{Hook, Service};
use bowline_plan::{Target, labels};
use futures_util::StreamExt as _;

use super::container::{self, BeforeStart};
use super::execute::Execution;
use super::{images, last_lines};
use crate::build::image_name;
use crate::ui::{Failure, Outcome, WithContext as _};

/// So many lines of what a command said are shown when it failed.
const LINES: usize = 10;

/// Which commands inside a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// `post_start`.
    PostStart,
    /// `pre_stop`.
    PreStop,
}

impl Execution<'_> {
    pub(super) async fn hooks(&self, target: &Target, when: When) -> Outcome<()> {
        let service = self.service(&target.service)?;
        let (word, hooks) = match when {
            When::PostStart => ("post_start", &service.post_start),
            When::PreStop => ("pre_stop", &service.pre_stop),
        };
        for (index, hook) in hooks.iter().enumerate() {
            let ran = self.inside(target, hook).await;
            ran.map_err(|failure| failure.context(format!("{word} hook {} failed", index + 1)))?;
        }
        Ok(())
    }

    /// Runs one command inside and waits for its end.
    async fn inside(&self, target: &Target, hook: &Hook) -> Outcome<()> {
        let variables = hook.environment.iter();
        let set = variables.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        let create = ExecCreate {
            user: hook.user.clone().unwrap_or_default(),
            privileged: hook.privileged,
            working_dir: hook.working_dir.clone().unwrap_or_default(),
            env: set.collect(),
            cmd: hook.command.clone().unwrap_or_default().into(),
            attach_stdout: true,
            attach_stderr: true,
            ..ExecCreate::default()
        };
        let id = self.client.exec_create(&target.reference, &create).await?;
        let (mut output, _input) = self.client.exec_start(&id, false).await?.split();
        let mut said = Vec::new();
        while let Some(Ok(chunk)) = output.next().await {
            said.extend_from_slice(&chunk.bytes);
        }
        match self.code_of(&id).await? {
            0 => Ok(()),
            code => {
                let said = String::from_utf8_lossy(&said);
                let lines: Vec<String> = said.lines().map(ToOwned::to_owned).collect();
                let last = lines[lines.len().saturating_sub(LINES)..].to_vec();
                let failure = Failure::new(format!("it exited with code {code}"));
                Err(failure.excerpt("last lines of its output:", last))
            }
        }
    }

    /// The command has closed its output; that it has ended may be told a moment later.
    async fn code_of(&self, exec: &str) -> Outcome<i64> {
        for _attempt in 0..100 {
            let seen = self.client.exec_inspect(exec).await?;
            if !seen.running {
                return Ok(seen.exit_code.unwrap_or(0));
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Err(Failure::new(
            "the engine does not tell how the command ended",
        ))
    }

    /// Runs one command in a container of its own and waits for its end.
    pub(super) async fn pre_start(&self, target: &Target, index: usize) -> Outcome<()> {
        let project = self.project()?;
        let service = self.service(&target.service)?;
        let missing = || Failure::new(format!("there is no pre_start hook {}", index + 1));
        let hook = service.pre_start.get(index).ok_or_else(missing)?;
        let mut own = Service::clone(&hook.container);
        own.name.clone_from(&service.name);
        if own.image.is_empty() {
            own.image = image_name(project, service);
        }
        let image = self.image(&own).await?;
        let name = format!("{}-pre_start-{}", target.name, index + 1);
        let body = container::before_start(&BeforeStart {
            project,
            service: &own,
            model_of: service,
            hashes: &self.desired.services[&target.service].hashes,
            image: &image,
            name: &name,
            shares: &target.reference,
            labels: BTreeMap::from([
                (labels::HOOK.to_owned(), "pre_start".to_owned()),
                (labels::HOOK_INDEX.to_owned(), index.to_string()),
            ]),
        })?;
        let platform = own.platform.as_deref();
        let made = self.client.container_create(Some(&name), platform, &body);
        let id = made.await?.id;
        // Asked before the start, so that an early end is not missed.
        let waiting = self
            .client
            .container_wait(&id, WaitCondition::NextExit)
            .await?;
        self.client.container_start(&id).await?;
        let code = waiting.exit().await?.status_code;
        if code != 0 {
            let lines = last_lines(self.client, &id, 10).await;
            let failure = Failure::new(format!(
                "pre_start hook {} exited with code {code}",
                index + 1
            ));
            return Err(failure
                .excerpt("last lines of its log:", lines)
                .hint(format!("its container `{name}` was kept")));
        }
        let options = RemoveOptions {
            force: true,
            volumes: false,
        };
        Ok(self.client.container_remove(&id, options).await?)
    }

    async fn image(&self, own: &Service) -> Outcome<String> {
        match self.client.image_inspect(&own.image).await {
            Ok(image) => Ok(image.id),
            Err(error) if error.is_not_found() => {
                let platform = own.platform.as_deref();
                images::pull_image(self.client, &own.image, platform, self.meter).await?;
                Ok(self.client.image_inspect(&own.image).await?.id)
            }
            Err(error) => Err(error).during(format!("cannot look at image `{}`", own.image)),
        }
    }

    pub(super) fn service(&self, name: &str) -> Outcome<&Service> {
        let service = self.project()?.service(name);
        service.ok_or_else(|| Failure::new(format!("no such service: `{name}`")))
    }
}
