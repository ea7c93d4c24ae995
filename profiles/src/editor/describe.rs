//! What is known of a name.

use super::complete::assigned;
use super::{Cursor, Hover};
use crate::explanation::Explanation;
use crate::expression::functions;
use crate::facts;

impl Cursor<'_> {
    /// What is known of the name here.
    pub fn hover(&self) -> Option<Hover> {
        let name = self.name();
        if name.is_empty() || self.is_prose() {
            return None;
        }
        let setting =
            || self.setting(name).map(|setting| explained(&Explanation::of(setting, None)));
        let text = if self.names_a_profile() {
            self.profile(name)?
        } else if self.is_given() {
            self.parameter(name)
                .or_else(|| fact(name))
                .or_else(setting)
                .or_else(|| function(name))?
        } else {
            setting().or_else(|| fact(name)).or_else(|| function(name))?
        };
        Some(Hover { range: self.name.clone(), text })
    }

    /// Whether a value or a condition stands here, not the name of a setting.
    fn is_given(&self) -> bool {
        let before = self.before();
        let conditions = ["require ", "forbid ", "if ", "when ", "rollback "];
        self.is_watching()
            || assigned(before).is_some()
            || before.contains(" if ")
            || before.contains(" to ")
            || conditions.iter().any(|word| before.starts_with(word))
    }

    fn profile(&self, name: &str) -> Option<String> {
        let profile = self.scripts.library.profile(name)?;
        let parents: Vec<&str> = profile.parents.iter().map(|it| it.text.as_str()).collect();
        let extends = match parents.as_slice() {
            [] => String::new(),
            parents => format!(" extends {}", parents.join(", ")),
        };
        Some(format!("**profile {name}**{extends}\n\n{}", profile.doc))
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let family = self.scripts.library.family(self.around.profile.as_ref()?).ok()?;
        let mut parameters = family.members.iter().flat_map(|member| &member.parameters);
        let parameter = parameters.find(|it| it.name.text == name)?;
        let of = parameter.of.as_ref().map(|of| format!(": {of}")).unwrap_or_default();
        Some(format!("**param {name}**{of}\n\n{}", parameter.doc))
    }
}

fn explained(explanation: &Explanation) -> String {
    let Explanation { name, doc, .. } = explanation;
    format!("**{name}**\n\n{doc}\n\n```text\n{}```\n", explanation.details())
}

fn fact(name: &str) -> Option<String> {
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    let fact = facts::named(&path)?;
    Some(format!("**{}**: {}\n\n{}", fact.name, fact.of, fact.doc))
}

fn function(name: &str) -> Option<String> {
    let (_, usage) = functions().find(|(known, _)| *known == name)?;
    Some(format!("`{usage}`"))
}
