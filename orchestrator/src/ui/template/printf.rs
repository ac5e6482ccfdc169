//! Go's `printf`, for the verbs that make sense with JSON.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::value::{kind, show};

/// What stands between `%` and the verb.
#[derive(Default)]
struct Spec {
    left: bool,
    zeros: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

/// Widest field; a wider one is a slip of the keyboard.
const WIDEST: usize = 4096;

/// Formats; a verb without a value, or a value without a verb, shows in the text as it does in Go.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let spec = Spec::read(&mut letters);
        match letters.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&spec.show(verb, value)),
            },
        }
    }
    let extra: Vec<String> = values
        .map(|value| format!("{}={}", kind(value), show(value)))
        .collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn digits(letters: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut text = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    text.parse::<usize>().ok().map(|number| number.min(WIDEST))
}

impl Spec {
    fn read(letters: &mut Peekable<Chars<'_>>) -> Self {
        let mut spec = Self::default();
        while let Some(flag) = letters.next_if(|letter| "-0+# ".contains(*letter)) {
            spec.left |= flag == '-';
            spec.zeros |= flag == '0';
            spec.plus |= flag == '+';
        }
        spec.width = digits(letters).unwrap_or(0);
        if letters.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(letters).unwrap_or(0));
        }
        spec
    }

    fn show(&self, verb: char, value: &Value) -> String {
        let text = match (verb, value) {
            ('v', value) => show(value),
            ('s', value) => {
                let text = show(value);
                match self.precision {
                    Some(length) => text.chars().take(length).collect(),
                    None => text,
                }
            }
            ('q', Value::String(text)) => format!("{text:?}"),
            ('t', Value::Bool(bool)) => bool.to_string(),
            ('d', Value::Number(number)) if !number.is_f64() => number.to_string(),
            ('x' | 'X' | 'o' | 'b', Value::Number(number)) if number.is_u64() => {
                radix(verb, number.as_u64().unwrap_or(0))
            }
            ('f' | 'F', Value::Number(number)) => {
                let places = self.precision.unwrap_or(6);
                format!("{:.places$}", number.as_f64().unwrap_or(0.0))
            }
            ('e' | 'g', Value::Number(number)) => number.to_string(),
            (verb, value) => return format!("%!{verb}({}={})", kind(value), show(value)),
        };
        let signed = self.plus && value.is_number() && !text.starts_with('-');
        self.pad(
            if signed { format!("+{text}") } else { text },
            value.is_number(),
        )
    }

    fn pad(&self, text: String, number: bool) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if self.left {
            format!("{text}{}", " ".repeat(missing))
        } else if self.zeros && number {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text.as_str()),
            };
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{text}", " ".repeat(missing))
        }
    }
}

fn radix(verb: char, number: u64) -> String {
    match verb {
        'x' => format!("{number:x}"),
        'X' => format!("{number:X}"),
        'o' => format!("{number:o}"),
        _ => format!("{number:b}"),
    }
}
