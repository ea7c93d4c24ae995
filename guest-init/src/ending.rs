//! Why a partition ends by itself.

use protocol::{ExitStatus, Stop};

use crate::guest::Ending;

/// What the end of the programs' PID namespace means. reboot(2) in a PID namespace ends its init
/// with SIGHUP for a restart, with SIGINT for halt and power-off (`kernel/pid_namespace.c`).
pub fn of_namespace(status: ExitStatus) -> Ending {
    match i32_signal(status) {
        Some(libc::SIGHUP) => ending(Stop::Reboot, "a process called reboot(2) to restart"),
        Some(libc::SIGINT) => ending(Stop::PowerOff, "a process called reboot(2) to power off"),
        _ => ending(Stop::Reboot, &format!("the init of the programs' namespace died: {status:?}")),
    }
}

fn i32_signal(status: ExitStatus) -> Option<i32> {
    match status {
        ExitStatus::Signal(signal) => Some(i32::from(signal)),
        ExitStatus::Code(_) => None,
    }
}

fn ending(stop: Stop, reason: &str) -> Ending {
    Ending { stop, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_tells_which_way() {
        let hup = of_namespace(ExitStatus::Signal(libc::SIGHUP as u8));
        assert_eq!(hup.stop, Stop::Reboot);
        let int = of_namespace(ExitStatus::Signal(libc::SIGINT as u8));
        assert_eq!(int.stop, Stop::PowerOff);
        let died = of_namespace(ExitStatus::Signal(9));
        assert_eq!(died.stop, Stop::Reboot);
        assert!(died.reason.contains("Signal(9)"), "{}", died.reason);
    }
}
