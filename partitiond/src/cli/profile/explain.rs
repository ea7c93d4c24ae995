//! `profile explain`

use std::fmt::Write as _;

use profiles::catalogue::{ByKernel, Kernel, Presence, Setting};
use profiles::resolution::Where;
use serde::Serialize;

use super::scripts::catalogue;
use crate::cli::exit::{Failure, NOT_FOUND};
use crate::cli::{Context, output};

/// The entry as data.
#[derive(Serialize)]
struct Answer {
    name: String,
    doc: String,
    takes: String,
    class: String,
    places: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<String>,
    accepts: Option<String>,
    safe: Option<String>,
    condition: Option<String>,
    default: Option<String>,
    danger: Option<String>,
    goes_with: Vec<String>,
    evidence: Vec<String>,
}

/// `profile explain NAME`
pub fn run(context: &Context, name: &str, kernel: Option<&Kernel>) -> Result<(), Failure> {
    let catalogue = catalogue()?;
    let Some(setting) = catalogue.get(name) else {
        let message = format!("the catalogue has no setting `{name}`");
        let failure = Failure::with_status(NOT_FOUND, message);
        return Err(match catalogue.nearest(name) {
            Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
            None => failure,
        });
    };
    let answer = answer(setting, kernel);
    if context.json() { output::json(&answer) } else { output::text(&told(&answer, kernel)) }
}

fn answer(setting: &Setting, kernel: Option<&Kernel>) -> Answer {
    let of = |text: &Option<ByKernel>| match (text, kernel) {
        (Some(text), Some(kernel)) => text.of(kernel).map(str::to_owned),
        (Some(text), None) => Some(text.texts().join(", or ")),
        (None, _) => None,
    };
    let (places, absent) = match kernel.map(|kernel| kernel.find(setting)) {
        Some(Presence::Present(place)) => (vec![Where::of(&place.at, None).to_string()], None),
        Some(Presence::Absent(why)) => (Vec::new(), Some(why)),
        None => {
            let place = |place: &profiles::catalogue::Place| {
                let at = Where::of(&place.at, None);
                match place.kernels.to_string().as_str() {
                    "all" => at.to_string(),
                    kernels => format!("{at} ({kernels})"),
                }
            };
            (setting.places.iter().map(place).collect(), None)
        }
    };
    Answer {
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
    }
}

fn told(answer: &Answer, kernel: Option<&Kernel>) -> String {
    let mut text = format!("{}\n\n  {}\n\n", answer.name, answer.doc);
    let mut line = |what: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {what:<10} {value}");
    };
    line("takes", &answer.takes);
    for place in &answer.places {
        line("where", place);
    }
    if let (Some(why), Some(kernel)) = (&answer.absent, kernel) {
        line("where", &format!("not on {kernel}: {why}"));
    }
    for (what, value) in [
        ("accepted", &answer.accepts),
        ("safe", &answer.safe),
        ("only if", &answer.condition),
        ("default", &answer.default),
        ("danger", &answer.danger),
    ] {
        if let Some(value) = value {
            line(what, value);
        }
    }
    line("class", &answer.class);
    if !answer.goes_with.is_empty() {
        line("goes with", &answer.goes_with.join(", "));
    }
    if !answer.evidence.is_empty() {
        line("read", &answer.evidence.join(", "));
    }
    text
}
