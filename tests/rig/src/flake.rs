//! One fault of QEMU's multi-threaded TCG, told apart from every fault that is ours.
//!
//! While Linux patches its own code (static keys, static calls, ftrace) it puts a breakpoint over the
//! first byte of an instruction, changes the rest, and puts the new first byte in its place
//! (`arch/x86/kernel/alternative.c`, `text_poke_bp_batch`). TCG can run the breakpoint from a stale
//! translation after that last step; the kernel no longer expects it and stops.
//!
//! A scenario that met exactly this may be run again. Any other fault may not.

use serde::Serialize;

/// Lines of a fault report in which the registers and the code stand.
const REPORT: usize = 40;

/// What shows that it was a stale breakpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// where the kernel stopped, as it says: one byte behind the instruction's first
    pub instruction_pointer: String,
    /// the instruction that stands there, whole and without a breakpoint
    pub instruction: Vec<u8>,
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QEMU ran a stale breakpoint at {}, where ", self.instruction_pointer)?;
        for byte in &self.instruction {
            write!(f, "{byte:02x} ")?;
        }
        f.write_str("stands")
    }
}

/// Looks for the fault in a console log. It must be the kernel's first fault, in the kernel's own
/// code, one byte behind the start of an instruction that the kernel patches, and that instruction
/// must be whole in memory.
pub fn is_stale_breakpoint(console_log: &str) -> Option<Evidence> {
    let lines: Vec<&str> = console_log.lines().collect();
    let fault = lines.iter().position(|line| is_first_fault(line))?;
    // The kernel numbers its faults; an int3 is ours only as number one.
    lines.get(fault).filter(|line| line.contains("int3: 0000 [#1]"))?;
    let report = lines.get(fault..)?.iter().take(REPORT);
    let instruction_pointer = report.clone().find_map(|line| line.split_once("RIP: 0010:"))?.1;
    let code = report.clone().find_map(|line| line.split_once("Code: "))?.1;
    let instruction = patched_instruction(&at_breakpoint(code)?)?;
    Some(Evidence { instruction_pointer: instruction_pointer.trim().to_owned(), instruction })
}

/// What starts a report (`arch/x86/kernel/dumpstack.c`, `__die_header`): `Oops: int3: 0000 [#1] …`,
/// before Linux 6.9 without the first word; or one of the faults that are reported otherwise first.
fn is_first_fault(line: &str) -> bool {
    line.contains(" [#")
        || ["BUG: ", "kernel BUG at ", "Kernel panic - not syncing", "watchdog: BUG: "]
            .iter()
            .any(|sign| line.contains(sign))
}

/// The bytes of a `Code:` line from where the breakpoint was: the one before the marked byte, which
/// is where the instruction pointer stood.
fn at_breakpoint(code: &str) -> Option<Vec<u8>> {
    let words: Vec<&str> = code.split_whitespace().collect();
    let marked = words.iter().position(|word| word.starts_with('<'))?;
    words
        .get(marked.checked_sub(1)?..)?
        .iter()
        .map(|word| {
            let digits = word.trim_start_matches('<').trim_end_matches('>');
            u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)
        })
        .collect()
}

/// The instruction at the start of these bytes, where it is one that the kernel puts at a place that
/// it patches while it runs.
fn patched_instruction(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = match bytes {
        // nop of five bytes; static call that returns 0; static call to nowhere
        [0x0f, 0x1f, 0x44, 0x00, 0x00, ..]
        | [0x2e, 0x2e, 0x2e, 0x31, 0xc0, ..]
        | [0xc3, 0xcc, 0xcc, 0xcc, 0xcc, ..]
        // call and jump with 32 bits
        | [0xe8 | 0xe9, _, _, _, _, ..] => 5,
        // nop of two bytes; jump with 8 bits
        [0x66, 0x90, ..] | [0xeb, _, ..] => 2,
        _ => return None,
    };
    bytes.get(..length).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report as 6.12 prints it; `{name}` and `{code}` filled in by each test.
    fn report(name: &str, code: &str) -> String {
        format!(
            "[    2.101112] Freeing unused kernel image memory\r\n\
             [    2.113010] {name} [#1] PREEMPT SMP NOPTI\r\n\
             [    2.113020] CPU: 2 UID: 0 PID: 27 Comm: migration/2 Not tainted 6.12.117 #1\r\n\
             [    2.113030] RIP: 0010:finish_task_switch.isra.0+0x96/0x2d0\r\n\
             [    2.113040] Code: {code}\r\n\
             [    2.113050] RSP: 0018:ffffc900000f3e40 EFLAGS: 00000246\r\n\
             [    2.113060] Kernel panic - not syncing: Fatal exception in interrupt\r\n"
        )
    }

    const RESTORED: &str = "48 89 df e8 0b 5c fe ff 0f <1f> 44 00 00 0f 1f 44 00 00 65 48";

    #[test]
    fn a_breakpoint_behind_a_restored_instruction_is_qemus_fault() {
        let evidence = is_stale_breakpoint(&report("Oops: int3: 0000", RESTORED)).unwrap();
        assert_eq!(evidence.instruction_pointer, "finish_task_switch.isra.0+0x96/0x2d0");
        assert_eq!(evidence.instruction, [0x0f, 0x1f, 0x44, 0, 0]);
        // Linux before 6.9
        assert!(is_stale_breakpoint(&report("int3: 0000", RESTORED)).is_some());
        let jump = "48 89 df e9 <12> 00 00 00 65 48";
        assert!(is_stale_breakpoint(&report("Oops: int3: 0000", jump)).is_some());
        let short = "48 89 df 66 <90> 65 48";
        assert!(is_stale_breakpoint(&report("Oops: int3: 0000", short)).is_some());
    }

    #[test]
    fn a_breakpoint_that_is_in_memory_is_not() {
        let real = "48 89 df e8 0b 5c fe ff cc <1f> 44 00 00 65 48";
        assert_eq!(is_stale_breakpoint(&report("Oops: int3: 0000", real)), None);
    }

    #[test]
    fn another_instruction_is_not() {
        let other = "48 89 df e8 0b 5c fe ff 48 <89> 44 00 00 65 48";
        assert_eq!(is_stale_breakpoint(&report("Oops: int3: 0000", other)), None);
        let cut = "48 89 df e8 0b 5c fe ff e9 <89> 44";
        assert_eq!(is_stale_breakpoint(&report("Oops: int3: 0000", cut)), None);
        let unreadable = "Unable to access opcode bytes at 0xffffffff81000000.";
        assert_eq!(is_stale_breakpoint(&report("Oops: int3: 0000", unreadable)), None);
    }

    #[test]
    fn another_fault_is_not() {
        for name in
            ["Oops: general protection fault: 0000", "Oops: 0002", "Oops: divide error: 0000"]
        {
            assert_eq!(is_stale_breakpoint(&report(name, RESTORED)), None, "{name}");
        }
    }

    #[test]
    fn one_that_follows_another_fault_is_not() {
        let page = "[    1.9] BUG: unable to handle page fault for address: ffff888000000000\n";
        let log = format!("{page}{}", report("Oops: int3: 0000", RESTORED));
        assert_eq!(is_stale_breakpoint(&log), None);
        let second = report("Oops: int3: 0000", RESTORED).replace("[#1]", "[#2]");
        assert_eq!(is_stale_breakpoint(&second), None);
        assert_eq!(
            is_stale_breakpoint(&format!("[    1.9] Kernel panic - not syncing: x\n{second}")),
            None
        );
    }

    #[test]
    fn one_in_a_program_is_not() {
        let user = report("Oops: int3: 0000", RESTORED).replace("RIP: 0010:", "RIP: 0033:");
        assert_eq!(is_stale_breakpoint(&user), None);
    }

    #[test]
    fn a_healthy_log_has_none() {
        assert_eq!(is_stale_breakpoint("[    0.000000] Linux version 6.12.117\n"), None);
        assert_eq!(is_stale_breakpoint(""), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(code: String) {
            let _ = is_stale_breakpoint(&report("Oops: int3: 0000", &code));
        }
    }
}
