//! What a partition and its keeper say to each other, and the one decoder for it.
//!
//! Both sides exchange **frames**: a little-endian `u32` length, then that many bytes of one
//! [`ToGuest`] or [`ToHost`] message in postcard encoding. The same frames travel over every
//! transport: rings in shared memory (`bare`), vsock or a console (`kvm`), a unix socket (keeper to
//! supervisor).
//!
//! A partition is not trusted. [`FrameDecoder`] holds at most one frame of [`MAX_FRAME`] bytes,
//! allocates no more than the frame is long, and never panics; a malformed frame is an error and the
//! channel that carried it is closed.
//!
//! # Versions
//!
//! The first message each way carries [`VERSION`]. Variants and fields are only ever added at the
//! end of an enum or behind a new variant, and a side never sends what the other's version lacks.

#![deny(unsafe_code)]

pub mod channel;
mod frame;
pub mod image;
pub mod mailbox;
mod message;
pub mod ring;
#[allow(unsafe_code)]
mod shared;
mod small;
mod workload;

pub use frame::{
    FrameDecoder, FrameError, HEADER, MAX_FRAME, decode, encode, encode_into, frame_length,
};
pub use message::{
    Configuration, ExecRequest, ExitStatus, Hello, Identity, Interrupts, Pressure, PressureLine,
    SessionId, Signals, Stop, Stream, TerminalSize, ToGuest, ToHost, WorkloadState,
};
pub use shared::SharedMemory;
pub use workload::{Restart, Workload};

/// Where guest-init lies in a partition.
pub const GUEST_INIT: &str = "/init";

/// The argument with which guest-init, run as a program of a session, answers for its kernel's settings: a
/// line of JSON for each question on its standard input.
pub const TUNE: &str = "tune";

/// The version of this protocol.
pub const VERSION: u16 = 1;

/// How many bytes of one session's output (or input) may be under way before the receiver grants
/// more with a `Credit` message. Bounds what a slow reader can make the other side hold.
pub const WINDOW: u32 = 128 * 1024;

/// The largest piece of a stream in one message, in bytes.
pub const MAX_CHUNK: usize = 16 * 1024;
