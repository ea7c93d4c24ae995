//! Ending programs on a server without a warning.

use std::time::Duration;

use super::Server;

impl Server {
    /// Kills every program whose command line begins so (an extended regular expression; whatever
    /// folder the program was started from), and returns how many there were.
    pub fn kill(&self, command: &str) -> usize {
        count(&self.sh(&killing(command)))
    }

    /// Lets `partitiond` begin something and kills some of it after a while: `victims` are commands
    /// of `partitiond`, its own or the supervisor's and keepers', as an extended regular expression.
    /// Returns how many were killed. What is not killed goes on.
    pub fn kill_during(&self, arguments: &str, after: Duration, victims: &str) -> usize {
        // A keeper is started as `/proc/self/exe`.
        let kill = killing(&format!("(partitiond|exe) {victims}"));
        let after = after.as_secs_f64();
        count(&self.sh(&format!(
            "(setsid partitiond {arguments} </dev/null >/dev/null 2>&1 &); sleep {after:.3}; {kill}"
        )))
    }
    /// Waits until no `up` or `down` runs that was not killed.
    pub fn wait_for_commands(&self) {
        let one = "ps -o args | grep -Eq '^([{][^}]*[}] )?[^ ]*partitiond (up|down) '";
        self.wait_for(&format!("! {one}"), Duration::from_secs(180));
    }
}

/// One look at all processes: asking for each by itself would take longer than what is to be met.
/// Ends when they are gone: one that is in the middle of a system call goes a little later. busybox
/// puts the name of a program in braces before a command line that does not show it.
fn killing(command: &str) -> String {
    format!(
        "ps -o pid,args >/tmp/processes || exit; \
         grep -E '^ *[0-9]+ ([{{][^}}]*[}}] )?[^ ]*{command}' /tmp/processes | \
         while read -r pid _; do kill -9 $pid && echo killed $pid; done >/tmp/killed; \
         while read -r _ pid; do until ! kill -0 $pid; do sleep 0.05; done; done </tmp/killed; \
         cat /tmp/killed"
    )
}

fn count(killed: &str) -> usize {
    killed.lines().filter(|line| line.starts_with("killed ")).count()
}
