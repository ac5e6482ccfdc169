//! What a running container costs beside its own process: one shim each.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use bowline_tests::{World, eventually};

/// How many containers the budget is for: what they share is divided among them.
const CONTAINERS: usize = 20;
/// The budget of one shim, in kilobytes: what is its own, and with its part of what is shared.
const PRIVATE: u64 = 100;
const PROPORTIONAL: u64 = 250;

/// What the kernel counts for one shim, in kilobytes.
#[derive(Clone, Copy, Debug)]
struct Cost {
    private: u64,
    proportional: u64,
}

/// A shim hands back what its start took once nothing has happened for a while; then it must be within the budget.
#[test]
fn a_shim_at_rest_costs_little() {
    let world = World::new();
    let mut file = String::from("services:\n");
    for number in 0..CONTAINERS {
        write!(file, "  s{number}:\n    image: bowline/demo\n    command: sleep forever\n    stop_signal: SIGKILL\n")
            .expect("a string takes everything");
    }
    let project = world.project("many", &file);
    project.up();
    let run = world.names().roots[1].to_string_lossy().into_owned();
    let [private, proportional] = eventually(Duration::from_secs(60), || {
        let costs = costs(&run);
        let medians = [
            median(costs.iter().map(|cost| cost.private)),
            median(costs.iter().map(|cost| cost.proportional)),
        ];
        let good = costs.len() == CONTAINERS && medians[0] <= PRIVATE && medians[1] <= PROPORTIONAL;
        if good { Ok(medians) } else { Err(costs) }
    });
    eprintln!(
        "a shim among {CONTAINERS}: {private} kB private of {PRIVATE}, {proportional} kB in proportion of {PROPORTIONAL}"
    );
    project.down();
    world.ends_clean();
}

/// Of every shim that works in the run root `run`.
fn costs(run: &str) -> Vec<Cost> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let shims = processes.filter(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(b"bowline-shim")
            && words
                .next()
                .is_some_and(|folder| folder.starts_with(run.as_bytes()))
    });
    // One that has gone meanwhile is missed by whoever counts them.
    shims
        .filter_map(|shim| fs::read_to_string(shim.path().join("smaps_rollup")).ok())
        .map(|text| Cost {
            private: field(&text, "Private_Clean:") + field(&text, "Private_Dirty:"),
            proportional: field(&text, "Pss:"),
        })
        .collect()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {text}"))
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(u64::MAX)
}
