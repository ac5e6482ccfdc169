//! The resolver's sockets.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use bowline_network::{DnsSockets, RESOLVER};
use bowline_sys::netns::with_netns;

use crate::world::*;

fn answer(sockets: DnsSockets) {
    thread::spawn(move || {
        let mut query = [0; 16];
        let (len, from) = sockets.udp.recv_from(&mut query).unwrap();
        sockets
            .udp
            .send_to(&[b"udp ", &query[..len]].concat(), from)
            .unwrap();
    });
    thread::spawn(move || {
        let (mut stream, _) = sockets.tcp.accept().unwrap();
        stream.write_all(b"tcp").unwrap();
    });
}

#[test]
fn port_53_leads_to_our_sockets_and_stays_free_for_the_container() {
    let Some(world) = world() else { return };
    let host = world.host();
    let netns = host.create_netns("c").unwrap();
    // The second time stands for a restart: the namespace is kept, the sockets are not.
    for _ in 0..2 {
        answer(host.dns_sockets(&netns).unwrap());
        with_netns(&netns, || {
            let own = UdpSocket::bind("0.0.0.0:53").unwrap();
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            client.connect((RESOLVER, 53)).unwrap();
            client.send(b"q").unwrap();
            let mut reply = [0; 16];
            let len = client.recv(&mut reply).unwrap();
            assert_eq!(&reply[..len], b"udp q");

            let mut stream =
                TcpStream::connect_timeout(&(RESOLVER, 53).into(), Duration::from_secs(2)).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, "tcp");
            drop(own);
        })
        .unwrap();
    }
    host.remove_netns("c").unwrap();
}
