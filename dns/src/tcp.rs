//! The TCP side: framed messages, several at a time on one connection, none of it without a bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answer::{Decision, Transport};
use crate::server::Resolver;

/// Connections of one container; more wait in the listener's queue until one ends.
const CONNECTIONS: usize = 64;
/// Queries of one connection under way at once (RFC 7766 §6.2.1.1 wants more than one).
const PIPELINED: usize = 16;
/// How long a connection may be silent, or refuse to take an answer, before it is closed.
const IDLE: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_millis(100);

pub(crate) async fn serve(listener: TcpListener, resolver: Arc<Resolver>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(converse(stream, Arc::clone(&resolver)));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, resolver: Arc<Resolver>) {
    let (mut reader, writer) = stream.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let slots = Arc::new(Semaphore::new(PIPELINED));
    let mut relayed = JoinSet::new();
    while let Ok(Ok(wire)) = timeout(IDLE, read_frame(&mut reader)).await {
        match resolver.decide(&wire, Transport::Tcp) {
            Decision::Reply(reply) => {
                if write_frame(&writer, &reply).await.is_err() {
                    return;
                }
            }
            Decision::Relay(request) => {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                    return;
                };
                let (writer, resolver) = (Arc::clone(&writer), Arc::clone(&resolver));
                relayed.spawn(async move {
                    let reply = resolver.relay(&request).await;
                    // A client that has left is found out by the reading side.
                    drop(write_frame(&writer, &reply).await);
                    drop(slot);
                });
            }
            // Over UDP noise is ignored; somebody who sends it over a connection does not speak
            // DNS.
            Decision::Ignore => return,
        }
        while relayed.try_join_next().is_some() {}
    }
    // A client may close its sending side and still wait for the answers.
    while relayed.join_next().await.is_some() {}
}

async fn read_frame(reader: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut wire = vec![0; reader.read_u16().await?.into()];
    reader.read_exact(&mut wire).await?;
    Ok(wire)
}

async fn write_frame(writer: &Mutex<OwnedWriteHalf>, wire: &[u8]) -> io::Result<()> {
    let length = u16::try_from(wire.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(wire);
    let mut writer = writer.lock().await;
    timeout(IDLE, writer.write_all(&frame)).await?
}
