//! Splitting a command written as one string, as Compose does: quotes and backslashes as in a
//! shell, nothing else of a shell.

use super::Fault;

/// Splits a command line into words, up to an unquoted `;`, `&`, `|`, `<` or `>`.
///
/// # Errors
/// An unclosed quote, a trailing backslash, or a parenthesis outside quotes.
pub fn split(text: &str) -> Result<Vec<String>, Fault> {
    scan(text).map(|(words, _)| words)
}

/// What to say of a command line that does not end where its words do: Compose silently drops
/// everything from a shell's operator on, and nobody who writes one means that.
#[must_use]
pub fn dropped(text: &str) -> Option<Fault> {
    scan(text).ok()?.1
}

fn scan(text: &str) -> Result<(Vec<String>, Option<Fault>), Fault> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<(char, usize)> = None;
    // Inside `$( )` and backquotes spaces do not split; nothing is run.
    let mut substitution: Option<(char, usize)> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let in_single = quote.is_some_and(|(q, _)| q == '\'');
        match c {
            '\\' if !in_single => {
                let Some((_, next)) = chars.next() else {
                    return Err(Fault::new(at..at + 1, "nothing follows this backslash"));
                };
                word.get_or_insert_default().push(escaped(next));
            }
            '\'' | '"' if substitution.is_none() && quote.is_none_or(|(q, _)| q == c) => {
                word.get_or_insert_default();
                quote = if quote.is_some() { None } else { Some((c, at)) };
            }
            _ if quote.is_some() => word.get_or_insert_default().push(c),
            '`' => {
                substitution = toggle(substitution, '`', at);
                word.get_or_insert_default().push(c);
            }
            '(' if substitution.is_none() => {
                if !word.as_deref().is_some_and(|w| w.ends_with('$')) {
                    return Err(shell_only(at, c));
                }
                substitution = Some((')', at));
                word.get_or_insert_default().push(c);
            }
            ')' if substitution.is_none_or(|(end, _)| end == ')') => {
                if substitution.take().is_none() {
                    return Err(shell_only(at, c));
                }
                word.get_or_insert_default().push(c);
            }
            _ if substitution.is_some() => word.get_or_insert_default().push(c),
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            ';' | '&' | '|' | '<' | '>' => {
                // `2>` names a stream, which is no word either.
                let stream = c == '>' && word.as_deref().is_some_and(starts_with_digit);
                words.extend(word.take().filter(|_| !stream));
                return Ok((words, Some(shell_only(at, c))));
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    if let Some((open, at)) = quote.or(substitution) {
        let _: char = open;
        return Err(Fault::new(at..at + 1, "this is never closed"));
    }
    words.extend(word);
    Ok((words, None))
}

fn starts_with_digit(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

fn escaped(c: char) -> char {
    match c {
        't' => '\t',
        'n' => '\n',
        other => other,
    }
}

fn toggle(current: Option<(char, usize)>, end: char, at: usize) -> Option<(char, usize)> {
    match current {
        Some((open, _)) if open == end => None,
        Some(other) => Some(other),
        None => Some((end, at)),
    }
}

fn shell_only(at: usize, c: char) -> Fault {
    Fault::new(
        at..at + 1,
        format!("`{c}` means something to a shell only, and none is run here"),
    )
    .help("to run a shell, write `[\"sh\", \"-c\", \"...\"]`; to pass the character, quote it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let cases: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("a  b\tc\n d", &["a", "b", "c", "d"]),
            ("a #hi b", &["a", "#hi", "b"]),
            (
                "'a b' \"c d\" e\\ f '' g\"h i\"j",
                &["a b", "c d", "e f", "", "gh ij"],
            ),
            ("b \\t c", &["b", "\t", "c"]),
            ("echo $(x y) z", &["echo", "$(x y)", "z"]),
            ("a `b c` d", &["a", "`b c`", "d"]),
            (
                "sh -c \"echo hi; ls > x\"",
                &["sh", "-c", "echo hi; ls > x"],
            ),
            ("'it\\s' \"a\\\"b\"", &["it\\s", "a\"b"]),
            ("ü'ö'", &["üö"]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refused() {
        let cases = [("a 'b", 2), ("a\\", 1), ("echo (x)", 5), ("a `b", 2)];
        for (text, at) in cases {
            assert_eq!(split(text).unwrap_err().range.start, at, "{text}");
        }
    }

    #[test]
    fn a_shell_is_needed_for_the_rest() {
        for (text, kept, at) in [
            ("echo a; b", "echo a", 6),
            ("a && b", "a", 2),
            ("a b 2>c", "a b", 5),
            ("a >b", "a", 2),
        ] {
            assert_eq!(split(text).unwrap().join(" "), kept, "{text}");
            assert_eq!(dropped(text).unwrap().range.start, at, "{text}");
        }
        assert_eq!(dropped("a 'b;c'"), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "([ab $()`'\"\\\\;é\n]){0,40}") {
            let _result = split(&text);
        }

        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[a-z ;&|$\"()\\\\]{0,8}", 0..5)) {
            let line = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" ");
            proptest::prop_assert_eq!(split(&line).unwrap(), words);
        }
    }
}
