//! Messages to a partition that its ring has no room for.

use std::collections::VecDeque;

use protocol::ToGuest;
use protocol::channel::{Channel, ChannelError};

/// Messages that wait, oldest first. There are few: as long as one waits, none is taken from sessions;
/// what comes to them is a hangup for each session at most, and what is said again word for word is
/// not kept twice.
#[derive(Debug, Default)]
pub struct Outgoing(VecDeque<ToGuest>);

impl Outgoing {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends a message behind those that wait, or keeps it.
    ///
    /// # Errors
    ///
    /// What the channel says of this message; it is not kept then.
    pub fn send(
        &mut self,
        channel: &mut impl Channel,
        message: ToGuest,
    ) -> Result<(), ChannelError> {
        if self.0.is_empty() && channel.send(&message)? {
            return Ok(());
        }
        if !self.0.contains(&message) {
            self.0.push_back(message);
        }
        Ok(())
    }

    /// Sends what waits, as far as there is room.
    ///
    /// # Errors
    ///
    /// What the channel says of the first one, which is not kept then.
    pub fn flush(&mut self, channel: &mut impl Channel) -> Result<(), ChannelError> {
        while let Some(message) = self.0.pop_front() {
            if !channel.send(&message)? {
                self.0.push_front(message);
                break;
            }
        }
        Ok(())
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use protocol::{SessionId, Stop};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Has room for so many messages, and counts them.
    struct Narrow(usize);

    impl Channel for Narrow {
        fn send<M: Serialize>(&mut self, _message: &M) -> Result<bool, ChannelError> {
            let room = self.0 > 0;
            self.0 = self.0.saturating_sub(1);
            Ok(room)
        }

        fn receive<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError> {
            Ok(None)
        }
    }

    #[test]
    fn what_waits_is_not_lost_to_what_comes_behind_it() {
        let input = ToGuest::Input { session: SessionId(1), data: vec![7] };
        let hangup = ToGuest::Hangup { session: SessionId(2) };
        let shutdown = ToGuest::Shutdown { stop: Stop::PowerOff, grace_ms: 1 };
        let mut outgoing = Outgoing::default();
        for message in [&input, &hangup, &shutdown, &shutdown] {
            outgoing.send(&mut Narrow(0), message.clone()).unwrap();
        }
        assert_eq!(outgoing.0, [input, hangup.clone(), shutdown.clone()]);
        outgoing.flush(&mut Narrow(1)).unwrap();
        assert_eq!(outgoing.0, [hangup, shutdown]);
        outgoing.flush(&mut Narrow(9)).unwrap();
        assert!(outgoing.is_empty());
    }
}
