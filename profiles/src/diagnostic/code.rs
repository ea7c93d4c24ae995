//! The codes of all diagnostics: what an operator searches for, and CI may be told to expect.

use std::fmt;

use serde::{Serialize, Serializer};

/// What kind of fault: `KS` and four digits. A code that was given out never means anything else.
///
/// 0001–0099 are the syntax's, 0100–0199 those of types and values,
/// 0200–0299 those of profiles
/// together, 0300–0399 those of settings on a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KS{:04}", self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Code {
    /// The fault in a few words, the same for every occurrence.
    pub fn title(self) -> &'static str {
        codes::ALL.iter().find(|(code, _)| *code == self).map_or("", |(_, title)| title)
    }
}

/// Declares the codes, and the list of all of them, from one table.
macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal;)*) => {
        /// Every code there is.
        pub mod codes {
            use super::Code;

            $(#[doc = $title] pub const $name: Code = Code($number);)*

            /// Each with its title, in order.
            pub const ALL: &[(Code, &str)] = &[$(($name, $title)),*];
        }
    };
}

codes! {
    TOO_LARGE = 1, "the script is too large";
    TOO_DEEP = 2, "nested too deeply";
    UNEXPECTED_CHARACTER = 3, "a character that means nothing";
    INVISIBLE_CHARACTER = 4, "a character that cannot be seen";
    UNTERMINATED_STRING = 5, "a string that does not end on its line";
    BAD_ESCAPE = 6, "an escape that does not exist";
    FOREIGN_COMMENT = 7, "a comment of another language";
    FOREIGN_OPERATOR = 8, "an operator of another language";
    UNEXPECTED = 9, "something else was expected here";
    UNCLOSED = 10, "a bracket that is never closed";
    UNOPENED = 11, "a bracket that was never opened";
    STATEMENT_END = 12, "two statements on one line";
    UNKNOWN_STATEMENT = 13, "a statement that does not exist";
    MISPLACED = 14, "a statement that belongs elsewhere";
    CHAINED_COMPARISON = 15, "comparisons in a row";
    RESERVED = 16, "a reserved word as a name";
    UNKNOWN_UNIT = 17, "an unknown unit";
    MALFORMED_NUMBER = 18, "a malformed number";
    NUMBER_TOO_LARGE = 19, "a number that is too large";
    REPEATED = 20, "a clause that stands twice";
    MISSING = 21, "something is missing";
    UNKNOWN_BLOCK = 22, "a kind of block that does not exist";
    CPU_LIST = 23, "a malformed list of CPUs";
    STRAY_DOC = 24, "a doc comment that documents nothing";
    EMPTY = 25, "an empty text where one is needed";
    TYPE = 100, "a value of another type";
    UNKNOWN_NAME = 101, "a name that does not exist";
    UNKNOWN_FUNCTION = 102, "a function that does not exist";
    ARGUMENTS = 103, "a function with other arguments";
    OVERFLOW = 104, "a number that gets too large";
    DIVISION_BY_ZERO = 105, "a division by zero";
    EMPTY_RANGE = 106, "a range that holds nothing";
    FACT_NOT_KNOWN = 107, "a fact that is not known without the machine";
    NOT_A_CPU = 108, "a number that is not a CPU's";
    UNKNOWN_TYPE = 109, "a type that does not exist";
    MISPLACED_FACT = 110, "a fact that says nothing here";
    UNKNOWN_PROFILE = 200, "a profile that does not exist";
    DUPLICATE = 201, "a name that stands for two things";
    CYCLE = 202, "a profile that extends itself";
    TOO_MANY_ANCESTORS = 203, "too many ancestors";
    PARAMETER = 204, "a parameter that is wrong";
    CONFLICT = 205, "values that contradict each other";
    UNKNOWN_SETTING = 300, "a setting that the catalogue does not know";
    NO_DEVICE = 301, "a setting of devices without one";
    NOT_A_VALUE = 302, "a value that is none of this setting";
    FORMER = 303, "a value that today's kernels no longer have";
    RAW_PATH = 304, "a file that cannot be written";
    REQUIREMENT = 305, "a requirement that does not hold";
    NOT_HERE = 306, "a required setting that this kernel does not have";
    NOT_ACCEPTED = 307, "a value that the kernel refuses";
    BRICK = 308, "a value that can stop the machine";
    NEEDS_WAIVER = 309, "a value that weakens protection";
    UNSAFE = 310, "a value that is not safe";
    NEEDS_GUARD = 311, "a setting that takes a guard";
    WAIVER = 312, "a waiver that is wrong";
    COUPLED = 313, "settings that do not go together";
    WORKLOAD = 314, "a workload that cannot be so";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_given_out_once() {
        let numbers: Vec<u16> = codes::ALL.iter().map(|(code, _)| code.0).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(codes::UNKNOWN_UNIT.to_string(), "KS0017");
        assert_eq!(codes::UNKNOWN_UNIT.title(), "an unknown unit");
    }
}
