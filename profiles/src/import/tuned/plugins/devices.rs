//! `[disk]`, `[scsi_host]`, `[audio]`: devices and their power saving.

use super::{Lowering, Obstacle, nothing};
use crate::catalogue::At;
use crate::import::item::Of;
use crate::import::tuned::unit::{Setting, Unit};
use transaction::glob::matches;

/// Drivers of sound cards that save power, and whether they can reset their controller.
const SOUND: [(&str, bool); 2] = [("snd_hda_intel", true), ("snd_ac97_codec", false)];

impl Lowering<'_> {
    pub(super) fn disk(
        &mut self,
        unit: &Unit,
        option: &Setting,
        text: &str,
    ) -> Result<(), Obstacle> {
        let at = |file: &str| (At::Block(file.to_owned()), Of::Block as fn(Vec<String>) -> Of);
        match option.name.as_str() {
            "elevator" => self.for_devices(unit, at("queue/scheduler"), text, &option.origin),
            "readahead" => {
                let known = self.known(text)?;
                let kib = kib(&known).ok_or("it is no number of KiB, or of sectors (`8192 s`)")?;
                self.for_devices(unit, at("queue/read_ahead_kb"), &kib, &option.origin)
            }
            name => Err(nothing::why("disk", name).to_owned()),
        }
    }

    pub(super) fn scsi_host(
        &mut self,
        unit: &Unit,
        option: &Setting,
        text: &str,
    ) -> Result<(), Obstacle> {
        let file = "class/scsi_host/host{host}/link_power_management_policy";
        match option.name.as_str() {
            "alpm" => {
                let at = (At::Sysfs(file.to_owned()), Of::Block as fn(Vec<String>) -> Of);
                self.for_devices(unit, at, text, &option.origin)
            }
            _ => Err("TuneD has no such option of [scsi_host]".to_owned()),
        }
    }

    pub(super) fn audio(
        &mut self,
        unit: &Unit,
        option: &Setting,
        text: &str,
    ) -> Result<(), Obstacle> {
        let (file, resets) = match option.name.as_str() {
            "timeout" => ("power_save", false),
            "reset_controller" => ("power_save_controller", true),
            _ => return Err("TuneD has no such option of [audio]".to_owned()),
        };
        let known = self.known(text)?;
        let value = match (resets, known.trim()) {
            (true, "1" | "true" | "True") => "1",
            (true, _) => "0",
            (false, seconds) => seconds,
        };
        let (patterns, _) = self.devices(unit)?;
        let meant = |driver: &str| patterns.iter().any(|pattern| matches(pattern, driver));
        for (driver, can_reset) in SOUND {
            if meant(driver) && (can_reset || !resets) {
                let path = format!("/sys/module/{driver}/parameters/{file}");
                self.raw(&path, value, &option.origin)?;
            }
        }
        Ok(())
    }
}

/// `>4096`, or in sectors `8192 s`.
fn kib(text: &str) -> Option<String> {
    let bare = text.trim_start_matches(['<', '>']);
    let bound = text.get(..text.len() - bare.len()).filter(|bound| bound.len() <= 1)?;
    let mut words = bare.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let sectors = words.next().is_some_and(|unit| unit.starts_with('s'));
    Some(format!("{bound}{}", if sectors { number / 2 } else { number }))
}

#[cfg(test)]
mod tests {
    use super::kib;

    #[test]
    fn read_ahead_is_in_kib_or_sectors() {
        for (text, wanted) in [
            (">4096", Some(">4096")),
            ("8192 s", Some("4096")),
            ("16", Some("16")),
            ("x", None),
            (">>1", None),
        ] {
            assert_eq!(kib(text).as_deref(), wanted, "{text}");
        }
    }
}
