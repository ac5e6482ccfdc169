//! `completion` prints a shell's script, `__complete` answers what it asks.
//!
//! The answers come from the definition of the command line itself, and service names from the Compose files, or from
//! the containers of a project that has none. Asking starts no engine.

use std::collections::BTreeMap;

use bowline_client::Client;
use clap::{Arg, Args, Command, CommandFactory as _, ValueEnum};

use super::containers::{self, Labelled as _};
use super::context::Context;
use super::{Cli, Globals};
use crate::autostart::{self, Environment};
use crate::ui::{Outcome, Ui};

/// The shells that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// `completion`
#[derive(Args, Clone, Debug)]
pub(super) struct Completion {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// `__complete`
#[derive(Args, Clone, Debug)]
pub(super) struct Complete {
    /// What was typed, the word under the cursor last
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

const BASH: &str = r#"# bash: source <(bowline completion bash)
_bowline() {
    local IFS=$'\n'
    COMPREPLY=($("$1" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _bowline bowline"#;

const ZSH: &str = r#"#compdef bowline
# zsh: source <(bowline completion zsh)
_bowline() {
    local -a found
    found=(${(f)"$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( ${#found} )); then
        found=("${(@)found//:/\\:}")
        found=("${(@)found/$'\t'/:}")
        _describe bowline found
    else
        _files
    fi
}
compdef _bowline bowline"#;

const FISH: &str = r#"# fish: bowline completion fish | source
function __bowline_complete
    set -l typed (commandline -opc)
    set -l found ($typed[1] __complete -- $typed[2..] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c bowline -f -a '(__bowline_complete)'"#;

impl Completion {
    #[expect(clippy::unnecessary_wraps, reason = "commands are called alike")]
    pub(super) fn run(self, ui: Ui) -> Outcome {
        ui.line(match self.shell {
            Shell::Bash => BASH,
            Shell::Zsh => ZSH,
            Shell::Fish => FISH,
        });
        Ok(0)
    }
}

impl Complete {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (environment, ui) = (context.environment.clone(), context.ui);
        let root = Cli::command();
        let typed = Typed::read(&root, &self.words);
        let mut offers = typed.offers(&root);
        if typed.wants_services() {
            let names = services(typed.globals(), environment, ui).await;
            offers.extend(names.into_iter().map(|name| (name, "service".to_owned())));
        }
        for (word, about) in offers {
            if word.starts_with(typed.current) {
                ui.line(format!("{word}\t{about}"));
            }
        }
        Ok(0)
    }
}

/// Names of services: of the file, else of the containers there are. What fails says nothing here.
async fn services(globals: Globals, environment: Environment, ui: Ui) -> Vec<String> {
    let Ok(context) = Context::new(globals, environment, ui) else {
        return Vec::new();
    };
    let Ok(scope) = context.scope(&[]) else {
        return Vec::new();
    };
    if let Some(project) = &scope.project {
        let names = project.services.keys().chain(project.disabled.keys());
        return names.cloned().collect();
    }
    let host = context.globals.host.as_deref();
    let Ok(endpoint) = autostart::endpoint(host, &context.environment) else {
        return Vec::new();
    };
    let found = containers::list(&Client::new(endpoint), &scope.name, true, &[]).await;
    let mut names: Vec<String> = found
        .unwrap_or_default()
        .iter()
        .map(|container| container.service().to_owned())
        .collect();
    names.dedup();
    names
}

/// What the words before the cursor come to.
struct Typed<'w> {
    /// The commands they name, outermost first.
    path: Vec<String>,
    /// Values of the options before the command.
    options: BTreeMap<String, Vec<String>>,
    /// How many words of the command were given.
    positionals: usize,
    /// The option whose value is to come.
    option: Option<Arg>,
    /// What the next positional word is.
    positional: Option<Arg>,
    /// No options from here on.
    plain: bool,
    current: &'w str,
}

impl<'w> Typed<'w> {
    fn read(root: &Command, words: &'w [String]) -> Self {
        let (current, before) = words
            .split_last()
            .map_or(("", words), |(last, rest)| (last.as_str(), rest));
        let mut typed = Typed {
            path: Vec::new(),
            options: BTreeMap::new(),
            positionals: 0,
            option: None,
            positional: None,
            plain: false,
            current,
        };
        for word in before {
            typed.take(root, word);
        }
        let command = typed.command(root);
        let last = command.get_positionals().last();
        let nth = command.get_positionals().nth(typed.positionals);
        let repeats = |arg: &&Arg| {
            arg.get_num_args()
                .is_some_and(|count| count.max_values() > 1)
        };
        typed.positional = nth.or_else(|| last.filter(repeats)).cloned();
        typed
    }

    fn command<'c>(&self, root: &'c Command) -> &'c Command {
        self.path.iter().fold(root, |command, name| {
            command.find_subcommand(name).unwrap_or(command)
        })
    }

    fn take(&mut self, root: &Command, word: &str) {
        if let Some(option) = self.option.take() {
            let values = self.options.entry(option.get_id().to_string()).or_default();
            values.push(word.to_owned());
            return;
        }
        let command = self.command(root);
        if word == "--" {
            self.plain = true;
        } else if word.starts_with('-') && word != "-" && !self.plain {
            self.take_option(command, root, word);
        } else if !self.plain
            && let Some(found) = command.find_subcommand(word)
        {
            self.path.push(found.get_name().to_owned());
            self.positionals = 0;
        } else {
            self.positionals += 1;
            // What follows the command of `exec` and `run` belongs to it.
            let rest = command.get_positionals().nth(self.positionals);
            self.plain |= rest.is_none_or(Arg::is_trailing_var_arg_set)
                && command.get_positionals().any(Arg::is_trailing_var_arg_set);
        }
    }

    fn take_option(&mut self, command: &Command, root: &Command, word: &str) {
        let (name, value) = word
            .split_once('=')
            .map_or((word, None), |(name, value)| (name, Some(value)));
        let named = |arg: &&Arg| match name.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short() == name.chars().last(),
        };
        let here = command.get_arguments().find(named);
        let found = here.or_else(|| {
            root.get_arguments()
                .filter(|arg| arg.is_global_set())
                .find(named)
        });
        let Some(arg) = found.filter(|arg| arg.get_action().takes_values()) else {
            return;
        };
        match value {
            Some(value) => {
                let values = self.options.entry(arg.get_id().to_string()).or_default();
                values.push(value.to_owned());
            }
            None => self.option = Some(arg.clone()),
        }
    }

    fn globals(&self) -> Globals {
        let all = |id: &str| self.options.get(id).cloned().unwrap_or_default();
        let last = |id: &str| {
            self.options
                .get(id)
                .and_then(|values| values.last().cloned())
        };
        Globals {
            files: all("files"),
            project_name: last("project_name"),
            project_directory: last("project_directory"),
            profiles: all("profiles"),
            env_files: all("env_files"),
            host: last("host"),
            ..Globals::default()
        }
    }

    /// Whether a service may stand here.
    fn wants_services(&self) -> bool {
        let is_service = |arg: &Arg| {
            let of_option =
                ["attach", "no_attach", "exit_code_from", "scale"].contains(&arg.get_id().as_str());
            let id = arg.get_id().as_str();
            id == "service" || id == "services" || self.option.is_some() && of_option
        };
        match &self.option {
            Some(option) => is_service(option),
            None => {
                !self.current.starts_with('-') && self.positional.as_ref().is_some_and(is_service)
            }
        }
    }

    /// What may stand here besides services, with what it means.
    fn offers(&self, root: &Command) -> Vec<(String, String)> {
        let values = |arg: &Arg| -> Vec<(String, String)> {
            let values = arg.get_possible_values();
            values
                .iter()
                .filter(|value| !value.is_hide_set())
                .map(|value| (value.get_name().to_owned(), about(value.get_help())))
                .collect()
        };
        if let Some(option) = &self.option {
            return values(option);
        }
        let command = self.command(root);
        if self.current.starts_with('-') && !self.plain {
            let options = command.get_arguments().filter(|arg| !arg.is_hide_set());
            return options
                .filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help()))))
                .chain([("--help".to_owned(), "Print help".to_owned())])
                .collect();
        }
        if self.plain {
            return Vec::new();
        }
        let commands = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        let mut offers: Vec<(String, String)> = commands
            .map(|command| (command.get_name().to_owned(), about(command.get_about())))
            .collect();
        offers.extend(self.positional.iter().flat_map(values));
        offers
    }
}

fn about(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        let root = Cli::command();
        let typed = Typed::read(&root, &words);
        let mut offers: Vec<String> = typed
            .offers(&root)
            .into_iter()
            .map(|(word, _)| word)
            .filter(|word| word.starts_with(typed.current))
            .collect();
        if typed.wants_services() {
            offers.push("SERVICE".into());
        }
        offers
    }

    #[test]
    fn the_definition_is_what_is_offered() {
        assert_eq!(offered("at"), ["attach"]);
        assert!(offered("").contains(&"up".to_owned()));
        assert!(!offered("__").iter().any(|word| word == "__complete"));
        assert_eq!(offered("up --force"), ["--force-recreate"]);
        assert_eq!(offered("--ansi "), ["auto", "always", "never"]);
        assert_eq!(offered("network in"), ["inspect"]);
        assert_eq!(offered("completion f"), ["fish"]);
    }

    #[test]
    fn services_stand_where_services_belong() {
        for line in [
            "up ",
            "logs -f ",
            "-f other.yaml up web ",
            "exec ",
            "up --attach ",
            "stop web ",
        ] {
            assert!(offered(line).contains(&"SERVICE".to_owned()), "{line}");
        }
        for line in ["exec web ", "up -", "-p ", "ls ", "exec web ls "] {
            assert!(!offered(line).contains(&"SERVICE".to_owned()), "{line}");
        }
    }

    #[test]
    fn options_before_the_command_find_the_project() {
        let words = [
            "-f",
            "a.yaml",
            "--project-name=shop",
            "--profile",
            "*",
            "up",
            "",
        ];
        let words: Vec<String> = words.map(ToOwned::to_owned).to_vec();
        let globals = Typed::read(&Cli::command(), &words).globals();
        assert_eq!(globals.files, ["a.yaml"]);
        assert_eq!(globals.project_name.as_deref(), Some("shop"));
        assert_eq!(globals.profiles, ["*"]);
    }
}
