//! Origins as text.

use std::fmt::Write as _;

use super::{Kind, Origin, Part, Source, Variable};

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Override => "override",
            Self::Extends => "extends",
            Self::Include => "include",
            Self::EnvFile => "env_file",
            Self::LabelFile => "label_file",
            Self::Image => "image",
            Self::Default => "default",
        }
    }
}

impl Part {
    fn words(self) -> &'static str {
        match self {
            Self::Wins => "wins",
            Self::Joins => "joins",
            Self::Hidden => "hidden",
            Self::Removed => "removed",
        }
    }
}

impl Source {
    fn place(&self) -> String {
        self.location
            .as_ref()
            .map_or("-".to_owned(), ToString::to_string)
    }
}

/// A line for each value: the path, the value, and the place that won.
#[must_use]
pub fn list(origins: &[Origin]) -> String {
    let mut out = String::new();
    for origin in origins {
        let strongest = origin
            .sources
            .iter()
            .find(|source| matches!(source.part, Part::Wins | Part::Joins));
        let place = match strongest {
            Some(source) if source.location.is_some() => source.place(),
            _ => "default".to_owned(),
        };
        // Writing to a string cannot fail.
        let _written = writeln!(out, "{}: {}  # {place}", origin.path, origin.value);
    }
    out
}

/// Each value with everything that speaks of it, the strongest first.
#[must_use]
pub fn render(origins: &[Origin]) -> String {
    let mut out = String::new();
    for (index, origin) in origins.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let _written = writeln!(out, "{}: {}", origin.path, origin.value);
        let width =
            |of: &dyn Fn(&Source) -> usize| origin.sources.iter().map(of).max().unwrap_or(0);
        let places = width(&|source| source.place().chars().count());
        let kinds = width(&|source| source.kind.words().len());
        for source in &origin.sources {
            let line = format!(
                "  {:7}  {:places$}  {:kinds$}  {}",
                source.part.words(),
                source.place(),
                source.kind.words(),
                source.written,
            );
            let _written = writeln!(out, "{}", line.trim_end());
            for variable in &source.variables {
                variable_lines(variable, &mut out);
            }
        }
    }
    out
}

fn variable_lines(variable: &Variable, out: &mut String) {
    let name = &variable.name;
    let _written = match &variable.value {
        Some(value) => writeln!(out, "           {name} is {value:?}"),
        None => writeln!(out, "           {name} is not set"),
    };
    for source in &variable.sources {
        let place = source.location.as_ref();
        let place = place.map_or_else(|| source.kind.to_owned(), ToString::to_string);
        let _written = writeln!(out, "             {place}: {:?}", source.value);
    }
}
