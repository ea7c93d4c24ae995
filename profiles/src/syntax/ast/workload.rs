//! Workloads: which programs, and how they are started.

use super::{Body, List, Literal, Name, NameRef, child, children, nodes};

nodes! {
    /// `workload NAME { … }`
    Workload;
    /// `match exec "postgres"`
    Match;
    /// `start ["postgres", "-D", "/data"]`
    Start;
}

impl Workload {
    /// Its name.
    pub fn name(&self) -> Option<Name> {
        child(&self.0)
    }

    /// Its settings, and what its programs are known by.
    pub fn body(&self) -> Option<Body> {
        child(&self.0)
    }
}

impl Match {
    /// `exec`, `cgroup`, `unit`, `image` or `user`.
    pub fn kind(&self) -> Option<NameRef> {
        child(&self.0)
    }

    /// Names or patterns; one of them has to fit.
    pub fn patterns(&self) -> impl Iterator<Item = Literal> + use<> {
        children(&self.0)
    }
}

impl Start {
    /// The program and its arguments.
    pub fn command(&self) -> Option<List> {
        child(&self.0)
    }
}
