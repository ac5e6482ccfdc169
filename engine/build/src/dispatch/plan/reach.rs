//! What a plan has to be told: configurations of base images, and what triggers in them add to the stages.

use bowline_image::Reference;

use super::{Command, Origin, Planner, State};
use crate::dispatch::{NamedContext, Need};
use crate::dockerfile::{Fault, Kind, parse_trigger};

impl Planner<'_> {
    pub(super) fn needs(&self, reachable: &[usize]) -> Vec<Need> {
        let mut needs: Vec<Need> = Vec::new();
        for state in reachable.iter().map(|state| &self.states[*state]) {
            let need = match &state.origin {
                Origin::Image(reference) => self.image_need(reference, state),
                Origin::Context(_, NamedContext::Image(image)) if image != "scratch" => image
                    .parse()
                    .ok()
                    .and_then(|reference| self.image_need(&reference, state)),
                Origin::Context(_, NamedContext::Target(name)) => {
                    self.graph.target(name).is_none().then(|| Need::Target {
                        name: name.clone(),
                        span: state.span,
                    })
                }
                _ => None,
            };
            let same = |known: &Need| match (known, &need) {
                (Need::Target { name, .. }, Some(Need::Target { name: other, .. })) => {
                    name == other
                }
                (
                    Need::Image {
                        reference,
                        platform,
                        ..
                    },
                    Some(Need::Image {
                        reference: other,
                        platform: on,
                        ..
                    }),
                ) => reference == other && platform == on,
                _ => false,
            };
            if !needs.iter().any(same) {
                needs.extend(need);
            }
        }
        needs
    }

    fn image_need(&self, reference: &Reference, state: &State) -> Option<Need> {
        let platform = state
            .platform
            .as_ref()
            .unwrap_or(self.options.target_platform());
        self.bases
            .get(reference, platform)
            .is_none()
            .then(|| Need::Image {
                reference: reference.clone(),
                platform: platform.clone(),
                span: state.span,
            })
    }

    /// Puts triggers of `ONBUILD` before the instructions of the stages they were left for. Whether there was one that
    /// needs another state.
    pub(super) fn triggers(&mut self, reachable: &[usize]) -> Result<bool, Fault> {
        let mut more = false;
        for &at in reachable {
            if std::mem::replace(&mut self.states[at].inherited, true) {
                continue;
            }
            let span = self.states[at].span;
            let mut commands = Vec::new();
            for trigger in self.triggers_of(at) {
                let instruction = parse_trigger(&trigger, span)?;
                let sources = self.sources(&instruction)?;
                more |= sources.iter().any(Option::is_some);
                commands.push(Command {
                    instruction,
                    sources,
                    on_build: true,
                });
            }
            let state = &mut self.states[at];
            state.total += commands.len();
            state.commands.splice(0..0, commands);
        }
        Ok(more)
    }

    fn triggers_of(&self, state: usize) -> Vec<String> {
        let state = &self.states[state];
        let platform = state
            .platform
            .as_ref()
            .unwrap_or(self.options.target_platform());
        let of_image = |reference: &Reference| {
            let base = self.bases.get(reference, platform);
            base.map(|base| base.image.config.on_build.clone())
                .unwrap_or_default()
        };
        match &state.origin {
            Origin::Stage(base) => {
                let commands = self.states[*base].commands.iter();
                let triggers = commands.filter_map(|command| match &command.instruction.kind {
                    Kind::OnBuild(trigger) => Some(trigger.clone()),
                    _ => None,
                });
                triggers.collect()
            }
            Origin::Image(reference) => of_image(reference),
            Origin::Context(name, _) if *name == state.name => Vec::new(),
            Origin::Context(_, NamedContext::Image(image)) => image
                .parse()
                .ok()
                .as_ref()
                .map(of_image)
                .unwrap_or_default(),
            Origin::Context(_, NamedContext::Target(name)) => {
                let target = self.graph.target(name);
                target
                    .map(|target| target.config.config.on_build.clone())
                    .unwrap_or_default()
            }
            Origin::Scratch | Origin::Context(_, NamedContext::Folder(_)) => Vec::new(),
        }
    }
}
