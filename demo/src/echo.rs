//! Servers that send back what they get.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::thread;

use crate::http::listen;
use crate::signals::until_asked;
use crate::words::{OrFail, Outcome, Words};

pub(crate) fn tcp(mut words: Words) -> Outcome {
    let port = words.next_parsed("PORT")?;
    words.end()?;
    until_asked(move || {
        let listener = listen(port).or_fail(format!("cannot listen on port {port}"))?;
        println!("listening on port {port}");
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(io::copy(&mut &stream, &mut &stream)));
        }
        Ok(0)
    })
}

pub(crate) fn udp(mut words: Words) -> Outcome {
    let port = words.next_parsed::<u16>("PORT")?;
    words.end()?;
    until_asked(move || {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)))
            .or_fail(format!("cannot listen on port {port}"))?;
        println!("listening on port {port}");
        let mut buffer = vec![0; 1 << 16];
        loop {
            // Errors here are about one client, which is gone: the next may be well.
            let Ok((length, client)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            drop(socket.send_to(&buffer[..length], client));
        }
    })
}
