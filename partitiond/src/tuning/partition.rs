//! A partition's kernel: guest-init answers for it, in a session that stays open.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use protocol::{
    ExecRequest, FrameDecoder, GUEST_INIT, MAX_CHUNK, SessionId, Stream, TUNE, ToGuest, ToHost,
    WINDOW, encode,
};
use transaction::agent::{Answer, MAX_LINE, Question};

use super::kernel::{Kernel, KernelError};
use crate::keeper::Request;
use crate::paths::PartitionDir;

/// How long a kernel may take to say what it sees.
const LOOK: Duration = Duration::from_millis(1500);
/// How long it may take to change settings: huge pages take a while.
const CHANGE: Duration = Duration::from_secs(60);

const SESSION: SessionId = SessionId(0);

/// A partition's kernel.
pub struct Partition {
    name: String,
    socket: PathBuf,
    session: Option<Session>,
}

/// An open session.
struct Session {
    stream: UnixStream,
    decoder: FrameDecoder,
    /// Bytes of input that may be sent.
    credit: u32,
    /// What came of the next line.
    line: Vec<u8>,
    /// The last that guest-init said besides.
    complaint: String,
}

impl Partition {
    /// The partition whose keeper listens in this directory.
    pub fn new(name: &str, dir: &PartitionDir) -> Self {
        Self { name: name.to_owned(), socket: dir.socket(), session: None }
    }

    fn unreachable(&self, why: impl ToString) -> KernelError {
        KernelError::Unreachable { name: self.name.clone(), why: why.to_string() }
    }

    fn exchange(&mut self, question: &Question) -> io::Result<Answer> {
        let patience = match question {
            Question::Apply(_) | Question::RollBack { .. } | Question::Load(_) => CHANGE,
            _ => LOOK,
        };
        let deadline = Instant::now() + patience;
        // What is left of a session whose answer did not come in time is of no use.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.socket, deadline)?,
        };
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        session.send(&line, deadline)?;
        let answer = session.line(deadline)?;
        let answer = serde_json::from_slice(&answer)?;
        self.session = Some(session);
        Ok(answer)
    }
}

impl Kernel for Partition {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(&mut self, question: &Question) -> Result<Answer, KernelError> {
        self.exchange(question).map_err(|error| self.unreachable(error))
    }
}

impl Session {
    fn open(socket: &std::path::Path, deadline: Instant) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        let mut request = serde_json::to_vec(&Request::Exec)?;
        request.push(b'\n');
        stream.set_write_timeout(Some(CHANGE))?;
        stream.write_all(&request)?;
        let exec = ExecRequest {
            session: SESSION,
            argv: vec![GUEST_INIT.to_owned(), TUNE.to_owned()],
            env: Vec::new(),
            cwd: String::new(),
            user: String::new(),
            terminal: None,
        };
        let mut session = Self {
            stream,
            decoder: FrameDecoder::new(),
            credit: WINDOW,
            line: Vec::new(),
            complaint: String::new(),
        };
        session.tell(&ToGuest::Exec(Box::new(exec)))?;
        while !session.hear(deadline)? {}
        Ok(session)
    }

    fn tell(&mut self, message: &ToGuest) -> io::Result<()> {
        let frame = encode(message).map_err(io::Error::other)?;
        self.stream.write_all(&frame)
    }

    /// Sends bytes to guest-init's standard input, as it has room for them.
    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = usize::try_from(self.credit).unwrap_or(usize::MAX).min(MAX_CHUNK);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            if now.is_empty() {
                self.hear(deadline)?;
                continue;
            }
            self.tell(&ToGuest::Input { session: SESSION, data: now.to_vec() })?;
            self.credit = self.credit.saturating_sub(u32::try_from(now.len()).unwrap_or(u32::MAX));
            bytes = later;
        }
        Ok(())
    }

    /// The next line, without its end.
    fn line(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(end);
                let line =
                    std::mem::replace(&mut self.line, rest.get(1..).unwrap_or_default().to_vec());
                return Ok(line);
            }
            if self.line.len() > MAX_LINE {
                return Err(io::Error::other("its answer is too long"));
            }
            self.hear(deadline)?;
        }
    }

    /// Takes in what comes next; whether the program has been started by that.
    fn hear(&mut self, deadline: Instant) -> io::Result<bool> {
        let mut started = false;
        let mut any = false;
        loop {
            while let Some(message) = self.decoder.next::<ToHost>().map_err(io::Error::other)? {
                any = true;
                started |= self.heard(message)?;
            }
            if any {
                return Ok(started);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came in time"));
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 16 * 1024];
            let read = match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came in time"));
                }
                read => read?,
            };
            if read == 0 {
                return Err(io::Error::other("its keeper has closed the connection"));
            }
            self.decoder.push(buffer.get(..read).unwrap_or_default());
        }
    }

    fn heard(&mut self, message: ToHost) -> io::Result<bool> {
        match message {
            ToHost::Started { .. } => return Ok(true),
            ToHost::Failed { reason, .. } => return Err(io::Error::other(reason)),
            ToHost::Output { stream, data, .. } => {
                let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
                self.tell(&ToGuest::Credit { session: SESSION, bytes })?;
                match stream {
                    Stream::Stdout => self.line.extend(data),
                    Stream::Stderr => {
                        let text = String::from_utf8_lossy(&data);
                        self.complaint = text.trim().chars().take(200).collect();
                    }
                }
            }
            ToHost::Credit { bytes, .. } => {
                self.credit = self.credit.saturating_add(bytes).min(WINDOW);
            }
            ToHost::Exited { .. } => {
                let why = format!("guest-init has ended its answers: {}", self.complaint);
                return Err(io::Error::other(why));
            }
            // Not of a session: not for us.
            _ => {}
        }
        Ok(false)
    }
}
