//! Shell completion and pages for `man`, made from the definition of the command line.

use bowline_tests::{Folder, World};

fn offered(project: &Folder<'_>, words: &[&str]) -> Vec<String> {
    let asked = project
        .bowline(&[&["__complete", "--"], words].concat())
        .ok();
    let words = asked.out.lines().filter_map(|line| line.split('\t').next());
    words.map(str::to_owned).collect()
}

/// Names of services must be offered where services stand, from the file, and without starting an engine.
#[test]
fn services_of_the_file_are_offered() {
    let world = World::new();
    let compose = "
services:
  web: {image: bowline/demo}
  worker: {image: bowline/demo}
  debug: {image: bowline/demo, profiles: [debug]}
";
    let project = world.project("offers", compose);
    assert_eq!(offered(&project, &["up", "w"]), ["web", "worker"]);
    assert_eq!(
        offered(&project, &["logs", "-f", ""]),
        ["web", "worker", "debug"]
    );
    assert_eq!(
        offered(&project, &["exec", "web", ""]),
        Vec::<String>::new()
    );
    assert_eq!(offered(&project, &["up", "--attach", "d"]), ["debug"]);
    assert_eq!(offered(&project, &["comp"]), ["completion"]);
    assert_eq!(offered(&project, &["up", "--force"]), ["--force-recreate"]);
    world.ends_clean();
}

/// Where there is no file, the containers of the named project must tell its services.
#[test]
fn services_of_containers_are_offered() {
    let world = World::new();
    let project = world.project(
        "live",
        "services: {web: {image: bowline/demo, command: trap}}",
    );
    project.up();
    let elsewhere = world.folder("elsewhere", &[]);
    assert_eq!(offered(&elsewhere, &["-p", "live", "stop", ""]), ["web"]);
    assert_eq!(offered(&elsewhere, &["stop", ""]), Vec::<String>::new());
    project.down();
    world.ends_clean();
}

/// Each shell must get a script that asks for offers.
#[test]
fn every_shell_has_a_script() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        world
            .bowline(&["completion", shell])
            .ok()
            .says("__complete")
            .says(shell);
    }
    world
        .bowline(&["completion", "cmd"])
        .fails_with(2)
        .says("bash");
    world.ends_clean();
}

/// Bash must complete with the script as it is.
#[test]
fn bash_completes() {
    let world = World::new();
    let project = world.project("bash", "services: {storefront: {image: bowline/demo}}");
    let script = r#"
source <("$BOWLINE" completion bash)
bowline() { "$BOWLINE" "$@"; }
COMP_WORDS=(bowline logs sto); COMP_CWORD=2
_bowline bowline
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script]).current_dir(project.path());
    let ours = project.command(&[]);
    for (name, value) in ours.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("BOWLINE", bowline_tests::binary());
    let ran = bowline_tests::Running::start(command).wait().ok();
    assert_eq!(ran.text(), "storefront");
    world.ends_clean();
}

/// There must be a page for the program and for each command.
#[test]
fn every_command_has_a_page() {
    let world = World::new();
    let folder = world.folder("pages", &[]);
    folder.bowline(&["man", "out"]).ok();
    let page = |name: &str| {
        std::fs::read_to_string(folder.path().join("out").join(name)).expect("the page")
    };
    assert!(page("bowline.1").contains("bowline"));
    assert!(page("bowline-up.1").contains("force\\-recreate"));
    assert!(page("bowline-network-ls.1").contains("filter"));
    world.ends_clean();
}
