//! Accepts streams and gives each to what was asked for.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rig::async_file::AsyncFile;
use rig::mux::{self, Stream};
use rig::wire::{FromExec, Hello, MAGIC, MAX_STREAMS, Reply, Request, receive, send};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::task::spawn_local;

use crate::reaper::Reaper;
use crate::{exec, files, setup, sys};

/// How long a new stream may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sets the machine up and serves until the stream ends.
pub async fn serve() -> io::Result<()> {
    setup::apply()?;
    let mut port = AsyncFile::new(setup::open_port()?)?;
    port.write_all(&MAGIC).await?;
    send(&mut port, &hello()?).await?;

    let reaper = Reaper::default();
    spawn_local(reaper.clone().run());
    let open = Rc::new(Cell::new(0));
    mux::inside(port, |stream| {
        let place = Place::take(&open);
        let reaper = reaper.clone();
        spawn_local(async move {
            // A broken stream concerns its client alone, who sees it break.
            let _ = answer(stream, place, reaper).await;
        });
    })
    .await
}

fn hello() -> io::Result<Hello> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim_end().to_owned();
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let seconds: f64 =
        uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    Ok(Hello { release, cpus, uptime_ms: (seconds * 1000.0) as u64 })
}

/// One of the [`MAX_STREAMS`] places, given back when dropped.
struct Place {
    open: Rc<Cell<usize>>,
    within: bool,
}

impl Place {
    fn take(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self { open: Rc::clone(open), within: open.get() <= MAX_STREAMS }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

/// Streams are dropped, not shut down, when there is no more to say: yamux then tells the other side
/// to stop sending, too, behind all that was sent. A stream that is only shut down and then dropped
/// leaves a sender without credit waiting for ever.
async fn answer(mut stream: Stream, place: Place, reaper: Reaper) -> io::Result<()> {
    let request = tokio::time::timeout(PATIENCE, receive(&mut stream)).await??;
    if !place.within {
        let full = format!("{MAX_STREAMS} streams are open in this rig already");
        match request {
            Request::Exec(_) => return send(&mut stream, &FromExec::Failed(full)).await,
            _ => return send(&mut stream, &Reply::Failed(full)).await,
        }
    }
    match request {
        Request::Connect { path } => connect(stream, &path).await,
        Request::Exec(what) => exec::exec(stream, what, &reaper).await,
        Request::Put { path, mode, len } => files::put(stream, &path, mode, len).await,
        Request::Get { path } => files::get(stream, &path).await,
        Request::Stop => {
            send(&mut stream, &Reply::Done).await?;
            sys::power_off();
            Ok(())
        }
    }
}

/// Carries bytes both ways until the socket has nothing more to say. That nothing more can be sent to
/// it is no reason to stop: what it said last may still be on its way.
async fn splice(stream: Stream, socket: UnixStream) {
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let (mut from_socket, mut to_socket) = socket.into_split();
    let there = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_socket).await;
        let _ = to_socket.shutdown().await;
    };
    let back = async {
        let _ = tokio::io::copy(&mut from_socket, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::pin!(there, back);
    tokio::select! {
        () = &mut back => {}
        () = &mut there => back.await,
    }
}

async fn connect(mut stream: Stream, path: &Path) -> io::Result<()> {
    match UnixStream::connect(path).await {
        Ok(socket) => {
            send(&mut stream, &Reply::Done).await?;
            splice(stream, socket).await;
            Ok(())
        }
        Err(error) => {
            send(&mut stream, &Reply::Failed(format!("{}: {error}", path.display()))).await
        }
    }
}
