//! Events of a YAML parser become trees: anchors, aliases, merge keys, tags, duplicate keys.

use std::collections::HashMap;
use std::ops::Range;

use super::syntax::syntax_error;
use super::tree::{Entry, Mapping, MergeTag, Node, Scalar, Value};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, Sources, Span};

/// How many nodes aliases may copy in one file. From about as many on, go-yaml looks how much of a
/// file is aliases, and stops.
const ALIAS_BUDGET: usize = 400_000;

/// What a parser back end has to deliver. Two of them are compared in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A document begins.
    DocumentStart,
    /// A document ends.
    DocumentEnd,
    /// A list begins; the tag's suffix and the anchor, zero for none.
    SequenceStart(Option<String>, usize),
    /// A mapping begins.
    MappingStart(Option<String>, usize),
    /// The innermost list or mapping ends.
    End,
    /// A scalar.
    Scalar {
        /// Its text.
        text: String,
        /// Without quotes.
        plain: bool,
        /// Its tag's suffix.
        tag: Option<String>,
        /// Its anchor, zero for none.
        anchor: usize,
    },
    /// A reference to an anchor.
    Alias(usize),
}

/// A text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The parser's sentence.
    pub message: String,
    /// The byte it stopped at.
    pub at: usize,
}

/// Reads every document of a source; faults go to `faults` and what could be read is returned.
pub fn read_documents(sources: &Sources, id: SourceId, faults: &mut Vec<Diagnostic>) -> Vec<Node> {
    let Some(source) = sources.get(id) else {
        return Vec::new();
    };
    let text = source.text.clone();
    let mut builder = Builder::new(id, faults);
    for item in events(&text) {
        match item {
            Ok((event, range)) => builder.event(event, &range),
            Err(error) => {
                let diagnostic = syntax_error(&text, id, &error);
                builder.faults.push(diagnostic);
                return Vec::new();
            }
        }
        if builder.exhausted {
            return Vec::new();
        }
    }
    builder.documents
}

/// The events of a text, each with its bytes.
pub(crate) fn events(
    text: &str,
) -> impl Iterator<Item = Result<(Event, Range<usize>), ReadError>> + '_ {
    use granit_parser::{Event as Raw, Parser};
    let options = granit_parser::options! { emit_comments: false };
    Parser::new_from_str_with_options(text, options).filter_map(move |item| {
        let (raw, span) = match item {
            Ok(pair) => pair,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len());
                return Some(Err(ReadError {
                    message: error.info(),
                    at,
                }));
            }
        };
        let tag = |tag: Option<std::borrow::Cow<'_, granit_parser::Tag>>| {
            tag.map(|tag| tag.suffix().to_owned())
        };
        let event = match raw {
            Raw::DocumentStart(..) => Event::DocumentStart,
            Raw::DocumentEnd => Event::DocumentEnd,
            Raw::SequenceStart(_, anchor, raw_tag) => Event::SequenceStart(tag(raw_tag), anchor),
            Raw::MappingStart(_, anchor, raw_tag) => Event::MappingStart(tag(raw_tag), anchor),
            Raw::SequenceEnd | Raw::MappingEnd => Event::End,
            Raw::Alias(anchor) => Event::Alias(anchor),
            Raw::Scalar(content, style, anchor, raw_tag) => Event::Scalar {
                // A value that was left out is delivered as `~`, with nothing under its span.
                text: if span.is_empty() {
                    String::new()
                } else {
                    unended(content.into_owned(), style, text, &span)
                },
                plain: style == granit_parser::ScalarStyle::Plain,
                tag: tag(raw_tag),
                anchor,
            },
            _ => return None,
        };
        Some(Ok((event, span.byte_range().unwrap_or(0..0))))
    })
}

/// A block that ends with the file has no line break at its end if the file has none.
fn unended(
    mut content: String,
    style: granit_parser::ScalarStyle,
    text: &str,
    span: &granit_parser::Span,
) -> String {
    use granit_parser::ScalarStyle::{Folded, Literal};
    let last = span
        .byte_range()
        .is_some_and(|range| range.end >= text.trim_end_matches([' ', '\t']).len());
    if matches!(style, Literal | Folded) && last && !text.ends_with('\n') && content.ends_with('\n')
    {
        content.pop();
    }
    content
}

/// A list or mapping that is still open.
enum Frame {
    Sequence {
        items: Vec<Node>,
        open: Open,
    },
    Mapping {
        mapping: Mapping,
        merges: Vec<Node>,
        /// Where `<<` stands.
        merge_at: Option<Span>,
        key: Option<(Key, Span)>,
        open: Open,
    },
}

struct Open {
    start: usize,
    anchor: usize,
    tag: Option<MergeTag>,
}

enum Key {
    Name(String),
    Merge,
    /// A key that was refused; its value is read and dropped.
    Refused,
}

struct Builder<'a> {
    source: SourceId,
    faults: &'a mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    documents: Vec<Node>,
    root: Option<Node>,
    budget: usize,
    exhausted: bool,
}

impl<'a> Builder<'a> {
    fn new(source: SourceId, faults: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            source,
            faults,
            stack: Vec::new(),
            anchors: HashMap::new(),
            documents: Vec::new(),
            root: None,
            budget: ALIAS_BUDGET,
            exhausted: false,
        }
    }

    fn event(&mut self, event: Event, range: &Range<usize>) {
        let span = Span {
            source: self.source,
            start: range.start,
            end: range.end,
        };
        match event {
            Event::DocumentStart => self.anchors.clear(),
            Event::DocumentEnd => {
                let root = self.root.take().unwrap_or_else(|| Node::null(span));
                self.documents.push(root);
            }
            Event::SequenceStart(tag, anchor) => {
                let open = Open {
                    start: span.start,
                    anchor,
                    tag: merge_tag(tag.as_deref()),
                };
                self.stack.push(Frame::Sequence {
                    items: Vec::new(),
                    open,
                });
            }
            Event::MappingStart(tag, anchor) => {
                let open = Open {
                    start: span.start,
                    anchor,
                    tag: merge_tag(tag.as_deref()),
                };
                let (mapping, merges) = (Mapping::new(), Vec::new());
                self.stack.push(Frame::Mapping {
                    mapping,
                    merges,
                    merge_at: None,
                    key: None,
                    open,
                });
            }
            Event::End => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Scalar {
                text,
                plain,
                tag,
                anchor,
            } => {
                // A tag of YAML's own decides what a scalar is; any other makes a string of it.
                let plain = match tag.as_deref() {
                    None | Some("reset" | "override") => plain,
                    Some(tag) => matches!(tag, "bool" | "int" | "float" | "null" | "timestamp"),
                };
                let tag = merge_tag(tag.as_deref());
                let value = Value::Scalar(Scalar { text, plain });
                self.finish(Node { value, span, tag }, anchor);
            }
        }
    }

    fn close(&mut self, end: Span) {
        let (value, open) = match self.stack.pop() {
            Some(Frame::Sequence { items, open }) => (Value::Sequence(items), open),
            Some(Frame::Mapping {
                mapping,
                merges,
                open,
                ..
            }) => (Value::Mapping(self.merged(mapping, merges)), open),
            None => return,
        };
        let last = match &value {
            Value::Sequence(items) => items.last().map(|node| node.span),
            Value::Mapping(mapping) => mapping.last().map(|(_, entry)| entry.value.span),
            Value::Scalar(_) => None,
        };
        // A block's end event lies on whatever comes next; its last child is where it ends.
        let end = if end.end > end.start {
            end.end
        } else {
            last.map_or(end.end, |s| s.end)
        };
        let span = Span {
            source: self.source,
            start: open.start,
            end: end.max(open.start),
        };
        self.finish(
            Node {
                value,
                span,
                tag: open.tag,
            },
            open.anchor,
        );
    }

    fn alias(&mut self, anchor: usize, span: Span) {
        let Some(target) = self.anchors.get(&anchor) else {
            let message = "an alias cannot stand inside the value it refers to";
            self.faults
                .push(Diagnostic::error("compose::yaml-alias", message).at(span, ""));
            self.place(Node::null(span));
            return;
        };
        let weight = target.weight();
        let Some(left) = self.budget.checked_sub(weight) else {
            self.exhausted = true;
            self.faults.push(
                Diagnostic::error("compose::yaml-alias", "aliases expand to too many values").at(
                    span,
                    format!("more than {ALIAS_BUDGET} values after this one"),
                ),
            );
            return;
        };
        self.budget = left;
        let node = target.clone();
        self.place(node);
    }

    fn finish(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node);
    }

    /// Puts a finished node where it belongs: root, list item, key, or value of the last key.
    fn place(&mut self, node: Node) {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::Sequence { items, .. }) => items.push(node),
            Some(Frame::Mapping {
                mapping,
                merges,
                merge_at,
                key,
                ..
            }) => match key.take() {
                None => *key = Some(read_key(&node, self.faults)),
                Some((Key::Merge, span)) => {
                    if let Some(first) = *merge_at {
                        self.faults.push(duplicate("<<", span, first));
                    }
                    *merge_at = Some(span);
                    merges.push(node);
                }
                Some((Key::Refused, _)) => {}
                Some((Key::Name(name), key_span)) => {
                    if let Some(first) = mapping.get(&name) {
                        self.faults.push(duplicate(&name, key_span, first.key_span));
                    } else {
                        mapping.insert(
                            name,
                            Entry {
                                key_span,
                                value: node,
                            },
                        );
                    }
                }
            },
        }
    }

    /// Fills in what `<<` brings. Explicit keys win over it, earlier sources over later ones.
    fn merged(&mut self, mut mapping: Mapping, merges: Vec<Node>) -> Mapping {
        for node in merges {
            let sources = match node.value {
                Value::Sequence(items) => items,
                _ => vec![node],
            };
            for source in sources {
                let Value::Mapping(entries) = source.value else {
                    self.faults.push(
                        Diagnostic::error("compose::yaml-merge", "`<<` merges mappings only")
                            .at(source.span, format!("this is {}", source.kind())),
                    );
                    continue;
                };
                for (key, entry) in entries {
                    mapping.entry(key).or_insert(entry);
                }
            }
        }
        mapping
    }
}

fn read_key(node: &Node, faults: &mut Vec<Diagnostic>) -> (Key, Span) {
    let key = match &node.value {
        Value::Scalar(scalar) if scalar.plain && scalar.text == "<<" => Key::Merge,
        Value::Scalar(scalar) => match scalar.resolved() {
            super::Resolved::Text(text) | super::Resolved::Timestamp(text) => {
                Key::Name(text.to_owned())
            }
            _ => Key::Refused,
        },
        _ => Key::Refused,
    };
    if matches!(key, Key::Refused) {
        let message = format!("a key has to be a string, not {}", node.kind());
        let diagnostic = Diagnostic::error("compose::yaml-key", message).at(node.span, "");
        faults.push(match &node.value {
            Value::Scalar(scalar) => diagnostic.help(format!("quote it: \"{}\"", scalar.text)),
            _ => diagnostic,
        });
    }
    (key, node.span)
}

fn duplicate(name: &str, second: Span, first: Span) -> Diagnostic {
    Diagnostic::error(
        "compose::duplicate-key",
        format!("the key `{name}` is written twice"),
    )
    .at(second, "written again here")
    .context(first, "first written here")
}

fn merge_tag(suffix: Option<&str>) -> Option<MergeTag> {
    match suffix? {
        "reset" => Some(MergeTag::Reset),
        "override" => Some(MergeTag::Override),
        _ => None,
    }
}
