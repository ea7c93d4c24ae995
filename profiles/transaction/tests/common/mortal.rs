//! A store and a storage that stop at the nth step, and do nothing any more.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use transaction::journal::Storage;
use transaction::{Store, StoreError, Target};

/// What has happened of the step at which a process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Nothing.
    Before,
    /// Half of the bytes, where it is bytes.
    Half,
    /// All of it.
    After,
}

/// Shared by all that one process does.
#[derive(Debug, Clone)]
pub struct Life {
    steps: Rc<Cell<u32>>,
    stop: Option<(u32, At)>,
}

/// What becomes of a step.
enum Fate {
    Lives,
    Stops(At),
    Dead,
}

impl Life {
    /// Stops at this step, from 0.
    pub fn until(step: u32, at: At) -> Self {
        Self { steps: Rc::default(), stop: Some((step, at)) }
    }

    /// Never stops.
    pub fn whole() -> Self {
        Self { steps: Rc::default(), stop: None }
    }

    /// How many steps there were.
    pub fn steps(&self) -> u32 {
        self.steps.get()
    }

    /// Whether it was stopped.
    pub fn is_over(&self) -> bool {
        self.stop.is_some_and(|(step, _)| self.steps.get() > step)
    }

    fn step(&self) -> Fate {
        let now = self.steps.get();
        if self.is_over() {
            return Fate::Dead;
        }
        self.steps.set(now + 1);
        match self.stop {
            Some((step, at)) if step == now => Fate::Stops(at),
            _ => Fate::Lives,
        }
    }

    fn run<T>(&self, dead: impl Fn() -> T, mut act: impl FnMut(bool) -> T) -> T {
        match self.step() {
            Fate::Lives => act(false),
            Fate::Stops(At::Before) | Fate::Dead => dead(),
            Fate::Stops(At::Half) => {
                act(true);
                dead()
            }
            Fate::Stops(At::After) => {
                act(false);
                dead()
            }
        }
    }
}

/// Something that a life runs on.
#[derive(Debug)]
pub struct Mortal<T> {
    pub inner: T,
    pub life: Life,
}

fn gone() -> io::Error {
    io::Error::other("stopped")
}

fn gone_store() -> StoreError {
    StoreError::Writer("stopped".into())
}

impl<S: Store> Store for Mortal<&mut S> {
    fn reaches(&self, target: &Target) -> bool {
        self.inner.reaches(target)
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        if self.life.is_over() { Err(gone_store()) } else { self.inner.read(target) }
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        let inner = &mut self.inner;
        self.life.run(|| Err(gone_store()), |_| inner.write(target, value))
    }
}

impl<D: Storage> Storage for Mortal<D> {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn read(&mut self, name: &str, limit: usize) -> io::Result<Vec<u8>> {
        self.inner.read(name, limit)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let inner = &mut self.inner;
        self.life.run(|| Err(gone()), |half| inner.write(name, part(bytes, half)))
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let inner = &mut self.inner;
        self.life.run(|| Err(gone()), |half| inner.append(name, at, part(bytes, half)))
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let inner = &mut self.inner;
        self.life.run(|| Err(gone()), |_| inner.sync(name))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inner = &mut self.inner;
        self.life.run(|| Err(gone()), |_| inner.rename(from, to))
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let inner = &mut self.inner;
        self.life.run(|| Err(gone()), |_| inner.sync_directory())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let inner = &mut self.inner;
        self.life.run(|| Err(gone()), |_| inner.remove(name))
    }
}

fn part(bytes: &[u8], half: bool) -> &[u8] {
    if half { &bytes[..bytes.len() / 2] } else { bytes }
}
