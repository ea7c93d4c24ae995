//! Images that come in over the API.

use std::io::{self, Read};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures_util::StreamExt;
use images::manifest::{Digest, Manifest};
use tokio::sync::mpsc;

use crate::api::{Problem, ProblemKind, StoredImage, printable};
use crate::supervisor::images::stored;
use crate::supervisor::{Supervisor, failed, problem};

type Shared = State<Arc<Supervisor>>;

/// Whether the store has some content.
pub async fn has_blob(
    State(supervisor): Shared,
    Path(digest): Path<String>,
) -> Result<StatusCode, Problem> {
    let digest = parse(&digest)?;
    let there = supervisor.store()?.has_blob(&digest);
    Ok(if there { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

/// Takes some content in; what does not match its digest is not kept under it.
pub async fn put_blob(
    State(supervisor): Shared,
    Path(digest): Path<String>,
    body: Body,
) -> Result<StatusCode, Problem> {
    let digest = parse(&digest)?;
    let store = supervisor.store()?;
    let (sender, receiver) = mpsc::channel(8);
    let writing = tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { receiver, rest: Bytes::new() };
        store.writing()?.put_blob(&mut pieces)
    });
    let mut body = body.into_data_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(io::Error::other);
        let broken = piece.is_err();
        if sender.send(piece).await.is_err() || broken {
            break;
        }
    }
    drop(sender);
    let blob = writing.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    if blob.digest != digest {
        let message = format!("the content sent is {}, not {digest}", blob.digest);
        return Err(problem(ProblemKind::Invalid, message, None));
    }
    // Its digest was computed from what was written.
    supervisor.note_stored(&supervisor.store()?, &digest);
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an image in, whose content is there, and gives it a name.
pub async fn put_image(
    State(supervisor): Shared,
    Path(name): Path<String>,
    body: String,
) -> Result<Json<StoredImage>, Problem> {
    let invalid =
        |error: &dyn std::error::Error| problem(ProblemKind::Invalid, error.to_string(), None);
    let manifest: Manifest = serde_json::from_str(&body).map_err(|error| invalid(&error))?;
    let store = supervisor.store()?;
    let writing = store.writing().map_err(|error| failed(&error))?;
    let digest = writing.put_manifest(&manifest).map_err(|error| invalid(&error))?;
    writing.tag(&digest, &name).map_err(|error| invalid(&error))?;
    let image = store.image(&digest).map_err(|error| failed(&error))?;
    Ok(Json(stored(&image)))
}

/// Removes an image, with what no other image has of it.
pub async fn delete_image(
    State(supervisor): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    supervisor.remove_image(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(digest: &str) -> Result<Digest, Problem> {
    Digest::parse(digest).ok_or_else(|| {
        let message = format!("`{}` is no digest", printable(digest));
        problem(ProblemKind::Invalid, message, None)
    })
}

/// A body, read by a thread that waits for it.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.rest = piece?,
            }
        }
        let length = self.rest.len().min(buffer.len());
        let piece = self.rest.split_to(length);
        if let Some(place) = buffer.get_mut(..length) {
            place.copy_from_slice(&piece);
        }
        Ok(length)
    }
}
