//! TuneD's built-in functions, as far as they have no effect and rest on nothing but their arguments.
//! What rests on the machine becomes an expression over facts where there is one.

use regex_lite::Regex;

use super::cpulist::{self, CpuList};
use super::symbols::{CpuExpression, Symbol, Symbols};
use crate::expression::Cpus;

/// What a call gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// A text, in which characters may stand for what only the machine knows.
    Text(String),
    /// The same, and what is to be known about it.
    Noted(String, String),
    /// Nothing: the call stays as it is.
    Nothing,
    /// Nothing, but this has to hold.
    Requires(String),
    /// TuneD refuses the whole profile.
    Refused(String),
}

/// Calls a function.
pub fn call(name: &str, arguments: &[String], symbols: &mut Symbols) -> Called {
    let list = || arguments.join(",,");
    match (name, arguments) {
        ("assertion", [message, left, right]) => assertion(message, left, right, symbols),
        ("assertion_non_equal", [message, left, right]) if left == right => {
            Called::Refused(format!("TuneD refuses this profile as it is: {message}"))
        }
        ("assertion_non_equal", [_, _, _]) => Called::Nothing,
        ("calc_isolated_cores", []) => isolated_cores(1, symbols),
        ("calc_isolated_cores", [reserved]) => match reserved.parse() {
            Ok(reserved) => isolated_cores(reserved, symbols),
            Err(_) => Called::Nothing,
        },
        ("check_net_queue_count", [count]) => {
            let given = !count.is_empty() && count.chars().all(|digit| digit.is_ascii_digit());
            match given {
                true => Called::Text(count.clone()),
                // TuneD asks `nproc`.
                false => {
                    let online = "count(cpus - cpus.isolated)".to_owned();
                    Called::Text(symbols.put(Symbol::Number(online)).into())
                }
            }
        }
        ("cpulist_pack" | "cpulist_unpack", _) => {
            with_list(&list(), symbols, |cpus| written(cpus, name == "cpulist_pack"))
        }
        ("cpulist2hex", _) => with_list(&list(), symbols, mask),
        ("cpulist_invert" | "cpulist2hex_invert", _) => {
            computed(&list(), symbols, |own| CpuExpression::name("cpus").combined('-', own))
        }
        ("cpulist_online", _) => {
            computed(&list(), symbols, |own| own.combined('&', &CpuExpression::name("cpus")))
        }
        ("hex2cpulist", [text]) => match symbols.alone(text) {
            Some(_) => Called::Text(text.clone()),
            None => cpulist::of_mask(text.trim_start_matches("0x"))
                .map_or(Called::Nothing, |cpus| Called::Text(written(&cpus, false))),
        },
        ("cpulist2devs", _) => match CpuList::read(&list(), symbols) {
            Some(CpuList::Known(cpus)) => {
                let devices: Vec<String> = cpus.iter().map(|cpu| format!("cpu{cpu}")).collect();
                Called::Text(devices.join(","))
            }
            _ => unknown("names of CPUs cannot be made of what only the machine knows", symbols),
        },
        ("kb2s", [number]) => sectors(number, symbols, |number| number.checked_mul(2)),
        // Python rounds halves to the even number.
        ("s2kb", [number]) => sectors(number, symbols, |number| {
            let (half, odd) = (number.div_euclid(2), number.rem_euclid(2) == 1);
            Some(if odd && half % 2 != 0 { half + 1 } else { half })
        }),
        ("regex_search_ternary", [text, pattern, yes, no]) => {
            regex_search(text, pattern, yes, no, symbols)
        }
        ("strip", [_, ..]) => Called::Text(arguments.concat().trim().to_owned()),
        ("virt_check", [inside, outside]) if inside == outside => Called::Text(inside.clone()),
        ("virt_check", [inside, outside]) => {
            let (inside, told) = (symbols.told(inside), symbols.told(outside));
            let why = format!(
                "in a virtual machine TuneD takes `{inside}`, elsewhere `{told}`: there is no such fact, and the script has the second"
            );
            Called::Noted(outside.clone(), why)
        }
        ("exec", _) => {
            unknown("it rests on what a program prints, and importing runs none", symbols)
        }
        ("cpuinfo_check" | "lscpu_check", _) => {
            unknown("it rests on the model of the CPU, and there is no such fact", symbols)
        }
        ("cpulist_present", _) => {
            unknown("it rests on which CPUs are present, and there is no such fact", symbols)
        }
        (name, _) => {
            let why = format!("there is no function `{name}` with {} arguments", arguments.len());
            unknown(&why, symbols)
        }
    }
}

fn unknown(why: &str, symbols: &mut Symbols) -> Called {
    Called::Text(symbols.put(Symbol::Unknown(why.to_owned())).into())
}

fn assertion(message: &str, left: &str, right: &str, symbols: &Symbols) -> Called {
    if left == right {
        return Called::Nothing;
    }
    if !symbols.stand_in(left) && !symbols.stand_in(right) {
        return Called::Refused(format!("TuneD refuses this profile as it is: {message}"));
    }
    let side = |text: &str| CpuList::read(text, symbols)?.expression();
    match (side(left), side(right)) {
        (Some(left), Some(right)) => Called::Requires(format!("{left} == {right}")),
        _ => Called::Refused(format!("whether this holds, only the machine knows: {message}")),
    }
}

/// All CPUs but the first ones. TuneD leaves so many of each socket.
fn isolated_cores(reserved: u16, symbols: &mut Symbols) -> Called {
    let all = CpuExpression::name("cpus");
    if reserved == 0 {
        return Called::Text(symbols.put(Symbol::Cpus(all)).into());
    }
    let first = CpuExpression::name(&format!("first({reserved}, cpus)"));
    let text = symbols.put(Symbol::Cpus(all.combined('-', &first))).into();
    let why = "TuneD leaves so many CPUs of each socket to everybody, the script of the whole machine: facts do not tell sockets apart";
    Called::Noted(text, why.to_owned())
}

/// A list in another form. What only the machine knows has one form only.
fn with_list(text: &str, symbols: &mut Symbols, known: impl Fn(&Cpus) -> String) -> Called {
    match CpuList::read(text, symbols) {
        Some(CpuList::Known(cpus)) => Called::Text(known(&cpus)),
        Some(CpuList::Expression(own)) => Called::Text(symbols.put(Symbol::Cpus(own)).into()),
        None => passed_on(text, symbols),
    }
}

/// An expression, also of CPUs that are known: it rests on those that are online.
fn computed(
    text: &str,
    symbols: &mut Symbols,
    make: impl Fn(&CpuExpression) -> CpuExpression,
) -> Called {
    let Some(list) = CpuList::read(text, symbols) else { return passed_on(text, symbols) };
    match list.expression() {
        Some(own) => Called::Text(symbols.put(Symbol::Cpus(make(&own))).into()),
        None => unknown("no CPUs are named", symbols),
    }
}

/// What is no list because a part of it cannot be said stays that; other texts stay calls.
fn passed_on(text: &str, symbols: &mut Symbols) -> Called {
    match symbols.unknown(text).map(str::to_owned) {
        Some(why) => unknown(&why, symbols),
        None => Called::Nothing,
    }
}

fn written(cpus: &Cpus, packed: bool) -> String {
    match packed {
        true => cpus.to_string(),
        false => cpus.iter().map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(","),
    }
}

fn mask(cpus: &Cpus) -> String {
    let mask = cpus.to_mask();
    // TuneD fills up the first word too.
    let first = mask.split(',').next().unwrap_or_default().len();
    format!("{}{mask}", "0".repeat(8_usize.saturating_sub(first)))
}

fn sectors(text: &str, symbols: &mut Symbols, change: impl Fn(i64) -> Option<i64>) -> Called {
    if let Some(why) = symbols.unknown(text).map(str::to_owned) {
        return unknown(&why, symbols);
    }
    let number = text.trim().parse::<i64>().ok().and_then(change);
    number.map_or(Called::Nothing, |number| Called::Text(number.to_string()))
}

fn regex_search(text: &str, pattern: &str, yes: &str, no: &str, symbols: &mut Symbols) -> Called {
    /// More would only cost time; TuneD's own have some 30.
    const LONGEST: usize = 1024;
    if symbols.stand_in(text) || symbols.stand_in(pattern) {
        return unknown("it rests on a search in what only the machine knows", symbols);
    }
    let regex = (pattern.len() <= LONGEST).then(|| Regex::new(pattern).ok()).flatten();
    match regex {
        Some(regex) => Called::Text(if regex.is_match(text) { yes } else { no }.to_owned()),
        None => unknown("its regular expression is one that only Python has", symbols),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call gives, with expressions in the place of characters.
    fn called(name: &str, arguments: &[&str]) -> String {
        let mut symbols = Symbols::default();
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        match call(name, &arguments, &mut symbols) {
            Called::Text(text) | Called::Noted(text, _) => symbols.told(&text),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn pure_functions_are_worked_out() {
        for (name, arguments, result) in [
            ("cpulist_unpack", &["1-3,5"][..], "1,2,3,5"),
            ("cpulist_pack", &["1,2,3,5"], "1-3,5"),
            ("cpulist2hex", &["0-3"], "0000000f"),
            ("cpulist2hex", &["32"], "00000001,00000000"),
            ("hex2cpulist", &["0000000f"], "0,1,2,3"),
            ("cpulist2devs", &["0-1"], "cpu0,cpu1"),
            ("kb2s", &["8"], "16"),
            ("s2kb", &["5"], "2"),
            ("s2kb", &["7"], "4"),
            ("strip", &[" a", "b "], "ab"),
            ("regex_search_ternary", &["Y", r"\b[y,Y,1]\b", "yes", "no"], "yes"),
            ("regex_search_ternary", &["N", r"\b[y,Y,1]\b", "yes", "no"], "no"),
            ("check_net_queue_count", &["4"], "4"),
            ("virt_check", &["guest", "host"], "host"),
        ] {
            assert_eq!(called(name, arguments), result, "{name} {arguments:?}");
        }
    }

    #[test]
    fn what_rests_on_the_machine_becomes_an_expression() {
        for (name, arguments, result) in [
            ("calc_isolated_cores", &["2"][..], "cpus - first(2, cpus)"),
            ("cpulist_invert", &["1-3,5"], "cpus - (1-3,5)"),
            ("cpulist_online", &["1-3"], "1-3 & cpus"),
            ("check_net_queue_count", &["${unset}"], "count(cpus - cpus.isolated)"),
        ] {
            assert_eq!(called(name, arguments), result, "{name} {arguments:?}");
        }
    }

    #[test]
    fn nothing_runs() {
        let mut symbols = Symbols::default();
        let Called::Text(text) = call("exec", &["rm".into()], &mut symbols) else {
            panic!("no text")
        };
        assert!(symbols.unknown(&text).unwrap().contains("importing runs none"));
    }

    #[test]
    fn assertions_are_requirements_or_refusals() {
        let mut symbols = Symbols::default();
        let isolated = symbols.put(Symbol::Cpus(CpuExpression::name("isolated"))).to_string();
        let online = call("cpulist_online", std::slice::from_ref(&isolated), &mut symbols);
        let Called::Text(online) = online else { panic!("no text") };
        let holds = call("assertion", &["m".into(), isolated, online], &mut symbols);
        assert_eq!(holds, Called::Requires("isolated == isolated & cpus".into()));
        let wrong = call("assertion", &["m".into(), "1".into(), "2".into()], &mut symbols);
        assert!(matches!(wrong, Called::Refused(_)));
        let same = call("assertion_non_equal", &["m".into(), "1".into(), "1".into()], &mut symbols);
        assert!(matches!(same, Called::Refused(_)));
    }
}
