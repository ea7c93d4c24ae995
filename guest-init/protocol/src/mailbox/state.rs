//! What the words of a mailbox mean.

/// The host's clocks at the moment that a partition is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BootClock {
    /// `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME`, ns since 1970.
    pub realtime_ns: u64,
    /// Time stamp counter.
    pub tsc: u64,
    /// Its frequency, kHz.
    pub tsc_khz: u64,
}

/// What guest-init does, as far as it could say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestState {
    /// It has not started yet.
    Absent,
    /// It runs.
    Running,
    /// It is about to power the partition off.
    PoweringOff,
    /// It is about to restart the partition.
    Rebooting,
    /// Something that this version does not know.
    Unknown(u32),
}

impl GuestState {
    pub(super) fn to_word(self) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Running => 1,
            Self::PoweringOff => 2,
            Self::Rebooting => 3,
            Self::Unknown(word) => word,
        }
    }

    pub(super) fn from_word(word: u32) -> Self {
        match word {
            0 => Self::Absent,
            1 => Self::Running,
            2 => Self::PoweringOff,
            3 => Self::Rebooting,
            word => Self::Unknown(word),
        }
    }
}
