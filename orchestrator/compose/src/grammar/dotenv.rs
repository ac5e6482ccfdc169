//! Env files: the grammar of `.env` and `env_file`, and the raw one of `format: raw`.

use super::{Fault, template};

/// Where a variable comes from that an env file mentions but does not set.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Reads an env file into pairs in the file's order. Values see, through `lookup`, what came
/// before the file, and the file's own earlier lines.
///
/// # Errors
/// The first line that is not `KEY=VALUE`, an unclosed quote, or a faulty interpolation.
pub fn parse(text: &str, lookup: &Lookup<'_>) -> Result<Vec<(String, String)>, Fault> {
    let mut reader = Reader {
        text,
        at: 0,
        lookup,
        pairs: Vec::new(),
    };
    reader.at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    while reader.statement()? {}
    Ok(reader.pairs)
}

/// Reads the raw format: no quotes, no interpolation, no comments after a value.
///
/// # Errors
/// A name with a space in it, or no name.
pub fn parse_raw(text: &str, lookup: &Lookup<'_>) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        let line = line.trim_start().trim_end_matches(['\n', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line.trim_end(), lookup(line.trim_end())),
        };
        let range = start..start + key.len();
        if key.is_empty() {
            return Err(Fault::new(
                start..start + line.len(),
                "no name before the `=`",
            ));
        }
        if key.contains(char::is_whitespace) {
            return Err(Fault::new(
                range,
                format!("the name `{key}` contains a space"),
            ));
        }
        pairs.extend(value.map(|value| (key.to_owned(), value)));
    }
    Ok(pairs)
}

/// Where the line begins that sets a variable; the last one, if several do.
#[must_use]
pub fn line_of(text: &str, name: &str) -> Option<usize> {
    let (mut at, mut found) = (0, None);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start();
        let key = bare.strip_prefix("export ").unwrap_or(bare).trim_start();
        let sets = key.strip_prefix(name).is_some_and(|rest| {
            rest.trim_start().starts_with(['=', ':']) || rest.trim().is_empty()
        });
        if sets {
            found = Some(at + line.len() - bare.len());
        }
        at += line.len();
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lookup: &'a Lookup<'a>,
    pairs: Vec<(String, String)>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_line(&mut self) {
        self.at += self
            .rest()
            .find('\n')
            .map_or(self.rest().len(), |end| end + 1);
    }

    /// Reads one `KEY=VALUE`; false at the end of the text.
    fn statement(&mut self) -> Result<bool, Fault> {
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            if !self.rest().starts_with('#') {
                break;
            }
            self.skip_line();
        }
        if self.rest().is_empty() {
            return Ok(false);
        }
        if let Some(after) = self.rest().strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.at = self.text.len() - after.trim_start().len();
        }
        let (key, assigned) = self.key()?;
        let value = if assigned {
            Some(self.value()?)
        } else {
            (self.lookup)(&key)
        };
        if let Some(value) = value {
            self.pairs.push((key, value));
        }
        Ok(true)
    }

    /// The name, and whether a value follows it. A name alone on its line is inherited.
    fn key(&mut self) -> Result<(String, bool), Fault> {
        let start = self.at;
        let end = self
            .rest()
            .find(['=', ':', '\n'])
            .map_or(self.text.len(), |end| start + end);
        let written = &self.text[start..end];
        let key = written.trim();
        let bad = key.char_indices().find(|(_, c)| {
            !c.is_alphanumeric() && !c.is_whitespace() && !matches!(c, '_' | '.' | '-' | '[' | ']')
        });
        if let Some((offset, c)) = bad {
            let at = start + offset;
            return Err(Fault::new(
                at..at + c.len_utf8(),
                format!("unexpected `{c}` in the name of a variable"),
            ));
        }
        if key.is_empty() {
            let end = (end + 1).min(self.text.len());
            return Err(Fault::new(start..end, "no name before the value"));
        }
        if key.contains(char::is_whitespace) {
            return Err(Fault::new(
                start..start + key.len(),
                format!("the name `{key}` contains a space"),
            )
            .help("write one `NAME=value` on each line"));
        }
        let assigned = self.text[end..].starts_with(['=', ':']);
        let key = key.to_owned();
        self.at = (end + 1).min(self.text.len());
        Ok((key, assigned))
    }

    fn value(&mut self) -> Result<String, Fault> {
        let blank = |c: char| c != '\n' && c.is_whitespace();
        self.at += self.rest().len() - self.rest().trim_start_matches(blank).len();
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => self.unquoted(),
        }
    }

    fn unquoted(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.skip_line();
        let line = self.text[start..self.at].trim_end_matches('\n');
        // A comment needs a space before it; `a#b` is a value.
        let value = line
            .find(" #")
            .map_or(line, |comment| &line[..comment])
            .trim_end();
        self.expand(value, start)
    }

    /// A quoted value, which may go over several lines.
    fn quoted(&mut self, quote: char) -> Result<String, Fault> {
        let open = self.at;
        let start = open + 1;
        let mut escaped = false;
        for (offset, c) in self.text[start..].char_indices() {
            if c == quote && !escaped {
                let value = self.text[start..start + offset].to_owned();
                self.at = start + offset + 1;
                return match quote {
                    '"' => self.expand(&unescape(&value), start),
                    _ => Ok(value.replace("\\'", "'")),
                };
            }
            escaped = !escaped && c == '\\';
        }
        Err(Fault::new(open..start, "this quote is never closed"))
    }

    fn expand(&self, value: &str, offset: usize) -> Result<String, Fault> {
        let lookup = |name: &str| {
            (self.lookup)(name).or_else(|| {
                self.pairs
                    .iter()
                    .rev()
                    .find(|(key, _)| key == name)
                    .map(|(_, v)| v.clone())
            })
        };
        // A variable that is unset inside an env file is empty without a warning, as in a shell.
        template::substitute(value, &lookup, &mut Vec::new()).map_err(|fault| fault.offset(offset))
    }
}

/// Undoes the escapes that double quotes know. An escaped dollar becomes the template's `$$`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('\\') => out.push('\\'),
            Some('"') => out.push('"'),
            Some('$') => out.push_str("$$"),
            Some('0') => {
                let mut code = 0_u32;
                for _ in 0..3 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    code = code * 8 + digit;
                    chars.next();
                }
                out.extend(char::from_u32(code));
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "FOO").then(|| "foo".to_owned())
    }

    fn shown(text: &str) -> String {
        match parse(text, &lookup) {
            Ok(pairs) => pairs
                .iter()
                .map(|(k, v)| format!("{k}={v:?}"))
                .collect::<Vec<_>>()
                .join(" "),
            Err(fault) => format!("{:?} {}", fault.range, fault.message),
        }
    }

    #[test]
    fn lines() {
        let cases = [
            ("", ""),
            ("\u{feff}A=1\n", r#"A="1""#),
            ("A=1\nB=2", r#"A="1" B="2""#),
            ("# c\n\n  A = 1  # c\n", r#"A="1""#),
            ("A=a#c", r#"A="a#c""#),
            ("A= # c\nB=#c", r##"A="# c" B="#c""##),
            ("A=\nB=1", r#"A="" B="1""#),
            ("export A=1", r#"A="1""#),
            ("export FOO\nNOPE\nA: 7", r#"FOO="foo" A="7""#),
            ("FOO", r#"FOO="foo""#),
            (
                "A='$FOO' # c\nB=\"$FOO\"\nC=$FOO",
                r#"A="$FOO" B="foo" C="foo""#,
            ),
            (r#"A="$FOO \$FOO $$FOO""#, r#"A="foo $FOO $FOO""#),
            (r"A=\$FOO", r#"A="\\foo""#),
            ("A=\"a\nb\"\nB='c\nd'", r#"A="a\nb" B="c\nd""#),
            (r#"A="\n\t\0101\c\q\"""#, r#"A="\n\tA\\c\\q\"""#),
            (r"A='a\'b'", r#"A="a'b""#),
            ("A=1\nB=$A-${C:-z}", r#"A="1" B="1-z""#),
            ("X-Y.z=1\n[a]=2", r#"X-Y.z="1" [a]="2""#),
            ("A=1\r\nB=2\r\n", r#"A="1" B="2""#),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn refused() {
        let cases = [
            ("A B=1", "0..3 the name `A B` contains a space"),
            ("A=1\nB*=1", "5..6 unexpected `*` in the name of a variable"),
            ("A=\"x\nB=1", "2..3 this quote is never closed"),
            ("=x", "0..1 no name before the value"),
            ("A=${NOPE", "2..8 this `${` is never closed"),
            (
                "A=${NOPE?no}",
                "2..12 the required variable `NOPE` has no value: no",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn raw() {
        let text = "A=\"1\"\n#c\nB=$FOO # x\nFOO\nNOPE\nC=\n D=5 \n";
        let pairs = parse_raw(text, &lookup).unwrap();
        let shown: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(shown, ["A=\"1\"", "B=$FOO # x", "FOO=foo", "C=", "D=5 "]);
        assert!(parse_raw("E F=1", &lookup).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "([A-C]|[=:'\"\\\\$#{} \n]|é|export ){0,40}") {
            let _result = parse(&text, &lookup);
            let _result = parse_raw(&text, &lookup);
        }
    }
}
