//! Applying a template.

use serde_json::{Map, Value};

use super::functions;
use super::parse::{Node, Operand, Pipe, Term};
use super::value::{kind, label, show, truth};
use super::{Fault, Offset};

/// A value while a template is applied.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Value(Value),
    /// A field that is not there: false in conditions, the error everywhere else.
    Missing(usize, Fault),
}

impl Found {
    pub(super) fn value(self) -> Offset<Value> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Missing(at, fault) => Err((at, fault)),
        }
    }

    pub(super) fn truth(&self) -> bool {
        matches!(self, Self::Value(value) if truth(value))
    }
}

/// What a node does to the loop around it.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Scope<'r> {
    root: &'r Value,
    variables: Vec<(String, Value)>,
    out: String,
}

/// The text that a template makes of a value.
pub(super) fn render(nodes: &[Node], root: &Value) -> Offset<String> {
    let mut scope = Scope {
        root,
        variables: Vec::new(),
        out: String::new(),
    };
    scope.nodes(nodes, root)?;
    Ok(scope.out)
}

impl Scope<'_> {
    /// Variables set inside end with it.
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Offset<Flow> {
        let before = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(before);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Offset<Flow> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Show(pipe) => {
                let found = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    let text = show(&found.value()?);
                    self.out.push_str(&text);
                } else {
                    self.set(pipe, vec![found.value()?])?;
                }
            }
            Node::If {
                branches,
                otherwise,
            } => return self.branch(branches, otherwise, dot, false),
            Node::With {
                branches,
                otherwise,
            } => return self.branch(branches, otherwise, dot, true),
            Node::Range {
                over,
                each,
                otherwise,
            } => self.range(over, each, otherwise, dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    /// The first branch whose condition is true; `with` makes that condition the dot.
    fn branch(
        &mut self,
        branches: &[(Pipe, Vec<Node>)],
        otherwise: &[Node],
        dot: &Value,
        with: bool,
    ) -> Offset<Flow> {
        let before = self.variables.len();
        for (condition, nodes) in branches {
            let found = self.pipe(condition, dot)?;
            if !condition.variables.is_empty() {
                let value = found.clone().value().unwrap_or(Value::Null);
                self.set(condition, vec![value])?;
            }
            if found.truth() {
                let value = if with { found.value()? } else { dot.clone() };
                let flow = self.nodes(nodes, &value)?;
                self.variables.truncate(before);
                return Ok(flow);
            }
        }
        let flow = self.nodes(otherwise, dot)?;
        self.variables.truncate(before);
        Ok(flow)
    }

    fn range(&mut self, over: &Pipe, each: &[Node], otherwise: &[Node], dot: &Value) -> Offset<()> {
        let entries = match self.pipe(over, dot)? {
            // What an engine leaves out is an empty list.
            Found::Missing(..) => Vec::new(),
            Found::Value(value) => entries(over.at, value)?,
        };
        if entries.is_empty() {
            self.nodes(otherwise, dot)?;
        }
        for (key, value) in entries {
            let before = self.variables.len();
            match over.variables.len() {
                0 => {}
                1 => self.set(over, vec![value.clone()])?,
                _ => self.set(over, vec![key, value.clone()])?,
            }
            let flow = self.nodes(each, &value)?;
            if !over.assigns {
                self.variables.truncate(before);
            }
            if flow == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn set(&mut self, pipe: &Pipe, values: Vec<Value>) -> Offset<()> {
        for (name, value) in pipe.variables.iter().zip(values) {
            if !pipe.assigns {
                self.variables.push((name.clone(), value));
                continue;
            }
            let known = self.variables.iter_mut().rev().find(|(n, _)| n == name);
            let (_, slot) = known.ok_or_else(|| (pipe.at, Fault::Variable(name.clone())))?;
            *slot = value;
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Offset<Found> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last, dot)?);
        }
        Ok(last.unwrap_or(Found::Value(Value::Null)))
    }

    fn command(
        &mut self,
        operands: &[Operand],
        piped: Option<Found>,
        dot: &Value,
    ) -> Offset<Found> {
        let Some((first, rest)) = operands.split_first() else {
            return Ok(Found::Value(Value::Null));
        };
        if let Term::Function(name) = &first.term {
            return self.call(name, first, rest, piped, dot);
        }
        if rest.is_empty() && piped.is_none() {
            return self.operand(first, dot);
        }
        self.method(first, rest, dot)
    }

    /// `.Label "key"` is the one method there is.
    fn method(&mut self, first: &Operand, rest: &[Operand], dot: &Value) -> Offset<Found> {
        let Some(((at, name), fields)) = first.fields.split_last() else {
            return Err((first.at, Fault::NotFunction));
        };
        if name != "Label" || rest.len() != 1 {
            return Err((*at, Fault::NotFunction));
        }
        let holder = Operand {
            fields: fields.to_vec(),
            ..first.clone()
        };
        let holder = self.operand(&holder, dot)?.value()?;
        let key = show(&self.operand(&rest[0], dot)?.value()?);
        let found = holder.get("Labels").and_then(|labels| label(labels, &key));
        Ok(Found::Value(Value::String(found.unwrap_or_default())))
    }

    fn call(
        &mut self,
        name: &str,
        first: &Operand,
        rest: &[Operand],
        piped: Option<Found>,
        dot: &Value,
    ) -> Offset<Found> {
        if !functions::NAMES.contains(&name) {
            return Err((first.at, Fault::Function(name.to_owned())));
        }
        // These two stop at the first value that decides.
        let decides = match name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        };
        let mut values = Vec::new();
        for operand in rest {
            let found = self.operand(operand, dot)?;
            if decides.is_some_and(|decides| found.truth() == decides) {
                return Ok(found);
            }
            values.push(found);
        }
        values.extend(piped);
        let found = functions::call(name, first.at, values)?;
        match (&first.fields[..], found) {
            ([], found) => Ok(found),
            (fields, Found::Value(value)) => Ok(lookup(&value, fields)),
            (_, missing) => Ok(missing),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Offset<Found> {
        let base = match &operand.term {
            Term::Dot => return Ok(lookup(dot, &operand.fields)),
            Term::Variable(name) if name == "$" => self.root.clone(),
            Term::Variable(name) => {
                let known = self.variables.iter().rev().find(|(n, _)| n == name);
                let missing = || (operand.at, Fault::Variable(name.clone()));
                known.ok_or_else(missing)?.1.clone()
            }
            Term::Literal(value) => value.clone(),
            Term::Function(name) => return self.call(name, operand, &[], None, dot),
            Term::Pipe(pipe) => match self.pipe(pipe, dot)? {
                Found::Value(value) => value,
                missing => return Ok(missing),
            },
        };
        Ok(lookup(&base, &operand.fields))
    }
}

fn lookup(base: &Value, fields: &[(usize, String)]) -> Found {
    let mut value = base;
    for (at, name) in fields {
        let Some(next) = value.get(name) else {
            return Found::Missing(*at, no_field(value, name));
        };
        value = next;
    }
    Found::Value(value.clone())
}

fn no_field(value: &Value, name: &str) -> Fault {
    let Value::Object(map) = value else {
        return Fault::Kind {
            function: format!(".{name}"),
            kind: kind(value),
        };
    };
    Fault::Field {
        field: name.to_owned(),
        similar: similar(map, name),
    }
}

/// A field that differs in case only, or that one begins with.
fn similar(map: &Map<String, Value>, name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let begins = |key: &&String| {
        let key = key.to_lowercase();
        key == lower || key.starts_with(&lower) || lower.starts_with(&key)
    };
    map.keys().find(begins).cloned()
}

/// What `range` goes through: a list, an object by its sorted keys, or the numbers below one.
fn entries(at: usize, value: Value) -> Offset<Vec<(Value, Value)>> {
    let numbered = |list: Vec<Value>| {
        let pairs = list.into_iter().enumerate();
        pairs.map(|(index, value)| (index.into(), value)).collect()
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => Ok(numbered(list)),
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(pairs
                .into_iter()
                .map(|(key, value)| (Value::String(key), value))
                .collect())
        }
        Value::Number(number) if number.as_u64().is_some_and(|count| count <= 1 << 16) => {
            let count = number.as_u64().unwrap_or(0);
            Ok(numbered((0..count).map(Value::from).collect()))
        }
        other => Err((
            at,
            Fault::Kind {
                function: "range".into(),
                kind: kind(&other),
            },
        )),
    }
}
