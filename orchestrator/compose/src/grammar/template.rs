//! Interpolation: `$VAR`, `${VAR}`, and the forms with `:-`, `-`, `:?`, `?`, `:+`, `+`.

use std::ops::Range;

use super::Fault;

/// How deep defaults may nest.
const MAX_DEPTH: usize = 64;

/// A variable that had no value and no default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset {
    /// Its name.
    pub name: String,
    /// Where it was used.
    pub range: Range<usize>,
}

/// Replaces the variables in a text. Names without a value become empty and are told to `unset`.
///
/// # Errors
/// A malformed `${`, or a required variable without a value.
pub fn substitute(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<Unset>,
) -> Result<String, Fault> {
    Template {
        text,
        lookup,
        unset,
    }
    .range(0..text.len(), 0)
}

/// A variable that a text mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands for it when it is missing.
    pub default: String,
    /// What stands for it when it is there.
    pub alternate: String,
    /// Whether it may not be missing.
    pub required: bool,
}

/// The variables of a text, those in defaults and alternates too.
#[must_use]
pub fn variables(text: &str) -> Vec<Variable> {
    let mut found = Vec::new();
    collect(text, 0, &mut found);
    found
}

fn collect(text: &str, depth: usize, found: &mut Vec<Variable>) {
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if rest.starts_with('{') {
            let Some(close) = closing_brace(rest) else {
                return;
            };
            let inside = &rest[1..close];
            rest = &rest[close + 1..];
            let (name, operation) = inside.split_at(name_len(inside));
            if name.is_empty() {
                continue;
            }
            let word = operation.strip_prefix(':').unwrap_or(operation);
            let mut variable = Variable {
                name: name.to_owned(),
                ..Variable::default()
            };
            match word.chars().next() {
                Some('?') => variable.required = true,
                Some('-') => word[1..].clone_into(&mut variable.default),
                Some('+') => word[1..].clone_into(&mut variable.alternate),
                _ => {}
            }
            let inner = [variable.default.clone(), variable.alternate.clone()];
            found.push(variable);
            if depth < MAX_DEPTH {
                inner
                    .iter()
                    .for_each(|text| collect(text, depth + 1, found));
            }
        } else {
            let (name, after) = rest.split_at(name_len(rest));
            rest = after;
            if !name.is_empty() {
                found.push(Variable {
                    name: name.to_owned(),
                    ..Variable::default()
                });
            }
        }
    }
}

struct Template<'a> {
    text: &'a str,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: &'a mut Vec<Unset>,
}

impl Template<'_> {
    fn range(&mut self, range: Range<usize>, depth: usize) -> Result<String, Fault> {
        let mut out = String::new();
        let mut at = range.start;
        while let Some(found) = self.text[at..range.end].find('$') {
            let dollar = at + found;
            out.push_str(&self.text[at..dollar]);
            let rest = &self.text[dollar + 1..range.end];
            if rest.starts_with('$') {
                out.push('$');
                at = dollar + 2;
            } else if rest.starts_with('{') {
                let close = closing_brace(rest).map(|close| dollar + 1 + close);
                let Some(close) = close else {
                    return Err(invalid(dollar..range.end, "this `${` is never closed"));
                };
                out.push_str(&self.braced(dollar..close + 1, depth)?);
                at = close + 1;
            } else {
                let len = name_len(rest);
                at = dollar + 1 + len;
                if len == 0 {
                    out.push('$');
                } else {
                    out.push_str(&self.plain(dollar..at, dollar + 1..at));
                }
            }
        }
        out.push_str(&self.text[at..range.end]);
        Ok(out)
    }

    /// The value of a variable used without a default.
    fn plain(&mut self, whole: Range<usize>, name: Range<usize>) -> String {
        let name = &self.text[name];
        (self.lookup)(name).unwrap_or_else(|| {
            self.unset.push(Unset {
                name: name.to_owned(),
                range: whole,
            });
            String::new()
        })
    }

    /// `${...}`; `whole` has the dollar and both braces.
    fn braced(&mut self, whole: Range<usize>, depth: usize) -> Result<String, Fault> {
        if depth > MAX_DEPTH {
            return Err(invalid(whole, "defaults are nested too deeply"));
        }
        let inner = whole.start + 2..whole.end - 1;
        let len = name_len(&self.text[inner.clone()]);
        let name = inner.start..inner.start + len;
        let rest = &self.text[name.end..inner.end];
        if len == 0 {
            return Err(invalid(whole, "no variable name after `${`"));
        }
        if rest.is_empty() {
            return Ok(self.plain(whole, name));
        }
        let (operator, skip) = match rest.as_bytes() {
            [b':', operator @ (b'-' | b'?' | b'+'), ..] => (*operator, 2),
            [operator @ (b'-' | b'?' | b'+'), ..] => (*operator, 1),
            _ => {
                return Err(invalid(
                    whole,
                    "after the name only `-`, `?`, `+` may follow",
                ));
            }
        };
        let value = (self.lookup)(&self.text[name.clone()]);
        let value = value.filter(|value| skip == 1 || !value.is_empty());
        let word = name.end + skip..inner.end;
        match (operator, value) {
            (b'+', Some(_)) => self.range(word, depth + 1),
            (b'+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            (b'-', None) => self.range(word, depth + 1),
            (_, None) => {
                let reason = self.range(word, depth + 1)?;
                let name = &self.text[name];
                let message = if reason.is_empty() {
                    format!("the required variable `{name}` has no value")
                } else {
                    format!("the required variable `{name}` has no value: {reason}")
                };
                Err(Fault::new(whole, message)
                    .help(format!("set `{name}` in the environment or in `.env`")))
            }
        }
    }
}

fn invalid(range: Range<usize>, message: &str) -> Fault {
    Fault::new(range, message).help("to mean the character itself, write `$$`")
}

/// The length of the variable name a text starts with.
fn name_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    if !bytes
        .first()
        .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
    {
        return 0;
    }
    bytes
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count()
}

/// The index of the brace that closes the one the text starts with. Inner braces count, with or
/// without a dollar before them.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(index);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "FOO" => Some("foo".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn run(text: &str) -> Result<String, Fault> {
        substitute(text, &lookup, &mut Vec::new())
    }

    #[test]
    fn every_form() {
        let cases = [
            ("$FOO", "foo"),
            ("${FOO}", "foo"),
            ("a${FOO}$BAR-${FOO}b", "afoo-foob"),
            ("${BAR:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${BAR-d}", "d"),
            ("${FOO:+a}", "a"),
            ("${EMPTY:+a}", ""),
            ("${EMPTY+a}", "a"),
            ("${BAR+a}", ""),
            ("${FOO:?no}", "foo"),
            ("${EMPTY?no}", ""),
            ("$$FOO $${FOO} $$$FOO", "$FOO ${FOO} $foo"),
            ("5$ $1 $(x) $ a$", "5$ $1 $(x) $ a$"),
            ("${BAR:-${FOO}x}", "foox"),
            ("${BAR:-a}b}", "ab}"),
            ("${BAR:-{a}x}y}", "{a}xy}"),
            ("${BAR:-a:-b?c}", "a:-b?c"),
            ("${FOO:-${NOPE?x}}", "foo"),
            ("${BAR:-$$x}", "$x"),
            ("${FOO:+${BAR:-x}y}", "xy"),
        ];
        for (text, expected) in cases {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_refused_and_where() {
        let cases = [
            ("a ${FOO", 2..7),
            ("${FOO bar}", 0..10),
            ("${}", 0..3),
            ("${1}", 0..4),
            ("${FOO!x}", 0..8),
            ("${FOO:}", 0..7),
            ("ab ${BAR:?need ${FOO}} c", 3..22),
        ];
        for (text, range) in cases {
            assert_eq!(run(text).unwrap_err().range, range, "{text}");
        }
        let fault = run("${BAR:?need ${FOO}}").unwrap_err();
        assert_eq!(
            fault.message,
            "the required variable `BAR` has no value: need foo"
        );
    }

    #[test]
    fn only_what_is_used_counts_as_unset() {
        let mut unset = Vec::new();
        assert_eq!(
            substitute("${FOO:-$NOPE} $BAR", &lookup, &mut unset).as_deref(),
            Ok("foo ")
        );
        assert_eq!(
            unset,
            [Unset {
                name: "BAR".to_owned(),
                range: 14..18
            }]
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "([$]|[{}]|[:?+-]|[A-Z]{1,3}|[é0 ]){0,40}") {
            let _result = run(&text);
        }
    }

    #[test]
    fn variables_are_found_inside_each_other() {
        let shown = |text| -> Vec<String> {
            variables(text)
                .into_iter()
                .map(|v| format!("{} {} {} {}", v.name, v.default, v.alternate, v.required))
                .collect()
        };
        assert_eq!(
            shown("$A ${B?x} $$C ${D:-${E:+f}} ${G"),
            ["A   false", "B   true", "D ${E:+f}  false", "E  f false"]
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(run(&format!("{}x{}", "${A:-".repeat(5000), "}".repeat(5000))).is_err());
    }
}
