//! What keeps a machine from being divided, and the exact line that removes it.

use serde::{Deserialize, Serialize};

/// Something that stands in the way of a back end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Its name, for programs and for `accept:`: `lockdown`, `no-ipi-broadcast`.
    pub name: String,
    /// What was found, for people.
    pub found: String,
    /// The line to type or to add, or what else removes it.
    pub remedy: String,
    /// Whether the operator may accept it by name in the cluster file.
    pub acceptable: bool,
}
