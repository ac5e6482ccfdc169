//! Dockerfiles and ignore patterns that nobody would write: the cases of the other tests, cut up and put together by
//! chance. Whatever comes in, nothing panics, places lie in the text, and the answer is the same twice.
//!
//! `BOWLINE_CASES` says how many are tried, `BOWLINE_SEED` repeats a run; a case that fails is printed by the panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bowline_build::dispatch::{Base, Bases, Lowered, Need, Options, lower};
use bowline_build::dockerfile::{Dockerfile, Span, parse};
use bowline_build::graph::{ContextId, Graph};
use bowline_build::ignore::{Ignore, Seen};

/// xorshift64*: repeatable, and good enough to choose places to cut.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap();
        usize::try_from(self.next() % limit).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Bits that have a meaning somewhere.
const BITS: [&str; 44] = [
    "\\\n",
    "`\n",
    "<<EOF",
    "<<-'E'",
    "\nEOF\n",
    "[\"",
    "\"]",
    "$",
    "${",
    "}",
    ":-",
    "##",
    "%%",
    "//",
    "'",
    "\"",
    "--mount=type=cache,target=",
    "--from=",
    "--chown=",
    "--exclude=",
    "--",
    "=",
    ",",
    " ",
    "\t",
    "\r\n",
    "\u{feff}",
    "ü",
    "\0",
    "# escape=`\n",
    "# check=error=true\n",
    "FROM ",
    " AS x\n",
    "ARG A=",
    "ONBUILD ",
    "ENV ",
    "COPY ",
    "0",
    "*",
    "**",
    "!",
    "[a-",
    "/../",
    "scratch",
];

fn mutated(chance: &mut Chance, corpus: &[&str]) -> String {
    let mut text: Vec<char> = chance.of(corpus).chars().collect();
    for _ in 0..=chance.below(6) {
        let at = chance.below(text.len() + 1);
        let end = (at + chance.below(12)).min(text.len());
        match chance.below(4) {
            0 => drop(text.drain(at..end)),
            1 => {
                let bit: Vec<char> = chance.of(&BITS).chars().collect();
                drop(text.splice(at..at, bit));
            }
            2 => {
                let other: Vec<char> = chance.of(corpus).chars().collect();
                let from = chance.below(other.len());
                let to = (from + chance.below(40)).min(other.len());
                drop(text.splice(at..end, other[from..to].to_vec()));
            }
            _ => {
                let copy = text[at..end].to_vec();
                drop(text.splice(at..at, copy));
            }
        }
    }
    text.into_iter().collect()
}

fn check_span(text: &str, span: Span) {
    assert!(
        span.start <= span.end,
        "a place that ends before it begins: {span:?} in {text:?}"
    );
    assert!(
        span.end.offset <= text.len() + 1,
        "a place beyond the text: {span:?} in {text:?}"
    );
    assert!(span.start.offset == 0 || text.is_char_boundary(span.start.offset));
}

fn check(text: &str) {
    let shown = text.strip_prefix('\u{feff}').unwrap_or(text);
    match parse(text) {
        Err(faults) => {
            assert!(!faults.0.is_empty(), "no fault and no file: {text:?}");
            faults
                .0
                .iter()
                .for_each(|fault| check_span(shown, fault.span));
            assert_eq!(parse(text).unwrap_err(), faults);
        }
        Ok(file) => {
            let all = file.stages.iter().flat_map(|stage| &stage.instructions);
            all.for_each(|instruction| check_span(shown, instruction.span));
            let first = build(&file);
            assert_eq!(first, build(&file), "{text:?}");
        }
    }
}

/// Lowers with an empty image wherever one is asked for.
fn build(file: &Dockerfile) -> String {
    let options = Options::new("t", ContextId::new("main"));
    let mut bases = Bases::default();
    let mut graph = Graph::default();
    for _ in 0..64 {
        match lower(&mut graph, file, &options, &bases) {
            Err(faults) => return faults.to_string(),
            Ok(Lowered::Done { .. }) => {
                for (at, vertex) in graph.vertices.iter().enumerate() {
                    assert!(vertex.op.inputs().iter().all(|input| input.0 < at));
                }
                return format!("{:?} {:?}", graph.vertices, graph.targets);
            }
            Ok(Lowered::Needs(needs)) => {
                assert!(!needs.is_empty());
                for need in needs {
                    let Need::Image {
                        reference,
                        platform,
                        ..
                    } = need
                    else {
                        panic!("asks for a target");
                    };
                    let base = Base {
                        reference: reference.canonical(),
                        image: Default::default(),
                    };
                    bases.insert(&reference, platform, base);
                }
            }
        }
    }
    panic!("asks for ever");
}

#[test]
fn dockerfiles_by_chance() {
    let text = include_str!("dispatch/cases.txt");
    let cases = text.split("=== ").filter_map(|case| case.split_once('\n'));
    let corpus: Vec<&str> = cases.map(|(_, text)| text).collect();
    let seed = number("BOWLINE_SEED", 1).max(1);
    let mut chance = Chance(seed);
    for _ in 0..number("BOWLINE_CASES", 3000) {
        check(&mutated(&mut chance, &corpus));
    }
}

#[test]
fn ignore_patterns_by_chance() {
    let table = include_str!("tables/ignore.txt");
    let rows = table.lines().filter_map(|row| row.split_once(" : "));
    let corpus: Vec<&str> = rows.clone().map(|(patterns, _)| patterns).collect();
    let paths: Vec<&str> = rows
        .filter_map(|(_, rest)| Some(rest.split_once(" => ")?.0))
        .collect();
    let mut chance = Chance(number("BOWLINE_SEED", 1).max(1));
    for _ in 0..number("BOWLINE_CASES", 3000) {
        let patterns = mutated(&mut chance, &corpus).replace(" ; ", "\n");
        let path = chance.of(&paths);
        let Ok(ignore) = Ignore::parse(&patterns) else {
            continue;
        };
        let folders = path
            .match_indices('/')
            .map(|(at, _)| &path[..at])
            .chain([path]);
        let walk = folders.fold((false, Seen::default()), |(_, seen), path| {
            ignore.enter(path, &seen)
        });
        // Without `!`, looking at the whole path and walking to it are the same.
        if !patterns.contains('!') {
            assert_eq!(walk.0, ignore.hides(path), "{patterns:?} {path:?}");
        }
    }
}
