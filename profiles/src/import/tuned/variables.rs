//! `${variable}` and `${f:function:argument:…}`.
//!
//! As TuneD does it: a variable's text is put in when it is defined, so that `${a}` in the definition of `a`
//! is the earlier `a`, or stays as it is. Nothing runs, and nothing grows beyond a bound.

use std::collections::HashMap;

use super::functions::{self, Called};
use super::symbols::Symbols;
use crate::import::item::Origin;
use crate::import::remark::Remark;

/// The longest text, in bytes, with everything put in.
pub const LONGEST: usize = 64 << 10;

/// More than this is not put together in one run, in bytes.
const MOST: usize = 64 << 20;

/// More functions are not called for one profile; TuneD's own call some 20.
const MOST_CALLS: usize = 1024;

/// A text that grew beyond the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Variables, and what came up while they were put in.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    known: HashMap<String, String>,
    pub symbols: Symbols,
    /// What TuneD requires, as expressions, with what it says where it does not hold.
    pub required: Vec<(String, Origin)>,
    pub remarks: Vec<Remark>,
    /// Bytes so far.
    spent: usize,
    /// Calls so far.
    calls: usize,
}

impl Variables {
    /// Defines a variable whose text has everything put in already. Names that are no words are passed
    /// over, as TuneD does.
    pub fn define(&mut self, name: &str, text: String) {
        if is_word(name) {
            self.known.insert(name.to_owned(), text);
        }
    }

    /// A text with variables and the results of functions put in.
    ///
    /// # Errors
    /// A text that grows beyond the bound.
    pub fn expand(&mut self, text: &str, origin: &Origin) -> Result<String, TooLong> {
        let text = self.with_variables(text)?;
        self.with_functions(text, origin)
    }

    fn spend(&mut self, length: usize) -> Result<(), TooLong> {
        self.spent = self.spent.saturating_add(length);
        if length > LONGEST || self.spent > MOST { Err(TooLong) } else { Ok(()) }
    }

    /// One pass from left to right; what is not defined stays. Then `\${word}` becomes `${word}`.
    fn with_variables(&mut self, text: &str) -> Result<String, TooLong> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            out.push_str(before);
            let name = behind.split_once('}').filter(|(name, _)| is_word(name));
            let value = name.and_then(|(name, behind)| Some((self.known.get(name)?, behind)));
            match value.filter(|_| !before.ends_with('\\')) {
                Some((value, behind)) => {
                    out.push_str(value);
                    rest = behind;
                }
                None => {
                    out.push_str("${");
                    rest = behind;
                }
            }
            if out.len() > LONGEST {
                return Err(TooLong);
            }
        }
        out.push_str(rest);
        self.spend(out.len())?;
        Ok(without_escapes(&out))
    }

    /// Calls functions, the innermost first.
    fn with_functions(&mut self, text: String, origin: &Origin) -> Result<String, TooLong> {
        if !text.contains("${f:") {
            return Ok(text);
        }
        let mut out = String::new();
        // Where calls begin, and whether a backslash stands before.
        let mut open: Vec<(usize, bool)> = Vec::new();
        let mut chars = text.chars().peekable();
        let mut before = ' ';
        while let Some(char) = chars.next() {
            out.push(char);
            if char == '$' && chars.peek() == Some(&'{') {
                open.push((out.len() - 1, before == '\\'));
            } else if char == '}' {
                // What closes nothing ends it all, in TuneD too.
                let Some((start, escaped)) = open.pop() else {
                    out.extend(chars);
                    break;
                };
                self.calls += 1;
                if self.calls > MOST_CALLS {
                    return Err(TooLong);
                }
                if !escaped
                    && let Some(result) = self.call(out.get(start..).unwrap_or_default(), origin)
                {
                    out.truncate(start);
                    out.push_str(&result);
                    self.spend(out.len())?;
                }
            }
            before = char;
        }
        Ok(unescaped(&out))
    }

    /// What `${f:name:argument}` gives; nothing where it stays as it is.
    fn call(&mut self, text: &str, origin: &Origin) -> Option<String> {
        let inner = text.strip_prefix("${f:")?.strip_suffix('}')?;
        let mut parts = split(inner).into_iter();
        let name = parts.next().filter(|name| is_word(name))?;
        let arguments: Vec<String> = parts.collect();
        match functions::call(&name, &arguments, &mut self.symbols) {
            Called::Text(text) => Some(text),
            Called::Nothing => None,
            Called::Requires(expression) => {
                self.required.push((expression, origin.clone()));
                None
            }
            Called::Noted(text, remark) => {
                self.remarks.push(origin.remark(crate::import::Fate::Changed, remark));
                Some(text)
            }
            Called::Refused(why) => {
                self.remarks.push(origin.left_out(why));
                None
            }
        }
    }
}

/// At `:`, but for `\:`.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = ' ';
    for char in text.chars() {
        match (char, parts.last_mut()) {
            (':', _) if before != '\\' => parts.push(String::new()),
            (':', Some(part)) => {
                part.pop();
                part.push(':');
            }
            (char, Some(part)) => part.push(char),
            (_, None) => {}
        }
        before = char;
    }
    parts
}

/// `\${word}` without its backslash.
fn without_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("\\${") {
        out.push_str(before);
        let name = behind.split_once('}').is_some_and(|(name, _)| is_word(name));
        out.push_str(if name { "${" } else { "\\${" });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// `\${f:…}` without its backslash: the first, up to the last brace of the line, as TuneD does it.
fn unescaped(text: &str) -> String {
    let found = text.split_once("\\${f:").filter(|(_, behind)| behind.contains('}'));
    found.map_or_else(|| text.to_owned(), |(before, behind)| format!("{before}${{f:{behind}"))
}

/// What Python calls `\w+`.
pub fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || char == '_')
}

/// The first variable that a text still speaks of, or the first call that could not be made.
pub fn unresolved(text: &str) -> Option<String> {
    // The innermost, which keeps the others from being worked out.
    let (_, behind) = text.rsplit_once("${")?;
    let (name, _) = behind.split_once('}')?;
    Some(match is_word(name) {
        true => format!("the variable `{name}` is not defined"),
        false => format!("`${{{}}}` cannot be worked out", crate::diagnostic::quoted(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::remark::Place;

    fn origin() -> Origin {
        let at = Place::start("/x".into());
        Origin { at, owner: "x".into(), said: String::new() }
    }

    fn expanded(defined: &[(&str, &str)], text: &str) -> String {
        let mut variables = Variables::default();
        for (name, text) in defined {
            let text = variables.expand(text, &origin()).unwrap();
            variables.define(name, text);
        }
        variables.expand(text, &origin()).unwrap()
    }

    #[test]
    fn variables_are_put_in_once() {
        assert_eq!(expanded(&[("a", "1"), ("b", "${a}2")], "x${b}${a}y"), "x121y");
        assert_eq!(expanded(&[("a", "${a}")], "${a}"), "${a}");
        assert_eq!(expanded(&[("a", "${b}"), ("b", "1")], "${a}"), "${b}");
        assert_eq!(expanded(&[("a", "1")], r"\${a} $${a} ${a"), "${a} $1 ${a");
        assert_eq!(expanded(&[], "${no} ${"), "${no} ${");
    }

    #[test]
    fn functions_nest() {
        assert_eq!(expanded(&[("a", " 1-3 ")], "${f:cpulist_unpack:${f:strip:${a}}},5"), "1,2,3,5");
        assert_eq!(expanded(&[], r"${f:strip: a\:b :c}"), "a:b c");
        assert_eq!(expanded(&[], "${f:kb2s:8} } ${f:kb2s:8}"), "16 } ${f:kb2s:8}");
        assert_eq!(expanded(&[], r"\${f:kb2s:8}"), "${f:kb2s:8}");
    }

    #[test]
    fn laughs_end() {
        let mut variables = Variables::default();
        variables.define("a0", "ha".repeat(8));
        let mut failed = false;
        for level in 1..40 {
            let before = format!("${{a{}}}", level - 1);
            match variables.expand(&before.repeat(10), &origin()) {
                Ok(text) => variables.define(&format!("a{level}"), text),
                Err(TooLong) => failed = true,
            }
        }
        assert!(failed);
    }

    #[test]
    fn what_is_left_over_is_named() {
        assert_eq!(unresolved("a${b}").as_deref(), Some("the variable `b` is not defined"));
        assert_eq!(unresolved("a$b"), None);
        assert!(unresolved("${f:x:y}").is_some());
    }
}
