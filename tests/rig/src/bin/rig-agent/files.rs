//! Files in and out.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rig::mux::Stream;
use rig::wire::{Reply, send};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Large enough that a hop to the thread that writes is rare.
const PIECE: usize = 512 * 1024;

/// Takes `len` bytes into a file that appears under its name only when it is whole.
pub async fn put(mut stream: Stream, path: &Path, mode: u32, len: u64) -> io::Result<()> {
    let answer = match receive_file(&mut stream, path, mode, len).await {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Failed(format!("{}: {error}", path.display())),
    };
    send(&mut stream, &answer).await
}

async fn receive_file(stream: &mut Stream, path: &Path, mode: u32, len: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).await?;
    }
    let partial = PathBuf::from(format!("{}.partial", path.display()));
    let result = async {
        let mut file = File::create(&partial).await?;
        file.set_max_buf_size(PIECE);
        copy_exactly(stream, &mut file, len).await?;
        file.flush().await?;
        file.set_permissions(Permissions::from_mode(mode & 0o7777)).await?;
        fs::rename(&partial, path).await
    }
    .await;
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&partial).await;
    }
    result
}

async fn copy_exactly(from: &mut Stream, to: &mut File, len: u64) -> io::Result<()> {
    let mut reader = tokio::io::BufReader::with_capacity(PIECE, from.take(len));
    match tokio::io::copy_buf(&mut reader, to).await? {
        copied if copied == len => Ok(()),
        copied => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{copied} of {len} bytes arrived"),
        )),
    }
}

/// Gives a file's mode, length and bytes.
pub async fn get(mut stream: Stream, path: &Path) -> io::Result<()> {
    match open(path).await {
        Ok((file, mode, len)) => {
            send(&mut stream, &Reply::File { mode, len }).await?;
            let mut reader = tokio::io::BufReader::with_capacity(PIECE, file.take(len));
            tokio::io::copy_buf(&mut reader, &mut stream).await?;
            stream.flush().await
        }
        Err(error) => {
            send(&mut stream, &Reply::Failed(format!("{}: {error}", path.display()))).await
        }
    }
}

async fn open(path: &Path) -> io::Result<(File, u32, u64)> {
    let mut file = File::open(path).await?;
    file.set_max_buf_size(PIECE);
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, metadata.permissions().mode() & 0o7777, metadata.len()))
}
