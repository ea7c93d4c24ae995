//! Where things stand in a mailbox. Offsets from its start, sizes in bytes.

use crate::ring::Geometry;

/// Bytes of a mailbox: one large page.
pub const SIZE: usize = 2 * 1024 * 1024;

/// The kernel parameter that gives a partition its mailbox's physical address.
pub const PARAMETER: &str = "partition.mailbox=";

/// `PTNMBOX` and a zero, little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PTNMBOX\0");
/// The version of this layout.
pub const LAYOUT_VERSION: u32 = 2;

/// Offset of the magic (`u64`).
pub const MAGIC_AT: usize = 0x000;
/// Offset of the layout's version (`u32`).
pub const VERSION_AT: usize = 0x008;
/// Offset of the mailbox's size in bytes (`u32`).
pub const SIZE_AT: usize = 0x00c;

/// Offset of the FADT's `RESET_REG` (one byte): the partition's kernel writes [`RESET_VALUE`] to
/// restart.
pub const RESET_AT: usize = 0x040;
/// Offset of the FADT's `SLEEP_CONTROL_REG` (one byte).
pub const SLEEP_CONTROL_AT: usize = 0x048;
/// Offset of the FADT's `SLEEP_STATUS_REG` (one byte).
pub const SLEEP_STATUS_AT: usize = 0x050;
/// The FADT's `RESET_VALUE`.
pub const RESET_VALUE: u8 = 0x5a;

/// Offset of the host's `CLOCK_MONOTONIC` when the partition was started (`u64`, ns).
pub const CLOCK_AT: usize = 0x080;
/// Offset of the host's `CLOCK_REALTIME` then (`u64`, ns since 1970).
pub const REALTIME_AT: usize = 0x088;
/// Offset of the time stamp counter then (`u64`).
pub const TSC_AT: usize = 0x090;
/// Offset of the time stamp counter's frequency (`u64`, kHz).
pub const TSC_KHZ_AT: usize = 0x098;

/// Offset of the generation (`u32`): the host adds one when a keeper attaches.
pub const GENERATION_AT: usize = 0x100;
/// Offset of the guest's turn counter (`u64`).
pub const ALIVE_AT: usize = 0x180;
/// Offset of the guest's state (`u32`), see [`GuestState`](super::GuestState).
pub const STATE_AT: usize = 0x188;
/// Offset of the host's awake word (`u32`).
pub const HOST_AWAKE_AT: usize = 0x200;
/// Offset of the guest's awake word (`u32`).
pub const GUEST_AWAKE_AT: usize = 0x280;

/// Offset of the word that the host writes to measure (`u64`).
pub const PING_AT: usize = 0x1000;
/// Offset of the word that guest-init copies it to (`u64`).
pub const PONG_AT: usize = 0x1080;

/// The ring from the keeper to guest-init. Indices stand two cache lines apart, because processors
/// fetch lines in pairs.
pub const TO_GUEST: Geometry =
    Geometry { data: 0x40000, size: 256 * 1024, head: 0x2000, tail: 0x2080 };
/// The ring from guest-init to the keeper.
pub const TO_HOST: Geometry =
    Geometry { data: 0x80000, size: 512 * 1024, head: 0x2100, tail: 0x2180 };

/// All words and indices lie below this offset; [`Mailbox::create`](super::Mailbox::create) clears
/// so much, and the rings' stamps.
pub const WORDS_END: usize = 0x3000;
