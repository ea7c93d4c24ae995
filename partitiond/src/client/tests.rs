use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::fake::{Fake, chunked, respond};
use super::*;
use crate::api::ProblemKind;

#[test]
fn nobody_there_is_told_from_something_broken() {
    let dir = tempfile::tempdir().unwrap();
    let socket = |name: &str| LocalSocket(dir.path().join(name));
    let client = Client::new(Box::new(socket("missing"))).unwrap();
    assert!(client.version().unwrap_err().is_not_running());
    // A socket that its owner left behind.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("stale")).unwrap());
    let client = Client::new(Box::new(socket("stale"))).unwrap();
    assert!(client.version().unwrap_err().is_not_running());
    let fake = Fake::start(|_, stream| drop(stream.write_all(b"220 smtp ready\r\n")));
    let error = fake.client().version().unwrap_err();
    assert!(matches!(error, ClientError::Gone(_)), "{error:?}");
}

#[test]
fn a_problem_is_told_as_the_supervisor_says_it() {
    let fake = Fake::start(|asked, stream| {
        assert_eq!(asked.line, "GET /v1/partitions/db");
        respond(stream, 404, r#"{"kind":"not-found","message":"no partition `db`","hint":null}"#);
    });
    let error = fake.client().partition("db").unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "no partition `db`");
    let fake = Fake::start(|_, stream| respond(stream, 502, "<html>bad gateway</html>"));
    let error = fake.client().partition("db").unwrap_err();
    assert!(matches!(error, ClientError::Status(status) if status == 502));
    let fake = Fake::start(|_, stream| respond(stream, 200, "{}"));
    assert!(matches!(fake.client().partition("db"), Err(ClientError::Unreadable(_))));
}

#[test]
fn progress_is_read_however_it_is_cut() {
    let fake = Fake::start(|asked, stream| {
        assert_eq!(asked.line, "POST /v1/down");
        assert_eq!(asked.body, br#"{"names":["a"],"force":true}"#);
        let chunks: &[&[u8]] = &[
            b"{\"what\":\"step\",\"partition\":\"a\",\"st",
            b"ep\":\"stopping\"}\n\n{\"what\":\"down\",\"partition\":\"a\",\"milliseconds\":5}\n{\"what\"",
            b":\"done\",\"ok\":true}",
        ];
        chunked(stream, chunks, false);
    });
    let request = DownRequest { names: vec!["a".to_owned()], force: true };
    let client = fake.client();
    let progress: Vec<_> = client.down(&request).unwrap().map(Result::unwrap).collect();
    let partition = || "a".to_owned();
    let expected = [
        Progress::Step { partition: partition(), step: "stopping".to_owned() },
        Progress::Down { partition: partition(), milliseconds: 5 },
        Progress::Done { ok: true },
    ];
    assert_eq!(progress, expected);
}

#[test]
fn a_supervisor_that_dies_in_the_middle_is_an_error() {
    let line = b"{\"what\":\"kept\",\"partition\":\"a\"}\n{\"what\":";
    let fake = Fake::start(|_, stream| chunked(stream, &[line], true));
    let client = fake.client();
    let mut progress = client.down(&DownRequest::default()).unwrap();
    assert!(matches!(progress.next(), Some(Ok(Progress::Kept { .. }))));
    let error = progress.next().unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Cut | ClientError::Gone(_)), "{error:?}");
    assert!(progress.next().is_none());
}

/// Whoever only waits for something to happen asks the next one.
#[test]
fn waiting_ends_with_a_supervisor_that_is_killed() {
    let fake = Fake::start(|_, stream| chunked(stream, &[b"{\"sequence\":"], true));
    let client = fake.client();
    let mut events = client.events(true).unwrap();
    while events.wait(Duration::from_secs(10)).unwrap() {
        events.forget();
    }
}

#[test]
fn a_blob_is_sent_whole_and_counted() {
    let (tell, received) = mpsc::channel();
    let fake = Fake::start(move |asked, stream| {
        assert_eq!(asked.line, "PUT /v1/blobs/abc");
        assert!(asked.headers.contains(&"content-type: application/octet-stream".to_owned()));
        tell.send(asked.body.clone()).unwrap();
        respond(stream, 204, "");
    });
    let content: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&content).unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let sent = move |bytes| {
        counted.fetch_add(bytes, Ordering::Relaxed);
    };
    fake.client().put_blob("abc", file.path(), sent).unwrap();
    assert_eq!(received.recv().unwrap(), content);
    assert_eq!(count.load(Ordering::Relaxed), 700_000);
}

#[test]
fn missing_content_is_no_error() {
    let fake = Fake::start(|asked, stream| match asked.line.as_str() {
        "GET /v1/blobs/there" => respond(stream, 204, ""),
        _ => respond(stream, 404, r#"{"kind":"not-found","message":"no blob","hint":null}"#),
    });
    assert!(fake.client().has_blob("there").unwrap());
    assert!(!fake.client().has_blob("missing").unwrap());
}

#[test]
fn exec_turns_the_connection_into_frames() {
    let fake = Fake::start(|asked, stream| {
        assert_eq!(asked.line, "POST /v1/partitions/db/exec");
        assert!(asked.headers.contains(&"upgrade: partition-frames".to_owned()));
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: partition-frames\r\n\r\n";
        // The first bytes may come together with the head.
        stream.write_all(&[head.as_bytes(), b"early"].concat()).unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(&byte).unwrap();
    });
    let client = fake.client();
    let (stream, mut bytes) = client.exec("db").unwrap();
    client.runtime().block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = stream;
        stream.write_all(b"!").await.unwrap();
        stream.read_to_end(&mut bytes).await.unwrap();
    });
    assert_eq!(bytes, b"early!");
    let fake = Fake::start(|_, stream| respond(stream, 200, "{}"));
    assert!(matches!(fake.client().exec("db"), Err(ClientError::NotUpgraded)));
    let body = r#"{"kind":"busy","message":"it is starting","hint":null}"#;
    let fake = Fake::start(move |_, stream| respond(stream, 409, body));
    let error = fake.client().exec("db").unwrap_err();
    assert!(matches!(error, ClientError::Problem(problem) if problem.kind == ProblemKind::Busy));
}

#[test]
fn a_name_stays_one_segment_of_a_path() {
    assert_eq!(segment("web-1.a"), "web-1.a");
    assert_eq!(segment("../x?y#z"), "..%2Fx%3Fy%23z");
    assert_eq!(segment(".."), "%2E%2E");
    assert_eq!(segment("ü"), "%C3%BC");
}
