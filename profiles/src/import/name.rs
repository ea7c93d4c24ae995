//! Names and texts as KernelScript writes them.

use crate::facts;

/// Words that end expressions, and so are no names there.
const RESERVED: [&str; 9] = ["and", "or", "not", "in", "if", "else", "for", "until", "cooldown"];

fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word) || word == "dwell"
}

/// Whether a text is one name: letters, digits and `_`, with single `-` between them.
fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    begins && text.split('-').all(part)
}

/// The name for a profile or parameter that has another kind of name elsewhere.
pub fn made(text: &str, fallback: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '-' };
    let text: String = text.chars().map(plain).take(64).collect();
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    let name = parts.join("-");
    if name.is_empty() {
        return fallback.to_owned();
    }
    match is_name(&name) && !is_reserved(&name) {
        true => name,
        false => format!("{fallback}-{name}"),
    }
}

/// A text between quotes. (It has no control characters: whoever calls has seen to that.)
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word of a setting, between quotes where it would mean something else.
pub fn word(word: &str) -> String {
    let means_a_fact = facts::named(&[word.to_owned()]).is_some();
    let plain = is_name(word) && !is_reserved(word) && !means_a_fact;
    if plain { word.to_owned() } else { quoted(word) }
}

/// A part of a dotted name.
pub fn part(text: &str) -> String {
    if is_name(text) && !is_reserved(text) { text.to_owned() } else { quoted(text) }
}

/// Whether a text can stand between quotes in a script.
pub fn is_text(text: &str) -> bool {
    text.chars().all(is_visible)
}

/// A text fit for a comment: on one line, without characters that scripts may not have.
pub fn comment(text: &str) -> String {
    text.chars().map(|char| if is_visible(char) { char } else { '\u{b7}' }).collect()
}

/// What a source says, for a remark: its beginning, on one line.
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = comment(&text.join(" "));
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Whether a character is what it seems: the rule of the script's own lexer.
fn is_visible(char: char) -> bool {
    let hidden = matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}');
    !hidden && !char.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_anything() {
        for (text, name) in [
            ("throughput-performance", "throughput-performance"),
            ("99-local.d", "p-99-local-d"),
            ("a..b--c-", "a-b-c"),
            ("until", "p-until"),
            ("日本", "p"),
            ("", "p"),
        ] {
            assert_eq!(made(text, "p"), name, "{text}");
            assert!(is_name(&made(text, "p")), "{text}");
        }
    }

    #[test]
    fn words_that_mean_something_else_are_quoted() {
        for (text, written) in [
            ("mq-deadline", "mq-deadline"),
            ("defer+madvise", "\"defer+madvise\""),
            ("2M", "\"2M\""),
            ("cpus", "\"cpus\""),
            ("not", "\"not\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
        ] {
            assert_eq!(word(text), written);
        }
        assert_eq!(part("eth0.100"), "\"eth0.100\"");
        assert_eq!(part("default"), "default");
    }
}
