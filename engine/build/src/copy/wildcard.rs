//! Wildcards in `COPY` sources, by the rules of Go's `path/filepath.Match`: `*` and `?` stop at slashes, `[a-z]` and
//! `[^a-z]` are classes, a backslash takes the next character as it is.

/// Whether a part of a path has a wildcard.
pub(crate) fn is_wild(text: &str) -> bool {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Whether `name`, which has no slash, fits `pattern`. A pattern that is none fits nothing.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    fit(&pattern, &name)
}

fn fit(pattern: &[char], name: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    match first {
        '*' => (0..=name.len()).any(|skip| fit(rest, &name[skip..])),
        '?' => name.split_first().is_some_and(|(_, name)| fit(rest, name)),
        '[' => name.split_first().is_some_and(|(letter, name)| {
            class(rest, *letter).is_some_and(|(inside, rest)| inside && fit(rest, name))
        }),
        '\\' => match (rest.split_first(), name.split_first()) {
            (Some((wanted, rest)), Some((letter, name))) => wanted == letter && fit(rest, name),
            _ => false,
        },
        _ => name
            .split_first()
            .is_some_and(|(letter, name)| first == letter && fit(rest, name)),
    }
}

/// Whether the letter is in the class, and what follows it.
fn class(pattern: &[char], letter: char) -> Option<(bool, &[char])> {
    let (negated, mut rest) = match pattern.split_first() {
        Some(('^', rest)) => (true, rest),
        _ => (false, pattern),
    };
    let (mut inside, mut count) = (false, 0);
    loop {
        if let (Some((']', after)), 1..) = (rest.split_first(), count) {
            return Some((inside != negated, after));
        }
        let (low, after) = bound(rest)?;
        let (high, after) = match after.split_first() {
            Some(('-', after)) => bound(after)?,
            _ => (low, after),
        };
        inside |= low <= letter && letter <= high;
        count += 1;
        rest = after;
    }
}

fn bound(rest: &[char]) -> Option<(char, &[char])> {
    match rest.split_first()? {
        ('-' | ']', _) => None,
        ('\\', rest) => rest.split_first().map(|(letter, rest)| (*letter, rest)),
        (letter, rest) => Some((*letter, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_as_in_go() {
        for (pattern, name, wanted) in [
            ("*", "abc", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.tx", false),
            ("?", "", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[\\]a]", "]", true),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[", "a", false),
            ("a[", "a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("ä?", "äö", true),
        ] {
            assert_eq!(fits(pattern, name), wanted, "{pattern} {name}");
        }
        assert!(is_wild("a[b") && !is_wild("a\\[b") && is_wild("\\\\*"));
    }
}
