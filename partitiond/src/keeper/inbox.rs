//! What connections ask of a partition's loop, and in which order it hears of it.

use std::path::PathBuf;

use protocol::{SessionId, ToGuest};
use tokio::sync::{mpsc, oneshot};

use super::session::Outbox;

/// What a connection asks.
#[derive(Debug)]
pub enum Command {
    /// A new session; its number comes back.
    Open(Outbox, oneshot::Sender<SessionId>),
    /// A message of a session's client.
    Send(ToGuest),
    /// A session's client is gone.
    Close(SessionId),
    /// Write all that the partition is into a new folder; how it went comes back.
    Snapshot {
        /// The folder.
        path: PathBuf,
        /// Whether it ends then.
        stop: bool,
        /// Where it comes back.
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// End the partition if it is silent.
    Hung,
    /// End the partition.
    Stop {
        /// At once.
        force: bool,
        /// Milliseconds that workloads have.
        grace_ms: u32,
    },
}

/// How many commands of each kind wait before whoever has one more does.
const ROOM: usize = 64;

/// Where connections ask.
#[derive(Clone, Debug)]
pub struct Commands {
    sessions: mpsc::Sender<Command>,
    ends: mpsc::Sender<Command>,
}

/// Where the partition's loop hears of it.
#[derive(Debug)]
pub struct Inbox {
    sessions: mpsc::Receiver<Command>,
    ends: mpsc::Receiver<Command>,
}

/// Both sides.
pub fn inbox() -> (Commands, Inbox) {
    let (sessions, of_sessions) = mpsc::channel(ROOM);
    let (ends, of_ends) = mpsc::channel(ROOM);
    (Commands { sessions, ends }, Inbox { sessions: of_sessions, ends: of_ends })
}

impl Commands {
    /// Asks for something; false where the loop has ended. An end waits for no session.
    pub async fn send(&self, command: Command) -> bool {
        let queue = match command {
            Command::Hung | Command::Stop { .. } => &self.ends,
            Command::Open(..) | Command::Send(_) | Command::Close(_) | Command::Snapshot { .. } => {
                &self.sessions
            }
        };
        queue.send(command).await.is_ok()
    }
}

impl Inbox {
    /// What has been asked by now. Where the partition takes nothing in (no `room`), sessions wait, and
    /// whoever wants its end does not: a kernel that hangs takes nothing in any more.
    pub fn try_next(&mut self, room: bool) -> Option<Command> {
        let end = self.ends.try_recv().ok();
        end.or_else(|| room.then(|| self.sessions.try_recv().ok()).flatten())
    }

    /// Waits for it.
    pub async fn next(&mut self, room: bool) -> Option<Command> {
        tokio::select! {
            biased;
            Some(end) = self.ends.recv() => Some(end),
            Some(command) = self.sessions.recv(), if room => Some(command),
            else => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_end_is_heard_of_although_sessions_wait_for_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (commands, mut inbox) = inbox();
            for _ in 0..ROOM {
                assert!(commands.send(Command::Close(SessionId(1))).await);
            }
            let stop = Command::Stop { force: true, grace_ms: 0 };
            let sent = tokio::time::timeout(Duration::from_secs(5), commands.send(stop)).await;
            assert_eq!(sent, Ok(true));
            assert!(matches!(inbox.try_next(false), Some(Command::Stop { .. })));
            assert!(inbox.try_next(false).is_none());
            assert!(commands.send(Command::Hung).await);
            assert!(matches!(inbox.next(false).await, Some(Command::Hung)));
            assert!(matches!(inbox.next(true).await, Some(Command::Close(_))));
        });
    }
}
