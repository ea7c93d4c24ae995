//! A thread that works out what every kernel makes of a script, so that nobody who writes waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use profiles::diagnostic::Diagnostic;
use profiles::scripts::Scripts;

use super::document::on_every_kernel;

/// What kernels make of one state of a script.
#[derive(Debug)]
pub struct Checked {
    /// Which script.
    pub uri: String,
    /// Which of all orders.
    pub number: u64,
    /// What they say.
    pub diagnostics: Vec<Diagnostic>,
}

struct Order {
    uri: String,
    number: u64,
    scripts: Arc<Scripts>,
}

/// The newest order for each script; all others are given up.
type Newest = Arc<Mutex<BTreeMap<String, u64>>>;

/// The thread's other side. It ends when this goes.
#[derive(Debug)]
pub struct Checker {
    orders: Option<Sender<Order>>,
    newest: Newest,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Checker {
    /// Starts it; `tell` is called with what it finds.
    pub fn start(tell: impl Fn(Checked) + Send + 'static) -> Self {
        let (orders, received) = channel();
        let newest = Newest::default();
        let shared = Arc::clone(&newest);
        let thread = std::thread::spawn(move || work(&received, &shared, &tell));
        Self { orders: Some(orders), newest, next: AtomicU64::new(1), thread: Some(thread) }
    }

    /// Has a script looked at; what was ordered for it before is given up. Tells the order's number.
    pub fn order(&self, uri: &str, scripts: &Arc<Scripts>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let scripts = Arc::clone(scripts);
        lock(&self.newest).insert(uri.to_owned(), number);
        let order = Order { uri: uri.to_owned(), number, scripts };
        if let Some(orders) = &self.orders {
            // Fails where the thread is gone, which only happens when all ends.
            let _ = orders.send(order);
        }
        number
    }

    /// Gives up what was ordered for a script.
    pub fn forget(&self, uri: &str) {
        lock(&self.newest).remove(uri);
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        lock(&self.newest).clear();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(newest: &Mutex<BTreeMap<String, u64>>) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
    newest.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(orders: &Receiver<Order>, newest: &Newest, tell: &dyn Fn(Checked)) {
    while let Ok(Order { uri, number, scripts }) = orders.recv() {
        let wanted = || lock(newest).get(&uri) == Some(&number);
        if let Some(diagnostics) = on_every_kernel(&scripts, &wanted) {
            tell(Checked { uri, number, diagnostics });
        }
    }
}
