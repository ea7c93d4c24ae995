//! Clients in, streams out.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_local;

use super::boot::Machine;
use crate::mux::{self, Opener, Stream};
use crate::wire::{FromExec, MAX_STREAMS, Reply, Request, receive, send};

/// How long the machine may take to power off when asked.
const POWER_OFF: Duration = Duration::from_secs(10);

/// How much is copied at once, in bytes.
const PIECE: usize = 256 * 1024;

/// Streams that we open at once; further clients wait. More than the agent admits, so that it can
/// say so.
const OPEN: usize = 2 * MAX_STREAMS;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until the machine ends, by itself or because a client asks: that client is given back, to
/// be told when all is done.
pub async fn serve(machine: Machine, listener: UnixListener) -> io::Result<Option<UnixStream>> {
    let Machine { mut qemu, stream } = machine;
    let (opener, driver) = mux::outside(stream);
    let driver = spawn_local(driver);
    let (stop_sender, mut stop) = mpsc::channel(1);
    let places = Rc::new(Semaphore::new(OPEN));
    let accept = async {
        loop {
            let (client, _) = listener.accept().await?;
            let (opener, stop) = (opener.clone(), stop_sender.clone());
            let places = Rc::clone(&places);
            // What goes wrong with a client is between it and the agent.
            spawn_local(async move {
                let _ = attend(client, &opener, stop, &places).await;
            });
        }
    };
    let asked: Option<UnixStream> = tokio::select! {
        result = accept => return result,
        asked = stop.recv() => asked,
        status = qemu.wait() => {
            eprintln!("the machine ended: {}", status?);
            None
        }
    };
    if asked.is_some() {
        // An agent that does not answer loses its machine all the same.
        let _ = tokio::time::timeout(POWER_OFF, async {
            let mut stream = opener.open().await?;
            send(&mut stream, &Request::Stop).await?;
            qemu.wait().await
        })
        .await;
        qemu.kill().await?;
    }
    driver.abort();
    Ok(asked)
}

async fn attend(
    mut client: UnixStream,
    opener: &Opener,
    stop: mpsc::Sender<UnixStream>,
    places: &Semaphore,
) -> io::Result<()> {
    let request: Request = tokio::time::timeout(PATIENCE, receive(&mut client)).await??;
    if request == Request::Stop {
        return stop.send(client).await.map_err(io::Error::other);
    }
    let _place = places.acquire().await.map_err(io::Error::other)?;
    let mut stream = match opener.open().await {
        Ok(stream) => stream,
        Err(error) => {
            let reason = format!("no stream into the rig: {error}");
            return match request {
                Request::Exec(_) => send(&mut client, &FromExec::Failed(reason)).await,
                _ => send(&mut client, &Reply::Failed(reason)).await,
            };
        }
    };
    send(&mut stream, &request).await?;
    relay(client, stream).await
}

/// Carries both directions to their ends, each by itself: an agent that takes no more may still have
/// an answer under way.
async fn relay(mut client: UnixStream, stream: Stream) -> io::Result<()> {
    let (from_client, mut to_client) = client.split();
    let (from_rig, mut to_rig) = tokio::io::split(stream);
    let inward = async {
        // Fails where the agent has closed: the other direction tells the client why.
        let _ = copy(from_client, &mut to_rig).await;
        let _ = to_rig.shutdown().await;
        Ok(())
    };
    let outward = async {
        copy(from_rig, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(inward, outward).map(drop)
}

async fn copy(from: impl AsyncRead + Unpin, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<u64> {
    tokio::io::copy_buf(&mut BufReader::with_capacity(PIECE, from), to).await
}
