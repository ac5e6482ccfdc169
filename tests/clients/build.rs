//! Builds by clients that send their files along: the stock docker command line and Docker Compose, without BuildKit.

use crate::compose::program;
use crate::stock::Stock;
use bowline_tests::Running;

const DOCKERFILE: &str =
    "FROM busybox\nARG WHO\nCOPY greeting /\nRUN cat /greeting && echo $WHO > /who\nLABEL a=b\n";

/// The classic protocol must carry files, arguments, labels and names, and tell each step as its readers expect.
#[test]
fn docker_builds_without_buildkit() {
    let stock = Stock::with(&["busybox"]);
    let folder = stock.world.folder(
        "classic",
        &[("Dockerfile", DOCKERFILE), ("greeting", "hello\n")],
    );
    let path = folder.path().display();
    let build = format!(
        "DOCKER_BUILDKIT=0 docker build --build-arg WHO=me --label c=d -t classic:1 -t classic:2 {path}"
    );
    stock
        .shell(&build)
        .ok()
        .says("Step 1/3 : FROM")
        .says("hello")
        .says("Successfully built")
        .says("Successfully tagged classic:2");
    stock.shell(&build).ok().says("Using cache");
    let ran = stock.docker(&["run", "--rm", "classic:2", "cat", "/who"]);
    assert_eq!(ran.ok().text(), "me");
    let labels = stock.text(&["inspect", "--format", "{{.Config.Labels}}", "classic:1"]);
    assert_eq!(labels, "map[a:b c:d]");
    let quiet = stock
        .shell(&format!("DOCKER_BUILDKIT=0 docker build -q {path}"))
        .ok();
    assert!(quiet.text().starts_with("sha256:"), "{}", quiet.text());
    stock
        .shell("printf 'FROM busybox\\nRUN exit 7\\n' | DOCKER_BUILDKIT=0 docker build -")
        .fails_with(7)
        .says("exit code: 7");
    stock
        .shell(&format!(
            "printf 'FROM busybox\\nCOPY greeting /x\\n' | DOCKER_BUILDKIT=0 docker build -f - {path}"
        ))
        .ok();
    stock.ends_clean();
}

/// Compose must build a project's images through us, and find its own labels on them.
#[test]
fn compose_builds_without_buildkit() {
    let stock = Stock::with(&["busybox"]);
    let folder = stock.world.folder(
        "shop",
        &[
            (
                "compose.yaml",
                "services: {app: {build: ., command: cat /who}}",
            ),
            ("Dockerfile", DOCKERFILE),
            ("greeting", "hello\n"),
        ],
    );
    let compose = |arguments: &[&str]| {
        let mut command = stock.command(program(), arguments);
        command
            .current_dir(folder.path())
            .env("DOCKER_BUILDKIT", "0");
        Running::start(command).wait()
    };
    compose(&["up", "-d", "--build"]).ok();
    let labels = stock.text(&["inspect", "--format", "{{.Config.Labels}}", "shop-app"]);
    assert!(labels.contains("image.builder:classic"), "{labels}");
    compose(&["down", "--rmi", "local"]).ok();
    stock.ends_clean();
}

/// `--debug` must open a shell where the step failed: its files, its folder, its environment.
#[test]
fn a_shell_opens_in_what_a_failed_step_left() {
    let stock = Stock::with(&["busybox"]);
    let dockerfile = "FROM busybox\nENV A=b\nWORKDIR /w\nRUN echo made > f; exit 3\n";
    let script = "cat f; echo \"a is $A\"; pwd; exit\n";
    let folder = stock
        .world
        .folder("look", &[("Dockerfile", dockerfile), ("script", script)]);
    let typed = std::fs::File::open(folder.path().join("script")).expect("the script");
    let command = stock
        .world
        .command(folder.path(), &["image", "build", "--debug", "."]);
    let ran = Running::start_with(command, typed.into()).wait();
    ran.fails_with(1).says("made\r\n").says("a is b").says("/w");
    stock.ends_clean();
}
