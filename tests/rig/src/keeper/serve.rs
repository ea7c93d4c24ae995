//! Clients in, streams out.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::boot::Machine;
use crate::mux::{self, Opener};
use crate::wire::{FromExec, Reply, Request, receive, send};

/// How long the machine may take to power off when asked.
const POWER_OFF: Duration = Duration::from_secs(10);

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until the machine ends, by itself or because a client asks: that client is given back, to
/// be told when all is done.
pub async fn serve(machine: Machine, listener: UnixListener) -> io::Result<Option<UnixStream>> {
    let Machine { mut qemu, stream } = machine;
    let (opener, driver) = mux::outside(stream);
    let driver = spawn_local(driver);
    let (stop_sender, mut stop) = mpsc::channel(1);
    let accept = async {
        loop {
            let (client, _) = listener.accept().await?;
            let (opener, stop) = (opener.clone(), stop_sender.clone());
            // What goes wrong with a client is between it and the agent.
            spawn_local(async move {
                let _ = attend(client, &opener, stop).await;
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
) -> io::Result<()> {
    let request: Request = tokio::time::timeout(PATIENCE, receive(&mut client)).await??;
    if request == Request::Stop {
        return stop.send(client).await.map_err(io::Error::other);
    }
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
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut stream, 256 * 1024, 256 * 1024)
        .await?;
    stream.shutdown().await
}
