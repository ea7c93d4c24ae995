//! Beside the confined process: what it cannot do, since it can start nobody.

use super::Confined;
use crate::plan::{Reach, Target};
use crate::store::{Change, Changed, Confinement, Store, StoreError};
use crate::sys::Held;

/// A store, and device files that are held open beside it.
#[derive(Debug)]
pub struct Beside<S> {
    inner: S,
    held: Held,
}

impl Confined {
    /// Also device files that are held open. Those who hold them are started by this process, not by the
    /// confined one.
    pub fn holding(self, held: Held) -> Beside<Self> {
        Beside { inner: self, held }
    }
}

fn is_held(target: &Target) -> bool {
    matches!(target, Target::Held(_))
}

impl<S: Store> Beside<S> {
    fn of(&mut self, target: &Target) -> &mut dyn Store {
        if is_held(target) { &mut self.held } else { &mut self.inner }
    }
}

impl<S: Store> Store for Beside<S> {
    fn reaches(&self, target: &Target) -> bool {
        self.held.reaches(target) || self.inner.reaches(target)
    }

    fn prepare(&mut self, reach: &[Reach]) -> Result<(), StoreError> {
        let others = reach.iter().filter(|reach| !is_held(&reach.target));
        self.inner.prepare(&others.cloned().collect::<Vec<_>>())
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        self.of(target).read(target)
    }

    fn read_all(&mut self, targets: &[Target]) -> Vec<Result<String, StoreError>> {
        let runs = targets.chunk_by(|one, next| is_held(one) == is_held(next));
        runs.flat_map(|run| match run.first() {
            Some(first) => self.of(first).read_all(run),
            None => Vec::new(),
        })
        .collect()
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        self.of(target).write(target, value)
    }

    fn change_all(&mut self, changes: &[Change]) -> Vec<Changed> {
        let mut made = Vec::with_capacity(changes.len());
        let runs = changes.chunk_by(|one, next| is_held(&one.target) == is_held(&next.target));
        for run in runs {
            let Some(first) = run.first() else { continue };
            let here = self.of(&first.target).change_all(run);
            let all = here.len() == run.len();
            let hold = run.iter().zip(&here).all(|(change, changed)| change.holds(changed));
            made.extend(here);
            if !all || !hold {
                break;
            }
        }
        made
    }

    fn canonical(&mut self, target: &Target) -> Result<Target, StoreError> {
        self.of(target).canonical(target)
    }

    fn confinement(&self) -> Option<Confinement> {
        self.inner.confinement()
    }
}
