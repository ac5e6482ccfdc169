use super::*;
use crate::load::{MemoryFiles, Options, load};

fn asked(files: &[(&str, &str)], env: &[(&str, &str)], path: Option<&str>) -> Option<String> {
    let mut memory = MemoryFiles::default();
    let mut names = Vec::new();
    for (name, text) in files {
        memory = memory.with(format!("/p/{name}"), *text);
        if name.starts_with("compose") {
            names.push((*name).to_owned());
        }
    }
    let environment: Env = env
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let options = Options {
        cwd: "/p".to_owned(),
        files: names,
        ..Options::default()
    };
    let loaded = match load(&memory, &environment, &options) {
        Ok(loaded) => loaded,
        Err(faults) => panic!("{faults}"),
    };
    let asked = Asked {
        files: &memory,
        environment: &environment,
        cwd: "/p",
        project: &loaded.project,
    };
    let found = origins(&asked, path)?;
    Some(match path {
        None => list(&found),
        Some(_) => render(&found),
    })
}

#[test]
fn a_variable_from_everywhere() {
    let files = [
        (
            "compose.yaml",
            "services:\n  web:\n    image: x\n    env_file: web.env\n    extends: base\n    environment:\n      DEBUG: ${DEBUG:-0}\n  base:\n    image: x\n    environment: [DEBUG=base]\n",
        ),
        (
            "compose.over.yaml",
            "services:\n  web:\n    environment: [\"DEBUG=$LEVEL\"]\n",
        ),
        ("web.env", "A=1\nDEBUG=file\n"),
        (".env", "LEVEL=7\nDEBUG=9\n"),
    ];
    let shown = asked(
        &files,
        &[("LEVEL", "3")],
        Some("services.web.environment.DEBUG"),
    );
    insta::assert_snapshot!(shown.unwrap(), @r#"
    services.web.environment.DEBUG: "3"
      wins     compose.over.yaml:3:19  override  "DEBUG=$LEVEL"
               LEVEL is "3"
                 environment: "3"
                 .env:1:1: "7"
      hidden   compose.yaml:7:14       file      ${DEBUG:-0}
               DEBUG is "9"
                 .env:2:1: "9"
                 default: "0"
      hidden   compose.yaml:10:19      extends   DEBUG=base
      hidden   web.env:2:1             env_file  file
    "#);
}

#[test]
fn all_values_of_a_project() {
    let files = [(
        "compose.yaml",
        "name: p\nservices:\n  web:\n    image: x:${TAG-1}\n    ports: [\"8080:80\"]\n    labels: {a.b: c}\n",
    )];
    insta::assert_snapshot!(asked(&files, &[], None).unwrap(), @r#"
    name: "p"  # compose.yaml:1:7
    networks.default.name: "p_default"  # default
    networks.default.ipam: {}  # default
    services.web.command: null  # default
    services.web.entrypoint: null  # default
    services.web.image: "x:1"  # compose.yaml:4:12
    services.web.labels.a.b: "c"  # compose.yaml:6:19
    services.web.networks.default: null  # default
    services.web.ports.0: {"mode":"ingress","target":80,"published":"8080","protocol":"tcp"}  # compose.yaml:5:13
    "#);
}

#[test]
fn keys_with_dots_and_what_is_not_there() {
    let files = [(
        "compose.yaml",
        "services:\n  web:\n    image: x\n    labels: {a.b: c, a: d}\n",
    )];
    let shown = |path| asked(&files, &[], Some(path));
    insta::assert_snapshot!(shown("services.web.labels.a.b").unwrap(), @r#"
    services.web.labels.a.b: "c"
      wins     compose.yaml:4:19  file  c
    "#);
    insta::assert_snapshot!(shown("services.web.labels.a").unwrap(), @r#"
    services.web.labels.a: "d"
      wins     compose.yaml:4:25  file  d
    "#);
    assert_eq!(shown("services.web.labels.b"), None);
    assert_eq!(shown("services.none"), None);
}

#[test]
fn lists_of_several_files_and_what_a_tag_removes() {
    let files = [
        (
            "compose.yaml",
            "services:\n  web:\n    image: x\n    ports: [\"80\"]\n    dns: [1.1.1.1]\n",
        ),
        (
            "compose.over.yaml",
            "services:\n  web:\n    ports: [\"81\"]\n    dns: !override [2.2.2.2]\n",
        ),
    ];
    let shown = |path| asked(&files, &[], Some(path));
    insta::assert_snapshot!(shown("services.web.ports.1").unwrap(), @r#"
    services.web.ports.1: {"mode":"ingress","target":81,"protocol":"tcp"}
      wins     compose.over.yaml:3:13  override  "81"
    "#);
    insta::assert_snapshot!(shown("services.web.dns").unwrap(), @r#"
    services.web.dns.0: "2.2.2.2"
      wins     compose.over.yaml:4:21  override  2.2.2.2
      removed  compose.yaml:5:10       file      [1.1.1.1]
    "#);
}

#[test]
fn what_an_include_says_and_its_own_variables() {
    let files = [
        (
            "compose.yaml",
            "include: [sub/inner.yaml]\nservices:\n  web: {hostname: own}\n",
        ),
        (
            "sub/inner.yaml",
            "services:\n  web:\n    image: \"x:${TAG}\"\n    hostname: inner\n",
        ),
        ("sub/.env", "TAG=from-inner\n"),
    ];
    let shown = |path| asked(&files, &[], Some(path));
    insta::assert_snapshot!(shown("services.web.hostname").unwrap(), @r#"
    services.web.hostname: "own"
      wins     compose.yaml:3:19    file     own
      hidden   sub/inner.yaml:4:15  include  inner
    "#);
    insta::assert_snapshot!(shown("services.web.image").unwrap(), @r#"
    services.web.image: "x:from-inner"
      wins     sub/inner.yaml:3:12  include  "x:${TAG}"
               TAG is "from-inner"
                 sub/.env:1:1: "from-inner"
    "#);
}
