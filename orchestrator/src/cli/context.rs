//! What every command starts from: the options before it, the environment, the project, the engine.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use bowline_client::{Client, Lease};
use bowline_compose::diagnostic::{self, Diagnostic};
use bowline_compose::load::{self, Faults, FileError, Files, Loaded, Options};
use bowline_compose::model::Project;
use bowline_compose::source::Sources;
use bowline_plan::{Desired, Knowledge, Observed, Plan, PlanError};
use tokio::sync::watch as flag;

use super::Globals;
use super::signals::Interrupts;
use crate::apply::{self, Execution, Summary, Watch};
use crate::autostart::{self, Environment};
use crate::ui::{Failure, Meter, Mode, Outcome, Ui, WithContext as _};

/// See the module.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) globals: Globals,
    pub(super) environment: Environment,
    pub(super) ui: Ui,
    cwd: String,
    parallel: Option<usize>,
}

/// A project by its file, or by its name alone where there is none.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) project: Option<Project>,
    pub(super) desired: Desired,
}

/// What a command that changes something works with.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) scope: Scope,
    pub(super) observed: Observed,
}

impl Context {
    pub(super) fn new(globals: Globals, environment: Environment, ui: Ui) -> Outcome<Self> {
        let cwd = std::env::current_dir().during("cannot find out where this is run from")?;
        let Some(cwd) = cwd.to_str().map(ToOwned::to_owned) else {
            return Err(Failure::new(format!(
                "the path {} is not UTF-8",
                cwd.display()
            )));
        };
        let parallel = parallel(&globals, &environment)?;
        Ok(Self {
            globals,
            environment,
            ui,
            cwd,
            parallel,
        })
    }

    /// The engine, started if need be.
    pub(super) async fn client(&self) -> Outcome<Client> {
        autostart::connect(self.globals.host.as_deref(), &self.environment).await
    }

    /// What the command line says about loading.
    pub(super) fn options(&self, services: &[String], skip_env_files: bool) -> Options {
        let globals = &self.globals;
        Options {
            cwd: self.cwd.clone(),
            files: globals.files.clone(),
            project_directory: globals.project_directory.clone(),
            project_name: globals.project_name.clone(),
            profiles: globals.profiles.clone(),
            env_files: globals.env_files.clone(),
            services: services.to_vec(),
            skip_env_files,
            all_resources: globals.all_resources,
            ..Options::default()
        }
    }

    /// The project that some options lead to.
    pub(super) fn load(&self, options: &Options) -> Result<Loaded, (Failure, bool)> {
        load::load(&Disk, &self.environment, options).map_err(|faults| self.faulty(&faults))
    }

    /// The merged files as they are before they become a project.
    pub(super) fn tree(&self, options: &Options) -> Outcome<serde_json::Value> {
        load::tree(&Disk, &self.environment, options).map_err(|faults| self.faulty(&faults).0)
    }

    /// Diagnostics for whoever reads them: people, or a program that asked for JSON.
    pub(super) fn told(&self, diagnostics: &[Diagnostic], sources: &Sources) -> String {
        match self.ui.mode {
            Mode::Json => diagnostic::render_json(diagnostics, sources),
            _ => diagnostic::render_all(diagnostics, sources, self.ui.color_err),
        }
    }

    /// What is refused of a project.
    pub(super) fn told_refusals(&self, loaded: &Loaded) -> String {
        let refused = loaded.refusals.iter();
        let refused: Vec<Diagnostic> = refused.map(|refusal| refusal.diagnostic.clone()).collect();
        self.told(&refused, &loaded.project.sources)
    }

    /// The text of faults, and whether all that is wrong is that there is no file.
    fn faulty(&self, faults: &Faults) -> (Failure, bool) {
        let text = self.told(&faults.diagnostics, &faults.sources);
        let no_file = faults
            .diagnostics
            .iter()
            .all(|fault| fault.code == "compose::no-file");
        (Failure::rendered(text, 1), no_file)
    }

    /// A project that containers can be made from; warnings are printed, and what cannot be done is
    /// refused with its place.
    pub(super) fn project(&self, services: &[String]) -> Outcome<Project> {
        let options = self.options(services, false);
        let mut loaded = self.load(&options).map_err(|(failure, _)| failure)?;
        if !services.is_empty() {
            let wanted = super::prepare::named(&loaded.project, services);
            loaded.refusals.retain(|refusal| match &refusal.owner {
                Some((section, name)) => section != "services" || wanted.contains(name),
                None => true,
            });
        }
        let refused = self.told_refusals(&loaded);
        if !refused.is_empty() {
            return Err(Failure::rendered(refused, 1));
        }
        let warnings = self.told(&loaded.warnings, &loaded.project.sources);
        if !warnings.is_empty() {
            self.ui.note(warnings.trim_end());
        }
        Ok(loaded.project)
    }

    /// A project that is only looked at: what cannot be done with it is not refused.
    pub(super) fn quiet_project(&self, services: &[String]) -> Outcome<Project> {
        let options = self.options(services, false);
        let loaded = self.load(&options).map_err(|(failure, _)| failure)?;
        Ok(loaded.project)
    }

    /// The project of the Compose files, or the one that `-p` names where there is no file.
    pub(super) fn scope(&self, services: &[String]) -> Outcome<Scope> {
        let named = self.globals.project_name.as_ref();
        let named = named.or_else(|| self.environment.get("COMPOSE_PROJECT_NAME"));
        let named = named.filter(|_| self.globals.files.is_empty());
        match (self.load(&self.options(services, true)), named) {
            (Ok(loaded), _) => Scope::of(loaded.project, &Knowledge::default()),
            (Err((_, true)), Some(name)) => Ok(Scope::named(name)),
            (Err((failure, true)), None) => Err(failure),
            (Err((failure, false)), _) => Err(failure),
        }
    }

    /// A project as it is, for commands that only need what exists.
    pub(super) async fn session(&self, services: &[String]) -> Outcome<Session> {
        let scope = self.scope(services)?;
        let client = self.client().await?;
        let observed = apply::observe(&client, &scope.name, scope.project.as_ref()).await?;
        Ok(Session {
            client,
            scope,
            observed,
        })
    }

    /// A project as it is, for commands that change it: nobody else does meanwhile.
    pub(super) async fn exclusive_session(
        &self,
        services: &[String],
    ) -> Outcome<(Session, Option<Lease>)> {
        let scope = self.scope(services)?;
        let client = self.client().await?;
        let held = self.hold(&client, &scope.name).await?;
        let observed = apply::observe(&client, &scope.name, scope.project.as_ref()).await?;
        let session = Session {
            client,
            scope,
            observed,
        };
        Ok((session, held))
    }

    /// A project as it should be: file, images here, contents of configs and secrets.
    pub(super) async fn desired(
        &self,
        client: &Client,
        project: Project,
        scale: BTreeMap<String, u32>,
    ) -> Outcome<Scope> {
        let references = project
            .services
            .values()
            .map(|service| crate::build::image_name(&project, service));
        let references: Vec<String> = references.collect();
        let references = references.iter().map(String::as_str);
        let knowledge = Knowledge {
            images: apply::image_ids(client, references).await?,
            configs: contents(&project.configs, &project.environment),
            secrets: contents(&project.secrets, &project.environment),
            scale,
        };
        Scope::of(project, &knowledge)
    }

    /// Progress on standard error.
    pub(super) fn meter(&self) -> Meter {
        Meter::new(self.ui.mode, self.ui.color_err)
    }

    /// Does a plan, or prints it with `--dry-run`. Returns whether it was done.
    pub(super) async fn execute(
        &self,
        client: &Client,
        scope: &Scope,
        plan: &Plan,
        watch: &Watch,
        mut options: apply::Options,
    ) -> Outcome<Option<Summary>> {
        for warning in plan.warnings() {
            self.ui.warn(warning);
        }
        if self.globals.dry_run {
            self.ui.line(plan.to_string().trim_end());
            return Ok(None);
        }
        options.parallel = options.parallel.or(self.parallel);
        let meter = Meter::new(options.mode.unwrap_or(self.ui.mode), self.ui.color_err);
        let execution = Execution {
            client,
            project: scope.project.as_ref(),
            desired: &scope.desired,
            plan,
            watch,
            meter: &meter,
            options,
        };
        let attended = autostart::attend(self.globals.host.as_deref(), &self.environment);
        let (cancel, cancelled) = flag::channel(false);
        let ignore = execution.options.ignore_signals;
        let interrupts = async {
            if ignore {
                std::future::pending::<()>().await;
            }
            let mut interrupts = Interrupts::catch()?;
            interrupts.next().await;
            self.ui
                .note("Finishing what is under way... (press Ctrl+C again to leave at once)");
            cancel.send_replace(true);
            interrupts.next().await;
            Outcome::Ok(())
        };
        tokio::select! {
            done = Box::pin(execution.run(cancelled)) => done.map(Some),
            interrupted = interrupts => {
                interrupted?;
                Err(Failure::interrupted())
            }
            never = attended => match never {},
        }
    }

    /// Does a plan with a watch of its own.
    pub(super) async fn carry_out(
        &self,
        session: &Session,
        plan: &Plan,
        options: apply::Options,
    ) -> Outcome<Option<Summary>> {
        let filter = apply::project_filter(&session.scope.name).with("type", "container");
        let watch = Watch::open(&session.client, filter).await?;
        self.execute(&session.client, &session.scope, plan, &watch, options)
            .await
    }
}

impl Scope {
    fn of(project: Project, knowledge: &Knowledge) -> Outcome<Self> {
        let desired = bowline_plan::desired(&project, knowledge)?;
        Ok(Self {
            name: project.name.clone(),
            project: Some(project),
            desired,
        })
    }

    fn named(name: &str) -> Self {
        let desired = Desired {
            project: name.to_owned(),
            ..Desired::default()
        };
        Self {
            name: name.to_owned(),
            project: None,
            desired,
        }
    }

    /// Where in the file the value at a path of the model stands: `compose.yaml:14`.
    pub(super) fn place(&self, path: &str) -> Option<String> {
        let place = self.project.as_ref()?.location(path)?;
        let file = place.file.rsplit('/').next().unwrap_or(&place.file);
        Some(format!("{file}:{}", place.line))
    }

    /// A planning error with the place in the file and a suggestion.
    pub(super) fn failure(&self, error: &PlanError) -> Failure {
        let failure = Failure::from_error(error);
        let place = |path: String| {
            let place = self.project.as_ref()?.location(&path)?;
            Some(format!("see {place}"))
        };
        let hint = match error {
            PlanError::NoSuchService { similar, .. } => similar
                .as_ref()
                .map(|name| format!("did you mean `{name}`?")),
            PlanError::NothingSelected => Some("the project has no active service".into()),
            PlanError::ExternalNetworkMissing { key, .. } => place(format!("networks/{key}")),
            PlanError::ExternalVolumeMissing { key, .. } => place(format!("volumes/{key}")),
            PlanError::ImageMissing { service, .. } => {
                place(format!("services/{service}/pull_policy"))
            }
            PlanError::NoHealthcheck { dependent, .. } => {
                place(format!("services/{dependent}/depends_on"))
            }
            PlanError::SameName { second, .. } => {
                place(format!("services/{second}/container_name"))
            }
            PlanError::ScaledName { service, .. } => {
                place(format!("services/{service}/container_name"))
            }
            PlanError::NoContainer { .. } => Some("`bowline up` creates it".into()),
            PlanError::Cycle { .. } => None,
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// The services of a selection, all if it is empty; an unknown name is an error.
    pub(super) fn check(&self, observed: &Observed, services: &[String]) -> Outcome<()> {
        let known = |name: &String| {
            self.project
                .as_ref()
                .is_some_and(|project| project.service(name).is_some())
                || observed
                    .containers
                    .iter()
                    .any(|container| container.service == *name)
        };
        match services.iter().find(|name| !known(name)) {
            Some(name) => {
                let error = PlanError::NoSuchService {
                    service: name.clone(),
                    similar: None,
                };
                Err(self.failure(&error))
            }
            None => Ok(()),
        }
    }
}

fn parallel(globals: &Globals, environment: &Environment) -> Outcome<Option<usize>> {
    let from_environment = match environment.get("COMPOSE_PARALLEL_LIMIT") {
        Some(text) if !text.is_empty() => Some(text.parse::<i64>().map_err(|_| {
            Failure::usage(format!(
                "COMPOSE_PARALLEL_LIMIT must be a number, not `{text}`"
            ))
        })?),
        _ => None,
    };
    match globals.parallel.or(from_environment) {
        None | Some(-1) => Ok(None),
        Some(count) => match usize::try_from(count) {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err(Failure::usage(
                "the number of operations at once must be positive, or -1",
            )),
        },
    }
}

/// Hashes of the files and variables behind configs and secrets. One that cannot be read counts as empty here; the
/// engine says so when it comes to mount it.
pub(super) fn contents(
    objects: &BTreeMap<String, bowline_compose::model::FileObject>,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let read = |object: &bowline_compose::model::FileObject| match &object.environment {
        Some(variable) => Some(environment.get(variable)?.clone().into_bytes()),
        None => Some(std::fs::read(object.file.as_ref()?).unwrap_or_default()),
    };
    let found = objects
        .iter()
        .filter_map(|(key, object)| Some((key.clone(), read(object)?)));
    found
        .map(|(key, content)| (key, bowline_plan::hash::bytes(&content)))
        .collect()
}

/// The real file system, for the loader.
#[derive(Debug)]
pub(super) struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, FileError> {
        let bytes = match path {
            "-" => {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
            }
            path => std::fs::read(path),
        };
        let bytes = bytes.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => FileError::NotFound,
            std::io::ErrorKind::IsADirectory => FileError::IsDirectory,
            _ => FileError::Other(error.to_string()),
        })?;
        String::from_utf8(bytes).map_err(|_| FileError::Other("it is not UTF-8".into()))
    }

    fn is_file(&self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn is_dir(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }
}
