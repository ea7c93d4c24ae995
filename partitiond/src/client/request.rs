//! One request and its answer.

use std::future::Future;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::body::Payload;
use super::{ClientError, PATIENCE};

/// The longest answer that is kept in memory as a whole, in bytes. The largest is the inventory of a
/// machine: about 2 MiB for 8,192 CPUs.
const MAX_ANSWER: usize = 32 << 20;

/// An answer that has begun well.
pub struct Answer(Response<Incoming>);

/// Asks. An answer of 4xx or 5xx is an error.
pub async fn send(
    stream: StdStream,
    method: Method,
    path: &str,
    payload: Payload,
    upgrade: Option<&str>,
) -> Result<Answer, ClientError> {
    stream.set_nonblocking(true).map_err(ClientError::Runtime)?;
    let stream = UnixStream::from_std(stream).map_err(ClientError::Runtime)?;
    // Content takes the time that it takes, and so does placing a large cluster.
    let patience = match &payload {
        Payload::File { .. } => Duration::from_secs(600),
        _ => PATIENCE,
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection; what goes wrong there is told to whoever waits for the answer.
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "partitiond")
        .header(CONTENT_TYPE, payload.content_type());
    if let Some(protocol) = upgrade {
        request = request.header(CONNECTION, "upgrade").header(UPGRADE, protocol);
    }
    let request = request.body(payload)?;
    let response = timeout(patience, sender.send_request(request))
        .await
        .map_err(|_| ClientError::Late(patience.as_secs()))??;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let text = Answer(response).whole().await?;
        return Err(
            serde_json::from_slice(&text).map_or(ClientError::Status(status), ClientError::Problem)
        );
    }
    Ok(Answer(response))
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match (NextFrame { body: self.0.body_mut() }).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) if error.is_incomplete_message() => return Err(ClientError::Cut),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// The whole body.
    pub async fn whole(mut self) -> Result<Vec<u8>, ClientError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > MAX_ANSWER {
                return Err(ClientError::TooLong(MAX_ANSWER >> 20));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// The connection after `101 Switching Protocols`, with what came on it already.
    pub async fn upgrade(self) -> Result<(UnixStream, Vec<u8>), ClientError> {
        if self.0.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::NotUpgraded);
        }
        let upgraded = hyper::upgrade::on(self.0).await?;
        let parts =
            upgraded.downcast::<TokioIo<UnixStream>>().map_err(|_| ClientError::NotUpgraded)?;
        Ok((parts.io.into_inner(), parts.read_buf.to_vec()))
    }
}

struct NextFrame<'a> {
    body: &'a mut Incoming,
}

impl Future for NextFrame<'_> {
    type Output = Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        pin!(&mut *self.body).poll_frame(context)
    }
}
