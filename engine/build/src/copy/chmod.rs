//! `--chmod`: octal bits, or changes as in `u=rwX,go-w`.

use crate::graph::Chmod;

/// The mode of a copy of something with `mode`.
pub(crate) fn apply(chmod: Option<&Chmod>, mode: u32, directory: bool) -> u32 {
    match chmod {
        None => mode,
        Some(Chmod::Octal(bits)) => bits & 0o7777,
        Some(Chmod::Symbolic(text)) => text
            .split(',')
            .fold(mode, |mode, clause| change(clause, mode, directory)),
    }
}

/// One clause: whom it concerns, then one or several changes.
fn change(clause: &str, mode: u32, directory: bool) -> u32 {
    let whom: u32 = clause
        .chars()
        .take_while(|letter| "ugoa".contains(*letter))
        .map(|letter| match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            _ => 0o7777,
        })
        .fold(0, |all, bits| all | bits);
    let whom = if whom == 0 { 0o7777 } else { whom };
    let mut mode = mode;
    let mut rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    while let Some(operator) = rest.chars().next() {
        let after = &rest[operator.len_utf8()..];
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        let bits = after[..end]
            .chars()
            .map(|letter| bits(letter, mode, directory))
            .fold(0, |all, bits| all | bits)
            & whom;
        mode = match operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            // Special bits of a directory stay unless they are named, as the tools of the system have it.
            _ => (mode & !(whom & 0o777)) & !(if directory { 0 } else { whom & 0o7000 }) | bits,
        };
        rest = &after[end..];
    }
    mode
}

fn bits(letter: char, mode: u32, directory: bool) -> u32 {
    let spread = |three: u32| three | three << 3 | three << 6;
    match letter {
        'r' => 0o444,
        'w' => 0o222,
        'x' => 0o111,
        'X' if directory || mode & 0o111 != 0 => 0o111,
        's' => 0o6000,
        't' => 0o1000,
        'u' => spread(mode >> 6 & 7),
        'g' => spread(mode >> 3 & 7),
        'o' => spread(mode & 7),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for (text, mode, directory, wanted) in [
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o755, true, 0o700),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("a=r", 0o777, false, 0o444),
            ("g=u", 0o640, false, 0o660),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, false, 0o2755),
            ("+t", 0o755, true, 0o1755),
            ("u+x-w", 0o644, false, 0o544),
        ] {
            let chmod = Chmod::Symbolic(text.to_owned());
            let got = apply(Some(&chmod), mode, directory);
            assert_eq!(got, wanted, "{text} {mode:o} gives {got:o}");
        }
        assert_eq!(apply(Some(&Chmod::Octal(0o4755)), 0o600, false), 0o4755);
        assert_eq!(apply(None, 0o4600, false), 0o4600);
    }
}
