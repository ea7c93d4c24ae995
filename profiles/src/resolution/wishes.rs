//! What all members of a family want of each setting, and what comes of it.

use std::collections::BTreeMap;

use super::place::{Where, of_queues};
use super::scope::Environment;
use super::subject::{Entry, NoEntry, entries};
use super::{Goal, NotApplicable, Origin, Present, Request, Resolution, Resolved, safety};
use crate::catalogue::{At, FormError, Kind, Presence, Setting};
use crate::composition::{Candidate, Family, Winner, winner};
use crate::diagnostic::{Diagnostic, Span, codes};
use crate::expression::{Fault, Scope, Value, evaluate};
use crate::script::{Assignment, Change, Direction, Given, Name, Statement, Subject};

/// A value and where it was wished for.
#[derive(Clone, Debug)]
struct Wish {
    value: Value,
    span: Span,
}

/// Everything that is wished for one setting.
#[derive(Debug, Default)]
struct Wished<'a> {
    /// The entry; none for a file that the catalogue does not know.
    setting: Option<&'a Setting>,
    device: Option<String>,
    values: Vec<Candidate<Wish>>,
    least: Vec<Wish>,
    most: Vec<Wish>,
    more: Vec<Wish>,
    less: Vec<Wish>,
    required: Option<Span>,
    origins: Vec<Origin>,
}

/// The wishes of a family.
pub struct Wishes<'a, 'r> {
    request: &'r Request<'a, 'r>,
    environment: &'r Environment<'r>,
    by_name: BTreeMap<String, Wished<'a>>,
    /// Settings that wait for devices which are not there.
    nobody: Vec<NotApplicable>,
}

/// Whose statement is being looked at.
#[derive(Clone, Copy)]
struct Who<'s> {
    member: usize,
    profile: &'s str,
    statement: &'s Statement,
}

impl<'a, 'r> Wishes<'a, 'r> {
    pub fn new(request: &'r Request<'a, 'r>, environment: &'r Environment<'r>) -> Self {
        Self { request, environment, by_name: BTreeMap::new(), nobody: Vec::new() }
    }

    /// Takes in what each member wants.
    pub fn gather(&mut self, family: &Family<'_>, resolution: &mut Resolution<'a>) {
        for (member, profile) in family.members.iter().enumerate() {
            for statement in &profile.statements {
                let who = Who { member, profile: &profile.name.text, statement };
                match self.environment.all_hold(&statement.conditions) {
                    Ok(true) => self.take(who, resolution),
                    Ok(false) => {}
                    Err(fault) => resolution.fault(&fault, || what(statement)),
                }
            }
        }
    }

    fn take(&mut self, who: Who<'_>, resolution: &mut Resolution<'a>) {
        match &who.statement.subject {
            Subject::Raw(file) => self.take_raw(who, file, resolution),
            Subject::Setting { name, of } if name.text == "boot.cmdline" && of.is_none() => {
                self.take_words(who, resolution);
            }
            Subject::Setting { name, of } => {
                let Request { catalogue, present, .. } = *self.request;
                let found = entries(name, of.as_ref(), catalogue, present, self.environment);
                match found {
                    Ok(entries) => {
                        for entry in entries {
                            self.take_entry(who, &entry, resolution);
                        }
                    }
                    Err(NoEntry::Wrong(diagnostic)) => resolution.diagnostics.push(*diagnostic),
                    Err(NoEntry::Nobody { name, reason }) => self.nobody.push(NotApplicable {
                        name,
                        reason,
                        origins: vec![who.origin()],
                    }),
                }
            }
        }
    }

    fn take_entry(&mut self, who: Who<'_>, entry: &Entry<'a>, resolution: &mut Resolution<'a>) {
        let Kind::Record(forms) = &entry.setting.kind else {
            return self.take_value(who, entry, who.statement.change.given(), resolution);
        };
        let given = who.statement.change.given();
        let Given::Record { name: Some(form), fields, .. } = given else {
            let wrong = FormError::Forms(forms.keys().cloned().collect());
            return resolution.diagnostics.push(not_a_value(given.span(), &wrong));
        };
        let Some(parts) = forms.get(&form.text) else {
            let nearest = notation::closest(&form.text, forms.keys().map(String::as_str));
            let wrong = FormError::NotAChoice(form.text.clone(), nearest.map(str::to_owned));
            return resolution.diagnostics.push(not_a_value(form.span, &wrong));
        };
        for (field, given) in fields {
            let Some(setting) =
                parts.get(&field.text).and_then(|part| self.request.catalogue.get(part))
            else {
                let wrong = FormError::Parts(parts.keys().cloned().collect());
                resolution.diagnostics.push(not_a_value(field.span, &wrong));
                continue;
            };
            let entry = Entry { setting, device: entry.device.clone() };
            self.take_value(who, &entry, given, resolution);
        }
    }

    /// Takes in a value of one setting.
    fn take_value(
        &mut self,
        who: Who<'_>,
        entry: &Entry<'a>,
        given: &Given,
        resolution: &mut Resolution<'a>,
    ) {
        let kind = &entry.setting.kind;
        let value = match worth(given, self.environment) {
            Ok(value) => value,
            Err(fault) => return resolution.fault(&fault, || entry.name()),
        };
        let edits =
            matches!(who.statement.change, Change::Assign(Assignment::Add | Assignment::Remove, _));
        if edits && !matches!(kind, Kind::Words(_) | Kind::Cpus(_)) {
            let message =
                format!("`{}` is not a list: `+=` and `-=` are for lists", entry.setting.name);
            let told = Diagnostic::error(codes::NOT_A_VALUE, given.span(), message);
            return resolution.diagnostics.push(told);
        }
        let bounds = matches!(who.statement.change, Change::Bound(..));
        if bounds && value.amount().is_none() {
            let message = format!("{value} is not a number: `raise` and `lower` are for numbers");
            let told = Diagnostic::error(codes::NOT_A_VALUE, given.span(), message);
            return resolution.diagnostics.push(told);
        }
        let typed = match self.successor(entry, value, given.span(), resolution) {
            Ok(typed) => typed,
            Err(wrong) => return resolution.diagnostics.push(not_a_value(given.span(), &wrong)),
        };
        self.add(who, entry, Wish { value: typed, span: given.span() });
    }

    /// A value in its setting's type. Of choices that today's kernels no longer have, the one that took
    /// their place, with a warning.
    fn successor(
        &self,
        entry: &Entry<'a>,
        value: Value,
        span: Span,
        resolution: &mut Resolution<'a>,
    ) -> Result<Value, FormError> {
        let typed = entry.setting.kind.typed(&value);
        let Err(FormError::NotAChoice(word, _)) = &typed else { return typed };
        let Some(today) = entry.setting.former.get(word) else { return typed };
        let message = format!("`{word}` is gone; `{today}` took its place");
        let told = Diagnostic::warning(codes::FORMER, span, message);
        resolution.diagnostics.push(told.fix(format!("write `{today}`"), span, today.clone()));
        entry.setting.kind.typed(&Value::word(today))
    }

    fn add(&mut self, who: Who<'_>, entry: &Entry<'a>, wish: Wish) {
        let wished = self.by_name.entry(entry.name()).or_insert_with(|| Wished {
            setting: Some(entry.setting),
            device: entry.device.clone(),
            ..Wished::default()
        });
        wished.add(who, wish);
    }

    fn take_raw(&mut self, who: Who<'_>, file: &Name, resolution: &mut Resolution<'a>) {
        if let Err(why) = safety::raw_path(&file.text) {
            let told = Diagnostic::error(codes::RAW_PATH, file.span, why);
            return resolution.diagnostics.push(told);
        }
        let given = who.statement.change.given();
        let value = match worth(given, self.environment) {
            Ok(value) => value,
            Err(fault) => return resolution.fault(&fault, || file.text.clone()),
        };
        if let Value::Quantity(..) | Value::List(_) | Value::Range(..) = &value {
            let message = format!("what {} counts in is not known", file.text);
            let told = Diagnostic::error(codes::NOT_A_VALUE, given.span(), message);
            return resolution
                .diagnostics
                .push(told.help("write the number or text that the file takes"));
        }
        let wished = self.by_name.entry(file.text.clone()).or_default();
        wished.add(who, Wish { value, span: given.span() });
    }

    /// `cmdline += "skew_tick=1"`: each word is a setting of the catalogue.
    fn take_words(&mut self, who: Who<'_>, resolution: &mut Resolution<'a>) {
        let given = who.statement.change.given();
        let Change::Assign(Assignment::Add, _) = &who.statement.change else {
            let message = "words can only be added to the kernel command line";
            let told = Diagnostic::error(codes::NOT_A_VALUE, given.span(), message);
            return resolution.diagnostics.push(told.help("write `cmdline += …`"));
        };
        let texts = match worth(given, self.environment) {
            Ok(Value::List(values)) => values,
            Ok(value) => vec![value],
            Err(fault) => return resolution.fault(&fault, || "boot.cmdline".to_owned()),
        };
        let words = texts.iter().flat_map(|text| match text {
            Value::Text(text) | Value::Word(text) => text.split_whitespace().collect(),
            _ => Vec::new(),
        });
        for word in words {
            let Some((setting, rest)) = of_word(self.request.catalogue, word) else {
                let message = format!("the catalogue does not know `{word}` of the command line");
                resolution.diagnostics.push(Diagnostic::error(
                    codes::UNKNOWN_SETTING,
                    given.span(),
                    message,
                ));
                continue;
            };
            let Some(value) = setting.kind.parsed(rest) else {
                let message = format!("`{rest}` is no value of `{}`", setting.name);
                let told = Diagnostic::error(codes::NOT_A_VALUE, given.span(), message);
                resolution
                    .diagnostics
                    .push(told.help(format!("it takes {}", setting.kind.wanted())));
                continue;
            };
            let entry = Entry { setting, device: None };
            let wished = self
                .by_name
                .entry(entry.name())
                .or_insert_with(|| Wished { setting: Some(setting), ..Wished::default() });
            wished.assign(who, Wish { value, span: given.span() });
        }
    }

    /// Decides about each setting, and looks where it is in this kernel.
    pub fn decide(self, family: &Family<'_>, guarded: bool, resolution: &mut Resolution<'a>) {
        resolution.not_applicable.extend(self.nobody);
        let mut decided = Vec::new();
        for (name, wished) in self.by_name {
            let Some(goal) = wished.goal(&name, family, resolution) else { continue };
            let Some(setting) = wished.setting else {
                decided.push(Resolved {
                    setting: None,
                    place: Where::File(name.clone()),
                    name,
                    goal,
                    origins: wished.origins,
                    needs_guard: Some("the catalogue does not know what it does".to_owned()),
                    modules: Vec::new(),
                });
                continue;
            };
            match self.request.facts.kernel.find(setting) {
                Presence::Present(place) if place.access == crate::catalogue::Access::ReadOnly => {
                    let reason = "this kernel does not let it be changed".to_owned();
                    wished.not_applicable(name, reason, resolution);
                }
                Presence::Present(place) => {
                    let modules = modules(setting, &goal);
                    let resolved = |name: String, place: Where| Resolved {
                        setting: Some(setting),
                        name,
                        place,
                        goal: goal.clone(),
                        origins: wished.origins.clone(),
                        needs_guard: None,
                        modules: modules.clone(),
                    };
                    match queues(self.request.present, &place.at, wished.device.as_deref()) {
                        None => {
                            let place = Where::of(&place.at, wished.device.as_deref());
                            decided.push(resolved(name, place));
                        }
                        Some(queues) if queues.is_empty() => {
                            let reason = "the device has no such queue".to_owned();
                            wished.not_applicable(name, reason, resolution);
                        }
                        Some(queues) => decided.extend(
                            queues
                                .into_iter()
                                .map(|(queue, place)| resolved(format!("{name}/{queue}"), place)),
                        ),
                    }
                }
                Presence::Absent(why) => wished.not_applicable(name, why, resolution),
            }
        }
        safety::check(&mut decided, family, self.environment, guarded, resolution);
        resolution.settings = decided;
    }
}

/// The places of a setting that each queue of a device has, where it is one and they are known.
fn queues(present: &Present, at: &At, device: Option<&str>) -> Option<Vec<(String, Where)>> {
    let device = device?;
    of_queues(at, device, present.queues.get(device)?)
}

impl Who<'_> {
    fn origin(&self) -> Origin {
        Origin { span: self.statement.span, profile: self.profile.to_owned() }
    }
}

impl<'a> Wished<'a> {
    fn add(&mut self, who: Who<'_>, wish: Wish) {
        match &who.statement.change {
            Change::Assign(Assignment::Set, _) => return self.assign(who, wish),
            Change::Assign(Assignment::Add, _) => self.more.push(wish),
            Change::Assign(Assignment::Remove, _) => self.less.push(wish),
            Change::Bound(Direction::Raise, _) => self.least.push(wish),
            Change::Bound(Direction::Lower, _) => self.most.push(wish),
        }
        self.known(who);
    }

    fn assign(&mut self, who: Who<'_>, wish: Wish) {
        let priority = who.statement.priority;
        self.values.push(Candidate { member: who.member, priority, value: wish });
        self.known(who);
    }

    fn known(&mut self, who: Who<'_>) {
        self.origins.push(who.origin());
        if who.statement.required {
            self.required.get_or_insert(who.statement.span);
        }
    }

    /// What is to become of the setting; none where that is an error.
    fn goal(
        &self,
        name: &str,
        family: &Family<'_>,
        resolution: &mut Resolution<'a>,
    ) -> Option<Goal> {
        let tightest = |wishes: &[Wish], greatest: bool| {
            let amount = |wish: &&Wish| wish.value.amount();
            let found = if greatest {
                wishes.iter().max_by_key(amount)
            } else {
                wishes.iter().min_by_key(amount)
            };
            found.cloned()
        };
        let (least, most) = (tightest(&self.least, true), tightest(&self.most, false));
        if let (Some(least), Some(most)) = (&least, &most)
            && least.value.amount() > most.value.amount()
        {
            let message =
                format!("`{name}` is to be at least {} and at most {}", least.value, most.value);
            resolution.diagnostics.push(
                Diagnostic::error(codes::CONFLICT, least.span, message)
                    .related(most.span, "at most this"),
            );
            return None;
        }
        let values = |wishes: &[Wish]| -> Vec<Value> {
            wishes.iter().map(|wish| wish.value.clone()).collect()
        };
        let value = match winner(family, &self.values, |one, other| one.value == other.value) {
            Some(Winner::Agreed(agreed)) => agreed.first()?.value.value.clone(),
            Some(Winner::Conflict(one, other)) => {
                resolution.diagnostics.push(conflict(name, family, one, other));
                return None;
            }
            None if !self.more.is_empty() || !self.less.is_empty() => {
                return Some(Goal::Edited { more: values(&self.more), less: values(&self.less) });
            }
            None => {
                return Some(Goal::Within(
                    least.map(|wish| wish.value),
                    most.map(|wish| wish.value),
                ));
            }
        };
        let value = match (least, most) {
            (Some(least), _) if value.amount() < least.value.amount() => least.value,
            (_, Some(most)) if value.amount() > most.value.amount() => most.value,
            _ => value,
        };
        Some(Goal::Exactly(edited(value, &values(&self.more), &values(&self.less))))
    }

    fn not_applicable(self, name: String, reason: String, resolution: &mut Resolution<'a>) {
        if let Some(span) = self.required {
            let message = format!("`{name}` is required, and this kernel does not have it");
            let told = Diagnostic::error(codes::NOT_HERE, span, message);
            resolution.diagnostics.push(told.label(reason.clone()));
        }
        resolution.not_applicable.push(NotApplicable { name, reason, origins: self.origins });
    }
}

/// A list or set with more and less in it; what is added comes in no order, so it is sorted.
pub(crate) fn edited(value: Value, more: &[Value], less: &[Value]) -> Value {
    match value {
        Value::List(values) => {
            let all = |edits: &[Value]| -> Vec<Value> { edits.iter().flat_map(listed).collect() };
            let (mut added, less) = (all(more), all(less));
            added.retain(|word| !values.contains(word));
            added.sort_by_key(Value::to_string);
            added.dedup();
            let kept = values.into_iter().chain(added).filter(|word| !less.contains(word));
            Value::List(kept.collect())
        }
        Value::Cpus(cpus) => {
            let all = |edits: &[Value]| {
                let cpus = edits.iter().filter_map(|edit| edit.to_cpus().ok());
                cpus.reduce(|sum, next| sum.union(&next)).unwrap_or_default()
            };
            Value::Cpus(cpus.union(&all(more)).difference(&all(less)))
        }
        other => other,
    }
}

fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::List(values) => values.clone(),
        one => vec![one.clone()],
    }
}

fn conflict(
    name: &str,
    family: &Family<'_>,
    one: &Candidate<Wish>,
    other: &Candidate<Wish>,
) -> Diagnostic {
    // In the order of the files, so that the order of parents does not matter.
    let (one, other) = if other.value.span < one.value.span { (other, one) } else { (one, other) };
    let of = |candidate: &Candidate<Wish>| {
        family.members.get(candidate.member).map(|member| member.name.text.clone())
    };
    let (first, second) = (of(one).unwrap_or_default(), of(other).unwrap_or_default());
    let (mine, theirs) = (&one.value.value, &other.value.value);
    let message = match first == second {
        true => format!("`{first}` sets `{name}` to {mine} and to {theirs}"),
        false => format!("`{first}` sets `{name}` to {mine}, and `{second}` to {theirs}"),
    };
    let told = Diagnostic::error(codes::CONFLICT, one.value.span, message)
        .related(other.value.span, "the other value");
    match first == second {
        true => told.help("keep one, or give one of them a condition that the other has not"),
        false => told.help("decide in the profile that extends both"),
    }
}

/// The setting of a word of the command line, and what stands behind its `=`.
fn of_word<'a, 'w>(
    catalogue: &'a crate::catalogue::Catalogue,
    word: &'w str,
) -> Option<(&'a Setting, &'w str)> {
    let named = |setting: &&Setting, key: &str| {
        setting.places.iter().any(|place| matches!(&place.at, At::CommandLine(own) if own == key))
    };
    match word.split_once('=') {
        Some((key, value)) => {
            let key = format!("{key}=");
            catalogue
                .settings()
                .find(|setting| named(setting, &key))
                .map(|setting| (setting, value))
        }
        None => {
            catalogue.settings().find(|setting| named(setting, word)).map(|setting| (setting, word))
        }
    }
}

/// What a given value is worth.
fn worth(given: &Given, scope: &dyn Scope) -> Result<Value, Fault> {
    match given {
        Given::Expression(expression) => evaluate(expression, scope),
        Given::Record { fields, .. } => {
            let field =
                |(name, given): &(Name, Given)| Ok((name.text.clone(), worth(given, scope)?));
            fields.iter().map(field).collect::<Result<_, _>>().map(Value::Record)
        }
        Given::Words(words, _) => {
            let words: Result<Vec<_>, _> = words
                .iter()
                .map(|word| {
                    evaluate(word, scope).map(|value| match value {
                        Value::Text(text) => text,
                        other => other.to_string(),
                    })
                })
                .collect();
            Ok(Value::Text(words?.join(" ")))
        }
    }
}

fn not_a_value(span: Span, wrong: &FormError) -> Diagnostic {
    let told = Diagnostic::error(codes::NOT_A_VALUE, span, wrong.to_string());
    match wrong {
        FormError::NotAChoice(_, Some(nearest)) => {
            told.fix(format!("did you mean `{nearest}`?"), span, nearest.clone())
        }
        _ => told,
    }
}

/// The modules that a setting, or its value, needs.
fn modules(setting: &Setting, goal: &Goal) -> Vec<String> {
    let mut modules = setting.modules.clone();
    if let Goal::Exactly(value) = goal {
        let words = listed(value).into_iter().map(|word| match word {
            // Behind its kind stand a discipline's parameters.
            Value::Text(text) if setting.kind == Kind::Discipline => {
                text.split(' ').next().unwrap_or_default().to_owned()
            }
            Value::Text(text) => text,
            other => other.to_string(),
        });
        modules.extend(words.filter_map(|word| setting.value_modules.get(&word).cloned()));
    }
    modules
}

fn what(statement: &Statement) -> String {
    match &statement.subject {
        Subject::Raw(file) => file.text.clone(),
        Subject::Setting { name, .. } => name.text.clone(),
    }
}
