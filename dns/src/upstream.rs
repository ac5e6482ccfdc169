//! One exchange with one upstream server.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};

use crate::answer::{Request, question, question_end};

/// The flag octets of a header: QR in the third, TC in the third, RCODE in the fourth.
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
const CODE: u8 = 0x0f;
const SHORTEST: usize = 12;

/// Makes the sockets that relayed queries leave by; which network namespace they live in is decided
/// where they are made, and stays.
pub trait Upstream: Send + Sync + std::fmt::Debug {
    /// An unconnected, non-blocking UDP socket of `server`'s family on a port of the kernel's
    /// choice.
    ///
    /// # Errors What the kernel says, for example when no file descriptor is left.
    fn udp(&self, server: SocketAddr) -> io::Result<StdUdpSocket>;

    /// An unconnected TCP socket of `server`'s family.
    ///
    /// # Errors
    /// What the kernel says.
    fn tcp(&self, server: SocketAddr) -> io::Result<TcpSocket>;
}

/// Sockets in the network namespace of the calling thread: the engine's own, where the host's
/// resolver stub on 127.0.0.53 and its VPN routes are.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnNamespace;

impl Upstream for OwnNamespace {
    fn udp(&self, server: SocketAddr) -> io::Result<StdUdpSocket> {
        // Port 0: the kernel picks a random free port, so that a forged answer has to guess it
        // besides the id.
        let socket = match server {
            SocketAddr::V4(_) => StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => StdUdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
        }?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn tcp(&self, server: SocketAddr) -> io::Result<TcpSocket> {
        match server {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }
    }
}

/// An upstream's answer, its bytes untouched but for the id, which is the client's again.
#[derive(Clone, Debug)]
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// Takes `wire` as the answer to `request` sent under `id`, or says that it is none.
    ///
    /// A server may leave the question out of an error; the id and the connected socket then have
    /// to be enough.
    fn read(mut wire: Vec<u8>, id: u16, request: &Request) -> Option<Self> {
        let fits = wire.len() >= SHORTEST
            && wire[..2] == id.to_be_bytes()
            && wire[2] & RESPONSE != 0
            && question(&wire).is_none_or(|question| question == *request.query());
        if !fits {
            return None;
        }
        wire[..2].copy_from_slice(&request.id().to_be_bytes());
        Some(Self(wire))
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.0[2] & TRUNCATED != 0
    }

    /// Whether the server spoke about the name, rather than about itself: FORMERR, SERVFAIL, NOTIMP
    /// and REFUSED are reasons to ask another.
    pub(crate) fn is_about_the_name(&self) -> bool {
        matches!(self.0[3] & CODE, 0 | 3)
    }

    /// Whether it holds any answer: another server's "does not exist" is worth less than this.
    pub(crate) fn is_positive(&self) -> bool {
        self.0[3] & CODE == 0 && self.0[6..8] != [0, 0]
    }

    pub(crate) fn into_wire(self) -> Vec<u8> {
        self.0
    }

    /// The header and the question only, marked as truncated: the client asks again over TCP.
    pub(crate) fn into_truncated(self) -> Vec<u8> {
        let mut wire = self.0;
        wire.truncate(question_end(&wire));
        wire[2] |= TRUNCATED;
        wire[6..SHORTEST].fill(0);
        wire
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A UDP exchange under way: sending again reuses the socket and the id, so a late answer to the
/// first packet counts.
pub(crate) struct Datagram<'a> {
    socket: UdpSocket,
    id: u16,
    request: &'a Request,
}

impl<'a> Datagram<'a> {
    pub(crate) async fn open(
        upstream: &dyn Upstream,
        server: SocketAddr,
        request: &'a Request,
    ) -> io::Result<Self> {
        let socket = UdpSocket::from_std(upstream.udp(server)?)?;
        // Connected, the kernel drops what others send, and tells us when nobody listens there.
        socket.connect(server).await?;
        Ok(Self {
            socket,
            id: rand::random(),
            request,
        })
    }

    pub(crate) async fn send(&self) -> io::Result<()> {
        let mut wire = self.request.wire.clone();
        wire[..2].copy_from_slice(&self.id.to_be_bytes());
        self.socket.send(&wire).await.map(drop)
    }

    /// Waits for the answer; what is not the answer is passed over, for anybody on the way may send
    /// it.
    pub(crate) async fn receive(&self) -> io::Result<Answer> {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let length = self.socket.recv(&mut buffer).await?;
            if let Some(answer) = Answer::read(buffer[..length].to_vec(), self.id, self.request) {
                return Ok(answer);
            }
        }
    }
}

/// Asks over TCP: one connection, one question.
pub(crate) async fn ask_over_tcp(
    upstream: &dyn Upstream,
    server: SocketAddr,
    request: &Request,
) -> io::Result<Answer> {
    let id: u16 = rand::random();
    let length = u16::try_from(request.wire.len()).map_err(|_| ErrorKind::InvalidInput)?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(id.to_be_bytes());
    frame.extend(&request.wire[2..]);

    let mut stream = upstream.tcp(server)?.connect(server).await?;
    stream.write_all(&frame).await?;
    let mut wire = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut wire).await?;
    Answer::read(wire, id, request).ok_or_else(|| ErrorKind::InvalidData.into())
}
