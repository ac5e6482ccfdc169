//! What speaks of one value, in the files.

use serde_json::Value as Json;

use super::layers::{self, Layer, Reader};
use super::{Asked, Kind, Part, Source, variables};
use crate::load::path;
use crate::source::Span;
use crate::yaml::{MergeTag, Node, Value};

/// What a document says about a path.
struct Found {
    span: Span,
    /// The value as it is written; `None` is a variable that is only named.
    text: Option<String>,
    /// The document says something about the whole list that the value is in.
    list: bool,
    tag: Option<MergeTag>,
}

impl Found {
    fn holds(&self, span: Span) -> bool {
        let same = self.span.source == span.source;
        same && self.span.start <= span.start && span.end <= self.span.end
    }
}

/// Everything that speaks of the value at a path.
pub(super) fn sources(
    asked: &Asked<'_>,
    reader: &Reader<'_>,
    steps: &[String],
    value: &Json,
) -> Vec<Source> {
    let service = match steps {
        [top, name, ..] if top == "services" => Some(name.as_str()),
        _ => None,
    };
    let layers = reader.layers(service);
    let item = asked.project.spans.get(&steps.join("/"));
    let mut out = Vec::new();
    let mut gone = false;
    for layer in &layers {
        let Some(mut found) = in_layer(layer, steps) else {
            continue;
        };
        if let (true, false, Some(item)) = (found.list, gone, item)
            && found.tag != Some(MergeTag::Reset)
        {
            // The loader knows which of the lists the item is from.
            if !found.holds(item.value) {
                gone |= found.tag.is_some();
                continue;
            }
            found.span = item.value;
            found.list = false;
        }
        let stronger = out
            .iter()
            .any(|source: &Source| source.part != Part::Removed);
        let part = match found.tag {
            _ if gone => Part::Removed,
            Some(MergeTag::Reset) => Part::Removed,
            _ if found.list => Part::Joins,
            _ if stronger => Part::Hidden,
            _ => Part::Wins,
        };
        gone |= found.tag.is_some();
        out.push(told(asked, reader, layer, &found, part, steps));
    }
    if out.iter().all(|source| source.part == Part::Removed) && !value.is_null() && !out.is_empty()
    {
        out.extend(default_after_removal());
    }
    match steps {
        [_, _, attribute, key] if attribute == "environment" => {
            named_files(
                asked,
                reader,
                &layers,
                ("env_file", Kind::EnvFile),
                key,
                &mut out,
            );
        }
        [_, _, attribute, key] if attribute == "labels" => {
            named_files(
                asked,
                reader,
                &layers,
                ("label_file", Kind::LabelFile),
                key,
                &mut out,
            );
        }
        _ => {}
    }
    written_elsewhere(asked, reader, steps, &mut out);
    out
}

/// What was removed was replaced by the loader's own choice.
fn default_after_removal() -> Option<Source> {
    Some(Source {
        kind: Kind::Default,
        location: None,
        written: String::new(),
        part: Part::Wins,
        variables: Vec::new(),
    })
}

/// A short form is written at another path than the one its value has in the model. The loader knows the place.
fn written_elsewhere(
    asked: &Asked<'_>,
    reader: &Reader<'_>,
    steps: &[String],
    out: &mut Vec<Source>,
) {
    if !out.is_empty() {
        return;
    }
    let Some(place) = asked.project.spans.get(&steps.join("/")) else {
        return;
    };
    // What the loader adds stands where the thing stands that it is added to.
    let of_parent = (1..steps.len()).any(|length| {
        let parent = asked.project.spans.get(&steps[..length].join("/"));
        parent.is_some_and(|parent| parent.value == place.value)
    });
    if of_parent {
        return;
    }
    let sources = reader.sources.borrow();
    let written = sources.slice(place.value);
    // A block is a parent of what is asked for, and says nothing of it.
    if written.contains('\n') || written.is_empty() {
        return;
    }
    out.push(Source {
        kind: Kind::File,
        location: sources.location(place.value),
        written: written.to_owned(),
        part: Part::Wins,
        variables: Vec::new(),
    });
}

fn told(
    asked: &Asked<'_>,
    reader: &Reader<'_>,
    layer: &Layer,
    found: &Found,
    part: Part,
    steps: &[String],
) -> Source {
    let variables = match (&found.text, steps.last()) {
        (Some(text), _) => variables::of_text(asked, reader, text, &layer.env_files),
        (None, Some(name)) => vec![variables::named(asked, reader, name, &layer.env_files)],
        (None, None) => Vec::new(),
    };
    let sources = reader.sources.borrow();
    let written = match &found.text {
        Some(_) => sources.slice(found.span),
        None => "",
    };
    Source {
        kind: layer.kind,
        location: sources.location(found.span),
        written: one_line(written),
        part,
        variables,
    }
}

/// The first line of a text, and a sign that there is more.
fn one_line(text: &str) -> String {
    match text.trim_end().split_once('\n') {
        Some((first, _)) => format!("{} …", first.trim_end()),
        None => text.trim_end().to_owned(),
    }
}

fn in_layer(layer: &Layer, steps: &[String]) -> Option<Found> {
    let mut keys: Vec<&str> = steps.iter().map(String::as_str).collect();
    if let (Some(service), Some(key)) = (&layer.service, keys.get_mut(1)) {
        *key = service;
    }
    find(&layer.document, &keys)
}

fn find(node: &Node, keys: &[&str]) -> Option<Found> {
    let whole = |list: bool| Found {
        span: node.span,
        text: Some(scalar(node)),
        list,
        tag: node.tag,
    };
    let Some((key, rest)) = keys.split_first() else {
        return Some(whole(false));
    };
    match &node.value {
        Value::Mapping(mapping) => {
            let Some(entry) = mapping.get(*key) else {
                // A tag takes everything below it away, also what it does not mention.
                return node.tag.map(|_| whole(false));
            };
            if rest.is_empty() && entry.value.is_null() && entry.value.tag.is_none() {
                return Some(Found {
                    span: entry.key_span,
                    text: None,
                    list: false,
                    tag: node.tag,
                });
            }
            let mut found = find(&entry.value, rest)?;
            found.tag = found.tag.or(node.tag);
            Some(found)
        }
        Value::Sequence(items) => {
            let mut found = items.iter().rev().find_map(|item| listed(item, key));
            if let Some(found) = &mut found {
                found.tag = node.tag;
            }
            found.or_else(|| key.parse::<usize>().is_ok().then(|| whole(true)))
        }
        // One text where the model has a list, or a mapping with one key.
        Value::Scalar(_) if node.is_null() => node.tag.map(|_| whole(false)),
        Value::Scalar(_) => Some(whole(false)),
    }
}

/// `KEY=VALUE` or `KEY` in a list.
fn listed(item: &Node, key: &str) -> Option<Found> {
    let Value::Scalar(scalar) = &item.value else {
        return None;
    };
    let text = match scalar.text.split_once('=') {
        Some((name, value)) if name == key => Some(value.to_owned()),
        None if scalar.text == key => None,
        _ => return None,
    };
    Some(Found {
        span: item.span,
        text,
        list: false,
        tag: None,
    })
}

fn scalar(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => scalar.text.clone(),
        _ => String::new(),
    }
}

/// Files of variables or labels that a service names. Compose files are stronger; later files are stronger than
/// earlier ones.
fn named_files(
    asked: &Asked<'_>,
    reader: &Reader<'_>,
    layers: &[Layer],
    (attribute, kind): (&str, Kind),
    key: &str,
    out: &mut Vec<Source>,
) {
    for layer in layers {
        let Some(service) = &layer.service else {
            continue;
        };
        let listed = layers::at(&layer.document, &["services", service, attribute]);
        let mut files = layers::texts(listed);
        let of_item = |item: &Node| layers::text(item.get("path"));
        files.extend(
            listed
                .and_then(Node::sequence)
                .into_iter()
                .flatten()
                .filter_map(of_item),
        );
        for file in files.iter().rev() {
            let file = path::join(&layer.directory, file);
            let Some(said) = variables::in_file(asked, reader, &file, key) else {
                continue;
            };
            let stronger = out.iter().any(|source| source.part != Part::Removed);
            out.push(Source {
                kind,
                location: said.location,
                written: said.value,
                part: if stronger { Part::Hidden } else { Part::Wins },
                variables: Vec::new(),
            });
        }
    }
}
