//! The way to the keeper, whatever the transport.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::{Duration, Instant};

use protocol::channel::{Channel, ChannelError, RingChannel};
use protocol::mailbox::{GuestState, Mailbox};
use protocol::ring::RingError;
use protocol::{FrameError, ToGuest, ToHost};

use crate::sys::kmsg;

/// Bytes of log lines that wait for the keeper before further ones are dropped.
const LOG_BACKLOG: usize = 256 * 1024;
/// Messages that wait for the keeper before further ones are dropped.
const BACKLOG: usize = 1024;
/// How long the bare words are echoed after the last change, and at most in one go.
const ECHO: Duration = Duration::from_micros(50);
const ECHO_MOST: Duration = Duration::from_millis(100);

/// The mailbox of a bare partition.
#[derive(Debug)]
struct Post {
    mailbox: Mailbox,
    channel: RingChannel,
    generation: u32,
    ping: u64,
}

/// Messages to and from the keeper. Without a transport everything is thrown away, except that log
/// lines go into the kernel log.
///
/// Nothing that is sent ever waits here without a bound: a keeper that does not read loses log lines
/// first, and is told how many.
#[derive(Debug, Default)]
pub struct Link {
    post: Option<Post>,
    waiting: VecDeque<ToHost>,
    log_bytes: usize,
    lost: u64,
}

impl Link {
    /// No keeper.
    pub fn none() -> Self {
        Self::default()
    }

    /// A keeper behind a mailbox.
    pub fn mailbox(mailbox: Mailbox) -> Result<Self, ChannelError> {
        let channel = match mailbox.guest_channel() {
            Ok(channel) => channel,
            Err(error) => {
                kmsg::warning(&format!("taking the rings up afresh: {error}"));
                mailbox.guest_channel_afresh()?
            }
        };
        mailbox.set_guest_state(GuestState::Running);
        // What has not been answered is to be, also where it came before guest-init did.
        let (generation, ping) = (mailbox.generation(), mailbox.pong());
        let post = Post { mailbox, channel, generation, ping };
        Ok(Self { post: Some(post), ..Self::default() })
    }

    /// Whether there is a keeper at all.
    pub fn is_connected(&self) -> bool {
        self.post.is_some()
    }

    /// Whether another keeper has attached since this was last asked. What waited for the one before
    /// is thrown away.
    pub fn is_new_keeper(&mut self) -> bool {
        let Some(post) = &mut self.post else { return false };
        let generation = post.mailbox.generation();
        if generation == post.generation {
            return false;
        }
        post.generation = generation;
        self.waiting.clear();
        (self.log_bytes, self.lost) = (0, 0);
        true
    }

    /// Whether a message or a measuring word may be there: two loads, for spinning.
    pub fn has_news(&self) -> bool {
        self.post
            .as_ref()
            .is_some_and(|post| post.channel.has_news() || post.mailbox.ping() != post.ping)
    }

    /// The next message, `None` where none has arrived.
    pub fn receive(&mut self) -> Option<ToGuest> {
        let post = self.post.as_mut()?;
        match post.channel.receive() {
            Ok(message) => message,
            Err(error) => {
                self.mend(&error);
                None
            }
        }
    }

    /// Begins afresh after what cannot be understood; the keeper sees a `Warning`.
    fn mend(&mut self, error: &ChannelError) {
        let text = format!("the channel was spoilt and is begun afresh: {error}");
        kmsg::warning(&text);
        let Some(post) = &mut self.post else { return };
        match post.mailbox.guest_channel_afresh() {
            Ok(channel) => post.channel = channel,
            Err(error) => {
                kmsg::warning(&format!("giving the channel up: {error}"));
                self.post = None;
            }
        }
        self.waiting.clear();
        self.log_bytes = 0;
        self.send(ToHost::Warning { text });
    }

    /// Whether all that was sent has left.
    pub fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends one message, or keeps it until there is room.
    pub fn send(&mut self, message: ToHost) {
        let Some(post) = &mut self.post else {
            return without_keeper(&message);
        };
        if self.waiting.is_empty() {
            match post.channel.send(&message) {
                Ok(true) => return,
                Ok(false) => {}
                Err(ChannelError::Ring(RingError::Frame(error))) => return not_sent(&error),
                Err(error) => return self.mend(&error),
            }
        }
        let bytes = log_bytes(&message);
        if self.waiting.len() >= BACKLOG || self.log_bytes + bytes > LOG_BACKLOG && bytes > 0 {
            self.lost += 1;
            return;
        }
        self.log_bytes += bytes;
        self.waiting.push_back(message);
    }

    /// Sends what waits, as far as there is room; whether anything left.
    pub fn flush(&mut self) -> bool {
        let mut any = false;
        while let (Some(post), Some(message)) = (&mut self.post, self.waiting.front()) {
            match post.channel.send(message) {
                Ok(true) => any = true,
                Ok(false) => return any,
                Err(ChannelError::Ring(RingError::Frame(error))) => not_sent(&error),
                Err(error) => {
                    self.mend(&error);
                    return any;
                }
            }
            self.log_bytes = self.log_bytes.saturating_sub(log_bytes(message));
            self.waiting.pop_front();
        }
        if self.lost > 0 {
            let text = format!("{} messages were lost: the keeper did not read", self.lost);
            self.lost = 0;
            self.send(ToHost::Warning { text });
        }
        any
    }

    /// Whether the keeper waits for something.
    pub fn keeper_waits(&self) -> bool {
        self.post.as_ref().is_some_and(|post| post.mailbox.host_awake())
    }

    /// One more turn, spinning or not, for the keeper to see.
    pub fn show(&self, awake: bool) {
        if let Some(post) = &self.post {
            post.mailbox.beat();
            post.mailbox.set_guest_awake(awake);
        }
    }

    /// Says in the mailbox how the kernel is about to stop.
    pub fn show_state(&self, state: GuestState) {
        if let Some(post) = &self.post {
            post.mailbox.set_guest_state(state);
        }
    }

    /// Copies the word that measures, as long as it changes; whether it did.
    pub fn echo(&mut self) -> bool {
        let Some(post) = self.post.as_mut().filter(|post| post.mailbox.ping() != post.ping) else {
            return false;
        };
        let start = Instant::now();
        let mut changed = start;
        loop {
            let ping = post.mailbox.ping();
            if ping != post.ping {
                post.ping = ping;
                post.mailbox.set_pong(ping);
                changed = Instant::now();
            } else if changed.elapsed() > ECHO {
                return true;
            }
            if changed.duration_since(start) > ECHO_MOST {
                return true;
            }
            std::hint::spin_loop();
        }
    }
}

/// Only a message that repeats a long text of somebody else's can be too long.
fn not_sent(error: &FrameError) {
    kmsg::warning(&format!("a message was not sent: {error}"));
}

fn log_bytes(message: &ToHost) -> usize {
    match message {
        ToHost::Log { line, .. } => line.len() + 64,
        _ => 0,
    }
}

fn without_keeper(message: &ToHost) {
    match message {
        ToHost::Log { workload, line, .. } => {
            kmsg::info(&format!("{workload}: {}", String::from_utf8_lossy(line)));
        }
        // On a machine of its own there is nobody to hear of it but who looks at the console.
        ToHost::Ready { .. } => {
            let _ = writeln!(std::io::stdout(), "guest-init: ready");
        }
        ToHost::Workload { name, state } => kmsg::info(&format!("workload {name}: {state:?}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use protocol::mailbox::{BootClock, SIZE};
    use protocol::{MAX_FRAME, SharedMemory};

    use super::*;

    #[test]
    fn a_message_that_is_too_long_costs_no_other_even_where_it_had_to_wait() {
        let mailbox = Mailbox::create(SharedMemory::private(SIZE), BootClock::default()).unwrap();
        let mut link = Link::mailbox(mailbox.clone()).unwrap();
        let mut keeper = mailbox.host_channel().unwrap();
        let message = |text: String| ToHost::Warning { text };
        let mut sent = 0;
        while link.is_clear() {
            link.send(message("x".repeat(MAX_FRAME / 2)));
            sent += 1;
        }
        link.send(message("x".repeat(MAX_FRAME)));
        link.send(message("last".to_owned()));
        let mut heard = Vec::new();
        for _ in 0..1000 {
            heard.extend(keeper.receive::<ToHost>().unwrap());
            link.flush();
        }
        assert_eq!(heard.len(), sent + 1);
        assert_eq!(heard.last(), Some(&message("last".to_owned())));
    }
}
