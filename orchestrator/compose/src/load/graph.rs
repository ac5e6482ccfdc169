//! Services that wait for themselves.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::model::Project;

/// The first cycle among the dependencies, if there is one.
pub(crate) fn cycle(project: &Project) -> Option<Diagnostic> {
    let mut done = BTreeMap::new();
    let mut names: Vec<&str> = project.services.keys().map(String::as_str).collect();
    names.sort_unstable();
    let path = names
        .into_iter()
        .find_map(|name| walk(project, name, &mut done))?;
    let message = format!("services wait for each other: {}", path.join(" -> "));
    let mut diagnostic = Diagnostic::error("compose::dependency-cycle", message);
    for (index, pair) in path.windows(2).enumerate() {
        let span = project.key_span(&format!("services/{}/depends_on/{}", pair[0], pair[1]));
        let text = format!("`{}` waits for `{}`", pair[0], pair[1]);
        diagnostic = if index == 0 {
            diagnostic.at(span, text)
        } else {
            diagnostic.context(span, text)
        };
    }
    Some(diagnostic.help("remove one of these dependencies"))
}

/// Depth first without recursion, as a chain may be as long as the file; answers with the cycle
/// as a path that ends where it starts.
fn walk<'a>(
    project: &'a Project,
    start: &'a str,
    done: &mut BTreeMap<&'a str, ()>,
) -> Option<Vec<&'a str>> {
    let children = |name: &str| {
        let service = project.services.get(name);
        service
            .into_iter()
            .flat_map(|service| service.depends_on.keys().map(String::as_str))
    };
    let mut path = vec![start];
    let mut stack = vec![children(start)];
    while let Some(pending) = stack.last_mut() {
        match pending.next() {
            None => {
                stack.pop();
                done.extend(path.pop().map(|name| (name, ())));
            }
            Some(next) if done.contains_key(next) => {}
            Some(next) => {
                if let Some(from) = path.iter().position(|name| *name == next) {
                    path.push(next);
                    return Some(path.split_off(from));
                }
                path.push(next);
                stack.push(children(next));
            }
        }
    }
    None
}
