//! Running apt's programs.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::DebianError;
use crate::progress::Progress;

/// The most that is read of a program's output, in bytes.
const MAX_OUTPUT: u64 = 64 << 20;

/// How often a download is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Where a program puts what it fetches: its progress is how these directories grow.
pub(super) struct Watch<'a> {
    /// Looked at without what is below them.
    pub directories: &'a [&'a Path],
    /// Bytes that will be fetched.
    pub total: u64,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

impl Watch<'_> {
    /// Bytes in the directories.
    fn size(&self) -> u64 {
        let entries = self.directories.iter().filter_map(|path| fs::read_dir(path).ok()).flatten();
        let files = entries.flatten().filter_map(|entry| entry.metadata().ok());
        files.filter(fs::Metadata::is_file).map(|data| data.len()).sum()
    }
}

/// Runs a program with a configuration that is read behind the system's own; gives its output. The
/// inner error is the last of what it says.
pub(super) fn run(
    program: &'static str,
    configuration: &Path,
    arguments: &[String],
    directory: &Path,
    watch: Option<&Watch<'_>>,
) -> Result<Result<String, String>, DebianError> {
    let cannot = |error| DebianError::Apt(program, error);
    let mut child = Command::new(program)
        .arg("-c")
        .arg(configuration)
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let output = collect(child.stdout.take());
    let errors = collect(child.stderr.take());
    let status = wait(&mut child, watch).map_err(cannot)?;
    let output = output.join().unwrap_or_default();
    let errors = errors.join().unwrap_or_default();
    if status.success() { Ok(Ok(output)) } else { Ok(Err(reason(&errors))) }
}

fn wait(child: &mut Child, watch: Option<&Watch<'_>>) -> io::Result<ExitStatus> {
    let Some(watch) = watch else { return child.wait() };
    let before = watch.size();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let done = watch.size().saturating_sub(before);
        watch.progress.advance(done.min(watch.total), watch.total);
        thread::sleep(INTERVAL);
    }
}

/// Reads a stream to its end, in the background, so that neither stream fills up.
fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What was read until an error is all there is to show.
            let _ = stream.take(MAX_OUTPUT).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The last of what a program says was wrong.
fn reason(errors: &str) -> String {
    let marked: Vec<&str> = errors.lines().filter(|line| line.starts_with("E: ")).collect();
    let said = if marked.is_empty() { errors.lines().collect() } else { marked };
    let from = said.len().saturating_sub(3);
    said.get(from..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_apt_marks_as_an_error() {
        assert_eq!(reason("W: old\nE: gone\nnoise\nE: really\n"), "E: gone; E: really");
        assert_eq!(reason("a\nb\nc\nd"), "b; c; d");
        assert_eq!(reason(""), "");
    }
}
