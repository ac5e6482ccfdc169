//! The patterns behind `#`, `%` and `/`: `*`, `?`, and characters that mean themselves. Neither wildcard matches a line
//! break, since the stock front end takes them for those of a regular expression.

use super::WordError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Any,
    Some,
    Char(char),
}

/// Which of several matches is taken: the order in which a backtracking search finds them.
struct Search<'a> {
    parts: &'a [Part],
    text: &'a [char],
    greedy: bool,
    dead: Vec<bool>,
}

impl<'a> Search<'a> {
    fn new(parts: &'a [Part], text: &'a [char], greedy: bool) -> Self {
        Self {
            parts,
            text,
            greedy,
            dead: vec![false; (parts.len() + 1) * (text.len() + 1)],
        }
    }

    /// Where the first match from `at` on ends. Without recursion: texts may be long.
    fn end(&mut self, at: usize) -> Option<usize> {
        let mut stack = vec![(0, at)];
        while let Some((part, at)) = stack.pop() {
            let seen = &mut self.dead[part * (self.text.len() + 1) + at];
            if std::mem::replace(seen, true) {
                continue;
            }
            let next = self.text.get(at).copied();
            match self.parts.get(part) {
                None => return Some(at),
                Some(Part::Char(want)) if next == Some(*want) => stack.push((part + 1, at + 1)),
                Some(Part::Some) if next.is_some_and(|ch| ch != '\n') => {
                    stack.push((part + 1, at + 1));
                }
                Some(Part::Char(_) | Part::Some) => {}
                Some(Part::Any) => {
                    let more = next.is_some_and(|ch| ch != '\n').then_some((part, at + 1));
                    // What is pushed last is tried first.
                    if self.greedy {
                        stack.push((part + 1, at));
                        stack.extend(more);
                    } else {
                        stack.extend(more);
                        stack.push((part + 1, at));
                    }
                }
            }
        }
        None
    }
}

fn parse(pattern: &[char]) -> Result<Vec<Part>, WordError> {
    let mut parts = Vec::new();
    let mut chars = pattern.iter().copied().peekable();
    while let Some(ch) = chars.next() {
        parts.push(match ch {
            '*' => Part::Any,
            '?' => Part::Some,
            '\\' => match chars.next() {
                // These two had to be escaped to stand inside `${…}` at all.
                Some(ch @ ('}' | '/' | '*' | '?' | '\\')) => Part::Char(ch),
                Some(other) => return Err(WordError::Pattern(other)),
                None => return Err(WordError::Pattern('}')),
            },
            other => Part::Char(other),
        });
    }
    Ok(parts)
}

/// The value without the beginning that the pattern matches, the shortest or, if greedy, the longest.
pub(super) fn trim_prefix(pattern: &str, value: &str, greedy: bool) -> Result<String, WordError> {
    let parts = parse(&pattern.chars().collect::<Vec<_>>())?;
    Ok(trimmed(&parts, value.chars().collect(), greedy)
        .into_iter()
        .collect())
}

/// The value without the end that the pattern matches: the same with both turned round.
pub(super) fn trim_suffix(pattern: &str, value: &str, greedy: bool) -> Result<String, WordError> {
    let mut parts = parse(&pattern.chars().collect::<Vec<_>>())?;
    parts.reverse();
    let rest = trimmed(&parts, value.chars().rev().collect(), greedy);
    Ok(rest.into_iter().rev().collect())
}

fn trimmed(parts: &[Part], mut value: Vec<char>, greedy: bool) -> Vec<char> {
    let end = Search::new(parts, &value, greedy).end(0);
    value.split_off(end.unwrap_or(0))
}

/// The value with the first match replaced, or all of them. In a replacement of all, `$1` and its like name groups that
/// the pattern cannot have, and are nothing.
pub(super) fn replace(
    pattern: &str,
    value: &str,
    replacement: &str,
    all: bool,
) -> Result<String, WordError> {
    let parts = parse(&pattern.chars().collect::<Vec<_>>())?;
    let text: Vec<char> = value.chars().collect();
    let mut result = String::new();
    let mut at = 0;
    let mut last = None;
    while at <= text.len() {
        let Some(end) = Search::new(&parts, &text, true).end(at) else {
            result.extend(text.get(at));
            at += 1;
            continue;
        };
        // An empty match right behind another one does not count.
        if end > at || last != Some(at) {
            if all {
                result.push_str(&without_groups(replacement, &text[at..end]));
            } else {
                result.push_str(replacement);
                result.extend(&text[end..]);
                return Ok(result);
            }
            last = Some(end);
        }
        if end > at {
            at = end;
        } else {
            result.extend(text.get(at));
            at += 1;
        }
    }
    Ok(result)
}

/// `$name`, `${name}`, `$$` in the template of a replacement of all.
fn without_groups(replacement: &str, matched: &[char]) -> String {
    let mut result = String::new();
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let (name, after) = group(after);
        match name {
            None => result.push('$'),
            Some("0") => result.extend(matched),
            Some(_) => {}
        }
        rest = after;
    }
    result + rest
}

fn group(text: &str) -> (Option<&str>, &str) {
    let word = |ch: char| ch.is_alphanumeric() || ch == '_';
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.split_once('}') {
            Some((name, rest)) if !name.is_empty() && name.chars().all(word) => (Some(name), rest),
            _ => (None, text),
        };
    }
    let end = text.find(|ch| !word(ch)).unwrap_or(text.len());
    match end {
        0 => (None, text),
        end => (Some(&text[..end]), &text[end..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_and_the_longest() {
        assert_eq!(trim_prefix("*/", "a/b/c", false).unwrap(), "b/c");
        assert_eq!(trim_prefix("*/", "a/b/c", true).unwrap(), "c");
        assert_eq!(trim_suffix("/*", "a/b/c", false).unwrap(), "a/b");
        assert_eq!(trim_suffix("/*", "a/b/c", true).unwrap(), "a");
        assert_eq!(trim_suffix("\\*x", "a*x", true).unwrap(), "a");
        assert_eq!(trim_prefix("*", "a\nb", true).unwrap(), "\nb");
    }

    #[test]
    fn replacing() {
        assert_eq!(replace("o", "foo", "0", false).unwrap(), "f0o");
        assert_eq!(replace("o", "foo", "0", true).unwrap(), "f00");
        assert_eq!(replace("", "ab", "-", true).unwrap(), "-a-b-");
        assert_eq!(replace("*", "ab", "x", true).unwrap(), "x");
        assert_eq!(replace("o", "foo", "$1x", true).unwrap(), "f");
        assert_eq!(
            replace("\\q", "foo", "", true),
            Err(WordError::Pattern('q'))
        );
    }
}
