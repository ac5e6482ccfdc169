//! `run`: a one-off container of a service.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _};

use bowline_api::{ContainerCreate, WaitCondition};
use bowline_client::{AttachOptions, Client, RemoveOptions};
use bowline_compose::grammar::dotenv;
use bowline_compose::model::{NetworkMode, Port, Project, Protocol};
use clap::Args;

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::exec::refused;
use super::prepare::{Making, Prepared, Pull, prepare};
use super::signals::Interrupts;
use super::streams::{Resize, join};
use crate::apply::{OneOff, Options, one_off};
use crate::ui::{Failure, Mode, Outcome, WithContext as _};

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Run {
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
    /// Return when it is started, and print its id
    #[arg(short, long)]
    detach: bool,
    /// No terminal; without a terminal of ours there is none anyway
    #[arg(short = 'T', long = "no-tty")]
    no_tty: bool,
    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    /// Do not start dependencies
    #[arg(long)]
    no_deps: bool,
    /// Keep standard input closed with `=false`
    #[arg(
        short,
        long,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        hide_default_value = true
    )]
    interactive: bool,
    /// A terminal, which there is anyway where ours is one
    #[arg(short, long, hide = true, conflicts_with = "no_tty")]
    tty: bool,
    /// File of variables to set
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<std::path::PathBuf>,
    /// Capability to add
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Capability to drop
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Build images before containers are made
    #[arg(long)]
    build: bool,
    /// When to pull images
    #[arg(long, value_enum)]
    pull: Option<Pull>,
    /// Do not show how pulling goes
    #[arg(long)]
    quiet_pull: bool,
    /// Do not show how building goes
    #[arg(long)]
    quiet_build: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Remove containers of services that are no longer in the file
    #[arg(long)]
    remove_orphans: bool,
    /// Other entrypoint; clears the command
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Variable to set; a name alone takes its value from here
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Port to publish: `[IP:][HOST:]PORT[/PROTOCOL]`
    #[arg(short, long, value_name = "PORT", value_parser = port)]
    publish: Vec<Port>,
    /// Publish the ports that the service publishes
    #[arg(short = 'P', long, conflicts_with = "publish")]
    service_ports: bool,
    /// Answer to the service's names, too
    #[arg(long)]
    use_aliases: bool,
    /// Bind mount or volume: `SOURCE:TARGET[:OPTIONS]`
    #[arg(short, long = "volume", value_name = "VOLUME")]
    volumes: Vec<String>,
    /// User to run as
    #[arg(short, long)]
    user: Option<String>,
    /// Folder to run in
    #[arg(short, long)]
    workdir: Option<String>,
    /// Label to add
    #[arg(short, long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// The service
    service: String,
    /// The command and its arguments instead of the service's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

fn port(text: &str) -> Result<Port, String> {
    let wrong = || format!("`{text}` is not [IP:][HOST:]PORT[/PROTOCOL]");
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return Err(wrong()),
    };
    let (host, target) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, published) = host.rsplit_once(':').unwrap_or(("", host));
    let published = match published {
        "" => None,
        range => {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            Some((number(low)?, number(high)?))
        }
    };
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    Ok(Port {
        name: None,
        mode: None,
        host_ip: (!ip.is_empty()).then(|| ip.to_owned()),
        target: number(target)?,
        published,
        protocol,
        app_protocol: None,
    })
}

impl Run {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let mut interrupts = Interrupts::catch()?;
        let prepared = tokio::select! {
            prepared = Box::pin(self.dependencies(context)) => prepared?,
            _ = interrupts.next() => return Ok(130),
        };
        if context.globals.dry_run {
            return Ok(0);
        }
        if self.detach {
            let (client, id, _) = self.created(context, &prepared).await?;
            self.start(client, &id).await?;
            context.ui.line(&id);
            return Ok(0);
        }
        self.in_prepared_with(context, &prepared, interrupts).await
    }

    /// A command of `test`: its container is kept, to be looked at.
    pub(super) fn of(service: &str, command: &[String], environment: &[String]) -> Self {
        Self {
            service: service.to_owned(),
            command: command.to_vec(),
            environment: environment.to_vec(),
            interactive: false,
            no_tty: true,
            ..Self::default()
        }
    }

    /// Runs it among what it needs; its exit code.
    pub(super) async fn in_prepared(&self, context: &Context, prepared: &Prepared) -> Outcome {
        let interrupts = Interrupts::catch()?;
        self.in_prepared_with(context, prepared, interrupts).await
    }

    async fn in_prepared_with(
        &self,
        context: &Context,
        prepared: &Prepared,
        interrupts: Interrupts,
    ) -> Outcome {
        let (client, id, create) = self.created(context, prepared).await?;
        self.attached(client, &id, &create, interrupts).await
    }

    async fn created<'a>(
        &self,
        context: &Context,
        prepared: &'a Prepared,
    ) -> Outcome<(&'a Client, String, ContainerCreate)> {
        let (client, create, name) = self.create_body(context, prepared).await?;
        let service = prepared
            .scope
            .project
            .as_ref()
            .and_then(|p| p.service(&self.service));
        let platform = service.and_then(|service| service.platform.as_deref());
        let created = client
            .container_create(Some(&name), platform, &create)
            .await;
        let id = created
            .during(format!("cannot create container `{name}`"))?
            .id;
        if let (Some(project), Some(service)) = (&prepared.scope.project, service) {
            crate::apply::give(client, project, service, &id).await?;
        }
        Ok((client, id, create))
    }

    /// Creates and starts what the service depends on, and waits for it; pulls its image.
    async fn dependencies(&self, context: &Context) -> Outcome<Prepared> {
        let project = context.project(std::slice::from_ref(&self.service))?;
        let Some(service) = project.services.get(&self.service) else {
            let known = project
                .services
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Failure::new(format!("no such service: `{}`", self.service))
                .hint(format!("the project has {known}")));
        };
        if let Some(NetworkMode::Service(parent)) = &service.network_mode
            && self.no_deps
        {
            context.ui.warn(format!(
                "service `{parent}` is not started, but its network is needed"
            ));
        }
        let making = Making {
            build: self.build,
            pull: self.pull,
            quiet_pull: self.quiet_pull || self.quiet,
            quiet_build: self.quiet_build || self.quiet,
            remove_orphans: self.remove_orphans,
            ..Making::around(&self.service, self.no_deps)
        };
        let mut prepared = prepare(context, &making, false, false).await?;
        if !prepared.plan.is_empty() {
            let watch = prepared.watch().await?;
            let options = Options {
                mode: self.quiet.then_some(Mode::Quiet),
                ..Options::default()
            };
            prepared.execute(context, &watch, options).await?;
        }
        prepared.release();
        Ok(prepared)
    }

    async fn create_body<'a>(
        &self,
        context: &Context,
        prepared: &'a Prepared,
    ) -> Outcome<(&'a Client, ContainerCreate, String)> {
        let Prepared { client, scope, .. } = prepared;
        let missing = || Failure::new(format!("no such service: `{}`", self.service));
        let project = scope.project.as_ref().ok_or_else(missing)?;
        let service = project.services.get(&self.service).ok_or_else(missing)?;
        let reference = crate::build::image_name(project, service);
        let image = match client.image_inspect(&reference).await {
            Ok(image) => image.id,
            Err(error) if error.is_not_found() => {
                let meter = context.meter();
                let platform = service.platform.as_deref();
                crate::apply::pull_image(client, &reference, platform, &meter).await?;
                client.image_inspect(&reference).await?.id
            }
            Err(error) => return Err(error.into()),
        };
        let slug = slug()?;
        let generated = format!("{}-{}-run-{slug}", project.name, self.service);
        let name = self.name.clone().unwrap_or(generated);
        let terminal = std::io::stdin().is_terminal();
        let labels = self
            .labels
            .iter()
            .map(|text| text.split_once('=').unwrap_or((text, "")));
        let wish = OneOff {
            name: name.clone(),
            slug,
            command: self.command.clone(),
            entrypoint: self.entrypoint.as_ref().map(|text| words(text)),
            environment: self.variables(project)?,
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            user: self.user.clone(),
            working_dir: self.workdir.clone(),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            volumes: self.volumes.clone(),
            ports: self.publish.clone(),
            service_ports: self.service_ports,
            use_aliases: self.use_aliases,
            tty: !self.no_tty && !self.detach && terminal,
            stdin: self.interactive && !self.detach,
            remove: self.rm,
        };
        let joins = self
            .joins(client, &project.name, service.network_mode.as_ref())
            .await?;
        let hashes = &scope.desired.services[&self.service].hashes;
        let create = one_off(project, service, hashes, &image, &joins, &wish)?;
        Ok((client, create, name))
    }

    /// Those of files, later ones over earlier ones, under those of `-e`.
    fn variables(&self, project: &Project) -> Outcome<Vec<String>> {
        let mut all = Vec::new();
        for path in &self.env_from_file {
            let name = path.display();
            let text = std::fs::read_to_string(path).during(format!("cannot read {name}"))?;
            let lookup = |key: &str| project.environment.get(key).cloned();
            let pairs = dotenv::parse(&text, &lookup).map_err(|fault| {
                let line = text[..fault.range.start.min(text.len())]
                    .matches('\n')
                    .count()
                    + 1;
                Failure::new(format!("{name}:{line}: {}", fault.message))
            })?;
            all.extend(
                pairs
                    .into_iter()
                    .map(|(key, value)| format!("{key}={value}")),
            );
        }
        all.extend(self.environment.iter().cloned());
        Ok(all)
    }

    async fn joins(
        &self,
        client: &Client,
        project: &str,
        mode: Option<&NetworkMode>,
    ) -> Outcome<BTreeMap<String, String>> {
        let Some(NetworkMode::Service(parent)) = mode else {
            return Ok(BTreeMap::new());
        };
        let container = containers::one(client, project, parent, None).await?;
        Ok(BTreeMap::from([(
            parent.clone(),
            container.name().to_owned(),
        )]))
    }

    async fn attached(
        &self,
        client: &Client,
        id: &str,
        create: &ContainerCreate,
        mut interrupts: Interrupts,
    ) -> Outcome {
        let tty = create.config.tty;
        let options = AttachOptions {
            stdin: create.config.open_stdin,
            stdout: true,
            stderr: true,
            tty: Some(tty),
            ..AttachOptions::default()
        };
        // Both before the start: neither the first line nor an early end can be missed.
        let stream = client.container_attach(id, &options).await?;
        let condition = match self.rm {
            true => WaitCondition::Removed,
            false => WaitCondition::NextExit,
        };
        let waiting = client.container_wait(id, condition).await?;
        self.start(client, id).await?;
        let resize = tty.then(|| Resize::Container(id.to_owned()));
        let stdin = create.config.open_stdin;
        let mut joined = Box::pin(join(client, stream, stdin, resize));
        loop {
            tokio::select! {
                done = &mut joined => break done?,
                signal = interrupts.next() => {
                    // The process decides what a signal means to it.
                    let _gone = client.container_kill(id, Some(signal)).await;
                }
            }
        }
        let exit = tokio::select! {
            exit = waiting.exit() => exit,
            _ = interrupts.next() => return Ok(130),
        };
        let code = match exit {
            Ok(exit) => exit.status_code,
            // The engine was replaced while the container ran; its successor knows.
            Err(_) => self.late_code(client, id).await?,
        };
        Ok(u8::try_from(code & 0xff).unwrap_or(1))
    }

    /// A container that could not be started has no end at which it would be removed.
    async fn start(&self, client: &Client, id: &str) -> Outcome<()> {
        let Err(error) = client.container_start(id).await else {
            return Ok(());
        };
        if self.rm {
            let options = RemoveOptions {
                force: true,
                volumes: true,
            };
            let _left = client.container_remove(id, options).await;
        }
        Err(refused(error))
    }

    async fn late_code(&self, client: &Client, id: &str) -> Outcome<i64> {
        for _ in 0..100 {
            match client.container_wait(id, WaitCondition::NotRunning).await {
                Ok(waiting) => {
                    if let Ok(exit) = waiting.exit().await {
                        return Ok(exit.status_code);
                    }
                }
                Err(error) if error.is_not_found() => break,
                Err(_) => {}
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Err(Failure::new(
            "the engine does not tell how the container ended",
        ))
    }
}

/// Twelve random hexadecimal digits.
fn slug() -> Outcome<String> {
    let mut bytes = [0; 6];
    let mut source = std::fs::File::open("/dev/urandom").during("cannot open /dev/urandom")?;
    source
        .read_exact(&mut bytes)
        .during("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The words of a command line; quotes keep spaces.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_every_form() {
        let read = |text: &str| {
            let port = port(text).unwrap();
            (port.host_ip, port.published, port.target, port.protocol)
        };
        assert_eq!(read("80"), (None, None, 80, Protocol::Tcp));
        assert_eq!(
            read("8080:80/udp"),
            (None, Some((8080, 8080)), 80, Protocol::Udp)
        );
        assert_eq!(
            read("127.0.0.1::80"),
            (Some("127.0.0.1".into()), None, 80, Protocol::Tcp)
        );
        assert_eq!(
            read("[::1]:8000-8010:80"),
            (Some("::1".into()), Some((8000, 8010)), 80, Protocol::Tcp)
        );
        assert!(port("x").is_err() && port("80/icmp").is_err());
    }

    #[test]
    fn words_respect_quotes() {
        assert_eq!(words("sh -c 'a b' \"\""), ["sh", "-c", "a b", ""]);
        assert!(words("  ").is_empty());
    }
}
