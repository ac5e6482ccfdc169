//! The command line: what was typed, and a file for each command that says what it means.

mod attach;
mod build;
mod build_shell;
mod complete;
mod config;
mod containers;
mod context;
mod cp;
mod cp_files;
mod cp_paths;
mod doctor;
mod down;
mod engine;
mod events;
mod exec;
mod explain;
mod export;
mod follow;
mod format;
mod hold;
mod image;
mod image_build;
mod images;
mod inspect;
mod isolate;
mod lifecycle;
mod logs;
mod ls;
mod man;
mod network;
mod origin;
mod plan;
mod port;
mod prepare;
mod project_volumes;
mod ps;
mod pull;
mod push;
mod run;
mod signals;
mod stats;
mod streams;
mod system;
mod system_disk;
mod test;
mod top;
mod unit;
mod up;
mod volume;
mod volume_snapshot;
mod wait;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::autostart::Environment;
use crate::ui::{Ansi, Mode, Outcome, ProgressChoice, Ui};
use context::Context;

/// Run a Compose project on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "bowline",
    version,
    about,
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options before the command.
#[derive(Args, Clone, Debug, Default)]
struct Globals {
    /// Compose file; repeat it to merge several, `-` is standard input
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// Name of the project
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// Folder that relative paths are resolved against
    #[arg(long, value_name = "DIR")]
    project_directory: Option<String>,
    /// Profile to switch on; `*` is all of them
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// File of variables instead of `.env`
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<String>,
    /// Engine to talk to: `unix:///…` or `tcp://…`
    #[arg(short = 'H', long, value_name = "ENDPOINT")]
    host: Option<String>,
    /// How many operations at once; -1 is no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    parallel: Option<i64>,
    /// How progress is shown
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "COMPOSE_PROGRESS",
        hide_env = true
    )]
    progress: ProgressChoice,
    /// When to use colours
    #[arg(
        long,
        value_enum,
        default_value_t,
        env = "COMPOSE_ANSI",
        hide_env = true
    )]
    ansi: Ansi,
    /// With networks and volumes that no service uses
    #[arg(long)]
    all_resources: bool,
    /// Print the plan of a command instead of doing it
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create and start the project's containers
    Up(up::Up),
    /// Stop and remove the project's containers and networks
    Down(down::Down),
    /// List the project's containers
    Ps(ps::Ps),
    /// Show the output of the project's containers
    Logs(logs::Logs),
    /// Join the streams of a running container
    Attach(attach::Attach),
    /// Run a command in a running container of a service
    Exec(exec::Exec),
    /// Run a one-off container of a service
    Run(run::Run),
    /// Run a service's command against a copy of the project, and remove the copy
    Test(test::Test),
    /// Stop containers without removing them
    Stop(lifecycle::Stop),
    /// Start containers that exist
    Start(lifecycle::Start),
    /// Restart containers
    Restart(lifecycle::Restart),
    /// Send a signal to containers
    Kill(lifecycle::Kill),
    /// Remove stopped containers
    Rm(lifecycle::Rm),
    /// Freeze containers
    Pause(lifecycle::Pause),
    /// Let frozen containers go on
    Unpause(lifecycle::Unpause),
    /// Change the number of containers of services
    Scale(up::Scale),
    /// Create containers without starting them
    Create(up::Create),
    /// List projects
    Ls(ls::Ls),
    /// Build the images of services
    Build(Box<build::Build>),
    /// Pull the images of services
    Pull(pull::Pull),
    /// Push images to their registries
    Push(push::Push),
    /// Check, merge and print the Compose files
    Config(config::Config),
    /// Tell what a code of an error or a warning means
    Explain(explain::Explain),
    /// List the images that the project's containers use
    Images(images::Images),
    /// List the project's volumes
    Volumes(project_volumes::Volumes),
    /// Copy files between this machine and a container
    Cp(cp::Cp),
    /// Write a container's files into an archive
    Export(export::Export),
    /// Make an image of a container
    Commit(export::Commit),
    /// List what a container changed of its image
    Diff(export::Diff),
    /// Show the processes of containers
    Top(top::Top),
    /// Show what containers use of the machine
    Stats(stats::Stats),
    /// Print where a port of a service is published
    Port(port::Port),
    /// Wait until containers of services stop, or are healthy
    Wait(wait::Wait),
    /// Show what happens to the project's containers
    Events(events::Events),
    /// Bring files into containers when they are saved
    Watch(watch::Watch),
    /// Print what `up` would do, and why
    Plan(plan::Plan),
    /// Run the engine in the foreground
    Engine(engine::Engine),
    /// Print the engine's settings and where each comes from
    Info(system::Info),
    /// Check what the engine needs of this machine
    Doctor(doctor::Doctor),
    /// Print the shell line that points Docker's tools at the engine
    Env(system::Env),
    /// Print version, commit and API version
    Version(system::Version),
    /// Look at the engine's house-keeping
    #[command(subcommand)]
    System(system::System),
    /// Print everything about containers, images, networks and volumes
    Inspect(inspect::Inspect),
    /// Networks of the engine
    #[command(subcommand)]
    Network(network::Network),
    /// Volumes of the engine
    #[command(subcommand)]
    Volume(volume::Volume),
    /// Images of the engine
    #[command(subcommand)]
    Image(image::Image),
    /// Load images from an archive
    Load(image::Load),
    /// Make an image from a root file system
    Import(image::Import),
    /// Write images into an archive
    Save(image::Save),
    /// Remove images
    Rmi(image::Rm),
    /// Give an image another name
    Tag(image::Tag),
    /// Print the script that makes a shell complete commands and services
    Completion(complete::Completion),
    /// Write pages for `man` into a folder
    Man(man::Man),
    /// Answers the scripts of `completion`
    #[command(name = "__complete", hide = true)]
    Complete(complete::Complete),
}

/// Parses, runs, and turns what came of it into an exit code.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _closed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let no_color = environment
        .get("NO_COLOR")
        .is_some_and(|value| !value.is_empty());
    let ui = Ui::new(cli.globals.ansi, cli.globals.progress, no_color);
    let code = match start(cli, environment, ui) {
        Ok(code) => code,
        Err(failure) => {
            let text = match ui.mode {
                Mode::Json => failure.json(),
                _ => failure.render(ui.color_err),
            };
            if !text.is_empty() {
                ui.note(text.trim_end());
            }
            failure.code()
        }
    };
    ExitCode::from(code)
}

fn start(cli: Cli, environment: Environment, ui: Ui) -> Outcome {
    // The engine brings its own event loop and must not inherit one.
    if let Command::Engine(command) = cli.command {
        return command.run();
    }
    crate::login::remember(&environment);
    let context = Context::new(cli.globals, environment, ui)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(Box::pin(dispatch(cli.command, &context)));
    // A thread that still reads standard input must not hold the end up.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Up(command) => command.run(context).await,
        Command::Create(command) => command.run(context).await,
        Command::Down(command) => command.run(context).await,
        Command::Ps(command) => command.run(context).await,
        Command::Logs(command) => command.run(context).await,
        Command::Attach(command) => command.run(context).await,
        Command::Exec(command) => command.run(context).await,
        Command::Run(command) => command.run(context).await,
        Command::Test(command) => command.run(context).await,
        Command::Stop(command) => command.run(context).await,
        Command::Start(command) => command.run(context).await,
        Command::Restart(command) => command.run(context).await,
        Command::Kill(command) => command.run(context).await,
        Command::Rm(command) => command.run(context).await,
        Command::Pause(command) => command.run(context).await,
        Command::Unpause(command) => command.run(context).await,
        Command::Scale(command) => command.run(context).await,
        Command::Ls(command) => command.run(context).await,
        Command::Build(command) => command.run(context).await,
        Command::Pull(command) => command.run(context).await,
        Command::Push(command) => command.run(context).await,
        Command::Config(command) => command.run(context).await,
        Command::Explain(command) => command.run(context.ui),
        Command::Images(command) => command.run(context).await,
        Command::Volumes(command) => command.run(context).await,
        Command::Cp(command) => command.run(context).await,
        Command::Export(command) => command.run(context).await,
        Command::Commit(command) => command.run(context).await,
        Command::Diff(command) => command.run(context).await,
        Command::Top(command) => command.run(context).await,
        Command::Stats(command) => command.run(context).await,
        Command::Port(command) => command.run(context).await,
        Command::Wait(command) => command.run(context).await,
        Command::Events(command) => command.run(context).await,
        Command::Watch(command) => command.run(context).await,
        Command::Plan(command) => command.run(context).await,
        Command::Engine(command) => command.run(),
        Command::Info(command) => command.run(context).await,
        Command::Doctor(command) => command.run(context),
        Command::Env(command) => command.run(context),
        Command::Version(command) => command.run(context).await,
        Command::System(command) => command.run(context).await,
        Command::Inspect(command) => command.run(context).await,
        Command::Network(command) => command.run(context).await,
        Command::Volume(command) => command.run(context).await,
        Command::Image(command) => command.run(context).await,
        Command::Load(command) => command.run(context).await,
        Command::Import(command) => command.run(context).await,
        Command::Save(command) => command.run(context).await,
        Command::Rmi(command) => command.run(context).await,
        Command::Tag(command) => command.run(context).await,
        Command::Completion(command) => command.run(context.ui),
        Command::Man(command) => command.run(),
        Command::Complete(command) => command.run(context).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_stand_before_the_command() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("bowline -p shop -f a.yaml up -d web").is_ok());
        assert!(parse("bowline logs -f web").is_ok());
        assert!(parse("bowline run -p 80:80 web sh -c x").is_ok());
        assert!(parse("bowline exec -T web ls -l /").is_ok());
        assert!(parse("bowline up --frobnicate").is_err());
        assert!(parse("bowline").is_err());
    }
}
