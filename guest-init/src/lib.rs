//! PID 1 of a partition: a small static program that mounts what Linux programs expect, starts and
//! watches the partition's workloads, and does what the keeper asks through the mailbox: run
//! programs, tell how the partition is, stop it.
//!
//! One thread, one loop ([`guest`]), no allocation that a peer or a program can make grow without a
//! bound. What talks to the kernel is in [`sys`], the rest takes and gives data.
//!
//! | module | idea |
//! |---|---|
//! | [`init`] | from the first to the last instruction of PID 1 |
//! | [`guest`] | the loop and all state |
//! | [`link`] | the way to the keeper, whatever the transport |
//! | [`session`], [`workload`] | a program that the keeper asked for; one that the image or cluster file names |
//! | [`program`], [`configuration`] | what to run, as whom, where |
//! | [`pacing`], [`restart`], [`lines`], [`measure`], [`ending`] | decisions and parsers without side effects |
//! | [`tuning`] | answers for the kernel's settings, as a program of a session |
//! | [`sys`] | system calls |

#![deny(unsafe_code)]

pub mod configuration;
pub mod ending;
pub mod guest;
pub mod init;
pub mod lines;
pub mod link;
pub mod measure;
pub mod pacing;
pub mod program;
pub mod restart;
pub mod session;
#[allow(unsafe_code)]
pub mod sys;
pub mod tuning;
pub mod workload;
