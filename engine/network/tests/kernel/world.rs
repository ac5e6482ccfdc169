//! A host in a namespace, containers on its bridges, and a neighbour on its LAN.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bowline_network::ipam::default_pools;
use bowline_network::{Bridge, Config, Endpoint, Host, Lan4, Lan6, Mac, Netns, Proto, Publication};
use bowline_sys::netns::{create, unpin, with_netns};

/// Long enough for a loaded machine, short enough for the many refusals that are waited for.
const PATIENCE: Duration = Duration::from_millis(400);

pub(crate) struct World {
    pub(crate) root: OwnedFd,
    /// The neighbour: 192.0.2.2 and 2001:db8::2; the host is .1 and ::1.
    pub(crate) lan: OwnedFd,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) prefix: String,
}

impl Drop for World {
    /// Pins are mounts of the machine and outlive the test otherwise, also one that failed.
    fn drop(&mut self) {
        for instance in [self.prefix.as_str(), "zz"] {
            let Ok(pins) = std::fs::read_dir(self.config_named(instance).netns_dir) else {
                continue;
            };
            for pin in pins.flatten() {
                drop(unpin(&pin.path()));
            }
        }
    }
}

/// `None`, with a word about it, where this machine cannot run such a test.
pub(crate) fn world() -> Option<World> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for tool in ["ip", "nft"] {
        if Command::new(tool).arg("-V").output().is_err() {
            println!("skipped: {tool} is not installed");
            return None;
        }
    }
    let (Ok(root), Ok(lan)) = (create(), create()) else {
        println!("skipped: network namespaces need root");
        return None;
    };
    let prefix = format!("t{:x}x", NEXT.fetch_add(1, Ordering::Relaxed));
    let world = World {
        root,
        lan,
        dir: tempfile::tempdir().unwrap(),
        prefix,
    };
    let lan = format!("/proc/{}/fd/{}", std::process::id(), world.lan.as_raw_fd());
    run_in(
        &world.root,
        &format!(
            "ip link set lo up; ip link add lan0 type veth peer name eth0 netns {lan}; ip link set lan0 up; \
         ip addr add 192.0.2.1/24 dev lan0; ip addr add 2001:db8::1/64 dev lan0 nodad"
        ),
    );
    run_in(
        &world.lan,
        "ip link set lo up; ip link set eth0 up; ip addr add 192.0.2.2/24 dev eth0; \
         ip addr add 2001:db8::2/64 dev eth0 nodad",
    );
    Some(world)
}

/// Runs a script in a namespace and returns what it prints.
pub(crate) fn run_in(netns: &OwnedFd, script: &str) -> String {
    let output = with_netns(netns, || Command::new("sh").args(["-ec", script]).output())
        .unwrap()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

impl World {
    pub(crate) fn config(&self) -> Config {
        self.config_named(&self.prefix)
    }

    pub(crate) fn config_named(&self, prefix: &str) -> Config {
        Config {
            prefix: prefix.to_owned(),
            table: format!("bowline-{prefix}"),
            pools: default_pools(),
            ula: "fdb0:1234:5678::/48".parse().unwrap(),
            netns_dir: self.dir.path().join(prefix).join("netns"),
            resolv_conf: self.dir.path().join("resolv.conf"),
            root_netns: self.root.try_clone().unwrap(),
        }
    }

    pub(crate) fn host(&self) -> Host {
        Host::open(self.config(), &[], &[]).unwrap()
    }

    /// Switches br_netfilter on or off; false where the kernel does not have it loaded.
    pub(crate) fn filter_bridged(&self, on: bool) -> bool {
        let key = "/proc/sys/net/bridge/bridge-nf-call-ip";
        let value = u8::from(on);
        let script = format!(
            "! [ -e {key}tables ] || {{ echo {value} > {key}tables; echo {value} > {key}6tables; }}"
        );
        run_in(&self.root, &script);
        let known = with_netns(&self.root, || Path::new(&format!("{key}tables")).exists()).unwrap();
        if !known {
            println!("skipped: br_netfilter is not loaded");
        }
        known
    }

    pub(crate) fn nft(&self, arguments: &str) -> String {
        run_in(&self.root, &format!("nft {arguments}"))
    }
}

/// Network 10.77.`n`.0/24, with IPv6.
pub(crate) fn bridge(host: &Host, n: u8) -> Bridge {
    Bridge {
        ifname: host.bridge_name(&format!("network {n}")),
        v4: Some(Lan4 {
            subnet: format!("10.77.{n}.0/24").parse().unwrap(),
            gateway: Ipv4Addr::new(10, 77, n, 1),
        }),
        v6: Some(Lan6 {
            subnet: format!("fd77:{n}::/64").parse().unwrap(),
            gateway: format!("fd77:{n}::1").parse().unwrap(),
        }),
        internal: false,
        icc: true,
        masquerade: true,
        mtu: None,
    }
}

/// A container with address 10.77.n.`last` on a bridge made by [`bridge`].
pub(crate) struct Container {
    pub(crate) netns: Netns,
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: std::net::Ipv6Addr,
}

pub(crate) fn container(host: &Host, bridge: &Bridge, last: u8) -> Container {
    let lan4 = bridge.v4.unwrap();
    let lan6 = bridge.v6.unwrap();
    let [a, b, n, _] = lan4.gateway.octets();
    let v4 = Ipv4Addr::new(a, b, n, last);
    let mut words = lan6.gateway.segments();
    words[7] = u16::from(last);
    let v6 = words.into();
    let netns = host.create_netns(&format!("c{n}-{last}")).unwrap();
    let endpoint = Endpoint {
        ifname: "eth0".to_owned(),
        bridge: bridge.ifname.clone(),
        mac: Mac::stable(&bridge.ifname, &v4.to_string()),
        v4: Some(ipnet::Ipv4Net::new(v4, 24).unwrap()),
        v6: Some(ipnet::Ipv6Net::new(v6, 64).unwrap()),
        gateway4: (!bridge.internal).then_some(lan4.gateway),
        gateway6: (!bridge.internal).then_some(lan6.gateway),
        metric: 0,
        mtu: None,
        link_local: Vec::new(),
        sysctls: std::collections::BTreeMap::new(),
        announce: false,
    };
    host.connect(&netns, &endpoint).unwrap();
    Container { netns, v4, v6 }
}

/// Serves TCP and UDP on a port of a container, for as long as the test runs: tells clients who they are.
pub(crate) fn serve(container: &Container, port: u16) {
    let (tcp, udp) = with_netns(&container.netns, || {
        (
            TcpListener::bind(("::", port)).unwrap(),
            UdpSocket::bind(("::", port)).unwrap(),
        )
    })
    .unwrap();
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip().to_canonical();
            drop(write!(stream, "{peer}"));
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = udp.recv_from(&mut buffer) {
            drop(udp.send_to(peer.ip().to_canonical().to_string().as_bytes(), peer));
        }
    });
}

/// Connects from a namespace; the address that the server saw, or `None` when nobody answers.
pub(crate) fn ask_tcp(from: impl std::os::fd::AsFd, to: impl Into<SocketAddr>) -> Option<IpAddr> {
    let to = to.into();
    with_netns(from, || {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.parse().ok()
    })
    .unwrap()
}

/// The same by UDP.
pub(crate) fn ask_udp(from: impl std::os::fd::AsFd, to: impl Into<SocketAddr>) -> Option<IpAddr> {
    let to = to.into();
    with_netns(from, || {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(to).ok()?;
        socket.send(b"who am I").ok()?;
        let mut answer = [0; 64];
        let len = socket.recv(&mut answer).ok()?;
        std::str::from_utf8(&answer[..len]).unwrap().parse().ok()
    })
    .unwrap()
}

pub(crate) fn publication(proto: Proto, host: &str, target: impl Into<SocketAddr>) -> Publication {
    let host: SocketAddr = host.parse().unwrap();
    Publication {
        proto,
        host_ip: Some(host.ip()).filter(|ip| !ip.is_unspecified()),
        host_port: host.port(),
        target: target.into(),
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
