//! What comes of sysctl.d files, of any source that was made to hurt, and that scripts can be read.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::catalogue::{Class, Flavour, Kernel, Version};
use crate::composition::{Arguments, Library};
use crate::diagnostic::{Diagnostic, FileId, MAX_SCRIPT};
use crate::expression::Value;
use crate::facts::Facts;
use crate::resolution::{Goal, Present, Request, Resolution, resolve};
use crate::script::Script;
use crate::syntax::{fmt, parse};
use crate::{standard, typing};

pub(super) fn catalogue() -> &'static Catalogue {
    Catalogue::built_in().unwrap()
}

/// The script and the remarks, as they are told.
pub(super) fn told(imported: &Imported) -> String {
    let remarks = imported.remarks.iter();
    let remark =
        |it: &Remark| format!("{:?} {} [{}] {}: {}", it.fate, it.at, it.profile, it.what, it.why);
    format!("{}\n----\n{}", imported.script, remarks.map(remark).collect::<Vec<_>>().join("\n"))
}

/// Checks what every script must be: readable, canonical, and complete.
pub(super) fn sound(imported: &Imported) {
    let parsed = parse(FileId::default(), &imported.script);
    assert_eq!(parsed.diagnostics(), [], "{}", imported.script);
    assert_eq!(fmt::format(&parsed).as_deref(), Ok(imported.script.as_str()), "not canonical");
}

/// The errors of `check` for each profile of a script, on one kernel.
pub(super) fn checked(imported: &Imported, version: Version, flavour: Flavour) -> Vec<String> {
    let mut problems = Vec::new();
    resolved(imported, version, flavour, |name, resolution| {
        let errors = resolution.diagnostics.iter().filter(|it| it.is_error());
        problems.extend(errors.map(|it| format!("{name}: {}: {}", it.message, it.primary.text)));
    });
    problems
}

fn resolved(
    imported: &Imported,
    version: Version,
    flavour: Flavour,
    mut each: impl FnMut(&str, &Resolution<'_>),
) {
    let mut sources = crate::diagnostic::Sources::new();
    let source = crate::diagnostic::Source::new("imported.ks", &imported.script);
    let read = Script::read(sources.add(source), &imported.script);
    let mut diagnostics: Vec<Diagnostic> = read.diagnostics;
    let mut library = Library::default();
    library.add(read.script, &mut diagnostics);
    standard::complete(&mut library, &mut sources, &mut diagnostics);
    library.check(&mut diagnostics);
    typing::check(&library, &mut diagnostics);
    assert_eq!(diagnostics, [], "{}", imported.script);
    let facts = Facts::of_kernel(Kernel::new(version, flavour)).with_cpus(8).with_memory(16 << 30);
    for profile in &imported.profiles {
        let request = Request {
            library: &library,
            profile,
            arguments: &Arguments::new(),
            facts: &facts,
            present: &Present::default(),
            catalogue: catalogue(),
        };
        each(profile, &resolve(&request).unwrap());
    }
}

fn sysctl(text: &str) -> Imported {
    sysctl_with(text, &Options::default())
}

fn sysctl_with(text: &str, options: &Options) -> Imported {
    let files = Memory::new(&[("/etc/sysctl.d/50-test.conf", text)]);
    let imported = import(&["/etc/sysctl.d/50-test.conf".into()], &files, catalogue(), options);
    let imported = imported.unwrap_or_else(|error| panic!("{error}"));
    sound(&imported);
    imported
}

fn refusal(files: &Memory, path: &str) -> String {
    import(&[path.into()], files, catalogue(), &Options::default()).unwrap_err().to_string()
}

#[test]
fn sysctls_become_settings() {
    let imported = sysctl(
        "# databases\n; and more\n\
         vm.swappiness = 3\n\
         vm/dirty_bytes=536870912\n\
         vm.dirty_background_bytes = 67108864\n\
         kernel.sched_min_granularity_ns = 3000000\n\
         kernel.nmi_watchdog=0\n\
         -kernel.printk = 4 4 1 7\n\
         net.ipv4.tcp_rmem = 4096 131072 6291456\n\
         net.ipv4.conf.enp3s0/200.rp_filter = 2\n\
         net/ipv4/conf/all/arp_announce = 2\n\
         net.core.default_qdisc = fq\n\
         kernel.core_pattern = |/lib/dump %p \"$q\"\n\
         kernel.shmall = 18446744073692774399\n\
         vm.something_new = 1\n\
         kernel.overflowuid = 65534\n\
         kernel.pid_max = 4194304",
    );
    insta::assert_snapshot!(told(&imported));
}

#[test]
fn what_check_would_refuse_is_a_comment() {
    let text = "kernel.dmesg_restrict = 0\nvm.max_map_count = 0\nvm.swappiness = 300\n\
                vm.vfs_cache_pressure = 0\nvm.overcommit_ratio = 300\nnet.ipv4.ip_forward = 1\nvm.swappiness = 60 junk\n";
    let imported = sysctl(text);
    insta::assert_snapshot!(told(&imported));
    assert!(!imported.script.contains("waive") || !imported.script.contains("\n    waive"));
    let refused = sysctl_with(text, &Options { refused: true, ..Options::default() });
    assert!(refused.script.contains("\n    vm.max_map_count = 0\n"), "{}", refused.script);
    assert!(!checked(&refused, Version::new(6, 12), Flavour::Cloud).is_empty());
}

#[test]
fn a_guard_stands_only_where_it_was_asked_for() {
    let text = "net.ipv4.ip_forward = 1\n";
    let bare = sysctl(text);
    assert!(!bare.script.contains("guard test"), "{}", bare.script);
    assert_eq!(bare.remarks.first().unwrap().fate, Fate::NeedsGuard);
    assert!(!checked(&bare, Version::new(6, 12), Flavour::Cloud).is_empty());
    let guard = Some(Duration::from_secs(90));
    let guarded = sysctl_with(text, &Options { guard, ..Options::default() });
    assert!(guarded.script.contains("\nguard test { confirm within 90s }\n"), "{}", guarded.script);
    assert_eq!(guarded.remarks, []);
    assert_eq!(checked(&guarded, Version::new(6, 12), Flavour::Cloud), [""; 0]);
}

#[test]
fn patterns_are_for_keys_without_a_line_of_their_own() {
    let imported = sysctl(
        "net.ipv4.conf.default.rp_filter = 2\n\
         net.ipv4.conf.*.rp_filter = 1\n\
         -net.ipv4.conf.all.rp_filter\n\
         net.ipv4.conf.eth*.arp_ignore = 1\n\
         net.ipv4.conf.*.log_martians = 1\n\
         -net.ipv4.conf.eth7.log_martians\n\
         vm.dirty_*ratio = 10\n\
         vm.[a-z]* = 1\n\
         no.such.* = 1\n\
         vm.swap* = 5\n\
         vm.swappiness = 6\n",
    );
    insta::assert_snapshot!(told(&imported));
}

#[test]
fn of_two_forms_of_one_state_one_stays() {
    let imported = sysctl(
        "vm.dirty_ratio = 0\nvm.dirty_bytes = 268435456\nvm.swappiness = 1\nvm.swappiness = 2\n",
    );
    assert!(imported.script.contains("vm.dirty_bytes = 256MiB"), "{}", imported.script);
    assert!(!imported.script.contains("    vm.dirty_ratio"), "{}", imported.script);
    assert!(imported.script.contains("vm.swappiness = 2"), "{}", imported.script);
    let fates: Vec<Fate> = imported.remarks.iter().map(|remark| remark.fate).collect();
    assert_eq!(fates, [Fate::Overridden, Fate::Overridden]);
}

#[test]
fn folders_are_read_in_their_order() {
    let files = Memory::new(&[
        ("/etc/sysctl.d/50-b.conf", "vm.swappiness = 1\n"),
        ("/usr/lib/sysctl.d/10-a.conf", "vm.swappiness = 2\nvm.page-cluster = 0\n"),
        ("/usr/lib/sysctl.d/50-b.conf", "vm.swappiness = 3\n"),
    ]);
    let folders = ["/etc/sysctl.d".into(), "/usr/lib/sysctl.d".into()];
    let imported = import(&folders, &files, catalogue(), &Options::default()).unwrap();
    sound(&imported);
    assert!(imported.script.contains("profile sysctl {"), "{}", imported.script);
    assert!(imported.script.contains("vm.swappiness = 1"), "{}", imported.script);
    assert!(imported.script.contains("vm.page-cluster = 0"), "{}", imported.script);
}

#[test]
fn formats_are_told_apart() {
    let files = Memory::new(&[
        ("/a/x.conf", "\n# c\n[main]\nsummary=S\n"),
        ("/b/x.conf", "vm.swappiness = 1\n"),
        ("/t/tuned.conf", "[sysctl]\nvm.swappiness = 1\n"),
    ]);
    let script = |path: &str| {
        import(&[path.into()], &files, catalogue(), &Options::default()).unwrap().script
    };
    assert!(script("/a/x.conf").contains("profile a {"));
    assert!(script("/b/x.conf").contains("profile x {"));
    assert!(script("/t").contains("profile t {"));
    let both = import(&["/b/x.conf".into(), "/t".into()], &files, catalogue(), &Options::default());
    assert!(matches!(both.unwrap_err().problems.as_slice(), [Problem::Mixed]));
    assert!(matches!(
        import(&[], &files, catalogue(), &Options::default()).unwrap_err().problems.as_slice(),
        [Problem::Nothing]
    ));
}

#[test]
fn everything_wrong_is_told_at_once() {
    let files = Memory::new(&[("/x.conf", "vm.swappiness\n= 1\nvm.swappiness = 1\nvm swap = 2\n")]);
    let told = refusal(&files, "/x.conf");
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(told.starts_with("/x.conf:1: `vm.swappiness` is no assignment"), "{told}");
    assert!(told.contains("/x.conf:4:"), "{told}");
}

#[test]
fn what_is_no_text_is_refused() {
    let mut files = Memory::default();
    files.insert("/nul", b"vm.swappiness = 1\n\0");
    files.insert("/escape", b"a = \x1b[31m\n");
    files.insert("/binary", b"\x7fELF\xff\xfe");
    files.insert("/private", "a = \u{f0000}\n".as_bytes());
    files.insert("/large", &vec![b'#'; MAX_SCRIPT + 1]);
    for (path, part) in [
        ("/nul", "/nul:2: a NUL"),
        ("/escape", "/escape:1: a U+001B"),
        ("/binary", "/binary:1: byte 4 is not UTF-8"),
        ("/private", "/private:1: a U+F0000"),
        ("/large", "at most 1 MiB"),
        ("/absent", "cannot read /absent"),
    ] {
        let told = refusal(&files, path);
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_large_file_is_refused_before_it_is_read() {
    let directory = std::env::temp_dir().join(format!("import-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("large.conf");
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let read = |path: &Path| {
        import(&[path.to_owned()], &Disk::default(), catalogue(), &Options::default())
    };
    let told = read(&path).unwrap_err().to_string();
    assert!(told.contains("102400 KiB"), "{told}");
    // Files of /proc have no length, and some of them never end.
    assert!(read(Path::new("/proc/kmsg")).is_ok_and(|imported| imported.written.is_empty()));
    assert!(read(Path::new("/dev/zero")).is_err());
    std::fs::write(directory.join("ok.conf"), "vm.swappiness = 1").unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(read(&directory).unwrap().script.contains("vm.swappiness = 1"));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn paths_that_lead_elsewhere_are_left_out() {
    let imported = sysctl("kernel/../../etc/passwd = x\nkernel//x = 1\nkernel.a/b = 1\n");
    assert_eq!(imported.remarks.iter().filter(|remark| remark.fate == Fate::LeftOut).count(), 2);
    assert!(!imported.script.contains("raw \"/proc/sys/kernel/.."), "{}", imported.script);
    assert!(imported.script.contains("raw \"/proc/sys/kernel/a.b\" = 1"), "{}", imported.script);
}

#[test]
fn long_lines_and_many_end() {
    let long = format!("vm.swappiness = {}\nx.{} = 1\n", "9".repeat(400_000), "y".repeat(400_000));
    let imported = sysctl(&long);
    assert_eq!(imported.written, []);
    assert!(imported.script.len() < 10_000);
    let cpus = sysctl(&format!("kernel.watchdog_cpumask = {}\n", "0-8191,".repeat(100_000)));
    assert_eq!(cpus.written, []);
    let many = "vm.swappiness = 1\n".repeat(20_000);
    let files = Memory::new(&[("/x.conf", &many)]);
    assert!(refusal(&files, "/x.conf").contains("more than 8192 assignments"));
}

/// A value that the kernel takes and that is safe, as the file holds it.
fn value_of(setting: &crate::catalogue::Setting, seed: u64) -> Option<String> {
    let candidates =
        ["0", "1", "2", "3", "10", "64", "100", "500", "1000", "4096", "65536", "1048576"];
    let words: Vec<String> = match &setting.kind {
        crate::catalogue::Kind::Choice(words) => words.clone(),
        crate::catalogue::Kind::Numbers(parts) | crate::catalogue::Kind::Sizes(_, parts) => {
            candidates.iter().map(|number| vec![*number; parts.len()].join("\t")).collect()
        }
        _ => candidates.iter().map(|number| (*number).to_owned()).collect(),
    };
    let fits = |text: &&String| {
        let parsed = setting.kind.parsed(text).and_then(|value| setting.kind.typed(&value).ok());
        // An empty set of CPUs has no literal: what cannot be written is told, and tested elsewhere.
        let is_empty = |value: &Value| matches!(value, Value::Cpus(cpus) if cpus.is_empty());
        parsed.is_some_and(|value| !is_empty(&value) && judge::refused(setting, &value).is_none())
    };
    let fitting: Vec<&String> = words.iter().filter(fits).collect();
    let index = usize::try_from(seed).ok()?.checked_rem(fitting.len())?;
    fitting.get(index).map(|text| (*text).clone())
}

fn global_sysctls() -> Vec<&'static crate::catalogue::Setting> {
    let plain = |setting: &&crate::catalogue::Setting| {
        let at = setting.places.first().map(|place| &place.at);
        let own = matches!(at, Some(crate::catalogue::At::Sysctl(path)) if path.replace('/', ".") == setting.name);
        own && setting.class != Class::Action
            && catalogue()
                .of_sysctl(&setting.name.replace('.', "/"))
                .is_some_and(|found| found.name == setting.name)
    };
    catalogue().settings().filter(plain).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A file of settings of the catalogue becomes a script that sets them to what the file says.
    #[test]
    fn files_of_known_keys_mean_the_same(
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 0..3_u8), 1..12)
    ) {
        let all = global_sysctls();
        let mut seen = BTreeSet::new();
        let mut text = String::new();
        let mut wanted = Vec::new();
        for (pick, seed, style) in picks {
            let setting = all[pick.index(all.len())];
            let twin = setting.couples.iter().any(|couple| {
                matches!(couple, crate::catalogue::Couple::Twin(other) if seen.contains(other.as_str()))
            });
            let Some(value) = value_of(setting, seed) else { continue };
            if twin || !seen.insert(setting.name.as_str()) {
                continue;
            }
            text += &match style {
                0 => format!("{} = {value}\n", setting.name),
                1 => format!("-{}={value}\n", setting.name.replace('.', "/")),
                _ => format!("# c\n  {}\t=\t{value}  \n", setting.name),
            };
            wanted.push((setting, value));
        }
        let options = Options { guard: Some(Duration::from_secs(30)), ..Options::default() };
        let imported = sysctl_with(&text, &options);
        prop_assert_eq!(imported.written.len(), wanted.len(), "{}", told(&imported));
        let mut found = Vec::new();
        resolved(&imported, Version::new(6, 12), Flavour::Generic, |_, resolution| {
            for resolved in &resolution.settings {
                if let (Some(setting), Goal::Exactly(value)) = (resolved.setting, &resolved.goal) {
                    found.push((setting.name.clone(), setting.kind.written(value)));
                }
            }
            found.extend(resolution.not_applicable.iter().map(|it| (it.name.clone(), String::new())));
        });
        for (setting, value) in wanted {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            let said = found.iter().find(|(name, _)| *name == setting.name);
            let said = said.map(|(_, said)| said.as_str());
            // What 6.12 does not have is told by name.
            prop_assert!(said == Some(&value) || said == Some(""), "{} = {value}: {said:?}\n{}", setting.name, imported.script);
        }
    }

    /// Nothing vanishes, and whatever comes in, a script comes out that can be read.
    #[test]
    fn every_assignment_is_accounted_for(
        lines in prop::collection::vec("(-?[a-z*./]{1,12} ?= ?[ -~]{0,12}|(vm|kernel|net\\.ipv4)[./][a-z_*]{2,16}=[0-9]{1,4}|#.{0,9}|-[a-z.]{1,9})", 0..12)
    ) {
        let text = lines.join("\n");
        let files = Memory::new(&[("/x.conf", &text)]);
        let Ok(imported) = import(&["/x.conf".into()], &files, catalogue(), &Options { format: Some(Format::Sysctl), ..Options::default() }) else {
            return Ok(());
        };
        sound(&imported);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.starts_with(['#', ';']) || !line.contains('=') {
                continue;
            }
            let written = imported.written.iter().any(|it| it.at.line == number);
            let remarked = imported.remarks.iter().any(|it| it.at.line == number);
            prop_assert!(written || remarked, "line {number} vanished: {line:?}\n{}", told(&imported));
        }
    }
}
