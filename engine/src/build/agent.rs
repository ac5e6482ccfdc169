//! An SSH agent of the caller's, at a path where a step finds it.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::place::{Access, grant};

/// Passes connections on for as long as it lives.
#[derive(Debug)]
pub(super) struct Agent(JoinHandle<()>);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Agent {
    /// Listens at `at` for whom `access` lets in; each connection leads to `socket`.
    pub(super) fn listen(at: &Path, socket: &Path, access: Access) -> io::Result<Self> {
        let listener = UnixListener::bind(at)?;
        grant(at, access)?;
        Ok(Self(tokio::spawn(accept(listener, socket.to_owned()))))
    }
}

async fn accept(listener: UnixListener, socket: PathBuf) {
    while let Ok((client, _)) = listener.accept().await {
        let socket = socket.clone();
        drop(tokio::spawn(async move {
            if let Err(error) = relay(client, &socket).await {
                tracing::debug!(%error, "a connection to an SSH agent ended");
            }
        }));
    }
}

async fn relay(mut client: UnixStream, socket: &Path) -> io::Result<()> {
    let mut agent = UnixStream::connect(socket).await?;
    tokio::io::copy_bidirectional(&mut client, &mut agent).await?;
    Ok(())
}
