//! `exec` sessions: which client gets what the partition sends.

use std::collections::BTreeMap;

use protocol::{SessionId, ToGuest, ToHost, WINDOW};
use tokio::sync::mpsc;

/// What a client of a session hears.
pub type Outbox = mpsc::UnboundedSender<ToHost>;

/// The sessions that are open.
#[derive(Default)]
pub struct Sessions {
    open: BTreeMap<u32, Session>,
    last: u32,
}

struct Session {
    outbox: Outbox,
    /// Bytes of output that the client has not used up yet.
    under_way: u32,
}

/// The exit status of a session that could not be had, as env(1) has it.
pub const NOT_HAD: u8 = 125;

/// The number by which a client knows its one session.
const CLIENT: SessionId = SessionId(0);

impl Sessions {
    /// Opens a session for a client.
    pub fn open(&mut self, outbox: Outbox) -> SessionId {
        self.last = self.last.wrapping_add(1).max(1);
        self.open.insert(self.last, Session { outbox, under_way: 0 });
        SessionId(self.last)
    }

    /// Whether any is open.
    pub fn any(&self) -> bool {
        !self.open.is_empty()
    }

    /// Closes a session whose client is gone; false where it was closed already.
    pub fn close(&mut self, session: SessionId) -> bool {
        self.open.remove(&session.0).is_some()
    }

    /// Ends all of them, because the partition has ended.
    pub fn end(&mut self, reason: &str) {
        for session in std::mem::take(&mut self.open).into_values() {
            let reason = reason.to_owned();
            let _ =
                session.outbox.send(ToHost::Failed { session: CLIENT, reason, status: NOT_HAD });
        }
    }

    /// Takes note of credit that a client gives.
    pub fn credit(&mut self, session: SessionId, bytes: u32) {
        if let Some(session) = self.open.get_mut(&session.0) {
            session.under_way = session.under_way.saturating_sub(bytes);
        }
    }

    /// Passes a message of the partition on to its client; returns what the partition is to be told
    /// where it has broken the rules or its client is gone.
    pub fn deliver(&mut self, message: ToHost) -> Option<ToGuest> {
        let id = session_of(&message)?;
        let session = self.open.get_mut(&id.0)?;
        if let ToHost::Output { data, .. } = &message {
            session.under_way = session.under_way.saturating_add(data.len() as u32);
            // The partition may not fill our memory with what nobody reads.
            if session.under_way > WINDOW {
                self.open.remove(&id.0);
                return Some(ToGuest::Hangup { session: id });
            }
        }
        let ends = matches!(message, ToHost::Exited { .. } | ToHost::Failed { .. });
        let gone = session.outbox.send(renumbered(message)).is_err();
        if ends || gone {
            self.open.remove(&id.0);
        }
        (gone && !ends).then_some(ToGuest::Hangup { session: id })
    }
}

fn session_of(message: &ToHost) -> Option<SessionId> {
    match message {
        ToHost::Started { session, .. }
        | ToHost::Failed { session, .. }
        | ToHost::Output { session, .. }
        | ToHost::Exited { session, .. }
        | ToHost::Credit { session, .. } => Some(*session),
        _ => None,
    }
}

fn renumbered(mut message: ToHost) -> ToHost {
    if let ToHost::Started { session, .. }
    | ToHost::Failed { session, .. }
    | ToHost::Output { session, .. }
    | ToHost::Exited { session, .. }
    | ToHost::Credit { session, .. } = &mut message
    {
        *session = CLIENT;
    }
    message
}

/// The session that a message to the partition belongs to.
pub fn session_for(message: &ToGuest) -> Option<SessionId> {
    match message {
        ToGuest::Exec(request) => Some(request.session),
        ToGuest::Input { session, .. }
        | ToGuest::InputEnd { session }
        | ToGuest::Credit { session, .. }
        | ToGuest::Signal { session, .. }
        | ToGuest::Resize { session, .. }
        | ToGuest::Hangup { session } => Some(*session),
        ToGuest::Configure(_)
        | ToGuest::GoesOn(_)
        | ToGuest::Ping { .. }
        | ToGuest::Shutdown { .. } => None,
    }
}

/// A client's message with the number that the partition knows; `None` for a message that clients
/// may not send.
pub fn from_client(mut message: ToGuest, id: SessionId) -> Option<ToGuest> {
    match &mut message {
        ToGuest::Exec(request) => request.session = id,
        ToGuest::Input { session, .. }
        | ToGuest::InputEnd { session }
        | ToGuest::Credit { session, .. }
        | ToGuest::Signal { session, .. }
        | ToGuest::Resize { session, .. }
        | ToGuest::Hangup { session } => *session = id,
        _ => return None,
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{ExitStatus, Stream};

    fn output(session: SessionId, length: usize) -> ToHost {
        ToHost::Output { session, stream: Stream::Stdout, data: vec![0; length] }
    }

    #[test]
    fn a_client_hears_of_its_own_session_only() {
        let mut sessions = Sessions::default();
        let (outbox, mut inbox) = mpsc::unbounded_channel();
        let (other, mut other_inbox) = mpsc::unbounded_channel();
        let one = sessions.open(outbox);
        let two = sessions.open(other);
        assert_eq!(sessions.deliver(output(one, 3)), None);
        assert_eq!(inbox.try_recv().unwrap(), output(CLIENT, 3));
        assert!(other_inbox.try_recv().is_err());
        let exited = ToHost::Exited { session: two, status: ExitStatus::Code(0) };
        assert_eq!(sessions.deliver(exited), None);
        assert_eq!(sessions.deliver(output(two, 3)), None);
        assert!(matches!(other_inbox.try_recv(), Ok(ToHost::Exited { .. })));
        assert!(other_inbox.try_recv().is_err());
    }

    #[test]
    fn a_partition_that_ignores_its_window_is_cut_off() {
        let mut sessions = Sessions::default();
        let (outbox, _inbox) = mpsc::unbounded_channel();
        let id = sessions.open(outbox);
        assert_eq!(sessions.deliver(output(id, WINDOW as usize)), None);
        sessions.credit(id, 10);
        assert_eq!(sessions.deliver(output(id, 10)), None);
        assert_eq!(sessions.deliver(output(id, 1)), Some(ToGuest::Hangup { session: id }));
        assert!(!sessions.any());
    }

    #[test]
    fn clients_may_not_configure_or_shut_down() {
        let stop = ToGuest::Shutdown { stop: protocol::Stop::PowerOff, grace_ms: 0 };
        assert_eq!(from_client(stop, SessionId(4)), None);
        assert_eq!(from_client(ToGuest::Ping { sequence: 0 }, SessionId(4)), None);
        let input = ToGuest::InputEnd { session: CLIENT };
        let renumbered = ToGuest::InputEnd { session: SessionId(4) };
        assert_eq!(from_client(input, SessionId(4)), Some(renumbered));
    }
}
