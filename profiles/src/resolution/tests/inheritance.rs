use super::*;

const PARENTS: &str = "
    profile base { vm.swappiness = 60; raise net.core.somaxconn to 1024 }
    profile a extends base { vm.swappiness = 10; raise net.core.somaxconn to 4096 }
    profile b extends base { vm.vfs_cache_pressure = 50 }
    profile c extends base { vm.swappiness = 20 }
";

fn of(child: &str) -> Outcome {
    resolved(&format!("{PARENTS}\n{child}"))
}

fn value(outcome: &Outcome, name: &str) -> String {
    assert_eq!(outcome.told, [""; 0]);
    let line = outcome.settings.iter().find(|line| line.starts_with(name)).unwrap();
    line.split(" = ").nth(1).unwrap().split(" @ ").next().unwrap().to_owned()
}

#[test]
fn a_child_has_what_its_parents_have() {
    let outcome = of("profile p extends a, b {}");
    assert_eq!(value(&outcome, "vm.swappiness"), "10");
    assert_eq!(value(&outcome, "vm.vfs_cache_pressure"), "50");
    let outcome = of("profile p extends b, a { vm.swappiness = 5 }");
    assert_eq!(value(&outcome, "vm.swappiness"), "5");
}

#[test]
fn parents_that_disagree_are_named_unless_the_child_decides() {
    let told = of("profile p extends a, c {}").told;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("`a` sets `vm.swappiness` to 10, and `c` to 20"), "{}", told[0]);
    assert_eq!(told, of("profile p extends c, a {}").told, "whoever is named first");
    assert_eq!(value(&of("profile p extends a, c { vm.swappiness = 15 }"), "vm.swappiness"), "15");
    assert_eq!(
        value(&of("profile p extends a, c { default vm.swappiness = 15 }").told_less(), ""),
        ""
    );
}

impl Outcome {
    /// A default decides nothing: the parents still disagree.
    fn told_less(mut self) -> Self {
        assert_eq!(self.told.len(), 1);
        self.told.clear();
        self.settings = vec![" =  @ ".to_owned()];
        self
    }
}

#[test]
fn bounds_hold_together() {
    let bound = |child: &str| {
        let outcome = of(child);
        assert_eq!(outcome.told, [""; 0]);
        outcome.settings.iter().find(|line| line.contains("somaxconn")).unwrap().clone()
    };
    assert!(bound("profile p extends a, b {}").contains("Within(Some(Number(4096)), None)"));
    assert!(bound("profile p extends a { net.core.somaxconn = 2048 }").contains("= 4096 "));
    assert!(bound("profile p extends a { net.core.somaxconn = 8192 }").contains("= 8192 "));
    let told = of("profile p extends a { lower net.core.somaxconn to 2048 }").told;
    assert!(told[0].contains("at least 4096 and at most 2048"), "{told:?}");
}

#[test]
fn two_values_in_one_profile_contradict_each_other_while_both_hold() {
    let told = of("profile p { vm.swappiness = 1; vm.swappiness = 2 }").told;
    assert!(told[0].contains("`p` sets `vm.swappiness` to 1 and to 2"), "{told:?}");
    let outcome = of(
        "profile p { if memory.total > 64GiB { vm.swappiness = 1 } else { vm.swappiness = 2 } }",
    );
    assert_eq!(value(&outcome, "vm.swappiness"), "2");
    assert_eq!(
        value(&of("profile p { default vm.swappiness = 1; vm.swappiness = 2 }"), "vm.s"),
        "2"
    );
    assert_eq!(
        value(
            &of(
                "profile p extends a { vm.swappiness = 1 } profile q extends p { force vm.swappiness = 9 } profile r extends q { vm.swappiness = 3 }"
            ),
            "vm.s"
        ),
        "9"
    );
}
