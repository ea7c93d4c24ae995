//! `exec`: a program in a partition, as if it ran here.

use std::io::{self, IsTerminal};

use protocol::{ExecRequest, ExitStatus};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::exit::{BROKEN_PIPE, EXEC_FAILED, Failure, SIGNALED};
use super::session::{self, Control, Ends, Outcome, SESSION, SessionError};
use super::stdio::{self, Writer};
use super::table::Exec;
use super::terminal::{self, Raw};
use super::{Context, connect};
use crate::client::Client;

/// `exec NAME -- CMD…`
pub fn run(context: &Context, options: Exec) -> Result<(), Failure> {
    let client = connect::existing(context).map_err(not_tried)?;
    if options.tty && !io::stdin().is_terminal() {
        context.remark("standard input is no terminal: the program gets one of its own");
    }
    let request = ExecRequest {
        session: SESSION,
        argv: options.argv,
        env: options.env,
        cwd: options.workdir,
        user: options.user,
        terminal: options.tty.then(|| terminal::size().unwrap_or(terminal::USUAL)),
    };
    let how = How { stdin: !options.no_stdin, detach: None };
    attach(&client, &options.name, request, how)
}

/// How a program is attached to this side.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Whether it reads standard input.
    pub stdin: bool,
    /// A byte that leaves it.
    pub detach: Option<u8>,
}

/// Runs a program, and ends as it does.
pub fn attach(client: &Client, name: &str, request: ExecRequest, how: How) -> Result<(), Failure> {
    let tty = request.terminal.is_some();
    let (stream, early) = client.exec(name).map_err(|error| not_tried(error.into()))?;
    let result = client.runtime().block_on(async {
        // From here on a signal no longer ends this process with the terminal in raw mode.
        let controls = controls(tty).map_err(SessionError::Connection)?;
        let raw = if tty && how.stdin { Raw::enter().map_err(SessionError::Output)? } else { None };
        let ends = Ends {
            input: match how.stdin {
                true => stdio::read(io::stdin(), how.detach),
                false => stdio::no_input(),
            },
            controls,
            writer: Writer::start(io::stdout(), io::stderr()),
        };
        let result = session::run(stream, &early, request, ends).await;
        drop(raw);
        result
    });
    match status(result)? {
        0 => Ok(()),
        status => Err(Failure::silent(status)),
    }
}

/// The exit status that an outcome stands for.
fn status(result: Result<Outcome, SessionError>) -> Result<u8, Failure> {
    match result {
        Ok(Outcome::Exited(ExitStatus::Code(code))) => Ok(code),
        Ok(Outcome::Exited(ExitStatus::Signal(signal)) | Outcome::Left(signal)) => {
            Ok(SIGNALED.saturating_add(signal))
        }
        Ok(Outcome::Detached) => Ok(0),
        Ok(Outcome::BrokenPipe) => Ok(BROKEN_PIPE),
        Err(SessionError::NotRun { reason, status }) => {
            Err(Failure::with_status(status, super::render::clean(&reason)))
        }
        Err(error) => Err(Failure::of(&error).status(EXEC_FAILED)),
    }
}

/// A failure before there was a program: 125 as env(1) has it, but for what the supervisor refuses
/// or does not know, which keeps its own status.
fn not_tried(failure: Failure) -> Failure {
    match failure.status {
        super::exit::FAILED => failure.status(EXEC_FAILED),
        _ => failure,
    }
}

/// Asked so often to end, this side gives up on a program that does not.
const INSISTENCE: u32 = 3;

/// Signals of this process, as the program is to hear of them.
fn controls(tty: bool) -> io::Result<mpsc::UnboundedReceiver<Control>> {
    let (tell, controls) = mpsc::unbounded_channel();
    for kind in
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
    {
        let leaves = tty && [SignalKind::terminate(), SignalKind::hangup()].contains(&kind);
        tokio::spawn(forward(signal(kind)?, kind, leaves, tell.clone()));
    }
    if tty {
        tokio::spawn(resize(signal(SignalKind::window_change())?, tell));
    }
    Ok(controls)
}

async fn forward(
    mut signals: Signal,
    kind: SignalKind,
    leaves: bool,
    tell: mpsc::UnboundedSender<Control>,
) {
    // All four are below 16.
    let number = u8::try_from(kind.as_raw_value()).unwrap_or(0);
    let mut times = 0;
    while signals.recv().await.is_some() {
        times += 1;
        let control = match leaves || times >= INSISTENCE {
            true => Control::Leave(number),
            false => Control::Signal(number),
        };
        if tell.send(control).is_err() {
            return;
        }
    }
}

async fn resize(mut signals: Signal, tell: mpsc::UnboundedSender<Control>) {
    while signals.recv().await.is_some() {
        if let Some(size) = terminal::size()
            && tell.send(Control::Resize(size)).is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_those_of_a_shell() {
        let code = |code| Ok(Outcome::Exited(ExitStatus::Code(code)));
        assert_eq!(status(code(0)), Ok(0));
        assert_eq!(status(code(3)), Ok(3));
        assert_eq!(status(code(255)), Ok(255));
        assert_eq!(status(Ok(Outcome::Exited(ExitStatus::Signal(9)))), Ok(137));
        assert_eq!(status(Ok(Outcome::Left(15))), Ok(143));
        assert_eq!(status(Ok(Outcome::BrokenPipe)), Ok(141));
        let missing = SessionError::NotRun { reason: "no such file".to_owned(), status: 127 };
        assert_eq!(status(Err(missing)).unwrap_err().status, 127);
        assert_eq!(status(Err(SessionError::Gone)).unwrap_err().status, 125);
    }
}
