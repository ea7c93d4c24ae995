//! The language server for KernelScript: `partitiond profile lsp`, on standard input and output.
//!
//! Three threads: one reads what the editor says, one ([`checker`]) asks every kernel what it makes of a
//! script, and this one answers. Each change is parsed, composed and typed anew and told at once; what kernels
//! make of it follows, and until then what they made of the parts that stay. What can stand where, and
//! what is known of it, is [`profiles::editor`]'s affair; here is only how the protocol says it.

mod checker;
mod convert;
mod document;
mod frame;
mod neighbours;
mod position;
mod serve;
#[cfg(test)]
mod tests;
mod uri;

use std::io::{self, BufReader, Read, Write};
use std::sync::mpsc::{Sender, channel};

use serde_json::Value;

use checker::{Checked, Checker};
use frame::Frame;
pub use frame::FrameError;
use serve::Server;

/// What the server is told.
#[derive(Debug)]
enum Event {
    /// By the editor.
    Said(Value),
    /// By the editor, and it makes no sense.
    Malformed(String),
    /// By the thread that asks kernels.
    Checked(Checked),
    /// The editor says nothing more.
    Gone(Result<(), FrameError>),
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the protocol says: `shutdown`, then `exit`.
    Orderly,
    /// By `exit` alone, or because the editor went away.
    Abrupt,
}

/// Serves one editor until it goes.
///
/// # Errors
///
/// [`FrameError`] where what it says cannot be taken apart, or the connection breaks.
pub fn serve(
    from: impl Read + Send + 'static,
    to: impl Write,
    log: &dyn Fn(&str),
) -> Result<Ending, FrameError> {
    let (events, heard) = channel();
    let checked = events.clone();
    let checker = Checker::start(move |found| {
        let _ = checked.send(Event::Checked(found));
    });
    // Not waited for: it may be blocked by an editor that says nothing more.
    std::thread::spawn(move || listen(from, &events));
    let mut server = Server::new(to, checker, log);
    for event in heard {
        match event {
            Event::Said(message) => {
                if let Some(ending) = server.hear(message)? {
                    return Ok(ending);
                }
            }
            Event::Malformed(why) => server.misunderstand(&why)?,
            Event::Checked(found) => server.checked(found)?,
            Event::Gone(how) => return how.map(|()| Ending::Abrupt),
        }
    }
    Ok(Ending::Abrupt)
}

fn listen(from: impl Read, events: &Sender<Event>) {
    let mut from = BufReader::with_capacity(1 << 16, from);
    loop {
        let event = match frame::read(&mut from) {
            Ok(Some(Frame::Message(message))) => Event::Said(message),
            Ok(Some(Frame::Malformed(error))) => Event::Malformed(error.to_string()),
            Ok(None) => Event::Gone(Ok(())),
            Err(error) => Event::Gone(Err(error)),
        };
        let last = matches!(event, Event::Gone(_));
        if events.send(event).is_err() || last {
            return;
        }
    }
}

/// Serves on standard input and output; remarks go to standard error, where editors keep a log.
///
/// # Errors
///
/// As [`serve`].
pub fn on_stdio() -> Result<Ending, FrameError> {
    let log = |text: &str| {
        // Where that cannot be written, nobody is there to be told.
        let _ = writeln!(io::stderr(), "partitiond: {text}");
    };
    serve(io::stdin(), io::stdout().lock(), &log)
}
