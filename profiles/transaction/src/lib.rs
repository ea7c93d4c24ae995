//! Plans as data, and the engine that applies one as a whole or not at all.
//!
//! A [`Plan`](plan::Plan) says what is to be written where, in which order, how it reads back and how it
//! is undone. An [`Engine`](engine::Engine) applies it to a [`Store`](store::Store), which is the kernel
//! ([`sys::Kernel`]) or a model of one, and keeps a [`Journal`](journal::Journal) of it. The engine takes
//! nothing on trust: a write that fails may have changed something, one that succeeds may be void, and
//! only what is read at the end counts.
//!
//! # A transaction
//!
//! 1. *Check*: the plan, its kernel and boot, and that the store reaches every target.
//! 2. *Snapshot*: everything that is written, and everything that may move along, is read. What the plan
//!    says of old values must still hold.
//! 3. *Begin*: the snapshot goes to disk.
//! 4. *Steps*, in the plan's order: what does not hold already is written and read back.
//! 5. *Check again*: everything is read once more. What a later step moved is written again, once.
//!    Effects that are seen elsewhere are looked at.
//! 6. *Latches*, which no way leads back from before the next boot.
//! 7. *Commit*: what everything reads now goes to disk.
//!
//! If anything from 4 on fails, each step that was written is undone, latest first, failed or not; then
//! whatever still differs from the snapshot is set back, in a bounded number of rounds; then all is read,
//! and every difference is named.
//!
//! # States, and what is on disk
//!
//! A transaction is one file. Records are only ever added to it.
//!
//! | state | records on disk | the kernel has | at the next start of the engine |
//! |---|---|---|---|
//! | (none) | none, or a temporary file | the old state | the temporary file is removed |
//! | begun | begin | any mixture | is rolled back |
//! | committed | begin, committed | the new state | stays |
//! | confirmed | begin, committed, confirmed | the new state | stays |
//! | being undone | begin, committed, (confirmed,) undoing | any mixture | is rolled back |
//! | rolled back | …, rolled back | the old state, except for what the record names | stays |
//! | put away | …, put away | whatever its later kernel began with | stays |
//!
//! | state | committed | confirmed | undoing | rolled back | put away |
//! |---|---|---|---|---|---|
//! | begun | → committed | – | – | → rolled back | → put away |
//! | committed | – | → confirmed | → being undone | – | – |
//! | confirmed | – | – | → being undone | – | – |
//! | being undone | – | – | – | → rolled back | → put away |
//! | rolled back | – | – | – | – | – |
//! | put away | – | – | – | – | – |
//!
//! A begin counts once its file was synced, given its name, and that was synced; the others, once they
//! were synced. A record that is not whole counts for nothing. All of it is bound to the boot: the
//! settings of a kernel end with it, so what was unfinished then is put away, never "rolled back" onto a
//! kernel that has begun with its own defaults.

#![deny(unsafe_code)]

pub mod agent;
pub mod assign;
pub mod compare;
pub mod engine;
pub mod glob;
pub mod journal;
pub mod network;
pub mod plan;
pub mod sandbox;
pub mod store;
pub mod sys;

pub use agent::{Agent, Answer, Question, Reply};
pub use engine::{Drifted, Engine, Unrecovered};
pub use journal::Directory;
pub use plan::{Plan, Step, Target};
pub use store::{Store, StoreError};
pub use sys::{Files, Kernel, Machine, Network};
