//! What the partition measures of itself: parsers of `/proc`.
//!
//! A value that a kernel does not give is zero; a line that cannot be read is passed over.

use protocol::{Interrupts, Pressure, PressureLine, Signals};

/// `/proc/meminfo`: the value of one line, in KiB.
pub fn meminfo(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// `/proc/uptime`: milliseconds since the kernel started.
pub fn uptime_ms(text: &str) -> u64 {
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    hundredths(first).saturating_mul(10)
}

/// `/proc/loadavg`: load over one minute in hundredths, and how many threads exist.
pub fn loadavg(text: &str) -> (u32, u32) {
    let mut fields = text.split_ascii_whitespace();
    let load = fields.next().map_or(0, hundredths);
    let threads = fields
        .nth(2)
        .and_then(|field| field.split_once('/'))
        .and_then(|(_, all)| all.parse().ok())
        .unwrap_or(0);
    (u32::try_from(load).unwrap_or(u32::MAX), threads)
}

/// A decimal number with two digits behind its point, times a hundred.
fn hundredths(text: &str) -> u64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = whole.parse().unwrap_or(0);
    let part: u64 = match part.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => {
            u64::from(tens - b'0') * 10 + u64::from(ones - b'0')
        }
        [tens @ b'0'..=b'9'] => u64::from(tens - b'0') * 10,
        _ => 0,
    };
    whole.saturating_mul(100).saturating_add(part)
}

/// One file of `/proc/pressure` (the kernel's `Documentation/accounting/psi.rst`).
pub fn pressure(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let target = match fields.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        *target = pressure_line(fields);
    }
    pressure
}

fn pressure_line<'a>(fields: impl Iterator<Item = &'a str>) -> PressureLine {
    let mut line = PressureLine::default();
    let share = |value: &str| u16::try_from(hundredths(value)).unwrap_or(u16::MAX);
    for (name, value) in fields.filter_map(|field| field.split_once('=')) {
        match name {
            "avg10" => line.avg10 = share(value),
            "avg60" => line.avg60 = share(value),
            "avg300" => line.avg300 = share(value),
            "total" => line.total_us = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    line
}

/// `/proc/interrupts`, one entry per online CPU in the order of its heading.
pub fn interrupts(text: &str) -> Vec<Interrupts> {
    let mut lines = text.lines();
    let mut cpus: Vec<Interrupts> = lines
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|name| name.strip_prefix("CPU")?.parse().ok())
        .map(|cpu| Interrupts { cpu, ..Interrupts::default() })
        .collect();
    for line in lines {
        let Some((name, counts)) = line.split_once(':') else { continue };
        let name = name.trim();
        let counts = counts.split_ascii_whitespace().map_while(|count| count.parse::<u64>().ok());
        // ERR and MIS have one count for the whole machine, which lands on its first CPU.
        for (cpu, count) in cpus.iter_mut().zip(counts) {
            let total = match name {
                "LOC" => &mut cpu.timer,
                "RES" | "CAL" | "TLB" => &mut cpu.ipi,
                "NMI" => &mut cpu.nmi,
                "SPU" | "ERR" | "MIS" => &mut cpu.spurious,
                number if number.bytes().all(|byte| byte.is_ascii_digit()) => &mut cpu.device,
                _ => continue,
            };
            *total = total.saturating_add(count);
        }
    }
    cpus
}

/// `/proc/PID/status`: the process id in the innermost PID namespace.
pub fn innermost_pid(text: &str) -> Option<u32> {
    let numbers = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().last()?.parse().ok()
}

/// The files that [`signals`] takes.
#[derive(Debug, Default)]
pub struct Texts<'a> {
    /// `/proc/uptime`.
    pub uptime: &'a str,
    /// `/proc/meminfo`.
    pub meminfo: &'a str,
    /// `/proc/loadavg`.
    pub loadavg: &'a str,
    /// `/proc/interrupts`.
    pub interrupts: &'a str,
    /// `/proc/pressure/cpu`, `memory`, `io`; empty where the kernel has none.
    pub pressure: [&'a str; 3],
}

/// All of it.
pub fn signals(sequence: u64, texts: &Texts<'_>) -> Signals {
    let (load_hundredths, processes) = loadavg(texts.loadavg);
    let [cpu, memory, io] = texts.pressure.map(pressure);
    Signals {
        sequence,
        uptime_ms: uptime_ms(texts.uptime),
        memory_available_kib: meminfo(texts.meminfo, "MemAvailable"),
        load_hundredths,
        processes,
        cpu,
        memory,
        io,
        interrupts: interrupts(texts.interrupts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERRUPTS: &str = "           CPU0       CPU2       
   4:         10         20   IO-APIC   4-edge      ttyS0
  24:          1          2   PCI-MSI 65536-edge      nvme0q0
 NMI:          3          4   Non-maskable interrupts
 LOC:       1000       2000   Local timer interrupts
 SPU:          5          6   Spurious interrupts
 RES:        100        200   Rescheduling interrupts
 CAL:         10         20   Function call interrupts
 TLB:          1          2   TLB shootdowns
 MCP:         99         99   Machine check polls
 ERR:          7
 MIS:          0
";

    #[test]
    fn interrupts_are_summed_by_kind_and_cpu() {
        assert_eq!(
            interrupts(INTERRUPTS),
            [
                Interrupts { cpu: 0, timer: 1000, ipi: 111, nmi: 3, device: 11, spurious: 12 },
                Interrupts { cpu: 2, timer: 2000, ipi: 222, nmi: 4, device: 22, spurious: 6 },
            ]
        );
        assert_eq!(interrupts(""), []);
    }

    #[test]
    fn pressure_is_read_in_hundredths_of_a_percent() {
        let read = pressure(
            "some avg10=1.53 avg60=100.00 avg300=0.07 total=123456\n\
             full avg10=0.00 avg60=0.10 avg300=0.00 total=99\n",
        );
        assert_eq!(
            read.some,
            PressureLine { avg10: 153, avg60: 10_000, avg300: 7, total_us: 123_456 }
        );
        assert_eq!(read.full.avg60, 10);
        assert_eq!(pressure(""), Pressure::default());
        assert_eq!(pressure("some avg10=nan total=-1\nodd\n"), Pressure::default());
    }

    #[test]
    fn the_small_files_are_read() {
        assert_eq!(loadavg("0.52 0.58 0.59 2/1274 31337\n"), (52, 1274));
        assert_eq!(loadavg(""), (0, 0));
        assert_eq!(uptime_ms("350735.47 234388.90\n"), 350_735_470);
        let text = "MemTotal:  502412 kB\nMemAvailableX: 1 kB\nMemAvailable:   4711 kB\n";
        assert_eq!(meminfo(text, "MemAvailable"), 4711);
        assert_eq!(meminfo(text, "SwapTotal"), 0);
    }

    #[test]
    fn the_innermost_pid_is_the_last() {
        assert_eq!(innermost_pid("Name:\tx\nNSpid:\t57\t3\n"), Some(3));
        assert_eq!(innermost_pid("Name:\tx\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = (interrupts(&text), pressure(&text), loadavg(&text), uptime_ms(&text));
            let _ = meminfo(&text, "MemFree");
        }
    }
}
