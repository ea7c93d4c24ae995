//! `[sysctl]`, `[sysfs]`, `[vm]`, `[selinux]`, `[acpi]`: files of the kernel, by name.

use super::{Lowering, Obstacle, item, unquoted};
use crate::import::find::{self, PATTERN, Target};
use crate::import::item::Of;
use crate::import::kernel_text::Numbers;
use crate::import::sysctl;
use crate::import::tuned::unit::Setting;

impl Lowering<'_> {
    pub(super) fn sysctl(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        let text = unquoted(text);
        let path = option.name.replace('.', "/");
        sysctl::is_plain(&path)?;
        if path.contains(PATTERN) {
            return Err("TuneD takes no patterns here".to_owned());
        }
        let worth = self.worth(text)?;
        let Target::Settings(found) = find::of_sysctl(self.catalogue, &path) else {
            let text = self.known(text)?;
            if text.starts_with(['<', '>']) && text.len() > 1 {
                let why = "the catalogue does not know it, and files cannot be raised or lowered";
                return Err(why.to_owned());
            }
            let item = sysctl::unknown(&path, &text, &option.origin, self.catalogue)?;
            self.items.push(item);
            return Ok(());
        };
        for (setting, of) in found {
            let item = item(setting, of, &worth, true, Numbers::C, &option.origin)?;
            self.items.push(item);
        }
        Ok(())
    }

    pub(super) fn sysfs(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        let Some(path) = plain(&option.name) else {
            return Err("TuneD writes below /sys only".to_owned());
        };
        let pattern = path.contains(PATTERN);
        let Target::Settings(found) = find::of_sysfs(self.catalogue, &path) else {
            return match pattern {
                false => self.raw(&format!("/sys/{path}"), text, &option.origin),
                true => Err("the catalogue does not know these files, and `raw` takes no patterns"
                    .to_owned()),
            };
        };
        let mut several = false;
        for (setting, of) in found {
            several |= of == Of::Everything;
            self.set((&setting.name, of), text, false, &option.origin)?;
        }
        if pattern && several {
            let why = "of what the pattern meets, only what the catalogue knows is in the script";
            self.change(&option.origin, why);
        }
        Ok(())
    }

    pub(super) fn vm(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        let name = match option.name.as_str() {
            "transparent_hugepages" | "transparent_hugepage" => "mm.thp",
            "transparent_hugepage.defrag" => "mm.thp.defrag",
            // Newer TuneD has the pages of dirty limits here too.
            "dirty_bytes" | "dirty_ratio" | "dirty_background_bytes" | "dirty_background_ratio" => {
                return self.dirty(option, text);
            }
            _ => return Err("TuneD has no such option of [vm]".to_owned()),
        };
        self.set((name, Of::Everything), text, false, &option.origin)
    }

    /// `dirty_bytes = 40%` is a share.
    fn dirty(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        let (name, text) = match text.strip_suffix('%') {
            Some(share) => (option.name.replace("bytes", "ratio"), share),
            None => (option.name.clone(), text),
        };
        self.set((&format!("vm.{name}"), Of::Everything), text, true, &option.origin)
    }

    pub(super) fn selinux(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        match option.name.as_str() {
            "avc_cache_threshold" => {
                self.raw("/sys/fs/selinux/avc/cache_threshold", text, &option.origin)
            }
            _ => Err("TuneD has no such option of [selinux]".to_owned()),
        }
    }

    pub(super) fn acpi(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        match option.name.as_str() {
            "platform_profile" if !text.contains('|') => {
                self.raw("/sys/firmware/acpi/platform_profile", text, &option.origin)
            }
            "platform_profile" => {
                Err("TuneD takes the first of these that the machine has: scripts cannot choose so"
                    .to_owned())
            }
            _ => Err("TuneD has no such option of [acpi]".to_owned()),
        }
    }
}

/// A path below `/sys`, without it and without `.` and `..`.
fn plain(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let (first, rest) = parts.split_first()?;
    (*first == "sys" && !rest.is_empty()).then(|| rest.join("/"))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn paths_stay_below_sys() {
        assert_eq!(plain("/sys//kernel/./mm/ksm/run").as_deref(), Some("kernel/mm/ksm/run"));
        assert_eq!(plain("/sys/a/../b").as_deref(), Some("b"));
        for path in ["/sys", "/sys/", "/sys/../etc/passwd", "/proc/x", "sys/x", "/sysx/y"] {
            assert_eq!(plain(path), None, "{path}");
        }
    }
}
