//! A supervisor for tests: answers as a test says, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use super::{Client, LocalSocket};

/// A request as it came.
#[derive(Debug)]
pub struct Asked {
    /// `GET /v1/version`
    pub line: String,
    /// Header lines, in lower case.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Listens for as long as the test's process lives.
pub struct Fake {
    _dir: tempfile::TempDir,
    pub socket: PathBuf,
}

impl Fake {
    /// Answers every request with `answer`.
    pub fn start(answer: impl Fn(&Asked, &mut UnixStream) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let asked = read(&stream);
                answer(&asked, &mut stream);
            }
        });
        Self { _dir: dir, socket }
    }

    pub fn client(&self) -> Client {
        Client::new(Box::new(LocalSocket(self.socket.clone()))).unwrap()
    }
}

fn read(stream: &UnixStream) -> Asked {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let line = head.remove(0).trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<String> = head.iter().map(|line| line.to_lowercase()).collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    Asked { line, headers, body }
}

/// A whole answer.
pub fn respond(stream: &mut UnixStream, status: u16, body: &str) {
    let length = body.len();
    // The client may have gone.
    let _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
}

/// An answer in these chunks; without an end where `cut`.
pub fn chunked(stream: &mut UnixStream, chunks: &[&[u8]], cut: bool) {
    write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for chunk in chunks {
        write!(stream, "{:x}\r\n", chunk.len()).unwrap();
        stream.write_all(chunk).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    if !cut {
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
}
