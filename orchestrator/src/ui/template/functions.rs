//! The functions of Go's templates, and those that Docker adds.

use serde_json::Value;

use super::eval::Found;
use super::printf::printf;
use super::value::{kind, order, same, show};
use super::{Fault, Offset};

/// Every function there is.
pub(super) const NAMES: &[&str] = &[
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print",
    "printf", "println", "json", "join", "split", "lower", "upper", "title", "pad", "truncate",
    "html", "js", "urlquery",
];

/// Calls one of [`NAMES`].
pub(super) fn call(name: &str, at: usize, given: Vec<Found>) -> Offset<Found> {
    let call = Call { name, at };
    match name {
        // Had one decided, it would not have come to this.
        "and" | "or" => {
            return given
                .into_iter()
                .next_back()
                .ok_or_else(|| call.count("one value or more", 0));
        }
        "not" => {
            let [one] = call.exactly(given, "one value")?;
            return Ok(Found::Value((!one.truth()).into()));
        }
        "index" => return call.index(given),
        "json" => {
            let [one] = call.exactly(given, "one value")?;
            let value = one.value().unwrap_or(Value::Null);
            return Ok(Found::Value(value.to_string().into()));
        }
        "eq" | "ne" => {
            // Nothing is equal to nothing, so what is missing may be compared.
            let values = given
                .into_iter()
                .map(|found| found.value().unwrap_or(Value::Null));
            return call.compare(values.collect()).map(Found::Value);
        }
        _ => {}
    }
    let values: Vec<Value> = given.into_iter().map(Found::value).collect::<Offset<_>>()?;
    let value = match name {
        "lt" | "le" | "gt" | "ge" => call.order(&values)?.into(),
        "len" => call.length(&values)?.into(),
        "slice" => call.slice(&values)?,
        "print" => print(&values).into(),
        "println" => {
            let words: Vec<String> = values.iter().map(show).collect();
            format!("{}\n", words.join(" ")).into()
        }
        "printf" => match values.split_first() {
            Some((Value::String(format), values)) => printf(format, values).into(),
            Some((other, _)) => return Err(call.kind(other)),
            None => return Err(call.count("a format and values", 0)),
        },
        "join" => call.join(&values)?.into(),
        "split" => {
            let [text, separator] = call.texts(&values, "a text and a separator")?;
            let parts = text
                .split(separator)
                .map(|part| Value::String(part.to_owned()));
            Value::Array(parts.collect())
        }
        "pad" | "truncate" => call.fit(&values)?.into(),
        name => {
            let [text] = call.texts(&values, "one text")?;
            one_text(name, text).into()
        }
    };
    Ok(Found::Value(value))
}

/// As Go's `print`: a space between two values where neither is a text.
fn print(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !value.is_string() && !values[index - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&show(value));
    }
    out
}

fn one_text(name: &str, text: &str) -> String {
    match name {
        "lower" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "title" => title(text),
        "html" => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;"),
        "js" => text
            .replace('\\', r"\\")
            .replace('\'', r"\'")
            .replace('"', "\\\"")
            .replace('<', r"\u003C")
            .replace('>', r"\u003E")
            .replace('&', r"\u0026")
            .replace('=', r"\u003D"),
        _ => url_query(text),
    }
}

fn title(text: &str) -> String {
    let mut begins = true;
    let letter = |letter: char| {
        let shown = if begins {
            letter.to_uppercase().collect::<String>()
        } else {
            letter.to_string()
        };
        begins = letter.is_whitespace();
        shown
    };
    text.chars().map(letter).collect()
}

fn url_query(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The function that is called, for its errors.
#[derive(Clone, Copy)]
struct Call<'n> {
    name: &'n str,
    at: usize,
}

impl Call<'_> {
    fn count(self, wanted: &'static str, given: usize) -> (usize, Fault) {
        let function = self.name.to_owned();
        (
            self.at,
            Fault::Count {
                function,
                wanted,
                given,
            },
        )
    }

    fn kind(self, value: &Value) -> (usize, Fault) {
        let function = self.name.to_owned();
        (
            self.at,
            Fault::Kind {
                function,
                kind: kind(value),
            },
        )
    }

    fn exactly<const N: usize>(
        self,
        given: Vec<Found>,
        wanted: &'static str,
    ) -> Offset<[Found; N]> {
        let count = given.len();
        given.try_into().map_err(|_| self.count(wanted, count))
    }

    fn texts<'v, const N: usize>(
        self,
        values: &'v [Value],
        wanted: &'static str,
    ) -> Offset<[&'v str; N]> {
        let texts: Vec<&str> = values
            .iter()
            .map(|value| value.as_str().ok_or_else(|| self.kind(value)))
            .collect::<Offset<_>>()?;
        let count = texts.len();
        texts.try_into().map_err(|_| self.count(wanted, count))
    }

    /// `eq a b c` is true when `a` is one of the others.
    fn compare(self, values: Vec<Value>) -> Offset<Value> {
        let count = values.len();
        let Some((first, others)) = values.split_first().filter(|(_, rest)| !rest.is_empty())
        else {
            return Err(self.count("two values or more", count));
        };
        if self.name == "ne" {
            return match others {
                [other] => Ok((!same(first, other)).into()),
                _ => Err(self.count("two values", count)),
            };
        }
        Ok(others.iter().any(|other| same(first, other)).into())
    }

    fn order(self, values: &[Value]) -> Offset<bool> {
        let [left, right] = values else {
            return Err(self.count("two values", values.len()));
        };
        let order = order(left, right).ok_or_else(|| self.kind(right))?;
        Ok(match self.name {
            "lt" => order.is_lt(),
            "le" => order.is_le(),
            "gt" => order.is_gt(),
            _ => order.is_ge(),
        })
    }

    fn length(self, values: &[Value]) -> Offset<usize> {
        match values {
            // Go counts bytes.
            [Value::String(text)] => Ok(text.len()),
            [Value::Array(list)] => Ok(list.len()),
            [Value::Object(map)] => Ok(map.len()),
            [Value::Null] => Ok(0),
            [other] => Err(self.kind(other)),
            _ => Err(self.count("one value", values.len())),
        }
    }

    /// `index x 1 "a"` is `x[1]["a"]`; a key that is not there is nothing.
    fn index(self, given: Vec<Found>) -> Offset<Found> {
        let count = given.len();
        let mut given = given.into_iter();
        let Some(first) = given.next() else {
            return Err(self.count("a value and keys", count));
        };
        let mut value = first.value()?;
        for key in given {
            let key = key.value()?;
            value = match (&value, &key) {
                (Value::Object(map), Value::String(key)) => {
                    map.get(key).cloned().unwrap_or_else(|| "".into())
                }
                (Value::Array(list), Value::Number(index)) => {
                    let place = self.place(index.as_i64().unwrap_or(-1), list.len())?;
                    list.get(place)
                        .cloned()
                        .ok_or_else(|| self.outside(place, list.len()))?
                }
                (Value::Null, _) => return Err(self.kind(&value)),
                (_, key) => return Err(self.kind(key)),
            };
        }
        Ok(Found::Value(value))
    }

    fn outside(self, place: usize, length: usize) -> (usize, Fault) {
        let index = i64::try_from(place).unwrap_or(i64::MAX);
        (self.at, Fault::Range { index, length })
    }

    /// An index up to the length, which a slice may end at.
    fn place(self, index: i64, length: usize) -> Offset<usize> {
        match usize::try_from(index) {
            Ok(place) if place <= length => Ok(place),
            _ => Err((self.at, Fault::Range { index, length })),
        }
    }

    fn slice(self, values: &[Value]) -> Offset<Value> {
        let Some((value, bounds)) = values.split_first().filter(|(_, bounds)| bounds.len() < 3)
        else {
            return Err(self.count("a value and up to two places", values.len()));
        };
        let length = self.length(std::slice::from_ref(value))?;
        let bound = |index: usize, default: usize| match bounds.get(index) {
            None => Ok(default),
            Some(bound) => {
                let bound = bound.as_i64().ok_or_else(|| self.kind(bound))?;
                self.place(bound, length)
            }
        };
        let (from, to) = (bound(0, 0)?, bound(1, length)?);
        let from = from.min(to);
        match value {
            Value::Array(list) => Ok(Value::Array(list[from..to].to_vec())),
            Value::String(text) => {
                let bytes = &text.as_bytes()[from..to];
                Ok(String::from_utf8_lossy(bytes).into_owned().into())
            }
            other => Err(self.kind(other)),
        }
    }

    fn join(self, values: &[Value]) -> Offset<String> {
        match values {
            [Value::Array(list), Value::String(separator)] => {
                let parts: Vec<String> = list.iter().map(show).collect();
                Ok(parts.join(separator))
            }
            [Value::Null, Value::String(_)] => Ok(String::new()),
            [other, _] => Err(self.kind(other)),
            _ => Err(self.count("a list and a separator", values.len())),
        }
    }

    /// `pad TEXT LEFT RIGHT` puts spaces around, `truncate TEXT LENGTH` cuts; an empty text stays.
    fn fit(self, values: &[Value]) -> Offset<String> {
        let size = |value: &Value| {
            let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
            size.filter(|size| *size <= 4096)
                .ok_or_else(|| self.kind(value))
        };
        match (self.name, values) {
            ("pad", [Value::String(text), left, right]) => {
                let (left, right) = (size(left)?, size(right)?);
                Ok(if text.is_empty() {
                    String::new()
                } else {
                    format!("{}{text}{}", " ".repeat(left), " ".repeat(right))
                })
            }
            ("truncate", [Value::String(text), length]) => {
                Ok(text.chars().take(size(length)?).collect())
            }
            (_, [other, _] | [other, _, _]) if !other.is_string() => Err(self.kind(other)),
            ("pad", _) => Err(self.count("a text and two widths", values.len())),
            _ => Err(self.count("a text and a length", values.len())),
        }
    }
}
