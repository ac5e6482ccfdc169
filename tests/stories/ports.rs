//! Published ports, from the host's side.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use bowline_tests::{World, eventually, free_port, free_ports, get, page, udp};

/// The address of the interface with the default route, or of any: what the machine is reached at from elsewhere.
fn machine_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Connecting a UDP socket sends nothing; it only chooses the source address.
    socket.connect("192.0.2.1:9").expect("a route");
    socket.local_addr().expect("an address").ip()
}

/// A port published without an address must answer on 127.0.0.1, ::1 and the machine's own address.
#[test]
fn a_published_port_answers_everywhere() {
    let world = World::new();
    let port = free_port();
    let project = world.project(
        "every",
        &format!("services: {{web: {{image: bowline/demo, command: serve --port 80, ports: ['{port}:80']}}}}"),
    );
    project.up();
    for address in [
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        format!("{}:{port}", machine_address()),
    ] {
        assert!(page(&address).contains("Hello"), "{address}");
    }
    project.down();
    world.ends_clean();
}

/// A port published on 127.0.0.1 must not answer elsewhere.
#[test]
fn a_port_on_loopback_stays_there() {
    let world = World::new();
    let port = free_port();
    let project = world.project(
        "loop",
        &format!(
            "services: {{web: {{image: bowline/demo, command: serve --port 80, ports: ['127.0.0.1:{port}:80']}}}}"
        ),
    );
    project.up();
    assert!(page(&format!("127.0.0.1:{port}")).contains("Hello"));
    get(SocketAddr::from((machine_address(), port)), "/").expect_err("reached from outside");
    get(
        SocketAddr::new("::1".parse().expect("an address"), port),
        "/",
    )
    .expect_err("reached over IPv6");
    project.down();
    world.ends_clean();
}

/// A published UDP port must answer on 127.0.0.1 and ::1.
#[test]
fn udp_answers() {
    let world = World::new();
    let port = free_port();
    let project = world.project(
        "udp",
        &format!("services: {{echo: {{image: bowline/demo, command: udp-echo 7, ports: ['{port}:7/udp']}}}}"),
    );
    project.up();
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().expect("an address"), port);
        let answer = eventually(Duration::from_secs(10), || udp(address, "over udp"));
        assert_eq!(answer, "over udp", "{host}");
    }
    project.down();
    world.ends_clean();
}

/// A range must publish each of its ports.
#[test]
fn a_range_publishes_each_port() {
    let world = World::new();
    let port = free_ports(3);
    let last = port + 2;
    let project = world.project(
        "range",
        &format!(
            "
services:
  a: {{image: bowline/demo, command: serve --port 8000, ports: ['127.0.0.1:{port}-{last}:8000-8002']}}
  b: {{image: bowline/demo, command: serve --port 8001, network_mode: 'service:a'}}
  c: {{image: bowline/demo, command: serve --port 8002, network_mode: 'service:a'}}
"
        ),
    );
    project.up();
    for port in port..=last {
        assert!(page(&format!("127.0.0.1:{port}")).contains("Hello"));
    }
    project.down();
    world.ends_clean();
}

/// A port without a host side must get a free one, which `ps` and `port` tell.
#[test]
fn an_ephemeral_port_is_told() {
    let world = World::new();
    let project = world.project(
        "ephemeral",
        "services: {web: {image: bowline/demo, command: serve --port 80, ports: ['127.0.0.1::80']}}",
    );
    project.up();
    let port = project.published("web", 80);
    assert!(page(&format!("127.0.0.1:{port}")).contains("Hello"));
    let told = project.bowline(&["port", "web", "80"]).ok();
    assert_eq!(told.text(), format!("127.0.0.1:{port}"));
    project.down();
    world.ends_clean();
}

/// A port in use must fail `up` with the port and its holder's name, and publish nothing.
#[test]
fn a_port_in_use_names_its_holder() {
    let world = World::new();
    let port = free_port();
    let holder = TcpListener::bind(("127.0.0.1", port)).expect("hold the port");
    let project = world.project(
        "taken",
        &format!(
            "services: {{web: {{image: bowline/demo, command: serve --port 80, ports: ['127.0.0.1:{port}:80']}}}}"
        ),
    );
    let ran = project.bowline(&["up", "-d"]);
    assert_ne!(ran.code, 0);
    ran.says(&port.to_string())
        .says("stories")
        .says(&std::process::id().to_string());
    assert_ne!(project.state("web"), "running");
    drop(holder);
    project.up();
    assert!(page(&format!("127.0.0.1:{port}")).contains("Hello"));
    project.down();
    world.ends_clean();
}

/// Two services that want the same port must not both get it.
#[test]
fn a_port_of_another_container_is_refused() {
    let world = World::new();
    let port = free_port();
    let text = format!(
        "services: {{web: {{image: bowline/demo, command: serve --port 80, ports: ['{port}:80']}}}}"
    );
    let first = world.project("first", &text);
    let second = world.project("second", &text);
    first.up();
    let ran = second.bowline(&["up", "-d"]);
    assert_ne!(ran.code, 0);
    ran.says(&port.to_string())
        .says("is held by container first-web-1");
    assert_ne!(second.state("web"), "running");
    second.down();
    first.down();
    world.ends_clean();
}

/// A port must be free again at the moment `down` returns.
#[test]
fn down_frees_the_port() {
    let world = World::new();
    let port = free_port();
    let project = world.project(
        "free",
        &format!("services: {{web: {{image: bowline/demo, command: serve --port 80, ports: ['{port}:80']}}}}"),
    );
    project.up();
    project.down();
    drop(TcpListener::bind(("0.0.0.0", port)).expect("the port is free"));
    drop(TcpListener::bind(("::", port)).expect("the port is free"));
    world.ends_clean();
}
