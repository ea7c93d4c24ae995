//! The kernel command line.

use protocol::mailbox::PARAMETER;

/// Why `partition.mailbox=` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxParameterError {
    /// not a number
    #[error("`{PARAMETER}{0}` on the kernel command line is no address; expected 0x…")]
    NotANumber(String),
    /// not on a page's border
    #[error("`{PARAMETER}{0:#x}` on the kernel command line is not a multiple of 4096")]
    Unaligned(u64),
}

/// The physical address of the mailbox; `None` where the command line names none. As for the kernel,
/// the last one counts.
///
/// # Errors
///
/// A value that is no address of a page.
pub fn mailbox(cmdline: &str) -> Result<Option<u64>, MailboxParameterError> {
    let Some(value) = cmdline
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix(PARAMETER))
        .next_back()
    else {
        return Ok(None);
    };
    let number = match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => value.parse(),
    };
    match number {
        Ok(address) if address.is_multiple_of(4096) => Ok(Some(address)),
        Ok(address) => Err(MailboxParameterError::Unaligned(address)),
        Err(_) => Err(MailboxParameterError::NotANumber(value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mailbox_is_found_among_other_parameters() {
        assert_eq!(mailbox("quiet panic=0\n"), Ok(None));
        assert_eq!(mailbox("a partition.mailbox=0x7fe00000 b\n"), Ok(Some(0x7fe0_0000)));
        assert_eq!(mailbox("partition.mailbox=1 partition.mailbox=4096"), Ok(Some(4096)));
    }

    #[test]
    fn nonsense_is_said_to_be_nonsense() {
        assert_eq!(
            mailbox("partition.mailbox=0x"),
            Err(MailboxParameterError::NotANumber("0x".into()))
        );
        assert_eq!(
            mailbox("partition.mailbox=0x1001"),
            Err(MailboxParameterError::Unaligned(0x1001))
        );
    }
}
