//! Where a project and its values come from: files, folders, names, variables, and which of them wins.

use bowline_tests::{Folder, Ran, World};

const SAYS: &str = "services: {it: {image: bowline/demo, command: 'echo ${WORD:-nothing}'}}";

/// What the service `it` prints, run once.
#[track_caller]
fn printed(project: &Folder<'_>, variables: &[(&str, &str)], options: &[&str]) -> String {
    let ran = project.bowline_with(variables, &[options, &["run", "--rm", "-T", "it"]].concat());
    ran.ok().text().to_owned()
}

fn configured(project: &Folder<'_>, variables: &[(&str, &str)], options: &[&str]) -> Ran {
    project.bowline_with(variables, &[options, &["config"]].concat())
}

/// The caller's environment must win over the file named by `--env-file`, and that one replaces `.env`.
#[test]
fn the_environment_wins_over_files() {
    let world = World::new();
    let files = [
        ("compose.yaml", SAYS),
        (".env", "WORD=dotenv\n"),
        ("other.env", "WORD=other\n"),
    ];
    let project = world.folder("words", &files);
    assert_eq!(printed(&project, &[], &[]), "dotenv");
    assert_eq!(
        printed(&project, &[], &["--env-file", "other.env"]),
        "other"
    );
    assert_eq!(
        printed(
            &project,
            &[("WORD", "caller")],
            &["--env-file", "other.env"]
        ),
        "caller"
    );
    assert_eq!(
        printed(&project, &[("COMPOSE_ENV_FILES", "other.env")], &[]),
        "other"
    );
    assert_eq!(
        printed(&project, &[("COMPOSE_DISABLE_ENV_FILE", "1")], &[]),
        "nothing"
    );
    project.down();
    world.ends_clean();
}

/// For the container: `run -e` over `environment`, that over `env_file`, that over the image.
#[test]
fn the_nearest_variable_wins_inside() {
    let world = World::new();
    let compose = "
services:
  it: {image: bowline/demo, command: env, env_file: [low.env], environment: {HIGH: file, PASSED: }}
";
    let env = "LOW=low\nHIGH=low\n";
    let project = world.folder("layers", &[("compose.yaml", compose), ("low.env", env)]);
    let inside = |options: &[&str]| {
        let line = [&["run", "--rm", "-T"], options, &["it"]].concat();
        project.bowline_with(&[("PASSED", "caller")], &line).ok()
    };
    inside(&[])
        .says("LOW=low\n")
        .says("HIGH=file\n")
        .says("PASSED=caller\n");
    inside(&["-e", "HIGH=flag", "-e", "PASSED"])
        .says("HIGH=flag\n")
        .says("PASSED=caller\n");
    project.down();
    world.ends_clean();
}

/// A raw file of variables must be taken as it is written; a plain one knows quotes and comments.
#[test]
fn a_file_of_variables_has_two_forms() {
    let world = World::new();
    let compose = "
services:
  plain: {image: bowline/demo, command: env, env_file: [{path: words.env}]}
  raw: {image: bowline/demo, command: env, env_file: [{path: words.env, format: raw}]}
";
    let words = "QUOTED=\"a b\" # two words\nDOLLAR='$HOME'\n";
    let project = world.folder("forms", &[("compose.yaml", compose), ("words.env", words)]);
    let inside = |service: &str| project.bowline(&["run", "--rm", "-T", service]).ok();
    inside("plain").says("QUOTED=a b\n").says("DOLLAR=$HOME\n");
    inside("raw")
        .says("QUOTED=\"a b\" # two words\n")
        .says("DOLLAR='$HOME'\n");
    project.down();
    world.ends_clean();
}

/// A file of variables that is not required may be missing.
#[test]
fn a_file_of_variables_may_be_missing_if_it_is_said() {
    let world = World::new();
    let compose = |required: &str| {
        format!(
            "services: {{it: {{image: bowline/demo, command: env, env_file: [{{path: none.env, required: {required}}}]}}}}"
        )
    };
    let project = world.project("missing", &compose("false"));
    project.bowline(&["run", "--rm", "-T", "it"]).ok();
    project.write("compose.yaml", &compose("true"));
    project
        .bowline(&["run", "--rm", "-T", "it"])
        .fails_with(1)
        .says("none.env");
    project.down();
    world.ends_clean();
}

/// `-p` over `COMPOSE_PROJECT_NAME` over `name:` over the folder's name, which is made to fit.
#[test]
fn the_nearest_name_wins() {
    let world = World::new();
    let project = world.project("My.Folder", "services: {it: {image: bowline/demo}}");
    let named = |variables: &[(&str, &str)], options: &[&str]| {
        let line = [options, &["config", "--format", "json"]].concat();
        let config = project.bowline_with(variables, &line).ok();
        let config: serde_json::Value = serde_json::from_str(&config.out).expect("JSON");
        config["name"].as_str().expect("a name").to_owned()
    };
    assert_eq!(named(&[], &[]), "myfolder");
    project.write(
        "compose.yaml",
        "name: inside\nservices: {it: {image: bowline/demo}}",
    );
    assert_eq!(named(&[], &[]), "inside");
    assert_eq!(
        named(&[("COMPOSE_PROJECT_NAME", "variable")], &[]),
        "variable"
    );
    assert_eq!(
        named(&[("COMPOSE_PROJECT_NAME", "variable")], &["-p", "flag"]),
        "flag"
    );
    project
        .bowline(&["-p", "Not Fit", "config"])
        .fails_with(1)
        .says("Not Fit");
    world.ends_clean();
}

/// The file must be found from a folder below it, and its folder is the project's.
#[test]
fn the_file_is_looked_for_upwards() {
    let world = World::new();
    let project = world.folder("upwards", &[("compose.yaml", SAYS), ("a/b/x", "")]);
    let mut command = project.command(&["config", "--services"]);
    command.current_dir(project.path().join("a/b"));
    let found = bowline_tests::Running::start(command).wait().ok();
    assert_eq!(found.text(), "it");
    world.ends_clean();
}

/// Several files must be merged in order, by flags and by `COMPOSE_FILE`; an override file is taken along by itself.
#[test]
fn later_files_override_earlier_ones() {
    let world = World::new();
    let service =
        |word: &str| format!("services: {{it: {{image: bowline/demo, command: echo {word}}}}}");
    let (one, two, three) = (service("one"), service("two"), service("three"));
    let files = [
        ("compose.yaml", one.as_str()),
        ("compose.override.yaml", &two),
        ("three.yaml", &three),
    ];
    let project = world.folder("files", &files);
    assert_eq!(printed(&project, &[], &[]), "two");
    assert_eq!(printed(&project, &[], &["-f", "compose.yaml"]), "one");
    assert_eq!(
        printed(&project, &[], &["-f", "compose.yaml", "-f", "three.yaml"]),
        "three"
    );
    assert_eq!(
        printed(
            &project,
            &[("COMPOSE_FILE", "three.yaml:compose.yaml")],
            &[]
        ),
        "one"
    );
    let separated = [
        ("COMPOSE_FILE", "compose.yaml,three.yaml"),
        ("COMPOSE_PATH_SEPARATOR", ","),
    ];
    assert_eq!(printed(&project, &separated, &[]), "three");
    project.down();
    world.ends_clean();
}

/// Profiles must come from flags and from the environment, and `*` is all of them.
#[test]
fn profiles_switch_services_on() {
    let world = World::new();
    let compose = "
services:
  always: {image: bowline/demo}
  debug: {image: bowline/demo, profiles: [debug]}
  test: {image: bowline/demo, profiles: [test]}
";
    let project = world.project("profiles", compose);
    let services = |variables: &[(&str, &str)], options: &[&str]| {
        let listed =
            project.bowline_with(variables, &[options, &["config", "--services"]].concat());
        let mut names: Vec<String> = listed.ok().out.lines().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(services(&[], &[]), "always");
    assert_eq!(services(&[], &["--profile", "debug"]), "always debug");
    assert_eq!(
        services(&[("COMPOSE_PROFILES", "debug,test")], &[]),
        "always debug test"
    );
    assert_eq!(services(&[], &["--profile", "*"]), "always debug test");
    world.ends_clean();
}

/// A required variable without a value must be an error that says what it was told to say.
#[test]
fn a_required_variable_is_asked_for() {
    let world = World::new();
    let compose = "services: {it: {image: '${IMAGE:?say which image}'}}";
    let project = world.project("required", compose);
    configured(&project, &[], &[])
        .fails_with(1)
        .says("say which image");
    configured(&project, &[("IMAGE", "bowline/demo")], &[])
        .ok()
        .says("bowline/demo");
    world.ends_clean();
}

/// An unset variable must be empty, with a warning that names it.
#[test]
fn an_unset_variable_is_told() {
    let world = World::new();
    let project = world.project(
        "unset",
        "services: {it: {image: bowline/demo, command: 'echo ${NOBODY}'}}",
    );
    configured(&project, &[], &[]).ok().says("NOBODY");
    world.ends_clean();
}

/// Compose files may come from standard input.
#[test]
fn a_file_may_come_through_a_pipe() {
    let world = World::new();
    let folder = world.folder("piped", &[("piped.yaml", SAYS)]);
    let input = std::fs::File::open(folder.path().join("piped.yaml")).expect("the file");
    let command = folder.command(&["-f", "-", "config", "--services"]);
    let ran = bowline_tests::Running::start_with(command, input.into())
        .wait()
        .ok();
    assert_eq!(ran.text(), "it");
    world.ends_clean();
}

/// Colours and pictures must follow flags and variables, and nothing of them may reach a pipe by itself.
#[test]
fn colours_and_progress_are_chosen() {
    let world = World::new();
    let project = world.project(
        "colours",
        "services: {it: {image: bowline/demo, command: echo hi}}",
    );
    let up = |variables: &[(&str, &str)], options: &[&str]| {
        let line = [options, &["up", "-d", "--force-recreate"]].concat();
        project.bowline_with(variables, &line).ok()
    };
    up(&[], &[])
        .never_says("\u{1b}[")
        .says("Container colours-it-1  Started");
    up(&[("COMPOSE_ANSI", "always")], &["--progress", "tty"]).says("\u{1b}[32m");
    up(&[("COMPOSE_PROGRESS", "quiet")], &[]).never_says("Started\n");
    up(&[], &["--progress", "json"]).says(r#""status":"Done""#);
    let logs = |variables: &[(&str, &str)], options: &[&str]| {
        project
            .bowline_with(variables, &[options, &["logs"]].concat())
            .ok()
    };
    logs(&[], &[]).never_says("\u{1b}[");
    logs(&[], &["--ansi", "always"]).says("\u{1b}[");
    project.down();
    world.ends_clean();
}

/// `--dry-run` may stand before the command or behind it, and must change nothing.
#[test]
fn a_dry_run_changes_nothing() {
    let world = World::new();
    let project = world.project("dry", SAYS);
    project
        .bowline(&["--dry-run", "up", "-d"])
        .ok()
        .says("create");
    project
        .bowline(&["up", "-d", "--dry-run"])
        .ok()
        .says("create");
    assert_eq!(world.containers(), Vec::<String>::new());
    project.up();
    project.bowline(&["down", "--dry-run"]).ok().says("remove");
    assert_eq!(world.containers(), ["/dry-it-1"]);
    project.down();
    world.ends_clean();
}

/// A wrong value of a setting must be refused by name.
#[test]
fn wrong_settings_are_refused() {
    let world = World::new();
    let project = world.project("wrong", SAYS);
    project
        .bowline_with(&[("COMPOSE_PARALLEL_LIMIT", "many")], &["ps"])
        .fails_with(2)
        .says("COMPOSE_PARALLEL_LIMIT");
    project
        .bowline_with(&[("COMPOSE_ANSI", "sometimes")], &["ps"])
        .fails_with(2)
        .says("sometimes");
    project.bowline(&["--parallel", "0", "ps"]).fails_with(2);
    world.ends_clean();
}
