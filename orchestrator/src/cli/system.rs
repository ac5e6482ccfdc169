//! `info`, `env`, `version`, `system`: the engine about itself.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::events;
use super::format::Format;
use super::ps::Format as Report;
use super::{system_disk, unit};
use crate::autostart;
use crate::ui::{Failure, Outcome, Style, Table, WithContext as _};

/// `info`
#[derive(Args, Clone, Debug)]
pub(super) struct Info {
    /// `table`, `json`, or a Go template over what the API tells
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_default_value = true
    )]
    format: Format,
}

/// `env`
#[derive(Args, Clone, Debug)]
pub(super) struct Env {}

/// `version`
#[derive(Args, Clone, Debug)]
pub(super) struct Version {
    /// The version only
    #[arg(long)]
    short: bool,
    /// `pretty`, `json`, or a Go template
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "pretty",
        hide_default_value = true
    )]
    format: Format,
}

/// `system`
#[derive(Clone, Debug, Subcommand)]
pub(super) enum System {
    /// List what the engine holds of the machine without needing it; fails if there is any
    Check(Check),
    /// Show what takes how much of the disk
    Df(system_disk::Df),
    /// Remove what nothing needs
    Prune(system_disk::Prune),
    /// Start the engine with the machine, through systemd
    Enable(unit::Enable),
    /// Undo `system enable`
    Disable(unit::Disable),
    /// Show what happens in the engine
    Events(events::Engine),
    /// Print the engine's settings and where each comes from
    Info(Info),
}

/// `system check`
#[derive(Args, Clone, Debug)]
pub(super) struct Check {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Report,
}

impl Info {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let info = client.info().await.during("cannot ask the engine")?;
        let settings = match client.engine_config().await {
            Ok(settings) => settings,
            // Another engine than ours has no such settings.
            Err(error) if error.is_not_found() => Value::Null,
            Err(error) => return Err(error.into()),
        };
        match &self.format {
            Format::Table => {}
            Format::Json => {
                let all = json!({"engine": info, "settings": settings});
                context.ui.line(serde_json::to_string_pretty(&all)?);
                return Ok(0);
            }
            Format::Each(template) | Format::Columns(template) => {
                let raw = client.info_raw().await.during("cannot ask the engine")?;
                context.ui.line(template.render(&raw)?);
                return Ok(0);
            }
        }
        let mut table = Table::new(&["ENGINE", ""]);
        let mut say = |key: &str, value: String| table.row(vec![key.to_owned(), value]);
        say("endpoint", client.endpoint().to_string());
        say("version", info.server_version.clone());
        say(
            "containers",
            format!(
                "{} ({} running, {} paused, {} stopped)",
                info.containers,
                info.containers_running,
                info.containers_paused,
                info.containers_stopped
            ),
        );
        say("images", info.images.to_string());
        say("storage driver", info.driver.clone());
        say(
            "cgroups",
            format!("{} (version {})", info.cgroup_driver, info.cgroup_version),
        );
        say("kernel", info.kernel_version.clone());
        say("data root", info.docker_root_dir.clone());
        context.ui.line(table.render());
        if let Some(table) = settings_table(&settings) {
            context.ui.line("");
            context.ui.line(table.render());
        }
        for warning in &info.warnings {
            context.ui.warn(warning);
        }
        Ok(0)
    }
}

/// Each effective value and where it came from.
fn settings_table(settings: &Value) -> Option<Table> {
    let list = settings
        .as_array()
        .or_else(|| settings.get("settings")?.as_array())?;
    let mut table = Table::new(&["SETTING", "VALUE", "FROM", "MEANING"]);
    for setting in list {
        let text = |key: &str| setting[key].as_str().unwrap_or_default().to_owned();
        table.row(vec![
            text("key"),
            text("value"),
            origin(&setting["origin"]),
            text("doc"),
        ]);
    }
    Some(table)
}

/// `"default"`, `{"file": "/etc/…"}`, `{"environment": "BOWLINE_…"}`
fn origin(origin: &Value) -> String {
    match origin {
        Value::String(word) => word.clone(),
        Value::Object(map) => {
            let parts = map
                .iter()
                .map(|(kind, value)| format!("{kind} {}", value.as_str().unwrap_or_default()));
            parts.collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}

impl Env {
    #[expect(clippy::unused_self, reason = "commands are called alike")]
    pub(super) fn run(self, context: &Context) -> Outcome {
        let host = context.globals.host.as_deref();
        let endpoint = autostart::endpoint(host, &context.environment)?.to_string();
        context
            .ui
            .line(format!("export DOCKER_HOST={}", quote(&endpoint)));
        context.ui.note("# to use it: eval \"$(bowline env)\"");
        Ok(0)
    }
}

/// For a POSIX shell; what needs no quotes gets none.
fn quote(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/:._-[]".contains(letter);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

impl Version {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let version = env!("CARGO_PKG_VERSION");
        if self.short {
            context.ui.line(version);
            return Ok(0);
        }
        let commit = bowline_engine::commit();
        let engine = running_engine(context).await;
        let object = json!({
            "version": version, "commit": commit, "api_version": bowline_api::API_VERSION,
            "engine": engine,
        });
        match &self.format {
            Format::Table => {}
            Format::Json => {
                context.ui.line(object.to_string());
                return Ok(0);
            }
            Format::Each(template) | Format::Columns(template) => {
                context.ui.line(template.render(&object)?);
                return Ok(0);
            }
        }
        let api = bowline_api::API_VERSION;
        context
            .ui
            .line(format!("bowline {version} (commit {commit}, API {api})"));
        match engine {
            Some(engine) => context.ui.line(format!(
                "engine  {} (commit {}, API {})",
                engine.version, engine.git_commit, engine.api_version
            )),
            None => context.ui.line("engine  not running"),
        }
        Ok(0)
    }
}

/// Asking for a version starts nothing.
async fn running_engine(context: &Context) -> Option<bowline_api::Version> {
    let host = context.globals.host.as_deref();
    let endpoint = autostart::endpoint(host, &context.environment).ok()?;
    bowline_client::Client::new(endpoint).version().await.ok()
}

impl System {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Check(check) => check.run(context).await,
            Self::Df(df) => df.run(context).await,
            Self::Prune(prune) => prune.run(context).await,
            Self::Enable(enable) => enable.run(context),
            Self::Disable(disable) => disable.run(context),
            Self::Events(events) => events.run(context).await,
            Self::Info(info) => info.run(context).await,
        }
    }
}

impl Check {
    async fn run(self, context: &Context) -> Outcome {
        let client = context.client().await?;
        let found = client
            .engine_check()
            .await
            .during("cannot ask the engine for its ledger")?;
        let leaks = leaks(&found);
        if self.format == Report::Json {
            context.ui.line(serde_json::to_string_pretty(&found)?);
        } else if leaks.is_empty() {
            let word = Style::Good.paint("ok", context.ui.color_out);
            context.ui.line(format!("{word}: the ledger is empty"));
        } else {
            let mut table = Table::new(&["KIND", "WHAT"]);
            leaks
                .iter()
                .for_each(|(kind, what)| table.row(vec![kind.clone(), what.clone()]));
            context.ui.line(table.render());
        }
        match leaks.len() {
            0 => Ok(0),
            1 => Err(Failure::new("one thing was left behind")),
            count => Err(Failure::new(format!("{count} things were left behind"))),
        }
    }
}

/// The ledger in either of its forms: `{"mounts": [..], ..}` or a list of `{"kind", "what"}`.
fn leaks(found: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };
    match found.get("leaks").unwrap_or(found) {
        Value::Array(list) => list
            .iter()
            .map(|leak| match leak {
                Value::Object(leak) => {
                    let field = |key| leak.get(key).map(text).unwrap_or_default();
                    (field("kind"), field("what"))
                }
                other => (String::new(), text(other)),
            })
            .collect(),
        Value::Object(kinds) => kinds
            .iter()
            .flat_map(|(kind, list)| {
                let list = list.as_array().cloned().unwrap_or_default();
                list.into_iter()
                    .map(|what| (kind.clone(), text(&what)))
                    .collect::<Vec<_>>()
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_read_in_both_forms() {
        assert!(leaks(&json!({"leaks": []})).is_empty());
        assert!(leaks(&json!({"mounts": [], "links": []})).is_empty());
        assert_eq!(
            leaks(&json!({"links": ["blxxv0"]})),
            [("links".into(), "blxxv0".into())]
        );
        let listed = json!({"leaks": [{"kind": "mount", "what": "/x"}]});
        assert_eq!(leaks(&listed), [("mount".into(), "/x".into())]);
    }

    #[test]
    fn a_path_with_a_space_survives_the_shell() {
        assert_eq!(
            quote("unix:///run/bowline/bowline.sock"),
            "unix:///run/bowline/bowline.sock"
        );
        assert_eq!(quote("unix:///a b"), "'unix:///a b'");
    }

    #[test]
    fn origins_are_words() {
        assert_eq!(origin(&json!("default")), "default");
        assert_eq!(
            origin(&json!({"environment": "BOWLINE_RUN_ROOT"})),
            "environment BOWLINE_RUN_ROOT"
        );
    }
}
