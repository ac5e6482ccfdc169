//! Binding the sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockname, listen,
    setsockopt, socket, sockopt,
};

use super::{Conflict, Forward, PortError, PortRequest, Reserved, Target, holder};
use crate::model::{Proto, Publication};

/// How often a port that the kernel chose for one family may turn out to be taken in the other.
const TRIES: u32 = 16;
/// Connections that may wait for the shim to take them.
const BACKLOG: i32 = 4096;

/// What a bound socket is for.
#[derive(Clone, Copy)]
enum Role {
    /// It holds the port, and the kernel forwards.
    Hold { publish: Option<IpAddr> },
    /// It is served by the shim, and for other addresses than ::1 the kernel may forward too.
    Serve {
        target: IpAddr,
        publish: Option<IpAddr>,
    },
}

/// Reserves all ports in the calling thread's namespace.
pub(crate) fn reserve(
    requests: &[PortRequest],
    target: Target,
) -> Result<Vec<Reserved>, PortError> {
    let mut conflicts = Vec::new();
    let mut all = Vec::new();
    for request in requests {
        match one(request, target) {
            Ok(reserved) => all.push(reserved),
            Err(conflict) => conflicts.push(conflict),
        }
    }
    if conflicts.is_empty() {
        Ok(all)
    } else {
        Err(PortError::Conflicts(conflicts))
    }
}

fn one(request: &PortRequest, target: Target) -> Result<Reserved, Conflict> {
    let mut last = None;
    match request.host_ports {
        Some((first, end)) => {
            for port in first..=end {
                match at_port(request, target, port) {
                    Ok(reserved) => return Ok(reserved),
                    Err(failed) => last = Some(failed),
                }
            }
        }
        None => {
            for _ in 0..TRIES {
                match at_port(request, target, 0) {
                    Ok(reserved) => return Ok(reserved),
                    Err(failed) => last = Some(failed),
                }
            }
        }
    }
    let (address, source) = last.unwrap_or_else(|| {
        let ip = request.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        (
            SocketAddr::new(ip, 0),
            io::Error::from_raw_os_error(libc::EINVAL),
        )
    });
    let taken = source.raw_os_error() == Some(libc::EADDRINUSE) && address.port() != 0;
    let holder = if taken {
        holder::find(request.proto, address)
    } else {
        None
    };
    Err(Conflict {
        proto: request.proto,
        address,
        holder,
        source,
    })
}

/// Binds one port in all families, or none. Zero lets the kernel choose for the first and keeps it for the others.
fn at_port(
    request: &PortRequest,
    target: Target,
    port: u16,
) -> Result<Reserved, (SocketAddr, io::Error)> {
    let mut reserved = Reserved {
        proto: request.proto,
        host_ip: request.host_ip,
        host_port: port,
        container_port: request.container_port,
        bindings: Vec::new(),
        keep: Vec::new(),
        forwards: Vec::new(),
        publications: Vec::new(),
    };
    for ip in addresses(request.host_ip) {
        let Some(role) = role(ip, target) else {
            continue;
        };
        let wanted = SocketAddr::new(ip, reserved.host_port);
        let socket = match open(request.proto, wanted, matches!(role, Role::Hold { .. })) {
            // A machine without IPv6 offers "all addresses" on IPv4 alone.
            Err(error) if request.host_ip.is_none() && ip.is_ipv6() && lacks_family(&error) => {
                continue;
            }
            Err(error) => return Err((wanted, error)),
            Ok(socket) => socket,
        };
        reserved.host_port = bound_port(&socket).map_err(|error| (wanted, error))?;
        reserved.add(ip, role, socket);
    }
    Ok(reserved)
}

fn addresses(host_ip: Option<IpAddr>) -> Vec<IpAddr> {
    match host_ip {
        Some(ip) => vec![ip],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    }
}

fn role(ip: IpAddr, target: Target) -> Option<Role> {
    let (v4, v6) = (target.v4.map(IpAddr::V4), target.v6.map(IpAddr::V6));
    match ip {
        IpAddr::V4(_) => match v4 {
            Some(_) => Some(Role::Hold { publish: v4 }),
            None => v6.map(|target| Role::Serve {
                target,
                publish: None,
            }),
        },
        // The kernel does not let ::1 leave the loopback link, and rewrites no IPv6 to IPv4.
        IpAddr::V6(ip) if ip.is_loopback() => v6.or(v4).map(|target| Role::Serve {
            target,
            publish: None,
        }),
        IpAddr::V6(ip) if ip.is_unspecified() => v6.or(v4).map(|target| Role::Serve {
            target,
            publish: v6,
        }),
        IpAddr::V6(_) => match v6 {
            Some(_) => Some(Role::Hold { publish: v6 }),
            None => v4.map(|target| Role::Serve {
                target,
                publish: None,
            }),
        },
    }
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}

impl Reserved {
    fn add(&mut self, ip: IpAddr, role: Role, socket: OwnedFd) {
        let listen = SocketAddr::new(ip, self.host_port);
        self.bindings.push(listen);
        let publish = match role {
            Role::Hold { publish } => {
                self.keep.push(socket);
                publish
            }
            Role::Serve { target, publish } => {
                let target = SocketAddr::new(target, self.container_port);
                self.forwards.push(Forward {
                    proto: self.proto,
                    listen,
                    target,
                    socket,
                });
                publish
            }
        };
        if let Some(target) = publish {
            self.publications.push(Publication {
                proto: self.proto,
                host_ip: Some(ip).filter(|ip| !ip.is_unspecified()),
                host_port: self.host_port,
                target: SocketAddr::new(target, self.container_port),
            });
        }
    }
}

fn open(proto: Proto, address: SocketAddr, deaf: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let kind = match proto {
        Proto::Tcp => SockType::Stream,
        Proto::Udp => SockType::Datagram,
    };
    let fd = socket(
        family,
        kind,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    if proto == Proto::Tcp {
        // Connections of the last container that still linger must not keep the port. On UDP it would allow sharing.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    if deaf {
        // Before bind: otherwise somebody could be accepted, by nobody, before the kernel forwards.
        bowline_sys::sockfilter::drop_everything(&fd)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    if proto == Proto::Tcp {
        listen(&fd, Backlog::new(BACKLOG)?)?;
    }
    Ok(fd)
}

fn bound_port(socket: &OwnedFd) -> io::Result<u16> {
    let name: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let v4 = name
        .as_sockaddr_in()
        .map(nix::sys::socket::SockaddrIn::port);
    let v6 = name
        .as_sockaddr_in6()
        .map(nix::sys::socket::SockaddrIn6::port);
    v4.or(v6)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}
