//! `profile explain`

use profiles::catalogue::Kernel;
use profiles::explanation::Explanation;

use super::scripts::catalogue;
use crate::cli::exit::{Failure, NOT_FOUND};
use crate::cli::{Context, output};

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
    let answer = Explanation::of(setting, kernel);
    if context.json() { output::json(&answer) } else { output::text(&answer.to_string()) }
}
