//! Statements to a script.

mod notes;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::error::{ImportError, Problem};
use super::item::{Change, Item, Of, Subject};
use super::name;
use super::remark::{Fate, Remark};
use super::{Imported, Options, Written};
use crate::catalogue::{At, Catalogue, Kind, Setting};
use crate::diagnostic::{FileId, MAX_SCRIPT};
use crate::expression::Value;
use crate::syntax::literal::Dimension;
use crate::syntax::{fmt, parse};

/// A profile to be written.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub name: String,
    /// Lines of the doc comment.
    pub doc: Vec<String>,
    pub parents: Vec<String>,
    pub items: Vec<Item>,
}

/// What a reader makes of its sources.
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    /// Each behind its parents.
    pub profiles: Vec<Draft>,
    pub remarks: Vec<Remark>,
}

/// The script.
pub fn script(
    drafts: Drafts,
    catalogue: &Catalogue,
    options: &Options,
) -> Result<Imported, ImportError> {
    let mut imported = Imported { remarks: drafts.remarks, ..Imported::default() };
    let mut text = String::new();
    for draft in &drafts.profiles {
        profile(draft, catalogue, options, &mut text, &mut imported);
        imported.profiles.push(draft.name.clone());
    }
    imported.remarks.sort_by(|one, other| {
        (one.fate, &one.at, &one.what).cmp(&(other.fate, &other.at, &other.what))
    });
    imported.remarks.dedup();
    notes::write(&imported.remarks, &mut text);
    if text.len() > MAX_SCRIPT {
        return Err(Problem::Script.into());
    }
    let parsed = parse(FileId::default(), &text);
    if let Some(wrong) = parsed.diagnostics().first() {
        return Err(Problem::Defect(wrong.message.clone()).into());
    }
    imported.script = fmt::format(&parsed).map_err(|wrong| Problem::Defect(wrong.to_string()))?;
    match imported.script.len() > MAX_SCRIPT {
        true => Err(Problem::Script.into()),
        false => Ok(imported),
    }
}

/// Writing to a string does not fail.
macro_rules! put {
    ($out:expr, $($part:tt)*) => {{
        let _ = writeln!($out, $($part)*);
    }};
}
use put;

fn profile(
    draft: &Draft,
    catalogue: &Catalogue,
    options: &Options,
    out: &mut String,
    imported: &mut Imported,
) {
    let (active, withheld): (Vec<&Item>, Vec<&Item>) =
        draft.items.iter().partition(|item| item.refused.is_none() || options.refused);
    for item in &draft.items {
        remarks(item, options, &mut imported.remarks);
    }
    for doc in draft.doc.iter().filter(|doc| !doc.trim().is_empty()) {
        put!(out, "/// {}", name::comment(doc.trim()));
    }
    let _ = write!(out, "profile {}", draft.name);
    if !draft.parents.is_empty() {
        let _ = write!(out, " extends {}", draft.parents.join(", "));
    }
    put!(out, " {{");
    let statements = Statements::of(&active, catalogue);
    for (group, lines) in [&statements.head, &statements.plain].into_iter().enumerate() {
        for statement in lines {
            put!(out, "{statement}");
        }
        if group == 0 && !lines.is_empty() {
            put!(out, "");
        }
    }
    for (of, lines) in &statements.blocks {
        match lines.as_slice() {
            [one] => put!(out, "\n{} {{ {one} }}", selector(of)),
            lines => put!(out, "\n{} {{\n{}\n}}", selector(of), lines.join("\n")),
        }
    }
    if !withheld.is_empty() {
        put!(out, "\n// Not in force; why is said at the end:");
        for item in withheld {
            let statement = statement(item, catalogue);
            let statement = match block_of(item) {
                Some(of) => format!("{} {{ {statement} }}", selector(of)),
                None => statement,
            };
            put!(out, "// {}", name::comment(&statement));
        }
    }
    put!(out, "}}\n");
    if let Some(within) = options.guard {
        put!(out, "guard {} {{ confirm within {} }}\n", draft.name, duration(within));
    }
    imported.written.extend(active.iter().map(|item| Written {
        at: item.origin.at.clone(),
        profile: draft.name.clone(),
        what: what(&item.subject),
        statement: statement(item, catalogue),
    }));
}

/// What is to be known about an item that is written.
fn remarks(item: &Item, options: &Options, remarks: &mut Vec<Remark>) {
    if let Some(note) = &item.note {
        remarks.push(item.origin.remark(Fate::Changed, note.clone()));
    }
    match (&item.refused, &item.guard) {
        (Some(why), _) if options.refused => {
            remarks.push(item.origin.remark(Fate::Changed, format!("`check` refuses it: {why}")));
        }
        (Some(why), _) => remarks.push(item.origin.remark(Fate::Withheld, why.clone())),
        (None, Some(why)) if options.guard.is_none() => {
            remarks.push(item.origin.remark(Fate::NeedsGuard, why.clone()));
        }
        _ => {}
    }
}

fn what(subject: &Subject) -> String {
    match subject {
        Subject::Parameter(name) | Subject::Setting(name, _) => name.clone(),
        Subject::Requirement(expression) => expression.clone(),
        Subject::Raw(path) => path.clone(),
    }
}

/// A time as a script writes it, in whole milliseconds.
fn duration(time: Duration) -> String {
    let most = u64::MAX / 1_000_000;
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(most).clamp(1, most);
    Value::Quantity(i128::from(milliseconds) * 1_000_000, Dimension::Time).to_string()
}

/// The statements of a profile, by where they stand.
#[derive(Default)]
struct Statements {
    /// Parameters and requirements.
    head: Vec<String>,
    plain: Vec<String>,
    blocks: Vec<(Of, Vec<String>)>,
}

impl Statements {
    fn of(items: &[&Item], catalogue: &Catalogue) -> Self {
        let mut statements = Self::default();
        let folded = folded(items, catalogue);
        for (at, item) in items.iter().enumerate() {
            if let Some((_, record)) = folded.iter().find(|(members, _)| members.contains(&at)) {
                // In the place of its first part.
                if !statements.plain.contains(record) {
                    statements.plain.push(record.clone());
                }
                continue;
            }
            let text = statement(item, catalogue);
            match (&item.subject, block_of(item)) {
                (Subject::Parameter(_) | Subject::Requirement(_), _) => statements.head.push(text),
                (_, Some(of)) => match statements.blocks.iter_mut().find(|(own, _)| own == of) {
                    Some((_, lines)) => lines.push(text),
                    None => statements.blocks.push((of.clone(), vec![text])),
                },
                (_, None) => statements.plain.push(text),
            }
        }
        statements
    }
}

/// Values with parts (`vm.dirty`) all of whose parts are there: which items, and the statement.
fn folded(items: &[&Item], catalogue: &Catalogue) -> Vec<(BTreeSet<usize>, String)> {
    let mut folded = Vec::new();
    for setting in catalogue.settings() {
        let Kind::Record(forms) = &setting.kind else { continue };
        for (form, parts) in forms {
            let part = |(at, item): (usize, &&Item)| {
                let (name, of) = item.setting()?;
                let Change::Set(value) = &item.change else { return None };
                let plain = *of == Of::Everything && !item.weak;
                let (part, _) = parts.iter().find(|(_, known)| *known == name).filter(|_| plain)?;
                Some((at, format!("{}: {value}", name::part(part))))
            };
            let found: Vec<(usize, String)> = items.iter().enumerate().filter_map(part).collect();
            if found.len() == parts.len() {
                let (members, mut fields): (BTreeSet<usize>, Vec<String>) =
                    found.into_iter().unzip();
                // The limit before what begins below it.
                fields.sort_by(|one, other| other.cmp(one));
                let name = dotted(&setting.name);
                folded.push((members, format!("{name} = {form} {{ {} }}", fields.join(", "))));
            }
        }
    }
    folded
}

fn block_of(item: &Item) -> Option<&Of> {
    item.setting().map(|(_, of)| of).filter(|of| !matches!(of, Of::Everything | Of::Named(_)))
}

fn selector(of: &Of) -> String {
    let texts = |patterns: &[String]| {
        patterns.iter().map(|pattern| name::quoted(pattern)).collect::<Vec<_>>().join(", ")
    };
    match of {
        Of::Block(patterns) => format!("block {}", texts(patterns)),
        Of::Net(patterns) => format!("net {}", texts(patterns)),
        Of::Cpus(cpus) if cpus.is_empty() => "cpus".to_owned(),
        Of::Cpus(cpus) => format!("cpus {cpus}"),
        Of::Cgroup(group) => format!("cgroup {}", name::quoted(group)),
        Of::Irq | Of::Everything | Of::Named(_) => "irq".to_owned(),
    }
}

fn dotted(name: &str) -> String {
    name.split('.').map(name::part).collect::<Vec<_>>().join(".")
}

/// The name of a setting where it stands.
fn local_name(setting: &str, of: &Of, catalogue: &Catalogue) -> String {
    let below = |prefixes: &[&str]| {
        let local = prefixes.iter().find_map(|prefix| setting.strip_prefix(prefix));
        dotted(local.unwrap_or(setting))
    };
    match of {
        Of::Everything => dotted(setting),
        Of::Named(device) => {
            let of_device = |setting: &Setting| {
                setting.places.iter().find_map(|place| match &place.at {
                    At::NetSysctl(path) => Some(path.replace('/', ".")),
                    _ => None,
                })
            };
            let path = catalogue.get(setting).and_then(of_device).unwrap_or_default();
            let part = |part: &str| match part {
                "{device}" => name::part(device),
                part => name::part(part),
            };
            path.split('.').map(part).collect::<Vec<_>>().join(".")
        }
        Of::Block(_) => below(&["block."]),
        Of::Net(_) => below(&["net.device.", "net."]),
        Of::Cpus(_) => below(&["cpu."]),
        Of::Irq => below(&["irq."]),
        Of::Cgroup(_) => below(&["cgroup."]),
    }
}

/// A statement, without the block that it stands in.
fn statement(item: &Item, catalogue: &Catalogue) -> String {
    let (name, condition) = match &item.subject {
        Subject::Parameter(name) => (format!("param {name}: cpus"), String::new()),
        Subject::Requirement(expression) => return format!("require {expression}"),
        Subject::Setting(setting, of) => (local_name(setting, of, catalogue), String::new()),
        Subject::Raw(path) => {
            let path = name::quoted(path);
            (format!("raw {path}"), format!(" if exists({path})"))
        }
    };
    match &item.change {
        Change::Set(value) if item.weak => format!("default {name} = {value}{condition}"),
        Change::Set(value) => format!("{name} = {value}{condition}"),
        Change::Raise(value) => format!("raise {name} to {value}"),
        Change::Lower(value) => format!("lower {name} to {value}"),
        Change::Stated => name,
    }
}
