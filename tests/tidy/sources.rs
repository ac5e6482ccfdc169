//! What stands in Rust sources, and where. The compiler's lints hold most of it; here is what lints cannot see, such as
//! who may switch one off.

use crate::tree::{File, none, rust};

/// The code of a line: without a comment at its end, empty for a line that is one.
///
/// No lexer: a `//` in a string hides the rest of its line, which loses nothing that is looked for here.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Lines of code of these files in which `found` finds something.
fn lines_where(files: &[File], found: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = files.iter().flat_map(File::lines);
    let hits = lines.filter(|(_, line)| found(code(line)));
    hits.map(|(place, line)| format!("{place}: {}", line.trim()))
        .collect()
}

/// Files, but for those in `folders` and this one.
fn outside(folders: &[&str]) -> Vec<File> {
    let mut files = rust();
    files.retain(|file| !file.is_under(folders) && !file.is_under(&["tests/tidy/"]));
    files
}

/// Files with tests: folders of tests, and modules that are nothing else.
fn tests() -> Vec<File> {
    let mut files = outside(&[]);
    files.retain(|file| {
        let of_tests = ["/tests.rs", "_tests.rs", "/stories.rs", "/simulated.rs"];
        file.is_under(&["tests/"])
            || file.path.contains("/tests/")
            || of_tests.iter().any(|ending| file.ends_with(ending))
    });
    files
}

#[test]
fn unsafe_stays_in_sys_and_init() {
    let files = outside(&["engine/sys/", "engine/init/"]);
    let forms = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe extern",
        "unsafe(",
        "(unsafe_code",
    ];
    let hits = lines_where(&files, |line| forms.iter().any(|form| line.contains(form)));
    none("unsafe outside engine/sys and engine/init", &hits);
}

#[test]
fn lints_are_switched_off_by_expectation_only() {
    let hits = lines_where(&outside(&[]), |line| {
        line.contains("#[allow(") || line.contains("#![allow(")
    });
    none(
        "`expect` tells when its reason is gone, `allow` does not",
        &hits,
    );
}

#[test]
fn only_the_command_line_and_the_demo_print() {
    let files = outside(&["orchestrator/src/", "demo/", "tests/"]);
    let hits = lines_where(&files, |line| line.contains("clippy::print_std"));
    let hits: Vec<String> = hits
        .into_iter()
        .filter(|hit| !hit.contains("/tests/"))
        .collect();
    none("printing outside the command line and the demo", &hits);
}

#[test]
fn no_test_is_switched_off() {
    none(
        "ignored tests",
        &lines_where(&outside(&[]), |line| line.contains("#[ignore")),
    );
}

/// How many sleeps a file of tests may have, and why none of them is a guess about time.
const SLEEPS: &[(&str, usize, &str)] = &[
    (
        "dns/tests/resolver.rs",
        1,
        "the upstream that answers late is what is tested",
    ),
    (
        "engine/runtime/tests/kernel/guest.rs",
        4,
        "the program in the container, whose job it is",
    ),
    (
        "engine/runtime/tests/kernel/lives.rs",
        5,
        "that nothing more happens shows only with time",
    ),
    (
        "engine/runtime/tests/kernel/rig.rs",
        2,
        "the pause between two looks at a state",
    ),
    (
        "engine/runtime/tests/kernel/streams.rs",
        1,
        "the client that reads slowly is what is tested",
    ),
    (
        "tests/crash/instants.rs",
        1,
        "each round kills at another instant",
    ),
    ("tests/crash/load.rs", 1, "a rate of new connections"),
    (
        "tests/crash/serving.rs",
        2,
        "how long the engine stays dead",
    ),
    (
        "engine/src/logs/tests.rs",
        1,
        "a follower has to have seen the half record",
    ),
    (
        "orchestrator/client/src/tests.rs",
        1,
        "the server sends an answer in pieces",
    ),
];

#[test]
fn tests_wait_for_states_and_do_not_sleep() {
    let sleeps = |line: &str| line.contains("sleep(") && !line.contains("fn ");
    let mut faults = Vec::new();
    for file in tests() {
        let allowed = SLEEPS.iter().find(|(path, ..)| *path == file.path);
        let hits = lines_where(std::slice::from_ref(&file), sleeps);
        if hits.len() > allowed.map_or(0, |(_, count, _)| *count) {
            faults.extend(hits);
        }
    }
    none("sleeps in tests", &faults);
}

/// The files that a file declares for tests only.
fn test_modules(file: &File) -> Vec<String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let declared = file.text.split("#[cfg(test)]\nmod ").skip(1);
    let names = declared.filter_map(|rest| rest.split_once(';').map(|(name, _)| name));
    names
        .filter(|name| !name.contains(char::is_whitespace))
        .map(|name| format!("{folder}/{name}.rs"))
        .collect()
}

/// Both get files and variables handed in, so that what they make depends on nothing else.
#[test]
fn compose_and_plan_touch_nothing_outside_themselves() {
    let mut files = rust();
    files.retain(|file| file.is_under(&["orchestrator/compose/src/", "orchestrator/plan/src/"]));
    // Their tests read cases from files.
    let for_tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    files.retain(|file| !for_tests.contains(&file.path));
    for file in &mut files {
        if let Some(at) = file.text.find("#[cfg(test)]\nmod tests {") {
            file.text.truncate(at);
        }
    }
    let doors = [
        "std::fs",
        "std::env",
        "std::process",
        "std::io::std",
        "std::thread",
        "TcpStream",
        "UnixStream",
        "Instant::now",
        "SystemTime",
        "std::os",
    ];
    let hits = lines_where(&files, |line| doors.iter().any(|door| line.contains(door)));
    none("doors to the outside", &hits);
}
