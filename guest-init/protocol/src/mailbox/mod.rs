//! The mailbox: 2 MiB of a partition's memory that its kernel leaves alone (e820 reserved) and that
//! both sides map write-back.
//!
//! The guest finds it by its physical address, `partition.mailbox=0x…` on its kernel command line.
//!
//! | offset | what | written by |
//! |---|---|---|
//! | [`MAGIC_AT`] | magic, layout version, size | host, before the partition starts |
//! | [`RESET_AT`] | FADT reset register, sleep control and status registers | guest's kernel |
//! | [`CLOCK_AT`] | the host's clocks at start | host, before the partition starts |
//! | [`GENERATION_AT`] | counts the keepers that attached | host |
//! | [`ALIVE_AT`] | counts guest-init's turns, and says what it does | guest-init |
//! | [`HOST_AWAKE_AT`], [`GUEST_AWAKE_AT`] | who polls without sleeping | each its own |
//! | [`PING_AT`], [`PONG_AT`] | a bare word each way, for measuring | host, guest-init |
//! | [`TO_GUEST`], [`TO_HOST`] | the rings | both |
//!
//! # Awake words
//!
//! There is no interrupt between the kernels: each side polls, at longer and longer intervals while
//! nothing happens. A keeper that waits for an answer sets its word ([`Mailbox::set_host_awake`]);
//! the guest then comes back at short intervals for as long as it is set. Guest-init sets its own
//! while it spins, so that the keeper knows that an answer is a microsecond away and spins too.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::channel::RingChannel;
use crate::ring::{self, Consumer, Producer, RingError};
use crate::shared::SharedMemory;

mod layout;
mod state;

pub use layout::*;
pub use state::{BootClock, GuestState};

/// Why a piece of memory is not a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// too small
    #[error("a mailbox takes {SIZE} bytes, this memory has {0}")]
    Small(usize),
    /// no magic
    #[error("no mailbox there (magic {0:#018x}): is the address right?")]
    Magic(u64),
    /// another layout
    #[error(
        "the mailbox has layout {found}, this program knows {LAYOUT_VERSION}: build the image anew \
         with this version of partitiond, and start the partition anew"
    )]
    Version {
        /// The layout found.
        found: u32,
    },
    /// a ring cannot be used
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// A mailbox, from either side.
///
/// ```
/// use protocol::mailbox::{self, BootClock, Mailbox};
/// use protocol::channel::Channel;
/// use protocol::{SharedMemory, ToGuest};
///
/// let memory = SharedMemory::private(mailbox::SIZE);
/// let host = Mailbox::create(memory.clone(), BootClock::default()).unwrap();
/// let guest = Mailbox::open(memory).unwrap();
/// assert!(host.host_channel().unwrap().send(&ToGuest::Ping { sequence: 1 }).unwrap());
/// let received = guest.guest_channel().unwrap().receive().unwrap();
/// assert_eq!(received, Some(ToGuest::Ping { sequence: 1 }));
/// ```
#[derive(Debug, Clone)]
pub struct Mailbox {
    memory: SharedMemory,
}

impl Mailbox {
    /// Host side, before a partition starts: writes an empty mailbox over whatever is there.
    ///
    /// # Errors
    ///
    /// [`MailboxError::Small`].
    pub fn create(memory: SharedMemory, clock: BootClock) -> Result<Self, MailboxError> {
        if memory.len() < SIZE {
            return Err(MailboxError::Small(memory.len()));
        }
        // The magic comes last: who sees it sees the rest.
        let mailbox = Self { memory };
        mailbox.word64(MAGIC_AT)?.store(0, Ordering::Relaxed);
        let cleared = mailbox.memory.write(0, &[0; WORDS_END]);
        debug_assert!(cleared, "the size was checked");
        ring::clear(&mailbox.memory, TO_GUEST)?;
        ring::clear(&mailbox.memory, TO_HOST)?;
        mailbox.word32(VERSION_AT)?.store(LAYOUT_VERSION, Ordering::Relaxed);
        mailbox.word32(SIZE_AT)?.store(SIZE as u32, Ordering::Relaxed);
        mailbox.word64(CLOCK_AT)?.store(clock.monotonic_ns, Ordering::Relaxed);
        mailbox.word64(REALTIME_AT)?.store(clock.realtime_ns, Ordering::Relaxed);
        mailbox.word64(TSC_AT)?.store(clock.tsc, Ordering::Relaxed);
        mailbox.word64(TSC_KHZ_AT)?.store(clock.tsc_khz, Ordering::Relaxed);
        mailbox.word64(MAGIC_AT)?.store(MAGIC, Ordering::Release);
        Ok(mailbox)
    }

    /// Either side: takes up a mailbox that [`Mailbox::create`] has written.
    ///
    /// # Errors
    ///
    /// Memory that is no mailbox of this layout.
    pub fn open(memory: SharedMemory) -> Result<Self, MailboxError> {
        if memory.len() < SIZE {
            return Err(MailboxError::Small(memory.len()));
        }
        let mailbox = Self { memory };
        let magic = mailbox.word64(MAGIC_AT)?.load(Ordering::Acquire);
        if magic != MAGIC {
            return Err(MailboxError::Magic(magic));
        }
        let found = mailbox.word32(VERSION_AT)?.load(Ordering::Relaxed);
        if found != LAYOUT_VERSION {
            return Err(MailboxError::Version { found });
        }
        Ok(mailbox)
    }

    /// The memory itself.
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    fn word32(&self, offset: usize) -> Result<&AtomicU32, MailboxError> {
        self.memory.u32(offset).ok_or(MailboxError::Small(self.memory.len()))
    }

    fn word64(&self, offset: usize) -> Result<&AtomicU64, MailboxError> {
        self.memory.u64(offset).ok_or(MailboxError::Small(self.memory.len()))
    }

    fn load32(&self, offset: usize) -> u32 {
        self.memory.u32(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn load64(&self, offset: usize) -> u64 {
        self.memory.u64(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store32(&self, offset: usize, value: u32) {
        if let Some(word) = self.memory.u32(offset) {
            word.store(value, Ordering::Release);
        }
    }

    fn store64(&self, offset: usize, value: u64) {
        if let Some(word) = self.memory.u64(offset) {
            word.store(value, Ordering::Release);
        }
    }

    /// The keeper's ends of both rings, where the last keeper left them.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`] where the partition has spoilt them.
    pub fn host_channel(&self) -> Result<RingChannel, RingError> {
        Ok(RingChannel::new(
            Producer::attach(&self.memory, TO_GUEST)?,
            Consumer::attach(&self.memory, TO_HOST)?,
        ))
    }

    /// Guest-init's ends of both rings, where the last guest-init left them.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`] where the rings are spoilt.
    pub fn guest_channel(&self) -> Result<RingChannel, RingError> {
        Ok(RingChannel::new(
            Producer::attach(&self.memory, TO_HOST)?,
            Consumer::attach(&self.memory, TO_GUEST)?,
        ))
    }

    /// The keeper's ends of rings that were spoilt: whatever is in them is given up, each index is
    /// set to the peer's. A new generation is to follow.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn host_channel_afresh(&self) -> Result<RingChannel, RingError> {
        Ok(RingChannel::new(
            Producer::attach_afresh(&self.memory, TO_GUEST)?,
            Consumer::attach_afresh(&self.memory, TO_HOST)?,
        ))
    }

    /// As [`Mailbox::host_channel_afresh`], for guest-init.
    ///
    /// # Errors
    ///
    /// [`RingError::Geometry`].
    pub fn guest_channel_afresh(&self) -> Result<RingChannel, RingError> {
        Ok(RingChannel::new(
            Producer::attach_afresh(&self.memory, TO_HOST)?,
            Consumer::attach_afresh(&self.memory, TO_GUEST)?,
        ))
    }

    /// The host's clocks when the partition was started.
    pub fn boot_clock(&self) -> BootClock {
        BootClock {
            monotonic_ns: self.load64(CLOCK_AT),
            realtime_ns: self.load64(REALTIME_AT),
            tsc: self.load64(TSC_AT),
            tsc_khz: self.load64(TSC_KHZ_AT),
        }
    }

    /// How many keepers have attached.
    pub fn generation(&self) -> u32 {
        self.load32(GENERATION_AT)
    }

    /// Host side: a keeper has attached (the first one too). Guest-init answers with a new `Hello`
    /// and all workloads' states, and hangs up the sessions of the keeper before.
    pub fn next_generation(&self) -> u32 {
        let generation = self.generation().wrapping_add(1);
        self.store32(GENERATION_AT, generation);
        generation
    }

    /// Counts guest-init's turns: it stands still where guest-init does. At least one a second.
    pub fn alive(&self) -> u64 {
        self.load64(ALIVE_AT)
    }

    /// Guest side: one more turn.
    pub fn beat(&self) {
        // Only guest-init writes here, so that this need not be one locked operation.
        self.store64(ALIVE_AT, self.load64(ALIVE_AT).wrapping_add(1));
    }

    /// What guest-init does.
    pub fn guest_state(&self) -> GuestState {
        GuestState::from_word(self.load32(STATE_AT))
    }

    /// Guest side: what guest-init does.
    pub fn set_guest_state(&self, state: GuestState) {
        self.store32(STATE_AT, state.to_word());
    }

    /// Whether the partition's kernel has written its reset register: it wants to be restarted.
    pub fn reset_requested(&self) -> bool {
        self.memory.byte(RESET_AT).is_some_and(|byte| byte.load(Ordering::Acquire) == RESET_VALUE)
    }

    /// Host side: forgets the reset request.
    pub fn clear_reset(&self) {
        if let Some(byte) = self.memory.byte(RESET_AT) {
            byte.store(0, Ordering::Release);
        }
    }

    /// Whether the keeper waits for something.
    pub fn host_awake(&self) -> bool {
        self.load32(HOST_AWAKE_AT) != 0
    }

    /// Host side: whether the keeper waits for something.
    pub fn set_host_awake(&self, awake: bool) {
        self.store32(HOST_AWAKE_AT, u32::from(awake));
    }

    /// Whether guest-init polls without sleeping just now.
    pub fn guest_awake(&self) -> bool {
        self.load32(GUEST_AWAKE_AT) != 0
    }

    /// Guest side: whether guest-init polls without sleeping.
    pub fn set_guest_awake(&self, awake: bool) {
        self.store32(GUEST_AWAKE_AT, u32::from(awake));
    }

    /// The word that the host wrote to measure.
    pub fn ping(&self) -> u64 {
        self.load64(PING_AT)
    }

    /// Host side: writes the word that guest-init copies to [`Mailbox::pong`].
    pub fn set_ping(&self, value: u64) {
        self.store64(PING_AT, value);
    }

    /// The word that guest-init copied.
    pub fn pong(&self) -> u64 {
        self.load64(PONG_AT)
    }

    /// Guest side: answers a word.
    pub fn set_pong(&self, value: u64) {
        self.store64(PONG_AT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use crate::{ToGuest, ToHost};

    #[test]
    fn the_rings_lie_inside_and_apart() {
        let (one, other) = (TO_GUEST, TO_HOST);
        assert!(one.data >= WORDS_END);
        assert!(one.data + one.size <= other.data);
        assert!(other.data + other.size <= SIZE);
        assert!(one.size.is_power_of_two() && other.size.is_power_of_two());
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        let memory = SharedMemory::private(SIZE);
        assert_eq!(Mailbox::open(memory.clone()).unwrap_err(), MailboxError::Magic(0));
        let mailbox = Mailbox::create(memory.clone(), BootClock::default()).unwrap();
        mailbox.store32(VERSION_AT, 9);
        assert_eq!(Mailbox::open(memory).unwrap_err(), MailboxError::Version { found: 9 });
        let small = SharedMemory::private(SIZE - 8);
        assert_eq!(Mailbox::open(small).unwrap_err(), MailboxError::Small(SIZE - 8));
    }

    #[test]
    fn both_sides_see_the_words() {
        let memory = SharedMemory::private(SIZE);
        let clock = BootClock { monotonic_ns: 1, realtime_ns: 2, tsc: 3, tsc_khz: 4 };
        let host = Mailbox::create(memory.clone(), clock).unwrap();
        let guest = Mailbox::open(memory.clone()).unwrap();
        assert_eq!(guest.boot_clock(), clock);
        assert_eq!(host.guest_state(), GuestState::Absent);
        guest.set_guest_state(GuestState::PoweringOff);
        assert_eq!(host.guest_state(), GuestState::PoweringOff);
        assert_eq!(host.next_generation(), guest.generation());
        guest.beat();
        assert_eq!(host.alive(), 1);
        assert!(!host.reset_requested());
        assert!(memory.write(RESET_AT, &[RESET_VALUE]));
        assert!(host.reset_requested());
        host.clear_reset();
        assert!(!host.reset_requested());
        host.set_ping(5);
        guest.set_pong(guest.ping());
        assert_eq!(host.pong(), 5);
    }

    #[test]
    fn a_spoilt_ring_can_be_taken_up_afresh() {
        let memory = SharedMemory::private(SIZE);
        let host = Mailbox::create(memory.clone(), BootClock::default()).unwrap();
        memory.u64(TO_HOST.head).unwrap().store(u64::MAX / 2, Ordering::Relaxed);
        assert!(matches!(host.host_channel(), Err(RingError::Corrupt { .. })));
        let mut channel = host.host_channel_afresh().unwrap();
        let mut guest = host.guest_channel().unwrap();
        assert!(guest.send(&ToHost::Pong { sequence: 1 }).unwrap());
        assert_eq!(channel.receive().unwrap(), Some(ToHost::Pong { sequence: 1 }));
        assert!(channel.send(&ToGuest::Ping { sequence: 2 }).unwrap());
        assert_eq!(guest.receive().unwrap(), Some(ToGuest::Ping { sequence: 2 }));
    }
}
