//! The virtual CPUs of a machine while their threads run them, and holding them all up.
//!
//! A CPU that is held is out of its guest, and nothing that it came out for is half done: KVM completes an access
//! to a port or register when the CPU is entered again, so it is, with a request to come out at once
//! (Documentation/virt/kvm/api.rst, section 5, `immediate_exit`).

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::bus::Bus;
use super::status::Counting;
use super::vcpu::{Left, Stopped, Vcpu};

/// All CPUs of a machine.
pub struct Cpus {
    cpus: Vec<Cpu>,
    /// Whether CPUs are to be held.
    closed: AtomicBool,
    threads: Mutex<Threads>,
    changed: Condvar,
}

struct Cpu {
    /// Its thread has it while it runs.
    vcpu: Mutex<Vcpu>,
    /// Set, it comes out of its guest at once when it is entered.
    come_out: ComeOut,
}

/// A byte of the page that a CPU shares with KVM.
struct ComeOut(*const AtomicU8);

// SAFETY: it points into a mapping that lasts as long as the CPU that stands beside it, and is only ever used as
// an atomic.
unsafe impl Send for ComeOut {}
// SAFETY: as above.
unsafe impl Sync for ComeOut {}

impl ComeOut {
    fn set(&self, wanted: bool) {
        // SAFETY: it points to a byte that lasts as long as the CPU.
        unsafe { (*self.0).store(wanted.into(), Ordering::SeqCst) };
    }
}

/// The threads that run CPUs.
#[derive(Default)]
struct Threads {
    /// By the number of the CPU; `None` before it runs and after it has ended.
    running: Vec<Option<libc::pthread_t>>,
    /// Those that are held.
    held: usize,
}

impl Threads {
    fn all_held(&self) -> bool {
        self.running.iter().flatten().count() == self.held
    }
}

/// The signal that brings a CPU out of its guest.
fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

/// Has the signal do nothing but interrupt. Once for the process, before CPUs run.
///
/// # Errors
///
/// What sigaction(2) says.
pub fn prepare_signal() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zeros are a valid value of it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler touches nothing.
    match unsafe { libc::sigaction(signal(), &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Cpus {
    /// CPUs that have not run yet.
    pub fn new(cpus: Vec<Vcpu>) -> Arc<Self> {
        let running = cpus.iter().map(|_| None).collect();
        let cpus = cpus.into_iter().map(|mut vcpu| {
            let come_out = ComeOut(vcpu.immediate_exit());
            Cpu { vcpu: Mutex::new(vcpu), come_out }
        });
        Arc::new(Self {
            cpus: cpus.collect(),
            closed: AtomicBool::new(false),
            threads: Mutex::new(Threads { running, held: 0 }),
            changed: Condvar::new(),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cpus.len()
    }

    /// Runs a CPU in this thread, for as long as it can run; held whenever all are.
    pub fn run(
        &self,
        number: usize,
        ports: &Bus,
        registers: &Bus,
        counting: &Arc<Counting>,
    ) -> Stopped {
        let Some(cpu) = self.cpus.get(number) else {
            return Stopped::Broken(format!("there is no virtual CPU {number}"));
        };
        self.begin(number);
        loop {
            let left = lock(&cpu.vcpu).run(ports, registers, counting, &self.closed);
            match left {
                Left::Held => {
                    self.hold();
                    cpu.come_out.set(false);
                    // They may be held again already.
                    if self.closed.load(Ordering::SeqCst) {
                        cpu.come_out.set(true);
                    }
                }
                Left::Stopped(stopped) => {
                    self.end(number);
                    return stopped;
                }
            }
        }
    }

    /// Holds all CPUs, and returns when they are. Those that have not begun wait before they do.
    pub fn pause(&self) {
        let mut threads = lock(&self.threads);
        self.closed.store(true, Ordering::SeqCst);
        for (cpu, thread) in self.cpus.iter().zip(&threads.running) {
            cpu.come_out.set(true);
            if let Some(thread) = thread {
                // SAFETY: a thread that ends says so first, and needs the lock for it that we have.
                unsafe { libc::pthread_kill(*thread, signal()) };
            }
        }
        while !threads.all_held() {
            threads = self.changed.wait(threads).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets them go on.
    pub fn resume(&self) {
        let threads = lock(&self.threads);
        self.closed.store(false, Ordering::SeqCst);
        for (cpu, thread) in self.cpus.iter().zip(&threads.running) {
            // Those that are held see to it themselves.
            if thread.is_none() {
                cpu.come_out.set(false);
            }
        }
        self.changed.notify_all();
    }

    /// Works on each CPU, in their order. One that runs is waited for: so they are to be held.
    ///
    /// # Errors
    ///
    /// The first of `work`.
    pub fn each<T, E>(&self, mut work: impl FnMut(&Vcpu) -> Result<T, E>) -> Result<Vec<T>, E> {
        self.cpus.iter().map(|cpu| work(&lock(&cpu.vcpu))).collect()
    }

    fn begin(&self, number: usize) {
        let mut threads = lock(&self.threads);
        while self.closed.load(Ordering::SeqCst) {
            threads = self.changed.wait(threads).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(thread) = threads.running.get_mut(number) {
            // SAFETY: it asks for the number of this thread.
            *thread = Some(unsafe { libc::pthread_self() });
        }
    }

    fn hold(&self) {
        let mut threads = lock(&self.threads);
        threads.held += 1;
        self.changed.notify_all();
        while self.closed.load(Ordering::SeqCst) {
            threads = self.changed.wait(threads).unwrap_or_else(PoisonError::into_inner);
        }
        threads.held -= 1;
    }

    fn end(&self, number: usize) {
        let mut threads = lock(&self.threads);
        if let Some(thread) = threads.running.get_mut(number) {
            *thread = None;
        }
        self.changed.notify_all();
    }
}

/// A thread that panicked is a process that ended.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
