//! `[net]`: network devices.

use super::{Lowering, Obstacle, nothing};
use crate::catalogue::At;
use crate::import::item::{Of, Origin};
use crate::import::tuned::unit::{Setting, Unit};

/// What ethtool(8) calls parameters, and what its netlink interface does. What is not here has the same
/// name there.
const NAMES: &[(&str, &str, &str)] = &[
    ("coalesce", "adaptive-rx", "use-adaptive-rx"),
    ("coalesce", "adaptive-tx", "use-adaptive-tx"),
    ("coalesce", "rx-frames", "rx-max-frames"),
    ("coalesce", "tx-frames", "tx-max-frames"),
    ("features", "rx", "rx-checksum"),
    ("features", "rx-checksumming", "rx-checksum"),
    ("features", "gro", "rx-gro"),
    ("features", "generic-receive-offload", "rx-gro"),
    ("features", "lro", "rx-lro"),
    ("features", "large-receive-offload", "rx-lro"),
    ("features", "tso", "tx-tcp-segmentation"),
    ("features", "tcp-segmentation-offload", "tx-tcp-segmentation"),
    ("features", "gso", "tx-generic-segmentation"),
    ("features", "generic-segmentation-offload", "tx-generic-segmentation"),
    ("features", "rxhash", "rx-hashing"),
    ("features", "receive-hashing", "rx-hashing"),
    ("features", "ntuple", "rx-ntuple-filter"),
    ("features", "ntuple-filters", "rx-ntuple-filter"),
    ("channels", "combined", "combined-count"),
];

impl Lowering<'_> {
    pub(super) fn net(
        &mut self,
        unit: &Unit,
        option: &Setting,
        text: &str,
    ) -> Result<(), Obstacle> {
        let origin = &option.origin;
        match option.name.as_str() {
            "nf_conntrack_hashsize" => {
                self.set(("module.nf_conntrack.hashsize", Of::Everything), text, false, origin)
            }
            "txqueuelen" => self.of_net(unit, At::Net("tx_queue_len".to_owned()), text, origin),
            "mtu" => self.of_net(unit, At::Link("mtu".to_owned()), text, origin),
            group @ ("coalesce" | "features" | "pause" | "ring" | "channels") => {
                self.pairs(unit, group, text, origin)
            }
            name => Err(nothing::why("net", name).to_owned()),
        }
    }

    /// `rx-usecs 3 tx-usecs 16`
    fn pairs(
        &mut self,
        unit: &Unit,
        group: &str,
        text: &str,
        origin: &Origin,
    ) -> Result<(), Obstacle> {
        let text = text.replace([',', ':', '='], " ");
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.chunks(2) {
            let [name, value] = pair else {
                return Err("a value is missing behind the last name".to_owned());
            };
            let known = NAMES.iter().find(|row| row.0 == group && row.1 == *name);
            let name = known.map_or(*name, |row| row.2);
            let group = if group == "ring" { "rings" } else { group };
            let value = match *value {
                "on" => "1",
                "off" => "0",
                value => value,
            };
            let at = At::Ethtool(format!("{group}.{name}"));
            if let Err(why) = self.of_net(unit, at, value, origin) {
                let told = self.symbols().told(&pair.join(" "));
                self.leave_out(origin, &format!("{told}: {why}"));
            }
        }
        Ok(())
    }

    fn of_net(&mut self, unit: &Unit, at: At, text: &str, origin: &Origin) -> Result<(), Obstacle> {
        let before = self.items.len();
        self.for_devices(unit, (at, Of::Net), text, origin)?;
        for item in self.items.iter_mut().skip(before) {
            let all = matches!(item.setting(), Some((_, Of::Net(patterns))) if patterns.iter().any(|it| it == "*"));
            if all && item.note.is_none() {
                let note =
                    "TuneD leaves virtual devices out, which `*` selects too: name the devices";
                item.note = Some(note.to_owned());
            }
        }
        Ok(())
    }
}
