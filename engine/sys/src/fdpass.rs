//! Packets with file descriptors over `AF_UNIX`, `SOCK_SEQPACKET`: each packet arrives whole, with its descriptors, or
//! not at all, and a close is told from an empty packet by whoever never sends empty ones (we do not).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with, socketpair,
};

/// The most descriptors that one packet carries (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

/// One packet.
#[derive(Debug, Default)]
pub struct Packet {
    /// Its bytes; none means that the other side has closed.
    pub bytes: Vec<u8>,
    /// Its descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Listens at `path`, which only root may reach whatever the umask says.
pub fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    // The mode of the socket's inode is the socket's own mode less the umask: setting it here leaves no moment in
    // which others could connect.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
    let (address, _directory) = address(path)?;
    bind(&socket, &address)?;
    listen(&socket, 64)?;
    Ok(socket)
}

/// Connects to whoever listens at `path`.
pub fn connect_to(path: &Path) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    let (address, _directory) = address(path)?;
    connect(&socket, &address)?;
    Ok(socket)
}

/// A socket's address holds 107 bytes. A longer path is named through its directory, which has to stay open meanwhile.
fn address(path: &Path) -> io::Result<(SocketAddrUnix, Option<OwnedFd>)> {
    const ROOM: usize = 107;
    if path.as_os_str().len() <= ROOM {
        return Ok((SocketAddrUnix::new(path)?, None));
    }
    let parent = path.parent().ok_or(Errno::INVAL)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    Ok((SocketAddrUnix::new(short)?, Some(directory)))
}

/// Takes the next connection.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(accept_with(listener, SocketFlags::CLOEXEC)?)
}

/// Two ends that are each other's peer.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Who is at the other end of a connection, by its effective user.
pub fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw())
}

/// Sends one packet. With `wait` false a full buffer is `WouldBlock`.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    wait: bool,
) -> io::Result<()> {
    if fds.len() > MAX_FDS {
        return Err(Errno::TOOBIG.into());
    }
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(fds.len()))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG.into());
    }
    let flags = SendFlags::NOSIGNAL
        | if wait {
            SendFlags::empty()
        } else {
            SendFlags::DONTWAIT
        };
    rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags))?;
    Ok(())
}

/// Receives one packet of at most `size` bytes; a longer one is an error, never a half.
pub fn receive(socket: BorrowedFd<'_>, size: usize, wait: bool) -> io::Result<Packet> {
    let mut bytes = vec![0; size];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC
        | if wait {
            RecvFlags::empty()
        } else {
            RecvFlags::DONTWAIT
        };
    let message = rustix::io::retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            flags,
        )
    })?;
    let fds = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    if message
        .flags
        .intersects(rustix::net::ReturnFlags::TRUNC | rustix::net::ReturnFlags::CTRUNC)
    {
        return Err(Errno::MSGSIZE.into());
    }
    bytes.truncate(message.bytes);
    bytes.shrink_to_fit();
    Ok(Packet { bytes, fds })
}

/// Waits until `socket` can be read, or the time is up: then `false`.
pub fn wait_readable(socket: impl AsFd, timeout: std::time::Duration) -> io::Result<bool> {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(
        socket.as_fd(),
        rustix::event::PollFlags::IN,
    )];
    let deadline = std::time::Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let left = rustix::event::Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match rustix::event::poll(&mut fds, Some(&left)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_packet_carries_descriptors_and_arrives_whole() {
        let (left, right) = pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        send(left.as_fd(), b"take this", &[writer.as_fd()], true).unwrap();
        writer.write_all(b"a").unwrap();
        drop(writer);
        let packet = receive(right.as_fd(), 64, true).unwrap();
        assert_eq!(packet.bytes, b"take this");
        let mut passed = std::fs::File::from(packet.fds.into_iter().next().unwrap());
        passed.write_all(b"b").unwrap();
        drop(passed);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ab");
    }

    #[test]
    fn a_packet_that_does_not_fit_is_refused() {
        let (left, right) = pair().unwrap();
        send(left.as_fd(), b"too long", &[], true).unwrap();
        assert!(receive(right.as_fd(), 3, true).is_err());
    }

    #[test]
    fn a_path_too_long_for_an_address_is_no_obstacle() {
        let base = std::env::temp_dir().join(format!("bowline-socket-{}", std::process::id()));
        let deep = base.join("d".repeat(60)).join("e".repeat(60));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = listen_at(&deep.join("socket")).unwrap();
        let client = connect_to(&deep.join("socket")).unwrap();
        let server = accept(listener.as_fd()).unwrap();
        send(client.as_fd(), b"x", &[], true).unwrap();
        assert_eq!(receive(server.as_fd(), 8, true).unwrap().bytes, b"x");
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_close_is_an_empty_packet() {
        let (left, right) = pair().unwrap();
        drop(left);
        assert!(receive(right.as_fd(), 8, true).unwrap().bytes.is_empty());
    }
}
