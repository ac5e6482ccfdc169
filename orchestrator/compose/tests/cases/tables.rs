//! Tables of `compose-specs/tables`: one project with holes, and a row for each thing that may stand in them.
//!
//! ```text
//! # what the table shows
//! columns: base over           (optional; one column, `row`, otherwise. Cells of a row are separated by ` | `)
//! in: services.web.labels      (the place of the model that rows tell; `.` is all of it)
//! args: -f a.yaml              (optional, as `env:`)
//! --- compose.yaml
//! services: {web: {image: x, labels: <row>}}
//! === rows
//! {a: b} => {"a": "b"}
//! [a] => {"a": ""}
//! 3 => error compose::wrong-type
//! {a: !!binary eA==} => absent (not as Compose: some-difference)
//! ```
//!
//! `⏎` stands for the end of a line, `~EMPTY~` for nothing. A row that ends in a difference names its line in
//! `differences.md`; all others are what Docker Compose answers.

#![expect(clippy::unwrap_used, reason = "a broken table has to stop the test")]

use std::path::{Path, PathBuf};

use crate::harness::Case;

/// One row and the case that it stands for.
pub(crate) struct Row {
    pub(crate) case: Case,
    /// The path of keys to the value that is told, none for the whole model.
    place: Vec<String>,
    /// What stands before ` => `.
    input: String,
    /// What stands behind it, without the difference.
    pub(crate) expected: String,
    /// The deliberate difference to Docker Compose.
    pub(crate) difference: Option<String>,
}

/// A file of rows.
pub(crate) struct Table {
    path: PathBuf,
    /// Everything up to the rows.
    head: String,
    pub(crate) rows: Vec<Row>,
}

/// Every table of the folder, by name.
pub(crate) fn tables() -> Vec<Table> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose-specs/tables");
    let folder = std::env::var_os("BOWLINE_TABLES").map_or(ours, PathBuf::from);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Table {
    let text = std::fs::read_to_string(&path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let (head, rows) = text.split_once("=== rows\n").unwrap();
    let setting = |wanted: &str| {
        let settings = head.split("\n--- ").next().unwrap_or_default();
        settings
            .lines()
            .find_map(|line| line.strip_prefix(wanted)?.strip_prefix(": "))
    };
    let columns: Vec<&str> = setting("columns").unwrap_or("row").split(' ').collect();
    let rows = rows.lines().enumerate().map(|(index, line)| {
        let (input, answer) = line.rsplit_once(" => ").unwrap_or((line, "error"));
        let cells: Vec<&str> = if columns.len() == 1 {
            vec![input]
        } else {
            input.split(" | ").map(str::trim).collect()
        };
        assert_eq!(cells.len(), columns.len(), "{name}: {line}");
        let fill = |text: &str| {
            columns
                .iter()
                .zip(&cells)
                .fold(text.to_owned(), |text, (column, cell)| {
                    let cell = cell.replace("~EMPTY~", "").replace('⏎', "\n");
                    text.replace(&format!("<{column}>"), &cell)
                })
        };
        let place = fill(setting("in").unwrap());
        let (expected, difference) = match answer.split_once(" (not as Compose: ") {
            Some((answer, why)) => (answer, Some(why.trim_end_matches(')').to_owned())),
            None => (answer, None),
        };
        Row {
            case: Case::parse(
                &format!("{name} row {}", index + 1),
                &fill(&of_a_case(head)),
            ),
            place: place
                .split('.')
                .filter(|step| !step.is_empty())
                .map(str::to_owned)
                .collect(),
            input: input.to_owned(),
            expected: expected.to_owned(),
            difference,
        }
    });
    let rows = rows.collect();
    let head = format!("{head}=== rows\n");
    Table { path, head, rows }
}

/// The head without the settings that only a table has.
fn of_a_case(head: &str) -> String {
    let ours = |line: &&str| !line.starts_with("in: ") && !line.starts_with("columns: ");
    head.split_inclusive('\n').filter(ours).collect()
}

impl Row {
    /// What we answer: JSON, `absent`, or `error` and the codes.
    fn actual(&self) -> String {
        let out = self.case.actual();
        match out.get("json") {
            Some(json) => self.told(json),
            None => format!("error {}", codes(&out["errors"])),
        }
    }

    /// The value at the row's place in a whole model.
    pub(crate) fn told(&self, json: &str) -> String {
        let model: serde_json::Value = serde_json::from_str(json).unwrap();
        let mut value = Some(&model);
        for step in &self.place {
            value = value.and_then(|value| value.get(step));
        }
        value.map_or("absent".to_owned(), ToString::to_string)
    }

    /// Whether an answer is what the row tells.
    pub(crate) fn tells(&self, answer: &str) -> bool {
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        answer == self.expected || (read(answer).is_some() && read(answer) == read(&self.expected))
    }

    fn line(&self, answer: &str) -> String {
        let difference = self.difference.as_ref();
        let difference =
            difference.map_or(String::new(), |why| format!(" (not as Compose: {why})"));
        format!("{} => {answer}{difference}", self.input)
    }
}

/// The codes of errors in a rendered text, each once.
fn codes(text: &str) -> String {
    let mut codes: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("error[")?.split_once(']')?.0))
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes.join(" ")
}

/// `BOWLINE_UPDATE=1` writes the codes of errors; any other answer has to be right as it stands, but for the rows of a
/// deliberate difference.
#[test]
fn every_row_gives_what_it_tells() {
    let update = std::env::var_os("BOWLINE_UPDATE").is_some();
    let (mut failed, mut count) = (Vec::new(), 0);
    for table in tables() {
        let mut out = table.head.clone();
        for row in &table.rows {
            count += 1;
            let actual = row.actual();
            let ours = row.difference.is_some()
                || (row.expected.starts_with("error") && actual.starts_with("error"));
            if row.tells(&actual) {
                out.push_str(&row.line(&row.expected));
            } else if update && ours {
                out.push_str(&row.line(&actual));
            } else {
                out.push_str(&row.line(&row.expected));
                failed.push(format!(
                    "{}: {}\n    {actual}",
                    row.case.name,
                    row.line(&row.expected)
                ));
            }
            out.push('\n');
        }
        if update {
            std::fs::write(&table.path, out).unwrap();
        }
    }
    assert!(count > 400, "the tables were not found");
    assert!(
        failed.is_empty(),
        "{} of {count} rows differ:\n\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// A difference that nobody gives a reason for is a fault.
#[test]
fn every_difference_has_its_reason() {
    let page = include_str!("../../../../compose-specs/differences.md");
    let named = |why: &str| page.contains(&format!("| `{why}` |"));
    let missing: Vec<String> = tables()
        .iter()
        .flat_map(|table| &table.rows)
        .filter_map(|row| row.difference.clone())
        .filter(|why| !named(why))
        .collect();
    assert!(missing.is_empty(), "no reason for {missing:?}");
}
