//! A socket that is there and hears nothing: it only keeps its port away from others.
#![expect(
    unsafe_code,
    reason = "attaching a filter to a socket has no safe wrapper"
)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// Attaches a filter that lets no packet through, so that a listener accepts nobody and a queue never fills.
pub fn drop_everything(socket: impl AsFd) -> io::Result<()> {
    // BPF_RET | BPF_K with 0: keep zero bytes of every packet, which means none of it.
    let mut program = [libc::sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: 0,
    }];
    let filter = libc::sock_fprog {
        len: 1,
        filter: program.as_mut_ptr(),
    };
    let len = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).map_err(io::Error::other)?;
    // SAFETY: setsockopt reads `len` bytes of `filter` and the one instruction it points to; both outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            len,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn a_deaf_listener_accepts_nobody_and_still_owns_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        drop_everything(&listener).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err());
        assert_eq!(
            TcpListener::bind(address).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
