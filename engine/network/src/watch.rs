//! Hearing that somebody changed nf_tables: a flushed ruleset, a dockerd that comes back with its policy.

use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::socket::SockProtocol;

use crate::Result;
use crate::netlink::Socket;
use crate::nft::NftError;

/// `NFNLGRP_NFTABLES`, as a bit of the mask.
const GROUP: u32 = 1 << (7 - 1);

/// Others change many things in a row, and so do we; one look after all of them is enough.
const SETTLE: Duration = Duration::from_millis(200);

/// Tells when [`crate::Host::mend`] may have something to do.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
}

impl Watch {
    /// Subscribes in the calling thread's namespace.
    pub(crate) fn open() -> Result<Self> {
        let socket =
            Socket::open(SockProtocol::NetlinkNetFilter, GROUP).map_err(NftError::Socket)?;
        Ok(Self { socket })
    }

    /// Returns some time after a change of anybody's rules, ours included. For a thread of its own.
    pub fn wait(&self) -> Result<()> {
        loop {
            match self.socket.receive() {
                // The queue overflowed: there was more than one change.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(NftError::Socket(error).into()),
                Ok(_) => break,
            }
        }
        thread::sleep(SETTLE);
        while self.socket.receive_now().is_ok() {}
        Ok(())
    }
}
