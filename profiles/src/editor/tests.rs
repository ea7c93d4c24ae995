use proptest::prelude::*;

use super::*;
use crate::diagnostic::{FileId, Source};
use crate::explanation::Explanation;
use crate::syntax::parse;

/// What is asked at the place of the `|`.
fn at<T>(text: &str, ask: impl FnOnce(&Cursor<'_>) -> T) -> T {
    let offset = text.find('|').expect("a place");
    let text = text.replacen('|', "", 1);
    let parse = parse(FileId::default(), &text);
    let scripts = Scripts::of([Source::new("a.ks", &text)]);
    ask(&Cursor::new(&text, &parse, &scripts, offset))
}

fn completions(text: &str) -> Vec<String> {
    at(text, |cursor| cursor.completions().items.into_iter().map(|item| item.label).collect())
}

fn hover(text: &str) -> String {
    at(text, |cursor| cursor.hover().map(|hover| hover.text).unwrap_or_default())
}

#[test]
fn settings_are_completed_as_their_block_calls_them() {
    assert_eq!(completions("profile p { vm.swapp|")[0], "vm.swappiness");
    assert_eq!(completions("profile p {\n    swapp|\n}\n")[0], "vm.swappiness");
    assert_eq!(completions("profile p { vm { swapp| } }")[0], "swappiness");
    assert_eq!(completions("profile p { block \"sd*\" { sched| } }")[0], "scheduler");
    assert_eq!(completions("profile p { net { ipv4 { tcp_rm| } } }")[0], "tcp_rmem");
    assert_eq!(completions("profile p { force raise net.core.somax|")[0], "net.core.somaxconn");
    assert!(completions("profile p { rp_fil|").contains(&"net.ipv4.conf.all.rp_filter".to_owned()));
    // Behind the block, its names hold no longer.
    assert!(completions("profile p { block \"a\" { } sched|").iter().all(|it| it != "scheduler"));
    assert!(
        completions("profile p { waive security kptr|").contains(&"kernel.kptr_restrict".into())
    );
}

#[test]
fn values_are_completed_by_what_the_setting_takes() {
    assert_eq!(completions("profile p { mm.thp = ne|")[0], "never");
    assert_eq!(completions("profile p { mm { thp = alw| } }")[0], "always");
    assert_eq!(completions("profile p { block \"sd*\" { scheduler = mq| } }")[0], "mq-deadline");
    assert_eq!(completions("profile p { vm.dirty = by|")[0], "bytes");
    assert_eq!(completions("profile p { param big: bytes = 1GiB; vm.dirty_bytes = bi|")[0], "big");
    assert!(
        completions("profile p { vm.swappiness = 1 if memory.to|").contains(&"memory.total".into())
    );
    assert_eq!(completions("profile p { vm.swappiness = 1 if kernel.flavour == r|")[0], "rt");
}

#[test]
fn what_changes_by_itself_is_offered_where_it_is_watched() {
    let signal = "psi.io.full.avg10".to_owned();
    assert!(completions("policy { when psi.io| }").contains(&signal));
    assert!(completions("guard p { rollback if psi.io| }").contains(&signal));
    assert!(!completions("profile p { require psi.io| }").contains(&signal));
}

#[test]
fn profiles_are_completed_where_they_are_named() {
    assert_eq!(completions("profile p extends ol|")[0], "oltp");
    assert_eq!(completions("profile mine {} profile p extends server, mi|")[0], "mine");
    assert_eq!(completions("profile mine {} policy { default mi| }")[0], "mine");
    assert_eq!(completions("profile mine {} policy { when cpus.count > 1 -> mi| }")[0], "mine");
    assert_eq!(completions("profile mine {} guard mi|")[0], "mine");
    assert_eq!(completions("prof|"), ["profile"]);
}

#[test]
fn nothing_is_offered_in_prose() {
    assert!(completions("profile p { // vm.swapp|").is_empty());
    assert!(completions("profile p { block \"vm|\" {} }").is_empty());
}

#[test]
fn hovering_tells_what_explain_does() {
    let text = hover("profile p { vm.dirty_by|tes = 64MiB }");
    let setting = crate::catalogue::Catalogue::built_in().unwrap().get("vm.dirty_bytes").unwrap();
    let explained = Explanation::of(setting, None).to_string();
    for line in explained.lines().filter(|line| !line.is_empty()) {
        assert!(text.contains(line.trim()), "{line} is missing in {text}");
    }
    assert!(hover("profile p { block \"sd*\" { sched|uler = none } }").contains("block.scheduler"));
    assert!(hover("profile p { require memory.|total > 1GiB }").contains("MemTotal"));
    assert!(hover("profile p { vm.swappiness = mi|n(1, 2) }").contains("min(a, b"));
    assert!(hover("/// Wörter\nprofile q {} profile p extends q| {}").contains("Wörter"));
    assert!(
        hover("profile p {\n/// Too much.\nparam d: bytes = 1GiB\nvm.dirty_bytes = d| }")
            .contains("Too much.")
    );
    assert_eq!(hover("profile p { } |"), "");
    assert_eq!(hover("profile p { // vm.swap|piness"), "");
}

#[test]
fn definitions_are_found() {
    let defined = |text: &str| at(text, |cursor| cursor.definition().map(Span::range));
    assert_eq!(defined("profile q {} profile p extends q| {}"), Some(8..9));
    assert_eq!(defined("profile p { param d: bytes = 1GiB; vm.dirty_bytes = |d }"), Some(18..19));
    assert_eq!(defined("profile p extends no|body {}"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_and_no_place_panics(
        text in "(profile |p |\\{|\\}|\"|é|𝄞|vm\\.|= |block |;|\n|extends |policy |->|[a-z. ]){0,40}",
        offset in 0_usize..400,
    ) {
        let parse = parse(FileId::default(), &text);
        let scripts = Scripts::of([Source::new("a.ks", &text)]);
        let cursor = Cursor::new(&text, &parse, &scripts, offset);
        let completions = cursor.completions();
        prop_assert!(text.get(completions.replaced).is_some());
        let _ = (cursor.hover(), cursor.definition());
    }
}
