use proptest::prelude::*;

use super::*;

fn all() -> Vec<Compare> {
    vec![
        Compare::Same,
        Compare::Blanks,
        Compare::Bracketed,
        Compare::Parenthesised,
        Compare::YesNo,
        Compare::Hex,
        Compare::Cpus(CpuForm::List),
        Compare::Cpus(CpuForm::Mask),
        Compare::Rounded(Rounding::OneOf(vec!["0".into()])),
        Compare::Rounded(Rounding::Between { least: -1, most: 10 }),
        Compare::Rounded(Rounding::Any),
        Compare::Annotated,
        Compare::Toggle,
        Compare::Keyed { unset: "max".into() },
        Compare::Pairs,
        Compare::Ignored,
        Compare::WriteOnly,
    ]
}

#[test]
fn each_form_knows_what_is_in_force() {
    use Verdict::{Differs, Holds, Ignored, Rounded};
    let between = |least, most| Compare::Rounded(Rounding::Between { least, most });
    let keyed = || Compare::Keyed { unset: "rbps=max".into() };
    for (compare, wanted, reading, verdict) in [
        (Compare::Same, "60", "60", Holds),
        (Compare::Same, "60 junk", "60", Differs),
        (Compare::Blanks, "1 2 3", "1\t2\t3", Holds),
        (Compare::Blanks, "1 2 3", "1\t2\t4", Differs),
        (Compare::Bracketed, "madvise", "always [madvise] never", Holds),
        (Compare::Bracketed, "always", "always [madvise] never", Differs),
        (Compare::Bracketed, "always", "[always] [madvise]", Differs),
        (Compare::Parenthesised, "full", "none voluntary (full)", Holds),
        (Compare::Pairs, "fq", "fq handle 0: limit 9", Holds),
        (Compare::Pairs, "fq limit 9", "fq handle 0: flow_limit 5 limit 9", Holds),
        (Compare::Pairs, "fq limit 5", "fq handle 0: flow_limit 5 limit 9", Differs),
        (Compare::Pairs, "fq", "fq_codel handle 0:", Differs),
        (Compare::Pairs, "fq limit", "fq limit 9", Differs),
        (Compare::YesNo, "1", "Y", Holds),
        (Compare::YesNo, "off", "N", Holds),
        (Compare::YesNo, "1", "N", Differs),
        (Compare::YesNo, "perhaps", "perhaps", Differs),
        (Compare::Hex, "0xFF", "000000ff", Holds),
        (Compare::Hex, "fe", "ff", Differs),
        (Compare::Cpus(CpuForm::List), "0,1,2", "0-2", Holds),
        (Compare::Cpus(CpuForm::Mask), "f", "00000000,0000000f", Holds),
        (Compare::Cpus(CpuForm::List), "0-2", "0-3", Differs),
        (Compare::Rounded(Rounding::OneOf(vec!["4".into()])), "1", "4", Rounded),
        (Compare::Rounded(Rounding::OneOf(vec!["4".into()])), "1", "8", Differs),
        (between(-1, 10), "20", "10", Rounded),
        (between(-1, 10), "7", "7", Holds),
        (between(-1, 10), "20", "11", Differs),
        (Compare::Rounded(Rounding::Any), "20", "what", Rounded),
        (Compare::Annotated, "isolated", "isolated", Holds),
        (Compare::Annotated, "isolated", "isolated invalid (Cpu list empty)", Differs),
        (Compare::Toggle, "NO_HRTICK", "GENTLE NO_HRTICK", Holds),
        (Compare::Toggle, "HRTICK", "GENTLE NO_HRTICK", Differs),
        (keyed(), "8:0 rbps=5", "8:16 rbps=5\n8:0 rbps=5 wbps=max", Holds),
        (keyed(), "8:0 rbps=5", "8:16 rbps=5\n8:0 rbps=6 wbps=max", Differs),
        (keyed(), "8:0 rbps=max", "8:16 rbps=5", Holds),
        (Compare::Ignored, "1", "0", Ignored),
        (Compare::Ignored, "1", "2", Differs),
        (Compare::WriteOnly, "1", "", Holds),
    ] {
        assert_eq!(
            compare.judge(wanted, reading, Some("0")),
            verdict,
            "{compare:?} {wanted} {reading}"
        );
    }
}

#[test]
fn what_is_written_back_is_what_was_in_force() {
    for (compare, wanted, reading, back) in [
        (Compare::Same, "1", " 60", Some("60")),
        (Compare::Blanks, "1 1 1", "4096\t131072\t6291456", Some("4096 131072 6291456")),
        (Compare::Bracketed, "never", "always [madvise] never", Some("madvise")),
        (Compare::Bracketed, "never", "always madvise never", None),
        (Compare::Parenthesised, "none", "none (full)", Some("full")),
        (Compare::Annotated, "member", "isolated invalid (x)", Some("isolated")),
        (Compare::Toggle, "HRTICK", "GENTLE NO_HRTICK", Some("NO_HRTICK")),
        (Compare::Toggle, "NO_GENTLE", "GENTLE NO_HRTICK", Some("GENTLE")),
        (Compare::Keyed { unset: "rbps=max".into() }, "8:0 rbps=5", "", Some("8:0 rbps=max")),
        (
            Compare::Keyed { unset: "rbps=max".into() },
            "8:0 rbps=5",
            "8:0  rbps=7",
            Some("8:0 rbps=7"),
        ),
        (Compare::WriteOnly, "1", "", None),
    ] {
        assert_eq!(
            compare.in_force(Some(wanted), reading).as_deref(),
            back,
            "{compare:?} {reading}"
        );
    }
}

#[test]
fn an_allowed_old_value_is_still_written_over() {
    // 60 huge pages where 100 are wanted and 50 would do: more may be had by writing.
    let compare = Compare::Rounded(Rounding::Between { least: 50, most: 100 });
    assert!(!compare.already("100", "60"));
    assert!(compare.already("100", "100"));
    // Nothing better than 0 can come of read-ahead 3.
    assert!(Compare::Rounded(Rounding::OneOf(vec!["0".into()])).already("3", "0"));
    assert!(!Compare::WriteOnly.already("1", "1"));
}

proptest! {
    #[test]
    fn no_reading_panics(wanted in "\\PC{0,20}", reading in "[\\[\\]() ,\\-0-9a-fNO_\\t\\n]{0,40}") {
        for compare in all() {
            compare.judge(&wanted, &reading, Some(&reading));
            compare.already(&wanted, &reading);
            compare.in_force(Some(&wanted), &reading);
            prop_assert!(compare.alike(&reading, &reading));
        }
    }

    /// Whatever is in force, writing it back would be seen as the same.
    #[test]
    fn what_is_in_force_holds(reading in "(always|\\[madvise\\]|never|NO_X|0-3|ff|Y|[0-9]{1,4})( (\\[b\\]|c|7)){0,2}") {
        for compare in all() {
            if matches!(compare, Compare::Rounded(_) | Compare::Annotated | Compare::Keyed { .. }) {
                continue;
            }
            if let Some(back) = compare.in_force(Some("X"), &reading)
                && compare.judge(&back, &reading, None) == Verdict::Differs
            {
                // Only text that is none of the form's own.
                prop_assert!(matches!(compare, Compare::YesNo | Compare::Hex | Compare::Cpus(_)));
            }
        }
    }
}
