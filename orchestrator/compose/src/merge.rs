//! Laying one document over another, with Compose's rule for each place.

use std::collections::HashSet;

use crate::diagnostic::Diagnostic;
use crate::yaml::{Entry, Mapping, Node, Resolved, Value};

/// How values meet at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Mappings by key; lists appended, what is there already but once; scalars replaced.
    Default,
    /// The later one is taken whole.
    Replace,
    /// Mappings are lists of `KEY=VALUE`, single values lists of one; lists are appended.
    List,
    /// The same, but what is there already is not added again.
    Hosts,
    /// A list of names is a mapping of names to nothing.
    Names,
    /// A list of services is a mapping of services to the usual condition.
    Dependencies,
    /// A string is the context.
    Build,
    /// Options are merged only while the driver stays the same.
    Logging,
    /// Subnets: the later list wins unless it speaks of the same subnet.
    Pools,
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["networks" | "volumes", _, "labels"] => Rule::List,
        ["networks", _, "ipam", "config"] => Rule::Pools,
        ["services", _, rest @ ..] => service_rule(rest),
        _ => Rule::Default,
    }
}

fn service_rule(path: &[&str]) -> Rule {
    match path {
        ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
        [
            "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "environment"
            | "label_file" | "labels" | "sysctls" | "tmpfs",
        ]
        | ["build", "args" | "additional_contexts" | "labels"]
        | ["deploy", "labels"]
        | ["volumes", _, "volume", "labels"] => Rule::List,
        ["extra_hosts"] | ["build", "extra_hosts"] => Rule::Hosts,
        ["networks" | "models"] => Rule::Names,
        ["depends_on"] => Rule::Dependencies,
        ["build"] => Rule::Build,
        ["logging"] => Rule::Logging,
        _ => Rule::Default,
    }
}

/// Lays `over` onto `base`.
pub(crate) fn merge(base: Node, over: Node, faults: &mut Vec<Diagnostic>) -> Node {
    at(base, over, &mut Vec::new(), faults)
}

/// Lays one entry of a section onto another, as `extends` and `include` do.
pub(crate) fn merge_entry_of(
    section: &str,
    name: &str,
    base: Node,
    over: Node,
    faults: &mut Vec<Diagnostic>,
) -> Node {
    let mut path = vec![section.to_owned(), name.to_owned()];
    at(base, over, &mut path, faults)
}

fn at(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let rule = rule(&segments);
    if rule == Rule::Replace {
        return over;
    }
    if over.is_null() {
        return base;
    }
    if base.is_null() {
        return over;
    }
    match rule {
        Rule::Default | Rule::Replace => default(base, over, path, faults),
        Rule::List => list(base, over),
        Rule::Hosts => hosts(base, over),
        Rule::Names => default(names(base, false), names(over, false), path, faults),
        Rule::Dependencies => default(names(base, true), names(over, true), path, faults),
        Rule::Build => default(context(base), context(over), path, faults),
        Rule::Logging => logging(base, over, path, faults),
        Rule::Pools => pools(base, over, path, faults),
    }
}

fn default(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    let span = over.span;
    let (base_kind, over_kind, base_span) = (base.kind(), over.kind(), base.span);
    match (base.value, over.value) {
        (Value::Scalar(_), value) => Node::new(value, span),
        (Value::Sequence(items), Value::Sequence(more)) => {
            Node::new(Value::Sequence(joined(items, more)), span)
        }
        (Value::Mapping(mut mapping), Value::Mapping(more)) => {
            for (key, entry) in more {
                path.push(key.clone());
                merge_entry(&mut mapping, key, entry, path, faults);
                path.pop();
            }
            Node::new(Value::Mapping(mapping), span)
        }
        (value, _) => {
            let name = path.join(".");
            faults.push(
                Diagnostic::error(
                    "compose::merge",
                    format!("`{name}` is {over_kind} here and {base_kind} in the file before"),
                )
                .at(span, format!("{over_kind} cannot be laid over {base_kind}"))
                .context(base_span, "the value before")
                .help("write `!override` before the value to replace what was there"),
            );
            // What was there stays, so that the rest of the project can be checked too.
            Node::new(value, base_span)
        }
    }
}

fn merge_entry(
    mapping: &mut Mapping,
    key: String,
    entry: Entry,
    path: &mut Vec<String>,
    faults: &mut Vec<Diagnostic>,
) {
    match mapping.get_mut(&key) {
        None => {
            mapping.insert(key, entry);
        }
        Some(existing) => {
            let span = existing.value.span;
            let base = std::mem::replace(&mut existing.value, Node::null(span));
            existing.value = at(base, entry.value, path, faults);
            existing.key_span = entry.key_span;
        }
    }
}

/// The items of both, those of the second that the first has not yet.
fn joined(mut items: Vec<Node>, more: Vec<Node>) -> Vec<Node> {
    let known: HashSet<String> = items.iter().map(Node::fingerprint).collect();
    items.extend(
        more.into_iter()
            .filter(|item| !known.contains(&item.fingerprint())),
    );
    items
}

fn list(base: Node, over: Node) -> Node {
    let span = over.span;
    let mut items = to_items(base);
    items.extend(to_items(over));
    Node::new(Value::Sequence(items), span)
}

fn hosts(base: Node, over: Node) -> Node {
    let span = over.span;
    let items = joined(to_items(base), to_items(over));
    Node::new(Value::Sequence(items), span)
}

/// A list as it is, a mapping as sorted `KEY=VALUE` items, a string as a list of one.
pub(crate) fn to_items(node: Node) -> Vec<Node> {
    let mapping = match node.value {
        Value::Sequence(items) => return items,
        Value::Scalar(_) => return vec![node],
        Value::Mapping(mapping) => mapping,
    };
    let mut items: Vec<Node> = Vec::new();
    for (key, entry) in mapping {
        let span = entry.value.span;
        let text = |value: &Node| {
            let value = value.resolved().and_then(Resolved::to_text);
            value.map_or_else(|| key.clone(), |value| format!("{key}={value}"))
        };
        match &entry.value.value {
            Value::Sequence(values) => {
                items.extend(values.iter().map(|value| Node::text(text(value), span)));
            }
            _ if entry.value.is_null() => items.push(Node::text(key.clone(), entry.key_span)),
            _ => items.push(Node::text(text(&entry.value), span)),
        }
    }
    items.sort_by(|left, right| left.as_text().cmp(&right.as_text()));
    items
}

/// A list of names as a mapping of names to nothing, or to the usual dependency.
fn names(node: Node, dependency: bool) -> Node {
    let span = node.span;
    let Value::Sequence(items) = node.value else {
        return node;
    };
    let usual = |span| match dependency {
        false => Node::null(span),
        true => Node::mapped(
            [
                ("condition", Node::text("service_started", span)),
                ("required", Node::plain("true", span)),
            ],
            span,
        ),
    };
    let entries = items
        .iter()
        .filter_map(|item| Some((item.as_text()?.to_owned(), usual(item.span))));
    Node::mapped(entries.collect::<Vec<_>>(), span)
}

/// A build that is only a context as a mapping.
fn context(node: Node) -> Node {
    let span = node.span;
    match node.as_text() {
        Some(_) => Node::mapped([("context", node)], span),
        None => node,
    }
}

fn logging(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    let driver = |node: &Node| node.get("driver").and_then(|d| d.resolved()?.to_text());
    match (driver(&base), driver(&over)) {
        (Some(before), Some(after)) if before != after => over,
        _ => default(base, over, path, faults),
    }
}

/// The pools of both lists: those of the second, and of the first where the second speaks of the
/// same subnet.
fn pools(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    let span = over.span;
    let (Value::Sequence(before), Value::Sequence(after)) = (&base.value, &over.value) else {
        return default(base, over, path, faults);
    };
    let subnet = |node: &Node| node.get("subnet").and_then(|s| s.resolved()?.to_text());
    let mut out: Vec<Node> = Vec::new();
    for original in before {
        let mut original = original.clone();
        for pool in after {
            let known =
                |out: &[Node], of: &Node| out.iter().position(|other| subnet(other) == subnet(of));
            if subnet(pool) != subnet(&original) && known(&out, pool).is_none() {
                out.push(pool.clone());
                continue;
            }
            original = default(original, pool.clone(), path, faults);
            match known(&out, &original) {
                Some(place) => out[place] = original.clone(),
                None => out.push(original.clone()),
            }
        }
    }
    Node::new(Value::Sequence(out), span)
}
