//! Brings images into the supervisor's store: what it has already is not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use images::manifest::Digest;
use images::store::Store;

use super::board::Board;
use super::exit::Failure;
use crate::client::Client;

/// Sees to it that the supervisor has an image under this name.
pub fn image(
    client: &Client,
    store: &Store,
    name: &str,
    digest: &Digest,
    board: &Board,
) -> Result<(), Failure> {
    let image = store.image(digest)?;
    let mut missing = Vec::new();
    for blob in image.blobs() {
        if !client.has_blob(blob.digest.as_str())? {
            missing.push(blob);
        }
    }
    if !missing.is_empty() {
        let total = missing.iter().map(|blob| blob.size).sum();
        let task = Arc::new(board.task(&format!("image {name}")));
        task.now("send it to the supervisor");
        let done = Arc::new(AtomicU64::new(0));
        for blob in missing {
            let (task, done) = (Arc::clone(&task), Arc::clone(&done));
            // Its size is right, or the store says that it is corrupted.
            store.open_blob(blob)?;
            let path = store.blob_path(&blob.digest);
            client.put_blob(blob.digest.as_str(), &path, move |sent| {
                let so_far = done.fetch_add(sent, Ordering::Relaxed).saturating_add(sent);
                task.bytes(so_far, total);
            })?;
        }
    }
    let manifest =
        serde_json::to_vec_pretty(&image.manifest).map_err(|error| Failure::of(&error))?;
    let stored = client.put_image(name, manifest)?;
    if stored.digest != digest.as_str() {
        return Err(Failure::failed(format_args!(
            "image `{name}` has digest {digest} here and {} in the supervisor's store: are they of one version?",
            stored.digest
        )));
    }
    Ok(())
}
