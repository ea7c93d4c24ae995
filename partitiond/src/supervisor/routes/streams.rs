//! Answers that go on for a while: JSON, one object a line.

use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::api::{Event, Problem, Progress};
use crate::supervisor::logs;

const LINES: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/x-ndjson")];

/// Runs `work` whether or not anybody goes on listening, and sends what it tells.
pub fn progress<F>(work: impl FnOnce(mpsc::UnboundedSender<Progress>) -> F) -> Response
where
    F: Future<Output = Result<(), Problem>> + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    let running = work(sender.clone());
    tokio::spawn(async move {
        if let Err(problem) = running.await {
            let _ = sender.send(Progress::Failed { partition: String::new(), problem });
            let _ = sender.send(Progress::Done { ok: false });
        }
    });
    let lines = stream::unfold(receiver, |mut receiver| async {
        let next = receiver.recv().await?;
        Some((line(&next), receiver))
    });
    (LINES, Body::from_stream(lines)).into_response()
}

/// A file of lines, and with `follow` what is added to it.
pub fn file(path: PathBuf, follow: bool) -> Response {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(logs::send(path, follow, sender));
    let bytes =
        stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    (LINES, Body::from_stream(bytes)).into_response()
}

/// Events that are stored, then those that are told, where there is a listener.
pub fn events(stored: Vec<Event>, listener: Option<broadcast::Receiver<Event>>) -> Response {
    let next = stored.last().map_or(0, |event| event.sequence.wrapping_add(1));
    let told = stream::unfold(listener, move |listener| async move {
        let mut listener = listener?;
        loop {
            match listener.recv().await {
                // What was stored by then has been sent.
                Ok(event) if event.sequence < next => {}
                Ok(event) => return Some((line(&event), Some(listener))),
                // They are on disk; whoever reads too slowly finds them there.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let stored = stream::iter(stored).map(|event| line(&event));
    (LINES, Body::from_stream(stored.chain(told))).into_response()
}

fn line<T: Serialize>(value: &T) -> Result<Bytes, Infallible> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    Ok(line.into())
}
