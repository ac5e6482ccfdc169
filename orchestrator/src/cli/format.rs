//! `--format`: a table, JSON, or a template of one's own.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::ui::{Outcome, Table, Template, Ui};

/// How a list is printed.
#[derive(Clone, Debug, Default)]
pub(super) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
    /// A Go template for each row.
    Each(Template),
    /// A Go template for each row, in columns divided by tabs, under headings.
    Columns(Template),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Shells make it hard to write a tab, so these two are understood without Go's quotes.
        let template = |text: &str| {
            let text = text.replace(r"\t", "\t").replace(r"\n", "\n");
            Template::parse(&text).map_err(|error| error.to_string())
        };
        match text.trim() {
            "" | "table" | "pretty" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            columns if columns.starts_with("table ") => Ok(Self::Columns(template(
                columns["table ".len()..].trim_start(),
            )?)),
            each if each.contains("{{") => Ok(Self::Each(template(text)?)),
            other => Err(format!(
                "`{other}` is neither `table` nor `json`, and a template has fields, as in `{{{{.Name}}}}`"
            )),
        }
    }
}

/// How JSON stands in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// An object a line.
    Lines,
    /// One list of objects.
    List,
}

/// Rows to be printed: each is an object for templates and JSON, and cells for the plain table.
#[derive(Debug)]
pub(super) struct Listing {
    headings: &'static [&'static str],
    rows: Vec<(Value, Vec<String>)>,
}

impl Listing {
    /// No rows yet.
    pub(super) fn new(headings: &'static [&'static str]) -> Self {
        Self {
            headings,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, object: Value, cells: Vec<String>) {
        self.rows.push((object, cells));
    }

    /// The text for a format, without a newline at its end; nothing for no rows where there are no headings.
    pub(super) fn render(&self, format: &Format, json: Json) -> Outcome<String> {
        Ok(match format {
            Format::Table => {
                let mut table = Table::new(self.headings);
                for (_, cells) in &self.rows {
                    table.row(cells.clone());
                }
                table.render()
            }
            Format::Json if json == Json::List => {
                Value::Array(self.objects().cloned().collect()).to_string()
            }
            Format::Json => lines(self.objects().map(|object| Ok(object.to_string())))?,
            Format::Each(template) => {
                lines(self.objects().map(|object| Ok(template.render(object)?)))?
            }
            Format::Columns(template) => self.columns(template)?,
        })
    }

    /// Prints it; without rows and headings nothing is printed, not even an empty line.
    pub(super) fn print(&self, ui: Ui, format: &Format, json: Json) -> Outcome<()> {
        let text = self.render(format, json)?;
        let rows_only = matches!(format, Format::Each(_))
            || matches!((format, json), (Format::Json, Json::Lines));
        if !(rows_only && self.rows.is_empty()) {
            ui.line(text);
        }
        Ok(())
    }

    fn objects(&self) -> impl Iterator<Item = &Value> {
        self.rows.iter().map(|(object, _)| object)
    }

    /// The headings are what the template makes of an object whose fields hold their own names.
    fn columns(&self, template: &Template) -> Outcome<String> {
        let cells = |line: String| line.split('\t').map(ToOwned::to_owned).collect::<Vec<_>>();
        let mut fields = Map::new();
        for key in self
            .objects()
            .filter_map(Value::as_object)
            .flat_map(Map::keys)
        {
            fields.insert(key.clone(), heading(key).into());
        }
        let headings = match fields.is_empty() {
            true => Vec::new(),
            // A template that looks into a field finds nothing to look into in a heading.
            false => template
                .render(&Value::Object(fields))
                .map(cells)
                .unwrap_or_default(),
        };
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let mut table = Table::new(&headings);
        for object in self.objects() {
            table.row(cells(template.render(object)?));
        }
        Ok(table.render())
    }
}

fn lines(texts: impl Iterator<Item = Outcome<String>>) -> Outcome<String> {
    Ok(texts.collect::<Outcome<Vec<_>>>()?.join("\n"))
}

/// `RunningFor` is headed `RUNNING FOR`, `CPUPerc` is headed `CPU %`.
fn heading(field: &str) -> String {
    let known = match field {
        "CPUPerc" => "CPU %",
        "MemPerc" => "MEM %",
        "MemUsage" => "MEM USAGE / LIMIT",
        "NetIO" => "NET I/O",
        "BlockIO" => "BLOCK I/O",
        "ID" => "ID",
        "PIDs" => "PIDS",
        "RunningFor" | "CreatedSince" => "CREATED",
        "Container" => "CONTAINER ID",
        "Names" => "NAMES",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let mut out = String::new();
    let mut before_lower = false;
    for letter in field.chars() {
        if letter.is_uppercase() && before_lower {
            out.push(' ');
        }
        before_lower = letter.is_lowercase();
        out.extend(letter.to_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing() -> Listing {
        let mut listing = Listing::new(&["NAME", "STATE"]);
        for (name, state) in [("db", "running"), ("web", "exited")] {
            listing.row(
                json!({"Name": name, "State": state, "CreatedAt": "now"}),
                vec![name.into(), state.into()],
            );
        }
        listing
    }

    fn shown(format: &str, json: Json) -> String {
        listing().render(&format.parse().unwrap(), json).unwrap()
    }

    #[test]
    fn each_format_shows_the_same_rows() {
        assert_eq!(
            shown("table", Json::List),
            "NAME   STATE\ndb     running\nweb    exited"
        );
        assert_eq!(
            shown("json", Json::Lines),
            "{\"Name\":\"db\",\"State\":\"running\",\"CreatedAt\":\"now\"}\n{\"Name\":\"web\",\"State\":\"exited\",\"CreatedAt\":\"now\"}"
        );
        assert!(shown("json", Json::List).starts_with("[{\"Name\":\"db\""));
        assert_eq!(
            shown("{{.Name}} is {{.State}}", Json::List),
            "db is running\nweb is exited"
        );
    }

    #[test]
    fn tabs_make_columns_under_headings() {
        assert_eq!(
            shown(
                r"table {{.Name}}\t{{upper .State}}\t{{.CreatedAt}}",
                Json::List
            ),
            "NAME   STATE     CREATED AT\ndb     RUNNING   now\nweb    EXITED    now"
        );
    }

    #[test]
    fn what_is_neither_word_nor_template_is_refused() {
        let fault = "yaml".parse::<Format>().unwrap_err();
        assert!(fault.contains("`yaml`"), "{fault}");
        let fault = "{{.Name".parse::<Format>().unwrap_err();
        assert!(fault.contains("template:1:1"), "{fault}");
        let failure = listing()
            .render(&"{{.Nope}}".parse().unwrap(), Json::List)
            .unwrap_err();
        assert!(failure.line().contains("no field `Nope`"));
    }

    #[test]
    fn headings_are_the_fields_in_words() {
        assert_eq!(heading("CreatedAt"), "CREATED AT");
        assert_eq!(heading("Name"), "NAME");
        assert_eq!(heading("CPUPerc"), "CPU %");
    }
}
