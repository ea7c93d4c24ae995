//! One line of a sysctl.d file.

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `key = value`, or `-key = value` of which a failure does not matter.
    Assigns {
        /// Below `/proc/sys`, with `/` between its parts.
        path: String,
        value: String,
    },
    /// `-key`: no pattern sets it.
    Excludes { path: String },
}

/// Reads a line; nothing where it is empty or a comment.
///
/// # Errors
/// What it should be.
pub fn read(text: &str) -> Result<Option<Line>, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.starts_with(['#', ';']) {
        return Ok(None);
    }
    let Some((key, value)) = text.split_once('=') else {
        let key = text.strip_prefix('-').map(str::trim).filter(|key| !key.is_empty());
        return match key {
            Some(key) if !key.contains(char::is_whitespace) => {
                Ok(Some(Line::Excludes { path: path(key) }))
            }
            _ => Err("no assignment: write `key = value`, or `#` in front of a comment"),
        };
    };
    let key = key.trim();
    let key = key.strip_prefix('-').unwrap_or(key).trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err("no assignment: a key such as `vm.swappiness` stands before `=`");
    }
    Ok(Some(Line::Assigns { path: path(key), value: value.trim().to_owned() }))
}

/// The path of a key. The first separator says which it is: behind a dot, dots and slashes are swapped.
pub fn path(key: &str) -> String {
    let swapped = |char| match char {
        '.' => '/',
        '/' => '.',
        char => char,
    };
    let path: String = match key.chars().find(|char| matches!(char, '.' | '/')) {
        Some('.') => key.chars().map(swapped).collect(),
        _ => key.to_owned(),
    };
    path.trim_start_matches('/').to_owned()
}

/// Whether a path stays below `/proc/sys`.
///
/// # Errors
/// Why it does not.
pub fn is_plain(path: &str) -> Result<(), String> {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    match path.split('/').any(odd) {
        true => {
            Err("this is no sysctl's name: a part of it is empty, or leads elsewhere".to_owned())
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_says_which_it_is() {
        for (key, wanted) in [
            ("kernel.domainname", "kernel/domainname"),
            ("kernel/domainname", "kernel/domainname"),
            ("net.ipv4.conf.enp3s0/200.forwarding", "net/ipv4/conf/enp3s0.200/forwarding"),
            ("net/ipv4/conf/enp3s0.200/forwarding", "net/ipv4/conf/enp3s0.200/forwarding"),
            ("single", "single"),
        ] {
            assert_eq!(path(key), wanted);
        }
    }

    #[test]
    fn lines_are_read_as_systemd_reads_them() {
        let assigns = |path: &str, value: &str| {
            Ok(Some(Line::Assigns { path: path.into(), value: value.into() }))
        };
        assert_eq!(read("  ; comment"), Ok(None));
        assert_eq!(read("#x=1"), Ok(None));
        assert_eq!(read("a.b=c = d # no comment"), assigns("a/b", "c = d # no comment"));
        assert_eq!(read(" - a.b =\t1 "), assigns("a/b", "1"));
        assert_eq!(read("a.b ="), assigns("a/b", ""));
        assert_eq!(read("-a.b"), Ok(Some(Line::Excludes { path: "a/b".into() })));
        for wrong in ["a.b", "= 1", "a b = 1", "-", "- = 1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_stay_below_proc_sys() {
        for path in ["kernel/../../etc/passwd", "kernel//x", "a/", "", "./x"] {
            assert!(is_plain(path).is_err(), "{path}");
        }
        assert!(is_plain("kernel/sysrq").is_ok());
    }
}
