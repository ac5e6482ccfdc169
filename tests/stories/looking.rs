//! Commands that look: what they show, in which form, and with which exit code.

use bowline_tests::{Folder, World};
use serde_json::Value;

const SHOP: &str = "
services:
  web: {image: bowline/demo, command: serve --port 8080, ports: ['127.0.0.1::8080'], scale: 2, volumes: [data:/data]}
  job: {image: bowline/demo, command: exit 3}
volumes: {data: }
";

/// The example world of this file, up and with its job ended.
fn shop(world: &World) -> Folder<'_> {
    let project = world.project("shop", SHOP);
    project.up();
    project.bowline(&["wait", "job"]).fails_with(3);
    project
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `ps` must list what runs, `-a` everything, by name and number.
#[test]
fn ps_lists_what_runs_and_all_on_request() {
    let world = World::new();
    let project = shop(&world);
    let names = |arguments: &[&str]| {
        let listed = project
            .bowline(&[&["ps", "--format", "{{.Name}}"], arguments].concat())
            .ok();
        listed.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["shop-web-1", "shop-web-2"]);
    assert_eq!(names(&["-a"]), ["shop-job-1", "shop-web-1", "shop-web-2"]);
    assert_eq!(names(&["-a", "job"]), ["shop-job-1"]);
    project
        .bowline(&["ps", "nobody"])
        .fails_with(1)
        .says("nobody");
    project.down();
    world.ends_clean();
}

/// A state must be enough to find a container by, with either flag; another filter must be refused.
#[test]
fn ps_filters_by_state() {
    let world = World::new();
    let project = shop(&world);
    for flags in [&["--status", "exited"], &["--filter", "status=exited"]] {
        let listed =
            project.bowline(&[&["ps", "--format", "{{.Name}}"], flags.as_slice()].concat());
        assert_eq!(listed.ok().text(), "shop-job-1");
    }
    project
        .bowline(&["ps", "--filter", "name=x"])
        .fails_with(2)
        .says("status=STATE");
    project.down();
    world.ends_clean();
}

/// Each line of `ps --format json` must be an object with the keys that scripts read.
#[test]
fn ps_prints_an_object_a_line() {
    let world = World::new();
    let project = shop(&world);
    let listed = project.bowline(&["ps", "-a", "--format", "json"]).ok();
    let rows: Vec<Value> = listed.out.lines().map(json).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["Service"], "job");
    assert_eq!(rows[0]["State"], "exited");
    assert_eq!(rows[0]["ExitCode"], 3);
    assert_eq!(rows[1]["Publishers"][0]["TargetPort"], 8080);
    assert_eq!(rows[1]["Project"], "shop");
    assert_eq!(rows[1]["ID"].as_str().map(str::len), Some(12));
    project.down();
    world.ends_clean();
}

/// Ids and services alone must come without headings.
#[test]
fn ps_is_quiet_on_request() {
    let world = World::new();
    let project = shop(&world);
    let ids = project.bowline(&["ps", "-q"]).ok();
    let ids: Vec<&str> = ids.out.lines().collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|id| id.len() == 64), "{ids:?}");
    assert_eq!(project.bowline(&["ps", "--services"]).ok().text(), "web");
    assert_eq!(
        project.bowline(&["ps", "-a", "--services"]).ok().text(),
        "job\nweb"
    );
    project.down();
    world.ends_clean();
}

/// Templates must make lines, tables with headings, and errors that name the place.
#[test]
fn templates_shape_every_list() {
    let world = World::new();
    let project = shop(&world);
    let table = r#"table {{.Service}}\t{{upper .State}}"#;
    let listed = project.bowline(&["ps", "--format", table]).ok();
    let rows: Vec<Vec<&str>> = listed
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [["SERVICE", "STATE"], ["web", "RUNNING"], ["web", "RUNNING"]]
    );
    project
        .bowline(&[
            "ps",
            "--format",
            "{{range .Publishers}}{{.TargetPort}}/{{.Protocol}}{{end}}",
        ])
        .ok()
        .says("8080/tcp");
    project
        .bowline(&["ps", "--format", "{{.Name"])
        .fails_with(2)
        .says("template:1:1");
    project
        .bowline(&["ps", "--format", "{{.Nmae}}"])
        .fails_with(1)
        .says("template:1:3")
        .says("Nmae");
    project.down();
    world.ends_clean();
}

/// Containers of a service that left the file must be shown, and hidden on request.
#[test]
fn ps_hides_orphans_on_request() {
    let world = World::new();
    let project = shop(&world);
    let shrunk = "services: {job: {image: bowline/demo, command: exit 3, volumes: [data:/data]}}\nvolumes: {data: }";
    project.write("compose.yaml", shrunk);
    project.bowline(&["ps"]).ok().says("shop-web-1");
    project
        .bowline(&["ps", "--orphans=false"])
        .ok()
        .never_says("shop-web-1");
    project.down();
    world.ends_clean();
}

/// With a name alone, far from the file, the project must be seen and removed by its labels.
#[test]
fn a_name_is_enough_without_a_file() {
    let world = World::new();
    let project = shop(&world);
    let elsewhere = world.folder("elsewhere", &[]);
    elsewhere
        .bowline(&["-p", "shop", "ps"])
        .ok()
        .says("shop-web-2");
    elsewhere
        .bowline(&["-p", "shop", "logs", "web"])
        .ok()
        .says("listening on port 8080");
    elsewhere
        .bowline(&["-p", "shop", "exec", "-T", "web", "exit", "4"])
        .fails_with(4);
    elsewhere
        .bowline(&["-p", "shop", "images"])
        .ok()
        .says("bowline/demo");
    elsewhere
        .bowline(&["-p", "shop", "volumes", "-q"])
        .ok()
        .says("shop_data");
    elsewhere.bowline(&["-p", "shop", "top"]).ok().says("serve");
    elsewhere.bowline(&["-p", "shop", "stop", "-t", "1"]).ok();
    elsewhere.bowline(&["-p", "shop", "down", "-t", "1"]).ok();
    assert_eq!(world.containers(), Vec::<String>::new());
    project.down();
    world.ends_clean();
}

/// The port of each replica must be told, and a port that is not published must be named with those that are.
#[test]
fn port_knows_each_replica() {
    let world = World::new();
    let project = shop(&world);
    let first = project.bowline(&["port", "web", "8080"]).ok();
    let second = project
        .bowline(&["port", "--index", "2", "web", "8080"])
        .ok();
    assert!(first.text().starts_with("127.0.0.1:") && first.text() != second.text());
    assert_eq!(
        project.bowline(&["port", "web"]).ok().text(),
        format!("8080/tcp -> {}", first.text())
    );
    project
        .bowline(&["port", "web", "81"])
        .fails_with(1)
        .says("81/tcp")
        .says("8080/tcp");
    project
        .bowline(&["port", "--protocol", "udp", "web", "8080"])
        .fails_with(1);
    project.down();
    world.ends_clean();
}

/// `ls` must list projects with something running, all with `-a`, and find them by a part of their name.
#[test]
fn ls_tells_projects_apart() {
    let world = World::new();
    let project = shop(&world);
    let other = world.project(
        "other",
        "services: {a: {image: bowline/demo, command: 'true'}}",
    );
    other.up();
    other.bowline(&["wait", "a"]).ok();
    assert_eq!(project.bowline(&["ls", "-q"]).ok().text(), "shop");
    assert_eq!(
        project.bowline(&["ls", "-a", "-q"]).ok().text(),
        "other\nshop"
    );
    assert_eq!(
        project
            .bowline(&["ls", "-a", "-q", "--filter", "name=oth"])
            .ok()
            .text(),
        "other"
    );
    let listed = json(project.bowline(&["ls", "--format", "json"]).ok().text());
    assert_eq!(listed[0]["Name"], "shop");
    assert_eq!(listed[0]["Status"], "exited(1), running(2)");
    assert!(
        listed[0]["ConfigFiles"]
            .as_str()
            .is_some_and(|files| files.ends_with("/shop/compose.yaml"))
    );
    project.down();
    other.down();
    world.ends_clean();
}

/// Images must be listed once for each container, their ids once.
#[test]
fn images_are_those_of_the_containers() {
    let world = World::new();
    let project = shop(&world);
    let listed = json(project.bowline(&["images", "--format", "json"]).ok().text());
    assert_eq!(listed.as_array().map(Vec::len), Some(3));
    assert_eq!(listed[0]["Repository"], "bowline/demo");
    assert_eq!(listed[0]["Tag"], "latest");
    assert_eq!(listed[0]["Platform"], "linux/amd64");
    assert_eq!(
        project.bowline(&["images", "-q"]).ok().out.lines().count(),
        1
    );
    project.down();
    world.ends_clean();
}

/// Volumes of the project must be listed, also for one service only.
#[test]
fn volumes_are_those_of_the_project() {
    let world = World::new();
    let project = shop(&world);
    world.bowline(&["volume", "create", "stranger"]).ok();
    assert_eq!(project.bowline(&["volumes", "-q"]).ok().text(), "shop_data");
    assert_eq!(
        project.bowline(&["volumes", "-q", "web"]).ok().text(),
        "shop_data"
    );
    assert_eq!(project.bowline(&["volumes", "-q", "job"]).ok().text(), "");
    let one = project
        .bowline(&["volumes", "--format", "{{.Driver}} {{.Key}}"])
        .ok();
    assert_eq!(one.text(), "local data");
    world.bowline(&["volume", "rm", "stranger"]).ok();
    project.down();
    world.ends_clean();
}

/// One look at what containers use must have a row for each, with plausible numbers.
#[test]
fn stats_has_a_row_for_each_container() {
    let world = World::new();
    let project = shop(&world);
    let rows = project
        .bowline(&["stats", "--no-stream", "--format", "json"])
        .ok();
    let rows: Vec<Value> = rows.out.lines().map(json).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["Name"], "shop-web-1");
    assert!(
        rows[0]["PIDs"].as_str().is_some_and(|pids| pids != "0"),
        "{}",
        rows[0]
    );
    assert!(
        rows[0]["MemUsage"]
            .as_str()
            .is_some_and(|usage| usage.contains("iB / ")),
        "{}",
        rows[0]
    );
    project
        .bowline(&["stats", "-a", "--no-stream"])
        .ok()
        .says("shop-job-1")
        .says("-- / --");
    project.down();
    world.ends_clean();
}

/// Processes must stand beside their service and number.
#[test]
fn top_names_service_and_number() {
    let world = World::new();
    let project = shop(&world);
    let listed = project.bowline(&["top"]).ok();
    let rows: Vec<&str> = listed.out.lines().collect();
    assert!(rows[0].starts_with("SERVICE   #"), "{rows:?}");
    assert!(
        rows.iter()
            .any(|row| row.starts_with("web       2") && row.contains("serve")),
        "{rows:?}"
    );
    project.down();
    world.ends_clean();
}

/// What has happened to the project's containers must be told from a time on, and nothing of others.
#[test]
fn events_tell_what_happened() {
    let world = World::new();
    let project = shop(&world);
    let told = project
        .bowline(&["events", "--json", "--since", "1h", "--until", "0s"])
        .ok();
    let events: Vec<Value> = told.out.lines().map(json).collect();
    let job = |action: &str| {
        events
            .iter()
            .find(|event| event["service"] == "job" && event["action"] == action)
    };
    assert_eq!(job("die").expect("its end")["attributes"]["exitCode"], "3");
    assert!(job("start").is_some() && job("create").is_some());
    let told = project
        .bowline(&["events", "--since", "1h", "--until", "0s", "web"])
        .ok();
    assert!(
        told.out.contains("container start") && !told.out.contains("shop-job-1"),
        "{told}"
    );
    project.down();
    world.ends_clean();
}

/// `inspect` must find whatever has the name, print fields by template, and name what it did not find.
#[test]
fn inspect_finds_whatever_has_the_name() {
    let world = World::new();
    let project = shop(&world);
    let of = |arguments: &[&str]| world.bowline(&[&["inspect"], arguments].concat());
    assert_eq!(
        of(&["-f", "{{.State.ExitCode}} {{.Config.Image}}", "shop-job-1"])
            .ok()
            .text(),
        "3 bowline/demo"
    );
    assert_eq!(
        of(&["-f", "{{.Name}}", "shop_default", "shop_data"])
            .ok()
            .text(),
        "shop_default\nshop_data"
    );
    assert_eq!(
        of(&[
            "-f",
            "{{if .State.Health}}x{{else}}no health{{end}}",
            "shop-web-1"
        ])
        .ok()
        .text(),
        "no health"
    );
    assert_eq!(json(of(&["bowline/demo"]).ok().text())[0]["Os"], "linux");
    of(&["--type", "volume", "shop-job-1"])
        .fails_with(1)
        .says("no such volume: shop-job-1");
    project.down();
    world.ends_clean();
}

/// Networks of the engine must be made, listed by label, looked at, joined, left and removed.
#[test]
fn networks_can_be_handled_by_hand() {
    let world = World::new();
    let project = shop(&world);
    let network = |arguments: &[&str]| world.bowline(&[&["network"], arguments].concat());
    network(&[
        "create",
        "--label",
        "who=me",
        "--subnet",
        "10.87.3.0/24",
        "extra",
    ])
    .ok();
    let listed = network(&[
        "ls",
        "--filter",
        "label=who=me",
        "--format",
        "{{.Name}} {{.Driver}}",
    ])
    .ok();
    assert_eq!(listed.text(), "extra bridge");
    let subnet = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
    assert_eq!(
        network(&["inspect", "-f", subnet, "extra"]).ok().text(),
        "10.87.3.0/24"
    );
    network(&["connect", "--alias", "shopfront", "extra", "shop-web-1"]).ok();
    network(&["rm", "extra"]).fails_with(1).says("extra");
    network(&["disconnect", "extra", "shop-web-1"]).ok();
    network(&["rm", "extra"]).ok();
    network(&["rm", "-f", "extra"]).ok();
    project.down();
    world.ends_clean();
}

/// A version must be told without an engine, short, as JSON and by template.
#[test]
fn version_starts_nothing() {
    let world = World::new();
    let version = world.bowline(&["version", "--short"]).ok();
    let parts: Vec<&str> = version.text().split('.').collect();
    assert!(
        parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()),
        "{version}"
    );
    let whole = json(world.bowline(&["version", "-f", "json"]).ok().text());
    assert_eq!(whole["version"], version.text());
    assert_eq!(
        world
            .bowline(&["version", "--format", "{{.version}}"])
            .ok()
            .text(),
        version.text()
    );
    world.ends_clean();
}
