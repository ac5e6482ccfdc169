//! A world whose engine stock clients talk to, and the real images they use.

use std::path::{Path, PathBuf};
use std::process::Command;

use bowline_tests::{Ran, Running, World};

/// Between two commands of a client nothing may run, and the engine must still be there.
const IDLE: &str = "6";

/// A world for stock clients.
pub(crate) struct Stock {
    pub(crate) world: World,
}

impl Stock {
    /// A world with these images of `tests/images`.
    pub(crate) fn with(images: &[&str]) -> Self {
        let world = World::with(&[("BOWLINE_IDLE_TIMEOUT", IDLE)]);
        for name in images {
            let archive = image(name);
            let archive = archive.to_str().expect("a UTF-8 path");
            world.bowline(&["image", "load", "-q", archive]).ok();
        }
        Self { world }
    }

    /// `program` with our socket in its environment and nothing of the person's own settings.
    pub(crate) fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        // Starts the engine where it has left.
        self.world.bowline(&["info"]).ok();
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.world.socket().parent().expect("the run root"));
        let socket = self.world.socket();
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        command
    }

    /// A command of the docker client, under way.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(Path::new("docker"), arguments))
    }

    /// A finished command of the docker client.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).wait()
    }

    /// What a docker command prints; it must succeed.
    #[track_caller]
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        self.docker(arguments).ok().text().to_owned()
    }

    /// A shell that has `docker`.
    pub(crate) fn shell(&self, script: &str) -> Ran {
        Running::start(self.command(Path::new("sh"), &["-c", script])).wait()
    }

    /// One field of a container.
    #[track_caller]
    pub(crate) fn field(&self, container: &str, format: &str) -> String {
        self.text(&["inspect", "--format", format, container])
    }

    /// Nothing may be left.
    #[track_caller]
    pub(crate) fn ends_clean(self) {
        self.world.ends_clean();
    }
}

/// An archive that `tests/images/make` has made, in `BOWLINE_IMAGES` or `target/images`.
fn image(name: &str) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let folder = std::env::var_os("BOWLINE_IMAGES").map_or_else(
        || checkout.expect("the checkout").join("target/images"),
        PathBuf::from,
    );
    let archive = folder.join(name).with_extension("tar");
    assert!(
        archive.exists(),
        "{} is missing: run tests/images/make",
        archive.display()
    );
    archive
}
