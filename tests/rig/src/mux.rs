//! Drives a yamux connection from a task of its own.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Connection, ConnectionError, Mode};

use crate::wire;

/// One stream of the multiplexed connection.
pub type Stream = Compat<yamux::Stream>;

type Answer = oneshot::Sender<Result<Stream, ConnectionError>>;

/// Opens streams on the connection that its driver runs.
#[derive(Clone, Debug)]
pub struct Opener(mpsc::Sender<Answer>);

impl Opener {
    /// A new stream to the other side.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the connection has ended.
    pub async fn open(&self) -> io::Result<Stream> {
        let gone =
            || io::Error::new(io::ErrorKind::NotConnected, "the machine's byte stream ended");
        let (answer, opened) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| gone())?;
        opened.await.map_err(|_| gone())?.map_err(io::Error::other)
    }
}

/// Runs the side that opens streams. The future ends with the connection.
pub fn outside<T>(socket: T) -> (Opener, impl Future<Output = io::Result<()>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (sender, mut requests) = mpsc::channel::<Answer>(wire::MAX_STREAMS);
    let mut connection = Connection::new(socket.compat(), wire::multiplexer(), Mode::Client);
    let mut waiting: Option<Answer> = None;
    let driver = poll_fn(move |context| {
        loop {
            if waiting.is_none() {
                match requests.poll_recv(context) {
                    Poll::Ready(Some(answer)) => waiting = Some(answer),
                    Poll::Ready(None) | Poll::Pending => {}
                }
            }
            if let Some(answer) = waiting.take() {
                match connection.poll_new_outbound(context) {
                    Poll::Ready(opened) => {
                        // Whoever asked may have gone; the stream then closes as it is dropped.
                        let _ = answer.send(opened.map(FuturesAsyncReadCompatExt::compat));
                        continue;
                    }
                    Poll::Pending => waiting = Some(answer),
                }
            }
            // Nothing inside opens streams, but polling for them is what drives the connection.
            match connection.poll_next_inbound(context) {
                Poll::Ready(Some(Ok(unasked))) => drop(unasked),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    (Opener(sender), driver)
}

/// Runs the side that accepts streams, giving each to `accept`. Ends with the connection.
///
/// # Errors
///
/// What broke the connection.
pub async fn inside<T>(socket: T, mut accept: impl FnMut(Stream)) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection::new(socket.compat(), wire::multiplexer(), Mode::Server);
    while let Some(stream) = poll_fn(|context| connection.poll_next_inbound(context)).await {
        accept(stream.map_err(io::Error::other)?.compat());
    }
    Ok(())
}
