//! The project's name: `-p`, `COMPOSE_PROJECT_NAME`, `name:`, or the folder.

use super::discover::Found;
use super::{Env, Session, path};
use crate::diagnostic::Diagnostic;
use crate::grammar::template;
use crate::yaml::Node;

/// Decides the name; `None` if it cannot be one.
pub(crate) fn project_name(
    session: &mut Session<'_>,
    found: &Found,
    environment: &Env,
    documents: &mut dyn DoubleEndedIterator<Item = &Node>,
) -> Option<String> {
    let fixed = session
        .options
        .project_name
        .clone()
        .filter(|name| !name.is_empty());
    let fixed = fixed.map(|name| (name, "-p"));
    let from_env = environment
        .get("COMPOSE_PROJECT_NAME")
        .filter(|name| !name.is_empty());
    let from_env = from_env.map(|name| (name.clone(), "COMPOSE_PROJECT_NAME"));
    if let Some((name, origin)) = fixed.or(from_env) {
        if is_valid(&name) {
            return Some(name);
        }
        session.faults.push(
            Diagnostic::error(
                "compose::project-name",
                format!("`{name}`, given by {origin}, cannot be a project's name"),
            )
            .help("use lower-case letters, digits, `-` and `_`, starting with a letter or digit"),
        );
        return None;
    }
    let written = documents.rev().find_map(|document| {
        let node = document.get("name")?;
        node.as_text().filter(|text| !text.is_empty())?;
        Some(node)
    });
    if let Some(node) = written
        && let Some(text) = node.as_text()
    {
        // A faulty template is reported when the whole document is interpolated.
        let lookup = |name: &str| environment.get(name).cloned();
        let text = match session.options.no_interpolate {
            true => text.to_owned(),
            false => template::substitute(text, &lookup, &mut Vec::new())
                .ok()
                .unwrap_or_default(),
        };
        let name = normalize(&text);
        if name.is_empty() {
            session.faults.push(
                Diagnostic::error(
                    "compose::project-name",
                    format!("`{text}` gives no project name"),
                )
                .at(node.span, "")
                .help(
                    "use lower-case letters, digits, `-` and `_`, starting with a letter or digit",
                ),
            );
            return None;
        }
        return Some(name);
    }
    let name = normalize(path::base(&found.directory));
    if name.is_empty() {
        session.faults.push(
            Diagnostic::error(
                "compose::project-name",
                format!("the folder {} gives no project name", found.directory),
            )
            .help("give one with `-p NAME` or a top-level `name:`"),
        );
        return None;
    }
    Some(name)
}

/// Lower case, without the characters that may not be in a name.
fn normalize(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

fn is_valid(name: &str) -> bool {
    !name.is_empty() && normalize(name) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_become_names() {
        for (folder, name) in [("My App", "myapp"), ("_x.Y-z_", "xy-z_"), ("ü", "")] {
            assert_eq!(normalize(folder), name);
        }
        assert!(is_valid("a-b_1") && !is_valid("A") && !is_valid("-a") && !is_valid(""));
    }
}
