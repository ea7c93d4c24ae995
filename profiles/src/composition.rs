//! Profiles with all that they inherit.
//!
//! `extends` knows no order. Of one profile and all its ancestors every value of a setting is a
//! candidate; which one wins is decided by two rules alone:
//!
//! 1. `force` wins over what is plain, and what is plain over `default`.
//! 2. Of those of one rank, a profile's wins over its ancestors'.
//!
//! If more than one is left and they differ, nobody decided, and that is an error that names them. Least
//! and greatest values, requirements and waivers of all of them hold together.

mod conflict;
mod library;
mod parameters;
#[cfg(test)]
mod tests;

pub use conflict::{Candidate, Winner, winner};
pub use library::{Family, Library};
pub use parameters::{Arguments, Declared, parameters};
