//! Laying one document over another, with Compose's rule for each place.

use crate::diagnostic::Diagnostic;
use crate::yaml::{Entry, Mapping, MergeTag, Node, Value};

/// How values meet at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Mappings by key, lists appended, scalars replaced.
    Default,
    /// The later one is taken whole.
    Replace,
    /// `KEY=VALUE` lists and mappings are the same; the later value of a key wins.
    Pairs,
    /// A single value is a list of one; lists are appended.
    List,
    /// `name: address` and `name=address` are the same; nothing is replaced.
    Hosts,
    /// A list of names is a mapping of names to nothing.
    Names,
    /// Options are merged only while the driver stays the same.
    Logging,
    /// Subnets: the later list wins unless it speaks of the same subnet.
    Pools,
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => {
            Rule::Replace
        }
        ["services", _, "ulimits", _] => Rule::Replace,
        [
            "services",
            _,
            "environment" | "labels" | "annotations" | "sysctls",
        ]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes" | "configs" | "secrets", _, "labels"] => Rule::Pairs,
        [
            "services",
            _,
            "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "tmpfs",
        ] => Rule::List,
        ["services", _, "extra_hosts"] => Rule::Hosts,
        ["services", _, "depends_on" | "networks" | "models"] => Rule::Names,
        ["services", _, "logging"] => Rule::Logging,
        ["networks", _, "ipam", "config"] => Rule::Pools,
        _ => Rule::Default,
    }
}

/// Lays `over` onto `base`.
pub(crate) fn merge(base: Node, over: Node, faults: &mut Vec<Diagnostic>) -> Node {
    at(base, over, &mut Vec::new(), faults)
}

/// Lays one service onto another, as `extends` does.
pub(crate) fn merge_service(base: Node, over: Node, faults: &mut Vec<Diagnostic>) -> Node {
    at(
        base,
        over,
        &mut vec!["services".to_owned(), "*".to_owned()],
        faults,
    )
}

/// Deletes what `!reset` still marks once everything is merged.
pub(crate) fn drop_resets(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
            items.iter_mut().for_each(drop_resets);
        }
        Value::Mapping(mapping) => {
            mapping.retain(|_, entry| entry.value.tag != Some(MergeTag::Reset));
            mapping
                .values_mut()
                .for_each(|entry| drop_resets(&mut entry.value));
        }
    }
}

fn at(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    if over.tag.is_some() || base.tag == Some(MergeTag::Reset) || base.is_null() {
        return over;
    }
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    let rule = rule(&segments);
    // Nothing on top of something changes nothing; only a variable without value is a statement.
    if over.is_null() && rule != Rule::Replace {
        return base;
    }
    match rule {
        Rule::Replace => over,
        Rule::Default => default(base, over, path, faults),
        Rule::Pairs => pairs(base, over, faults),
        Rule::List => default(as_list(base), as_list(over), path, faults),
        Rule::Hosts => hosts(base, over, faults),
        Rule::Names => default(names_to_map(base), names_to_map(over), path, faults),
        Rule::Logging => logging(base, over, path, faults),
        Rule::Pools => pools(base, over, path, faults),
    }
}

fn default(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    let span = over.span;
    let (base_kind, over_kind, base_span) = (base.kind(), over.kind(), base.span);
    match (base.value, over.value) {
        (Value::Scalar(_), value @ Value::Scalar(_)) => Node::new(value, span),
        (Value::Sequence(mut items), Value::Sequence(more)) => {
            items.extend(more);
            Node::new(Value::Sequence(items), span)
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
    if entry.value.tag == Some(MergeTag::Reset) {
        mapping.shift_remove(&key);
        return;
    }
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

fn pairs(base: Node, over: Node, faults: &mut Vec<Diagnostic>) -> Node {
    let span = over.span;
    match (pairs_to_map(base), pairs_to_map(over)) {
        (Ok(mut base), Ok(over)) => {
            for (key, entry) in over {
                if entry.value.tag == Some(MergeTag::Reset) {
                    base.shift_remove(&key);
                } else {
                    base.insert(key, entry);
                }
            }
            Node::new(Value::Mapping(base), span)
        }
        // Something else than pairs: whatever it is, the decoder refuses it with its place.
        (Err(base), Ok(over)) => default(
            base,
            Node::new(Value::Mapping(over), span),
            &mut vec![],
            faults,
        ),
        (_, Err(over)) => over,
    }
}

/// A mapping, or a list of `KEY=VALUE`, as a mapping. A key alone maps to nothing.
pub(crate) fn pairs_to_map(node: Node) -> Result<Mapping, Node> {
    let items = match node.value {
        Value::Mapping(mapping) => return Ok(mapping),
        Value::Sequence(items) => items,
        Value::Scalar(_) => return Err(node),
    };
    let mut mapping = Mapping::new();
    for item in items {
        let Value::Scalar(scalar) = &item.value else {
            return Err(item);
        };
        let (key, value) = match scalar.text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Node::text(value, item.span)),
            None => (scalar.text.clone(), Node::null(item.span)),
        };
        mapping.insert(
            key,
            Entry {
                key_span: item.span,
                value,
            },
        );
    }
    Ok(mapping)
}

fn as_list(node: Node) -> Node {
    match node.value {
        Value::Sequence(_) => node,
        _ => Node {
            span: node.span,
            tag: None,
            value: Value::Sequence(vec![node]),
        },
    }
}

/// A list of names as a mapping of names to nothing.
fn names_to_map(node: Node) -> Node {
    let Value::Sequence(items) = node.value else {
        return node;
    };
    let entries = items.into_iter().filter_map(|item| match &item.value {
        Value::Scalar(scalar) => {
            let entry = Entry {
                key_span: item.span,
                value: Node::null(item.span),
            };
            Some((scalar.text.clone(), entry))
        }
        _ => None,
    });
    Node {
        value: Value::Mapping(entries.collect()),
        span: node.span,
        tag: node.tag,
    }
}

/// Both sides as `name=address` items, without exact repetitions.
fn hosts(base: Node, over: Node, faults: &mut Vec<Diagnostic>) -> Node {
    let span = over.span;
    let mut items = hosts_to_list(base, faults);
    for item in hosts_to_list(over, faults) {
        if !items.iter().any(|known| known.value == item.value) {
            items.push(item);
        }
    }
    Node::new(Value::Sequence(items), span)
}

/// The `name=address` items of either form of `extra_hosts`.
pub(crate) fn hosts_to_list(node: Node, faults: &mut Vec<Diagnostic>) -> Vec<Node> {
    let wrong = |node: &Node| {
        Diagnostic::error("compose::wrong-type", "an extra host is `name=address`")
            .at(node.span, format!("this is {}", node.kind()))
    };
    let mut out = Vec::new();
    match node.value {
        Value::Sequence(items) => out = items,
        Value::Mapping(mapping) => {
            for (name, entry) in mapping {
                let addresses = match entry.value.value {
                    Value::Sequence(items) => items,
                    _ => vec![entry.value],
                };
                for address in addresses {
                    match &address.value {
                        Value::Scalar(scalar) => {
                            out.push(Node::text(format!("{name}={}", scalar.text), address.span));
                        }
                        _ => faults.push(wrong(&address)),
                    }
                }
            }
        }
        Value::Scalar(_) => faults.push(wrong(&node)),
    }
    out
}

fn logging(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    let driver = |node: &Node| node.get("driver").and_then(|d| d.resolved()?.to_text());
    match (driver(&base), driver(&over)) {
        (Some(before), Some(after)) if before != after => over,
        _ => default(base, over, path, faults),
    }
}

fn pools(base: Node, over: Node, path: &mut Vec<String>, faults: &mut Vec<Diagnostic>) -> Node {
    let span = over.span;
    let (Value::Sequence(before), Value::Sequence(after)) = (&base.value, &over.value) else {
        return default(base, over, path, faults);
    };
    let subnet = |node: &Node| node.get("subnet").and_then(|s| s.resolved()?.to_text());
    let merged = after.iter().map(|pool| {
        match before
            .iter()
            .find(|old| subnet(old).is_some() && subnet(old) == subnet(pool))
        {
            Some(old) => default(old.clone(), pool.clone(), path, faults),
            None => pool.clone(),
        }
    });
    Node::new(Value::Sequence(merged.collect()), span)
}
