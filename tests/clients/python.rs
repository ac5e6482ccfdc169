//! Libraries that start containers from Python: docker-py, and testcontainers with its reaper.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bowline_tests::Running;

use crate::stock::Stock;

const PACKAGES: [&str; 2] = ["docker==7.2.0", "testcontainers==4.15.0"];

/// Python with both libraries, installed once below the target folder.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-clients");
        let python = folder.join("bin/python3");
        if !folder.join("complete").exists() {
            let installed = |command: &mut Command| {
                let status = command
                    .status()
                    .expect("python3, of the package python3-venv");
                assert!(status.success(), "{command:?} ended with {status}");
            };
            installed(Command::new("python3").args(["-m", "venv"]).arg(&folder));
            let pip = folder.join("bin/pip");
            let quiet = ["install", "--quiet", "--disable-pip-version-check"];
            installed(Command::new(pip).args(quiet).args(PACKAGES));
            std::fs::write(folder.join("complete"), "").expect("a mark");
        }
        python
    })
}

#[track_caller]
fn runs(stock: &Stock, script: &str, variables: &[(&str, &str)]) {
    let mut command = stock.command(python(), &["-c", script]);
    command.envs(variables.iter().copied());
    Running::start(command).wait().ok().says("all is well");
}

/// docker-py must run, wait for a line of the log, find the mapped port, exec, follow, stop and remove.
#[test]
fn docker_py_lives_with_us() {
    let stock = Stock::with(&[]);
    runs(
        &stock,
        r#"
import docker, io, tarfile, urllib.request
client = docker.from_env()
assert client.ping()
assert client.containers.run("bowline/demo", "echo hello", remove=True) == b"hello\n"
web = client.containers.run("bowline/demo", "serve --port 8080", detach=True, name="web",
                            ports={"8080/tcp": ("127.0.0.1", None)}, labels={"who": "me"})
for line in web.logs(stream=True, follow=True):
    if b"listening on port 8080" in line:
        break
web.reload()
port = web.attrs["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"]
page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
assert b"Hello" in page, page
code, output = web.exec_run(["echo", "inside"])
assert (code, output) == (0, b"inside\n"), (code, output)
code, (out, err) = web.exec_run(["exit", "7"], demux=True)
assert code == 7
assert [found.name for found in client.containers.list(filters={"label": "who=me"})] == ["web"]
assert web.stats(stream=False)["pids_stats"]["current"] >= 1
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("note")
    entry.size = 4
    tar.addfile(entry, io.BytesIO(b"read"))
assert web.put_archive("/", archive.getvalue())
assert web.exec_run(["read", "/note"]).output == b"read"
pieces, stat = web.get_archive("/note")
assert stat["size"] == 4 and b"read" in b"".join(pieces)
net = client.networks.create("side")
net.connect(web, aliases=["shop"])
net.disconnect(web)
net.remove()
volume = client.volumes.create("kept")
assert volume.name in [found.name for found in client.volumes.list()]
volume.remove()
web.stop(timeout=1)
assert web.wait()["StatusCode"] in (0, 137, 143)
web.remove()
assert client.containers.list(all=True) == []
print("all is well")
"#,
        &[],
    );
    stock.ends_clean();
}

/// testcontainers must start, wait for a line of the log, reach the mapped port, exec and clean up by itself.
#[test]
fn testcontainers_lives_with_us() {
    let stock = Stock::with(&[]);
    runs(
        &stock,
        r#"
import urllib.request
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs
with Network() as network:
    web = DockerContainer("bowline/demo").with_command("serve --port 8080").with_exposed_ports(8080)
    web = web.with_network(network).with_network_aliases("shop")
    with web:
        wait_for_logs(web, "listening on port 8080", timeout=20)
        url = f"http://{web.get_container_host_ip()}:{web.get_exposed_port(8080)}/"
        assert b"Hello" in urllib.request.urlopen(url, timeout=10).read()
        assert web.exec(["echo", "inside"]).output == b"inside\n"
        out, err = web.get_logs()
        assert b"listening" in out + err
        with DockerContainer("bowline/demo").with_command("wget http://shop:8080/").with_network(network) as other:
            assert other.get_wrapped_container().wait()["StatusCode"] == 0
import docker
assert docker.from_env().containers.list(all=True) == []
print("all is well")
"#,
        &[("TESTCONTAINERS_RYUK_DISABLED", "true")],
    );
    stock.ends_clean();
}

/// A reaper is a container with our socket in it, that removes by label what its client left behind.
#[test]
fn a_reaper_sees_our_socket_from_inside() {
    let stock = Stock::with(&[]);
    runs(
        &stock,
        r#"
import docker, os
client = docker.from_env()
left = client.containers.run("bowline/demo", "sleep forever", detach=True, labels={"session": "1"})
socket = os.environ["DOCKER_HOST"].removeprefix("unix://")
reaper = client.containers.run("bowline/demo", "sleep forever", detach=True, privileged=True,
                               volumes={socket: {"bind": "/var/run/docker.sock", "mode": "rw"}})
code, output = reaper.exec_run(["stat", "/var/run/docker.sock"])
assert code == 0 and output.startswith(b"socket"), output
found = client.containers.list(filters={"label": "session=1"})
assert found == [left]
for one in found:
    one.remove(force=True, v=True)
reaper.remove(force=True)
print("all is well")
"#,
        &[],
    );
    stock.ends_clean();
}
