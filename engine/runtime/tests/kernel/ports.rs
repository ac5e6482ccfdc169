//! Ports relayed by the shim.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use bowline_runtime::{Forward, ForwardProtocol, LaunchFds};

use crate::Test;
use crate::rig::guest;

pub(crate) const TESTS: &[Test] = &[
    ("streams are relayed both ways, each end by itself", streams),
    ("datagrams find back to whoever sent them", datagrams),
    ("a listener can be added and removed later", later),
];

fn echo_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Answers only once all has come: half a close has to arrive as one.
fn answer(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    stream.write_all(&bytes).unwrap();
}

fn streams() {
    let target = echo_server();
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let address = listener.local_addr().unwrap();
    let forward = Forward {
        listener: 0,
        protocol: ForwardProtocol::Tcp,
        target,
    };
    let container = guest(&["sleep"])
        .with(|launch| launch.forwards = vec![forward])
        .prepare_with(LaunchFds {
            forwards: vec![listener.into()],
            ..LaunchFds::default()
        })
        .unwrap();
    container.shim().start().unwrap();
    let big = vec![b'z'; 3 << 20];
    std::thread::scope(|scope| {
        for _ in 0..20 {
            let big = &big;
            scope.spawn(move || {
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(big).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let mut back = Vec::new();
                client.read_to_end(&mut back).unwrap();
                assert_eq!(back.len(), big.len());
            });
        }
    });
}

fn datagrams() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..length], from).unwrap();
        }
    });
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let forward = Forward {
        listener: 0,
        protocol: ForwardProtocol::Udp,
        target,
    };
    let container = guest(&["sleep"])
        .with(|launch| launch.forwards = vec![forward])
        .prepare_with(LaunchFds {
            forwards: vec![listener.into()],
            ..LaunchFds::default()
        })
        .unwrap();
    container.shim().start().unwrap();
    let clients: Vec<UdpSocket> = (0..4)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    for (number, client) in (0..).zip(&clients) {
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client.send_to(&[number], address).unwrap();
    }
    for (number, client) in (0_u8..).zip(&clients) {
        let mut buffer = [0; 16];
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), ([number].as_slice(), address));
    }
}

fn later() {
    let target = echo_server();
    let container = guest(&["sleep"]).start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let forward = Forward {
        listener: 0,
        protocol: ForwardProtocol::Tcp,
        target,
    };
    container
        .shim()
        .add_forward(forward, std::os::fd::AsFd::as_fd(&listener))
        .unwrap();
    drop(listener);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    client.read_to_string(&mut back).unwrap();
    assert_eq!(back, "x");
    container.shim().remove_forward(forward).unwrap();
    assert!(TcpStream::connect(address).is_err());
}
