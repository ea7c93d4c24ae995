//! Signals of a machine, from its files: pressure, load, memory.

use super::Look;
use crate::expression::{Found, Scope, Value};
use crate::syntax::literal::{Dimension, Number, Version};

/// Reads a signal each time it is asked for.
pub struct Signals<'l>(pub &'l dyn Look);

impl Signals<'_> {
    fn text(&self, path: &str) -> Option<String> {
        self.0.text(path)
    }

    /// `psi.io.full.avg10`: Documentation/accounting/psi.rst.
    fn pressure(&self, resource: &str, line: &str, average: &str) -> Option<Value> {
        let text = self.text(&format!("proc/pressure/{resource}"))?;
        let line = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '))?;
        let word =
            line.split(' ').find_map(|word| word.strip_prefix(average)?.strip_prefix('='))?;
        // Two digits behind the point: hundredths of a percent.
        let hundredths: i128 = word.replace('.', "").parse().ok()?;
        Some(Value::Quantity(hundredths * 100, Dimension::Share))
    }

    fn load(&self, index: usize) -> Option<Value> {
        let text = self.text("proc/loadavg")?;
        let word = text.split_whitespace().nth(index)?;
        let digits = word.replace('.', "").parse().ok()?;
        let version = Version { major: 0, minor: 0, patch: None };
        Some(Value::Decimal(Number { digits, scale: 2 }, version))
    }

    /// Those of the facts about memory that change by themselves.
    fn memory(&self, what: &str) -> Option<Value> {
        let name = match what {
            "available" => "MemAvailable",
            "committed" => "Committed_AS",
            "total" => "MemTotal",
            _ => return None,
        };
        let text = self.text("proc/meminfo")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: i128 = line.split_whitespace().next()?.parse().ok()?;
        Some(Value::Quantity(kib.saturating_mul(1024), Dimension::Size))
    }

    fn find_some(&self, path: &[&str]) -> Option<Value> {
        match path {
            ["psi", resource @ ("cpu" | "io" | "memory"), line @ ("some" | "full"), average] => {
                self.pressure(resource, line, average)
            }
            ["memory", what] => self.memory(what),
            ["load", "avg1"] => self.load(0),
            ["load", "avg5"] => self.load(1),
            ["load", "avg15"] => self.load(2),
            [ask @ ("exists" | "active"), of] => Some(Value::Flag(holds(self.0, ask, of))),
            _ => None,
        }
    }
}

/// What `exists("/path")` and `active("name.service")` ask for: whether there is such a file or directory, or
/// a control group in which systemd runs that unit.
pub fn holds(files: &dyn Look, ask: &str, of: &str) -> bool {
    let group = format!("sys/fs/cgroup/system.slice/{of}");
    let path = if ask == "active" { &group } else { of.trim_start_matches('/') };
    files.text(path).is_some() || files.names(path).is_some()
}

impl Scope for Signals<'_> {
    fn find(&self, path: &[String]) -> Found {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match self.find_some(&parts) {
            Some(value) => Found::Value(value),
            None if path.len() == 1 => Found::Nothing,
            None => Found::NotKnownHere,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::facts::Beneath;

    #[test]
    fn pressure_and_load_are_read() {
        let root = std::env::temp_dir().join(format!("signals-{}", std::process::id()));
        fs::create_dir_all(root.join("proc/pressure")).unwrap();
        fs::write(
            root.join("proc/pressure/io"),
            "some avg10=2.04 avg60=0.75 avg300=0.40 total=157656722\n\
             full avg10=0.30 avg60=0.13 avg300=0.96 total=105340256\n",
        )
        .unwrap();
        fs::write(root.join("proc/meminfo"), "MemTotal: 2048 kB\nMemAvailable: 1024 kB\n").unwrap();
        fs::write(root.join("proc/loadavg"), "0.25 1.50 12.00 1/123 4567\n").unwrap();
        let told = |name: &str| {
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            match Signals(&Beneath(&root)).find(&path) {
                Found::Value(value) => value.to_string(),
                other => format!("{other:?}"),
            }
        };
        let all = [
            "psi.io.some.avg10",
            "psi.io.full.avg300",
            "load.avg5",
            "psi.cpu.some.avg10",
            "rt",
            "memory.available",
            "memory.swap",
        ]
        .map(told);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(all[5..], ["1MiB", "NotKnownHere"]);
        assert_eq!(all[..5], ["2.04%", "0.96%", "1.50", "NotKnownHere", "Nothing"]);
    }
}
