//! A partition's log, as its keeper wrote it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// How often a log that is followed is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Sends a log file's bytes, and with `follow` what is added, until the receiver goes. A log that is
/// set aside for a new one is followed into the new one.
pub async fn send(path: PathBuf, follow: bool, to: mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut file = File::open(&path).await.ok();
    let mut offset = 0_u64;
    loop {
        if let Some(open) = &mut file {
            let mut bytes = vec![0; 64 << 10];
            match open.read(&mut bytes).await {
                Ok(0) | Err(_) => {}
                Ok(read) => {
                    bytes.truncate(read);
                    offset += read as u64;
                    if to.send(Ok(bytes)).await.is_err() {
                        return;
                    }
                    continue;
                }
            }
        }
        if !follow || to.is_closed() {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
        let length = tokio::fs::metadata(&path).await.map_or(0, |metadata| metadata.len());
        if file.is_none() || length < offset {
            file = File::open(&path).await.ok();
            offset = 0;
        }
    }
}
