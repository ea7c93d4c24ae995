//! Huge pages for programs that do not ask for them: madvise(2) with `MADV_COLLAPSE` from outside, by
//! process_madvise(2), which Linux 6.1 and later take. Settings of the whole machine stay as they are.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `MADV_COLLAPSE` (include/uapi/asm-generic/mman-common.h).
const COLLAPSE: libc::c_int = 25;
/// Bytes of a huge page of x86-64 that is no gigantic one.
const HUGE: u64 = 2 << 20;
/// How much is collapsed at once, in bytes: it is copied, and whoever waits has other things to do.
const AT_ONCE: u64 = 128 << 20;

/// A range of a process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
}

/// Has the kernel make huge pages of what a process has in small ones, so much at once; how many bytes were
/// asked for, 0 where nothing is left to be done.
///
/// # Errors
/// `EINVAL` where the kernel cannot, `ESRCH` or "not found" where the process is gone.
pub fn collapse(pid: u32) -> io::Result<u64> {
    let ranges = small(BufReader::new(File::open(format!("/proc/{pid}/smaps"))?))?;
    if ranges.is_empty() {
        return Ok(0);
    }
    let process = open(pid)?;
    let mut asked = 0;
    for range in ranges {
        let length = (range.end - range.start).min(AT_ONCE.saturating_sub(asked));
        if length < HUGE {
            break;
        }
        // Pieces that cannot be are left as they are: EAGAIN where no huge page is free, EINVAL where
        // another mapping has come there.
        match advise(&process, range.start, length) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && asked == 0 => {
                // A process may have changed meanwhile; a kernel that cannot refuses all.
                if !is_known() {
                    return Err(error);
                }
            }
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Err(error),
            Err(_) | Ok(()) => {}
        }
        asked = asked.saturating_add(length);
    }
    Ok(asked)
}

/// Whether this kernel knows the advice at all: nothing is asked of no memory.
fn is_known() -> bool {
    let Ok(own) = open(std::process::id()) else { return false };
    advise(&own, 0, 0).is_ok()
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::NotFound)?;
    // SAFETY: numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0 as libc::c_uint) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: just opened, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn advise(process: &OwnedFd, start: u64, length: u64) -> io::Result<()> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let range = libc::iovec { iov_base: start as *mut libc::c_void, iov_len: length };
    // SAFETY: the range is one of the other process, which keeps what it holds; its description lives
    // through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            process.as_raw_fd(),
            &raw const range,
            1usize,
            COLLAPSE,
            0 as libc::c_uint,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Private memory of no file that could be in huge pages and is in small ones, by proc_pid_smaps(5), in whole
/// huge pages.
fn small(smaps: impl BufRead) -> io::Result<Vec<Range>> {
    let mut ranges = Vec::new();
    let mut mapping: Option<Range> = None;
    let (mut anonymous, mut huge) = (0, 0);
    let mut end = |mapping: Option<Range>, anonymous: u64, huge: u64| {
        let Some(Range { start, end }) = mapping else { return };
        let start = start.checked_next_multiple_of(HUGE).unwrap_or(u64::MAX);
        let end = end - end % HUGE;
        if start < end && anonymous >= HUGE && anonymous - huge.min(anonymous) >= HUGE {
            ranges.push(Range { start, end });
        }
    };
    for line in smaps.lines() {
        let line = line?;
        if let Some(range) = heading(&line) {
            end(mapping.take(), anonymous, huge);
            (mapping, anonymous, huge) = (range, 0, 0);
        } else if let Some(kib) = amount(&line, "Anonymous:") {
            anonymous = kib;
        } else if let Some(kib) = amount(&line, "AnonHugePages:") {
            huge = kib;
        }
    }
    end(mapping, anonymous, huge);
    Ok(ranges)
}

/// The line that a mapping begins with; its range where it is private and can be written.
fn heading(line: &str) -> Option<Option<Range>> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let range = Range { start: number(start)?, end: number(end)? };
    let fits = rest.starts_with("rw-p") && !rest.ends_with("[stack]");
    Some((fits && range.start < range.end).then_some(range))
}

/// Bytes, of a line such as `Anonymous:   2048 kB`.
fn amount(line: &str, name: &str) -> Option<u64> {
    let kib: u64 = line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
00400000-00800000 r-xp 00000000 08:01 1    /bin/worker
Anonymous:             0 kB
AnonHugePages:         0 kB
7f0000100000-7f0001000000 rw-p 00000000 00:00 0
Size:              15360 kB
Anonymous:          8192 kB
AnonHugePages:      2048 kB
7f0002000000-7f0002400000 rw-p 00000000 00:00 0
Anonymous:          4096 kB
AnonHugePages:      4096 kB
7f0003000000-7f0003100000 rw-p 00000000 00:00 0
Anonymous:          1024 kB
7ffd00000000-7ffd01000000 rw-p 00000000 00:00 0    [stack]
Anonymous:          9999 kB
";

    #[test]
    fn what_is_in_small_pages_is_found() {
        let ranges = small(SMAPS.as_bytes()).unwrap();
        assert_eq!(ranges, [Range { start: 0x7f00_0020_0000, end: 0x7f00_0100_0000 }]);
        assert_eq!(small("ffffffffffffffff-0 rw-p\nAnonymous: 99999 kB\n".as_bytes()).unwrap(), []);
        assert_eq!(small("nonsense\n\n".as_bytes()).unwrap(), []);
    }
}
