//! Where each value of a project comes from: everything that says something about it, and who won.
//!
//! The loader keeps the place of what won. What lost is looked up here, in the same files once more, and only
//! when somebody asks.

mod image;
mod layers;
mod lookup;
mod render;
mod variables;

use serde::Serialize;
use serde_json::Value as Json;

use crate::load::{Env, Files};
use crate::model::Project;
use crate::source::Location;

pub use image::add_image;
pub use render::{list, render};
pub use variables::{Variable, VariableSource};

/// One value and everything that speaks of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// `services.web.environment.DEBUG`. Items of lists are numbered from zero.
    pub path: String,
    /// The value in the project; dollars are not doubled.
    pub value: Json,
    /// What speaks of it, the strongest first.
    pub sources: Vec<Source>,
}

/// One place that speaks of a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    /// What kind of place.
    pub kind: Kind,
    /// Where it is; a default has no place.
    pub location: Option<Location>,
    /// The text there.
    pub written: String,
    /// What became of it.
    pub part: Part,
    /// The variables in the text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// The kinds of places that values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first Compose file.
    File,
    /// A Compose file laid over others, or a further document of a file.
    Override,
    /// A service that this one extends.
    Extends,
    /// A file that is included.
    Include,
    /// A file of variables for the container.
    EnvFile,
    /// A file of labels.
    LabelFile,
    /// The image's configuration.
    Image,
    /// Nobody wrote it.
    Default,
}

/// What became of something that was said about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It is the value.
    Wins,
    /// It is a part of the value: lists of several files are one.
    Joins,
    /// Something stronger speaks of the same.
    Hidden,
    /// `!reset` or `!override` took it away.
    Removed,
}

/// What the question is asked of.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The caller's files.
    pub files: &'a dyn Files,
    /// The caller's environment.
    pub environment: &'a Env,
    /// Where the caller stands.
    pub cwd: &'a str,
    /// The loaded project.
    pub project: &'a Project,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("cwd", &self.cwd)
            .field("project", &self.project.name)
            .finish_non_exhaustive()
    }
}

/// The origins of all values below a path, or of the whole project. `None`: there is no such path.
#[must_use]
pub fn origins(asked: &Asked<'_>, path: Option<&str>) -> Option<Vec<Origin>> {
    let model: Json = serde_json::from_str(&crate::print::json(asked.project)).ok()?;
    let mut leaves = Vec::new();
    match path {
        None => below(&model, &mut Vec::new(), &mut leaves),
        Some(path) => match walk(&model, path)? {
            (steps, value, true) => leaves.push((steps, value)),
            (mut steps, value, false) => below(value, &mut steps, &mut leaves),
        },
    }
    let reader = layers::Reader::new(asked);
    Some(
        leaves
            .into_iter()
            .map(|(steps, value)| origin(asked, &reader, &steps, value))
            .collect(),
    )
}

fn origin(
    asked: &Asked<'_>,
    reader: &layers::Reader<'_>,
    steps: &[String],
    value: &Json,
) -> Origin {
    let mut sources = lookup::sources(asked, reader, steps, value);
    if sources.is_empty() {
        sources.push(Source {
            kind: Kind::Default,
            location: None,
            written: String::new(),
            part: Part::Wins,
            variables: Vec::new(),
        });
    }
    let value = single_dollars(value);
    let path = steps.join(".");
    Origin {
        path,
        value,
        sources,
    }
}

/// Printed models double each dollar, so that they can be read again.
fn single_dollars(value: &Json) -> Json {
    match value {
        Json::String(text) => text.replace("$$", "$").into(),
        Json::Array(items) => items.iter().map(single_dollars).collect(),
        Json::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), single_dollars(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// The value at a path whose keys may hold dots themselves: the longest key that fits is meant. An item of a list is
/// told as a whole; then the answer ends in true.
fn walk<'m>(model: &'m Json, path: &str) -> Option<(Vec<String>, &'m Json, bool)> {
    let mut steps = Vec::new();
    let (mut value, mut rest) = (model, path.trim_matches('.'));
    while !rest.is_empty() {
        let (step, next) = match value {
            Json::Object(map) => map
                .iter()
                .filter(|(key, _)| {
                    rest.strip_prefix(key.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                })
                .max_by_key(|(key, _)| key.len())
                .map(|(key, value)| (key.clone(), value))?,
            Json::Array(items) => {
                let step = rest.split('.').next()?;
                let item = items.get(step.parse::<usize>().ok()?)?;
                steps.push(step.to_owned());
                return Some((steps, item, true));
            }
            _ => return None,
        };
        rest = rest[step.len()..].trim_start_matches('.');
        steps.push(step);
        value = next;
    }
    Some((steps, value, false))
}

/// Single values and items of lists below a value.
fn below<'m>(value: &'m Json, steps: &mut Vec<String>, out: &mut Vec<(Vec<String>, &'m Json)>) {
    let mut inside = |step: String, value: &'m Json, deeper: bool| {
        steps.push(step);
        if deeper {
            below(value, steps, out);
        } else {
            out.push((steps.clone(), value));
        }
        steps.pop();
    };
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                inside(key.clone(), value, true);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                inside(index.to_string(), value, false);
            }
        }
        _ => out.push((steps.clone(), value)),
    }
}

#[cfg(test)]
mod tests;
