//! The terminal: its size, and raw mode that is always undone.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use protocol::TerminalSize;

/// What the terminal was like before raw mode; kept here so that a panic can undo it, too, where
/// nothing is dropped any more.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The size of a terminal that does not tell.
pub const USUAL: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// Raw mode for as long as this lives.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Switches the terminal of standard input to raw mode. `None` where it is no terminal.
    ///
    /// # Errors
    ///
    /// Where the terminal refuses.
    pub fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        match tcsetattr(stdin.as_fd(), SetArg::TCSADRAIN, &raw) {
            Ok(()) => Ok(Some(Self(()))),
            Err(error) => {
                restore();
                Err(error.into())
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal what it was. Does nothing where it is so already.
fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // Fails where the terminal is gone: then nobody misses it.
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &before);
    }
}

/// A panic leaves the terminal usable, and its own message readable.
pub fn restore_on_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        default(info);
    }));
}

/// The size of the terminal, where standard output or standard input is one that tells.
pub fn size() -> Option<TerminalSize> {
    use terminal_size::{Height, Width, terminal_size_of};
    let (Width(columns), Height(rows)) =
        terminal_size_of(io::stdout()).or_else(|| terminal_size_of(io::stdin()))?;
    (rows > 0 && columns > 0).then_some(TerminalSize { rows, columns })
}

/// Columns for text on standard output.
pub fn width() -> usize {
    size().map_or(80, |size| usize::from(size.columns).clamp(40, 400))
}
