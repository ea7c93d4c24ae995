//! What the catalogue knows of one setting, for people: what `profile explain` prints, and what an editor
//! shows beside a name.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::catalogue::{ByKernel, Kernel, Place, Presence, Setting};
use crate::resolution::Where;

/// An entry in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The setting's name.
    pub name: String,
    /// What it does.
    pub doc: String,
    /// Which values it takes.
    pub takes: String,
    /// How a change takes effect.
    pub class: String,
    /// Where it is, with the kernels for which that holds.
    pub places: Vec<String>,
    /// Why the kernel that was asked about does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// What kernels take, as their files hold it.
    pub accepts: Option<String>,
    /// What may be written.
    pub safe: Option<String>,
    /// What has to hold besides.
    pub condition: Option<String>,
    /// The value after boot.
    pub default: Option<String>,
    /// What happens outside of what is safe.
    pub danger: Option<String>,
    /// Settings to look at together with it.
    pub goes_with: Vec<String>,
    /// Where this can be read.
    pub evidence: Vec<String>,
    #[serde(skip)]
    kernel: Option<Kernel>,
}

impl Explanation {
    /// Of a setting, in one kernel or in all.
    pub fn of(setting: &Setting, kernel: Option<&Kernel>) -> Self {
        let of = |text: &Option<ByKernel>| match (text, kernel) {
            (Some(text), Some(kernel)) => text.of(kernel).map(str::to_owned),
            (Some(text), None) => Some(text.texts().join(", or ")),
            (None, _) => None,
        };
        let (places, absent) = match kernel.map(|kernel| kernel.find(setting)) {
            Some(Presence::Present(place)) => (vec![Where::of(&place.at, None).to_string()], None),
            Some(Presence::Absent(why)) => (Vec::new(), Some(why)),
            None => (setting.places.iter().map(with_kernels).collect(), None),
        };
        Self {
            name: setting.name.clone(),
            doc: setting.doc.clone(),
            takes: setting.kind.wanted(),
            class: format!("{:?}", setting.class).to_lowercase(),
            places,
            absent,
            accepts: of(&setting.accepts),
            safe: of(&setting.safe),
            condition: of(&setting.condition),
            default: of(&setting.default),
            danger: setting.danger.clone(),
            goes_with: setting.couples.iter().map(|couple| couple.other().to_owned()).collect(),
            evidence: setting.evidence.clone(),
            kernel: kernel.cloned(),
        }
    }

    /// All but name and words about it, one fact a line, indented by two.
    pub fn details(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {what:<10} {value}");
        };
        line("takes", &self.takes);
        for place in &self.places {
            line("where", place);
        }
        if let (Some(why), Some(kernel)) = (&self.absent, &self.kernel) {
            line("where", &format!("not on {kernel}: {why}"));
        }
        for (what, value) in [
            ("accepted", &self.accepts),
            ("safe", &self.safe),
            ("only if", &self.condition),
            ("default", &self.default),
            ("danger", &self.danger),
        ] {
            if let Some(value) = value {
                line(what, value);
            }
        }
        line("class", &self.class);
        if !self.goes_with.is_empty() {
            line("goes with", &self.goes_with.join(", "));
        }
        if !self.evidence.is_empty() {
            line("read", &self.evidence.join(", "));
        }
        text
    }
}

/// The text of `profile explain`; it ends with a newline.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\n  {}\n\n{}", self.name, self.doc, self.details())
    }
}

fn with_kernels(place: &Place) -> String {
    let at = Where::of(&place.at, None);
    match place.kernels.to_string().as_str() {
        "all" => at.to_string(),
        kernels => format!("{at} ({kernels})"),
    }
}
