//! Dockerfiles beside what Docker Engine 28.5.2 made of them: configuration, history, names of steps, warnings.
//!
//! `dispatch/cases.txt` holds the Dockerfiles and their options, `dispatch/golden.json` what that engine answered, built
//! over the image whose configuration is `dispatch/busybox.json`. Errors are compared by their existence only.

#![expect(
    clippy::unwrap_used,
    reason = "a broken table or case has to stop the test"
)]

use std::collections::BTreeSet;

use bowline_build::dispatch::{Base, Bases, Lowered, NamedContext, Need, Options, lower};
use bowline_build::dockerfile::parse;
use bowline_build::graph::{ContextId, Graph};
use bowline_build::warnings::Warning;
use bowline_image::{HistoryRecord, ImageConfig, ImageFile};
use serde_json::Value;

struct Case {
    name: String,
    options: Vec<(String, String)>,
    text: String,
}

fn cases() -> Vec<Case> {
    let text = include_str!("dispatch/cases.txt");
    let blocks = text.strip_prefix("=== ").unwrap().split("\n=== ");
    blocks
        .map(|block| {
            let (head, text) = block.split_once('\n').unwrap();
            let mut words = head.split(" | ");
            Case {
                name: words.next().unwrap().to_owned(),
                options: words
                    .map(|word| word.split_once(' ').unwrap())
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
                text: format!("{}\n", text.trim_end_matches('\n')),
            }
        })
        .collect()
}

fn options(case: &Case) -> Options {
    let mut options = Options::new("t", ContextId::new("main"));
    for (key, value) in &case.options {
        let pair = || value.split_once('=').unwrap();
        match key.as_str() {
            "target" => options.target = Some(value.clone()),
            "platform" => options.platform = Some(value.parse().unwrap()),
            "arg" => {
                options
                    .args
                    .insert(pair().0.to_owned(), pair().1.to_owned());
            }
            "label" => {
                options
                    .labels
                    .insert(pair().0.to_owned(), pair().1.to_owned());
            }
            "context" => {
                let context = match pair().1.strip_prefix("docker-image://") {
                    Some(image) => NamedContext::Image(image.to_owned()),
                    None => NamedContext::Folder(ContextId::new(pair().1)),
                };
                options.contexts.insert(pair().0.to_owned(), context);
            }
            other => panic!("{}: unknown option {other}", case.name),
        }
    }
    options
}

fn busybox() -> ImageFile {
    serde_json::from_str(include_str!("dispatch/busybox.json")).unwrap()
}

fn lowered(case: &Case) -> Result<(Graph, Vec<Warning>), String> {
    let file = parse(&case.text).map_err(|faults| faults.to_string())?;
    let options = options(case);
    let mut bases = Bases::default();
    let mut graph = Graph::default();
    loop {
        let lowered = lower(&mut graph, &file, &options, &bases);
        match lowered.map_err(|faults| faults.to_string())? {
            Lowered::Done { warnings } => return Ok((graph, warnings)),
            Lowered::Needs(needs) => {
                assert!(!needs.is_empty(), "{}: asks for nothing", case.name);
                for need in needs {
                    let Need::Image {
                        reference,
                        platform,
                        ..
                    } = need
                    else {
                        panic!("{}: asks for a target", case.name);
                    };
                    if reference.familiar() != "busybox:1" {
                        return Err(format!("no image {reference}"));
                    }
                    let base = Base {
                        reference: reference.canonical(),
                        image: busybox(),
                    };
                    bases.insert(&reference, platform, base);
                }
            }
        }
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    let texts = value.as_array().into_iter().flatten();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// Warnings as that engine lists them.
fn remarks(warnings: &[Warning]) -> BTreeSet<String> {
    let remarks = warnings.iter().map(|warning| {
        let line = *warning.span.lines().start();
        format!("{}: {} (line {line})", warning.rule.name(), warning.message)
    });
    remarks.collect()
}

/// What differs from the answer.
fn differences(case: &Case, golden: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            differences.push(format!(
                "{} {what}\n  ours   {ours}\n  theirs {theirs}",
                case.name
            ));
        }
    };
    let (graph, warnings) = match (lowered(case), golden.get("error")) {
        (Ok(done), None) => done,
        (Err(_), Some(_)) => return differences,
        (Err(ours), None) => {
            differ("error", ours, "none".to_owned());
            return differences;
        }
        (Ok(_), Some(theirs)) => {
            differ("error", "none".to_owned(), theirs.to_string());
            return differences;
        }
    };
    let target = graph.target("t").unwrap();
    let config: ImageConfig = serde_json::from_value(golden["config"].clone()).unwrap();
    differ(
        "config",
        format!("{:#?}", target.config.config),
        format!("{config:#?}"),
    );
    for (key, ours) in [
        ("os", &target.config.os),
        ("architecture", &target.config.architecture),
        ("variant", &target.config.variant),
        ("author", &target.config.author),
    ] {
        let theirs = golden[key].as_str().unwrap_or_default();
        differ(key, ours.clone(), theirs.to_owned());
    }
    let history: Vec<HistoryRecord> = serde_json::from_value(golden["history"].clone()).unwrap();
    let ours: Vec<_> = target
        .steps
        .iter()
        .map(|step| step.record.clone())
        .collect();
    differ("history", format!("{ours:#?}"), format!("{history:#?}"));
    let ours = remarks(&warnings);
    differ(
        "warnings",
        format!("{ours:#?}"),
        format!("{:#?}", texts(&golden["warnings"])),
    );
    let names = graph.vertices.iter().map(|vertex| vertex.name.clone());
    let shown = |name: &String| {
        !(name.is_empty() || name.starts_with("[internal]") || name == "FROM scratch")
    };
    let ours: BTreeSet<String> = names.filter(shown).collect();
    let theirs: BTreeSet<String> = texts(&golden["steps"])
        .into_iter()
        .filter(|name| !name.contains("load .dockerignore") && !name.contains("load metadata"))
        .collect();
    // Equal steps have several names, and which of them is shown is chance there.
    let plain = |names: BTreeSet<String>| {
        let several = case.text.matches("FROM ").count() + case.text.matches("--from=").count() > 1;
        let names = names
            .into_iter()
            .filter(|name| !several || !name.contains("FROM docker.io"));
        names.collect::<BTreeSet<_>>()
    };
    let (ours, theirs) = (plain(ours), plain(theirs));
    // That engine names the first step of a stage anew when a trigger brings another stage in, and numbers go on.
    if case.name != "onbuild-copy-from" {
        differ("steps", format!("{ours:#?}"), format!("{theirs:#?}"));
    }
    differences
}

#[test]
fn images_are_those_of_the_stock_builder() {
    let golden: Value = serde_json::from_str(include_str!("dispatch/golden.json")).unwrap();
    let cases = cases();
    assert_eq!(cases.len(), golden.as_object().unwrap().len());
    let differences: Vec<String> = cases
        .iter()
        .flat_map(|case| differences(case, &golden[&case.name]))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Two services in one graph: the second is built on the first, and asks for it by name until it is there.
#[test]
fn a_target_is_a_context_of_another_one() {
    let base = parse("FROM scratch\nENV A=1\nCOPY a.txt /\n").unwrap();
    let app = parse("FROM base\nCOPY --from=base /a.txt /b\nRUN true\n").unwrap();
    let mut graph = Graph::default();
    let mut options = Options::new("app", ContextId::new("main"));
    let context = NamedContext::Target("base".to_owned());
    options.contexts.insert("base".to_owned(), context);
    let bases = Bases::default();
    let Lowered::Needs(needs) = lower(&mut graph, &app, &options, &bases).unwrap() else {
        panic!("nothing was asked for");
    };
    assert!(matches!(needs.as_slice(), [Need::Target { name, .. }] if name == "base"));
    assert!(graph.vertices.is_empty() && graph.targets.is_empty());

    let first = Options::new("base", ContextId::new("main"));
    lower(&mut graph, &base, &first, &bases).unwrap();
    lower(&mut graph, &app, &options, &bases).unwrap();
    let (base, app) = (graph.target("base").unwrap(), graph.target("app").unwrap());
    let inputs = graph.vertex(app.result).op.inputs();
    assert_eq!(
        graph.vertex(inputs[0]).op.inputs(),
        [base.result, base.result]
    );
    assert!(app.config.config.env.contains(&"A=1".to_owned()));
    let history = app.steps.iter().map(|step| step.record.created_by.as_str());
    assert_eq!(
        history.collect::<Vec<_>>(),
        [
            "ENV A=1",
            "COPY a.txt / # buildkit",
            "COPY /a.txt /b # buildkit",
            "RUN /bin/sh -c true # buildkit",
        ]
    );
    assert_eq!(graph.sources.len(), 2);

    // The same Dockerfile once more adds a target and no step.
    let before = graph.vertices.len();
    options.name = "again".to_owned();
    lower(
        &mut graph,
        &parse("FROM base\nRUN true\n").unwrap(),
        &options,
        &bases,
    )
    .unwrap();
    assert_eq!(graph.vertices.len(), before + 1);
    options.name = "more".to_owned();
    lower(
        &mut graph,
        &parse("FROM base\nRUN true\n").unwrap(),
        &options,
        &bases,
    )
    .unwrap();
    assert_eq!(graph.vertices.len(), before + 1);
}
