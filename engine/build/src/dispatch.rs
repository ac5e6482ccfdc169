//! What a Dockerfile means: from instructions, options and the configurations of base images to a [`Graph`].
//!
//! Pure, and done again from the start for each question: [`lower`] answers either what it has to know first or, when
//! [`Bases`] holds it all, adds one target to the graph. Stages that the target does not need are neither asked for nor
//! lowered.

mod copy;
mod env;
mod epoch;
mod expose;
mod history;
mod metadata;
mod mounts;
mod plan;
mod remote;
mod run;
mod signal;
mod stage;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bowline_image::{ImageFile, Platform, Reference};

use crate::dockerfile::{Dockerfile, Fault, Faults, Mistake, Span};
use crate::graph::{ContextId, Graph, Network, Source, Ulimit};
use crate::ignore::Ignore;
use crate::warnings::Warning;

/// What is asked of a Dockerfile.
#[derive(Clone, Debug)]
pub struct Options {
    /// The target's name in the graph.
    pub name: String,
    /// The Dockerfile's name for people.
    pub file: String,
    /// The stage wanted; none is the last.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels besides those in the Dockerfile, which they win over.
    pub labels: BTreeMap<String, String>,
    /// The main context.
    pub context: ContextId,
    /// Contexts by name; a name may be that of an image or a stage.
    pub contexts: BTreeMap<String, NamedContext>,
    /// The platform asked for; none takes what the base images are.
    pub platform: Option<Platform>,
    /// The platform of this machine.
    pub build_platform: Platform,
    /// Names show platforms, because the build has several.
    pub several_platforms: bool,
    /// Which steps are done even if they are cached.
    pub no_cache: NoCache,
    /// What each `RUN` can reach unless it says otherwise.
    pub network: Network,
    /// Names and addresses for `/etc/hosts` of each `RUN`.
    pub extra_hosts: Vec<(String, String)>,
    /// Host name of each `RUN`.
    pub hostname: Option<String>,
    /// Bytes of `/dev/shm` of each `RUN`.
    pub shm_size: Option<u64>,
    /// Limits of each `RUN`.
    pub ulimits: Vec<Ulimit>,
    /// The main context's ignore file, for a warning.
    pub ignore: Option<Ignore>,
}

/// What a name of `additional_contexts` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedContext {
    /// A folder.
    Folder(ContextId),
    /// An image, or `scratch`.
    Image(String),
    /// A target of the same graph.
    Target(String),
}

/// Which steps are done even if they are cached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NoCache {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those of these stages, in any case.
    Stages(Vec<String>),
}

impl Options {
    /// The plain build of one Dockerfile for this machine.
    pub fn new(name: &str, context: ContextId) -> Self {
        Self {
            name: name.to_owned(),
            file: "Dockerfile".to_owned(),
            target: None,
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            context,
            contexts: BTreeMap::new(),
            platform: None,
            build_platform: Platform::host(),
            several_platforms: false,
            no_cache: NoCache::None,
            network: Network::Default,
            extra_hosts: Vec::new(),
            hostname: None,
            shm_size: None,
            ulimits: Vec::new(),
            ignore: None,
        }
    }

    /// The platform that stages are for, unless they say otherwise.
    fn target_platform(&self) -> &Platform {
        self.platform.as_ref().unwrap_or(&self.build_platform)
    }
}

/// An image that a Dockerfile is built on, as the caller found it.
#[derive(Clone, Debug)]
pub struct Base {
    /// Its name for people and for [`crate::graph::ImageBase`]: with a digest, where one is known.
    pub reference: String,
    /// Its configuration.
    pub image: ImageFile,
}

/// The images found so far.
#[derive(Clone, Debug, Default)]
pub struct Bases(HashMap<(String, Platform), Base>);

impl Bases {
    /// The answer to a [`Need::Image`].
    pub fn insert(&mut self, reference: &Reference, platform: Platform, base: Base) {
        self.0.insert((reference.canonical(), platform), base);
    }

    fn get(&self, reference: &Reference, platform: &Platform) -> Option<&Base> {
        self.0.get(&(reference.canonical(), platform.clone()))
    }
}

/// What has to be known before a Dockerfile can be lowered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// An image's configuration: to be put into [`Bases`] under this name and platform.
    Image {
        /// Its full name.
        reference: Reference,
        /// For which machine.
        platform: Platform,
        /// Where it is named.
        span: Span,
    },
    /// A target that has to be lowered into the same graph first.
    Target {
        /// Its name.
        name: String,
        /// Where it is used.
        span: Span,
    },
}

/// What came of a Dockerfile.
#[derive(Clone, Debug)]
pub enum Lowered {
    /// It needs these first, none of which was known. The graph is as it was.
    Needs(Vec<Need>),
    /// It is the last of the graph's targets.
    Done {
        /// What is legal and probably not meant.
        warnings: Vec<Warning>,
    },
}

/// Adds a Dockerfile's target to a graph.
pub fn lower(
    graph: &mut Graph,
    file: &Dockerfile,
    options: &Options,
    bases: &Bases,
) -> Result<Lowered, Faults> {
    let mut remarks = Remarks::new(file, options)?;
    let planned = plan::plan(graph, file, options, bases, &mut remarks)?;
    let plan = match planned {
        plan::Planned::Needs(needs) => return Ok(Lowered::Needs(needs)),
        plan::Planned::Ready(plan) => plan,
    };
    let source = Source {
        name: options.file.clone(),
        text: Arc::clone(&file.text),
    };
    let source = match graph.sources.iter().position(|known| *known == source) {
        Some(known) => known,
        None => {
            graph.sources.push(source);
            graph.sources.len() - 1
        }
    };
    let created = epoch::created(options)?;
    let mut target = stage::Build {
        graph,
        file,
        options,
        bases,
        plan: &plan,
        source,
        shared: stage::Shared::default(),
        done: vec![None; plan.states.len()],
        remarks: &mut remarks,
    }
    .target()?;
    remarks.verdict(target_span(file))?;
    for step in &mut target.steps {
        step.record.created.clone_from(&created);
    }
    graph.targets.push(target);
    Ok(Lowered::Done {
        warnings: remarks.warnings,
    })
}

fn target_span(file: &Dockerfile) -> Span {
    file.stages
        .last()
        .map_or(Span::default(), |stage| stage.head.span)
}

/// Warnings that count.
#[derive(Debug)]
struct Remarks {
    checks: crate::warnings::Checks,
    warnings: Vec<Warning>,
}

impl Remarks {
    fn new(file: &Dockerfile, options: &Options) -> Result<Self, Faults> {
        let text = options
            .args
            .get("BUILDKIT_DOCKERFILE_CHECK")
            .or(file.check.as_ref());
        let checks = crate::warnings::Checks::parse(text.map_or("", String::as_str))
            .map_err(|option| Fault::new(Mistake::CheckOption(option), Span::default()))?;
        if let Some(syntax) = options.args.get("BUILDKIT_SYNTAX") {
            let image = syntax.split(' ').next().unwrap_or_default();
            if !image.is_empty() && !crate::dockerfile::is_stock(image) {
                let mistake = Mistake::ForeignSyntax(image.to_owned());
                return Err(Fault::new(mistake, Span::default()).into());
            }
        }
        let mut remarks = Self {
            checks,
            warnings: Vec::new(),
        };
        for warning in file
            .warnings
            .iter()
            .cloned()
            .chain(crate::warnings::of_file(file))
        {
            remarks.add(warning);
        }
        Ok(remarks)
    }

    fn add(&mut self, warning: Warning) {
        if self.checks.wants(warning.rule) && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn warn(&mut self, rule: crate::warnings::Rule, span: Span, message: String) {
        self.add(Warning {
            rule,
            message,
            span,
        });
    }

    /// With `error=true`, one warning is enough.
    fn verdict(&self, span: Span) -> Result<(), Fault> {
        if !self.checks.error || self.warnings.is_empty() {
            return Ok(());
        }
        let rules: std::collections::BTreeSet<_> = self
            .warnings
            .iter()
            .map(|warning| warning.rule.name())
            .collect();
        let names: Vec<_> = rules.into_iter().collect();
        let span = self.warnings.first().map_or(span, |warning| warning.span);
        Err(Fault::new(Mistake::Lint(names.join(", ")), span))
    }
}
