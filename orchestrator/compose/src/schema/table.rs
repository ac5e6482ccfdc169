//! Reading the table.

use std::collections::BTreeMap;

use super::{Key, Keys, Map, Place, Type, Types};

/// The places of a table. What is malformed in it is left out, and a test sees that nothing is.
pub(super) fn read(text: &'static str) -> BTreeMap<&'static str, Place> {
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for (place, keys) in lines.filter_map(|line| line.split_once(':')) {
        for word in keys.split_whitespace() {
            if let Some(other) = word.strip_prefix('+') {
                let taken = places.get(other).cloned().unwrap_or_default();
                places.entry(place).or_default().extend(taken);
            } else if let Some((name, types)) = word.split_once('=') {
                let (name, required) = match name.strip_suffix('!') {
                    Some(name) => (name, true),
                    None => (name, false),
                };
                let types = Reader { rest: types }.types();
                let key = Key { required, types };
                places.entry(place).or_default().insert(name, key);
            }
        }
    }
    places
}

struct Reader {
    rest: &'static str,
}

impl Reader {
    fn eat(&mut self, mark: char) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'static str {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn types(&mut self) -> Types {
        let mut types = self.one();
        while self.eat('|') {
            types.extend(self.one());
        }
        types
    }

    /// What stands in parentheses, empty without them.
    fn arguments(&mut self) -> &'static str {
        if !self.eat('(') {
            return "";
        }
        let (inside, rest) = self.rest.split_once(')').unwrap_or((self.rest, ""));
        self.rest = rest;
        inside
    }

    fn one(&mut self) -> Types {
        if self.eat('[') {
            let inner = self.types();
            self.eat(']');
            let unique = self.eat('!');
            return vec![Type::List(inner, unique)];
        }
        if self.eat('{') {
            let closed = !self.eat('?');
            let keys = if let Some(rest) = self.rest.strip_prefix("name:") {
                self.rest = rest;
                Keys::Names
            } else if let Some(rest) = self.rest.strip_prefix("word:") {
                self.rest = rest;
                Keys::Words
            } else {
                Keys::Free
            };
            let values = self.types();
            self.eat('}');
            let map = Map {
                keys,
                closed,
                values,
            };
            return vec![Type::Map(map)];
        }
        if self.eat('@') {
            return vec![Type::Place(self.word())];
        }
        let word = self.word();
        let arguments = self.arguments();
        named(word, arguments)
    }
}

fn named(word: &str, arguments: &'static str) -> Types {
    let text = || Type::Text(Vec::new());
    let map = |values| {
        Type::Map(Map {
            keys: Keys::Free,
            closed: true,
            values,
        })
    };
    match word {
        "str" => {
            let words = arguments.split(',').filter(|word| !word.is_empty());
            vec![Type::Text(words.collect())]
        }
        "int" => {
            let (low, high) = arguments.split_once("..").unwrap_or(("", ""));
            vec![Type::Int(
                low.parse().unwrap_or(i64::MIN),
                high.parse().unwrap_or(i64::MAX),
            )]
        }
        "num" => vec![Type::Number],
        "bool" => vec![Type::Bool],
        "null" => vec![Type::Null],
        "any" => vec![Type::Any],
        "strings" => vec![Type::List(vec![text()], true)],
        "flag" => vec![Type::Bool, text()],
        "command" => vec![Type::Null, text(), Type::List(vec![text()], false)],
        "pairs" => {
            let values = vec![text(), Type::Number, Type::Bool, Type::Null];
            vec![map(values), Type::List(vec![text()], true)]
        }
        "hosts" => {
            let values = vec![text(), Type::List(vec![text()], false)];
            vec![map(values), Type::List(vec![text()], true)]
        }
        "pull_policy" => vec![Type::PullPolicy],
        "container_name" => vec![Type::ContainerName],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TABLE, places};
    use super::*;

    fn places_of(types: &[Type]) -> Vec<&'static str> {
        types
            .iter()
            .flat_map(|kind| match kind {
                Type::Place(name) => vec![*name],
                Type::List(inner, _) => places_of(inner),
                Type::Map(map) => places_of(&map.values),
                _ => Vec::new(),
            })
            .collect()
    }

    #[test]
    fn the_table_is_well_formed() {
        for (place, keys) in places() {
            for (name, key) in keys {
                assert!(!key.types.is_empty(), "{place}.{name} has no type");
                for other in places_of(&key.types) {
                    assert!(places().contains_key(other), "{place}.{name}: no {other}");
                }
            }
        }
        let words = TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(':'))
            .flat_map(|(_, keys)| keys.split_whitespace());
        for word in words {
            if let Some((_, types)) = word.split_once('=') {
                let mut reader = Reader { rest: types };
                reader.types();
                assert_eq!(reader.rest, "", "{word}");
            } else {
                assert!(word.starts_with('+'), "{word}");
            }
        }
    }

    #[test]
    fn types_are_read() {
        let read = |text| Reader { rest: text }.types();
        assert_eq!(
            read("num|str(a,b)"),
            [Type::Number, Type::Text(vec!["a", "b"])]
        );
        assert_eq!(read("int(0..100)"), [Type::Int(0, 100)]);
        assert_eq!(
            read("[@x|str]!"),
            [Type::List(
                vec![Type::Place("x"), Type::Text(Vec::new())],
                true
            )]
        );
        assert_eq!(
            read("{?word:int}"),
            [Type::Map(Map {
                keys: Keys::Words,
                closed: false,
                values: vec![Type::Int(i64::MIN, i64::MAX)]
            })]
        );
    }
}
