//! Tables of rows, one obligation each: words, ignore patterns, and instructions as they are read.
//!
//! In all of them `⏎` is a line break, `⇥` a tab, and ` => ` stands before what comes of the row.

#![expect(
    clippy::unwrap_used,
    reason = "a broken table or case has to stop the test"
)]

use std::fmt::Write;

use bowline_build::dockerfile::{CommandLine, Instruction, Kind, Pair, Transfer, parse};
use bowline_build::ignore::{Ignore, Seen};
use bowline_build::words::Lexer;

/// The rows of a table: what is given, and what is wanted.
fn rows(table: &str) -> Vec<(String, String)> {
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    rows.map(|row| {
        let (given, wanted) = row
            .split_once(" => ")
            .unwrap_or_else(|| panic!("no ` => `: {row}"));
        (
            given.replace('⏎', "\n").replace('⇥', "\t"),
            wanted.to_owned(),
        )
    })
    .collect()
}

fn replay(table: &str, at_least: usize, answer: impl Fn(&str) -> String) {
    let rows = rows(table);
    assert!(rows.len() >= at_least, "only {} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .map(|(given, wanted)| (given, wanted, answer(given)))
        .filter(|(_, wanted, got)| *wanted != got)
        .map(|(given, wanted, got)| format!("{given:?}\n  wanted {wanted}\n  got    {got}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Expanded as one text, and as words in brackets; `!` where it cannot be.
fn expanded(text: &str) -> String {
    let env: Vec<(String, String)> = [
        ("A", "app"),
        ("B", "bin"),
        ("E", ""),
        ("S", "a  b"),
        ("_X", "under"),
        ("P", "usr/local/bin/tool.tar.gz"),
        ("Q", "abcabc"),
        ("T", "*a?\\"),
        ("K", "한국어"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    match Lexer::new('\\').expand(text, env.as_slice()) {
        Err(_) => "!".to_owned(),
        Ok(expanded) => {
            let words: String = expanded
                .words
                .iter()
                .map(|word| format!("[{word}]"))
                .collect();
            format!("{} => {words}", expanded.text)
        }
    }
}

#[test]
fn words() {
    replay(include_str!("tables/words.txt"), 190, expanded);
}

/// What a walk from the root finds out about a path.
fn walked(row: &str) -> String {
    let (patterns, path) = row.split_once(" : ").unwrap();
    let Ok(ignore) = Ignore::parse(&patterns.replace(" ; ", "\n")) else {
        return "error".to_owned();
    };
    let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
    let start = (false, Seen::default());
    let (hidden, _) = folders
        .chain([path])
        .fold(start, |(_, seen), path| ignore.enter(path, &seen));
    (if hidden { "hidden" } else { "seen" }).to_owned()
}

#[test]
fn ignore_patterns() {
    replay(include_str!("tables/ignore.txt"), 150, walked);
}

/// Without wildcards that depend on order, a walk and a look at the whole path agree.
#[test]
fn walks_agree_with_looks() {
    for (row, _) in rows(include_str!("tables/ignore.txt")) {
        let (patterns, path) = row.split_once(" : ").unwrap();
        let Ok(ignore) = Ignore::parse(&patterns.replace(" ; ", "\n")) else {
            continue;
        };
        let walk = walked(&row) == "hidden";
        // What an earlier pattern hides in a folder that was never hidden is not brought back by a walk.
        assert!(
            walk == ignore.hides(path) || patterns == "a/b ; !a",
            "{row}"
        );
    }
}

/// Instructions as they were read. A text that does not begin with `^` stands behind `FROM b`.
fn read(text: &str) -> String {
    let (text, skip) = match text.strip_prefix('^') {
        Some(text) => (text.to_owned(), 0),
        None => (format!("FROM b\n{text}"), 1),
    };
    match parse(&text) {
        Err(faults) => {
            let lines: Vec<String> = faults
                .0
                .iter()
                .map(|fault| (fault.span.start.line - skip.min(fault.span.start.line)).to_string())
                .collect();
            format!("! {}", lines.join(","))
        }
        Ok(file) => {
            let stages = file.stages.iter();
            let inner =
                stages.flat_map(|stage| std::iter::once(&stage.head).chain(&stage.instructions));
            let all: Vec<String> = file
                .globals
                .iter()
                .chain(inner)
                .skip(skip)
                .map(shown)
                .collect();
            all.join(" ; ")
        }
    }
}

fn shown(instruction: &Instruction) -> String {
    let name = instruction.name().to_lowercase();
    let what = match &instruction.kind {
        Kind::From(from) => {
            let platform = from
                .platform
                .iter()
                .map(|platform| format!(" on {platform}"));
            format!(
                "{} as {:?}{}",
                from.base,
                from.name,
                platform.collect::<String>()
            )
        }
        Kind::Arg(args) => {
            let args = args
                .iter()
                .map(|arg| format!("{}={:?}", arg.name, arg.default));
            args.collect::<Vec<_>>().join(" ")
        }
        Kind::Env(pairs) | Kind::Label(pairs) => pairs_shown(pairs),
        Kind::Run(run) => {
            let mut text = String::new();
            for mount in &run.mounts {
                write!(text, "mount({}) ", mount.fields.join("|")).unwrap();
            }
            if run.network != Default::default() {
                write!(text, "{:?} ", run.network).unwrap();
            }
            text + &line_shown(&run.command)
        }
        Kind::Cmd(line) | Kind::Entrypoint(line) => line_shown(line),
        Kind::Copy(copy) => {
            let from = if copy.from.is_empty() {
                String::new()
            } else {
                format!("from={} ", copy.from)
            };
            let parents = if copy.parents { "parents " } else { "" };
            format!("{from}{parents}{}", transfer_shown(&copy.transfer))
        }
        Kind::Add(add) => {
            let unpack = add.unpack.map(|unpack| format!("unpack={unpack} "));
            format!(
                "{}{}",
                unpack.unwrap_or_default(),
                transfer_shown(&add.transfer)
            )
        }
        Kind::Workdir(text)
        | Kind::User(text)
        | Kind::StopSignal(text)
        | Kind::OnBuild(text)
        | Kind::Maintainer(text) => format!("{text:?}"),
        Kind::Expose(words) | Kind::Volume(words) | Kind::Shell(words) => format!("{words:?}"),
        Kind::Healthcheck(check) => format!(
            "{:?} {} {} {} {} {}",
            check.test,
            check.interval,
            check.timeout,
            check.start_period,
            check.start_interval,
            check.retries
        ),
    };
    format!("{name} {what}")
}

fn pairs_shown(pairs: &[Pair]) -> String {
    let pairs = pairs.iter().map(|pair| {
        let sign = if pair.legacy { ' ' } else { '=' };
        format!("{:?}{sign}{:?}", pair.key, pair.value)
    });
    pairs.collect::<Vec<_>>().join(" ")
}

fn line_shown(line: &CommandLine) -> String {
    let form = if line.shell { "sh" } else { "exec" };
    let heredocs = line
        .heredocs
        .iter()
        .map(|heredoc| format!(" <<{}{:?}", heredoc.name, heredoc.text()));
    format!("{form} {:?}{}", line.args, heredocs.collect::<String>())
}

fn transfer_shown(transfer: &Transfer) -> String {
    let mut text = String::new();
    for (name, value) in [("chown", &transfer.chown), ("chmod", &transfer.chmod)] {
        if !value.is_empty() {
            write!(text, "{name}={value} ").unwrap();
        }
    }
    if transfer.link {
        text.push_str("link ");
    }
    if !transfer.exclude.is_empty() {
        write!(text, "exclude={:?} ", transfer.exclude).unwrap();
    }
    write!(text, "{:?}", transfer.sources).unwrap();
    for heredoc in &transfer.heredocs {
        let raw = if heredoc.expand { "" } else { "raw" };
        write!(text, " {raw}<<{}{:?}", heredoc.name, heredoc.text()).unwrap();
    }
    write!(text, " -> {:?}", transfer.dest).unwrap();
    text
}

#[test]
fn instructions() {
    replay(include_str!("tables/parser.txt"), 170, read);
}
