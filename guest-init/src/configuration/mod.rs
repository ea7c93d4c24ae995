//! What the partition is told to be: kernel command line, image, users, modules. Parsers only; they
//! take text and give data.

pub mod cmdline;
pub mod devices;
pub mod image;
pub mod modules;
pub mod users;
