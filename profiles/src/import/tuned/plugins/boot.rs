//! `[bootloader]` and `[modules]`: the kernel's command line, and options of modules.

use super::{Lowering, Obstacle, nothing};
use crate::catalogue::Kind;
use crate::import::find;
use crate::import::item::{Item, Of, Origin};
use crate::import::remark::Fate;
use crate::import::tuned::unit::Setting;

/// The kernel's own command line has 2,048 characters.
const MOST_WORDS: usize = 512;

/// Words for the command line, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    words: Vec<(String, Origin)>,
    /// Options that added or took away something.
    heard: Vec<Origin>,
}

impl Words {
    /// Whether an option added or took away words.
    pub(super) fn came_from(&self, origin: &Origin) -> bool {
        self.heard.contains(origin)
    }
}

impl Lowering<'_> {
    pub(super) fn bootloader(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        if !option.name.starts_with("cmdline") {
            return Err(nothing::why("bootloader", &option.name).to_owned());
        }
        let origin = &option.origin;
        if self.words.words.len() + text.split_whitespace().count() > MOST_WORDS {
            return Err(format!("the command line would have more than {MOST_WORDS} words"));
        }
        if !text.trim_start_matches(['+', '-', '\\']).trim().is_empty() {
            self.words.heard.push(origin.clone());
        }
        // `+` adds, `-` takes away; a backslash says that the sign belongs to the words.
        let escaped = ["\\\\", "\\+", "\\-"].iter().any(|sign| text.starts_with(sign));
        if let Some(gone) = text.strip_prefix('-').filter(|_| !escaped) {
            for word in gone.split_whitespace() {
                let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.words.words)
                    .into_iter()
                    .partition(|(own, _)| own == word);
                self.words.words = kept;
                let told = self.symbols().told(word);
                if gone.is_empty() {
                    let why = format!("takes `{told}` from what others add, and none here adds it");
                    self.leave_out(origin, &why);
                }
                for (_, added) in gone {
                    let why = format!("`{told}` is taken away again in {}", origin.at);
                    self.remarks.push(added.remark(Fate::Overridden, why));
                    let why = format!("it takes away what {} adds", added.at);
                    self.remarks.push(origin.remark(Fate::Overridden, why));
                }
            }
            return Ok(());
        }
        let words = if escaped { text.get(1..).unwrap_or_default() } else { text };
        for word in words.strip_prefix('+').filter(|_| !escaped).unwrap_or(words).split_whitespace()
        {
            let mut origin = origin.clone();
            origin.said = format!("[bootloader] {}: {}", option.name, self.symbols().told(word));
            self.words.words.push((word.to_owned(), origin));
        }
        Ok(())
    }

    /// Turns what is left on the command line into settings.
    pub(super) fn command_line(&mut self) {
        for (word, origin) in std::mem::take(&mut self.words.words) {
            if let Err(why) = self.word(&word, &origin) {
                self.leave_out(&origin, &why);
            }
        }
    }

    fn word(&mut self, word: &str, origin: &Origin) -> Result<(), Obstacle> {
        let Some((setting, value)) = find::of_word(self.catalogue, word) else {
            self.worth(word).map(|_| ())?;
            return Err("the catalogue does not know this word of the command line".to_owned());
        };
        if !matches!(setting.kind, Kind::Cpus(_)) {
            let name = setting.name.clone();
            return self.set((&name, Of::Everything), value, false, origin);
        }
        // `isolcpus=managed_irq,domain,2-7`
        let is_flag = |part: &&str| part.starts_with(|char: char| char.is_ascii_alphabetic());
        let flags: Vec<&str> = value.split(',').take_while(is_flag).collect();
        let list: Vec<&str> = value.split(',').skip(flags.len()).collect();
        let cpus = self.cpus(&list.join(","))?.ok_or("no CPUs are named")?;
        let mut item = Item::computed(setting, Of::Everything, cpus.to_string(), origin.clone())?;
        if !flags.is_empty() {
            let flags = flags.join(",");
            item.note = Some(format!("without `{flags}`, which `{}` cannot hold", setting.name));
        }
        self.items.push(item);
        Ok(())
    }

    /// `module=+r, option=value`
    pub(super) fn modules(&mut self, option: &Setting, text: &str) -> Result<(), Obstacle> {
        let known = self.known(super::unquoted(text))?;
        let (reloads, words) = match known.trim_start().strip_prefix("+r") {
            Some(rest) => (true, rest.trim_start_matches(',').to_owned()),
            None => (false, known),
        };
        if reloads {
            let why = "`+r` loads the module anew; here modules are loaded by the settings that need them";
            self.leave_out(&option.origin, why);
        }
        for word in words.split_whitespace() {
            let Some((name, value)) = word.split_once('=') else {
                self.leave_out(&option.origin, "an option of a module is `name=value`");
                continue;
            };
            let setting = find::of_module(self.catalogue, &option.name, name);
            let done = match setting.map(|setting| setting.name.clone()) {
                Some(name) => self.set((&name, Of::Everything), value, false, &option.origin),
                None => Err(format!("the catalogue has no option `{name}` of this module")),
            };
            if let Err(why) = done {
                self.leave_out(&option.origin, &why);
            }
        }
        Ok(())
    }
}
