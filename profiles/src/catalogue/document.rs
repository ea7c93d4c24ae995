//! The catalogue as a page of the book.

use std::fmt::Write;

use transaction::network::KINDS;

use super::place::{Access, At, Place};
use super::setting::{Couple, Kind, Reads, Setting, SizeUnit, TimeUnit, Undo};
use super::{ByKernel, Case, Catalogue};
use crate::facts::{self, About};

/// `docs/catalogue.md`, in full.
pub fn document(catalogue: &Catalogue) -> String {
    let mut page = String::from(
        "# The catalogue of settings\n\n\
         Made from `profiles/catalogue/*.ron` by `cargo run -p profiles --example catalogue`; a test holds\n\
         it to the data. *Accepts* and *default* are written as the file holds them, *safe* and *only if*\n\
         as KernelScript. Both ends of a range belong to it. Defaults are those of Debian's kernels.\n\n",
    );
    for area in catalogue.areas() {
        let anchor: String = (area.title.to_lowercase().chars())
            .filter_map(
                |c| if c == ' ' { Some('-') } else { Some(c).filter(|c| c.is_alphanumeric()) },
            )
            .collect();
        line(&mut page, &format!("- [{}](#{anchor}): {}", area.title, area.settings.len()));
    }
    for area in catalogue.areas() {
        page.push_str(&format!(
            "\n## {}\n\n| setting | what it does | where | values |\n|---|---|---|---|\n",
            area.title
        ));
        for setting in &area.settings {
            let cells = [heading(setting), about(setting), places(setting), values(setting)];
            line(&mut page, &format!("| {} |", cells.map(|cell| escaped(&cell)).join(" | ")));
        }
    }
    page.push_str("\n## Facts\n\nWhat expressions speak of.\n\n| fact | meaning |\n|---|---|\n");
    let asked = |about| !matches!(about, About::Signal);
    for facts::Fact { name, doc: meaning, .. } in facts::ALL.iter().filter(|fact| asked(fact.about))
    {
        line(&mut page, &format!("| `{name}` | {meaning} |"));
    }
    page
}

fn line(page: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "{text}");
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ")
}

fn heading(setting: &Setting) -> String {
    format!("`{}`<br>{:?}, {}", setting.name, setting.class, kind(&setting.kind))
}

fn about(setting: &Setting) -> String {
    let mut text = setting.doc.clone();
    if let Some(danger) = &setting.danger {
        text += &format!(" **Danger:** {danger}");
    }
    for (old, new) in &setting.former {
        text += &format!(" For `{old}` take `{new}`.");
    }
    for guarded in &setting.guarded {
        text += &format!(" Needs a guard when `{}` ({}).", guarded.when, guarded.kernels);
    }
    for couple in &setting.couples {
        text += &match couple {
            Couple::Twin(name) => format!(" Another form of `{name}`: set one of the two."),
            Couple::Moves(name) => format!(" Changes `{name}` as well."),
            Couple::Agrees(name) => format!(" Must agree with `{name}`."),
            Couple::AtMost(name) => format!(" At most `{name}`."),
            Couple::AtLeast(name) => format!(" At least `{name}`."),
            Couple::Needs(name) => format!(" Does nothing without `{name}`."),
            Couple::With(name) => format!(" See also `{name}`."),
        };
    }
    text
}

fn places(setting: &Setting) -> String {
    let mut lines: Vec<String> = setting.places.iter().map(place).collect();
    lines.extend(setting.absent.iter().map(|absent| {
        let flavours: Vec<String> = absent.flavours.iter().map(ToString::to_string).collect();
        format!("not in {} {}: {}", absent.kernels, flavours.join(", "), absent.why)
    }));
    lines.join("<br>")
}

fn place(place: &Place) -> String {
    let mut text = match &place.at {
        At::Sysctl(path) | At::NetSysctl(path) => format!("`/proc/sys/{path}`"),
        At::Proc(path) => format!("`/proc/{path}`"),
        At::Sysfs(path) => format!("`/sys/{path}`"),
        At::Debugfs(path) => format!("`/sys/kernel/debug/{path}`"),
        At::Block(path) => format!("`/sys/block/{{device}}/{path}`"),
        At::Net(path) => format!("`/sys/class/net/{{device}}/{path}`"),
        At::Cgroup(file) => format!("cgroup `{file}`"),
        At::CommandLine(word) => format!("command line `{word}`"),
        At::ModuleOption(option) => format!("module option `{option}`"),
        At::Ethtool(what) => format!("ethtool `{what}`"),
        At::Link(what) => format!("rtnetlink `{what}`"),
        At::Irq(file) => format!("`/proc/irq/{{irq}}/{file}`"),
        At::Task(what) => format!("task: `{what}`"),
        At::Held(device) => format!("held open: `/dev/{device}`"),
    };
    if place.kernels != Default::default() {
        text += &format!(" {}", place.kernels);
    }
    if !place.flavours.is_empty() {
        let flavours: Vec<String> = place.flavours.iter().map(ToString::to_string).collect();
        text += &format!(" ({})", flavours.join(", "));
    }
    if !place.config.is_empty() {
        text += &format!(" with {}", place.config.join(", "));
    }
    match &place.access {
        Access::ReadWrite => {}
        Access::WriteOnly => text += ", write only",
        Access::ReadOnly => text += ", read only",
        Access::Depends(why) => text += &format!(", {why}"),
    }
    text
}

fn values(setting: &Setting) -> String {
    let mut lines = Vec::new();
    let mut add = |label: &str, value: &Option<ByKernel>| {
        for (cases, text) in value.iter().flat_map(texts) {
            lines.push(format!("{label} `{text}`{cases}"));
        }
    };
    add("default", &setting.default);
    add("accepts", &setting.accepts);
    add("safe", &setting.safe);
    add("only if", &setting.condition);
    match &setting.reads {
        Reads::Rounded(how) | Reads::Clamped(how) | Reads::Annotated(how) | Reads::Ignored(how) => {
            lines.push(format!("reads back: {how}"));
        }
        Reads::WriteOnly => lines.push("cannot be read back".to_owned()),
        Reads::Same
        | Reads::Bracketed
        | Reads::Parenthesized
        | Reads::Tabbed
        | Reads::Hex
        | Reads::YesNo => {}
    }
    match &setting.undo {
        Undo::ThroughTwin(name) => lines.push(format!("undone by writing `{name}`")),
        Undo::AlsoRestore(names) => {
            lines.push(format!("undoing restores `{}` too", names.join("`, `")))
        }
        Undo::Reboot => lines.push("undone by a reboot only".to_owned()),
        Undo::Write | Undo::Nothing => {}
    }
    lines.join("<br>")
}

fn texts(value: &ByKernel) -> Vec<(String, &str)> {
    let when = |case: &Case| {
        let flavours: Vec<String> = case.flavours.iter().map(ToString::to_string).collect();
        format!(" ({} {})", case.kernels, flavours.join(", ")).replace(" )", ")")
    };
    match value {
        ByKernel::One(text) => vec![(String::new(), text)],
        ByKernel::Several(cases) => {
            cases.iter().map(|case| (when(case), case.is.as_str())).collect()
        }
    }
}

fn kind(kind: &Kind) -> String {
    let size = |unit: &SizeUnit| match unit {
        SizeUnit::Bytes => "bytes".to_owned(),
        SizeUnit::Sectors => "sectors of 512 bytes".to_owned(),
        SizeUnit::Pages => "pages".to_owned(),
        SizeUnit::KiB | SizeUnit::MiB => format!("{unit:?}"),
    };
    let time = |unit: &TimeUnit| match unit {
        TimeUnit::Centiseconds => "1/100 s".to_owned(),
        TimeUnit::UserHz => "ticks of 10 ms".to_owned(),
        TimeUnit::Minutes => "minutes".to_owned(),
        TimeUnit::Ns | TimeUnit::Us | TimeUnit::Ms | TimeUnit::S => {
            format!("{unit:?}").to_lowercase()
        }
    };
    match kind {
        Kind::Switch { off, on } => format!("`{off}` or `{on}`"),
        Kind::Flag => "0 or 1".to_owned(),
        Kind::Integer => "number".to_owned(),
        Kind::Size(unit) => size(unit),
        Kind::Time(unit) => time(unit),
        Kind::Percent => "%".to_owned(),
        Kind::Rate(unit) => unit.clone(),
        Kind::Frequency => "kHz".to_owned(),
        Kind::Choice(words) => words.join(", "),
        Kind::Words(words) => format!("some of {}", words.join(", ")),
        Kind::Level(levels) => list(levels.iter()),
        Kind::Bits(bits) => format!("bits: {}", list(bits.iter())),
        Kind::Cpus(form) => format!("CPUs, as a {}", format!("{form:?}").to_lowercase()),
        Kind::Numbers(names) | Kind::Sizes(_, names) => names.join(", "),
        Kind::Ports => "ports".to_owned(),
        Kind::Text(_) => "text".to_owned(),
        Kind::Discipline => format!("one of {}, and its parameters", KINDS.join(", ")),
        Kind::Trigger => "written to act".to_owned(),
        Kind::Record(forms) => {
            let form = |(name, parts): (&String, &std::collections::BTreeMap<String, String>)| {
                let parts: Vec<String> =
                    parts.iter().map(|(part, setting)| format!("{part}: `{setting}`")).collect();
                format!("{name} {{ {} }}", parts.join(", "))
            };
            forms.iter().map(form).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn list<'a, N: ToString + 'a>(values: impl Iterator<Item = (&'a N, &'a String)>) -> String {
    let words: Vec<String> =
        values.map(|(number, meaning)| format!("{} {meaning}", number.to_string())).collect();
    words.join(", ")
}
