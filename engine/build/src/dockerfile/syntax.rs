//! `# syntax=`: which front end a file asks for. Ours is a stock one, so those it stands for are served, and any other is
//! refused by name rather than misunderstood.

use super::fault::{Fault, Mistake};
use super::lines::directive_of;
use super::span::Lines;

/// Repositories of the stock front end.
const STOCK: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Whether an image's name is that of the stock front end, whatever the version.
pub(crate) fn is_stock(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let hosts = ["docker.io/", "index.docker.io/", "registry-1.docker.io/"];
    let name = hosts
        .iter()
        .find_map(|host| name.strip_prefix(host))
        .unwrap_or(name);
    STOCK.contains(&name)
}

/// The fault of a file that asks for another one. The directive may also stand behind a `#!` line or, for languages that
/// know no `#`, behind `//`.
pub(super) fn check(text: &str) -> Option<Fault> {
    let start = match text.starts_with("#!") {
        true => text.find('\n').map_or(text.len(), |end| end + 1),
        false => 0,
    };
    let found = find(text, start, "#").or_else(|| find(text, start, "//"));
    let (value, at, length) = found?;
    // What follows the name is for the front end.
    let image = value.split(' ').next().unwrap_or_default();
    if is_stock(image) {
        return None;
    }
    let span = Lines::new(text).span(at, at + length);
    let mistake = Mistake::ForeignSyntax(image.to_owned());
    let hint = "remove the line if the Dockerfile needs no extension of that front end";
    Some(Fault::new(mistake, span).with_hint(Some(hint.to_owned())))
}

fn find<'a>(text: &'a str, start: usize, sign: &str) -> Option<(&'a str, usize, usize)> {
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        let content = line.trim_end();
        let (name, value) = directive_of(content, sign)?;
        if name == "syntax" {
            return Some((value, at, content.len()));
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_stock_front_end() {
        for name in [
            "docker/dockerfile",
            "docker/dockerfile:1",
            "docker.io/docker/dockerfile:1.7-labs",
            "docker/dockerfile-upstream:master",
            "docker/dockerfile:1@sha256:abc",
        ] {
            assert!(is_stock(name), "{name}");
        }
        for name in [
            "example/dockerfile",
            "localhost:5000/docker/dockerfile",
            "dockerfile:1",
        ] {
            assert!(!is_stock(name), "{name}");
        }
    }

    #[test]
    fn a_foreign_one_is_refused_with_its_line() {
        let fault = check("# escape=`\n# syntax = example/x:1 more\nFROM a\n").unwrap();
        assert_eq!(fault.span.start.line, 2);
        assert_eq!(
            *fault.mistake,
            Mistake::ForeignSyntax("example/x:1".to_owned())
        );
        assert_eq!(check("# a comment\n# syntax=example/x\n"), None);
    }
}
