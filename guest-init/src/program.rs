//! A program about to be started: argv, environment, directory and user, all looked up.

use std::io;

use crate::configuration::users::{Credentials, UserError, resolve};

/// `PATH` where nobody sets another.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All that is needed to start a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Path or name, looked up in `PATH` where it has no slash.
    pub executable: String,
    /// Arguments, without the program's name.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: String,
    /// User and groups.
    pub credentials: Credentials,
}

/// What somebody asks to run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Program and arguments.
    pub argv: &'a [String],
    /// Environment on top of everything else.
    pub env: &'a [(String, String)],
    /// Working directory; `/` where empty.
    pub cwd: &'a str,
    /// As in [`protocol::Workload::user`].
    pub user: &'a str,
    /// Whether it gets a terminal.
    pub terminal: bool,
}

/// Why a program cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// argv is empty
    #[error("no program named: argv is empty")]
    NoProgram,
    /// a name or value that the kernel cannot take
    #[error("`{0}` cannot be an environment variable's name")]
    Variable(String),
    /// no such user
    #[error(transparent)]
    User(#[from] UserError),
    /// no such directory
    #[error("cannot enter the working directory {0}: {1}")]
    Directory(String, io::Error),
    /// no terminal or pipe
    #[error("cannot make its standard streams: {0}")]
    Streams(io::Error),
    /// the kernel refuses
    #[error("cannot run {0}: {1}")]
    Spawn(String, io::Error),
}

impl StartError {
    /// The status that a shell would give.
    pub fn status(&self) -> u8 {
        match self {
            Self::Spawn(_, error) if error.kind() == io::ErrorKind::NotFound => 127,
            Self::Spawn(_, error) if error.raw_os_error() == Some(libc::ENOEXEC) => 126,
            Self::Spawn(_, error) if error.kind() == io::ErrorKind::PermissionDenied => 126,
            _ => 125,
        }
    }

    /// Whether trying again later may help: no memory or no process free.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Spawn(_, error) | Self::Streams(error) => matches!(
                error.raw_os_error(),
                Some(libc::EAGAIN | libc::ENOMEM | libc::ENFILE | libc::EMFILE)
            ),
            _ => false,
        }
    }
}

/// Looks everything up. `base` is the image's environment, `passwd` and `group` the partition's
/// files.
///
/// # Errors
///
/// No argv, no such user, an impossible environment.
pub fn prepare(
    request: &Request<'_>,
    base: &[(String, String)],
    passwd: &str,
    group: &str,
) -> Result<Program, StartError> {
    let (executable, arguments) = request.argv.split_first().ok_or(StartError::NoProgram)?;
    let credentials = resolve(request.user, passwd, group)?;
    let mut env = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), credentials.home.clone()),
        ("USER".to_owned(), credentials.name.clone()),
        ("SHELL".to_owned(), credentials.shell.clone()),
    ];
    if request.terminal {
        env.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    for (name, value) in base.iter().chain(request.env) {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(StartError::Variable(name.clone()));
        }
        match env.iter_mut().find(|(existing, _)| existing == name) {
            Some((_, existing)) => existing.clone_from(value),
            None => env.push((name.clone(), value.clone())),
        }
    }
    Ok(Program {
        executable: executable.clone(),
        arguments: arguments.to_vec(),
        env,
        cwd: if request.cwd.is_empty() { "/" } else { request.cwd }.to_owned(),
        credentials,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(argv: &'a [String], env: &'a [(String, String)]) -> Request<'a> {
        Request { argv, env, cwd: "", user: "", terminal: false }
    }

    #[test]
    fn the_environment_is_laid_in_layers() {
        let argv = ["sh".to_owned(), "-c".into()];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let base = [pair("PATH", "/image"), pair("A", "image")];
        let env = [pair("A", "request")];
        let program = prepare(&request(&argv, &env), &base, "", "").unwrap();
        assert_eq!(program.cwd, "/");
        assert!(program.env.contains(&pair("PATH", "/image")));
        assert!(program.env.contains(&pair("A", "request")));
        assert!(program.env.contains(&pair("HOME", "/root")));
        assert_eq!(program.env.iter().filter(|(name, _)| name == "A").count(), 1);
    }

    #[test]
    fn what_cannot_run_says_why() {
        let nothing = prepare(&request(&[], &[]), &[], "", "").unwrap_err();
        assert_eq!(
            (nothing.status(), nothing.to_string().as_str()),
            (125, "no program named: argv is empty")
        );
        let argv = ["x".to_owned()];
        let env = [("A=B".to_owned(), String::new())];
        assert!(matches!(
            prepare(&request(&argv, &env), &[], "", ""),
            Err(StartError::Variable(name)) if name == "A=B"
        ));
    }
}
