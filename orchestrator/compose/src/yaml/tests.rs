//! Reading trees, and the two back ends against each other.

use super::*;
use crate::diagnostic::{Diagnostic, render_all};
use crate::source::Sources;

fn read(text: &str) -> (Vec<Node>, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let id = sources.add("compose.yaml", text);
    let mut faults = Vec::new();
    let documents = read_documents(&sources, id, &mut faults);
    (documents, faults, sources)
}

fn shown(text: &str) -> String {
    let (_, faults, sources) = read(text);
    render_all(&faults, &sources, false)
}

#[test]
fn spans_are_the_characters_of_the_value() {
    let text = "a: \"x y\"  # no\nb:\n  - one\n  - {c: ü}\nd: |\n  t\n";
    let (documents, faults, sources) = read(text);
    assert_eq!(faults, []);
    let root = &documents[0];
    let slice = |node: &Node| sources.slice(node.span).to_owned();
    assert_eq!(slice(root.get("a").unwrap()), "\"x y\"");
    let list = root.get("b").unwrap();
    assert_eq!(slice(list), "- one\n  - {c: ü}");
    assert_eq!(slice(list.sequence().unwrap()[1].get("c").unwrap()), "ü");
}

#[test]
fn merge_keys_fill_in_what_is_not_written() {
    let text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\n";
    let (documents, faults, _) = read(text);
    assert_eq!(faults, []);
    let z = documents[0].get("z").unwrap();
    let value = |key| z.get(key).unwrap().resolved();
    assert_eq!(value("a"), Some(Resolved::Int(3)));
    assert_eq!(value("b"), Some(Resolved::Int(1)));
    assert_eq!(value("c"), Some(Resolved::Int(2)));
}

#[test]
fn tags_and_documents() {
    let (documents, faults, _) = read("a: !reset null\nb: !override [1]\nc: !!str 5\n---\nd: 1\n");
    assert_eq!(faults, []);
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0].get("a").unwrap().tag, Some(MergeTag::Reset));
    assert_eq!(documents[0].get("b").unwrap().tag, Some(MergeTag::Override));
    assert_eq!(
        documents[0].get("c").unwrap().resolved(),
        Some(Resolved::Text("5"))
    );
}

#[test]
fn a_key_written_twice_names_both_places() {
    insta::assert_snapshot!(shown("a:\n  image: x\n  tty: true\n  image: y\n"), @r"
    error[compose::duplicate-key]: the key `image` is written twice
     --> compose.yaml:4:3
      |
    2 |   image: x
      |   ----- first written here
    3 |   tty: true
    4 |   image: y
      |   ^^^^^ written again here
    ");
}

#[test]
fn faults_of_syntax_point_at_the_character() {
    insta::assert_snapshot!(shown("a: [1\nb: 2\n"), @r"
    error[compose::yaml-syntax]: this is not valid YAML
     --> compose.yaml:2:2
      |
    1 | a: [1
      |    - is this bracket closed?
    2 | b: 2
      |  ^ illegal placement of ':' indicator
    ");
    insta::assert_snapshot!(shown("a:\n\tb: 1\n"), @r"
    error[compose::yaml-syntax]: this is not valid YAML
     --> compose.yaml:2:2
      |
    2 |     b: 1
      |     ^ tabs disallowed within this context (block indentation)
      |
    help: YAML is indented with spaces, never with tabs
    ");
    insta::assert_snapshot!(shown("a: b: c\n"), @r"
    error[compose::yaml-syntax]: this is not valid YAML
     --> compose.yaml:1:5
      |
    1 | a: b: c
      |     ^ mapping values are not allowed in this context
      |
    help: a text that has `: ` in it needs quotes
    ");
    insta::assert_snapshot!(shown("a: *nope\n"), @r"
    error[compose::yaml-alias]: there is no anchor `&nope`
     --> compose.yaml:1:4
      |
    1 | a: *nope
      |    ^^^^^
      |
    help: an anchor stands before its first alias, in the same file
    ");
    insta::assert_snapshot!(shown("1: a\n"), @r#"
    error[compose::yaml-key]: a key has to be a string, not a number
     --> compose.yaml:1:1
      |
    1 | 1: a
      | ^
      |
    help: quote it: "1"
    "#);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let above = format!("*a{}", level - 1);
        let row = [above.as_str(); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    assert!(shown(&text).contains("aliases expand to too many values"));
    assert!(shown(&"[".repeat(5000)).contains("not valid YAML"));
    assert!(shown("a: &a [*a]\n").contains("inside the value"));
}

#[test]
fn both_back_ends_deliver_the_same_events() {
    for text in SAMPLES {
        assert_eq!(granit(text), saphyr(text), "{text}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn reading_never_panics(text in "([a-c]|[\\[\\]{},:&*!|>'\"#\\-?% \n\t]|é){0,60}") {
        shown(&text);
    }

    #[test]
    fn back_ends_agree_where_both_read(text in "(  |- |[a-c]+|[a-c]: |\n|\\[|\\]|\\{|\\}|, |'|\"| #x){0,30}") {
        if let (Some(left), Some(right)) = (granit(&text), saphyr(&text)) {
            proptest::prop_assert_eq!(left, right);
        }
    }
}

const SAMPLES: &[&str] = &[
    "services:\n  web:\n    image: nginx\n    ports:\n      - \"80:80\"\n",
    "a: &x {b: c}\nd: *x\ne: [1, 'two', \"three\\n\"]\n",
    "text: |\n  line\n  more\nfold: >-\n  a\n  b\n",
    "a: !reset null\nb: !override\n  - c\n",
    "---\na: 1\n---\nb: 2\n",
    "key with spaces: x # comment\n\"quoted\": y\n",
    "environment:\n- A=1\n- B\n",
];

fn granit(text: &str) -> Option<Vec<Event>> {
    super::read::events(text)
        .map(|item| item.ok().map(|(event, _)| event))
        .collect()
}

fn saphyr(text: &str) -> Option<Vec<Event>> {
    use saphyr_parser::{Event as Raw, Parser, ScalarStyle};
    let tag = |tag: Option<std::borrow::Cow<'_, saphyr_parser::Tag>>| tag.map(|t| t.suffix.clone());
    let mut events = Vec::new();
    for item in Parser::new_from_str(text) {
        events.push(match item.ok()?.0 {
            Raw::DocumentStart(..) => Event::DocumentStart,
            Raw::DocumentEnd => Event::DocumentEnd,
            Raw::SequenceStart(anchor, raw) => Event::SequenceStart(tag(raw), anchor),
            Raw::MappingStart(anchor, raw) => Event::MappingStart(tag(raw), anchor),
            Raw::SequenceEnd | Raw::MappingEnd => Event::End,
            Raw::Alias(anchor) => Event::Alias(anchor),
            Raw::Scalar(text, style, anchor, raw) => Event::Scalar {
                text: text.into_owned(),
                plain: style == ScalarStyle::Plain,
                tag: tag(raw),
                anchor,
            },
            _ => continue,
        });
    }
    Some(events)
}
