use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use protocol::{HEADER, Stream};
use tokio::io::AsyncReadExt;

use super::super::stdio;
use super::*;

/// The other end: what a keeper would be.
struct Guest {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl Guest {
    async fn next(&mut self) -> Option<ToGuest> {
        loop {
            if let Some(message) = self.decoder.next().unwrap() {
                return Some(message);
            }
            let mut buffer = [0; 4096];
            // The other side may go with bytes unread, which is an error here.
            match self.stream.read(&mut buffer).await.unwrap_or(0) {
                0 => return None,
                length => self.decoder.push(&buffer[..length]),
            }
        }
    }

    async fn say(&mut self, message: ToHost) {
        // Fails where the other side has left; what it should have heard then is missed elsewhere.
        let _ = self.stream.write_all(&encode(&message).unwrap()).await;
    }

    async fn started(stream: UnixStream) -> Self {
        let mut guest = Self { stream, decoder: FrameDecoder::new() };
        assert_eq!(guest.next().await, Some(ToGuest::Exec(Box::new(request()))));
        guest.say(ToHost::Started { session: SESSION, pid: 7 }).await;
        guest
    }
}

fn request() -> ExecRequest {
    ExecRequest {
        session: SESSION,
        argv: vec!["cat".to_owned()],
        env: Vec::new(),
        cwd: String::new(),
        user: String::new(),
        terminal: None,
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe that nobody reads, and one whose reader has gone.
struct Stuck;
struct Broken;

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        loop {
            std::thread::park();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The ends of a session whose person says nothing, and what keeps them open.
fn quiet(stdout: impl Write + Send + 'static) -> (Ends, impl Sized) {
    let (control, controls) = mpsc::unbounded_channel();
    let (typing, input) = mpsc::channel(1);
    let ends = Ends { input, controls, writer: Writer::start(stdout, Sink::default()) };
    (ends, (control, typing))
}

fn exited(status: ExitStatus) -> ToHost {
    ToHost::Exited { session: SESSION, status }
}

fn output(stream: Stream, data: &[u8]) -> ToHost {
    ToHost::Output { session: SESSION, stream, data: data.to_vec() }
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

#[tokio::test]
async fn much_data_goes_both_ways_within_the_credits() {
    let content: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 253) as u8).collect();
    let (sink, errors) = (Sink::default(), Sink::default());
    let (_control, controls) = mpsc::unbounded_channel();
    let ends = Ends {
        input: stdio::read(io::Cursor::new(content.clone()), None),
        controls,
        writer: Writer::start(sink.clone(), errors.clone()),
    };
    let (ours, theirs) = pair();
    let guest = tokio::spawn(async move {
        let mut guest = Guest::started(theirs).await;
        // What the other side may still send, and what this one may.
        let (mut owed, mut credit) = (WINDOW as usize, WINDOW as usize);
        let mut waiting = VecDeque::new();
        let mut ended = false;
        while !ended || !waiting.is_empty() {
            while credit > 0 && !waiting.is_empty() {
                let length = waiting.len().min(credit).min(MAX_CHUNK);
                let data: Vec<u8> = waiting.drain(..length).collect();
                credit -= length;
                guest.say(output(Stream::Stdout, &data)).await;
                owed += length;
                guest.say(ToHost::Credit { session: SESSION, bytes: length as u32 }).await;
            }
            if ended && waiting.is_empty() {
                break;
            }
            match guest.next().await.unwrap() {
                ToGuest::Input { data, .. } => {
                    assert!(data.len() <= MAX_CHUNK);
                    owed = owed.checked_sub(data.len()).expect("more input than was granted");
                    waiting.extend(data);
                }
                ToGuest::InputEnd { .. } => ended = true,
                ToGuest::Credit { bytes, .. } => credit += bytes as usize,
                other => panic!("{other:?}"),
            }
        }
        guest.say(output(Stream::Stderr, b"done\n")).await;
        guest.say(exited(ExitStatus::Code(7))).await;
        guest
    });
    let outcome = run(ours, &[], request(), ends).await.unwrap();
    assert_eq!(outcome, Outcome::Exited(ExitStatus::Code(7)));
    assert!(*sink.0.lock().unwrap() == content);
    assert_eq!(*errors.0.lock().unwrap(), b"done\n");
    drop(guest.await.unwrap());
}

#[tokio::test]
async fn more_output_than_was_granted_ends_the_session() {
    let (ours, theirs) = pair();
    tokio::spawn(async move {
        let mut guest = Guest::started(theirs).await;
        for _ in 0..=WINDOW as usize / MAX_CHUNK {
            guest.say(output(Stream::Stdout, &[b'x'; MAX_CHUNK])).await;
        }
        guest.next().await
    });
    let (ends, _open) = quiet(Stuck);
    let result = run(ours, &[], request(), ends).await;
    assert!(matches!(result, Err(SessionError::Overrun)), "{result:?}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_with_its_status() {
    let (ours, theirs) = pair();
    let mut guest = Guest { stream: theirs, decoder: FrameDecoder::new() };
    let failed =
        ToHost::Failed { session: SESSION, reason: "no such file".to_owned(), status: 127 };
    guest.say(failed).await;
    let (ends, _open) = quiet(Sink::default());
    let result = run(ours, &[], request(), ends).await;
    assert!(matches!(result, Err(SessionError::NotRun { status: 127, .. })), "{result:?}");
}

#[tokio::test]
async fn a_partition_that_dies_is_told() {
    let (ours, theirs) = pair();
    let guest = tokio::spawn(async move { drop(Guest::started(theirs).await) });
    let (ends, _open) = quiet(Sink::default());
    let result = run(ours, &[], request(), ends).await;
    guest.await.unwrap();
    assert!(matches!(result, Err(SessionError::Gone | SessionError::Connection(_))), "{result:?}");
}

#[tokio::test]
async fn garbage_ends_the_session() {
    let (ours, mut theirs) = pair();
    theirs.write_all(&[0xff; HEADER]).await.unwrap();
    let (ends, _open) = quiet(Sink::default());
    let result = run(ours, &[], request(), ends).await;
    assert!(matches!(result, Err(SessionError::Frame(FrameError::TooLong(_)))), "{result:?}");
}

#[tokio::test]
async fn signals_and_sizes_reach_the_program() {
    let (ours, theirs) = pair();
    let (control, controls) = mpsc::unbounded_channel();
    let writer = Writer::start(Sink::default(), Sink::default());
    let ends = Ends { input: stdio::no_input(), controls, writer };
    let guest = tokio::spawn(async move {
        let mut guest = Guest::started(theirs).await;
        let mut heard = Vec::new();
        while heard.len() < 3 {
            heard.push(guest.next().await.unwrap());
        }
        guest.say(exited(ExitStatus::Signal(2))).await;
        (guest, heard)
    });
    let size = TerminalSize { rows: 50, columns: 132 };
    control.send(Control::Resize(size)).unwrap();
    control.send(Control::Signal(2)).unwrap();
    let outcome = run(ours, &[], request(), ends).await.unwrap();
    assert_eq!(outcome, Outcome::Exited(ExitStatus::Signal(2)));
    let (_guest, heard) = guest.await.unwrap();
    for expected in [
        ToGuest::Resize { session: SESSION, size },
        ToGuest::Signal { session: SESSION, signal: 2 },
        ToGuest::InputEnd { session: SESSION },
    ] {
        assert!(heard.contains(&expected), "{heard:?}");
    }
}

#[tokio::test]
async fn whoever_leaves_hangs_up() {
    for leave in ["detach", "signal", "broken pipe"] {
        let (ours, theirs) = pair();
        let (control, controls) = mpsc::unbounded_channel();
        let (typing, input) = mpsc::channel(1);
        let writer = match leave {
            "broken pipe" => Writer::start(Broken, Broken),
            _ => Writer::start(Sink::default(), Sink::default()),
        };
        let guest = tokio::spawn(async move {
            let mut guest = Guest::started(theirs).await;
            guest.say(output(Stream::Stdout, b"prompt")).await;
            let mut last = None;
            while let Some(message) = guest.next().await {
                last = Some(message);
            }
            last
        });
        let expected = match leave {
            "detach" => {
                typing.send(Input::Detach).await.unwrap();
                Outcome::Detached
            }
            "signal" => {
                control.send(Control::Leave(15)).unwrap();
                Outcome::Left(15)
            }
            _ => Outcome::BrokenPipe,
        };
        let ends = Ends { input, controls, writer };
        assert_eq!(run(ours, &[], request(), ends).await.unwrap(), expected);
        assert_eq!(guest.await.unwrap(), Some(ToGuest::Hangup { session: SESSION }));
    }
}

#[tokio::test]
async fn what_came_before_the_frames_counts() {
    let (ours, theirs) = pair();
    let early = [
        encode(&ToHost::Started { session: SESSION, pid: 1 }).unwrap(),
        encode(&output(Stream::Stdout, b"fast")).unwrap(),
        encode(&exited(ExitStatus::Code(0))).unwrap(),
    ];
    let sink = Sink::default();
    let (ends, _open) = quiet(sink.clone());
    let outcome = run(ours, &early.concat(), request(), ends).await.unwrap();
    assert_eq!(outcome, Outcome::Exited(ExitStatus::Code(0)));
    assert_eq!(*sink.0.lock().unwrap(), b"fast");
    drop(theirs);
}
