//! One pattern of an ignore file. The stock builder turns it into a regular expression, unless it is plain enough to
//! compare texts; which of the two it is decides some corner cases, so both are kept here, without the expression.

/// A pattern, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The path is the pattern.
    Exact,
    /// The path begins with the pattern, whose `**` at the end is gone.
    Prefix(String),
    /// The path ends with it, the `**` at its beginning gone.
    Suffix(String),
    /// Anything else.
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `**` before something: nothing, or folders and their slash.
    Folders,
    /// `**` at the end.
    Rest,
    /// `[a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `^`, which the expression takes for the beginning of the path.
    Start,
}

impl Pattern {
    /// Takes a clean pattern apart; `None` if its brackets or escapes have no end or mean nothing.
    pub(super) fn new(text: &str) -> Option<Self> {
        if !well_formed(text) {
            return None;
        }
        Some(Self {
            text: text.to_owned(),
            kind: kind(text)?,
        })
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Kind::Suffix(suffix) => {
                path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path)
            }
            Kind::Parts(parts) => matches(parts, &path.chars().collect::<Vec<_>>()),
        }
    }

    /// The pattern if it means itself; none if it has wildcards.
    pub(super) fn plain_text(&self) -> Option<&str> {
        matches!(self.kind, Kind::Exact).then_some(self.text.as_str())
    }
}

/// What a shell's pattern has to be: classes that are closed and not empty, escapes of something.
pub(super) fn well_formed(text: &str) -> bool {
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '\\' if chars.next().is_none() => return false,
            '[' => {
                chars.next_if_eq(&'^');
                let mut ranges = 0;
                while ranges == 0 || chars.next_if_eq(&']').is_none() {
                    if !class_member(&mut chars) {
                        return false;
                    }
                    if chars.next_if_eq(&'-').is_some() && !class_member(&mut chars) {
                        return false;
                    }
                    if chars.peek().is_none() {
                        return false;
                    }
                    ranges += 1;
                }
            }
            _ => {}
        }
    }
    true
}

fn class_member(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    match chars.next() {
        None | Some('-' | ']') => false,
        Some('\\') => chars.next().is_some(),
        Some(_) => true,
    }
}

/// Reads a pattern as the stock builder does, character by character. `**` in the first place makes it a suffix, one in
/// the last place a prefix, and every wildcard after that takes this back.
fn kind(text: &str) -> Option<Kind> {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = Vec::new();
    let mut plain = Plain::Exact;
    let mut at = 0;
    let mut first = true;
    while let Some(&ch) = chars.get(at) {
        at += 1;
        match ch {
            '*' if chars.get(at) == Some(&'*') => {
                at += 1;
                if chars.get(at) == Some(&'/') {
                    at += 1;
                }
                if at < chars.len() {
                    parts.push(Part::Folders);
                    plain = Plain::No;
                } else if plain == Plain::Exact {
                    plain = Plain::Prefix;
                } else {
                    parts.push(Part::Rest);
                    plain = Plain::No;
                }
                if first {
                    plain = Plain::Suffix;
                }
            }
            '*' | '?' => {
                parts.push(if ch == '*' { Part::Many } else { Part::One });
                plain = Plain::No;
            }
            '[' => {
                let (class, end) = class(&chars, at)?;
                parts.push(class);
                at = end;
                plain = Plain::No;
            }
            ']' => {
                parts.push(Part::Char(']'));
                plain = Plain::No;
            }
            '^' => parts.push(Part::Start),
            '\\' => {
                parts.push(escaped(*chars.get(at)?)?);
                at += 1;
                plain = Plain::No;
            }
            ch => parts.push(Part::Char(ch)),
        }
        first = false;
    }
    Some(match plain {
        Plain::Exact => Kind::Exact,
        Plain::Prefix => Kind::Prefix(text[..text.len() - 2].to_owned()),
        Plain::Suffix => Kind::Suffix(text.get(2..).unwrap_or_default().to_owned()),
        Plain::No => Kind::Parts(parts),
    })
}

#[derive(PartialEq)]
enum Plain {
    Exact,
    Prefix,
    Suffix,
    No,
}

/// A class as a regular expression reads it, where what is special elsewhere means itself.
fn class(chars: &[char], mut at: usize) -> Option<(Part, usize)> {
    let negated = chars.get(at) == Some(&'^');
    if negated {
        at += 1;
    }
    let mut ranges = Vec::new();
    loop {
        let first = match *chars.get(at)? {
            ']' if !ranges.is_empty() => return Some((Part::Class { negated, ranges }, at + 1)),
            '\\' => {
                at += 1;
                *chars.get(at)?
            }
            ch => ch,
        };
        at += 1;
        if chars.get(at) == Some(&'-') && chars.get(at + 1).is_some_and(|ch| *ch != ']') {
            at += 1;
            if chars.get(at) == Some(&'\\') {
                at += 1;
            }
            let last = *chars.get(at)?;
            if last < first {
                return None;
            }
            ranges.push((first, last));
            at += 1;
        } else {
            ranges.push((first, first));
        }
    }
}

/// A character behind a backslash: itself, or one of the expression's classes and control characters.
fn escaped(ch: char) -> Option<Part> {
    let class = |negated, ranges: &[(char, char)]| {
        Some(Part::Class {
            negated,
            ranges: ranges.to_vec(),
        })
    };
    const DIGITS: &[(char, char)] = &[('0', '9')];
    const SPACES: &[(char, char)] = &[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')];
    const WORDS: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
    match ch {
        'd' | 'D' => class(ch == 'D', DIGITS),
        's' | 'S' => class(ch == 'S', SPACES),
        'w' | 'W' => class(ch == 'W', WORDS),
        'a' => Some(Part::Char('\u{7}')),
        'f' => Some(Part::Char('\u{c}')),
        'n' => Some(Part::Char('\n')),
        'r' => Some(Part::Char('\r')),
        't' => Some(Part::Char('\t')),
        'v' => Some(Part::Char('\u{b}')),
        ch if ch.is_ascii_alphanumeric() => None,
        ch => Some(Part::Char(ch)),
    }
}

/// Whether all of a path matches. Every pair of places is looked at once, so that no pattern takes long.
fn matches(parts: &[Part], path: &[char]) -> bool {
    let mut seen = vec![false; (parts.len() + 1) * (path.len() + 1)];
    let mut stack = vec![(0, 0)];
    while let Some((part, at)) = stack.pop() {
        if std::mem::replace(&mut seen[part * (path.len() + 1) + at], true) {
            continue;
        }
        let next = path.get(at).copied();
        let step = match parts.get(part) {
            None => {
                if at == path.len() {
                    return true;
                }
                continue;
            }
            Some(Part::Char(want)) => next == Some(*want),
            Some(Part::One) => next.is_some_and(|ch| ch != '/'),
            Some(Part::Class { negated, ranges }) => next.is_some_and(|ch| {
                ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&ch))
                    != *negated
            }),
            Some(Part::Start) => {
                if at == 0 {
                    stack.push((part + 1, at));
                }
                continue;
            }
            Some(Part::Many) => {
                stack.push((part + 1, at));
                if next.is_some_and(|ch| ch != '/') {
                    stack.push((part, at + 1));
                }
                continue;
            }
            Some(Part::Rest) => {
                stack.push((part + 1, at));
                if next.is_some_and(|ch| ch != '\n') {
                    stack.push((part, at + 1));
                }
                continue;
            }
            Some(Part::Folders) => {
                stack.push((part + 1, at));
                let line = path[at..].iter().take_while(|ch| **ch != '\n');
                let slashes = line.enumerate().filter(|(_, ch)| **ch == '/');
                stack.extend(slashes.map(|(slash, _)| (part + 1, at + slash + 1)));
                continue;
            }
        };
        if step {
            stack.push((part + 1, at + 1));
        }
    }
    false
}
