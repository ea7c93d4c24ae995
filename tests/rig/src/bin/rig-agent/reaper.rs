//! PID 1 reaps everybody, so it must be the only one that waits: this hands each status to whoever
//! started that process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rig::wire::Status;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Who waits for which process.
#[derive(Clone, Default)]
pub struct Reaper(Rc<RefCell<HashMap<Pid, oneshot::Sender<Status>>>>);

impl Reaper {
    /// The end of a child. To be called before the runtime can run another task after the child was
    /// started, else the reaper may see its end first.
    pub fn watch(&self, child: Pid) -> oneshot::Receiver<Status> {
        let (sender, receiver) = oneshot::channel();
        self.0.borrow_mut().insert(child, sender);
        receiver
    }

    /// Reaps for ever.
    pub async fn run(self) -> io::Result<()> {
        let mut children = signal(SignalKind::child())?;
        loop {
            self.reap_all();
            children.recv().await;
        }
    }

    fn reap_all(&self) {
        loop {
            let (child, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(child, code)) => (child, Status::Exited(code)),
                Ok(WaitStatus::Signaled(child, signal, _)) => {
                    (child, Status::Signalled(signal as i32))
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => {
                    eprintln!("rig-agent: waitpid: {error}");
                    return;
                }
            };
            if let Some(waiting) = self.0.borrow_mut().remove(&child) {
                // Nobody waits where the client has gone.
                let _ = waiting.send(status);
            }
        }
    }
}
