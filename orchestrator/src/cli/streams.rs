//! Our standard streams joined with those of a process in a container.

use std::io::{self, Read as _, Write as _};

use bowline_api::stdcopy::Stream as Kind;
use bowline_client::{Client, Hijacked};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::signals::resized;
use crate::terminal::{RawMode, size};
use crate::ui::Outcome;

/// Whose terminal follows ours.
#[derive(Clone, Debug)]
pub(super) enum Resize {
    /// That of an exec.
    Exec(String),
    /// That of a container's main process.
    Container(String),
}

impl Resize {
    async fn apply(&self, client: &Client) {
        let Some((rows, columns)) = size() else {
            return;
        };
        // The process may be gone, or its terminal not there yet: both are no reason to end.
        let _late = match self {
            Self::Exec(id) => client.exec_resize(id, rows, columns).await,
            Self::Container(id) => client.container_resize(id, rows, columns).await,
        };
    }

    /// Follows our terminal's size until dropped.
    pub(super) async fn follow(&self, client: &Client) -> Outcome<()> {
        let mut changes = resized()?;
        loop {
            self.apply(client).await;
            if changes.recv().await.is_none() {
                return Ok(());
            }
        }
    }
}

/// Joins the streams until the process has closed its side. `tty` puts our terminal in raw mode.
pub(super) async fn join(
    client: &Client,
    stream: Hijacked,
    stdin: bool,
    resize: Option<Resize>,
) -> Outcome<()> {
    let _raw = resize
        .as_ref()
        .filter(|_| stdin)
        .and_then(|_| RawMode::enter());
    let (mut output, mut input) = stream.split();
    let feed = async {
        if stdin {
            let mut pieces = read_stdin();
            while let Some(piece) = pieces.recv().await {
                if input.write_all(&piece).await.is_err() {
                    break;
                }
            }
            // The end of our input is the end of its input; its output goes on.
            let _gone = input.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let show = async {
        while let Some(chunk) = output.next().await {
            let chunk = chunk?;
            let written = match chunk.stream {
                Kind::Stderr | Kind::SystemError => io::stderr().write_all(&chunk.bytes),
                Kind::Stdin | Kind::Stdout => {
                    let mut out = io::stdout().lock();
                    out.write_all(&chunk.bytes).and_then(|()| out.flush())
                }
            };
            if written.is_err() {
                break;
            }
        }
        Outcome::Ok(())
    };
    let follow = async {
        if let Some(resize) = &resize {
            resize.follow(client).await?;
        }
        std::future::pending::<Outcome<()>>().await
    };
    tokio::select! {
        shown = show => shown,
        () = feed => Ok(()),
        followed = follow => followed,
    }
}

/// Standard input in pieces, read by a thread that the runtime does not wait for.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count) = io::stdin().read(&mut buffer) {
            if count == 0 || sender.blocking_send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}
